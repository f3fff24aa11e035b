//! Secrets that AWS keeps: read when the function starts, and again when one of them is refused.

use std::io;
use std::time::Duration;

use hub_doorman::config::ConfigError;
use hub_doorman::handler::Doorman;
use hub_doorman::metrics::Metrics;
use serde_json::json;
use tokio::time::timeout;

use crate::aws::{Aws, PARAMETER, SECRET as KEPT};
use crate::hub::{Fault, Hub, Status};
use crate::logs::Logs;
use crate::support::{
    SECRET, answer, ask, config_with, invoke, payload, request, staff, sweep, with_time_left,
};

/// A doorman before this Hub and this AWS, with these environment variables besides or instead.
async fn start(hub: &Hub, aws: &Aws, variables: &[(&str, &str)]) -> Result<Doorman, ConfigError> {
    let endpoint = aws.endpoint();
    let mut all = vec![
        ("AWS_ENDPOINT_URL", &*endpoint),
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI"),
        ("AWS_SESSION_TOKEN", "session"),
        ("REPOS", "acme/*"),
    ];
    all.extend(variables);
    Doorman::new(config_with(hub, &all), Metrics::new(io::sink())).await
}

/// The status of the answer to a webhook that shows this.
async fn knock(doorman: &Doorman, secret: &str) -> u16 {
    answer(doorman, request("POST", Some(secret), payload("acme/model").to_string())).await.0
}

#[tokio::test]
async fn both_are_read_at_the_same_time_and_once() {
    let (hub, aws) = (Hub::start().await, Aws::start().await);
    ask(&hub, "acme/model", [staff("ada")]);
    aws.keep(KEPT, &json!({"token": Hub::TOKEN, "other": 1}).to_string());
    aws.keep(PARAMETER, &format!("{SECRET}\n"));
    aws.model().together = 2;
    let token = format!("{KEPT}#token");
    let variables = [("HF_TOKEN", &*token), ("WEBHOOK_SECRET", PARAMETER)];
    let doorman = start(&hub, &aws, &variables).await.expect("both secrets");
    assert_eq!(knock(&doorman, SECRET).await, 200);
    assert_eq!(knock(&doorman, SECRET).await, 200);
    assert_eq!(hub.users("acme/model", Status::Accepted), ["ada"]);
    let mut asked = aws.model().asked.clone();
    asked.sort();
    assert_eq!(asked, [KEPT, PARAMETER]);
}

#[tokio::test]
async fn a_rotated_token_works_without_a_new_start() {
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
    assert_eq!(aws.model().asked.len(), 2, "one reading for all that were refused at once");
}

#[tokio::test]
async fn a_rotated_webhook_secret_works_without_a_new_start() {
    let (hub, aws) = (Hub::start().await, Aws::start().await);
    ask(&hub, "acme/model", []);
    aws.keep(PARAMETER, "old");
    aws.keep(KEPT, "older");
    let variables = [("WEBHOOK_SECRET", PARAMETER), ("WEBHOOK_SECRET_PREVIOUS", KEPT)];
    let doorman = start(&hub, &aws, &variables).await.expect("both secrets");
    assert_eq!((knock(&doorman, "old").await, knock(&doorman, "older").await), (200, 200));
    aws.keep(PARAMETER, "new");
    aws.keep(KEPT, "old");
    assert_eq!(knock(&doorman, "new").await, 200);
    assert_eq!((knock(&doorman, "old").await, knock(&doorman, "older").await), (200, 401));
}

#[tokio::test]
async fn whoever_guesses_secrets_has_them_read_once_and_not_again_for_a_minute() {
    let (hub, aws) = (Hub::start().await, Aws::start().await);
    ask(&hub, "acme/model", []);
    aws.keep(PARAMETER, SECRET);
    let doorman = start(&hub, &aws, &[("WEBHOOK_SECRET", PARAMETER)]).await.expect("a secret");
    for guess in 0..20 {
        assert_eq!(knock(&doorman, &format!("guess {guess}")).await, 401);
    }
    answer(&doorman, request("POST", None, "{}")).await;
    assert_eq!(aws.model().asked.len(), 2);
    assert_eq!(knock(&doorman, SECRET).await, 200);
}

