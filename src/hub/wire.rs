//! How the Hub writes requests and results, and how it wants to be written to.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::marker::PhantomData;

use chrono::{DateTime, Datelike, Utc};
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::{Answer, Handled, PAGE, Problem};
use crate::model::{AccessRequest, Identity, Status, User};
use crate::secret::{Secret, shown};

/// Reads the requests of a page of the list of this status, and counts all its entries. The Hub's lists lag behind its writes:
/// an entry that says of itself that it is in another state by now is none of them.
///
/// A page whose requests have very many answers or organizations is too large, like one of too many bytes: what is read takes many
/// times the memory of what is written.
pub(super) fn page(body: &[u8], status: Status) -> Result<(Vec<AccessRequest>, usize), Problem> {
    let entries = entries(body).map_err(Problem::Unreadable)?;
    let count = entries.len();
    let (mut requests, mut parts) = (Vec::new(), 0);
    for request in entries.into_iter().filter_map(|entry| request(entry, status)) {
        let orgs = [&request.user.orgs, &request.user.verified_orgs].into_iter().flatten().map(Vec::len);
        parts += request.fields.len() + orgs.sum::<usize>();
        if parts > MOST_PARTS && count > 1 {
            return Err(Problem::TooLarge(body.len()));
        }
        requests.push(request);
    }
    doubt_contradictions(&mut requests);
    Ok((requests, count))
}

/// The most answers and organizations that the requests of a page may have altogether. Each takes about 110 bytes besides its text,
/// and eight pages may be in memory at once.
const MOST_PARTS: usize = 48_000;

/// The most answers, and the most organizations, that are read of a request; the policy holds whoever has more.
const MOST_OF_REQUEST: usize = 300;

/// The most bytes that the answers of a request may have; the policy holds whoever has more.
const MOST_ANSWER_BYTES: usize = 100_000;

/// Whoever is listed more than once, and not the same each time, is doubtful: which of them stands, nobody knows.
fn doubt_contradictions(requests: &mut [AccessRequest]) {
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
                requests[contradicting].doubt =
                    Some("the Hub lists this user more than once, and not the same");
            }
        }
    }
}

/// Takes a list apart.
pub(super) fn entries(body: &[u8]) -> Result<Vec<&RawValue>, String> {
    // Each by itself: what no JSON parser can read in one of them (half a surrogate pair, a number without bounds) must
    // not keep out all the others.
    let list: Bounded<&RawValue, MOST_ENTRIES> =
        serde_json::from_slice(body).map_err(|error| describe(&error))?;
    list.whole().ok_or_else(|| format!("it lists more than {MOST_ENTRIES} entries"))
}

/// The most entries of an answer that is read as a page. An answer with more is rejected, because a parsed entry may take more
/// memory than its text.
const MOST_ENTRIES: usize = 2 * PAGE;

/// A list of which at most `MOST` elements are kept: what is read of an element may take many times the memory of what is written.
struct Bounded<T, const MOST: usize> {
    elements: Vec<T>,
    has_more: bool,
}

impl<T, const MOST: usize> Bounded<T, MOST> {
    /// All elements, unless there are more.
    fn whole(self) -> Option<Vec<T>> {
        (!self.has_more).then_some(self.elements)
    }
}

impl<'de, T: Deserialize<'de>, const MOST: usize> Deserialize<'de> for Bounded<T, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List<T, const MOST: usize>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for List<T, MOST> {
            type Value = Bounded<T, MOST>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut bounded = Bounded { elements: Vec::new(), has_more: false };
                while bounded.elements.len() < MOST {
                    let Some(element) = list.next_element()? else { return Ok(bounded) };
                    bounded.elements.push(element);
                }
                while list.next_element::<IgnoredAny>()?.is_some() {
                    bounded.has_more = true;
                }
                Ok(bounded)
            }
        }

        deserializer.deserialize_seq(List(PhantomData))
    }
}

