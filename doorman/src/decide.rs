//! `accept`, `reject`, `cancel`, `reset`, `grant` and `revoke`: decisions of a person about one or many users.

use std::error::Error;
use std::io::Write;
use std::mem::discriminant;
use std::slice;

use futures_util::future::{join_all, try_join_all};
use hub_doorman::hub::{BatchWriter, HubError, MAX_BATCH, RepoCalls, StatusChange, WriteResult};
use hub_doorman::model::{AccessRequest, Identity, Status};

use crate::arguments::{Users, UsersAndReason};
use crate::environment::{deadline, hub, is_dry_run};
use crate::exit::{ExitStatus, UsageError};
use crate::list::read_list;
use crate::screen::{Cell, Look, Screen, print_message};
use crate::users;

/// The most users that are searched for one by one. For more users the whole list is read.
const MAX_SEARCHES: usize = 10;

/// The change that a command makes for its users.
pub enum Action {
    /// Give their requests another status.
    Decide(StatusChange),
    /// Give their requests another status, except those that are rejected already.
    Revoke(StatusChange),
    /// Give them access without a request.
    Grant,
}

impl Action {
    pub fn decide(status: Status, reason: Option<String>) -> Self {
        Self::Decide(StatusChange { status, reason: reason.map(Into::into) })
    }

    pub fn revoke(reason: Option<String>) -> Self {
        Self::Revoke(StatusChange { status: Status::Reset, reason: reason.map(Into::into) })
    }

    /// The status that the users have afterwards.
    fn status(&self) -> Status {
        match self {
            Self::Grant => Status::Accepted,
            Self::Decide(StatusChange { status, .. }) | Self::Revoke(StatusChange { status, .. }) => *status,
        }
    }
}

/// The outcome for one user.
#[derive(Debug)]
enum UserOutcome {
    Done,
    /// The user had this status before.
    AlreadyDone,
    /// There was nothing to change, for this reason.
    Unchanged(String),
    /// The Hub refused, for this reason.
    Failed(String),
    Error(HubError),
}

impl UserOutcome {
    /// The outcome of a write. There is none if the Hub knows no such request, because that has different causes.
    fn of(result: Result<WriteResult, HubError>) -> Option<Self> {
        match result {
            Ok(WriteResult::Done) => Some(Self::Done),
            Ok(WriteResult::NoSuchUser) => Some(Self::Unchanged("no such user on the Hub".to_owned())),
            Ok(WriteResult::Failed(why)) => Some(Self::Failed(format!("the Hub refused: {why}"))),
            Ok(WriteResult::NoSuchRequest) => None,
            Err(error) => Some(Self::Error(error)),
        }
    }

    /// How the outcome is shown: its look, the outcome in a word or two, and the reason.
    fn describe(&self, status: Status, dry_run: bool) -> (Look, &'static str, &str) {
        match self {
            Self::Done if dry_run => (Look::Faint, "dry run", ""),
            Self::Done => (Look::Good, status.as_str(), ""),
            Self::AlreadyDone => (Look::Good, status.as_str(), "already"),
            Self::Unchanged(why) => (Look::Warning, "not changed", why),
            Self::Failed(why) => (Look::Bad, "failed", why),
            Self::Error(error) if error.may_be_done => {
                (Look::Bad, "unknown", "no response; `doorman list` shows the status")
            }
            Self::Error(_) => (Look::Bad, "failed", ""),
        }
    }
}

/// Rejects requests, after asking on a terminal.
pub async fn reject(
    arguments: UsersAndReason,
    yes: bool,
    screen: &mut Screen,
) -> Result<ExitStatus, Box<dyn Error>> {
    let UsersAndReason { users, reason } = arguments;
    if !yes && !confirm_rejection(&users, screen)? {
        return Ok(ExitStatus::Failed);
    }
    run(&users, &Action::decide(Status::Rejected, reason), screen).await
}

