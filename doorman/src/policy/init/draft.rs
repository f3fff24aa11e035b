//! The draft of a policy for a form, and its cases. Pure, without I/O.

use std::collections::BTreeMap;
use std::fmt::Write;

use chrono::{DateTime, Months, Utc};
use hub_doorman::hub::{Form, Question};
use hub_doorman::model::{Repo, Verdict};
use hub_doorman::policy::Policy;
use serde_json::json;

use super::quote::{cel, quoted, toml};
use crate::screen::rfc3339;

/// The most UTF-16 code units of a label in a sentence. A reason has at most 200.
const MAX_LABEL: usize = 100;

/// The most characters of the part of a rule's name that is made from a label.
const MAX_NAME: usize = 40;

/// Why a question has no rule, if its label and options make the rule too long for a policy.
const TOO_LONG: &str = "a rule with its label and options would be too long";

/// A policy in TOML, and its cases in JSON.
#[derive(Debug)]
pub struct Draft {
    pub policy: String,
    pub cases: String,
}

/// A rule, or the suggestion of a rule.
struct DraftRule {
    /// What the rule does, in lines of a comment.
    comment: &'static [&'static str],
    name: String,
    then: Verdict,
    condition: String,
    reason: Option<String>,
    /// A label and an answer for which the rule matches. If there is none, the rule is a suggestion, and is commented out.
    matching: Option<(String, String)>,
}

impl Draft {
    /// Drafts a policy for a repo with this form. The cases are decided as of `now`.
    pub fn of(repo: &Repo, form: &Form, now: DateTime<Utc>) -> Self {
        let mut rules = vec![academic()];
        let mut without_rule = Vec::new();
        for (label, question) in &form.questions {
            match rule(label, question, form.optional.contains(label), now) {
                Ok(Some(rule)) if !rule.is_valid() => {
                    without_rule.push(format!("{}: {TOO_LONG}", quoted(label, MAX_LABEL)));
                }
                Ok(rule) => rules.extend(rule),
                Err(why) => without_rule.push(format!("{}: {why}", quoted(label, MAX_LABEL))),
            }
        }
        match ticked(form) {
            Some(rule) if !rule.is_valid() => without_rule.push(format!("the boxes: {TOO_LONG}")),
            rule => rules.extend(rule),
        }
        make_names_unique(&mut rules);
        Self { policy: policy(repo, &rules, &without_rule), cases: cases(repo, form, &rules, now) }
    }
}

/// The rule for a question, or why there is none. All checkboxes together have one rule, which is added last.
fn rule(
    label: &str,
    question: &Question,
    is_optional: bool,
    now: DateTime<Utc>,
) -> Result<Option<DraftRule>, &'static str> {
    match question {
        Question::Text | Question::Checkbox if is_optional => Err("it may be left out"),
        Question::Text => Ok(Some(text(label))),
        Question::Checkbox => Ok(None),
        Question::Date => Ok(Some(date(label, is_optional, now))),
        Question::Country => Ok(Some(country(label, is_optional))),
        Question::Select(options) => Ok(Some(select(label, options, is_optional))),
        Question::IpLocation => Err("it is not documented what the Hub writes"),
        Question::Other(kind) if kind == "select" => Err("one of its options cannot be read"),
        Question::Other(_) => Err("its kind is not documented"),
    }
}

fn field(label: &str) -> String {
    format!("fields[{}]", cel(label))
}

/// The beginning of a condition that reads an answer. Without it, the rule would hold each request without an optional answer.
fn guard(label: &str, is_optional: bool) -> String {
    if is_optional { format!("{} in fields && ", cel(label)) } else { String::new() }
}

fn text(label: &str) -> DraftRule {
    DraftRule {
        comment: &["Asks again if the answer is blank. You can ask for more: `size(….trim()) < 20`."],
        name: format!("blank-{}", slug(label)),
        then: Verdict::Reset,
        condition: format!("{}.trim() == ''", field(label)),
        reason: Some(format!("Please answer {}, and ask again.", quoted(label, MAX_LABEL))),
        matching: Some((label.to_owned(), " ".to_owned())),
    }
}

