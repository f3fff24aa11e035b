//! The state of the stand-in Hub, and the switches with which a test changes its behaviour.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use serde_json::Value;

use super::delivery::Delivery;
use super::fault::Fault;
use super::files::{Changes, FileRules, MAIN};
use super::quota::Quota;
use super::repo::{Person, Repo};
use super::settings::{self, Collection, TokenRole, Webhook};

/// How this Hub takes a `batch`. The path is in the Hub's OpenAPI, but no public client uses it, and it is unknown whether it
/// takes a `requestId`. So tests try each of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Batch {
    /// It takes `user`, `userId` and `requestId`.
    Any,
    /// It refuses a `requestId` with a 400.
    NoRequestId,
    /// It answers 200, and `user_not_found` for each request that is named by `requestId`.
    DeniesRequestId,
    /// The Hub has no `batch`: 404.
    Unknown,
}

/// How the cursor to the next page works. For the real Hub it is unknown, so tests try both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cursor {
    /// It names the next entry. If an entry before it leaves the list, nothing is skipped.
    Key,
    /// It is an offset. If an entry before it leaves the list, another one is skipped.
    Offset,
}

/// A call to the Hub.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Call {
    pub method: String,
    /// The path with the query.
    pub path: String,
    pub user_agent: String,
    pub if_none_match: Option<String>,
    /// It went to the storage of large files, which is another origin.
    pub to_storage: bool,
    /// It had an `Authorization` header.
    pub authorized: bool,
    /// The JSON of the body. A body of JSON lines is an array.
    pub body: Value,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

/// The state of the Hub, and its switches.
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct Model {
    pub token: String,
    pub origin: String,
    pub repos: BTreeMap<String, Repo>,
    /// Users who have not requested access, so that it can be granted to them.
    pub people: Vec<Person>,
    pub token_role: TokenRole,
    /// The webhooks of the account that the token belongs to, the oldest first.
    pub webhooks: Vec<Webhook>,
    /// The deliveries of webhooks that are due.
    pub deliveries: Vec<Delivery>,
    /// The gating groups, and the collections without a gate.
    pub collections: Vec<Collection>,
    pub batch: Batch,
    /// By how much the lists lag behind the writes: "about a second" on the real Hub (seen 2026-10).
    pub lag: Duration,
    pub cursor: Cursor,
    /// The maximum length of a page, if the call asks for a longer one.
    pub max_page: usize,
    /// A wrong link to the next page, if set.
    pub next_page: Option<String>,
    /// Whether a page has a link to the next one. An older client was seen to stop at 1,000 entries of the real Hub, so a full
    /// page without a link does not prove that the list ends.
    pub links_pages: bool,
    /// Whether a list begins with the newest request. The order on the real Hub is unknown, so tests try both.
    pub newest_first: bool,
    /// Whether the list of repos obeys the parameter `gated`.
    pub filters_by_gate: bool,
    /// The rate limit of the API.
    pub quota: Quota,
    /// The rate limit of the bucket `resolvers`: 5,000 calls for a free account (the Hub's documentation).
    pub resolvers: Quota,
    pub files: FileRules,
    /// Whether a search for repos never ends: each page is full of made-up repos and has a link to the next.
    pub lists_repos_without_end: bool,
    /// Whether responses have the headers of the rate limit.
    pub tells_limits: bool,
    /// How many calls were refused because of the rate limit.
    pub refused_by_quota: u32,
    /// How many calls are being answered now, and the highest number that ever were at once.
    pub in_flight: u32,
    pub most_in_flight: u32,
    /// How long every call takes to reach the Hub, and how long its response takes back.
    pub latency: Duration,
    pub way_back: Duration,
    pub calls: Vec<Call>,
    /// Whether `calls` grows.
    pub keeps_calls: bool,
    /// How many calls were made.
    pub call_count: usize,
    /// How many bytes of endless responses were sent.
    pub streamed: Arc<AtomicUsize>,
    /// A part of the calls that have a fault, how many such calls come before, and the fault.
    faults: VecDeque<(String, usize, Fault)>,
    /// The id of a user or a request, and the fault of every write that contains it.
    pub chokes_on: Option<(String, Fault)>,
    /// The share of calls with a fault, the random generator that draws them, and the faults to draw from.
    flaky: Option<(f32, fastrand::Rng, Vec<Fault>)>,
    /// How often each fault occurred, by its name.
    pub fault_counts: BTreeMap<String, u64>,
}

impl Model {
    pub fn new(token: &str) -> Self {
        Self {
            token: token.to_owned(),
            origin: String::new(),
            repos: BTreeMap::new(),
            people: Vec::new(),
            token_role: TokenRole::Write,
            webhooks: Vec::new(),
            deliveries: Vec::new(),
            collections: Vec::new(),
            batch: Batch::Any,
            lag: Duration::ZERO,
            cursor: Cursor::Key,
            max_page: 1000,
            next_page: None,
            links_pages: true,
            newest_first: false,
            filters_by_gate: true,
            quota: Quota::new(1000, Duration::from_secs(300)),
            resolvers: Quota::new(5000, Duration::from_secs(300)),
            files: FileRules::default(),
            lists_repos_without_end: false,
            tells_limits: true,
            refused_by_quota: 0,
            in_flight: 0,
            most_in_flight: 0,
            latency: Duration::ZERO,
            way_back: Duration::ZERO,
            calls: Vec::new(),
            keeps_calls: true,
            call_count: 0,
            streamed: Arc::default(),
            faults: VecDeque::new(),
            chokes_on: None,
            flaky: None,
            fault_counts: BTreeMap::new(),
        }
    }

