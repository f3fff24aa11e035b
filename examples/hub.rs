//! The stand-in Hub alone, with pending requests, for tools that need a Hub.
//!
//! ```text
//! cargo run --example hub                     the twelve people of the example `replay`
//! cargo run --example hub -- --crowd 300      this many people, with varied names and answers
//! ```
//!
//! Prints the environment variables of a doorman for this Hub and the sample events, as a file for `cargo lambda watch
//! --env-file`. Serves until it is stopped.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;

use hub_stand_in::{Hub, crowd, people};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let crowd = match arguments[..] {
        [] => Some(None),
        ["--crowd", number] => number.parse().ok().map(Some),
        _ => None,
    };
    let Some(crowd) = crowd else {
        eprintln!("hub: the only option is --crowd NUMBER");
        return ExitCode::FAILURE;
    };
    let hub = Hub::start().await;
    match crowd {
        Some(number) => crowd::seed(&hub, number),
        None => people::seed(&hub),
    }
    println!("HF_ENDPOINT={}", hub.endpoint());
    println!("HF_TOKEN={}", Hub::TOKEN);
    println!("REPOS=acme/*");
    println!("WEBHOOK_SECRET=sample-webhook-secret");
    // Without backquotes, cargo-lambda would take the quotes of the JSON as its own.
    println!("APPROVAL_POLICY=`{}`", include_str!("policy.json").lines().collect::<String>());
    std::future::pending().await
}