fn date(label: &str, is_optional: bool, now: DateTime<Utc>) -> DraftRule {
    let ten_years_ago = now.checked_sub_months(Months::new(120)).unwrap_or(now);
    let answer = ten_years_ago.format("%Y-%m-%d").to_string();
    DraftRule {
        comment: &[
            "Holds requesters under 18, if this is their date of birth. The Hub's form writes a date as YYYY-MM-DD. A date in",
            "another format is held.",
        ],
        name: format!("age-{}", slug(label)),
        then: Verdict::Hold,
        condition: format!("{}age({}) < 18", guard(label, is_optional), field(label)),
        reason: None,
        matching: is_birth(label).then(|| (label.to_owned(), answer)),
    }
}

fn country(label: &str, is_optional: bool) -> DraftRule {
    DraftRule {
        comment: &[
            "An embargo: name the countries as codes of two capital letters. A rejection is final, so use `hold` if a person",
            "should look.",
        ],
        name: format!("embargo-{}", slug(label)),
        then: Verdict::Reject,
        condition: format!("{}{} in ['KP']", guard(label, is_optional), field(label)),
        reason: Some("We cannot give access in your country.".to_owned()),
        matching: None,
    }
}

fn select(label: &str, options: &[String], is_optional: bool) -> DraftRule {
    let listed: Vec<String> = options.iter().map(|option| cel(option)).collect();
    let mut other = "none of them".to_owned();
    while options.contains(&other) {
        other.push('!');
    }
    DraftRule {
        comment: &[
            "Holds other answers than these options: a form does not limit what a requester can send. Remove the options that",
            "a person should look at.",
        ],
        name: format!("option-{}", slug(label)),
        then: Verdict::Hold,
        condition: format!("{}!({} in [{}])", guard(label, is_optional), field(label), listed.join(", ")),
        reason: None,
        matching: Some((label.to_owned(), other)),
    }
}

/// Whether a date is probably that of a birth.
fn is_birth(label: &str) -> bool {
    let label = label.to_lowercase();
    ["birth", "naissance", "geburt", "nacimiento", "nascimento", "nascita"]
        .iter()
        .any(|word| label.contains(word))
}

/// The suggestion of a rule that accepts.
fn academic() -> DraftRule {
    DraftRule {
        comment: &[
            "Accepts addresses of universities, by the usual endings. Remove the `#` to use it. Without a rule that accepts, each request",
            "waits for a person.",
        ],
        name: "academic".to_owned(),
        then: Verdict::Accept,
        condition: "user.domain.matches('[.](edu|(ac|edu)[.][a-z][a-z])$')".to_owned(),
        reason: None,
        matching: None,
    }
}

/// The rule for all checkboxes that the form requires.
fn ticked(form: &Form) -> Option<DraftRule> {
    let is_required = |(label, question): &(&String, &Question)| {
        **question == Question::Checkbox && !form.optional.contains(*label)
    };
    let labels: Vec<&String> = form.questions.iter().filter(is_required).map(|(label, _)| label).collect();
    let listed: Vec<String> = labels.iter().map(|label| cel(label)).collect();
    Some(DraftRule {
        comment: &[
            "Holds requests in which a box is not ticked. The Hub's form sends `on` for a ticked box. What the Hub stores is not",
            "documented, so the rule knows three spellings.",
        ],
        name: "not-ticked".to_owned(),
        then: Verdict::Hold,
        condition: format!("![{}].all(box, fields[box] in ['on', 'true', 'yes'])", listed.join(", ")),
        reason: None,
        matching: Some(((*labels.first()?).clone(), "off".to_owned())),
    })
}

/// The letters and digits of a label, for the name of a rule.
fn slug(label: &str) -> String {
    let mut slug = String::new();
    for c in label.chars() {
        match c {
            c if slug.len() < MAX_NAME && c.is_ascii_alphanumeric() => slug.push(c.to_ascii_lowercase()),
            _ if !slug.is_empty() && !slug.ends_with('-') && slug.len() < MAX_NAME => slug.push('-'),
            _ => {}
        }
    }
    let slug = slug.trim_end_matches('-');
    if slug.is_empty() { "question".to_owned() } else { slug.to_owned() }
}

