//! Any bytes as an event of Lambda, all the way that the binary goes: what came as HTTP is answered, and nothing panics.

#![no_main]

use std::sync::LazyLock;

use hub_doorman_fuzz::{DOORMAN, SECRET, TOKEN, block_on, withstand};
use lambda_http::request::LambdaRequest;
use lambda_runtime::{Context, LambdaEvent};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|event: &[u8]| {
    LazyLock::force(&DOORMAN);
    withstand(|| block_on(invoke(event)));
});

async fn invoke(event: &[u8]) {
    // What is no JSON the runtime refuses by itself.
    let Ok(request) = serde_json::from_slice::<LambdaRequest>(event) else { return };
    let is_http =
        serde_json::from_slice::<Value>(event).is_ok_and(|event| event.get("requestContext").is_some());
    match DOORMAN.answer(LambdaEvent::new(request, Context::default())).await {
        Ok(answer) => {
            let answer = serde_json::to_string(&answer).expect("the runtime can write it");
            assert!(!answer.contains(TOKEN) && !answer.contains(SECRET), "{answer}");
        }
        Err(failure) => assert!(!is_http, "what comes as HTTP is answered: {failure}"),
    }
}
