//! `plan` and `review`: the policy decides pending requests. A plan is a dry run of the same review, so it shows what `review` will
//! do.

mod run;
pub mod show;

use std::error::Error;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

use hub_doorman::hub::HubError;
use hub_doorman::model::{Repo, RepoPattern};
use hub_doorman::plan::Mode;
use hub_doorman::policy::{Limits, Policy, Warning};
use hub_doorman::report::{Counts, RepoReport};
use hub_doorman::trigger::Trigger;
use hub_doorman::trigger::webhook::parse_job_payload;
use serde_json::json;

use crate::arguments::{PlanArguments, ReviewArguments, Scope};
use crate::environment::{BYTE_ORDER_MARK, Setup, setup};
use crate::exit::{ExitStatus, UsageError};
use crate::screen::{Screen, add_times_to_messages, grouped, print_message};
use crate::{groups, repos};
use run::{Answers, DecidedRequest, Run};

/// Shows what would be decided, and changes nothing.
pub async fn plan(arguments: &PlanArguments, screen: &mut Screen) -> Result<ExitStatus, Box<dyn Error>> {
    let PlanArguments { review: arguments, answers } = arguments;
    let setup = setup(arguments.scope.policy.as_deref()).await?;
    let patterns = patterns(&arguments.scope, &setup)?;
    let answers = if *answers { Answers::Keep } else { Answers::Drop };
    let run = Run::start(&setup, &patterns, Mode::DryRun, answers, &mut |_| {}).await;
    if arguments.json {
        screen.json(&show::json(&run))?;
    } else {
        show::decisions(&run, screen)?;
        if screen.is_terminal() {
            show::totals(&run, screen)?;
            if run.exit_status() != ExitStatus::Failed && !run.report.paused {
                let review = arguments.scope.command("review");
                screen.write_note(&format!("\nNothing was changed. To carry this out:\n\n    {review}"))?;
            }
        }
    }
    show::failures(&run.report, &run.unmatched);
    if setup.repos.is_none() && arguments.scope.policy.is_none() {
        print_message(
            "REPOS is not set: a function with these variables makes no sweeps, so nobody is decided until a webhook comes.",
        );
    }
    warn_of_policy(&setup.policy, |_| true);
    if run.report.paused {
        print_message("The policy is paused, so `doorman review` decides nobody.");
    }
    let reviewed: Vec<Repo> = run.report.repos.iter().map(|report| report.repo.clone()).collect();
    let covered = setup.repos.as_ref().unwrap_or(&patterns);
    groups::warn(&setup.hub, &reviewed, covered).await;
    Ok(run.exit_status())
}

/// Decides requests, and writes the decisions to the Hub.
pub async fn review(
    arguments: &ReviewArguments,
    yes: bool,
    beyond_limits: bool,
    screen: &mut Screen,
) -> Result<ExitStatus, Box<dyn Error>> {
    if !screen.is_interactive() {
        add_times_to_messages();
    }
    let mut setup = setup(arguments.scope.policy.as_deref()).await?;
    warn_of_policy(&setup.policy, |warning| warning.is_unusable_list);
    let limits = setup.policy.limits();
    if beyond_limits {
        setup.lift_limits();
    }
    let is_dry = setup.dry_run || setup.policy.is_paused();
    let trigger = if arguments.scope.repos.is_empty() { job_trigger()? } else { None };
    let is_triggered = trigger.is_some();
    let patterns = match repos_of_trigger(trigger, &setup) {
        Some(Ok(patterns)) => patterns,
        Some(Err(why)) => return report_nothing_to_do(&why, arguments, screen),
        None => patterns(&arguments.scope, &setup)?,
    };
    let mut has_written_lines = false;
    let run = if screen.is_interactive() && !yes && !is_dry {
        let Some(run) = run_if_confirmed(&setup, &patterns, limits, screen).await? else {
            print_message("Nothing was changed. Use --yes to skip the question.");
            return Ok(ExitStatus::Failed);
        };
        run
    } else {
        // In a pipe each line is written at once, so that none is lost if the process is killed.
        has_written_lines = !arguments.json && !screen.is_terminal();
        let mut on_outcome = |request: &DecidedRequest| {
            if has_written_lines {
                // A failure to write a line does not end the run.
                let _ = show::write_line(request, screen);
            }
        };
        Run::start(&setup, &patterns, Mode::of(is_dry), Answers::Drop, &mut on_outcome).await
    };
    let is_not_gated = |report: &RepoReport| report.hub_error().is_some_and(HubError::is_not_gated);
    if is_triggered && run.report.repos.iter().any(is_not_gated) {
        return report_nothing_to_do("the repo is not gated", arguments, screen);
    }
    if arguments.json {
        screen.json(&show::json(&run))?;
    } else {
        show::outcomes(&run, has_written_lines, screen)?;
        if setup.dry_run {
            screen.write_note("DRY_RUN is true, so nothing was changed.")?;
        }
    }
    show::failures(&run.report, &run.unmatched);
    if run.report.paused {
        print_message("The policy is paused, so nothing was changed.");
    }
    Ok(run.exit_status())
}

