//! A decision about an access request, and its outcome on the Hub.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Status;

/// The treatment of an access request, from the mildest to the strictest. If rules disagree, the strictest verdict wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The user gets access.
    Accept,
    /// The request stays pending, and a person decides it.
    Hold,
    /// The request is refused, but the user may ask again.
    Reset,
    /// The request is refused for good. If the user asks again, the Hub silently ignores it.
    Reject,
}

impl Verdict {
    /// The word for it in a policy.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Hold => "hold",
            Self::Reset => "reset",
            Self::Reject => "reject",
        }
    }

    /// The status that it gives to a request. A held request stays pending.
    #[must_use]
    pub fn status(self) -> Status {
        match self {
            Self::Accept => Status::Accepted,
            Self::Hold => Status::Pending,
            Self::Reset => Status::Reset,
            Self::Reject => Status::Rejected,
        }
    }
}

/// A verdict and its grounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The treatment of the request.
    pub verdict: Verdict,
    /// The text that the user is shown. Only a reset or a rejection can have one.
    pub reason: Option<Arc<str>>,
    /// Why the verdict is what it is.
    pub grounds: Grounds,
    /// The rules that would match without their `unless`.
    pub excepted: Vec<Arc<str>>,
}

impl Decision {
    /// A decision without a reason and without exceptions.
    #[must_use]
    pub fn new(verdict: Verdict, grounds: Grounds) -> Self {
        Self { verdict, reason: None, grounds, excepted: Vec::new() }
    }

    /// The grounds, and the rules whose `unless` excepted the request. It contains nothing that the requester wrote.
    #[must_use]
    pub fn explanation(&self) -> String {
        let texts = [Some(self.grounds.to_string()), self.exceptions()];
        texts.into_iter().flatten().collect::<Vec<_>>().join("; ")
    }

    /// The rules whose `unless` excepted the request, or `None` if there are none.
    #[must_use]
    pub fn exceptions(&self) -> Option<String> {
        let excepted: Vec<String> = self.excepted.iter().map(|rule| format!("`{rule}`")).collect();
        match excepted.as_slice() {
            [] => None,
            [rule] => Some(format!("excepted from rule {rule}")),
            rules => Some(format!("excepted from rules {}", rules.join(", "))),
        }
    }
}

/// Why a decision has its verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grounds {
    /// This rule matched. If several rules with the strictest verdict match, it is the first of them.
    Rule(Arc<str>),
    /// No rule matched, so the policy's default decided.
    NoRule,
    /// This rule could not be evaluated, and no stricter rule matched, so the request is held for a person.
    Unknown {
        /// The first rule that could not be evaluated.
        rule: Arc<str>,
        /// The cause: a value is missing or does not fit. The text contains nothing that the requester wrote.
        why: String,
    },
    /// The request is unreadable for this reason, so no rule was evaluated.
    Unreadable(&'static str),
    /// The policy cannot be used for this reason, so everybody is held.
    NoPolicy(Arc<str>),
    /// A person has decided.
    Person,
}

impl Grounds {
    /// The rule that decided, or that could not be evaluated.
    #[must_use]
    pub fn rule(&self) -> Option<&str> {
        match self {
            Self::Rule(rule) | Self::Unknown { rule, .. } => Some(rule),
            Self::NoRule | Self::Unreadable(_) | Self::NoPolicy(_) | Self::Person => None,
        }
    }
}

impl fmt::Display for Grounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule(rule) => write!(f, "rule `{rule}`"),
            Self::NoRule => f.write_str("no rule matched"),
            Self::Unknown { rule, why } => write!(f, "rule `{rule}` could not be evaluated: {why}"),
            Self::Unreadable(why) => f.write_str(why),
            Self::NoPolicy(why) => write!(f, "the policy cannot be used: {why}"),
            Self::Person => f.write_str("decided by a person"),
        }
    }
}

/// The outcome of a decision on the Hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The Hub carried out the decision.
    Done,
    /// The request was left pending, as decided.
    Held,
    /// The request already had that status or no longer existed, because somebody else changed it first.
    Gone,
    /// The write could not be made, or the Hub refused it. The next run decides the request again.
    Failed,
    /// The write was made, but its response was lost, so it may or may not have been carried out. If it was not, the next run
    /// decides the request again.
    Unknown,
    /// The Hub lists the request. But it responds that the request does not exist, whether its id or its user identifies it.
    Stuck,
    /// The request was left for the next run, because it arrived or changed after a person had confirmed the plan.
    NotAgreed,
    /// The request was left pending, because more requests would get this verdict than the policy's limit for a run.
    OverLimit,
    /// Nothing was written, because this is a dry run.
    DryRun,
}

impl Outcome {
    /// The word for it in the audit line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Held => "held",
            Self::Gone => "gone",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::Stuck => "stuck",
            Self::NotAgreed => "left",
            Self::OverLimit => "over the limit",
            Self::DryRun => "dry run",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_are_ordered_by_strictness() {
        assert!(Verdict::Reject > Verdict::Reset);
        assert!(Verdict::Reset > Verdict::Hold);
        assert!(Verdict::Hold > Verdict::Accept);
    }
}
