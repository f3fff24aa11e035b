//! The owner's command line: the doorman by hand, from cron, or in a job.

mod arguments;
mod cases;
mod check;
mod environment;
mod groups;
mod people;
mod repos;
mod review;
mod screen;
mod verdicts;
mod webhook;

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use hub_doorman::config::ConfigError;
use hub_doorman::hub::Answer;
use hub_doorman::log;
use hub_doorman::model::Status;

use arguments::{Arguments, Command};
use environment::Fault;
use screen::{Screen, complain};
use verdicts::{Order, carry_out, is_agreed_to_reject};

/// What a command came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Complete,
    Failed,
    /// The command or the environment is at fault, and nothing was done.
    AtFault,
    /// Something is left for the next run.
    Incomplete,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let ending = match run(arguments.command).await {
        Ok(ending) => ending,
        Err(error) => explain(&*error),
    };
    ExitCode::from(match ending {
        Ending::Complete => 0,
        Ending::Failed => 1,
        Ending::AtFault => 2,
        Ending::Incomplete => 3,
    })
}

async fn run(command: Command) -> Result<Ending, Box<dyn Error>> {
    let variables = environment::variables();
    let rust_log = variables.log();
    // `check` tells what is wrong with it, and the others make no call to log.
    let is_idle =
        matches!(command, Command::Check { .. } | Command::Test { .. } | Command::Completions { .. });
    match variables.all(|| rust_log) {
        Ok(Some(rust_log)) => log::start(&rust_log, io::stderr),
        Err(fault) if !is_idle => return Err(fault.into()),
        Ok(None) | Err(_) => {}
    }
    let screen = &mut Screen::output();
    let ending = match command {
        Command::Plan(decide) => review::plan(&decide, screen).await?,
        Command::Review { decide, yes } => review::review(&decide, yes, screen).await?,
        Command::List { repo, status, search, format } => {
            people::list(&repo, status.into(), search.as_deref(), &format, screen).await?
        }
        Command::Accept(people) => carry_out(&people, &Order::new(Status::Accepted, None), screen).await?,
        Command::Cancel(people) => carry_out(&people, &Order::new(Status::Pending, None), screen).await?,
        Command::Grant(people) => carry_out(&people, &Order::Grant, screen).await?,
        Command::Reject { told, yes } | Command::Revoke { told, is_final: true, yes } => {
            if !yes && !is_agreed_to_reject(&told.people, screen)? {
                return Ok(Ending::Failed);
            }
            carry_out(&told.people, &Order::new(Status::Rejected, told.reason), screen).await?
        }
        Command::Reset(told) => {
            carry_out(&told.people, &Order::new(Status::Reset, told.reason), screen).await?
        }
        Command::Revoke { told, is_final: false, yes: _ } => {
            let answer = Answer { status: Status::Reset, reason: told.reason.map(Into::into) };
            carry_out(&told.people, &Order::Revoke(answer), screen).await?
        }
        Command::Export { repo, format } => people::export(&repo, format.csv, screen).await?,
        Command::Check { repos, exclude, policy } => {
            check::check(&repos, &exclude, policy.as_deref(), screen).await?
        }
        Command::Test { policy, cases } => match cases::run(&policy, &cases, screen) {
            Ok(true) => Ending::Complete,
            Ok(false) => Ending::Failed,
            Err(error) if error.is::<io::Error>() => return Err(error),
            Err(error) => return Err(Fault(error.to_string()).into()),
        },
        Command::Webhook(command) => webhook::run(&command, screen).await?,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "doorman", &mut script);
            screen.write_all(&script)?;
            Ending::Complete
        }
    };
    screen.flush()?;
    Ok(ending)
}

/// Says what went wrong.
fn explain(error: &(dyn Error + 'static)) -> Ending {
    if error.is::<io::Error>() {
        complain(&format!("doorman: what was found or done cannot be written down: {error}"));
        return Ending::Failed;
    }
    let text = error.to_string();
    let hints = [
        ("HF_TOKEN: not set", "\nHF_TOKEN may also be one that `hf auth login` has saved"),
        ("APPROVAL_POLICY: not set", "\nThe policy may also be in a file: --policy FILE"),
    ];
    let hints = hints.iter().filter(|(fault, _)| text.contains(fault)).map(|(_, hint)| *hint);
    complain(&format!("doorman: {text}{}", hints.collect::<String>()));
    if error.is::<ConfigError>() || error.is::<Fault>() { Ending::AtFault } else { Ending::Failed }
}
