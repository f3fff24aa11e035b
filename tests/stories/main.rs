//! What the doorman does, told over the stand-in Hub: who is waiting, what happens, who is in.

// A panic is how a test says that something is wrong.
#![allow(clippy::expect_used)]

#[path = "../aws/mod.rs"]
mod aws;
#[path = "../../examples/replay/crowd.rs"]
mod crowd;
#[path = "../hub/mod.rs"]
mod hub;
#[path = "../logs/mod.rs"]
mod logs;

mod answers;
mod audit;
mod backlog;
mod binary;
#[cfg(feature = "command-line")]
mod command_line;
mod crowds;
mod discovery;
mod events;
mod failures;
mod later;
mod limits;
mod load;
mod metrics;
mod names;
#[cfg(target_os = "linux")]
mod overload;
mod people;
mod python_client;
mod secrets;
mod settings_of_hub;
mod stand_in;
mod support;
mod sweeps;
mod turns;
mod webhooks;
