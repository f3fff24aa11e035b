//! The environment of a command: the variables that the function reads, and the token that `hf auth login` saves.

use std::collections::HashMap;
use std::env::{self, VarError};
use std::error::Error;
use std::fs;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use hub_doorman::config::{ConfigError, Variables, read_from};
use hub_doorman::http;
use hub_doorman::hub::{Connections, Hub};
use hub_doorman::model::RepoPattern;
use hub_doorman::policy::Policy;
use hub_doorman::secrets::{self, Keyring, Sources};
use hub_doorman::source::{HubFile, Place, Source};
use reqwest::{Client, Url};
use tokio::time::Instant;

use crate::screen::print_message;

/// Some editors write this character at the beginning of a file.
pub const BYTE_ORDER_MARK: char = '\u{feff}';

/// A command has no deadline of its own, because the person who started it may stop it. This stands for "no deadline".
const MAX_RUN: Duration = Duration::from_secs(24 * 60 * 60);

/// A longer wait for the Hub is reported.
const MAX_SILENT_WAIT: Duration = Duration::from_secs(2);

/// The deadline of a command that begins now.
pub fn deadline() -> Instant {
    Instant::now() + MAX_RUN
}

/// The variables of a deployed function, if a command is about them instead of those of the shell.
static DEPLOYED: OnceLock<HashMap<String, String>> = OnceLock::new();

/// Replaces all variables by those of a deployed function, for the rest of the process.
pub fn use_deployed(variables: HashMap<String, String>) {
    // A command does this at most once, before it reads a variable.
    let _ = DEPLOYED.set(variables);
}

/// Whether the variables are those of a deployed function.
pub fn is_deployed() -> bool {
    DEPLOYED.get().is_some()
}

/// The value of a variable: that of the deployed function, or of the shell.
pub fn variable(name: &str) -> Result<String, VarError> {
    match DEPLOYED.get() {
        Some(variables) => variables.get(name).cloned().ok_or(VarError::NotPresent),
        None => env::var(name),
    }
}

/// Looks up the value of a variable. If `HF_TOKEN` is not set or blank, the value is the saved token.
pub type Lookup = fn(&str) -> Result<String, VarError>;

/// The variables of the environment.
pub fn variables() -> Variables<Lookup> {
    Variables::new(|name| match variable(name) {
        value if is_deployed() => value,
        Ok(text) if name == "HF_TOKEN" && text.trim().is_empty() => saved_token(),
        Err(VarError::NotPresent) if name == "HF_TOKEN" => saved_token(),
        value => value,
    })
}

fn saved_token() -> Result<String, VarError> {
    let directory = |name: &str| env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from);
    let path = token_file(directory).ok_or(VarError::NotPresent)?;
    fs::read_to_string(&path).map_err(|error| {
        if error.kind() != ErrorKind::NotFound || directory("HF_TOKEN_PATH").is_some() {
            print_message(&format!("doorman: the token in {} cannot be read: {error}", path.display()));
        }
        VarError::NotPresent
    })
}

/// The file in which `huggingface_hub` saves the token.
fn token_file(directory: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let cache = || directory("XDG_CACHE_HOME").or_else(|| Some(directory("HOME")?.join(".cache")));
    let home = || directory("HF_HOME").or_else(|| Some(cache()?.join("huggingface")));
    let path = directory("HF_TOKEN_PATH").or_else(|| Some(home()?.join("token")))?;
    // A shell expands `~` only where it is not quoted. The Hub's own tools always expand it.
    match path.strip_prefix("~") {
        Ok(rest) => Some(directory("HOME")?.join(rest)),
        Err(_) => Some(path),
    }
}

/// Connects to the Hub, for commands that need no policy.
pub async fn hub() -> Result<Arc<Hub>, ConfigError> {
    let variables = variables();
    let (token, endpoint, concurrency) = (variables.token(), variables.endpoint(), variables.concurrency());
    let (token, endpoint, concurrency) = variables.all(|| Ok((token?, endpoint?, concurrency?)))?;
    connect(token, endpoint, concurrency).await
}

/// The value of `DRY_RUN`.
pub fn is_dry_run() -> Result<bool, ConfigError> {
    let variables = variables();
    let dry_run = variables.dry_run();
    variables.all(|| dry_run)
}

/// The environment of a command that decides by a policy.
pub struct Setup {
    /// The Hub.
    pub hub: Arc<Hub>,
    /// The policy, from its place or from `APPROVAL_POLICY`.
    pub policy: Arc<Policy>,
    /// The file on the Hub that has the policy, if it is kept there.
    pub policy_file: Option<HubFile>,
    /// `REPOS`.
    pub repos: Option<Vec<RepoPattern>>,
    /// `DRY_RUN`.
    pub dry_run: bool,
}

