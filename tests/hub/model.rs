//! What the Hub knows, and how it changes.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::kept;
use super::quota::Quota;
use super::settings::{Account, Collection, Webhook};

/// The four states of an access request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Pending,
    Accepted,
    Rejected,
    Reset,
}

impl Status {
    pub const ALL: [Self; 4] = [Self::Pending, Self::Accepted, Self::Rejected, Self::Reset];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::Reset => "reset",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// How a repo is gated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gating {
    Off,
    Auto,
    Manual,
}

/// What the token may do with a repo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Write,
    Read,
    /// Not even see it.
    None,
}

/// What this Hub does about `batch`, of which little is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Batch {
    /// Takes any way of naming a request.
    Any,
    /// Refuses a request that is named by `requestId` with a 400.
    NoRequestId,
    /// Says of each request that is named by `requestId` that there is no such user, and answers 200.
    DeniesRequestId,
    /// There is none: 404.
    Unknown,
}

/// Somebody with an account.
#[derive(Clone, Debug)]
pub struct Person {
    pub id: String,
    pub name: String,
    pub fullname: String,
    pub email: Option<String>,
    pub pro: bool,
    pub verified_orgs: Vec<String>,
    pub orgs: Vec<String>,
    /// The answers to the gate form; `None` if the form has no questions.
    pub fields: Option<BTreeMap<String, Value>>,
}

impl Person {
    /// Somebody with this user name and e-mail address, and nothing else of note.
    pub fn new(name: &str, email: &str) -> Self {
        Self {
            id: format!("id-{name}"),
            name: name.to_owned(),
            fullname: format!("{name} the Tester"),
            email: Some(email.to_owned()),
            pro: false,
            verified_orgs: Vec::new(),
            orgs: Vec::new(),
            fields: None,
        }
    }

    /// Who answered a question of the gate form.
    #[must_use]
    pub fn answer(mut self, label: &str, answer: impl Into<Value>) -> Self {
        self.fields.get_or_insert_default().insert(label.to_owned(), answer.into());
        self
    }

    /// Who is a verified member of an organization.
    #[must_use]
    pub fn verified(mut self, org: &str) -> Self {
        self.verified_orgs.push(org.to_owned());
        self
    }
}

/// An access request.
#[derive(Clone, Debug)]
pub struct AccessRequest {
    pub id: String,
    pub person: Person,
    pub status: Status,
    pub requested_at: DateTime<Utc>,
    pub reviewed_at: Option<DateTime<Utc>>,
    pub granted: bool,
    /// Listed without anything to name it by.
    pub anonymous: bool,
    /// What the user was told with the last rejection or reset.
    pub reason: Option<String>,
    /// How often its status was set.
    pub writes: u32,
    /// Its last change and what it was before, for a list that lags.
    pub before: Option<(Instant, Status)>,
    /// Taken back by the requester.
    pub withdrawn: bool,
}

impl AccessRequest {
    /// The status that a list shows which lags by so much.
    fn listed_as(&self, lag: Duration) -> Status {
        match self.before {
            Some((when, before)) if when.elapsed() < lag => before,
            _ => self.status,
        }
    }

    pub fn set(&mut self, status: Status, reason: Option<String>) {
        self.before = Some((Instant::now(), self.status));
        self.status = status;
        self.reviewed_at = (status != Status::Pending).then(Utc::now);
        self.reason = reason;
        self.writes += 1;
    }
}

/// A repo and those who asked for access to it.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct Repo {
    /// `model` or `dataset`.
    pub kind: &'static str,
    pub name: String,
    pub gating: Gating,
    pub private: bool,
    pub role: Role,
    /// The `extra_gated_*` keys of its card.
    pub card: Value,
    /// Set not to share who its requesters are.
    pub hides_requesters: bool,
    /// Whether entries have a `requestId`: new on the Hub.
    pub has_request_ids: bool,
    /// Whether a request gets a new `requestId` when it is made again after a reset or a withdrawal. What the real Hub does is
    /// unknown.
    pub renews_request_ids: bool,
    /// In the order of asking.
    pub requests: Vec<AccessRequest>,
    /// The places of the requests, by [`index`].
    places: HashMap<String, usize>,
    /// Answered instead of the first page of the pending list, if set.
    pub raw_page: Option<String>,
}

