//! The output of a backtest: tables and differences for a person, rows and JSON for a program.

use std::io;

use chrono::{DateTime, Utc};
use hub_doorman::model::{Repo, RepoType, Verdict};
use hub_doorman::policy::Policy;
use hub_doorman::report::SearchReport;
use serde::Serialize;

use super::comparison::{KINDS, PastDecision, Redecided, Table, is_dangerous};
use super::selection::{LeftOutCounts, Selection};
use super::{Backtest, RepoBacktest};
use crate::review::show::why;
use crate::screen::{Cell, Look, Screen, count, grouped, print_message, time};
use crate::users;

/// The most differences of a kind that a terminal shows for one repo.
const MAX_SHOWN: usize = 50;

/// The columns of the table.
const VERDICTS: [Verdict; 4] = [Verdict::Accept, Verdict::Hold, Verdict::Reset, Verdict::Reject];

/// The results in JSON.
#[derive(Serialize)]
pub struct Json<'a> {
    /// The fingerprint of the policy.
    policy: &'a str,
    account: &'a str,
    since: Option<DateTime<Utc>>,
    by_others: bool,
    repos: Vec<JsonRepo<'a>>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    searches: &'a [SearchReport],
}

#[derive(Serialize)]
struct JsonRepo<'a> {
    repo: &'a str,
    r#type: RepoType,
    complete: bool,
    calls: u32,
    error: Option<String>,
    #[serde(flatten)]
    result: Option<JsonResult<'a>>,
}

#[derive(Serialize)]
struct JsonResult<'a> {
    table: Table,
    by_account: u64,
    left_out: LeftOutCounts,
    differences: Vec<JsonDifference<'a>>,
}

#[derive(Serialize)]
struct JsonDifference<'a> {
    user: Option<String>,
    requested_at: Option<DateTime<Utc>>,
    reviewed_at: DateTime<Utc>,
    status: PastDecision,
    verdict: Verdict,
    rule: Option<&'a str>,
    grounds: String,
    reason: Option<&'a str>,
}

pub fn json<'a>(backtest: &'a Backtest, selection: &'a Selection, policy: &'a Policy) -> Json<'a> {
    let repos = backtest.iter().map(|(report, result)| JsonRepo {
        repo: report.repo.name(),
        r#type: report.repo.repo_type(),
        complete: report.complete,
        calls: report.counts.calls,
        error: report.error.as_ref().map(ToString::to_string),
        result: result.map(json_result),
    });
    let Selection { since, account, by_others } = selection;
    Json {
        policy: policy.fingerprint(),
        account: account.as_str(),
        since: *since,
        by_others: *by_others,
        repos: repos.collect(),
        searches: &backtest.report.searches,
    }
}

fn json_result(RepoBacktest { comparison, left_out, by_account, .. }: &RepoBacktest) -> JsonResult<'_> {
    let differences = comparison.differences.iter().map(|request| {
        let Redecided { who, requested_at, past, reviewed_at, decision } = request;
        JsonDifference {
            user: who.as_ref().map(users::name),
            requested_at: *requested_at,
            reviewed_at: *reviewed_at,
            status: *past,
            verdict: decision.verdict,
            rule: decision.grounds.rule(),
            grounds: decision.explanation(),
            reason: decision.reason.as_deref(),
        }
    });
    JsonResult {
        table: comparison.table,
        by_account: *by_account,
        left_out: *left_out,
        differences: differences.collect(),
    }
}

/// Shows the table of each repo, and then the differences of all repos. In a pipe the differences are the rows, and all else are
/// notes.
pub fn tables_and_differences(
    backtest: &Backtest,
    selection: &Selection,
    screen: &mut Screen,
) -> io::Result<()> {
    let results = || backtest.iter().filter_map(|(report, result)| Some((&report.repo, result?)));
    for (repo, result) in results() {
        show_table(&repo.to_string(), result.comparison.table, screen)?;
    }
    let compared: Vec<_> = results().filter(|(_, result)| result.comparison.table.total() > 0).collect();
    let sum = compared.iter().map(|(_, result)| result.comparison.table).sum();
    if compared.len() > 1 {
        show_table("all repos", sum, screen)?;
    }
    let differences: Vec<_> = compared
        .iter()
        .flat_map(|(repo, result)| result.comparison.differences.iter().map(|request| (*repo, request)))
        .collect();
    for kind in KINDS {
        let of_kind: Vec<_> =
            differences.iter().copied().filter(|(_, request)| request.kind() == kind).collect();
        show_kind(kind, &of_kind, compared.len() > 1, screen)?;
    }
    let by_account = results().map(|(_, result)| result.by_account).sum();
    let left_out = results().map(|(_, result)| result.left_out).sum();
    show_summary(sum, by_account, left_out, selection, screen)
}

