//! The metrics for `CloudWatch`. `template.yaml` has the alarms; the doc comment of a story names the alarm whose metric it shows.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use hub_doorman::handler::{Handler, InvocationError};
use hub_doorman::report::metrics::Metrics;
use serde_json::{Value, json};

use crate::digest::Receiver;
use crate::hub::{Fault, Hub, Quota, Role};
use crate::logs::Logs;
use crate::support::{
    HALF_A_MINUTE, POLICY, ask, config_with, deliver, deliver_within, invoke, payload, request, send, staff,
    stranger, sweep, sweep_within,
};

/// A doorman for all of acme, and its lines of metrics.
async fn doorman(hub: &Hub, variables: &[(&str, &str)]) -> (Handler, Logs) {
    let metrics = Logs::default();
    let variables: Vec<_> = [("REPOS", "acme/*")].into_iter().chain(variables.iter().copied()).collect();
    let doorman = Handler::new(config_with(hub, &variables), Metrics::new(metrics.clone())).await;
    (doorman.expect("a doorman"), metrics)
}

/// The values in the last line of metrics. Every metric that the line declares has to be in it, as a number; the waits as a list of
/// numbers.
fn last(metrics: &Logs) -> Value {
    let line = metrics.lines("metrics").pop().expect("a line");
    let [directive] = &line["_aws"]["CloudWatchMetrics"].as_array().expect("a list")[..] else {
        panic!("{line}")
    };
    assert_eq!(
        (&directive["Namespace"], &directive["Dimensions"]),
        (&json!("HubDoorman"), &json!([["FunctionName"]]))
    );
    assert!(line["FunctionName"].is_string(), "{line}");
    // `CloudWatch` drops a line that is not of now, in milliseconds.
    let age = Utc::now().timestamp_millis() - line["_aws"]["Timestamp"].as_i64().expect("a time");
    assert!((0..60_000).contains(&age), "{line}");
    let declared = directive["Metrics"].as_array().expect("a list").iter();
    let values = declared.map(|metric| {
        let name = metric["Name"].as_str().expect("a name");
        let unit = match name {
            "OldestPendingAge" | "WaitTime" => "Seconds",
            "ReviewDuration" | "SweepDuration" => "Milliseconds",
            _ => "Count",
        };
        assert_eq!(metric["Unit"], unit, "{name}");
        let is_wait = |value: &Value| value.as_array().is_some_and(|waits| waits.iter().all(Value::is_u64));
        assert!(
            if name == "WaitTime" { is_wait(&line[name]) } else { line[name].is_u64() },
            "{name}: {line}"
        );
        (name.to_owned(), line[name].clone())
    });
    values.collect::<serde_json::Map<_, _>>().into()
}

/// The values of [`last`] without durations, ages and waits.
fn last_counts(metrics: &Logs) -> Value {
    let mut values = last(metrics);
    let map = values.as_object_mut().expect("an object");
    map.retain(|name, _| !name.ends_with("Duration") && !name.ends_with("Age") && name != "WaitTime");
    values
}

/// The alarm `LimitsReached`.
#[tokio::test]
async fn reached_limit_is_counted_by_repo() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", ["ada", "bob"].map(staff));
    ask(&hub, "acme/other", ["ada"].map(staff));
    let policy = POLICY.replacen('{', r#"{"limits": {"accept": 1}, "#, 1);
    let (doorman, metrics) = doorman(&hub, &[("APPROVAL_POLICY", &policy)]).await;
    for _ in 0..2 {
        deliver(&doorman, &payload("acme/model")).await;
        assert_eq!(last(&metrics)["LimitsReached"], 1);
        sweep(&doorman).await;
        let values = last(&metrics);
        assert_eq!((&values["LimitsReached"], &values["SweepFinished"]), (&json!(1), &json!(1)), "{values}");
    }
    deliver(&doorman, &payload("acme/other")).await;
    assert!(last(&metrics)["LimitsReached"].is_null());
}

#[tokio::test]
async fn webhook_is_counted_by_verdict() {
    let hub = Hub::start().await;
    hub.model().quota = Quota::new(1000, Duration::from_secs(300));
    ask(
        &hub,
        "acme/model",
        [
            staff("ada"),
            staff("eve"),
            stranger("bob"),
            stranger("kim").answer("Country", "KP"),
            stranger("lee").answer("Purpose", "x"),
        ],
    );
    let (doorman, metrics) = doorman(&hub, &[]).await;
    deliver(&doorman, &payload("acme/model")).await;
    let counts = json!({"Listed": 5, "Held": 1, "Accepted": 2, "Rejected": 1, "Reset": 1, "Calls": 4, "RateLimitRemaining": 996});
    assert_eq!(last_counts(&metrics), counts);
    let all = last(&metrics);
    assert!(all["OldestPendingAge"].as_u64() >= Some(3600) && all["ReviewDuration"].is_u64(), "{all}");
    assert_eq!(all["SweepDuration"], Value::Null);
}

