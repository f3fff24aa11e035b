//! The Hub of a schedule, and the checks on the calls of processes. Every call passes here before the Hub answers it, and every
//! violation of a rule is recorded.

mod attempts;
mod checks;
mod exchange;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use hub_doorman::model::Outcome;
use hub_doorman::report::Counts;
use tokio::time::Instant;

use self::attempts::Attempt;
use crate::hub::{Call, Model, Status};
use crate::policies::{Expected, Policy};

/// The maximum number of attempts for a call that never succeeds.
const MAX_ATTEMPTS: u32 = 8;

/// The maximum number of calls of a run, far more than any run needs.
const MAX_CALLS: u32 = 20_000;

/// A request: its repo, and its place there.
type Key = (String, usize);

pub struct World {
    pub model: Model,
    runs: Vec<Run>,
    /// The requests whose last decision is that of a person, and its time.
    decided_by_person: HashMap<Key, Instant>,
    /// All status changes of each request.
    history: HashMap<Key, Vec<(Instant, Status)>>,
    /// All changes of each repo, with the run that made them, if it was a run.
    changes: HashMap<String, Vec<(Instant, Option<usize>)>>,
    /// Whether every call of a run reaches the Hub. On a real network some may be lost, so calls are not counted.
    pub counts_calls: bool,
    /// The maximum latency of a request or response that is not delayed.
    pub latency: Duration,
    /// The rules that were violated, and how.
    pub violations: Vec<String>,
    /// How often each thing happened, other than the faults of the Hub.
    pub counts: BTreeMap<String, u64>,
    /// The log of all events, if it is kept.
    pub log: Option<Vec<String>>,
    began: Instant,
}

/// One run of a process: a review or a sweep, from its beginning until it ends or is stopped.
struct Run {
    /// The previous run of the same process.
    previous: Option<usize>,
    policy: Arc<Policy>,
    is_dry: bool,
    concurrency: u32,
    began: Instant,
    deadline: Instant,
    /// The requests that pages listed to the run.
    listed: HashMap<Key, Vec<Listed>>,
    /// The requests that it has written without an outcome yet, each with the name in the write.
    unconcluded: HashSet<(Key, String)>,
    /// The requests whose outcome it has reported as unknown.
    unknown: HashSet<(Key, String)>,
    calls: u32,
    lists: HashMap<String, u32>,
    writes: HashMap<String, u32>,
    /// How many of its calls had a fault.
    faults: u32,
    /// Whether the rate limit was reached or near.
    limited: bool,
    /// The requests that it has written with a status that may have a limit.
    limited_writes: HashSet<(Key, Status)>,
    /// The requests that it has concluded, each with its timestamp.
    concluded: HashSet<(Key, String, Option<DateTime<Utc>>)>,
    /// The counts of the outcomes, by repo.
    counts: HashMap<String, Counts>,
    /// How often each call was made since its last success.
    repeated: HashMap<String, u32>,
    /// The pages, by the number of the call.
    pages: HashMap<u64, Page>,
    /// How long the process was frozen during the run.
    frozen: Duration,
    /// The attempts to write each request, in the order of their start.
    attempts: HashMap<Key, Vec<Attempt>>,
    /// The requests that each write without a response names.
    writing: HashMap<u64, Vec<Option<Key>>>,
    /// The outcome that the run has reported for each request.
    outcomes: HashMap<Key, Outcome>,
}

/// The times of a page of a list.
#[derive(Clone, Copy)]
struct Page {
    requested: Instant,
    arrived: Option<Instant>,
    /// How long the process had been frozen before it requested the page.
    frozen: Duration,
}

/// A request as one or more pages listed it, with the same content.
struct Listed {
    /// When the Hub last sent it.
    at: Instant,
    /// The calls with these pages.
    pages: Vec<u64>,
    /// The keys and values by which a write may name it.
    names: Vec<(&'static str, String)>,
    /// The timestamp of the request, as it was listed.
    timestamp: String,
    expected: Expected,
}

/// A write of one request, before the Hub answers it.
struct Write {
    key: Key,
    /// The value that names it.
    name: String,
    status: Status,
    /// How often its status was set before.
    writes: u32,
    /// If a person has decided otherwise: when, and when the request was last listed to this run.
    overrules: Option<(Instant, Instant)>,
}

impl World {
    pub fn new(model: Model) -> Self {
        Self {
            model,
            runs: Vec::new(),
            decided_by_person: HashMap::new(),
            history: HashMap::new(),
            changes: HashMap::new(),
            counts_calls: true,
            latency: Duration::ZERO,
            violations: Vec::new(),
            counts: BTreeMap::new(),
            log: None,
            began: Instant::now(),
        }
    }

