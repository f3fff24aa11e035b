//! The four rules that protect the decisions of people. Every write attempt is checked against them, with or without faults.
//!
//! 1. An attempt begins only while the page that it was decided from is at most 2 s old.
//! 2. After an attempt that left its requests in doubt, a later page has to list them before the next attempt.
//! 3. The same holds after an attempt that was answered.
//! 4. A run makes at most 8 attempts for a request, and at its end it reports the requests that are still in doubt.

use std::time::Duration;

use hub_doorman::model::Outcome;
use serde_json::Value;
use tokio::time::Instant;

use super::{Key, Page, World, repo_of};
use crate::hub::{Call, Reply, Status};
use crate::policies::Expected;

/// The maximum age of a page when a write attempt begins, as docs/architecture.md states it.
const MAX_PAGE_AGE: Duration = Duration::from_secs(2);

/// The maximum lag of the Hub's lists behind its writes.
const LIST_LAG: Duration = Duration::from_secs(2);

/// The maximum number of attempts for a request in a run.
const MAX_ATTEMPTS: usize = 8;

/// A tolerance, because the clock of the runtime has steps of a millisecond.
const STEP: Duration = Duration::from_millis(2);

/// An attempt to write a request.
pub struct Attempt {
    call: u64,
    /// The timestamp of the request, as it was listed.
    timestamp: String,
    ended: Option<(Instant, End)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// No response, or one that does not say what was done.
    Doubt,
    /// The response says what was done.
    Answered,
    /// The response says that nothing was done.
    Refused,
}

impl World {
    /// A run sends a call.
    pub fn sent(&mut self, run: usize, number: u64, call: &Call) {
        if call.method == "GET" {
            let of_run = &mut self.runs[run];
            let page = Page { requested: Instant::now(), arrived: None, frozen: of_run.frozen };
            of_run.pages.insert(number, page);
            return;
        }
        let Some(repo) = repo_of(call) else { return };
        let Some(wanted) = wanted(call) else { return };
        let mut keys = Vec::new();
        for name in named(call) {
            let place = self.model.repo(&repo).place(name.0, &name.1);
            let key = place.map(|place| (repo.clone(), place));
            keys.push(key.clone());
            let Some(key) = key else { continue };
            if let Some(rule) = self.violated_rule(run, &key, &name, &wanted) {
                self.violation(format!("run {run} violates {rule} with {call} for {} {}", name.0, name.1));
            }
            let timestamp =
                self.latest(run, &key, &name, &wanted).map(|(_, timestamp)| timestamp).unwrap_or_default();
            let attempts = self.runs[run].attempts.entry(key).or_default();
            attempts.push(Attempt { call: number, timestamp, ended: None });
        }
        self.runs[run].writing.insert(number, keys);
    }

    /// The reply to a call of a run has arrived, or the process has stopped waiting for it (`None`).
    pub fn received(&mut self, run: usize, number: u64, call: &Call, reply: Option<&Reply>) {
        let now = Instant::now();
        if let Some(page) = self.runs[run].pages.get_mut(&number) {
            page.arrived = reply.map(|_| now);
            return;
        }
        let keys = self.runs[run].writing.remove(&number).unwrap_or_default();
        let ends = ends(call, reply);
        for (key, end) in keys.into_iter().zip(ends) {
            let Some(key) = key else { continue };
            let attempts = self.runs[run].attempts.entry(key).or_default();
            if let Some(attempt) = attempts.iter_mut().rfind(|attempt| attempt.call == number) {
                attempt.ended = Some((now, end));
            }
        }
    }