/// Reads the names of the gated repos of a page of repos. What cannot be read is an empty name.
pub(super) fn repos(body: &[u8]) -> Result<Vec<String>, String> {
    #[derive(Default, Deserialize)]
    struct Listed<'a> {
        #[serde(borrow)]
        id: Option<&'a RawValue>,
        gated: Option<&'a RawValue>,
    }
    let listed = entries(body)?.into_iter().map(|repo| parse_object::<Listed>(repo).unwrap_or_default());
    // A Hub that does not know the filter lists those without a gate as well.
    let gated = listed.filter(|repo| repo.gated.is_none_or(|gated| gated.get() != "false"));
    Ok(gated.map(|repo| repo.id.and_then(parse).unwrap_or_default()).collect())
}

const NOT_AS_DOCUMENTED: &str = "what the Hub tells of it is not of the form that is documented";
const REPEATED_KEY: &str = "what the Hub tells of it has the same key twice";
const NOT_TEXT: &str = "an answer to the gate form is not text";
const TOO_MUCH: &str = "it has more than 300 answers or organizations, or more than 100 KB of answers";

/// Reads an entry. Any key may be missing or null, which makes it unknown. One whose value is not of the kind that is
/// documented makes the entry doubtful; whatever else can be read of it still tells a person whom it is about.
pub(super) fn request(entry: &RawValue, expected: Status) -> Option<AccessRequest> {
    let mut doubt = None;
    let is_ambiguous = has_repeated_keys(entry);
    let entry: Entry = object(entry, &mut doubt);
    match text(entry.status, &mut doubt).as_deref() {
        None => {}
        Some(status) if status == expected.as_str() => {}
        Some("pending" | "accepted" | "rejected" | "reset") => return None,
        Some(_) => doubt = Some("it is in a state that is not documented"),
    }
    let is_ambiguous = is_ambiguous || entry.user.is_some_and(has_repeated_keys);
    let user: EntryUser = entry.user.map_or_else(EntryUser::default, |user| object(user, &mut doubt));
    let mut request = AccessRequest {
        request_id: text(entry.request_id, &mut doubt),
        user: User {
            id: text(user.id, &mut doubt),
            name: text(user.name, &mut doubt),
            fullname: text(user.fullname, &mut doubt),
            email: text(user.email, &mut doubt),
            pro: read(user.pro, &mut doubt, parse),
            verified_orgs: read(user.verified_orgs, &mut doubt, org_list),
            orgs: read(user.orgs, &mut doubt, org_names),
        },
        requested_at: read(entry.timestamp, &mut doubt, timestamp),
        fields: entry.fields.and_then(|fields| answers(fields, &mut doubt)).unwrap_or_default(),
        doubt,
    };
    for orgs in [&mut request.user.verified_orgs, &mut request.user.orgs] {
        if orgs.as_ref().is_some_and(|orgs| orgs.len() > MOST_OF_REQUEST) {
            (*orgs, request.doubt) = (None, Some(TOO_MUCH));
        }
    }
    if is_ambiguous {
        request.doubt = Some(REPEATED_KEY);
    }
    if request.identity().is_none() && !is_ambiguous {
        request.doubt = Some("the Hub gives neither a user nor an id for it");
    }
    Some(request)
}

/// The keys of an entry that are of use here. Their values are read one by one, so that each may be as it likes.
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
}

type Doubt = Option<&'static str>;

/// Reads a value that may not be there, and remembers if it is not as documented.
fn read<'a, T>(
    value: Option<&'a RawValue>,
    doubt: &mut Doubt,
    read: impl Fn(&'a RawValue) -> Option<T>,
) -> Option<T> {
    let read = read(value?);
    if read.is_none() {
        *doubt = Some(NOT_AS_DOCUMENTED);
    }
    read
}

/// A text that says something.
fn text(value: Option<&RawValue>, doubt: &mut Doubt) -> Option<String> {
    read(value, doubt, parse).filter(|text: &String| !text.is_empty())
}

fn object<'a, T: Default + Deserialize<'a>>(value: &'a RawValue, doubt: &mut Doubt) -> T {
    read(Some(value), doubt, parse_object).unwrap_or_default()
}

fn parse<'a, T: Deserialize<'a>>(value: &'a RawValue) -> Option<T> {
    serde_json::from_str(value.get()).ok()
}

