//! `policy show`: the place, the commit, the rules and the lists.

use serde_json::json;

use crate::doorman_in;
use crate::hub::{Fault, Hub};
use crate::policies::TempFile;
use crate::support::POLICY;

const WITH_LISTS: &str = r#"
limits = { accept = 1200 }
paused = true
lists = { signed = { file = "signed.csv", column = "E-mail" }, gone = { file = "gone.txt" }, known = ["ada", "bob"] }
[[rules]]
name = "signed"
then = "accept"
if = "user.email in lists.signed || user.name in lists.known"
repos = ["acme/one", "datasets/acme/*"]
[[rules]]
name = "gone"
then = "hold"
if = "user.name in lists.gone"
"#;

const PLACE: &str = "hf://datasets/acme/doorman/policies/policy.toml";

#[tokio::test]
async fn policy_on_the_hub_is_shown_with_commit_and_lists() {
    let hub = Hub::start().await;
    let signed = "E-mail,Name\nada@epfl.ch,Ada\nbob@epfl.ch,Bob\neve@epfl.ch,Eve\n";
    let files = [("policies/policy.toml", WITH_LISTS), ("policies/signed.csv", signed)];
    let commit = hub.dataset("acme/doorman").commit(&files);

    let shown = doorman_in(&hub, &[("APPROVAL_POLICY", PLACE)], &["policy", "show"]).await;
    assert_eq!((shown.status, &*shown.err), (0, ""), "{}", shown.out);
    let rows: Vec<&str> = shown.out.lines().filter(|line| !line.starts_with("policy\t")).collect();
    let expected = [
        &*format!("place\t{PLACE}"),
        &format!("commit\t{commit}"),
        "default\thold",
        "paused\tyes: no decision is written",
        "limit\taccept 1,200",
        "list\tsigned\t3",
        rows.get(6).copied().unwrap_or_default(),
        "list\tknown\t2",
        "rule\tsigned\taccept\tacme/one, datasets/acme/*",
        "rule\tgone\thold\tall",
    ];
    assert_eq!(rows, expected);
    assert!(
        rows[6].starts_with("list\tgone\t`gone.txt` cannot be read: ") && rows[6].contains("404"),
        "{rows:?}"
    );
    assert!(!shown.out.contains('@'), "an entry is shown: {}", shown.out);

    let shown = doorman_in(&hub, &[], &["policy", "show", "--json", PLACE]).await.json();
    assert_eq!((&shown["place"], &shown["commit"]), (&json!(PLACE), &json!(commit)));
    assert_eq!(shown["limits"], json!({"accept": 1200, "reject": null}));
    assert_eq!(shown["lists"][0], json!({"name": "signed", "entries": 3, "error": null}));
    assert_eq!(shown["rules"][1], json!({"name": "gone", "then": "hold", "repos": null}));
}

#[tokio::test]
async fn policy_in_a_file_is_shown_without_a_token() {
    let hub = Hub::start().await;
    let file = TempFile::new("shown.json", POLICY);
    let in_variable = format!("file:{}", file.path());
    for (variable, arguments, place) in [
        ("", &["policy", "show", file.path()][..], file.path()),
        (&in_variable, &["policy", "show"], &in_variable),
        (POLICY, &["policy", "show"], "APPROVAL_POLICY"),
    ] {
        let shown = doorman_in(&hub, &[("HF_TOKEN", ""), ("APPROVAL_POLICY", variable)], arguments).await;
        let out = shown.out();
        assert!(out.starts_with(&format!("place\t{place}\npolicy\t")), "{out}");
        assert!(
            out.ends_with("rule\tembargo\treject\tall\nrule\tvague\treset\tall\nrule\tstaff\taccept\tall\n"),
            "{out}"
        );
    }
    assert_eq!(hub.calls(), [""; 0]);
}

#[tokio::test]
async fn policy_that_cannot_be_used_is_not_shown() {
    let hub = Hub::start().await;
    hub.dataset("acme/doorman").commit(&[("policies/policy.toml", "rules = [")]);
    doorman_in(&hub, &[], &["policy", "show", PLACE]).await.failed(2, &[PLACE, "line 1"]);
    hub.model().fault("policy.toml", Fault::Status(403));
    doorman_in(&hub, &[], &["policy", "show", PLACE]).await.failed(2, &[PLACE, "403"]);
    doorman_in(&hub, &[("APPROVAL_POLICY", "")], &["policy", "show"])
        .await
        .failed(2, &["APPROVAL_POLICY: not set"]);
}
