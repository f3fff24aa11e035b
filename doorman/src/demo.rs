//! `demo`: shows `plan`, `review` and `list` on a stand-in for the Hub. It needs no token, and no data leaves the machine.

use std::error::Error;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::Stdio;

use hub_stand_in::people::REPOS;
use hub_stand_in::{Hub, people};
use tokio::process::Command;
use tokio::task::spawn_blocking;

use crate::exit::{ExitStatus, UsageError};
use crate::screen::Screen;

const POLICY: &str = include_str!("demo/policy.toml");

/// The name of the file with the policy.
const FILE: &str = "policy.toml";

/// The commands, each with the text that is shown before it.
const STEPS: [(&str, &[&str]); 4] = [
    ("`plan` shows what the policy would decide about each request, and why. It changes nothing.", &["plan"]),
    ("`review` decides the requests, and writes the decisions to the Hub.", &["review", "--yes"]),
    ("The requests that are still pending are held. A person decides them.", &["list", REPOS[0]]),
    ("These users got access.", &["list", REPOS[0], "--status", "accepted"]),
];

/// Runs the commands one after the other. On a terminal it waits for Enter before each, and then the stand-in runs until Ctrl-C.
pub async fn run(screen: &mut Screen) -> Result<ExitStatus, Box<dyn Error>> {
    let hub = Hub::start().await;
    people::seed(&hub);
    let folder = std::env::temp_dir().join(format!("doorman-demo-{}", std::process::id()));
    // This fails if the folder exists, because somebody else may have made it.
    std::fs::create_dir(&folder)?;
    std::fs::write(folder.join(FILE), POLICY)?;
    let shown = show(&hub, &folder, screen).await;
    std::fs::remove_dir_all(&folder)?;
    shown
}

async fn show(hub: &Hub, folder: &Path, screen: &mut Screen) -> Result<ExitStatus, Box<dyn Error>> {
    let is_terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
    let endpoint = hub.endpoint();
    let variables = [
        ("HF_ENDPOINT", endpoint.as_str()),
        ("HF_TOKEN", Hub::TOKEN),
        ("REPOS", "acme/*"),
        ("APPROVAL_POLICY", &format!("file:{FILE}")),
    ];
    writeln!(
        screen,
        "A stand-in for the Hugging Face Hub runs on this machine. Twelve people request access to the gated repos of\n\
         acme. No data leaves the machine. This is acme's policy, {FILE}:\n"
    )?;
    for line in POLICY.lines() {
        writeln!(screen, "    {line}")?;
    }
    for (what, command) in STEPS {
        write!(screen, "\n{what}\n\n$ doorman {}\n", command.join(" "))?;
        if is_terminal {
            write!(screen, "(Enter runs it.) ")?;
        }
        screen.flush()?;
        if is_terminal {
            spawn_blocking(|| io::stdin().read_line(&mut String::new())).await??;
        }
        let status = Command::new(std::env::current_exe()?)
            .args(command)
            .current_dir(folder)
            .envs(variables)
            .env_remove("DRY_RUN")
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .status()
            .await?;
        if !status.success() {
            return Err(UsageError(format!("`doorman {}` has failed", command.join(" "))).into());
        }
    }
    writeln!(
        screen,
        "\nFor your own repo, with a token that may write to it in HF_TOKEN:\n\n\
         $ doorman policy init your/repo     writes a first policy from the form of the gate\n\
         $ doorman plan --policy policy.toml your/repo"
    )?;
    if is_terminal {
        writeln!(screen, "\nThe stand-in runs until Ctrl-C. To try more in another terminal:\n")?;
        for (name, value) in variables.iter().take(3) {
            writeln!(screen, "    export {name}='{value}'")?;
        }
        writeln!(screen, "    export APPROVAL_POLICY='file:{}'", folder.join(FILE).display())?;
        screen.flush()?;
        tokio::signal::ctrl_c().await?;
    }
    Ok(ExitStatus::Complete)
}
