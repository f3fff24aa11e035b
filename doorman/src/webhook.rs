//! `webhook`: lists, creates, enables, disables and deletes webhooks of the token's owner on the Hub.

use std::error::Error;
use std::io;
use std::sync::Arc;

use hub_doorman::config::ConfigError;
use hub_doorman::hub::{Connections, Hub, HubError, Watched, Webhook, WebhookState, WhoAmI};
use hub_doorman::model::{Repo, RepoPattern};
use hub_doorman::secrets::{Keyring, Sources};
use hub_doorman::source::HubFile;
use reqwest::Url;

use crate::arguments;
use crate::environment::{self, deadline};
use crate::exit::{ExitStatus, UsageError};
use crate::screen::{Cell, Look, Screen, count, print_message};

/// Carries out one of the commands.
pub async fn run(command: &arguments::Webhook, screen: &mut Screen) -> Result<ExitStatus, Box<dyn Error>> {
    if !matches!(command, arguments::Webhook::List { .. }) && environment::is_dry_run()? {
        print_message("DRY_RUN is true, so nothing was changed.");
        return Ok(ExitStatus::Complete);
    }
    match command {
        arguments::Webhook::List { json } => {
            let webhooks = environment::hub().await?.account(deadline()).webhooks().await?;
            if *json {
                screen.json(&webhooks)?;
            } else {
                show(&webhooks, screen)?;
                screen.write_note(&format!("\n{}", count(webhooks.len() as u64, "webhook")))?;
            }
            Ok(ExitStatus::Complete)
        }
        arguments::Webhook::Create { url } => {
            show(&[create(url).await?], screen)?;
            Ok(ExitStatus::Complete)
        }
        arguments::Webhook::Enable(ids) => change(&ids.ids, Change::Enable, screen).await,
        arguments::Webhook::Disable(ids) => change(&ids.ids, Change::Disable, screen).await,
        arguments::Webhook::Delete(ids) => change(&ids.ids, Change::Delete, screen).await,
    }
}

#[derive(Clone, Copy)]
enum Change {
    Enable,
    Disable,
    Delete,
}

/// Changes webhooks one by one. A failure does not prevent the changes of the others.
async fn change(ids: &[String], change: Change, screen: &mut Screen) -> Result<ExitStatus, Box<dyn Error>> {
    let hub = environment::hub().await?;
    let account = hub.account(deadline());
    let mut status = ExitStatus::Complete;
    for id in ids {
        let (changed, done) = match change {
            Change::Enable => (account.enable_webhook(id, true).await.map(drop), "enabled"),
            Change::Disable => (account.enable_webhook(id, false).await.map(drop), "disabled"),
            Change::Delete => (account.delete_webhook(id).await, "deleted"),
        };
        match changed {
            Ok(()) => screen.table(&[], [vec![Cell::plain(id), Cell::new(done, Look::Good)]])?,
            Err(error) => {
                let hint =
                    if error.status() == Some(404) { "; `doorman webhook list` shows the ids" } else { "" };
                print_message(&format!("doorman: webhook {id}: {error}{hint}"));
                status = ExitStatus::Failed;
            }
        }
    }
    Ok(status)
}

/// Creates a webhook that watches the repos of `REPOS`, and the repo that keeps the policy.
async fn create(url: &Url) -> Result<Webhook, Box<dyn Error>> {
    let variables = environment::variables();
    let (token, endpoint, concurrency) = (variables.token(), variables.endpoint(), variables.concurrency());
    let (secret, repos) = (variables.webhook_secret(), variables.repos());
    let (token, endpoint, concurrency, secret, repos) =
        variables.all(|| Ok((token?, endpoint?, concurrency?, secret?, repos?)))?;
    let Some(repos) = repos else {
        return Err(UsageError(
            "REPOS: not set; set it to the repos that the webhook watches, such as `acme/*`".to_owned(),
        )
        .into());
    };
    let http = environment::http()?;
    let sources = Sources { token, webhook: Some(secret), webhook_previous: None, mail: None };
    let keyring = Arc::new(Keyring::read(sources, &http).await.map_err(ConfigError)?);
    let hub = Hub::new(Connections::new(http), endpoint, Arc::clone(&keyring), concurrency);
    let account = hub.account(deadline());
    if let Some(webhook) = account.webhooks().await?.iter().find(|webhook| webhook.is_delivered_to(url)) {
        let id = &webhook.id;
        return Err(UsageError(format!(
            "webhook {id} is delivered there already; to replace it, run `doorman webhook delete {id}` first"
        ))
        .into());
    }
    let owner = account.who_am_i().await?;
    let watched = watched_for(&repos, environment::policy_on_hub().as_ref(), &owner);
    let secret = keyring.webhook_secret().ok_or("WEBHOOK_SECRET was not read")?;
    Ok(account
        .create_webhook(url.as_str(), &watched, &secret)
        .await
        .map_err(|error| creation_error(&error))?)
}

