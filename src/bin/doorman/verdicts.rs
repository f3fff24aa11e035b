//! `accept`, `reject`, `cancel`, `reset`, `grant` and `revoke`: what a person decides about people, one by one or many.

use std::error::Error;
use std::io::Write;
use std::mem::discriminant;
use std::slice;

use futures_util::future::{join_all, try_join_all};
use hub_doorman::hub::{Answer, Handled, HubError, MAX_BATCH, RepoCalls, Writer};
use hub_doorman::model::{AccessRequest, Identity, Status};

use crate::Ending;
use crate::arguments::People;
use crate::environment::{Fault, deadline, hub, is_dry_run};
use crate::people::{name, read_list};
use crate::screen::{Cell, Look, Screen, complain};

/// The most people who are searched for one by one. For more the list is read.
const MOST_SEARCHES: usize = 10;

/// What is to become of people.
pub enum Order {
    /// Their requests get another status.
    Decide(Answer),
    /// The same, but who was turned away for good stays so.
    Revoke(Answer),
    /// They are let in whether or not they asked.
    Grant,
}

impl Order {
    pub fn new(status: Status, reason: Option<String>) -> Self {
        Self::Decide(Answer { status, reason: reason.map(Into::into) })
    }

    /// The list that people are on when it is carried out.
    fn status(&self) -> Status {
        match self {
            Self::Grant => Status::Accepted,
            Self::Decide(Answer { status, .. }) | Self::Revoke(Answer { status, .. }) => *status,
        }
    }
}

/// What has become of somebody.
#[derive(Debug)]
enum Became {
    Done,
    /// It was so already.
    Already,
    /// Nothing, and why.
    Unchanged(String),
    Failed(String),
    Error(HubError),
}

/// Whether a person at a terminal agrees that these people are turned away for good. Without a terminal nobody is asked.
pub fn is_agreed_to_reject(people: &People, screen: &mut Screen) -> Result<bool, Box<dyn Error>> {
    if is_dry_run()? || !screen.is_watched() {
        return Ok(true);
    }
    let People { repo, users } = people;
    let names: Vec<String> = users.iter().map(name).collect();
    let agreed = screen.ask(|asked| {
        write!(asked, "{repo}: turn away for good, so that they can never ask again: {}.", names.join(", "))
    })?;
    if !agreed {
        complain("Nothing was changed. With --yes it is done without a question.");
    }
    Ok(agreed)
}

/// Carries an order out, and says of everybody what became of it.
pub async fn carry_out(
    people: &People,
    order: &Order,
    screen: &mut Screen,
) -> Result<Ending, Box<dyn Error>> {
    let People { repo, users } = people;
    if let (Order::Grant, Some(request)) =
        (order, users.iter().find(|user| matches!(user, Identity::RequestId(_))))
    {
        let request = name(request);
        return Err(Fault(format!("`{request}`: `grant` takes names; `accept` lets in who has asked")).into());
    }
    let (dry_run, hub) = (is_dry_run()?, hub().await?);
    let calls = hub.repo(repo, deadline());
    let became = if dry_run {
        users.iter().map(|_| Became::Done).collect()
    } else {
        carry_out_each(&calls, users, order).await
    };
    let (mut ending, mut errors) = (Ending::Complete, Vec::new());
    let done = order.status().as_str();
    let rows = users.iter().zip(became).map(|(user, became)| {
        let (look, what, why) = match became {
            Became::Done if dry_run => (Look::Faint, "dry run", String::new()),
            Became::Done => (Look::Good, done, String::new()),
            Became::Already => (Look::Good, done, "already".to_owned()),
            Became::Unchanged(why) => (Look::Doubtful, "not changed", why),
            Became::Failed(why) => (Look::Bad, "failed", why),
            Became::Error(error) => {
                let (what, why) = if error.may_be_done {
                    ("unknown", "the answer was lost; `doorman list` tells")
                } else {
                    ("failed", "")
                };
                if !errors.contains(&error) {
                    errors.push(error);
                }
                (Look::Bad, what, why.to_owned())
            }
        };
        if matches!(look, Look::Doubtful | Look::Bad) {
            ending = Ending::Failed;
        }
        vec![Cell::plain(name(user)), Cell::new(what, look), Cell::plain(why)]
    });
    let rows: Vec<_> = rows.collect();
    screen.table(&["user", "outcome", ""], rows)?;
    screen.flush()?;
    for error in errors {
        complain(&format!("doorman: {repo}: {error}"));
    }
    if dry_run {
        complain("DRY_RUN is true, so nothing was changed.");
    }
    Ok(ending)
}

