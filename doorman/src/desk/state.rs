//! What the desk shows: the pending requests of all repos, and what was decided about them here. It is read through the library, and
//! kept in memory only.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use hub_doorman::model::{Decision, Repo, Status, Verdict};
use hub_doorman::plan::RequestKey;
use hub_doorman::report::RepoReport;
use tokio::time::Instant;

use super::decided::DecidedRequest;
use crate::pending::{Choice, PendingRequest};

/// The most problems that are kept.
const MAX_PROBLEMS: usize = 50;

/// The state of the desk.
#[derive(Default)]
pub struct State {
    /// The pending requests, the oldest first.
    pub requests: Vec<Arc<PendingRequest>>,
    /// The repos that were read, each with what is wrong with its list.
    pub repos: BTreeMap<Repo, Option<String>>,
    /// Searches that failed, and patterns that match no repo.
    pub faults: Vec<String>,
    /// The decided requests of the people who have a pending one, by their name in lower case.
    pub elsewhere: HashMap<String, Vec<(Repo, Status)>>,
    /// Decisions that are not carried out yet.
    pub actions: Vec<Action>,
    /// What went wrong with decisions, the oldest first.
    pub problems: VecDeque<String>,
    /// The decisions that were carried out last, the newest first.
    pub sent: VecDeque<String>,
    /// How many decisions were carried out.
    pub sent_count: usize,
    /// Whether the lists are being read.
    pub is_reading: bool,
    /// When the lists were read to their end.
    pub read_at: Option<DateTime<Utc>>,
    /// The decided requests that pages have shown, by their keys as text.
    pub decided: HashMap<String, Arc<DecidedRequest>>,
    next_action: u64,
}

/// A decision of the person at the desk, which can be undone until it is due.
#[derive(Clone)]
pub struct Action {
    pub id: u64,
    pub subject: Subject,
    pub verdict: Verdict,
    pub reason: Option<Arc<str>>,
    pub due: Instant,
    /// Whether it is being carried out, so that it cannot be undone any more.
    pub is_sending: bool,
}

/// The request that an action is about.
#[derive(Clone)]
pub enum Subject {
    Pending(Arc<PendingRequest>),
    Decided(Arc<DecidedRequest>),
}

impl Subject {
    pub fn repo(&self) -> &Repo {
        match self {
            Self::Pending(request) => &request.repo,
            Self::Decided(request) => &request.repo,
        }
    }

    pub fn name(&self) -> String {
        match self {
            Self::Pending(request) => request.name(),
            Self::Decided(request) => request.name(),
        }
    }

    fn key(&self) -> RequestKey {
        match self {
            Self::Pending(request) => request.key,
            Self::Decided(request) => request.key,
        }
    }
}

impl Action {
    /// What it does, as a person reads it: `reset ada (acme/model)`.
    pub fn title(&self) -> String {
        format!("{} {} ({})", self.verdict.as_str(), self.subject.name(), self.subject.repo())
    }

    /// The choice that is written, if it is about a pending request.
    pub fn choice(&self) -> Option<Choice> {
        let Subject::Pending(request) = &self.subject else { return None };
        let decision = Decision {
            reason: self.reason.clone(),
            ..Decision::new(self.verdict, hub_doorman::model::Grounds::Person)
        };
        Some(Choice { request: Arc::clone(request), decision })
    }
}

impl State {
    /// Puts the requests of a repo in place of those that were read before.
    pub fn set_repo(&mut self, report: &RepoReport, requests: Vec<PendingRequest>) {
        let error = report.error.as_ref().map(ToString::to_string);
        // If the list could not be read to its end, its earlier requests are kept. An action about them is refused if they changed.
        let has_failed = error.is_some();
        let read: HashSet<RequestKey> = requests.iter().map(|request| request.key).collect();
        self.requests
            .retain(|request| request.repo != report.repo || has_failed && !read.contains(&request.key));
        self.requests.extend(requests.into_iter().map(Arc::new));
        // A request without a time comes last.
        let time = |request: &Arc<PendingRequest>| {
            let at = request.request.requested_at;
            (at.is_none(), at, request.repo.clone(), request.name())
        };
        self.requests.sort_by_cached_key(time);
        self.repos.insert(report.repo.clone(), error);
    }

