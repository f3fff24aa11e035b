//! A plan: the decisions that were shown to a person, each about one request. If the person agrees, only these decisions are
//! written, and only about unchanged requests. The choices of a person about single requests are written in the same way.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha2::{Digest, Sha256};

use crate::model::{AccessRequest, Decision, Repo, User};

/// Decisions that change the status of a request. Decisions to hold are not included. Two plans are equal if they decide the
/// same about the same requests, even at different times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan(HashSet<PlanEntry>);

/// A decision of a plan: a digest that is equal only for the same verdict and reason about the same request with the same answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PlanEntry([u8; 32]);

/// The digest of a request and of all that the Hub lists about it. It is equal only for the same request with the same data. The
/// digest is cryptographic because requesters write the answers and could look for collisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestKey([u8; 32]);

/// What a person has decided about requests of one repo. The policy has no part in it.
#[derive(Clone, Debug, Default)]
pub struct Choices(HashMap<RequestKey, Choice>);

/// The decision of a person about one request. The clones of a choice share its [`Progress`].
#[derive(Clone, Debug)]
pub struct Choice {
    /// What to write.
    pub decision: Decision,
    progress: Arc<Mutex<Progress>>,
}

/// How far a choice is. It can be withdrawn while it is [`Progress::Waiting`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// No call was made, or the Hub has carried out none of them, as a rate limit shows.
    Waiting,
    /// A call is being made, or the Hub has confirmed it.
    Sent,
    /// A call got no response, or one that does not say what the Hub did. So the Hub may have carried it out. Further calls do not
    /// change this, because they may fail while the first one is still on its way.
    InDoubt,
    /// The person has withdrawn it. No call is made any more.
    Withdrawn,
}

