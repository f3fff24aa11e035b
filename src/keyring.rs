//! The secrets that the function lives by: given outright, or kept by AWS and read again when one of them is refused.

mod store;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use futures_util::future::OptionFuture;
use reqwest::Client;
use tokio::time::Instant;

pub use store::Stored;

use crate::secret::{Secret, WebhookSecrets};

/// How long reading what AWS keeps may take when the function starts. Lambda gives a start 10 seconds.
const TIME_TO_START: Duration = Duration::from_secs(8);

/// How long it may take while an event waits for it.
const TIME_TO_RENEW: Duration = Duration::from_secs(4);

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
    /// Of `WEBHOOK_SECRET`.
    pub webhook: Source,
    /// Of `WEBHOOK_SECRET_PREVIOUS`, where there is one.
    pub webhook_previous: Option<Source>,
}

/// The secrets themselves.
#[derive(Debug)]
pub struct Keys {
    /// Opens the gated repos; goes to the Hub's origin and nowhere else.
    pub token: Secret,
    /// What a webhook has to show.
    pub webhook: WebhookSecrets,
}

/// The secrets, and the way to newer ones.
#[derive(Debug)]
pub struct Keyring {
    sources: Sources,
    http: Client,
    keys: Mutex<Arc<Keys>>,
    /// When they were last read again, by the clock of the world: between two events Lambda may stop every other.
    renewed: tokio::sync::Mutex<Option<SystemTime>>,
}

impl Keyring {
    /// Reads all secrets, at the same time; what is given is there at once. The errors are of those that cannot be read, and
    /// each begins with the name of a variable.
    pub async fn read(sources: Sources, http: Client) -> Result<Self, Vec<String>> {
        let keys = sources.read(&http, Instant::now() + TIME_TO_START).await?;
        Ok(Self { sources, http, keys: Mutex::new(Arc::new(keys)), renewed: tokio::sync::Mutex::new(None) })
    }

    /// The secrets as they were last read.
    pub fn keys(&self) -> Arc<Keys> {
        Arc::clone(&self.keys.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Newer ones than these, of which one was refused: somebody may have rotated it. `None` if there are none to be had
    /// before `deadline`, or if they were read again a moment ago.
    pub async fn newer_than(&self, refused: &Arc<Keys>, deadline: Instant) -> Option<Arc<Keys>> {
        if !self.sources.any_stored() {
            return None;
        }
        // Whoever else was refused waits for the one who reads.
        let mut renewed = self.renewed.lock().await;
        let keys = self.keys();
        if !Arc::ptr_eq(&keys, refused) {
            return Some(keys);
        }
        let now = SystemTime::now();
        if !may_renew(*renewed, now) {
            return None;
        }
        *renewed = Some(now);
        match self.sources.read(&self.http, deadline.min(Instant::now() + TIME_TO_RENEW)).await {
            Ok(keys) => {
                let keys = Arc::new(keys);
                *self.keys.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&keys);
                tracing::info!("a secret was refused, so all were read again");
                Some(keys)
            }
            Err(faults) => {
                let faults = faults.join("; ");
                tracing::warn!(faults, "a secret was refused, and they could not be read again");
                None
            }
        }
    }
}

/// Whether secrets may be read again that were last read again at that time. A clock that was set back tells nothing.
fn may_renew(renewed: Option<SystemTime>, now: SystemTime) -> bool {
    !renewed.is_some_and(|renewed| now.duration_since(renewed).is_ok_and(|passed| passed < RENEWAL_PERIOD))
}

impl Sources {
    fn any_stored(&self) -> bool {
        let Self { token, webhook, webhook_previous } = self;
        let mut all = [token, webhook].into_iter().chain(webhook_previous);
        all.any(|source| matches!(source, Source::Stored(_)))
    }

    async fn read(&self, http: &Client, deadline: Instant) -> Result<Keys, Vec<String>> {
        let read = async |variable: &str, source: &Source| match source {
            Source::Given(secret) => Ok(secret.clone()),
            Source::Stored(stored) => {
                stored.read(http, deadline).await.map_err(|why| vec![format!("{variable}: {why}")])
            }
        };
        let previous = OptionFuture::from(
            self.webhook_previous.as_ref().map(|source| read("WEBHOOK_SECRET_PREVIOUS", source)),
        );
        let (token, webhook, previous) =
            tokio::join!(read("HF_TOKEN", &self.token), read("WEBHOOK_SECRET", &self.webhook), previous);
        match (token, webhook, previous.transpose()) {
            (Ok(token), Ok(webhook), Ok(previous)) => {
                let webhook = WebhookSecrets::new([&webhook].into_iter().chain(&previous));
                let no_random = |error| {
                    vec![format!(
                        "WEBHOOK_SECRET: the system has no random bytes to compare it with: {error}"
                    )]
                };
                Ok(Keys { token, webhook: webhook.map_err(no_random)? })
            }
            (token, webhook, previous) => {
                Err([token.err(), webhook.err(), previous.err()].into_iter().flatten().flatten().collect())
            }
        }
    }
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
