//! `deploy`: makes, changes and removes the function on AWS, with its schedule, alarms and webhook, from a file of settings.

mod deployment;
mod destroy;
mod existing;
mod init;
mod interrupt;
mod policy;
pub mod settings;
mod steps;
mod template;

use std::error::Error;
use std::io::{self, Write};
use std::path::Path;

use crate::arguments::{DeployArguments, DeployCommand};
use crate::aws::AwsFailure;
use crate::environment;
use crate::exit::{ExitStatus, UsageError};
use crate::screen::{Cell, Look, Screen, print_message};
use deployment::{Deployment, Place};
use existing::Existing;
use interrupt::Interrupt;
use settings::{DEFAULT_PATH, Settings};
use steps::{Made, Step};
pub use steps::{describe_stack, stack_output};

/// Asks for the settings, or deploys the function, or removes a deployment.
pub async fn run(arguments: &DeployArguments, screen: &mut Screen) -> Result<ExitStatus, Box<dyn Error>> {
    if let Some(DeployCommand::Init(answers)) = &arguments.command {
        return init::run(answers, screen).await;
    }
    let interrupt = Interrupt::watch()?;
    let result = deploy(arguments, &interrupt, screen).await;
    if result.is_err() {
        interrupt::settle();
    }
    result
}

/// Deploys the function, or removes a deployment.
async fn deploy(
    arguments: &DeployArguments,
    interrupt: &Interrupt,
    screen: &mut Screen,
) -> Result<ExitStatus, Box<dyn Error>> {
    let path = &arguments.settings;
    if !path.exists() {
        let text = format!(
            "{}: there is no such file; `doorman deploy init` asks for the settings, and writes it",
            path.display()
        );
        return Err(UsageError(text).into());
    }
    let settings = Settings::read(path)?;
    let is_dry = arguments.dry_run || environment::is_dry_run()?;
    let place = Place::find(settings)?;
    if arguments.destroy {
        return destroy::run(&place, is_dry, arguments.yes, interrupt, screen).await;
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    let deployment =
        Deployment::prepare(place, folder, arguments.zip.as_deref(), arguments.replace_token).await?;
    let Some(deployment) = deployment else {
        print_message("Nothing was deployed, because the policy does not pass its cases.");
        return Ok(ExitStatus::Failed);
    };
    let steps = Step::all(&deployment);
    let existing = Existing::read(&deployment.place)?;
    let line = |step: &Step| {
        let exists = step.exists(&deployment, &existing)?;
        let stays =
            if exists == Some(true) && step.is_only_made() { "; what is so already stays" } else { "" };
        Ok(PlanLine { step: step.name(), exists, text: step.describe(&deployment, &existing) + stays })
    };
    let plan = steps.iter().map(line).collect::<Result<Vec<_>, AwsFailure>>()?;
    if !is_agreed(&plan, &deployment.place, &existing, is_dry, arguments.yes, screen)? {
        return Ok(if is_dry { ExitStatus::Complete } else { ExitStatus::Failed });
    }
    let mut made = Made::default();
    for step in steps {
        interrupt.begin(step.name());
        let done = step.run(&deployment, &mut made).await.map_err(|error| stopped(step.name(), &*error))?;
        show_done(step.name(), &done, screen)?;
    }
    advise(arguments, &deployment, &made, screen)?;
    Ok(ExitStatus::Complete)
}

/// A line of a plan.
struct PlanLine {
    step: &'static str,
    /// Whether what the step makes or removes exists. None means that this is not known.
    exists: Option<bool>,
    text: String,
}

fn show_plan(plan: &[PlanLine], screen: &mut Screen) -> io::Result<()> {
    let rows = plan.iter().map(|PlanLine { step, exists, text }| {
        let now = exists.map_or("", |exists| if exists { "exists" } else { "missing" });
        vec![Cell::plain(step), Cell::plain(now), Cell::plain(text)]
    });
    screen.table(&["step", "now", "what it does"], rows)
}

/// Shows a plan, and asks whether to carry it out. A dry run only shows it. `yes` answers the question, unless the stack is probably
/// that of another deployment, which is an error.
fn is_agreed(
    plan: &[PlanLine],
    place: &Place,
    existing: &Existing,
    is_dry: bool,
    yes: bool,
    screen: &mut Screen,
) -> Result<bool, Box<dyn Error>> {
    if is_dry {
        show_plan(plan, screen)?;
        let why = if environment::is_dry_run()? { "DRY_RUN is true here" } else { "This is a dry run" };
        screen.write_note(&format!("\n{why}, so nothing was changed."))?;
        return Ok(false);
    }
    if !yes {
        let is_agreed = screen.ask(|terminal| show_plan(plan, terminal))?;
        if !is_agreed {
            print_message("Nothing was changed.");
        }
        return Ok(is_agreed);
    }
    show_plan(plan, screen)?;
    let name = &place.settings.name;
    if existing.stack.as_ref().is_some_and(|stack| steps::is_of_others(&place.settings, stack)) {
        let text = format!(
            "name: the stack `{name}` decides other repos only, so it is another deployment. Set another `name` in the settings. To \
             change that deployment, leave --yes out, and answer the question"
        );
        return Err(UsageError(text).into());
    }
    Ok(true)
}

/// Shows that a step is done. The line is written at once, because the next step may take minutes.
fn show_done(name: &str, done: &str, screen: &mut Screen) -> io::Result<()> {
    screen.table(&[], [vec![Cell::new("done", Look::Good), Cell::plain(name), Cell::plain(done)]])?;
    screen.flush()
}

/// The error of a step, with what to do.
fn stopped(name: &str, error: &dyn Error) -> String {
    format!(
        "{name}: {error}\nThe steps before this one are done. Correct the cause, and run the same command again: it goes on from here."
    )
}

/// Says what to do after a deployment.
fn advise(
    arguments: &DeployArguments,
    deployment: &Deployment,
    made: &Made,
    screen: &mut Screen,
) -> io::Result<()> {
    let settings = &deployment.place.settings;
    let Some(outputs) = &made.outputs else { return Ok(()) };
    if environment::variable("HF_ENDPOINT").is_ok_and(|text| !text.is_empty()) {
        print_message(
            "doorman: warning: HF_ENDPOINT is set here, but the function calls https://huggingface.co.",
        );
    }
    let (name, region) = (&settings.name, &settings.region);
    let mut text = format!(
        "\nThe function {} is deployed. These commands look for faults, and show its log:\n    doorman check --function {name} --region \
         {region}\n    aws logs tail {} --follow --region {region}",
        outputs.function, outputs.log
    );
    if settings.repos.is_empty() {
        text += "\n\nThere are no sweeps: nobody is decided until a webhook comes.";
    }
    if settings.dry_run {
        text += "\n\nThe function decides and logs, and changes nothing. When the log shows what you want, set dry_run = false in the \
                 settings. Then run this again:\n    doorman deploy";
        let DeployArguments { settings: path, zip, .. } = arguments;
        let path = Some(path).filter(|path| *path != Path::new(DEFAULT_PATH));
        for (option, path) in [("--settings", path), ("--zip", zip.as_ref())] {
            if let Some(path) = path {
                let path = path.display().to_string();
                text = format!("{text} {option} {}", shlex::try_quote(&path).unwrap_or_default());
            }
        }
    } else {
        text += "\n\nFrom now on, the function writes its decisions to the Hub.";
    }
    text += &steps::mail_advice(&deployment.place, &outputs.records).unwrap_or_default();
    screen.write_note(&text)
}