/// Whether the person at the terminal agrees to reject these users. Without a terminal the answer is yes.
fn confirm_rejection(users: &Users, screen: &mut Screen) -> Result<bool, Box<dyn Error>> {
    if is_dry_run()? || !screen.is_interactive() {
        return Ok(true);
    }
    let Users { repo, users } = users;
    let names = users.iter().map(users::name).collect::<Vec<_>>().join(", ");
    let is_confirmed = screen
        .ask(|terminal| write!(terminal, "{repo}: reject, so that they can never ask again: {names}."))?;
    if !is_confirmed {
        print_message("Nothing was changed. Use --yes to skip the question.");
    }
    Ok(is_confirmed)
}

/// Carries out an action, and shows the outcome for each user.
pub async fn run(users: &Users, action: &Action, screen: &mut Screen) -> Result<ExitStatus, Box<dyn Error>> {
    let Users { repo, users } = users;
    let is_request = |user: &&Identity| matches!(user, Identity::RequestId(_));
    if let (Action::Grant, Some(request)) = (action, users.iter().find(is_request)) {
        let request = users::name(request);
        let text = format!("`{request}`: `grant` takes names; `accept` takes requests, too");
        return Err(UsageError(text).into());
    }
    let (dry_run, hub) = (is_dry_run()?, hub().await?);
    let calls = hub.repo(repo, deadline());
    let outcomes = if dry_run {
        users.iter().map(|_| UserOutcome::Done).collect()
    } else {
        carry_out(&calls, users, action).await
    };
    let mut status = ExitStatus::Complete;
    let rows = users.iter().zip(&outcomes).map(|(user, outcome)| {
        let (look, word, why) = outcome.describe(action.status(), dry_run);
        if matches!(look, Look::Warning | Look::Bad) {
            status = ExitStatus::Failed;
        }
        vec![Cell::plain(users::name(user)), Cell::new(word, look), Cell::plain(why)]
    });
    let rows: Vec<_> = rows.collect();
    screen.table(&["user", "outcome", ""], rows)?;
    screen.flush()?;
    let mut errors: Vec<&HubError> = Vec::new();
    for outcome in &outcomes {
        // A call for many users fails for each of them with the same error.
        if let UserOutcome::Error(error) = outcome
            && !errors.contains(&error)
        {
            print_message(&format!("doorman: {repo}: {error}"));
            errors.push(error);
        }
    }
    if dry_run {
        print_message("DRY_RUN is true, so nothing was changed.");
    }
    Ok(status)
}

/// Carries out an action. The outcomes are in the order of the users.
async fn carry_out(calls: &RepoCalls<'_>, users: &[Identity], action: &Action) -> Vec<UserOutcome> {
    match action {
        Action::Decide(change) => decide(calls, users, change).await,
        Action::Revoke(change) => revoke(calls, users, change).await,
        Action::Grant => {
            let results = join_all(users.iter().map(|user| calls.grant(user))).await;
            // The Hub grants nothing if the user has access.
            let outcome = |result| UserOutcome::of(result).unwrap_or(UserOutcome::AlreadyDone);
            results.into_iter().map(outcome).collect()
        }
    }
}

/// Changes the status of requests that are not rejected. A reset would let a rejected user ask again.
async fn revoke(calls: &RepoCalls<'_>, users: &[Identity], change: &StatusChange) -> Vec<UserOutcome> {
    let are_rejected = match are_on_list(calls, Status::Rejected, users).await {
        Ok(are_rejected) => are_rejected,
        Err(error) => return users.iter().map(|_| UserOutcome::Error(error.clone())).collect(),
    };
    let others = users.iter().zip(&are_rejected).filter(|(_, is_rejected)| !**is_rejected);
    let others: Vec<Identity> = others.map(|(user, _)| user.clone()).collect();
    let mut outcomes = decide(calls, &others, change).await.into_iter();
    let unchanged = || {
        Some(UserOutcome::Unchanged(
            "has no access, because the request is rejected; `doorman reset` lets the user ask again"
                .to_owned(),
        ))
    };
    let outcome = |is_rejected| if is_rejected { unchanged() } else { outcomes.next() };
    are_rejected.into_iter().filter_map(outcome).collect()
}

