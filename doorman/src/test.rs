//! `test`: a policy decides the cases of a file, and each difference from the expected verdict is shown.

mod cases;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::fs;
use std::io::Write;
use std::path::Path;

use chrono::Utc;
use hub_doorman::model::{Decision, Grounds};
use hub_doorman::policy::Policy;

use crate::environment::BYTE_ORDER_MARK;
use crate::exit::{ExitStatus, UsageError};
use crate::screen::{clean, count};
use cases::{Case, Expected, ExpectedGrounds, ExpectedReason};

/// Decides all cases of a file, and writes each difference. If the files have faults, the error has one line for each fault of the
/// policy, and one for the first fault of the cases.
pub fn run(policy: &Path, cases: &Path, out: &mut impl Write) -> Result<ExitStatus, Box<dyn Error>> {
    let policy = read(policy, Policy::parse);
    let cases = read(cases, |json| cases::parse(json, Utc::now()).map_err(|fault| vec![fault]));
    let (policy, cases) = match (policy, cases) {
        (Ok(policy), Ok(cases)) => (policy, cases),
        (policy, cases) => {
            let faults = policy.err().into_iter().chain(cases.err()).flatten();
            return Err(UsageError(faults.collect::<Vec<_>>().join("\n")).into());
        }
    };

    let mut unused: Vec<&str> = policy.rule_names().collect();
    let mut failed = 0;
    for Case { name, repo, now, request, expected } in &cases {
        let decision = policy.decide(request, repo, *now);
        if let Grounds::Rule(rule) = &decision.grounds {
            unused.retain(|name| *name != &**rule);
        }
        if !is_as_expected(&decision, expected) {
            failed += 1;
            writeln!(out, "failed: {}", clean(name))?;
            writeln!(out, "    expected {}", clean(&describe_expected(expected, &policy)))?;
            writeln!(out, "    got      {}", clean(&describe(&decision, expected)))?;
        }
    }
    if !unused.is_empty() {
        writeln!(out, "note: no case is decided by {}", clean(&format!("`{}`", unused.join("`, `"))))?;
    }
    let not = if failed == 0 { String::new() } else { format!(", {failed} not") };
    let all = count(cases.len() as u64, "case");
    writeln!(out, "{all}: {} as expected{not}", cases.len() - failed)?;
    Ok(if failed == 0 { ExitStatus::Complete } else { ExitStatus::Failed })
}

/// Reads and parses a file. Each fault begins with the path.
fn read<T>(path: &Path, parse: impl Fn(&str) -> Result<T, Vec<String>>) -> Result<T, Vec<String>> {
    let text = fs::read_to_string(path).map_err(|error| vec![format!("cannot be read: {error}")]);
    let with_path = |fault: String| clean(&format!("{}: {fault}", path.display()));
    text.and_then(|text| parse(text.trim_start_matches(BYTE_ORDER_MARK)))
        .map_err(|faults| faults.into_iter().map(with_path).collect())
}

fn is_as_expected(decision: &Decision, expected: &Expected) -> bool {
    let Expected { verdict, grounds, reason } = expected;
    let has_grounds = match (grounds, &decision.grounds) {
        (ExpectedGrounds::Any, _) | (ExpectedGrounds::NoRule, Grounds::NoRule) => true,
        (ExpectedGrounds::Rule(expected), Grounds::Rule(rule))
        | (ExpectedGrounds::Unknown(expected), Grounds::Unknown { rule, .. }) => **expected == **rule,
        _ => false,
    };
    let has_reason = match reason {
        ExpectedReason::Any => true,
        ExpectedReason::None => decision.reason.is_none(),
        ExpectedReason::Reason(expected) => decision.reason.as_deref() == Some(expected),
    };
    *verdict == decision.verdict && has_grounds && has_reason
}

fn describe_expected(expected: &Expected, policy: &Policy) -> String {
    let Expected { verdict, grounds, reason } = expected;
    let because = match grounds {
        ExpectedGrounds::Any => String::new(),
        ExpectedGrounds::NoRule => ": no rule matched".to_owned(),
        ExpectedGrounds::Rule(rule) => format!(": rule `{rule}`"),
        ExpectedGrounds::Unknown(rule) => format!(": rule `{rule}` could not be evaluated"),
    };
    let note = match grounds {
        ExpectedGrounds::Rule(rule) | ExpectedGrounds::Unknown(rule)
            if !policy.rule_names().any(|name| name == rule) =>
        {
            " (the policy has no rule of this name)"
        }
        _ => "",
    };
    let reason = match reason {
        ExpectedReason::Any => String::new(),
        ExpectedReason::None => ", no reason".to_owned(),
        ExpectedReason::Reason(reason) => format!(", reason \"{reason}\""),
    };
    format!("{}{because}{note}{reason}", verdict.as_str())
}

/// Describes a decision. The reason is left out if the case expects none in particular.
fn describe(decision: &Decision, expected: &Expected) -> String {
    let Decision { verdict, reason, grounds, excepted: _ } = decision;
    let reason = match (&expected.reason, reason) {
        (ExpectedReason::Any, _) => String::new(),
        (_, None) => ", no reason".to_owned(),
        (_, Some(reason)) => format!(", reason \"{reason}\""),
    };
    format!("{}: {grounds}{reason}", verdict.as_str())
}
