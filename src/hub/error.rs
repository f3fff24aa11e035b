//! What can go wrong between here and the Hub, with enough in it to act on and nothing secret.

use std::error::Error;
use std::fmt;
use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, LOCATION};

use super::told::{Bucket, Told};
use crate::secret::{Secret, shown};
use crate::{http, retry};

/// A call that failed: what was asked, and what came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubError {
    /// The method and path of the call.
    pub call: String,
    /// What came back, or did not.
    pub problem: Problem,
    /// An answer to this call was lost, so that it may have been carried out all the same.
    pub may_be_done: bool,
}

/// What went wrong with a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The Hub answered with an error.
    Refused {
        /// The HTTP status.
        status: u16,
        /// `X-Error-Code`, such as `RepoNotGated`; often absent.
        code: Option<Box<str>>,
        /// `X-Error-Message`, else the `error` of the body.
        message: Option<Box<str>>,
        /// `X-Request-Id`, to name the call by to the Hub's support.
        request_id: Option<Box<str>>,
        /// `Retry-After`: how long the Hub wants no such call, if it says so.
        retry_after: Option<Duration>,
    },
    /// No connection to the Hub could be made.
    Unreachable(String),
    /// The call was sent, but no answer came in time.
    TooSlow,
    /// The call was sent, but the answer broke off.
    Unanswered(String),
    /// The time for this run was up.
    OutOfTime,
    /// The Hub wants no call for longer than there is time.
    RateLimited {
        /// How long the Hub wants no call.
        wait: Duration,
        /// How many calls there are in a window, and how long that is; where the Hub tells.
        quota: Option<(u32, Duration)>,
    },
    /// A write that was not sent, because by the time the Hub wants another call its page would be too old.
    Postponed,
    /// A write that was not sent, because its page had become too old. The request has to be read and decided again.
    Stale,
    /// The next page is said to be here, which is another origin or another list.
    ForeignPage(String),
    /// The answer is longer than so many bytes, and was not read.
    TooLarge(usize),
    /// There was an answer, but not of the form that is documented.
    Unreadable(String),
}

impl Problem {
    /// What an error of the HTTP client amounts to. Its URL is left out: the call is named anyway.
    pub(super) fn of(error: &reqwest::Error) -> Self {
        if error.is_timeout() && !error.is_connect() {
            return Self::TooSlow;
        }
        let what = http::cause(error);
        if error.is_connect() { Self::Unreachable(what) } else { Self::Unanswered(what) }
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

    /// Takes what the Hub says of itself from its headers and, failing that, its body.
    pub(super) fn refused(
        call: &str,
        status: u16,
        headers: &HeaderMap,
        body: &[u8],
        secrets: &[Secret],
    ) -> Self {
        #[derive(serde::Deserialize)]
        struct Body {
            error: String,
        }
        let header = |name: &str| -> Option<Box<str>> {
            Some(shown(headers.get(name)?.to_str().ok()?, secrets).into())
        };
        let message = header("x-error-message").or_else(|| match headers.get(LOCATION) {
            Some(to) => Some(shown(&moved_to(to.to_str().unwrap_or_default()), secrets).into()),
            None => serde_json::from_slice(body).ok().map(|Body { error }| shown(&error, secrets).into()),
        });
        let (code, request_id) = (header("x-error-code"), header("x-request-id"));
        let retry_after = Told::by(headers, SystemTime::now(), Bucket::Api).retry_after;
        Self::new(call, Problem::Refused { status, code, message, request_id, retry_after })
    }

    fn refusal(&self) -> Option<(u16, &str, &str)> {
        match &self.problem {
            Problem::Refused { status, code, message, .. } => {
                Some((*status, code.as_deref().unwrap_or_default(), message.as_deref().unwrap_or_default()))
            }
            _ => None,
        }
    }

    /// The HTTP status, where the Hub has refused the call.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.refusal().map(|(status, ..)| status)
    }

