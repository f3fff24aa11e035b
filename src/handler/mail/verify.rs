//! Which mails may prompt a look. The secret may have been rotated, so it is read again before a mail is refused.

use chrono::DateTime;
use tokio::time::Instant;

use super::super::Handler;
use crate::trigger::mail::{Mail, Received, Refused};

impl Handler {
    /// The mails that may prompt a look. Each other one is logged.
    pub(super) async fn verify_mails(
        &self,
        mails: Vec<Result<Received, Refused>>,
        deadline: Instant,
    ) -> Vec<Mail> {
        let mut secrets = self.keyring.mail().current();
        let shows_no_secret =
            |mail: &Result<Received, Refused>| mail.as_ref().is_ok_and(|mail| !mail.shows(&secrets));
        if mails.iter().any(shows_no_secret) {
            secrets = self.keyring.mail().renewed(deadline).await;
        }
        let now = self.hub.time();
        let verify = |mail: Result<Received, Refused>| -> Result<Mail, Refused> {
            let mut mail = mail?.verify(&secrets, &self.mail_from)?;
            // No clock is so wrong, and times in between can be calculated with.
            mail.arrived = mail.arrived.clamp(DateTime::UNIX_EPOCH, now);
            Ok(mail)
        };
        let verified = mails.into_iter().map(verify);
        verified
            .filter_map(|mail| mail.inspect_err(|why| tracing::warn!(%why, "mail refused")).ok())
            .collect()
    }
}
