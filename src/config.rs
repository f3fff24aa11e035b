//! Every environment variable, read once at start-up, and all faults told at once.
//!
//! | variable | |
//! |---|---|
//! | `HF_TOKEN` | required: a token with write access to the gated repos, or the ARN of where AWS keeps it |
//! | `HF_ENDPOINT` | where the Hub is, `https://huggingface.co` if unset |
//! | `WEBHOOK_SECRET` | required: what a webhook has to show in `X-Webhook-Secret`, ASCII, or an ARN |
//! | `WEBHOOK_SECRET_PREVIOUS` | accepted too, while the secret is being rotated; itself or an ARN |
//! | `APPROVAL_POLICY` | required: the policy, as JSON; see [`crate::policy`] |
//! | `REPOS` | the repos that are looked after, separated by commas or white space: `acme/model`, `datasets/acme/corpus`, `acme/*`; `!acme/open` leaves one of a namespace out; a sweep goes over exactly these; if unset or empty, any that the token may manage, without sweeps |
//! | `DRY_RUN` | `true`: decide and report, change nothing; `false` if unset |
//! | `CONCURRENCY` | calls to the Hub in flight at once, 1 to 64; 8 if unset; at most one for 16 MB of the function's memory |
//! | `RUST_LOG` | how much is logged: `error`, `warn`, `info`, `debug`, or `target=level`, with commas between several; `info` if unset |
//!
//! White space around a value does not count. An ARN is that of a secret of Secrets Manager or of a parameter of SSM; `#key`
//! behind it picks a key of a JSON object. It is read with the credentials and at the endpoints that the AWS SDKs' variables
//! name: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, which Lambda sets, and `AWS_ENDPOINT_URL`,
//! `AWS_ENDPOINT_URL_SECRETS_MANAGER`, `AWS_ENDPOINT_URL_SSM`.

use std::cell::RefCell;
use std::env::VarError;
use std::fmt;
use std::net::IpAddr;

use reqwest::Url;

use crate::keyring::{Source, Sources, Stored};
use crate::log;
use crate::model::RepoPattern;
use crate::policy::Policy;
use crate::secret::Secret;

/// What the function needs to know.
#[derive(Debug)]
pub struct Config {
    /// Where the token and the webhook's secret are.
    pub secrets: Sources,
    /// Where the Hub is; without a slash at its end.
    pub endpoint: Url,
    /// Who gets in.
    pub policy: Policy,
    /// The repos that are looked after; `None`: any that the token may manage.
    pub repos: Option<Vec<RepoPattern>>,
    /// Decide and report, change nothing.
    pub dry_run: bool,
    /// Calls to the Hub in flight at once.
    pub concurrency: usize,
}

/// Everything that is wrong with the environment; each fault starts with the name of a variable. No secret is in it.
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
    /// Reads the variables through `lookup`, which gives the value of one by its name: [`std::env::var`], outside tests.
    pub fn from_lookup(lookup: impl Fn(&str) -> Result<String, VarError>) -> Result<Self, ConfigError> {
        let variables = Variables::new(lookup);
        let (token, endpoint) = (variables.token(), variables.endpoint());
        let (webhook, webhook_previous) = (variables.webhook_secret(), variables.webhook_secret_previous());
        let (policy, repos) = (variables.policy(), variables.repos());
        let (dry_run, concurrency) = (variables.dry_run(), variables.concurrency_in_memory());
        let _ = variables.log();
        variables.all(|| {
            let secrets =
                Sources { token: token?, webhook: Some(webhook?), webhook_previous: webhook_previous? };
            let (endpoint, policy, repos) = (endpoint?, policy?, repos?);
            Ok(Self { secrets, endpoint, policy, repos, dry_run: dry_run?, concurrency: concurrency? })
        })
    }
}

/// The memory that a call in flight may need, in MB: with 128 MB, 8 calls have half of it in their pages.
const MB_A_CALL: usize = 16;

/// A variable is faulty; [`Variables::all`] tells how.
#[derive(Clone, Copy, Debug)]
pub struct Noted;

/// The variables one by one, for whoever needs only some of them. What is wrong with one is kept until all are told.
pub struct Variables<L> {
    lookup: L,
    faults: RefCell<Vec<String>>,
}

impl<L: Fn(&str) -> Result<String, VarError>> Variables<L> {
    /// Reads them through `lookup`.
    pub fn new(lookup: L) -> Self {
        Self { lookup, faults: RefCell::default() }
    }

