//! Which requests no rule may decide, because a text in them can be read in more than one way, or because they are too large.

use crate::model::{AccessRequest, User};

use super::{MAX_LIST, MAX_NAME, MAX_TEXT};

/// The longest domain that the domain name system allows, and what mail allows before the `@` (RFC 5321), in bytes.
const MAX_DOMAIN: usize = 253;
const MAX_LOCAL_PART: usize = 64;

/// The longest e-mail address that can be read.
pub(super) const MAX_ADDRESS: usize = MAX_LOCAL_PART + 1 + MAX_DOMAIN;

/// Why no rule may decide a request, if so. The text repeats nothing that the requester wrote.
pub(super) fn doubt(request: &AccessRequest) -> Option<&'static str> {
    request.doubt.or_else(|| excess(request)).or_else(|| {
        let email = request.user.email.as_deref()?;
        domain(email).is_none().then_some("its e-mail address cannot be read")
    })
}

/// In what respect a request is larger than the checks at start-up assume.
fn excess(request: &AccessRequest) -> Option<&'static str> {
    let AccessRequest { request_id: _, user, requested_at: _, fields, doubt: _ } = request;
    let User { id, name, fullname, email, pro: _, verified_orgs, orgs } = user;
    let lists = || [verified_orgs, orgs].into_iter().flatten();
    if fields.len() > MAX_LIST {
        return Some("it has more than 300 answers");
    }
    if lists().any(|list| list.len() > MAX_LIST) {
        return Some("its user has more than 300 organizations");
    }
    if lists().flatten().chain(name).any(|name| name.len() > MAX_NAME) {
        return Some("the name of its user or of an organization is longer than 200 bytes");
    }
    let texts = [id, name, fullname, email].into_iter().flatten();
    let texts = texts.chain(fields.iter().flat_map(|(label, answer)| [label, answer]));
    let bytes: usize = texts.map(String::len).sum();
    (bytes > MAX_TEXT).then_some("its texts have more than 100 KB altogether")
}

/// The domain of an e-mail address in lower case, or nothing if the address cannot be read.
///
/// Mail allows more than this: quotes, comments, several addresses, domains in brackets. Programs disagree about where the
/// domain of such an address begins, so a person has to look.
pub(super) fn domain(email: &str) -> Option<String> {
    let (local, domain) = email.split_once('@')?;
    // RFC 5322, `atext`. Letters of other scripts are allowed too (RFC 6532); blanks and characters that show nothing are no letters.
    let is_legible = |c: char| c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
    // Underscores are not allowed in host names, but some mail servers have them.
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    let is_readable = (1..=MAX_LOCAL_PART).contains(&local.len())
        && local.chars().all(is_legible)
        && domain.len() <= MAX_DOMAIN
        && domain.split('.').all(is_label);
    is_readable.then(|| domain.to_ascii_lowercase())
}
