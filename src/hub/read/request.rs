//! An access request as the Hub lists it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use chrono::{DateTime, Datelike, Utc};
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::super::Problem;
use super::super::wire::{self, Bounded, parse, parse_object};
use crate::model::{AccessRequest, Identity, MAX_LIST, MAX_TEXT, Status, User};

/// Reads a page of the list with this status: its requests, and the number of all its entries. An entry with another status is
/// left out, because the Hub's lists lag behind its writes.
///
/// If the requests have very many answers or organizations, the page is too large, because they take many times the memory of
/// their text.
pub(super) fn read_page(body: &[u8], status: Status) -> Result<(Vec<AccessRequest>, usize), Problem> {
    let entries = wire::entries(body).map_err(Problem::Unreadable)?;
    let count = entries.len();
    let (mut requests, mut parts) = (Vec::new(), 0);
    for request in entries.into_iter().filter_map(|entry| read(entry, status)) {
        let orgs = [&request.user.orgs, &request.user.verified_orgs].into_iter().flatten().map(Vec::len);
        parts += request.fields.len() + orgs.sum::<usize>();
        if parts > MAX_PARTS && count > 1 {
            return Err(Problem::TooLarge(body.len()));
        }
        requests.push(request);
    }
    mark_contradictions(&mut requests);
    Ok((requests, count))
}

/// The most answers and organizations of all requests of a page together. Each takes about 110 bytes in addition to its text,
/// and eight pages may be in memory at once.
const MAX_PARTS: usize = 48_000;

/// If a page lists a user several times with different data, marks these requests as unreadable, because it is unknown which
/// one is valid.
fn mark_contradictions(requests: &mut [AccessRequest]) {
    let mut first = HashMap::new();
    for place in 0..requests.len() {
        let identity = match requests[place].identity() {
            // The Hub ignores the case of names.
            Some(Identity::UserName(name)) => Identity::UserName(name.to_ascii_lowercase()),
            Some(identity) => identity,
            None => continue,
        };
        let first = *first.entry(identity).or_insert(place);
        if requests[first] != requests[place] {
            for contradicting in [first, place] {
                requests[contradicting].unreadable =
                    Some("the Hub lists this user more than once, with different data");
            }
        }
    }
}

const NOT_AS_DOCUMENTED: &str = "the Hub's data about it does not have the documented form";
const REPEATED_KEY: &str = "the Hub's data about it has the same key twice";
const NOT_TEXT: &str = "an answer to the gate form is not text";
const TOO_MUCH: &str = "it has more than 300 answers or organizations, or more than 100 KB of answers";

/// Reads an entry of the list with the status `expected`. A value that is missing or null is unknown. A value that does not
/// have the documented form makes the request unreadable. The other values are kept, so that a person can identify the requester.
pub(super) fn read(entry: &RawValue, expected: Status) -> Option<AccessRequest> {
    let mut unreadable = None;
    let is_ambiguous = has_repeated_keys(entry);
    let entry: Entry = object(entry, &mut unreadable);
    match text(entry.status, &mut unreadable).as_deref() {
        None => {}
        Some(status) if status == expected.as_str() => {}
        Some("pending" | "accepted" | "rejected" | "reset") => return None,
        Some(_) => unreadable = Some("its status is not documented"),
    }
    let is_ambiguous = is_ambiguous || entry.user.is_some_and(has_repeated_keys);
    let user: EntryUser = entry.user.map_or_else(EntryUser::default, |user| object(user, &mut unreadable));
    let mut request = AccessRequest {
        request_id: text(entry.request_id, &mut unreadable),
        user: User {
            id: text(user.id, &mut unreadable),
            name: text(user.name, &mut unreadable),
            fullname: text(user.fullname, &mut unreadable),
            email: text(user.email, &mut unreadable),
            pro: optional(user.pro, &mut unreadable, parse),
            verified_orgs: optional(user.verified_orgs, &mut unreadable, org_list),
            orgs: optional(user.orgs, &mut unreadable, org_names),
            service_account: service_account(&user, &mut unreadable),
        },
        requested_at: optional(entry.timestamp, &mut unreadable, timestamp),
        fields: entry.fields.and_then(|fields| answers(fields, &mut unreadable)).unwrap_or_default(),
        unreadable,
    };
    for orgs in [&mut request.user.verified_orgs, &mut request.user.orgs] {
        if orgs.as_ref().is_some_and(|orgs| orgs.len() > MAX_LIST) {
            (*orgs, request.unreadable) = (None, Some(TOO_MUCH));
        }
    }
    if is_ambiguous {
        request.unreadable = Some(REPEATED_KEY);
    }
    if request.identity().is_none() && !is_ambiguous {
        request.unreadable = Some("the Hub gives neither a user nor an id for it");
    }
    Some(request)
}