    /// Puts together what was read, or tells all that was wrong with it.
    pub fn all<T>(self, together: impl FnOnce() -> Result<T, Noted>) -> Result<T, ConfigError> {
        let faults = self.faults.into_inner();
        together().ok().filter(|_| faults.is_empty()).ok_or(ConfigError(faults))
    }

    /// Where the token of `HF_TOKEN` is.
    pub fn token(&self) -> Result<Source, Noted> {
        self.source("HF_TOKEN", "a token of the Hub with write access to the gated repos")
    }

    /// Where the secret of `WEBHOOK_SECRET` is.
    pub fn webhook_secret(&self) -> Result<Source, Noted> {
        self.source("WEBHOOK_SECRET", "the secret that the Hub was given for the webhook")
    }

    /// Where the secret of `WEBHOOK_SECRET_PREVIOUS` is, if there is one.
    pub fn webhook_secret_previous(&self) -> Result<Option<Source>, Noted> {
        self.optional("WEBHOOK_SECRET_PREVIOUS", |text| self.parse_source(text))
    }

    /// `HF_ENDPOINT`.
    pub fn endpoint(&self) -> Result<Url, Noted> {
        let url = self.get("HF_ENDPOINT");
        let url = url.map(|value| value.unwrap_or_else(|| "https://huggingface.co".to_owned()));
        self.note("HF_ENDPOINT", url.and_then(|url| endpoint(&url)))
    }

    /// `APPROVAL_POLICY`, compiled.
    pub fn policy(&self) -> Result<Policy, Noted> {
        let json = self.required("APPROVAL_POLICY", "the policy, as JSON");
        self.note("APPROVAL_POLICY", json.and_then(|json| Policy::parse(&json)))
    }

    /// `REPOS`, if it is set.
    pub fn repos(&self) -> Result<Option<Vec<RepoPattern>>, Noted> {
        self.optional("REPOS", repos)
    }

    /// `DRY_RUN`.
    pub fn dry_run(&self) -> Result<bool, Noted> {
        let dry_run = self.get("DRY_RUN").and_then(|text| text.map_or(Ok(false), |text| dry_run(&text)));
        self.note("DRY_RUN", dry_run)
    }

    /// `CONCURRENCY`.
    pub fn concurrency(&self) -> Result<usize, Noted> {
        let number = self.get("CONCURRENCY").and_then(|text| text.map_or(Ok(8), |text| concurrency(&text)));
        self.note("CONCURRENCY", number)
    }

    /// `CONCURRENCY`, and fewer where Lambda gives the function less memory than so many pages may need at once.
    fn concurrency_in_memory(&self) -> Result<usize, Noted> {
        let name = "AWS_LAMBDA_FUNCTION_MEMORY_SIZE";
        let memory = self.optional(name, |text| {
            text.parse::<usize>().map_err(|_| vec![format!("`{text}` is not a number of MB")])
        });
        let (wanted, memory) = (self.concurrency()?, memory?);
        let most = memory.map_or(usize::MAX, |memory| (memory / MB_A_CALL).max(1));
        if wanted > most {
            tracing::warn!(
                concurrency = most,
                wanted,
                memory_mb = memory,
                "CONCURRENCY lowered to fit the function's memory"
            );
        }
        Ok(wanted.min(most))
    }

    /// `RUST_LOG`.
    pub fn log(&self) -> Result<Option<String>, Noted> {
        self.optional("RUST_LOG", |text| {
            log::check(text).map(|()| text.to_owned()).map_err(|fault| vec![fault])
        })
    }

    fn source(&self, name: &str, what: &str) -> Result<Source, Noted> {
        self.note(name, self.required(name, what).and_then(|text| self.parse_source(&text)))
    }

    fn parse_source(&self, text: &str) -> Result<Source, Vec<String>> {
        source(text, |name| self.said(name).ok().flatten())
    }

    fn optional<T>(
        &self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, Vec<String>>,
    ) -> Result<Option<T>, Noted> {
        self.note(name, self.said(name).and_then(|text| text.map(|text| parse(&text)).transpose()))
    }

    fn required(&self, name: &str, what: &str) -> Result<String, Vec<String>> {
        self.said(name)?.ok_or_else(|| vec![format!("not set; it must be {what}")])
    }

    /// The value of a variable that is not empty.
    fn said(&self, name: &str) -> Result<Option<String>, Vec<String>> {
        self.get(name).map(|value| value.filter(|value| !value.is_empty()))
    }

    fn get(&self, name: &str) -> Result<Option<String>, Vec<String>> {
        match (self.lookup)(name) {
            Ok(value) => Ok(Some(value.trim().to_owned())),
            Err(VarError::NotPresent) => Ok(None),
            Err(VarError::NotUnicode(_)) => Err(vec!["it is not UTF-8".to_owned()]),
        }
    }

