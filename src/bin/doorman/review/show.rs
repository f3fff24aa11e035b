//! How a run is shown.

use std::collections::BTreeMap;
use std::io::{self, Write};

use chrono::{DateTime, Utc};
use hub_doorman::model::{Decision, Grounds, Outcome, Verdict};
use hub_doorman::report::{Counts, RepoReport};
use serde::Serialize;

use super::{Decided, Run};
use crate::people::name;
use crate::screen::{Cell, Look, Screen, clean, complain, count, grouped, time};

/// A report with the decisions of each repo.
#[derive(Serialize)]
pub struct Json<'a> {
    status: &'static str,
    dry_run: bool,
    repos: Vec<JsonRepo<'a>>,
}

#[derive(Serialize)]
struct JsonRepo<'a> {
    #[serde(flatten)]
    report: &'a RepoReport,
    decisions: Vec<JsonDecision<'a>>,
}

#[derive(Serialize)]
struct JsonDecision<'a> {
    user: Option<String>,
    requested_at: Option<DateTime<Utc>>,
    verdict: &'static str,
    rule: Option<&'a str>,
    grounds: String,
    reason: Option<&'a str>,
    outcome: &'static str,
}

pub fn json(run: &Run) -> Json<'_> {
    let repos = run.report.repos.iter().map(|report| {
        let decisions =
            of_repo(run, report).map(|Decided { who, requested_at, decision, outcome, .. }| JsonDecision {
                user: who.as_ref().map(name),
                requested_at: *requested_at,
                verdict: decision.verdict.as_str(),
                rule: decision.grounds.rule(),
                grounds: decision.grounds.to_string(),
                reason: decision.reason.as_deref(),
                outcome: outcome.as_str(),
            });
        JsonRepo { report, decisions: decisions.collect() }
    });
    Json { status: run.report.status, dry_run: run.report.dry_run, repos: repos.collect() }
}

/// Everybody, with the verdict and why.
pub fn people(run: &Run, screen: &mut Screen) -> io::Result<()> {
    if !screen.is_terminal() {
        return screen.table(&[], run.decided.iter().map(|one| row(one, false, true)));
    }
    for report in run.report.repos.iter().filter(|report| report.counts.listed > 0) {
        screen.heading(&report.full_name())?;
        let rows: Vec<_> = of_repo(run, report).map(|one| row(one, true, false)).collect();
        screen.table(&["user", "asked", "verdict", "rule", "why"], rows)?;
    }
    Ok(())
}

/// The names of those who are turned away, or were, by repo and verdict.
pub fn turned_away(run: &Run, screen: &mut Screen) -> io::Result<()> {
    for (verdict, what) in [(Verdict::Reset, "until they ask again"), (Verdict::Reject, "for good")] {
        for report in &run.report.repos {
            let is_meant = |one: &&Decided| {
                one.decision.verdict == verdict && matches!(one.outcome, Outcome::Done | Outcome::DryRun)
            };
            let names = of_repo(run, report).filter(is_meant).filter_map(|one| one.who.as_ref()).map(name);
            let names: Vec<String> = names.collect();
            if !names.is_empty() {
                let all = clean(&names.join(", "));
                writeln!(screen, "\n{}: turned away {what}: {all}", report.full_name())?;
            }
        }
    }
    Ok(())
}

/// What became of whom: on a terminal in sums, with the names of those who were turned away or could not be moved; elsewhere
/// a line for everybody, with the time, so that it can be read in the mail of cron.
pub fn moved(run: &Run, screen: &mut Screen) -> io::Result<()> {
    let is_terminal = screen.is_terminal();
    let is_meant = |one: &&Decided| match one.outcome {
        Outcome::Held | Outcome::Done | Outcome::DryRun => !is_terminal,
        Outcome::Gone | Outcome::Failed | Outcome::Unknown | Outcome::Stuck | Outcome::NotAgreed => true,
    };
    let decided = if run.is_shown { &[][..] } else { &run.decided };
    let rows: Vec<_> =
        decided.iter().chain(&run.gone).filter(is_meant).map(|one| outcome_row(one, is_terminal)).collect();
    if !rows.is_empty() {
        screen.table(&["repo", "user", "asked", "verdict", "rule", "why", "outcome"], rows)?;
    }
    if is_terminal {
        turned_away(run, screen)?;
    }
    screen.flush()?;
    for report in run.report.repos.iter().filter(|report| report.error.is_none() || report.counts.listed > 0)
    {
        screen.aside(&format!("{}: {}", report.full_name(), sentence(&report.counts)))?;
    }
    Ok(())
}

