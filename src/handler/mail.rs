//! The response to mails about requests: the repos that they name are looked at, or else all of `REPOS`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use lambda_http::http::StatusCode;
use lambda_http::{Body, Request, Response};
use tokio::time::{Instant, sleep};

use super::sweep::Scope;
use super::{Handler, deadline, response};
use crate::hub::LIST_LAG;
use crate::model::{Repo, RepoPattern};
use crate::report::metrics::{Event, Metric, Values};
use crate::report::{RepoReport, Report, SearchReport};
use crate::trigger::mail::{Mail, Received, Refused};

/// A request made at most this long before its mail arrived is taken for the one that the mail is about. How long the Hub's mails take is
/// unknown. If one takes longer, its repo is looked at once more than needed.
const MAIL_TAKES: TimeDelta = TimeDelta::seconds(60);

/// The longest wait for further mails.
const BURST_WAIT: Duration = Duration::from_secs(10);

/// The most repos whose last look is remembered.
const MAX_REPOS: usize = 20_000;

/// What this process knows of the whole list of each repo, and of the lists of all of `REPOS`.
#[derive(Debug, Default)]
pub(super) struct Looks {
    repos: HashMap<Repo, Look>,
    /// When it last began to read the lists of all of `REPOS`.
    all: Option<DateTime<Utc>>,
}

/// The last look at the whole list of a repo.
#[derive(Debug, Default)]
struct Look {
    began: DateTime<Utc>,
    /// The time of the newest request that it has seen.
    newest: Option<DateTime<Utc>>,
    /// The time of the newest request that the look before it had seen.
    newest_before: Option<DateTime<Utc>>,
}

/// The repos that mails ask to look at, and when the last mail about each arrived.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wanted {
    repos: BTreeMap<Repo, DateTime<Utc>>,
    /// The last mail that names no repo of `REPOS`.
    all: Option<DateTime<Utc>>,
}

impl Looks {
    /// Notes that the whole list of a repo was read, from this time on. `newest` is the time of its newest request.
    pub(super) fn note(&mut self, repo: &Repo, began: DateTime<Utc>, newest: Option<DateTime<Utc>>) {
        if self.repos.len() >= MAX_REPOS {
            self.repos.clear();
        }
        let newest_before = self.repos.get(repo).and_then(|look| look.newest);
        self.repos.insert(repo.clone(), Look { began, newest, newest_before });
    }

    /// Notes that the lists of all of `REPOS` were read, from this time on.
    pub(super) fn note_all(&mut self, began: DateTime<Utc>) {
        self.all = self.all.max(Some(began));
    }

    /// Whether the last look at a repo has shown a request that may be the one of a mail, and that the look before had not shown.
    fn is_new(&self, report: &RepoReport, mail: DateTime<Utc>) -> bool {
        let before = self.repos.get(&report.repo).and_then(|look| look.newest_before);
        report.newest_request.is_some_and(|newest| newest > mail - MAIL_TAKES && Some(newest) > before)
    }

    /// Whether the list of this repo may lack the request of a mail that arrived at `mail`.
    fn may_lack(&self, repo: &Repo, mail: DateTime<Utc>) -> bool {
        self.repos.get(repo).is_none_or(|look| look.began <= mail + LIST_LAG)
    }

    /// Leaves out what was read after its mail arrived, and after the list must show the request.
    fn leave_out_known(&self, wanted: &mut Wanted) {
        wanted.repos.retain(|repo, mail| self.may_lack(repo, *mail));
        wanted.all = wanted.all.filter(|mail| self.all.is_none_or(|began| began <= *mail + LIST_LAG));
    }
}

impl Wanted {
    fn is_empty(&self) -> bool {
        self.repos.is_empty() && self.all.is_none()
    }

    /// When the last mail arrived that asks to look at this repo.
    fn mail_about(&self, repo: &Repo) -> Option<DateTime<Utc>> {
        self.repos.get(repo).copied().max(self.all)
    }