#[tokio::test]
async fn quiet_sweep_is_counted_as_finished() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", []);
    let (doorman, metrics) = doorman(&hub, &[]).await;
    sweep(&doorman).await;
    let all = last(&metrics);
    assert_eq!((&all["Listed"], &all["Held"], &all["OldestPendingAge"]), (&json!(0), &json!(0), &json!(0)));
    assert_eq!((&all["SweepFinished"], &all["Calls"]), (&json!(1), &json!(3)));
    assert!(all["SweepDuration"].is_u64() && all.get("ReviewDuration").is_none(), "{all}");
    let zero: Vec<_> = ["Accepted", "Rejected", "Reset", "Gone", "Failed", "RateLimited", "TokenRefused"]
        .into_iter()
        .filter(|name| all.get(name).is_some())
        .collect();
    assert_eq!(zero, [""; 0], "metrics that would be zero are not written, because each costs money");
}

#[tokio::test]
async fn metrics_name_delivery_and_repo() {
    let hub = Hub::start().await;
    ask(&hub, "datasets/acme/corpus", []);
    let (doorman, metrics) = doorman(&hub, &[]).await;
    let webhook = |id: &str| {
        let mut webhook =
            request("POST", Some(crate::support::SECRET), payload("datasets/acme/corpus").to_string());
        webhook.headers_mut().insert("Webhook-Id", id.parse().expect("a header"));
        webhook
    };
    send(&doorman, webhook("01K8-delivery_1.2")).await;
    send(&doorman, webhook("ada@acme.com")).await;
    send(&doorman, webhook(&"x".repeat(101))).await;
    let lines = metrics.lines("metrics");
    assert_eq!(
        (&lines[0]["delivery_id"], &lines[0]["repo"]),
        (&json!("01K8-delivery_1.2"), &json!("datasets/acme/corpus"))
    );
    let others = lines[1..].iter().map(|line| &line["delivery_id"]);
    assert_eq!(
        others.collect::<Vec<_>>(),
        [&Value::Null; 2],
        "a header that does not look like an id is not repeated"
    );
}

/// For the alarm "webhooks are refused", which watches the sum of `RejectedWebhooks`.
#[tokio::test]
async fn webhook_without_the_secret_is_counted() {
    let hub = Hub::start().await;
    let (doorman, metrics) = doorman(&hub, &[]).await;
    send(&doorman, request("POST", Some("guess"), "{}")).await;
    assert_eq!(last(&metrics), json!({"RejectedWebhooks": 1}));
    send(&doorman, request("POST", None, "")).await;
    send(&doorman, request("GET", None, "")).await;
    assert_eq!((last(&metrics), metrics.lines("metrics").len()), (json!({"RejectedWebhooks": 1}), 2));
}

/// For the alarms "the Hub refuses the token", which watches `TokenRefused`, and "the function fails".
#[tokio::test]
async fn refused_token_is_counted() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", [staff("ada")]);
    let (doorman, metrics) = doorman(&hub, &[]).await;
    "another".clone_into(&mut hub.model().token);
    let failed = invoke(&doorman, &json!({"sweep": true}), HALF_A_MINUTE).await;
    assert!(matches!(failed, Err(InvocationError::TokenRefused(_))), "{failed:?}");
    assert_eq!(last_counts(&metrics)["TokenRefused"], 1);
    deliver(&doorman, &payload("acme/model")).await;
    assert_eq!(last_counts(&metrics)["TokenRefused"], 1);
}

/// For the alarm "somebody waits too long", which watches the highest `OldestPendingAge`.
#[tokio::test]
async fn sweep_reports_the_age_of_the_oldest_request() {
    let hub = Hub::start().await;
    hub.model().add("acme/model").ask_at(stranger("bob"), Utc::now() - TimeDelta::hours(100));
    ask(&hub, "acme/other", [stranger("eve")]);
    let (doorman, metrics) = doorman(&hub, &[]).await;
    sweep(&doorman).await;
    let age = last(&metrics)["OldestPendingAge"].as_u64().expect("an age");
    assert!((100 * 3600..101 * 3600).contains(&age), "{age} s");
}

/// For the alarm "no sweep finished", which watches for three periods without `SweepFinished`.
#[tokio::test]
async fn incomplete_sweep_is_not_counted_as_finished() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", [staff("ada")]);
    ask(&hub, "acme/broken", []);
    let (doorman, metrics) = doorman(&hub, &[]).await;
    hub.model().fault("acme/broken", Fault::Status(418));
    sweep(&doorman).await;
    assert_eq!(last(&metrics).get("SweepFinished"), None);
    sweep_within(&doorman, Duration::ZERO).await;
    let all = last(&metrics);
    assert_eq!(
        (all.get("SweepFinished"), all.get("Listed"), all.get("OldestPendingAge")),
        (None, None, None),
        "nothing was read"
    );
    invoke(&doorman, &json!({"sweep": ["acme/model"]}), HALF_A_MINUTE).await.expect("a sweep");
    assert_eq!(last(&metrics).get("SweepFinished"), None, "it did not sweep all of REPOS");
    sweep(&doorman).await;
    assert_eq!(last(&metrics)["SweepFinished"], 1);
}

