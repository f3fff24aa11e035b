//! How the Hub writes requests and results, and how it wants to be written to.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Answer, Handled, error};
use crate::model::{AccessRequest, Identity, User, Verdict};

/// An entry of a list of access requests. Any key may be missing or null; one of another type makes the entry doubtful.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    request_id: Option<String>,
    #[serde(default)]
    user: Option<EntryUser>,
    status: Option<String>,
    timestamp: Option<DateTime<Utc>>,
    fields: Option<BTreeMap<String, Value>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct EntryUser {
    #[serde(rename = "_id")]
    id: Option<String>,
    user: Option<String>,
    fullname: Option<String>,
    email: Option<String>,
    is_pro: Option<bool>,
    verified_org_names: Option<Vec<String>>,
    orgs: Option<Vec<Org>>,
}

#[derive(Deserialize)]
struct Org {
    name: String,
}

/// Reads the pending requests of a page. The Hub's lists lag behind its writes: an entry that says of itself that it is
/// not pending any more is none of them.
pub(super) fn page(body: &[u8]) -> Result<Vec<AccessRequest>, String> {
    let entries: Vec<&RawValue> = serde_json::from_slice(body).map_err(|error| describe(&error))?;
    let read = |entry: &RawValue| match serde_json::from_str::<Entry>(entry.get()) {
        Ok(Entry { status: Some(status), .. }) if status != "pending" => None,
        Ok(entry) => Some(entry.into()),
        Err(_) => Some(doubtful("the Hub's entry is not of the form that is documented")),
    };
    Ok(entries.into_iter().filter_map(read).collect())
}

fn doubtful(doubt: &'static str) -> AccessRequest {
    AccessRequest { doubt: Some(doubt), ..AccessRequest::default() }
}

impl From<Entry> for AccessRequest {
    fn from(entry: Entry) -> Self {
        let Entry { request_id, user, status: _, timestamp, fields } = entry;
        let EntryUser { id, user, fullname, email, is_pro, verified_org_names, orgs } =
            user.unwrap_or_default();
        let said = |text: Option<String>| text.filter(|text| !text.is_empty());
        let mut request = AccessRequest {
            request_id: said(request_id),
            user: User {
                id: said(id),
                name: said(user),
                fullname,
                email: said(email),
                pro: is_pro,
                verified_orgs: verified_org_names,
                orgs: orgs.map(|orgs| orgs.into_iter().map(|org| org.name).collect()),
            },
            requested_at: timestamp,
            fields: BTreeMap::new(),
            doubt: None,
        };
        for (label, answer) in fields.unwrap_or_default() {
            match answer {
                Value::String(text) => drop(request.fields.insert(label, text)),
                Value::Bool(_) | Value::Number(_) => drop(request.fields.insert(label, answer.to_string())),
                Value::Null => {}
                // To leave it out would be to say that it was not answered, which a rule may ask.
                Value::Array(_) | Value::Object(_) => {
                    request.doubt = Some("an answer is neither text nor a number nor yes or no");
                }
            }
        }
        if request.identity().is_none() {
            request.doubt = Some("the Hub gives neither a user nor an id for it");
        }
        request
    }
}

#[derive(Serialize)]
pub(super) struct HandleBody<'a> {
    #[serde(flatten)]
    pub(super) identity: NamedBy<'a>,
    #[serde(flatten)]
    pub(super) answer: Status<'a>,
}

#[derive(Serialize)]
pub(super) struct BatchBody<'a> {
    #[serde(flatten)]
    pub(super) answer: Status<'a>,
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
pub(super) struct Status<'a> {
    #[serde(rename = "status")]
    name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rejection_reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reset_reason: Option<&'a str>,
}

impl<'a> From<&'a Answer> for Status<'a> {
    fn from(Answer { verdict, reason }: &'a Answer) -> Self {
        let reason = reason.as_deref();
        let (name, rejection_reason, reset_reason) = match verdict {
            Verdict::Accept => ("accepted", None, None),
            Verdict::Hold => ("pending", None, None),
            Verdict::Reset => ("reset", None, reason),
            Verdict::Reject => ("rejected", reason, None),
        };
        Self { name, rejection_reason, reset_reason }
    }
}

/// One entry of the answer to a batch.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BatchResult {
    user_id: Option<String>,
    request_id: Option<String>,
    user: Option<String>,
    ok: bool,
    error: Option<String>,
}

/// Reads the answer to a batch: one result for each of the requests, in their order. An answer that does not fit what was
/// asked is an error, for then nothing in it can be relied upon.
pub(super) fn batch(body: &[u8], asked: &[Identity]) -> Result<Vec<Handled>, String> {
    let results: Vec<BatchResult> = serde_json::from_slice(body).map_err(|error| describe(&error))?;
    if results.len() != asked.len() {
        return Err(format!("{} results for {} requests", results.len(), asked.len()));
    }
    let one = |(result, asked): (BatchResult, &Identity)| {
        if !result.is_about(asked) {
            return Err("the results are not in the order of the requests".to_owned());
        }
        Ok(match (result.ok, result.error.as_deref()) {
            (true, _) => Handled::Done,
            (false, Some("user_not_found" | "request_not_found")) => Handled::Gone,
            (false, error) => Handled::Failed(error::shown(error.unwrap_or("no reason given"), None)),
        })
    };
    results.into_iter().zip(asked).map(one).collect()
}

