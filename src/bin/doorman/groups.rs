//! Warnings about gating groups, which an owner should read before a policy accepts anybody.

use std::time::Duration;

use hub_doorman::hub::{GatingGroup, Hub};
use hub_doorman::model::{Repo, RepoPattern};
use tokio::time::Instant;

use crate::screen::{complain, grouped};

/// How long `plan` looks for groups. It is short because a plan is about requests; `check` has more time.
const LONGEST_SEARCH: Duration = Duration::from_secs(3);

/// The most repos whose groups `plan` looks for. Each takes a call.
const MOST_REPOS: usize = 20;

/// Warns of the gating groups of the first [`MOST_REPOS`] of these repos.
pub async fn warn(hub: &Hub, reviewed: &[Repo], patterns: &[RepoPattern]) {
    let first = reviewed.get(..MOST_REPOS).unwrap_or(reviewed);
    let listing = hub.account(Instant::now() + LONGEST_SEARCH).gating_groups(first).await;
    for group in &listing.groups {
        complain(&format!("doorman: gating group {}: {}", group.slug, warning(group, reviewed, patterns)));
    }
    if let Some(error) = listing.error {
        complain(&format!(
            "doorman: not all gating groups could be read, so accepting somebody may open more repos: {error}"
        ));
    } else if first.len() < reviewed.len() {
        complain(&format!(
            "doorman: looked for gating groups of the first {MOST_REPOS} of {} repos; `doorman check` looks at all",
            grouped(reviewed.len() as u64)
        ));
    }
}

/// Which other repos somebody can read who is accepted in one of the `reviewed` repos of this group. `patterns` names the repos
/// that the doorman looks after.
pub fn warning(group: &GatingGroup, reviewed: &[Repo], patterns: &[RepoPattern]) -> String {
    let (ours, others): (Vec<&Repo>, Vec<&Repo>) =
        group.repos.iter().partition(|repo| reviewed.contains(repo));
    let is_foreign = |repo: &&&Repo| !patterns.iter().any(|pattern| pattern.covers(repo));
    let foreign: Vec<&Repo> = others.iter().filter(is_foreign).copied().collect();
    let text = match (&*ours, &*others) {
        ([one], []) => {
            format!("accepting somebody in {one} also opens every repo that joins the group later")
        }
        ([one], others) => {
            format!(
                "accepting somebody in {one} also opens {} and every repo that joins the group later",
                names(others)
            )
        }
        (_, _) => format!(
            "accepting somebody in one of {} opens all of them, and every repo that joins the group later",
            names(&group.repos.iter().collect::<Vec<_>>())
        ),
    };
    let text = format!("{text}; the most lenient of them decides, so use the same rules for all");
    match &*foreign {
        [] => text,
        foreign => format!(
            "{text}. The doorman does not look after {}: whoever is accepted there is accepted here too",
            names(foreign)
        ),
    }
}

fn names(repos: &[&Repo]) -> String {
    repos.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
