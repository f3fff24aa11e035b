//! Decided requests: the accepted, rejected and reset people of a repo, and a new decision about one of them.

use std::time::Duration;

use chrono::{DateTime, Utc};
use hub_doorman::http::retry::MAX_ATTEMPTS;
use hub_doorman::hub::{Hub, HubError, LIST_LAG, RepoCalls, StatusChange, WriteResult};
use hub_doorman::model::{AccessRequest, Decision, Repo, Status};
use hub_doorman::plan::{Choice, Progress, RequestKey};
use tokio::time::{Instant, sleep_until};

use crate::list::read_list;
use crate::pending::{ChoiceOutcome, cause};
use crate::users;

/// How long a page waits for the Hub's list.
const MAX_WAIT: Duration = Duration::from_secs(20);

/// A longer `Retry-After` is shortened to this, so that adding it to a time cannot overflow.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

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

/// Gives a decided request another status, if the Hub still lists the same request with the same data. The list is read again before
/// each attempt, so no attempt overrules another person. Between two attempts the choice may be withdrawn.
pub async fn change(
    hub: &Hub,
    decided: &DecidedRequest,
    choice: &Choice,
    deadline: Instant,
) -> ChoiceOutcome {
    let calls = hub.repo(&decided.repo, deadline);
    let mut attempts = 0;
    let error = loop {
        let error = match try_change(hub, &calls, decided, choice).await {
            Ok(outcome) => return outcome.after(choice.progress()),
            Err(error) => error,
        };
        attempts += 1;
        let now = Instant::now();
        let next = [error.retry_after(), hub.writes_from().map(|from| from.saturating_duration_since(now))];
        let next = now + next.into_iter().flatten().fold(LIST_LAG, Duration::max).min(MAX_RETRY_AFTER);
        let is_worth_it = error.leaves_in_doubt() || error.is_put_off();
        if !is_worth_it || attempts == MAX_ATTEMPTS || next >= deadline {
            break error;
        }
        sleep_until(next).await;
    };
    match choice.progress() {
        Progress::InDoubt => ChoiceOutcome::Unknown,
        progress => ChoiceOutcome::Failed(cause(&error.into())).after(progress),
    }
}

async fn try_change(
    hub: &Hub,
    calls: &RepoCalls<'_>,
    DecidedRequest { repo, key, status, request, .. }: &DecidedRequest,
    choice: &Choice,
) -> Result<ChoiceOutcome, HubError> {
    // A list can be searched by name only.
    let (entries, _) = read_list(calls, *status, request.user.name.as_deref()).await?;
    let listed = entries.iter().find(|entry| RequestKey::new(repo, &entry.request) == *key);
    let Some(identity) = listed.and_then(|entry| entry.request.identity()) else {
        return Ok(ChoiceOutcome::Changed);
    };
    let Decision { verdict, reason, .. } = &choice.decision;
    let change = StatusChange { status: verdict.status(), reason: reason.clone() };
    if !choice.begin_call() {
        return Ok(ChoiceOutcome::Withdrawn);
    }
    let result = calls.handle(&identity, &change, Some(hub.now())).await;
    if !matches!(result, Ok(WriteResult::Done)) {
        choice.end_call(result.as_ref().is_err_and(HubError::leaves_in_doubt));
    }
    Ok(match result? {
        WriteResult::Done => ChoiceOutcome::Done,
        WriteResult::NoSuchRequest | WriteResult::NoSuchUser => ChoiceOutcome::Changed,
        WriteResult::Failed(why) => ChoiceOutcome::Failed(format!("the Hub refused: {why}")),
    })
}
