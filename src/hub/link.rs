//! The `Link` header of RFC 8288. Paging needs the target of `rel="next"`. [`super::parameters`] says why we parse it ourselves.

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderValue, LINK};

use super::Problem;
use super::parameters::{parameters, split_outside_quotes};
use crate::secrets::{Secret, redact};

/// The URL of the next page, if the headers of a response link to one.
///
/// The next page has to be of the same list as `page`, because the token is for one origin and the policy for one repo. The path
/// is compared without its case, because the Hub may spell the repo in another case. The error shows where a foreign link leads,
/// without `secrets`.
pub(super) fn next_of_list(
    headers: &HeaderMap,
    page: &Url,
    secrets: &[Secret],
) -> Result<Option<Url>, Problem> {
    let next = next(headers.get_all(LINK), page)?;
    let is_foreign =
        |next: &&Url| next.origin() != page.origin() || !next.path().eq_ignore_ascii_case(page.path());
    if let Some(next) = next.as_ref().filter(is_foreign) {
        let target = format!("{}{}", next.origin().ascii_serialization(), next.path());
        return Err(Problem::ForeignPage(redact(&target, secrets)));
    }
    Ok(next)
}

/// The parameter `limit` of a page's URL: the most entries of the page.
pub(super) fn limit(page: &Url) -> Option<usize> {
    page.query_pairs().find_map(|(name, value)| (name == "limit").then(|| value.parse().ok())?)
}

/// The URL of the same page with another `limit`.
pub(super) fn with_limit(page: &Url, limit: usize) -> Url {
    let mut changed = page.clone();
    let others = page.query_pairs().filter(|(name, _)| name != "limit");
    changed.query_pairs_mut().clear().extend_pairs(others).append_pair("limit", &limit.to_string());
    changed
}

/// The URL of the first page of the same list as `page`, with the same `limit` and one more parameter.
pub(crate) fn first_page_from(page: &Url, parameter: &str, value: &str) -> Url {
    let mut first = page.clone();
    let limit = limit(page).unwrap_or(super::MAX_PAGE).to_string();
    first.query_pairs_mut().clear().append_pair("limit", &limit).append_pair(parameter, value);
    first
}

/// The first target with the relation `next` in these `Link` headers. The target may be relative to `page`.
fn next<'a>(headers: impl IntoIterator<Item = &'a HeaderValue>, page: &Url) -> Result<Option<Url>, Problem> {
    for header in headers {
        // Characters outside ASCII are allowed within quotes, where they do not matter.
        if let Some(target) = target_of_next(&String::from_utf8_lossy(header.as_bytes())) {
            let url =
                Some(target).filter(|target| target.is_ascii()).and_then(|target| page.join(target).ok());
            let invalid = || Problem::Unreadable("its link to the next page is not a valid URL".to_owned());
            return url.ok_or_else(invalid).map(Some);
        }
    }
    Ok(None)
}

/// The target of the first link of a `Link` header that has the relation `next`.
fn target_of_next(mut header: &str) -> Option<&str> {
    while let Some((_, rest)) = header.split_once('<') {
        let (target, rest) = rest.split_once('>')?;
        let end = end_of_parameters(rest);
        // If a link has several `rel`, only the first one counts (RFC 8288, section 3.3).
        let relations = parameters(&rest[..end]).find(|(name, _)| name.eq_ignore_ascii_case("rel"));
        if relations.is_some_and(|(_, relations)| contains_next(&relations)) {
            return Some(target.trim());
        }
        header = &rest[end..];
    }
    None
}

/// The end of the parameters of a link: the comma before the next link. A comma within quotes does not count.
fn end_of_parameters(text: &str) -> usize {
    split_outside_quotes(text, ',').next().map_or(text.len(), str::len)
}

/// Whether one of the relations of a `rel` is `next`. They are separated by white space.
fn contains_next(relations: &str) -> bool {
    relations.split_ascii_whitespace().any(|relation| relation.eq_ignore_ascii_case("next"))
}

#[cfg(test)]
mod tests;
