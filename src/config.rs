//! The environment variables. They are read once at start-up, and all faults are reported at once.
//!
//! | variable | |
//! |---|---|
//! | `HF_TOKEN` | required: a token with write access to the gated repos, or an ARN |
//! | `HF_ENDPOINT` | the URL of the Hub; `https://huggingface.co` if unset |
//! | `WEBHOOK_SECRET` | required: the secret that a webhook sends in `X-Webhook-Secret`, in ASCII, or an ARN |
//! | `WEBHOOK_SECRET_PREVIOUS` | a secret that is also accepted, while the secret is rotated, or an ARN |
//! | `MAIL_SECRET` | the local part of the address to which the Hub mails, 16 to 64 letters, digits, `-`, `_` and `.`, or an ARN; if unset, no mail prompts a look |
//! | `MAIL_FROM` | the domain of which a mail must come, as DMARC shows, or `any`; `huggingface.co` with its subdomains if unset |
//! | `APPROVAL_POLICY` | required: the policy, in JSON or TOML; see [`crate::policy`]; or where it is kept: `file:policy.toml`, `hf://datasets/acme/doorman/policy.toml`, or an ARN; files are read from the current directory, which on Lambda is that of the function's package |
//! | `REPOS` | the repos that are covered, separated by commas or white space: `acme/model`, `datasets/acme/corpus`, `acme/*`; `!acme/open` excludes one repo of a namespace; a sweep reviews exactly these repos; if unset or empty, every repo that the token can manage is covered, and there are no sweeps |
//! | `DRY_RUN` | `true`: decide and report, but write nothing; `false` if unset |
//! | `CONCURRENCY` | the maximum number of calls to the Hub in flight, 1 to 64; 8 if unset; lowered to one for each 16 MB of the function's memory |
//! | `DIGEST_TO` | where the digest is sent, separated by white space: ARNs of SNS topics, URLs of chat webhooks, or ARNs of secrets that hold such a URL; if unset, no digest is sent |
//! | `RUST_LOG` | the level of the log: `error`, `warn`, `info`, `debug`, or `target=level`, separated by commas; `info` if unset |
//!
//! White space around a value is ignored.
//!
//! An ARN names a secret in Secrets Manager or a parameter in SSM. `#key` behind the ARN selects a key of a JSON object. The
//! credentials and endpoints for reading it come from the variables of the AWS SDKs: `AWS_ACCESS_KEY_ID`,
//! `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`, which Lambda sets, and `AWS_ENDPOINT_URL`,
//! `AWS_ENDPOINT_URL_SECRETS_MANAGER` and `AWS_ENDPOINT_URL_SSM`. `AWS_LAMBDA_FUNCTION_MEMORY_SIZE`, the function's memory in
//! MB, is set by Lambda as well.

use std::cell::RefCell;
use std::env::VarError;
use std::fmt;
use std::path::Path;

use reqwest::Url;

use crate::digest::Destination;
use crate::http;
use crate::log;
use crate::model::RepoPattern;
use crate::policy::ReadFile;
use crate::secrets::{Secret, Source, Sources, Stored};
use crate::source::Place;
use crate::trigger::mail::MailFrom;

/// The settings of the function.
#[derive(Debug)]
pub struct Config {
    /// The token and the secrets that events show, or where they are kept.
    pub secrets: Sources,
    /// The URL of the Hub.
    pub endpoint: Url,
    /// The policy that decides the requests, or where it is kept.
    pub policy: Place,
    /// The repos that are covered, or `None` for every repo that the token can manage.
    pub repos: Option<Vec<RepoPattern>>,
    /// The senders whose mails may prompt a look.
    pub mail_from: MailFrom,
    /// Where the digest is sent.
    pub digest_to: Vec<Destination>,
    /// Whether to decide and report, but write nothing.
    pub dry_run: bool,
    /// The maximum number of calls to the Hub in flight.
    pub concurrency: usize,
}

