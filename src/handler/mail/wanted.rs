//! Which repos mails ask to look at. A mail names repos in any form, or none, so this is a guess, which the first look corrects.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::super::Handler;
use super::looks::Looks;
use crate::hub::{HubError, Problem};
use crate::model::{Repo, RepoPattern};
use crate::report::{RepoReport, Report, SearchReport};
use crate::trigger::mail::Mail;

/// The repos that mails ask to look at, and when the last mail about each arrived.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    repos: BTreeMap<Repo, DateTime<Utc>>,
    /// The last mail that names no repo of `REPOS`.
    pub(super) all: Option<DateTime<Utc>>,
    /// The repos whose list the Hub has refused. They are left out of `all`.
    refused: BTreeSet<Repo>,
}

impl Wanted {
    pub(super) fn is_empty(&self) -> bool {
        self.repos.is_empty() && self.all.is_none()
    }

    /// When the last mail arrived that asks to look at this repo.
    pub(super) fn mail_about(&self, repo: &Repo) -> Option<DateTime<Utc>> {
        let about_all = self.all.filter(|_| !self.refused.contains(repo));
        self.repos.get(repo).copied().max(about_all)
    }

    /// Leaves out what was read after its mail arrived, and after the list must show the request.
    pub(super) fn leave_out_known(&mut self, looks: &Looks) {
        self.repos.retain(|repo, mail| looks.may_lack(repo, *mail));
        self.all = self.all.filter(|mail| looks.any_may_lack(*mail));
    }

    /// Keeps what a look has not found, as far as the times tell: the repos in which no request is as new as the mail. If a name may
    /// be that of a model or of a dataset, the request is found in one of them. A repo that does not exist or that the Hub has refused
    /// is not kept. By how much the list lags behind a mail is unknown. So what is kept is wanted again as if its mail had arrived at
    /// the end of the look, `ended`.
    pub(super) fn keep_not_found(&mut self, looked: &Report, looks: &Looks, ended: DateTime<Utc>) {
        let is_new = |report: &RepoReport, mail: DateTime<Utc>| looks.is_new(report, mail);
        let is_found = |mail: &DateTime<Utc>| looked.repos.iter().any(|report| is_new(report, *mail));
        self.all = self.all.filter(|mail| !is_found(mail)).map(|_| ended);
        let is_refused = |report: &&RepoReport| report.hub_error().is_some_and(is_lasting);
        self.refused = looked.repos.iter().filter(is_refused).map(|report| report.repo.clone()).collect();
        let may_exist = |repo: &Repo| {
            let is_of_owner = |search: &SearchReport| {
                repo.is_owned_by(&search.owner) && search.repo_type == repo.repo_type()
            };
            looked.repos.iter().any(|report| report.repo == *repo) || looked.searches.iter().any(is_of_owner)
        };
        self.repos.retain(|repo, mail| {
            let mut named =
                looked.repos.iter().filter(|report| report.repo == *repo || is_twin(&report.repo, repo));
            let is_found = named.any(|report| is_new(report, *mail));
            *mail = ended;
            may_exist(repo) && !self.refused.contains(repo) && !is_found
        });
    }
}

/// Whether a look right after this one would fail, too: the Hub refused everything, or the time or the rate limit ran out.
pub(super) fn is_in_vain(looked: &Report) -> bool {
    let of_repos = looked.repos.iter().map(RepoReport::hub_error);
    let errors: Vec<Option<&HubError>> =
        of_repos.chain(looked.searches.iter().map(|search| search.error.as_ref())).collect();
    let are_lasting = !errors.is_empty() && errors.iter().all(|error| error.is_some_and(is_lasting));
    are_lasting || errors.into_iter().flatten().any(has_run_out)
}

/// Whether the time or the rate limit ran out.
fn has_run_out(error: &HubError) -> bool {
    matches!(error.problem, Problem::OutOfTime | Problem::RateLimited { .. }) || error.status() == Some(429)
}

/// Whether the Hub would refuse the same call in a moment, too.
fn is_lasting(error: &HubError) -> bool {
    error.is_about_the_repo() || error.status() == Some(404)
}

impl Handler {
    /// The repos to look at: those that a subject names and `REPOS` covers; if there are none, all of `REPOS`, if it is set.
    pub(super) fn wanted(&self, mails: &[Mail]) -> Wanted {
        let mut wanted = Wanted::default();
        for mail in mails {
            let covered: Vec<Repo> = self.covered_by(mail).collect();
            if covered.is_empty() && self.repos.is_some() {
                wanted.all = wanted.all.max(Some(mail.arrived));
            }
            for repo in covered {
                let arrived = wanted.repos.entry(repo).or_insert(mail.arrived);
                *arrived = mail.arrived.max(*arrived);
            }
        }
        // If only one of two namesakes is known to exist, the mail is about that one.
        let repos: Vec<Repo> = wanted.repos.keys().cloned().collect();
        wanted.repos.retain(|repo, _| {
            self.history.has_found(repo)
                || !repos.iter().any(|twin| is_twin(repo, twin) && self.history.has_found(twin))
        });
        wanted
    }

    /// When the last mail arrived that names repos of `REPOS`, none of which exists. It may be about any repo, unless all were read since.
    pub(super) fn names_nothing(&self, mails: &[Mail], looked: &Report) -> Option<DateTime<Utc>> {
        self.repos.as_ref()?;
        let exists = |repo: &Repo| {
            looked.repos.iter().any(|report| report.repo == *repo) || self.looks().has_read(repo)
        };
        let names_nothing = |mail: &&Mail| {
            let mut covered = self.covered_by(mail).peekable();
            covered.peek().is_some() && !covered.any(|repo| exists(&repo))
        };
        let last = mails.iter().filter(names_nothing).map(|mail| mail.arrived).max();
        last.filter(|mail| self.looks().any_may_lack(*mail))
    }

    /// The repos that a mail names and `REPOS` covers.
    fn covered_by(&self, mail: &Mail) -> impl Iterator<Item = Repo> {
        mail.named_repos().into_iter().filter(|repo| self.is_covered(repo))
    }

    /// The patterns of what is wanted. A name may be that of a model or of a dataset. If it is not known which, the namespace is searched.
    pub(super) fn patterns(&self, wanted: &Wanted) -> Vec<RepoPattern> {
        if let Some(repos) = wanted.all.and(self.repos.as_ref()) {
            return repos.clone();
        }
        let mut patterns = Vec::new();
        for repo in wanted.repos.keys() {
            let has_twin = wanted.repos.keys().any(|twin| is_twin(repo, twin));
            let pattern = match repo.owner() {
                Some(owner) if has_twin && !self.history.has_found(repo) => {
                    RepoPattern::Namespace { owner: owner.into(), only: None, except: BTreeSet::new() }
                }
                _ => RepoPattern::One(repo.clone()),
            };
            if !patterns.contains(&pattern) {
                patterns.push(pattern);
            }
        }
        patterns
    }
}

/// Whether these are a model and a dataset of the same name.
fn is_twin(repo: &Repo, other: &Repo) -> bool {
    repo.repo_type() != other.repo_type() && repo.name().eq_ignore_ascii_case(other.name())
}
