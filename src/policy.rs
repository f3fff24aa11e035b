//! The owner's policy: rules compiled once at start-up, and [`Policy::decide`], which is pure.
//!
//! The order of the rules never matters, the strictest verdict wins, and what cannot be known is held.

mod answers;
mod bounds;
mod check;
mod condition;
mod constants;
mod kinds;
mod library;
mod meter;
mod names;
mod origin;
mod patterns;
mod readable;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use cel::common::types::{CelBool, CelList, CelMap, CelMapKey, CelString, CelTimestamp};
use cel::common::value::Val;
use cel::{Context, Env};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::model::{AccessRequest, Decision, Grounds, Repo, User, Verdict};
pub use answers::AnswerUse;
use bounds::MAX_POLICY_WORK;
use condition::Condition;
use library::{FOLDED_FIELDS, FOLDED_USER, PATTERNS, PatternsValue};
use patterns::Patterns;

/// The most characters that the Hub takes as a reason. It counts as JavaScript does, in UTF-16 code units, as far as
/// anybody knows; counting so refuses no more than a few emoji too early.
const MAX_REASON: usize = 200;

/// The longest list that a rule may go through, which the requester may have made: two macros within each other go through
/// its square.
const MAX_LIST: usize = 300;

/// The most bytes that the texts of a request may have altogether: far more than anybody writes into a form. Names of
/// organizations do not count here; [`MAX_LIST`] and [`MAX_NAME`] bound them.
const MAX_TEXT: usize = 100_000;

/// The same for the name of an organization, of which there may be many; the Hub allows 42.
const MAX_NAME: usize = 200;

/// The longest policy, in bytes. The environment of a Lambda function takes less, the command line reads files.
const MAX_POLICY: usize = 256 * 1024;

/// What to say after a fault in the JSON itself.
const LOOKS: &str =
    r#"; a policy looks like {"rules": [{"name": …, "then": …, "if": …}], "default": "hold"}"#;

const TOO_MUCH_WORK: &str = "if a request has long answers, the rules up to and including this one may take too much work; nest fewer macros, \
     or use smaller repetitions in patterns";

/// Compiled rules and what happens when none of them matches.
pub struct Policy {
    rules: Vec<Rule>,
    default: Verdict,
    fingerprint: String,
    env: Arc<Env>,
    patterns: Arc<Patterns>,
    /// The most work that all rules together may take for a request.
    work: u64,
    /// Whether a rule compares answers with names.
    reads_folded: bool,
}

struct Rule {
    name: Arc<str>,
    then: Verdict,
    condition: Condition,
    reason: Option<Arc<str>>,
}

/// The policy as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenPolicy<'a> {
    // Raw, so that each rule is read by itself: all faults are found, and each names its rule.
    #[serde(borrow)]
    rules: Vec<&'a RawValue>,
    #[serde(borrow)]
    default: Option<&'a RawValue>,
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

impl Policy {
    /// Reads and compiles a policy, or tells everything that is wrong with it: a list of sentences, each of which
    /// names the rule that it is about.
    pub fn parse(json: &str) -> Result<Self, Vec<String>> {
        if json.len() > MAX_POLICY {
            return Err(vec![format!("the policy has {} bytes; at most {MAX_POLICY} are taken", json.len())]);
        }
        if !json.trim_start().starts_with('{') {
            return Err(vec![format!("a policy is a JSON object{LOOKS}")]);
        }
        let written: WrittenPolicy =
            serde_json::from_str(json).map_err(|error| vec![format!("{error}{LOOKS}")])?;
        let env = Arc::new(library::environment().map_err(|error| vec![error.to_string()])?);
        let mut patterns = Patterns::default();
        let (mut rules, mut faults) = (Vec::with_capacity(written.rules.len()), Vec::new());
        let (mut names, mut work) = (HashSet::new(), 0u64);
        for (index, json) in written.rules.iter().enumerate() {
            let name = name_of(json);
            let label =
                name.as_ref().map_or(format!("rule number {}", index + 1), |name| format!("rule `{name}`"));
            match read_rule(json, &env, &mut patterns) {
                Ok(rule) => {
                    let before = work;
                    work = work.saturating_add(rule.condition.work());
                    if before <= MAX_POLICY_WORK && work > MAX_POLICY_WORK {
                        faults.push(format!("{label}: {TOO_MUCH_WORK}"));
                    }
                    rules.push(rule);
                }
                Err(of_rule) => faults.extend(of_rule.iter().map(|fault| format!("{label}: {fault}"))),
            }
            if name.is_some_and(|name| !names.insert(name)) {
                faults.push(format!("{label}: another rule has this name; give each its own"));
            }
        }
        let default = written.default.map_or(Ok(Verdict::Hold), |json| serde_json::from_str(json.get()));
        let default =
            default.map_err(|error| faults.push(format!("`default`: {}", suggest(&error.to_string()))));
        let (Ok(default), true) = (default, faults.is_empty()) else { return Err(faults) };
        // Of what it says and not of how it is laid out.
        let said: Value = serde_json::from_str(json).map_err(|error| vec![error.to_string()])?;
        let digest = Sha256::digest(said.to_string());
        let fingerprint = digest.iter().take(6).fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        let reads_folded = rules.iter().any(|rule| rule.condition.reads_folded());
        Ok(Self { rules, default, fingerprint, env, patterns: Arc::new(patterns), work, reads_folded })
    }

