//! `decide`: asks about one held request after the other on the terminal, and sends the decisions at the end.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, BufRead, IsTerminal, Write};
use std::sync::Arc;

use chrono::Utc;
use hub_doorman::model::{Decision, Grounds, Repo, Verdict};
use hub_doorman::plan::Choice;

use crate::arguments::{Scope, reason};
use crate::environment::{Setup, deadline, setup};
use crate::exit::{ExitStatus, UsageError};
use crate::held::{age, details, read_held, remark};
use crate::pending::{self, ChoiceOutcome, ChosenRequest, PendingRequest};
use crate::review::{patterns, warn_of_policy};
use crate::screen::{Cell, Look, Screen, clean, count, print_message};

const HELP: &str = "\
a  accept: the person gets access
s  reset, with a reason: the person may ask again
r  reject, with a reason: the Hub ignores further requests of the person
n  skip: the request stays held
k  go back to the request before
q  stop asking, and show the decisions so far
?  this help";

/// [`HELP`] in one line.
const LEGEND: &str = "a accept, s reset, r reject, n skip, k back, q stop, ? help";

/// The keys of [`HELP`].
const KEYS: &str = "a,s,r,n,k,q,?";

/// What the person at the terminal wants.
enum Reply {
    Decide(Verdict, Option<Arc<str>>),
    Skip,
    Back,
    Quit,
}

/// Asks about each held request, shows the decisions, and sends them if the person agrees.
pub async fn run(scope: &Scope, screen: &mut Screen) -> Result<ExitStatus, Box<dyn Error>> {
    let setup = setup(scope.policy.as_deref()).await?;
    let patterns = patterns(scope, &setup)?;
    warn_of_policy(&setup.policy, |warning| warning.is_unusable_list);
    let held = read_held(&setup, &patterns).await;
    if held.requests.is_empty() {
        writeln!(screen, "No request is held.")?;
        screen.flush()?;
        return Ok(held.exit_status());
    }
    let chosen = ask_about_each(&held.requests, &setup.policy.reasons(), screen)?;
    if chosen.is_empty() {
        print_message("Nothing was decided.");
        return Ok(held.exit_status());
    }
    show(&chosen, screen)?;
    write!(screen, "\nSend {}? [y/N] ", count(chosen.len() as u64, "decision"))?;
    screen.flush()?;
    if !matches!(read_line()?.as_deref().map(str::trim), Some("y" | "Y" | "yes")) {
        print_message("Nothing was sent.");
        return Ok(ExitStatus::Failed);
    }
    let status = send(&setup, chosen, held.exit_status(), screen).await?;
    if setup.dry_run {
        print_message("DRY_RUN is true, so nothing was changed.");
    }
    Ok(status)
}

/// Sends the decisions, and shows the outcome of each. The result is `status`, or the exit status for decisions that were not carried
/// out.
async fn send(
    setup: &Setup,
    chosen: Vec<ChosenRequest>,
    mut status: ExitStatus,
    screen: &mut Screen,
) -> io::Result<ExitStatus> {
    let mut by_repo: BTreeMap<Repo, Vec<ChosenRequest>> = BTreeMap::new();
    for one in chosen {
        by_repo.entry(one.request.repo.clone()).or_default().push(one);
    }
    for (repo, chosen) in by_repo {
        let Setup { hub, policy, dry_run, .. } = setup;
        let outcomes = pending::write(hub, policy, &repo, &chosen, *dry_run, deadline()).await;
        if !outcomes.iter().all(ChoiceOutcome::is_done) {
            status = ExitStatus::Incomplete;
        }
        let rows = chosen.iter().zip(&outcomes).map(|(one, outcome)| {
            let look = if outcome.is_done() { Look::Good } else { Look::Bad };
            row(one).into_iter().chain([Cell::new(outcome.describe(), look)]).collect()
        });
        screen.table(&["repo", "user", "decision", "reason", "outcome"], rows.collect::<Vec<_>>())?;
        screen.flush()?;
    }
    Ok(status)
}

fn ask_about_each(
    requests: &[Arc<PendingRequest>],
    reasons: &[&str],
    screen: &mut Screen,
) -> Result<Vec<ChosenRequest>, Box<dyn Error>> {
    let mut chosen: Vec<Option<ChosenRequest>> = requests.iter().map(|_| None).collect();
    let mut at = 0;
    writeln!(screen, "\n{LEGEND}")?;
    while let (Some(request), Some(one)) = (requests.get(at), chosen.get_mut(at)) {
        let asked = request.request.requested_at.map(|at| format!(", asked {} ago", age(at, Utc::now())));
        let heading =
            format!("{} of {}: {}{}", at + 1, requests.len(), request.repo, asked.unwrap_or_default());
        screen.write_heading(&heading)?;
        let earlier = one.as_ref().map(|one| format!("your decision so far: {}", describe(&one.choice)));
        screen.write_whole_entry(&request.name(), &remark(request), details(request).chain(earlier))?;
        match ask(request, reasons, screen)? {
            Reply::Decide(verdict, reason) => {
                let decision = Decision { reason, ..Decision::new(verdict, Grounds::Person) };
                *one = Some(ChosenRequest { request: Arc::clone(request), choice: Choice::new(decision) });
                at += 1;
            }
            Reply::Skip => {
                *one = None;
                at += 1;
            }
            Reply::Back => at = at.saturating_sub(1),
            Reply::Quit => break,
        }
    }
    Ok(chosen.into_iter().flatten().collect())
}

