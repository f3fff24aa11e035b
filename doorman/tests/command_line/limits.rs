//! The limits of a policy, and a paused policy.

use crate::hub::{Hub, Status};
use crate::support::{POLICY, ask, staff, stranger, writes};
use crate::{CommandResult, doorman_in};

/// A Hub with three requests to accept and one to reset.
async fn hub_with_four() -> Hub {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", ["ada", "bob", "eve"].map(staff));
    ask(&hub, "acme/model", [stranger("kim").answer("Purpose", "?")]);
    hub
}

async fn run(hub: &Hub, members: &str, arguments: &[&str]) -> CommandResult {
    let policy = POLICY.replacen('{', &format!("{{{members}, "), 1);
    doorman_in(hub, &[("APPROVAL_POLICY", &policy), ("REPOS", "acme/model")], arguments).await
}

#[tokio::test]
async fn review_leaves_what_is_over_a_limit_without_the_flag() {
    let hub = hub_with_four().await;
    let limits = r#""limits": {"accept": 2}"#;
    let reached = "acme/model: the policy would accept 3 requests, more than its limit of 2 a run, so 3 of them stay pending; \
                   `doorman review --beyond-limits` decides them";
    let plan = run(&hub, limits, &["plan"]).await;
    assert!(plan.err.contains(reached), "{}", plan.err);
    assert_eq!(plan.out().matches("\taccept\tstaff\tover the limit\n").count(), 3);
    assert_eq!(writes(&hub), 0);

    let review = run(&hub, limits, &["review"]).await;
    assert!(review.err.contains(reached), "{}", review.err);
    assert!(review.err.contains("4 listed, 1 reset, 3 over the limit; "), "{}", review.err);
    assert_eq!(review.status, 3, "something is left");
    assert_eq!(review.out.matches("\tover the limit\n").count(), 3);
    assert_eq!(hub.users("acme/model", Status::Reset), ["kim"]);
    assert_eq!(hub.users("acme/model", Status::Accepted).len(), 0);

    let review = run(&hub, limits, &["review", "--beyond-limits"]).await;
    assert!(!review.err.contains("limit"), "{}", review.err);
    assert_eq!(review.status, 0);
    assert_eq!(hub.users("acme/model", Status::Accepted), ["ada", "bob", "eve"]);
}

#[tokio::test]
async fn report_has_the_limit_as_json() {
    let hub = hub_with_four().await;
    let report = run(&hub, r#""limits": {"accept": 2, "reject": 0}"#, &["plan", "--json"]).await.json();
    let reached = serde_json::json!([{"verdict": "accept", "limit": 2, "requests": 3, "left": 3}]);
    assert_eq!(report["repos"][0]["limits_reached"], reached, "{report}");
    assert_eq!(report["repos"][0]["over_limit"], 3, "{report}");
}

#[tokio::test]
async fn paused_policy_changes_nothing() {
    let hub = hub_with_four().await;
    for arguments in [&["review", "--yes", "--json"][..], &["review", "--yes", "--json", "--beyond-limits"]] {
        let review = run(&hub, r#""paused": true"#, arguments).await;
        assert_eq!((review.status, &review.json()["paused"]), (0, &serde_json::json!(true)));
        assert!(review.err.contains("The policy is paused, so nothing was changed."), "{}", review.err);
    }
    let limited = r#""paused": true, "limits": {"accept": 2}"#;
    let review = run(&hub, limited, &["review", "--yes"]).await;
    assert!(!review.err.contains("--beyond-limits"), "it would write nothing: {}", review.err);
    let review = run(&hub, limited, &["review", "--yes", "--beyond-limits"]).await;
    assert!(review.err.contains("4 listed, 3 to accept, 1 to reset; "), "{}", review.err);
    let plan = run(&hub, r#""paused": true"#, &["plan"]).await;
    assert!(plan.err.contains("The policy is paused, so `doorman review` decides nobody."), "{}", plan.err);
    assert_eq!(plan.out().lines().count(), 4);
    assert_eq!(writes(&hub), 0);
}
