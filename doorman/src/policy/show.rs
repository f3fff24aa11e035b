//! `policy show`: what is in force, and from where.

use std::error::Error;
use std::io;

use hub_doorman::model::{RepoPattern, Verdict};
use hub_doorman::policy::{Limits, RuleSummary};
use serde::Serialize;

use super::{NamedPlace, PlacedPolicy};
use crate::exit::ExitStatus;
use crate::review::show::verdict_cell;
use crate::screen::{Cell, Look, Screen, count, grouped};

/// Shows the policy at this place, or that of `APPROVAL_POLICY`.
pub async fn run(place: Option<&str>, json: bool, screen: &mut Screen) -> Result<ExitStatus, Box<dyn Error>> {
    let placed = NamedPlace::find(place)?.read_alone().await?;
    let summary = Summary::of(&placed);
    if json {
        screen.json(&summary)?;
    } else {
        summary.show(screen)?;
    }
    Ok(ExitStatus::Complete)
}

#[derive(Serialize)]
struct Summary<'a> {
    place: &'a str,
    commit: Option<&'a str>,
    /// The fingerprint.
    policy: &'a str,
    default: Verdict,
    paused: bool,
    limits: JsonLimits,
    lists: Vec<List<'a>>,
    rules: Vec<Rule<'a>>,
}

#[derive(Serialize)]
struct JsonLimits {
    accept: Option<u64>,
    reject: Option<u64>,
}

#[derive(Serialize)]
struct List<'a> {
    name: &'a str,
    entries: Option<usize>,
    /// Why the list cannot be read.
    error: Option<&'a str>,
}

#[derive(Serialize)]
struct Rule<'a> {
    name: &'a str,
    then: Verdict,
    /// The repos that it applies to, or `None` for all.
    repos: Option<Vec<String>>,
}

impl<'a> Summary<'a> {
    fn of(PlacedPolicy { place, policy }: &'a PlacedPolicy) -> Self {
        let Limits { accept, reject } = policy.limits();
        let list = |(name, entries): (&'a str, Result<usize, &'a str>)| List {
            name,
            entries: entries.ok(),
            error: entries.err(),
        };
        let rule = |RuleSummary { name, then, repos }| {
            let names = |repos: &[RepoPattern]| repos.iter().map(ToString::to_string).collect();
            Rule { name, then, repos: repos.map(names) }
        };
        Self {
            place,
            commit: policy.commit(),
            policy: policy.fingerprint(),
            default: policy.default_verdict(),
            paused: policy.is_paused(),
            limits: JsonLimits { accept, reject },
            lists: policy.lists().map(list).collect(),
            rules: policy.rules().map(rule).collect(),
        }
    }

    /// On a terminal, rules and lists have tables of their own.
    fn show(&self, screen: &mut Screen) -> io::Result<()> {
        screen.table(&[], self.facts())?;
        let is_terminal = screen.is_terminal();
        let mut show_table = |kind: &str, header: [&str; 2], rows: Vec<Vec<Cell>>| {
            if !is_terminal {
                let with_kind = |row: Vec<Cell>| [Cell::plain(kind)].into_iter().chain(row).collect();
                return screen.table(&[], rows.into_iter().map(with_kind));
            }
            if rows.is_empty() {
                return Ok(());
            }
            screen.write_heading(&count(rows.len() as u64, kind))?;
            screen.table(&["name", header[0], header[1]], rows)
        };
        show_table("list", ["entries", ""], self.lists.iter().map(List::row).collect())?;
        show_table("rule", ["verdict", "repos"], self.rules.iter().map(Rule::row).collect())
    }

    fn facts(&self) -> Vec<Vec<Cell>> {
        let Self { place, commit, policy, default, paused, limits, lists: _, rules: _ } = self;
        let row = |name: &str, value: Cell| vec![Cell::plain(name), value];
        let mut rows = vec![row("place", Cell::plain(place))];
        rows.extend(commit.map(|commit| row("commit", Cell::plain(commit))));
        rows.push(row("policy", Cell::plain(policy)));
        rows.push(row("default", verdict_cell(*default)));
        let paused = match paused {
            true => Cell::new("yes: no decision is written", Look::Warning),
            false => Cell::plain("no"),
        };
        rows.push(row("paused", paused));
        let limits = [(limits.accept, "accept"), (limits.reject, "reject")];
        let limit = |(limit, verb): (Option<u64>, &str)| {
            limit.map(|limit| row("limit", Cell::plain(format!("{verb} {}", grouped(limit)))))
        };
        rows.extend(limits.into_iter().filter_map(limit));
        rows
    }
}

impl List<'_> {
    fn row(&self) -> Vec<Cell> {
        let value = match (self.entries, self.error) {
            (Some(entries), _) => Cell::plain(grouped(entries as u64)),
            (None, error) => Cell::new(error.unwrap_or_default(), Look::Bad),
        };
        vec![Cell::plain(self.name), value]
    }
}

impl Rule<'_> {
    fn row(&self) -> Vec<Cell> {
        let repos = self.repos.as_ref().map_or_else(|| "all".to_owned(), |repos| repos.join(", "));
        vec![Cell::plain(self.name), verdict_cell(self.then), Cell::plain(repos)]
    }
}
