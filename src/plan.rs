//! A plan: the decisions that were shown to a person, each about one request. If the person agrees, only these decisions are
//! written, and only about unchanged requests.

use std::collections::HashSet;
use std::sync::Mutex;

use sha2::{Digest, Sha256};

use crate::model::{AccessRequest, Decision, Repo, User};

/// Decisions that change the status of a request. Decisions to hold are not included. Two plans are equal if they decide the
/// same about the same requests, even at different times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan(HashSet<PlanEntry>);

/// A decision of a plan: a digest that is equal only for the same verdict and reason about the same request with the same answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PlanEntry([u8; 32]);

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
}

impl Mode<'_> {
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
    /// The entry for a decision about a request. The hash is cryptographic because requesters write the answers and could look for
    /// collisions.
    #[must_use]
    pub fn new(repo: &Repo, request: &AccessRequest, decision: &Decision) -> Self {
        let AccessRequest { request_id, user, requested_at, fields, unreadable } = request;
        let User { id, name, fullname, email, pro, verified_orgs, orgs, service_account } = user;
        let Decision { verdict, reason, grounds: _, excepted: _ } = decision;
        let user = (id, name, fullname, email, pro, verified_orgs, orgs, service_account);
        let facts = (request_id, user, requested_at, fields, unreadable);
        // `Debug` quotes every string, so different facts never give the same text.
        let text = format!("{:?}", (repo.to_string().to_ascii_lowercase(), facts, verdict, reason));
        Self(Sha256::digest(text).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Grounds, RepoType, Verdict};

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
