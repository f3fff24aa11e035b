//! `policy diff`: the pending requests that two policies decide differently.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::error::Error;
use std::io::{self, Write};

use chrono::{DateTime, Utc};
use hub_doorman::hub::{Hub, HubError};
use hub_doorman::model::{Decision, Identity, Repo, RepoPattern, Status, Verdict};
use hub_doorman::report::{RepoReport, Report};
use hub_doorman::sweep::{SweepHistory, sweep};
use serde::Serialize;

use super::{NamedPlace, PlacedPolicy};
use crate::arguments::DiffArguments;
use crate::environment::{self, deadline};
use crate::exit::{ExitStatus, UsageError};
use crate::list::read_list;
use crate::review::{show, warn_of_policy};
use crate::screen::{Cell, Look, Screen, count, grouped, print_message, spinner, time};
use crate::users;

/// Reads the pending requests once, decides each by both policies, and shows those that get another verdict or another reason.
pub async fn run(arguments: &DiffArguments, screen: &mut Screen) -> Result<ExitStatus, Box<dyn Error>> {
    let DiffArguments { a, b, repos, json } = arguments;
    let (a, b) = (NamedPlace::find(Some(a))?, NamedPlace::find(Some(b))?);
    let patterns = patterns(repos)?;
    let hub = environment::hub().await?;
    let policies = [a.read(&hub).await?, b.read(&hub).await?];
    let diff = Diff::read(&hub, &patterns, &policies).await;
    if *json {
        screen.json(&diff.json(&policies))?;
    } else {
        diff.show(screen)?;
    }
    screen.flush()?;
    show::failures(&diff.report, &diff.unmatched);
    for repo in &diff.unfinished {
        print_message(&format!(
            "doorman: {repo}: the Hub's list ends with a full page, so more requests may follow"
        ));
    }
    for PlacedPolicy { place, policy } in &policies {
        if policy.is_paused() {
            print_message(&format!("doorman: {place}: the policy is paused, so it decides nobody"));
        }
        warn_of_policy(policy, |warning| warning.is_unusable_list);
    }
    Ok(diff.exit_status())
}

/// The repos of the command line, else those of `REPOS`.
fn patterns(named: &[RepoPattern]) -> Result<Vec<RepoPattern>, Box<dyn Error>> {
    if !named.is_empty() {
        return Ok(named.to_vec());
    }
    let variables = environment::variables();
    let repos = variables.repos();
    let text = "no repos are named; name them, or set REPOS, for example to `acme/model` or `acme/*`";
    Ok(variables.all(|| repos)?.ok_or_else(|| UsageError(text.to_owned()))?)
}

/// The requests that the two policies decide differently.
struct Diff {
    /// Which repos were read, and which failed.
    report: Report,
    /// By repo, and within a repo by the verdicts.
    requests: Vec<Difference>,
    /// The repos whose list ends with a full page without a link to a next one.
    unfinished: Vec<Repo>,
    /// Patterns that match no gated repo.
    unmatched: Vec<RepoPattern>,
}

/// A request with the decisions of both policies.
struct Difference {
    repo: Repo,
    who: Option<Identity>,
    requested_at: Option<DateTime<Utc>>,
    decisions: [Decision; 2],
}