    /// Twelve hexadecimal digits that tell one policy from another in the audit log.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Whether deciding may take so long that a run does not get to everybody.
    pub(crate) fn may_be_slow(&self) -> bool {
        self.work > meter::SLOW_WORK
    }

    /// The names of the rules, in the order in which they are written.
    pub fn rule_names(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().map(|rule| &*rule.name)
    }

    /// Decides one request. The same arguments always give the same decision.
    ///
    /// A rule that cannot be evaluated holds the request whatever the others say: it might have rejected.
    #[must_use]
    pub fn decide(&self, request: &AccessRequest, repo: &Repo, now: DateTime<Utc>) -> Decision {
        if let Some(doubt) = readable::doubt(request) {
            return Decision { verdict: Verdict::Hold, reason: None, grounds: Grounds::Doubt(doubt) };
        }
        let mut facts = facts(&self.env, request, repo, now, self.reads_folded);
        facts.add_variable_as_val(PATTERNS, Box::new(PatternsValue(Arc::clone(&self.patterns))));
        meter::limited(|| self.apply_rules(&facts))
    }

    fn apply_rules(&self, facts: &Context<'_, '_>) -> Decision {
        let mut strictest: Option<&Rule> = None;
        for rule in &self.rules {
            match rule.condition.holds(facts) {
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

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.rule_names().collect();
        f.debug_struct("Policy")
            .field("rules", &names)
            .field("default", &self.default)
            .finish_non_exhaustive()
    }
}

/// The name of a rule, if that much of it can be read.
fn name_of(json: &RawValue) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        name: String,
    }
    let Named { name } = serde_json::from_str(json.get()).ok()?;
    Some(name).filter(|name| !name.trim().is_empty())
}

