//! Random policies, and a second implementation of their meaning without CEL and without the code under test.

mod conditions;
mod lists;

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Map, Value, json};

use self::conditions::{Condition, Let, Scope, and};
use self::lists::List;
use crate::hub::Status;

pub use self::conditions::Entry;

/// The expected decision about a request: a new status and the reason for the user, or `None` for hold.
pub type Expected = Option<(Status, Option<String>)>;

/// The policy's text for the code under test, and its parts for the second implementation.
#[derive(Debug)]
pub struct Policy {
    pub text: String,
    /// The files beside the policy.
    pub files: BTreeMap<String, Vec<u8>>,
    lists: Vec<List>,
    lets: Vec<Let>,
    rules: Vec<Rule>,
    default: (&'static str, Option<String>),
    /// The maximum number of requests that a run gives these statuses in one repo.
    limits: BTreeMap<&'static str, usize>,
    pub is_paused: bool,
}

#[derive(Debug)]
struct Rule {
    then: &'static str,
    condition: Condition,
    unless: Option<Condition>,
    reason: Option<String>,
    /// A position in [`REPOS`].
    repos: Option<usize>,
}

/// Patterns of repos, and whether they cover a repo.
type Patterns = (&'static [&'static str], fn(&str) -> bool);

const REPOS: [Patterns; 7] = [
    (&["acme/*"], |_| true),
    (&["Acme/Model"], |repo| repo == "acme/model"),
    (&["datasets/ACME/*"], |repo| repo.starts_with("datasets/acme/")),
    (&["!acme/model", "acme/*"], |repo| repo != "acme/model"),
    (&["datasets/acme/corpus", "acme/other"], |repo| ["datasets/acme/corpus", "acme/other"].contains(&repo)),
    (&["other/*"], |_| false),
    (&["acme/corpus"], |_| false),
];

/// The verdicts, the strictest first.
const VERDICTS: [&str; 4] = ["reject", "reset", "hold", "accept"];

/// Names for `let`, whose alphabetical order is not that in which they are drawn.
const LETS: [&str; 4] = ["vetted", "agreed", "zone_9", "B"];

impl Rule {
    fn draw(random: &mut fastrand::Rng, scope: Scope, number: usize) -> Self {
        let verdicts = ["accept", "accept", "accept", "hold", "reset", "reject"];
        let then = verdicts[random.usize(..verdicts.len())];
        let has_reason = matches!(then, "reject" | "reset") && random.bool();
        let mut maybe = |one_in: u8| random.u8(..one_in) == 0;
        let (has_unless, has_repos) = (maybe(3), maybe(4));
        Self {
            then,
            condition: Condition::draw(random, scope, 2),
            unless: has_unless.then(|| Condition::draw(random, scope, 1)),
            reason: has_reason.then(|| format!("Rule {number}: \"no\"\tfor now.")),
            repos: has_repos.then(|| random.usize(..REPOS.len())),
        }
    }

    fn written(&self, scope: Scope, number: usize) -> Value {
        let Self { then, condition, unless, reason, repos } = self;
        let mut rule = json!({"name": format!("rule-{number}"), "then": then, "if": condition.cel(scope)});
        let unless = unless.as_ref().map(|unless| json!(unless.cel(scope)));
        let repos = repos.map(|number| json!(REPOS[number].0));
        let optional =
            [("unless", unless), ("reason", reason.as_ref().map(|reason| json!(reason))), ("repos", repos)];
        optional
            .into_iter()
            .filter_map(|(key, value)| Some((key, value?)))
            .for_each(|(key, value)| rule[key] = value);
        rule
    }

    /// Whether it applies to an entry, or `None` if it cannot be evaluated.
    fn matches(&self, entry: &Entry, scope: Scope) -> Option<bool> {
        if self.repos.is_some_and(|number| !(REPOS[number].1)(entry.repo)) {
            return Some(false);
        }
        let is_excepted = match &self.unless {
            Some(unless) => unless.is_true(entry, scope),
            None => Some(false),
        };
        and(self.condition.is_true(entry, scope), is_excepted.map(|is_excepted| !is_excepted))
    }
}

impl Policy {
    /// Draws a policy. On average, half of its rules accept.
    pub fn draw(random: &mut fastrand::Rng) -> Self {
        let count = random.usize(0..4);
        let lists: Vec<List> = (0..count).map(|number| List::draw(random, number)).collect();
        let mut lets: Vec<Let> = Vec::new();
        for name in &LETS[..random.usize(..=LETS.len())] {
            let of = Let::draw(random, Scope { lists: &lists, lets: &lets }, name);
            lets.push(of);
        }
        let scope = Scope { lists: &lists, lets: &lets };
        let count = random.usize(0..6);
        let rules: Vec<Rule> = (0..count).map(|number| Rule::draw(random, scope, number)).collect();
        let default = ["hold", "hold", "accept", "reset", "reject"][random.usize(..5)];
        let has_reason = matches!(default, "reset" | "reject") && random.bool();
        let default = (default, has_reason.then(|| "No rule matches.".to_owned()));
        let files = lists.iter().filter_map(|list| list.file.clone());
        let files = files.filter_map(|(file, content)| Some((file, content?))).collect();
        let (limits, is_paused) = draw_limits(random);
        let mut drawn = Self { text: String::new(), files, lists, lets, rules, default, limits, is_paused };
        let written = drawn.written(random);
        drawn.text = if random.bool() { Value::Object(written).to_string() } else { toml(random, &written) };
        drawn
    }

