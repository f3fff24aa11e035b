//! Errors of calls to the Hub. They say enough to act on, and contain nothing secret.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use reqwest::header::{HeaderMap, LOCATION};

use crate::http::{self, retry};
use crate::secrets::{Secret, redact};

/// A failed call: which call it was, and why it failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubError {
    /// The method and path of the call.
    pub call: String,
    /// Why the call failed.
    pub problem: Problem,
    /// Whether the Hub may have carried out the call although it failed, because a response was lost or cannot be read.
    pub may_be_done: bool,
}

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The Hub answered with a status that is not a success.
    Refused {
        /// The HTTP status.
        status: u16,
        /// `X-Error-Code`, such as `RepoNotGated`. It is often absent.
        code: Option<Box<str>>,
        /// `X-Error-Message`, otherwise where a redirect leads, otherwise the `error` of the body.
        message: Option<Box<str>>,
        /// `X-Request-Id`, by which the Hub's support can find the call.
        request_id: Option<Box<str>>,
        /// `Retry-After`: how long the Hub takes no such calls, if it says so.
        retry_after: Option<Duration>,
    },
    /// No connection to the Hub could be made. The call was not sent.
    Unreachable(String),
    /// The call was sent, but no complete response came within the timeout of the attempt.
    TooSlow,
    /// The call was sent, but the connection broke before the response was complete.
    Unanswered(String),
    /// The time of this run was up. The call was not sent, or its response did not come before the deadline.
    OutOfTime,
    /// The call was not sent, because the Hub takes no calls until after the deadline of this run.
    RateLimited {
        /// How long the Hub takes no calls.
        wait: Duration,
        /// The calls of a whole window and its length, if the rate limit is the reason and the Hub has stated them.
        quota: Option<(u32, Duration)>,
    },
    /// The write was not sent, because its page would be too old by the time the Hub accepts another call. The review waits,
    /// reads the list again, and decides the request again.
    Postponed,
    /// The write was not sent, because its page had become too old. The review reads the list again, and decides the request
    /// again.
    Stale,
    /// The link to the next page leads to this place, which is another origin or another list.
    ForeignPage(String),
    /// A file is at this place, by a redirect that is not followed.
    Elsewhere(String),
    /// The response is larger than this number of bytes, or would need too much memory. It was not used.
    TooLarge(usize),
    /// The response does not have the documented form. The text says why.
    Unreadable(String),
}

impl Problem {
    /// The problem behind an error of the HTTP client. It leaves out the URL, because [`HubError::call`] names the call.
    pub(super) fn from_client(error: &reqwest::Error) -> Self {
        if error.is_timeout() && !error.is_connect() {
            return Self::TooSlow;
        }
        let cause = redact(&http::cause(error), &[]);
        if error.is_connect() { Self::Unreachable(cause) } else { Self::Unanswered(cause) }
    }
}

impl HubError {
    pub(crate) fn new(call: &str, problem: Problem) -> Self {
        let may_be_done = match &problem {
            Problem::TooSlow | Problem::Unanswered(_) | Problem::TooLarge(_) | Problem::Unreadable(_) => true,
            Problem::Refused { status, .. } => matches!(status, 408 | 500 | 502 | 504),
            _ => false,
        };
        Self { call: call.to_owned(), problem, may_be_done }
    }

    /// The error for a response that is not a success. Its message comes from the headers, otherwise from the body.
    pub(super) fn refused(
        call: &str,
        status: u16,
        headers: &HeaderMap,
        retry_after: Option<Duration>,
        body: &[u8],
        secrets: &[Secret],
    ) -> Self {
        #[derive(serde::Deserialize)]
        struct Body {
            error: String,
        }
        let header = |name: &str| -> Option<Box<str>> {
            Some(redact(headers.get(name)?.to_str().ok()?, secrets).into())
        };
        let message = header("x-error-message").or_else(|| match headers.get(LOCATION) {
            Some(target) => Some(redact(&redirect(target.to_str().unwrap_or_default()), secrets).into()),
            None => serde_json::from_slice(body).ok().map(|Body { error }| redact(&error, secrets).into()),
        });
        let (code, request_id) = (header("x-error-code"), header("x-request-id"));
        Self::new(call, Problem::Refused { status, code, message, request_id, retry_after })
    }

