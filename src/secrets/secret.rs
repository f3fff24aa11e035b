//! A secret in memory, and the comparison of a webhook's secret in constant time.

use std::fmt;

use hmac::digest::CtOutput;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

/// A text that no log, error or response shows: its `Debug` is redacted, and it has no `Display`.
///
/// Its memory is overwritten on drop. This does not reach copies outside this type: the process's environment, the body of a
/// response that held the secret, and the headers of the HTTP client.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Makes a secret of the unchanged text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(SecretString::from(text.into()))
    }

    /// Makes a secret that can be sent in a header: printable ASCII, with the white space around it trimmed. The error does not
    /// show the text.
    pub fn for_header(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.is_empty() {
            return Err("it is empty".to_owned());
        }
        if !text.chars().all(|c| c.is_ascii_graphic() || c == ' ') {
            return Err(
                "it holds a character that is not printable ASCII, and the Hub accepts no other".to_owned()
            );
        }
        Ok(Self::new(text))
    }

    /// Makes a secret that can be the local part of a mail address: 16 to 64 letters, digits, `-`, `_` and `.`, as the Hub accepts it.
    /// Mail ignores their case, so it is lowered. The error does not show the text.
    pub fn for_mail(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let is_dotted_wrongly = text.starts_with('.') || text.ends_with('.') || text.contains("..");
        if !(16..=64).contains(&text.len()) || !text.chars().all(is_allowed) || is_dotted_wrongly {
            let fault = "it is not the local part of an address: 16 to 64 letters, digits, `-`, `_`, and single `.` within";
            return Err(fault.to_owned());
        }
        Ok(Self::new(text.to_ascii_lowercase()))
    }

    /// Whether the two texts are equal. The time it takes depends on the texts, so use it only for secrets that we keep
    /// ourselves. A secret that an event shows is compared by [`AcceptedSecrets`].
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }

    /// The text itself, for the one place that sends it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// The secrets that an event may show: for a webhook the current one and, during a rotation, the previous one.
///
/// Only the HMAC-SHA256 of each secret is kept, under a random key of this value. So only HMACs can be compared, and their bytes
/// reveal neither the content nor the length of a secret. [`CtOutput`] offers no comparison but the one in constant time.
#[derive(Clone)]
pub struct AcceptedSecrets {
    keyed: Hmac<Sha256>,
    tags: Vec<CtOutput<Hmac<Sha256>>>,
}

impl AcceptedSecrets {
    /// Draws a random key and computes the HMACs. The error means that the operating system gave no random bytes.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Result<Self, getrandom::Error> {
        let mut key = [0; 64];
        getrandom::fill(&mut key)?;
        let keyed = Hmac::<Sha256>::new(&key.into());
        let tags = secrets.into_iter().map(|secret| tag(&keyed, secret.expose())).collect();
        Ok(Self { keyed, tags })
    }

    /// Whether `shown` is one of the secrets. The time it takes depends neither on the result nor on which secret matches.
    #[must_use]
    pub fn include(&self, shown: &[u8]) -> bool {
        let shown = tag(&self.keyed, shown);
        self.tags.iter().filter(|tag| **tag == shown).count() > 0
    }
}

impl fmt::Debug for AcceptedSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

fn tag(keyed: &Hmac<Sha256>, text: impl AsRef<[u8]>) -> CtOutput<Hmac<Sha256>> {
    keyed.clone().chain_update(text).finalize()
}

#[cfg(test)]
mod tests;
