//! The four rules by which a person wins over the doorman. Every write attempt is checked against them, with or without faults.
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
use crate::hub::{Answer, Call, Reply, Status};
use crate::policies::Expected;

/// The largest age of a page that may be written from, as the README states it.
const MAX_PAGE_AGE: Duration = Duration::from_secs(2);

/// The longest that the Hub's list lags behind its writes.
const LIST_LAG: Duration = Duration::from_secs(2);

/// The most attempts for a request in a run.
const MOST_ATTEMPTS: usize = 8;

/// The clock of the runtime goes in steps of a millisecond.
const STEP: Duration = Duration::from_millis(2);

/// An attempt to write a request.
pub struct Attempt {
    call: u64,
    asked: String,
    ended: Option<(Instant, End)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// No answer, or one that does not say what was done.
    Doubt,
    /// The Hub said what became of the request.
    Answered,
    /// The Hub said that nothing was done.
    Refused,
}

impl World {
    /// A run requests something.
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
            if let Some(rule) = self.broken_rule(run, &key, &name, &wanted) {
                self.break_rule(format!("run {run} breaks {rule} with {call} for {} {}", name.0, name.1));
            }
            let asked = self.latest(run, &key, &name, &wanted).map(|(_, asked)| asked).unwrap_or_default();
            let attempts = self.runs[run].attempts.entry(key).or_default();
            attempts.push(Attempt { call: number, asked, ended: None });
        }
        self.runs[run].writing.insert(number, keys);
    }

    /// The answer to a call of a run has arrived, or nobody waits for it any more.
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

    /// Of the pages by which the policy wants this for the request: the one that arrived last, and the request's timestamp on it.
    fn latest(
        &self,
        run: usize,
        key: &Key,
        name: &(&'static str, String),
        wanted: &Expected,
    ) -> Option<(Page, String)> {
        let of_run = &self.runs[run];
        let shown =
            of_run.shown.get(key)?.iter().filter(|one| one.names.contains(name) && one.expected == *wanted);
        let pages = shown.flat_map(|one| one.pages.iter().map(|page| (page, &one.asked)));
        let arrived = pages.filter_map(|(page, asked)| {
            let page = *of_run.pages.get(page)?;
            page.arrived.map(|_| (page, asked.clone()))
        });
        arrived.max_by_key(|(page, _)| page.arrived)
    }

    fn broken_rule(
        &self,
        run: usize,
        key: &Key,
        name: &(&'static str, String),
        wanted: &Expected,
    ) -> Option<String> {
        // A decision that is wrong, or about a request that was never shown, is judged when the call arrives.
        let (Page { requested, arrived, frozen }, asked) = self.latest(run, key, name, wanted)?;
        arrived?;
        let age = requested.elapsed() + self.runs[run].frozen.saturating_sub(frozen);
        if age > MAX_PAGE_AGE + STEP {
            return Some(format!("rule 1 (the page is {age:?} old)"));
        }
        let attempts = self.runs[run].attempts.get(key).map(Vec::as_slice).unwrap_or_default();
        if attempts.len() >= MOST_ATTEMPTS {
            return Some(format!("rule 4 ({} attempts before)", attempts.len()));
        }
        let is_early = |ended: Instant| requested + STEP < ended + LIST_LAG;
        // The process remembers the attempts of its earlier runs, unless one of them was stopped.
        let mut of_process = std::iter::successors(Some(run), |run| self.runs[*run].before);
        let last = of_process.find_map(|run| self.runs[run].attempts.get(key)?.last())?;
        match last.ended {
            None => Some("rule 2 (another attempt is under way)".to_owned()),
            Some((ended, End::Doubt)) if is_early(ended) => Some(format!(
                "rule 2 (in doubt since {:?}, page requested {:?} ago)",
                ended.elapsed(),
                requested.elapsed()
            )),
            Some((ended, End::Answered)) if last.asked == asked && is_early(ended) => Some(format!(
                "rule 3 (answered {:?} ago, page requested {:?} ago)",
                ended.elapsed(),
                requested.elapsed()
            )),
            Some(_) => None,
        }
    }

    /// Whether an earlier run of the same process was answered that it has written this, shortly before this run began.
    pub(super) fn was_just_written(&self, run: usize, key: &Key) -> bool {
        let mut before = std::iter::successors(self.runs[run].before, |run| self.runs[*run].before);
        let last = before.find_map(|run| self.runs[run].attempts.get(key)?.last()?.ended);
        last.is_some_and(|(ended, end)| {
            end == End::Answered && ended + LIST_LAG + STEP > self.runs[run].began
        })
    }

    /// Whether some attempt of a run left this request in doubt.
    pub(super) fn was_in_doubt(&self, run: usize, key: &Key) -> bool {
        let attempts = self.runs[run].attempts.get(key).into_iter().flatten();
        attempts.into_iter().any(|attempt| matches!(attempt.ended, Some((_, End::Doubt))))
    }

    /// What a run that has ended has to have said of requests that were left in doubt.
    pub(super) fn judge_doubts(&mut self, run: usize, repo: &str, complete: bool) {
        if !self.counts_calls {
            return;
        }
        let of_run = &self.runs[run];
        let mut broken = Vec::new();
        for (key, attempts) in of_run.attempts.iter().filter(|((of, _), _)| of == repo) {
            let Some((ended, End::Doubt)) = attempts.last().and_then(|attempt| attempt.ended) else {
                continue;
            };
            let is_looked_at = of_run
                .pages
                .values()
                .any(|page| page.arrived.is_some() && page.requested + STEP >= ended + LIST_LAG);
            match of_run.outcomes.get(key) {
                Some(Outcome::Unknown) if complete && !is_looked_at => {
                    broken.push(format!(
                        "run {run} breaks rule 4: {key:?} is in doubt, and the report complete"
                    ));
                }
                Some(Outcome::Unknown) => {}
                Some(_) if is_looked_at => {}
                outcome => {
                    broken.push(format!("run {run} breaks rule 4: {key:?} is in doubt, said: {outcome:?}"));
                }
            }
        }
        for what in broken {
            self.break_rule(what);
        }
    }
}

/// What a write asks for.
fn wanted(call: &Call) -> Option<Expected> {
    let body = &call.body;
    let status = Status::parse(body["status"].as_str()?)?;
    let reason = [&body["rejectionReason"], &body["resetReason"]].into_iter().find_map(Value::as_str);
    Some(Some((status, reason.map(str::to_owned))))
}

/// The requests that a write names.
fn named(call: &Call) -> Vec<(&'static str, String)> {
    let all = match call.body["requests"].as_array() {
        Some(requests) => requests.iter().collect(),
        None => vec![&call.body],
    };
    let name = |one: &Value| {
        let keys = ["userId", "requestId", "user"].into_iter();
        keys.into_iter().find_map(|key| Some((key, one[key].as_str()?.to_owned())))
    };
    all.into_iter().filter_map(name).collect()
}

/// How an attempt ended for each of the requests that it named.
fn ends(call: &Call, reply: Option<&Reply>) -> Vec<End> {
    let count = named(call).len();
    let all = |end| vec![end; count];
    let Some(Reply::Answer(answer)) = reply else { return all(End::Doubt) };
    let Answer { status, body, .. } = answer;
    match status {
        200 if call.path.ends_with("/handle") => {
            all(if body.starts_with('{') { End::Answered } else { End::Doubt })
        }
        200 => {
            let Ok(results) = serde_json::from_str::<Vec<Value>>(body) else { return all(End::Doubt) };
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