    fn scope(&self) -> Scope<'_> {
        Scope { lists: &self.lists, lets: &self.lets }
    }

    /// The policy as it is written. A part that has no entries is left out, except for the rules.
    fn written(&self, random: &mut fastrand::Rng) -> Map<String, Value> {
        let scope = self.scope();
        let rules = self.rules.iter().enumerate().map(|(number, rule)| rule.written(scope, number));
        let lists: Map<_, _> =
            self.lists.iter().map(|list| (list.name.clone(), list.written.clone())).collect();
        let lets: Map<_, _> = self.lets.iter().map(|of| (of.name.clone(), json!(of.cel(scope)))).collect();
        let default = match &self.default {
            (then, Some(reason)) => json!({"then": then, "reason": reason}),
            (then, None) if random.bool() => json!({ "then": then }),
            (then, None) => json!(then),
        };
        let mut written = Map::new();
        written.insert("default".to_owned(), default);
        written.insert("rules".to_owned(), rules.collect());
        if self.is_paused || random.u8(..4) == 0 {
            written.insert("paused".to_owned(), json!(self.is_paused));
        }
        let limits = self.limits.iter().map(|(verdict, limit)| ((*verdict).to_owned(), json!(limit)));
        for (key, table) in [("lists", lists), ("let", lets), ("limits", limits.collect())] {
            if !table.is_empty() {
                written.insert(key.to_owned(), Value::Object(table));
            }
        }
        written
    }

    /// Reads a file beside the policy.
    pub fn read_file(&self, name: &str) -> Result<Vec<u8>, String> {
        self.files.get(name).cloned().ok_or_else(|| "there is no such file".to_owned())
    }

    /// The maximum number of requests that a run gives this status in one repo. If there are more, it gives the status to none.
    pub fn limit(&self, status: Status) -> Option<usize> {
        let verdict = match status {
            Status::Accepted => "accept",
            Status::Rejected => "reject",
            _ => return None,
        };
        self.limits.get(verdict).copied()
    }

    /// The expected decision about an entry.
    pub fn expects(&self, entry: &Entry) -> Expected {
        let is_readable = entry.email().is_none_or(|email| email.matches('@').count() == 1);
        if entry.json["status"] != "pending" || !is_readable {
            return None;
        }
        let matching = self.rules.iter().filter_map(|rule| match rule.matches(entry, self.scope()) {
            Some(true) => Some((rule.then, &rule.reason)),
            Some(false) => None,
            // An error accepts nobody, and hides no stricter verdict.
            None => Some(("hold", &None)),
        });
        let strictness = |verdict: &str| VERDICTS.iter().position(|strict| *strict == verdict);
        // If several rules have the strictest verdict, the first of them gives the reason.
        let strictest = matching.min_by_key(|(verdict, _)| strictness(verdict));
        let (verdict, reason) = strictest.unwrap_or((self.default.0, &self.default.1));
        let status = match verdict {
            "reject" => Status::Rejected,
            "reset" => Status::Reset,
            "accept" => Status::Accepted,
            _ => return None,
        };
        Some((status, reason.clone()))
    }
}

/// Draws limits, which are often reached, and whether the policy is paused.
fn draw_limits(random: &mut fastrand::Rng) -> (BTreeMap<&'static str, usize>, bool) {
    let mut limits = BTreeMap::new();
    for verdict in ["accept", "reject"] {
        if random.u8(..4) == 0 {
            limits.insert(verdict, [0, 1, 3, 10, 30, 200][random.usize(..6)]);
        }
    }
    (limits, random.u8(..12) == 0)
}

/// The policy in TOML. Its rules are tables of their own or one list, and its lists and `let` are tables of their own or inline.
fn toml(random: &mut fastrand::Rng, policy: &Map<String, Value>) -> String {
    let (mut keys, mut tables) = (String::new(), String::new());
    for (key, value) in policy {
        match value {
            Value::Array(rules) if key == "rules" && !rules.is_empty() && random.u8(..4) > 0 => {
                for rule in rules {
                    tables.push_str("\n[[rules]] # a rule\n");
                    write_entries(random, &mut tables, rule);
                }
            }
            Value::Object(_) if random.u8(..4) > 0 => {
                let _ = writeln!(tables, "\n[{key}]");
                write_entries(random, &mut tables, value);
            }
            _ => {
                let _ = writeln!(keys, "{key} = {}", toml_value(random, value));
            }
        }
    }
    keys + &tables
}

fn write_entries(random: &mut fastrand::Rng, text: &mut String, table: &Value) {
    for (key, value) in table.as_object().into_iter().flatten() {
        let _ = writeln!(text, "{key} = {}", toml_value(random, value));
    }
}

fn toml_value(random: &mut fastrand::Rng, value: &Value) -> String {
    match value {
        Value::String(text) if random.u8(..4) == 0 => format!("'''\n{text}'''"),
        Value::Array(values) => {
            let values: Vec<String> = values.iter().map(|value| toml_value(random, value)).collect();
            format!("[{}]", values.join(", "))
        }
        Value::Object(entries) => {
            let entries: Vec<String> =
                entries.iter().map(|(key, value)| format!("{key} = {}", toml_value(random, value))).collect();
            format!("{{ {} }}", entries.join(", "))
        }
        // Texts, numbers and booleans are written as in JSON.
        other => other.to_string(),
    }
}

/// Formats an expected decision.
pub fn format_decision(expected: &Expected) -> String {
    let mut text = String::new();
    match expected {
        None => text.push_str("hold"),
        Some((status, reason)) => {
            let _ = write!(text, "{}{}", status.as_str(), reason.as_deref().unwrap_or_default());
        }
    }
    text
}
