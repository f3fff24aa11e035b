//! `plan` and `review`: what the policy makes of those who wait, shown, and carried out. They are the same run, one of them dry:
//! so what is shown is what will be done.

mod show;

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use hub_doorman::hub::HubError;
use hub_doorman::model::{Decision, Identity, Outcome, Repo, RepoPattern, Verdict};
use hub_doorman::plan::Mode;
use hub_doorman::report::{Counts, RepoReport, Report, Step};
use hub_doorman::review::review as review_repo;
use hub_doorman::sweep::{Memory, sweep};
use hub_doorman::webhook::{self, Delivery};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::Ending;
use crate::arguments::Decide;
use crate::environment::{BYTE_ORDER_MARK, Doorman, Fault, deadline, doorman};
use crate::screen::{Screen, complain, complain_with_times, grouped};
use crate::{groups, repos};

/// Somebody about whom was decided.
struct Decided {
    repo: Repo,
    who: Option<Identity>,
    requested_at: Option<DateTime<Utc>>,
    decision: Decision,
    outcome: Outcome,
}

/// What a run did.
struct Run {
    report: Report,
    /// By repo, and within one by verdict, rule and time.
    decided: Vec<Decided>,
    /// Planned requests that are no longer pending: somebody decided or withdrew them.
    gone: Vec<Decided>,
    /// Whether each line was written when its request was concluded.
    is_shown: bool,
    /// What turned out to mean no repo.
    unmatched: Vec<RepoPattern>,
}

/// Shows what would be decided, and changes nothing.
pub async fn plan(decide: &Decide, screen: &mut Screen) -> Result<Ending, Box<dyn Error>> {
    let doorman = doorman(decide.policy.as_deref()).await?;
    let patterns = patterns(decide, &doorman)?;
    let run = look(&doorman, &patterns, Mode::DryRun, None).await;
    if decide.json {
        screen.json(&show::json(&run))?;
    } else {
        show::people(&run, screen)?;
        if screen.is_terminal() {
            show::sums(&run, screen)?;
            if run.ending() != Ending::Failed {
                screen.aside("\nNothing was changed; `doorman review` carries it out.")?;
            }
        }
    }
    show::failures(&run);
    let reviewed =
        run.report.repos.iter().filter_map(|report| Repo::new(report.repo_type, &report.repo).ok());
    let looked_after = doorman.repos.as_ref().unwrap_or(&patterns);
    groups::warn(&doorman.hub, &reviewed.collect::<Vec<_>>(), looked_after).await;
    Ok(run.ending())
}

/// Decides, and tells the Hub.
pub async fn review(decide: &Decide, yes: bool, screen: &mut Screen) -> Result<Ending, Box<dyn Error>> {
    if !screen.is_watched() {
        complain_with_times();
    }
    let doorman = doorman(decide.policy.as_deref()).await?;
    let delivered = if decide.repos.is_empty() { delivered()? } else { None };
    let is_delivered = delivered.is_some();
    let patterns = match delivered {
        None => patterns(decide, &doorman)?,
        Some(Delivery::Ignore(why)) => return nothing_to_do(why, decide, screen),
        Some(Delivery::Review(repo)) => {
            let ours = doorman.repos.as_ref();
            if ours.is_some_and(|patterns| !patterns.iter().any(|pattern| pattern.covers(&repo))) {
                return nothing_to_do(&format!("REPOS does not name {repo}"), decide, screen);
            }
            vec![RepoPattern::One(repo)]
        }
    };
    let run = if screen.is_watched() && !yes && !doorman.dry_run {
        let Some(run) = look_if_agreed(&doorman, &patterns, screen).await? else {
            complain("Nothing was changed. With --yes it is done without a question.");
            return Ok(Ending::Failed);
        };
        run
    } else {
        // Into a pipe a line is written as soon as it is known, so that it is there even if the run is ended from outside.
        let shown_at_once = if decide.json || screen.is_terminal() { None } else { Some(&mut *screen) };
        look(&doorman, &patterns, Mode::of(doorman.dry_run), shown_at_once).await
    };
    let is_open = |report: &RepoReport| report.hub_error().is_some_and(HubError::is_not_gated);
    if is_delivered && run.report.repos.iter().any(is_open) {
        return nothing_to_do("the repo is not gated", decide, screen);
    }
    if decide.json {
        screen.json(&show::json(&run))?;
    } else {
        show::moved(&run, screen)?;
        if doorman.dry_run {
            screen.aside("DRY_RUN is true, so nothing was changed.")?;
        }
    }
    show::failures(&run);
    Ok(run.ending())
}

