//! What a command takes from the environment: the variables of the function, and the token where `hf auth login` puts it.

use std::env::{self, VarError};
use std::error::Error;
use std::fs;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use hub_doorman::config::{ConfigError, Variables};
use hub_doorman::http;
use hub_doorman::hub::{Connections, Hub};
use hub_doorman::keyring::{Keyring, Source, Sources};
use hub_doorman::model::RepoPattern;
use hub_doorman::policy::Policy;
use reqwest::{Client, Url};
use tokio::time::Instant;

use crate::screen::complain;

/// What some editors put before a text.
pub const BYTE_ORDER_MARK: char = '\u{feff}';

/// Whoever started a command may stop it: nothing else limits how long it waits for the Hub.
const LONGEST_RUN: Duration = Duration::from_secs(24 * 60 * 60);

/// What is wrong with a command or its environment, before anything was done.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Fault(pub String);

/// How long nothing may happen without a word.
const LONGEST_SILENCE: Duration = Duration::from_secs(2);

/// When a command has to end that begins now.
pub fn deadline() -> Instant {
    Instant::now() + LONGEST_RUN
}

/// Gives the value of a variable; for the token that is what `hf auth login` has saved if the variable says nothing.
pub type Lookup = fn(&str) -> Result<String, VarError>;

/// The variables.
pub fn variables() -> Variables<Lookup> {
    Variables::new(|name| match env::var(name) {
        Ok(text) if name == "HF_TOKEN" && text.trim().is_empty() => saved_token(),
        Err(VarError::NotPresent) if name == "HF_TOKEN" => saved_token(),
        value => value,
    })
}

fn saved_token() -> Result<String, VarError> {
    let directory = |name: &str| env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from);
    let path = token_file(directory).ok_or(VarError::NotPresent)?;
    fs::read_to_string(&path).map_err(|error| {
        if error.kind() != ErrorKind::NotFound {
            complain(&format!("doorman: the token in {} cannot be read: {error}", path.display()));
        }
        VarError::NotPresent
    })
}

/// Where `huggingface_hub` keeps the token.
fn token_file(directory: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let cache = || directory("XDG_CACHE_HOME").or_else(|| Some(directory("HOME")?.join(".cache")));
    let home = || directory("HF_HOME").or_else(|| Some(cache()?.join("huggingface")));
    let path = directory("HF_TOKEN_PATH").or_else(|| Some(home()?.join("token")))?;
    // A shell does this where it is not quoted, and the Hub's own tools do it always.
    match path.strip_prefix("~") {
        Ok(rest) => Some(directory("HOME")?.join(rest)),
        Err(_) => Some(path),
    }
}

/// The Hub, for commands that need nothing else.
pub async fn hub() -> Result<Arc<Hub>, ConfigError> {
    let variables = variables();
    let (token, endpoint, concurrency) = (variables.token(), variables.endpoint(), variables.concurrency());
    let (token, endpoint, concurrency) = variables.all(|| Ok((token?, endpoint?, concurrency?)))?;
    connect(token, endpoint, concurrency).await
}

/// `DRY_RUN`.
pub fn is_dry_run() -> Result<bool, ConfigError> {
    let variables = variables();
    let dry_run = variables.dry_run();
    variables.all(|| dry_run)
}

/// The Hub, and what the doorman's policy is to be let at.
pub struct Doorman {
    /// The Hub.
    pub hub: Arc<Hub>,
    /// Who gets in.
    pub policy: Policy,
    /// `REPOS`.
    pub repos: Option<Vec<RepoPattern>>,
    /// `DRY_RUN`.
    pub dry_run: bool,
}

/// What the function would work with; the policy may be in a file instead.
pub async fn doorman(policy_file: Option<&Path>) -> Result<Doorman, Box<dyn Error>> {
    let variables = variables();
    let policy = match policy_file {
        Some(path) => Ok(read_policy(path)?),
        None => variables.policy(),
    };
    let (token, endpoint, concurrency) = (variables.token(), variables.endpoint(), variables.concurrency());
    let (repos, dry_run) = (variables.repos(), variables.dry_run());
    let (token, endpoint, concurrency, policy, repos, dry_run) =
        variables.all(|| Ok((token?, endpoint?, concurrency?, policy?, repos?, dry_run?)))?;
    let hub = connect(token, endpoint, concurrency).await?;
    Ok(Doorman { hub, policy, repos, dry_run })
}

/// Reads a policy from a file; what is wrong with it is told with the name of the file.
pub fn read_policy(path: &Path) -> Result<Policy, ConfigError> {
    let named = |fault: String| format!("{}: {fault}", path.display());
    let json = fs::read_to_string(path).map_err(|error| vec![error.to_string()]);
    let policy = json.and_then(|json| Policy::parse(json.trim_start_matches(BYTE_ORDER_MARK)));
    policy.map_err(|faults| ConfigError(faults.into_iter().map(named).collect()))
}

/// The Hub at this endpoint. A token that AWS keeps is read.
pub async fn connect(token: Source, endpoint: Url, concurrency: usize) -> Result<Arc<Hub>, ConfigError> {
    let http = http()?;
    let sources = Sources { token, webhook: None, webhook_previous: None };
    let keyring = Keyring::read(sources, &http).await.map_err(ConfigError)?;
    let hub = Arc::new(Hub::new(Connections::new(http), endpoint, Arc::new(keyring), concurrency));
    tokio::spawn(tell_waits(Arc::downgrade(&hub)));
    Ok(hub)
}

/// Says once in each window of the Hub's limit that calls wait for the next one, or a person might think that nothing happens.
async fn tell_waits(hub: Weak<Hub>) {
    let mut is_told = false;
    while let Some(wait) = hub.upgrade().map(|hub| hub.wait()) {
        if let Some(wait) = wait.filter(|wait| !is_told && *wait > LONGEST_SILENCE) {
            // A progress bar may be there, which is drawn again below.
            if io::stderr().is_terminal() {
                let _ = write!(io::stderr(), "\r\x1b[2K");
            }
            let seconds = wait.as_secs() + 1;
            complain(&format!(
                "doorman: the Hub wants no call with this HF_TOKEN for another {seconds} s; waiting"
            ));
        }
        is_told = wait.is_some();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// The HTTP client.
pub fn http() -> Result<Client, ConfigError> {
    http::client().map_err(|error| ConfigError(vec![format!("HTTPS cannot be set up: {error}")]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_looked_for_where_the_hubs_own_tools_put_it() {
        let cases = [
            (&[("HOME", "/home/ada")][..], Some("/home/ada/.cache/huggingface/token")),
            (&[("HOME", "/home/ada"), ("XDG_CACHE_HOME", "/cache")], Some("/cache/huggingface/token")),
            (&[("XDG_CACHE_HOME", "/cache"), ("HF_HOME", "/hf")], Some("/hf/token")),
            (&[("HF_HOME", "/hf"), ("HF_TOKEN_PATH", "/secret")], Some("/secret")),
            (&[("HOME", "/home/ada"), ("HF_TOKEN_PATH", "~/secret")], Some("/home/ada/secret")),
            (&[("HOME", "/home/ada"), ("HF_HOME", "~/hf")], Some("/home/ada/hf/token")),
            (&[], None),
        ];
        for (variables, expected) in cases {
            let directory = |name: &str| {
                let found = variables.iter().find(|(variable, _)| *variable == name);
                found.map(|(_, path)| PathBuf::from(path))
            };
            assert_eq!(token_file(directory), expected.map(PathBuf::from), "{variables:?}");
        }
    }
}
