//! `list --held`: the held requests of all repos, each with the reason for it and with the answers.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use hub_doorman::model::{AccessRequest, RepoPattern, User};
use hub_doorman::report::{RepoReport, Report};
use serde::Serialize;

use crate::arguments::{Format, Scope};
use crate::environment::{Setup, deadline, setup};
use crate::exit::ExitStatus;
use crate::pending::{PendingRequest, oldest_first, read_all};
use crate::review::show::{failures, why};
use crate::review::{patterns, warn_of_policy};
use crate::screen::{Cell, Screen, count, rfc3339, spinner, time};

/// The held requests, the oldest first, and how reading the lists ended.
pub struct Held {
    pub requests: Vec<Arc<PendingRequest>>,
    report: Report,
    unmatched: Vec<RepoPattern>,
}

impl Held {
    /// Whether all lists could be read.
    pub fn exit_status(&self) -> ExitStatus {
        let Report { repos, searches, .. } = &self.report;
        let has_read = |report: &RepoReport| report.error.is_none() || report.counts.listed > 0;
        match self.report.is_complete() && self.unmatched.is_empty() {
            true => ExitStatus::Complete,
            false if repos.iter().any(has_read) && searches.iter().all(|search| search.error.is_none()) => {
                ExitStatus::Incomplete
            }
            false => ExitStatus::Failed,
        }
    }
}

/// Reads the held requests, and prints what could not be read.
pub async fn read_held(setup: &Setup, patterns: &[RepoPattern]) -> Held {
    let (bar, requests) = (spinner("reading requests"), Mutex::new(Vec::new()));
    let add = |_: &RepoReport, read: Vec<PendingRequest>| {
        let held = read.into_iter().filter(PendingRequest::is_held).map(Arc::new);
        requests.lock().unwrap_or_else(PoisonError::into_inner).extend(held);
    };
    let swept = read_all(&setup.hub, &setup.policy, patterns, deadline(), add).await;
    bar.finish_and_clear();
    let mut requests = requests.into_inner().unwrap_or_else(PoisonError::into_inner);
    oldest_first(&mut requests);
    let report = Report::new(true, swept.repos, swept.failed_searches, swept.unlisted);
    failures(&report, &swept.unmatched);
    Held { requests, report, unmatched: swept.unmatched }
}

/// Shows the held requests.
pub async fn run(
    scope: &Scope,
    search: Option<&str>,
    format: &Format,
    screen: &mut Screen,
) -> Result<ExitStatus, Box<dyn Error>> {
    let setup = setup(scope.policy.as_deref()).await?;
    let patterns = patterns(scope, &setup)?;
    warn_of_policy(&setup.policy, |warning| warning.is_unusable_list);
    let mut held = read_held(&setup, &patterns).await;
    if let Some(search) = search.map(str::to_lowercase) {
        held.requests.retain(|request| request.name().to_lowercase().starts_with(&search));
    }
    let requests = &held.requests;
    if format.json {
        screen.json(&requests.iter().map(|request| Row::of(request)).collect::<Vec<_>>())?;
    } else if format.csv {
        write_csv(requests, screen)?;
    } else {
        show(requests, screen)?;
        let hint = if requests.is_empty() {
            String::new()
        } else {
            format!(". `{}` asks about each of them", scope.command("decide"))
        };
        screen.write_note(&format!("\n{}{hint}.", count(requests.len() as u64, "held request")))?;
    }
    Ok(held.exit_status())
}

/// The full name, the address, the organizations and the date of a request.
pub fn remark(request: &PendingRequest) -> String {
    let User { fullname, email, verified_orgs, orgs, .. } = &request.request.user;
    let verified: Vec<&String> = verified_orgs.iter().flatten().collect();
    let others = orgs.iter().flatten().filter(|org| !verified.contains(org)).cloned();
    let verified = verified.iter().map(|org| format!("{org} (verified)"));
    let asked = request.request.requested_at.map(|at| format!("asked {}", time(Some(at), true)));
    let texts = [fullname.clone(), email.clone()].into_iter().flatten().chain(verified).chain(others);
    texts.chain(asked).filter(|text| !text.is_empty()).collect::<Vec<_>>().join(", ")
}

