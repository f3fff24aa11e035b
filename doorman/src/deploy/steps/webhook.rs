//! The step `webhook`: the Hub sends a webhook to the function after each event in the repos, and after each push to the policy.

use std::error::Error;

use hub_doorman::hub::{Watched, Webhook, WebhookState};

use super::secret::note_webhook;
use super::{KeptSecret, Made, TOO_EARLY};
use crate::deploy::deployment::Deployment;
use crate::environment::deadline;
use crate::webhook::{creation_error, watched_for};

pub fn describe(deployment: &Deployment) -> String {
    let watched: Vec<String> =
        watched(deployment).iter().map(|Watched { kind, name }| format!("{kind} {name}")).collect();
    format!("make a webhook on the Hub that watches {}, with the secret", watched.join(", "))
}

fn watched(deployment: &Deployment) -> Vec<Watched> {
    watched_for(&deployment.patterns, deployment.policy.on_hub(), &deployment.owner)
}

pub async fn run(deployment: &Deployment, made: &mut Made) -> Result<String, Box<dyn Error>> {
    let url = &made.outputs.as_ref().ok_or(TOO_EARLY)?.url;
    let KeptSecret { arn, webhook: secret, webhook_id } = made.secret.as_ref().ok_or(TOO_EARLY)?;
    let (account, wanted) = (deployment.hub.account(deadline()), watched(deployment));
    let mut is_replaced = false;
    for Webhook { id, watched, state, .. } in account
        .webhooks()
        .await?
        .iter()
        .filter(|webhook| webhook.is_delivered_to(url) || webhook_id.as_ref() == Some(&webhook.id))
    {
        // The Hub does not show the secret of a webhook. Only the noted webhook certainly sends the right one.
        let is_right = webhook_id.as_ref() == Some(id) && wanted.iter().all(|one| watched.contains(one));
        let is_right = is_right && wanted.len() == watched.len();
        if is_right && *state == WebhookState::Enabled {
            return Ok("unchanged".to_owned());
        } else if is_right {
            account.enable_webhook(id, true).await?;
            return Ok("enabled again".to_owned());
        }
        account.delete_webhook(id).await?;
        is_replaced = true;
    }
    let created = account.create_webhook(url.as_str(), &wanted, secret).await;
    let created = created.map_err(|error| creation_error(&error))?;
    note_webhook(&deployment.place.aws, arn, &created.id)?;
    Ok(format!("{} {}", if is_replaced { "replaced by" } else { "created" }, created.id))
}