/// The use that a review makes of its decisions.
#[derive(Clone, Copy, Debug)]
pub enum Mode<'a> {
    /// Writes them.
    Apply,
    /// Reports them, and writes nothing.
    DryRun,
    /// Reports them, writes nothing, and adds them to a plan.
    Plan(&'a Mutex<Plan>),
    /// Writes only the decisions of a plan to which a person has agreed.
    Agreed(&'a Plan),
    /// Writes what a person has decided about single requests, whatever the policy says. Other requests stay as they are, and are
    /// not reported. The review ends as soon as each choice has its outcome. A request that has changed, or that is not pending any
    /// more, has none.
    Chosen(&'a Choices),
}

impl<'a> Mode<'a> {
    /// [`Mode::DryRun`] if `dry_run`, otherwise [`Mode::Apply`].
    #[must_use]
    pub fn of(dry_run: bool) -> Self {
        if dry_run { Self::DryRun } else { Self::Apply }
    }

    /// Whether nothing is written.
    #[must_use]
    pub fn is_dry(self) -> bool {
        matches!(self, Self::DryRun | Self::Plan(_))
    }

    /// The choices of a person, if they decide instead of the policy.
    pub(crate) fn choices(self) -> Option<&'a Choices> {
        match self {
            Self::Chosen(choices) => Some(choices),
            _ => None,
        }
    }

    /// The entry for a decision, if there is a plan.
    pub(crate) fn entry(
        self,
        repo: &Repo,
        request: &AccessRequest,
        decision: &Decision,
    ) -> Option<PlanEntry> {
        matches!(self, Self::Plan(_) | Self::Agreed(_)).then(|| PlanEntry::new(repo, request, decision))
    }
}

impl Plan {
    /// Adds a decision.
    pub fn add(&mut self, entry: PlanEntry) {
        self.0.insert(entry);
    }

    /// Whether the plan contains this decision.
    #[must_use]
    pub fn contains(&self, entry: PlanEntry) -> bool {
        self.0.contains(&entry)
    }

    /// Whether the plan has no decisions.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl PlanEntry {
    /// The entry for a decision about a request.
    #[must_use]
    pub fn new(repo: &Repo, request: &AccessRequest, decision: &Decision) -> Self {
        let Decision { verdict, reason, grounds: _, excepted: _ } = decision;
        Self(digest(&(RequestKey::new(repo, request), verdict, reason)))
    }
}

impl RequestKey {
    /// The key of a request for access to this repo.
    #[must_use]
    pub fn new(repo: &Repo, request: &AccessRequest) -> Self {
        let AccessRequest { request_id, user, requested_at, fields, unreadable } = request;
        let User { id, name, fullname, email, pro, verified_orgs, orgs, service_account } = user;
        let user = (id, name, fullname, email, pro, verified_orgs, orgs, service_account);
        let facts = (request_id, user, requested_at, fields, unreadable);
        Self(digest(&(repo.to_string().to_ascii_lowercase(), facts)))
    }
}

impl fmt::Display for RequestKey {
    /// 32 hexadecimal digits, which a page can name a request by.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.0.iter().take(16).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Choices {
    /// Adds the choice about a request. A decision to hold is no choice, because the request is pending already.
    pub fn add(&mut self, request: RequestKey, choice: Choice) {
        self.0.insert(request, choice);
    }

    /// The number of decisions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no decision.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The decision about a request, if a person has decided this request with this data.
    pub(crate) fn about(&self, repo: &Repo, request: &AccessRequest) -> Option<&Choice> {
        self.0.get(&RequestKey::new(repo, request))
    }
}

impl Choice {
    /// A choice that waits to be written.
    #[must_use]
    pub fn new(decision: Decision) -> Self {
        Self { decision, progress: Arc::new(Mutex::new(Progress::Waiting)) }
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> Progress {
        *self.lock()
    }

    /// Withdraws the choice, unless the Hub may have carried it out. Returns whether it is withdrawn.
    #[must_use]
    pub fn withdraw(&self) -> bool {
        let mut progress = self.lock();
        if *progress == Progress::Waiting {
            *progress = Progress::Withdrawn;
        }
        *progress == Progress::Withdrawn
    }

    /// Notes that a call with this choice is about to be made. Returns whether it may be made.
    #[must_use]
    pub fn begin_call(&self) -> bool {
        let mut progress = self.lock();
        if *progress == Progress::Waiting {
            *progress = Progress::Sent;
        }
        *progress != Progress::Withdrawn
    }

    /// Notes that a call with this choice has failed, and whether the Hub may have carried it out nevertheless.
    pub fn end_call(&self, is_in_doubt: bool) {
        let mut progress = self.lock();
        if *progress == Progress::Sent {
            *progress = if is_in_doubt { Progress::InDoubt } else { Progress::Waiting };
        }
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn digest(facts: &impl fmt::Debug) -> [u8; 32] {
    // `Debug` quotes every string, so different facts never give the same text.
    Sha256::digest(format!("{facts:?}")).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Grounds, RepoType, Verdict};

    #[test]
    fn choice_can_be_withdrawn_until_the_hub_may_have_done_it() {
        let choice = || Choice::new(Decision::new(Verdict::Reject, Grounds::Person));
        let refused = choice();
        assert!(refused.begin_call() && !refused.withdraw());
        refused.end_call(false);
        assert!(refused.clone().withdraw() && !refused.begin_call());
        let in_doubt = choice();
        assert!(in_doubt.begin_call());
        in_doubt.end_call(true);
        assert!(in_doubt.begin_call());
        in_doubt.end_call(false);
        assert!(!in_doubt.withdraw() && in_doubt.begin_call());
        assert_eq!(in_doubt.progress(), Progress::InDoubt);
    }

    #[test]
    fn plan_contains_only_the_same_decision_about_the_same_request() {
        let repo = |name| Repo::new(RepoType::Model, name).expect("a name");
        let decision = |verdict, reason: Option<&str>| {
            let reason = reason.map(Into::into);
            Decision { reason, ..Decision::new(verdict, Grounds::NoRule) }
        };
        let mut request = AccessRequest { request_id: Some("r".to_owned()), ..AccessRequest::default() };
        request.fields.insert("Country".to_owned(), "CH".to_owned());
        let mut plan = Plan::default();
        plan.add(PlanEntry::new(&repo("acme/model"), &request, &decision(Verdict::Reject, Some("No."))));
        let same = |name, request: &AccessRequest, verdict, reason| {
            plan.contains(PlanEntry::new(&repo(name), request, &decision(verdict, reason)))
        };
        assert!(same("Acme/model", &request, Verdict::Reject, Some("No.")));
        assert!(!same("acme/other", &request, Verdict::Reject, Some("No.")));
        assert!(!same("acme/model", &request, Verdict::Reject, None));
        assert!(!same("acme/model", &request, Verdict::Accept, Some("No.")));
        let other = AccessRequest { request_id: Some("r2".to_owned()), ..request.clone() };
        assert!(!same("acme/model", &other, Verdict::Reject, Some("No.")));
        request.fields.insert("Country".to_owned(), "KP".to_owned());
        assert!(!same("acme/model", &request, Verdict::Reject, Some("No.")));
    }
}
