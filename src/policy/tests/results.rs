//! The result of each rule for a request, and the lists and names that a policy reports.

use super::*;
use crate::policy::RuleResult::{self, CannotBeEvaluated, DoesNotApply, DoesNotMatch, Excepted, Matches};

const POLICY: &str = r#"
rules = [
    { name = "matches", then = "accept", if = "user.pro" },
    { name = "does not match", then = "reject", if = "!user.pro" },
    { name = "excepted", then = "hold", if = "user.pro", unless = "vetted" },
    { name = "not excepted", then = "hold", if = "!user.pro", unless = "vetted" },
    { name = "error", then = "accept", if = "fields['Contry'] == 'CH'", unless = "!vetted" },
    { name = "elsewhere", then = "reject", if = "true", repos = ["acme/*"] },
    { name = "here", then = "hold", if = "true", repos = ["datasets/acme/*"] },
]
let = { vetted = "user.domain.under('acme.com')" }
"#;

fn results(policy: &Policy, request: &AccessRequest, repo: &Repo) -> Vec<RuleResult> {
    let results = policy.evaluate_rules(request, repo, at("2026-11-22T12:00:00Z"));
    assert!(results.iter().map(|(name, _)| *name).eq(policy.rule_names()), "{results:?}");
    results.into_iter().map(|(_, result)| result).collect()
}

#[test]
fn each_rule_has_a_result() {
    let policy = policy(POLICY);
    let missing = CannotBeEvaluated("the request has no `Contry`".to_owned());
    let mut expected = vec![Matches, DoesNotMatch, Excepted, DoesNotMatch, missing.clone(), Matches, Matches];
    assert_eq!(results(&policy, &ada(), &dataset()), expected);
    let model = Repo::new(RepoType::Model, "acme/model").expect("a name");
    expected[6] = DoesNotApply;
    assert_eq!(results(&policy, &ada(), &model), expected);
    let other = Repo::new(RepoType::Model, "other/model").expect("a name");
    expected[5] = DoesNotApply;
    assert_eq!(results(&policy, &ada(), &other), expected);
    assert_eq!(missing.to_string(), "could not be evaluated: the request has no `Contry`");
}

#[test]
fn no_rule_of_an_unreadable_request_is_evaluated() {
    let request = AccessRequest { unreadable: Some("why"), ..ada() };
    let policy = policy("rules = [{ name = \"all\", then = \"accept\", if = \"true\" }]");
    let unreadable = CannotBeEvaluated("the request is unreadable: why".to_owned());
    assert_eq!(results(&policy, &request, &dataset()), [unreadable]);
}

/// The decision follows from the results.
#[test]
fn decision_names_what_the_results_say() {
    let policy = policy(POLICY);
    let decision = decide(&policy, &ada());
    assert_eq!((decision.verdict, decision.grounds.rule()), (Verdict::Reject, Some("elsewhere")));
    assert_eq!(decision.excepted, ["excepted".into()]);
}

#[test]
fn lists_and_lets_can_be_counted() {
    let text = r#"
        lists = { one = ["a", " ", "b"], two = { file = "two.txt" }, three = { file = "three.txt" } }
        let = { vetted = "user.pro" }
        rules = [{ name = "r", then = "hold", if = "user.name in lists.one", unless = "vetted" }]"#;
    let read_file = |name: &str| match name {
        "two.txt" => Ok(b"# a comment\nx\ny\nz\n".to_vec()),
        _ => Err("it is not there".to_owned()),
    };
    let policy = Policy::parse_with_files(text, &read_file).expect("a policy");
    let unreadable = "`three.txt` cannot be read: it is not there";
    let mut lists: Vec<_> = policy.lists().collect();
    lists.sort_unstable();
    assert_eq!(lists, [("one", Ok(2)), ("three", Err(unreadable)), ("two", Ok(3))]);
    assert!(policy.let_names().eq(["vetted"]));
    let warnings = policy.warnings();
    let warnings = warnings.iter().filter(|warning| warning.is_unusable_list);
    let warnings: Vec<_> = warnings.map(ToString::to_string).collect();
    assert!(warnings.len() == 1 && warnings[0].contains(unreadable), "{warnings:?}");
}

#[test]
fn result_that_is_impossible_need_not_be_covered() {
    let policy = policy(
        r#"rules = [{ name = "plain", then = "hold", if = "user.pro" }, { name = "all", then = "hold", if = "true" },
            { name = "all but", then = "hold", if = "true", unless = "user.pro" }]"#,
    );
    let to_cover: Vec<_> = policy.results_to_cover().collect();
    let expected = [
        ("plain", vec![Matches, DoesNotMatch]),
        ("all", vec![Matches]),
        ("all but", vec![Matches, Excepted]),
    ];
    assert_eq!(to_cover, expected);
}

#[test]
fn file_of_a_list_is_in_the_folder_of_the_policy_or_below() {
    let policy = |file: &str| {
        let list = serde_json::json!({"lists": {"a": {"file": file}}, "rules": []}).to_string();
        Policy::parse_with_files(&list, &|_| Ok(b"x".to_vec()))
    };
    for file in ["a.txt", "./a.txt", "lists/a.txt", "lists/of.. 2026/a..txt", "ä b.csv"] {
        assert!(policy(file).is_ok(), "{file}");
    }
    for file in ["/etc/passwd", "../a.txt", "lists/../../a.txt", "..", "..\\a.txt", "C:\\a.txt", "\\\\x\\a"] {
        let faults = policy(file).expect_err(file);
        assert!(
            faults.len() == 1
                && faults[0].contains("list `a`: `file`: the file has to be in the folder of the policy"),
            "{file}: {faults:?}"
        );
    }
    let faults = policy(" ").expect_err("no name");
    assert!(
        faults[0].ends_with("list `a`: `file`: it is empty; name the file with the entries"),
        "{faults:?}"
    );
}

#[test]
fn schema_for_editors_is_ignored() {
    let json = r#"{"$schema": "policy.schema.json", "rules": []}"#;
    assert_eq!(decide(&policy(json), &ada()).verdict, Verdict::Hold);
    let faults = Policy::parse(&json.replace(r#""policy.schema.json""#, "7")).expect_err("no text");
    assert!(faults[0].contains("`$schema`: this is a number, but it has to be text"), "{faults:?}");
}
