//! Webhooks: which are accepted, and what each of them leads to.

use serde_json::{Value, json};

use crate::hub::{Fault, Gating, Hub, Status};
use crate::support::{
    SECRET, ask, deliver, doorman, doorman_with, payload, read, request, review, send, staff, stranger,
};

#[tokio::test]
async fn each_request_gets_its_verdict() {
    let hub = Hub::start().await;
    ask(
        &hub,
        "acme/model",
        [
            staff("ada"),
            stranger("bob"),
            stranger("kim").answer("Country", "KP"),
            staff("may").answer("Purpose", "fun"),
            staff("eve").answer("Purpose", "research"),
        ],
    );
    let (status, report) = review(&hub).await;

    assert_eq!(hub.users("acme/model", Status::Accepted), ["ada", "eve"]);
    assert_eq!(hub.users("acme/model", Status::Rejected), ["kim"]);
    assert_eq!(hub.users("acme/model", Status::Reset), ["may"]);
    assert_eq!(hub.users("acme/model", Status::Pending), ["bob"]);
    assert_eq!(hub.model().repo("acme/model").request("kim").reason.as_deref(), Some("We cannot."));
    assert_eq!(hub.model().repo("acme/model").request("may").reason.as_deref(), Some("Say more."));
    assert_eq!(status, 200);
    let age = report["repos"][0]["oldest_pending_s"].as_u64().expect("an age");
    assert!((3600..3700).contains(&age), "{age}");
    let wait = report["wait_s"]["median"].as_u64().expect("a wait");
    assert!((3600..3700).contains(&wait), "{wait}");
    let waits = report["wait_s"].clone();
    let expected = json!({"status": "reviewed", "dry_run": false, "wait_s": waits, "repos": [{
        "repo": "acme/model", "type": "model", "complete": true, "listed": 5, "accepted": 2, "rejected": 1, "reset": 1,
        "held": 1, "gone": 0, "failed": 0, "unknown": 0, "stuck": 0, "over_limit": 0, "calls": 4, "oldest_pending_s": age,
        "error": null}]});
    assert_eq!(report, expected);
}

#[tokio::test]
async fn empty_list_costs_one_call() {
    let hub = Hub::start().await;
    hub.model().add("acme/model");
    let (status, report) = review(&hub).await;
    assert_eq!(
        (status, &report["status"], &report["repos"][0]["listed"]),
        (200, &json!("reviewed"), &json!(0))
    );
    assert_eq!(hub.calls(), ["GET /api/models/acme/model/user-access-request/pending?limit=1000"]);
}

/// The response says nothing about the reason, and no call is made.
#[tokio::test]
async fn webhook_without_the_secret_gets_a_bare_401() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", [staff("ada")]);
    let doorman = doorman(&hub);
    let bodies = [payload("acme/model").to_string(), "{ malformed".to_owned(), String::new()];
    let almost =
        [&SECRET[1..], &SECRET[..SECRET.len() - 1], &SECRET.to_uppercase(), &format!("{SECRET} "), ""];
    for body in &bodies {
        for method in ["POST", "GET"] {
            for secret in almost.iter().copied().map(Some).chain((method == "POST").then_some(None)) {
                let response =
                    doorman.handle(request(method, secret, body.clone())).await.expect("no failure");
                assert_eq!(read(&response), (401, Value::Null), "{method} {secret:?} {body}");
            }
        }
    }
    assert_eq!(hub.calls(), [""; 0]);
}

#[tokio::test]
async fn previous_secret_is_accepted_too() {
    let hub = Hub::start().await;
    hub.model().add("acme/model");
    let doorman = doorman_with(&hub, &[("WEBHOOK_SECRET", "new"), ("WEBHOOK_SECRET_PREVIOUS", "old")]);
    for (secret, expected) in [("new", 200), ("old", 200), (SECRET, 401), ("newold", 401), ("", 401)] {
        let request = request("POST", Some(secret), payload("acme/model").to_string());
        assert_eq!(send(&doorman, request).await.0, expected, "{secret}");
    }
}

/// A payload of version 2, as the Hub sent them: `event` is the action, and `scope` stands beside it.
#[tokio::test]
async fn payload_of_version_2_is_reviewed() {
    let hub = Hub::start().await;
    ask(&hub, "datasets/acme/corpus", [staff("ada")]);
    let payload = json!({"event": "update", "scope": "repo.content", "repo": {"type": "dataset", "name": "acme/corpus"},
        "webhook": {"id": "632c22b3df82fca9e3b46154", "version": 2}});
    assert_eq!(deliver(&doorman(&hub), &payload).await.0, 200);
    assert_eq!(hub.users("datasets/acme/corpus", Status::Accepted), ["ada"]);
    let unknown = json!({"repo": {"type": "dataset", "name": "acme/corpus"}, "webhook": {"version": 4}});
    let (status, answer) = deliver(&doorman(&hub), &unknown).await;
    assert!(status == 400 && answer.to_string().contains("version is neither 2 nor 3"), "{answer}");
}