    /// The status, code and message of a refused call.
    fn refusal(&self) -> Option<(u16, &str, &str)> {
        match &self.problem {
            Problem::Refused { status, code, message, .. } => {
                Some((*status, code.as_deref().unwrap_or_default(), message.as_deref().unwrap_or_default()))
            }
            _ => None,
        }
    }

    /// The HTTP status, if the Hub refused the call.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.refusal().map(|(status, ..)| status)
    }

    /// Whether the same call may succeed in a moment. A response that cannot be read counts as a lost response.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match &self.problem {
            Problem::Unreachable(_) | Problem::TooSlow | Problem::Unanswered(_) | Problem::Unreadable(_) => {
                true
            }
            Problem::Refused { status, .. } => retry::is_transient(*status),
            Problem::OutOfTime
            | Problem::RateLimited { .. }
            | Problem::Postponed
            | Problem::Stale
            // The response would be as large again.
            | Problem::TooLarge(_)
            | Problem::ForeignPage(_)
            | Problem::Elsewhere(_) => false,
        }
    }

    /// Whether the call shows nothing but that the Hub cannot be reached now.
    #[must_use]
    pub(crate) fn is_outage(&self) -> bool {
        self.is_transient() || matches!(self.problem, Problem::OutOfTime | Problem::RateLimited { .. })
    }

    /// Whether the write may have been carried out, so that only a later reading of the list shows its result. This is so if no
    /// response came, or a response that does not say what the Hub did (408 and every 5xx).
    #[must_use]
    pub fn leaves_in_doubt(&self) -> bool {
        self.may_be_done || self.status().is_some_and(|status| status == 408 || status >= 500)
    }

    /// Whether the Hub did nothing and a later attempt may succeed. This is so if the Hub could not be reached, if it accepts
    /// no such call for now, or if the page of the decision was too old.
    #[must_use]
    pub fn is_put_off(&self) -> bool {
        let is_early = matches!(self.status(), Some(425 | 429));
        !self.leaves_in_doubt()
            && (is_early || matches!(self.problem, Problem::Unreachable(_)) || self.is_page_too_old())
    }

    /// Whether a write was not sent because the page of the decision was, or would have become, too old.
    #[must_use]
    pub fn is_page_too_old(&self) -> bool {
        matches!(self.problem, Problem::Postponed | Problem::Stale) && !self.may_be_done
    }

    /// How long the Hub takes no such calls, if it said so.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self.problem {
            Problem::Refused { retry_after, .. } => retry_after,
            _ => None,
        }
    }

    /// Whether the request already has the new status or no longer exists. The Hub shows this only by its message.
    #[must_use]
    pub fn is_no_such_request(&self) -> bool {
        self.says(404, "No access request found matching your criteria")
    }

    /// Whether the user does not exist.
    #[must_use]
    pub fn is_no_such_user(&self) -> bool {
        self.says(404, "User not found")
    }

    /// Whether the user of a `grant` already has access.
    #[must_use]
    pub fn has_access_already(&self) -> bool {
        self.says(400, "That user already has access to the repo")
    }

    fn says(&self, expected: u16, beginning: &str) -> bool {
        self.refusal()
            .is_some_and(|(status, _, message)| status == expected && message.starts_with(beginning))
    }

    /// Whether the repo is not gated.
    #[must_use]
    pub fn is_not_gated(&self) -> bool {
        self.refusal().is_some_and(|(_, code, _)| code == "RepoNotGated")
    }

    /// Whether the Hub does not know the token, or the token may not make this call. Another token may succeed.
    #[must_use]
    pub fn is_about_the_token(&self) -> bool {
        matches!(self.status(), Some(401 | 403))
    }

    /// Whether every other call about this repo would fail too: the repo is not gated, does not exist, or is out of reach of
    /// the token.
    #[must_use]
    pub fn is_about_the_repo(&self) -> bool {
        // Without this code, a 404 may be about the user, or about an endpoint that this Hub does not have.
        let is_missing = |(status, code, _)| status == 404 && code == "RepoNotFound";
        self.is_about_the_token() || self.is_not_gated() || self.refusal().is_some_and(is_missing)
    }

    /// Whether writing the requests of this batch one by one with `handle` may succeed. Either this Hub has no `batch`, or it
    /// refuses something about one of the requests.
    #[must_use]
    pub fn is_batch_refused(&self) -> bool {
        let refused = |(status, code, _)| match status {
            404 => code != "RepoNotFound",
            400 => code != "RepoNotGated",
            405 | 413 | 422 => true,
            _ => false,
        };
        self.refusal().is_some_and(refused)
    }

    /// Whether the content of the call may have caused the failure. This is so if the connection broke before the response was
    /// complete, and for 408 and 5xx. But a 503 with a `Retry-After` is about the state of the Hub.
    #[must_use]
    pub fn may_be_caused_by_content(&self) -> bool {
        match self.status() {
            Some(503) => self.retry_after().is_none(),
            Some(status) => status == 408 || status >= 500,
            None => matches!(self.problem, Problem::Unanswered(_)),
        }
    }

    /// Whether this Hub has no `batch`.
    #[must_use]
    pub fn is_batch_unknown(&self) -> bool {
        self.is_batch_refused() && self.refusal().is_some_and(|(status, ..)| matches!(status, 404 | 405))
    }
}

