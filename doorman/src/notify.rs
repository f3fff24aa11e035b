//! `notify`: sets where the Hub mails about new requests.

use std::error::Error;
use std::io::Write;
use std::sync::Arc;

use futures_util::future::join_all;
use hub_doorman::config::ConfigError;
use hub_doorman::hub::{Connections, Hub, HubError, NotificationMode};
use hub_doorman::model::{Repo, RepoPattern, RepoType};
use hub_doorman::secrets::{Keyring, Sources};

use crate::arguments::{Notify, NotifyRepos, values};
use crate::environment::{self, deadline};
use crate::exit::{ExitStatus, UsageError};
use crate::screen::{Cell, Look, Screen, count, print_message};

/// The notifications to set, and the repos to set them in.
struct Plan {
    hub: Hub,
    repos: Vec<Repo>,
    mode: NotificationMode,
    address: String,
}

/// Carries out one of the commands.
pub async fn run(command: &Notify, screen: &mut Screen) -> Result<ExitStatus, Box<dyn Error>> {
    let (Notify::On { repos: NotifyRepos { yes, .. }, .. }
    | Notify::Off { repos: NotifyRepos { yes, .. }, .. }) = command;
    let plan = plan(command).await?;
    if environment::is_dry_run()? {
        screen.write_all(plan.describe().as_bytes())?;
        print_message("DRY_RUN is true, so nothing was changed.");
        return Ok(ExitStatus::Complete);
    }
    if !yes && !screen.ask(|terminal| terminal.write_all(plan.describe().as_bytes()))? {
        print_message("Nothing was changed. Use --yes to skip the question.");
        return Ok(ExitStatus::Failed);
    }
    plan.carry_out(screen).await
}

async fn plan(command: &Notify) -> Result<Plan, Box<dyn Error>> {
    let variables = environment::variables();
    let (token, endpoint, concurrency) = (variables.token(), variables.endpoint(), variables.concurrency());
    let (mail, covered) = (variables.mail_secret(), variables.repos());
    let (token, endpoint, concurrency, mail, covered) =
        variables.all(|| Ok((token?, endpoint?, concurrency?, mail?, covered?)))?;
    let (Notify::On { repos: NotifyRepos { repos, .. }, .. }
    | Notify::Off { repos: NotifyRepos { repos, .. }, .. }) = command;
    let patterns = if repos.is_empty() { covered.unwrap_or_default() } else { repos.clone() };
    if patterns.is_empty() {
        let text = "REPOS is not set; set it, or name repos, such as `acme/model`";
        return Err(UsageError(text.to_owned()).into());
    }
    let http = environment::http()?;
    let sources = Sources { token, webhook: None, webhook_previous: None, mail };
    let keyring = Arc::new(Keyring::read(sources, &http).await.map_err(ConfigError)?);
    let (mode, address) = match command {
        Notify::On { address: Some(address), .. } => (NotificationMode::RealTime, address.clone()),
        Notify::On { domain, .. } => (NotificationMode::RealTime, own_address(&keyring, domain.as_deref())?),
        Notify::Off { email, mode, .. } => ((*mode).into(), email.clone()),
    };
    let hub = Hub::new(Connections::new(http), endpoint, keyring, concurrency);
    let repos = find(&hub, &patterns).await?;
    Ok(Plan { hub, repos, mode, address })
}

/// The address of the doorman: the secret at this domain.
fn own_address(keyring: &Keyring, domain: Option<&str>) -> Result<String, UsageError> {
    let secret = keyring.mail_secret().ok_or_else(|| {
        UsageError("MAIL_SECRET: not set; set it to the secret of the address, or give --address".to_owned())
    })?;
    let address = format!("{}@{}", secret.expose(), domain.unwrap_or_default());
    values::mail_address(&address).map_err(|fault| UsageError(format!("MAIL_SECRET and --domain: {fault}")))
}

/// The repos that the patterns match, in the order of their names.
async fn find(hub: &Hub, patterns: &[RepoPattern]) -> Result<Vec<Repo>, Box<dyn Error>> {
    let mut repos = Vec::new();
    for pattern in patterns {
        let (owner, only) = match pattern {
            RepoPattern::One(repo) => {
                repos.push(repo.clone());
                continue;
            }
            RepoPattern::Namespace { owner, only, .. } => (owner, only),
        };
        let types = only.map_or(vec![RepoType::Model, RepoType::Dataset], |only| vec![only]);
        let search = async |one: &RepoType| hub.gated_repos(owner, *one, deadline(), &mut |_| true).await;
        let found = join_all(types.iter().map(search)).await;
        let before = repos.len();
        for found in found {
            if let Some(error) = found.error {
                return Err(error.into());
            }
            repos.extend(found.repos.into_iter().filter(|repo| pattern.covers(repo)));
        }
        if repos.len() == before {
            print_message(&format!(
                "doorman: {pattern}: no gated repo found; is it misspelt, or hidden from HF_TOKEN?"
            ));
        }
    }
    repos.sort();
    repos.dedup();
    Ok(repos)
}

impl Plan {
    /// Says what will happen. Only the domain of the address is shown, because the part before it may be the secret.
    fn describe(&self) -> String {
        let Self { repos, mode, .. } = self;
        let names = repos.iter().map(|repo| format!("  {repo}")).collect::<Vec<_>>().join("\n");
        format!(
            "The Hub will mail {} in the mode `{}` about the requests of {}:\n{names}\n\
             This replaces the mode and the address that are set now. The Hub tells them to nobody, so doorman cannot restore them.\n",
            self.domain(),
            mode.as_str(),
            count(repos.len() as u64, "repo"),
        )
    }

    fn domain(&self) -> String {
        format!("…@{}", self.address.rsplit_once('@').map_or("", |(_, domain)| domain))
    }

    /// Sets the repos one by one. A failure does not prevent the others.
    async fn carry_out(&self, screen: &mut Screen) -> Result<ExitStatus, Box<dyn Error>> {
        let Self { hub, repos, mode, address } = self;
        let account = hub.account(deadline());
        let mut status = ExitStatus::Complete;
        for repo in repos {
            match account.set_notifications(repo, *mode, address).await {
                Ok(()) => {
                    let cells = [
                        Cell::plain(repo.to_string()),
                        Cell::new(mode.as_str(), Look::Good),
                        Cell::plain(self.domain()),
                    ];
                    screen.table(&[], [cells.into()])?;
                }
                Err(error) => {
                    print_message(&format!("doorman: {repo}: {error}{}", hint(&error)));
                    status = ExitStatus::Failed;
                }
            }
        }
        Ok(status)
    }
}

fn hint(error: &HubError) -> &'static str {
    match error.status() {
        Some(403) => "; the token needs write access to the settings of the repo",
        _ if error.may_be_done => "; it may be set: run the command again",
        _ => "",
    }
}
