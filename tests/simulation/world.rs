//! The Hub of a schedule, and what is watched while processes and people act on it: every call is seen here before the Hub
//! takes it, and whatever must never happen is noted.

mod attempts;
mod judge;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use hub_doorman::model::Outcome;
use hub_doorman::report::Counts;
use serde_json::Value;
use tokio::time::Instant;

use self::attempts::Attempt;
use crate::hub::{self, Answer, Call, Fault, Model, Reply, Status};
use crate::policies::{Entry, Expected, Policy};

/// How often a call is made that is never answered well, as `retry.rs` has it.
const MOST_ATTEMPTS: u32 = 8;

/// The most calls of a run, for whatever reason; far more than any needs.
const MOST_CALLS: u32 = 20_000;

/// A request: its repo, and its place there.
type Key = (String, usize);

pub struct World {
    pub model: Model,
    runs: Vec<Run>,
    /// The verdicts of people that stand.
    of_people: HashMap<Key, Instant>,
    /// All states that each request has come to, and when.
    history: HashMap<Key, Vec<(Instant, Status)>>,
    /// When something changed in a repo, and which run did it, if any.
    changes: HashMap<String, Vec<(Instant, Option<usize>)>>,
    /// Whether calls reach the Hub one for one: not if they may get lost on a real network.
    pub counts_calls: bool,
    /// The longest that a call takes which is not late.
    pub latency: Duration,
    /// What happened that must never happen.
    pub broken: Vec<String>,
    /// What happened to the schedule, by kind, besides the Hub's faults.
    pub met: BTreeMap<String, u64>,
    /// Everything that happens, if it is to be told.
    pub story: Option<Vec<String>>,
    began: Instant,
}

/// One run of a process: a review or a sweep, from its beginning until it ends or is stopped.
struct Run {
    /// The run of the same process before it.
    before: Option<usize>,
    policy: Arc<Policy>,
    is_dry: bool,
    concurrency: u32,
    began: Instant,
    deadline: Instant,
    shown: HashMap<Key, Vec<Shown>>,
    /// What it did to whom, and has not said so yet.
    untold: HashSet<(Key, String)>,
    /// Of whom it has said that it does not know what it did.
    unknown: HashSet<(Key, String)>,
    calls: u32,
    lists: HashMap<String, u32>,
    writes: HashMap<String, u32>,
    /// How many of its calls met a fault.
    faults: u32,
    /// Whether the Hub's limit came near.
    limited: bool,
    /// The requests that it has concluded, each with its timestamp.
    told: HashSet<(Key, String, Option<DateTime<Utc>>)>,
    /// How many it was done with in which way, by repo.
    counts: HashMap<String, Counts>,
    /// How often a call was made since it was last answered well.
    repeated: HashMap<String, u32>,
    /// When each page was requested, and when its answer arrived, by the number of the call.
    pages: HashMap<u64, Page>,
    /// How long the process was frozen during the run.
    frozen: Duration,
    /// The attempts to write each request, the last one last.
    attempts: HashMap<Key, Vec<Attempt>>,
    /// The requests that the writes under way name.
    writing: HashMap<u64, Vec<Option<Key>>>,
    /// What the run has said became of each request.
    outcomes: HashMap<Key, Outcome>,
}

/// A page of a list, as the process of a run sees it.
#[derive(Clone, Copy)]
struct Page {
    requested: Instant,
    arrived: Option<Instant>,
    /// How long the process had been frozen before it requested the page.
    frozen: Duration,
}

