//! What must not be printed, and what must not be compared byte by byte.

use std::fmt;

use hmac::digest::CtOutput;
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

    /// Takes a text that can stand in a header, without the white space around it. The error does not show it.
    pub fn for_header(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.is_empty() {
            return Err("it is empty".to_owned());
        }
        if !text.chars().all(|c| c.is_ascii_graphic() || c == ' ') {
            return Err(
                "it holds a character that is not printable ASCII, and the Hub takes no other".to_owned()
            );
        }
        Ok(Self::new(text))
    }

    /// Whether it is the same as another of ours. What a stranger shows is compared by [`WebhookSecrets`].
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.0 == other.0
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
/// only be of HMACs, whose bytes tell neither the content nor the length of what was compared. And it keeps them as
/// [`CtOutput`], which compares in constant time and in no other way.
#[derive(Clone)]
pub struct WebhookSecrets {
    keyed: Hmac<Sha256>,
    tags: Vec<CtOutput<Hmac<Sha256>>>,
}

impl WebhookSecrets {
    /// Draws a key and keeps the secrets' HMACs. Fails if the operating system has no random bytes to give.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Result<Self, getrandom::Error> {
        let mut key = [0; 64];
        getrandom::fill(&mut key)?;
        let keyed = Hmac::<Sha256>::new(&key.into());
        let tags = secrets.into_iter().map(|secret| tag(&keyed, secret.expose())).collect();
        Ok(Self { keyed, tags })
    }

    /// Whether what a webhook shows is one of the secrets. Takes the same time whichever it is, and whether or not.
    #[must_use]
    pub fn include(&self, shown: &[u8]) -> bool {
        let shown = tag(&self.keyed, shown);
        self.tags.iter().filter(|tag| **tag == shown).count() > 0
    }
}

impl fmt::Debug for WebhookSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

fn tag(keyed: &Hmac<Sha256>, text: impl AsRef<[u8]>) -> CtOutput<Hmac<Sha256>> {
    keyed.clone().chain_update(text).finalize()
}

/// Secrets that are shorter than this are words that a text may have for another reason.
const SHORTEST_REDACTED: usize = 4;

/// A text from outside as it may be shown: on one line, not too long, without these secrets and without e-mail addresses.
pub(crate) fn shown(text: &str, secrets: &[Secret]) -> String {
    let mut text = text.to_owned();
    for Secret(secret) in secrets.iter().filter(|Secret(secret)| secret.len() >= SHORTEST_REDACTED) {
        text = text.replace(secret, "[redacted]");
    }
    let mut line = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(if may_be_address(word) { "[redacted]" } else { word });
    }
    if let Some((end, _)) = line.char_indices().nth(300) {
        line.truncate(end);
        line.push('…');
    }
    line
}

/// Whether there is an `@` in it, as it is or as URLs and HTML write it.
fn may_be_address(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    ["@", "%40", "&#64;", "&#x40;", "&commat;"].iter().any(|at| word.contains(at))
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
    /// knows, by a type that compares in constant time. Each of the following keeps one part of that true.
    #[test]
    fn no_two_processes_compare_the_same_bytes() {
        let (one, other) = (secrets(&["open sesame"]), secrets(&["open sesame"]));
        assert!(one.tags[0] != other.tags[0]);
        let digest = <Sha256 as sha2::Digest>::digest("open sesame");
        assert!(one.tags[0] != CtOutput::new(digest), "keyed, not a bare digest");
    }

    #[test]
    fn what_is_compared_is_the_kept_tag_under_the_kept_key_and_every_byte_of_it() {
        let right = secrets(&["open sesame"]);
        let mut other_key = right.clone();
        other_key.keyed = secrets(&[]).keyed;
        assert!(!other_key.include(b"open sesame"));
        let bytes = right.tags[0].clone().into_bytes();
        for place in 0..bytes.len() {
            let mut wrong = right.clone();
            let mut bytes = bytes;
            bytes[place] ^= 1;
            wrong.tags = vec![CtOutput::new(bytes)];
            assert!(!wrong.include(b"open sesame"), "byte {place}");
        }
    }

    #[test]
    fn no_tag_is_compared_but_by_the_type_that_does_it_in_constant_time() {
        let kept: &[CtOutput<Hmac<Sha256>>] = &secrets(&["open sesame"]).tags;
        assert_eq!(kept.len(), 1);
        let (production, _) = include_str!("secret.rs").split_once("#[cfg(test)]").expect("tests");
        for way_out in ["into_bytes", "as_bytes", "as_slice", "to_vec", "unsafe"] {
            assert!(!production.contains(way_out), "a tag's bytes are taken out with {way_out}");
        }
    }

    #[test]
    fn a_secret_is_another_of_ours_if_it_is_the_same_text() {
        let token = Secret::new("hf_token");
        assert!(token.is(&Secret::new("hf_token")) && !token.is(&Secret::new("hf_other")));
    }

    #[test]
    fn an_address_is_redacted_however_its_at_sign_is_written() {
        for at in ["@", "%40", "&#64;", "&#x40;", "&#X40;", "&commat;"] {
            assert_eq!(shown(&format!("no ada{at}acme.com here"), &[]), "no [redacted] here", "{at}");
        }
        assert_eq!(shown("40% of #64 commat 40", &[]), "40% of #64 commat 40");
    }

    #[test]
    fn debug_output_is_redacted() {
        assert_eq!(
            format!("{:?} {:?}", Secret::new("hf_token"), secrets(&["hook"])),
            "[redacted] [redacted]"
        );
    }
}
