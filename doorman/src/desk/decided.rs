//! Decided requests: the accepted, rejected and reset people of a repo, and a new decision about one of them.

use std::time::Duration;

use chrono::{DateTime, Utc};
use hub_doorman::hub::{Hub, HubError, RepoCalls, StatusChange, WriteResult};
use hub_doorman::model::{AccessRequest, Repo, Status};
use hub_doorman::plan::RequestKey;
use tokio::time::Instant;

use crate::list::read_list;
use crate::pending::ChoiceOutcome;
use crate::users;

/// How long a page waits for the Hub's list.
const MAX_WAIT: Duration = Duration::from_secs(20);

/// A request that was decided before.
pub struct DecidedRequest {
    pub repo: Repo,
    pub key: RequestKey,
    pub status: Status,
    pub request: AccessRequest,
    pub reviewed_at: Option<DateTime<Utc>>,
    pub granted_by: Option<String>,
}

impl DecidedRequest {
    pub fn name(&self) -> String {
        self.request.who().as_ref().map_or_else(|| "somebody".to_owned(), users::name)
    }
}

/// Reads the first page of a list, the last decision first. The second value is whether more requests may follow.
pub async fn read(
    hub: &Hub,
    repo: &Repo,
    status: Status,
    search: Option<&str>,
) -> Result<(Vec<DecidedRequest>, bool), HubError> {
    let calls = hub.repo(repo, Instant::now() + MAX_WAIT);
    let page = calls.list(status, search, None).await?;
    let has_more = page.next.is_some() || page.may_go_on;
    let mut decided: Vec<DecidedRequest> = page
        .people
        .into_iter()
        .map(|entry| DecidedRequest {
            repo: repo.clone(),
            key: RequestKey::new(repo, &entry.request),
            status,
            request: entry.request,
            reviewed_at: entry.reviewed_at,
            granted_by: entry.granted_by,
        })
        .collect();
    decided.sort_by_key(|request| std::cmp::Reverse(request.reviewed_at));
    Ok((decided, has_more))
}

/// Gives a decided request another status, if the Hub still lists the same request with the same data.
pub async fn change(calls: &RepoCalls<'_>, decided: &DecidedRequest, change: &StatusChange) -> ChoiceOutcome {
    match try_change(calls, decided, change).await {
        Ok(outcome) => outcome,
        Err(error) if error.may_be_done => ChoiceOutcome::Unknown,
        Err(error) => ChoiceOutcome::Failed(error.to_string()),
    }
}

async fn try_change(
    calls: &RepoCalls<'_>,
    DecidedRequest { repo, key, status, request, .. }: &DecidedRequest,
    change: &StatusChange,
) -> Result<ChoiceOutcome, HubError> {
    // A list can be searched by name only.
    let (entries, _) = read_list(calls, *status, request.user.name.as_deref()).await?;
    let listed = entries.iter().find(|entry| RequestKey::new(repo, &entry.request) == *key);
    let Some(identity) = listed.and_then(|entry| entry.request.identity()) else {
        return Ok(ChoiceOutcome::Changed);
    };
    Ok(match calls.handle(&identity, change, None).await? {
        WriteResult::Done => ChoiceOutcome::Done,
        WriteResult::NoSuchRequest | WriteResult::NoSuchUser => ChoiceOutcome::Changed,
        WriteResult::Failed(why) => ChoiceOutcome::Failed(format!("the Hub refused: {why}")),
    })
}
