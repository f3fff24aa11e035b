//! The function's secrets: each one is given as text, or kept by AWS and read again when it is refused.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use reqwest::Client;
use tokio::time::Instant;

use super::secret::{AcceptedSecrets, Secret};
use super::stored::Stored;

/// The maximum time to read the secrets from AWS when the function starts. Lambda allows 10 seconds for a start.
const MAX_READ_TIME_AT_START: Duration = Duration::from_secs(8);

/// The maximum time to read a secret again while an event waits for it.
const MAX_RENEWAL_TIME: Duration = Duration::from_secs(4);

/// The minimum time that must be left before a deadline. Otherwise the secret is not read again.
const MIN_RENEWAL_TIME: Duration = Duration::from_secs(1);

/// The minimum time between two attempts to read a refused secret again. It limits the calls that anybody who knows the function's
/// URL can cause with wrong secrets.
const RENEWAL_PERIOD: Duration = Duration::from_secs(60);

const MAIL_SECRET: &str = "MAIL_SECRET";

/// The place of a secret.
#[derive(Clone, Debug)]
pub enum Source {
    /// The setting holds the secret itself.
    Given(Secret),
    /// AWS keeps it, and the setting holds its ARN.
    Stored(Stored),
}

/// The place of each secret.
#[derive(Clone, Debug)]
pub struct Sources {
    /// `HF_TOKEN`.
    pub token: Source,
    /// `WEBHOOK_SECRET`. Without it, no webhook is accepted.
    pub webhook: Option<Source>,
    /// `WEBHOOK_SECRET_PREVIOUS`, if it is set.
    pub webhook_previous: Option<Source>,
    /// `MAIL_SECRET`, if it is set. Without it, no mail prompts a look.
    pub mail: Option<Source>,
}

/// The current secrets. It reads a secret again if it was refused.
#[derive(Debug)]
pub struct Keyring {
    token: Key,
    webhook: Accepted,
    mail: Accepted,
}

/// The secrets of which an event has to show one.
#[derive(Debug)]
pub struct Accepted {
    keys: Vec<Key>,
    secrets: Mutex<Arc<AcceptedSecrets>>,
}

/// One secret.
#[derive(Debug)]
struct Key {
    /// The environment variable that sets it.
    variable: &'static str,
    source: Source,
    http: Client,
    secret: Mutex<Secret>,
    /// When it was last read again, by the wall clock: the monotonic clock stops while Lambda freezes the process.
    renewed: tokio::sync::Mutex<Option<SystemTime>>,
}

impl Keyring {
    /// Reads all secrets that AWS keeps, concurrently. Each secret that cannot be read gives one error, which begins with the name
    /// of its variable.
    pub async fn read(sources: Sources, http: &Client) -> Result<Self, Vec<String>> {
        let Sources { token, webhook, webhook_previous, mail } = sources;
        let webhook = webhook.map(|source| ("WEBHOOK_SECRET", source));
        let previous = webhook_previous.map(|source| ("WEBHOOK_SECRET_PREVIOUS", source));
        let mail = mail.map(|source| (MAIL_SECRET, source));
        let all = [("HF_TOKEN", token)].into_iter().chain(mail).chain(webhook).chain(previous);
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
        let token = keys.remove(0);
        let (mail, webhook): (Vec<Key>, Vec<Key>) =
            keys.into_iter().partition(|key| key.variable == MAIL_SECRET);
        let is_same = |mail: &Key, webhook: &Key| {
            mail.current().expose().eq_ignore_ascii_case(webhook.current().expose())
        };
        if mail.iter().any(|mail| webhook.iter().any(|webhook| is_same(mail, webhook))) {
            let fault = "MAIL_SECRET: it is also the webhook's secret; choose another one, because everybody who sees the address could send \
                         webhooks and orders";
            return Err(vec![fault.to_owned()]);
        }
        let accepted = |keys| Accepted::new(keys).map_err(|fault| vec![fault]);
        Ok(Self { token, webhook: accepted(webhook)?, mail: accepted(mail)? })
    }

    /// The current token. It is sent to the Hub's origin and nowhere else.
    pub fn token(&self) -> Secret {
        self.token.current()
    }

    /// All current secrets, to be redacted from texts.
    pub(crate) fn secrets(&self) -> Vec<Secret> {
        [&self.token].into_iter().chain(&self.webhook.keys).chain(&self.mail.keys).map(Key::current).collect()
    }

    /// The current secret of `WEBHOOK_SECRET`. It is sent to the Hub when a webhook is created, and nowhere else.
    pub fn webhook_secret(&self) -> Option<Secret> {
        self.webhook.keys.first().map(Key::current)
    }