/// The text that a request is found by: one of the keys `userId`, `user` and `requestId` of a body, and its value. The case of a
/// user's name does not matter.
fn index(key: &str, value: &str) -> String {
    let value = if key == "user" { &*value.to_ascii_lowercase() } else { value };
    format!("{key} {value}")
}

impl Repo {
    /// The user or organization that it belongs to.
    pub fn owner(&self) -> &str {
        self.name.split('/').next().unwrap_or_default()
    }

    /// Somebody asks for access, an hour ago.
    pub fn ask(&mut self, person: Person) {
        self.ask_at(person, Utc::now() - Duration::from_secs(3600));
    }

    /// Somebody asks for access. If they were reset or have withdrawn their request, it is made again, with a new timestamp.
    /// Otherwise a second request changes nothing; that of a rejected requester is silently ignored.
    pub fn ask_at(&mut self, person: Person, requested_at: DateTime<Utc>) {
        person.email.iter().for_each(|address| kept::seeded(address));
        if let Some(place) = self.places.get(&index("userId", &person.id)).copied() {
            let request = &mut self.requests[place];
            if !request.withdrawn && request.status != Status::Reset {
                return;
            }
            if self.renews_request_ids {
                self.places.remove(&index("requestId", &request.id));
                request.id = format!("{}-again", request.id);
                self.places.insert(index("requestId", &request.id), place);
            }
            (request.person, request.requested_at, request.withdrawn) = (person, requested_at, false);
            request.set(Status::Pending, None);
            return;
        }
        let (id, place) = (format!("request-{}", person.name), self.requests.len());
        self.places.insert(index("userId", &person.id), place);
        self.places.insert(index("user", &person.name), place);
        self.places.insert(index("requestId", &id), place);
        self.requests.push(AccessRequest {
            id,
            person,
            status: Status::Pending,
            requested_at,
            reviewed_at: None,
            granted: false,
            anonymous: false,
            reason: None,
            writes: 0,
            before: None,
            withdrawn: false,
        });
    }

    /// Somebody takes the request back.
    pub fn withdraw(&mut self, user: &str) {
        if let Some(request) = self.find_mut("user", user) {
            request.withdrawn = true;
        }
    }

    /// The place of the request that is named by this key of a body: `userId`, `user` or `requestId`.
    pub fn place(&self, key: &str, value: &str) -> Option<usize> {
        let place = *self.places.get(&index(key, value))?;
        (!self.requests[place].withdrawn).then_some(place)
    }

    /// The request at that place.
    pub fn find_mut(&mut self, key: &str, value: &str) -> Option<&mut AccessRequest> {
        let place = self.place(key, value)?;
        self.requests.get_mut(place)
    }

    pub fn request(&self, user: &str) -> &AccessRequest {
        let place = self.places.get(&index("user", user));
        &self.requests[*place.unwrap_or_else(|| panic!("{user} never asked"))]
    }

    pub fn users(&self, status: Status) -> Vec<String> {
        let of_status = self.requests.iter().filter(|request| request.status == status);
        let mut users: Vec<String> = of_status.map(|request| request.person.name.clone()).collect();
        users.sort();
        users
    }

    /// The requests of a list, with their places among all requests of the repo, from one of these places on.
    pub fn list(
        &self,
        status: Status,
        lag: Duration,
        from: usize,
    ) -> impl Iterator<Item = (usize, &AccessRequest)> {
        let requests = self.requests.iter().enumerate().skip(from);
        requests.filter(move |(_, request)| !request.withdrawn && request.listed_as(lag) == status)
    }
}

