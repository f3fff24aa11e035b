use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use hub_doorman::hub::{Form, Question};
use hub_doorman::model::Repo;
use hub_doorman::policy::Policy;

use super::draft::Draft;
use crate::check::form::problems;
use crate::test::{decide_all, parse_cases};

/// Labels and options that could break out of a literal, a comment or a name.
const NASTY: [&str; 28] = [
    "",
    " ",
    "Country",
    "country",
    "Date of birth",
    "I won't share it",
    "a \"b\" 'c'",
    "\\",
    "\\n",
    "a\nb",
    "\r\n",
    "'",
    "''",
    "'''",
    "\"",
    "\"\"\"",
    "\u{202e}abc",
    "\0",
    "\u{7f}",
    "é日本語🦀",
    "]}' in fields",
    "# [[rules]]",
    "' || true || '",
    "\u{feff}",
    "${x}",
    "{}",
    "Ｆｕｌｌ",
    "none of them",
];

fn now() -> DateTime<Utc> {
    "2026-11-22T12:00:00Z".parse().expect("a time")
}

fn repo() -> Repo {
    Repo::new(hub_doorman::model::RepoType::Dataset, "acme/scans").expect("a repo")
}

fn draft(form: &Form) -> Draft {
    Draft::of(&repo(), form, now())
}

fn parse(text: &str) -> Policy {
    Policy::parse(text).unwrap_or_else(|faults| panic!("{faults:?}\n{text}"))
}

/// The policy with all suggestions, as an owner would remove their `#`.
fn with_suggestions(policy: &str) -> String {
    let mut is_in_rule = false;
    let line = |line: &str| {
        is_in_rule = line == "# [[rules]]" || is_in_rule && !line.is_empty();
        let is_suggestion = is_in_rule || line.starts_with("# limits");
        line.strip_prefix("# ").filter(|_| is_suggestion).unwrap_or(line).to_owned() + "\n"
    };
    let text: String = policy.lines().map(line).collect();
    text.replace("\nrules = []\n", "\n")
}

/// A form whose labels and options are drawn from [`NASTY`].
fn any_form(random: &mut fastrand::Rng) -> Form {
    let mut form = Form::default();
    for _ in 0..random.usize(0..8) {
        let text =
            |random: &mut fastrand::Rng| (*random.choice(&NASTY).expect("a text")).repeat(random.usize(1..3));
        let options = (0..random.usize(1..4)).map(|_| text(random)).collect();
        let question = match random.u8(0..8) {
            0 | 1 => Question::Text,
            2 => Question::Checkbox,
            3 => Question::Date,
            4 => Question::Country,
            5 => Question::Select(options),
            6 => Question::IpLocation,
            _ => Question::Other("hologram".to_owned()),
        };
        let label = text(random);
        if random.u8(0..4) == 0 {
            form.optional.insert(label.clone());
        }
        form.questions.insert(label, question);
    }
    form
}

#[test]
fn draft_of_any_form_is_valid_and_passes_its_cases() {
    for seed in 0..300 {
        let form = any_form(&mut fastrand::Rng::with_seed(seed));
        let Draft { policy: text, cases } = draft(&form);
        let policy = parse(&text);
        assert_eq!(policy.warnings(), [], "{seed}: {text}");
        let forms = [(repo().to_string(), &form)];
        for used in policy.answers() {
            assert_eq!(problems(&used, &forms), [], "{seed}: {text}");
        }
        let cases = parse_cases(&cases, now()).unwrap_or_else(|fault| panic!("{seed}: {fault}: {cases}"));
        assert_eq!(cases.len(), policy.rules().count() + 1, "{seed}: each rule has a case");
        let mut out = Vec::new();
        let failed = decide_all(&policy, &cases, &mut out).expect("written");
        let out = String::from_utf8(out).expect("UTF-8");
        assert!(failed == 0 && !out.contains("note: "), "{seed}: {out}{text}");

        let all = parse(&with_suggestions(&text));
        assert_eq!(all.warnings(), [], "{seed}: {text}");
        assert_eq!(all.limits().accept, Some(100));
    }
}

