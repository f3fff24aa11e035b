//! The response to a webhook about the repo that keeps the policy: the policy is read again, and `REPOS` is swept.

use std::time::Duration;

use lambda_http::http::StatusCode;
use lambda_http::{Body, Response};
use tokio::time::{Instant, sleep_until};

use super::{Handler, PolicyOfEvent, response};
use crate::hub::Moment;
use crate::report::metrics::Event;
use crate::source::{HubFile, MIN_PERIOD};
use crate::trigger::webhook::Push;

/// How long further pushes are waited for. A push that was followed by another one within this time starts no sweep, because the
/// webhook of the other one does.
const PUSH_SETTLES: Duration = Duration::from_secs(2);

/// The commit of the last sweep after a push, and when it ended.
pub(super) type LastPush = Option<(String, Moment)>;

impl Handler {
    /// Sweeps `REPOS` by the policy after a push, until `deadline`. What is left then is for the schedule.
    ///
    /// Several pushes in a few seconds cost one sweep, on any number of instances: only the webhook about the newest commit sweeps.
    pub(super) async fn respond_to_push(
        &self,
        file: &HubFile,
        push: &Push,
        event: &Event,
        deadline: Instant,
    ) -> Response<Body> {
        if file.is_pinned() {
            return response::ignored("APPROVAL_POLICY names a commit, so no push changes the policy");
        }
        if !push.may_change(&file.revision) {
            return response::ignored("the push changes another branch than that of the policy");
        }
        let Some(repos) = &self.repos else {
            return response::ignored("REPOS is not set, so there is nothing to sweep");
        };
        let pushed = push.commit(&file.revision);
        let is_other = |commit: Option<&str>| pushed.zip(commit).is_some_and(|(pushed, read)| pushed != read);
        let mut last_push = self.last_push.lock().await;
        let mut policy = self.policy_after_push(deadline).await;
        if is_other(commit(&policy)) {
            // The files of the Hub may lag behind the webhook.
            policy = self.policy_after_push(deadline).await;
        }
        // If the policy could not be read again, the sweep does what it can, and the schedule does the rest.
        let is_confirmed = self.policy.is_confirmed().await;
        let commit = commit(&policy);
        if is_confirmed && is_other(commit) {
            return response::ignored(
                "a newer commit of the policy is in force, and its webhook starts the sweep",
            );
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
        let swept = self.sweep(repos, true, &policy, deadline, event).await;
        *last_push = commit.filter(|_| swept.is_complete).map(|commit| (commit.to_owned(), self.hub.now()));
        let status = if swept.is_complete && is_confirmed { StatusCode::OK } else { StatusCode::ACCEPTED };
        response::json(status, &swept.report.shortened())
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

/// The commit of the policy that was read.
fn commit<'p>(policy: &'p PolicyOfEvent<'_>) -> Option<&'p str> {
    policy.peek().and_then(|policy| policy.commit())
}
