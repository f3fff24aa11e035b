//! Which mails may prompt a look. The secret may have been rotated, so it is read again before a mail is refused.

use std::collections::BTreeMap;

use chrono::DateTime;
use tokio::time::Instant;

use super::super::Handler;
use crate::trigger::mail::{Mail, Received, Refused};

impl Handler {
    /// The mails that may prompt a look. The others are logged with one line for each reason, because anybody can send thousands.
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
        let (mut verified, mut refused) = (Vec::new(), BTreeMap::<Refused, u32>::new());
        for mail in mails {
            match verify(mail) {
                Ok(mail) => verified.push(mail),
                Err(why) => *refused.entry(why).or_default() += 1,
            }
        }
        for (why, mails) in refused {
            tracing::warn!(%why, mails, "mail refused");
        }
        verified
    }
}
