//! Tests of the command line `doorman`. Each command is a process with its own environment.

// A panic is how a test reports what is wrong.
#![allow(clippy::expect_used)]

#[path = "../../../tests/stories/support.rs"]
mod support;

mod backtest;
mod check;
mod decide;
mod demo;
mod deploy;
mod desk;
mod digest;
mod groups;
mod jobs;
mod limits;
mod notify;
mod policies;
mod policy;
mod requests;
mod review;
mod webhook;

use std::collections::HashMap;
use std::process::{Output, Stdio};

use hub_stand_in::{self as hub, crowd};
use serde_json::Value;
use tokio::process::Command;

use crate::hub::{Hub, kept};
use crate::support::{POLICY, SECRET};

/// The result of a command.
struct CommandResult {
    status: i32,
    out: String,
    err: String,
}

impl CommandResult {
    /// The standard output of a command that succeeded.
    pub fn out(self) -> String {
        assert_eq!(self.status, 0, "{}{}", self.out, self.err);
        self.out
    }

    /// The standard output as JSON, for any exit status.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("no JSON: {}{}", self.out, self.err))
    }

    /// Asserts the exit status, and that standard error contains all these texts.
    #[track_caller]
    pub fn failed(&self, status: i32, texts: &[&str]) {
        assert_eq!(self.status, status, "{}{}", self.out, self.err);
        for text in texts {
            assert!(self.err.contains(text), "`{text}` is not in: {}", self.err);
        }
    }
}

/// Runs `doorman` with these arguments, without a terminal. Its environment has only the Hub's address, the token, the sample
/// policy, and these variables, which may replace the others. An empty variable is not set.
async fn doorman_in(hub: &Hub, variables: &[(&str, &str)], arguments: &[&str]) -> CommandResult {
    result_of(command(hub, variables, arguments).output().await.expect("doorman runs"))
}

/// Runs `doorman` with a standard output that is closed. Standard error is read.
async fn doorman_with_closed_stdout(hub: &Hub, arguments: &[&str]) -> CommandResult {
    let mut command = command(hub, &[], arguments);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("doorman starts");
    drop(child.stdout.take());
    result_of(child.wait_with_output().await.expect("doorman runs"))
}

fn command(hub: &Hub, variables: &[(&str, &str)], arguments: &[&str]) -> Command {
    let endpoint = hub.endpoint();
    let mut environment: HashMap<&str, &str> = HashMap::from([
        ("HF_ENDPOINT", &*endpoint),
        ("HF_TOKEN", Hub::TOKEN),
        ("APPROVAL_POLICY", POLICY),
        // Otherwise the system finds an `aws` command in /usr/bin.
        ("PATH", "/nonexistent"),
    ]);
    environment.extend(variables.iter().copied());
    environment.retain(|_, value| !value.is_empty());
    let mut command = Command::new(env!("CARGO_BIN_EXE_doorman"));
    command.env_clear().envs(environment).args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    command
}

fn result_of(output: Output) -> CommandResult {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    let (out, err) = (text(output.stdout), text(output.stderr));
    for secret in [Hub::TOKEN, SECRET] {
        assert!(!out.contains(secret) && !err.contains(secret), "a secret is in: {out}{err}");
    }
    // Standard output may contain addresses, because the owner has asked for them. So only standard error is kept.
    kept::output(&err);
    CommandResult { status: output.status.code().expect("no signal"), out, err }
}

/// Runs `doorman` with arguments that are separated by blanks.
async fn doorman(hub: &Hub, arguments: &str) -> CommandResult {
    doorman_in(hub, &[], &arguments.split_whitespace().collect::<Vec<_>>()).await
}