#[test]
fn each_kind_of_question_has_its_rule() {
    let options = ["Research", "Don't know"].map(str::to_owned).to_vec();
    let questions = [
        ("Purpose", Question::Text),
        ("I agree", Question::Checkbox),
        ("Your Country", Question::Country),
        ("Date of birth", Question::Date),
        ("Since", Question::Date),
        ("Use", Question::Select(options)),
        ("News", Question::Checkbox),
        ("Phone", Question::Text),
        ("geo", Question::IpLocation),
    ];
    let questions: BTreeMap<String, Question> =
        questions.map(|(label, question)| (label.to_owned(), question)).into();
    let optional = BTreeSet::from(["News", "Phone"].map(str::to_owned));
    let text = draft(&Form { questions, optional, unread: Vec::new() }).policy;
    let rules = |text: &str| {
        parse(text).rules().map(|rule| format!("{} {}", rule.name, rule.then.as_str())).collect::<Vec<_>>()
    };
    let active = ["age-date-of-birth hold", "blank-purpose reset", "option-use hold", "not-ticked hold"];
    assert_eq!(rules(&text), active);
    let all = with_suggestions(&text);
    let suggested: Vec<String> = rules(&all).into_iter().filter(|rule| !active.contains(&&**rule)).collect();
    assert_eq!(suggested, ["academic accept", "age-since hold", "embargo-your-country reject"]);
    for line in [
        "default = \"hold\"\n",
        "if = \"fields['Purpose'].trim() == ''\"\nreason = \"Please answer “Purpose”, and ask again.\"\n",
        "if = \"!['I agree'].all(box, fields[box] in ['on', 'true', 'yes'])\"\n",
        "if = '''!(fields['Use'] in ['Research', \"Don't know\"])'''\n",
        "# if = \"fields['Your Country'] in ['KP']\"\n",
        "# - “Phone”: it may be left out\n",
        "# - “geo”: it is not documented what the Hub writes\n",
        " hf://datasets/acme/doorman/policy.toml\n",
    ] {
        assert!(text.contains(line), "{line} is not in:\n{text}");
    }
}

#[test]
fn question_with_a_rule_that_is_too_long_has_none() {
    let options = (0..120).map(|number| format!("University of Somewhere Else, Faculty {number}")).collect();
    let label = "A very long label. ".repeat(250);
    let mut questions: BTreeMap<String, Question> = [
        ("Name", Question::Text),
        ("University", Question::Select(options)),
        ("Use", Question::Other("select".to_owned())),
        (&label, Question::Checkbox),
    ]
    .map(|(label, question)| (label.to_owned(), question))
    .into();
    let form = Form { questions: questions.clone(), ..Form::default() };
    let text = draft(&form).policy;
    let names: Vec<_> = parse(&text).rule_names().map(str::to_owned).collect();
    assert_eq!(names, ["blank-name"]);
    for line in [
        "# - “University”: a rule with its label and options",
        "# - the boxes: a rule with",
        "# - “Use”: one of its",
    ] {
        assert!(text.contains(line), "{line} is not in:\n{text}");
    }
    questions.remove("Name");
    let text = draft(&Form { questions, ..Form::default() }).policy;
    assert_eq!(parse(&text).rules().count(), 0, "{text}");
}

#[test]
fn form_without_questions_gives_a_policy_without_rules() {
    let Draft { policy, cases } = draft(&Form::default());
    assert!(policy.contains("\nrules = []\n"), "{policy}");
    assert_eq!(parse(&policy).rules().count(), 0);
    assert_eq!(parse_cases(&cases, now()).expect("cases").len(), 1);
    assert_eq!(parse(&with_suggestions(&policy)).rules().count(), 1);
}
