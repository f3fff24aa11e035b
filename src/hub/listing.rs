//! Which repos of a namespace are gated.

use std::collections::HashSet;

use super::calls::Calls;
use super::{HubError, PAGE, Problem, error, wire};
use crate::model::{Repo, RepoType};

/// What was found, and what went wrong meanwhile: half a list is better than none.
#[derive(Debug, Default)]
pub struct Listing {
    /// The repos that were found.
    pub repos: Vec<Repo>,
    /// HTTP requests made to the Hub.
    pub calls: u32,
    /// Why some may be missing.
    pub error: Option<HubError>,
}

/// Reads `GET /api/models?author=…&gated=true`, or the same of datasets, page by page.
pub(super) async fn read(calls: &Calls<'_>, owner: &str, repo_type: RepoType) -> Listing {
    let path = format!("/api/{}s", repo_type.as_str());
    let wrong = |what: String| HubError::new(&format!("GET {path}"), Problem::Unreadable(what));
    let mut listing = Listing::default();
    let mut visited = HashSet::new();
    let mut next = calls.url(&format!("{path}?author={owner}&gated=true&limit={PAGE}")).map(Some);
    while let Ok(Some(url)) = next {
        if !visited.insert(url.clone()) {
            next = Err(wrong("its pages go in a circle".to_owned()));
            break;
        }
        next = calls.page(&url, wire::repos).await.map(|(names, next)| {
            for name in names {
                match Repo::new(repo_type, &name) {
                    Ok(repo) if repo.owner() == Some(owner) => listing.repos.push(repo),
                    // Never reviewed: whoever names `acme/*` has said nothing about the repos of others.
                    _ => {
                        let name = error::shown(&name, None);
                        let what = format!("it lists `{name}` as a repo of `{owner}`; case matters");
                        listing.error.get_or_insert_with(|| wrong(what));
                    }
                }
            }
            next
        });
    }
    listing.error = next.err().or(listing.error);
    listing.calls = calls.count();
    listing
}