impl Diff {
    async fn read(hub: &Hub, patterns: &[RepoPattern], policies: &[PlacedPolicy; 2]) -> Self {
        // Both policies decide as of the same time.
        let (deadline, now, bar) = (deadline(), Utc::now(), spinner("reading requests"));
        let (requests, unfinished) = (RefCell::new(Vec::new()), RefCell::new(Vec::new()));
        let compare = |repo: Repo| {
            let (requests, unfinished) = (&requests, &unfinished);
            async move {
                let mut report = RepoReport::new(&repo);
                match compare_repo(hub, &repo, policies, now).await {
                    Ok(Compared { listed, may_go_on, differences }) => {
                        report.complete = !may_go_on;
                        report.counts.listed = u32::try_from(listed).unwrap_or(u32::MAX);
                        requests.borrow_mut().extend(differences);
                        unfinished.borrow_mut().extend(may_go_on.then(|| repo.clone()));
                    }
                    Err(error) => report.fail(error),
                }
                report
            }
        };
        let swept = sweep(hub, patterns, |_| true, &SweepHistory::default(), deadline, compare).await;
        bar.finish_and_clear();
        let report = Report::new(true, swept.repos, swept.failed_searches, swept.unlisted);
        let mut requests = requests.into_inner();
        requests.sort_by_cached_key(|request: &Difference| {
            let [a, b] = request.verdicts();
            (request.repo.clone(), a, b, request.requested_at)
        });
        Self { report, requests, unfinished: unfinished.into_inner(), unmatched: swept.unmatched }
    }

    /// The number of all pending requests.
    fn listed(&self) -> u64 {
        self.report.repos.iter().map(|repo| u64::from(repo.counts.listed)).sum()
    }

    /// The number of requests for each pair of verdicts.
    fn totals(&self) -> BTreeMap<[Verdict; 2], u64> {
        let mut totals = BTreeMap::new();
        self.requests.iter().for_each(|request| *totals.entry(request.verdicts()).or_default() += 1);
        totals
    }

    fn show(&self, screen: &mut Screen) -> io::Result<()> {
        if screen.is_terminal() {
            for of_repo in self.requests.chunk_by(|one, next| one.repo == next.repo) {
                let repo = of_repo.first().map(|request| request.repo.to_string());
                screen.write_heading(&repo.unwrap_or_default())?;
                let rows = of_repo.iter().map(|request| request.row(true));
                screen.table(&["user", "asked", "a", "b", "why in a", "why in b"], rows)?;
            }
        } else {
            let with_repo = |request: &Difference| {
                [Cell::plain(request.repo.to_string())].into_iter().chain(request.row(false)).collect()
            };
            screen.table(&[], self.requests.iter().map(with_repo))?;
        }
        let total = |([a, b], number): (&[Verdict; 2], &u64)| {
            let change = if a == b {
                format!("{} with another reason", a.as_str())
            } else {
                format!("{} → {}", a.as_str(), b.as_str())
            };
            format!("{} {change}", grouped(*number))
        };
        let totals: Vec<String> = self.totals().iter().map(total).collect();
        let totals = if totals.is_empty() { String::new() } else { format!(": {}", totals.join(", ")) };
        let (different, listed) =
            (grouped(self.requests.len() as u64), count(self.listed(), "pending request"));
        screen.write_note(&format!("\n{different} of {listed} would be decided differently{totals}"))
    }

    fn json<'a>(&'a self, [a, b]: &'a [PlacedPolicy; 2]) -> Json<'a> {
        let policy = |PlacedPolicy { place, policy }: &'a PlacedPolicy| JsonPolicy {
            place,
            commit: policy.commit(),
            policy: policy.fingerprint(),
        };
        let total = |([a, b], requests): ([Verdict; 2], u64)| JsonTotal { a, b, requests };
        let repos = self.report.repos.iter().filter_map(|report| {
            Some(JsonError { repo: report.repo.to_string(), error: report.error.as_ref()?.to_string() })
        });
        Json {
            a: policy(a),
            b: policy(b),
            listed: self.listed(),
            complete: self.exit_status() == ExitStatus::Complete,
            totals: self.totals().into_iter().map(total).collect(),
            requests: self.requests.iter().map(Difference::json).collect(),
            errors: repos.collect(),
        }
    }

    fn exit_status(&self) -> ExitStatus {
        let Report { repos, searches, .. } = &self.report;
        let has_failed = !self.unmatched.is_empty()
            || !searches.is_empty()
            || repos.iter().any(|repo| repo.error.is_some());
        match has_failed {
            false if self.unfinished.is_empty() => ExitStatus::Complete,
            true if repos.iter().all(|repo| repo.error.is_some()) => ExitStatus::Failed,
            _ => ExitStatus::Incomplete,
        }
    }
}

