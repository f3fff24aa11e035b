//! The file of cases: requests, and the decision that each must get.
//!
//! ```json
//! {"repo": "datasets/acme/corpus", "now": "2026-11-22T12:00:00Z", "cases": [
//!   {"name": "staff get in", "user": {"email": "ada@acme.com"}, "fields": {"Country": "GB"}, "verdict": "accept"}
//! ]}
//! ```
//!
//! `examples/policies/README.md` explains each key.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use chrono::{DateTime, Datelike, Utc};
use hub_doorman::model::{AccessRequest, Repo, RepoPattern, User, Verdict};
use serde::{Deserialize, Deserializer};

/// The hint after a fault of the file as a whole.
const EXAMPLE: &str = r#"; a file of cases looks like {"repo": "acme/model", "cases": [{"name": …, "user": {"email": …}, "verdict": …}]}"#;

/// A request and the expected decision.
#[derive(Debug)]
pub struct Case {
    pub name: String,
    pub repo: Repo,
    pub now: DateTime<Utc>,
    pub request: AccessRequest,
    pub expected: Expected,
}

/// The parts of a decision that a case expects.
#[derive(Debug)]
pub struct Expected {
    pub verdict: Verdict,
    pub grounds: ExpectedGrounds,
    /// This rule cannot be evaluated, because a value is missing. [`ExpectedGrounds::Rule`] is different, so that a case of a rule
    /// that holds does not pass if the rule has a misspelt label.
    pub unknown: Option<String>,
    /// The `unless` of exactly these rules applies.
    pub excepted: Option<BTreeSet<String>>,
    pub reason: ExpectedReason,
}

/// The grounds that a case expects.
#[derive(Debug)]
pub enum ExpectedGrounds {
    Any,
    NoRule,
    /// This rule matches.
    Rule(String),
}

/// The reason that a case expects.
#[derive(Debug)]
pub enum ExpectedReason {
    Any,
    None,
    Reason(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with the key `cases`")]
struct CasesFile {
    repo: Option<RepoName>,
    now: Option<Time>,
    cases: Vec<CaseEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a case, which is an object")]
struct CaseEntry {
    name: Text,
    repo: Option<RepoName>,
    now: Option<Time>,
    user: Option<UserEntry>,
    fields: Option<BTreeMap<String, Option<String>>>,
    requested_at: Option<Time>,
    verdict: Verdict,
    #[serde(default)]
    rule: NullOrText,
    unknown: Option<Text>,
    excepted: Option<BTreeSet<String>>,
    #[serde(default)]
    reason: NullOrText,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a user, which is an object")]
struct UserEntry {
    name: Option<Text>,
    id: Option<Text>,
    fullname: Option<Text>,
    email: Option<Text>,
    pro: Option<bool>,
    verified_orgs: Option<Vec<String>>,
    orgs: Option<Vec<String>>,
    service_account: Option<Text>,
}

/// A text that is not blank. The Hub treats an empty text as missing.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Text(String);

impl TryFrom<String> for Text {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.trim().is_empty() { Err("the text is empty") } else { Ok(Self(text)) }
    }
}

/// A time in the years 1 to 9999, as the Hub's times are.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
struct Time(DateTime<Utc>);

impl TryFrom<String> for Time {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let time = DateTime::parse_from_rfc3339(&text).ok().map(|time| time.to_utc());
        time.filter(|time| (1..=9999).contains(&time.year()))
            .map(Self)
            .ok_or_else(|| format!("`{text}` is not a time such as `2026-11-22T12:00:00Z`"))
    }
}

#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
struct RepoName(Repo);

impl TryFrom<String> for RepoName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        match name.parse() {
            Ok(RepoPattern::One(repo)) => Ok(Self(repo)),
            Ok(RepoPattern::Namespace { .. }) => {
                Err(format!("`{name}` stands for many repos; name one, such as `datasets/acme/corpus`"))
            }
            Err(error) => Err(error.to_string()),
        }
    }
}

/// The value of a key for which `null` has a meaning of its own.
#[derive(Default)]
enum NullOrText {
    #[default]
    Missing,
    Null,
    Text(String),
}

