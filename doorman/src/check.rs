//! `check`: finds everything that is wrong before a deployment, and changes nothing.

pub mod findings;
pub mod form;
mod function;
mod mail;
pub mod policy;
pub mod policy_repo;
mod rate;
pub mod repos;
mod webhooks;

use std::error::Error;
use std::path::Path;

use hub_doorman::config::Variables;
use hub_doorman::hub::{Account, WhoAmI};
use hub_doorman::model::{Repo, RepoPattern};
use hub_doorman::secrets::Source;
use hub_doorman::source::Place;

use crate::arguments::{CheckArguments, Scope};
use crate::deploy::settings::DEFAULT_PATH;
use crate::environment::{self, deadline};
use crate::exit::ExitStatus;
use crate::groups;
use crate::repos::without;
use crate::screen::{Cell, Look, Screen, count};
use findings::{Finding, Findings, Level};
use function::Function;

/// Checks everything, and shows the findings.
pub async fn run(arguments: &CheckArguments, screen: &mut Screen) -> Result<ExitStatus, Box<dyn Error>> {
    let CheckArguments { scope, function, region } = arguments;
    let mut findings = Findings::default();
    let function = match function {
        Some(name) => Some(Function::read(name.as_deref(), region.as_deref(), &mut findings)?),
        None => None,
    };
    check_all(scope, &mut findings).await;
    if let Some(function) = function.filter(|_| has_repos()) {
        function.check_sweeps(&mut findings);
    }
    let rows = findings.iter().map(|Finding { level, subject, text }| {
        let (word, look) = match level {
            Level::Passed => ("passed", Look::Good),
            Level::Warning => ("warning", Look::Warning),
            Level::Failed => ("failed", Look::Bad),
        };
        vec![Cell::new(word, look), Cell::plain(subject), Cell::plain(text)]
    });
    screen.table(&[], rows.collect::<Vec<_>>())?;
    let [passed, warnings, failed] =
        [Level::Passed, Level::Warning, Level::Failed].map(|level| findings.count(level));
    let warnings = count(warnings, "warning");
    screen.write_note(&format!("\n{passed} passed, {warnings}, {failed} failed"))?;
    if arguments.function.is_none() && Path::new(DEFAULT_PATH).exists() {
        screen.write_note(&format!(
            "This checked the variables of the shell. `doorman check --function` checks the deployment of {DEFAULT_PATH}."
        ))?;
    }
    Ok(if failed == 0 { ExitStatus::Complete } else { ExitStatus::Failed })
}

/// Checks the variables first. If they allow calls to the Hub, it checks the token, and then everything that the token can read.
async fn check_all(scope: &Scope, findings: &mut Findings) {
    let place = policy::place(scope.policy.as_deref(), findings);
    let covered = findings.variable(Variables::repos);
    let patterns = match &*scope.repos {
        [] => covered.clone().flatten().unwrap_or_default(),
        named => named.to_vec(),
    };
    if matches!(covered, Some(None)) && scope.repos.is_empty() {
        let text = "not set: there are no sweeps, so nobody is decided until a webhook comes; webhooks about any repo are accepted";
        findings.add(Level::Warning, "REPOS", text);
    }
    if findings.variable(Variables::dry_run) == Some(true) {
        findings.add(Level::Warning, "DRY_RUN", "true: the doorman decides requests, and changes nothing");
    }
    check_secret(findings);
    findings.variable(Variables::webhook_secret_previous);
    let mail_secret = mail::check_variables(findings);
    findings.variable(Variables::log);
    let concurrency = findings.variable(Variables::concurrency);
    let (endpoint, token) = (findings.variable(Variables::endpoint), findings.variable(Variables::token));
    let (Some(concurrency), Some(endpoint), Some(token)) = (concurrency, endpoint, token) else { return };
    let hub = environment::connect(token, endpoint, concurrency).await;
    let Some(hub) = findings.value_of(hub) else { return };
    let account = hub.account(deadline());
    let Some(owner) = check_token(&account, findings).await else { return };
    let mut distinct: Vec<RepoPattern> = Vec::new();
    for pattern in without(patterns, &scope.exclude) {
        if !distinct.contains(&pattern) {
            distinct.push(pattern);
        }
    }
    let patterns = distinct;
    let repos = repos::check(&hub, &patterns, findings).await;
    rate::check(&patterns, repos.len(), hub.quota(), findings);
    let policy_file = place.as_ref().and_then(Place::on_hub).cloned();
    let policy = match place {
        Some(place) => policy::read(place, &hub, findings).await,
        None => None,
    };
    if let Some(policy) = &policy {
        policy::check_labels(policy, &repos, findings);
        policy::check_repos(policy, &repos, &scope.repos, findings);
    }
    if let Some(file) = &policy_file {
        policy_repo::check(&account, file, &owner, findings).await;
    }
    let reviewed: Vec<Repo> = repos.into_iter().map(|(repo, _)| repo).collect();
    let covered = covered.flatten();
    check_groups(&account, &reviewed, covered.as_ref().unwrap_or(&patterns), mail_secret.as_ref(), findings)
        .await;
    webhooks::check(&account, &patterns, policy_file.as_ref(), findings).await;
}

