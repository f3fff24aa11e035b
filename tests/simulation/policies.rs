//! Random policies, and a second implementation of their meaning without CEL and without the code under test.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::hub::Status;

/// A condition of a rule. `is_true` is `None` if the condition cannot be evaluated for an entry.
struct Condition {
    cel: &'static str,
    is_true: fn(&Entry) -> Option<bool>,
}

/// An entry of the list of pending requests, as the Hub sent it.
pub struct Entry<'a> {
    pub json: &'a Value,
    /// `acme/model` or `datasets/acme/corpus`, in lower case.
    pub repo: &'a str,
}

impl Entry<'_> {
    fn text(&self, keys: &[&str]) -> Option<&str> {
        keys.iter().try_fold(self.json, |value, key| value.get(key))?.as_str()
    }

    fn answer(&self, label: &str) -> Option<&str> {
        self.text(&["fields", label])
    }
}

const CONDITIONS: [Condition; 16] = [
    Condition { cel: "true", is_true: |_| Some(true) },
    Condition {
        cel: "user.domain == 'ACME.com'",
        is_true: |entry| Some(entry.text(&["user", "email"])?.to_ascii_lowercase().ends_with("@acme.com")),
    },
    Condition {
        cel: "'epfl' in user.verified_orgs",
        is_true: |entry| {
            let orgs = entry.json.get("user")?.get("verifiedOrgNames")?.as_array()?;
            Some(orgs.iter().filter_map(Value::as_str).any(|org| org.eq_ignore_ascii_case("epfl")))
        },
    },
    Condition { cel: "user.pro", is_true: is_pro },
    Condition {
        cel: "user.name.startsWith('a')",
        is_true: |entry| Some(entry.text(&["user", "user"])?.starts_with(['a', 'A'])),
    },
    Condition {
        cel: "user.name.matches('^B.*1$')",
        is_true: |entry| {
            let name = entry.text(&["user", "user"])?;
            Some(name.starts_with(['b', 'B']) && name.ends_with('1'))
        },
    },
    Condition { cel: "repo.name == 'acme/Model'", is_true: |entry| Some(entry.repo == "acme/model") },
    Condition {
        cel: "user.name in ['A1', 'b2', 'B3']",
        is_true: |entry| {
            let name = entry.text(&["user", "user"])?.to_ascii_lowercase();
            Some(["a1", "b2", "b3"].contains(&name.as_str()))
        },
    },
    Condition {
        cel: "'Affiliation' in fields && fields['Affiliation'] == 'EPFL'",
        is_true: |entry| Some(entry.answer("Affiliation") == Some("EPFL")),
    },
    Condition { cel: "fields['Country'] == 'KP'", is_true: |entry| Some(entry.answer("Country")? == "KP") },
    Condition {
        cel: "'Country' in fields && fields['Country'] == 'KP'",
        is_true: |entry| Some(entry.answer("Country") == Some("KP")),
    },
    Condition {
        cel: "size(fields['Affiliation']) < 3",
        is_true: |entry| Some(entry.answer("Affiliation")?.chars().count() < 3),
    },
    Condition {
        cel: "!('Affiliation' in fields)",
        is_true: |entry| Some(entry.answer("Affiliation").is_none()),
    },
    Condition {
        cel: "user.pro || fields['Country'] == 'KP'",
        is_true: |entry| cel_or(is_pro(entry), entry.answer("Country").map(|answer| answer == "KP")),
    },
    Condition {
        cel: "user.pro ? size(fields['Affiliation']) < 3 : 'Country' in fields",
        is_true: |entry| {
            if is_pro(entry)? {
                Some(entry.answer("Affiliation")?.chars().count() < 3)
            } else {
                Some(entry.answer("Country").is_some())
            }
        },
    },
    Condition { cel: "repo.type == 'dataset'", is_true: |entry| Some(entry.repo.starts_with("datasets/")) },
];

fn is_pro(entry: &Entry) -> Option<bool> {
    entry.json.get("user")?.get("isPro")?.as_bool()
}

/// `||` as in CEL. If one side is true, the result is true, even if the other is unknown.
fn cel_or(left: Option<bool>, right: Option<bool>) -> Option<bool> {
    match (left, right) {
        (Some(true), _) | (_, Some(true)) => Some(true),
        (Some(false), Some(false)) => Some(false),
        _ => None,
    }
}

/// The expected decision about a request: a new status and the reason for the user, or `None` for hold.
pub type Expected = Option<(Status, Option<String>)>;

/// The policy's text for the code under test, and its rules for the second implementation.
#[derive(Debug)]
pub struct Policy {
    pub text: String,
    rules: Vec<(usize, &'static str, Option<String>)>,
    default: &'static str,
}

/// The verdicts, the strictest first.
const VERDICTS: [&str; 4] = ["reject", "reset", "hold", "accept"];

impl Policy {
    /// Draws a policy. On average, half of its rules accept.
    pub fn draw(random: &mut fastrand::Rng) -> Self {
        let verdicts = ["accept", "accept", "accept", "hold", "reset", "reject"];
        let mut rules = Vec::new();
        for number in 0..random.usize(0..6) {
            let verdict = verdicts[random.usize(..verdicts.len())];
            let has_reason = matches!(verdict, "reject" | "reset") && random.bool();
            rules.push((
                random.usize(..CONDITIONS.len()),
                verdict,
                has_reason.then(|| format!("Rule {number}.")),
            ));
        }
        let default = ["hold", "hold", "accept", "reset", "reject"][random.usize(..5)];
        let documents = rules.iter().enumerate().map(|(number, (condition, verdict, reason))| {
            let mut rule =
                json!({"name": format!("rule-{number}"), "then": verdict, "if": CONDITIONS[*condition].cel});
            if let Some(reason) = reason {
                rule["reason"] = json!(reason);
            }
            rule
        });
        let text = json!({"rules": documents.collect::<Vec<_>>(), "default": default}).to_string();
        Self { text, rules, default }
    }

    /// The expected decision about an entry.
    pub fn expects(&self, entry: &Entry) -> Expected {
        if entry.json["status"] != "pending" {
            return None;
        }
        let mut matching = Vec::new();
        for (condition, verdict, reason) in &self.rules {
            if (CONDITIONS[*condition].is_true)(entry)? {
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
