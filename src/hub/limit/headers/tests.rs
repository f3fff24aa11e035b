use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;
use crate::properties::often;

pub(in crate::hub) const LIMIT: &str = "ratelimit";
pub(in crate::hub) const POLICY: &str = "ratelimit-policy";

pub(in crate::hub) fn headers(headers: &[(&'static str, &str)]) -> HeaderMap {
    let parse = |(name, value): &(&'static str, &str)| {
        (name.parse().expect("a name"), value.parse().expect("a value"))
    };
    headers.iter().map(parse).collect()
}

fn read(values: &[(&'static str, &str)]) -> RateLimitHeaders {
    let now = httpdate::parse_http_date("Sun, 22 Nov 2026 12:00:00 GMT").expect("a date");
    let mut limits = RateLimitHeaders::read(&headers(values), now, Bucket::Api);
    limits.retry_after = limits.retry_after.map(|time| Duration::from_secs(time.as_secs()));
    limits
}

#[test]
fn limit_is_read_in_every_form() {
    let policy = r#""fixed window";"api";q=1000;w=300"#;
    let cases = [
        (r#""api";r=999;t=120"#, Some(999), Some(120)),
        (r#" "api" ; r = 0 ; t = 55 "#, Some(0), Some(55)),
        (r#""api";t=55;R=7"#, Some(7), Some(55)),
        (r#""api";r=7"#, Some(7), Some(300)),
        (r#""api";r=50;t=9, "pages";r=3;t=20"#, Some(50), Some(9)),
        (r#""resolvers";r=3;t=20"#, None, Some(300)),
        (r#""api";r=50;t=9, "moderation";r=3;t=20"#, Some(3), Some(20)),
        (r#""a;r=1;t=1,b";r=50;t=9"#, Some(50), Some(9)),
        (r#""a\";r=1;t=1,b\\";r=50;t=9"#, Some(50), Some(9)),
        (r#""api";r=1;r=50;reset;t=9"#, Some(50), Some(9)),
        (r#""api";r=99999999999999999999;t=99999999999999999999"#, Some(u32::MAX), Some(3600)),
        (r#""api";r=-1;t=5"#, None, Some(300)),
        (r#""api";r=1.5;t=5"#, None, Some(300)),
        (r#""api";r=;t=5"#, None, Some(300)),
        ("", None, Some(300)),
        (";;=,,\";", None, Some(300)),
    ];
    for (limit, left, ends_in) in cases {
        let quota = Some((1000, seconds(300)));
        let expected = RateLimitHeaders { left, ends_in: ends_in.map(seconds), quota, retry_after: None };
        assert_eq!(read(&[(LIMIT, limit), (POLICY, policy)]), expected, "{limit}");
    }
    assert_eq!(
        read(&[(LIMIT, r#""api";r=7"#)]),
        RateLimitHeaders { left: Some(7), ends_in: Some(seconds(1)), ..RateLimitHeaders::default() }
    );
    let several = read(&[(LIMIT, r#""a";r=0;t=1, "b";r=0;t=300"#)]);
    assert_eq!((several.left, several.ends_in), (Some(0), Some(seconds(300))));
    assert_eq!(read(&[(POLICY, r#""api";w=300"#), (POLICY, "q=5;w=10")]).quota, Some((5, seconds(10))));
}

#[test]
fn retry_after_is_read_as_seconds_or_as_a_date() {
    let cases = [
        ("120", Some(120)),
        (" 0 ", Some(0)),
        ("Sun, 22 Nov 2026 12:01:30 GMT", Some(90)),
        ("Sunday, 22-Nov-26 12:01:30 GMT", Some(90)),
        ("Sun Nov 22 12:01:30 2026", Some(90)),
        ("Sun, 22 Nov 2026 11:00:00 GMT", Some(0)),
        ("Fri, 31 Dec 9999 23:59:59 GMT", Some(3600)),
        ("99999999999999999999", Some(3600)),
        ("-1", None),
        ("soon", None),
        ("", None),
    ];
    for (text, expected) in cases {
        assert_eq!(read(&[("retry-after", text)]).retry_after, expected.map(seconds), "{text}");
    }
}

/// The name of a limit: a string of RFC 8941.
const NAME: &str = "\"([ !#-\\[\\]-~]|\\\\[\"\\\\]){0,8}\"";

/// A limit as the IETF's draft allows it, with its `r` and `t`. It is a string with parameters, and may have other parameters
/// too.
fn limit() -> impl Strategy<Value = (String, u32, Option<u32>)> {
    let other =
        select(&["pk=:cj0xO3Q9Mg==:", "x", "y=\"a;r=1,b\\\"c;t=1\"", "z=?1", "k=tok/en:r", "d=-0.5"][..]);
    let others = prop::collection::vec((any::<Index>(), other), 0..3);
    let times = prop_oneof![any::<u32>(), 0..4000_u32];
    (NAME, any::<u32>(), prop::option::of(times), others, any::<bool>()).prop_map(
        |(name, r, t, others, is_reversed)| {
            let mut parameters = vec![format!("r={r}")];
            parameters.extend(t.map(|t| format!("t={t}")));
            if is_reversed {
                parameters.reverse();
            }
            for (place, other) in others {
                parameters.insert(place.index(parameters.len() + 1), other.to_owned());
            }
            let separator = if is_reversed { "; " } else { ";" };
            (format!("{name}{separator}{}", parameters.join(separator)), r, t)
        },
    )
}

proptest! {
    #![proptest_config(often())]

    #[test]
    fn every_limit_of_the_ietf_draft_is_read_correctly(
        limits in prop::collection::vec(limit(), 1..4),
        separator in select(&[",", ", ", " ,\t"][..]),
        in_one in any::<bool>(),
    ) {
        let strictest = limits.iter().map(|(_, r, t)| (*r, Reverse(t.map(seconds)))).min();
        let (left, Reverse(ends_in)) = strictest.expect("a limit");
        let texts: Vec<&str> = limits.iter().map(|(text, ..)| &**text).collect();
        let one = texts.join(separator);
        let given: Vec<_> = if in_one {
            vec![(LIMIT, &*one)]
        } else {
            texts.into_iter().map(|text| (LIMIT, text)).collect()
        };
        let expected = (Some(left), Some(ends_in.unwrap_or(MIN_PAUSE)));
        let limits = read(&given);
        prop_assert_eq!((limits.left, limits.ends_in), expected);
    }

    #[test]
    fn policy_is_read_in_any_order_of_its_parameters(
        name in NAME,
        (q, w) in any::<(u32, u32)>(),
        is_reversed in any::<bool>(),
    ) {
        let policy = if is_reversed { format!("{name};w={w};q={q}") } else { format!("{name}; q={q}; w={w}") };
        prop_assert_eq!(read(&[(POLICY, &policy)]).quota, Some((q, seconds(w))));
    }

    #[test]
    fn retry_after_date_is_read_in_all_forms_of_http(passed in -1_000_000_000..1_000_000_000_i64) {
        let now = httpdate::parse_http_date("Sun, 22 Nov 2026 12:00:00 GMT").expect("a date");
        let date = chrono::DateTime::<chrono::Utc>::from(now) + chrono::TimeDelta::seconds(passed);
        let expected = seconds(u32::try_from(passed).unwrap_or_default());
        for form in ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"] {
            let text = date.format(form).to_string();
            prop_assert_eq!(read(&[("retry-after", &text)]).retry_after, Some(expected), "{}", text);
        }
        let text = passed.unsigned_abs().to_string();
        let expected = seconds(u32::try_from(passed.unsigned_abs()).expect("a small number"));
        prop_assert_eq!(read(&[("retry-after", &text)]).retry_after, Some(expected));
    }

    #[test]
    fn malformed_header_never_gives_more_than_an_hour(
        name in select(&[LIMIT, POLICY, "retry-after"][..]),
        text in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..60),
            "[;,=\"\\\\ rtqw0-9:.GMTSun-]{0,60}".prop_map(String::into_bytes),
        ],
    ) {
        let value = reqwest::header::HeaderValue::from_bytes(&text).into_iter();
        let headers = value.map(|value| (name.parse().expect("a name"), value)).collect();
        let limits = RateLimitHeaders::read(&headers, SystemTime::now(), Bucket::Api);
        let times = [limits.ends_in, limits.retry_after, limits.quota.map(|(_, window)| window)];
        prop_assert!(times.into_iter().flatten().all(|time| time <= MAX_PAUSE), "{:?}", limits);
    }
}