/// Whether the variables name repos to sweep.
fn has_repos() -> bool {
    environment::variable("REPOS").is_ok_and(|text| !text.trim().is_empty())
}

/// A missing secret is a warning, because a command line without webhooks needs none.
fn check_secret(findings: &mut Findings) {
    match environment::variable("WEBHOOK_SECRET") {
        Ok(text) if !text.trim().is_empty() => {
            if findings.variable(Variables::webhook_secret).is_some() {
                findings.add(Level::Passed, "WEBHOOK_SECRET", "is set");
            }
        }
        _ => {
            let text =
                "not set; the Lambda function does not start without it. Without Lambda, it is not needed";
            findings.add(Level::Warning, "WEBHOOK_SECRET", text);
        }
    }
}

/// Checks the role of the token, and gives its owner. If the Hub does not accept the token, the other checks make no sense.
async fn check_token(account: &Account<'_>, findings: &mut Findings) -> Option<WhoAmI> {
    let owner = match account.who_am_i().await {
        Ok(owner) => owner,
        Err(error) => {
            findings.add(Level::Failed, "HF_TOKEN", error.to_string());
            return None;
        }
    };
    let name = &owner.name;
    let (level, text) = match owner.role.as_deref() {
        Some("read") => (
            Level::Failed,
            format!(
                "a token of {name} that may only read; make one with the role `write` at https://huggingface.co/settings/tokens"
            ),
        ),
        Some("fineGrained") => (
            Level::Passed,
            format!("a fine-grained token of {name}; its permissions are checked at each repo"),
        ),
        Some(role) => (Level::Passed, format!("a token of {name} with the role `{role}`")),
        None => (Level::Passed, format!("a token of {name}")),
    };
    findings.add(level, "HF_TOKEN", text);
    Some(owner)
}

async fn check_groups(
    account: &Account<'_>,
    reviewed: &[Repo],
    patterns: &[RepoPattern],
    mail_secret: Option<&Source>,
    findings: &mut Findings,
) {
    let listing = account.gating_groups(reviewed).await;
    for group in &listing.groups {
        let subject = format!("gating group {}", group.slug);
        findings.add(Level::Warning, &*subject, groups::warning(group, reviewed, patterns));
        if let (Some(secret), Some(notifications)) = (mail_secret, &group.notifications) {
            let (level, text) = mail::check_group(notifications, secret);
            findings.add(level, subject, text);
        }
    }
    if let Some(error) = listing.error {
        let text = format!("not all could be read, so accepting a request may open more repos: {error}");
        findings.add(Level::Warning, "gating groups", text);
    }
}
