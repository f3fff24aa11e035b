//! The audit log: what a run logs, and what it never logs.

use std::fmt::Write;
use std::time::Duration;

use serde_json::{Value, json};

use crate::hub::{Fault, Hub, Status};
use crate::logs::Logs;
use crate::support::{
    POLICY, SECRET, ask, deliver, deliver_within, doorman, doorman_with, payload, request, review, send,
    staff, stranger,
};

#[tokio::test]
async fn each_decision_is_one_line_that_explains_it() {
    let hub = Hub::start().await;
    let mut shy = stranger("shy");
    shy.email = None;
    ask(
        &hub,
        "datasets/acme/corpus",
        [staff("ada"), stranger("bob"), stranger("kim").answer("Country", "KP"), shy],
    );
    let (logs, _guard) = Logs::capture();
    deliver(&doorman(&hub), &payload("datasets/acme/corpus")).await;

    let mut lines = logs.lines("decided");
    lines.sort_by_key(|line| line["user"].to_string());
    let policy = hub_doorman::policy::Policy::parse(POLICY).expect("a policy");
    let line = |user: &str, verdict: &str, rule: Value, grounds: &str, reason: Value, outcome: &str| {
        let mut line = json!({
            "level": "INFO", "message": "decided", "name": "webhook", "repo": "datasets/acme/corpus", "user": user, "verdict": verdict,
            "grounds": grounds, "policy": policy.fingerprint(), "dry_run": false, "outcome": outcome,
        });
        for (key, value) in [("rule", rule), ("reason", reason)] {
            if !value.is_null() {
                line[key] = value;
            }
        }
        line
    };
    let unknown = "rule `staff` could not be evaluated: the request has no `domain`: its e-mail address is not shared with the owner of the repo";
    let expected = [
        line("ada", "accept", json!("staff"), "rule `staff`", Value::Null, "done"),
        line("bob", "hold", Value::Null, "no rule matched", Value::Null, "held"),
        line("kim", "reject", json!("embargo"), "rule `embargo`", json!("We cannot."), "done"),
        line("shy", "hold", json!("staff"), unknown, Value::Null, "held"),
    ];
    for (mut line, expected) in lines.iter().cloned().zip(&expected) {
        let fields = line.as_object_mut().expect("an object");
        fields.retain(|key, _| key != "timestamp" && key != "target");
        assert_eq!(&line, expected);
    }
    assert_eq!(lines.len(), expected.len());
    assert_eq!(logs.lines("reviewed").len(), 1);
}

#[tokio::test]
async fn dry_run_is_named_on_every_line() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", [staff("ada")]);
    hub.model().repo("acme/model").ask(stranger("bob"));
    let (logs, _guard) = Logs::capture();
    deliver(&doorman_with(&hub, &[("DRY_RUN", "true")]), &payload("acme/model")).await;
    let lines: Vec<_> =
        logs.lines("decided").iter().map(|l| (l["dry_run"].clone(), l["outcome"].clone())).collect();
    assert_eq!(lines, [(json!(true), json!("dry run")), (json!(true), json!("held"))]);
}

#[tokio::test]
async fn failed_write_is_logged_as_failed() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", [staff("ada")]);
    hub.model().faults("POST", &Fault::Status(418), 2);
    let (logs, _guard) = Logs::capture();
    let (_, report) = review(&hub).await;
    assert_eq!(logs.lines("decided")[0]["outcome"], "failed");
    assert!(
        report["repos"][0]["oldest_pending_s"].as_u64() >= Some(3600),
        "the request is still pending: {report}"
    );
}

#[tokio::test]
async fn refused_webhook_leaves_a_line() {
    let hub = Hub::start().await;
    let (logs, _guard) = Logs::capture();
    send(&doorman(&hub), request("POST", Some("guess"), "{}")).await;
    send(&doorman(&hub), request("POST", None, "{}")).await;
    let secrets: Vec<_> = logs.lines("webhook refused").iter().map(|line| line["secret"].clone()).collect();
    assert_eq!(secrets, ["wrong", "missing"]);
    assert!(!logs.text().contains("guess"));
}

/// The Hub repeats token and e-mail addresses in its errors, and rules fail to be evaluated.
#[tokio::test]
async fn no_failure_shows_a_secret_in_log_or_response() {
    let (logs, _guard) = Logs::capture();
    let mut shown = String::new();
    let echo = json!({"error": format!("token {} of ada@acme.com has expired", Hub::TOKEN)}).to_string();
    let faults = [
        Fault::Status(500),
        Fault::Answer(401, Vec::new(), echo.clone()),
        Fault::Answer(200, Vec::new(), echo.clone()),
        Fault::Answer(200, Vec::new(), format!("[{{\"user\": {{\"email\": \"ada@acme.com\", \"x\": {echo}")),
        Fault::Garbage,
        Fault::DropAfter,
    ];
    for call in ["/pending", "/batch"] {
        for fault in &faults {
            let hub = Hub::start().await;
            ask(&hub, "acme/model", [staff("ada").answer("Purpose", "my secret purpose")]);
            hub.model().repo("acme/model").ask(staff("eve").answer("Purpose", "my secret purpose"));
            hub.model().repo("acme/model").ask(stranger("bob").answer("Purpose", "my secret purpose"));
            hub.model().faults(call, fault, 100);
            let policy = r#"{"rules": [{"name": "odd", "then": "accept", "if": "int(fields['Purpose']) > 1"},
                {"name": "staff", "then": "accept", "if": "user.domain == 'acme.com'"}]}"#;
            for policy in [POLICY, policy] {
                let doorman = doorman_with(&hub, &[("APPROVAL_POLICY", policy)]);
                let time = Duration::from_millis(1500);
                shown += &deliver_within(&doorman, &payload("acme/model"), time).await.1.to_string();
                hub.model().heal();
                write!(shown, "{doorman:?}").expect("memory");
            }
            assert_eq!(hub.users("acme/model", Status::Rejected), [""; 0]);
        }
    }
    assert!(logs.lines("decided").len() > 20);
    // At the level TRACE, the log has the lines of the HTTP client as well.
    for secret in [Hub::TOKEN, SECRET, "@acme.com", "@example.org", "secret purpose"] {
        assert!(!shown.contains(secret), "{secret} in a response: {shown}");
        let text = logs.text();
        let line = text.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret}");
    }
}
