//! `policy diff`: who of the pending requesters would be decided differently.

use serde_json::json;

use crate::doorman_in;
use crate::hub::{Fault, Hub, Status};
use crate::policies::TempFile;
use crate::support::{POLICY, ask, staff, stranger};

const OTHER: &str = r#"{"rules": [
    {"name": "embargo", "then": "reject", "if": "'Country' in fields && fields['Country'] == 'KP'", "reason": "No."},
    {"name": "vague", "then": "reset", "if": "'Purpose' in fields && size(fields['Purpose']) < 5", "reason": "Say more."},
    {"name": "partner", "then": "accept", "if": "user.domain == 'example.org'"}]}"#;

/// The policy on the Hub, and another one in a file.
const PLACE: &str = "hf://datasets/acme/doorman/policy.toml";

/// Two repos with five requests that get another verdict or reason by [`OTHER`], and two that do not.
async fn hub() -> Hub {
    let hub = Hub::start().await;
    hub.dataset("acme/doorman").commit(&[("policy.toml", POLICY)]);
    ask(
        &hub,
        "acme/model",
        [
            staff("ada"),
            stranger("bob"),
            stranger("kim").answer("Country", "KP"),
            stranger("lee").answer("Purpose", "x"),
            crate::hub::Person::new("eve", "eve@gmail.com"),
        ],
    );
    ask(&hub, "datasets/acme/corpus", [staff("zoe"), stranger("max")]);
    hub
}

#[tokio::test]
async fn requests_with_another_verdict_or_reason_are_shown() {
    let hub = hub().await;
    let file = TempFile::new("diff-other.json", OTHER);
    let repos = ("REPOS", "acme/*");
    let diff = doorman_in(&hub, &[repos], &["policy", "diff", PLACE, file.path()]).await;
    let rows: Vec<Vec<String>> =
        diff.out.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect();
    let without_time: Vec<String> =
        rows.iter().map(|row| [&row[..2], &row[3..]].concat().join("|")).collect();
    let expected = [
        "acme/model|ada|accept|hold|rule `staff`|no rule matched",
        "acme/model|bob|hold|accept|no rule matched|rule `partner`",
        "acme/model|kim|reject|reject|rule `embargo`, reason “We cannot.”|rule `embargo`, reason “No.”",
        "datasets/acme/corpus|zoe|accept|hold|rule `staff`|no rule matched",
        "datasets/acme/corpus|max|hold|accept|no rule matched|rule `partner`",
    ];
    assert_eq!(without_time, expected, "{}", diff.err);
    let totals = "5 of 7 pending requests would be decided differently: 2 accept → hold, 2 hold → accept, \
                  1 reject with another reason\n";
    assert_eq!((diff.status, &*diff.err), (0, totals));
    assert!(!diff.out.contains('@'), "an address is shown: {}", diff.out);
    let calls = hub.calls();
    assert_eq!(
        calls.iter().filter(|call| call.contains("/pending")).count(),
        2,
        "each list is read once: {calls:?}"
    );
    assert!(calls.iter().all(|call| call.starts_with("GET ")), "{calls:?}");
    assert_eq!(hub.users("acme/model", Status::Pending).len(), 5);
}

#[tokio::test]
async fn diff_in_json_has_both_policies_and_totals() {
    let hub = hub().await;
    let file = TempFile::new("diff-json.json", OTHER);
    let diff =
        doorman_in(&hub, &[], &["policy", "diff", "--json", PLACE, file.path(), "acme/model"]).await.json();
    assert_eq!(diff["a"]["commit"], json!(hub.dataset("acme/doorman").head().id));
    assert_eq!((&diff["b"]["place"], &diff["b"]["commit"]), (&json!(file.path()), &json!(null)));
    assert_eq!((&diff["listed"], &diff["complete"]), (&json!(5), &json!(true)));
    assert_eq!(diff["totals"][0], json!({"a": "accept", "b": "hold", "requests": 1}));
    let ada = &diff["requests"][0];
    assert_eq!((&ada["repo"], &ada["user"]), (&json!("acme/model"), &json!("ada")));
    let accepted = json!({"verdict": "accept", "rule": "staff", "grounds": "rule `staff`", "reason": null});
    assert_eq!(ada["a"], accepted);
    assert!(!diff.to_string().contains('@') && !diff.to_string().contains("KP"), "{diff}");
}

#[tokio::test]
async fn same_policies_have_no_difference() {
    let hub = hub().await;
    let old = hub.dataset("acme/doorman").head().id;
    hub.dataset("acme/doorman").commit(&[("policy.toml", OTHER)]);
    let pinned = format!("hf://datasets/acme/doorman@{old}/policy.toml");
    let file = TempFile::new("diff-same.json", POLICY);
    let diff = doorman_in(&hub, &[], &["policy", "diff", &pinned, file.path(), "acme/model"]).await;
    let note = "0 of 5 pending requests would be decided differently\n";
    assert_eq!((diff.status, &*diff.out, &*diff.err), (0, "", note));
}

#[tokio::test]
async fn repo_that_cannot_be_compared_is_reported() {
    let hub = hub().await;
    let file = TempFile::new("diff-failed.json", OTHER);
    let arguments = ["policy", "diff", PLACE, file.path(), "acme/model", "datasets/acme/corpus"];
    hub.model().fault("models/acme/model/user-access-request/pending", Fault::Status(403));
    let diff = doorman_in(&hub, &[], &arguments).await;
    diff.failed(3, &["acme/model: ", "403", "2 of 2 pending requests"]);
    assert_eq!(diff.out.lines().count(), 2, "{}", diff.out);

    let unnamed = doorman_in(&hub, &[], &arguments[..4]).await;
    unnamed.failed(2, &["no repos are named"]);
    let faulty = doorman_in(&hub, &[], &["policy", "diff", PLACE, "not-there.toml", "acme/model"]).await;
    faulty.failed(2, &["not-there.toml"]);
    let unknown = doorman_in(&hub, &[], &["policy", "diff", PLACE, file.path(), "other/*"]).await;
    unknown.failed(1, &["other/*: no gated repo found"]);
}
