//! What the Hub knows, and how it changes.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::{Duration, Instant};

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

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
    /// In the order of asking.
    pub requests: Vec<AccessRequest>,
    /// Answered instead of the first page of the pending list, if set.
    pub raw_page: Option<String>,
}

impl Repo {
    /// Somebody asks for access, an hour ago.
    pub fn ask(&mut self, person: Person) {
        self.ask_at(person, Utc::now() - Duration::from_secs(3600));
    }

    /// Somebody asks for access. Who was rejected is silently ignored.
    pub fn ask_at(&mut self, person: Person, requested_at: DateTime<Utc>) {
        if let Some(request) = self.find_mut(|request| request.person.id == person.id) {
            if request.status == Status::Reset {
                request.set(Status::Pending, None);
                request.person = person;
            }
            return;
        }
        self.requests.push(AccessRequest {
            id: format!("request-{}", person.name),
            person,
            status: Status::Pending,
            requested_at,
            reviewed_at: None,
            granted: false,
            anonymous: false,
            reason: None,
            writes: 0,
            before: None,
        });
    }

    pub fn find_mut(&mut self, matches: impl Fn(&AccessRequest) -> bool) -> Option<&mut AccessRequest> {
        self.requests.iter_mut().find(|request| matches(request))
    }

    pub fn request(&self, user: &str) -> &AccessRequest {
        self.requests
            .iter()
            .find(|request| request.person.name == user)
            .unwrap_or_else(|| panic!("{user} never asked"))
    }

    pub fn users(&self, status: Status) -> Vec<String> {
        let of_status = self.requests.iter().filter(|request| request.status == status);
        let mut users: Vec<String> = of_status.map(|request| request.person.name.clone()).collect();
        users.sort();
        users
    }

    /// The entries of a list, with their places among all requests of the repo.
    pub fn list(&self, status: Status, lag: Duration) -> impl Iterator<Item = (usize, Value)> {
        let entries = self.requests.iter().enumerate();
        let listed = entries.filter(move |(_, request)| request.listed_as(lag) == status);
        listed.map(move |(place, request)| (place, self.entry(request, status)))
    }

    fn entry(&self, request: &AccessRequest, status: Status) -> Value {
        let time = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Millis, true);
        let mut entry = json!({"status": status.as_str(), "timestamp": time(request.requested_at)});
        if self.has_request_ids && !request.anonymous {
            entry["requestId"] = json!(request.id);
        }
        let person = &request.person;
        if !self.hides_requesters && !request.anonymous {
            entry["user"] = json!({
                "_id": person.id, "user": person.name, "fullname": person.fullname, "type": "user",
                "avatarUrl": format!("/avatars/{}.svg", person.id), "isPro": person.pro, "isHf": false,
                "verifiedOrgNames": person.verified_orgs,
                "orgs": person.orgs.iter().map(|org| json!({
                    "id": format!("id-{org}"), "name": org, "fullname": org, "avatarUrl": format!("/avatars/{org}.svg"),
                })).collect::<Vec<_>>(),
            });
            if let Some(email) = person.email.as_ref().filter(|_| !request.granted) {
                entry["user"]["email"] = json!(email);
            }
        }
        if let Some(fields) = &person.fields {
            entry["fields"] = json!(fields);
        }
        if let Some(at) = request.reviewed_at {
            entry["reviewedAt"] = json!(time(at));
        }
        if request.granted {
            entry["grantedBy"] = json!({"fullname": "The Owner", "user": "owner"});
        }
        entry
    }

    /// The rows of the access report.
    pub fn report(&self) -> Value {
        let row = |request: &AccessRequest| {
            let mut row = json!({
                "fullname": request.person.fullname, "user": request.person.name, "email": request.person.email,
                "time": request.requested_at, "status": request.status.as_str(),
            });
            if let Some(at) = request.reviewed_at {
                row["reviewedAt"] = json!(at);
            }
            row
        };
        self.requests.iter().map(row).collect()
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
#[derive(Clone, Debug, PartialEq, Eq)]
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
pub struct Model {
    pub token: String,
    pub origin: String,
    pub repos: BTreeMap<String, Repo>,
    /// Users who can be granted access without having asked.
    pub people: Vec<Person>,
    pub batch: Batch,
    /// By how much the lists lag behind the writes.
    pub lag: Duration,
    pub cursor: Cursor,
    /// The most entries in a page, whatever is asked for.
    pub max_page: usize,
    /// The link to the next page, if it is to be another than the right one.
    pub next_page: Option<String>,
    /// Calls that are left in the current window, of so many.
    pub quota: (u32, u32),
    pub calls: Vec<Call>,
    faults: VecDeque<(String, Fault)>,
}

impl Model {
    pub fn new(token: &str) -> Self {
        Self {
            token: token.to_owned(),
            origin: String::new(),
            repos: BTreeMap::new(),
            people: Vec::new(),
            batch: Batch::NoRequestId,
            lag: Duration::ZERO,
            cursor: Cursor::Points,
            max_page: 1000,
            next_page: None,
            quota: (1000, 1000),
            calls: Vec::new(),
            faults: VecDeque::new(),
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
            requests: Vec::new(),
            raw_page: None,
        };
        self.repos.insert(repo.to_owned(), added);
        self.repo(repo)
    }

    pub fn repo(&mut self, repo: &str) -> &mut Repo {
        self.repos.get_mut(repo).unwrap_or_else(|| panic!("no repo {repo} here"))
    }

    /// The next call whose `METHOD /path` contains `part` goes wrong like this.
    pub fn fault(&mut self, part: &str, fault: Fault) {
        self.faults.push_back((part.to_owned(), fault));
    }

    pub fn take_fault(&mut self, call: &Call) -> Option<Fault> {
        let call = call.to_string();
        let place = self.faults.iter().position(|(part, _)| call.contains(part))?;
        self.faults.remove(place).map(|(_, fault)| fault)
    }
}