    /// Keeps what a look has not found, as far as the times tell: the repos in which no request is as new as the mail. If a name may
    /// be that of a model or of a dataset, the request is found in one of them. A repo that a search has shown not to exist is not
    /// kept.
    fn keep_not_found(&mut self, looked: &Report, looks: &Looks) {
        let is_new = |report: &RepoReport, mail: DateTime<Utc>| looks.is_new(report, mail);
        self.all = self.all.filter(|mail| !looked.repos.iter().any(|report| is_new(report, *mail)));
        let may_exist = |repo: &Repo| {
            let is_of_owner = |search: &SearchReport| {
                repo.is_owned_by(&search.owner) && search.repo_type == repo.repo_type()
            };
            looked.repos.iter().any(|report| report.repo == *repo) || looked.searches.iter().any(is_of_owner)
        };
        self.repos.retain(|repo, mail| {
            let mut named =
                looked.repos.iter().filter(|report| report.repo == *repo || is_twin(&report.repo, repo));
            may_exist(repo) && !named.any(|report| is_new(report, *mail))
        });
    }
}

impl Handler {
    /// Looks at the repos that the mails ask for. Mails never fail an invocation, because Lambda and SQS would repeat it. What a look
    /// leaves undone is for the schedule.
    pub(super) async fn respond_to_mails(
        &self,
        mails: Vec<Result<Received, Refused>>,
        request: &Request,
        event: &Event,
    ) -> Response<Body> {
        let deadline = deadline::of_sweep(request);
        let event = &Event { name: "mail", ..event.clone() };
        let received = u32::try_from(mails.len()).unwrap_or(u32::MAX);
        let verified = self.verify_mails(mails, deadline).await;
        let refused = received - u32::try_from(verified.len()).unwrap_or(received);
        let values = Values::default().count(Metric::Mails, received).count(Metric::RejectedMails, refused);
        self.metrics.write(event, &values);
        if verified.is_empty() {
            return response::ignored("no mail of this event may prompt a look");
        }
        let mut wanted = self.wanted(&verified);
        if wanted.is_empty() {
            return response::ignored(
                "the mail names no repo, and REPOS is not set, so there is nothing to sweep",
            );
        }
        self.looks().leave_out_known(&mut wanted);
        if wanted.is_empty() {
            return response::ignored("the repos were read after the mail arrived");
        }
        self.await_further(&verified, deadline).await;
        let mut report = self.look(&wanted, deadline, event).await;
        // The Hub's list may lag behind the mail.
        wanted.keep_not_found(&report, &self.looks());
        if report.searches.is_empty() {
            wanted.all = wanted.all.max(self.names_nothing(&verified, &report));
        }
        self.looks().leave_out_known(&mut wanted);
        if !wanted.is_empty() && Instant::now() + LIST_LAG < deadline {
            sleep(LIST_LAG).await;
            let second = self.look(&wanted, deadline, event).await;
            report = report.followed_by(second);
        }
        let status = if report.is_complete() { StatusCode::OK } else { StatusCode::ACCEPTED };
        response::json(status, &report.shortened())
    }

    /// Where several mails come at once, more follow. So a look at many of them waits a second for each mail after the last one arrived, at
    /// most [`BURST_WAIT`]. It finds all requests, and the mails that arrive meanwhile share the next look.
    async fn await_further(&self, mails: &[Mail], deadline: Instant) {
        let Some(last) = mails.iter().map(|mail| mail.arrived).max().filter(|_| mails.len() > 1) else {
            return;
        };
        let count = u32::try_from(mails.len()).unwrap_or(u32::MAX);
        let wait = Duration::from_secs(1).saturating_mul(count).clamp(LIST_LAG, BURST_WAIT);
        let left = (last + wait - self.hub.time()).to_std().unwrap_or_default().min(wait);
        if Instant::now() + left + LIST_LAG < deadline {
            sleep(left).await;
        }
    }