impl Setup {
    /// Removes the limits of the policy, because a person has agreed to more.
    pub fn lift_limits(&mut self) {
        if let Some(policy) = Arc::get_mut(&mut self.policy) {
            policy.lift_limits();
        }
    }
}

/// Reads the environment, and reports all its faults at once. If `policy` names a place, `APPROVAL_POLICY` is ignored.
pub async fn setup(policy: Option<&str>) -> Result<Setup, Box<dyn Error>> {
    let variables = variables();
    let place = match policy {
        Some(text) => Ok(place(text)?),
        None => variables.policy(&read_from(Path::new("."))),
    };
    let (token, endpoint, concurrency) = (variables.token(), variables.endpoint(), variables.concurrency());
    let (repos, dry_run) = (variables.repos(), variables.dry_run());
    let (token, endpoint, concurrency, place, repos, dry_run) =
        variables.all(|| Ok((token?, endpoint?, concurrency?, place?, repos?, dry_run?)))?;
    let hub = connect(token, endpoint, concurrency).await?;
    let policy_file = place.on_hub().cloned();
    let policy = read_place(place, &hub).await?;
    Ok(Setup { hub, policy, policy_file, repos, dry_run })
}

/// The place of a policy that an argument names: a file, or any place that `APPROVAL_POLICY` can name.
pub fn place(text: &str) -> Result<Place, ConfigError> {
    if !Place::is_remote(text) {
        let path = Path::new(text.strip_prefix("file:").unwrap_or(text));
        return read_policy(path).map(|policy| Place::Given(Arc::new(policy)));
    }
    variables().place(text, &read_from(Path::new("."))).map_err(ConfigError)
}

/// The file on the Hub in which `APPROVAL_POLICY` keeps the policy, if it names one.
pub fn policy_on_hub() -> Option<HubFile> {
    let text = variable("APPROVAL_POLICY").ok().filter(|text| Place::is_remote(text))?;
    place(&text).ok()?.on_hub().cloned()
}

/// Reads the policy from its place.
pub async fn read_place(place: Place, hub: &Hub) -> Result<Arc<Policy>, ConfigError> {
    Source::new(place, http()?).read(hub, deadline()).await.map_err(ConfigError)
}

/// Reads a policy from a file, and its lists from files in the same folder. Each fault begins with the path.
pub fn read_policy(path: &Path) -> Result<Policy, ConfigError> {
    let read_file = read_from(path.parent().unwrap_or(path));
    let policy = read(path, |text| Policy::parse_with_files(text, &read_file));
    policy.map_err(ConfigError)
}

/// Reads and parses a file. Each fault begins with the path.
pub fn read<T>(path: &Path, parse: impl FnOnce(&str) -> Result<T, Vec<String>>) -> Result<T, Vec<String>> {
    let text = fs::read_to_string(path).map_err(|error| vec![format!("cannot be read: {error}")]);
    let value = text.and_then(|text| parse(text.trim_start_matches(BYTE_ORDER_MARK)));
    let with_path = |fault: String| format!("{}: {fault}", path.display());
    value.map_err(|faults| faults.into_iter().map(with_path).collect())
}

/// Connects to the Hub at this endpoint. If the token is kept by AWS, it is read there first.
pub async fn connect(
    token: secrets::Source,
    endpoint: Url,
    concurrency: usize,
) -> Result<Arc<Hub>, ConfigError> {
    let http = http()?;
    let sources = Sources { token, webhook: None, webhook_previous: None, mail: None };
    let keyring = Keyring::read(sources, &http).await.map_err(ConfigError)?;
    let hub = Arc::new(Hub::new(Connections::new(http), endpoint, Arc::new(keyring), concurrency));
    tokio::spawn(report_waits(Arc::downgrade(&hub)));
    Ok(hub)
}

/// Reports each wait for the Hub's rate limit once, so that nobody thinks that the command hangs.
async fn report_waits(hub: Weak<Hub>) {
    let mut is_reported = false;
    while let Some(wait) = hub.upgrade().map(|hub| hub.wait()) {
        if let Some(wait) = wait.filter(|wait| !is_reported && *wait > MAX_SILENT_WAIT) {
            // This clears a progress bar, which is drawn again on the next line.
            if io::stderr().is_terminal() {
                let _ = write!(io::stderr(), "\r\x1b[2K");
            }
            let seconds = wait.as_secs() + 1;
            print_message(&format!(
                "doorman: the Hub takes no calls with this HF_TOKEN for another {seconds} s; waiting"
            ));
        }
        is_reported = wait.is_some();
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
    fn token_file_is_that_of_the_hubs_own_tools() {
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