    /// The current secret of `MAIL_SECRET`, in lower case. It is sent to the Hub as part of an address, and nowhere else.
    pub fn mail_secret(&self) -> Option<Secret> {
        self.mail.keys.first().map(Key::current)
    }

    /// Returns a token that differs from the one that the Hub refused, because the token may have been rotated. Returns `None` if
    /// there is no other token, if it cannot be read before `deadline`, or if it was last read less than a minute ago.
    pub async fn newer_token(&self, refused: &Secret, deadline: Instant) -> Option<Secret> {
        self.token.newer_than(refused, deadline).await
    }

    /// The secrets of which a webhook has to show one.
    pub fn webhook(&self) -> &Accepted {
        &self.webhook
    }

    /// The secret that has to be the local part of a mail's recipient, in lower case.
    pub fn mail(&self) -> &Accepted {
        &self.mail
    }
}

impl Accepted {
    fn new(keys: Vec<Key>) -> Result<Self, String> {
        let secrets = Mutex::new(Arc::new(comparable(&keys)?));
        Ok(Self { keys, secrets })
    }

    /// The current secrets.
    pub fn current(&self) -> Arc<AcceptedSecrets> {
        Arc::clone(&self.secrets.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The secrets after an attempt to read them again before `deadline`. Call it if an event showed another secret, because the
    /// secret may have been rotated.
    pub async fn renewed(&self, deadline: Instant) -> Arc<AcceptedSecrets> {
        let renew = self.keys.iter().map(|key| async { key.newer_than(&key.current(), deadline).await });
        if join_all(renew).await.iter().any(Option::is_some)
            && let Ok(secrets) = comparable(&self.keys)
        {
            *self.secrets.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(secrets);
        }
        self.current()
    }
}

/// Makes secrets comparable with those that events show.
fn comparable(keys: &[Key]) -> Result<AcceptedSecrets, String> {
    let secrets: Vec<Secret> = keys.iter().map(Key::current).collect();
    AcceptedSecrets::new(&secrets).map_err(|error| {
        let variable = keys.first().map_or("WEBHOOK_SECRET", |key| key.variable);
        format!("{variable}: the system has no random bytes to compare it with: {error}")
    })
}

impl Key {
    async fn read(variable: &'static str, source: Source, http: Client) -> Result<Self, String> {
        let secret = match &source {
            Source::Given(secret) => secret.clone(),
            Source::Stored(stored) => read(variable, stored, &http, Instant::now() + MAX_READ_TIME_AT_START)
                .await
                .map_err(|why| format!("{variable}: {why}"))?,
        };
        let (secret, renewed) = (Mutex::new(secret), tokio::sync::Mutex::new(None));
        Ok(Self { variable, source, http, secret, renewed })
    }

    fn current(&self) -> Secret {
        self.secret.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns a secret that differs from the refused one, if a concurrent caller has read one already or AWS keeps one now.
    async fn newer_than(&self, refused: &Secret, deadline: Instant) -> Option<Secret> {
        let Source::Stored(stored) = &self.source else { return None };
        // Concurrent callers wait here, so only one of them reads.
        let mut renewed = self.renewed.lock().await;
        let (begun, now) = (Instant::now(), SystemTime::now());
        if may_renew(*renewed, now) && begun + MIN_RENEWAL_TIME <= deadline {
            *renewed = Some(now);
            let variable = self.variable;
            match read(variable, stored, &self.http, deadline.min(begun + MAX_RENEWAL_TIME)).await {
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

/// Reads a secret that AWS keeps.
async fn read(variable: &str, stored: &Stored, http: &Client, deadline: Instant) -> Result<Secret, String> {
    let secret = stored.read(http, deadline).await?;
    if variable == MAIL_SECRET { Secret::for_mail(secret.expose()) } else { Ok(secret) }
}

/// Whether a secret that was last read again at `renewed` may be read again. If the clock was set back since, it may.
fn may_renew(renewed: Option<SystemTime>, now: SystemTime) -> bool {
    !renewed.is_some_and(|renewed| now.duration_since(renewed).is_ok_and(|passed| passed < RENEWAL_PERIOD))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_is_read_again_at_most_once_a_minute() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let may_renew = |seconds: u64| may_renew(Some(now), now + Duration::from_secs(seconds));
        assert!(!may_renew(0) && !may_renew(59) && may_renew(60));
        assert!(super::may_renew(None, now));
        assert!(super::may_renew(Some(now), now - Duration::from_secs(1)), "the clock was set back");
    }
}
