//! Gating groups: collections whose repos share one gate, in [Team and Enterprise
//! plans](https://huggingface.co/docs/hub/enterprise-gating-group-collections).

use std::collections::BTreeSet;

use futures_util::future::join_all;
use serde_json::Value;

use super::super::{HubError, Problem, wire};
use super::{Account, Notifications};
use crate::model::{Repo, RepoType};
use crate::secrets::{Secret, redact};

/// The most pages of the collections of a repo that are read.
const MAX_PAGES: usize = 10;

/// A collection whose repos share one gate. A user who is accepted in one repo has access to all of them, and to those that are
/// added later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatingGroup {
    /// The Hub's name of the collection: `acme/title-id`.
    pub slug: String,
    /// Its models and datasets.
    pub repos: BTreeSet<Repo>,
    /// How its mails about requests are sent, if the Hub says so.
    pub notifications: Option<Notifications>,
}

/// The groups that were found, and an error if the search is incomplete.
#[derive(Debug, Default)]
pub struct GroupSearchResult {
    /// Each group is listed once.
    pub groups: Vec<GatingGroup>,
    /// Why some groups, or some of their repos, may be missing.
    pub error: Option<HubError>,
}

impl Account<'_> {
    /// Finds the gating groups of these repos. For each repo it reads up to ten pages of `GET /api/collections?item=…`, because
    /// any user may put the repo into a collection. That call lists at most four items of a collection (the Hub's
    /// documentation). So each group is then read as a whole with `GET /api/collections/{slug}`.
    pub async fn gating_groups(&self, repos: &[Repo]) -> GroupSearchResult {
        let found = join_all(repos.iter().map(|repo| self.groups_of(repo))).await;
        let mut result = GroupSearchResult::default();
        for GroupSearchResult { groups, error } in found {
            for group in groups {
                match result.groups.iter_mut().find(|known| known.slug == group.slug) {
                    Some(known) => known.repos.extend(group.repos),
                    None => result.groups.push(group),
                }
            }
            result.error = result.error.or(error);
        }
        let wholes = join_all(result.groups.iter().map(|group| self.read_whole(group))).await;
        for (group, whole) in result.groups.iter_mut().zip(wholes) {
            match whole {
                Ok((repos, notifications)) => {
                    group.repos.extend(repos);
                    group.notifications = notifications.or(group.notifications.take());
                }
                Err(error) => result.error = Some(error),
            }
        }
        result
    }

    async fn groups_of(&self, repo: &Repo) -> GroupSearchResult {
        let mut result = GroupSearchResult::default();
        result.error = self.read_groups_of(repo, &mut result.groups).await.err();
        result
    }

    async fn read_groups_of(&self, repo: &Repo, groups: &mut Vec<GatingGroup>) -> Result<(), HubError> {
        let Self(calls) = self;
        let secrets = calls.hub.keyring.secrets();
        let path = format!("/api/collections?item={}s/{}", repo.repo_type().as_str(), repo.name());
        let mut next = Some(calls.url(&path)?);
        for _ in 0..MAX_PAGES {
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
        let unread = format!(
            "{repo} is in so many collections that only the first {MAX_PAGES} pages of them were read"
        );
        next.map_or(Ok(()), |url| {
            Err(HubError::new(&format!("GET {}", url.path()), Problem::Unreadable(unread)))
        })
    }

    async fn read_whole(
        &self,
        group: &GatingGroup,
    ) -> Result<(BTreeSet<Repo>, Option<Notifications>), HubError> {
        let notifications = |value: &Value| Notifications::read(&value["gating"]["notifications"]);
        let path = format!("/api/collections/{}", group.slug);
        self.get(&path, |value| Ok((read_repos(value), notifications(value)))).await
    }
}

/// Whether a collection has a gate. It has none if `gating` is missing, null or false. The meaning of all other values is not
/// known, so each of them counts as a gate.
fn is_gated(collection: &Value) -> bool {
    !matches!(collection["gating"], Value::Null | Value::Bool(false))
}

fn read_group(group: &Value, repo: &Repo, secrets: &[Secret]) -> Result<GatingGroup, String> {
    let slug = group["slug"].as_str().unwrap_or_default();
    // A slug has the form of a repo's name, but may be longer and may contain `--`.
    let is_part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    match slug.split('/').collect::<Vec<_>>().as_slice() {
        [owner, name] if is_part(owner) && is_part(name) && redact(slug, secrets) == slug => {
            let repos = read_repos(group).into_iter().chain([repo.clone()]).collect();
            let notifications = Notifications::read(&group["gating"]["notifications"]);
            Ok(GatingGroup { slug: slug.to_owned(), repos, notifications })
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