/// Carries out what was agreed to, if it was. If there is nothing to carry out, nobody is asked.
async fn look_if_agreed(
    doorman: &Doorman,
    patterns: &[RepoPattern],
    screen: &mut Screen,
) -> Result<Option<Run>, Box<dyn Error>> {
    let planned = Mutex::default();
    let mut plan = look(doorman, patterns, Mode::Plan(&planned), None).await;
    let agreed = planned.into_inner().unwrap_or_else(PoisonError::into_inner);
    if !agreed.is_empty() {
        if !is_agreed(&plan, screen)? {
            return Ok(None);
        }
        // Requests that came in or changed since the plan was shown are left for the next run.
        let mut run = look(doorman, patterns, Mode::Agreed(&agreed), None).await;
        run.mark_changes_since(plan);
        return Ok(Some(run));
    }
    plan.report.dry_run = false;
    Ok(Some(plan))
}

/// Shows what a plan comes to, with the names of those who are turned away, and asks whether to carry it out.
fn is_agreed(plan: &Run, screen: &mut Screen) -> Result<bool, Box<dyn Error>> {
    let Counts { accepted, rejected, reset, .. } = plan.counts();
    let sums = [
        (accepted, "let in"),
        (reset, "turned away until they ask again"),
        (rejected, "turned away for good"),
    ];
    let sums = sums.iter().filter(|(number, _)| *number > 0);
    let sums: Vec<String> = sums.map(|(number, what)| format!("{} {what}", grouped(*number))).collect();
    screen.ask(|asked| {
        show::sums(plan, asked)?;
        show::turned_away(plan, asked)?;
        write!(asked, "\nIn all: {}.", sums.join(", "))
    })
}

/// What a webhook is answered as well that asks for nothing.
fn nothing_to_do(why: &str, decide: &Decide, screen: &mut Screen) -> Result<Ending, Box<dyn Error>> {
    if decide.json {
        screen.json(&json!({"status": "ignored", "reason": why}))?;
    } else {
        complain(&format!("Nothing to do: {why}."));
    }
    Ok(Ending::Complete)
}

/// Which repos are meant.
fn patterns(decide: &Decide, doorman: &Doorman) -> Result<Vec<RepoPattern>, Fault> {
    let named = match (&*decide.repos, &doorman.repos) {
        ([], None) => {
            return Err(Fault(
                "which repos? Name them, or set REPOS, to `acme/model` or `acme/*` for example".to_owned(),
            ));
        }
        ([], Some(repos)) => repos.clone(),
        (named, _) => named.to_vec(),
    };
    Ok(repos::without(named, &decide.exclude))
}

/// What the webhook asks for that has started this, if it is a Hugging Face Job that one has started.
fn delivered() -> Result<Option<Delivery>, Fault> {
    let payload = std::env::var("WEBHOOK_PAYLOAD").unwrap_or_default();
    let payload = payload.trim_start_matches(BYTE_ORDER_MARK);
    if payload.trim().is_empty() {
        return Ok(None);
    }
    let delivery = webhook::parse(webhook::of_a_job(payload.as_bytes()));
    delivery
        .map(Some)
        .map_err(|fault| Fault(format!("WEBHOOK_PAYLOAD is not what the Hub puts there: {fault}")))
}