/// Prints the warnings about the policy that `is_shown` selects.
pub fn warn_of_policy(policy: &Policy, is_shown: impl Fn(&Warning) -> bool) {
    for warning in policy.warnings().iter().filter(|warning| is_shown(warning)) {
        print_message(&format!("doorman: {warning}"));
    }
}

/// The repos that a trigger names, or why there is nothing to do. There are none if the trigger leaves the choice to the command.
fn repos_of_trigger(trigger: Option<Trigger>, setup: &Setup) -> Option<Result<Vec<RepoPattern>, String>> {
    match trigger {
        None | Some(Trigger::Sweep(_) | Trigger::SweepAll | Trigger::Mails(_) | Trigger::Digest) => None,
        Some(Trigger::Ignore(why)) => Some(Err(why.to_owned())),
        // A push to the repo of the policy may change every decision.
        Some(Trigger::Review(repo)) if setup.policy_file.as_ref().is_some_and(|file| file.repo == repo) => {
            None
        }
        Some(Trigger::Review(repo)) => {
            let covers_repo =
                |patterns: &Vec<RepoPattern>| patterns.iter().any(|pattern| pattern.covers(&repo));
            let is_covered = setup.repos.as_ref().is_none_or(covers_repo);
            Some(if is_covered {
                Ok(vec![RepoPattern::One(repo)])
            } else {
                Err(format!("REPOS does not name {repo}"))
            })
        }
    }
}

/// Shows a plan, and carries it out if the person at the terminal agrees. If there is nothing to carry out, it does not ask.
async fn run_if_confirmed(
    setup: &Setup,
    patterns: &[RepoPattern],
    limits: Limits,
    screen: &mut Screen,
) -> Result<Option<Run>, Box<dyn Error>> {
    let plan = Mutex::default();
    let mut planned = Run::start(setup, patterns, Mode::Plan(&plan), Answers::Drop, &mut |_| {}).await;
    let plan = plan.into_inner().unwrap_or_else(PoisonError::into_inner);
    if plan.is_empty() {
        planned.report.dry_run = false;
        return Ok(Some(planned));
    }
    if !is_confirmed(&planned, limits, screen)? {
        return Ok(None);
    }
    // Requests that came in or changed after the plan was shown are left for the next run.
    let mut run = Run::start(setup, patterns, Mode::Agreed(&plan), Answers::Drop, &mut |_| {}).await;
    run.mark_changes_since(planned);
    Ok(Some(run))
}

/// Shows the totals of a plan with the names of users to accept, reset or reject, and asks whether to carry it out. `limits` are those of
/// the policy, although the plan may exceed them.
fn is_confirmed(planned: &Run, limits: Limits, screen: &mut Screen) -> Result<bool, Box<dyn Error>> {
    let Counts { accepted, rejected, reset, .. } = planned.counts();
    let totals = [(accepted, "to accept"), (reset, "to reset"), (rejected, "to reject")];
    let totals = totals.iter().filter(|(number, _)| *number > 0);
    let totals: Vec<String> = totals.map(|(number, what)| format!("{} {what}", grouped(*number))).collect();
    screen.ask(|terminal| {
        show::totals(planned, terminal)?;
        show::changes(planned, terminal)?;
        show::limits(planned, limits, terminal)?;
        write!(terminal, "\nIn all: {}.", totals.join(", "))
    })
}

/// Reports a trigger that asks for nothing, as the function does in its response.
fn report_nothing_to_do(
    why: &str,
    arguments: &ReviewArguments,
    screen: &mut Screen,
) -> Result<ExitStatus, Box<dyn Error>> {
    if arguments.json {
        screen.json(&json!({"status": "ignored", "reason": why}))?;
    } else {
        print_message(&format!("Nothing to do: {why}."));
    }
    Ok(ExitStatus::Complete)
}

/// The repos of a command: those of the command line, else those of `REPOS`.
pub fn patterns(scope: &Scope, setup: &Setup) -> Result<Vec<RepoPattern>, UsageError> {
    let patterns = match (&*scope.repos, &setup.repos) {
        ([], None) => {
            let text = "no repos are named; name them, or set REPOS, for example to `acme/model` or `acme/*`";
            return Err(UsageError(text.to_owned()));
        }
        ([], Some(repos)) => repos.clone(),
        (named, _) => named.to_vec(),
    };
    Ok(repos::without(patterns, &scope.exclude))
}

/// The trigger, if a webhook has started this process as a Hugging Face Job.
fn job_trigger() -> Result<Option<Trigger>, UsageError> {
    let payload = std::env::var("WEBHOOK_PAYLOAD").unwrap_or_default();
    let payload = payload.trim_start_matches(BYTE_ORDER_MARK);
    if payload.trim().is_empty() {
        return Ok(None);
    }
    parse_job_payload(payload)
        .map(Some)
        .map_err(|fault| UsageError(format!("WEBHOOK_PAYLOAD is not a payload of the Hub: {fault}")))
}
