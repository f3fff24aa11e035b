//! What runs are held to: each verdict that they write, and what they say of themselves.

use std::collections::HashSet;
use std::sync::Arc;

use hub_doorman::model::{Identity, Outcome, Verdict};
use hub_doorman::report::{Counts, RepoReport, Step};
use tokio::time::Instant;

use super::{Key, Run, Shown, World};
use crate::hub::{Batch, Gating, Status};
use crate::policies::{Entry, Expected, Policy, shown};

impl World {
    /// Whether a run may give this verdict to this request; and when it was shown it.
    pub(super) fn judge(
        &mut self,
        run: usize,
        key: &Key,
        identity: &(&'static str, String),
        wanted: &Expected,
    ) -> Option<Instant> {
        let of_run = &self.runs[run];
        let of_identity =
            of_run.shown.get(key).into_iter().flatten().filter(|one| one.names.contains(identity));
        let all: Vec<&Shown> = of_identity.collect();
        if all.is_empty() {
            self.break_rule(format!(
                "run {run} writes to {} {}, who was never shown to it",
                identity.0, identity.1
            ));
            return None;
        }
        // What a later page shows otherwise does not reach a write that is under way already.
        let at = all.iter().filter(|one| one.expected == *wanted).map(|one| one.at).max();
        let told = || format!("run {run}, {} {}", identity.0, identity.1);
        let broken = if all.iter().any(|one| one.expected == *wanted) {
            None
        } else if all.iter().all(|one| one.expected.is_none()) {
            Some(format!("{}: is to be held, and gets {}", told(), shown(wanted)))
        } else {
            let expected: Vec<String> = all.iter().map(|one| shown(&one.expected)).collect();
            Some(format!("{}: gets {}, the policy has {expected:?}", told(), shown(wanted)))
        };
        if let Some(broken) = broken {
            self.break_rule(broken);
        }
        at
    }

    /// A run says what became of a request.
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
        // If the request is withdrawn by now, what the run was shown tells its place.
        let was_shown = || {
            let mut shown = self.runs[run].shown.iter().filter(|((of, _), _)| of == repo);
            shown
                .find(|(_, all)| all.iter().any(|one| one.names.contains(&named)))
                .map(|((_, place), _)| *place)
        };
        let place =
            self.model.repos.get(repo).and_then(|repo| repo.place(identity.0, identity.1)).or_else(was_shown);
        let Some(place) = place else { return };
        let key = (repo.to_owned(), place);
        if !self.runs[run].told.insert((key.clone(), identity.1.clone(), requested_at)) {
            self.break_rule(format!("run {run} tells twice what became of {key:?}"));
        }
        let of_run = &self.runs[run];
        let status = match decision.verdict {
            Verdict::Accept => Some(Status::Accepted),
            Verdict::Reject => Some(Status::Rejected),
            Verdict::Reset => Some(Status::Reset),
            Verdict::Hold => None,
        };
        let said = status.map(|status| (status, decision.reason.as_deref().map(str::to_owned)));
        let all = of_run.shown.get(&key).map(Vec::as_slice).unwrap_or_default();
        let has_asked_again = || all.iter().any(|one| one.asked != all[0].asked);
        if !(all.iter().any(|one| one.expected == said) || said.is_none() && has_asked_again()) {
            self.break_rule(format!(
                "run {run} decides {key:?} as {}, which the policy does not",
                shown(&said)
            ));
        }
        self.runs[run].outcomes.insert(key.clone(), outcome);
        let Some(status) = status else { return };
        let of_run = &self.runs[run];
        let named = (key.clone(), identity.1.clone());
        // A write that left the request in doubt may still arrive after the list was read again.
        let was_done = of_run.untold.contains(&named)
            && !of_run.unknown.contains(&named)
            && !self.was_in_doubt(run, &key);
        let since = |(at, one): &(Instant, Status)| *at + self.model.lag >= of_run.began && *one == status;
        let was_so = self.history.get(&key).is_some_and(|history| history.iter().any(since));
        self.runs[run].untold.remove(&named);
        if outcome == Outcome::Unknown {
            self.runs[run].unknown.insert(named);
        }
        let broken = match outcome {
            Outcome::Done if !was_so => "done, and it is not",
            Outcome::Failed if was_done => "failed, and it is done",
            _ => return,
        };
        self.break_rule(format!("run {run} says that {} for {key:?} was {broken}", status.as_str()));
    }

    /// A run has ended by itself, with these reports.
    pub fn ended(&mut self, run: usize, reports: &[RepoReport], calls_besides: u32) {
        self.tell_end(run, reports);
        let late = Instant::now().saturating_duration_since(self.runs[run].deadline);
        if !late.is_zero() && self.counts_calls {
            self.break_rule(format!("run {run} ends {late:?} after its deadline"));
        }
        let told: u32 = reports.iter().map(|report| report.counts.calls).sum::<u32>() + calls_besides;
        let made = self.runs[run].calls;
        if self.counts_calls && told != made {
            self.break_rule(format!("run {run} made {made} calls and says {told}"));
        }
        for report in reports {
            let name = report.full_name().to_ascii_lowercase();
            let counts = Counts { calls: 0, oldest_pending_s: None, ..report.counts };
            let told = self.runs[run].counts.get(&name).copied().unwrap_or_default();
            if counts != told {
                self.break_rule(format!("run {run} has told of {told:?} in {name}, and reports {counts:?}"));
            }
            if self.model.repos.contains_key(&name) {
                self.judge_doubts(run, &name, report.complete);
                self.judge_report(run, &name, report.complete);
            }
        }
    }

