//! The checks on runs: their writes, the outcomes that they report, and their reports.

use std::collections::HashSet;
use std::sync::Arc;

use hub_doorman::model::{Identity, Outcome, Verdict};
use hub_doorman::report::audit::Step;
use hub_doorman::report::{Counts, RepoReport};
use tokio::time::Instant;

use super::{Key, Listed, Run, World};
use crate::hub::{Batch, Gating, Status};
use crate::policies::{Entry, Expected, Policy, format_decision};

impl World {
    /// Checks that a page listed this request to the run, and that the policy decides so. Returns when such a page was last
    /// sent.
    pub(super) fn check_write(
        &mut self,
        run: usize,
        key: &Key,
        identity: &(&'static str, String),
        wanted: &Expected,
    ) -> Option<Instant> {
        let of_run = &self.runs[run];
        let of_identity =
            of_run.listed.get(key).into_iter().flatten().filter(|one| one.names.contains(identity));
        let all: Vec<&Listed> = of_identity.collect();
        if all.is_empty() {
            self.violation(format!(
                "run {run} writes {} {}, which no page has listed to it",
                identity.0, identity.1
            ));
            return None;
        }
        // A later page may differ, but cannot change a write that was sent already.
        let at = all.iter().filter(|one| one.expected == *wanted).map(|one| one.at).max();
        let subject = || format!("run {run}, {} {}", identity.0, identity.1);
        let violation = if all.iter().any(|one| one.expected == *wanted) {
            None
        } else if all.iter().all(|one| one.expected.is_none()) {
            Some(format!("{}: is to be held, and gets {}", subject(), format_decision(wanted)))
        } else {
            let expected: Vec<String> = all.iter().map(|one| format_decision(&one.expected)).collect();
            Some(format!("{}: gets {}, the policy decides {expected:?}", subject(), format_decision(wanted)))
        };
        if let Some(violation) = violation {
            self.violation(violation);
        }
        at
    }

    /// Checks that a run gives no more requests of a repo a status than the policy's limit.
    pub(super) fn check_limit(&mut self, run: usize, key: &Key, status: Status) {
        let of_run = &mut self.runs[run];
        let Some(limit) = of_run.policy.limit(status) else { return };
        of_run.limited_writes.insert((key.clone(), status));
        let written = of_run.limited_writes.iter().filter(|((repo, _), of)| *repo == key.0 && *of == status);
        let written = written.count();
        if written > limit {
            let status = status.as_str();
            self.violation(format!(
                "run {run} gives {written} requests of {} the status {status}, and the limit is {limit}",
                key.0
            ));
        }
    }

    /// How many requests the pages of a run have listed that get this status.
    fn listed_with(&self, run: usize, repo: &str, status: Status) -> usize {
        let gets = |one: &Listed| matches!(&one.expected, Some((wanted, _)) if *wanted == status);
        let of_repo = self.runs[run].listed.iter().filter(|((of, _), _)| of == repo);
        of_repo.filter(|(_, all)| all.iter().any(gets)).count()
    }

    /// Whether the pages of a run have listed more requests that get this status than the policy's limit.
    fn is_over_limit(&self, run: usize, repo: &str, status: Status) -> bool {
        self.runs[run].policy.limit(status).is_some_and(|limit| self.listed_with(run, repo, status) > limit)
    }

    /// Checks that a run which nothing disturbed gives a status to none of the requests if they are more than the limit.
    fn check_none_over_limit(&mut self, run: usize, repo: &str) {
        for status in [Status::Accepted, Status::Rejected] {
            let is_written = |((of, _), written): &(Key, Status)| of == repo && *written == status;
            if self.is_over_limit(run, repo, status) && self.runs[run].limited_writes.iter().any(is_written) {
                let (listed, status) = (self.listed_with(run, repo, status), status.as_str());
                self.violation(format!(
                    "run {run} gives some of {listed} requests of {repo} the status {status}, which is above the limit"
                ));
            }
        }
    }

    /// A run reports the outcome of a request.
    pub fn concluded(&mut self, run: usize, repo: &str, step: Step) {
        let Step::Concluded { who, requested_at, decision, outcome } = step else { return };
        self.runs[run].counts.entry(repo.to_owned()).or_default().count(decision.verdict, outcome);
        let identity = match who {
            Some(Identity::UserId(id)) => ("userId", id),
            Some(Identity::RequestId(id)) => ("requestId", id),
            Some(Identity::UserName(name)) => ("user", name),
            None => return,
        };
        let named = (identity.0, identity.1.clone());
        // If the request is withdrawn by now, its place is known from the pages of the run.
        let from_pages = || {
            let mut listed = self.runs[run].listed.iter().filter(|((of, _), _)| of == repo);
            listed
                .find(|(_, all)| all.iter().any(|one| one.names.contains(&named)))
                .map(|((_, place), _)| *place)
        };
        let place = self
            .model
            .repos
            .get(repo)
            .and_then(|repo| repo.place(identity.0, identity.1))
            .or_else(from_pages);
        let Some(place) = place else { return };
        let key = (repo.to_owned(), place);
        if !self.runs[run].concluded.insert((key.clone(), identity.1.clone(), requested_at)) {
            self.violation(format!("run {run} reports two outcomes of {key:?}"));
        }
        let of_run = &self.runs[run];
        let status = match decision.verdict {
            Verdict::Accept => Some(Status::Accepted),
            Verdict::Reject => Some(Status::Rejected),
            Verdict::Reset => Some(Status::Reset),
            Verdict::Hold => None,
        };
        let decided = status.map(|status| (status, decision.reason.as_deref().map(str::to_owned)));
        let all = of_run.listed.get(&key).map(Vec::as_slice).unwrap_or_default();
        let has_asked_again = || all.iter().any(|one| one.timestamp != all[0].timestamp);
        if !(all.iter().any(|one| one.expected == decided) || decided.is_none() && has_asked_again()) {
            self.violation(format!(
                "run {run} decides {key:?} as {}, which the policy does not",
                format_decision(&decided)
            ));
        }
        self.runs[run].outcomes.insert(key.clone(), outcome);
        let Some(status) = status else { return };
        if outcome == Outcome::OverLimit && !self.is_over_limit(run, repo, status) {
            self.violation(format!(
                "run {run} leaves {key:?} because of a limit, and has not listed as many requests"
            ));
        }
        let of_run = &self.runs[run];
        let named = (key.clone(), identity.1.clone());
        // A write that left the request in doubt may reach the Hub after the list was read again.
        let was_done = of_run.unconcluded.contains(&named)
            && !of_run.unknown.contains(&named)
            && !self.was_in_doubt(run, &key);
        let since = |(at, one): &(Instant, Status)| *at + self.model.lag >= of_run.began && *one == status;
        let was_so = self.history.get(&key).is_some_and(|history| history.iter().any(since));
        self.runs[run].unconcluded.remove(&named);
        if outcome == Outcome::Unknown {
            self.runs[run].unknown.insert(named);
        }
        let violation = match outcome {
            Outcome::Done if !was_so => "`done`, and it is not",
            Outcome::Failed if was_done => "`failed`, and it is done",
            _ => return,
        };
        self.violation(format!(
            "run {run} reports the outcome of {} for {key:?} as {violation}",
            status.as_str()
        ));
    }

    /// A run has ended with these reports.
    pub fn ended(&mut self, run: usize, reports: &[RepoReport], search_calls: u32) {
        self.log_end(run, reports);
        let late = Instant::now().saturating_duration_since(self.runs[run].deadline);
        if !late.is_zero() && self.counts_calls {
            self.violation(format!("run {run} ends {late:?} after its deadline"));
        }
        let reported: u32 = reports.iter().map(|report| report.counts.calls).sum::<u32>() + search_calls;
        let made = self.runs[run].calls;
        if self.counts_calls && reported != made {
            self.violation(format!("run {run} made {made} calls and reports {reported}"));
        }
        for report in reports {
            let name = report.repo.to_string().to_ascii_lowercase();
            let counts = Counts { calls: 0, oldest_pending_s: None, ..report.counts };
            let concluded = self.runs[run].counts.get(&name).copied().unwrap_or_default();
            if counts != concluded {
                self.violation(format!(
                    "run {run} has concluded {concluded:?} in {name}, and reports {counts:?}"
                ));
            }
            if self.model.repos.contains_key(&name) {
                self.check_doubts(run, &name, report.complete);
                self.check_report(run, &name, report.complete);
            }
        }
    }

    fn log_end(&mut self, run: usize, reports: &[RepoReport]) {
        let describe = |report: &RepoReport| {
            // An age depends on the real clock, so it differs between two simulations.
            let counts = Counts { oldest_pending_s: None, ..report.counts };
            format!("{}: complete {}, {counts:?}, {:?}", report.repo, report.complete, report.error)
        };
        let reports: Vec<String> = reports.iter().filter(|_| self.log.is_some()).map(describe).collect();
        self.log(|| format!("run {run} ends: {reports:#?}"));
    }

    /// Checks the report of a run and the number of its calls, if nothing else changed the repo during the run.
    fn check_report(&mut self, run: usize, repo: &str, complete: bool) {
        let Run { began, is_dry, faults, limited, .. } = self.runs[run];
        let changes = self.changes.get(repo).map(Vec::as_slice).unwrap_or_default();
        let is_by_another =
            |(at, by): &(Instant, Option<usize>)| *by != Some(run) && *at + self.model.lag >= began;
        if changes.iter().any(is_by_another) {
            return;
        }
        if complete && !is_dry {
            for (place, status, user) in self.left_to_decide(repo, &Arc::clone(&self.runs[run].policy)) {
                // The limit counts what was listed to the run, so it may leave requests.
                if self.is_over_limit(run, repo, status) {
                    continue;
                }
                // The list may still show a request that an earlier run of this process has just written.
                if self.was_just_written(run, &(repo.to_owned(), place)) {
                    continue;
                }
                // The run holds a request that was listed with two different contents.
                let listed = self.runs[run].listed.get(&(repo.to_owned(), place));
                if listed.is_some_and(|all| all.iter().any(|one| one.expected.is_none())) {
                    continue;
                }
                self.violation(format!(
                    "run {run} reports {repo} as complete, and the request of {user} is pending"
                ));
            }
        }
        if faults > 0 || limited || self.model.repo(repo).gating == Gating::Off {
            return;
        }
        self.check_none_over_limit(run, repo);
        let of_run = &self.runs[run];
        let of_repo = of_run.listed.iter().filter(|((of, _), _)| of == repo).flat_map(|(_, all)| all);
        let to_write: Vec<&Listed> = of_repo.filter(|one| one.expected.is_some()).collect();
        let kinds: HashSet<_> =
            to_write.iter().map(|one| (format_decision(&one.expected), one.names.len())).collect();
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let (to_write, kinds) = (number(to_write.len()), number(kinds.len()));
        let seen = number(self.model.repo(repo).requests.len());
        // If a page becomes too old before all of it is written, the next one is smaller.
        let pages = seen.div_ceil(number(self.model.max_page.min(100))).max(1);
        let passes = if pages == 1 { 1 } else { 3 + seen.max(1).ilog2() };
        // A request that a person decided may still be listed. Then the run tries both of its identities.
        let extra_passes = 4;
        let lists = of_run.lists.get(repo).copied().unwrap_or_default();
        let writes = of_run.writes.get(repo).copied().unwrap_or_default();
        // After a batch by request ids was refused, the process makes no other batch.
        let has_users =
            of_run.listed.iter().filter(|((of, _), _)| of == repo).all(|(_, all)| all[0].names.len() > 1);
        let one_by_one = if self.model.batch == Batch::Any && has_users { to_write / 100 } else { to_write };
        let max_writes =
            one_by_one + (kinds + if one_by_one > 0 { of_run.concurrency } else { 0 }) * (lists + 1);
        // If a page is too old before all of it is written, the rest of it is read again.
        let max_lists = 3 * pages * (passes + extra_passes) + writes;
        if lists > max_lists || writes > max_writes {
            self.violation(format!(
                "run {run} of {repo} reads {lists} pages and writes {writes} times, and {max_lists} and {max_writes} are enough"
            ));
        }
    }

    /// Whether the rate limit may have kept a run from doing everything.
    pub fn was_limited(&self, run: usize) -> bool {
        self.runs[run].limited
    }

    /// The users of the pending requests that runs with this policy have to decide.
    pub fn undecided(&mut self, repo: &str, policy: &Policy) -> Vec<String> {
        let left = self.left_to_decide(repo, policy);
        let count = |wanted: Status| left.iter().filter(|(_, status, _)| *status == wanted).count();
        let is_over = |status: Status| policy.limit(status).is_some_and(|limit| count(status) > limit);
        left.iter().filter(|(_, status, _)| !is_over(*status)).map(|(.., user)| user.clone()).collect()
    }

    /// The pending requests that this policy decides, whatever its limits: their places, new statuses and users.
    fn left_to_decide(&mut self, repo: &str, policy: &Policy) -> Vec<(usize, Status, String)> {
        if policy.is_paused {
            return Vec::new();
        }
        let name = repo;
        let repo = self.model.repo(repo);
        let requests = repo.requests.iter().enumerate();
        let pending = requests.filter(|(_, one)| one.status == Status::Pending && !one.withdrawn);
        let decided = pending.filter_map(|(place, one)| {
            let json = &serde_json::to_value(repo.entry(one, Status::Pending)).expect("JSON");
            let is_named = json["user"]["_id"].is_string() || json["requestId"].is_string();
            let (status, _) = policy.expects(&Entry { json, repo: name }).filter(|_| is_named)?;
            Some((place, status, one.person.name.clone()))
        });
        decided.collect()
    }
}