    /// Adds a line to the log.
    pub fn log(&mut self, line: impl FnOnce() -> String) {
        let at = self.began.elapsed();
        if let Some(log) = &mut self.log {
            log.push(format!("{at:?} {}", line()));
        }
    }

    /// Counts something that happened.
    pub fn count(&mut self, what: &str) {
        *self.counts.entry(what.to_owned()).or_default() += 1;
    }

    /// Records the violation of a rule.
    pub fn violation(&mut self, what: String) {
        self.log(|| format!("VIOLATION: {what}"));
        self.violations.push(what);
    }

    /// A run begins. Returns its number.
    pub fn begin(
        &mut self,
        previous: Option<usize>,
        policy: &Arc<Policy>,
        is_dry: bool,
        concurrency: usize,
        deadline: Instant,
    ) -> usize {
        self.runs.push(Run {
            previous,
            policy: Arc::clone(policy),
            is_dry,
            concurrency: u32::try_from(concurrency).unwrap_or(u32::MAX),
            began: Instant::now(),
            deadline,
            listed: HashMap::new(),
            unconcluded: HashSet::new(),
            unknown: HashSet::new(),
            calls: 0,
            lists: HashMap::new(),
            writes: HashMap::new(),
            faults: 0,
            limited: false,
            limited_writes: HashSet::new(),
            concluded: HashSet::new(),
            counts: HashMap::new(),
            repeated: HashMap::new(),
            pages: HashMap::new(),
            frozen: Duration::ZERO,
            attempts: HashMap::new(),
            writing: HashMap::new(),
            outcomes: HashMap::new(),
        });
        let number = self.runs.len() - 1;
        self.log(|| format!("run {number} begins, dry run {is_dry}, with {}", policy.text));
        number
    }

    /// A run makes a call. Returns whether the call goes on.
    pub fn call(&mut self, run: usize, call: &Call) -> bool {
        self.runs[run].calls += 1;
        let attempts = self.runs[run].repeated.entry(format!("{call} {}", call.body)).or_default();
        *attempts += 1;
        if *attempts > MAX_ATTEMPTS {
            self.violation(format!("run {run} makes the same call too often: {call}"));
        }
        if Instant::now() >= self.runs[run].deadline {
            self.violation(format!("run {run} makes a call after its deadline"));
        }
        if self.runs[run].calls == MAX_CALLS {
            self.violation(format!("run {run} makes {MAX_CALLS} calls"));
        }
        self.runs[run].calls < MAX_CALLS
    }

    /// The process of a run is frozen for this time.
    pub fn freeze(&mut self, run: usize, time: Duration) {
        self.runs[run].frozen += time;
        self.runs[run].faults += 1;
        self.count("process frozen");
        self.log(|| format!("run {run} is frozen for {time:?}"));
    }

    /// The network delays a request or a response of a run.
    pub fn delay(&mut self, run: usize, what: &str) {
        self.runs[run].faults += 1;
        self.count(what);
    }

    fn changed(&mut self, key: &Key, status: Status, by: Option<usize>) {
        self.decided_by_person.remove(key);
        self.history.entry(key.clone()).or_default().push((Instant::now(), status));
        self.touch(&key.0, by);
    }

    /// Records a change of a repo, by a run or by a person.
    pub fn touch(&mut self, repo: &str, by: Option<usize>) {
        self.changes.entry(repo.to_owned()).or_default().push((Instant::now(), by));
    }

    /// A person sets the status of a request.
    pub fn person_sets(&mut self, repo: &str, place: usize, status: Status) {
        let request = &mut self.model.repo(repo).requests[place];
        if request.status == status || request.withdrawn {
            return;
        }
        request.set(status, None);
        let key = (repo.to_owned(), place);
        self.changed(&key, status, None);
        if status != Status::Pending {
            self.decided_by_person.insert(key.clone(), Instant::now());
        }
        self.log(|| format!("a person sets {key:?} to {}", status.as_str()));
    }

    /// A requester has asked again. It counts as a change if the request is pending now.
    pub fn asks_again(&mut self, repo: &str, place: usize) {
        if self.model.repo(repo).requests[place].status == Status::Pending {
            self.changed(&(repo.to_owned(), place), Status::Pending, None);
        }
    }
}

/// The repo of a call about access requests, such as `acme/model` or `datasets/acme/corpus`.
fn repo_of(call: &Call) -> Option<String> {
    let (repo, _) = call.path.strip_prefix("/api/")?.split_once("/user-access-request/")?;
    // The Hub takes names in any case.
    Some(repo.strip_prefix("models/").unwrap_or(repo).to_ascii_lowercase())
}