impl fmt::Display for HubError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.call)?;
        match &self.problem {
            Problem::Refused { status, code, message, request_id, .. } => {
                write!(f, "the Hub answered {status}")?;
                code.iter().try_for_each(|code| write!(f, " {code}"))?;
                message.iter().try_for_each(|message| write!(f, ": {message}"))?;
                request_id.iter().try_for_each(|id| write!(f, " (request id {id})"))?;
                f.write_str(match status {
                    403 if self.call.contains("/api/settings/") => {
                        "; give HF_TOKEN the right to manage webhooks"
                    }
                    401 => "; put a valid token into HF_TOKEN, or where HF_TOKEN comes from",
                    403 if self.call.contains("/resolve/") => "; give HF_TOKEN read access to the repo",
                    403 => "; give HF_TOKEN write access to the repo",
                    404 if code.as_deref() == Some("EntryNotFound") => "; the repo has no such file",
                    404 if code.as_deref() == Some("RevisionNotFound") => {
                        "; the repo has no such branch or commit"
                    }
                    404 if code.as_deref() == Some("RepoNotFound") || self.call.starts_with("GET") => {
                        "; there is no such repo, or HF_TOKEN does not see it"
                    }
                    _ => "",
                })
            }
            Problem::Unreachable(cause) => write!(f, "no connection to the Hub: {cause}"),
            Problem::TooSlow => f.write_str("no response from the Hub: it took too long"),
            Problem::Unanswered(cause) => write!(f, "no response from the Hub: {cause}"),
            Problem::OutOfTime if self.may_be_done => f.write_str(
                "no response from the Hub, and the time for this run was up; the next run goes on",
            ),
            Problem::OutOfTime => f.write_str("the time for this run was up; the next run goes on"),
            Problem::RateLimited { wait, quota } => {
                let wait = wait.as_secs() + 1;
                write!(f, "the Hub takes no calls with this HF_TOKEN for another {wait} s")?;
                quota.iter().try_for_each(|(calls, window)| {
                    write!(f, ", because its {calls} calls in {} s are used up", window.as_secs())
                })?;
                f.write_str("; the next run goes on")
            }
            Problem::Postponed | Problem::Stale => f.write_str(
                "not sent, because the page of the decision would have been more than 2 s old; \
                 the next run decides the request again",
            ),
            Problem::ForeignPage(target) => {
                write!(f, "the link to the next page leads to {target}, which is not the same list")
            }
            Problem::Elsewhere(target) => f.write_str(&redirect(target)),
            Problem::TooLarge(limit) => {
                write!(f, "the Hub's response is larger than {} KB, and was not read", limit / 1024)
            }
            Problem::Unreadable(why) => write!(f, "the Hub's response cannot be read: {why}"),
        }
    }
}

impl Error for HubError {}

