//! What must not be printed, and what must not be compared byte by byte.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// A text that no log, error or response ever shows: its `Debug` is redacted, and it has no `Display`.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Takes the text as it is.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that has to send it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// The secrets that a webhook may show: the current one, and the previous one while they are being rotated.
///
/// It keeps their HMAC-SHA256 under a key drawn at random when it is made, and never the secrets: so the comparison can
/// only be of HMACs, whose bytes tell neither the content nor the length of what was compared.
#[derive(Clone)]
pub struct WebhookSecrets {
    keyed: Hmac<Sha256>,
    tags: Vec<[u8; 32]>,
}

impl WebhookSecrets {
    /// Draws a key and keeps the secrets' HMACs. Fails if the operating system has no random bytes to give.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Result<Self, getrandom::Error> {
        let mut key = [0; 64];
        getrandom::fill(&mut key)?;
        let keyed = Hmac::<Sha256>::new(&key.into());
        let tags = secrets.into_iter().map(|secret| tag(&keyed, secret.expose().as_bytes())).collect();
        Ok(Self { keyed, tags })
    }

    /// Whether what a webhook shows is one of the secrets. Takes the same time whichever it is, and whether or not.
    #[must_use]
    pub fn include(&self, shown: &[u8]) -> bool {
        let mac = self.keyed.clone().chain_update(shown);
        self.tags.iter().fold(false, |found, tag| mac.clone().verify(tag.into()).is_ok() | found)
    }
}

impl fmt::Debug for WebhookSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

fn tag(keyed: &Hmac<Sha256>, text: &[u8]) -> [u8; 32] {
    keyed.clone().chain_update(text).finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(texts: &[&str]) -> WebhookSecrets {
        let secrets: Vec<Secret> = texts.iter().map(|text| Secret::new(*text)).collect();
        WebhookSecrets::new(&secrets).expect("random bytes")
    }

    #[test]
    fn only_the_very_secret_is_the_secret() {
        let secrets = secrets(&["open sesame"]);
        assert!(secrets.include(b"open sesame"));
        let wrong: [&[u8]; 9] = [
            b"",
            b"o",
            b"open sesam",
            b"open sesamE",
            b"Open sesame",
            b"open sesame ",
            b" open sesame",
            b"open sesame\0",
            b"open sesameopen sesame",
        ];
        for shown in wrong {
            assert!(!secrets.include(shown), "{:?}", String::from_utf8_lossy(shown));
        }
    }

    #[test]
    fn no_guess_of_very_many_is_the_secret() {
        let secrets = secrets(&["open sesame"]);
        // So many that a comparison of only the first two bytes would let one through.
        assert!((0..300_000_u32).all(|guess| !secrets.include(&guess.to_be_bytes())));
    }

    #[test]
    fn while_secrets_are_rotated_both_are_taken() {
        let both = secrets(&["new", "old"]);
        assert!(both.include(b"new") && both.include(b"old"));
        assert!(!both.include(b"newold") && !both.include(b""));
    }

    #[test]
    fn no_secret_at_all_lets_nobody_in() {
        assert!(!secrets(&[]).include(b""));
    }

    /// Comparing takes a time that tells nothing as long as what is compared is an HMAC under a key that nobody
    /// knows: the secret itself is not there to be compared, and no two processes compare the same bytes.
    #[test]
    fn what_is_compared_is_never_the_secret_and_never_the_same_twice() {
        let text = "a secret of thirty-two bytes....";
        let (one, other) = (secrets(&[text]), secrets(&[text]));
        assert_ne!(one.tags[0], text.as_bytes());
        assert_ne!(one.tags, other.tags);
        assert_eq!(one.tags[0], tag(&one.keyed, text.as_bytes()));
        assert_ne!(one.tags[0], tag(&other.keyed, text.as_bytes()));
        assert_ne!(
            one.tags[0],
            <[u8; 32]>::from(<Sha256 as sha2::Digest>::digest(text)),
            "keyed, not a bare digest"
        );
    }

    #[test]
    fn debug_output_is_redacted() {
        assert_eq!(
            format!("{:?} {:?}", Secret::new("hf_token"), secrets(&["hook"])),
            "[redacted] [redacted]"
        );
    }
}
