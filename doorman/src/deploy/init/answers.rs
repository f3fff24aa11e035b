//! The checks of the answers: against the Hub, and against each other.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use hub_doorman::config::ConfigError;
use hub_doorman::hub::{Hub, RepoInfo, WhoAmI};
use hub_doorman::model::Repo;
use hub_doorman::policy::Policy;
use hub_doorman::secrets::Source;

use crate::aws::Aws;
use crate::check::findings::{Finding, Findings, Level};
use crate::check::policy::{check_labels, check_repos, contents};
use crate::check::policy_repo::refuse_of_others;
use crate::check::repos;
use crate::deploy::deployment::refuse_read_only;
use crate::deploy::policy::{FunctionPolicy, inline, push_place};
use crate::deploy::settings::{Settings, TOKEN_OF_ENVIRONMENT, check};
use crate::environment::{self, deadline};
use crate::exit::UsageError;
use crate::policy::push::LocalPolicy;

/// What the check of an answer has found, for a person, or why the answer is wrong.
pub type Found = Result<String, Box<dyn Error>>;

/// What the checks of the answers so far have found out.
pub struct Checks {
    /// The folder of the settings.
    folder: PathBuf,
    hub: Option<Arc<Hub>>,
    /// The account of the token.
    owner: Option<WhoAmI>,
    /// The repos that the answers name, as far as the Hub has them.
    repos: Vec<(Repo, RepoInfo)>,
    /// Whether the policy has to be kept on the Hub.
    pub has_to_push: bool,
}

impl Checks {
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, hub: None, owner: None, repos: Vec::new(), has_to_push: false }
    }

    fn hub(&self) -> Result<Arc<Hub>, &'static str> {
        self.hub.clone().ok_or("the token is not known")
    }

    /// Checks that there is a token that may write. Like each check, it says what it has found.
    pub async fn token(&mut self, answer: &str, settings: &mut Settings) -> Found {
        check::token(answer).map_err(|fault| UsageError(format!("token: {fault}")))?;
        let hub = if answer == TOKEN_OF_ENVIRONMENT {
            environment::hub().await?
        } else {
            let token = Source::Given(Aws::new(answer.split(':').nth(3)).read_stored(answer)?);
            let variables = environment::variables();
            let (endpoint, concurrency) = (variables.endpoint(), variables.concurrency());
            let (endpoint, concurrency) = variables.all(|| Ok((endpoint?, concurrency?)))?;
            environment::connect(token, endpoint, concurrency).await?
        };
        let owner = hub.account(deadline()).who_am_i().await.map_err(|error| format!("HF_TOKEN: {error}"))?;
        refuse_read_only(&owner)?;
        answer.clone_into(&mut settings.token);
        self.hub = Some(hub);
        let found = match owner.role.as_deref() {
            Some("write") => format!("a token of {}, which may write", owner.name),
            _ => format!("a token of {}", owner.name),
        };
        self.owner = Some(owner);
        Ok(found)
    }

    /// Checks that the repos exist and are gated, and that the token can read their requests.
    pub async fn repos(&mut self, answer: &str, settings: &mut Settings) -> Found {
        let names = answer.split(|c: char| c == ',' || c.is_whitespace()).filter(|name| !name.is_empty());
        let new = Settings { repos: names.map(str::to_owned).collect(), ..settings.clone() };
        if new.repos.is_empty() {
            return Err(UsageError(
                "name at least one repo, such as `acme/*`; without repos there are no sweeps".to_owned(),
            )
            .into());
        }
        let patterns = new.patterns().map_err(ConfigError)?;
        let mut findings = Findings::default();
        self.repos = repos::check(&*self.hub()?, &patterns, &mut findings).await;
        findings.refuse_failed()?;
        *settings = new;
        let passed = findings.iter().filter(|finding| finding.level == Level::Passed);
        let lines: Vec<String> =
            passed.map(|Finding { subject, text, .. }| format!("{subject}: {text}")).collect();
        Ok(lines.join("\n"))
    }

    /// Checks that the policy has no fault and passes its cases, and that the forms of the repos ask what its rules read.
    pub async fn policy(&mut self, answer: &str, settings: &mut Settings) -> Found {
        let new = Settings { policy: answer.to_owned(), ..settings.clone() };
        let hub = self.hub()?;
        self.has_to_push = false;
        let found = if let Some(path) = new.policy_file(&self.folder) {
            let local = LocalPolicy::read(&path)?;
            if !local.passes_cases(None)? {
                return Err("the policy does not pass its cases".into());
            }
            self.has_to_push = inline(&local, &new.repos()).is_none();
            self.compare(local.policy())?
        } else if answer.starts_with("arn:") {
            FunctionPolicy::read_remote(answer, &Aws::new(answer.split(':').nth(3)), &hub).await?;
            "a policy without faults".to_owned()
        } else {
            self.compare(&*environment::read_place(environment::place(answer)?, &hub).await?)?
        };
        *settings = new;
        Ok(found)
    }

    /// Compares a policy with the repos and their forms.
    fn compare(&self, policy: &Policy) -> Found {
        let mut findings = Findings::default();
        check_labels(policy, &self.repos, &mut findings);
        check_repos(policy, &self.repos, &[], &mut findings);
        findings.refuse_failed()?;
        Ok(contents(policy))
    }

    /// Checks that the repo for the policy is private, or can be made.
    pub async fn push_to(&mut self, answer: &str, settings: &mut Settings) -> Found {
        let place = push_place(answer)?;
        if let Some(owner) = &self.owner {
            let fault = refuse_of_others(owner, place.repo.owner().unwrap_or_default());
            fault.map_err(|fault| UsageError(format!("{}: {fault}", place.repo)))?;
        }
        let found = match self.hub()?.commits(deadline()).head(&place.repo, &place.revision).await {
            Ok(head) if !head.is_private => {
                let text = format!(
                    "{}: it is public, so everybody could read the policy and its lists; make it private, or name another repo",
                    place.repo
                );
                return Err(UsageError(text).into());
            }
            Ok(_) => format!("{} is there, and private", place.repo),
            Err(error) if error.status() == Some(404) => {
                format!("{} is not there yet; the deployment makes it, as a private repo", place.repo)
            }
            Err(error) => return Err(error.into()),
        };
        settings.push_to = Some(answer.to_owned());
        Ok(found)
    }
}

/// Checks an answer that is an address, a topic, or empty, and puts it into the settings.
pub fn alarms(answer: &str, settings: &mut Settings) -> Found {
    let answer = Some(answer).filter(|answer| !answer.is_empty() && *answer != "none");
    answer.map_or(Ok(()), check::alarms).map_err(|fault| UsageError(format!("alarms: {fault}")))?;
    settings.alarms = answer.map(str::to_owned);
    Ok(if answer.is_none() { "no alarms" } else { "" }.to_owned())
}

/// Checks a region, and puts it into the settings. Other faults, such as missing credentials, are reported after the last question.
pub fn region(answer: &str, settings: &mut Settings) -> Found {
    check::region(answer).map_err(|fault| UsageError(format!("region: {fault}")))?;
    let found = match Aws::new(Some(answer)).account() {
        Ok(account) => format!("a region that account {} can use", account.id),
        Err(error) if error.is::<UsageError>() => return Err(error),
        Err(_) => String::new(),
    };
    answer.clone_into(&mut settings.region);
    Ok(found)
}
