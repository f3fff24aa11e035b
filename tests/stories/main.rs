//! The doorman in front of the stand-in Hub: these requests are pending, this event arrives, and then these have their verdicts.

// In a test, a panic is the report of a fault.
#![allow(clippy::expect_used)]

#[path = "../aws/mod.rs"]
mod aws;
#[path = "../logs/mod.rs"]
mod logs;

mod audit;
mod binary;
mod digest;
mod discovery;
mod events;
mod failures;
mod large_responses;
mod limits;
mod long_lists;
mod mails;
mod many_webhooks;
mod metrics;
mod names;
#[cfg(target_os = "linux")]
mod overload;
mod person_wins;
mod policy_on_hub;
mod python_client;
mod rate_limit;
mod requesters;
mod retries;
mod sample_crowd;
mod secrets;
mod slow_policy;
mod stand_in;
mod stand_in_files;
mod support;
mod sweep_fairness;
mod sweeps;
mod webhooks;
mod writes;

use hub_stand_in::{self as hub, crowd};
