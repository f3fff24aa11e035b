//! The secrets that the function lives by: given outright, or kept by AWS and read again when they are refused.

mod store;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use reqwest::Client;
use tokio::time::Instant;

pub use store::Stored;

use crate::secret::{Secret, WebhookSecrets};

/// How long reading what AWS keeps may take when the function starts. Lambda gives a start 10 seconds.
const TIME_TO_START: Duration = Duration::from_secs(8);

/// How long it may take while an event waits for it.
const TIME_TO_RENEW: Duration = Duration::from_secs(4);

/// If there is less time than this, it is not even tried.
const LEAST_TIME_TO_RENEW: Duration = Duration::from_secs(1);

/// What was refused is not read again sooner than this after the last time: whoever knows the URL of the function can have
/// a webhook refused.
const RENEWAL_PERIOD: Duration = Duration::from_secs(60);

/// Where a secret is.
#[derive(Clone, Debug)]
pub enum Source {
    /// Here.
    Given(Secret),
    /// AWS keeps it.
    Stored(Stored),
}

/// Where all of them are.
#[derive(Clone, Debug)]
pub struct Sources {
    /// Of `HF_TOKEN`.
    pub token: Source,
    /// Of `WEBHOOK_SECRET`; without one no webhook is accepted.
    pub webhook: Option<Source>,
    /// Of `WEBHOOK_SECRET_PREVIOUS`, where there is one.
    pub webhook_previous: Option<Source>,
}

/// The secrets, and the way to newer ones.
#[derive(Debug)]
pub struct Keyring {
    token: Key,
    /// What a webhook may show; one is enough.
    webhook: Vec<Key>,
    accepted: Mutex<Arc<WebhookSecrets>>,
}

/// One secret.
#[derive(Debug)]
struct Key {
    /// The environment variable that it is from.
    variable: &'static str,
    source: Source,
    http: Client,
    secret: Mutex<Secret>,
    /// When it was last read again, by the clock of the world: between two events Lambda may stop every other.
    renewed: tokio::sync::Mutex<Option<SystemTime>>,
}

impl Keyring {
    /// Reads all secrets, at the same time; what is given is there at once. The errors are of those that cannot be read, and
    /// each begins with the name of a variable.
    pub async fn read(sources: Sources, http: &Client) -> Result<Self, Vec<String>> {
        let Sources { token, webhook, webhook_previous } = sources;
        let webhook = webhook.map(|source| ("WEBHOOK_SECRET", source));
        let previous = webhook_previous.map(|source| ("WEBHOOK_SECRET_PREVIOUS", source));
        let all = [("HF_TOKEN", token)].into_iter().chain(webhook).chain(previous);
        let read = join_all(all.map(|(variable, source)| Key::read(variable, source, http.clone()))).await;
        let (mut keys, mut faults) = (Vec::new(), Vec::new());
        for key in read {
            match key {
                Ok(key) => keys.push(key),
                Err(fault) => faults.push(fault),
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let (token, webhook) = (keys.remove(0), keys);
        let accepted = accepted(&webhook).map_err(|fault| vec![fault])?;
        Ok(Self { token, webhook, accepted: Mutex::new(Arc::new(accepted)) })
    }

    /// The token of the Hub, as it was last read. It goes to the Hub's origin and nowhere else.
    pub fn token(&self) -> Secret {
        self.token.current()
    }

    /// All of them, for what must not be shown.
    pub(crate) fn secrets(&self) -> Vec<Secret> {
        [&self.token].into_iter().chain(&self.webhook).map(Key::current).collect()
    }

    /// The secret of `WEBHOOK_SECRET`, which goes to the Hub where its webhook is created and nowhere else.
    pub fn webhook_secret(&self) -> Option<Secret> {
        self.webhook.first().map(Key::current)
    }

    /// Another token than this one, which the Hub has refused: somebody may have rotated it. `None` if there is none to be had
    /// before `deadline`, or if it was read again a moment ago.
    pub async fn newer_token(&self, refused: &Secret, deadline: Instant) -> Option<Secret> {
        self.token.newer_than(refused, deadline).await
    }

    /// What a webhook has to show, as it was last read.
    pub fn accepted(&self) -> Arc<WebhookSecrets> {
        Arc::clone(&self.accepted.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The same, read again before `deadline` because a webhook did not show it: somebody may have rotated it.
    pub async fn renew_accepted(&self, deadline: Instant) -> Arc<WebhookSecrets> {
        let renew = self.webhook.iter().map(|key| async { key.newer_than(&key.current(), deadline).await });
        if join_all(renew).await.iter().any(Option::is_some)
            && let Ok(accepted) = accepted(&self.webhook)
        {
            *self.accepted.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(accepted);
        }
        self.accepted()
    }
}

/// What a webhook may show, ready to be compared with.
fn accepted(webhook: &[Key]) -> Result<WebhookSecrets, String> {
    let secrets: Vec<Secret> = webhook.iter().map(Key::current).collect();
    WebhookSecrets::new(&secrets).map_err(|error| {
        format!("WEBHOOK_SECRET: the system has no random bytes to compare it with: {error}")
    })
}

impl Key {
    async fn read(variable: &'static str, source: Source, http: Client) -> Result<Self, String> {
        let secret = match &source {
            Source::Given(secret) => secret.clone(),
            Source::Stored(stored) => stored
                .read(&http, Instant::now() + TIME_TO_START)
                .await
                .map_err(|why| format!("{variable}: {why}"))?,
        };
        let (secret, renewed) = (Mutex::new(secret), tokio::sync::Mutex::new(None));
        Ok(Self { variable, source, http, secret, renewed })
    }

    fn current(&self) -> Secret {
        self.secret.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Another secret than this one, which was refused: the one that is known meanwhile, or the one that AWS keeps now.
    async fn newer_than(&self, refused: &Secret, deadline: Instant) -> Option<Secret> {
        let Source::Stored(stored) = &self.source else { return None };
        // Whoever else was refused waits for the one who reads.
        let mut renewed = self.renewed.lock().await;
        let (begun, now) = (Instant::now(), SystemTime::now());
        if may_renew(*renewed, now) && begun + LEAST_TIME_TO_RENEW <= deadline {
            *renewed = Some(now);
            let variable = self.variable;
            match stored.read(&self.http, deadline.min(begun + TIME_TO_RENEW)).await {
                Ok(secret) => {
                    tracing::info!(
                        variable,
                        changed = !secret.is(refused),
                        "a secret was refused, and read again"
                    );
                    *self.secret.lock().unwrap_or_else(PoisonError::into_inner) = secret;
                }
                Err(error) => {
                    tracing::warn!(variable, error, "a secret was refused, and cannot be read again");
                }
            }
        }
        Some(self.current()).filter(|current| !current.is(refused))
    }
}

/// Whether what was last read again at that time may be read again. A clock that was set back tells nothing.
fn may_renew(renewed: Option<SystemTime>, now: SystemTime) -> bool {
    !renewed.is_some_and(|renewed| now.duration_since(renewed).is_ok_and(|passed| passed < RENEWAL_PERIOD))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_again_is_not_read_again_for_a_minute() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let may_renew = |seconds: u64| may_renew(Some(now), now + Duration::from_secs(seconds));
        assert!(!may_renew(0) && !may_renew(59) && may_renew(60));
        assert!(super::may_renew(None, now));
        assert!(super::may_renew(Some(now), now - Duration::from_secs(1)), "the clock was set back");
    }
}
