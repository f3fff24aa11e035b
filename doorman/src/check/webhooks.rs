//! The check of the webhooks: whether they watch the repos, and deliver to a function that accepts them.

use hub_doorman::hub::{Account, Webhook, WebhookState};
use hub_doorman::model::RepoPattern;
use hub_doorman::source::HubFile;

use super::findings::{Findings, Level};
use crate::webhook::is_watched;

/// Checks the webhooks that concern the repos or the policy's repo, and whether each of them is watched.
pub async fn check(
    account: &Account<'_>,
    patterns: &[RepoPattern],
    policy: Option<&HubFile>,
    findings: &mut Findings,
) {
    let webhooks = match account.webhooks().await {
        Ok(webhooks) => webhooks,
        Err(error) => return findings.add(Level::Warning, "webhooks", error.to_string()),
    };
    let concerns = |webhook: &Webhook, pattern: &RepoPattern| {
        webhook.watched.iter().any(|watched| watched.concerns(pattern))
    };
    let of_policy = policy.map(|file| RepoPattern::One(file.repo.clone()));
    let concerns_any =
        |webhook: &&Webhook| patterns.iter().chain(&of_policy).any(|pattern| concerns(webhook, pattern));
    for webhook in webhooks.iter().filter(concerns_any) {
        let (level, text) = check_one(webhook);
        findings.add(level, format!("webhook {}", webhook.id), text);
    }
    let is_watched_whole = |pattern: &&RepoPattern| {
        let mut enabled = webhooks.iter().filter(|webhook| webhook.state == WebhookState::Enabled);
        enabled.any(|webhook| webhook.watched.iter().any(|watched| watched.covers(pattern)))
    };
    for pattern in patterns.iter().filter(|pattern| !is_watched_whole(pattern)) {
        let text = "no webhook of the token's owner watches all of it, so only sweeps review it; create one with `doorman webhook create`";
        findings.add(Level::Warning, pattern.to_string(), text);
    }
    if let Some(file) = policy.filter(|file| !file.is_pinned() && !is_watched(&webhooks, &file.repo)) {
        let text = "no webhook of the token's owner watches it, so a push waits for the next event or sweep; create one with `doorman webhook create`";
        findings.add(Level::Warning, file.repo.to_string(), text);
    }
}

/// Checks the state, the secret and the events of a webhook. A Job needs no secret, because only the Hub can start it.
fn check_one(webhook: &Webhook) -> (Level, String) {
    let Webhook { id, url, domains, has_secret, state, watched: _ } = webhook;
    let is_job = url.is_none();
    let url = url.as_deref().unwrap_or("a Job");
    let has_repo_events = domains.iter().any(|domain| domain == "repo");
    match state {
        WebhookState::Suspended => {
            let text = format!(
                "the Hub has suspended it, probably because too many deliveries to {url} failed. Look at its deliveries on \
                 https://huggingface.co/settings/webhooks, fix the cause, then run `doorman webhook enable {id}`"
            );
            (Level::Failed, text)
        }
        WebhookState::Disabled => {
            (Level::Failed, format!("disabled; enable it with `doorman webhook enable {id}`"))
        }
        WebhookState::Enabled if !has_secret && !is_job => {
            let text =
                format!("{url} gets no secret; if that is the function, it answers 401 and reviews nothing");
            (Level::Warning, text)
        }
        WebhookState::Enabled if !has_repo_events => {
            (Level::Warning, format!("{url} gets events of discussions only"))
        }
        WebhookState::Enabled => (Level::Passed, format!("delivered to {url}")),
    }
}