    /// Keeps what is wrong with a variable under its name.
    fn note<T>(&self, variable: &str, value: Result<T, Vec<String>>) -> Result<T, Noted> {
        let named = |fault: &String| format!("{variable}: {fault}");
        value.map_err(|faults| {
            self.faults.borrow_mut().extend(faults.iter().map(named));
            Noted
        })
    }
}

/// A secret, or the ARN of where AWS keeps it. The message does not show it.
fn source(text: &str, get: impl Fn(&str) -> Option<String>) -> Result<Source, Vec<String>> {
    let source = if text.starts_with("arn:") {
        Stored::parse(text, get).map(Source::Stored)
    } else {
        Secret::for_header(text).map(Source::Given)
    };
    source.map_err(|fault| vec![fault])
}

fn endpoint(text: &str) -> Result<Url, Vec<String>> {
    // What may hold a password or a token is not shown.
    let shown = if text.contains(['@', '?', '#']) { "what it holds" } else { &format!("`{text}`") };
    let fault = |what: &str| vec![format!("{shown} {what}; it must be a URL such as https://huggingface.co")];
    let url = Url::parse(text).map_err(|error| fault(&format!("is not a URL ({error})")))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(fault("is neither http nor https"));
    }
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    let is_loopback = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
    if url.scheme() == "http" && !is_loopback {
        return Err(fault("would send the token without encryption; write https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(fault("has a user name or password, but the token goes into HF_TOKEN"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(fault("has a query or a fragment"));
    }
    Ok(url)
}

fn repos(text: &str) -> Result<Vec<RepoPattern>, Vec<String>> {
    let names = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|name| !name.is_empty());
    let (mut patterns, mut left_out, mut faults) = (Vec::<RepoPattern>::new(), Vec::new(), Vec::new());
    for name in names {
        match (name.strip_prefix('!').unwrap_or(name).parse(), name.starts_with('!')) {
            (Ok(pattern), false) => patterns.push(pattern),
            (Ok(RepoPattern::One(repo)), true) => left_out.push(repo),
            (Ok(RepoPattern::Namespace { .. }), true) => {
                faults.push(format!(
                    "`{name}` leaves out a namespace; leave out single repos, such as `!acme/model`"
                ));
            }
            (Err(error), _) => faults.push(format!(
                "{error}; REPOS takes names such as `acme/model`, `datasets/acme/corpus` and `acme/*`"
            )),
        }
    }
    for repo in left_out {
        let is_named = |pattern: &RepoPattern| matches!(pattern, RepoPattern::One(one) if *one == repo);
        if patterns.iter().any(is_named) || !patterns.iter().any(|pattern| pattern.covers(&repo)) {
            faults.push(format!(
                "`!{repo}` leaves out what no pattern such as `acme/*` means, or what is named outright"
            ));
        }
        for pattern in &mut patterns {
            pattern.leave_out(&repo);
        }
    }
    match (faults.is_empty(), patterns.is_empty()) {
        (false, _) => Err(faults),
        (true, true) => Err(vec![format!("`{text}` names no repo; leave it out to look after any")]),
        (true, false) => Ok(patterns),
    }
}

fn dry_run(text: &str) -> Result<bool, Vec<String>> {
    text.parse().map_err(|_| vec![format!("`{text}` is neither `true` nor `false`")])
}