/// What is derived for a struct takes a list of its values as well.
fn parse_object<'a, T: Deserialize<'a>>(value: &'a RawValue) -> Option<T> {
    if value.get().starts_with('{') { parse(value) } else { None }
}

/// A list of organizations, with one too many if it is too long.
fn org_list<'a, T: Deserialize<'a>>(orgs: &'a RawValue) -> Option<Vec<T>> {
    parse::<Bounded<T, { MOST_OF_REQUEST + 1 }>>(orgs).map(|list| list.elements)
}

fn org_names(orgs: &RawValue) -> Option<Vec<String>> {
    #[derive(Deserialize)]
    struct Org {
        name: String,
    }
    org_list::<&RawValue>(orgs)?.into_iter().map(|org| parse_object(org).map(|Org { name }| name)).collect()
}

/// A time in the years that CEL has, and in which adding to one cannot overflow.
fn timestamp(value: &RawValue) -> Option<DateTime<Utc>> {
    let time: DateTime<Utc> = parse::<String>(value)?.parse().ok()?;
    (1..=9999).contains(&time.year()).then_some(time)
}

/// The answers to the gate form. Null means that no answer was given. An answer that is not text makes the entry doubtful: if
/// it were left out, a rule would take it for missing, and how to write it as text would be a guess. Of very many answers none is
/// kept.
fn answers(value: &RawValue, doubt: &mut Doubt) -> Option<BTreeMap<String, String>> {
    struct Answers<'a>(&'a mut Doubt);

    impl<'de> Visitor<'de> for Answers<'_> {
        type Value = Option<BTreeMap<String, String>>;

        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let (mut answers, mut bytes) = (BTreeMap::new(), 0);
            while let Some((label, answer)) = map.next_entry::<String, &RawValue>()? {
                bytes += label.len() + answer.get().len();
                if answers.len() == MOST_OF_REQUEST || bytes > MOST_ANSWER_BYTES {
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

    let read = serde_json::Deserializer::from_str(value.get()).deserialize_map(Answers(doubt));
    read.unwrap_or_else(|_| {
        *doubt = Some(NOT_AS_DOCUMENTED);
        None
    })
}

/// Whether an object has the same key twice. JSON does not say which of the two counts. If a label has two answers, the policy
/// could read one of them and a person the other.
fn has_repeated_keys(object: &RawValue) -> bool {
    struct Keys;

    /// Borrowed unless there is an escape in it.
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
                // So many that they cannot be told apart in little memory.
                is_repeated |= keys.len() == MOST_OF_REQUEST || !keys.insert(key);
            }
            Ok(is_repeated)
        }
    }

    serde_json::Deserializer::from_str(object.get()).deserialize_map(Keys).unwrap_or(false)
}

#[derive(Serialize)]
pub(super) struct HandleBody<'a> {
    #[serde(flatten)]
    pub(super) identity: NamedBy<'a>,
    #[serde(flatten)]
    pub(super) answer: NewStatus<'a>,
}

