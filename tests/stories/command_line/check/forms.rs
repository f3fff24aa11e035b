//! What the rules read, held against what the forms ask.

use serde_json::{Value, json};

use super::{Checked, check, form, ready, run};
use crate::command_line::policies::Written;

/// A policy of one rule with this condition.
fn policy(condition: &str) -> String {
    json!({"rules": [{"name": "only", "then": "accept", "if": condition}]}).to_string()
}

/// What `check` says of a policy with this condition where the form asks this.
async fn check_form(fields: Value, condition: &str) -> Checked {
    let hub = ready().await;
    hub.model().repo("acme/model").card = form(&fields);
    check(&hub, &[("APPROVAL_POLICY", &policy(condition))]).await
}

#[tokio::test]
async fn a_misspelt_label_is_told_with_the_right_one() {
    let asked = json!({"Country": "country", "Affiliation": "text"});
    let checked = check_form(asked.clone(), "fields['Contry'] == 'CH'").await;
    let expected = ["reads fields['Contry']", "no form asks", "everybody is held", "is `Country` meant?"];
    checked.only("failed", "rule `only`", &expected);

    let checked = check_form(asked.clone(), "'country' in fields && fields['country'] == 'CH'").await;
    checked.only("warning", "rule `only`", &["asks for fields['country']", "is `Country` meant?"]);

    for condition in ["user.pro && fields['Purpose'] == 'x'", "fields['Purpose'] == 'x' || user.pro"] {
        let checked = check_form(asked.clone(), condition).await;
        checked.only("warning", "rule `only`", &["reads fields['Purpose'], which no form asks", "whomever"]);
    }
    let checked = check_form(asked.clone(), "user.pro && fields['Contry'] == 'CH'").await;
    checked.only("failed", "rule `only`", &["is `Country` meant?"]);

    let checked = check_form(asked, "fields['Purpose'] != ''").await;
    checked.only("failed", "rule `only`", &["there is `Affiliation`, `Country`"]);

    check_form(json!({}), "fields['Purpose'] != ''").await.only("failed", "rule `only`", &["no form asks"]);
}

#[tokio::test]
async fn an_option_that_a_question_does_not_have_is_told_with_those_it_has() {
    let plain = json!({"Use": {"type": "select", "options": ["Research", "Education"]}});
    let options = json!(["Research", {"label": "At school", "value": "education"}]);
    let labelled = json!({"Use": {"type": "select", "options": options}});

    let checked = check_form(plain.clone(), "fields['Use'] == 'Reserch'").await;
    checked.only("failed", "rule `only`", &["with 'Reserch'", "none of its options", "is `Research` meant?"]);
    let checked = check_form(plain.clone(), "fields['Use'] in ['Research', 'War']").await;
    checked.only("failed", "rule `only`", &["with 'War'", "there is `Education`, `Research`"]);

    for condition in ["fields['Use'] == 'At school'", "fields['Use'] in ['education', 'Research']"] {
        let checked = check_form(labelled.clone(), condition).await;
        assert_eq!((checked.status, checked.wrong()), (0, Vec::new()), "{condition}");
    }
    let checked = check_form(labelled, "fields['Use'] == 'At scool'").await;
    checked.only("failed", "rule `only`", &["is `At school` meant?"]);
}

#[tokio::test]
async fn an_answer_that_is_written_in_another_way_is_a_warning() {
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
    checked.only("warning", "acme/model", &["its question `New` is of the kind `hologram`"]);
}

#[tokio::test]
async fn a_question_that_only_some_forms_ask_is_a_warning() {
    let hub = ready().await;
    hub.model().add("acme/bare");
    let repos = ("REPOS", "acme/model acme/bare");
    let checked = check(&hub, &[repos, ("APPROVAL_POLICY", &policy("fields['Country'] == 'CH'"))]).await;
    checked.only("warning", "rule `only`", &["the form of acme/bare does not ask", "holds everybody there"]);

    let guarded = policy("'Country' in fields && fields['Country'] == 'CH'");
    let checked = check(&hub, &[repos, ("APPROVAL_POLICY", &guarded)]).await;
    assert_eq!((checked.status, checked.wrong()), (0, Vec::new()));
}

#[tokio::test]
async fn a_policy_that_reads_no_answers_needs_no_form() {
    let hub = ready().await;
    hub.model().repo("acme/model").card = json!({});
    let checked = check(&hub, &[("APPROVAL_POLICY", &policy("user.domain == 'acme.com'"))]).await;
    assert_eq!((checked.status, checked.wrong()), (0, Vec::new()));
    assert!(!checked.findings.iter().any(|[_, about, _]| about == "the rules"), "{:?}", checked.findings);
    checked.says("passed", "APPROVAL_POLICY", &["1 rule"]);
}

#[tokio::test]
async fn a_policy_in_a_file_is_checked_instead_of_the_variable() {
    let hub = ready().await;
    let file = Written::new("check-policy.json", &policy("fields['Contry'] == 'CH'"));
    let ended = run(&hub, &[("APPROVAL_POLICY", "{")], &["--policy", file.path()]).await;
    let checked = Checked::of(&ended);
    checked.only("failed", "rule `only`", &["is `Country` meant?"]);
    checked.says("passed", file.path(), &["1 rule"]);

    let faulty = Written::new("check-faulty.json", &policy("usr.pro"));
    let checked = Checked::of(&run(&hub, &[], &["--policy", faulty.path()]).await);
    checked.only("failed", faulty.path(), &["usr"]);

    let checked = Checked::of(&run(&hub, &[], &["--policy", "not-there.json"]).await);
    checked.only("failed", "not-there.json", &["No such file"]);
}
