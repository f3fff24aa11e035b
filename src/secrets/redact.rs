//! Texts from outside, such as error messages of the Hub and of AWS, made fit to be shown.

use super::Secret;

/// The minimum length in bytes of a secret that is redacted. A shorter one may be part of any text.
const MIN_REDACTED_BYTES: usize = 4;

/// The maximum length of a redacted text, in characters.
const MAX_CHARS: usize = 300;

/// Makes a text from outside fit to be shown: on one line, at most 300 characters long, without these secrets and without e-mail
/// addresses. Case is ignored, as mail ignores it in the secret of an address.
pub(crate) fn redact(text: &str, secrets: &[Secret]) -> String {
    let mut text = text.to_owned();
    for secret in secrets.iter().map(Secret::expose).filter(|secret| secret.len() >= MIN_REDACTED_BYTES) {
        text = without(&text, secret);
    }
    let mut line = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(if may_be_address(word) { "[redacted]" } else { word });
    }
    if let Some((end, _)) = line.char_indices().nth(MAX_CHARS) {
        line.truncate(end);
        line.push('…');
    }
    line
}

/// The text with `[redacted]` in the place of the secret. No copy of the secret is made.
fn without(mut text: &str, secret: &str) -> String {
    let mut shown = String::new();
    let is_secret = |bytes: &[u8]| bytes.eq_ignore_ascii_case(secret.as_bytes());
    while let Some(start) = text.as_bytes().windows(secret.len()).position(is_secret) {
        shown += &text[..start];
        shown += "[redacted]";
        text = &text[start + secret.len()..];
    }
    shown + text
}

/// Whether the word has an `@`, either plain or as it is escaped in URLs and HTML.
fn may_be_address(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    ["@", "%40", "&#64;", "&#x40;", "&commat;"].iter().any(|at| word.contains(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_is_redacted_in_any_case() {
        let secrets = [Secret::new("look-here-4f9a2c7d1b"), Secret::new("hf_ä"), Secret::new("abc")];
        let shown = redact("«Look-Here-4F9A2C7D1B» and look-here-4f9a2c7d1bHF_äöABC", &secrets);
        assert_eq!(shown, "«[redacted]» and [redacted][redacted]öABC");
    }

    #[test]
    fn address_is_redacted_in_each_spelling_of_its_at_sign() {
        for at in ["@", "%40", "&#64;", "&#x40;", "&#X40;", "&commat;"] {
            assert_eq!(redact(&format!("no ada{at}acme.com here"), &[]), "no [redacted] here", "{at}");
        }
        assert_eq!(redact("40% of #64 commat 40", &[]), "40% of #64 commat 40");
    }
}