/// Shows the table of a repo. In a pipe each of its lines is a note.
fn show_table(name: &str, table: Table, screen: &mut Screen) -> io::Result<()> {
    let requests = match table.total() {
        0 => "no decided requests".to_owned(),
        total => count(total, "decided request"),
    };
    let rows = PastDecision::ALL.into_iter().filter(|past| table.row(*past).total() > 0);
    if screen.is_terminal() {
        screen.write_heading(&format!("{name}: {requests}"))?;
        let rows = rows.map(|past| {
            let numbers = VERDICTS.map(|verdict| number(table, (past, verdict)));
            let first = [Cell::plain(past.status().as_str()), Cell::number(table.row(past).total())];
            first.into_iter().chain(numbers).collect::<Vec<_>>()
        });
        let rows: Vec<_> = rows.collect();
        let header = ["status", "requests", "would accept", "would hold", "would reset", "would reject"];
        return if rows.is_empty() { Ok(()) } else { screen.table(&header, rows) };
    }
    screen.write_note(&format!("{name}: {requests}"))?;
    for past in rows {
        let row = table.row(past);
        let number = |verdict: Verdict| format!("{} {}", verdict.as_str(), grouped(row.number(verdict)));
        let (total, status) = (grouped(row.total()), past.status().as_str());
        let numbers = VERDICTS.map(number).join(", ");
        screen.write_note(&format!("{name}: of {total} {status}, the policy would {numbers}"))?;
    }
    Ok(())
}

fn number(table: Table, (past, verdict): (PastDecision, Verdict)) -> Cell {
    let number = table.row(past).number(verdict);
    let look = match () {
        () if number == 0 || verdict == Verdict::Hold => Look::Faint,
        () if past.status() == verdict.status() => Look::Good,
        () if is_dangerous((past, verdict)) => Look::Bad,
        () => Look::Warning,
    };
    Cell::number(number).with_look(look)
}

/// Shows the differences of a kind. A terminal shows at most [`MAX_SHOWN`] of them.
fn show_kind(
    (past, verdict): (PastDecision, Verdict),
    requests: &[(&Repo, &Redecided)],
    with_repo: bool,
    screen: &mut Screen,
) -> io::Result<()> {
    if requests.is_empty() || !screen.is_terminal() {
        let rows = requests.iter().map(|(repo, request)| piped_row(repo, request));
        return screen.table(&[], rows);
    }
    let (status, number) = (past.status().as_str(), grouped(requests.len() as u64));
    screen.write_heading(&format!("{status}, the policy would {}: {number}", verdict.as_str()))?;
    let rows = requests.iter().take(MAX_SHOWN).map(|(repo, request)| {
        let mut row = row(request, true);
        row.splice(1..1, with_repo.then(|| Cell::plain(repo.to_string())));
        row
    });
    let header = ["user", "repo", "decided", "rule", "why"];
    let header = header.into_iter().filter(|column| with_repo || *column != "repo").collect::<Vec<_>>();
    screen.table(&header, rows)?;
    match requests.len().saturating_sub(MAX_SHOWN) {
        0 => Ok(()),
        more => {
            screen.write_note(&format!(" … and {} more; a pipe and --json get all", grouped(more as u64)))
        }
    }
}

/// The row of a difference in a pipe.
fn piped_row(repo: &Repo, request: &Redecided) -> Vec<Cell> {
    let mut row = row(request, false);
    let (past, verdict) = request.kind();
    row.splice(2..2, [past.status().as_str(), verdict.as_str()].map(Cell::plain));
    row.insert(0, Cell::plain(repo.to_string()));
    row
}

/// The user of a difference, the time of the decision, and the rule of the policy.
fn row(request: &Redecided, is_terminal: bool) -> Vec<Cell> {
    let Redecided { who, reviewed_at, decision, .. } = request;
    vec![
        Cell::plain(who.as_ref().map(users::name).unwrap_or_default()),
        Cell::new(time(Some(*reviewed_at), is_terminal), Look::Faint),
        Cell::plain(decision.grounds.rule().unwrap_or_default()),
        Cell::plain(why(decision)),
    ]
}

/// Shows how many requests the policy would decide in the same way, how many the account of the token accepted, and how many are left
/// out.
fn show_summary(
    sum: Table,
    accepted_by_account: u64,
    left_out: LeftOutCounts,
    Selection { account, .. }: &Selection,
    screen: &mut Screen,
) -> io::Result<()> {
    let (agreed, held) = (sum.agreed(), sum.held());
    let LeftOutCounts { earlier, granted, by_account, undated } = left_out;
    let lines = [
        (agreed, "would be decided in the same way".to_owned()),
        (held, "would be held".to_owned()),
        (sum.total() - agreed - held, "would be decided otherwise".to_owned()),
        (
            accepted_by_account,
            format!("accepted by {account}, the account of HF_TOKEN; --by-others leaves them out"),
        ),
        (earlier, "left out: decided earlier".to_owned()),
        (granted, "left out: access without a request".to_owned()),
        (by_account, format!("left out: accepted by {account}, the account of HF_TOKEN")),
        (undated, "left out: the time of the decision is missing".to_owned()),
    ];
    let lines: Vec<_> = lines.into_iter().filter(|(number, _)| *number > 0).collect();
    if !screen.is_terminal() {
        return lines
            .iter()
            .try_for_each(|(number, text)| screen.write_note(&format!("{} {text}", grouped(*number))));
    }
    if !lines.is_empty() {
        screen.write_heading("In all")?;
        let rows = lines.into_iter().map(|(number, text)| vec![Cell::number(number), Cell::plain(text)]);
        screen.table(&["", ""], rows)?;
    }
    screen.write_note("\nNothing was changed.")
}

/// Prints each list that may be longer than the Hub has shown.
pub fn unfinished_lists(backtest: &Backtest) {
    for (report, result) in backtest.iter() {
        for status in result.iter().flat_map(|result| &result.unfinished) {
            print_message(&format!(
                "doorman: {}: the Hub's list of {} requests ends with a full page, so more requests may follow, and the table may lack them",
                report.repo,
                status.as_str()
            ));
        }
    }
}
