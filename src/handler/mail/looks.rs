//! What this process has read already. A list that was read after a mail arrived shows the request of the mail, so it need not be
//! read again.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};

use crate::hub::LIST_LAG;
use crate::model::Repo;
use crate::report::RepoReport;

/// A request made at most this long before its mail arrived is taken for the one that the mail is about. How long the Hub's mails take is
/// unknown. If one takes longer, its repo is looked at once more than needed.
const MAIL_TAKES: TimeDelta = TimeDelta::seconds(60);

/// The most repos whose last look is remembered.
const MAX_REPOS: usize = 20_000;

/// What this process knows of the whole list of each repo, and of the lists of all of `REPOS`.
#[derive(Debug, Default)]
pub(in crate::handler) struct Looks {
    repos: HashMap<Repo, Look>,
    /// When it last began to read the lists of all of `REPOS`.
    all: Option<DateTime<Utc>>,
}

/// What this process has seen of a repo.
#[derive(Debug, Default)]
struct Look {
    /// When the process last began to read the whole list.
    began: Option<DateTime<Utc>>,
    /// When the newest request was made that the process has seen.
    newest: Option<DateTime<Utc>>,
    /// The same, before the last look.
    newest_before: Option<DateTime<Utc>>,
}

impl Looks {
    /// Notes a review that began at this time. If it is not complete, it has seen only some of the requests.
    pub(in crate::handler) fn note(&mut self, report: &RepoReport, began: DateTime<Utc>) {
        if self.repos.len() >= MAX_REPOS {
            self.repos.clear();
        }
        let look = self.repos.entry(report.repo.clone()).or_default();
        look.newest_before = look.newest;
        look.newest = look.newest.max(report.newest_request);
        if report.complete {
            look.began = Some(began);
        }
    }

    /// Notes that the lists of all of `REPOS` were read, from this time on.
    pub(in crate::handler) fn note_all(&mut self, began: DateTime<Utc>) {
        self.all = self.all.max(Some(began));
    }

    /// When the whole list of this repo was last read, from its beginning on.
    fn began(&self, repo: &Repo) -> Option<DateTime<Utc>> {
        self.repos.get(repo).and_then(|look| look.began)
    }

    /// Whether the list of this repo was read.
    pub(super) fn has_read(&self, repo: &Repo) -> bool {
        self.began(repo).is_some()
    }

    /// Whether the last look at a repo has shown a request that may be the one of a mail, and that was not seen before.
    pub(super) fn is_new(&self, report: &RepoReport, mail: DateTime<Utc>) -> bool {
        let before = self.repos.get(&report.repo).and_then(|look| look.newest_before);
        report.newest_request.is_some_and(|newest| newest > mail - MAIL_TAKES && Some(newest) > before)
    }

    /// Whether the list of this repo may lack the request of a mail that arrived at `mail`.
    pub(super) fn may_lack(&self, repo: &Repo, mail: DateTime<Utc>) -> bool {
        self.began(repo).is_none_or(|began| began <= mail + LIST_LAG)
    }

    /// Whether a list of `REPOS` may lack the request of a mail that arrived at `mail`.
    pub(super) fn any_may_lack(&self, mail: DateTime<Utc>) -> bool {
        self.all.is_none_or(|began| began <= mail + LIST_LAG)
    }
}
