//! Letter case: the Hub ignores it in names, so two spellings of a name are one repo.

use serde_json::{Value, json};

use crate::hub::{Fault, Hub, Status};
use crate::logs::Logs;
use crate::support::{
    HALF_A_MINUTE, ask, deliver, doorman_with, hub_with, incomplete, invoke, names, payload,
    searches_and_reviews, staff, sweep,
};

#[tokio::test]
async fn webhook_in_another_case_is_reviewed_and_spelled_as_it_came() {
    for (repos, delivered) in [("acme/model", "Acme/Model"), ("ACME/*", "acme/model"), ("", "ACME/model")] {
        let hub = Hub::start().await;
        ask(&hub, "Acme/Model", [staff("ada")]);
        let doorman = doorman_with(&hub, &[("REPOS", repos)]);
        let (status, report) = deliver(&doorman, &payload(delivered)).await;
        assert_eq!((status, names(&report)), (200, vec![delivered]), "{repos}");
        assert_eq!(hub.users("Acme/Model", Status::Accepted), ["ada"]);
    }
    let doorman = doorman_with(&Hub::start().await, &[("REPOS", "datasets/ACME/*")]);
    let (_, answer) = deliver(&doorman, &payload("acme/model")).await;
    assert_eq!(answer["reason"], "REPOS does not name acme/model");
}

#[tokio::test]
async fn namespace_in_another_case_is_swept_in_the_hubs_spelling() {
    let hub = Hub::start().await;
    ask(&hub, "Acme/Model", [staff("ada")]);
    ask(&hub, "datasets/Acme/Corpus", [staff("bob")]);
    let (logs, _guard) = Logs::capture();
    let report = sweep(&doorman_with(&hub, &[("REPOS", "acme/* datasets/ACME/corpus")])).await;
    assert_eq!((names(&report), incomplete(&report)), (vec!["Acme/Model", "Acme/Corpus"], Vec::new()));
    assert_eq!(logs.lines("no gated repo found"), [Value::Null; 0]);
    assert_eq!(hub.users("datasets/Acme/Corpus", Status::Accepted), ["bob"]);
}

#[tokio::test]
async fn order_in_another_case_is_carried_out() {
    let hub = hub_with(3).await;
    let doorman = doorman_with(&hub, &[("REPOS", "acme/*")]);
    let order = json!({"sweep": ["ACME/model001", "Acme/Model002"]});
    let report = invoke(&doorman, &order, HALF_A_MINUTE).await.expect("no failure");
    assert_eq!(names(&report), ["ACME/model001", "Acme/Model002"]);

    let doorman = doorman_with(&hub, &[("REPOS", "Acme/MODEL001 acme/model002")]);
    let report = invoke(&doorman, &json!({"sweep": ["ACME/*"]}), HALF_A_MINUTE).await.expect("no failure");
    assert_eq!(names(&report), ["acme/model001", "acme/model002"]);
}

#[tokio::test]
async fn repo_in_two_spellings_is_reviewed_once() {
    let hub = hub_with(1).await;
    let doorman = doorman_with(&hub, &[("REPOS", "Acme/MODEL000, acme/model000")]);
    assert_eq!(names(&sweep(&doorman).await), ["Acme/MODEL000"], "the first spelling");
    assert_eq!(searches_and_reviews(&hub), (0, vec!["Acme/MODEL000".to_owned()]));

    // The repo is named and found: in one sweep, and in the next one, which remembers what the first one found.
    let hub = hub_with(1).await;
    let doorman = doorman_with(&hub, &[("REPOS", "ACME/Model000 Acme/* acme/*")]);
    hub.model().fault("/pending", Fault::Status(418));
    for (sweeps, reviewed) in [(1, "ACME/Model000"), (2, "acme/model000")] {
        assert_eq!(names(&sweep(&doorman).await), ["acme/model000"], "the spelling of the search");
        let (searches, reviews) = searches_and_reviews(&hub);
        assert_eq!((searches, reviews.len(), &*reviews[sweeps - 1]), (2 * sweeps, sweeps, reviewed));
    }
}

/// If a search fails, the repos that earlier searches found are swept, in the spelling that the Hub used last.
#[tokio::test]
async fn repo_renamed_in_case_only_is_the_same_repo() {
    let hub = hub_with(1).await;
    let doorman = doorman_with(&hub, &[("REPOS", "acme/*")]);
    assert_eq!(names(&sweep(&doorman).await), ["acme/model000"]);
    hub.model().repo("acme/model000").name = "Acme/Model000".to_owned();
    assert_eq!(names(&sweep(&doorman).await), ["Acme/Model000"]);
    hub.model().fault("GET /api/models?author", Fault::Status(418));
    assert_eq!(names(&sweep(&doorman).await), ["acme", "Acme/Model000"]);
}
