//! `accept`, `reject`, `cancel`, `reset`, `grant` and `revoke`: what a person decides about people, one by one or many.

use std::error::Error;
use std::io::Write;
use std::mem::discriminant;

use futures_util::future::join_all;
use hub_doorman::hub::{Answer, Handled, HubError, Listed, MAX_BATCH, RepoCalls, Writer};
use hub_doorman::model::{Identity, Status, Verdict};

use crate::Ending;
use crate::arguments::People;
use crate::environment::{deadline, hub, is_dry_run};
use crate::people::{name, read_list};
use crate::screen::{Cell, Look, Screen, complain};

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
    pub fn new(verdict: Verdict, reason: Option<String>) -> Self {
        Self::Decide(Answer { verdict, reason: reason.map(Into::into) })
    }

    /// The list that people are on when it is carried out.
    fn status(&self) -> Status {
        match self {
            Self::Grant => Status::Accepted,
            Self::Decide(Answer { verdict, .. }) | Self::Revoke(Answer { verdict, .. }) => match verdict {
                Verdict::Accept => Status::Accepted,
                Verdict::Hold => Status::Pending,
                Verdict::Reset => Status::Reset,
                Verdict::Reject => Status::Rejected,
            },
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

/// Carries an order out, and says of everybody what became of it.
pub async fn carry_out(
    people: &People,
    order: &Order,
    screen: &mut Screen,
) -> Result<Ending, Box<dyn Error>> {
    let People { repo, users } = people;
    let (dry_run, hub) = (is_dry_run()?, hub().await?);
    let calls = hub.repo(repo, deadline()).of_a_person();
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
        let are_rejected = join_all(users.iter().map(|user| is_on_list(calls, Status::Rejected, user))).await;
        let (mut kept, mut became) = (Vec::new(), Vec::new());
        for (user, is_rejected) in users.iter().zip(are_rejected) {
            became.push(match is_rejected {
                Ok(false) => None,
                Ok(true) => Some(Became::Unchanged("has no access, and was turned away for good".to_owned())),
                Err(error) => Some(Became::Error(error)),
            });
            if let Some(None) = became.last() {
                kept.push(user.clone());
            }
        }
        let order = Order::Decide(answer.clone());
        let mut of_kept = Box::pin(carry_out_each(calls, &kept, &order)).await.into_iter();
        return became.into_iter().filter_map(|became| became.or_else(|| of_kept.next())).collect();
    }
    let handled = handle(calls, users, order).await;
    join_all(users.iter().zip(handled).map(|(user, handled)| async move {
        match handled {
            Ok(Handled::Done) => Became::Done,
            Ok(Handled::NoUser) => Became::Unchanged("no such user on the Hub".to_owned()),
            Ok(Handled::Failed(why)) => Became::Failed(format!("the Hub would not: {why}")),
            Ok(Handled::Gone) if matches!(order, Order::Grant) => Became::Already,
            // The Hub says the same of who never asked and of whom it has in that state.
            Ok(Handled::Gone) => match is_on_list(calls, order.status(), user).await {
                Ok(true) => Became::Already,
                _ => Became::Unchanged(unchanged(order)),
            },
            Err(error) => Became::Error(error),
        }
    }))
    .await
}

fn unchanged(order: &Order) -> String {
    let status = order.status();
    let hint = if status == Status::Accepted { "; `doorman grant` lets in who never asked" } else { "" };
    format!("never asked, or is {} already{hint}", status.as_str())
}

/// Whether somebody is on a list, as far as it has caught up.
async fn is_on_list(calls: &RepoCalls<'_>, status: Status, user: &Identity) -> Result<bool, HubError> {
    let search = match user {
        Identity::UserName(name) => Some(name.as_str()),
        Identity::RequestId(_) | Identity::UserId(_) => None,
    };
    let is_user = |Listed { request, .. }: &Listed| match user {
        Identity::UserName(name) => {
            request.user.name.as_ref().is_some_and(|other| other.eq_ignore_ascii_case(name))
        }
        Identity::RequestId(id) => request.request_id.as_ref() == Some(id),
        Identity::UserId(id) => request.user.id.as_ref() == Some(id),
    };
    Ok(read_list(calls, status, search).await?.iter().any(is_user))
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