/// Numbers the rules whose name is that of an earlier one.
fn make_names_unique(rules: &mut [DraftRule]) {
    let mut names: Vec<String> = Vec::new();
    for rule in rules {
        let (name, mut number) = (rule.name.clone(), 1);
        while names.contains(&rule.name) {
            number += 1;
            rule.name = format!("{name}-{number}");
        }
        names.push(rule.name.clone());
    }
}

fn policy(repo: &Repo, rules: &[DraftRule], without_rule: &[String]) -> String {
    let owner = repo.owner().unwrap_or("OWNER");
    let mut text = format!(
        "\
# A first policy for {repo}, from the questions of its form. It accepts nobody.
#
# 1. Read the rules and change them. Add rules that accept.
# 2. Test them:          doorman test --coverage policy.toml policy.cases.json
# 3. See what they do:   doorman plan --policy policy.toml {repo}
# 4. Keep it on the Hub: doorman policy push --create policy.toml hf://datasets/{owner}/doorman/policy.toml
#
# The strictest verdict wins: reject, reset, hold, accept. A rule whose answer is missing holds the request.

default = \"hold\"

# A brake: if a run would accept or reject more requests of a repo than this, it accepts or rejects none of them.
# limits = {{ accept = 100, reject = 10 }}
"
    );
    if rules.iter().all(|rule| rule.matching.is_none()) {
        text.push_str("\n# Remove the next line when you add a rule, also if you remove the `#` of one below.\nrules = []\n");
    }
    for rule in rules {
        rule.write(&mut text);
    }
    if !without_rule.is_empty() {
        text.push_str("\n# No rule reads these answers:\n");
        for line in without_rule {
            let _ = writeln!(text, "# - {line}");
        }
    }
    text
}

impl DraftRule {
    /// Whether a policy can have this rule.
    fn is_valid(&self) -> bool {
        let mut text = String::new();
        self.write(&mut text);
        self.matching.is_none() || Policy::parse(&text).is_ok()
    }

    fn write(&self, text: &mut String) {
        let Self { comment, name, then, condition, reason, matching } = self;
        text.push('\n');
        for line in *comment {
            let _ = writeln!(text, "# {line}");
        }
        let mut lines = vec![
            "[[rules]]".to_owned(),
            format!("name = {}", toml(name)),
            format!("then = {}", toml(then.as_str())),
            format!("if = {}", toml(condition)),
        ];
        lines.extend(reason.as_ref().map(|reason| format!("reason = {}", toml(reason))));
        let prefix = if matching.is_some() { "" } else { "# " };
        for line in lines {
            let _ = writeln!(text, "{prefix}{line}");
        }
    }
}

/// A case of a complete form, and a case for each rule.
fn cases(repo: &Repo, form: &Form, rules: &[DraftRule], now: DateTime<Utc>) -> String {
    let required = form.questions.iter().filter(|(label, _)| !form.optional.contains(*label));
    let answers: BTreeMap<&str, &str> =
        required.filter_map(|(label, question)| Some((label.as_str(), answer(question)?))).collect();
    let user = json!({"name": "ada", "email": "ada@example.org"});
    let mut cases = vec![json!({
        "name": "a complete form waits for a person", "user": user, "fields": answers, "verdict": "hold", "rule": null,
    })];
    for DraftRule { name, then, reason, matching, .. } in rules {
        let Some((label, answer)) = matching else { continue };
        let mut fields = answers.clone();
        fields.insert(label, answer);
        let shown = if answer.is_empty() { "an empty answer".to_owned() } else { quoted(answer, MAX_LABEL) };
        let mut case = json!({
            "name": format!("{name}: {shown}"), "user": user, "fields": fields, "verdict": then, "rule": name,
        });
        if let Some(reason) = reason {
            case["reason"] = json!(reason);
        }
        cases.push(case);
    }
    let now = rfc3339(now);
    format!("{:#}\n", json!({"repo": repo.to_string(), "now": now, "cases": cases}))
}

/// An answer that no rule stops.
fn answer(question: &Question) -> Option<&str> {
    match question {
        Question::Text => Some("An answer of several words."),
        Question::Checkbox => Some("on"),
        Question::Date => Some("1990-01-01"),
        Question::Country => Some("CH"),
        Question::Select(options) => options.first().map(String::as_str),
        Question::IpLocation | Question::Other(_) => None,
    }
}
