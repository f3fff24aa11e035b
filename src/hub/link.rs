//! The `Link` header of RFC 8288, of which paging needs the target of `rel="next"`.

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderValue, LINK};

use super::Problem;
use crate::secret::shown;

/// Where the next page is, if an answer says that there is one. It has to be of the same list as `page`: the token is for
/// one origin, and the policy was asked about one repo.
pub(super) fn next_of_list(answer: &HeaderMap, page: &Url) -> Result<Option<Url>, Problem> {
    let next = next(answer.get_all(LINK), page)?;
    let is_foreign = |next: &&Url| next.origin() != page.origin() || next.path() != page.path();
    if let Some(next) = next.as_ref().filter(is_foreign) {
        let place = format!("{}{}", next.origin().ascii_serialization(), next.path());
        return Err(Problem::ForeignPage(shown(&place, None)));
    }
    Ok(next)
}

/// How many entries a page of a list is to have, where its URL says so.
pub(super) fn limit(page: &Url) -> Option<usize> {
    page.query_pairs().find_map(|(name, value)| (name == "limit").then(|| value.parse().ok())?)
}

/// The same page with so many entries.
pub(super) fn with_limit(page: &Url, limit: usize) -> Url {
    let mut changed = page.clone();
    let others = page.query_pairs().filter(|(name, _)| name != "limit");
    changed.query_pairs_mut().clear().extend_pairs(others).append_pair("limit", &limit.to_string());
    changed
}

/// Where the next page is, if these headers say that there is one. A target may be relative to `page`.
fn next<'a>(headers: impl IntoIterator<Item = &'a HeaderValue>, page: &Url) -> Result<Option<Url>, Problem> {
    for header in headers {
        let text =
            header.to_str().map_err(|_| Problem::Unreadable("a `Link` header is not ASCII".to_owned()))?;
        if let Some(target) = target_of_next(text) {
            let url = page.join(target);
            return url
                .map(Some)
                .map_err(|_| Problem::Unreadable("the next page's URL is not one".to_owned()));
        }
    }
    Ok(None)
}

/// The target of the first link of a `Link` header that has the relation `next`.
fn target_of_next(mut header: &str) -> Option<&str> {
    while let Some((_, rest)) = header.split_once('<') {
        let (target, rest) = rest.split_once('>')?;
        let end = end_of_parameters(rest);
        if parameters(&rest[..end]).any(|(name, value)| name.eq_ignore_ascii_case("rel") && names_next(value))
        {
            return Some(target.trim());
        }
        header = &rest[end..];
    }
    None
}

/// A link's parameters end at the comma before the next link; one within quotes does not count.
fn end_of_parameters(text: &str) -> usize {
    split_outside_quotes(text, ',').next().map_or(text.len(), str::len)
}

/// The parameters `name=value` of one of the members of a header, without the quotes of their values.
pub(super) fn parameters(text: &str) -> impl Iterator<Item = (&str, &str)> {
    split_outside_quotes(text, ';').filter_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        Some((name.trim(), value.trim().trim_matches('"')))
    })
}

pub(super) fn split_outside_quotes(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |c| {
        quoted ^= c == '"';
        c == separator && !quoted
    })
}

/// A `rel` may name several relations, separated by white space.
fn names_next(relations: &str) -> bool {
    relations.split_ascii_whitespace().any(|relation| relation.eq_ignore_ascii_case("next"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_found_however_the_header_is_written() {
        let cases = [
            (r#"<https://hub/p?c=2>; rel="next""#, Some("https://hub/p?c=2")),
            ("<https://hub/p?c=2>; rel=next", Some("https://hub/p?c=2")),
            (r#"<https://hub/p?c=2>;rel="next""#, Some("https://hub/p?c=2")),
            (r#"<https://hub/p?c=2> ; REL = "NEXT""#, Some("https://hub/p?c=2")),
            (r#"<https://hub/p?c=2>; rel="last next""#, Some("https://hub/p?c=2")),
            (r#"<https://hub/p?c=2>; title="a, b; rel=prev"; rel="next""#, Some("https://hub/p?c=2")),
            (
                r#"<https://hub/p?c=1>; rel="prev", <https://hub/p?c=3>; rel="next""#,
                Some("https://hub/p?c=3"),
            ),
            (r#"<https://hub/p?c=1,2;3>; rel="next""#, Some("https://hub/p?c=1,2;3")),
            (r#"</p?c=2>; rel="next""#, Some("https://hub/p?c=2")),
            (r#"<?c=2>; rel="next""#, Some("https://hub/list?c=2")),
            (r#"<https://hub/p?c=1>; rel="prev""#, None),
            (r#"<https://hub/p?c=1>; rel="nextish""#, None),
            (r#"<https://hub/p?c=1>; title="next""#, None),
            (r#"<https://hub/p?c=1>; title="rel=next""#, None),
            ("<https://hub/p?c=1>", None),
            ("https://hub/p?c=1; rel=next", None),
            ("<https://hub/p?c=1; rel=next", None),
            ("", None),
            ("<", None),
            ("<>", None),
            (",,;;", None),
        ];
        let page = Url::parse("https://hub/list").expect("a URL");
        for (header, expected) in cases {
            let header = HeaderValue::from_str(header).expect("a header");
            let found = next([&header], &page).expect("a URL or none");
            assert_eq!(found.as_ref().map(Url::as_str), expected, "{header:?}");
        }
    }

    #[test]
    fn it_may_stand_in_any_of_several_headers() {
        let headers = [r#"<https://hub/p?c=1>; rel="prev""#, r#"<https://hub/p?c=3>; rel="next""#]
            .map(|header| HeaderValue::from_str(header).expect("a header"));
        let page = Url::parse("https://hub/list").expect("a URL");
        let found = next(&headers, &page).expect("a URL or none");
        assert_eq!(found.as_ref().map(Url::as_str), Some("https://hub/p?c=3"));
    }

    #[test]
    fn a_target_that_is_no_url_is_an_error() {
        let header = HeaderValue::from_static("<http://[>; rel=next");
        let page = Url::parse("https://hub/list").expect("a URL");
        assert!(next([&header], &page).is_err());
    }
}