/// All faults in the environment. Each one begins with the name of its variable, and none contains a secret.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError(pub Vec<String>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(faults) = self;
        write!(
            f,
            "the configuration has {} fault{}:",
            faults.len(),
            if faults.len() == 1 { "" } else { "s" }
        )?;
        faults.iter().try_for_each(|fault| write!(f, "\n- {fault}"))
    }
}

impl Config {
    /// Reads the variables through `lookup`, which returns the value of a variable, and the files of the policy's lists through
    /// `read_file`. Outside tests these are [`std::env::var`] and [`read_from`] the current directory.
    pub fn from_lookup(
        lookup: impl Fn(&str) -> Result<String, VarError>,
        read_file: ReadFile,
    ) -> Result<Self, ConfigError> {
        let variables = Variables::new(lookup);
        let (token, endpoint) = (variables.token(), variables.endpoint());
        let (webhook, webhook_previous) = (variables.webhook_secret(), variables.webhook_secret_previous());
        let (policy, repos) = (variables.policy(read_file), variables.repos());
        let digest_to = variables.digest_to();
        let (mail, mail_from) = (variables.mail_secret(), variables.mail_from());
        let (dry_run, concurrency) = (variables.dry_run(), variables.concurrency_in_memory());
        let _ = variables.log();
        variables.all(|| {
            let (token, webhook, webhook_previous, mail) = (token?, Some(webhook?), webhook_previous?, mail?);
            let secrets = Sources { token, webhook, webhook_previous, mail };
            let (endpoint, policy, repos, mail_from, digest_to) =
                (endpoint?, policy?, repos?, mail_from?, digest_to?);
            Ok(Self {
                secrets,
                endpoint,
                policy,
                repos,
                mail_from,
                digest_to,
                dry_run: dry_run?,
                concurrency: concurrency?,
            })
        })
    }
}

/// Reads the files of a policy's lists from the policy's folder.
pub fn read_from(folder: &Path) -> impl Fn(&str) -> Result<Vec<u8>, String> {
    |file| std::fs::read(folder.join(file)).map_err(|error| error.to_string())
}

/// The memory of the function that is reckoned for each call in flight, in MB. With 128 MB, the pages of 8 calls fill at most
/// half of it.
const MB_PER_CALL: usize = 16;

/// Says that a variable has a fault. [`Variables`] keeps the fault, and [`Variables::all`] reports it.
#[derive(Clone, Copy, Debug)]
pub struct FaultNoted;

/// Reads the variables one by one, for a caller that needs only some of them. The faults are kept, and [`Variables::all`]
/// reports them together.
pub struct Variables<L> {
    lookup: L,
    faults: RefCell<Vec<String>>,
}

impl<L: Fn(&str) -> Result<String, VarError>> Variables<L> {
    /// A reader that gets the value of a variable from `lookup`.
    pub fn new(lookup: L) -> Self {
        Self { lookup, faults: RefCell::default() }
    }

    /// Combines the values that were read, or returns all faults that were found in them.
    pub fn all<T>(self, combine: impl FnOnce() -> Result<T, FaultNoted>) -> Result<T, ConfigError> {
        let faults = self.faults.into_inner();
        combine().ok().filter(|_| faults.is_empty()).ok_or(ConfigError(faults))
    }

    /// `HF_TOKEN`: the token, or where it is kept.
    pub fn token(&self) -> Result<Source, FaultNoted> {
        self.source("HF_TOKEN", "a token of the Hub with write access to the gated repos")
    }

    /// `WEBHOOK_SECRET`: the secret, or where it is kept.
    pub fn webhook_secret(&self) -> Result<Source, FaultNoted> {
        self.source("WEBHOOK_SECRET", "the secret that the Hub was given for the webhook")
    }

    /// `WEBHOOK_SECRET_PREVIOUS`: the secret or where it is kept, if it is set.
    pub fn webhook_secret_previous(&self) -> Result<Option<Source>, FaultNoted> {
        self.optional("WEBHOOK_SECRET_PREVIOUS", |text| self.parse_source(text))
    }