    /// Adds a repo with manual approval, such as `acme/model` or `datasets/acme/corpus`.
    pub fn add(&mut self, repo: &str) -> &mut Repo {
        let (kind, name) = match repo.strip_prefix("datasets/") {
            Some(name) => ("dataset", name),
            None => ("model", repo),
        };
        self.repos.insert(repo.to_owned(), Repo::new(kind, name));
        self.repo(repo)
    }

    /// Finds a repo by its name in any case. Returns its key in `repos`, too. "Repo ids are case insensitive across the Hub" (a
    /// maintainer, `huggingface_hub#2090`); three spellings gave the same repo (`huggingface_hub#1453`). It is unknown whether
    /// every call takes the name of a user in any case.
    pub fn find(&self, repo: &str) -> Option<(&str, &Repo)> {
        let is_named = |(key, _): &(&String, &Repo)| key.eq_ignore_ascii_case(repo);
        let found = self.repos.get_key_value(repo).or_else(|| self.repos.iter().find(is_named));
        found.map(|(key, repo)| (key.as_str(), repo))
    }

    pub fn repo(&mut self, repo: &str) -> &mut Repo {
        let key = self.find(repo).map(|(key, _)| key.to_owned());
        key.and_then(|key| self.repos.get_mut(&key)).unwrap_or_else(|| panic!("no repo {repo} here"))
    }

    /// Finds a user by `userId`, or by `user` in any case: one of `people`, or the account of the token.
    pub fn person(&self, key: &str, value: &str) -> Option<Person> {
        let is_named = |person: &&Person| match key {
            "userId" => person.id == value,
            _ => person.name.eq_ignore_ascii_case(value),
        };
        let known = self.people.iter().find(is_named).cloned();
        known.or_else(|| Some(settings::account()).filter(|account| is_named(&account)))
    }

    /// Commits changes to `main`. Returns the id of the commit.
    pub fn commit(&mut self, repo: &str, changes: Changes) -> String {
        self.commit_to(repo, MAIN, "a commit", changes)
    }

    /// The rate limit of a bucket, `api` or `resolvers`.
    pub fn quota_of(&mut self, bucket: &str) -> &mut Quota {
        if bucket == "resolvers" { &mut self.resolvers } else { &mut self.quota }
    }

    /// The next call whose `METHOD /path` contains `part` gets this fault.
    pub fn fault(&mut self, part: &str, fault: Fault) {
        self.fault_after(part, 0, fault);
    }

    /// After so many calls whose `METHOD /path` contains `part`, the next one gets this fault.
    pub fn fault_after(&mut self, part: &str, calls: usize, fault: Fault) {
        self.faults.push_back((part.to_owned(), calls, fault));
    }

    /// The next `times` calls whose `METHOD /path` contains `part` get this fault.
    pub fn faults(&mut self, part: &str, fault: &Fault, times: usize) {
        (0..times).for_each(|_| self.fault(part, fault.clone()));
    }

    /// From now on there are no faults.
    pub fn heal(&mut self) {
        (self.faults, self.flaky) = (VecDeque::new(), None);
    }

    /// From now on this share of all calls gets a fault that is worth a retry.
    pub fn flaky(&mut self, share: f32, seed: u64) {
        let statuses = [408, 425, 429, 500, 502, 503, 504].map(Fault::Status);
        let others = [Fault::DropBefore, Fault::DropAfter, Fault::Garbage, Fault::Stall];
        // Each of the others is as likely as all statuses together.
        let mut faults: Vec<Fault> = statuses.clone().into();
        for _ in &statuses {
            faults.extend(others.clone());
        }
        self.flaky_with(share, seed, faults);
    }

    /// From now on this share of all calls gets one of these faults.
    pub fn flaky_with(&mut self, share: f32, seed: u64, faults: Vec<Fault>) {
        self.flaky = Some((share, fastrand::Rng::with_seed(seed), faults));
    }

    /// Takes the fault of a call, if it has one, and counts it.
    pub fn take_fault(&mut self, call: &Call) -> Option<Fault> {
        let fault = self.draw_fault(call)?;
        *self.fault_counts.entry(fault.name()).or_default() += 1;
        Some(fault)
    }

    fn draw_fault(&mut self, call: &Call) -> Option<Fault> {
        let text = call.to_string();
        if let Some(fault) = self.due_fault(&text) {
            return Some(fault);
        }
        if let Some((name, fault)) = &self.chokes_on
            && call.body.to_string().contains(name)
        {
            return Some(fault.clone());
        }
        let (share, random, faults) = self.flaky.as_mut()?;
        if random.f32() >= *share { None } else { random.choice(&*faults).cloned() }
    }

    /// Takes the first fault that is due for a call. Faults that wait for calls count this one.
    fn due_fault(&mut self, call: &str) -> Option<Fault> {
        let mut due = None;
        for (place, (part, calls, _)) in self.faults.iter_mut().enumerate() {
            match calls.checked_sub(1) {
                _ if !call.contains(part.as_str()) => {}
                Some(left) => *calls = left,
                None => due = due.or(Some(place)),
            }
        }
        self.faults.remove(due?).map(|(.., fault)| fault)
    }
}
