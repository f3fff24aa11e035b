//! The stand-in Hub by itself, with the people of the harness waiting, for tools that need a Hub to talk to.
//!
//! Prints its `HF_ENDPOINT` and a token for it, each on a line of its own, and serves until it is stopped.
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
    println!("{}\n{}", hub.endpoint(), Hub::TOKEN);
    std::future::pending::<()>().await;
}