    /// `MAIL_SECRET`: the secret or where it is kept, if it is set.
    pub fn mail_secret(&self) -> Result<Option<Source>, FaultNoted> {
        self.optional("MAIL_SECRET", |text| match self.parse_source(text)? {
            Source::Given(secret) => {
                Secret::for_mail(secret.expose()).map(Source::Given).map_err(|fault| vec![fault])
            }
            stored @ Source::Stored(_) => Ok(stored),
        })
    }

    /// `MAIL_FROM`.
    pub fn mail_from(&self) -> Result<MailFrom, FaultNoted> {
        let from = self.optional("MAIL_FROM", |text| text.parse().map_err(|fault| vec![fault]));
        from.map(Option::unwrap_or_default)
    }

    /// `DIGEST_TO`.
    pub fn digest_to(&self) -> Result<Vec<Destination>, FaultNoted> {
        let get = |name: &str| self.get_non_empty(name).ok().flatten();
        let to = self.optional("DIGEST_TO", |text| Destination::parse_all(text, get));
        to.map(Option::unwrap_or_default)
    }

    /// `HF_ENDPOINT`.
    pub fn endpoint(&self) -> Result<Url, FaultNoted> {
        let url = self.get("HF_ENDPOINT");
        let url = url.map(|value| value.unwrap_or_else(|| "https://huggingface.co".to_owned()));
        self.note("HF_ENDPOINT", url.and_then(|url| endpoint(&url)))
    }

    /// `APPROVAL_POLICY`: the policy, compiled, or where it is kept. `read_file` reads the files.
    pub fn policy(&self, read_file: ReadFile) -> Result<Place, FaultNoted> {
        let text = self.required(
            "APPROVAL_POLICY",
            "the policy as JSON or TOML, or where it is kept, such as `hf://datasets/acme/doorman/policy.toml`",
        );
        self.note("APPROVAL_POLICY", text.and_then(|text| self.place(&text, read_file)))
    }

    /// The place of a policy, as an argument of the command line names it. The text is not that of a variable.
    pub fn place(&self, text: &str, read_file: ReadFile) -> Result<Place, Vec<String>> {
        Place::parse(text, |name| self.get_non_empty(name).ok().flatten(), read_file)
    }

    /// `REPOS`, if it is set.
    pub fn repos(&self) -> Result<Option<Vec<RepoPattern>>, FaultNoted> {
        self.optional("REPOS", repos)
    }

    /// `DRY_RUN`.
    pub fn dry_run(&self) -> Result<bool, FaultNoted> {
        let dry_run = self.get("DRY_RUN").and_then(|text| text.map_or(Ok(false), |text| dry_run(&text)));
        self.note("DRY_RUN", dry_run)
    }

    /// `CONCURRENCY`.
    pub fn concurrency(&self) -> Result<usize, FaultNoted> {
        let number = self.get("CONCURRENCY").and_then(|text| text.map_or(Ok(8), |text| concurrency(&text)));
        self.note("CONCURRENCY", number)
    }

    /// `CONCURRENCY`, lowered if the function has too little memory for the pages of so many calls.
    fn concurrency_in_memory(&self) -> Result<usize, FaultNoted> {
        let name = "AWS_LAMBDA_FUNCTION_MEMORY_SIZE";
        let memory = self.optional(name, |text| {
            text.parse::<usize>().map_err(|_| vec![format!("`{text}` is not a number of MB")])
        });
        let (wanted, memory) = (self.concurrency()?, memory?);
        let max = memory.map_or(usize::MAX, |memory| (memory / MB_PER_CALL).max(1));
        if wanted > max {
            tracing::warn!(
                concurrency = max,
                wanted,
                memory_mb = memory,
                "CONCURRENCY lowered to fit the function's memory"
            );
        }
        Ok(wanted.min(max))
    }