/// What pages said of a request, always the same.
struct Shown {
    /// When the Hub last said it.
    at: Instant,
    /// The calls that it answered so.
    pages: Vec<u64>,
    /// How a write may name it.
    names: Vec<(&'static str, String)>,
    /// When access was requested, as it was shown.
    asked: String,
    expected: Expected,
}

/// A write to a request, before the Hub has taken it.
struct Write {
    key: Key,
    /// What names it.
    name: String,
    status: Status,
    writes: u32,
    /// When a person decided it otherwise, and when it was last shown to this run, if both is so.
    overrules: Option<(Instant, Instant)>,
}

impl World {
    pub fn new(model: Model) -> Self {
        Self {
            model,
            runs: Vec::new(),
            of_people: HashMap::new(),
            history: HashMap::new(),
            changes: HashMap::new(),
            counts_calls: true,
            latency: Duration::ZERO,
            broken: Vec::new(),
            met: BTreeMap::new(),
            story: None,
            began: Instant::now(),
        }
    }

    /// Adds a line to the story.
    pub fn tell(&mut self, line: impl FnOnce() -> String) {
        let at = self.began.elapsed();
        if let Some(story) = &mut self.story {
            story.push(format!("{at:?} {}", line()));
        }
    }

    pub fn meet(&mut self, what: &str) {
        *self.met.entry(what.to_owned()).or_default() += 1;
    }

    /// Something that must never happen has happened.
    pub fn break_rule(&mut self, what: String) {
        self.tell(|| format!("BROKEN: {what}"));
        self.broken.push(what);
    }

    /// A run begins; its number.
    pub fn begin(
        &mut self,
        before: Option<usize>,
        policy: &Arc<Policy>,
        is_dry: bool,
        concurrency: usize,
        deadline: Instant,
    ) -> usize {
        self.runs.push(Run {
            before,
            policy: Arc::clone(policy),
            is_dry,
            concurrency: u32::try_from(concurrency).unwrap_or(u32::MAX),
            began: Instant::now(),
            deadline,
            shown: HashMap::new(),
            untold: HashSet::new(),
            unknown: HashSet::new(),
            calls: 0,
            lists: HashMap::new(),
            writes: HashMap::new(),
            faults: 0,
            limited: false,
            told: HashSet::new(),
            counts: HashMap::new(),
            repeated: HashMap::new(),
            pages: HashMap::new(),
            frozen: Duration::ZERO,
            attempts: HashMap::new(),
            writing: HashMap::new(),
            outcomes: HashMap::new(),
        });
        let number = self.runs.len() - 1;
        self.tell(|| format!("run {number} begins, dry run {is_dry}, with {}", policy.text));
        number
    }

    /// A run makes a call. Whether it may.
    pub fn call(&mut self, run: usize, call: &Call) -> bool {
        self.runs[run].calls += 1;
        let attempts = self.runs[run].repeated.entry(format!("{call} {}", call.body)).or_default();
        *attempts += 1;
        if *attempts > MOST_ATTEMPTS {
            self.break_rule(format!("run {run} makes the same call again and again: {call}"));
        }
        if Instant::now() >= self.runs[run].deadline {
            self.break_rule(format!("run {run} makes a call after its deadline"));
        }
        if self.runs[run].calls == MOST_CALLS {
            self.break_rule(format!("run {run} makes calls without an end"));
        }
        self.runs[run].calls < MOST_CALLS
    }

    /// The process of a run is frozen for so long.
    pub fn freeze(&mut self, run: usize, time: Duration) {
        self.runs[run].frozen += time;
        self.runs[run].faults += 1;
        self.meet("process frozen");
        self.tell(|| format!("run {run} is frozen for {time:?}"));
    }

    /// The network keeps a call or its answer for long.
    pub fn delay(&mut self, run: usize, what: &str) {
        self.runs[run].faults += 1;
        self.meet(what);
    }