/// The comparison of one repo.
struct Compared {
    listed: usize,
    /// Whether the list ends with a full page without a link to a next one.
    may_go_on: bool,
    differences: Vec<Difference>,
}

async fn compare_repo(
    hub: &Hub,
    repo: &Repo,
    [a, b]: &[PlacedPolicy; 2],
    now: DateTime<Utc>,
) -> Result<Compared, HubError> {
    let (entries, may_go_on) = read_list(&hub.repo(repo, deadline()), Status::Pending, None).await?;
    let (mut listed, mut seen, mut differences) = (0, HashSet::new(), Vec::new());
    for request in entries.into_iter().map(|entry| entry.request) {
        // A list may repeat an entry at the border of two pages.
        if request.identity().is_some_and(|identity| !seen.insert(identity)) {
            continue;
        }
        listed += 1;
        let decisions = [a, b].map(|placed| placed.policy.decide(&request, repo, now));
        let [a, b] = &decisions;
        if a.verdict != b.verdict || a.reason != b.reason {
            let (who, requested_at) = (request.who(), request.requested_at);
            differences.push(Difference { repo: repo.clone(), who, requested_at, decisions });
        }
    }
    Ok(Compared { listed, may_go_on, differences })
}

impl Difference {
    fn verdicts(&self) -> [Verdict; 2] {
        self.decisions.each_ref().map(|decision| decision.verdict)
    }

    fn row(&self, is_terminal: bool) -> Vec<Cell> {
        let who = self.who.as_ref().map(users::name).unwrap_or_default();
        let [a, b] = self.verdicts();
        let why = |decision: &Decision| {
            let reason = decision.reason.as_ref().filter(|_| a == b);
            let reason = reason.map(|reason| format!(", reason “{reason}”")).unwrap_or_default();
            Cell::plain(format!("{}{reason}", decision.explanation()))
        };
        let time = Cell::new(time(self.requested_at, is_terminal), Look::Faint);
        let cells = [Cell::plain(who), time, show::verdict_cell(a), show::verdict_cell(b)];
        cells.into_iter().chain(self.decisions.iter().map(why)).collect()
    }

    fn json(&self) -> JsonDifference {
        let decision = |decision: &'_ Decision| JsonDecision {
            verdict: decision.verdict,
            rule: decision.grounds.rule().map(str::to_owned),
            grounds: decision.explanation(),
            reason: decision.reason.as_deref().map(str::to_owned),
        };
        let [a, b] = self.decisions.each_ref().map(decision);
        let user = self.who.as_ref().map(users::name);
        JsonDifference { repo: self.repo.to_string(), user, requested_at: self.requested_at, a, b }
    }
}

#[derive(Serialize)]
struct Json<'a> {
    a: JsonPolicy<'a>,
    b: JsonPolicy<'a>,
    /// The number of all pending requests.
    listed: u64,
    complete: bool,
    totals: Vec<JsonTotal>,
    requests: Vec<JsonDifference>,
    errors: Vec<JsonError>,
}

#[derive(Serialize)]
struct JsonPolicy<'a> {
    place: &'a str,
    commit: Option<&'a str>,
    /// The fingerprint.
    policy: &'a str,
}

#[derive(Serialize)]
struct JsonTotal {
    a: Verdict,
    b: Verdict,
    requests: u64,
}

#[derive(Serialize)]
struct JsonDifference {
    repo: String,
    user: Option<String>,
    requested_at: Option<DateTime<Utc>>,
    a: JsonDecision,
    b: JsonDecision,
}

#[derive(Serialize)]
struct JsonDecision {
    verdict: Verdict,
    rule: Option<String>,
    grounds: String,
    reason: Option<String>,
}

#[derive(Serialize)]
struct JsonError {
    repo: String,
    error: String,
}