impl BatchResult {
    /// Whether it may be about this request; it need not repeat how the request was named.
    fn is_about(&self, asked: &Identity) -> bool {
        let may_be = |echo: &Option<String>, asked: &str| {
            echo.as_deref().is_none_or(|e| e.eq_ignore_ascii_case(asked))
        };
        match asked {
            Identity::UserId(id) => may_be(&self.user_id, id),
            Identity::RequestId(id) => may_be(&self.request_id, id),
            Identity::UserName(name) => may_be(&self.user, name),
        }
    }
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
        let mut requests = page(format!("[{entry}]").as_bytes()).expect("a page");
        requests.pop().expect("a request")
    }

    #[test]
    fn everything_that_the_hub_tells_is_read() {
        let request = one(
            r#"{"requestId": "r1", "status": "pending", "timestamp": "2026-10-05T08:00:00.000Z",
            "user": {"_id": "u1", "user": "ada", "fullname": "Ada L", "avatarUrl": "/a.svg", "isPro": true, "type": "user",
                "verifiedOrgNames": ["epfl"], "email": "ada@acme.com", "orgs": [{"id": "o1", "name": "acme"}]},
            "fields": {"Country": "CH", "Agree": true, "Age": 36, "Phone": null}, "brandNew": {"x": 1}}"#,
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
        assert_eq!(answers, [("Age", "36"), ("Agree", "true"), ("Country", "CH")]);
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
            r#"{"user": {"user": "ada"}, "user": {"user": "mallory"}}"#,
            r#"{"user": {"user": "ada"}, "timestamp": "yesterday"}"#,
            r#"{"user": {"user": "ada"}, "fields": ["CH"]}"#,
            r#"{"user": {"user": "ada"}, "fields": {"Country": ["CH", "KP"]}}"#,
            r#"{"user": {"user": "ada"}, "fields": {"Country": {"code": "KP"}}}"#,
        ];
        for entry in entries {
            assert!(one(entry).doubt.is_some(), "{entry}");
        }
    }

    #[test]
    fn what_is_listed_but_no_longer_pending_is_left_alone() {
        let body = r#"[{"requestId": "r1", "status": "accepted"}, {"requestId": "r2", "status": "pending"}, {"requestId": "r3"}]"#;
        assert_eq!(page(body.as_bytes()).expect("a page").len(), 2);
    }

    #[test]
    fn a_page_that_is_no_list_is_an_error_that_repeats_none_of_it() {
        for body in ["", "<html>ada@acme.com", r#"{"error": "ada@acme.com"}"#, "[{\"user\": ", "[1, 2"] {
            let error = page(body.as_bytes()).expect_err(body);
            assert!(error.starts_with("it ") && !error.contains("ada"), "{error}");
        }
    }

    #[test]
    fn requests_are_named_and_answered_as_the_hub_wants_it() {
        let answer = |verdict, reason: Option<&str>| Answer { verdict, reason: reason.map(Into::into) };
        let cases = [
            (
                Identity::UserId("u".into()),
                answer(Verdict::Accept, None),
                r#"{"userId":"u","status":"accepted"}"#,
            ),
            (
                Identity::RequestId("r".into()),
                answer(Verdict::Reject, Some("no")),
                r#"{"requestId":"r","status":"rejected","rejectionReason":"no"}"#,
            ),
            (
                Identity::UserName("n".into()),
                answer(Verdict::Reset, Some("mend")),
                r#"{"user":"n","status":"reset","resetReason":"mend"}"#,
            ),
        ];
        for (identity, answer, expected) in cases {
            let body = HandleBody { identity: (&identity).into(), answer: (&answer).into() };
            assert_eq!(serde_json::to_string(&body).expect("JSON"), expected);
        }
        let (ids, answer) = ([Identity::UserId("u".into())], answer(Verdict::Accept, None));
        let body = BatchBody { answer: (&answer).into(), requests: ids.iter().map(Into::into).collect() };
        let expected = r#"{"status":"accepted","requests":[{"userId":"u"}]}"#;
        assert_eq!(serde_json::to_string(&body).expect("JSON"), expected);
    }

    #[test]
    fn each_result_of_a_batch_is_told() {
        let asked = ["a", "b", "c", "d"].map(|id| Identity::UserId(id.to_owned()));
        let body = r#"[{"userId": "a", "ok": true}, {"ok": false, "error": "user_not_found"},
            {"userId": "c", "ok": false, "error": "request_not_found"}, {"userId": "d", "ok": false, "error": "a@b c"}]"#;
        let failed = Handled::Failed("[redacted] c".to_owned());
        assert_eq!(
            batch(body.as_bytes(), &asked),
            Ok(vec![Handled::Done, Handled::Gone, Handled::Gone, failed])
        );
    }

    #[test]
    fn an_answer_that_does_not_fit_the_batch_is_not_relied_upon() {
        let asked = ["a", "b"].map(|id| Identity::UserId(id.to_owned()));
        let bodies = [
            r#"[{"ok": true}]"#,
            r#"[{"ok": true}, {"ok": true}, {"ok": true}]"#,
            r#"[{"userId": "b", "ok": true}, {"userId": "a", "ok": true}]"#,
            r#"[{"userId": "a", "ok": true}, {"userId": "b"}]"#,
            r#"{"ok": true}"#,
            "",
        ];
        for body in bodies {
            assert!(batch(body.as_bytes(), &asked).is_err(), "{body}");
        }
    }
}