#[tokio::test]
async fn a_token_that_is_still_the_same_is_not_tried_again() {
    let (hub, aws) = (Hub::start().await, Aws::start().await);
    ask(&hub, "acme/model", [staff("ada")]);
    aws.keep(KEPT, Hub::TOKEN);
    let stored = start(&hub, &aws, &[("HF_TOKEN", KEPT)]).await.expect("a token");
    let given = start(&hub, &aws, &[]).await.expect("what is given");
    "another".clone_into(&mut hub.model().token);
    for (doorman, read) in [(given, 1), (stored, 2)] {
        hub.model().calls.clear();
        assert_eq!(knock(&doorman, SECRET).await, 202);
        assert_eq!((hub.calls().len(), aws.model().asked.len()), (1, read));
    }
}

#[tokio::test]
async fn a_token_with_too_few_rights_can_be_replaced_without_a_new_start() {
    let (hub, aws) = (Hub::start().await, Aws::start().await);
    ask(&hub, "acme/model", [staff("ada")]);
    aws.keep(KEPT, "hf_reads_only");
    let doorman = start(&hub, &aws, &[("HF_TOKEN", KEPT)]).await.expect("a token");
    hub.model().fault("/pending", Fault::Status(403));
    aws.keep(KEPT, Hub::TOKEN);
    assert_eq!(knock(&doorman, SECRET).await, 200);
}

#[tokio::test]
async fn one_that_is_gone_keeps_no_other_from_being_rotated() {
    let (hub, aws) = (Hub::start().await, Aws::start().await);
    ask(&hub, "acme/model", [staff("ada")]);
    aws.keep(PARAMETER, "new");
    aws.keep(KEPT, "old");
    let variables = [("WEBHOOK_SECRET", PARAMETER), ("WEBHOOK_SECRET_PREVIOUS", KEPT)];
    let doorman = start(&hub, &aws, &variables).await.expect("both secrets");
    aws.model().kept.remove(KEPT);
    aws.keep(PARAMETER, "newer");
    assert_eq!((knock(&doorman, "newer").await, knock(&doorman, "old").await), (200, 200));
    assert_eq!(knock(&doorman, "new").await, 401);
}

#[tokio::test]
async fn however_long_aws_takes_a_start_and_an_event_end_before_lambda_ends_them() {
    let (hub, aws) = (Hub::start().await, Aws::start().await);
    aws.keep(PARAMETER, "old");
    aws.keep(KEPT, Hub::TOKEN);
    let variables = [("HF_TOKEN", KEPT), ("WEBHOOK_SECRET", PARAMETER)];
    let doorman = start(&hub, &aws, &variables).await.expect("both secrets");
    aws.model().hangs = usize::MAX;
    "another".clone_into(&mut hub.model().token);
    let at_most = |seconds| Duration::from_secs(seconds);
    let guess = |left| with_time_left(request("POST", Some("guess"), "{}"), at_most(left));
    answer(&doorman, guess(1)).await;
    assert_eq!(aws.model().asked.len(), 2, "in so little time it is not even tried");
    let refused = timeout(at_most(10), answer(&doorman, guess(900))).await.expect("in its time");
    let failed = timeout(at_most(4), invoke(&doorman, &json!({"sweep": true}), at_most(3))).await;
    assert_eq!((refused.0, failed.expect("in its time").is_err()), (401, true));
    let started = timeout(at_most(10), start(&hub, &aws, &variables)).await.expect("in Lambda's time");
    let error = started.expect_err("no secret").to_string();
    assert!(error.contains("HF_TOKEN") && error.contains("WEBHOOK_SECRET"), "{error}");
}

#[tokio::test]
async fn what_cannot_be_read_again_leaves_what_is_known() {
    let (hub, aws) = (Hub::start().await, Aws::start().await);
    ask(&hub, "acme/model", []);
    aws.keep(PARAMETER, SECRET);
    let doorman = start(&hub, &aws, &[("WEBHOOK_SECRET", PARAMETER)]).await.expect("a secret");
    aws.model().kept.clear();
    let (logs, _guard) = Logs::capture();
    assert_eq!((knock(&doorman, "guess").await, knock(&doorman, SECRET).await), (401, 200));
    let warned = logs.lines("a secret was refused, and cannot be read again");
    assert_eq!(warned[0]["variable"], "WEBHOOK_SECRET");
    let error = warned[0]["error"].as_str().expect("a text");
    assert!(error.contains(&format!("{PARAMETER} cannot be used: AWS answered 400")), "{error}");
}

