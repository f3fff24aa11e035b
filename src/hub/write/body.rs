//! The bodies of writes, and of their responses.

use serde::Serialize;
use serde_json::{Map, Value};

use super::super::wire;
use super::{StatusChange, WriteResult};
use crate::model::{Identity, Status};
use crate::secrets::{Secret, redact};

#[derive(Serialize)]
pub(super) struct Handle<'a> {
    #[serde(flatten)]
    pub(super) identity: RequestName<'a>,
    #[serde(flatten)]
    pub(super) change: NewStatus<'a>,
}

#[derive(Serialize)]
pub(super) struct Batch<'a> {
    #[serde(flatten)]
    pub(super) change: NewStatus<'a>,
    pub(super) requests: Vec<RequestName<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum RequestName<'a> {
    UserId(&'a str),
    RequestId(&'a str),
    User(&'a str),
}

impl<'a> From<&'a Identity> for RequestName<'a> {
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

impl<'a> From<&'a StatusChange> for NewStatus<'a> {
    fn from(StatusChange { status, reason }: &'a StatusChange) -> Self {
        let reason_for = |reasoned| reason.as_deref().filter(|_| *status == reasoned);
        let (rejection_reason, reset_reason) = (reason_for(Status::Rejected), reason_for(Status::Reset));
        Self { name: status.as_str(), rejection_reason, reset_reason }
    }
}

/// Reads the response to `handle` or `grant`: an object, or nothing. An object with an `error` is an error.
pub(super) fn read_empty(body: &[u8]) -> Result<(), String> {
    if body.is_empty() {
        return Ok(());
    }
    let response: Map<String, Value> =
        serde_json::from_slice(body).map_err(|error| wire::describe(&error))?;
    if response.contains_key("error") {
        Err("it is an error with the status of a success".to_owned())
    } else {
        Ok(())
    }
}

/// Reads the response to a batch: one result for each of the `requested`, in their order. If the results do not fit the
/// requests, the whole response is an error, because no result is reliable then. The Hub's reason for a failure is kept without
/// `secrets`.
pub(super) fn read_batch(
    body: &[u8],
    requested: &[Identity],
    secrets: &[Secret],
) -> Result<Vec<WriteResult>, String> {
    let results: Vec<Map<String, Value>> =
        serde_json::from_slice(body).map_err(|error| wire::describe(&error))?;
    if results.len() != requested.len() {
        return Err(format!("{} results for {} requests", results.len(), requested.len()));
    }
    let read = |(result, identity): (&Map<String, Value>, &Identity)| {
        if !is_about(result, identity) {
            return Err("the results are not in the order of the requests".to_owned());
        }
        match (result.get("ok"), result.get("error").and_then(Value::as_str)) {
            (Some(Value::Bool(true)), _) => Ok(WriteResult::Done),
            (Some(Value::Bool(false)), Some("user_not_found")) => Ok(WriteResult::NoSuchUser),
            (Some(Value::Bool(false)), Some("request_not_found")) => Ok(WriteResult::NoSuchRequest),
            (Some(Value::Bool(false)), error) => {
                Ok(WriteResult::Failed(redact(error.unwrap_or("no reason given"), secrets)))
            }
            _ => Err("a result does not say whether it is ok".to_owned()),
        }
    };
    results.iter().zip(requested).map(read).collect()
}

/// Whether a result may be about this request. A result without the request's name counts, because the Hub need not repeat it.
fn is_about(result: &Map<String, Value>, identity: &Identity) -> bool {
    let (key, name) = match identity {
        Identity::UserId(id) => ("userId", id),
        Identity::RequestId(id) => ("requestId", id),
        Identity::UserName(name) => ("user", name),
    };
    let echo = result.get(key).filter(|echo| !echo.is_null());
    echo.is_none_or(|echo| echo.as_str().is_some_and(|echo| echo.eq_ignore_ascii_case(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_written_as_the_hub_documents() {
        let change = |status, reason: Option<&str>| StatusChange { status, reason: reason.map(Into::into) };
        let cases = [
            (
                Identity::UserId("u".into()),
                change(Status::Accepted, None),
                r#"{"userId":"u","status":"accepted"}"#,
            ),
            (
                Identity::RequestId("r".into()),
                change(Status::Rejected, Some("no")),
                r#"{"requestId":"r","status":"rejected","rejectionReason":"no"}"#,
            ),
            (
                Identity::UserName("n".into()),
                change(Status::Reset, Some("mend")),
                r#"{"user":"n","status":"reset","resetReason":"mend"}"#,
            ),
        ];
        for (identity, change, expected) in cases {
            let body = Handle { identity: (&identity).into(), change: (&change).into() };
            assert_eq!(serde_json::to_string(&body).expect("JSON"), expected);
        }
        let (ids, change) = ([Identity::UserId("u".into())], change(Status::Accepted, None));
        let body = Batch { change: (&change).into(), requests: ids.iter().map(Into::into).collect() };
        let expected = r#"{"status":"accepted","requests":[{"userId":"u"}]}"#;
        assert_eq!(serde_json::to_string(&body).expect("JSON"), expected);
    }

    #[test]
    fn every_kind_of_result_of_a_batch_is_read() {
        let requested = ["a", "b", "c", "d"].map(|id| Identity::UserId(id.to_owned()));
        let body = r#"[{"userId": "a", "user": null, "ok": true}, {"userId": null, "ok": false, "error": "user_not_found"},
            {"userId": "c", "ok": false, "error": "request_not_found"}, {"userId": "d", "ok": false, "error": "a@b c hf_t"}]"#;
        let failed = WriteResult::Failed("[redacted] c [redacted]".to_owned());
        assert_eq!(
            read_batch(body.as_bytes(), &requested, &[Secret::new("hf_t")]),
            Ok(vec![WriteResult::Done, WriteResult::NoSuchUser, WriteResult::NoSuchRequest, failed])
        );
    }

    #[test]
    fn object_with_error_is_an_error() {
        for (body, done) in
            [("{}", true), ("", true), ("{\"x\": 1}", true), ("{\"error\": \"no\"}", false), ("[]", false)]
        {
            assert_eq!(read_empty(body.as_bytes()).is_ok(), done, "{body}");
        }
    }

    #[test]
    fn results_that_do_not_fit_the_batch_are_an_error() {
        let requested = ["a", "b"].map(|id| Identity::UserId(id.to_owned()));
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
            assert!(read_batch(body.as_bytes(), &requested, &[Secret::new("hf_t")]).is_err(), "{body}");
        }
    }
}