    /// The mails that may prompt a look. Each other one is logged.
    async fn verify_mails(&self, mails: Vec<Result<Received, Refused>>, deadline: Instant) -> Vec<Mail> {
        let mut secrets = self.keyring.mail().current();
        let shows_no_secret =
            |mail: &Result<Received, Refused>| mail.as_ref().is_ok_and(|mail| !mail.shows(&secrets));
        if mails.iter().any(shows_no_secret) {
            secrets = self.keyring.mail().renewed(deadline).await;
        }
        let now = self.hub.time();
        let verify = |mail: Result<Received, Refused>| -> Result<Mail, Refused> {
            let mut mail = mail?.verify(&secrets, &self.mail_from)?;
            // No clock is so wrong, and times in between can be calculated with.
            mail.arrived = mail.arrived.clamp(DateTime::UNIX_EPOCH, now);
            Ok(mail)
        };
        let verified = mails.into_iter().map(verify);
        verified
            .filter_map(|mail| mail.inspect_err(|why| tracing::warn!(%why, "mail refused")).ok())
            .collect()
    }

    /// The repos to look at: those that a subject names and `REPOS` covers; if there are none, all of `REPOS`, if it is set.
    fn wanted(&self, mails: &[Mail]) -> Wanted {
        let mut wanted = Wanted::default();
        for mail in mails {
            let covered: Vec<Repo> =
                mail.named_repos().into_iter().filter(|repo| self.is_covered(repo)).collect();
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

    /// When the last mail arrived that names repos of `REPOS`, none of which exists. It may be about any repo.
    fn names_nothing(&self, mails: &[Mail], looked: &Report) -> Option<DateTime<Utc>> {
        self.repos.as_ref()?;
        let exists = |repo: &Repo| {
            looked.repos.iter().any(|report| report.repo == *repo) || self.looks().repos.contains_key(repo)
        };
        let names_nothing = |mail: &&Mail| {
            let mut covered = mail.named_repos().into_iter().filter(|repo| self.is_covered(repo)).peekable();
            covered.peek().is_some() && !covered.any(|repo| exists(&repo))
        };
        mails.iter().filter(names_nothing).map(|mail| mail.arrived).max()
    }

    async fn look(&self, wanted: &Wanted, deadline: Instant, event: &Event) -> Report {
        let is_wanted =
            |repo: &Repo| wanted.mail_about(repo).is_some_and(|mail| self.looks().may_lack(repo, mail));
        let mut patterns = match wanted.all.and(self.repos.as_ref()) {
            Some(repos) => repos.clone(),
            None => self.patterns(&wanted.repos),
        };
        // A sweep asks `is_wanted` only about the repos that it finds.
        patterns.retain(|pattern| match pattern {
            RepoPattern::One(repo) => is_wanted(repo),
            RepoPattern::Namespace { .. } => true,
        });
        let policy = self.policy(deadline);
        let scope = Scope { patterns: &patterns, is_all: false, is_wanted: &is_wanted };
        let began = self.hub.time();
        let report = self.sweep(scope, &policy, deadline, event).await.report;
        if let Some(mail) = wanted.all.filter(|_| report.is_complete()) {
            // A repo that is left out was read before now, but late enough for the mail.
            self.looks().note_all(began.min(mail + LIST_LAG + TimeDelta::milliseconds(1)));
        }
        report
    }

    /// The patterns of named repos. A name may be that of a model or of a dataset. If it is not known which, the namespace is searched.
    fn patterns(&self, repos: &BTreeMap<Repo, DateTime<Utc>>) -> Vec<RepoPattern> {
        let mut patterns = Vec::new();
        for repo in repos.keys() {
            let has_twin = repos.keys().any(|twin| is_twin(repo, twin));
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

    pub(super) fn looks(&self) -> MutexGuard<'_, Looks> {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether these are a model and a dataset of the same name.
fn is_twin(repo: &Repo, other: &Repo) -> bool {
    repo.repo_type() != other.repo_type() && repo.name().eq_ignore_ascii_case(other.name())
}
