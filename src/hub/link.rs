//! The `Link` header of RFC 8288, of which paging needs the target of `rel="next"`.

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderValue, LINK};

use super::Problem;
use crate::secret::{Secret, shown};

/// Where the next page is, if an answer says that there is one. It has to be of the same list as `page`: the token is for
/// one origin, and the policy was asked about one repo. The Hub may spell that repo in another case. An error shows where
/// the page is said to be, but none of `secrets`.
pub(super) fn next_of_list(
    answer: &HeaderMap,
    page: &Url,
    secrets: &[Secret],
) -> Result<Option<Url>, Problem> {
    let next = next(answer.get_all(LINK), page)?;
    let is_foreign =
        |next: &&Url| next.origin() != page.origin() || !next.path().eq_ignore_ascii_case(page.path());
    if let Some(next) = next.as_ref().filter(is_foreign) {
        let place = format!("{}{}", next.origin().ascii_serialization(), next.path());
        return Err(Problem::ForeignPage(shown(&place, secrets)));
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

/// The URL of the first page of the same list as `page`, with the same `limit` and one more parameter.
pub(crate) fn list_from(page: &Url, parameter: &str, value: &str) -> Url {
    let mut first = page.clone();
    let limit = limit(page).unwrap_or(super::PAGE).to_string();
    first.query_pairs_mut().clear().append_pair("limit", &limit).append_pair(parameter, value);
    first
}

/// Where the next page is, if these headers say that there is one. A target may be relative to `page`.
fn next<'a>(headers: impl IntoIterator<Item = &'a HeaderValue>, page: &Url) -> Result<Option<Url>, Problem> {
    for header in headers {
        // What is not ASCII may stand within quotes, where nothing of it matters here.
        if let Some(target) = target_of_next(&String::from_utf8_lossy(header.as_bytes())) {
            let url =
                Some(target).filter(|target| target.is_ascii()).and_then(|target| page.join(target).ok());
            let no_url = || Problem::Unreadable("the next page's URL is not one".to_owned());
            return url.ok_or_else(no_url).map(Some);
        }
    }
    Ok(None)
}

/// The target of the first link of a `Link` header that has the relation `next`.
fn target_of_next(mut header: &str) -> Option<&str> {
    while let Some((_, rest)) = header.split_once('<') {
        let (target, rest) = rest.split_once('>')?;
        let end = end_of_parameters(rest);
        // Of several `rel` only the first one counts.
        let relations = parameters(&rest[..end]).find(|(name, _)| name.eq_ignore_ascii_case("rel"));
        if relations.is_some_and(|(_, relations)| names_next(&relations)) {
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

/// The parameters `name=value` of one of the members of a header. One without a value has an empty one.
pub(super) fn parameters(text: &str) -> impl Iterator<Item = (&str, String)> {
    split_outside_quotes(text, ';').map(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        (name.trim(), unquoted(value.trim()))
    })
}

/// A value without its quotes, and without what marks a character within them as one that is meant.
fn unquoted(value: &str) -> String {
    let Some(quoted) = value.strip_prefix('"') else { return value.to_owned() };
    let (mut text, mut characters) = (String::new(), quoted.chars());
    while let Some(character) = characters.next() {
        match character {
            '"' => break,
            '\\' => text.extend(characters.next()),
            other => text.push(other),
        }
    }
    text
}

pub(super) fn split_outside_quotes(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |c| {
        let is_meant = escaped;
        escaped = quoted && !is_meant && c == '\\';
        quoted ^= c == '"' && !is_meant;
        c == separator && !quoted
    })
}

/// A `rel` may name several relations, separated by white space.
fn names_next(relations: &str) -> bool {
    relations.split_ascii_whitespace().any(|relation| relation.eq_ignore_ascii_case("next"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::{Index, select};

    use super::*;
    use crate::properties::often;

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
            (r#"<https://hub/p?c=2>; title="\"; rel=prev"; rel="ne\xt""#, Some("https://hub/p?c=2")),
            (r#"<https://hub/p?c=2>; title="\\"; rel=next"#, Some("https://hub/p?c=2")),
            (r#"<https://hub/p?c=1>; title="\", <https://hub/p?c=2>; rel=next"#, None),
            ("<https://hub/p?c=1>; rel=prev; rel=next", None),
            ("<https://hub/p?c=1>; rel; rel=next", None),
            ("<https://hub/p?c=2>; crossorigin; rel=next", Some("https://hub/p?c=2")),
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
        let page = Url::parse("https://hub/list").expect("a URL");
        for header in ["<http://[>; rel=next".as_bytes(), b"<https://hub/p?c=\xe9>; rel=next"] {
            let header = HeaderValue::from_bytes(header).expect("a header");
            assert!(next([&header], &page).is_err(), "{header:?}");
        }
    }

    #[test]
    fn where_another_list_is_said_to_be_is_told_without_the_token() {
        let page = Url::parse("https://hub/list").expect("a URL");
        let header = HeaderValue::from_static("<https://hub/other/hf_token>; rel=next");
        let headers = [(LINK, header)].into_iter().collect();
        let told = next_of_list(&headers, &page, &[Secret::new("hf_token")]);
        assert_eq!(told, Err(Problem::ForeignPage("https://hub/other/[redacted]".to_owned())));
    }

    #[test]
    fn next_page_may_spell_the_repo_in_another_case() {
        let page = Url::parse("https://hub/api/models/acme/model/list").expect("a URL");
        let header = HeaderValue::from_static("</api/models/Acme/Model/list?c=2>; rel=next");
        let next = next_of_list(&[(LINK, header)].into_iter().collect(), &page, &[Secret::new("hf_token")]);
        let expected = Url::parse("https://hub/api/models/Acme/Model/list?c=2").expect("a URL");
        assert_eq!(next, Ok(Some(expected)));
    }

    /// A piece of a header, and what it means.
    fn parameter() -> impl Strategy<Value = (String, Option<String>)> {
        let relation = select(&["next", "prev", "NEXT", "https://rels.example/next", "nextish"][..]);
        let relations = prop::collection::vec(relation, 1..4).prop_map(|relations| relations.join(" "));
        let other = "(title|type|x\\*?)( ?= ?([a-z!#$&+.^_`|~-]{1,5}|\"([ !#-\\[\\]-~\t\u{e9}]|[,;<>=]|\\\\[ -~]){0,8}\"))?";
        prop_oneof![
            (relations, select(&["rel", "REL", "Rel"][..]), any::<bool>(), any::<Index>()).prop_map(
                |(meant, name, quoted, escaped)| {
                    let place = escaped.index(meant.len());
                    let value = if quoted || meant.contains([' ', ':']) {
                        format!("\"{}\\{}\"", &meant[..place], &meant[place..])
                    } else {
                        meant.clone()
                    };
                    (format!("{name}={value}"), Some(meant))
                }
            ),
            other.prop_map(|text| (text, None)),
            Just((String::new(), None)),
        ]
    }

    /// A link as RFC 8288 has it, and its target if that is the next page.
    fn link() -> impl Strategy<Value = (String, Option<String>)> {
        let target = "(https://hub/list|/list|/other|)\\?[a-z0-9=&,;%]{0,6}";
        let space = || select(&["", " ", "\t", "  "][..]);
        let parameters = prop::collection::vec((space(), space(), parameter()), 0..5);
        (target, parameters, space()).prop_map(|(target, parameters, end)| {
            let relations = parameters.iter().find_map(|(_, _, (_, relations))| relations.as_deref());
            let is_next = relations.is_some_and(|relations| {
                relations.split(' ').any(|relation| matches!(relation, "next" | "NEXT"))
            });
            let written =
                parameters.iter().map(|(before, after, (text, _))| format!("{before};{after}{text}"));
            let text = format!("<{target}>{}{end}", written.collect::<String>());
            (text, is_next.then_some(target))
        })
    }

    proptest! {
        #![proptest_config(often())]

        #[test]
        fn what_rfc_8288_allows_is_read_as_it_is_meant(
            headers in prop::collection::vec(prop::collection::vec(link(), 0..4), 0..3),
            separator in select(&[",", ", ", " ,\t", ",,"][..]),
        ) {
            let page = Url::parse("https://hub/list?c=1").expect("a URL");
            let expected = headers.iter().flatten().find_map(|(_, next)| next.as_deref());
            let expected = expected.map(|target| page.join(target).expect("a URL"));
            let headers: Vec<_> = headers
                .iter()
                .map(|links| links.iter().map(|(text, _)| &**text).collect::<Vec<_>>().join(separator))
                .map(|text| HeaderValue::from_bytes(text.as_bytes()).expect("a header"))
                .collect();
            prop_assert_eq!(next(&headers, &page).expect("a URL or none"), expected);
        }

        #[test]
        fn whatever_else_is_in_it_is_survived_and_leads_to_no_other_list(
            text in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..60),
                "[<>;,=\"\\\\ relnxthub:/?\u{e9}]{0,60}".prop_map(String::into_bytes),
                "<(https?:|//|hub|list|evil|[:/?#@.\\\\]|\\.\\.|%2e){0,6}>; rel=next".prop_map(String::into_bytes),
            ],
        ) {
            let page = Url::parse("https://hub/list?c=1").expect("a URL");
            let headers = HeaderValue::from_bytes(&text).into_iter().map(|value| (LINK, value)).collect();
            if let Ok(Some(next)) = next_of_list(&headers, &page, &[Secret::new("hf_token")]) {
                prop_assert_eq!(next.origin(), page.origin());
                prop_assert!(next.path().eq_ignore_ascii_case(page.path()));
            }
        }
    }
}
