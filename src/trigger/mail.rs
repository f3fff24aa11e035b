//! A mail of the Hub about a request, as SES passes it on: directly, through SNS, or through SNS and SQS. First it is verified, and
//! then its subject is read. Only [`Received::verify`] makes a [`Mail`], so an unverified subject cannot be read.
//!
//! The Hub mails about each request if the owner sets the notifications of the repo to `real-time`. What its mail looks like is not
//! documented. So any mail that may prompt a look does prompt one, and the subject only says at which repos.

mod sender;

use std::collections::BTreeSet;
use std::fmt;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::model::{Repo, RepoType};
use crate::secrets::AcceptedSecrets;
pub use sender::MailFrom;
use sender::only_address;

/// The most repos that a subject may name. With more, it is read as if it named none.
const MAX_NAMED: usize = 50;

/// A mail that was received, or an event in the form of one. It has not been verified.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Received {
    mail: Headers,
    receipt: Receipt,
}

#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Headers {
    headers: Vec<Header>,
    common_headers: CommonHeaders,
}

#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Header {
    name: String,
}

#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct CommonHeaders {
    from: Option<Vec<String>>,
    subject: Option<String>,
}

#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Receipt {
    timestamp: Option<DateTime<Utc>>,
    recipients: Vec<String>,
    spam_verdict: VerdictOfSes,
    virus_verdict: VerdictOfSes,
    dmarc_verdict: VerdictOfSes,
}

/// What SES found: `PASS`, `FAIL`, `GRAY`, `PROCESSING_FAILED` or `DISABLED`.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct VerdictOfSes {
    status: String,
}

/// Why a mail may not prompt a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Refused {
    /// The record is not a mail that SES has received.
    #[error("the record is not a mail of SES")]
    NotAMail,
    /// No recipient's local part is the secret.
    #[error("none of the recipients is MAIL_SECRET")]
    Recipient,
    /// SES took it for spam, or found a virus.
    #[error("SES takes the mail for spam or found a virus in it")]
    Harmful,
    /// SES did not find that the domain of the sender vouches for the mail.
    #[error("`dmarcVerdict` is not PASS, so the sender may be forged; MAIL_FROM=any accepts such mails")]
    Unauthenticated,
    /// There is not exactly one sender, or it is of another domain.
    #[error("the mail has not exactly one sender, of a domain that MAIL_FROM names")]
    Sender,
}

/// A mail that may prompt a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// When SES received it.
    pub arrived: DateTime<Utc>,
    subject: String,
}

/// Shows nothing, because the recipient's address contains the secret.
impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[mail]")
    }
}

/// Reads the mails of an event, or returns `None` if it has another form. A record that cannot be read is refused by
/// [`Received::verify`], because it shows no secret.
pub(super) fn read(event: &Map<String, Value>) -> Option<Vec<Result<Received, Refused>>> {
    let records = event.get("Records")?.as_array().filter(|records| !records.is_empty())?;
    records.iter().map(record).collect()
}

/// Reads one record, or returns `None` if it comes from another service.
fn record(record: &Value) -> Option<Result<Received, Refused>> {
    // SNS writes this key with a capital letter.
    let source = record.get("eventSource").or_else(|| record.get("EventSource"))?;
    let received = match source.as_str()? {
        "aws:ses" => Received::deserialize(&record["ses"]).ok(),
        "aws:sns" => notification(&record["Sns"]["Message"]),
        "aws:sqs" => {
            let body = record["body"].as_str().and_then(|body| serde_json::from_str::<Value>(body).ok());
            // With raw delivery, SNS leaves its envelope out.
            body.and_then(|body| match &body["Message"] {
                Value::Null => Received::deserialize(&body).ok(),
                message => notification(message),
            })
        }
        _ => return None,
    };
    Some(received.ok_or(Refused::NotAMail))
}

fn notification(message: &Value) -> Option<Received> {
    serde_json::from_str(message.as_str()?).ok()
}

impl Received {
    /// Whether the local part of a recipient is one of the secrets.
    #[must_use]
    pub fn shows(&self, secrets: &AcceptedSecrets) -> bool {
        // All recipients are compared, so the time does not depend on which one is the secret.
        let shown = self.receipt.recipients.iter().filter(|recipient| {
            let local = recipient.rsplit_once('@').map_or(&***recipient, |(local, _)| local);
            secrets.include(local.to_ascii_lowercase().as_bytes())
        });
        shown.count() > 0
    }

    /// Returns the mail if it may prompt a look: the local part of a recipient is the secret, SES found neither spam nor a virus, and
    /// the sender is one that `from` accepts.
    ///
    /// `dkimVerdict` is not considered. It passes for a signature of any domain.
    pub fn verify(self, secrets: &AcceptedSecrets, from: &MailFrom) -> Result<Mail, Refused> {
        if !self.shows(secrets) {
            return Err(Refused::Recipient);
        }
        let Self { mail: Headers { headers, common_headers }, receipt } = self;
        if [&receipt.spam_verdict, &receipt.virus_verdict].iter().any(|verdict| verdict.status == "FAIL") {
            return Err(Refused::Harmful);
        }
        if let MailFrom::Domain(domain) = from {
            if receipt.dmarc_verdict.status != "PASS" {
                return Err(Refused::Unauthenticated);
            }
            // If the headers are longer than 10 KB, SES lists only the first of them.
            let senders = headers.iter().filter(|header| header.name.eq_ignore_ascii_case("from")).count();
            let address =
                only_address(common_headers.from.as_deref().unwrap_or_default()).ok_or(Refused::Sender)?;
            if senders > 1 || !domain.covers(address) {
                return Err(Refused::Sender);
            }
        }
        let arrived = receipt.timestamp.unwrap_or_else(Utc::now);
        Ok(Mail { arrived, subject: common_headers.subject.unwrap_or_default() })
    }
}

impl Mail {
    /// The repos whose full names stand in the subject. A name without `datasets/` may be that of a model or of a dataset, so both
    /// are returned.
    #[must_use]
    pub fn named_repos(&self) -> BTreeSet<Repo> {
        let is_part = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
        let words = self.subject.split(|c| !is_part(c));
        let repos: BTreeSet<Repo> = words.flat_map(repos_of_word).collect();
        if repos.len() > MAX_NAMED { BTreeSet::new() } else { repos }
    }
}

/// The repos that a word of a subject may name: `acme/model`, `datasets/acme/corpus`, or the path of a link to them.
fn repos_of_word(word: &str) -> Vec<Repo> {
    let mut parts: Vec<&str> = word.split('/').filter(|part| !part.is_empty()).collect();
    if parts.len() > 2 && parts[0].contains('.') {
        parts.remove(0);
    }
    let (types, name): (&[RepoType], _) = match &*parts {
        ["datasets", owner, name, ..] => (&[RepoType::Dataset], [owner, name]),
        ["spaces", ..] => return Vec::new(),
        [owner, name, ..] => (&[RepoType::Model, RepoType::Dataset], [owner, name]),
        _ => return Vec::new(),
    };
    // A full stop behind the name ends the sentence.
    let name = name.map(|part| part.trim_matches(['.', '-'])).join("/");
    types.iter().filter_map(|repo_type| Repo::new(*repo_type, &name).ok()).collect()
}

#[cfg(test)]
mod tests;
