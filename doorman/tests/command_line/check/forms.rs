//! `check` compares the fields that the rules read with those of the gate forms.

use serde_json::{Value, json};

use super::{CheckResult, check, form, ready, run};
use crate::doorman_in;
use crate::policies::TempFile;

/// A policy of one rule with this condition. It holds, because a rule that accepts may get warnings.
fn policy(condition: &str) -> String {
    json!({"rules": [{"name": "only", "then": "hold", "if": condition}]}).to_string()
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
    hub.model().repo("acme/model").card = form(&json!({"Country": "country"}));
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

#[tokio::test]
async fn labels_are_compared_with_the_forms_of_the_repos_of_the_rule() {
    let hub = ready().await;
    hub.model().repo("acme/model").card = form(&json!({"Country": "country"}));
    hub.model().add("acme/bare");
    let rule = |repos: Value| {
        json!({"rules": [
            {"name": "only", "then": "accept", "if": "fields['Country'] == 'CH'", "repos": repos}]})
        .to_string()
    };
    let repos = ("REPOS", "acme/model acme/bare");
    let checked = check(&hub, &[repos, ("APPROVAL_POLICY", &rule(json!(["acme/model"])))]).await;
    assert_eq!((checked.status, checked.wrong()), (0, Vec::new()));
    let checked = check(&hub, &[repos, ("APPROVAL_POLICY", &rule(json!(["acme/bare"])))]).await;
    checked.only("failed", "rule `only`", &["reads fields['Country'], which no form asks"]);
    let checked = check(&hub, &[repos, ("APPROVAL_POLICY", &rule(json!(["acme/*"])))]).await;
    checked.only("warning", "rule `only`", &["the form of acme/bare does not ask"]);
}

#[tokio::test]
async fn rule_for_repos_that_are_not_covered_is_a_warning() {
    let hub = ready().await;
    let policy = json!({"rules": [
        {"name": "only", "then": "accept", "if": "fields['Contry'] == 'CH'", "repos": ["acme/modle"]}]});
    let variables = [("APPROVAL_POLICY", &*policy.to_string())];
    let checked = check(&hub, &variables).await;
    checked.only(
        "warning",
        "rule `only`",
        &["`acme/modle` in its `repos` names none of the checked repos; did you mean `acme/model`?"],
    );
    // The rule may be for other repos than those of an argument, but not for others in a namespace.
    let checked = CheckResult::of(&run(&hub, &variables, &["acme/model"]).await);
    assert_eq!((checked.status, checked.wrong()), (0, Vec::new()));
    let checked = CheckResult::of(&run(&hub, &variables, &["acme/*"]).await);
    checked.says("warning", "rule `only`", &["did you mean `acme/model`?"]);
}

#[tokio::test]
async fn each_pattern_of_a_rule_names_a_checked_repo() {
    let hub = ready().await;
    hub.model().add("datasets/acme/corpus");
    let policy = json!({"rules": [{"name": "only", "then": "hold", "if": "user.pro",
        "repos": ["acme/model", "acme/corpus"]}]});
    let variables = [("APPROVAL_POLICY", &*policy.to_string()), ("REPOS", "acme/model datasets/acme/corpus")];
    check(&hub, &variables).await.says(
        "warning",
        "rule `only`",
        &["`acme/corpus` in its `repos` names none", "did you mean `datasets/acme/corpus`?"],
    );
}

#[tokio::test]
async fn contents_and_warnings_of_the_policy_are_findings() {
    let hub = ready().await;
    let list = TempFile::new("check-list.txt", "ada\ngrace\n");
    let file = list.path().rsplit('/').next().expect("a name");
    let policy = json!({
        "lists": {"colleagues": {"file": file}, "guests": ["eve"]},
        "let": {"known": "user.name in lists.colleagues || user.name in lists.guests"},
        "rules": [{"name": "known", "then": "accept", "if": "known"},
                  {"name": "acme", "then": "accept", "if": "user.domain.endsWith('acme.com')"}]});
    let policy = TempFile::new("check-list.json", &policy.to_string());
    let checked = CheckResult::of(&run(&hub, &[], &["--policy", policy.path()]).await);
    checked.only("warning", "rule `acme`", &["`evilacme.com`", "user.domain.under('acme.com')"]);
    assert_eq!(
        checked.text(policy.path()),
        "2 rules, 1 expression under `let`, list `colleagues` with 2 entries, list `guests` with 1 entry"
    );
}

#[tokio::test]
async fn list_that_cannot_be_read_fails_the_check_and_is_reported() {
    let hub = ready().await;
    let policy = json!({"lists": {"colleagues": {"file": "not-there.txt"}},
        "rules": [{"name": "known", "then": "accept", "if": "user.name in lists.colleagues"}]});
    let policy = policy.to_string();
    let checked = check(&hub, &[("APPROVAL_POLICY", &policy)]).await;
    let why = "`not-there.txt` cannot be read: No such file";
    checked.only("failed", "list `colleagues`", &[why]);
    assert_eq!(checked.text("APPROVAL_POLICY"), "1 rule, list `colleagues`, which cannot be read");

    for command in [["plan", "acme/model"], ["review", "acme/model"]] {
        let result = doorman_in(&hub, &[("APPROVAL_POLICY", &policy)], &command).await;
        assert_eq!(result.status, 0, "{}", result.err);
        assert!(result.err.contains(&format!("doorman: list `colleagues`: {why}")), "{}", result.err);
    }
}

/// The current directory of this process is that of its package.
#[tokio::test]
async fn list_of_the_variable_is_read_from_the_current_directory() {
    let hub = ready().await;
    let policy = json!({"lists": {"here": {"file": "Cargo.toml"}},
        "rules": [{"name": "known", "then": "accept", "if": "user.pro && 'ada' in lists.here"}]});
    let checked = check(&hub, &[("APPROVAL_POLICY", &policy.to_string())]).await;
    checked.says("passed", "APPROVAL_POLICY", &["1 rule, list `here` with ", " entries"]);
    assert_eq!(checked.status, 0);
}

#[tokio::test]
async fn plan_prints_all_warnings_but_review_only_unreadable_lists() {
    let hub = ready().await;
    let policy = json!({"rules": [{"name": "all", "then": "accept", "if": "true"}]}).to_string();
    for (command, is_shown) in [("plan", true), ("review", false)] {
        let result = doorman_in(&hub, &[("APPROVAL_POLICY", &policy)], &[command, "acme/model"]).await;
        let warning = "doorman: rule `all`: it accepts everybody";
        assert_eq!(result.err.contains(warning), is_shown, "{command}: {}", result.err);
    }
}