    /// Calling again in a moment may do better. An answer that cannot be read counts as one that was lost.
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
            // It would be as large again.
            | Problem::TooLarge(_)
            | Problem::ForeignPage(_) => false,
        }
    }

    /// Whether the write may have been carried out, so that only a later reading of the list can tell. This is so if no answer
    /// came, or one that does not say what the Hub did (408 and every 5xx).
    #[must_use]
    pub fn leaves_in_doubt(&self) -> bool {
        self.may_be_done || self.status().is_some_and(|status| status == 408 || status >= 500)
    }

    /// Whether the Hub did nothing and a later attempt may succeed. This is so if the Hub could not be reached, if it wants no
    /// such call for now, or if the page that was decided from was too old.
    #[must_use]
    pub fn is_put_off(&self) -> bool {
        let is_early = matches!(self.status(), Some(425 | 429));
        !self.leaves_in_doubt()
            && (is_early || matches!(self.problem, Problem::Unreachable(_)) || self.is_page_too_old())
    }

    /// Whether a write was not sent because the page that was decided from was, or would have become, too old.
    #[must_use]
    pub fn is_page_too_old(&self) -> bool {
        matches!(self.problem, Problem::Postponed | Problem::Stale) && !self.may_be_done
    }

    /// How long the Hub wants no such call, if it said so.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self.problem {
            Problem::Refused { retry_after, .. } => retry_after,
            _ => None,
        }
    }

    /// The request is in that state already, or it is no more. The Hub tells this by its message alone.
    #[must_use]
    pub fn is_no_such_request(&self) -> bool {
        self.says(404, "No access request found matching your criteria")
    }

    /// There is no such user.
    #[must_use]
    pub fn is_no_such_user(&self) -> bool {
        self.says(404, "User not found")
    }

    /// Somebody who is to be let in is in.
    #[must_use]
    pub fn is_in_already(&self) -> bool {
        self.says(400, "That user already has access to the repo")
    }

    fn says(&self, expected: u16, beginning: &str) -> bool {
        self.refusal()
            .is_some_and(|(status, _, message)| status == expected && message.starts_with(beginning))
    }

    /// The repo has no gate.
    #[must_use]
    pub fn is_not_gated(&self) -> bool {
        self.refusal().is_some_and(|(_, code, _)| code == "RepoNotGated")
    }

    /// The token is not known to the Hub, or may not do this: another one might.
    #[must_use]
    pub fn is_about_the_token(&self) -> bool {
        matches!(self.status(), Some(401 | 403))
    }

    /// No other call about this repo can do better: it is not gated, not there, or not for this token.
    #[must_use]
    pub fn is_about_the_repo(&self) -> bool {
        // Without the code it may be about the user, or about an endpoint that this Hub does not have.
        let is_not_there = |(status, code, _)| status == 404 && code == "RepoNotFound";
        self.is_about_the_token() || self.is_not_gated() || self.refusal().is_some_and(is_not_there)
    }

    /// Asking for the same with `handle`, one by one, may do better: this Hub has no `batch`, or it refuses something
    /// about one of the requests in it.
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

    /// Whether the content of the call may have caused the failure: the Hub gave no answer, or a 408 or a 5xx. With a `Retry-After`, 503 is about the state of the Hub.
    #[must_use]
    pub fn may_be_caused_by_content(&self) -> bool {
        match self.status() {
            Some(503) => self.retry_after().is_none(),
            Some(status) => status == 408 || status >= 500,
            None => matches!(self.problem, Problem::Unanswered(_)),
        }
    }

    /// This Hub has no `batch` at all.
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
                    401 => "; put a valid token into HF_TOKEN, or where its ARN points",
                    403 => "; give HF_TOKEN write access to the repo",
                    404 if code.as_deref() == Some("RepoNotFound") || self.call.starts_with("GET") => {
                        "; the repo is gone, or HF_TOKEN does not see it"
                    }
                    _ => "",
                })
            }
            Problem::Unreachable(what) => write!(f, "no connection to the Hub: {what}"),
            Problem::TooSlow => f.write_str("no answer from the Hub: it took too long"),
            Problem::Unanswered(what) => write!(f, "no answer from the Hub: {what}"),
            Problem::OutOfTime if self.may_be_done => {
                f.write_str("no answer from the Hub, and the time for this run was up; the next run goes on")
            }
            Problem::OutOfTime => f.write_str("the time for this run was up; the next run goes on"),
            Problem::RateLimited { wait, quota } => {
                let wait = wait.as_secs() + 1;
                write!(f, "the Hub wants no call with this HF_TOKEN for another {wait} s")?;
                quota.iter().try_for_each(|(calls, window)| {
                    write!(f, ", for its {calls} calls in {} s are used up", window.as_secs())
                })?;
                f.write_str("; the next run goes on")
            }
            Problem::Postponed | Problem::Stale => f.write_str(
                "not sent, because the page that was decided from would have been more than 2 s old; the next run decides it again",
            ),
            Problem::ForeignPage(place) => {
                write!(f, "the next page is said to be {place}, which is not of the same list")
            }
            Problem::TooLarge(limit) => {
                write!(f, "the Hub's answer is larger than {} KB, and was not read", limit / 1024)
            }
            Problem::Unreadable(what) => write!(f, "the Hub's answer cannot be read: {what}"),
        }
    }
}

