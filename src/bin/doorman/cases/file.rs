//! How cases are written: people as a rule sees them, and what is expected.
//!
//! ```json
//! {"repo": "datasets/acme/corpus", "now": "2026-11-22T12:00:00Z", "cases": [
//!   {"name": "staff get in", "user": {"email": "ada@acme.com"}, "fields": {"Country": "GB"}, "verdict": "accept"}
//! ]}
//! ```
//!
//! What each key means is in `examples/policies/README.md`.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Datelike, Utc};
use hub_doorman::model::{AccessRequest, Repo, RepoPattern, User, Verdict};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// What to say after a fault in the JSON itself.
const LOOKS: &str = r#"; a file of cases looks like {"repo": "acme/model", "cases": [{"name": …, "user": {"email": …}, "verdict": …}]}"#;

const A_TIME: &str = r#"a time such as "2026-11-22T12:00:00Z""#;
const A_VERDICT: &str = r#""accept", "hold", "reset" or "reject""#;
/// On the Hub an empty text is as good as none.
const A_TEXT: &str = "text that is not empty; leave it out if it is unknown";

/// Somebody who asks for access, and what is to become of it.
pub(super) struct Case {
    pub(super) name: String,
    pub(super) repo: Repo,
    pub(super) now: DateTime<Utc>,
    pub(super) request: AccessRequest,
    pub(super) expected: Expected,
}

/// A decision, as far as a case speaks of it.
pub(super) struct Expected {
    pub(super) verdict: Verdict,
    pub(super) because: Because,
    pub(super) told: Told,
}

/// The expected grounds.
pub(super) enum Because {
    Any,
    NoRule,
    /// This rule is to decide.
    Rule(String),
    /// This rule is to find something missing. Not the same as the one before: a rule that holds would otherwise pass its
    /// case with a misspelt label.
    Unknown(String),
}

/// What the user is to be told.
pub(super) enum Told {
    Any,
    Nothing,
    Reason(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenFile<'a> {
    #[serde(borrow)]
    repo: Option<&'a RawValue>,
    now: Option<&'a RawValue>,
    cases: Vec<&'a RawValue>,
}

// Raw values, read one by one, so that all faults are found and each names its key.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenCase<'a> {
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    repo: Option<&'a RawValue>,
    now: Option<&'a RawValue>,
    user: Option<&'a RawValue>,
    fields: Option<&'a RawValue>,
    requested_at: Option<&'a RawValue>,
    verdict: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "even_null")]
    rule: Option<&'a RawValue>,
    unknown: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "even_null")]
    reason: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenUser<'a> {
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    id: Option<&'a RawValue>,
    fullname: Option<&'a RawValue>,
    email: Option<&'a RawValue>,
    pro: Option<&'a RawValue>,
    verified_orgs: Option<&'a RawValue>,
    orgs: Option<&'a RawValue>,
}

/// Tells a key that is null from one that is left out.
fn even_null<'a, D: Deserializer<'a>>(deserializer: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Reads a file of cases, or tells everything that is wrong with it. Where nothing is said of the time, it is `now`.
pub(super) fn read(json: &str, now: DateTime<Utc>) -> Result<Vec<Case>, Vec<String>> {
    if !json.trim_start().starts_with('{') {
        return Err(vec![format!("a file of cases is a JSON object{LOOKS}")]);
    }
    let written: WrittenFile = serde_json::from_str(json).map_err(|error| vec![format!("{error}{LOOKS}")])?;
    let mut faults = Vec::new();
    if written.cases.is_empty() {
        faults.push("`cases` is empty, so it would test nothing; write one for each rule".to_owned());
    }
    let mut top = Keys { of: String::new(), faults: &mut faults };
    let defaults =
        Defaults { repo: top.repo(written.repo), now: top.time("now", written.now).unwrap_or(now) };
    let (mut cases, mut names) = (Vec::with_capacity(written.cases.len()), HashSet::new());
    for (index, json) in written.cases.iter().enumerate() {
        let name = name_of(json);
        let label =
            name.as_ref().map_or(format!("case number {}", index + 1), |name| format!("case `{name}`"));
        let mut keys = Keys { of: format!("{label}: "), faults: &mut faults };
        let case = keys.object(json, "").and_then(|case| keys.case(&case, &defaults, written.repo.is_some()));
        cases.extend(case);
        if name.is_some_and(|name| !names.insert(name)) {
            keys.fault("another case has this name; give each its own");
        }
    }
    if faults.is_empty() { Ok(cases) } else { Err(faults) }
}

/// What holds for a case that does not say otherwise.
struct Defaults {
    repo: Option<Repo>,
    now: DateTime<Utc>,
}

/// The name of a case, if that much of it can be read.
fn name_of(json: &RawValue) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        name: String,
    }
    let Named { name } = value(json)?;
    Some(name).filter(|name| !name.trim().is_empty())
}

fn value<'a, T: Deserialize<'a>>(json: &'a RawValue) -> Option<T> {
    serde_json::from_str(json.get()).ok()
}

fn text(json: &RawValue) -> Option<String> {
    value(json).filter(|text: &String| !text.trim().is_empty())
}

/// Reads the keys of one object, and collects what is wrong with them.
struct Keys<'f> {
    /// Begins each fault: the case that it is of.
    of: String,
    faults: &'f mut Vec<String>,
}