/// The message about a redirect, without the query of its target.
fn redirect(target: &str) -> String {
    let path = target.split(['?', '#']).next().unwrap_or_default();
    format!(
        "it redirects to {path}, which is not followed; if the repo was renamed, use its new name in REPOS and APPROVAL_POLICY"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> HubError {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")))
            .collect();
        HubError::refused("POST /x", status, &headers, None, body.as_bytes(), &[Secret::new("hf_tok")])
    }

    #[test]
    fn error_shows_the_call_the_response_and_the_remedy() {
        let headers = [("x-error-code", "GatedRepo"), ("x-request-id", "Root=1")];
        let error = refused(403, &headers, r#"{"error": "You have read access"}"#);
        assert_eq!(
            error.to_string(),
            "POST /x: the Hub answered 403 GatedRepo: You have read access (request id Root=1); give HF_TOKEN write \
             access to the repo"
        );
    }

    #[test]
    fn missing_file_does_not_mean_that_the_repo_is_gone() {
        let cases = [
            (404, "EntryNotFound", "; the repo has no such file"),
            (404, "RevisionNotFound", "; the repo has no such branch or commit"),
            (404, "RepoNotFound", "; there is no such repo, or HF_TOKEN does not see it"),
            (403, "GatedRepo", "; give HF_TOKEN read access to the repo"),
        ];
        for (status, code, remedy) in cases {
            let headers = HeaderMap::from_iter([(
                "x-error-code".parse().expect("a name"),
                code.parse().expect("a value"),
            )]);
            let error =
                HubError::refused("GET /datasets/a/b/resolve/main/l", status, &headers, None, b"", &[]);
            assert!(error.to_string().ends_with(remedy), "{error}");
        }
    }

    #[test]
    fn message_in_the_header_precedes_the_body() {
        let error = refused(400, &[("x-error-message", "from the header")], r#"{"error": "from the body"}"#);
        assert_eq!(error.to_string(), "POST /x: the Hub answered 400: from the header");
    }

    #[test]
    fn message_is_one_short_line_without_token_and_addresses() {
        let error = refused(500, &[], r#"{"error": "no\u0000 hf_tok for <ada@acme.com>,\n sorry"}"#);
        assert_eq!(error.to_string(), "POST /x: the Hub answered 500: no [redacted] for [redacted] sorry");
        let error = refused(500, &[], &format!(r#"{{"error": "{}"}}"#, "long ".repeat(1000)));
        assert!(error.to_string().len() < 400, "{error}");
    }

    #[test]
    fn only_documented_messages_mean_no_such_request_or_user() {
        let gone = |status, body| {
            let error = refused(status, &[], body);
            error.is_no_such_request() || error.is_no_such_user()
        };
        assert!(gone(404, r#"{"error": "No access request found matching your criteria"}"#));
        assert!(gone(404, r#"{"error": "User not found"}"#));
        assert!(!gone(404, r#"{"error": "Repository not found"}"#));
        assert!(!gone(404, "Not Found"));
        assert!(!gone(400, r#"{"error": "User not found"}"#));
    }

    #[test]
    fn missing_batch_is_distinguished_from_a_missing_repo() {
        let repo = [("x-error-code", "RepoNotFound")];
        assert!(refused(404, &[], "Not Found").is_batch_unknown());
        assert!(refused(405, &[], "").is_batch_unknown());
        assert!(!refused(404, &repo, "").is_batch_refused());
        assert!(refused(400, &[], "").is_batch_refused() && !refused(400, &[], "").is_batch_unknown());
        assert!(!refused(400, &[("x-error-code", "RepoNotGated")], "").is_batch_refused());
        assert!(!refused(403, &[], "").is_batch_refused());
    }

    #[test]
    fn only_an_error_about_the_whole_repo_ends_its_review() {
        let ends = |status, headers: &[_]| refused(status, headers, "").is_about_the_repo();
        assert!(ends(401, &[]) && ends(403, &[]) && ends(404, &[("x-error-code", "RepoNotFound")]));
        assert!(ends(400, &[("x-error-code", "RepoNotGated")]));
        assert!(!ends(404, &[]) && !ends(400, &[]) && !ends(429, &[]) && !ends(500, &[]));
    }

    #[test]
    fn redirect_is_shown_without_password_and_query() {
        let error = refused(302, &[("location", "https://u:pw@hub/hf_tok")], "");
        assert!(!error.to_string().contains("pw") && !error.to_string().contains("hf_tok"), "{error}");
        let error = refused(307, &[("location", "https://hub/api/models/acme/new?token=x")], "");
        assert!(
            error.to_string().contains("it redirects to https://hub/api/models/acme/new, which"),
            "{error}"
        );
    }
}
