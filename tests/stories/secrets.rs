//! Secrets that AWS keeps. They are read when the function starts, and again when one of them is refused.

use std::io;
use std::time::Duration;

use hub_doorman::config::ConfigError;
use hub_doorman::handler::Handler;
use hub_doorman::report::metrics::Metrics;
use serde_json::json;
use tokio::time::timeout;

use crate::aws::{Aws, PARAMETER, SECRET as KEPT};
use crate::hub::{Fault, Hub, Status};
use crate::logs::Logs;
use crate::support::{
    SECRET, ask, config_with, invoke, payload, request, send, staff, sweep, with_time_left,
};

/// A doorman for this Hub and this AWS. The variables are added to the required ones, or replace them.
async fn start(hub: &Hub, aws: &Aws, variables: &[(&str, &str)]) -> Result<Handler, ConfigError> {
    let endpoint = aws.endpoint();
    let mut all = vec![
        ("AWS_ENDPOINT_URL", &*endpoint),
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI"),
        ("AWS_SESSION_TOKEN", "session"),
        ("REPOS", "acme/*"),
    ];
    all.extend(variables);
    Handler::new(config_with(hub, &all), Metrics::new(io::sink())).await
}

/// The status of the response to a webhook with this secret.
async fn status_for(doorman: &Handler, secret: &str) -> u16 {
    send(doorman, request("POST", Some(secret), payload("acme/model").to_string())).await.0
}

#[tokio::test]
async fn both_secrets_are_read_once_and_at_the_same_time() {
    let (hub, aws) = (Hub::start().await, Aws::start().await);
    ask(&hub, "acme/model", [staff("ada")]);
    aws.keep(KEPT, &json!({"token": Hub::TOKEN, "other": 1}).to_string());
    aws.keep(PARAMETER, &format!("{SECRET}\n"));
    aws.model().together = 2;
    let token = format!("{KEPT}#token");
    let variables = [("HF_TOKEN", &*token), ("WEBHOOK_SECRET", PARAMETER)];
    let doorman = start(&hub, &aws, &variables).await.expect("both secrets");
    assert_eq!(status_for(&doorman, SECRET).await, 200);
    assert_eq!(status_for(&doorman, SECRET).await, 200);
    assert_eq!(hub.users("acme/model", Status::Accepted), ["ada"]);
    let mut asked = aws.model().asked.clone();
    asked.sort();
    assert_eq!(asked, [KEPT, PARAMETER]);
}

#[tokio::test]
async fn rotated_token_works_without_a_restart() {
    let (hub, aws) = (Hub::start().await, Aws::start().await);
    ask(&hub, "acme/model", [staff("ada")]);
    aws.keep(KEPT, Hub::TOKEN);
    let doorman = start(&hub, &aws, &[("HF_TOKEN", KEPT)]).await.expect("a token");
    "hf_new".clone_into(&mut hub.model().token);
    aws.keep(KEPT, "hf_new");
    let report = sweep(&doorman).await;
    assert_eq!(
        (&report["status"], hub.users("acme/model", Status::Accepted)),
        (&json!("reviewed"), vec!["ada".to_owned()])
    );
    assert_eq!(aws.model().asked.len(), 2, "one reading for all calls that were refused at once");
}

#[tokio::test]
async fn rotated_webhook_secret_works_without_a_restart() {
    let (hub, aws) = (Hub::start().await, Aws::start().await);
    ask(&hub, "acme/model", []);
    aws.keep(PARAMETER, "old");
    aws.keep(KEPT, "older");
    let variables = [("WEBHOOK_SECRET", PARAMETER), ("WEBHOOK_SECRET_PREVIOUS", KEPT)];
    let doorman = start(&hub, &aws, &variables).await.expect("both secrets");
    assert_eq!((status_for(&doorman, "old").await, status_for(&doorman, "older").await), (200, 200));
    aws.keep(PARAMETER, "new");
    aws.keep(KEPT, "old");
    assert_eq!(status_for(&doorman, "new").await, 200);
    assert_eq!((status_for(&doorman, "old").await, status_for(&doorman, "older").await), (200, 401));
}

#[tokio::test]
async fn wrong_guesses_cause_one_reading_a_minute() {
    let (hub, aws) = (Hub::start().await, Aws::start().await);
    ask(&hub, "acme/model", []);
    aws.keep(PARAMETER, SECRET);
    let doorman = start(&hub, &aws, &[("WEBHOOK_SECRET", PARAMETER)]).await.expect("a secret");
    for guess in 0..20 {
        assert_eq!(status_for(&doorman, &format!("guess {guess}")).await, 401);
    }
    send(&doorman, request("POST", None, "{}")).await;
    assert_eq!(aws.model().asked.len(), 2);
    assert_eq!(status_for(&doorman, SECRET).await, 200);
}