fn read_rule(json: &RawValue, env: &Arc<Env>, patterns: &mut Patterns) -> Result<Rule, Vec<String>> {
    if !json.get().starts_with('{') {
        return Err(vec!["a rule is a JSON object".to_owned()]);
    }
    let WrittenRule { name, then, condition, reason } =
        serde_json::from_str(json.get()).map_err(|error| vec![suggest(&error.to_string())])?;
    let mut faults = Vec::new();
    if name.trim().is_empty() {
        faults.push("`name` is empty; the audit log needs one".to_owned());
    }
    if let Some(reason) = &reason {
        let length = reason.encode_utf16().count();
        if matches!(then, Verdict::Accept | Verdict::Hold) {
            let then = then.as_str();
            faults.push(format!(
                "`reason` is given, but nobody is told one on `{then}`; only `reject` and `reset` carry it"
            ));
        } else if reason.trim().is_empty() {
            faults.push("`reason` is empty; leave it out or say something".to_owned());
        } else if length > MAX_REASON {
            faults.push(format!("`reason` has {length} characters; the Hub takes at most {MAX_REASON}"));
        }
    }
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

/// Adds which verdict was meant to an error about one that there is not.
fn suggest(error: &str) -> String {
    let written = error.split_once("unknown variant `").and_then(|(_, rest)| rest.split('`').next());
    let written = written.unwrap_or_default().to_ascii_lowercase();
    let in_common = |verdict: Verdict| {
        verdict.as_str().bytes().zip(written.bytes()).take_while(|(one, other)| one == other).count()
    };
    let all = [Verdict::Accept, Verdict::Hold, Verdict::Reset, Verdict::Reject];
    match all.into_iter().max_by_key(|verdict| in_common(*verdict)).filter(|verdict| in_common(*verdict) > 0)
    {
        Some(meant) => format!("{error}; is `{}` meant?", meant.as_str()),
        None => error.to_owned(),
    }
}

/// What a rule sees: borrowed from the request, not copied. An attribute that the request does not have is left out, so
/// that reading it is an error.
fn facts<'a>(
    env: &Arc<Env>,
    request: &'a AccessRequest,
    repo: &'a Repo,
    now: DateTime<Utc>,
    reads_folded: bool,
) -> Context<'a, 'a> {
    let AccessRequest { request_id: _, user, requested_at, fields, doubt: _ } = request;
    let mut context = Context::with_env(Arc::clone(env));
    if reads_folded {
        let User { id, fullname, .. } = user;
        let folded = [("id", id.as_deref().map(name)), ("fullname", fullname.as_deref().map(name))];
        context.add_variable_as_val(FOLDED_USER, map(known(folded)));
        let answers = fields.iter().map(|(label, answer)| (label.as_str(), name(answer)));
        context.add_variable_as_val(FOLDED_FIELDS, map(answers));
    }
    context.add_variable_as_val("user", facts_about_user(user));
    context.add_variable_as_val(
        "fields",
        map(fields.iter().map(|(label, answer)| (label.as_str(), text(answer)))),
    );
    let about_repo = [
        ("name", Some(name(repo.name()))),
        ("type", Some(text(repo.repo_type().as_str()))),
        ("owner", repo.owner().map(name)),
    ];
    context.add_variable_as_val("repo", map(known(about_repo)));
    if let Some(at) = requested_at {
        context.add_variable_as_val("requested_at", time(*at));
    }
    context.add_variable_as_val("now", time(now));
    context
}

fn facts_about_user(user: &User) -> Fact<'_> {
    let User { id, name: _, fullname, email, pro, verified_orgs, orgs } = user;
    let domain = email.as_deref().and_then(readable::domain);
    map(known([
        ("id", id.as_deref().map(text)),
        ("name", user.name.as_deref().map(self::name)),
        ("fullname", fullname.as_deref().map(text)),
        ("email", email.as_deref().map(self::name)),
        ("domain", domain.map(|domain| -> Fact<'_> { Box::new(CelString::from(domain)) })),
        ("pro", pro.map(|pro| -> Fact<'_> { Box::new(CelBool::from(pro)) })),
        ("verified_orgs", verified_orgs.as_deref().map(names_of)),
        ("orgs", orgs.as_deref().map(names_of)),
    ]))
}

type Fact<'a> = Box<dyn Val + 'a>;

fn text(text: &str) -> Fact<'_> {
    Box::new(CelString::from(text))
}

/// The Hub and mail ignore the case of names, so rules see them in ASCII lower case.
fn name(name: &str) -> Fact<'_> {
    Box::new(CelString::from(names::fold(name)))
}

fn names_of(names: &[String]) -> Fact<'_> {
    Box::new(CelList::from(names.iter().map(|each| name(each)).collect::<Vec<_>>()))
}

fn time(time: DateTime<Utc>) -> Fact<'static> {
    Box::new(CelTimestamp::from(time.fixed_offset()))
}

fn map<'a>(facts: impl Iterator<Item = (&'a str, Fact<'a>)>) -> Fact<'a> {
    let facts: HashMap<_, _> = facts.map(|(name, fact)| (CelMapKey::from(name), fact)).collect();
    Box::new(CelMap::from(facts))
}

fn known<'a, const N: usize>(
    facts: [(&'a str, Option<Fact<'a>>); N],
) -> impl Iterator<Item = (&'a str, Fact<'a>)> {
    facts.into_iter().filter_map(|(name, fact)| Some((name, fact?)))
}
