//! A policy is a list of rules, and each rule gives its verdict if its condition is true for an access request. The policy is
//! compiled and checked at start-up, and then [`Policy::decide`] decides requests without I/O.
//!
//! All rules are evaluated, so their order does not change the verdict. The strictest verdict wins: reject, reset, hold,
//! accept. If no rule matches, the policy's default decides. If a rule cannot be evaluated, the request is held.

mod answers;
mod check;
mod compile;
mod document;
mod functions;
mod meter;
mod names;
mod patterns;
mod readable;
#[cfg(test)]
mod tests;
mod variables;

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use cel::{Context, Env};
use chrono::{DateTime, Utc};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::model::{AccessRequest, Decision, Grounds, Repo, Verdict};
pub use answers::AnswerUse;
use check::cost::MAX_POLICY_COST;
use compile::Condition;
use document::{WrittenPolicy, name_of, read_rule, suggest};
use functions::{PATTERNS, PatternsValue};
use patterns::Patterns;
use variables::variables;

/// The maximum length of a policy, in bytes. The environment of a Lambda function holds less, but the command line reads files.
const MAX_POLICY_LENGTH: usize = 256 * 1024;

/// The end of a message about a fault in the JSON itself.
const EXAMPLE: &str =
    r#"; a policy looks like {"rules": [{"name": …, "then": …, "if": …}], "default": "hold"}"#;

/// The fault of the first rule with which the costs of the rules exceed [`MAX_POLICY_COST`].
const TOO_COSTLY: &str = "together with the rules before it, this rule could cost too much for a request with long answers; \
     nest fewer macros, or use smaller repetitions in patterns";

/// Compiled rules, and the verdict if none of them matches.
pub struct Policy {
    rules: Vec<Rule>,
    default: Verdict,
    fingerprint: String,
    env: Arc<Env>,
    patterns: Arc<Patterns>,
    /// The maximum cost of all rules together for one request.
    max_cost: u64,
    /// Whether a rule reads the folded copies of `fields` and `user`.
    reads_folded: bool,
}

struct Rule {
    name: Arc<str>,
    then: Verdict,
    condition: Condition,
    reason: Option<Arc<str>>,
}

impl Policy {
    /// Reads and compiles a policy, or returns all faults in it. A fault in a rule begins with the rule's name or number.
    pub fn parse(json: &str) -> Result<Self, Vec<String>> {
        let written = read_policy(json)?;
        let env = Arc::new(functions::environment().map_err(|error| vec![error.to_string()])?);
        let mut patterns = Patterns::default();
        let (mut rules, mut faults) = (Vec::with_capacity(written.rules.len()), Vec::new());
        let (mut names, mut max_cost) = (HashSet::new(), 0u64);
        for (index, json) in written.rules.iter().enumerate() {
            let name = name_of(json);
            let label =
                name.as_ref().map_or(format!("rule number {}", index + 1), |name| format!("rule `{name}`"));
            match read_rule(json, &env, &mut patterns) {
                Ok(rule) => {
                    let cost_before = max_cost;
                    max_cost = max_cost.saturating_add(rule.condition.max_cost());
                    if cost_before <= MAX_POLICY_COST && max_cost > MAX_POLICY_COST {
                        faults.push(format!("{label}: {TOO_COSTLY}"));
                    }
                    rules.push(rule);
                }
                Err(of_rule) => faults.extend(of_rule.iter().map(|fault| format!("{label}: {fault}"))),
            }
            if name.is_some_and(|name| !names.insert(name)) {
                faults.push(format!("{label}: another rule has the same name; give each rule its own name"));
            }
        }
        let default = written.default.map_or(Ok(Verdict::Hold), |json| serde_json::from_str(json.get()));
        let default =
            default.map_err(|error| faults.push(format!("`default`: {}", suggest(&error.to_string()))));
        let (Ok(default), true) = (default, faults.is_empty()) else { return Err(faults) };
        let fingerprint = fingerprint(json)?;
        let reads_folded = rules.iter().any(|rule| rule.condition.reads_folded());
        Ok(Self { rules, default, fingerprint, env, patterns: Arc::new(patterns), max_cost, reads_folded })
    }

    /// Twelve hexadecimal digits that identify the policy in the audit log. White space in the JSON does not change them.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Whether decisions may take so long that a run does not reach all requests.
    pub(crate) fn may_be_slow(&self) -> bool {
        self.max_cost > meter::SLOW_POLICY_COST
    }

    /// The names of the rules, in the order of the policy.
    pub fn rule_names(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().map(|rule| &*rule.name)
    }

    /// Decides one request. The same arguments always give the same decision.
    ///
    /// If a rule cannot be evaluated, the request is held whatever verdicts the other rules give, because this rule might have
    /// rejected it.
    #[must_use]
    pub fn decide(&self, request: &AccessRequest, repo: &Repo, now: DateTime<Utc>) -> Decision {
        if let Some(why) = readable::why_unreadable(request) {
            return Decision { verdict: Verdict::Hold, reason: None, grounds: Grounds::Unreadable(why) };
        }
        let mut variables = variables(&self.env, request, repo, now, self.reads_folded);
        variables.add_variable_as_val(PATTERNS, Box::new(PatternsValue(Arc::clone(&self.patterns))));
        meter::with_limit(|| self.apply_rules(&variables))
    }

    fn apply_rules(&self, variables: &Context<'_, '_>) -> Decision {
        let mut strictest: Option<&Rule> = None;
        for rule in &self.rules {
            match rule.condition.evaluate(variables) {
                Ok(true) if strictest.is_none_or(|other| rule.then > other.then) => strictest = Some(rule),
                Ok(_) => {}
                Err(why) => {
                    let grounds = Grounds::Unknown { rule: rule.name.clone(), why };
                    return Decision { verdict: Verdict::Hold, reason: None, grounds };
                }
            }
        }
        match strictest {
            Some(Rule { name, then, reason, .. }) => {
                Decision { verdict: *then, reason: reason.clone(), grounds: Grounds::Rule(name.clone()) }
            }
            None => Decision { verdict: self.default, reason: None, grounds: Grounds::NoRule },
        }
    }
}

fn read_policy(json: &str) -> Result<WrittenPolicy<'_>, Vec<String>> {
    if json.len() > MAX_POLICY_LENGTH {
        let length = json.len();
        return Err(vec![format!(
            "the policy has {length} bytes; shorten it to at most {MAX_POLICY_LENGTH} bytes"
        )]);
    }
    if !json.trim_start().starts_with('{') {
        return Err(vec![format!("the policy is not a JSON object{EXAMPLE}")]);
    }
    serde_json::from_str(json).map_err(|error| vec![format!("{error}{EXAMPLE}")])
}

/// The fingerprint of a policy. It is made from the parsed JSON, so that white space does not change it.
fn fingerprint(json: &str) -> Result<String, Vec<String>> {
    let parsed: Value = serde_json::from_str(json).map_err(|error| vec![error.to_string()])?;
    let digest = Sha256::digest(parsed.to_string());
    Ok(digest.iter().take(6).fold(String::new(), |text, byte| format!("{text}{byte:02x}")))
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.rule_names().collect();
        f.debug_struct("Policy")
            .field("rules", &names)
            .field("default", &self.default)
            .finish_non_exhaustive()
    }
}
