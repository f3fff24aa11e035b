//! Gating groups: collections whose repos share one gate, in [Team and Enterprise
//! plans](https://huggingface.co/docs/hub/enterprise-gating-group-collections).

use std::collections::BTreeSet;

use futures_util::future::join_all;
use serde_json::Value;

use super::{Account, HubError, Problem, wire};
use crate::model::{Repo, RepoType};
use crate::secret::{Secret, shown};

/// The most pages of the collections of a repo that are read.
const MOST_PAGES: usize = 10;

/// A collection whose repos share one gate. A user who is accepted in one of them has access to all, and to those that are added
/// later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatingGroup {
    /// The Hub's name of the collection: `acme/title-id`.
    pub slug: String,
    /// Its models and datasets.
    pub repos: BTreeSet<Repo>,
}

/// The groups that were found, and the last error on the way.
#[derive(Debug, Default)]
pub struct GroupListing {
    /// Each group is listed once.
    pub groups: Vec<GatingGroup>,
    /// Why some groups, or some of their repos, may be missing.
    pub error: Option<HubError>,
}

impl Account<'_> {
    /// Finds the gating groups of these repos. It calls `GET /api/collections?item=…` for each repo and reads up to
    /// ten pages, because anybody may put the repo into a collection. As the Hub documents, that call lists at most four items of a collection. So each group is read as a whole with
    /// `GET /api/collections/{slug}`.
    pub async fn gating_groups(&self, repos: &[Repo]) -> GroupListing {
        let found = join_all(repos.iter().map(|repo| self.groups_of(repo))).await;
        let mut listing = GroupListing::default();
        for GroupListing { groups, error } in found {
            for group in groups {
                match listing.groups.iter_mut().find(|known| known.slug == group.slug) {
                    Some(known) => known.repos.extend(group.repos),
                    None => listing.groups.push(group),
                }
            }
            listing.error = listing.error.or(error);
        }
        let whole = join_all(listing.groups.iter().map(|group| self.repos_of(group))).await;
        for (group, whole) in listing.groups.iter_mut().zip(whole) {
            match whole {
                Ok(repos) => group.repos.extend(repos),
                Err(error) => listing.error = Some(error),
            }
        }
        listing
    }

    async fn groups_of(&self, repo: &Repo) -> GroupListing {
        let mut listing = GroupListing::default();
        listing.error = self.read_groups_of(repo, &mut listing.groups).await.err();
        listing
    }

    async fn read_groups_of(&self, repo: &Repo, groups: &mut Vec<GatingGroup>) -> Result<(), HubError> {
        let Self(calls) = self;
        let secrets = calls.hub.keyring.secrets();
        let path = format!("/api/collections?item={}s/{}", repo.repo_type().as_str(), repo.name());
        let mut next = Some(calls.url(&path)?);
        for _ in 0..MOST_PAGES {
            let Some(url) = next else { return Ok(()) };
            let page = calls
                .page(&url, |body| {
                    let collections: Vec<Value> = serde_json::from_slice(body)
                        .map_err(|error| Problem::Unreadable(wire::describe(&error)))?;
                    let gated = collections.iter().filter(|collection| is_gated(collection));
                    let groups = gated.map(|group| read_group(group, repo, &secrets));
                    groups.collect::<Result<Vec<_>, _>>().map_err(Problem::Unreadable)
                })
                .await?;
            groups.extend(page.content);
            next = page.next;
        }
        let unread =
            format!("{repo} is in so many collections that only {MOST_PAGES} pages of them were read");
        next.map_or(Ok(()), |url| {
            Err(HubError::new(&format!("GET {}", url.path()), Problem::Unreadable(unread)))
        })
    }

    async fn repos_of(&self, group: &GatingGroup) -> Result<BTreeSet<Repo>, HubError> {
        self.get(&format!("/api/collections/{}", group.slug), |value| Ok(read_repos(value))).await
    }
}

/// A collection has a gate unless `gating` is missing, null or false. It is not known what all
/// other values mean, so each of them counts as a gate.
fn is_gated(collection: &Value) -> bool {
    !matches!(collection["gating"], Value::Null | Value::Bool(false))
}

fn read_group(group: &Value, repo: &Repo, secrets: &[Secret]) -> Result<GatingGroup, String> {
    let slug = group["slug"].as_str().unwrap_or_default();
    // A slug is written like the name of a repo, but may be longer and have `--` in it.
    let is_part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    match slug.split('/').collect::<Vec<_>>().as_slice() {
        [owner, name] if is_part(owner) && is_part(name) && shown(slug, secrets) == slug => {
            let repos = read_repos(group).into_iter().chain([repo.clone()]).collect();
            Ok(GatingGroup { slug: slug.to_owned(), repos })
        }
        _ => Err("it lists a gating group without a slug such as `acme/title-id`".to_owned()),
    }
}

fn read_repos(collection: &Value) -> BTreeSet<Repo> {
    let items = collection["items"].as_array().into_iter().flatten();
    let repos = items.filter_map(|item| {
        let repo_type = match item["type"].as_str()? {
            "model" => RepoType::Model,
            "dataset" => RepoType::Dataset,
            _ => return None,
        };
        Repo::new(repo_type, item["id"].as_str()?).ok()
    });
    repos.collect()
}
