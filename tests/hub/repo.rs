//! A repo and its access requests.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::files::Files;
use super::kept;

/// The four states of an access request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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

/// The rights of the token on a repo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Write,
    Read,
    /// The token does not see the repo.
    None,
}

/// A user of the Hub.
#[derive(Clone, Debug)]
pub struct Person {
    pub id: String,
    pub name: String,
    pub fullname: String,
    pub email: Option<String>,
    pub pro: bool,
    pub verified_orgs: Vec<String>,
    pub orgs: Vec<String>,
    /// The answers to the gate form. `None` if the form has no questions.
    pub fields: Option<BTreeMap<String, Value>>,
}

impl Person {
    /// A user with this name and e-mail address, without organizations and answers.
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

    /// Adds an answer to the gate form.
    #[must_use]
    pub fn answer(mut self, label: &str, answer: impl Into<Value>) -> Self {
        self.fields.get_or_insert_default().insert(label.to_owned(), answer.into());
        self
    }

    /// Makes the user a verified member of an organization.
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
    /// The name of the user who decided it last.
    pub reviewed_by: &'static str,
    /// Access was granted without a request.
    pub granted: bool,
    /// Listed without a user and without a `requestId`.
    pub anonymous: bool,
    /// The reason of the last rejection or reset.
    pub reason: Option<String>,
    /// How often its status was set.
    pub writes: u32,
    /// The time of its last change, and the status before it. A list that lags shows that status.
    pub before: Option<(Instant, Status)>,
    /// Withdrawn by the requester. It is in no list then (seen 2026-10).
    pub withdrawn: bool,
}

impl AccessRequest {
    /// The status that a list with this lag shows.
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

/// A repo and its access requests.
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
    /// Whether the repo does not share the names and addresses of its requesters. Then entries have no `user`
    /// (`huggingface_hub` 2.4.0).
    pub hides_requesters: bool,
    /// Whether entries have a `requestId`. `huggingface_hub` 2.4.0 requires it; exchanges of 2026-10 do not have it. So tests
    /// try both.
    pub has_request_ids: bool,
    /// The requests, the first one that was made first. The index is called place.
    pub requests: Vec<AccessRequest>,
    /// The places of the requests, by [`index_key`].
    places: HashMap<String, usize>,
    pub files: Files,
    /// The body of every response for the pending list, if set.
    pub raw_page: Option<String>,
    /// `bulk` or `real-time`.
    pub notifications_mode: String,
    /// The address that was set for mails about requests.
    pub notifications_email: Option<String>,
}

/// The key of `places`, made from a key of a body (`userId`, `user` or `requestId`) and its value. The name of a user may have
/// any case.
fn index_key(key: &str, value: &str) -> String {
    let value = if key == "user" { &*value.to_ascii_lowercase() } else { value };
    format!("{key} {value}")
}

impl Repo {
    /// A repo with manual approval and without requests.
    pub fn new(kind: &'static str, name: &str) -> Self {
        Self {
            kind,
            name: name.to_owned(),
            gating: Gating::Manual,
            private: false,
            role: Role::Write,
            card: json!({}),
            hides_requesters: false,
            has_request_ids: true,
            requests: Vec::new(),
            places: HashMap::new(),
            files: Files::new(&format!("{kind} {name}")),
            raw_page: None,
            notifications_mode: "bulk".to_owned(),
            notifications_email: None,
        }
    }

    /// Its name in URLs: `acme/model` or `datasets/acme/corpus`.
    pub fn key(&self) -> String {
        if self.kind == "dataset" { format!("datasets/{}", self.name) } else { self.name.clone() }
    }

    /// The user or organization that it belongs to.
    pub fn owner(&self) -> &str {
        self.name.split('/').next().unwrap_or_default()
    }

    /// A user requested access an hour ago.
    pub fn ask(&mut self, person: Person) {
        self.ask_at(person, Utc::now() - Duration::from_secs(3600));
    }

    /// A user requests access. If the request was reset or withdrawn, it is made again, with a new timestamp. Otherwise a
    /// second request changes nothing, also after a rejection: "asking again is silently ignored" (seen 2026-10).
    pub fn ask_at(&mut self, person: Person, requested_at: DateTime<Utc>) {
        person.email.iter().for_each(|address| kept::seeded(address));
        if let Some(place) = self.places.get(&index_key("userId", &person.id)).copied() {
            let request = &mut self.requests[place];
            if !request.withdrawn && request.status != Status::Reset {
                return;
            }
            // It is unknown whether the real Hub gives the request a new id.
            self.places.remove(&index_key("requestId", &request.id));
            request.id = format!("{}-again", request.id);
            self.places.insert(index_key("requestId", &request.id), place);
            (request.person, request.requested_at) = (person, requested_at);
            (request.withdrawn, request.granted) = (false, false);
            request.set(Status::Pending, None);
            return;
        }
        let (id, place) = (format!("request-{}", person.name), self.requests.len());
        self.places.insert(index_key("userId", &person.id), place);
        self.places.insert(index_key("user", &person.name), place);
        self.places.insert(index_key("requestId", &id), place);
        self.requests.push(AccessRequest {
            id,
            person,
            status: Status::Pending,
            requested_at,
            reviewed_at: None,
            reviewed_by: "owner",
            granted: false,
            anonymous: false,
            reason: None,
            writes: 0,
            before: None,
            withdrawn: false,
        });
    }

    /// The requester withdraws the request.
    pub fn withdraw(&mut self, user: &str) {
        if let Some(request) = self.find_mut("user", user) {
            request.withdrawn = true;
        }
    }

    /// The place of the request that this key of a body names: `userId`, `user` or `requestId`.
    pub fn place(&self, key: &str, value: &str) -> Option<usize> {
        let place = *self.places.get(&index_key(key, value))?;
        (!self.requests[place].withdrawn).then_some(place)
    }

    /// The request that this key of a body names.
    pub fn find_mut(&mut self, key: &str, value: &str) -> Option<&mut AccessRequest> {
        let place = self.place(key, value)?;
        self.requests.get_mut(place)
    }

    /// The request of a user, even if it was withdrawn.
    pub fn request(&self, user: &str) -> &AccessRequest {
        let place = self.places.get(&index_key("user", user));
        &self.requests[*place.unwrap_or_else(|| panic!("{user} never asked"))]
    }

    /// The users in a list, in alphabetical order.
    pub fn users(&self, status: Status) -> Vec<String> {
        let of_status = self.requests.iter().filter(|request| request.status == status);
        let mut users: Vec<String> = of_status.map(|request| request.person.name.clone()).collect();
        users.sort();
        users
    }

    /// The requests of a list with their places, from a place on.
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
