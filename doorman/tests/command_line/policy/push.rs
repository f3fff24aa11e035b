//! `policy push`: the policy and its lists become one commit, or nothing is pushed.

use super::Folder;
use crate::hub::{Fault, Hub, Role, Webhook, changes};
use crate::support::POLICY;

const PLACE: &str = "hf://datasets/acme/doorman/gate/policy.toml";

const WITH_LISTS: &str = r#"
[lists]
signed = { file = "lists/signed.csv", column = "E-mail" }
names = { file = "lists/signed.csv", column = "Name" }
[[rules]]
name = "signed"
then = "accept"
if = "user.email in lists.signed && user.name in lists.names"
"#;

const SIGNED: &str = "E-mail,Name\nada@epfl.ch,ada\n";

const CASES: &str = r#"{"repo": "acme/model", "cases": [
    {"name": "ada", "user": {"name": "ada", "email": "ada@epfl.ch"}, "verdict": "accept", "rule": "signed"}]}"#;

/// A folder with a policy, its list and its cases.
fn folder(name: &str) -> Folder {
    let files = [("policy.toml", WITH_LISTS), ("lists/signed.csv", SIGNED), ("policy.cases.json", CASES)];
    Folder::new(name, &files)
}

/// A Hub with an empty private dataset, which a webhook watches.
async fn hub() -> Hub {
    let hub = Hub::start().await;
    hub.dataset("acme/doorman");
    hub.model().webhooks = vec![Webhook::new("https://doorman.example/", &[("dataset", "acme/doorman")])];
    hub
}

/// The calls that may change something.
fn writes(hub: &Hub) -> Vec<String> {
    hub.calls().into_iter().filter(|call| !call.starts_with("GET ")).collect()
}

const PREUPLOAD: &str = "POST /api/datasets/acme/doorman/preupload/main";
const COMMIT: &str = "POST /api/datasets/acme/doorman/commit/main";

#[tokio::test]
async fn policy_and_lists_become_one_private_commit() {
    let (hub, folder) = (Hub::start().await, folder("push-create"));
    let unknown = folder.run(&hub, &[], &["policy", "push", "policy.toml", PLACE]).await;
    unknown.failed(1, &["404", "--create creates it"]);
    let pushed = folder.run(&hub, &[], &["policy", "push", "--create", "policy.toml", PLACE]).await;
    let dataset = hub.dataset("acme/doorman");
    let head = dataset.head();
    assert_eq!((pushed.status, pushed.out), (0, format!("pushed\t{PLACE}\t{}\n", head.id)), "{}", pushed.err);
    for text in
        ["1 case: 1 as expected", "No webhook watches datasets/acme/doorman", "a push decides at once"]
    {
        assert!(pushed.err.contains(text), "{}", pushed.err);
    }
    assert!(hub.model().repo("datasets/acme/doorman").private);
    assert_eq!(head.summary, "Update gate/policy.toml, gate/lists/signed.csv");
    assert_eq!(dataset.read("gate/policy.toml").as_deref(), Some(WITH_LISTS.as_bytes()));
    assert_eq!(dataset.read("gate/lists/signed.csv").as_deref(), Some(SIGNED.as_bytes()));
    assert_eq!(writes(&hub), ["POST /api/repos/create", PREUPLOAD, COMMIT]);

    let shown = folder.run(&hub, &[("APPROVAL_POLICY", PLACE)], &["policy", "show"]).await.out();
    assert!(shown.contains(&head.id) && shown.contains("list\tsigned\t1\nlist\tnames\t1\n"), "{shown}");
}

#[tokio::test]
async fn only_changed_files_are_pushed() {
    let (hub, folder) = (hub().await, folder("push-changed"));
    let variables = [("APPROVAL_POLICY", PLACE)];
    let first = folder.run(&hub, &variables, &["policy", "push", "policy.toml"]).await;
    assert_eq!((first.status, &*first.err), (0, "1 case: 1 as expected\n"));
    let id = hub.dataset("acme/doorman").head().id;
    let again = folder.run(&hub, &variables, &["policy", "push", "policy.toml"]).await;
    assert_eq!((again.status, again.out), (0, format!("unchanged\t{PLACE}\t{id}\n")), "{}", again.err);
    assert_eq!(writes(&hub), [PREUPLOAD, COMMIT]);

    folder.write("lists/signed.csv", format!("{SIGNED}bob@epfl.ch,bob\n"));
    let message = "Bob has signed \"it\"";
    folder.run(&hub, &variables, &["policy", "push", "-m", message, "policy.toml"]).await.out();
    let head = hub.dataset("acme/doorman").head();
    assert_eq!((&*head.summary, head.parent.as_ref()), (message, Some(&id)));
    assert_eq!(hub.dataset("acme/doorman").read("gate/policy.toml").as_deref(), Some(WITH_LISTS.as_bytes()));
    let commit = hub.model().calls.last().expect("a call").body.clone();
    assert!(!commit.to_string().contains("policy.toml"), "{commit}");
}