/// The keys of an entry that are used. Each value is parsed separately, so that an unexpected value does not hide the others.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    #[serde(borrow)]
    request_id: Option<&'a RawValue>,
    status: Option<&'a RawValue>,
    timestamp: Option<&'a RawValue>,
    user: Option<&'a RawValue>,
    fields: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct EntryUser<'a> {
    #[serde(borrow, rename = "_id")]
    id: Option<&'a RawValue>,
    #[serde(rename = "user")]
    name: Option<&'a RawValue>,
    fullname: Option<&'a RawValue>,
    email: Option<&'a RawValue>,
    #[serde(rename = "isPro")]
    pro: Option<&'a RawValue>,
    #[serde(rename = "verifiedOrgNames")]
    verified_orgs: Option<&'a RawValue>,
    orgs: Option<&'a RawValue>,
    #[serde(rename = "serviceAccount")]
    service_account: Option<&'a RawValue>,
}

/// The organization of a service account, or an empty text for a person. If the Hub gives no user, it is unknown.
fn service_account(user: &EntryUser, unreadable: &mut Unreadable) -> Option<String> {
    #[derive(Deserialize)]
    struct ServiceAccount {
        org: String,
    }
    user.id.or(user.name)?;
    let Some(account) = user.service_account.filter(|account| account.get() != "null") else {
        return Some(String::new());
    };
    optional(Some(account), unreadable, |account| parse::<ServiceAccount>(account).map(|account| account.org))
}

type Unreadable = Option<&'static str>;

/// Reads a value that may be missing. If it does not have the documented form, notes that in `unreadable`.
fn optional<'a, T>(
    value: Option<&'a RawValue>,
    unreadable: &mut Unreadable,
    read: impl Fn(&'a RawValue) -> Option<T>,
) -> Option<T> {
    let read = read(value?);
    if read.is_none() {
        *unreadable = Some(NOT_AS_DOCUMENTED);
    }
    read
}

/// A text. An empty text counts as missing.
fn text(value: Option<&RawValue>, unreadable: &mut Unreadable) -> Option<String> {
    optional(value, unreadable, parse).filter(|text: &String| !text.is_empty())
}

fn object<'a, T: Default + Deserialize<'a>>(value: &'a RawValue, unreadable: &mut Unreadable) -> T {
    optional(Some(value), unreadable, parse_object).unwrap_or_default()
}

/// A list of organizations. If it is too long, it has one element more than [`MAX_LIST`].
fn org_list<'a, T: Deserialize<'a>>(orgs: &'a RawValue) -> Option<Vec<T>> {
    parse::<Bounded<T, { MAX_LIST + 1 }>>(orgs).map(|list| list.elements)
}

fn org_names(orgs: &RawValue) -> Option<Vec<String>> {
    #[derive(Deserialize)]
    struct Org {
        name: String,
    }
    org_list::<&RawValue>(orgs)?.into_iter().map(|org| parse_object(org).map(|Org { name }| name)).collect()
}

/// A time in the years 1 to 9999, which CEL supports. In these years, adding to a time cannot overflow.
pub(super) fn timestamp(value: &RawValue) -> Option<DateTime<Utc>> {
    let time: DateTime<Utc> = parse::<String>(value)?.parse().ok()?;
    (1..=9999).contains(&time.year()).then_some(time)
}