/// Everything that a webhook has to watch for these repos, and for the repo that keeps the policy.
pub fn watched_for(repos: &[RepoPattern], policy: Option<&HubFile>, owner: &WhoAmI) -> Vec<Watched> {
    let of_policy = policy.map(|file| RepoPattern::One(file.repo.clone()));
    let is_new = |pattern: &&RepoPattern| !repos.iter().any(|other| other.overlaps(pattern));
    let mut watched: Vec<Watched> = Vec::new();
    for target in repos.iter().chain(of_policy.iter().filter(is_new)).map(|pattern| watch(pattern, owner)) {
        if !watched.contains(&target) {
            watched.push(target);
        }
    }
    watched
}

/// The watched repos or owner for a pattern. The Hub may watch more than the pattern covers, because the function ignores other repos.
fn watch(pattern: &RepoPattern, owner: &WhoAmI) -> Watched {
    let (kind, name) = match pattern {
        RepoPattern::One(repo) => (repo.repo_type().as_str(), repo.name()),
        RepoPattern::Namespace { owner: namespace, .. } if *namespace == owner.name => {
            ("user", namespace.as_str())
        }
        RepoPattern::Namespace { owner: namespace, .. } => ("org", namespace.as_str()),
    };
    Watched { kind: kind.to_owned(), name: name.into() }
}

/// Whether one of the webhooks is delivered for each push to a repo.
pub fn is_watched(webhooks: &[Webhook], repo: &Repo) -> bool {
    let pattern = RepoPattern::One(repo.clone());
    webhooks.iter().any(|webhook| {
        webhook.state == WebhookState::Enabled
            && webhook.domains.iter().any(|domain| domain == "repo")
            && webhook.watched.iter().any(|watched| watched.covers(&pattern))
    })
}

/// The error of a creation, with a hint if the webhook may exist.
pub fn creation_error(error: &HubError) -> String {
    let hint =
        if error.may_be_done { "; the webhook may exist: `doorman webhook list` shows it" } else { "" };
    format!("{error}{hint}")
}

/// Shows each webhook. On a terminal the details are below each other, because ids and URLs are long and a person copies them.
fn show(webhooks: &[Webhook], screen: &mut Screen) -> io::Result<()> {
    for Webhook { id, url, watched, domains: _, has_secret, state } in webhooks {
        let state = state.as_str();
        let secret = if *has_secret { "secret" } else { "no secret" };
        let url = url.as_deref().unwrap_or("a Job");
        let watched = watched.iter().map(|Watched { kind, name }| format!("{kind} {name}"));
        if screen.is_terminal() {
            screen.write_entry(id, &format!("{state}, {secret}, {url}"), watched)?;
        } else {
            let watched = watched.collect::<Vec<_>>().join(", ");
            screen.table(&[], [[id, state, secret, url, &watched].map(Cell::plain).into()])?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn webhook_watches_the_repo_or_the_owner_of_a_pattern() {
        let owner = WhoAmI { name: "ada".into(), role: None, orgs: None };
        let cases = [
            ("acme/model", "model", "acme/model"),
            ("datasets/acme/corpus", "dataset", "acme/corpus"),
            ("acme/*", "org", "acme"),
            ("datasets/acme/*", "org", "acme"),
            ("ada/*", "user", "ada"),
            ("Ada/*", "user", "Ada"),
        ];
        for (pattern, kind, name) in cases {
            let expected = Watched { kind: kind.to_owned(), name: name.into() };
            assert_eq!(watch(&pattern.parse().expect(pattern), &owner), expected, "{pattern}");
        }
    }
}
