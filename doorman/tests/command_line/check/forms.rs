//! `check` compares the fields that the rules read with those of the gate forms.

use serde_json::{Value, json};

use super::{CheckResult, check, form, ready, run};
use crate::policies::TempFile;

/// A policy of one rule with this condition.
fn policy(condition: &str) -> String {
    json!({"rules": [{"name": "only", "then": "accept", "if": condition}]}).to_string()
}

/// Runs `check` with a policy of this condition and a form with these fields.
async fn check_form(fields: Value, condition: &str) -> CheckResult {
    let hub = ready().await;
    hub.model().repo("acme/model").card = form(&fields);
    check(&hub, &[("APPROVAL_POLICY", &policy(condition))]).await
}

#[tokio::test]
async fn misspelt_label_suggests_the_right_one() {
    let asked = json!({"Country": "country", "Affiliation": "text"});
    let checked = check_form(asked.clone(), "fields['Contry'] == 'CH'").await;
    let expected =
        ["reads fields['Contry']", "no form asks", "every request is held", "did you mean `Country`?"];
    checked.only("failed", "rule `only`", &expected);

    let checked = check_form(asked.clone(), "'country' in fields && fields['country'] == 'CH'").await;
    checked.only("warning", "rule `only`", &["tests for fields['country']", "did you mean `Country`?"]);

    for condition in ["user.pro && fields['Purpose'] == 'x'", "fields['Purpose'] == 'x' || user.pro"] {
        let checked = check_form(asked.clone(), condition).await;
        checked.only(
            "warning",
            "rule `only`",
            &["reads fields['Purpose'], which no form asks", "if the verdict depends on it"],
        );
    }
    let checked = check_form(asked.clone(), "user.pro && fields['Contry'] == 'CH'").await;
    checked.only("failed", "rule `only`", &["did you mean `Country`?"]);

    let checked = check_form(asked, "fields['Purpose'] != ''").await;
    checked.only("failed", "rule `only`", &["choose from `Affiliation`, `Country`"]);

    check_form(json!({}), "fields['Purpose'] != ''").await.only("failed", "rule `only`", &["no form asks"]);
}

#[tokio::test]
async fn unknown_option_shows_the_options_of_the_form() {
    let plain = json!({"Use": {"type": "select", "options": ["Research", "Education"]}});
    let options = json!(["Research", {"label": "At school", "value": "education"}]);
    let labelled = json!({"Use": {"type": "select", "options": options}});

    let checked = check_form(plain.clone(), "fields['Use'] == 'Reserch'").await;
    checked.only(
        "failed",
        "rule `only`",
        &["with 'Reserch'", "none of its options", "did you mean `Research`?"],
    );
    let checked = check_form(plain.clone(), "fields['Use'] in ['Research', 'War']").await;
    checked.only("failed", "rule `only`", &["with 'War'", "choose from `Education`, `Research`"]);

    for condition in ["fields['Use'] == 'At school'", "fields['Use'] in ['education', 'Research']"] {
        let checked = check_form(labelled.clone(), condition).await;
        assert_eq!((checked.status, checked.wrong()), (0, Vec::new()), "{condition}");
    }
    let checked = check_form(labelled, "fields['Use'] == 'At scool'").await;
    checked.only("failed", "rule `only`", &["did you mean `At school`?"]);
}

#[tokio::test]
async fn answer_in_another_format_is_a_warning() {
    let asked = json!({"Country": "country", "Agree": "checkbox", "Since": {"type": "date_picker"}});
    let checked = check_form(asked.clone(), "fields['Country'] == 'Switzerland'").await;
    checked.only("warning", "rule `only`", &["with 'Switzerland'", "two capital letters"]);
    let checked = check_form(asked.clone(), "fields['Agree'] == 'yes'").await;
    checked.only("warning", "rule `only`", &["not documented", "`doorman list`"]);
    let checked = check_form(asked.clone(), "fields['Since'] == '2026-01-01'").await;
    checked.only("warning", "rule `only`", &["not documented"]);
    let checked = check_form(asked, "fields['Country'] == 'CH'").await;
    assert_eq!((checked.status, checked.wrong()), (0, Vec::new()));
    let checked = check_form(json!({"New": "hologram"}), "fields['New'] == 'blue'").await;
    checked.only("warning", "acme/model", &["its question `New` has the unknown kind `hologram`"]);
}

#[tokio::test]
async fn question_of_only_some_forms_is_a_warning() {
    let hub = ready().await;
    hub.model().add("acme/bare");
    let repos = ("REPOS", "acme/model acme/bare");
    let checked = check(&hub, &[repos, ("APPROVAL_POLICY", &policy("fields['Country'] == 'CH'"))]).await;
    checked.only(
        "warning",
        "rule `only`",
        &["the form of acme/bare does not ask", "holds every request there"],
    );

    let guarded = policy("'Country' in fields && fields['Country'] == 'CH'");
    let checked = check(&hub, &[repos, ("APPROVAL_POLICY", &guarded)]).await;
    assert_eq!((checked.status, checked.wrong()), (0, Vec::new()));
}

#[tokio::test]
async fn policy_that_reads_no_answers_needs_no_form() {
    let hub = ready().await;
    hub.model().repo("acme/model").card = json!({});
    let checked = check(&hub, &[("APPROVAL_POLICY", &policy("user.domain == 'acme.com'"))]).await;
    assert_eq!((checked.status, checked.wrong()), (0, Vec::new()));
    assert!(!checked.findings.iter().any(|[_, about, _]| about == "the rules"), "{:?}", checked.findings);
    checked.says("passed", "APPROVAL_POLICY", &["1 rule"]);
}

#[tokio::test]
async fn policy_file_is_checked_instead_of_the_variable() {
    let hub = ready().await;
    let file = TempFile::new("check-policy.json", &policy("fields['Contry'] == 'CH'"));
    let result = run(&hub, &[("APPROVAL_POLICY", "{")], &["--policy", file.path()]).await;
    let checked = CheckResult::of(&result);
    checked.only("failed", "rule `only`", &["did you mean `Country`?"]);
    checked.says("passed", file.path(), &["1 rule"]);

    let faulty = TempFile::new("check-faulty.json", &policy("usr.pro"));
    let checked = CheckResult::of(&run(&hub, &[], &["--policy", faulty.path()]).await);
    checked.only("failed", faulty.path(), &["usr"]);

    let checked = CheckResult::of(&run(&hub, &[], &["--policy", "not-there.json"]).await);
    checked.only("failed", "not-there.json", &["No such file"]);
}