#[tokio::test]
async fn list_on_the_hub_loses_entries_only_by_request() {
    let (hub, folder) = (hub().await, folder("push-loses"));
    let variables = [("APPROVAL_POLICY", PLACE)];
    let push = ["policy", "push", "policy.toml"];
    folder.run(&hub, &variables, &push).await.out();
    // A form's script adds two signers, and the owner changes only the policy.
    let longer = format!("{SIGNED}bob@epfl.ch,bob\nKIM@epfl.ch,kim\n");
    let signed = hub.dataset("acme/doorman").commit(&[("gate/lists/signed.csv", &longer)]);
    folder.write("policy.toml", format!("# New\n{WITH_LISTS}"));
    folder.run(&hub, &variables, &push).await.failed(
        1,
        &[
            "list `signed`: entries that the Hub's file gets: 0; entries that it loses: 2",
            "download the newer file from datasets/acme/doorman first, or run `doorman policy push --remove-entries`",
        ],
    );
    assert_eq!(hub.dataset("acme/doorman").head().id, signed);

    folder.write("lists/signed.csv", format!("{longer}eve@epfl.ch,eve\n").to_lowercase());
    folder.write("lists/signed.csv", folder.read("lists/signed.csv").replace("e-mail,name", "E-mail,Name"));
    let pushed = folder.run(&hub, &variables, &push).await;
    assert_eq!(pushed.status, 0, "{}", pushed.err);
    assert!(pushed.err.contains("`signed`: entries that the Hub's file gets: 1; entries that it loses: 0"));

    folder.write("lists/signed.csv", SIGNED);
    folder.run(&hub, &variables, &push).await.failed(1, &["entries that it loses: 3"]);
    let removed = folder.run(&hub, &variables, &["policy", "push", "--remove-entries", "policy.toml"]).await;
    assert_eq!(removed.status, 0, "{}", removed.err);
    let on_hub = hub.dataset("acme/doorman").read("gate/lists/signed.csv");
    assert_eq!(on_hub.as_deref(), Some(SIGNED.as_bytes()));
}

#[cfg(unix)]
#[tokio::test]
async fn link_out_of_the_folder_is_not_pushed() {
    use std::os::unix::fs::symlink;
    let (hub, folder) = (hub().await, folder("push-link"));
    folder.write("secret/token.csv", SIGNED);
    folder.write("gate/lists/own.csv", SIGNED);
    for (list, target) in
        [("file.csv", "../../secret/token.csv"), ("folder", "../../secret"), ("in.csv", "own.csv")]
    {
        symlink(target, folder.path(&format!("gate/lists/{list}"))).expect("a link");
    }
    for (list, is_pushed) in [("file.csv", false), ("folder/token.csv", false), ("in.csv", true)] {
        folder.write("gate/policy.toml", WITH_LISTS.replace("signed.csv", list));
        for policy in ["gate/policy.toml", "gate/../gate/policy.toml"] {
            let pushed = folder.run(&hub, &[], &["policy", "push", policy, PLACE]).await;
            if is_pushed {
                assert_eq!(pushed.status, 0, "{list}: {}", pushed.err);
            } else {
                pushed.failed(2, &["it is a link out of the folder of the policy"]);
                assert_eq!(writes(&hub), [""; 0], "{list}");
            }
        }
    }
}

