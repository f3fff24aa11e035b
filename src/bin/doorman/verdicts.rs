//! `accept`, `reject`, `cancel`, `reset`, `grant` and `revoke`: what a person decides about people, one by one or many.

use std::error::Error;
use std::io::{self, Write};
use std::mem::discriminant;

use futures_util::future::join_all;
use hub_doorman::hub::{Answer, Handled, HubError, MAX_BATCH, RepoCalls, Writer};
use hub_doorman::model::{Identity, Verdict};

use crate::Ending;
use crate::arguments::People;
use crate::environment::{deadline, hub, is_dry_run};
use crate::people::name;
use crate::screen::{Cell, Look, Screen};

/// What is to become of people.
pub enum Order {
    /// Their requests get another status.
    Decide(Answer),
    /// They are let in whether or not they asked.
    Grant,
}

impl Order {
    pub fn new(verdict: Verdict, reason: Option<String>) -> Self {
        Self::Decide(Answer { verdict, reason: reason.map(Into::into) })
    }

    /// What has become of somebody.
    fn done(&self) -> &'static str {
        match self {
            Self::Grant => "granted",
            Self::Decide(Answer { verdict, .. }) => match verdict {
                Verdict::Accept => "accepted",
                Verdict::Hold => "pending",
                Verdict::Reset => "reset",
                Verdict::Reject => "rejected",
            },
        }
    }

    /// Why nothing has become of somebody.
    fn gone(&self) -> String {
        match self {
            Self::Grant => "has access already".to_owned(),
            Self::Decide(Answer { verdict: Verdict::Accept, .. }) => {
                "never asked, or is accepted already; `doorman grant` lets in who never asked".to_owned()
            }
            Self::Decide(_) => format!("never asked, or is {} already", self.done()),
        }
    }
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
    let handled =
        if dry_run { vec![Ok(Handled::Done); users.len()] } else { handle(&calls, users, order).await };
    let (mut ending, mut errors) = (Ending::Complete, Vec::new());
    let rows = users.iter().zip(handled).map(|(user, handled)| {
        let (look, what, why) = match handled {
            Ok(Handled::Done) if dry_run => (Look::Faint, "dry run", String::new()),
            Ok(Handled::Done) => (Look::Good, order.done(), String::new()),
            Ok(Handled::Gone) => (Look::Doubtful, "not changed", order.gone()),
            Ok(Handled::NoUser) => (Look::Doubtful, "not changed", "no such user on the Hub".to_owned()),
            Ok(Handled::Failed(why)) => (Look::Bad, "failed", format!("the Hub would not: {why}")),
            Err(error) => {
                let what = if error.may_be_done { "unknown" } else { "failed" };
                if !errors.contains(&error) {
                    errors.push(error);
                }
                (Look::Bad, what, String::new())
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
    let mut err = io::stderr();
    for error in errors {
        writeln!(err, "doorman: {repo}: {error}")?;
    }
    if dry_run {
        writeln!(err, "DRY_RUN is true, so nothing was changed.")?;
    }
    Ok(ending)
}

/// What the Hub made of it for each of the users, in their order.
async fn handle(calls: &RepoCalls<'_>, users: &[Identity], order: &Order) -> Vec<Result<Handled, HubError>> {
    let answer = match order {
        Order::Grant => return join_all(users.iter().map(|user| calls.grant(user))).await,
        Order::Decide(answer) => answer,
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
