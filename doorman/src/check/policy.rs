//! The check of the policy: its faults and warnings, its lists, and its rules against the repos and their forms.

use std::path::Path;
use std::sync::Arc;
use std::{env, fs};

use hub_doorman::config::read_from;
use hub_doorman::hub::{Form, Hub, RepoInfo};
use hub_doorman::model::{Repo, RepoPattern};
use hub_doorman::policy::{Policy, nearest};
use hub_doorman::source::Place;

use super::findings::{Findings, Level};
use super::form;
use crate::environment;
use crate::screen::{count, grouped};

/// The most bytes of a policy that `template.yaml` allows.
const MAX_POLICY_BYTES: usize = 3600;

/// Finds out where the policy is kept. A policy that is given is reported, with its faults and warnings.
pub fn place(argument: Option<&str>, findings: &mut Findings) -> Option<Place> {
    let is_packaged = environment::variable("APPROVAL_POLICY").is_ok_and(|text| text.starts_with("file:"));
    if argument.is_none() && environment::is_deployed() && is_packaged {
        let text =
            "a file in the package of the function, so it is not checked; name your copy of it with --policy";
        findings.add(Level::Warning, "APPROVAL_POLICY", text);
        return None;
    }
    let place = match argument {
        None => findings.variable(|variables| variables.policy(&read_from(Path::new(".")))),
        Some(text) => findings.value_of(environment::place(text)),
    };
    if let Some(Place::Given(policy)) = &place {
        report(policy, argument.unwrap_or("APPROVAL_POLICY"), findings);
    }
    // A policy that is deployed fits, and one that AWS keeps may be longer.
    if !environment::is_deployed() {
        check_length(argument, findings);
    }
    place
}

/// The policy at this place. A policy that is kept on the Hub or by AWS is read, and reported with its faults and warnings.
pub async fn read(place: Place, hub: &Hub, findings: &mut Findings) -> Option<Arc<Policy>> {
    if let Place::Given(policy) = place {
        return Some(policy);
    }
    let shown = place.to_string();
    let policy = findings.value_of(environment::read_place(place, hub).await)?;
    report(&policy, &shown, findings);
    Some(policy)
}

fn report(policy: &Policy, place: &str, findings: &mut Findings) {
    findings.add(Level::Passed, place, contents(policy));
    for warning in policy.warnings() {
        let level = if warning.is_unusable_list { Level::Failed } else { Level::Warning };
        findings.add(level, &*warning.subject, &*warning.text);
    }
}

/// Warns of a policy that is too long for the Lambda function.
fn check_length(argument: Option<&str>, findings: &mut Findings) {
    let text = match argument {
        None => env::var("APPROVAL_POLICY").ok(),
        Some(text) if Place::is_remote(text) => None,
        Some(path) => fs::read_to_string(path.strip_prefix("file:").unwrap_or(path)).ok(),
    };
    let bytes = text.map_or(0, |text| text.trim().len());
    if bytes > MAX_POLICY_BYTES {
        let (bytes, max) = (grouped(bytes as u64), grouped(MAX_POLICY_BYTES as u64));
        let text = format!(
            "{bytes} bytes; the Lambda function takes at most {max}, because all its variables share 4 KB"
        );
        findings.add(Level::Warning, "APPROVAL_POLICY", text);
    }
}

/// Counts the parts of a policy.
pub fn contents(policy: &Policy) -> String {
    let mut parts = vec![count(policy.rule_names().count() as u64, "rule")];
    let lets = policy.let_names().count();
    if lets > 0 {
        parts.push(format!("{} under `let`", count(lets as u64, "expression")));
    }
    parts.extend(policy.lists().map(|(name, entries)| match entries {
        Ok(1) => format!("list `{name}` with 1 entry"),
        Ok(entries) => format!("list `{name}` with {} entries", grouped(entries as u64)),
        Err(_) => format!("list `{name}`, which cannot be read"),
    }));
    parts.join(", ")
}

/// Checks the labels and options that the rules read against the forms of the repos that the rules apply to.
pub fn check_labels(policy: &Policy, repos: &[(Repo, RepoInfo)], findings: &mut Findings) {
    let (used, before) = (policy.answers(), findings.iter().len());
    if repos.is_empty() || used.is_empty() {
        return;
    }
    for used in &used {
        let of_rule = repos.iter().filter(|(repo, _)| policy.applies(&used.rule, repo));
        let forms: Vec<(String, &Form)> =
            of_rule.map(|(repo, info)| (repo.to_string(), &info.form)).collect();
        if forms.is_empty() {
            continue;
        }
        for (level, text) in form::problems(used, &forms) {
            findings.add(level, format!("rule `{}`", used.rule), text);
        }
    }
    if findings.iter().len() == before {
        findings.add(Level::Passed, "the rules", "read only answers that the forms ask for");
    }
}

/// Warns of each pattern in the `repos` of a rule that names none of the repos. `searched` are the patterns of a command line, or empty
/// for all of `REPOS`. A rule may be for other repos than those of a command line, so only the repos in a searched namespace count.
pub fn check_repos(
    policy: &Policy,
    repos: &[(Repo, RepoInfo)],
    searched: &[RepoPattern],
    findings: &mut Findings,
) {
    if repos.is_empty() {
        return;
    }
    let is_searched = |pattern: &RepoPattern| {
        let covers = |searched: &RepoPattern| match (searched, pattern) {
            (RepoPattern::Namespace { .. }, RepoPattern::One(repo)) => searched.covers(repo),
            _ => searched == pattern,
        };
        searched.is_empty() || searched.iter().any(covers)
    };
    for (rule, pattern) in policy.repo_patterns() {
        if is_searched(pattern) && !repos.iter().any(|(repo, _)| pattern.covers(repo)) {
            let hint = similar(&pattern.to_string(), repos);
            let hint =
                hint.map_or("; is it misspelt?".to_owned(), |repo| format!("; did you mean `{repo}`?"));
            let text = format!("`{pattern}` in its `repos` names none of the checked repos{hint}");
            findings.add(Level::Warning, format!("rule `{rule}`"), text);
        }
    }
}

/// The repo whose name is most similar to a text, first without its namespace and type.
fn similar<'a>(text: &str, repos: &'a [(Repo, RepoInfo)]) -> Option<&'a Repo> {
    let parts: [fn(&str) -> &str; 2] = [|name| name.rsplit('/').next().unwrap_or(name), |name| name];
    parts.into_iter().find_map(|part| {
        let names: Vec<String> = repos.iter().map(|(repo, _)| part(&repo.to_string()).to_owned()).collect();
        let found = nearest(part(text), names.iter().map(String::as_str))?;
        repos.iter().zip(&names).find(|(_, name)| *name == found).map(|((repo, _), _)| repo)
    })
}