/// What goes wrong with a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// This status, with nothing done.
    Status(u16),
    /// This status with these headers and this body, with nothing done.
    Answer(u16, Vec<(&'static str, String)>, String),
    /// The connection is closed before anything is done.
    DropBefore,
    /// The connection is closed after it was done.
    DropAfter,
    /// It is done, but no answer ever comes.
    Stall,
    /// It is done, but the answer is not what it should be.
    Garbage,
    /// It is done, but somebody on the way answers with this status.
    Lost(u16),
    /// It is done, but the answer breaks off.
    Cut,
    /// A list shows, between the others, those who are decided.
    Strays,
    /// What a list says is in it twice.
    Twice,
    /// A list shows some in an older version as well.
    Older,
    /// Only the first half of a batch is done; of the others it is said that it failed, or nothing, with this status.
    Half(Option<u16>),
    /// The next page of a list is said to be at another origin.
    Elsewhere,
    /// The next page of a list is said to be this one.
    Circle,
    /// An answer that never ends, with nothing done: this status, how long it says it is, and then so many bytes at a time
    /// with so long before each.
    Endless { status: u16, promised: Option<u64>, chunk: usize, pause: Duration },
}

impl Fault {
    /// What it is called where faults are counted.
    pub fn name(&self) -> String {
        match self {
            Self::Status(status) | Self::Answer(status, ..) => format!("status {status}"),
            Self::Lost(status) => format!("done, status {status}"),
            Self::DropBefore => "no connection".to_owned(),
            Self::DropAfter => "done, connection closed".to_owned(),
            Self::Stall => "done, no answer".to_owned(),
            Self::Garbage => "done, unreadable answer".to_owned(),
            Self::Cut => "done, answer breaks off".to_owned(),
            Self::Strays => "page with those who are decided".to_owned(),
            Self::Twice => "answer with everything twice".to_owned(),
            Self::Older => "page with older versions of some".to_owned(),
            Self::Half(None) => "half of a batch done, the other said to have failed".to_owned(),
            Self::Half(Some(status)) => format!("half of a batch done, status {status}"),
            Self::Elsewhere => "next page at another origin".to_owned(),
            Self::Circle => "next page is this page".to_owned(),
            Self::Endless { .. } => "answer without an end".to_owned(),
        }
    }
}

/// What the cursor to the next page is; of the real Hub nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cursor {
    /// Points at the entry that comes next, so that it does not matter who leaves the list before it.
    Points,
    /// Counts the entries before it, so that whoever leaves the list makes somebody be skipped.
    Counts,
}

/// A call that was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Call {
    pub method: String,
    /// With the query.
    pub path: String,
    pub user_agent: String,
    pub body: Value,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

/// Everything that this Hub knows.
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct Model {
    pub token: String,
    pub origin: String,
    pub repos: BTreeMap<String, Repo>,
    /// Users who can be granted access without having asked.
    pub people: Vec<Person>,
    /// Whose token it is.
    pub account: Account,
    /// The webhooks of that account, in the order of making.
    pub webhooks: Vec<Webhook>,
    /// Gating groups, and collections without a gate.
    pub collections: Vec<Collection>,
    pub batch: Batch,
    /// By how much the lists lag behind the writes.
    pub lag: Duration,
    pub cursor: Cursor,
    /// The most entries in a page, whatever is asked for.
    pub max_page: usize,
    /// The link to the next page, if it is to be another than the right one.
    pub next_page: Option<String>,
    /// Whether a page says where the next one is. An older client of the real Hub was seen to stop at 1,000 entries, so a full
    /// page without a link does not prove that the list ends.
    pub links_pages: bool,
    /// Whether a list begins with the newest request; the real order is unknown.
    pub newest_first: bool,
    /// Whether a list of repos can be asked for the gated ones only.
    pub filters_by_gate: bool,
    pub quota: Quota,
    /// Whether a search for repos has a next page for ever, each full of repos that nobody has seen.
    pub lists_repos_without_end: bool,
    /// Whether answers tell of the quota.
    pub tells_limits: bool,
    /// How many calls the quota has refused.
    pub refused_by_quota: u32,
    /// The calls that are being answered, and the most that ever were at once.
    pub in_flight: u32,
    pub most_in_flight: u32,
    /// How long every call takes to reach the Hub, and how long its answer takes back.
    pub latency: Duration,
    pub way_back: Duration,
    pub calls: Vec<Call>,
    /// Whether the calls are kept.
    pub keeps_calls: bool,
    /// How many calls there were.
    pub call_count: usize,
    /// The bytes of answers without an end that went out.
    pub streamed: Arc<AtomicUsize>,
    faults: VecDeque<(String, Fault)>,
    /// A user or request id, and the fault of every write that contains it.
    pub chokes_on: Option<(String, Fault)>,
    /// The share of calls that go wrong in some way, what draws them, and the ways.
    flaky: Option<(f32, fastrand::Rng, Vec<Fault>)>,
    /// How often each fault was met, by its name.
    pub met: BTreeMap<String, u64>,
}

