//! The output of a run: rows and JSON for a program, tables and totals for a person.

use std::collections::BTreeMap;
use std::io::{self, Write};

use chrono::{DateTime, Utc};
use hub_doorman::model::{Decision, Grounds, Outcome, RepoPattern, Verdict};
use hub_doorman::policy::Limits;
use hub_doorman::report::{Counts, RepoReport, Report, SearchReport};
use serde::Serialize;

use super::run::{DecidedRequest, Run};
use crate::screen::{Cell, Look, Screen, clean, count, grouped, print_message, time};
use crate::users;

/// How many users to accept are named for each repo. Users to reset or reject are all named.
const MAX_ACCEPTED: usize = 20;

/// A report with the decisions of each repo.
#[derive(Serialize)]
pub struct Json<'a> {
    status: &'static str,
    dry_run: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    paused: bool,
    repos: Vec<JsonRepo<'a>>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    searches: &'a [SearchReport],
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
    #[serde(skip_serializing_if = "Option::is_none")]
    fields: Option<&'a BTreeMap<String, String>>,
}

pub fn json(run: &Run) -> Json<'_> {
    let repos = run.report.repos.iter().map(|report| {
        let decisions = run.of_repo(report).map(
            |DecidedRequest { who, requested_at, decision, outcome, answers, .. }| JsonDecision {
                user: who.as_ref().map(users::name),
                requested_at: *requested_at,
                verdict: decision.verdict.as_str(),
                rule: decision.grounds.rule(),
                grounds: decision.explanation(),
                reason: decision.reason.as_deref(),
                outcome: outcome.as_str(),
                fields: answers.as_ref(),
            },
        );
        JsonRepo { report, decisions: decisions.collect() }
    });
    let Report { status, dry_run, paused, searches, .. } = &run.report;
    Json { status, dry_run: *dry_run, paused: *paused, repos: repos.collect(), searches }
}

/// Shows each request with its verdict and the reason for it.
pub fn decisions(run: &Run, screen: &mut Screen) -> io::Result<()> {
    if !screen.is_terminal() {
        return screen.table(&[], run.decided.iter().map(|request| planned_row(request, false, true)));
    }
    for report in run.report.repos.iter().filter(|report| report.counts.listed > 0) {
        screen.write_heading(&report.repo.to_string())?;
        if run.of_repo(report).any(|request| request.answers.is_some()) {
            run.of_repo(report).try_for_each(|request| with_answers(request, screen))?;
            continue;
        }
        let rows: Vec<_> = run.of_repo(report).map(|request| planned_row(request, true, false)).collect();
        screen.table(&["user", "asked", "verdict", "rule", "why"], rows)?;
    }
    Ok(())
}

/// Shows a request with its verdict, the reason for it, and the answers below.
fn with_answers(request: &DecidedRequest, screen: &mut Screen) -> io::Result<()> {
    let DecidedRequest { who, requested_at, decision, answers, .. } = request;
    let (rule, why) = (decision.grounds.rule().unwrap_or_default(), why(decision));
    let asked = time(*requested_at, true);
    let remark = [decision.verdict.as_str(), rule, &why, &asked].map(str::to_owned);
    let remark: Vec<String> = remark.into_iter().filter(|text| !text.is_empty()).collect();
    let name = who.as_ref().map(users::name).unwrap_or_default();
    let answers = answers.iter().flatten().map(|(label, answer)| format!("{label}: {answer}"));
    screen.write_entry(&name, &remark.join(", "), answers)
}

/// Names the users whose requests are accepted, reset or rejected, by repo. In a plan this is still to be done.
pub fn changes(run: &Run, screen: &mut Screen) -> io::Result<()> {
    for (verdict, planned, done, max) in [
        (Verdict::Accept, "to accept", "accepted", MAX_ACCEPTED),
        (Verdict::Reset, "to reset", "reset", usize::MAX),
        (Verdict::Reject, "to reject", "rejected", usize::MAX),
    ] {
        let label = if run.report.dry_run { planned } else { done };
        for report in &run.report.repos {
            let is_carried_out = |request: &&DecidedRequest| {
                request.decision.verdict == verdict
                    && matches!(request.outcome, Outcome::Done | Outcome::DryRun)
            };
            let requests = run.of_repo(report).filter(is_carried_out);
            let names: Vec<String> =
                requests.filter_map(|request| request.who.as_ref()).map(users::name).collect();
            if !names.is_empty() {
                writeln!(screen, "\n{}: {label}: {}", report.repo, clean(&first(&names, max)))?;
            }
        }
    }
    Ok(())
}