/// Looks at who waits and decides; a dry run writes nothing. `shown_at_once` gets a line for each request when it is concluded.
async fn look(
    doorman: &Doorman,
    patterns: &[RepoPattern],
    mode: Mode<'_>,
    shown_at_once: Option<&mut Screen>,
) -> Run {
    let Doorman { hub, policy, .. } = doorman;
    let is_shown = shown_at_once.is_some();
    let (deadline, bar, decided) = (deadline(), bar(), Mutex::new((Vec::new(), shown_at_once)));
    let review = |repo: Repo| {
        let (bar, decided) = (&bar, &decided);
        async move {
            let mut tell = |step: Step<'_>| match step {
                Step::Listed(number) => lengthen(bar, number),
                Step::Concluded { who, requested_at, decision, outcome } => {
                    bar.inc(1);
                    let (repo, who, decision) = (repo.clone(), who.cloned(), decision.clone());
                    let one = Decided { repo, who, requested_at, decision, outcome };
                    let (decided, shown_at_once) =
                        &mut *decided.lock().unwrap_or_else(PoisonError::into_inner);
                    if let Some(screen) = shown_at_once {
                        // If nobody reads it, the run goes on all the same.
                        let _ = show::line(&one, screen);
                    }
                    decided.push(one);
                }
            };
            review_repo(&repo, policy, hub, mode, deadline, &mut tell).await
        }
    };
    let swept = sweep(hub, patterns, |_| true, &Memory::default(), deadline, review).await;
    bar.finish_and_clear();
    let (mut decided, _) = decided.into_inner().unwrap_or_else(PoisonError::into_inner);
    decided.sort_by_cached_key(Decided::order);
    let report = Report::new(mode.is_dry(), swept.reports, swept.others);
    Run { report, decided, gone: Vec::new(), is_shown, unmatched: swept.unmatched }
}

/// How far a run is, on a terminal; nothing elsewhere.
fn bar() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    bar.set_message("reading who waits");
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// So many more are known to wait.
fn lengthen(bar: &ProgressBar, more: usize) {
    let is_first = bar.length().is_none();
    bar.inc_length(more as u64);
    if is_first && more > 0 {
        bar.set_length(more as u64);
        let style = ProgressStyle::with_template(
            "{spinner} {wide_bar} {human_pos} of {human_len} decided, {elapsed}",
        );
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    }
}

impl Decided {
    /// Repos as the report has them, and in each of them those who stay first.
    fn order(&self) -> (Repo, bool, Verdict, String, Option<DateTime<Utc>>) {
        let Decision { verdict, grounds, .. } = &self.decision;
        let is_moved = *verdict != Verdict::Hold;
        (self.repo.clone(), is_moved, *verdict, grounds.to_string(), self.requested_at)
    }
}

impl Run {
    fn counts(&self) -> Counts {
        self.report.repos.iter().map(|repo| repo.counts).sum()
    }

    /// Marks planned requests that are gone, and those that are held now. If the list could not be read again, nobody is known to be gone.
    fn mark_changes_since(&mut self, plan: Run) {
        let identity = |one: &Decided| (one.repo.clone(), one.who.clone());
        let unread = self.report.repos.iter().filter(|report| report.hub_error().is_some());
        let unread: HashSet<String> = unread.map(RepoReport::full_name).collect();
        let mut listed: HashMap<_, _> = self.decided.iter_mut().map(|one| (identity(one), one)).collect();
        for planned in plan.decided.into_iter().filter(|one| one.decision.verdict != Verdict::Hold) {
            match listed.get_mut(&identity(&planned)) {
                None => {
                    let is_unread = unread.contains(&planned.repo.to_string());
                    let outcome = if is_unread { Outcome::NotAgreed } else { Outcome::Gone };
                    self.gone.push(Decided { outcome, ..planned });
                }
                Some(one) if one.outcome == Outcome::Held => one.outcome = Outcome::NotAgreed,
                Some(_) => {}
            }
        }
    }

    fn ending(&self) -> Ending {
        let has_worked = |RepoReport { complete, counts, .. }: &RepoReport| {
            let moved = counts.accepted + counts.rejected + counts.reset + counts.gone;
            *complete || moved > 0 || counts.held > 0 && counts.failed == 0
        };
        match &self.report {
            report if report.is_complete() && self.unmatched.is_empty() => Ending::Complete,
            report if report.repos.iter().any(has_worked) => Ending::Incomplete,
            _ => Ending::Failed,
        }
    }
}
