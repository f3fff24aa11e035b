//! The JSON of a policy, and the faults in it that do not concern the expressions.

use std::sync::Arc;

use cel::Env;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Rule;
use super::compile::Condition;
use super::patterns::Patterns;
use crate::model::Verdict;

/// The maximum length of a reason on the Hub. The Hub probably counts UTF-16 code units, as JavaScript does. If it does not,
/// only reasons with emoji are refused too early.
const MAX_REASON: usize = 200;

/// A policy in which the rules and the default are not parsed yet.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenPolicy<'a> {
    // Each rule is parsed separately, so that all faults are found and each one names its rule.
    #[serde(borrow)]
    pub(super) rules: Vec<&'a RawValue>,
    #[serde(borrow)]
    pub(super) default: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRule {
    name: String,
    then: Verdict,
    #[serde(rename = "if")]
    condition: String,
    reason: Option<String>,
}

/// The name of a rule, if at least the name can be read.
pub(super) fn name_of(json: &RawValue) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        name: String,
    }
    let Named { name } = serde_json::from_str(json.get()).ok()?;
    Some(name).filter(|name| !name.trim().is_empty())
}

/// Parses and compiles a rule, or returns all faults in it.
pub(super) fn read_rule(
    json: &RawValue,
    env: &Arc<Env>,
    patterns: &mut Patterns,
) -> Result<Rule, Vec<String>> {
    if !json.get().starts_with('{') {
        let fault = r#"it is not a JSON object; a rule looks like {"name": …, "then": …, "if": …}"#;
        return Err(vec![fault.to_owned()]);
    }
    let WrittenRule { name, then, condition, reason } =
        serde_json::from_str(json.get()).map_err(|error| vec![suggest(&error.to_string())])?;
    let mut faults = Vec::new();
    if name.trim().is_empty() {
        faults.push("`name` is empty; give the rule a name for the audit log".to_owned());
    }
    faults.extend(reason.as_deref().and_then(|reason| fault_in_reason(reason, then)));
    match Condition::compile(&condition, env, patterns) {
        Ok(condition) if faults.is_empty() => {
            Ok(Rule { name: name.into(), then, condition, reason: reason.map(Arc::from) })
        }
        Ok(_) => Err(faults),
        Err(fault) => {
            faults.push(format!("`if`: {fault}"));
            Err(faults)
        }
    }
}

fn fault_in_reason(reason: &str, then: Verdict) -> Option<String> {
    if matches!(then, Verdict::Accept | Verdict::Hold) {
        let then = then.as_str();
        return Some(format!(
            "`reason` has no effect with `{then}`; remove it, because users see a reason only with `reject` or `reset`"
        ));
    }
    if reason.trim().is_empty() {
        return Some("`reason` is empty; write one, or remove it".to_owned());
    }
    let length = reason.encode_utf16().count();
    (length > MAX_REASON).then(|| {
        format!("`reason` has {length} characters; shorten it to {MAX_REASON}, the maximum on the Hub")
    })
}

/// Adds the most similar verdict to an error about an unknown one.
pub(super) fn suggest(error: &str) -> String {
    let written = error.split_once("unknown variant `").and_then(|(_, rest)| rest.split('`').next());
    let written = written.unwrap_or_default().to_ascii_lowercase();
    let letters_in_common = |verdict: Verdict| {
        verdict.as_str().bytes().zip(written.bytes()).take_while(|(one, other)| one == other).count()
    };
    let all = [Verdict::Accept, Verdict::Hold, Verdict::Reset, Verdict::Reject];
    let closest = all.into_iter().max_by_key(|verdict| letters_in_common(*verdict));
    match closest.filter(|verdict| letters_in_common(*verdict) > 0) {
        Some(verdict) => format!("{error}; did you mean `{}`?", verdict.as_str()),
        None => error.to_owned(),
    }
}