    /// Forgets the repos that were not found again.
    pub fn keep_repos(&mut self, found: &HashSet<Repo>) {
        self.repos.retain(|repo, _| found.contains(repo));
        self.requests.retain(|request| found.contains(&request.repo));
    }

    /// The pending requests about which nothing is being sent.
    pub fn undecided(&self) -> impl Iterator<Item = &Arc<PendingRequest>> {
        let acted: HashSet<RequestKey> = self.actions.iter().map(|action| action.subject.key()).collect();
        self.requests.iter().filter(move |request| !acted.contains(&request.key))
    }

    /// Adds an action, unless there is one about the same request.
    pub fn act(
        &mut self,
        subject: Subject,
        verdict: Verdict,
        reason: Option<Arc<str>>,
        due: Instant,
    ) -> bool {
        if self.actions.iter().any(|action| action.subject.key() == subject.key()) {
            return false;
        }
        self.next_action += 1;
        self.actions.push(Action { id: self.next_action, subject, verdict, reason, due, is_sending: false });
        true
    }

    /// Takes back the actions that are not being sent yet, all of them or one.
    pub fn undo(&mut self, id: Option<u64>) -> usize {
        let before = self.actions.len();
        self.actions.retain(|action| action.is_sending || id.is_some_and(|id| id != action.id));
        before - self.actions.len()
    }

    /// The actions that are due. They are marked as being sent.
    pub fn take_due(&mut self, now: Instant) -> Vec<Action> {
        let due = self.actions.iter_mut().filter(|action| !action.is_sending && action.due <= now);
        due.map(|action| {
            action.is_sending = true;
            action.clone()
        })
        .collect()
    }

    /// When the next action is due.
    pub fn next_due(&self) -> Option<Instant> {
        self.actions.iter().filter(|action| !action.is_sending).map(|action| action.due).min()
    }

    /// Notes the end of an action: `Ok` if its request has the new status now.
    pub fn finish(&mut self, action: &Action, result: Result<String, String>) {
        self.actions.retain(|each| each.id != action.id);
        match result {
            Ok(line) => {
                let key = action.subject.key();
                self.requests.retain(|request| request.key != key);
                self.sent_count += 1;
                self.sent.push_front(line);
                self.sent.truncate(MAX_PROBLEMS);
            }
            Err(line) => self.add_problem(line),
        }
    }

    pub fn add_problem(&mut self, line: String) {
        self.problems.push_back(line);
        if self.problems.len() > MAX_PROBLEMS {
            self.problems.pop_front();
        }
    }

    /// The other requests of a person in these repos, with their status.
    pub fn others(&self, of: &PendingRequest, pending: &HashMap<String, Vec<Repo>>) -> Vec<(Repo, Status)> {
        let Some(name) = of.request.user.name.as_ref().map(|name| name.to_ascii_lowercase()) else {
            return Vec::new();
        };
        let pending = pending.get(&name).into_iter().flatten().filter(|repo| **repo != of.repo);
        let pending = pending.map(|repo| (repo.clone(), Status::Pending));
        pending.chain(self.elsewhere.get(&name).into_iter().flatten().cloned()).collect()
    }

    /// The repos of the pending requests of each person, by the name in lower case.
    pub fn pending_by_name(&self) -> HashMap<String, Vec<Repo>> {
        let mut by_name: HashMap<String, Vec<Repo>> = HashMap::new();
        for request in &self.requests {
            if let Some(name) = &request.request.user.name {
                by_name.entry(name.to_ascii_lowercase()).or_default().push(request.repo.clone());
            }
        }
        by_name
    }
}
