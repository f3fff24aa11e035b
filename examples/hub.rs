//! The stand-in Hub alone, with pending requests, for tools that need a Hub.
//!
//! ```text
//! cargo run --example hub                     the twelve people of the example `replay`
//! cargo run --example hub -- --crowd 300      this many people, with varied names and answers
//! ```
//!
//! Prints the environment variables of a doorman for this Hub and the sample events, and writes them to `local.env`. That file is for a
//! shell (`set -a; . ./local.env`) and for `cargo lambda watch --env-file local.env`, in the root of this repository. Serves until it is
//! stopped.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;

use hub_stand_in::{Hub, crowd, people};

/// The file with the environment variables.
const FILE: &str = "local.env";

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
    // No value needs quotes, which a shell and cargo-lambda would read in different ways.
    let variables = format!(
        "HF_ENDPOINT={}\nHF_TOKEN={}\nREPOS=acme/*\nWEBHOOK_SECRET=sample-webhook-secret\nMAIL_SECRET=sample-mail-secret\nAPPROVAL_POLICY=file:examples/policy.json\n",
        hub.endpoint(),
        Hub::TOKEN
    );
    print!("{variables}");
    if let Err(error) = std::fs::write(FILE, variables) {
        eprintln!("hub: {FILE} cannot be written: {error}");
    }
    std::future::pending().await
}
