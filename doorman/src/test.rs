//! `test`: a policy decides the cases of a file, and each difference from the expected decision is shown.

mod cases;
mod coverage;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::error::Error;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use chrono::Utc;
use hub_doorman::model::{Decision, Grounds};
use hub_doorman::policy::{Policy, RuleResult};

use crate::environment::{read, read_policy};
use crate::exit::{ExitStatus, UsageError};
use crate::screen::{Screen, clean, count};
pub use cases::{Case, parse as parse_cases};
use cases::{Expected, ExpectedGrounds, ExpectedReason};

/// Decides all cases of a file, or of the one beside the policy, and writes each difference. If `with_coverage` is set, it also writes
/// how the cases cover the rules, and a rule that is not covered is a failure.
pub fn run(
    policy: &Path,
    cases: Option<&Path>,
    with_coverage: bool,
    screen: &mut Screen,
) -> Result<ExitStatus, Box<dyn Error>> {
    let (policy, cases) = read_files(policy, cases.unwrap_or(&beside(policy)))?;
    let failed = decide_all(&policy, &cases, screen)?;
    let is_covered = !with_coverage || coverage::show(&policy, &cases, screen)?;
    Ok(if failed == 0 && is_covered { ExitStatus::Complete } else { ExitStatus::Failed })
}

/// The file with the cases of a policy, if no other is named.
pub fn beside(policy: &Path) -> PathBuf {
    policy.with_extension("cases.json")
}

/// Reads both files. If they have faults, the error has one line for each fault of the policy, and one for the first fault of the
/// cases.
fn read_files(policy: &Path, cases: &Path) -> Result<(Policy, Vec<Case>), UsageError> {
    let policy = read_policy(policy).map_err(|error| error.0);
    let cases = read(cases, |json| cases::parse(json, Utc::now()).map_err(|fault| vec![fault]));
    match (policy, cases) {
        (Ok(policy), Ok(cases)) => Ok((policy, cases)),
        (policy, cases) => {
            let faults = policy.err().into_iter().chain(cases.err()).flatten();
            Err(UsageError(faults.map(|fault| clean(&fault)).collect::<Vec<_>>().join("\n")))
        }
    }
}

/// Writes each case whose decision is not as expected, and gives their number.
pub fn decide_all(policy: &Policy, cases: &[Case], out: &mut impl Write) -> io::Result<usize> {
    let mut unused: Vec<&str> = policy.rule_names().collect();
    let mut failed = 0;
    for Case { name, repo, now, request, expected } in cases {
        let decision = policy.decide(request, repo, *now);
        if let Grounds::Rule(rule) = &decision.grounds {
            unused.retain(|name| *name != &**rule);
        }
        let results = policy.evaluate_rules(request, repo, *now);
        let unknown = expected.unknown.as_deref();
        let unknown = unknown.and_then(|unknown| results.iter().find(|(rule, _)| *rule == unknown));
        if !is_as_expected(&decision, unknown, expected) {
            failed += 1;
            writeln!(out, "failed: {}", clean(name))?;
            writeln!(out, "    expected {}", clean(&describe_expected(expected, policy)))?;
            writeln!(out, "    got      {}", clean(&describe(&decision, unknown, expected)))?;
        }
    }
    for warning in policy.warnings().iter().filter(|warning| warning.is_unusable_list) {
        writeln!(out, "note: {}", clean(&warning.to_string()))?;
    }
    if !unused.is_empty() {
        writeln!(out, "note: no case is decided by {}", clean(&format!("`{}`", unused.join("`, `"))))?;
    }
    let not = if failed == 0 { String::new() } else { format!(", {failed} not") };
    let all = count(cases.len() as u64, "case");
    writeln!(out, "{all}: {} as expected{not}", cases.len() - failed)?;
    Ok(failed)
}

/// Whether a decision is as expected. `unknown` is the result of the rule that the case expects not to be evaluated.
fn is_as_expected(decision: &Decision, unknown: Option<&(&str, RuleResult)>, expected: &Expected) -> bool {
    let Expected { verdict, grounds, unknown: expected_unknown, excepted, reason } = expected;
    let has_grounds = match (grounds, &decision.grounds) {
        (ExpectedGrounds::Any, _) | (ExpectedGrounds::NoRule, Grounds::NoRule) => true,
        (ExpectedGrounds::Rule(expected), Grounds::Rule(rule)) => **expected == **rule,
        _ => false,
    };
    let is_unknown =
        expected_unknown.is_none() || matches!(unknown, Some((_, RuleResult::CannotBeEvaluated(_))));
    let is_excepted = excepted.as_ref().is_none_or(|excepted| {
        excepted.iter().map(String::as_str).eq(decision
            .excepted
            .iter()
            .map(|rule| &**rule)
            .collect::<BTreeSet<_>>())
    });
    let has_reason = match reason {
        ExpectedReason::Any => true,
        ExpectedReason::None => decision.reason.is_none(),
        ExpectedReason::Reason(expected) => decision.reason.as_deref() == Some(expected),
    };
    *verdict == decision.verdict && has_grounds && is_unknown && is_excepted && has_reason
}

fn describe_expected(expected: &Expected, policy: &Policy) -> String {
    let Expected { verdict, grounds, unknown, excepted, reason } = expected;
    let named = |rule: &str| {
        let is_there = policy.rule_names().any(|name| name == rule);
        let note = if is_there { "" } else { " (the policy has no rule of this name)" };
        format!("`{rule}`{note}")
    };
    let mut parts = match grounds {
        ExpectedGrounds::Any => vec![],
        ExpectedGrounds::NoRule => vec!["no rule matched".to_owned()],
        ExpectedGrounds::Rule(rule) => vec![format!("rule {}", named(rule))],
    };
    parts.extend(unknown.as_ref().map(|rule| format!("rule {} could not be evaluated", named(rule))));
    parts.extend(excepted.as_ref().map(|rules| {
        match &*rules.iter().map(|rule| named(rule)).collect::<Vec<_>>() {
            [] => EXCEPTED_FROM_NONE.to_owned(),
            [rule] => format!("excepted from rule {rule}"),
            rules => format!("excepted from rules {}", rules.join(", ")),
        }
    }));
    let because = if parts.is_empty() { String::new() } else { format!(": {}", parts.join("; ")) };
    let reason = match reason {
        ExpectedReason::Any => String::new(),
        ExpectedReason::None => ", no reason".to_owned(),
        ExpectedReason::Reason(reason) => format!(", reason \"{reason}\""),
    };
    format!("{}{because}{reason}", verdict.as_str())
}

const EXCEPTED_FROM_NONE: &str = "excepted from no rule";

/// Describes a decision. The reason, and the result of a rule that does not decide, are left out if the case expects none in
/// particular.
fn describe(decision: &Decision, unknown: Option<&(&str, RuleResult)>, expected: &Expected) -> String {
    let mut parts = vec![decision.explanation()];
    if let Some((rule, result)) = unknown
        && decision.grounds.rule() != Some(rule)
    {
        parts.push(format!("rule `{rule}` {result}"));
    }
    if decision.excepted.is_empty() && expected.excepted.is_some() {
        parts.push(EXCEPTED_FROM_NONE.to_owned());
    }
    let reason = match (&expected.reason, &decision.reason) {
        (ExpectedReason::Any, _) => String::new(),
        (_, None) => ", no reason".to_owned(),
        (_, Some(reason)) => format!(", reason \"{reason}\""),
    };
    format!("{}: {}{reason}", decision.verdict.as_str(), parts.join("; "))
}
