//! `policy init`: a first policy from the form of a repo.

use serde_json::json;

use super::Folder;
use crate::hub::{Gating, Hub};
use crate::support::{ask, staff};

/// A repo whose form has a question of each kind.
async fn hub() -> Hub {
    let hub = Hub::start().await;
    hub.model().add("datasets/acme/scans").card = json!({"extra_gated_fields": {
        "Purpose": "text",
        "Don't share it": "checkbox",
        "Country": "country",
        "Date of birth": "date_picker",
        "Use": {"type": "select", "options": ["Research", "Education"]},
        "News": {"type": "checkbox", "optional": true},
        "IP": "ip_location",
    }});
    hub
}

#[tokio::test]
async fn drafted_policy_passes_check_and_its_cases() {
    let (hub, folder) = (hub().await, Folder::new("init", &[]));
    let written = folder.run(&hub, &[], &["policy", "init", "datasets/acme/scans"]).await;
    assert_eq!((written.status, &*written.out), (0, ""), "{}", written.err);
    assert_eq!(folder.names(), ["policy.cases.json", "policy.toml"]);

    let tested = folder.run(&hub, &[], &["test", "--coverage", "policy.toml", "policy.cases.json"]).await;
    assert_eq!(tested.err, "the cases cover 4 of 4 rules\n", "{}", tested.out);
    assert!(tested.out().starts_with("5 cases: 5 as expected\n"));
    let arguments = ["check", "--policy", "policy.toml", "datasets/acme/scans"];
    let checked = folder.run(&hub, &[], &arguments).await.out();
    assert!(checked.contains("passed\tpolicy.toml\t4 rules\n"), "{checked}");
    assert!(!checked.contains("\trule `"), "no rule has a warning: {checked}");

    ask(
        &hub,
        "datasets/acme/scans",
        [staff("ada").answer("Purpose", "An MRI study").answer("Use", "Research")],
    );
    let planned =
        folder.run(&hub, &[], &["plan", "--policy", "policy.toml", "datasets/acme/scans"]).await.out();
    assert!(planned.contains("\thold\t"), "{planned}");
}

#[tokio::test]
async fn files_that_are_there_are_not_overwritten() {
    let (hub, folder) = (hub().await, Folder::new("init-there", &[("policy.cases.json", "mine")]));
    let refused = folder.run(&hub, &[], &["policy", "init", "datasets/acme/scans"]).await;
    refused.failed(2, &["policy.cases.json is there already", "--print"]);
    assert_eq!(
        (folder.names(), folder.read("policy.cases.json")),
        (vec!["policy.cases.json".to_owned()], "mine".to_owned())
    );

    let printed = folder.run(&hub, &[], &["policy", "init", "--print", "datasets/acme/scans"]).await.out();
    assert!(
        printed.starts_with("# A first policy for datasets/acme/scans") && printed.contains("[[rules]]"),
        "{printed}"
    );
    assert_eq!(folder.names().len(), 1);
}

#[tokio::test]
async fn unreadable_question_and_missing_gate_are_reported() {
    let (hub, folder) = (Hub::start().await, Folder::new("init-odd", &[]));
    {
        let mut model = hub.model();
        let repo = model.add("acme/odd");
        (repo.gating, repo.card) = (Gating::Auto, json!({"extra_gated_fields": {"New": "hologram"}}));
    }
    let printed = folder.run(&hub, &[], &["policy", "init", "--print", "acme/odd"]).await;
    printed.failed(
        0,
        &["acme/odd has no gate with manual approval", "its question `New` has the unknown kind `hologram`"],
    );
    assert!(printed.out.contains("\nrules = []\n"), "{}", printed.out);
    folder.run(&hub, &[], &["policy", "init", "acme/none"]).await.failed(1, &["404"]);
}
