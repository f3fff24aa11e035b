//! Tests of `doorman test` with the example policies and with faulty ones, and of the commands that need no Hub: help and
//! completions.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process;

use serde_json::json;

use crate::hub::Hub;
use crate::support::POLICY;
use crate::{CommandResult, doorman_in};

/// A temporary file. The file is removed when the value is dropped.
pub struct TempFile(PathBuf);

impl TempFile {
    /// The name must be unique among all tests.
    pub fn new(name: &str, text: &str) -> Self {
        let name = format!("{}-{name}", process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::write(&path, text).expect("written");
        Self(path)
    }

    pub fn path(&self) -> &str {
        self.0.to_str().expect("UTF-8")
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

const COMMANDS: [&str; 18] = [
    "demo",
    "plan",
    "review",
    "backtest",
    "list",
    "accept",
    "reject",
    "cancel",
    "reset",
    "grant",
    "revoke",
    "export",
    "check",
    "test",
    "policy",
    "deploy",
    "webhook",
    "completions",
];

const WEBHOOK_COMMANDS: [&str; 5] = ["list", "create", "enable", "disable", "delete"];

const POLICY_COMMANDS: [&str; 5] = ["init", "show", "diff", "push", "schema"];

/// Runs `doorman` without a token and without a policy, and asserts that it makes no call.
async fn run_without_token(arguments: &[&str]) -> CommandResult {
    let hub = Hub::start().await;
    let result = doorman_in(&hub, &[("HF_TOKEN", ""), ("APPROVAL_POLICY", "")], arguments).await;
    assert_eq!(hub.calls(), [""; 0], "{arguments:?}");
    result
}

/// Runs `test` with a policy and cases. Both files are called `name`.
async fn test(name: &str, policy: &str, cases: &str) -> CommandResult {
    let policy = TempFile::new(&format!("{name}.json"), policy);
    let cases = TempFile::new(&format!("{name}.cases.json"), cases);
    run_without_token(&["test", policy.path(), cases.path()]).await
}

const CASES: &str = r#"{"repo": "acme/model", "cases": [
    {"name": "staff get in", "user": {"name": "ada", "email": "ada@acme.com"}, "verdict": "accept", "rule": "staff"},
    {"name": "strangers are held", "user": {"name": "eve", "email": "eve@example.org"}, "verdict": "hold", "rule": null}]}"#;

#[tokio::test]
async fn every_example_policy_passes_its_cases() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/policies");
    let files = fs::read_dir(directory).expect("a directory").map(|file| file.expect("a file").path());
    let mut examples = 0;
    for path in files {
        let policy = path.to_str().expect("UTF-8");
        let kind = path.extension().and_then(OsStr::to_str).unwrap_or_default();
        if !matches!(kind, "json" | "toml") || policy.ends_with(".cases.json") {
            continue;
        }
        // The cases are beside the policy.
        let result = run_without_token(&["test", "--coverage", policy]).await;
        let (out, err) = (&result.out, &result.err);
        assert_eq!(result.status, 0, "{policy}: {out}{err}");
        assert!(!out.contains("note: "), "{policy}: {out}");
        examples += 1;
    }
    assert!(examples >= 9, "only {examples} examples were found");
}

#[tokio::test]
async fn wrong_decision_fails_and_shows_the_expected_one() {
    let result = test("as-expected", POLICY, CASES).await;
    let expected = "note: no case is decided by `embargo`, `vague`\n2 cases: 2 as expected\n";
    assert_eq!((result.status, &*result.out, &*result.err), (0, expected, ""));

    let result = test("otherwise", &POLICY.replace("acme.com", "acme.org"), CASES).await;
    let expected = "failed: staff get in\n    expected accept: rule `staff`\n    got      hold: no rule matched\n\
                    note: no case is decided by `embargo`, `vague`, `staff`\n2 cases: 1 as expected, 1 not\n";
    assert_eq!((result.status, &*result.out), (1, expected), "{}", result.err);
}

/// A policy with a list in a file beside it.
fn policy_with_list(name: &str) -> (TempFile, TempFile) {
    let list = TempFile::new(&format!("{name}.txt"), "# colleagues\nada\nGrace\n");
    let file = Path::new(list.path()).file_name().and_then(OsStr::to_str).expect("a name");
    let policy = format!(
        r#"
lists.colleagues = {{ file = "{file}" }}
rules = [
    {{ name = "free-mail", then = "reset", if = "user.domain == 'gmail.com'", unless = "user.name in lists.colleagues", reason = "No." }},
    {{ name = "staff", then = "accept", if = "user.name in lists.colleagues" }},
]"#
    );
    (TempFile::new(&format!("{name}.toml"), &policy), list)
}

const COLLEAGUE: &str = r#"{"name": "a colleague", "user": {"name": "grace", "email": "g@gmail.com"}, "verdict": "accept", "excepted": ["free-mail"]}"#;

