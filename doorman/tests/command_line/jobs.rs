//! `review` in a Job that a webhook has started: `WEBHOOK_PAYLOAD` names the repo.

use serde_json::json;

use crate::doorman_in;
use crate::hub::{Gating, Status};
use crate::review::{after_time, hub_with_three};
use crate::support::{SECRET, ask, hub_with, payload, staff};

#[tokio::test]
async fn job_reviews_the_repo_of_its_webhook() {
    for repo in ["acme/model", "datasets/acme/corpus"] {
        let hub = hub_with_three(repo).await;
        let payload = payload(repo).to_string();
        let job = |repos| [("WEBHOOK_PAYLOAD", &*payload), ("WEBHOOK_SECRET", SECRET), ("REPOS", repos)];
        let result = doorman_in(&hub, &job("acme/other"), &["review"]).await;
        assert_eq!(
            (result.status, after_time(&result.err)),
            (0, &*format!("Nothing to do: REPOS does not name {repo}.\n"))
        );
        assert!(hub.calls().is_empty());
        doorman_in(&hub, &job("acme/*"), &["review"]).await.out();
        assert_eq!(hub.users(repo, Status::Accepted), ["ada"]);
        assert!(hub.calls().iter().all(|call| call.contains("/user-access-request/")), "no search");
    }
}

#[tokio::test]
async fn job_ignores_what_the_function_ignores() {
    let hub = hub_with_three("acme/model").await;
    let mut of_a_space = payload("acme/model");
    of_a_space["repo"]["type"] = json!("space");
    let run = async |payload: &str, arguments: &[&str]| {
        let job = [("WEBHOOK_PAYLOAD", payload), ("REPOS", "acme/*")];
        doorman_in(&hub, &job, &[&["review"], arguments].concat()).await
    };
    let result = run(&of_a_space.to_string(), &[]).await;
    assert_eq!((result.status, after_time(&result.err)), (0, "Nothing to do: a Space cannot be gated.\n"));
    let ignored = run(&of_a_space.to_string(), &["--json"]).await;
    assert_eq!(
        (ignored.status, ignored.json()),
        (0, json!({"status": "ignored", "reason": "a Space cannot be gated"}))
    );
    run("{", &[]).await.failed(2, &["WEBHOOK_PAYLOAD is not a payload of the Hub"]);
    assert!(hub.calls().is_empty());
    hub.model().add("acme/open").gating = Gating::Off;
    assert_eq!(
        run(&payload("acme/open").to_string(), &["acme/model"]).await.status,
        0,
        "an argument takes precedence over the payload"
    );
    assert_eq!(hub.users("acme/model", Status::Accepted), ["ada"]);
}

#[tokio::test]
async fn job_in_another_case_reviews_the_repo() {
    let hub = hub_with(1).await;
    ask(&hub, "acme/model000", [staff("ada")]);
    let payload = payload("Acme/Model000").to_string();
    let variables = [("WEBHOOK_PAYLOAD", &*payload), ("REPOS", "ACME/*")];
    let result = doorman_in(&hub, &variables, &["review", "--yes"]).await;
    assert_eq!((result.status, hub.users("acme/model000", Status::Accepted)), (0, vec!["ada".to_owned()]));
}