impl<'de> Deserialize<'de> for NullOrText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Option::deserialize(deserializer)?;
        Ok(text.map_or(Self::Null, |Text(text)| Self::Text(text)))
    }
}

/// Parses a file of cases. The error is the first fault: the path of the key, what is wrong, and the line and column. If a
/// case has no time, the time of the file is used. If the file has none either, `now` is used.
pub fn parse(json: &str, now: DateTime<Utc>) -> Result<Vec<Case>, String> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let file: CasesFile = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let hint = match error.path().to_string() {
            path if path.ends_with(".user.domain") => "; the domain is that of `email`",
            path if path == "." => EXAMPLE,
            _ => "",
        };
        format!("{error}{hint}")
    })?;
    deserializer.end().map_err(|error| error.to_string())?;
    let CasesFile { repo, now: time, cases } = file;
    if cases.is_empty() {
        return Err("cases: the list is empty, so nothing is tested; write a case for each rule".to_owned());
    }
    let now = time.unwrap_or(Time(now));
    let mut names = HashSet::new();
    let case = |(index, entry): (usize, CaseEntry)| {
        if names.insert(entry.name.0.clone()) {
            entry.into_case(repo.as_ref(), now)
        } else {
            Err(format!("name: `{}` is the name of another case; give each case its own name", entry.name.0))
        }
        .map_err(|fault| format!("cases[{index}].{fault}"))
    };
    cases.into_iter().enumerate().map(case).collect()
}

impl CaseEntry {
    /// Makes a case of this entry. The repo and the time of the file are used if the entry has none.
    fn into_case(self, file_repo: Option<&RepoName>, file_now: Time) -> Result<Case, String> {
        let Self { name, repo, now, user, fields, requested_at, verdict, rule, unknown, excepted, reason } =
            self;
        let Some(RepoName(repo)) = repo.or_else(|| file_repo.cloned()) else {
            return Err("repo: missing; name a repo here, or at the top for all cases".to_owned());
        };
        if unknown.is_some() && matches!(rule, NullOrText::Null) {
            let fault = "unknown: given together with `rule: null`, but a rule that cannot be evaluated counts as a rule that holds";
            return Err(fault.to_owned());
        }
        if unknown.is_some() && verdict == Verdict::Accept {
            let fault = "verdict: `accept`, but a rule that cannot be evaluated (`unknown`) holds the request, unless a stricter rule \
                         matches";
            return Err(fault.to_owned());
        }
        let grounds = match rule {
            NullOrText::Missing => ExpectedGrounds::Any,
            NullOrText::Null => ExpectedGrounds::NoRule,
            NullOrText::Text(rule) => ExpectedGrounds::Rule(rule),
        };
        let unknown = unknown.map(|Text(rule)| rule);
        let reason = match reason {
            NullOrText::Missing => ExpectedReason::Any,
            NullOrText::Null => ExpectedReason::None,
            NullOrText::Text(reason) => ExpectedReason::Reason(reason),
        };
        let answers = fields.unwrap_or_default().into_iter();
        let request = AccessRequest {
            user: user.unwrap_or_default().into(),
            requested_at: requested_at.map(|Time(time)| time),
            fields: answers.filter_map(|(label, answer)| Some((label, answer?))).collect(),
            ..AccessRequest::default()
        };
        let Time(now) = now.unwrap_or(file_now);
        let expected = Expected { verdict, grounds, unknown, excepted, reason };
        Ok(Case { name: name.0, repo, now, request, expected })
    }
}

impl From<UserEntry> for User {
    fn from(entry: UserEntry) -> Self {
        let UserEntry { name, id, fullname, email, pro, verified_orgs, orgs, service_account } = entry;
        let [id, name, fullname, email] = [id, name, fullname, email].map(|text| text.map(|Text(text)| text));
        // Most users are persons.
        let service_account = Some(service_account.map(|Text(org)| org).unwrap_or_default());
        Self { id, name, fullname, email, pro, verified_orgs, orgs, service_account }
    }
}
