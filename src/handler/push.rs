//! The response to a webhook about the repo that keeps the policy: the policy is read again, and `REPOS` is swept.

use std::time::Duration;

use lambda_http::http::StatusCode;
use lambda_http::{Body, Response};
use tokio::time::{Instant, sleep_until};

use super::sweep::Scope;
use super::{Handler, PolicyOfEvent, response};
use crate::hub::Moment;
use crate::report::metrics::Event;
use crate::source::{HubFile, MIN_PERIOD};
use crate::trigger::webhook::Push;

/// How long further pushes are waited for. A push that was followed by another one within this time starts no sweep, because the
/// webhook of the other one does.
const PUSH_SETTLES: Duration = Duration::from_secs(2);

/// Why a push decides nobody, if the Hub still serves the commit before it.
const NOT_THE_NEWEST: &str = "the pushed commit is not the newest one of the policy that the Hub serves, so nobody was decided; the schedule sweeps";

/// The commit of the last sweep after a push, and when it ended.
pub(super) type LastPush = Option<(String, Moment)>;

impl Handler {
    /// Sweeps `REPOS` by the policy after a push, until `deadline`. What is left then is for the schedule.
    ///
    /// Several pushes in a few seconds cost one sweep, on any number of instances: only the webhook about the newest commit sweeps.
    ///
    /// If the repo was renamed or deleted, the policy is read again too. If it cannot be read, it holds everybody.
    pub(super) async fn respond_to_push(
        &self,
        file: &HubFile,
        push: &Push,
        event: &Event,
        deadline: Instant,
    ) -> Response<Body> {
        if let Some(reason) = why_unchanged(file, push) {
            return response::ignored(&reason);
        }
        let Some(repos) = &self.repos else {
            self.policy.expire().await;
            return response::ignored("REPOS is not set, so there is nothing to sweep");
        };
        let mut last_push = self.last_push.lock().await;
        let known = self.policy.commit().await;
        let served = self.policy_of_push(file, push, known.as_deref(), deadline).await;
        // If the policy could not be read again, the sweep does what it can, and the schedule does the rest.
        let is_confirmed = self.policy.is_confirmed().await;
        let (policy, commit) = (&served.policy, commit(&served.policy));
        if is_confirmed && served.is_other && !served.has_lagged {
            return if commit == known.as_deref() {
                response::deferred(NOT_THE_NEWEST)
            } else {
                response::ignored(
                    "the policy has another commit than the pushed one; if it is newer, its webhook starts the sweep",
                )
            };
        }
        if is_confirmed && served.lags {
            return response::deferred(NOT_THE_NEWEST);
        }
        let now = self.hub.now();
        if let (Some((last, ended)), Some(commit)) = (&*last_push, commit)
            && is_confirmed
            && last == commit
            // As often as the policy is asked for.
            && ended.age_at(now) < MIN_PERIOD
        {
            return response::ignored("all repos have just been swept by this commit of the policy");
        }
        let swept = self.sweep(Scope::of(repos, true), policy, deadline, event).await;
        *last_push = commit.filter(|_| swept.is_complete).map(|commit| (commit.to_owned(), self.hub.now()));
        let status = if swept.is_complete && is_confirmed { StatusCode::OK } else { StatusCode::ACCEPTED };
        response::json(status, &swept.report.shortened())
    }

    /// The policy, read again until the Hub serves a commit after the push, or no time is left. The files of the Hub may lag behind the
    /// webhook. `known` is the commit that was in force before.
    async fn policy_of_push(
        &self,
        file: &HubFile,
        push: &Push,
        known: Option<&str>,
        deadline: Instant,
    ) -> ServedPolicy<'_> {
        let (pushed, before) = (push.commit(&file.revision), push.commit_before(&file.revision).or(known));
        let (mut has_lagged, mut reads) = (false, 0);
        loop {
            let policy = self.policy_after_push(deadline).await;
            let commit = commit(&policy);
            let is_other = pushed.zip(commit).is_some_and(|(pushed, commit)| pushed != commit);
            let lags = is_other && commit == before;
            (has_lagged, reads) = (has_lagged | lags, reads + 1);
            let is_time_left = Instant::now() + 2 * PUSH_SETTLES < deadline;
            if !is_other || !is_time_left || reads > 1 && !lags {
                return ServedPolicy { policy, is_other, lags, has_lagged };
            }
        }
    }

    /// The policy, read again after further pushes were waited for.
    async fn policy_after_push(&self, deadline: Instant) -> PolicyOfEvent<'_> {
        sleep_until(deadline.min(Instant::now() + PUSH_SETTLES)).await;
        self.policy.expire().await;
        let policy = self.policy(deadline);
        policy.clone().await;
        policy
    }
}

/// The policy that the Hub serves after a push.
struct ServedPolicy<'p> {
    policy: PolicyOfEvent<'p>,
    /// Whether it is of another commit than the pushed one.
    is_other: bool,
    /// Whether it is of the commit before the push.
    lags: bool,
    /// Whether it was of the commit before the push at first. Then the webhooks of later pushes may have seen that commit too, and may
    /// not have started a sweep.
    has_lagged: bool,
}

/// The reason to read nothing after a push.
fn why_unchanged(file: &HubFile, push: &Push) -> Option<String> {
    let HubFile { revision, .. } = file;
    if push.is_gone {
        None
    } else if file.is_pinned() {
        Some("APPROVAL_POLICY names a commit, so no push changes the policy".to_owned())
    } else if !push.may_change(revision) {
        Some(format!("the push does not change `{revision}`, the revision of the policy"))
    } else {
        None
    }
}

/// The commit of the policy that was read.
fn commit<'p>(policy: &'p PolicyOfEvent<'_>) -> Option<&'p str> {
    policy.peek().and_then(|policy| policy.commit())
}