impl Model {
    pub fn new(token: &str) -> Self {
        Self {
            token: token.to_owned(),
            origin: String::new(),
            repos: BTreeMap::new(),
            people: Vec::new(),
            account: Account::new(),
            webhooks: Vec::new(),
            collections: Vec::new(),
            batch: Batch::Any,
            lag: Duration::ZERO,
            cursor: Cursor::Points,
            max_page: 1000,
            next_page: None,
            links_pages: true,
            newest_first: false,
            filters_by_gate: true,
            quota: Quota::new(1000, Duration::from_secs(300)),
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
            met: BTreeMap::new(),
        }
    }

    /// Adds a manually gated repo, `acme/model` or `datasets/acme/corpus`.
    pub fn add(&mut self, repo: &str) -> &mut Repo {
        let (kind, name) = match repo.strip_prefix("datasets/") {
            Some(name) => ("dataset", name),
            None => ("model", repo),
        };
        let added = Repo {
            kind,
            name: name.to_owned(),
            gating: Gating::Manual,
            private: false,
            role: Role::Write,
            card: json!({}),
            hides_requesters: false,
            has_request_ids: true,
            renews_request_ids: true,
            requests: Vec::new(),
            places: HashMap::new(),
            raw_page: None,
        };
        self.repos.insert(repo.to_owned(), added);
        self.repo(repo)
    }

    /// A repo by its name in any case, with the key that it is kept under. "Repo ids are case insensitive across the Hub" (a
    /// maintainer, `huggingface_hub#2090`); three spellings of one name gave the same repo (`huggingface_hub#1453`). It is
    /// unknown whether a user's name may be written in any case in every call.
    pub fn find(&self, repo: &str) -> Option<(&str, &Repo)> {
        let is_meant = |(key, _): &(&String, &Repo)| key.eq_ignore_ascii_case(repo);
        let found = self.repos.get_key_value(repo).or_else(|| self.repos.iter().find(is_meant));
        found.map(|(key, repo)| (key.as_str(), repo))
    }

    pub fn repo(&mut self, repo: &str) -> &mut Repo {
        let key = self.find(repo).map(|(key, _)| key.to_owned());
        key.and_then(|key| self.repos.get_mut(&key)).unwrap_or_else(|| panic!("no repo {repo} here"))
    }

    /// The next call whose `METHOD /path` contains `part` goes wrong like this.
    pub fn fault(&mut self, part: &str, fault: Fault) {
        self.faults.push_back((part.to_owned(), fault));
    }

    /// The next `times` calls whose `METHOD /path` contains `part` go wrong like this.
    pub fn faults(&mut self, part: &str, fault: &Fault, times: usize) {
        (0..times).for_each(|_| self.fault(part, fault.clone()));
    }

    /// From now on nothing goes wrong any more.
    pub fn heal(&mut self) {
        (self.faults, self.flaky) = (VecDeque::new(), None);
    }

    /// From now on this share of all calls goes wrong, each in a way that is drawn from those that pass by themselves.
    pub fn flaky(&mut self, share: f32, seed: u64) {
        let statuses = [408, 425, 429, 500, 502, 503, 504].map(Fault::Status);
        let others = [Fault::DropBefore, Fault::DropAfter, Fault::Garbage, Fault::Stall];
        // Each of the others is as likely as all statuses together.
        let mut ways: Vec<Fault> = statuses.clone().into();
        for _ in &statuses {
            ways.extend(others.clone());
        }
        self.flaky_in(share, seed, ways);
    }

    /// The same, in these ways.
    pub fn flaky_in(&mut self, share: f32, seed: u64, ways: Vec<Fault>) {
        self.flaky = Some((share, fastrand::Rng::with_seed(seed), ways));
    }

    pub fn take_fault(&mut self, call: &Call) -> Option<Fault> {
        let fault = self.draw_fault(call)?;
        *self.met.entry(fault.name()).or_default() += 1;
        Some(fault)
    }

    fn draw_fault(&mut self, call: &Call) -> Option<Fault> {
        let shown = call.to_string();
        if let Some(place) = self.faults.iter().position(|(part, _)| shown.contains(part)) {
            return self.faults.remove(place).map(|(_, fault)| fault);
        }
        if let Some((name, fault)) = &self.chokes_on
            && call.body.to_string().contains(name)
        {
            return Some(fault.clone());
        }
        let (share, random, ways) = self.flaky.as_mut()?;
        if random.f32() >= *share { None } else { random.choice(&*ways).cloned() }
    }
}
