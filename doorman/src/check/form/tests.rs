//! Problems of labels and comparisons, for forms of different kinds.

use super::*;

/// The problems of a rule that uses an answer in this way, for these forms.
fn problems_of(
    label: &str,
    may_be_absent: bool,
    compared_with: &[&str],
    forms: &[&[(&str, Question)]],
) -> Vec<(Level, String)> {
    let forms: Vec<(String, Form)> = forms
        .iter()
        .enumerate()
        .map(|(number, form)| {
            let form = form.iter().map(|(label, question)| ((*label).to_owned(), question.clone()));
            (format!("acme/{number}"), Form { questions: form.collect(), ..Form::default() })
        })
        .collect();
    let forms: Vec<(String, &Form)> = forms.iter().map(|(repo, form)| (repo.clone(), form)).collect();
    let compared_with = compared_with.iter().map(|text| (*text).to_owned()).collect();
    let mut used = answer_use(label);
    (used.may_be_absent, used.is_always_read, used.compared_with) =
        (may_be_absent, !may_be_absent, compared_with);
    problems(&used, &forms)
}

/// A rule that accepts, and reads the answer to this question.
fn answer_use(label: &str) -> AnswerUse {
    AnswerUse {
        rule: "r".into(),
        label: label.to_owned(),
        then: Verdict::Accept,
        is_skipped_without: false,
        may_be_absent: false,
        is_always_read: true,
        compared_with: BTreeSet::new(),
    }
}

#[test]
fn ways_round_a_rule_that_stops_are_warned_of() {
    let label = "Institution".to_owned();
    let required = Form { questions: [(label.clone(), Question::Text)].into(), ..Form::default() };
    let optional =
        Form { questions: required.questions.clone(), optional: [label].into(), ..Form::default() };
    let none = Form::default();
    let of = |used: &AnswerUse, forms: &[&Form]| {
        let forms: Vec<_> = forms.iter().map(|form| ("acme/model".to_owned(), *form)).collect();
        problems(used, &forms)
    };
    let stops = AnswerUse { then: Verdict::Hold, may_be_absent: true, ..answer_use("Institution") };
    let skipped = AnswerUse { is_skipped_without: true, ..stops.clone() };
    assert_one(&of(&skipped, &[&required]), Level::Warning, &["gets round the rule; remove the test"]);
    assert_eq!(of(&skipped, &[&optional]), []);
    assert_eq!(of(&skipped, &[&required, &none]), [], "one form does not ask it");
    assert_eq!(of(&AnswerUse { then: Verdict::Accept, ..skipped }, &[&required]), []);

    let compared = |with: &str| AnswerUse { compared_with: [with.to_owned()].into(), ..stops.clone() };
    let expected = ["'initech' gets round the rule", "`fields['Institution'].lowerAscii()` with 'initech'"];
    assert_one(&of(&compared("Initech"), &[&required]), Level::Warning, &expected);
    assert_eq!(of(&compared("initech"), &[&required]), []);
    assert_eq!(of(&AnswerUse { then: Verdict::Accept, ..compared("Initech") }, &[&required]), []);
}

fn select(options: &[&str]) -> Question {
    Question::Select(options.iter().map(|option| (*option).to_owned()).collect())
}

/// There is one problem, with this level and these texts.
#[track_caller]
fn assert_one(problems: &[(Level, String)], level: Level, texts: &[&str]) {
    assert!(problems.len() == 1 && problems[0].0 == level, "{problems:?}");
    for text in texts {
        assert!(problems[0].1.contains(text), "{text}: {problems:?}");
    }
}

#[test]
fn label_that_the_form_asks_is_no_problem() {
    let form =
        [("Country", Question::Country), ("Use", select(&["Research", "Other"])), ("Why", Question::Text)];
    assert_eq!(problems_of("Country", false, &["CH", "KP"], &[&form]), []);
    assert_eq!(problems_of("Use", false, &["Other"], &[&form]), []);
    assert_eq!(problems_of("Why", false, &["world peace"], &[&form]), []);
}

#[test]
fn label_that_no_form_asks_is_a_problem() {
    let form = [("Country", Question::Country), ("Affiliation", Question::Text)];
    let expected = ["reads fields['Contry']", "every request is held; did you mean `Country`?"];
    assert_one(&problems_of("Contry", false, &["CH"], &[&form]), Level::Failed, &expected);
    assert_one(
        &problems_of("country", true, &[], &[&form]),
        Level::Warning,
        &["never there; did you mean `Country`?"],
    );
    assert_one(
        &problems_of("Purpose", false, &[], &[&form]),
        Level::Failed,
        &["choose from `Affiliation`, `Country`"],
    );
    assert_one(&problems_of("Purpose", false, &[], &[&[]]), Level::Failed, &["every request is held"]);
}

#[test]
fn label_that_only_some_forms_ask_is_a_warning() {
    let with: &[_] = &[("Country", Question::Country)];
    let forms = [with, &[], &[], &[], &[], &[], &[]];
    let expected = ["the form of acme/1, acme/2, acme/3, acme/4, acme/5 and 1 more does not ask"];
    assert_one(&problems_of("Country", false, &[], &forms), Level::Warning, &expected);
    assert_eq!(problems_of("Country", true, &[], &forms), []);
}

#[test]
fn optional_answer_that_is_not_tested_for_is_a_warning() {
    let form = Form {
        questions: [("News".to_owned(), Question::Checkbox)].into(),
        optional: ["News".to_owned()].into(),
        unread: Vec::new(),
    };
    let check = |may_be_absent| {
        let used = AnswerUse { may_be_absent, is_always_read: !may_be_absent, ..answer_use("News") };
        problems(&used, &[("acme/0".to_owned(), &form)])
    };
    assert_one(
        &check(false),
        Level::Warning,
        &["may be left out in the form of acme/0", "`'News' in fields && …`"],
    );
    assert_eq!(check(true), []);
}

#[test]
fn label_is_only_a_warning_if_a_form_is_unread() {
    let form = Form {
        unread: vec!["`extra_gated_fields` is neither a map nor a list of maps".to_owned()],
        ..Form::default()
    };
    let problems = problems(&answer_use("Country"), &[("acme/0".to_owned(), &form)]);
    assert_one(&problems, Level::Warning, &["which no form asks as far as the forms could be read"]);
}

#[test]
fn option_that_the_question_does_not_have_is_a_failure() {
    let one = [("Use", select(&["Research", "Education"]))];
    let other = [("Use", select(&["Research", "Commerce"]))];
    assert_one(
        &problems_of("Use", false, &["Reserch"], &[&one]),
        Level::Failed,
        &["none of its options; did you mean `Research`?"],
    );
    assert_one(
        &problems_of("Use", false, &["War"], &[&one]),
        Level::Failed,
        &["choose from `Education`, `Research`"],
    );
    assert_eq!(problems_of("Use", false, &["Commerce", "Education"], &[&one, &other]), []);
}

#[test]
fn comparison_with_an_unlikely_answer_is_a_warning() {
    let form = [("Country", Question::Country), ("Agree", Question::Checkbox), ("Since", Question::Date)];
    for country in ["Switzerland", "ch", "CHE", ""] {
        assert_one(
            &problems_of("Country", false, &[country], &[&form]),
            Level::Warning,
            &["two capital letters"],
        );
    }
    assert_one(&problems_of("Agree", false, &["true"], &[&form]), Level::Warning, &["not documented"]);
    assert_one(&problems_of("Since", true, &["2026-01-01"], &[&form]), Level::Warning, &["not documented"]);
    assert_eq!(problems_of("Agree", true, &[], &[&form]), []);
}