/// The first names, and how many others there are.
fn first(names: &[String], max: usize) -> String {
    match names.split_at_checked(max) {
        Some((first, others @ [_, ..])) => {
            format!("{} and {}", first.join(", "), count(others.len() as u64, "other"))
        }
        _ => names.join(", "),
    }
}

/// Shows the outcomes. In a pipe each request gets a line, unless it was written during the run. A terminal shows the counts, the
/// users that were accepted, reset or rejected, and the requests that could not be decided.
pub fn outcomes(run: &Run, has_written_lines: bool, screen: &mut Screen) -> io::Result<()> {
    let is_terminal = screen.is_terminal();
    let needs_row = |request: &&DecidedRequest| match request.outcome {
        Outcome::Held | Outcome::OverLimit | Outcome::Done | Outcome::DryRun => !is_terminal,
        Outcome::Gone | Outcome::Failed | Outcome::Unknown | Outcome::Stuck | Outcome::NotAgreed => true,
    };
    let decided = if has_written_lines { &[][..] } else { &run.decided };
    let requests = decided.iter().chain(&run.gone).filter(needs_row);
    let rows: Vec<_> = requests.map(|request| outcome_row(request, is_terminal)).collect();
    if !rows.is_empty() {
        screen.table(&["repo", "user", "asked", "verdict", "rule", "why", "outcome"], rows)?;
    }
    if is_terminal {
        changes(run, screen)?;
    }
    screen.flush()?;
    for report in run.report.repos.iter().filter(|report| report.error.is_none() || report.counts.listed > 0)
    {
        screen.write_note(&format!("{}: {}", report.repo, summary(&report.counts, run.report.dry_run)))?;
    }
    Ok(())
}

/// Writes the line of one request at once.
pub fn write_line(request: &DecidedRequest, screen: &mut Screen) -> io::Result<()> {
    screen.table(&[], [outcome_row(request, false)])?;
    screen.flush()
}

/// The row of a request with its outcome. In a pipe it begins with the time, so that the mail of cron shows it.
fn outcome_row(request: &DecidedRequest, is_terminal: bool) -> Vec<Cell> {
    let mut row = row(request, is_terminal, true);
    row.push(Cell::plain(request.outcome.as_str()));
    if !is_terminal {
        row.insert(0, Cell::plain(time(Some(Utc::now()), false)));
    }
    row
}

/// Shows the number of requests for each verdict and its grounds, by repo.
pub fn totals(run: &Run, screen: &mut Screen) -> io::Result<()> {
    for report in &run.report.repos {
        let mut totals: BTreeMap<_, usize> = BTreeMap::new();
        for DecidedRequest { decision, outcome, .. } in run.of_repo(report) {
            let is_held = decision.verdict == Verdict::Hold;
            let grounds = match outcome {
                Outcome::OverLimit => format!("{}, {}", decision.grounds, outcome.as_str()),
                _ => decision.grounds.to_string(),
            };
            *totals.entry((!is_held, decision.verdict, grounds)).or_default() += 1;
        }
        let listed = match report.counts.listed {
            0 if report.error.is_some() => continue,
            0 => "no pending requests".to_owned(),
            listed => count(listed, "pending request"),
        };
        screen.write_heading(&format!("{}: {listed}", report.repo))?;
        let rows = totals.into_iter().map(|((_, verdict, grounds), number)| {
            vec![Cell::number(number as u64), verdict_cell(verdict), Cell::plain(grounds)]
        });
        screen.table(&["", "", ""], rows.collect::<Vec<_>>())?;
    }
    Ok(())
}

/// Says in which repos a plan exceeds these limits of the policy, or leaves requests because of them.
pub fn limits(run: &Run, limits: Limits, screen: &mut Screen) -> io::Result<()> {
    for report in &run.report.repos {
        for reached in &report.limits_reached {
            writeln!(screen, "\n{}: {reached}", report.repo)?;
        }
        let Counts { accepted, rejected, .. } = report.counts;
        for (number, limit, verdict) in
            [(accepted, limits.accept, Verdict::Accept), (rejected, limits.reject, Verdict::Reject)]
        {
            if let Some(limit) = limit.filter(|limit| u64::from(number) > *limit) {
                let (verdict, number) = (verdict.as_str(), grouped(number));
                let limit = grouped(limit);
                writeln!(screen, "\n{}: {number} to {verdict}, beyond the limit of {limit}", report.repo)?;
            }
        }
    }
    Ok(())
}

