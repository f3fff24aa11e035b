//! Which repos of a namespace are gated.

use std::collections::HashSet;

use super::calls::Calls;
use super::{HubError, PAGE, Problem, wire};
use crate::model::{Name, Repo, RepoType};
use crate::secret::shown;

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

/// The most repos that a search finds, and the most pages that it reads. Whoever has more names them.
const MOST_REPOS: usize = 20_000;
const MOST_PAGES: usize = 200;

/// Reads `GET /api/models?author=…&gated=true`, or the same of datasets, page by page. `found` gets the repos of each page.
pub(super) async fn read(
    calls: &Calls<'_>,
    owner: &Name,
    repo_type: RepoType,
    found: &mut (dyn FnMut(&[Repo]) -> bool + Send),
) -> Listing {
    let mut listing = Listing::default();
    if let Err(error) = read_pages(calls, owner, repo_type, &mut listing, found).await {
        listing.error = Some(error);
    }
    listing.calls = calls.count();
    listing
}

async fn read_pages(
    calls: &Calls<'_>,
    owner: &Name,
    repo_type: RepoType,
    listing: &mut Listing,
    found: &mut (dyn FnMut(&[Repo]) -> bool + Send),
) -> Result<(), HubError> {
    let path = format!("/api/{}s", repo_type.as_str());
    let call = format!("GET {path}");
    let unreadable = |what: String| HubError::new(&call, Problem::Unreadable(what));
    // It stands in line like those who read access requests: whatever else was left undone goes before it. It does so once,
    // or it would never get to its second page where there are more who wait than calls.
    let _turn = calls.turn(&call).await?;
    let mut visited = HashSet::new();
    let mut next = Some(calls.url(&format!("{path}?author={owner}&gated=true&limit={PAGE}"))?);
    while let Some(url) = next {
        if visited.len() == MOST_PAGES || listing.repos.len() >= MOST_REPOS {
            return Err(unreadable(format!(
                "`{owner}` has more than {} gated repos on {} pages; name the repos in REPOS instead of `{owner}/*`",
                listing.repos.len(),
                visited.len()
            )));
        }
        if !visited.insert(url.clone()) {
            return Err(unreadable("its pages go in a circle".to_owned()));
        }
        let before = listing.repos.len();
        let page = calls.page(&url, |body| wire::repos(body).map_err(Problem::Unreadable)).await?;
        for name in page.content {
            match Repo::new(repo_type, &name) {
                Ok(repo) if repo.is_owned_by(owner) => listing.repos.push(repo),
                // Never reviewed: whoever names `acme/*` has said nothing about the repos of others.
                _ => {
                    let name = shown(&name, &calls.hub.keyring.secrets());
                    let what = match &*name {
                        "" => "it lists a repo without a name".to_owned(),
                        name => format!("it lists `{name}` as a repo of `{owner}`"),
                    };
                    listing.error.get_or_insert_with(|| unreadable(what));
                }
            }
        }
        if !found(&listing.repos[before..]) {
            listing.repos.truncate(before);
            return Err(unreadable(
                "the searches of this sweep have found more repos than one sweep may review; name the repos in REPOS".to_owned(),
            ));
        }
        next = page.next;
    }
    Ok(())
}