/// The answers to the gate form. Null means that no answer was given. An answer that is not text makes the request unreadable.
/// If it were left out, a rule would treat it as missing, and its text form would be a guess. If there are too many answers,
/// none is kept.
fn answers(value: &RawValue, unreadable: &mut Unreadable) -> Option<BTreeMap<String, String>> {
    struct Answers<'a>(&'a mut Unreadable);

    impl<'de> Visitor<'de> for Answers<'_> {
        type Value = Option<BTreeMap<String, String>>;

        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let (mut answers, mut bytes) = (BTreeMap::new(), 0);
            while let Some((label, answer)) = map.next_entry::<String, &RawValue>()? {
                bytes += label.len() + answer.get().len();
                if answers.len() == MAX_LIST || bytes > MAX_TEXT {
                    while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                    *self.0 = Some(TOO_MUCH);
                    return Ok(None);
                }
                let answer = parse::<Option<String>>(answer);
                if answer.is_none() {
                    *self.0 = Some(NOT_TEXT);
                }
                if answers.insert(label, answer.flatten()).is_some() {
                    *self.0 = Some(REPEATED_KEY);
                }
            }
            Ok(Some(answers.into_iter().filter_map(|(label, answer)| Some((label, answer?))).collect()))
        }
    }

    let read = serde_json::Deserializer::from_str(value.get()).deserialize_map(Answers(unreadable));
    read.unwrap_or_else(|_| {
        *unreadable = Some(NOT_AS_DOCUMENTED);
        None
    })
}

