//! What a policy consists of, for a person who wants to see what is in force.

use super::Policy;
use crate::model::{RepoPattern, Verdict};

/// A rule without its condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleSummary<'a> {
    /// The name of the rule.
    pub name: &'a str,
    /// Its verdict.
    pub then: Verdict,
    /// The repos that it applies to, or `None` for all.
    pub repos: Option<&'a [RepoPattern]>,
}

impl Policy {
    /// The rules, in the order of the policy.
    pub fn rules(&self) -> impl Iterator<Item = RuleSummary<'_>> {
        self.rules.iter().map(|rule| RuleSummary {
            name: &rule.name,
            then: rule.then,
            repos: rule.repos.as_deref(),
        })
    }

    /// The reasons that the rules and the default give to requesters, each once, in the order of the policy.
    #[must_use]
    pub fn reasons(&self) -> Vec<&str> {
        let mut reasons = Vec::new();
        for reason in self.rules.iter().map(|rule| &rule.reason).chain([&self.default.reason]).flatten() {
            if !reasons.contains(&&**reason) {
                reasons.push(&**reason);
            }
        }
        reasons
    }

    /// The verdict if no rule matches.
    #[must_use]
    pub fn default_verdict(&self) -> Verdict {
        self.default.then
    }
}
