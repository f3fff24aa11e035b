//! The evaluation of the rules for one request, and the result of each rule.

use std::fmt;

use cel::Context;

use super::Rule;
use super::compile::{Compiled, FailedLets, Lets};
use crate::model::Repo;

/// The result of a rule for a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleResult {
    /// The `if` is true, and the `unless` is not.
    Matches,
    /// The `if` is false.
    DoesNotMatch,
    /// The `if` is true, or cannot be evaluated, but the `unless` is true.
    Excepted,
    /// The rule cannot be evaluated for this reason. The text contains nothing that the requester wrote.
    CannotBeEvaluated(String),
    /// The `repos` of the rule do not cover the repo.
    DoesNotApply,
}

impl fmt::Display for RuleResult {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Matches => f.write_str("matches"),
            Self::DoesNotMatch => f.write_str("does not match"),
            Self::Excepted => f.write_str("is excepted by its `unless`"),
            Self::CannotBeEvaluated(why) => write!(f, "could not be evaluated: {why}"),
            Self::DoesNotApply => f.write_str("does not apply to this repo"),
        }
    }
}

/// The variables of one request, and the expressions under `let` that have been evaluated for it.
pub(super) struct Evaluation<'a> {
    lets: &'a Lets,
    /// Whether each `let` has been evaluated, or need not be.
    done: Vec<bool>,
    failed: FailedLets,
    variables: Context<'a, 'a>,
}

impl<'a> Evaluation<'a> {
    pub(super) fn new(lets: &'a Lets, variables: Context<'a, 'a>) -> Self {
        // Constants are part of the expressions that read them.
        let done = lets.compiled.iter().map(|each| each.checked.constant.is_some()).collect();
        Self { lets, done, failed: FailedLets::new(), variables }
    }

    /// Evaluates `if && !unless`. As in CEL, an error counts only if the result depends on it.
    pub(super) fn result(&mut self, rule: &Rule, repo: &Repo) -> RuleResult {
        if !rule.applies_to(repo) {
            return RuleResult::DoesNotApply;
        }
        let condition = self.is_true(&rule.condition);
        match (&rule.unless, condition) {
            (_, Ok(false)) => RuleResult::DoesNotMatch,
            (None, Ok(true)) => RuleResult::Matches,
            (None, Err(why)) => RuleResult::CannotBeEvaluated(why),
            (Some(unless), condition) => match (self.is_true(unless), condition) {
                (Ok(true), _) => RuleResult::Excepted,
                (_, Err(why)) => RuleResult::CannotBeEvaluated(why),
                (Ok(false), Ok(_)) => RuleResult::Matches,
                (Err(why), Ok(_)) => RuleResult::CannotBeEvaluated(format!("its `unless`: {why}")),
            },
        }
    }

    fn is_true(&mut self, expression: &Compiled) -> Result<bool, String> {
        for position in &expression.lets {
            let (Some(of), Some(done)) = (self.lets.compiled.get(*position), self.done.get_mut(*position))
            else {
                continue;
            };
            if std::mem::replace(done, true) {
                continue;
            }
            // If the evaluation fails, the variable is not added. Then reading it is an error.
            match of.expression.evaluate(&self.variables, &self.failed) {
                Ok(value) => self.variables.add_variable_from_value(of.checked.name.as_str(), value),
                Err(why) => drop(self.failed.insert(of.checked.name.clone(), why)),
            }
        }
        expression.is_true(&self.variables, &self.failed)
    }
}
