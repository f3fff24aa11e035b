//! Finds unreadable requests: a text in them can be read in more than one way, or they are too large. They are held, and no
//! rule is evaluated.

use crate::model::{AccessRequest, MAX_LIST, MAX_NAME, MAX_TEXT, User};

/// The maximum length of a domain in the domain name system, in bytes.
pub(super) const MAX_DOMAIN: usize = 253;

/// The maximum length of the part of an e-mail address before the `@` (RFC 5321), in bytes.
const MAX_LOCAL_PART: usize = 64;

/// The maximum length of a readable e-mail address, in bytes.
pub(super) const MAX_ADDRESS: usize = MAX_LOCAL_PART + 1 + MAX_DOMAIN;

/// Why a request is unreadable, if it is. The text contains nothing that the requester wrote.
pub(super) fn why_unreadable(request: &AccessRequest) -> Option<&'static str> {
    request.unreadable.or_else(|| why_too_large(request)).or_else(|| {
        let email = request.user.email.as_deref()?;
        domain(email).is_none().then_some("the e-mail address cannot be read")
    })
}

/// Why a request is larger than the checks at start-up assume, if it is.
fn why_too_large(request: &AccessRequest) -> Option<&'static str> {
    let AccessRequest { request_id: _, user, requested_at: _, fields, unreadable: _ } = request;
    let User { id, name, fullname, email, pro: _, verified_orgs, orgs, service_account } = user;
    let lists = || [verified_orgs, orgs].into_iter().flatten();
    if fields.len() > MAX_LIST {
        return Some("the request has more than 300 answers");
    }
    if lists().any(|list| list.len() > MAX_LIST) {
        return Some("the user has more than 300 organizations");
    }
    if lists().flatten().chain(name).chain(service_account).any(|name| name.len() > MAX_NAME) {
        return Some("the name of the user or of an organization is longer than 200 bytes");
    }
    let texts = [id, name, fullname, email].into_iter().flatten();
    let texts = texts.chain(fields.iter().flat_map(|(label, answer)| [label, answer]));
    let bytes: usize = texts.map(String::len).sum();
    (bytes > MAX_TEXT).then_some("the texts of the request have more than 100 KB in total")
}

/// The domain of an e-mail address in lower case, or nothing if the address is unreadable.
///
/// Mail allows more addresses than this: quotes, comments, several addresses, domains in brackets. But programs disagree
/// about where the domain of such an address begins, so a person has to decide.
pub(super) fn domain(email: &str) -> Option<String> {
    let (local, domain) = email.split_once('@')?;
    // RFC 5322, `atext`, and letters of other scripts (RFC 6532). White space and invisible characters are not letters.
    let is_allowed = |c: char| c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
    let is_readable =
        (1..=MAX_LOCAL_PART).contains(&local.len()) && local.chars().all(is_allowed) && is_domain(domain);
    is_readable.then(|| domain.to_ascii_lowercase())
}

/// Whether a text has the form of a readable domain.
pub(super) fn is_domain(text: &str) -> bool {
    // Host names do not allow underscores, but the domains of some mail servers contain them.
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    text.len() <= MAX_DOMAIN && text.split('.').all(is_label)
}
