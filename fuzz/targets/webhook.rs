//! Any payload of a webhook that shows the secret: it is answered, and never by a failure, for which the Hub would suspend the
//! webhook.

#![no_main]

use std::sync::LazyLock;

use hub_doorman_fuzz::{DOORMAN, SECRET, TOKEN, block_on, withstand};
use lambda_http::{Body, Request};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|payload: &[u8]| {
    LazyLock::force(&DOORMAN);
    withstand(|| block_on(deliver(payload)));
});

async fn deliver(payload: &[u8]) {
    let mut webhook = Request::new(Body::Binary(payload.to_vec()));
    *webhook.method_mut() = reqwest::Method::POST;
    webhook.headers_mut().insert("x-webhook-secret", SECRET.parse().expect("a header"));
    let answer = DOORMAN.handle(webhook).await.expect("a webhook never fails");
    let body: Value = serde_json::from_slice(answer.body()).expect("JSON");
    match answer.status().as_u16() {
        200 if body["status"] == "ignored" => {}
        200 => assert!(body["status"] == "reviewed" && body["repos"][0]["listed"] == 2, "{body}"),
        400 => assert!(body["error"].is_string(), "{body}"),
        other => panic!("{other}: {body}"),
    }
    let body = body.to_string();
    assert!(!body.contains(TOKEN) && !body.contains(SECRET), "{body}");
}