/// Prints each failure, each limit that was reached, and each pattern that matches no gated repo.
pub fn failures(report: &Report, unmatched: &[RepoPattern]) {
    for search in &report.searches {
        if let Some(error) = &search.error {
            print_message(&format!("doorman: {search}: {error}"));
        }
    }
    let hint = if report.paused { "" } else { "; `doorman review --beyond-limits` decides them" };
    for report in &report.repos {
        if let Some(error) = &report.error {
            print_message(&format!("doorman: {}: {error}", report.repo));
        }
        for reached in &report.limits_reached {
            print_message(&format!("doorman: {}: {reached}{hint}", report.repo));
        }
    }
    for pattern in unmatched {
        print_message(&format!(
            "doorman: {pattern}: no gated repo found; is it misspelt, or hidden from HF_TOKEN?"
        ));
    }
}

/// The row of a request in a plan. It has no outcome yet, unless the request is over a limit.
fn planned_row(request: &DecidedRequest, is_terminal: bool, with_repo: bool) -> Vec<Cell> {
    let mut row = row(request, is_terminal, with_repo);
    if request.outcome == Outcome::OverLimit {
        row.pop();
        row.push(Cell::plain(request.outcome.as_str()));
    }
    let answers = request.answers.iter().flatten();
    row.extend(answers.map(|(label, answer)| Cell::plain(format!("{label}: {answer}"))));
    row
}

fn row(request: &DecidedRequest, is_terminal: bool, with_repo: bool) -> Vec<Cell> {
    let DecidedRequest { repo, who, requested_at, decision, outcome: _, answers: _ } = request;
    let mut row = Vec::new();
    if with_repo {
        row.push(Cell::plain(repo.to_string()));
    }
    row.push(Cell::plain(who.as_ref().map(users::name).unwrap_or_default()));
    row.push(Cell::new(time(*requested_at, is_terminal), Look::Faint));
    row.push(verdict_cell(decision.verdict));
    row.push(Cell::plain(decision.grounds.rule().unwrap_or_default()));
    row.push(Cell::plain(why(decision)));
    row
}

pub fn verdict_cell(verdict: Verdict) -> Cell {
    let look = match verdict {
        Verdict::Accept => Look::Good,
        Verdict::Hold => Look::Faint,
        Verdict::Reset => Look::Warning,
        Verdict::Reject => Look::Bad,
    };
    Cell::new(verdict.as_str(), look)
}

/// The text of the column "why", beside the name of the rule.
pub fn why(decision: &Decision) -> String {
    let Decision { reason, grounds, .. } = decision;
    let why = match grounds {
        Grounds::Rule(_) => reason.as_ref().map(|reason| format!("reason “{reason}”")),
        Grounds::Unknown { why, .. } => Some(why.clone()),
        Grounds::NoRule | Grounds::Unreadable(_) | Grounds::NoPolicy(_) | Grounds::Person => {
            Some(grounds.to_string())
        }
    };
    [why, decision.exceptions()].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// The counts of a repo. Counts of zero are left out. A dry run has only decisions, and nothing is accepted yet.
fn summary(counts: &Counts, is_dry: bool) -> String {
    let Counts {
        listed,
        accepted,
        rejected,
        reset,
        held,
        over_limit,
        gone,
        failed,
        unknown,
        stuck,
        calls,
        oldest_pending_s: _,
    } = *counts;
    let [to_accept, to_reject, to_reset] =
        if is_dry { ["to accept", "to reject", "to reset"] } else { ["accepted", "rejected", "reset"] };
    let parts = [
        (accepted, to_accept),
        (rejected, to_reject),
        (reset, to_reset),
        (held, "held"),
        (over_limit, "over the limit"),
        (gone, "decided by others"),
        (failed, "failed"),
        (unknown, "unknown (no response)"),
        (stuck, "stuck"),
    ];
    let parts = parts.iter().filter(|(number, _)| *number > 0);
    let parts = parts.map(|(number, what)| format!("{} {what}", grouped(*number)));
    let parts: Vec<String> = [format!("{} listed", grouped(listed))].into_iter().chain(parts).collect();
    format!("{}; {} to the Hub", parts.join(", "), count(calls, "call"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_over_the_maximum_are_counted() {
        let names = ["ada", "bob", "cleo"].map(str::to_owned);
        let shown = [1, 2, 3, usize::MAX].map(|max| first(&names, max));
        assert_eq!(shown, ["ada and 2 others", "ada, bob and 1 other", "ada, bob, cleo", "ada, bob, cleo"]);
    }
}
