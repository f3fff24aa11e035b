//! Any payload of a webhook with the secret. It gets a response that is not an error of the server, because the Hub would suspend
//! the webhook after such errors.

#![no_main]

use std::sync::LazyLock;

use hub_doorman_fuzz::{DOORMAN, SECRET, TOKEN, block_on, report_uncaught_panic};
use lambda_http::{Body, Request};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|payload: &[u8]| {
    LazyLock::force(&DOORMAN);
    report_uncaught_panic(|| block_on(deliver(payload)));
});

async fn deliver(payload: &[u8]) {
    let mut webhook = Request::new(Body::Binary(payload.to_vec()));
    *webhook.method_mut() = reqwest::Method::POST;
    webhook.headers_mut().insert("x-webhook-secret", SECRET.parse().expect("a header"));
    let response = DOORMAN.handle(webhook).await.expect("a webhook never fails");
    let body: Value = serde_json::from_slice(response.body()).expect("JSON");
    match response.status().as_u16() {
        200 if body["status"] == "ignored" => {}
        200 => assert!(body["status"] == "reviewed" && body["repos"][0]["listed"] == 2, "{body}"),
        400 => assert!(body["error"].is_string(), "{body}"),
        other => panic!("{other}: {body}"),
    }
    let body = body.to_string();
    assert!(!body.contains(TOKEN) && !body.contains(SECRET), "{body}");
}
