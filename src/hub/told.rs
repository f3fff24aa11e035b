//! What the Hub tells of its rate limit with every answer, in three headers.

use std::cmp::Reverse;
use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, RETRY_AFTER};

use super::link::{parameters, split_outside_quotes};

/// The shortest time to stay away after a 429, whatever it says: of a time that is told in seconds, less than one may be
/// left, and clocks differ.
pub(super) const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

/// The longest time that is believed. A window of the Hub lasts five minutes; after an hour one call may find out.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(60 * 60);

/// The Hub counts calls of these kinds apart, and names the bucket in `RateLimit` (its documentation of rate limits).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bucket {
    /// Calls under `/api/`.
    Api,
    /// Files: calls with `/resolve/` in their path.
    Resolvers,
    /// Everything else.
    Pages,
}

impl Bucket {
    pub(super) const ALL: [Self; 3] = [Self::Api, Self::Resolvers, Self::Pages];

    /// The bucket of a call with this path.
    pub(super) fn of(path: &str) -> Self {
        match path {
            _ if path.contains("/resolve/") => Self::Resolvers,
            _ if path.contains("/api/") => Self::Api,
            _ => Self::Pages,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Resolvers => "resolvers",
            Self::Pages => "pages",
        }
    }
}

/// What the headers of an answer say of the limit.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// The calls that are left in the window.
    pub(super) left: Option<u32>,
    /// How long the window lasts from now on.
    pub(super) ends_in: Option<Duration>,
    /// The calls of a whole window, and how long that is.
    pub(super) quota: Option<(u32, Duration)>,
    /// How long the Hub wants no call.
    pub(super) retry_after: Option<Duration>,
}

impl Told {
    /// Reads `RateLimit` (`"api";r=999;t=300`), `RateLimit-Policy` (`"fixed window";"api";q=1000;w=300`) and `Retry-After`
    /// (seconds, or a date). The first two are of a draft of the IETF that the Hub follows loosely, so they are read
    /// loosely. What cannot be read is not told, and what is said of another bucket than `bucket` is not listened to.
    pub(super) fn by(headers: &HeaderMap, now: SystemTime, bucket: Bucket) -> Self {
        let is_of_other = |text: &str| {
            Bucket::ALL
                .iter()
                .any(|other| *other != bucket && text.contains(&format!("\"{}\"", other.as_str())))
        };
        let texts = |name| headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
        let limits = |name| {
            texts(name).flat_map(|text| split_outside_quotes(text, ',')).filter(|text| !is_of_other(text))
        };
        let quota = limits("ratelimit-policy")
            .find_map(|policy| Some((number(policy, "q")?, seconds(number(policy, "w")?))));
        // Of several limits the one that is nearest counts.
        let nearest = limits("ratelimit")
            .filter_map(|limit| Some((number(limit, "r")?, Reverse(number(limit, "t").map(seconds)))))
            .min();
        let (left, ends_in) = nearest.map(|(left, Reverse(ends_in))| (left, ends_in)).unzip();
        let (window, at_least) = (quota.map(|(_, window)| window), left.map(|_| SHORTEST_PAUSE));
        Self {
            left,
            ends_in: ends_in.flatten().or(window).or(at_least),
            quota,
            retry_after: texts(RETRY_AFTER.as_str()).find_map(|text| retry_after(text.trim(), now)),
        }
    }
}

/// The value of a parameter; one that is too large to be a number is very large.
fn number(parameters_text: &str, name: &str) -> Option<u32> {
    // Of several the last one counts, unlike in a `Link`.
    let (_, value) = parameters(parameters_text).filter(|(key, _)| key.eq_ignore_ascii_case(name)).last()?;
    digits(&value)
}

fn digits(text: &str) -> Option<u32> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u32::MAX))
}

pub(super) fn seconds(number: u32) -> Duration {
    Duration::from_secs(number.into()).min(LONGEST_PAUSE)
}

fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    let until = |date: SystemTime| date.duration_since(now).unwrap_or_default().min(LONGEST_PAUSE);
    digits(text).map(seconds).or_else(|| httpdate::parse_http_date(text).ok().map(until))
}

#[cfg(test)]
pub(super) mod tests {
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

