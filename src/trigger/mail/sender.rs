//! The senders whose mails may prompt a look.

use std::str::FromStr;

/// The senders that are accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MailFrom {
    /// Anybody. Only the secret in the recipient's address protects from mails of others.
    Any,
    /// The senders of this domain and of its subdomains, as DMARC shows.
    Domain(Domain),
}

/// The domain of a mail address, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain(String);

impl Default for MailFrom {
    /// The domain of the Hub. Its notifications come from `notifications.huggingface.co`, as others report.
    fn default() -> Self {
        Self::Domain(Domain("huggingface.co".to_owned()))
    }
}

impl Domain {
    /// Whether an address is of this domain or of a subdomain of it.
    pub(super) fn covers(&self, address: &str) -> bool {
        let domain = address.rsplit_once('@').map(|(_, domain)| domain.to_ascii_lowercase());
        domain.is_some_and(|domain| {
            domain.strip_suffix(&self.0).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        })
    }
}

impl FromStr for MailFrom {
    type Err = String;

    /// Reads `any` or a domain.
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "any" {
            return Ok(Self::Any);
        }
        let is_label =
            |label: &str| !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        if text.contains('.') && text.split('.').all(is_label) {
            return Ok(Self::Domain(Domain(text.to_ascii_lowercase())));
        }
        Err(format!("`{text}` is neither `any` nor a domain such as `huggingface.co`"))
    }
}

/// The address of the sender, if the field `From` holds exactly one and is in its plain form: `ada@acme.com`, `Ada <ada@acme.com>` or
/// `"Lovelace, Ada" <ada@acme.com>`. Any other form could hide a second address.
pub(super) fn only_address(from: &[String]) -> Option<&str> {
    let [from] = from else { return None };
    let from = from.trim();
    let (name, address) = match from.strip_suffix('>') {
        Some(rest) => rest.rsplit_once('<')?,
        None => ("", from),
    };
    let is_plain = |text: &str, not: &str| !text.chars().any(|c| c.is_control() || not.contains(c));
    let name = name.trim();
    let is_name = match name.strip_prefix('"').and_then(|name| name.strip_suffix('"')) {
        Some(quoted) => is_plain(quoted, "\"\\"),
        None => is_plain(name, "\"\\@,;:<>()"),
    };
    let (local, domain) = address.split_once('@')?;
    // A question mark could be part of an encoded word.
    let is_local = !local.is_empty() && local.is_ascii() && is_plain(local, "\"\\,;:<>()[]? ");
    let is_domain = domain.chars().all(|c| c.is_ascii_alphanumeric() || "-.".contains(c));
    (is_name && is_local && is_domain).then_some(address)
}