#[tokio::test]
async fn unchanged_token_is_not_tried_again() {
    let (hub, aws) = (Hub::start().await, Aws::start().await);
    ask(&hub, "acme/model", [staff("ada")]);
    aws.keep(KEPT, Hub::TOKEN);
    let stored = start(&hub, &aws, &[("HF_TOKEN", KEPT)]).await.expect("a token");
    let given = start(&hub, &aws, &[]).await.expect("what is given");
    "another".clone_into(&mut hub.model().token);
    for (doorman, read) in [(given, 1), (stored, 2)] {
        hub.model().calls.clear();
        assert_eq!(status_for(&doorman, SECRET).await, 202);
        assert_eq!((hub.calls().len(), aws.model().asked.len()), (1, read));
    }
}

#[tokio::test]
async fn token_with_too_few_rights_is_replaced_without_a_restart() {
    let (hub, aws) = (Hub::start().await, Aws::start().await);
    ask(&hub, "acme/model", [staff("ada")]);
    aws.keep(KEPT, "hf_reads_only");
    let doorman = start(&hub, &aws, &[("HF_TOKEN", KEPT)]).await.expect("a token");
    hub.model().fault("/pending", Fault::Status(403));
    aws.keep(KEPT, Hub::TOKEN);
    assert_eq!(status_for(&doorman, SECRET).await, 200);
}

/// AWS no longer has the previous webhook secret, so it is not replaced.
#[tokio::test]
async fn deleted_secret_does_not_stop_the_rotation_of_another() {
    let (hub, aws) = (Hub::start().await, Aws::start().await);
    ask(&hub, "acme/model", [staff("ada")]);
    aws.keep(PARAMETER, "new");
    aws.keep(KEPT, "old");
    let variables = [("WEBHOOK_SECRET", PARAMETER), ("WEBHOOK_SECRET_PREVIOUS", KEPT)];
    let doorman = start(&hub, &aws, &variables).await.expect("both secrets");
    aws.model().kept.remove(KEPT);
    aws.keep(PARAMETER, "newer");
    assert_eq!((status_for(&doorman, "newer").await, status_for(&doorman, "old").await), (200, 200));
    assert_eq!(status_for(&doorman, "new").await, 401);
}

#[tokio::test]
async fn silent_aws_is_given_up_before_lambda_ends_the_process() {
    let (hub, aws) = (Hub::start().await, Aws::start().await);
    aws.keep(PARAMETER, "old");
    aws.keep(KEPT, Hub::TOKEN);
    let variables = [("HF_TOKEN", KEPT), ("WEBHOOK_SECRET", PARAMETER)];
    let doorman = start(&hub, &aws, &variables).await.expect("both secrets");
    aws.model().hangs = usize::MAX;
    "another".clone_into(&mut hub.model().token);
    let at_most = |seconds| Duration::from_secs(seconds);
    let guess = |left| with_time_left(request("POST", Some("guess"), "{}"), at_most(left));
    send(&doorman, guess(1)).await;
    assert_eq!(aws.model().asked.len(), 2, "there is too little time to read it");
    let refused = timeout(at_most(10), send(&doorman, guess(900))).await.expect("in its time");
    let failed = timeout(at_most(4), invoke(&doorman, &json!({"sweep": true}), at_most(3))).await;
    assert_eq!((refused.0, failed.expect("in its time").is_err()), (401, true));
    let started = timeout(at_most(10), start(&hub, &aws, &variables)).await.expect("in Lambda's time");
    let error = started.expect_err("no secret").to_string();
    assert!(error.contains("HF_TOKEN") && error.contains("WEBHOOK_SECRET"), "{error}");
}

#[tokio::test]
async fn failed_reading_keeps_the_known_secret() {
    let (hub, aws) = (Hub::start().await, Aws::start().await);
    ask(&hub, "acme/model", []);
    aws.keep(PARAMETER, SECRET);
    let doorman = start(&hub, &aws, &[("WEBHOOK_SECRET", PARAMETER)]).await.expect("a secret");
    aws.model().kept.clear();
    let (logs, _guard) = Logs::capture();
    assert_eq!((status_for(&doorman, "guess").await, status_for(&doorman, SECRET).await), (401, 200));
    let warned = logs.lines("a secret was refused, and cannot be read again");
    assert_eq!(warned[0]["variable"], "WEBHOOK_SECRET");
    let error = warned[0]["error"].as_str().expect("a text");
    assert!(error.contains(&format!("{PARAMETER} cannot be used: AWS answered 400")), "{error}");
}