    fn tell_end(&mut self, run: usize, reports: &[RepoReport]) {
        let shown = |report: &RepoReport| {
            // How old something is would be told by the clock of the world.
            let counts = Counts { oldest_pending_s: None, ..report.counts };
            format!("{}: complete {}, {counts:?}, {:?}", report.repo, report.complete, report.error)
        };
        let reports: Vec<String> = reports.iter().filter(|_| self.story.is_some()).map(shown).collect();
        self.tell(|| format!("run {run} ends: {reports:#?}"));
    }

    /// What a run that nobody came between has to have done, and with how many calls.
    fn judge_report(&mut self, run: usize, repo: &str, complete: bool) {
        let Run { began, is_dry, faults, limited, .. } = self.runs[run];
        let changes = self.changes.get(repo).map(Vec::as_slice).unwrap_or_default();
        let by_others =
            |(at, by): &(Instant, Option<usize>)| *by != Some(run) && *at + self.model.lag >= began;
        if changes.iter().any(by_others) {
            return;
        }
        if complete && !is_dry {
            for (place, who) in self.undecided(repo, &Arc::clone(&self.runs[run].policy)) {
                // The list may still show a request that an earlier run of this process has just written.
                if self.was_just_written(run, &(repo.to_owned(), place)) {
                    continue;
                }
                // Of whom it was shown two different things it could not know.
                let shown = self.runs[run].shown.get(&(repo.to_owned(), place));
                if shown.is_some_and(|all| all.iter().any(|one| one.expected.is_none())) {
                    continue;
                }
                self.break_rule(format!("run {run} says that {repo} is complete, and {who} waits"));
            }
        }
        if faults > 0 || limited || self.model.repo(repo).gating == Gating::Off {
            return;
        }
        let of_run = &self.runs[run];
        let of_repo = of_run.shown.iter().filter(|((of, _), _)| of == repo).flat_map(|(_, all)| all);
        let to_write: Vec<&Shown> = of_repo.filter(|one| one.expected.is_some()).collect();
        let kinds: HashSet<_> = to_write.iter().map(|one| (shown(&one.expected), one.names.len())).collect();
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let (to_write, kinds) = (number(to_write.len()), number(kinds.len()));
        let seen = number(self.model.repo(repo).requests.len());
        // If a page becomes too old before all of it is written, the next one is smaller.
        let pages = seen.div_ceil(number(self.model.max_page.min(100))).max(1);
        let passes = if pages == 1 { 1 } else { 3 + seen.max(1).ilog2() };
        // A request that somebody else wrote may still be listed: then it is tried by both of its identities.
        let looks = 4;
        let lists = of_run.lists.get(repo).copied().unwrap_or_default();
        let writes = of_run.writes.get(repo).copied().unwrap_or_default();
        // After a batch by request ids was refused, the process makes no other.
        let has_users =
            of_run.shown.iter().filter(|((of, _), _)| of == repo).all(|(_, all)| all[0].names.len() > 1);
        let one_by_one = if self.model.batch == Batch::Any && has_users { to_write / 100 } else { to_write };
        let most_writes =
            one_by_one + (kinds + if one_by_one > 0 { of_run.concurrency } else { 0 }) * (lists + 1);
        // If a page is too old before all of it is written, the rest of it is read again.
        let most_lists = 3 * pages * (passes + looks) + writes;
        if lists > most_lists || writes > most_writes {
            self.break_rule(format!(
                "run {run} of {repo} reads {lists} pages and writes {writes} times; {most_lists} and {most_writes} are enough"
            ));
        }
    }

    /// Whether the Hub's limit was a reason for a run to do less than it might have.
    pub fn was_limited(&self, run: usize) -> bool {
        self.runs[run].limited
    }

    /// Those who are to be decided by this policy and still wait, with their places.
    pub fn undecided(&mut self, repo: &str, policy: &Policy) -> Vec<(usize, String)> {
        let name = repo;
        let repo = self.model.repo(repo);
        let requests = repo.requests.iter().enumerate();
        let waiting = requests.filter(|(_, one)| one.status == Status::Pending && !one.withdrawn);
        let is_left = |one| {
            let shown = &serde_json::to_value(repo.entry(one, Status::Pending)).expect("JSON");
            let is_named = shown["user"]["_id"].is_string() || shown["requestId"].is_string();
            is_named && policy.expects(&Entry { shown, repo: name }).is_some()
        };
        let left = waiting.filter(|(_, one)| is_left(one));
        left.map(|(place, one)| (place, one.person.name.clone())).collect()
    }
}
