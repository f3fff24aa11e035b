//! Any bytes as an event of Lambda, handled as in the binary. Every HTTP event gets a response, and nothing panics.

#![no_main]

use std::sync::LazyLock;

use hub_doorman_fuzz::{DOORMAN, SECRET, TOKEN, block_on, report_uncaught_panic};
use lambda_http::request::LambdaRequest;
use lambda_runtime::{Context, LambdaEvent};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|event: &[u8]| {
    LazyLock::force(&DOORMAN);
    report_uncaught_panic(|| block_on(invoke(event)));
});

async fn invoke(event: &[u8]) {
    // The runtime itself refuses an event that is not JSON.
    let Ok(request) = serde_json::from_slice::<LambdaRequest>(event) else { return };
    let is_http =
        serde_json::from_slice::<Value>(event).is_ok_and(|event| event.get("requestContext").is_some());
    match DOORMAN.answer(LambdaEvent::new(request, Context::default())).await {
        Ok(response) => {
            let response = serde_json::to_string(&response).expect("the runtime can write it");
            assert!(!response.contains(TOKEN) && !response.contains(SECRET), "{response}");
        }
        Err(failure) => assert!(!is_http, "an HTTP event without a response: {failure}"),
    }
}