/// Changes the status of requests.
async fn decide(calls: &RepoCalls<'_>, users: &[Identity], change: &StatusChange) -> Vec<UserOutcome> {
    let results = write(calls, users, change).await;
    let outcomes = users.iter().zip(results).map(|(user, result)| async move {
        match UserOutcome::of(result) {
            Some(outcome) => outcome,
            None => outcome_without_request(calls, user, change.status).await,
        }
    });
    join_all(outcomes).await
}

/// The outcome if the Hub knows no such request. It says so if the user has not asked, and also if the request has this status.
async fn outcome_without_request(calls: &RepoCalls<'_>, user: &Identity, status: Status) -> UserOutcome {
    let hint = match status {
        Status::Accepted => "; `doorman grant` gives access without a request",
        _ => "",
    };
    let unchanged = format!("has not asked for access here{hint}");
    match are_on_list(calls, status, slice::from_ref(user)).await.as_deref() {
        Ok([true]) => UserOutcome::AlreadyDone,
        Ok(_) => UserOutcome::Unchanged(unchanged),
        Err(_) => UserOutcome::Unchanged(format!("{unchanged}, or is {} already", status.as_str())),
    }
}

/// Whether each of these users is on a list. The list may lag behind. A few users with names are searched for one by one.
async fn are_on_list(
    calls: &RepoCalls<'_>,
    status: Status,
    users: &[Identity],
) -> Result<Vec<bool>, HubError> {
    let name = |user: &Identity| match user {
        Identity::UserName(name) => Some(name.clone()),
        Identity::RequestId(_) | Identity::UserId(_) => None,
    };
    let names: Option<Vec<String>> = users.iter().map(name).collect();
    let entries = match names.filter(|names| names.len() <= MAX_SEARCHES) {
        Some(names) => {
            let found = try_join_all(names.iter().map(|name| read_list(calls, status, Some(name)))).await?;
            found.into_iter().flat_map(|(entries, _)| entries).collect()
        }
        None => read_list(calls, status, None).await?.0,
    };
    let is_of = |user: &Identity, request: &AccessRequest| match user {
        Identity::UserName(name) => {
            request.user.name.as_ref().is_some_and(|other| other.eq_ignore_ascii_case(name))
        }
        Identity::RequestId(id) => request.request_id.as_ref() == Some(id),
        Identity::UserId(id) => request.user.id.as_ref() == Some(id),
    };
    Ok(users.iter().map(|user| entries.iter().any(|entry| is_of(user, &entry.request))).collect())
}

/// Writes a change for many users in batches. A batch has one kind of identity. The results are in the order of the users.
async fn write(
    calls: &RepoCalls<'_>,
    users: &[Identity],
    change: &StatusChange,
) -> Vec<Result<WriteResult, HubError>> {
    let writer = BatchWriter::new(calls);
    let mut batches: Vec<Vec<usize>> = Vec::new();
    for (index, user) in users.iter().enumerate() {
        let fits = |batch: &&mut Vec<usize>| {
            batch.len() < MAX_BATCH
                && batch.first().is_some_and(|first| discriminant(&users[*first]) == discriminant(user))
        };
        match batches.iter_mut().find(fits) {
            Some(batch) => batch.push(index),
            None => batches.push(vec![index]),
        }
    }
    let results = batches.iter().map(|batch| async {
        let identities: Vec<Identity> = batch.iter().map(|index| users[*index].clone()).collect();
        writer.write(&identities, change).await
    });
    let results = join_all(results).await.into_iter().flatten();
    let mut results: Vec<_> = batches.iter().flatten().copied().zip(results).collect();
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}