#[derive(Serialize)]
pub(super) struct BatchBody<'a> {
    #[serde(flatten)]
    pub(super) answer: NewStatus<'a>,
    pub(super) requests: Vec<NamedBy<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum NamedBy<'a> {
    UserId(&'a str),
    RequestId(&'a str),
    User(&'a str),
}

impl<'a> From<&'a Identity> for NamedBy<'a> {
    fn from(identity: &'a Identity) -> Self {
        match identity {
            Identity::UserId(id) => Self::UserId(id),
            Identity::RequestId(id) => Self::RequestId(id),
            Identity::UserName(name) => Self::User(name),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NewStatus<'a> {
    #[serde(rename = "status")]
    name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rejection_reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reset_reason: Option<&'a str>,
}

impl<'a> From<&'a Answer> for NewStatus<'a> {
    fn from(Answer { status, reason }: &'a Answer) -> Self {
        let reason_for = |reasoned| reason.as_deref().filter(|_| *status == reasoned);
        let (rejection_reason, reset_reason) = (reason_for(Status::Rejected), reason_for(Status::Reset));
        Self { name: status.as_str(), rejection_reason, reset_reason }
    }
}

/// Reads the answer to `handle`: an empty object, or nothing at all.
pub(super) fn handled(body: &[u8]) -> Result<(), String> {
    if body.is_empty() {
        return Ok(());
    }
    let answer: Map<String, Value> = serde_json::from_slice(body).map_err(|error| describe(&error))?;
    if answer.contains_key("error") {
        Err("it is an error with the status of a success".to_owned())
    } else {
        Ok(())
    }
}

/// Reads the answer to a batch: one result for each of the requests, in their order. An answer that does not fit what was
/// asked is an error, for then nothing in it can be relied upon. Whatever it says of a failure is shown without `secrets`.
pub(super) fn batch(body: &[u8], asked: &[Identity], secrets: &[Secret]) -> Result<Vec<Handled>, String> {
    let results: Vec<Map<String, Value>> = serde_json::from_slice(body).map_err(|error| describe(&error))?;
    if results.len() != asked.len() {
        return Err(format!("{} results for {} requests", results.len(), asked.len()));
    }
    let one = |(result, asked): (&Map<String, Value>, &Identity)| {
        if !is_about(result, asked) {
            return Err("the results are not in the order of the requests".to_owned());
        }
        match (result.get("ok"), result.get("error").and_then(Value::as_str)) {
            (Some(Value::Bool(true)), _) => Ok(Handled::Done),
            (Some(Value::Bool(false)), Some("user_not_found")) => Ok(Handled::NoUser),
            (Some(Value::Bool(false)), Some("request_not_found")) => Ok(Handled::Gone),
            (Some(Value::Bool(false)), error) => {
                Ok(Handled::Failed(shown(error.unwrap_or("no reason given"), secrets)))
            }
            _ => Err("a result does not say whether it is ok".to_owned()),
        }
    };
    results.iter().zip(asked).map(one).collect()
}

/// Whether a result may be about this request; it need not repeat how the request was named.
fn is_about(result: &Map<String, Value>, asked: &Identity) -> bool {
    let (key, asked) = match asked {
        Identity::UserId(id) => ("userId", id),
        Identity::RequestId(id) => ("requestId", id),
        Identity::UserName(name) => ("user", name),
    };
    let echo = result.get(key).filter(|echo| !echo.is_null());
    echo.is_none_or(|echo| echo.as_str().is_some_and(|echo| echo.eq_ignore_ascii_case(asked)))
}

/// What is wrong with a JSON text, and where, without repeating any of it.
pub(super) fn describe(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        serde_json::error::Category::Eof => "it breaks off",
        serde_json::error::Category::Data => "it is not of the form that is documented",
        _ => "it is not JSON",
    };
    format!("{what} (line {}, column {})", error.line(), error.column())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(entry: &str) -> AccessRequest {
        let mut requests = page(format!("[{entry}]").as_bytes(), Status::Pending).expect("a page").0;
        requests.pop().expect("a request")
    }

    #[test]
    fn everything_that_the_hub_tells_is_read() {
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
        };
        assert!(request.user == user);
        assert_eq!(request.request_id, text("r1"));
        assert_eq!(request.requested_at, Some("2026-10-05T08:00:00Z".parse().expect("a time")));
        let answers: Vec<_> = request.fields.iter().map(|(l, a)| (l.as_str(), a.as_str())).collect();
        assert_eq!(answers, [("Age", "36"), ("Agree", "on"), ("Country", "CH")]);
        assert_eq!(request.doubt, None);
    }

    #[test]
    fn whatever_is_missing_or_null_is_unknown() {
        for entry in [
            r#"{"requestId": "r1"}"#,
            r#"{"requestId": "r1", "user": null, "fields": null, "timestamp": null}"#,
        ] {
            let request = one(entry);
            assert!(request.user == User::default() && request.fields.is_empty(), "{entry}");
            assert_eq!(request.identity(), Some(Identity::RequestId("r1".to_owned())), "{entry}");
            assert_eq!(request.doubt, None, "{entry}");
        }
    }

    #[test]
    fn an_entry_that_cannot_be_relied_upon_is_doubtful() {
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
            assert!(one(entry).doubt.is_some(), "{entry}");
            let beside = format!(r#"[{entry}, {{"user": {{"user": "eve"}}}}]"#);
            assert_eq!(page(beside.as_bytes(), Status::Pending).expect("a page").0[1].doubt, None, "{entry}");
        }
    }

    #[test]
    fn repeated_keys_and_answers_that_are_not_text_are_doubtful() {
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
            assert_eq!(one(entry).doubt, expected, "{entry}");
        }
        let twice = r#"{"user": {"user": "ada"}, "user": {"user": "eve"}, "requestId": "r1"}"#;
        assert!(one(twice).doubt.is_some());
    }

    #[test]
    fn a_doubtful_entry_still_tells_whom_it_is_about() {
        let request = one(r#"{"requestId": "r7", "timestamp": "2020-01-01T00:00:00Z",
            "user": {"_id": "u1", "user": "ada", "email": 7}, "fields": {"Country": ["KP"]}}"#);
        assert!(request.doubt.is_some());
        assert_eq!(request.identity(), Some(Identity::UserId("u1".to_owned())));
        assert_eq!(request.user.name.as_deref(), Some("ada"));
        assert!(request.requested_at.is_some());
        let done = br#"[{"requestId": "r7", "status": "rejected", "timestamp": "x"}]"#;
        assert_eq!(page(done, Status::Pending).expect("a page").0.len(), 0);
    }

    #[test]
    fn what_is_listed_but_no_longer_pending_is_left_alone() {
        let body = r#"[{"requestId": "r1", "status": "accepted"}, {"requestId": "r2", "status": "pending"}, {"requestId": "r3"}]"#;
        assert_eq!(page(body.as_bytes(), Status::Pending).expect("a page").0.len(), 2);
    }

    #[test]
    fn a_page_that_is_no_list_is_an_error_that_repeats_none_of_it() {
        for body in ["", "<html>ada@acme.com", r#"{"error": "ada@acme.com"}"#, "[{\"user\": ", "[1, 2"] {
            let Err(Problem::Unreadable(error)) = page(body.as_bytes(), Status::Pending) else {
                panic!("{body} is read");
            };
            assert!(error.starts_with("it ") && !error.contains("ada"), "{error}");
        }
    }

    #[test]
    fn of_very_many_answers_or_organizations_none_is_kept() {
        let answers =
            |count: usize| (0..count).map(|n| format!(r#""{n}": "x""#)).collect::<Vec<_>>().join(",");
        let orgs = |count: usize| vec![r#"{"name": "x"}"#; count].join(",");
        let entry = |answers: String, orgs: String| {
            one(&format!(
                r#"{{"requestId": "r", "user": {{"_id": "u", "orgs": [{orgs}]}}, "fields": {{{answers}}}}}"#
            ))
        };
        let most = entry(answers(300), orgs(300));
        assert_eq!((most.fields.len(), most.doubt), (300, None));
        for more in [entry(answers(301), orgs(0)), entry(answers(0), orgs(301))] {
            assert_eq!(
                (more.fields.len(), more.user.orgs.map_or(0, |orgs| orgs.len()), more.doubt),
                (0, 0, Some(TOO_MUCH))
            );
        }
        let long = entry(format!(r#""a": "{}""#, "x".repeat(100_000)), orgs(0));
        assert_eq!((long.fields.len(), long.doubt), (0, Some(TOO_MUCH)));
    }

    #[test]
    fn page_of_very_many_short_answers_is_too_large() {
        let answers: Vec<String> = (0..300).map(|n| format!(r#""{n}": """#)).collect();
        let entry = format!(r#"{{"requestId": "r", "fields": {{{}}}}}"#, answers.join(","));
        let read = |count: usize| {
            page(format!("[{}]", vec![entry.as_str(); count].join(",")).as_bytes(), Status::Pending)
        };
        assert!(read(160).is_ok());
        assert!(matches!(read(161), Err(Problem::TooLarge(_))));
    }

    #[test]
    fn requests_are_named_and_answered_as_the_hub_wants_it() {
        let answer = |status, reason: Option<&str>| Answer { status, reason: reason.map(Into::into) };
        let cases = [
            (
                Identity::UserId("u".into()),
                answer(Status::Accepted, None),
                r#"{"userId":"u","status":"accepted"}"#,
            ),
            (
                Identity::RequestId("r".into()),
                answer(Status::Rejected, Some("no")),
                r#"{"requestId":"r","status":"rejected","rejectionReason":"no"}"#,
            ),
            (
                Identity::UserName("n".into()),
                answer(Status::Reset, Some("mend")),
                r#"{"user":"n","status":"reset","resetReason":"mend"}"#,
            ),
        ];
        for (identity, answer, expected) in cases {
            let body = HandleBody { identity: (&identity).into(), answer: (&answer).into() };
            assert_eq!(serde_json::to_string(&body).expect("JSON"), expected);
        }
        let (ids, answer) = ([Identity::UserId("u".into())], answer(Status::Accepted, None));
        let body = BatchBody { answer: (&answer).into(), requests: ids.iter().map(Into::into).collect() };
        let expected = r#"{"status":"accepted","requests":[{"userId":"u"}]}"#;
        assert_eq!(serde_json::to_string(&body).expect("JSON"), expected);
    }

    #[test]
    fn who_is_listed_more_than_once_and_not_the_same_is_doubtful_however_often() {
        let ada =
            |country: &str| format!(r#"{{"user": {{"_id": "ada"}}, "fields": {{"Country": "{country}"}}}}"#);
        let bob = r#"{"user": {"_id": "bob"}}"#;
        let body = format!("[{}, {bob}, {}, {bob}, {}]", ada("CH"), ada("KP"), ada("CH"));
        let page = page(body.as_bytes(), Status::Pending).expect("a page").0;
        let doubtful: Vec<bool> = page.iter().map(|request| request.doubt.is_some()).collect();
        assert_eq!(doubtful, [true, false, true, false, true]);
    }

    #[test]
    fn each_result_of_a_batch_is_told() {
        let asked = ["a", "b", "c", "d"].map(|id| Identity::UserId(id.to_owned()));
        let body = r#"[{"userId": "a", "user": null, "ok": true}, {"userId": null, "ok": false, "error": "user_not_found"},
            {"userId": "c", "ok": false, "error": "request_not_found"}, {"userId": "d", "ok": false, "error": "a@b c hf_t"}]"#;
        let failed = Handled::Failed("[redacted] c [redacted]".to_owned());
        assert_eq!(
            batch(body.as_bytes(), &asked, &[Secret::new("hf_t")]),
            Ok(vec![Handled::Done, Handled::NoUser, Handled::Gone, failed])
        );
    }

    #[test]
    fn only_an_object_without_an_error_says_that_it_was_handled() {
        for (body, done) in
            [("{}", true), ("", true), ("{\"x\": 1}", true), ("{\"error\": \"no\"}", false), ("[]", false)]
        {
            assert_eq!(handled(body.as_bytes()).is_ok(), done, "{body}");
        }
    }

    #[test]
    fn an_answer_that_does_not_fit_the_batch_is_not_relied_upon() {
        let asked = ["a", "b"].map(|id| Identity::UserId(id.to_owned()));
        let bodies = [
            r#"[{"ok": true}]"#,
            r#"[{"ok": true}, {"ok": true}, {"ok": true}]"#,
            r#"[{"userId": "b", "ok": true}, {"userId": "a", "ok": true}]"#,
            r#"[{"userId": "a", "ok": true}, {"userId": "b"}]"#,
            r#"[{"userId": "a", "ok": true}, {"userId": "b", "ok": "yes"}]"#,
            r#"[["a", true], ["b", true]]"#,
            r#"{"ok": true}"#,
            "",
        ];
        for body in bodies {
            assert!(batch(body.as_bytes(), &asked, &[Secret::new("hf_t")]).is_err(), "{body}");
        }
    }
}
