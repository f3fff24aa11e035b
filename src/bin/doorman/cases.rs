//! `doorman test`: a policy against people that its owner thought of, each with what is to become of them.

mod file;
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
use crate::screen::clean;
use file::{Because, Case, Expected, Told};

/// Decides all cases of a file, and writes where a policy decides otherwise than is expected. Whether all of them are as
/// expected.
///
/// A file that cannot be read, or has a fault in it, is an error that tells all faults of both files, one on a line.
pub fn run(policy: &Path, cases: &Path, out: &mut impl Write) -> Result<bool, Box<dyn Error>> {
    let read = (load(policy, Policy::parse), load(cases, |json| file::read(json, Utc::now())));
    let (policy, cases) = match read {
        (Ok(policy), Ok(cases)) => (policy, cases),
        (policy, cases) => {
            let faults = policy.err().into_iter().chain(cases.err()).flatten();
            return Err(faults.collect::<Vec<_>>().join("\n").into());
        }
    };

    let mut unused: Vec<&str> = policy.rule_names().collect();
    let mut failed = 0;
    for Case { name, repo, now, request, expected } in &cases {
        let decision = policy.decide(request, repo, *now);
        if let Grounds::Rule(rule) = &decision.grounds {
            unused.retain(|name| *name != &**rule);
        }
        if !is_met(expected, &decision) {
            failed += 1;
            writeln!(out, "failed: {}", clean(name))?;
            writeln!(out, "    expected {}", clean(&describe_expected(expected, &policy)))?;
            writeln!(out, "    got      {}", clean(&describe(&decision, expected)))?;
        }
    }
    if !unused.is_empty() {
        writeln!(out, "note: no case is decided by {}", clean(&format!("`{}`", unused.join("`, `"))))?;
    }
    let of = cases.len();
    let cases = if of == 1 { "case" } else { "cases" };
    let not = if failed == 0 { String::new() } else { format!(", {failed} not") };
    writeln!(out, "{of} {cases}: {} as expected{not}", of - failed)?;
    Ok(failed == 0)
}

/// Reads a file; what is wrong with it is told with its path.
fn load<T>(path: &Path, read: impl Fn(&str) -> Result<T, Vec<String>>) -> Result<T, Vec<String>> {
    let text = fs::read_to_string(path).map_err(|error| vec![format!("cannot be read: {error}")]);
    let with_path = |fault: String| clean(&format!("{}: {fault}", path.display()));
    text.and_then(|text| read(text.trim_start_matches(BYTE_ORDER_MARK)))
        .map_err(|faults| faults.into_iter().map(with_path).collect())
}

fn is_met(expected: &Expected, decision: &Decision) -> bool {
    let Expected { verdict, because, told } = expected;
    let grounds = match (because, &decision.grounds) {
        (Because::Any, _) | (Because::NoRule, Grounds::NoRule) => true,
        (Because::Rule(expected), Grounds::Rule(rule))
        | (Because::Unknown(expected), Grounds::Unknown { rule, .. }) => **expected == **rule,
        _ => false,
    };
    let reason = match told {
        Told::Any => true,
        Told::Nothing => decision.reason.is_none(),
        Told::Reason(expected) => decision.reason.as_deref() == Some(expected),
    };
    *verdict == decision.verdict && grounds && reason
}

fn describe_expected(expected: &Expected, policy: &Policy) -> String {
    let Expected { verdict, because, told } = expected;
    let grounds = match because {
        Because::Any => String::new(),
        Because::NoRule => ": no rule matched".to_owned(),
        Because::Rule(rule) => format!(": rule `{rule}`"),
        Because::Unknown(rule) => format!(": rule `{rule}` could not be evaluated"),
    };
    let slip = match because {
        Because::Rule(rule) | Because::Unknown(rule) if !policy.rule_names().any(|name| name == rule) => {
            " (the policy has no rule of this name)"
        }
        _ => "",
    };
    let told = match told {
        Told::Any => String::new(),
        Told::Nothing => ", told nothing".to_owned(),
        Told::Reason(reason) => format!(", told \"{reason}\""),
    };
    format!("{}{grounds}{slip}{told}", verdict.as_str())
}

/// What was decided; what the user is told only where that is part of what is expected.
fn describe(decision: &Decision, expected: &Expected) -> String {
    let Decision { verdict, reason, grounds } = decision;
    let told = match (&expected.told, reason) {
        (Told::Any, _) => String::new(),
        (_, None) => ", told nothing".to_owned(),
        (_, Some(reason)) => format!(", told \"{reason}\""),
    };
    format!("{}: {grounds}{told}", verdict.as_str())
}