    /// The last page from which the policy decides this for the request, and the timestamp of the request on it.
    fn latest(
        &self,
        run: usize,
        key: &Key,
        name: &(&'static str, String),
        wanted: &Expected,
    ) -> Option<(Page, String)> {
        let of_run = &self.runs[run];
        let listed =
            of_run.listed.get(key)?.iter().filter(|one| one.names.contains(name) && one.expected == *wanted);
        let pages = listed.flat_map(|one| one.pages.iter().map(|page| (page, &one.timestamp)));
        let arrived = pages.filter_map(|(page, timestamp)| {
            let page = *of_run.pages.get(page)?;
            page.arrived.map(|_| (page, timestamp.clone()))
        });
        arrived.max_by_key(|(page, _)| page.arrived)
    }

    /// The rule that a write attempt violates, if it violates one.
    fn violated_rule(
        &self,
        run: usize,
        key: &Key,
        name: &(&'static str, String),
        wanted: &Expected,
    ) -> Option<String> {
        // A wrong decision and a request that was never listed are found when the call reaches the Hub.
        let (Page { requested, arrived, frozen }, timestamp) = self.latest(run, key, name, wanted)?;
        arrived?;
        let age = requested.elapsed() + self.runs[run].frozen.saturating_sub(frozen);
        if age > MAX_PAGE_AGE + STEP {
            return Some(format!("rule 1 (the page is {age:?} old)"));
        }
        let attempts = self.runs[run].attempts.get(key).map(Vec::as_slice).unwrap_or_default();
        if attempts.len() >= MAX_ATTEMPTS {
            return Some(format!("rule 4 ({} attempts before)", attempts.len()));
        }
        let is_early = |ended: Instant| requested + STEP < ended + LIST_LAG;
        // The process remembers the attempts of its earlier runs, unless one of them was stopped.
        let mut of_process = std::iter::successors(Some(run), |run| self.runs[*run].previous);
        let last = of_process.find_map(|run| self.runs[run].attempts.get(key)?.last())?;
        match last.ended {
            None => Some("rule 2 (another attempt is under way)".to_owned()),
            Some((ended, End::Doubt)) if is_early(ended) => Some(format!(
                "rule 2 (in doubt since {:?}, page requested {:?} ago)",
                ended.elapsed(),
                requested.elapsed()
            )),
            Some((ended, End::Answered)) if last.timestamp == timestamp && is_early(ended) => Some(format!(
                "rule 3 (answered {:?} ago, page requested {:?} ago)",
                ended.elapsed(),
                requested.elapsed()
            )),
            Some(_) => None,
        }
    }

    /// Whether an earlier run of the same process has written this request shortly before this run began.
    pub(super) fn was_just_written(&self, run: usize, key: &Key) -> bool {
        let mut earlier = std::iter::successors(self.runs[run].previous, |run| self.runs[*run].previous);
        let last = earlier.find_map(|run| self.runs[run].attempts.get(key)?.last()?.ended);
        last.is_some_and(|(ended, end)| {
            end == End::Answered && ended + LIST_LAG + STEP > self.runs[run].began
        })
    }

    /// Whether some attempt of a run left this request in doubt.
    pub(super) fn was_in_doubt(&self, run: usize, key: &Key) -> bool {
        let attempts = self.runs[run].attempts.get(key).into_iter().flatten();
        attempts.into_iter().any(|attempt| matches!(attempt.ended, Some((_, End::Doubt))))
    }

    /// Checks the outcomes of the requests that a run has left in doubt.
    pub(super) fn check_doubts(&mut self, run: usize, repo: &str, complete: bool) {
        if !self.counts_calls {
            return;
        }
        let of_run = &self.runs[run];
        let mut violations = Vec::new();
        for (key, attempts) in of_run.attempts.iter().filter(|((of, _), _)| of == repo) {
            let Some((ended, End::Doubt)) = attempts.last().and_then(|attempt| attempt.ended) else {
                continue;
            };
            let was_read_again = of_run
                .pages
                .values()
                .any(|page| page.arrived.is_some() && page.requested + STEP >= ended + LIST_LAG);
            match of_run.outcomes.get(key) {
                Some(Outcome::Unknown) if complete && !was_read_again => {
                    violations.push(format!(
                        "run {run} violates rule 4: {key:?} is in doubt, and the report is complete"
                    ));
                }
                Some(Outcome::Unknown) => {}
                Some(_) if was_read_again => {}
                outcome => {
                    violations.push(format!(
                        "run {run} violates rule 4: {key:?} is in doubt, and its outcome is {outcome:?}"
                    ));
                }
            }
        }
        for what in violations {
            self.violation(what);
        }
    }
}

/// The decision that a write carries.
fn wanted(call: &Call) -> Option<Expected> {
    let body = &call.body;
    let status = Status::parse(body["status"].as_str()?)?;
    let reason = [&body["rejectionReason"], &body["resetReason"]].into_iter().find_map(Value::as_str);
    Some(Some((status, reason.map(str::to_owned))))
}

/// The keys and values that name the requests of a write.
fn named(call: &Call) -> Vec<(&'static str, String)> {
    let all = match call.body["requests"].as_array() {
        Some(requests) => requests.iter().collect(),
        None => vec![&call.body],
    };
    let name = |item: &Value| {
        let keys = ["userId", "requestId", "user"].into_iter();
        keys.into_iter().find_map(|key| Some((key, item[key].as_str()?.to_owned())))
    };
    all.into_iter().filter_map(name).collect()
}

/// The end of an attempt, for each request that it names.
fn ends(call: &Call, reply: Option<&Reply>) -> Vec<End> {
    let count = named(call).len();
    let all = |end| vec![end; count];
    let Some(Reply::Response(response)) = reply else { return all(End::Doubt) };
    let body = response.text();
    match response.status {
        200 if call.path.ends_with("/handle") => {
            all(if body.starts_with('{') { End::Answered } else { End::Doubt })
        }
        200 => {
            let Ok(results) = serde_json::from_str::<Vec<Value>>(&body) else { return all(End::Doubt) };
            if results.len() != count {
                return all(End::Doubt);
            }
            let is_unknown =
                |one: &Value| one["error"] == "user_not_found" || one["error"] == "request_not_found";
            if results.iter().all(is_unknown) {
                return all(End::Refused);
            }
            let end =
                |one: &Value| if one["ok"] == true || is_unknown(one) { End::Answered } else { End::Refused };
            results.iter().map(end).collect()
        }
        404 if body.contains("No access request") || body.contains("User not found") => all(End::Answered),
        408 | 500.. => all(End::Doubt),
        _ => all(End::Refused),
    }
}