    /// `RUST_LOG`.
    pub fn log(&self) -> Result<Option<String>, FaultNoted> {
        self.optional("RUST_LOG", |text| {
            log::check(text).map(|()| text.to_owned()).map_err(|fault| vec![fault])
        })
    }

    fn source(&self, name: &str, what: &str) -> Result<Source, FaultNoted> {
        self.note(name, self.required(name, what).and_then(|text| self.parse_source(&text)))
    }

    fn parse_source(&self, text: &str) -> Result<Source, Vec<String>> {
        source(text, |name| self.get_non_empty(name).ok().flatten())
    }

    fn optional<T>(
        &self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, Vec<String>>,
    ) -> Result<Option<T>, FaultNoted> {
        self.note(name, self.get_non_empty(name).and_then(|text| text.map(|text| parse(&text)).transpose()))
    }

    fn required(&self, name: &str, what: &str) -> Result<String, Vec<String>> {
        self.get_non_empty(name)?.ok_or_else(|| vec![format!("not set; it must be {what}")])
    }

    /// The value of a variable, if it is neither unset nor empty.
    fn get_non_empty(&self, name: &str) -> Result<Option<String>, Vec<String>> {
        self.get(name).map(|value| value.filter(|value| !value.is_empty()))
    }

    fn get(&self, name: &str) -> Result<Option<String>, Vec<String>> {
        match (self.lookup)(name) {
            Ok(value) => Ok(Some(value.trim().to_owned())),
            Err(VarError::NotPresent) => Ok(None),
            Err(VarError::NotUnicode(_)) => Err(vec!["it is not UTF-8".to_owned()]),
        }
    }

    /// Keeps the faults of a variable, each with the variable's name.
    fn note<T>(&self, variable: &str, value: Result<T, Vec<String>>) -> Result<T, FaultNoted> {
        let named = |fault: &String| format!("{variable}: {fault}");
        value.map_err(|faults| {
            self.faults.borrow_mut().extend(faults.iter().map(named));
            FaultNoted
        })
    }
}

/// A secret, or the ARN that says where AWS keeps it. A fault does not show the text.
fn source(text: &str, get: impl Fn(&str) -> Option<String>) -> Result<Source, Vec<String>> {
    let source = if text.starts_with("arn:") {
        Stored::parse(text, get).map(Source::Stored)
    } else {
        Secret::for_header(text).map(Source::Given)
    };
    source.map_err(|fault| vec![fault])
}

fn endpoint(text: &str) -> Result<Url, Vec<String>> {
    // The value is not shown if it may contain a password or a token.
    let shown = if text.contains(['@', '?', '#']) { "the value" } else { &format!("`{text}`") };
    let fault = |what: &str| vec![format!("{shown} {what}; it must be a URL such as https://huggingface.co")];
    let url = Url::parse(text).map_err(|error| fault(&format!("is not a URL ({error})")))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(fault("is neither http nor https"));
    }
    if url.scheme() == "http" && !http::is_loopback(&url) {
        return Err(fault("would send the token without encryption; write https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(fault("has a user name or password, but the token belongs in HF_TOKEN"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(fault("has a query or a fragment"));
    }
    Ok(url)
}

fn repos(text: &str) -> Result<Vec<RepoPattern>, Vec<String>> {
    let names = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|name| !name.is_empty());
    let patterns = RepoPattern::parse_all(names, "REPOS")?;
    if patterns.is_empty() {
        return Err(vec![format!(
            "`{text}` names no repo; name one, or unset REPOS to review any repo that the token manages"
        )]);
    }
    Ok(patterns)
}

fn dry_run(text: &str) -> Result<bool, Vec<String>> {
    text.parse().map_err(|_| vec![format!("`{text}` is neither `true` nor `false`")])
}

fn concurrency(text: &str) -> Result<usize, Vec<String>> {
    let number = text.parse().ok().filter(|number| (1..=64).contains(number));
    number.ok_or_else(|| vec![format!("`{text}` is not a whole number from 1 to 64")])
}

#[cfg(test)]
mod tests;