/// Whether an object has the same key twice. JSON does not define which of the two counts. If a label has two answers, the policy
/// could read one of them and a person the other.
fn has_repeated_keys(object: &RawValue) -> bool {
    struct Keys;

    /// Borrowed unless the key has an escape.
    #[derive(PartialEq, Eq, PartialOrd, Ord, Deserialize)]
    struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

    impl<'de> Visitor<'de> for Keys {
        type Value = bool;

        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
            let (mut keys, mut is_repeated) = (BTreeSet::new(), false);
            while let Some((key, _)) = map.next_entry::<Key, IgnoredAny>()? {
                // An object with so many keys counts as repeating one, because comparing them all would take too much memory.
                is_repeated |= keys.len() == MAX_LIST || !keys.insert(key);
            }
            Ok(is_repeated)
        }
    }

    serde_json::Deserializer::from_str(object.get()).deserialize_map(Keys).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(entry: &str) -> AccessRequest {
        let mut requests = read_page(format!("[{entry}]").as_bytes(), Status::Pending).expect("a page").0;
        requests.pop().expect("a request")
    }

    #[test]
    fn all_documented_values_are_read() {
        let request = one(
            r#"{"requestId": "r1", "status": "pending", "timestamp": "2026-10-05T08:00:00.000Z",
            "user": {"_id": "u1", "user": "ada", "fullname": "Ada L", "avatarUrl": "/a.svg", "isPro": true, "type": "user",
                "verifiedOrgNames": ["epfl"], "email": "ada@acme.com", "orgs": [{"id": "o1", "name": "acme"}]},
            "fields": {"Country": "CH", "Agree": "on", "Age": "36", "Phone": null}, "brandNew": {"x": 1}}"#,
        );
        let text = |s: &str| Some(s.to_owned());
        let user = User {
            id: text("u1"),
            name: text("ada"),
            fullname: text("Ada L"),
            email: text("ada@acme.com"),
            pro: Some(true),
            verified_orgs: Some(vec!["epfl".to_owned()]),
            orgs: Some(vec!["acme".to_owned()]),
            service_account: text(""),
        };
        assert!(request.user == user);
        assert_eq!(request.request_id, text("r1"));
        assert_eq!(request.requested_at, Some("2026-10-05T08:00:00Z".parse().expect("a time")));
        let answers: Vec<_> = request.fields.iter().map(|(l, a)| (l.as_str(), a.as_str())).collect();
        assert_eq!(answers, [("Age", "36"), ("Agree", "on"), ("Country", "CH")]);
        assert_eq!(request.unreadable, None);
    }

    #[test]
    fn missing_and_null_values_are_unknown() {
        for entry in [
            r#"{"requestId": "r1"}"#,
            r#"{"requestId": "r1", "user": null, "fields": null, "timestamp": null}"#,
        ] {
            let request = one(entry);
            assert!(request.user == User::default() && request.fields.is_empty(), "{entry}");
            assert_eq!(request.identity(), Some(Identity::RequestId("r1".to_owned())), "{entry}");
            assert_eq!(request.unreadable, None, "{entry}");
        }
    }

    #[test]
    fn invalid_entry_is_unreadable_and_the_next_one_is_not() {
        let entries = [
            "7",
            "null",
            "[]",
            "{}",
            r#"{"requestId": ""}"#,
            r#"{"requestId": 7}"#,
            r#"{"user": "ada"}"#,
            r#"{"user": {"user": "ada", "email": 7}}"#,
            r#"{"user": {"user": "ada", "isPro": "yes"}}"#,
            r#"{"user": {"user": "ada"}, "timestamp": "yesterday"}"#,
            r#"{"user": {"user": "ada", "orgs": [{"id": "o1"}]}}"#,
            r#"["r1", ["u1", "ada", "Ada", "ada@acme.com", true, [], []], "pending", null, null]"#,
            r#"{"requestId": "r1", "user": ["u1", "ada", "Ada", "ada@acme.com"]}"#,
            r#"{"user": {"user": "ada"}, "timestamp": "+262142-12-31T23:59:59Z"}"#,
            r#"{"user": {"user": "ada"}, "status": "waiting"}"#,
            r#"{"user": {"user": "ada"}, "fields": {"Why": "\ud800"}}"#,
            r#"{"user": {"user": "ada"}, "fields": {"Why": 1e999}}"#,
            r#"{"user": {"user": "ada"}, "fields": ["CH"]}"#,
            r#"{"user": {"user": "ada"}, "fields": {"Country": ["CH", "KP"]}}"#,
            r#"{"user": {"user": "ada"}, "fields": {"Country": {"code": "KP"}}}"#,
        ];
        for entry in entries {
            assert!(one(entry).unreadable.is_some(), "{entry}");
            let page = format!(r#"[{entry}, {{"user": {{"user": "eve"}}}}]"#);
            assert_eq!(
                read_page(page.as_bytes(), Status::Pending).expect("a page").0[1].unreadable,
                None,
                "{entry}"
            );
        }
    }

    #[test]
    fn repeated_keys_and_answers_that_are_not_text_are_unreadable() {
        let cases = [
            (
                r#"{"user": {"user": "ada"}, "fields": {"Country": "CH", "Country": "KP"}}"#,
                Some(REPEATED_KEY),
            ),
            (
                r#"{"user": {"user": "ada"}, "fields": {"Country": "CH", "Count\u0072y": "CH"}}"#,
                Some(REPEATED_KEY),
            ),
            (
                r#"{"user": {"user": "ada"}, "fields": {"Country": null, "Country": "CH"}}"#,
                Some(REPEATED_KEY),
            ),
            (
                r#"{"requestId": "r1", "user": {"user": "ada", "email": "a@b.c", "email": "a@b.d"}}"#,
                Some(REPEATED_KEY),
            ),
            (r#"{"requestId": "r1", "user": {"user": "ada", "new": 1, "new": 2}}"#, Some(REPEATED_KEY)),
            (r#"{"requestId": "r1", "user": {"user": "ada"}, "new": 1, "new": 1}"#, Some(REPEATED_KEY)),
            (r#"{"user": {"user": "ada"}, "fields": {"Agree": true}}"#, Some(NOT_TEXT)),
            (r#"{"user": {"user": "ada"}, "fields": {"Age": 36}}"#, Some(NOT_TEXT)),
            (r#"{"user": {"user": "ada"}, "fields": {"Country": "CH", "Uses": []}}"#, Some(NOT_TEXT)),
            (
                r#"{"user": {"user": "ada"}, "fields": {"Country": "CH", "country": "KP", "Phone": null}}"#,
                None,
            ),
        ];
        for (entry, expected) in cases {
            assert_eq!(one(entry).unreadable, expected, "{entry}");
        }
        let twice = r#"{"user": {"user": "ada"}, "user": {"user": "eve"}, "requestId": "r1"}"#;
        assert!(one(twice).unreadable.is_some());
    }

    #[test]
    fn unreadable_entry_keeps_its_requester() {
        let request = one(r#"{"requestId": "r7", "timestamp": "2020-01-01T00:00:00Z",
            "user": {"_id": "u1", "user": "ada", "email": 7}, "fields": {"Country": ["KP"]}}"#);
        assert!(request.unreadable.is_some());
        assert_eq!(request.identity(), Some(Identity::UserId("u1".to_owned())));
        assert_eq!(request.user.name.as_deref(), Some("ada"));
        assert!(request.requested_at.is_some());
        let done = br#"[{"requestId": "r7", "status": "rejected", "timestamp": "x"}]"#;
        assert_eq!(read_page(done, Status::Pending).expect("a page").0.len(), 0);
    }

    #[test]
    fn entry_with_another_status_is_left_out() {
        let body = r#"[{"requestId": "r1", "status": "accepted"}, {"requestId": "r2", "status": "pending"}, {"requestId": "r3"}]"#;
        assert_eq!(read_page(body.as_bytes(), Status::Pending).expect("a page").0.len(), 2);
    }

    #[test]
    fn page_that_is_not_a_list_is_an_error_without_its_text() {
        for body in ["", "<html>ada@acme.com", r#"{"error": "ada@acme.com"}"#, "[{\"user\": ", "[1, 2"] {
            let Err(Problem::Unreadable(error)) = read_page(body.as_bytes(), Status::Pending) else {
                panic!("{body} was read");
            };
            assert!(error.starts_with("it ") && !error.contains("ada"), "{error}");
        }
    }

    #[test]
    fn too_many_answers_or_organizations_are_not_kept() {
        let answers =
            |count: usize| (0..count).map(|n| format!(r#""{n}": "x""#)).collect::<Vec<_>>().join(",");
        let orgs = |count: usize| vec![r#"{"name": "x"}"#; count].join(",");
        let entry = |answers: String, orgs: String| {
            one(&format!(
                r#"{{"requestId": "r", "user": {{"_id": "u", "orgs": [{orgs}]}}, "fields": {{{answers}}}}}"#
            ))
        };
        let most = entry(answers(300), orgs(300));
        assert_eq!((most.fields.len(), most.unreadable), (300, None));
        for more in [entry(answers(301), orgs(0)), entry(answers(0), orgs(301))] {
            assert_eq!(
                (more.fields.len(), more.user.orgs.map_or(0, |orgs| orgs.len()), more.unreadable),
                (0, 0, Some(TOO_MUCH))
            );
        }
        let long = entry(format!(r#""a": "{}""#, "x".repeat(100_000)), orgs(0));
        assert_eq!((long.fields.len(), long.unreadable), (0, Some(TOO_MUCH)));
    }

    #[test]
    fn page_of_very_many_short_answers_is_too_large() {
        let answers: Vec<String> = (0..300).map(|n| format!(r#""{n}": """#)).collect();
        let entry = format!(r#"{{"requestId": "r", "fields": {{{}}}}}"#, answers.join(","));
        let read = |count: usize| {
            read_page(format!("[{}]", vec![entry.as_str(); count].join(",")).as_bytes(), Status::Pending)
        };
        assert!(read(160).is_ok());
        assert!(matches!(read(161), Err(Problem::TooLarge(_))));
    }

    #[test]
    fn contradicting_entries_of_a_user_are_all_unreadable() {
        let ada =
            |country: &str| format!(r#"{{"user": {{"_id": "ada"}}, "fields": {{"Country": "{country}"}}}}"#);
        let bob = r#"{"user": {"_id": "bob"}}"#;
        let body = format!("[{}, {bob}, {}, {bob}, {}]", ada("CH"), ada("KP"), ada("CH"));
        let page = read_page(body.as_bytes(), Status::Pending).expect("a page").0;
        let unreadable: Vec<bool> = page.iter().map(|request| request.unreadable.is_some()).collect();
        assert_eq!(unreadable, [true, false, true, false, true]);
    }
}
