//! What the desk shows: the pending requests of all repos, and what was decided about them here. It is read through the library, and
//! kept in memory only.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use hub_doorman::model::{Decision, Repo, Status};
use hub_doorman::plan::{Choice, RequestKey};
use hub_doorman::report::RepoReport;
use tokio::time::Instant;

use super::decided::DecidedRequest;
use crate::pending::{ChosenRequest, PendingRequest, oldest_first};

/// The most problems, and the most choices that were carried out, that are kept.
const MAX_LINES: usize = 50;

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
    /// The choices that are not carried out yet.
    pub choices: Vec<OpenChoice>,
    /// What went wrong with choices, the newest first. There is one problem about a person's requests for a repo.
    pub problems: VecDeque<Problem>,
    /// The choices that were carried out last, or would have been in a dry run, the newest first.
    pub sent: VecDeque<String>,
    /// How many choices were carried out.
    pub sent_count: usize,
    /// Whether the lists are being read.
    pub is_reading: bool,
    /// When the lists were read to their end.
    pub read_at: Option<DateTime<Utc>>,
    /// The decided requests that pages have shown, by their keys as text.
    pub decided: HashMap<String, Arc<DecidedRequest>>,
    next_choice: u64,
}

/// A choice of the person at the desk. It can be undone until it is due, and then until the Hub may have carried it out.
#[derive(Clone)]
pub struct OpenChoice {
    pub id: u64,
    pub subject: Subject,
    pub choice: Choice,
    pub due: Instant,
    /// Whether the desk has begun to carry it out.
    pub is_begun: bool,
}

/// What went wrong with a choice.
pub struct Problem {
    repo: Repo,
    name: String,
    pub line: String,
}

/// The request that a choice is about.
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

    pub fn key(&self) -> RequestKey {
        match self {
            Self::Pending(request) => request.key,
            Self::Decided(request) => request.key,
        }
    }
}

impl OpenChoice {
    /// What it does, as a person reads it: `reset ada (acme/model), “Please say more.”`.
    pub fn title(&self) -> String {
        let Decision { verdict, reason, .. } = &self.choice.decision;
        let title = format!("{} {} ({})", verdict.as_str(), self.subject.name(), self.subject.repo());
        match reason {
            Some(reason) => format!("{title}, “{reason}”"),
            None => title,
        }
    }

    /// The request with the choice, if it is pending.
    pub fn of_pending(&self) -> Option<ChosenRequest> {
        let Subject::Pending(request) = &self.subject else { return None };
        Some(ChosenRequest { request: Arc::clone(request), choice: self.choice.clone() })
    }
}

impl State {
    /// Puts the requests of a repo in place of those that were read before.
    pub fn set_repo(&mut self, report: &RepoReport, requests: Vec<PendingRequest>) {
        let error = report.error.as_ref().map(ToString::to_string);
        // If the list could not be read to its end, its earlier requests are kept. A choice about them is refused if they changed.
        let has_failed = error.is_some();
        let read: HashSet<RequestKey> = requests.iter().map(|request| request.key).collect();
        self.requests
            .retain(|request| request.repo != report.repo || has_failed && !read.contains(&request.key));
        self.requests.extend(requests.into_iter().map(Arc::new));
        oldest_first(&mut self.requests);
        self.repos.insert(report.repo.clone(), error);
    }

    /// Forgets the repos that were not found again.
    pub fn keep_repos(&mut self, found: &HashSet<Repo>) {
        self.repos.retain(|repo, _| found.contains(repo));
        self.requests.retain(|request| found.contains(&request.repo));
    }

    /// The pending requests about which nothing is being sent.
    pub fn undecided(&self) -> impl Iterator<Item = &Arc<PendingRequest>> {
        let chosen: HashSet<RequestKey> = self.choices.iter().map(|choice| choice.subject.key()).collect();
        self.requests.iter().filter(move |request| !chosen.contains(&request.key))
    }

    /// Adds a choice, unless there is one about the same request.
    pub fn choose(&mut self, subject: Subject, choice: Choice, due: Instant) -> bool {
        if self.choices.iter().any(|open| open.subject.key() == subject.key()) {
            return false;
        }
        self.next_choice += 1;
        self.choices.push(OpenChoice { id: self.next_choice, subject, choice, due, is_begun: false });
        true
    }

    /// Takes back one choice or all of them, except those that the Hub may have carried out. Returns those that are undone.
    pub fn undo(&mut self, id: Option<u64>) -> Vec<OpenChoice> {
        let is_undone = |open: &mut OpenChoice| id.is_none_or(|id| id == open.id) && open.choice.withdraw();
        self.choices.extract_if(.., is_undone).collect()
    }

    /// The choices that are due. They are marked as begun.
    pub fn take_due(&mut self, now: Instant) -> Vec<OpenChoice> {
        let due = self.choices.iter_mut().filter(|open| !open.is_begun && open.due <= now);
        due.map(|open| {
            open.is_begun = true;
            open.clone()
        })
        .collect()
    }

    /// When the next choice is due.
    pub fn next_due(&self) -> Option<Instant> {
        self.choices.iter().filter(|open| !open.is_begun).map(|open| open.due).min()
    }

    /// Notes the end of a choice: `Ok` if its request has the new status now.
    pub fn finish(&mut self, ended: &OpenChoice, result: Result<String, String>) {
        self.choices.retain(|open| open.id != ended.id);
        let (repo, name) = (ended.subject.repo().clone(), ended.subject.name());
        self.problems.retain(|problem| problem.repo != repo || !problem.name.eq_ignore_ascii_case(&name));
        match result {
            Ok(line) => {
                let key = ended.subject.key();
                self.requests.retain(|request| request.key != key);
                self.sent_count += 1;
                self.sent.push_front(line);
                self.sent.truncate(MAX_LINES);
            }
            Err(line) => {
                self.problems.push_front(Problem { repo, name, line });
                self.problems.truncate(MAX_LINES);
            }
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
