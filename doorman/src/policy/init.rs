//! `policy init`: a first policy for a repo, drafted from its form.

mod draft;
pub mod quote;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Write};

use chrono::Utc;
use hub_doorman::hub::GatingMode;
use hub_doorman::model::Repo;
use hub_doorman::policy::Policy;

use crate::environment::{self, deadline};
use crate::exit::{ExitStatus, UsageError};
use crate::screen::{Screen, print_message};
use draft::Draft;

/// The files that are written to the current directory.
const FILES: [&str; 2] = ["policy.toml", "policy.cases.json"];

/// The most answers of a request that a policy decides.
const MAX_ANSWERS: usize = 300;

/// Writes a policy and its cases to the current directory, or only the policy to the screen.
pub async fn run(repo: &Repo, print: bool, screen: &mut Screen) -> Result<ExitStatus, Box<dyn Error>> {
    let info = environment::hub().await?.account(deadline()).repo_info(repo).await?;
    if info.gating != GatingMode::Manual {
        print_message(&format!(
            "doorman: {repo} has no gate with manual approval, so there is nothing to decide; `doorman check {repo}` says more"
        ));
    }
    for unread in &info.form.unread {
        print_message(&format!("doorman: {repo}: {unread}, so it has no rule"));
    }
    if info.form.questions.len() > MAX_ANSWERS {
        return Err(format!(
            "{repo}: its form has more than {MAX_ANSWERS} questions; a request with so many answers is held, so no policy can decide it"
        )
        .into());
    }
    let Draft { policy, cases } = Draft::of(repo, &info.form, Utc::now());
    if let Err(faults) = Policy::parse(&policy) {
        let faults = faults.join("\n");
        return Err(format!(
            "{repo}: its form gives a policy that is not valid; write one by hand. {faults}"
        )
        .into());
    }
    if print {
        screen.write_all(policy.as_bytes())?;
        return Ok(ExitStatus::Complete);
    }
    write_new([&policy, &cases])?;
    screen.write_note("Wrote policy.toml and policy.cases.json. Read the rules, then run `doorman test policy.toml policy.cases.json`.")?;
    Ok(ExitStatus::Complete)
}

/// Writes the files, and overwrites none.
fn write_new(texts: [&str; 2]) -> Result<(), Box<dyn Error>> {
    if let Some(name) = FILES.iter().find(|name| std::fs::exists(name).unwrap_or(true)) {
        let text =
            format!("{name} is there already, and is not overwritten; use --print, or another directory");
        return Err(UsageError(text).into());
    }
    for (name, text) in FILES.iter().zip(texts) {
        let create =
            || OpenOptions::new().write(true).create_new(true).open(name)?.write_all(text.as_bytes());
        create().map_err(|error: io::Error| match error.kind() {
            ErrorKind::AlreadyExists => format!("{name} is there already, and is not overwritten"),
            _ => format!("{name} cannot be written: {error}"),
        })?;
    }
    Ok(())
}