/// A pattern without any gated repo may be misspelt.
#[tokio::test]
async fn sweep_with_an_unknown_name_is_not_counted_as_finished() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", []);
    for (repos, finished) in [("acme/*", Some(1)), ("acme/* datasets/acme/*", None), ("acmee/*", None)] {
        let (doorman, metrics) = doorman(&hub, &[("REPOS", repos)]).await;
        sweep(&doorman).await;
        assert_eq!(last(&metrics).get("SweepFinished").and_then(Value::as_u64), finished, "{repos}");
    }
}

#[tokio::test]
async fn dry_run_counts_nobody_as_decided() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", [staff("ada"), stranger("bob")]);
    let (doorman, metrics) = doorman(&hub, &[("DRY_RUN", "true")]).await;
    sweep(&doorman).await;
    let all = last(&metrics);
    assert_eq!((&all["Listed"], &all["Held"], all.get("Accepted")), (&json!(2), &json!(1), None));
}

#[tokio::test]
async fn durations_are_in_milliseconds() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", []);
    let (doorman, metrics) = doorman(&hub, &[]).await;
    hub.model().latency = Duration::from_millis(150);
    deliver(&doorman, &payload("acme/model")).await;
    let review = last(&metrics)["ReviewDuration"].as_u64().expect("a duration");
    sweep(&doorman).await;
    let sweep = last(&metrics)["SweepDuration"].as_u64().expect("a duration");
    // On any machine, these numbers are too large for seconds and too small for microseconds.
    assert!((150..100_000).contains(&review) && (300..100_000).contains(&sweep), "{review} {sweep}");
}

/// Only a 401, or a 403 for every repo, says something about the token.
#[tokio::test]
async fn failure_of_one_repo_is_not_counted_as_a_refused_token() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", [staff("ada")]);
    let (doorman, metrics) = doorman(&hub, &[]).await;
    ask(&hub, "acme/other", []);
    hub.model().repo("acme/model").role = Role::Read;
    let some = invoke(&doorman, &json!({"sweep": ["acme/model"]}), HALF_A_MINUTE).await;
    assert!(
        some.is_err() && last(&metrics).get("TokenRefused").is_none(),
        "the token may have access to the other repo"
    );
    hub.model().repo("acme/model").role = Role::Write;
    for status in [403, 404, 418] {
        hub.model().fault("/pending", Fault::Status(status));
        deliver(&doorman, &payload("acme/model")).await;
        let all = last(&metrics);
        let absent = ["TokenRefused", "Listed", "Held"].map(|name| all.get(name));
        assert_eq!(absent, [None; 3], "{status}: {all}");
    }
}

#[tokio::test]
async fn rate_limit_and_failures_are_counted_once() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", [staff("ada"), stranger("kim").answer("Country", "KP")]);
    let (doorman, metrics) = doorman(&hub, &[]).await;
    hub.model().repo("acme/model").has_request_ids = false;
    hub.model().fault("/handle", Fault::Status(418));
    hub.model().fault("/pending", Fault::Answer(429, vec![("Retry-After", "0".to_owned())], String::new()));
    deliver(&doorman, &payload("acme/model")).await;
    let counts = last_counts(&metrics);
    assert_eq!(
        (&counts["RateLimited"], &counts["Failed"], &counts["Calls"]),
        (&json!(1), &json!(1), &json!(4)),
        "{counts}"
    );
    deliver(&doorman, &payload("acme/model")).await;
    assert_eq!(last_counts(&metrics).get("RateLimited"), None, "each is counted once");
    hub.model().repo("acme/model").ask(staff("eve"));
    hub.model().faults("/handle", &Fault::Stall, 9);
    deliver_within(&doorman, &payload("acme/model"), Duration::from_secs(2)).await;
    assert_eq!(last_counts(&metrics)["Failed"], 1, "a response was lost");
}

/// The alarm `DigestFailed`. A line without a value would be no metric.
#[tokio::test]
async fn failed_destinations_of_a_digest_are_counted() {
    let (hub, receiver) = (Hub::start().await, Receiver::start([]).await);
    ask(&hub, "acme/model", [stranger("mallory")]);
    let (missing, good) = (format!("{}/no-webhook", hub.endpoint()), receiver.url());
    let (doorman_to_all, metrics) =
        doorman(&hub, &[("DIGEST_TO", &format!("{missing} {good} {missing}"))]).await;
    let order = json!({"digest": true});
    let report = invoke(&doorman_to_all, &order, HALF_A_MINUTE).await.expect("a digest never fails");
    assert_eq!((&report["status"], last(&metrics)), (&json!("failed"), json!({"DigestFailed": 2})));

    let (doorman_to_one, metrics) = doorman(&hub, &[("DIGEST_TO", &good)]).await;
    let report = invoke(&doorman_to_one, &order, HALF_A_MINUTE).await.expect("a digest never fails");
    assert_eq!((&report["status"], metrics.lines("metrics").len()), (&json!("sent"), 0), "{report}");
}
