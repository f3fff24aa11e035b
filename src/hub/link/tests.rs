use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;
use crate::properties::often;

#[test]
fn next_page_is_found_in_every_form_of_the_header() {
    let cases = [
        (r#"<https://hub/p?c=2>; rel="next""#, Some("https://hub/p?c=2")),
        ("<https://hub/p?c=2>; rel=next", Some("https://hub/p?c=2")),
        (r#"<https://hub/p?c=2>;rel="next""#, Some("https://hub/p?c=2")),
        (r#"<https://hub/p?c=2> ; REL = "NEXT""#, Some("https://hub/p?c=2")),
        (r#"<https://hub/p?c=2>; rel="last next""#, Some("https://hub/p?c=2")),
        (r#"<https://hub/p?c=2>; title="a, b; rel=prev"; rel="next""#, Some("https://hub/p?c=2")),
        (r#"<https://hub/p?c=1>; rel="prev", <https://hub/p?c=3>; rel="next""#, Some("https://hub/p?c=3")),
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
fn next_page_is_found_in_any_of_several_headers() {
    let headers = [r#"<https://hub/p?c=1>; rel="prev""#, r#"<https://hub/p?c=3>; rel="next""#]
        .map(|header| HeaderValue::from_str(header).expect("a header"));
    let page = Url::parse("https://hub/list").expect("a URL");
    let found = next(&headers, &page).expect("a URL or none");
    assert_eq!(found.as_ref().map(Url::as_str), Some("https://hub/p?c=3"));
}

#[test]
fn target_that_is_not_a_url_is_an_error() {
    let page = Url::parse("https://hub/list").expect("a URL");
    for header in ["<http://[>; rel=next".as_bytes(), b"<https://hub/p?c=\xe9>; rel=next"] {
        let header = HeaderValue::from_bytes(header).expect("a header");
        assert!(next([&header], &page).is_err(), "{header:?}");
    }
}

#[test]
fn link_to_another_list_is_an_error_without_the_token() {
    let page = Url::parse("https://hub/list").expect("a URL");
    let header = HeaderValue::from_static("<https://hub/other/hf_token>; rel=next");
    let headers = [(LINK, header)].into_iter().collect();
    let found = next_of_list(&headers, &page, &[Secret::new("hf_token")]);
    assert_eq!(found, Err(Problem::ForeignPage("https://hub/other/[redacted]".to_owned())));
}

#[test]
fn next_page_may_spell_the_repo_in_another_case() {
    let page = Url::parse("https://hub/api/models/acme/model/list").expect("a URL");
    let header = HeaderValue::from_static("</api/models/Acme/Model/list?c=2>; rel=next");
    let next = next_of_list(&[(LINK, header)].into_iter().collect(), &page, &[Secret::new("hf_token")]);
    let expected = Url::parse("https://hub/api/models/Acme/Model/list?c=2").expect("a URL");
    assert_eq!(next, Ok(Some(expected)));
}

/// A parameter as a header may contain it, and its relations if it is a `rel`.
fn parameter() -> impl Strategy<Value = (String, Option<String>)> {
    let relation = select(&["next", "prev", "NEXT", "https://rels.example/next", "nextish"][..]);
    let relations = prop::collection::vec(relation, 1..4).prop_map(|relations| relations.join(" "));
    let other = "(title|type|x\\*?)( ?= ?([a-z!#$&+.^_`|~-]{1,5}|\"([ !#-\\[\\]-~\t\u{e9}]|[,;<>=]|\\\\[ -~]){0,8}\"))?";
    prop_oneof![
        (relations, select(&["rel", "REL", "Rel"][..]), any::<bool>(), any::<Index>()).prop_map(
            |(relations, name, is_quoted, escaped)| {
                let place = escaped.index(relations.len());
                let value = if is_quoted || relations.contains([' ', ':']) {
                    format!("\"{}\\{}\"", &relations[..place], &relations[place..])
                } else {
                    relations.clone()
                };
                (format!("{name}={value}"), Some(relations))
            }
        ),
        other.prop_map(|text| (text, None)),
        Just((String::new(), None)),
    ]
}

/// A link as RFC 8288 allows it, and its target if its relation is `next`.
fn link() -> impl Strategy<Value = (String, Option<String>)> {
    let target = "(https://hub/list|/list|/other|)\\?[a-z0-9=&,;%]{0,6}";
    let space = || select(&["", " ", "\t", "  "][..]);
    let parameters = prop::collection::vec((space(), space(), parameter()), 0..5);
    (target, parameters, space()).prop_map(|(target, parameters, end)| {
        let relations = parameters.iter().find_map(|(_, _, (_, relations))| relations.as_deref());
        let is_next = relations.is_some_and(|relations| {
            relations.split(' ').any(|relation| matches!(relation, "next" | "NEXT"))
        });
        let written = parameters.iter().map(|(before, after, (text, _))| format!("{before};{after}{text}"));
        let text = format!("<{target}>{}{end}", written.collect::<String>());
        (text, is_next.then_some(target))
    })
}

proptest! {
    #![proptest_config(often())]

    #[test]
    fn every_link_of_rfc_8288_is_read_correctly(
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
    fn malformed_link_never_leads_to_another_list(
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