    fn told(told: &[(&'static str, &str)]) -> Told {
        let now = httpdate::parse_http_date("Sun, 22 Nov 2026 12:00:00 GMT").expect("a date");
        let mut told = Told::by(&headers(told), now, Bucket::Api);
        told.retry_after = told.retry_after.map(|time| Duration::from_secs(time.as_secs()));
        told
    }

    #[test]
    fn what_the_hub_tells_of_its_limit_is_read() {
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
            let expected = Told { left, ends_in: ends_in.map(seconds), quota, retry_after: None };
            assert_eq!(told(&[(LIMIT, limit), (POLICY, policy)]), expected, "{limit}");
        }
        assert_eq!(
            told(&[(LIMIT, r#""api";r=7"#)]),
            Told { left: Some(7), ends_in: Some(seconds(1)), ..Told::default() }
        );
        let several = told(&[(LIMIT, r#""a";r=0;t=1, "b";r=0;t=300"#)]);
        assert_eq!((several.left, several.ends_in), (Some(0), Some(seconds(300))));
        assert_eq!(told(&[(POLICY, r#""api";w=300"#), (POLICY, "q=5;w=10")]).quota, Some((5, seconds(10))));
    }

    #[test]
    fn how_long_to_stay_away_is_told_in_seconds_or_by_a_date() {
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
            assert_eq!(told(&[("retry-after", text)]).retry_after, expected.map(seconds), "{text}");
        }
    }
    /// The name of a limit: a string, as structured fields have it.
    const NAME: &str = "\"([ !#-\\[\\]-~]|\\\\[\"\\\\]){0,8}\"";

    /// What a limit says, and how it may be written: a string with parameters, of which the IETF's draft lets there be others.
    fn limit() -> impl Strategy<Value = (String, u32, Option<u32>)> {
        let other =
            select(&["pk=:cj0xO3Q9Mg==:", "x", "y=\"a;r=1,b\\\"c;t=1\"", "z=?1", "k=tok/en:r", "d=-0.5"][..]);
        let others = prop::collection::vec((any::<Index>(), other), 0..3);
        let times = prop_oneof![any::<u32>(), 0..4000_u32];
        (NAME, any::<u32>(), prop::option::of(times), others, any::<bool>()).prop_map(
            |(name, r, t, others, turned)| {
                let mut parameters = vec![format!("r={r}")];
                parameters.extend(t.map(|t| format!("t={t}")));
                if turned {
                    parameters.reverse();
                }
                for (place, other) in others {
                    parameters.insert(place.index(parameters.len() + 1), other.to_owned());
                }
                let separator = if turned { "; " } else { ";" };
                (format!("{name}{separator}{}", parameters.join(separator)), r, t)
            },
        )
    }

    proptest! {
        #![proptest_config(often())]

        #[test]
        fn what_the_draft_of_the_ietf_allows_is_read_as_it_is_meant(
            limits in prop::collection::vec(limit(), 1..4),
            separator in select(&[",", ", ", " ,\t"][..]),
            in_one in any::<bool>(),
        ) {
            let nearest = limits.iter().map(|(_, r, t)| (*r, Reverse(t.map(seconds)))).min();
            let (left, Reverse(ends_in)) = nearest.expect("a limit");
            let texts: Vec<&str> = limits.iter().map(|(text, ..)| &**text).collect();
            let one = texts.join(separator);
            let given: Vec<_> = if in_one {
                vec![(LIMIT, &*one)]
            } else {
                texts.into_iter().map(|text| (LIMIT, text)).collect()
            };
            let expected = (Some(left), Some(ends_in.unwrap_or(SHORTEST_PAUSE)));
            let told = told(&given);
            prop_assert_eq!((told.left, told.ends_in), expected);
        }

        #[test]
        fn a_policy_is_read_wherever_its_numbers_stand(
            name in NAME,
            (q, w) in any::<(u32, u32)>(),
            turned in any::<bool>(),
        ) {
            let policy = if turned { format!("{name};w={w};q={q}") } else { format!("{name}; q={q}; w={w}") };
            prop_assert_eq!(told(&[(POLICY, &policy)]).quota, Some((q, seconds(w))));
        }

        #[test]
        fn every_date_that_http_allows_is_read_in_all_of_its_forms(passed in -1_000_000_000..1_000_000_000_i64) {
            let now = httpdate::parse_http_date("Sun, 22 Nov 2026 12:00:00 GMT").expect("a date");
            let date = chrono::DateTime::<chrono::Utc>::from(now) + chrono::TimeDelta::seconds(passed);
            let expected = seconds(u32::try_from(passed).unwrap_or_default());
            for form in ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"] {
                let text = date.format(form).to_string();
                prop_assert_eq!(told(&[("retry-after", &text)]).retry_after, Some(expected), "{}", text);
            }
            let text = passed.unsigned_abs().to_string();
            let expected = seconds(u32::try_from(passed.unsigned_abs()).expect("few enough"));
            prop_assert_eq!(told(&[("retry-after", &text)]).retry_after, Some(expected));
        }

        #[test]
        fn whatever_else_is_told_is_survived(
            name in select(&[LIMIT, POLICY, "retry-after"][..]),
            text in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..60),
                "[;,=\"\\\\ rtqw0-9:.GMTSun-]{0,60}".prop_map(String::into_bytes),
            ],
        ) {
            let value = reqwest::header::HeaderValue::from_bytes(&text).into_iter();
            let headers = value.map(|value| (name.parse().expect("a name"), value)).collect();
            let told = Told::by(&headers, SystemTime::now(), Bucket::Api);
            let longest = [told.ends_in, told.retry_after, told.quota.map(|(_, window)| window)];
            prop_assert!(longest.into_iter().flatten().all(|time| time <= LONGEST_PAUSE), "{:?}", told);
        }
    }
}