fn concurrency(text: &str) -> Result<usize, Vec<String>> {
    let number = text.parse().ok().filter(|number| (1..=64).contains(number));
    number.ok_or_else(|| vec![format!("`{text}` is not a whole number from 1 to 64")])
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str =
        r#"{"rules": [{"name": "staff", "then": "accept", "if": "user.domain == 'acme.com'"}]}"#;

    /// The configuration with the required variables, and these besides or instead.
    fn read(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let required = [("HF_TOKEN", "hf_tok"), ("WEBHOOK_SECRET", "sesame"), ("APPROVAL_POLICY", POLICY)];
        Config::from_lookup(|name| {
            let found = variables.iter().chain(&required).find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned()).ok_or(VarError::NotPresent)
        })
    }

    fn fault(variable: &str, value: &str) -> String {
        read(&[(variable, value)]).expect_err(variable).to_string()
    }

    #[test]
    fn what_is_not_set_has_its_documented_default() {
        let config = read(&[]).expect("a configuration");
        assert_eq!(config.endpoint.as_str(), "https://huggingface.co/");
        assert_eq!((config.repos, config.dry_run, config.concurrency), (None, false, 8));
    }

    #[test]
    fn what_is_set_is_taken_without_the_white_space_around_it() {
        let config = read(&[
            ("HF_TOKEN", " hf_tok\n"),
            ("HF_ENDPOINT", " http://127.0.0.1:8080/ "),
            ("WEBHOOK_SECRET", "\tnew sesame\n"),
            ("WEBHOOK_SECRET_PREVIOUS", " old sesame "),
            ("REPOS", " acme/model, datasets/acme/corpus\n  acme/*,"),
            ("DRY_RUN", " true "),
            ("CONCURRENCY", " 64 "),
            ("RUST_LOG", " warn, hub_doorman=DEBUG,"),
        ])
        .expect("a configuration");
        let given = |source: &Source| match source {
            Source::Given(secret) => secret.expose().to_owned(),
            Source::Stored(stored) => panic!("{stored:?} is not given"),
        };
        let Sources { token, webhook, webhook_previous } = &config.secrets;
        let webhook = webhook.as_ref().expect("required");
        let previous = webhook_previous.as_ref().map(given);
        assert_eq!(
            (&*given(token), &*given(webhook), previous.as_deref()),
            ("hf_tok", "new sesame", Some("old sesame"))
        );
        assert_eq!(config.endpoint.as_str(), "http://127.0.0.1:8080/");
        let patterns: Vec<RepoPattern> =
            ["acme/model", "datasets/acme/corpus", "acme/*"].iter().map(|p| p.parse().expect(p)).collect();
        assert_eq!((config.repos, config.dry_run, config.concurrency), (Some(patterns), true, 64));
    }

    #[test]
    fn the_door_is_never_open_by_default() {
        for variable in ["HF_TOKEN", "WEBHOOK_SECRET", "APPROVAL_POLICY"] {
            for empty in ["", " ", "\n"] {
                let message = fault(variable, empty);
                assert!(message.contains(&format!("- {variable}: not set; it must be ")), "{message}");
            }
        }
        let config = read(&[("WEBHOOK_SECRET_PREVIOUS", " ")]).expect("an empty previous secret is none");
        assert!(config.secrets.webhook_previous.is_none());
    }

    #[test]
    fn all_faults_are_told_at_once_and_no_secret_with_them() {
        let variables = [
            ("HF_TOKEN", "hf_t\u{f6}ken"),
            ("HF_ENDPOINT", "ftp://example.org"),
            ("WEBHOOK_SECRET", "sesame\u{0}s"),
            ("WEBHOOK_SECRET_PREVIOUS", "s\u{e9}same"),
            (
                "APPROVAL_POLICY",
                r#"{"rules": [{"name": "a", "then": "accept", "if": "usr.pro"}, {"name": "b"}]}"#,
            ),
            ("REPOS", "acme/model, spaces/acme/app, a--b"),
            ("DRY_RUN", "yes"),
            ("CONCURRENCY", "0"),
        ];
        let message = read(&variables).expect_err("faults").to_string();
        let about: Vec<&str> =
            message.lines().skip(1).map(|line| line[2..].split(':').next().unwrap_or_default()).collect();
        let expected = [
            "HF_TOKEN",
            "HF_ENDPOINT",
            "WEBHOOK_SECRET",
            "WEBHOOK_SECRET_PREVIOUS",
            "APPROVAL_POLICY",
            "APPROVAL_POLICY",
            "REPOS",
            "REPOS",
            "DRY_RUN",
            "CONCURRENCY",
        ];
        assert_eq!(about, expected, "{message}");
        assert!(message.starts_with("the configuration has 10 faults:\n"), "{message}");
        assert!(!message.contains("hf_t") && !message.contains("same"), "{message}");
    }

    #[test]
    fn a_fault_says_what_was_there_and_what_may_be() {
        let cases = [
            (
                "HF_ENDPOINT",
                "",
                "`` is not a URL (relative URL without a base); it must be a URL such as https://hug",
            ),
            ("HF_ENDPOINT", "huggingface.co", "`huggingface.co` is not a URL"),
            ("HF_ENDPOINT", "https://huggingface.co?x=1", "has a query or a fragment"),
            ("REPOS", ",", "`,` names no repo; leave it out to look after any"),
            ("REPOS", "acme/mo del?", "`del?` is not the name of a repo"),
            ("DRY_RUN", "", "`` is neither `true` nor `false`"),
            ("DRY_RUN", "True", "`True` is neither `true` nor `false`"),
            ("CONCURRENCY", "", "`` is not a whole number from 1 to 64"),
            ("CONCURRENCY", "65", "`65` is not a whole number from 1 to 64"),
            ("CONCURRENCY", "-1", "`-1` is not a whole number from 1 to 64"),
            ("RUST_LOG", "inof", "`inof` is no level"),
            ("RUST_LOG", "info,reqwest=verbose", "`verbose` is no level"),
        ];
        for (variable, value, expected) in cases {
            let message = fault(variable, value);
            assert!(message.contains(&format!("1 fault:\n- {variable}: ")), "{message}");
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn what_may_be_a_secret_in_the_endpoint_is_not_shown() {
        let endpoints = [
            "https://me:hunter2@hub",
            "ftp://me:hunter2@hub",
            "http://me:hunter2@hub:99999/",
            "me:hunter2@hub",
            "https://hub/?token=hunter2",
            "https://hub/#hunter2",
        ];
        for endpoint in endpoints {
            let message = fault("HF_ENDPOINT", endpoint);
            assert!(
                message.contains("HF_ENDPOINT: what it holds ") && !message.contains("hunter2"),
                "{message}"
            );
        }
    }

    #[test]
    fn concurrency_is_lowered_to_fit_the_memory_of_the_function() {
        for (memory, wanted, expected) in
            [("128", "64", 8), ("128", "4", 4), ("512", "64", 32), ("8", "64", 1)]
        {
            let variables = [("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", memory), ("CONCURRENCY", wanted)];
            assert_eq!(read(&variables).expect("a configuration").concurrency, expected, "{memory} {wanted}");
        }
    }

    #[test]
    fn token_is_not_sent_without_encryption() {
        for endpoint in ["http://huggingface.co", "http://10.0.0.1:8080", "http://localhost.evil.com"] {
            assert!(
                fault("HF_ENDPOINT", endpoint).contains("without encryption; write https://"),
                "{endpoint}"
            );
        }
        for endpoint in
            ["http://localhost:8080", "http://127.0.0.2", "http://[::1]:80", "https://hub.acme.com"]
        {
            assert!(read(&[("HF_ENDPOINT", endpoint)]).is_ok(), "{endpoint}");
        }
    }

    #[test]
    fn repos_of_a_namespace_can_be_left_out() {
        let repos =
            read(&[("REPOS", "acme/* !acme/open")]).expect("a configuration").repos.expect("patterns");
        let [pattern] = &*repos else { panic!("{repos:?}") };
        let covers = |name: &str| {
            pattern.covers(&crate::model::Repo::new(crate::model::RepoType::Model, name).expect("a name"))
        };
        assert!(covers("acme/model") && !covers("acme/Open"));
        for (repos, expected) in [
            ("acme/* !acme/*", "leave out single repos"),
            ("acme/model !acme/model", "named outright"),
            ("acme/* !other/model", "no pattern"),
            ("!acme/model", "no pattern such as"),
        ] {
            assert!(fault("REPOS", repos).contains(expected), "{repos}: {}", fault("REPOS", repos));
        }
    }

    #[test]
    fn what_is_not_utf_8_is_a_fault_and_not_mended() {
        let not_utf_8 = |_: &str| Err(VarError::NotUnicode("x".into()));
        let message = Config::from_lookup(not_utf_8).expect_err("faults").to_string();
        assert!(
            message.contains("10 faults") && message.contains("APPROVAL_POLICY: it is not UTF-8"),
            "{message}"
        );
    }

    #[test]
    fn a_secret_may_be_an_arn_and_is_not_read_yet() {
        let arn = "arn:aws:ssm:eu-central-1:123456789012:parameter/doorman/token";
        let credentials = [("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "hunter2")];
        for variable in ["HF_TOKEN", "WEBHOOK_SECRET", "WEBHOOK_SECRET_PREVIOUS"] {
            let config = read(&[credentials[0], credentials[1], (variable, arn)]).expect(variable);
            let Sources { token, webhook, webhook_previous } = config.secrets;
            let all = [Some(token), webhook, webhook_previous];
            let stored = all.iter().flatten().filter(|source| matches!(source, Source::Stored(_))).count();
            assert_eq!(stored, 1, "{variable}");
            let message = fault(variable, arn);
            assert!(
                message.contains(&format!("- {variable}: to read what its ARN names takes AWS_")),
                "{message}"
            );
            let message = fault(variable, "arn:aws:s3:::hunter2");
            assert!(message.contains(variable) && !message.contains("hunter2"), "{message}");
        }
    }

    #[test]
    fn debug_output_shows_no_secret() {
        let debug = format!("{:?}", read(&[]).expect("a configuration"));
        assert!(!debug.contains("hf_tok") && !debug.contains("sesame"), "{debug}");
    }
}