impl Error for HubError {}

/// What to say of a redirect, which is never followed. Of its target only the path is shown.
fn moved_to(target: &str) -> String {
    let path = target.split(['?', '#']).next().unwrap_or_default();
    format!("it redirects to {path}, which is not followed; if the repo was renamed, name it so in REPOS")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> HubError {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")))
            .collect();
        HubError::refused("POST /x", status, &headers, body.as_bytes(), &[Secret::new("hf_tok")])
    }

    #[test]
    fn an_error_says_what_was_asked_what_came_back_and_what_to_do() {
        let headers = [("x-error-code", "GatedRepo"), ("x-request-id", "Root=1")];
        let error = refused(403, &headers, r#"{"error": "You have read access"}"#);
        assert_eq!(
            error.to_string(),
            "POST /x: the Hub answered 403 GatedRepo: You have read access (request id Root=1); give HF_TOKEN write \
             access to the repo"
        );
    }

    #[test]
    fn the_header_is_believed_before_the_body() {
        let error = refused(400, &[("x-error-message", "from the header")], r#"{"error": "from the body"}"#);
        assert_eq!(error.to_string(), "POST /x: the Hub answered 400: from the header");
    }

    #[test]
    fn what_the_hub_says_is_shown_without_token_and_addresses_on_one_short_line() {
        let error = refused(500, &[], r#"{"error": "no\u0000 hf_tok for <ada@acme.com>,\n sorry"}"#);
        assert_eq!(error.to_string(), "POST /x: the Hub answered 500: no [redacted] for [redacted] sorry");
        let error = refused(500, &[], &format!(r#"{{"error": "{}"}}"#, "long ".repeat(1000)));
        assert!(error.to_string().len() < 400, "{error}");
    }

    #[test]
    fn only_the_documented_messages_mean_that_somebody_was_faster() {
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
    fn a_missing_batch_is_told_from_a_missing_repo() {
        let repo = [("x-error-code", "RepoNotFound")];
        assert!(refused(404, &[], "Not Found").is_batch_unknown());
        assert!(refused(405, &[], "").is_batch_unknown());
        assert!(!refused(404, &repo, "").is_batch_refused());
        assert!(refused(400, &[], "").is_batch_refused() && !refused(400, &[], "").is_batch_unknown());
        assert!(!refused(400, &[("x-error-code", "RepoNotGated")], "").is_batch_refused());
        assert!(!refused(403, &[], "").is_batch_refused());
    }

    #[test]
    fn only_what_holds_for_the_whole_repo_ends_its_review() {
        let ends = |status, headers: &[_]| refused(status, headers, "").is_about_the_repo();
        assert!(ends(401, &[]) && ends(403, &[]) && ends(404, &[("x-error-code", "RepoNotFound")]));
        assert!(ends(400, &[("x-error-code", "RepoNotGated")]));
        assert!(!ends(404, &[]) && !ends(400, &[]) && !ends(429, &[]) && !ends(500, &[]));
    }

    #[test]
    fn of_a_redirect_the_path_is_told_and_no_more() {
        let error = refused(302, &[("location", "https://u:pw@hub/hf_tok")], "");
        assert!(!error.to_string().contains("pw") && !error.to_string().contains("hf_tok"), "{error}");
        let error = refused(307, &[("location", "https://hub/api/models/acme/new?token=x")], "");
        assert!(
            error.to_string().contains("it redirects to https://hub/api/models/acme/new, which"),
            "{error}"
        );
    }
}
