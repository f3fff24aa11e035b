//! The response to mails about requests: a *look*, which is a sweep of the repos that mails ask for. These are the repos that the mails
//! name, or else all of `REPOS`.
//!
//! It has these parts: which mails may prompt a look (`verify`), which repos are wanted (`wanted`), what was read already (`looks`), and
//! the look itself. If a look finds nobody new, there is a second look, because the Hub's list may lag behind its mail.

mod looks;
mod verify;
mod wanted;

use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;
use lambda_http::http::StatusCode;
use lambda_http::{Body, Request, Response};
use tokio::time::{Instant, sleep};

use super::sweep::Scope;
use super::{Handler, deadline, response};
use crate::hub::LIST_LAG;
use crate::model::{Repo, RepoPattern};
use crate::report::Report;
use crate::report::metrics::{Event, Metric, Values};
use crate::trigger::mail::{Mail, Received, Refused};
pub(super) use looks::Looks;
use wanted::{Wanted, is_in_vain};

/// The longest wait for further mails.
const BURST_WAIT: Duration = Duration::from_secs(15);

impl Handler {
    /// Looks at the repos that the mails ask for. Mails never fail an invocation, because Lambda and SQS would repeat it. What a look
    /// leaves undone is for the schedule.
    pub(super) async fn respond_to_mails(
        &self,
        mails: Vec<Result<Received, Refused>>,
        request: &Request,
        event: &Event,
    ) -> Response<Body> {
        let deadline = deadline::of_sweep(request);
        let event = &Event { name: "mail", ..event.clone() };
        let received = u32::try_from(mails.len()).unwrap_or(u32::MAX);
        let verified = self.verify_mails(mails, deadline).await;
        let refused = received - u32::try_from(verified.len()).unwrap_or(received);
        let values = Values::default().count(Metric::Mails, received).count(Metric::RejectedMails, refused);
        self.metrics.write(event, &values);
        if verified.is_empty() {
            return response::ignored("no mail of this event may prompt a look");
        }
        let mut wanted = self.wanted(&verified);
        if wanted.is_empty() {
            return response::ignored(
                "the mail names no repo, and REPOS is not set, so there is nothing to sweep",
            );
        }
        wanted.leave_out_known(&self.looks());
        if wanted.is_empty() {
            return response::ignored("the repos were read after the mail arrived");
        }
        self.await_further(&verified, deadline).await;
        let mut report = self.look(&wanted, deadline, event).await;
        wanted.keep_not_found(&report, &self.looks(), self.hub.time());
        if report.searches.is_empty() {
            wanted.all = wanted.all.max(self.names_nothing(&verified, &report));
        }
        let may_look_again = !is_in_vain(&report) && Instant::now() + LIST_LAG < deadline;
        if may_look_again && !wanted.is_empty() {
            sleep(LIST_LAG).await;
            let second = self.look(&wanted, deadline, event).await;
            report = report.followed_by(second);
        }
        let status = if report.is_complete() { StatusCode::OK } else { StatusCode::ACCEPTED };
        response::json(status, &report.shortened())
    }

    /// Where several mails come at once, more follow. So a look at many of them waits a second for each mail after the last one arrived, at
    /// most [`BURST_WAIT`]. It finds all requests, and the mails that arrive meanwhile share the next look.
    async fn await_further(&self, mails: &[Mail], deadline: Instant) {
        let Some(last) = mails.iter().map(|mail| mail.arrived).max().filter(|_| mails.len() > 1) else {
            return;
        };
        let count = u32::try_from(mails.len()).unwrap_or(u32::MAX);
        let wait = Duration::from_secs(1).saturating_mul(count).clamp(LIST_LAG, BURST_WAIT);
        let left = (last + wait - self.hub.time()).to_std().unwrap_or_default().min(wait);
        if Instant::now() + left + LIST_LAG < deadline {
            sleep(left).await;
        }
    }

    async fn look(&self, wanted: &Wanted, deadline: Instant, event: &Event) -> Report {
        let is_wanted =
            |repo: &Repo| wanted.mail_about(repo).is_some_and(|mail| self.looks().may_lack(repo, mail));
        let mut patterns = self.patterns(wanted);
        // A sweep asks `is_wanted` only about the repos that it finds.
        patterns.retain(|pattern| match pattern {
            RepoPattern::One(repo) => is_wanted(repo),
            RepoPattern::Namespace { .. } => true,
        });
        let policy = self.policy(deadline);
        let scope = Scope { patterns: &patterns, is_all: false, is_wanted: &is_wanted };
        let began = self.hub.time();
        let report = self.sweep(scope, &policy, deadline, event).await.report;
        if let Some(mail) = wanted.all.filter(|_| report.is_complete()) {
            // A repo that is left out was read before now, but late enough for the mail.
            self.looks().note_all(began.min(mail + LIST_LAG + TimeDelta::milliseconds(1)));
        }
        report
    }

    pub(super) fn looks(&self) -> MutexGuard<'_, Looks> {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