#[tokio::test]
async fn only_a_post_is_a_webhook() {
    let hub = Hub::start().await;
    let doorman = doorman(&hub);
    for method in ["GET", "PUT", "DELETE", "HEAD"] {
        let response = doorman.handle(request(method, Some(SECRET), "")).await.expect("no failure");
        assert_eq!(response.status(), 405, "{method}");
        assert_eq!(response.headers()["allow"], "POST");
    }
    for (method, expected) in [("GET", 405), ("HEAD", 405), ("PUT", 401), ("POST", 401)] {
        let response = doorman.handle(request(method, None, "")).await.expect("no failure");
        assert_eq!(response.status(), expected, "{method} without the secret");
    }
    assert_eq!(hub.calls(), [""; 0]);
}

#[tokio::test]
async fn malformed_body_error_names_the_part() {
    let hub = Hub::start().await;
    let doorman = doorman(&hub);
    let named = |name: Value| {
        let mut payload = payload("acme/model");
        payload["repo"]["name"] = name;
        payload.to_string()
    };
    let moved_to = |to: Value| {
        let mut payload = payload("acme/model");
        payload["event"] = json!({"action": "move", "scope": "repo"});
        payload["movedTo"] = to;
        payload.to_string()
    };
    let cases = [
        (String::new(), "the body is not a JSON object (line 1, column 0)"),
        ("hello ada@acme.com".to_owned(), "the body is not a JSON object"),
        ("[]".to_owned(), "the body is not a JSON object"),
        (json!([["create", "x"], ["model", "acme/model"]]).to_string(), "the body is not a JSON object"),
        (format!("\"{}\"", "\\\"".repeat(900_000)), "the body is not a JSON object"),
        ("{}".to_owned(), "`event` is missing, is not an object, or is a string without `scope` beside it"),
        (json!({"sweep": false}).to_string(), "`sweep` is neither `true` nor a list of repos"),
        (
            json!({"event": "ada@acme.com"}).to_string(),
            "`event` is missing, is not an object, or is a string without `scope` beside it",
        ),
        (json!({"event": {}, "repo": "acme/model"}).to_string(), "`repo` is not an object"),
        (
            json!({"event": {}, "repo": {"name": "acme/model"}}).to_string(),
            "`repo.type` is missing or not a string",
        ),
        (
            json!({"event": {}, "repo": {"type": "model"}}).to_string(),
            "`repo.name` is missing or not a string",
        ),
        (moved_to(json!({})), "`movedTo.name` is missing or not a string"),
        (moved_to(json!({"name": "../x"})), "`movedTo.name`: `../x` is not the name of a repo"),
        (named(json!(7)), "`repo.name` is missing or not a string"),
        (named(json!("")), "`repo.name`: `` is not the name of a repo"),
        (named(json!("../../whoami-v2")), "is not the name of a repo"),
        (named(json!("acme/model?x=1#y")), "is not the name of a repo"),
        (named(json!("acme/model/user-access-request")), "is not the name of a repo"),
        (named(json!("acme/%2e%2e")), "is not the name of a repo"),
        (named(json!("http://evil.example/x")), "is not the name of a repo"),
        (named(json!("acme/mo\ndel")), "`acme/mo\\ndel` is not the name of a repo"),
        (named(json!("x".repeat(1_000_000))), "…` is not the name"),
    ];
    for (body, expected) in cases {
        let (status, error) = send(&doorman, request("POST", Some(SECRET), body.clone())).await;
        assert_eq!(status, 400, "{body}");
        let error = error["error"].as_str().unwrap_or_default();
        assert!(error.contains(expected) && error.len() < 500 && !error.contains('@'), "{body}: {error}");
    }
    assert_eq!(hub.calls(), [""; 0]);
}

#[tokio::test]
async fn event_that_needs_no_review_is_ignored() {
    let hub = Hub::start().await;
    let doorman = doorman_with(&hub, &[("REPOS", "acme/model, datasets/acme/*, lab/*")]);
    let event = |action: &str, scope: &str| json!({"action": action, "scope": scope});
    let with_type = |repo_type: &str| {
        let mut payload = payload("acme/model");
        payload["repo"]["type"] = json!(repo_type);
        payload
    };
    let mut deleted = payload("acme/model");
    deleted["event"] = event("delete", "repo");
    let mut moved_away = payload("acme/model");
    moved_away["event"] = event("move", "repo");
    moved_away["movedTo"] = json!({"name": "other/model", "owner": {"id": "id-other"}});
    let cases = [
        (with_type("space"), "a Space cannot be gated"),
        (with_type("bucket"), "only models and datasets can be gated"),
        (with_type("kernel"), "only models and datasets can be gated"),
        (
            json!({"event": {}, "repo": {"type": "bucket", "path": "acme/b"}}),
            "only models and datasets can be gated",
        ),
        (
            json!({"event": event("update", "repo"), "webhook": {"id": "w", "version": 3}}),
            "the event is about no repo",
        ),
        (json!({"event": event("update", "repo"), "repo": null}), "the event is about no repo"),
        (deleted, "the repo was deleted"),
        (moved_away, "REPOS does not name other/model"),
        (payload("acme/other"), "REPOS does not name acme/other"),
        (payload("datasets/lab2/corpus"), "REPOS does not name datasets/lab2/corpus"),
        (payload("gpt2"), "REPOS does not name gpt2"),
    ];
    for (payload, reason) in cases {
        let (status, body) = deliver(&doorman, &payload).await;
        assert_eq!((status, body), (200, json!({"status": "ignored", "reason": reason})), "{payload}");
    }
    assert_eq!(hub.calls(), [""; 0]);
}

