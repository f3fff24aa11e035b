//! The check of the repos: their gates, their forms, and whether the token can read their requests.

use futures_util::future::join_all;
use hub_doorman::hub::{GatingMode, Hub, HubError, ListPage, RepoInfo};
use hub_doorman::model::{Name, Repo, RepoPattern, RepoType, Status};

use super::findings::{Findings, Level};
use crate::environment::deadline;
use crate::screen::{count, grouped};

/// The advice for a repo with the wrong gate.
const MAKE_MANUAL: &str = "set its access requests to manual approval in its settings";

/// Checks each of the repos, and gives those that the Hub knows, in the Hub's spelling.
pub async fn check(hub: &Hub, patterns: &[RepoPattern], findings: &mut Findings) -> Vec<(Repo, RepoInfo)> {
    let mut repos = Vec::new();
    for pattern in patterns {
        match pattern {
            RepoPattern::One(repo) => repos.push(repo.clone()),
            RepoPattern::Namespace { owner, only, .. } => {
                repos.extend(search(hub, owner, *only, pattern, findings).await);
            }
        }
    }
    repos.sort();
    repos.dedup();
    let account = hub.account(deadline());
    let reads = repos.iter().map(|repo| async {
        let calls = hub.repo(repo, deadline());
        (account.repo_info(repo).await, calls.list(Status::Pending, None, None).await)
    });
    let reads = join_all(reads).await;
    let mut known = Vec::new();
    for (repo, (info, pending)) in repos.into_iter().zip(reads) {
        match info {
            Ok(info) => known.push((check_one(repo, &info, pending, patterns, findings), info)),
            Err(error) => findings.add(Level::Failed, repo.to_string(), error.to_string()),
        }
    }
    known
}

/// Checks a repo, and gives its name in the Hub's spelling.
fn check_one(
    repo: Repo,
    info: &RepoInfo,
    pending: Result<ListPage, HubError>,
    patterns: &[RepoPattern],
    findings: &mut Findings,
) -> Repo {
    let spelled = Repo::new(repo.repo_type(), &info.name).ok().filter(|spelled| *spelled == repo);
    let (repo, level, text) = match spelled {
        None => (repo, Level::Failed, format!("the Hub calls it `{}` now; use that name", info.name)),
        Some(repo) => {
            let is_named = patterns.contains(&RepoPattern::One(repo.clone()));
            let (level, text) = check_gate(&repo, info.gating, is_named, pending);
            (repo, level, text)
        }
    };
    findings.add(level, repo.to_string(), text);
    for unread in &info.form.unread {
        findings.add(Level::Warning, repo.to_string(), format!("{unread}, so no rule is checked against it"));
    }
    repo
}

/// Checks the gate of a repo. An automatic gate fails a repo that is named. It is a warning for a repo of a pattern such as
/// `acme/*`, because the pattern does not say that each repo of the namespace has requests to decide.
fn check_gate(
    repo: &Repo,
    gating: GatingMode,
    is_named: bool,
    pending: Result<ListPage, HubError>,
) -> (Level, String) {
    match (gating, pending) {
        (GatingMode::Off, _) => (Level::Failed, format!("not gated: everybody has access; {MAKE_MANUAL}")),
        (GatingMode::Auto, _) if is_named => {
            (Level::Failed, format!("gated, but the Hub accepts every request; {MAKE_MANUAL}"))
        }
        (GatingMode::Auto, _) => {
            let text = format!(
                "gated, but the Hub accepts every request; leave it out with `!{repo}` in REPOS, or {MAKE_MANUAL}"
            );
            (Level::Warning, text)
        }
        (GatingMode::Other, _) => (Level::Failed, "gated in a way that is not documented".to_owned()),
        (_, Err(error)) => (Level::Failed, error.to_string()),
        (_, Ok(ListPage { people, next, may_go_on })) => {
            let listed = people.len() as u64;
            let requests = if next.is_some() || may_go_on {
                format!("{} or more pending requests", grouped(listed))
            } else {
                count(listed, "pending request")
            };
            (Level::Passed, format!("gated, with manual approval; {requests}"))
        }
    }
}

/// Searches for the gated repos of a namespace.
async fn search(
    hub: &Hub,
    owner: &Name,
    only: Option<RepoType>,
    pattern: &RepoPattern,
    findings: &mut Findings,
) -> Vec<Repo> {
    let types = only.map_or(vec![RepoType::Model, RepoType::Dataset], |only| vec![only]);
    let listing = async |one: &RepoType| hub.gated_repos(owner, *one, deadline(), &mut |_| true).await;
    let listings = join_all(types.iter().map(listing)).await;
    let errors = listings.iter().filter_map(|listing| listing.error.as_ref());
    errors.for_each(|error| findings.add(Level::Failed, pattern.to_string(), error.to_string()));
    let has_failed = listings.iter().any(|listing| listing.error.is_some());
    let repos = listings.into_iter().flat_map(|listing| listing.repos);
    let repos: Vec<Repo> = repos.filter(|repo| pattern.covers(repo)).collect();
    if repos.is_empty() && !has_failed {
        let text = "no gated repo found; is it misspelt, or hidden from HF_TOKEN?";
        findings.add(Level::Failed, pattern.to_string(), text);
    }
    repos
}
