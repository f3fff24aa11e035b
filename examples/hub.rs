//! The stand-in Hub by itself, with the people of the harness waiting, for tools that need a Hub to talk to.
//!
//! Prints the environment of a doorman that works with it and with the sample events, as a file for `cargo lambda watch
//! --env-file`, and serves until it is stopped.
#![allow(clippy::print_stdout)]

#[path = "../tests/hub/mod.rs"]
mod hub;
#[path = "replay/people.rs"]
mod people;

use hub::Hub;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let hub = Hub::start().await;
    people::seed(&hub);
    println!("HF_ENDPOINT={}", hub.endpoint());
    println!("HF_TOKEN={}", Hub::TOKEN);
    println!("REPOS=acme/*");
    println!("WEBHOOK_SECRET=sample-webhook-secret");
    // In backquotes, or cargo-lambda takes the quotes of the JSON for its own.
    println!("APPROVAL_POLICY=`{}`", include_str!("policy.json").lines().collect::<String>());
    std::future::pending::<()>().await;
}
