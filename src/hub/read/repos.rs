//! The search for the gated repos of an owner.

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::call::Calls;
use super::super::wire::{self, parse, parse_object};
use super::super::{HubError, MAX_PAGE, Problem};
use crate::model::{Name, Repo, RepoType};
use crate::secrets::redact;

/// The result of a search. If the search failed, it has the repos that were found before the error.
#[derive(Debug, Default)]
pub struct RepoSearchResult {
    /// The repos that were found.
    pub repos: Vec<Repo>,
    /// The number of HTTP calls made, counting every attempt.
    pub calls: u32,
    /// Why some repos may be missing.
    pub error: Option<HubError>,
}

/// The most repos that a search finds. An owner with more repos has to name them in `REPOS`.
const MAX_REPOS: usize = 20_000;

/// The most pages that a search reads.
const MAX_PAGES: usize = 200;

/// Reads `GET /api/models?author=…&gated=true`, or the same for datasets, page by page. `found` gets the repos of each page.
pub(super) async fn search(
    calls: &Calls<'_>,
    owner: &Name,
    repo_type: RepoType,
    found: &mut (dyn FnMut(&[Repo]) -> bool + Send),
) -> RepoSearchResult {
    let mut result = RepoSearchResult::default();
    if let Err(error) = read_pages(calls, owner, repo_type, &mut result, found).await {
        result.error = Some(error);
    }
    result.calls = calls.count();
    result
}

async fn read_pages(
    calls: &Calls<'_>,
    owner: &Name,
    repo_type: RepoType,
    result: &mut RepoSearchResult,
    found: &mut (dyn FnMut(&[Repo]) -> bool + Send),
) -> Result<(), HubError> {
    let path = format!("/api/{}s", repo_type.as_str());
    let call = format!("GET {path}");
    let unreadable = |fault: String| HubError::new(&call, Problem::Unreadable(fault));
    // One permit for the whole search. With one for each page, the search would wait behind all reviews before each page.
    let _permit = calls.acquire_page_permit(&call).await?;
    let mut visited = HashSet::new();
    let mut next = Some(calls.url(&format!("{path}?author={owner}&gated=true&limit={MAX_PAGE}"))?);
    while let Some(url) = next {
        if visited.len() == MAX_PAGES || result.repos.len() >= MAX_REPOS {
            return Err(unreadable(format!(
                "`{owner}` has more than {} gated repos on {} pages; name the repos in REPOS instead of `{owner}/*`",
                result.repos.len(),
                visited.len()
            )));
        }
        if !visited.insert(url.clone()) {
            return Err(unreadable("its pages go in a circle".to_owned()));
        }
        let before = result.repos.len();
        let page = calls.page(&url, |body| read_names(body).map_err(Problem::Unreadable)).await?;
        for name in page.content {
            match Repo::new(repo_type, &name) {
                Ok(repo) if repo.is_owned_by(owner) => result.repos.push(repo),
                // `acme/*` does not cover the repos of other owners, so this repo is not reviewed.
                _ => {
                    let fault = match &*redact(&name, &calls.hub.keyring.secrets()) {
                        "" => "it lists a repo without a name".to_owned(),
                        name => format!("it lists `{name}` as a repo of `{owner}`"),
                    };
                    result.error.get_or_insert_with(|| unreadable(fault));
                }
            }
        }
        if !found(&result.repos[before..]) {
            result.repos.truncate(before);
            return Err(unreadable(
                "the searches of this sweep have found more repos than one sweep may review; name the repos in REPOS".to_owned(),
            ));
        }
        next = page.next;
    }
    Ok(())
}

/// Reads the names of the gated repos of a page. A name that cannot be read is empty.
fn read_names(body: &[u8]) -> Result<Vec<String>, String> {
    #[derive(Default, Deserialize)]
    struct ListedRepo<'a> {
        #[serde(borrow)]
        id: Option<&'a RawValue>,
        gated: Option<&'a RawValue>,
    }
    let listed =
        wire::entries(body)?.into_iter().map(|repo| parse_object::<ListedRepo>(repo).unwrap_or_default());
    // A Hub that does not know the filter `gated` also lists repos that are not gated.
    let gated = listed.filter(|repo| repo.gated.is_none_or(|gated| gated.get() != "false"));
    Ok(gated.map(|repo| repo.id.and_then(parse).unwrap_or_default()).collect())
}
