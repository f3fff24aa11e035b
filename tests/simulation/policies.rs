//! Policies that are drawn, and what they mean, said once more without CEL and without the doorman's own code.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::hub::Status;

/// A condition, and whether it holds for an entry of the Hub's list; nothing if that cannot be known.
struct Condition {
    cel: &'static str,
    holds: fn(&Entry) -> Option<bool>,
}

/// An entry of the list of pending requests, as the Hub showed it.
pub struct Entry<'a> {
    pub shown: &'a Value,
    /// `acme/model` or `datasets/acme/corpus`, however the event spelled it.
    pub repo: &'a str,
}

impl Entry<'_> {
    fn text(&self, keys: &[&str]) -> Option<&str> {
        keys.iter().try_fold(self.shown, |value, key| value.get(key))?.as_str()
    }

    fn answer(&self, label: &str) -> Option<&str> {
        self.text(&["fields", label])
    }
}

const CONDITIONS: [Condition; 16] = [
    Condition { cel: "true", holds: |_| Some(true) },
    Condition {
        cel: "user.domain == 'ACME.com'",
        holds: |entry| Some(entry.text(&["user", "email"])?.to_ascii_lowercase().ends_with("@acme.com")),
    },
    Condition {
        cel: "'epfl' in user.verified_orgs",
        holds: |entry| {
            let orgs = entry.shown.get("user")?.get("verifiedOrgNames")?.as_array()?;
            Some(orgs.iter().filter_map(Value::as_str).any(|org| org.eq_ignore_ascii_case("epfl")))
        },
    },
    Condition { cel: "user.pro", holds: is_pro },
    Condition {
        cel: "user.name.startsWith('a')",
        holds: |entry| Some(entry.text(&["user", "user"])?.starts_with(['a', 'A'])),
    },
    Condition {
        cel: "user.name.matches('^B.*1$')",
        holds: |entry| {
            let name = entry.text(&["user", "user"])?;
            Some(name.starts_with(['b', 'B']) && name.ends_with('1'))
        },
    },
    Condition { cel: "repo.name == 'acme/Model'", holds: |entry| Some(entry.repo == "acme/model") },
    Condition {
        cel: "user.name in ['A1', 'b2', 'B3']",
        holds: |entry| {
            let name = entry.text(&["user", "user"])?.to_ascii_lowercase();
            Some(["a1", "b2", "b3"].contains(&name.as_str()))
        },
    },
    Condition {
        cel: "'Affiliation' in fields && fields['Affiliation'] == 'EPFL'",
        holds: |entry| Some(entry.answer("Affiliation") == Some("EPFL")),
    },
    Condition { cel: "fields['Country'] == 'KP'", holds: |entry| Some(entry.answer("Country")? == "KP") },
    Condition {
        cel: "'Country' in fields && fields['Country'] == 'KP'",
        holds: |entry| Some(entry.answer("Country") == Some("KP")),
    },
    Condition {
        cel: "size(fields['Affiliation']) < 3",
        holds: |entry| Some(entry.answer("Affiliation")?.chars().count() < 3),
    },
    Condition {
        cel: "!('Affiliation' in fields)",
        holds: |entry| Some(entry.answer("Affiliation").is_none()),
    },
    Condition {
        cel: "user.pro || fields['Country'] == 'KP'",
        holds: |entry| either(is_pro(entry), entry.answer("Country").map(|answer| answer == "KP")),
    },
    Condition {
        cel: "user.pro ? size(fields['Affiliation']) < 3 : 'Country' in fields",
        holds: |entry| {
            if is_pro(entry)? {
                Some(entry.answer("Affiliation")?.chars().count() < 3)
            } else {
                Some(entry.answer("Country").is_some())
            }
        },
    },
    Condition { cel: "repo.type == 'dataset'", holds: |entry| Some(entry.repo.starts_with("datasets/")) },
];

fn is_pro(entry: &Entry) -> Option<bool> {
    entry.shown.get("user")?.get("isPro")?.as_bool()
}

/// As CEL has it: what is true makes up for what is not known.
fn either(one: Option<bool>, other: Option<bool>) -> Option<bool> {
    match (one, other) {
        (Some(true), _) | (_, Some(true)) => Some(true),
        (Some(false), Some(false)) => Some(false),
        _ => None,
    }
}

/// What is to be done about a request: a new status and what the user is told, or nothing (hold).
pub type Expected = Option<(Status, Option<String>)>;

/// A policy.
#[derive(Debug)]
pub struct Policy {
    pub text: String,
    rules: Vec<(usize, &'static str, Option<String>)>,
    default: &'static str,
}

/// From the strictest to the mildest.
const VERDICTS: [&str; 4] = ["reject", "reset", "hold", "accept"];

impl Policy {
    /// One that accepts somebody more often than not.
    pub fn draw(random: &mut fastrand::Rng) -> Self {
        let verdicts = ["accept", "accept", "accept", "hold", "reset", "reject"];
        let mut rules = Vec::new();
        for number in 0..random.usize(0..6) {
            let verdict = verdicts[random.usize(..verdicts.len())];
            let may_say_why = matches!(verdict, "reject" | "reset") && random.bool();
            rules.push((
                random.usize(..CONDITIONS.len()),
                verdict,
                may_say_why.then(|| format!("Rule {number}.")),
            ));
        }
        let default = ["hold", "hold", "accept", "reset", "reject"][random.usize(..5)];
        let shown = rules.iter().enumerate().map(|(number, (condition, verdict, reason))| {
            let mut rule =
                json!({"name": format!("rule-{number}"), "then": verdict, "if": CONDITIONS[*condition].cel});
            if let Some(reason) = reason {
                rule["reason"] = json!(reason);
            }
            rule
        });
        let text = json!({"rules": shown.collect::<Vec<_>>(), "default": default}).to_string();
        Self { text, rules, default }
    }

    /// What this policy makes of an entry.
    pub fn expects(&self, entry: &Entry) -> Expected {
        if entry.shown["status"] != "pending" {
            return None;
        }
        let mut matching = Vec::new();
        for (condition, verdict, reason) in &self.rules {
            if (CONDITIONS[*condition].holds)(entry)? {
                matching.push((*verdict, reason.clone()));
            }
        }
        let strictest =
            VERDICTS.iter().find_map(|strict| matching.iter().find(|(verdict, _)| verdict == strict));
        let (verdict, reason) = strictest.cloned().unwrap_or((self.default, None));
        let status = match verdict {
            "reject" => Status::Rejected,
            "reset" => Status::Reset,
            "accept" => Status::Accepted,
            _ => return None,
        };
        Some((status, reason))
    }
}

/// How an expectation reads.
pub fn shown(expected: &Expected) -> String {
    let mut shown = String::new();
    match expected {
        None => shown.push_str("hold"),
        Some((status, reason)) => {
            let _ = write!(shown, "{}{}", status.as_str(), reason.as_deref().unwrap_or_default());
        }
    }
    shown
}
