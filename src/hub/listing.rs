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

/// Reads `GET /api/models?author=…&gated=true`, or the same of datasets, page by page.
pub(super) async fn read(calls: &Calls<'_>, owner: &Name, repo_type: RepoType) -> Listing {
    let mut listing = Listing::default();
    if let Err(error) = read_pages(calls, owner, repo_type, &mut listing).await {
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
        if !visited.insert(url.clone()) {
            return Err(unreadable("its pages go in a circle".to_owned()));
        }
        let page = calls.page(&url, wire::repos).await?;
        for name in page.content {
            match Repo::new(repo_type, &name) {
                Ok(repo) if repo.is_owned_by(owner) => listing.repos.push(repo),
                // Never reviewed: whoever names `acme/*` has said nothing about the repos of others.
                _ => {
                    let name = shown(&name, Some(&calls.hub.keyring.token()));
                    let what = match &*name {
                        "" => "it lists a repo without a name".to_owned(),
                        name => format!("it lists `{name}` as a repo of `{owner}`"),
                    };
                    listing.error.get_or_insert_with(|| unreadable(what));
                }
            }
        }
        next = page.next;
    }
    Ok(())
}
