//! The owner's command line, `doorman`, as a process with its own environment.

mod check;
mod groups;
mod names;
mod people;
mod policies;
mod review;
mod webhook;

use std::collections::HashMap;
use std::process::{Output, Stdio};

use serde_json::Value;
use tokio::process::Command;

use crate::hub::{Hub, kept};
use crate::support::{POLICY, SECRET};

/// What a command came to.
pub struct Ended {
    pub status: i32,
    pub out: String,
    pub err: String,
}

impl Ended {
    /// What it wrote, if it succeeded.
    pub fn out(self) -> String {
        assert_eq!(self.status, 0, "{}{}", self.out, self.err);
        self.out
    }

    /// What it wrote as JSON, whatever it came to.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("no JSON: {}{}", self.out, self.err))
    }

    /// It ended with this status, and said all of this to a person.
    #[track_caller]
    pub fn failed(&self, status: i32, texts: &[&str]) {
        assert_eq!(self.status, status, "{}{}", self.out, self.err);
        for text in texts {
            assert!(self.err.contains(text), "`{text}` is not in: {}", self.err);
        }
    }
}

/// Runs `doorman` with these arguments before this Hub, without a terminal and with nothing in its environment but what says
/// where the Hub is, who gets in, and these variables besides or instead. An empty one is not set.
pub async fn doorman_in(hub: &Hub, variables: &[(&str, &str)], arguments: &[&str]) -> Ended {
    ended(command(hub, variables, arguments).output().await.expect("doorman runs"))
}

/// The same, where nobody reads what it writes but its complaints.
pub async fn doorman_unread(hub: &Hub, arguments: &[&str]) -> Ended {
    let mut command = command(hub, &[], arguments);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("doorman starts");
    drop(child.stdout.take());
    ended(child.wait_with_output().await.expect("doorman runs"))
}

fn command(hub: &Hub, variables: &[(&str, &str)], arguments: &[&str]) -> Command {
    let endpoint = hub.endpoint();
    let mut environment: HashMap<&str, &str> =
        HashMap::from([("HF_ENDPOINT", &*endpoint), ("HF_TOKEN", Hub::TOKEN), ("APPROVAL_POLICY", POLICY)]);
    environment.extend(variables.iter().copied());
    environment.retain(|_, value| !value.is_empty());
    let mut command = Command::new(env!("CARGO_BIN_EXE_doorman"));
    command.env_clear().envs(environment).args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    command
}

fn ended(output: Output) -> Ended {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    let (out, err) = (text(output.stdout), text(output.stderr));
    for secret in [Hub::TOKEN, SECRET] {
        assert!(!out.contains(secret) && !err.contains(secret), "a secret is in: {out}{err}");
    }
    // What it writes to standard output is what its owner has asked for, addresses and all.
    kept::output(&err);
    Ended { status: output.status.code().expect("no signal"), out, err }
}

/// The same, with arguments that have no blanks in them, as one text.
pub async fn doorman(hub: &Hub, arguments: &str) -> Ended {
    doorman_in(hub, &[], &arguments.split_whitespace().collect::<Vec<_>>()).await
}
