//! Warnings about gating groups. In a gating group, access to one repo is access to all of them, so an owner should know the group
//! before a policy accepts requests.

use std::time::Duration;

use hub_doorman::hub::{GatingGroup, Hub};
use hub_doorman::model::{Repo, RepoPattern};
use tokio::time::Instant;

use crate::screen::{grouped, print_message};

/// How long `plan` searches for groups. It is short because a plan is about requests; `check` has more time.
const MAX_SEARCH: Duration = Duration::from_secs(3);

/// The most repos whose groups `plan` searches for. Each takes a call.
const MAX_REPOS: usize = 20;

/// The warning for the case that the Hub does not return all groups.
const UNREAD: &str = "not all gating groups could be read, so accepting a request may open more repos";

/// Prints a warning for each gating group of the first [`MAX_REPOS`] of these repos.
pub async fn warn(hub: &Hub, reviewed: &[Repo], patterns: &[RepoPattern]) {
    let first = reviewed.get(..MAX_REPOS).unwrap_or(reviewed);
    let listing = hub.account(Instant::now() + MAX_SEARCH).gating_groups(first).await;
    for group in &listing.groups {
        let warning = warning(group, reviewed, patterns);
        print_message(&format!("doorman: gating group {}: {warning}", group.slug));
    }
    if let Some(error) = listing.error {
        print_message(&format!("doorman: {UNREAD}: {error}"));
    } else if first.len() < reviewed.len() {
        print_message(&format!(
            "doorman: searched for gating groups of the first {MAX_REPOS} of {} repos; `doorman check` searches for all",
            grouped(reviewed.len() as u64)
        ));
    }
}

/// Names the other repos that a user can read after a request for one of the `reviewed` repos of this group is accepted.
/// `patterns` are the repos that the doorman covers.
pub fn warning(group: &GatingGroup, reviewed: &[Repo], patterns: &[RepoPattern]) -> String {
    let (ours, others): (Vec<&Repo>, Vec<&Repo>) =
        group.repos.iter().partition(|repo| reviewed.contains(repo));
    let is_covered = |repo: &Repo| patterns.iter().any(|pattern| pattern.covers(repo));
    let uncovered: Vec<&Repo> = others.iter().filter(|repo| !is_covered(repo)).copied().collect();
    let opened = match (&*ours, &*others) {
        ([one], []) => {
            format!("accepting a request for {one} also opens every repo that joins the group later")
        }
        ([one], others) => {
            let others = names(others);
            format!(
                "accepting a request for {one} also opens {others} and every repo that joins the group later"
            )
        }
        (_, _) => {
            let all = names(&group.repos.iter().collect::<Vec<_>>());
            format!(
                "accepting a request for one of {all} opens all of them, and every repo that joins the group later"
            )
        }
    };
    let text = format!("{opened}; the most lenient rules decide, so use the same rules for all");
    match &*uncovered {
        [] => text,
        uncovered => {
            format!(
                "{text}. REPOS does not cover {}: accepting a request there opens these repos too",
                names(uncovered)
            )
        }
    }
}

fn names(repos: &[&Repo]) -> String {
    repos.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