/// What has become of each of the users, in their order.
async fn carry_out_each(calls: &RepoCalls<'_>, users: &[Identity], order: &Order) -> Vec<Became> {
    if let Order::Revoke(answer) = order {
        let are_rejected = match are_on_list(calls, Status::Rejected, users).await {
            Ok(are_rejected) => are_rejected,
            Err(error) => return users.iter().map(|_| Became::Error(error.clone())).collect(),
        };
        let others = users.iter().zip(&are_rejected).filter(|(_, is_rejected)| !**is_rejected);
        let others: Vec<Identity> = others.map(|(user, _)| user.clone()).collect();
        let order = Order::Decide(answer.clone());
        let mut of_others = Box::pin(carry_out_each(calls, &others, &order)).await.into_iter();
        let kept = || Some(Became::Unchanged("has no access, and was turned away for good".to_owned()));
        let became =
            are_rejected.into_iter().map(|is_rejected| if is_rejected { kept() } else { of_others.next() });
        return became.flatten().collect();
    }
    let handled = handle(calls, users, order).await;
    join_all(users.iter().zip(handled).map(|(user, handled)| async move {
        match handled {
            Ok(Handled::Done) => Became::Done,
            Ok(Handled::NoUser) => Became::Unchanged("no such user on the Hub".to_owned()),
            Ok(Handled::Failed(why)) => Became::Failed(format!("the Hub would not: {why}")),
            Ok(Handled::Gone) if matches!(order, Order::Grant) => Became::Already,
            // The Hub says the same of who never asked and of whom it has in that state.
            Ok(Handled::Gone) => {
                match are_on_list(calls, order.status(), slice::from_ref(user)).await.as_deref() {
                    Ok([true]) => Became::Already,
                    Ok(_) => Became::Unchanged(unchanged(order)),
                    Err(_) => Became::Unchanged(format!(
                        "{}, or is {} already",
                        unchanged(order),
                        order.status().as_str()
                    )),
                }
            }
            Err(error) => Became::Error(error),
        }
    }))
    .await
}

fn unchanged(order: &Order) -> String {
    let hint = match order.status() {
        Status::Accepted => "; `doorman grant` lets in who has not asked",
        _ => "",
    };
    format!("has not asked for access here{hint}")
}

/// Which of these are on a list, as far as it has caught up: searched for one by one if they are few and have names.
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
    let listed = match names.filter(|names| names.len() <= MOST_SEARCHES) {
        Some(names) => {
            let found = try_join_all(names.iter().map(|name| read_list(calls, status, Some(name)))).await?;
            found.into_iter().flat_map(|(people, _)| people).collect()
        }
        None => read_list(calls, status, None).await?.0,
    };
    let is = |user: &Identity, request: &AccessRequest| match user {
        Identity::UserName(name) => {
            request.user.name.as_ref().is_some_and(|other| other.eq_ignore_ascii_case(name))
        }
        Identity::RequestId(id) => request.request_id.as_ref() == Some(id),
        Identity::UserId(id) => request.user.id.as_ref() == Some(id),
    };
    Ok(users.iter().map(|user| listed.iter().any(|one| is(user, &one.request))).collect())
}

/// What the Hub made of it for each of the users, in their order.
async fn handle(calls: &RepoCalls<'_>, users: &[Identity], order: &Order) -> Vec<Result<Handled, HubError>> {
    let answer = match order {
        Order::Grant => return join_all(users.iter().map(|user| calls.grant(user))).await,
        Order::Decide(answer) | Order::Revoke(answer) => answer,
    };
    let writer = Writer::new(calls);
    let mut batches: Vec<Vec<usize>> = Vec::new();
    for (place, user) in users.iter().enumerate() {
        let fits = |batch: &&mut Vec<usize>| {
            batch.len() < MAX_BATCH
                && batch.first().is_some_and(|first| discriminant(&users[*first]) == discriminant(user))
        };
        match batches.iter_mut().find(fits) {
            Some(batch) => batch.push(place),
            None => batches.push(vec![place]),
        }
    }
    let written = batches.iter().map(|batch| async {
        let identities: Vec<Identity> = batch.iter().map(|place| users[*place].clone()).collect();
        writer.write(&identities, answer).await
    });
    let written = join_all(written).await.into_iter().flatten();
    let mut handled: Vec<_> = batches.iter().flatten().copied().zip(written).collect();
    handled.sort_by_key(|(place, _)| *place);
    handled.into_iter().map(|(_, handled)| handled).collect()
}