#[tokio::test]
async fn unusable_secret_error_names_variable_and_arn() {
    let cases = [
        (
            None,
            KEPT.to_owned(),
            "ResourceNotFoundException Secrets Manager can't find the specified secret.; check the ARN",
        ),
        (None, PARAMETER.to_owned(), "AWS answered 400 ParameterNotFound; check the ARN"),
        (
            Some("{\"hunter\": \"hunter2\"}"),
            KEPT.to_owned(),
            "it holds a JSON object; add the key of the secret",
        ),
        (
            Some("{\"hunter\": \"hunter2\"}"),
            format!("{KEPT}#token"),
            "it holds nothing under the key `token`",
        ),
        (
            Some("{\"token\": [\"hunter2\"]}"),
            format!("{KEPT}#token"),
            "under the key `token` is not a string",
        ),
        (Some("hunter2"), format!("{KEPT}#token"), "it is not a JSON object"),
        (Some(" \n"), KEPT.to_owned(), "it is empty"),
        (Some("hunter2\u{e9}"), PARAMETER.to_owned(), "not printable ASCII"),
    ];
    for (kept, value, expected) in cases {
        let (hub, aws) = (Hub::start().await, Aws::start().await);
        let arn = value.split('#').next().expect("an ARN");
        if let Some(kept) = kept {
            aws.keep(arn, kept);
        }
        let variables =
            [("HF_TOKEN", &*value), ("WEBHOOK_SECRET", &*value), ("WEBHOOK_SECRET_PREVIOUS", &*value)];
        let error = start(&hub, &aws, &variables).await.expect_err(expected).to_string();
        for variable in ["HF_TOKEN", "WEBHOOK_SECRET", "WEBHOOK_SECRET_PREVIOUS"] {
            let line = format!("\n- {variable}: {arn} cannot be used: ");
            assert!(error.contains(&line) && error.contains(expected), "{error}");
        }
        assert!(!error.contains("hunter2"), "{error}");
    }
}

/// AWS reports throttling as a 400.
#[tokio::test]
async fn transient_failure_of_aws_is_retried() {
    let (hub, aws) = (Hub::start().await, Aws::start().await);
    aws.keep(KEPT, Hub::TOKEN);
    aws.model().faults =
        vec![(500, "InternalServiceError", ""), (400, "ThrottlingException", "Rate exceeded")];
    start(&hub, &aws, &[("HF_TOKEN", KEPT)]).await.expect("a token, at last");
    assert_eq!(aws.model().asked.len(), 3);
}

#[tokio::test]
async fn stalled_call_to_aws_is_retried() {
    let (hub, aws) = (Hub::start().await, Aws::start().await);
    aws.keep(KEPT, Hub::TOKEN);
    aws.model().hangs = 1;
    start(&hub, &aws, &[("HF_TOKEN", KEPT)]).await.expect("a token, at last");
    assert_eq!(aws.model().asked.len(), 2);
}

#[tokio::test]
async fn credentials_in_an_error_of_aws_are_redacted() {
    let (hub, aws) = (Hub::start().await, Aws::start().await);
    aws.model().faults = vec![(403, "SignatureDoesNotMatch", "x-amz-security-token:session wJalrXUtnFEMI")];
    let error = start(&hub, &aws, &[("HF_TOKEN", KEPT)]).await.expect_err("no access").to_string();
    assert!(error.contains("x-amz-security-token:[redacted] [redacted]"), "{error}");
}

#[tokio::test]
async fn refusal_by_aws_is_not_retried() {
    let (hub, aws) = (Hub::start().await, Aws::start().await);
    aws.model().faults = vec![(400, "AccessDeniedException", "User: arn:aws:sts::1:x is not authorized")];
    let error = start(&hub, &aws, &[("HF_TOKEN", KEPT)]).await.expect_err("no access").to_string();
    assert!(error.contains("AccessDeniedException User: arn:aws:sts::1:x is not authorized"), "{error}");
    assert_eq!(aws.model().asked.len(), 1);
}

#[tokio::test]
async fn too_large_response_of_aws_is_not_read() {
    let (hub, aws) = (Hub::start().await, Aws::start().await);
    aws.keep(KEPT, &"x".repeat(2 * 1024 * 1024));
    let error = start(&hub, &aws, &[("HF_TOKEN", KEPT)]).await.expect_err("too large");
    assert!(error.to_string().contains("AWS's response is larger than 1 MB and was not read"), "{error}");
    assert_eq!(aws.model().asked.len(), 1, "it is not tried again");
    // Secrets Manager keeps up to 64 KB. They are read even if each byte is written as an escape sequence.
    aws.keep(KEPT, &json!({"token": Hub::TOKEN, "other": "\u{1}".repeat(65_000)}).to_string());
    start(&hub, &aws, &[("HF_TOKEN", &format!("{KEPT}#token"))]).await.expect("a token");
}

#[tokio::test]
async fn unreachable_aws_is_named() {
    let hub = Hub::start().await;
    let aws = Aws::start().await;
    let variables = [("HF_TOKEN", KEPT), ("AWS_ENDPOINT_URL_SECRETS_MANAGER", "http://127.0.0.1:1")];
    let error = start(&hub, &aws, &variables).await.expect_err("no AWS").to_string();
    assert!(error.contains("http://127.0.0.1:1 cannot be reached: Connection refused"), "{error}");
}
