//! `check` looks at the repo that keeps the policy.

use super::{check, ready, watch};
use crate::hub::{Fault, Hub};
use crate::support::POLICY;

/// The correct setup, with the policy in this dataset.
async fn ready_with_policy_in(dataset: &str) -> (Hub, String) {
    let hub = ready().await;
    hub.dataset(dataset).commit(&[("policy.toml", POLICY)]);
    watch(&hub, &[("model", "acme/model"), ("dataset", dataset)]);
    (hub, format!("hf://datasets/{dataset}/policy.toml"))
}

#[tokio::test]
async fn private_repo_of_the_user_passes() {
    let (hub, place) = ready_with_policy_in("owner/doorman").await;
    let checked = check(&hub, &[("APPROVAL_POLICY", &place)]).await;
    assert_eq!((checked.status, checked.wrong()), (0, Vec::new()));
    checked.says("passed", &place, &["3 rules"]);
    checked.says("passed", "datasets/owner/doorman", &["private, and keeps the policy"]);
}

#[tokio::test]
async fn public_repo_of_the_policy_fails() {
    let (hub, place) = ready_with_policy_in("owner/doorman").await;
    hub.dataset("owner/doorman").publish();
    let checked = check(&hub, &[("APPROVAL_POLICY", &place)]).await;
    checked.only(
        "failed",
        "datasets/owner/doorman",
        &["public, although it keeps the policy", "make it private"],
    );

    // A Hub that does not say whether the repo is private.
    let answer = Fault::Answer(200, Vec::new(), r#"{"id": "owner/doorman"}"#.to_owned());
    hub.model().repo("datasets/owner/doorman").private = true;
    hub.model().fault("GET /api/datasets/owner/doorman", answer);
    let checked = check(&hub, &[("APPROVAL_POLICY", &place)]).await;
    checked.only("failed", "datasets/owner/doorman", &["public"]);
}

#[tokio::test]
async fn writers_of_an_organization_are_a_warning() {
    let (hub, place) = ready_with_policy_in("acme/doorman").await;
    let checked = check(&hub, &[("APPROVAL_POLICY", &place)]).await;
    checked.says("passed", "datasets/acme/doorman", &["private, and keeps the policy"]);
    checked.only(
        "warning",
        "datasets/acme/doorman",
        &["anyone with write access to it can open the gates", "the members of `acme`"],
    );
}

#[tokio::test]
async fn repo_in_the_namespace_of_others_fails() {
    let (hub, place) = ready_with_policy_in("nobody/doorman").await;
    let checked = check(&hub, &[("APPROVAL_POLICY", &place)]).await;
    checked.says("failed", "datasets/nobody/doorman", &["neither the account of HF_TOKEN nor one of its"]);
}

#[tokio::test]
async fn repo_of_the_policy_without_a_webhook_is_a_warning() {
    let (hub, place) = ready_with_policy_in("owner/doorman").await;
    let id = watch(&hub, &[("model", "acme/model")]);
    let checked = check(&hub, &[("APPROVAL_POLICY", &place)]).await;
    checked.only(
        "warning",
        "datasets/owner/doorman",
        &["no webhook", "a push waits", "`doorman webhook create`"],
    );
    checked.says("passed", &format!("webhook {id}"), &["delivered"]);

    let commit = hub.dataset("owner/doorman").head().id;
    let pinned = format!("hf://datasets/owner/doorman@{commit}/policy.toml");
    let checked = check(&hub, &[("APPROVAL_POLICY", &pinned)]).await;
    assert_eq!((checked.status, checked.wrong()), (0, Vec::new()), "no push changes it");
}