    /// A call of a run reaches the Hub.
    pub fn exchange(&mut self, run: usize, number: u64, call: &Call, token: Option<&str>) -> Reply {
        let repo = repo_of(call);
        let writes = self.writes(run, call, repo.as_deref());
        let refused = self.model.refused_by_quota;
        let (reply, fault) = hub::exchange(&mut self.model, call, token);
        let refused = self.model.refused_by_quota > refused;
        self.tell(|| {
            let became = match &reply {
                Reply::Answer(answer) => answer.status.to_string(),
                Reply::Cut(answer) => format!("{} and breaks off", answer.status),
                Reply::Endless(_) => "no end".to_owned(),
                Reply::Closed => "closed".to_owned(),
                Reply::Silence => "silence".to_owned(),
            };
            let fault = fault.as_ref().map(|fault| format!(" ({})", fault.name())).unwrap_or_default();
            format!("run {run}: {call} {} -> {became}{fault}", call.body)
        });
        let of_run = &mut self.runs[run];
        of_run.faults += u32::from(fault.is_some());
        let is_good = |answer: &Answer| answer.status < 400 && answer.body.starts_with(['[', '{']);
        // One that is too large is not asked for again as it was.
        let is_over =
            matches!(&reply, Reply::Answer(answer) if is_good(answer)) || matches!(reply, Reply::Endless(_));
        if is_over {
            of_run.repeated.remove(&format!("{call} {}", call.body));
        }
        let quota = &self.model.quota;
        of_run.limited |= refused || quota.calls - quota.used < quota.calls / 10 + of_run.concurrency;
        if let Some(repo) = repo {
            if call.method == "GET" {
                *of_run.lists.entry(repo.clone()).or_default() += 1;
                if let Reply::Answer(answer) = &reply
                    && answer.status == 200
                    && call.path.contains("/user-access-request/pending")
                {
                    // What is decided of it is decided anew.
                    of_run.repeated.retain(|call, _| call.starts_with("GET"));
                    let entries: Vec<Value> = serde_json::from_str(&answer.body).unwrap_or_default();
                    self.show(run, number, &repo, &entries);
                }
            } else {
                *of_run.writes.entry(repo).or_default() += 1;
            }
        }
        if refused {
            self.meet("refused by the quota");
        }
        for write in writes {
            // What it is told of a batch that was done by half does not say what became of a call before.
            if matches!(fault, Some(Fault::Half(_))) {
                self.runs[run].unknown.insert((write.key.clone(), write.name.clone()));
            }
            self.land(run, write);
        }
        reply
    }

    /// A page is shown to a run.
    fn show(&mut self, run: usize, number: u64, repo: &str, entries: &[Value]) {
        let now = Instant::now();
        self.runs[run].pages.entry(number).or_insert(Page {
            requested: now,
            arrived: Some(now),
            frozen: Duration::ZERO,
        });
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let identity = |shown: &Value| {
            let by_user = text(&shown["user"]["_id"]).map(|id| ("userId", id));
            by_user.or_else(|| Some(("requestId", text(&shown["requestId"])?)))
        };
        // Of whom it shows two different things nothing is known.
        let mut first = HashMap::new();
        let mut contradictory = HashSet::new();
        for shown in entries.iter().filter(|shown| shown["status"] == "pending") {
            if *first.entry(identity(shown)).or_insert(shown) != shown {
                contradictory.insert(identity(shown));
            }
        }
        for shown in entries {
            let Some(identity) = identity(shown) else { continue };
            let Some(place) = self.model.repo(repo).place(identity.0, &identity.1) else { continue };
            let entry = Entry { shown, repo };
            let expected = self.runs[run].policy.expects(&entry);
            let expected = expected.filter(|_| !contradictory.contains(&Some(identity.clone())));
            let asked = text(&shown["timestamp"]).unwrap_or_default();
            let names = [
                ("userId", &shown["user"]["_id"]),
                ("user", &shown["user"]["user"]),
                ("requestId", &shown["requestId"]),
            ];
            let names: Vec<_> =
                names.into_iter().filter_map(|(key, name)| Some((key, text(name)?))).collect();
            let all = self.runs[run].shown.entry((repo.to_owned(), place)).or_default();
            let is_same =
                |one: &&mut Shown| one.names == names && one.expected == expected && one.asked == asked;
            match all.iter_mut().find(is_same) {
                Some(one) => {
                    one.at = now;
                    one.pages.push(number);
                }
                None => all.push(Shown { at: now, pages: vec![number], names, asked, expected }),
            }
        }
    }