#[tokio::test]
async fn result_of_a_rule_without_a_case_is_not_covered() {
    let (policy, _list) = policy_with_list("coverage");
    let cases =
        TempFile::new("coverage.cases.json", &format!(r#"{{"repo": "acme/model", "cases": [{COLLEAGUE}]}}"#));
    let arguments = ["test", "--coverage", policy.path(), cases.path()];
    let result = run_without_token(&arguments).await;
    let expected = "note: no case is decided by `free-mail`\n1 case: 1 as expected\n\
                    free-mail\tno case\tno case\t1\nstaff\t1\tno case\t-\n";
    assert_eq!((result.status, &*result.out), (1, expected), "{}", result.err);
    assert_eq!(result.err, "the cases cover 0 of 2 rules\n");
    let result = run_without_token(&["test", policy.path(), cases.path()]).await;
    assert_eq!((result.status, &*result.err), (0, ""), "{}", result.out);

    let others = r#"{"name": "others", "user": {"name": "eve", "email": "e@gmail.com"}, "verdict": "reset", "excepted": []},
        {"name": "the rest", "user": {"name": "eve", "email": "e@epfl.ch"}, "verdict": "hold"}"#;
    let cases = TempFile::new(
        "coverage.more.json",
        &format!(r#"{{"repo": "acme/model", "cases": [{COLLEAGUE}, {others}]}}"#),
    );
    let result = run_without_token(&["test", "--coverage", policy.path(), cases.path()]).await;
    let expected = "3 cases: 3 as expected\nfree-mail\t1\t1\t1\nstaff\t1\t2\t-\n";
    assert_eq!((result.status, &*result.out), (0, expected), "{}", result.err);
    assert_eq!(result.err, "the cases cover 2 of 2 rules\n");
}

#[tokio::test]
async fn covered_rules_do_not_hide_a_failed_case() {
    let policy = r#"rules = [{ name = "all", then = "accept", if = "true" }]"#;
    let policy = TempFile::new("covered.toml", policy);
    let cases = r#"{"repo": "acme/model", "cases": [{"name": "a", "verdict": "hold"}]}"#;
    let cases = TempFile::new("covered.cases.json", cases);
    let result = run_without_token(&["test", "--coverage", policy.path(), cases.path()]).await;
    assert_eq!((result.status, &*result.err), (1, "the cases cover 1 of 1 rule\n"), "{}", result.out);
}

#[tokio::test]
async fn schema_of_policies_is_printed() {
    let schema = run_without_token(&["policy", "schema"]).await.json();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema["required"], json!(["rules"]));
    let help = run_without_token(&["policy", "schema", "--help"]).await.out();
    assert!(help.contains("\n  #:schema policy.schema.json"), "{help}");
}

#[tokio::test]
async fn faulty_policy_and_faulty_cases_are_named() {
    let rule = r#"{"rules": [{"name": "a", "then": "accept", "if": "usr.pro"}]}"#;
    let result = test("both-faulty", rule, r#"{"cases": [{"verdict": "maybe"}]}"#).await;
    result.failed(
        2,
        &[
            "both-faulty.json: ",
            "both-faulty.cases.json: ",
            "usr",
            "cases[0].verdict: unknown variant `maybe`",
        ],
    );
    assert_eq!(result.out, "");

    test("no-json", "{", CASES).await.failed(2, &["no-json.json: "]);

    let policy = TempFile::new("no-cases.json", POLICY);
    let result = run_without_token(&["test", policy.path(), "not-there.cases.json"]).await;
    result.failed(2, &["not-there.cases.json: cannot be read: "]);
    run_without_token(&["test", policy.path()]).await.failed(2, &["no-cases.cases.json: cannot be read"]);
}

#[tokio::test]
async fn completions_name_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let script = run_without_token(&["completions", shell]).await.out();
        for command in COMMANDS.iter().chain(&WEBHOOK_COMMANDS).chain(&POLICY_COMMANDS) {
            assert!(script.contains(command), "the completions of {shell} lack `{command}`");
        }
    }
    run_without_token(&["completions", "abacus"]).await.failed(2, &["abacus", "bash"]);
}

#[tokio::test]
async fn help_has_usage_and_an_example_of_every_command() {
    let all = run_without_token(&["--help"]).await.out();
    assert!(all.contains("Examples:\n  doorman demo"), "{all}");
    let webhook = run_without_token(&["webhook", "--help"]).await.out();
    let commands = COMMANDS.map(|command| (&all, command, command.to_owned()));
    let policy = run_without_token(&["policy", "--help"]).await.out();
    let of_policy = POLICY_COMMANDS.map(|command| (&policy, command, format!("policy {command}")));
    let of_webhook = WEBHOOK_COMMANDS.map(|command| (&webhook, command, format!("webhook {command}")));
    for (list, name, command) in commands.into_iter().chain(of_webhook).chain(of_policy) {
        assert!(list.contains(&format!("\n  {name} ")), "`{name}` is not in: {list}");
        let arguments: Vec<&str> = command.split(' ').chain(["--help"]).collect();
        let help = run_without_token(&arguments).await.out();
        assert!(help.contains(&format!("Usage: doorman {command}")), "{help}");
        let (_, examples) = help.split_once("\nExample").unwrap_or_else(|| panic!("no example: {help}"));
        assert!(examples.contains(&format!("doorman {command}")), "{examples}");
    }
}

#[tokio::test]
async fn unknown_command_suggests_a_similar_one() {
    run_without_token(&["chekc"]).await.failed(2, &["chekc", "check"]);
    run_without_token(&[]).await.failed(2, &["Usage: doorman <COMMAND>"]);
}
