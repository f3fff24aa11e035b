//! The command line `doorman`: for a person, a cron job, or a Hugging Face Job.

mod arguments;
mod ask;
mod aws;
mod backtest;
mod check;
mod decide;
mod demo;
mod deploy;
mod desk;
mod digest;
mod environment;
mod exit;
mod export;
mod groups;
mod held;
mod list;
mod notify;
mod pending;
mod policy;
mod repos;
mod review;
mod screen;
mod test;
mod users;
mod webhook;

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use clap_complete::Shell;
use hub_doorman::config::ConfigError;
use hub_doorman::log;
use hub_doorman::model::Status;

use arguments::{Arguments, Command, PolicyCommand};
use decide::Action;
use exit::{ExitStatus, UsageError};
use screen::{Screen, print_message};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let command = Arguments::parse().command;
    let is_about_policies = matches!(command, Command::Policy(_));
    let status = match run(command).await {
        Ok(status) => status,
        Err(error) => report_error(&*error, is_about_policies),
    };
    status.into()
}

async fn run(command: Command) -> Result<ExitStatus, Box<dyn Error>> {
    start_log(&command)?;
    let screen = &mut Screen::stdout();
    let status = match command {
        Command::Plan(arguments) => review::plan(&arguments, screen).await?,
        Command::Review { arguments, yes, beyond_limits } => {
            review::review(&arguments, yes, beyond_limits, screen).await?
        }
        Command::Backtest(arguments) => backtest::run(&arguments, screen).await?,
        Command::Digest(arguments) => digest::run(&arguments, screen).await?,
        Command::List(arguments) => list::run(&arguments, screen).await?,
        Command::Decide(scope) => ask::run(&scope, screen).await?,
        Command::Desk(arguments) => desk::run(&arguments, screen).await?,
        Command::Accept(users) => {
            decide::run(&users, &Action::decide(Status::Accepted, None), screen).await?
        }
        Command::Cancel(users) => decide::run(&users, &Action::decide(Status::Pending, None), screen).await?,
        Command::Grant(users) => decide::run(&users, &Action::Grant, screen).await?,
        Command::Reject { arguments, yes } | Command::Revoke { arguments, is_final: true, yes } => {
            decide::reject(arguments, yes, screen).await?
        }
        Command::Reset(arguments) => {
            decide::run(&arguments.users, &Action::decide(Status::Reset, arguments.reason), screen).await?
        }
        Command::Revoke { arguments, is_final: false, yes: _ } => {
            decide::run(&arguments.users, &Action::revoke(arguments.reason), screen).await?
        }
        Command::Export { repo, format } => export::run(&repo, format.csv, screen).await?,
        Command::Check(arguments) => check::run(&arguments, screen).await?,
        Command::Test { policy, cases, coverage } => test::run(&policy, cases.as_deref(), coverage, screen)?,
        Command::Policy(command) => policy::run(&command, screen).await?,
        Command::Deploy(arguments) => deploy::run(&arguments, screen).await?,
        Command::Webhook(command) => webhook::run(&command, screen).await?,
        Command::Demo => demo::run(screen).await?,
        Command::Notify(command) => notify::run(&command, screen).await?,
        Command::Completions { shell } => write_completions(shell, screen)?,
    };
    screen.flush()?;
    Ok(status)
}

/// Starts the log that `RUST_LOG` asks for, on the standard error.
fn start_log(command: &Command) -> Result<(), ConfigError> {
    // `check` reports a fault of `RUST_LOG` itself. The others make no calls to log.
    let ignores_faults = matches!(
        command,
        Command::Check(_)
            | Command::Test { .. }
            | Command::Policy(PolicyCommand::Schema)
            | Command::Demo
            | Command::Completions { .. }
    );
    let variables = environment::variables();
    let rust_log = variables.log();
    match variables.all(|| rust_log) {
        Ok(Some(rust_log)) => log::start(&rust_log, io::stderr),
        Err(error) if !ignores_faults => return Err(error),
        Ok(None) | Err(_) => {}
    }
    Ok(())
}

fn write_completions(shell: Shell, screen: &mut Screen) -> io::Result<ExitStatus> {
    // clap_complete panics if it cannot write, so it writes to memory.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "doorman", &mut script);
    screen.write_all(&script)?;
    Ok(ExitStatus::Complete)
}

/// Prints an error, with a hint where there is one. `policy show` takes the place of the policy without an option.
fn report_error(error: &(dyn Error + 'static), is_about_policies: bool) -> ExitStatus {
    if error.is::<io::Error>() {
        print_message(&format!("doorman: the output cannot be written: {error}"));
        return ExitStatus::Failed;
    }
    let text = error.to_string();
    let hints = [
        ("HF_TOKEN: not set", "\nSet HF_TOKEN, or save a token with `hf auth login`."),
        (
            "APPROVAL_POLICY: not set",
            if is_about_policies {
                "\nSet APPROVAL_POLICY, or name a file, as in `doorman policy show policy.toml`."
            } else {
                "\nSet APPROVAL_POLICY, or give --policy FILE."
            },
        ),
    ];
    let hints = hints.iter().filter(|(fault, _)| text.contains(fault)).map(|(_, hint)| *hint);
    print_message(&format!("doorman: {text}{}", hints.collect::<String>()));
    if error.is::<ConfigError>() || error.is::<UsageError>() {
        ExitStatus::UsageError
    } else {
        ExitStatus::Failed
    }
}
