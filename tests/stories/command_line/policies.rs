//! `test` over the examples and over policies with something wrong, and what needs no Hub at all: help and completions.

use std::fs;
use std::path::{Path, PathBuf};
use std::process;

use crate::command_line::{Ended, doorman_in};
use crate::hub::Hub;
use crate::support::POLICY;

/// A file that is there as long as this is.
pub struct Written(PathBuf);

impl Written {
    /// Each story gives its files names of their own.
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

impl Drop for Written {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// What `doorman` has, but for `webhook` and its parts.
const COMMANDS: [&str; 14] = [
    "plan",
    "review",
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
    "webhook",
    "completions",
];

/// What `doorman webhook` has.
const OF_WEBHOOK: [&str; 5] = ["list", "create", "enable", "disable", "delete"];

/// Runs it where there is a Hub, but neither a token nor a policy; it makes no call.
async fn without_token(arguments: &[&str]) -> Ended {
    let hub = Hub::start().await;
    let ended = doorman_in(&hub, &[("HF_TOKEN", ""), ("APPROVAL_POLICY", "")], arguments).await;
    assert_eq!(hub.calls(), [""; 0], "{arguments:?}");
    ended
}

/// Runs a policy against cases.
async fn test(name: &str, policy: &str, cases: &str) -> Ended {
    let policy = Written::new(&format!("{name}.json"), policy);
    let cases = Written::new(&format!("{name}.cases.json"), cases);
    without_token(&["test", policy.path(), cases.path()]).await
}

const STAFF_GET_IN: &str = r#"{"repo": "acme/model", "cases": [
    {"name": "staff get in", "user": {"name": "ada", "email": "ada@acme.com"}, "verdict": "accept", "rule": "staff"},
    {"name": "strangers wait", "user": {"name": "eve", "email": "eve@example.org"}, "verdict": "hold", "rule": null}]}"#;

#[tokio::test]
async fn every_example_policy_decides_its_cases_as_it_says() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/policies");
    let files = fs::read_dir(directory).expect("a directory").map(|file| file.expect("a file").path());
    let mut examples = 0;
    for policy in files.filter(|path| path.extension().is_some_and(|extension| extension == "json")) {
        let policy = policy.to_str().expect("UTF-8");
        if policy.ends_with(".cases.json") {
            continue;
        }
        let cases = policy.replace(".json", ".cases.json");
        let out = without_token(&["test", policy, &cases]).await.out();
        assert!(out.ends_with(" as expected\n"), "{policy}: {out}");
        assert!(!out.contains("no case is decided by"), "{policy}: {out}");
        examples += 1;
    }
    assert!(examples >= 5, "only {examples} examples were found");
}

#[tokio::test]
async fn a_policy_that_decides_otherwise_fails_and_shows_what_was_expected() {
    let ended = test("as-expected", POLICY, STAFF_GET_IN).await;
    let expected = "note: no case is decided by `embargo`, `vague`\n2 cases: 2 as expected\n";
    assert_eq!((ended.status, &*ended.out, &*ended.err), (0, expected, ""));

    let ended = test("otherwise", &POLICY.replace("acme.com", "acme.org"), STAFF_GET_IN).await;
    let expected = "failed: staff get in\n    expected accept: rule `staff`\n    got      hold: no rule matched\n\
                    note: no case is decided by `embargo`, `vague`, `staff`\n2 cases: 1 as expected, 1 not\n";
    assert_eq!((ended.status, &*ended.out), (1, expected), "{}", ended.err);
}

#[tokio::test]
async fn a_policy_or_cases_with_faults_are_named_and_nothing_is_decided() {
    let rule = r#"{"rules": [{"name": "a", "then": "accept", "if": "usr.pro"}]}"#;
    let ended = test("both-faulty", rule, r#"{"cases": [{"verdict": "maybe"}]}"#).await;
    ended.failed(2, &["both-faulty.json: ", "both-faulty.cases.json: ", "usr", "`verdict` is to be"]);
    assert_eq!(ended.out, "");

    test("no-json", "{", STAFF_GET_IN).await.failed(2, &["no-json.json: "]);

    let policy = Written::new("no-cases.json", POLICY);
    let ended = without_token(&["test", policy.path(), "not-there.cases.json"]).await;
    ended.failed(2, &["not-there.cases.json: cannot be read: "]);
    without_token(&["test", policy.path()]).await.failed(2, &["<CASES>", "Usage: doorman test"]);
}

#[tokio::test]
async fn completions_name_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let script = without_token(&["completions", shell]).await.out();
        for command in COMMANDS.iter().chain(&OF_WEBHOOK) {
            assert!(script.contains(command), "{shell} does not know `{command}`");
        }
    }
    without_token(&["completions", "abacus"]).await.failed(2, &["abacus", "bash"]);
}

#[tokio::test]
async fn help_tells_of_every_command_and_how_it_is_used() {
    let all = without_token(&["--help"]).await.out();
    assert!(all.contains("Examples:\n  doorman check"), "{all}");
    for command in COMMANDS {
        assert!(all.contains(&format!("\n  {command} ")), "`{command}` is not in: {all}");
        let help = without_token(&[command, "--help"]).await.out();
        assert!(help.contains(&format!("Usage: doorman {command}")), "{help}");
    }
    let webhook = without_token(&["webhook", "--help"]).await.out();
    for command in OF_WEBHOOK {
        assert!(webhook.contains(&format!("\n  {command} ")), "`{command}` is not in: {webhook}");
        let help = without_token(&["webhook", command, "--help"]).await.out();
        assert!(help.contains(&format!("Usage: doorman webhook {command}")), "{help}");
    }
}

#[tokio::test]
async fn help_has_an_example_of_every_command() {
    let of_webhook = OF_WEBHOOK.map(|command| format!("webhook {command}"));
    let commands = COMMANDS.iter().map(|command| (*command).to_owned()).chain(of_webhook);
    for command in commands {
        let arguments: Vec<&str> = command.split(' ').chain(["--help"]).collect();
        let help = without_token(&arguments).await.out();
        let (_, examples) = help.split_once("\nExample").unwrap_or_else(|| panic!("no example: {help}"));
        assert!(examples.contains(&format!("doorman {command}")), "{examples}");
    }
}

#[tokio::test]
async fn a_command_that_does_not_exist_is_refused_with_what_was_meant() {
    without_token(&["chekc"]).await.failed(2, &["chekc", "check"]);
    without_token(&[]).await.failed(2, &["Usage: doorman <COMMAND>"]);
}