/// Why a request is held, and then its answers.
pub fn details(request: &PendingRequest) -> impl Iterator<Item = String> {
    let answers = request.request.fields.iter().map(|(label, answer)| format!("{label}: {answer}"));
    [format!("held: {}", request.decision.explanation())].into_iter().chain(answers)
}

/// How long ago something was, in the largest unit that fits: `3 days`.
pub fn age(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let minutes = u64::try_from((now - at).num_minutes()).unwrap_or(0);
    match minutes {
        0..=59 => count(minutes, "minute"),
        60..=2879 => count(minutes / 60, "hour"),
        _ => count(minutes / 1440, "day"),
    }
}

/// A held request in JSON and CSV.
#[derive(Serialize)]
struct Row<'a> {
    repo: String,
    user: Option<&'a str>,
    fullname: Option<&'a str>,
    email: Option<&'a str>,
    request_id: Option<&'a str>,
    requested_at: Option<DateTime<Utc>>,
    rule: Option<&'a str>,
    why: String,
    fields: &'a BTreeMap<String, String>,
}

impl<'a> Row<'a> {
    fn of(PendingRequest { repo, request, decision, .. }: &'a PendingRequest) -> Self {
        let AccessRequest { request_id, user, requested_at, fields, unreadable: _ } = request;
        Self {
            repo: repo.to_string(),
            user: user.name.as_deref(),
            fullname: user.fullname.as_deref(),
            email: user.email.as_deref(),
            request_id: request_id.as_deref(),
            requested_at: *requested_at,
            rule: decision.grounds.rule(),
            why: decision.explanation(),
            fields,
        }
    }
}

/// Writes CSV with one column for each label that occurs.
fn write_csv(requests: &[Arc<PendingRequest>], screen: &mut Screen) -> io::Result<()> {
    let labels: BTreeSet<&String> =
        requests.iter().flat_map(|request| request.request.fields.keys()).collect();
    let header = ["repo", "user", "fullname", "email", "request_id", "requested_at", "rule", "why"];
    let header = header.into_iter().map(str::to_owned).chain(labels.iter().map(|label| (*label).clone()));
    let row = |request: &Arc<PendingRequest>| {
        let Row { repo, user, fullname, email, request_id, requested_at, rule, why, fields } =
            Row::of(request);
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let at = requested_at.map(rfc3339).unwrap_or_default();
        let answers = labels.iter().map(|label| fields.get(*label).cloned().unwrap_or_default());
        let row = [repo, text(user), text(fullname), text(email), text(request_id), at, text(rule), why];
        row.into_iter().chain(answers).collect()
    };
    screen.csv(&header.collect::<Vec<_>>(), requests.iter().map(row))
}

fn show(requests: &[Arc<PendingRequest>], screen: &mut Screen) -> io::Result<()> {
    for request in requests {
        if screen.is_terminal() {
            let name = format!("{} ({})", request.name(), request.repo);
            screen.write_whole_entry(&name, &remark(request), details(request).take(1))?;
            // An answer may have thousands of characters.
            screen.write_cut(details(request).skip(1))?;
            continue;
        }
        let AccessRequest { user, requested_at, fields, .. } = &request.request;
        let [fullname, email] = [&user.fullname, &user.email].map(|text| text.clone().unwrap_or_default());
        let rule = request.decision.grounds.rule().unwrap_or_default().to_owned();
        let (repo, at) = (request.repo.to_string(), time(*requested_at, false));
        let cells = [repo, request.name(), fullname, email, at, rule, why(&request.decision)];
        let answers = fields.iter().map(|(label, answer)| format!("{label}: {answer}"));
        screen.table(&[], [cells.into_iter().chain(answers).map(Cell::plain).collect()])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn age_has_the_largest_unit_that_fits() {
        let now: DateTime<Utc> = "2026-11-27T12:00:00Z".parse().expect("a time");
        let cases = [(0, "0 minutes"), (1, "1 minute"), (60, "1 hour"), (2879, "47 hours"), (4320, "3 days")];
        for (minutes, expected) in cases {
            assert_eq!(age(now - chrono::TimeDelta::minutes(minutes), now), expected);
        }
    }
}