#[tokio::test]
async fn policy_that_is_wrong_is_not_pushed() {
    let (hub, folder) = (hub().await, folder("push-wrong"));
    let push = ["policy", "push", "policy.toml", PLACE];
    folder.write("policy.toml", WITH_LISTS.replace("user.name in", "usr.name in"));
    folder.run(&hub, &[], &push).await.failed(2, &["policy.toml: ", "usr"]);
    folder.write("policy.toml", WITH_LISTS.replace("accept", "hold"));
    folder.run(&hub, &[], &push).await.failed(1, &["failed: ada", "Nothing was pushed"]);
    folder.write("policy.toml", WITH_LISTS);
    folder.write("policy.cases.json", "{}");
    folder.run(&hub, &[], &push).await.failed(2, &["policy.cases.json: "]);
    folder.write("policy.cases.json", CASES);
    folder.write("lists/signed.csv", "");
    folder.run(&hub, &[], &push).await.failed(2, &["list `signed`: `lists/signed.csv` cannot be read"]);
    folder.write("lists/signed.csv", format!("E-mail,Name\n{}", "ada@epfl.ch,ada\n".repeat(700_000)));
    folder.run(&hub, &[], &push).await.failed(2, &["lists/signed.csv: it has more than 10 MiB"]);
    assert_eq!(hub.calls(), [""; 0]);

    folder.write("lists/signed.csv", SIGNED);
    folder
        .run(&hub, &[("DRY_RUN", "true")], &push)
        .await
        .failed(0, &["DRY_RUN is true, so nothing was pushed"]);
    assert_eq!(hub.calls(), [""; 0]);
}

#[tokio::test]
async fn place_must_be_a_branch_on_the_hub() {
    let (hub, folder) = (hub().await, folder("push-place"));
    let commit = format!("hf://datasets/acme/doorman@{}/policy.toml", "a".repeat(40));
    for (place, text) in [
        (&*commit, "a commit cannot be changed"),
        ("policy.toml", "name the place on the Hub"),
        ("arn:aws:ssm:eu-west-1:123456789012:parameter/policy", "name the place on the Hub"),
        ("hf://datasets/acme", "it is written as"),
    ] {
        folder.run(&hub, &[], &["policy", "push", "policy.toml", place]).await.failed(2, &[text]);
    }
    for variable in [POLICY, ""] {
        let pushed =
            folder.run(&hub, &[("APPROVAL_POLICY", variable)], &["policy", "push", "policy.toml"]).await;
        pushed.failed(2, &["or set APPROVAL_POLICY to it"]);
    }
    assert_eq!(hub.calls(), [""; 0]);
}

#[tokio::test]
async fn push_of_somebody_else_is_not_overwritten() {
    let (hub, folder) = (hub().await, folder("push-race"));
    let theirs =
        Fault::ThenCommit("datasets/acme/doorman".to_owned(), changes(&[("gate/policy.toml", POLICY)]));
    hub.model().fault("preupload", theirs);
    let pushed = folder.run(&hub, &[], &["policy", "push", "policy.toml", PLACE]).await;
    pushed.failed(
        1,
        &["has a newer commit than the one that was read", "nothing was pushed", "doorman policy diff"],
    );
    assert_eq!(hub.dataset("acme/doorman").read("gate/policy.toml").as_deref(), Some(POLICY.as_bytes()));
}

#[tokio::test]
async fn lost_response_to_a_commit_is_not_repeated() {
    let (hub, folder) = (hub().await, folder("push-lost"));
    hub.model().fault("/commit/", Fault::Lost(502));
    let pushed = folder.run(&hub, &[], &["policy", "push", "policy.toml", PLACE]).await;
    pushed.failed(1, &["the commit may have been made", "doorman policy show hf://"]);
    assert_eq!(writes(&hub), [PREUPLOAD, COMMIT]);
}

#[tokio::test]
async fn repo_that_may_not_have_the_policy_is_refused() {
    let (hub, folder) = (hub().await, folder("push-refused"));
    let push = ["policy", "push", "policy.toml", PLACE];
    hub.dataset("acme/doorman").publish();
    folder.run(&hub, &[], &push).await.failed(1, &["datasets/acme/doorman is public", "make it private"]);
    assert_eq!(writes(&hub), [""; 0]);

    hub.model().repo("datasets/acme/doorman").private = true;
    hub.model().files.regular_limit = 20;
    let large = folder.run(&hub, &[], &push).await;
    large.failed(1, &["gate/policy.toml: the Hub takes it only as a large file", "gate/lists/signed.csv: "]);
    assert_eq!(writes(&hub), [PREUPLOAD]);

    hub.model().files.regular_limit = 10 << 20;
    hub.dataset("acme/doorman").set_role(Role::Read);
    folder.run(&hub, &[], &push).await.failed(1, &["403"]);
    assert_eq!(hub.dataset("acme/doorman").read("gate/policy.toml"), None);
}