#[tokio::test]
async fn all_that_cannot_be_read_is_told_with_variable_and_arn_and_without_what_it_holds() {
    let cases = [
        (
            None,
            KEPT.to_owned(),
            "ResourceNotFoundException Secrets Manager can't find the specified secret.; check the ARN",
        ),
        (None, PARAMETER.to_owned(), "AWS answered 400 ParameterNotFound; check the ARN"),
        (Some("{\"hunter\": \"hunter2\"}"), KEPT.to_owned(), "it holds a JSON object; say under which key"),
        (
            Some("{\"hunter\": \"hunter2\"}"),
            format!("{KEPT}#token"),
            "it holds nothing under the key `token`",
        ),
        (Some("{\"token\": [\"hunter2\"]}"), format!("{KEPT}#token"), "under the key `token` is not text"),
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

#[tokio::test]
async fn what_may_pass_by_itself_is_tried_again() {
    let (hub, aws) = (Hub::start().await, Aws::start().await);
    aws.keep(KEPT, Hub::TOKEN);
    aws.model().faults =
        vec![(500, "InternalServiceError", ""), (400, "ThrottlingException", "Rate exceeded")];
    start(&hub, &aws, &[("HF_TOKEN", KEPT)]).await.expect("a token, at last");
    assert_eq!(aws.model().asked.len(), 3);
}

#[tokio::test]
async fn a_call_that_stalls_is_given_up_and_made_again() {
    let (hub, aws) = (Hub::start().await, Aws::start().await);
    aws.keep(KEPT, Hub::TOKEN);
    aws.model().hangs = 1;
    start(&hub, &aws, &[("HF_TOKEN", KEPT)]).await.expect("a token, at last");
    assert_eq!(aws.model().asked.len(), 2);
}

#[tokio::test]
async fn what_aws_repeats_of_the_credentials_is_not_shown() {
    let (hub, aws) = (Hub::start().await, Aws::start().await);
    aws.model().faults = vec![(403, "SignatureDoesNotMatch", "x-amz-security-token:session wJalrXUtnFEMI")];
    let error = start(&hub, &aws, &[("HF_TOKEN", KEPT)]).await.expect_err("no access").to_string();
    assert!(error.contains("x-amz-security-token:[redacted] [redacted]"), "{error}");
}

#[tokio::test]
async fn what_aws_refuses_is_not_tried_again() {
    let (hub, aws) = (Hub::start().await, Aws::start().await);
    aws.model().faults = vec![(400, "AccessDeniedException", "User: arn:aws:sts::1:x is not authorized")];
    let error = start(&hub, &aws, &[("HF_TOKEN", KEPT)]).await.expect_err("no access").to_string();
    assert!(error.contains("AccessDeniedException User: arn:aws:sts::1:x is not authorized"), "{error}");
    assert_eq!(aws.model().asked.len(), 1);
}

#[tokio::test]
async fn an_answer_of_aws_that_is_too_large_is_not_swallowed() {
    let (hub, aws) = (Hub::start().await, Aws::start().await);
    aws.keep(KEPT, &"x".repeat(2 * 1024 * 1024));
    let error = start(&hub, &aws, &[("HF_TOKEN", KEPT)]).await.expect_err("too large");
    assert!(error.to_string().contains("AWS's answer is larger than 1 MB, and was not read"), "{error}");
    assert_eq!(aws.model().asked.len(), 1, "it would be as large again");
    // Secrets Manager keeps up to 64 KB, and however it writes them they are read.
    aws.keep(KEPT, &json!({"token": Hub::TOKEN, "other": "\u{1}".repeat(65_000)}).to_string());
    start(&hub, &aws, &[("HF_TOKEN", &format!("{KEPT}#token"))]).await.expect("a token");
}

#[tokio::test]
async fn an_aws_that_cannot_be_reached_is_named() {
    let hub = Hub::start().await;
    let aws = Aws::start().await;
    let variables = [("HF_TOKEN", KEPT), ("AWS_ENDPOINT_URL_SECRETS_MANAGER", "http://127.0.0.1:1")];
    let error = start(&hub, &aws, &variables).await.expect_err("no AWS").to_string();
    assert!(error.contains("http://127.0.0.1:1 cannot be reached: Connection refused"), "{error}");
}