/// A webhook only prompts a look, so events that the Hub may invent are welcome as well.
#[tokio::test]
async fn any_other_event_starts_a_review() {
    let hub = Hub::start().await;
    let doorman = doorman(&hub);
    let events = [
        ("repo", "create"),
        ("repo", "update"),
        ("repo.content", "update"),
        ("repo.config", "update"),
        ("discussion", "create"),
        ("discussion", "update"),
        ("discussion", "delete"),
        ("discussion.comment", "create"),
        ("discussion.comment", "update"),
        ("repo.access_request", "create"),
        ("repo.content", "delete"),
        ("moon", "wane"),
    ];
    for (number, (scope, action)) in events.into_iter().enumerate() {
        let repo = format!("acme/model{number}");
        ask(&hub, &repo, [staff("ada")]);
        let mut payload = payload(&repo);
        payload["event"] = json!({"action": action, "scope": scope, "new": true});
        payload["somethingNew"] = json!([1, 2, 3]);
        assert_eq!(deliver(&doorman, &payload).await.0, 200, "{scope} {action}");
        assert_eq!(hub.users(&repo, Status::Accepted), ["ada"], "{scope} {action}");
    }
    // Values that the doorman does not read may have any type.
    let mut odd = payload("acme/model0");
    odd["event"] = json!({"action": null, "scope": 7});
    odd["movedTo"] = json!("x");
    assert_eq!(deliver(&doorman, &odd).await.0, 200);
    ask(&hub, "acme/bare", [staff("ada")]);
    let bare = json!({"event": {}, "repo": {"type": "model", "name": "acme/bare"}});
    assert_eq!(deliver(&doorman, &bare).await.0, 200);
}

#[tokio::test]
async fn repo_that_is_no_longer_gated_is_ignored() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", [staff("ada"), staff("eve"), stranger("bob")]);
    hub.model().repo("acme/model").gating = Gating::Off;
    let (status, body) = review(&hub).await;
    assert_eq!((status, body), (200, json!({"status": "ignored", "reason": "acme/model is not gated"})));
    assert_eq!(hub.users("acme/model", Status::Pending), ["ada", "bob", "eve"]);
}

/// The gate is removed while decisions are written. Those that were written before still count as accepted.
#[tokio::test]
async fn gate_removed_during_a_run_keeps_earlier_outcomes() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", [staff("ada"), staff("eve"), stranger("kim").answer("Country", "KP")]);
    let headers = vec![("X-Error-Code", "RepoNotGated".to_owned())];
    hub.model().repo("acme/model").has_request_ids = false;
    hub.model().fault("/handle", Fault::Answer(400, headers, String::new()));
    let doorman = doorman_with(&hub, &[("CONCURRENCY", "1")]);
    let (status, report) = deliver(&doorman, &payload("acme/model")).await;
    let numbers = &report["repos"][0];
    assert_eq!((status, &numbers["accepted"], &numbers["failed"]), (202, &json!(2), &json!(1)), "{report}");
}

#[tokio::test]
async fn dry_run_reports_and_changes_nothing() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", [staff("ada"), stranger("bob"), stranger("kim").answer("Country", "KP")]);
    let doorman = doorman_with(&hub, &[("DRY_RUN", "true")]);
    let (status, report) = deliver(&doorman, &payload("acme/model")).await;
    let numbers = &report["repos"][0];
    assert_eq!((status, &report["dry_run"], &report["status"]), (200, &json!(true), &json!("reviewed")));
    assert_eq!(
        (&numbers["accepted"], &numbers["rejected"], &numbers["held"]),
        (&json!(1), &json!(1), &json!(1))
    );
    assert!(numbers["oldest_pending_s"].as_u64() >= Some(3600), "{numbers}");
    assert_eq!(hub.users("acme/model", Status::Pending), ["ada", "bob", "kim"]);
    assert_eq!(hub.calls().len(), 1);
}

#[tokio::test]
async fn every_call_names_this_project_and_its_version() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", [staff("ada")]);
    review(&hub).await;
    let expected = format!("hub-doorman/{}", env!("CARGO_PKG_VERSION"));
    assert!(hub.model().calls.iter().all(|call| call.user_agent == expected));
}