impl Keys<'_> {
    fn fault(&mut self, fault: &str) {
        self.faults.push(format!("{}{fault}", self.of));
    }

    fn read<'a, T>(
        &mut self,
        key: &str,
        json: Option<&'a RawValue>,
        kind: &str,
        read: impl FnOnce(&'a RawValue) -> Option<T>,
    ) -> Option<T> {
        let value = read(json?);
        if value.is_none() {
            self.fault(&format!("`{key}` is to be {kind}"));
        }
        value
    }

    /// Reads a key that has to be there.
    fn need<'a, T>(
        &mut self,
        key: &str,
        json: Option<&'a RawValue>,
        kind: &str,
        read: impl FnOnce(&'a RawValue) -> Option<T>,
    ) -> Option<T> {
        if json.is_none() {
            self.fault(&format!("`{key}` is missing; it is {kind}"));
        }
        self.read(key, json, kind, read)
    }

    /// Reads an object by its keys; `key` is its own.
    fn object<'a, T: Deserialize<'a>>(&mut self, json: &'a RawValue, key: &str) -> Option<T> {
        let read = if json.get().starts_with('{') {
            serde_json::from_str(json.get()).map_err(|error| without_place(&error))
        } else {
            Err("it is to be a JSON object".to_owned())
        };
        read.map_err(|fault| self.fault(&format!("{key}{fault}"))).ok()
    }

    fn case(&mut self, case: &WrittenCase, defaults: &Defaults, has_default_repo: bool) -> Option<Case> {
        let WrittenCase { name, repo, now, user, fields, requested_at, verdict, rule, unknown, reason } =
            *case;
        let name = self.need("name", name, "text that says what is expected", text);
        if repo.is_none() && !has_default_repo {
            self.fault("`repo` is missing; give one, or one at the top for all cases");
        }
        let repo = if repo.is_some() { self.repo(repo) } else { defaults.repo.clone() };
        let now = self.time("now", now).unwrap_or(defaults.now);
        let user = user.and_then(|user| self.object(user, "`user`: ")).unwrap_or_default();
        let user = self.user(&user);
        let requested_at = self.time("requested_at", requested_at);
        let fields = fields.map(|fields| self.answers(fields)).unwrap_or_default();
        let request = AccessRequest { user, requested_at, fields, ..AccessRequest::default() };
        let verdict = self.need("verdict", verdict, A_VERDICT, value);
        let because = self.because(rule, unknown);
        if matches!(because, Because::Unknown(_)) && verdict.is_some_and(|verdict| verdict != Verdict::Hold) {
            self.fault("`unknown` is given, but what cannot be known is held: `verdict` is to be \"hold\"");
        }
        let told = match reason {
            None => Told::Any,
            Some(json) if json.get() == "null" => Told::Nothing,
            Some(_) => self.read("reason", reason, "text, or null", text).map_or(Told::Any, Told::Reason),
        };
        let expected = Expected { verdict: verdict?, because, told };
        Some(Case { name: name?, repo: repo?, now, request, expected })
    }

    fn because(&mut self, rule: Option<&RawValue>, unknown: Option<&RawValue>) -> Because {
        if rule.is_some() && unknown.is_some() {
            self.fault("`rule` and `unknown` are both given; one of them decides");
        }
        if let Some(unknown) = self.read("unknown", unknown, "the name of a rule", text) {
            return Because::Unknown(unknown);
        }
        match rule {
            None => Because::Any,
            Some(json) if json.get() == "null" => Because::NoRule,
            Some(_) => {
                let rule = self.read("rule", rule, "the name of a rule, or null if none is to match", text);
                rule.map_or(Because::Any, Because::Rule)
            }
        }
    }

    fn repo(&mut self, json: Option<&RawValue>) -> Option<Repo> {
        let name: String = self.read("repo", json, "text such as \"datasets/acme/corpus\"", value)?;
        match name.parse() {
            Ok(RepoPattern::One(repo)) => Some(repo),
            Ok(RepoPattern::Namespace { .. }) => {
                self.fault(&format!("`repo`: `{name}` is any of them; a case is about one"));
                None
            }
            Err(error) => {
                self.fault(&format!("`repo`: {error}"));
                None
            }
        }
    }

    /// A time in the years in which the Hub's are taken.
    fn time(&mut self, key: &str, json: Option<&RawValue>) -> Option<DateTime<Utc>> {
        self.read(key, json, A_TIME, |json| {
            let time = DateTime::parse_from_rfc3339(&value::<String>(json)?).ok()?.to_utc();
            (1..=9999).contains(&time.year()).then_some(time)
        })
    }

    fn user(&mut self, user: &WrittenUser) -> User {
        let WrittenUser { name, id, fullname, email, pro, verified_orgs, orgs } = *user;
        User {
            id: self.read("user.id", id, A_TEXT, text),
            name: self.read("user.name", name, A_TEXT, text),
            fullname: self.read("user.fullname", fullname, A_TEXT, text),
            email: self.read("user.email", email, A_TEXT, text),
            pro: self.read("user.pro", pro, "true or false", value),
            verified_orgs: self.read("user.verified_orgs", verified_orgs, "a list of names", value),
            orgs: self.read("user.orgs", orgs, "a list of names", value),
        }
    }

    fn answers(&mut self, json: &RawValue) -> BTreeMap<String, String> {
        let written: BTreeMap<String, Option<&RawValue>> =
            self.object(json, "`fields`: ").unwrap_or_default();
        let answers = written.into_iter().filter_map(|(label, answer)| {
            let key = format!("fields['{label}']");
            let answer = self.read(&key, answer, "text, as a rule sees every answer", value)?;
            Some((label, answer))
        });
        answers.collect()
    }
}

/// What is wrong, without the line: it would be counted from where the case begins.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let fault = text.rsplit_once(" at line ").map_or(&*text, |(fault, _)| fault);
    let hint = if fault.contains("`domain`") { "; the domain is that of `email`" } else { "" };
    format!("{fault}{hint}")
}