    /// What a call is about to write, each of which has to be as the policy in force has it.
    fn writes(&mut self, run: usize, call: &Call, repo: Option<&str>) -> Vec<Write> {
        let Some(repo) = repo.filter(|_| call.method == "POST") else { return Vec::new() };
        let body = &call.body;
        let Some(status) = body["status"].as_str().and_then(Status::parse) else { return Vec::new() };
        let reason = [&body["rejectionReason"], &body["resetReason"]].into_iter().find_map(Value::as_str);
        let wanted = Some((status, reason.map(str::to_owned)));
        let named = match body["requests"].as_array() {
            Some(requests) => requests.iter().collect(),
            None => vec![body],
        };
        if self.runs[run].is_dry {
            self.break_rule(format!("run {run} is dry and writes {body}"));
        }
        let mut writes = Vec::new();
        for one in named {
            let identity = ["userId", "requestId", "user"]
                .into_iter()
                .find_map(|key| Some((key, one[key].as_str()?.to_owned())));
            let Some(identity) = identity else { continue };
            let Some(place) = self.model.repo(repo).place(identity.0, &identity.1) else { continue };
            let key = (repo.to_owned(), place);
            let at = self.judge(run, &key, &identity, &wanted);
            let request = &self.model.repo(repo).requests[place];
            let (before, writes_before) = (request.status, request.writes);
            let by_person = self.of_people.get(&key).filter(|_| before != status);
            let overrules = by_person.copied().zip(at);
            writes.push(Write { key, name: identity.1, status, writes: writes_before, overrules });
        }
        writes
    }

    /// The Hub has taken a write, or not.
    fn land(&mut self, run: usize, Write { key, name, status, writes, overrules }: Write) {
        let lag = self.model.lag;
        if self.model.repo(&key.0).requests[key.1].writes == writes {
            return;
        }
        if let Some((decided, shown)) = overrules {
            self.meet("verdict of a person overruled that was made after the list was read");
            if decided + lag <= shown {
                self.break_rule(format!(
                    "run {run} overrules a person about {key:?}, made before it was read"
                ));
            }
        }
        self.changed(&key, status, Some(run));
        self.runs[run].untold.insert((key.clone(), name));
    }

    fn changed(&mut self, key: &Key, status: Status, by: Option<usize>) {
        self.of_people.remove(key);
        self.history.entry(key.clone()).or_default().push((Instant::now(), status));
        self.touch(&key.0, by);
    }

    /// Something changes in a repo.
    pub fn touch(&mut self, repo: &str, by: Option<usize>) {
        self.changes.entry(repo.to_owned()).or_default().push((Instant::now(), by));
    }

    /// A person gives a request another status.
    pub fn person_sets(&mut self, repo: &str, place: usize, status: Status) {
        let request = &mut self.model.repo(repo).requests[place];
        if request.status == status || request.withdrawn {
            return;
        }
        request.set(status, None);
        let key = (repo.to_owned(), place);
        self.changed(&key, status, None);
        if status != Status::Pending {
            self.of_people.insert(key.clone(), Instant::now());
        }
        self.tell(|| format!("a person makes {key:?} {}", status.as_str()));
    }

    /// A requester asks once more, where the Hub allows it.
    pub fn asks_again(&mut self, repo: &str, place: usize) {
        if self.model.repo(repo).requests[place].status == Status::Pending {
            self.changed(&(repo.to_owned(), place), Status::Pending, None);
        }
    }
}

/// The repo that a call is about, `acme/model` or `datasets/acme/corpus`, if it is about access requests.
fn repo_of(call: &Call) -> Option<String> {
    let (repo, _) = call.path.strip_prefix("/api/")?.split_once("/user-access-request/")?;
    // The Hub takes names in any case.
    Some(repo.strip_prefix("models/").unwrap_or(repo).to_ascii_lowercase())
}