/// What became of somebody, on a line of its own.
pub fn line(one: &Decided, screen: &mut Screen) -> io::Result<()> {
    screen.table(&[], [outcome_row(one, false)])?;
    screen.flush()
}

/// What became of somebody, with the time unless a person reads it.
fn outcome_row(one: &Decided, is_terminal: bool) -> Vec<Cell> {
    let mut row = row(one, is_terminal, true);
    row.push(Cell::plain(one.outcome.as_str()));
    if !is_terminal {
        row.insert(0, Cell::plain(time(Some(Utc::now()), false)));
    }
    row
}

/// How many would get which verdict, and why.
pub fn sums(run: &Run, screen: &mut Screen) -> io::Result<()> {
    for report in &run.report.repos {
        let mut sums: BTreeMap<_, usize> = BTreeMap::new();
        for Decided { decision, .. } in of_repo(run, report) {
            let is_moved = decision.verdict != Verdict::Hold;
            *sums.entry((is_moved, decision.verdict, decision.grounds.to_string())).or_default() += 1;
        }
        let listed = match report.counts.listed {
            0 if report.error.is_some() => continue,
            0 => "nobody waits".to_owned(),
            1 => "1 person waits".to_owned(),
            listed => format!("{} people wait", grouped(listed)),
        };
        screen.heading(&format!("{}: {listed}", report.full_name()))?;
        let rows = sums.into_iter().map(|((_, verdict, grounds), number)| {
            vec![Cell::number(number as u64), verdict_cell(verdict), Cell::plain(grounds)]
        });
        screen.table(&["", "", ""], rows.collect::<Vec<_>>())?;
    }
    Ok(())
}

/// What went wrong, a line each.
pub fn failures(run: &Run) {
    for report in &run.report.repos {
        if let Some(error) = &report.error {
            complain(&format!("doorman: {}: {error}", report.full_name()));
        }
    }
    for pattern in &run.unmatched {
        complain(&format!(
            "doorman: {pattern}: no gated repo found; is it misspelt, or hidden from HF_TOKEN?"
        ));
    }
}

fn of_repo<'a>(run: &'a Run, report: &'a RepoReport) -> impl Iterator<Item = &'a Decided> {
    let RepoReport { repo, repo_type, .. } = report;
    let is_meant = move |one: &&Decided| {
        one.repo.name().eq_ignore_ascii_case(repo) && one.repo.repo_type() == *repo_type
    };
    run.decided.iter().filter(is_meant)
}

fn row(one: &Decided, is_terminal: bool, with_repo: bool) -> Vec<Cell> {
    let Decided { repo, who, requested_at, decision, outcome: _ } = one;
    let mut row = Vec::new();
    if with_repo {
        row.push(Cell::plain(repo.to_string()));
    }
    row.push(Cell::plain(who.as_ref().map(name).unwrap_or_default()));
    row.push(Cell::new(time(*requested_at, is_terminal), Look::Faint));
    row.push(verdict_cell(decision.verdict));
    row.push(Cell::plain(decision.grounds.rule().unwrap_or_default()));
    row.push(Cell::plain(why(decision)));
    row
}

fn verdict_cell(verdict: Verdict) -> Cell {
    let look = match verdict {
        Verdict::Accept => Look::Good,
        Verdict::Hold => Look::Faint,
        Verdict::Reset => Look::Doubtful,
        Verdict::Reject => Look::Bad,
    };
    Cell::new(verdict.as_str(), look)
}

/// What there is to say beside the name of the rule.
fn why(Decision { reason, grounds, .. }: &Decision) -> String {
    match grounds {
        Grounds::Rule(_) => reason.as_ref().map(|reason| format!("told “{reason}”")).unwrap_or_default(),
        Grounds::NoRule => "no rule matched".to_owned(),
        Grounds::Unknown { why, .. } => why.clone(),
        Grounds::Doubt(doubt) => (*doubt).to_owned(),
    }
}

/// What was done, as a sentence without its end; what nobody got is left out.
fn sentence(counts: &Counts) -> String {
    let Counts { listed, accepted, rejected, reset, held, gone, failed, unknown, stuck, calls, .. } = *counts;
    let parts = [
        (accepted, "accepted"),
        (rejected, "rejected"),
        (reset, "reset"),
        (held, "held"),
        (gone, "decided by others"),
        (failed, "failed"),
        (unknown, "told without an answer"),
        (stuck, "stuck"),
    ];
    let parts = parts.iter().filter(|(number, _)| *number > 0);
    let parts = parts.map(|(number, what)| format!("{} {what}", grouped(*number)));
    let parts: Vec<String> = [format!("{} listed", grouped(listed))].into_iter().chain(parts).collect();
    format!("{}; {} to the Hub", parts.join(", "), count(calls, "call"))
}
