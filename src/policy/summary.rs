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

    /// The verdict if no rule matches.
    #[must_use]
    pub fn default_verdict(&self) -> Verdict {
        self.default.then
    }
}