/// Asks until the reply is one of the keys. The end of the input quits.
fn ask(request: &PendingRequest, reasons: &[&str], screen: &mut Screen) -> Result<Reply, Box<dyn Error>> {
    loop {
        write!(screen, "Decide {} [{KEYS}]? ", clean(&request.name()))?;
        screen.flush()?;
        let Some(line) = read_line()? else {
            writeln!(screen)?;
            return Ok(Reply::Quit);
        };
        let key = line.trim().to_ascii_lowercase();
        let verdict = match key.as_str() {
            "a" => return Ok(Reply::Decide(Verdict::Accept, None)),
            "s" => Verdict::Reset,
            "r" => Verdict::Reject,
            "n" => return Ok(Reply::Skip),
            "k" => return Ok(Reply::Back),
            "q" => return Ok(Reply::Quit),
            "?" => {
                writeln!(screen, "{HELP}")?;
                continue;
            }
            "" => {
                ask_again(&format!("Type one of {KEYS}, then Enter"), screen)?;
                continue;
            }
            key => {
                ask_again(&format!("`{}` is none of {KEYS}", clean(key)), screen)?;
                continue;
            }
        };
        if let Some(reason) = ask_for_reason(reasons, screen)? {
            let reason = Some(reason).filter(|reason| !reason.is_empty());
            return Ok(Reply::Decide(verdict, reason));
        }
    }
}

/// Says why a line was not understood. Without a person at a terminal, the lines after it may be about other people than they were
/// written for, and may never end. So nothing is decided.
fn ask_again(why: &str, screen: &mut Screen) -> Result<(), Box<dyn Error>> {
    if !io::stdin().is_terminal() {
        return Err(UsageError(format!("{why}. Nothing was sent.")).into());
    }
    Ok(writeln!(screen, "{why}.")?)
}

/// Asks for a reason: the number of one of the policy's, another text, or `-`, which gives an empty text. The result is `None` if the
/// person wants to go back, or the input has ended.
fn ask_for_reason(reasons: &[&str], screen: &mut Screen) -> Result<Option<Arc<str>>, Box<dyn Error>> {
    for (number, reason) in reasons.iter().enumerate() {
        writeln!(screen, "  {}  {}", number + 1, clean(reason))?;
    }
    let numbers = if reasons.is_empty() { "" } else { "a number, " };
    loop {
        write!(screen, "Reason ({numbers}your own text, - for none, or nothing to go back): ")?;
        screen.flush()?;
        let Some(line) = read_line()? else {
            writeln!(screen)?;
            return Ok(None);
        };
        let text = line.trim();
        let picked = text.parse::<usize>().ok().and_then(|number| reasons.get(number.checked_sub(1)?));
        match picked {
            Some(picked) => return Ok(Some((*picked).into())),
            None if text.is_empty() => return Ok(None),
            None if text == "-" => return Ok(Some("".into())),
            None if !reasons.is_empty() && text.parse::<usize>().is_ok() => {
                ask_again(&format!("There is no reason {text}"), screen)?;
            }
            None => match reason(text) {
                Ok(text) => return Ok(Some(text.into())),
                Err(why) => ask_again(&format!("This reason cannot be sent: {why}"), screen)?,
            },
        }
    }
}

/// The verdict of a choice, and its reason.
fn describe(Choice { decision, .. }: &Choice) -> String {
    let reason = decision.reason.as_ref().map(|reason| format!(", reason “{reason}”"));
    format!("{}{}", decision.verdict.as_str(), reason.unwrap_or_default())
}

/// Shows what will be sent.
fn show(chosen: &[ChosenRequest], screen: &mut Screen) -> io::Result<()> {
    screen.write_heading("To send:")?;
    screen.table(&["repo", "user", "decision", "reason"], chosen.iter().map(row))
}

fn row(ChosenRequest { request, choice }: &ChosenRequest) -> Vec<Cell> {
    let decision = &choice.decision;
    let reason = decision.reason.as_deref().unwrap_or_default();
    vec![
        Cell::plain(request.repo.to_string()),
        Cell::plain(request.name()),
        crate::review::show::verdict_cell(decision.verdict),
        Cell::plain(reason),
    ]
}

/// Reads a line of the standard input, or `None` at its end.
fn read_line() -> io::Result<Option<String>> {
    let mut line = Vec::new();
    let read = io::stdin().lock().read_until(b'\n', &mut line)?;
    Ok((read > 0).then(|| String::from_utf8_lossy(&line).into_owned()))
}
