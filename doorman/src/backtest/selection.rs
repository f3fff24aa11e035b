//! Which of the listed requests a backtest compares, and why it leaves out the others. Pure, without I/O.

use std::iter::Sum;

use chrono::{DateTime, Utc};
use hub_doorman::hub::ListEntry;
use hub_doorman::model::{AccessRequest, Name};
use serde::Serialize;

/// The choice of the owner.
pub struct Selection {
    /// Leave out requests that were decided earlier.
    pub since: Option<DateTime<Utc>>,
    /// The account of the token.
    pub account: Name,
    /// Leave out users to whom this account gave access.
    pub by_others: bool,
}

/// Why a listed request is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeftOut {
    /// It was decided before the first day that the owner asks for.
    Earlier,
    /// The user got access without a request, so there is nothing to decide.
    Granted,
    /// The account of the token gave access.
    ByAccount,
    /// The Hub does not say when it was decided.
    Undated,
}

/// How many requests are left out for each reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LeftOutCounts {
    pub earlier: u64,
    pub granted: u64,
    pub by_account: u64,
    pub undated: u64,
}

impl Selection {
    /// When a request was decided, or why it is left out.
    pub fn time_of(&self, entry: &ListEntry) -> Result<DateTime<Utc>, LeftOut> {
        match entry.reviewed_at {
            Some(at) if self.since.is_some_and(|since| at < since) => Err(LeftOut::Earlier),
            _ if is_granted(entry) => Err(LeftOut::Granted),
            _ if self.by_others && self.is_by_account(entry) => Err(LeftOut::ByAccount),
            reviewed_at => reviewed_at.ok_or(LeftOut::Undated),
        }
    }

    /// Whether the account of the token gave access.
    pub fn is_by_account(&self, entry: &ListEntry) -> bool {
        entry.granted_by.as_ref().is_some_and(|by| self.account == **by)
    }
}

/// Whether a user got access without a request. The Hub lists such a user with a name, but without an address and without answers. If
/// the repo does not share its users, the name is missing, too.
fn is_granted(ListEntry { request, granted_by, .. }: &ListEntry) -> bool {
    let AccessRequest { user, fields, .. } = request;
    granted_by.is_some() && user.name.is_some() && user.email.is_none() && fields.is_empty()
}

impl LeftOutCounts {
    pub fn count(&mut self, left_out: LeftOut) {
        *match left_out {
            LeftOut::Earlier => &mut self.earlier,
            LeftOut::Granted => &mut self.granted,
            LeftOut::ByAccount => &mut self.by_account,
            LeftOut::Undated => &mut self.undated,
        } += 1;
    }
}

impl Sum for LeftOutCounts {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |a, b| Self {
            earlier: a.earlier + b.earlier,
            granted: a.granted + b.granted,
            by_account: a.by_account + b.by_account,
            undated: a.undated + b.undated,
        })
    }
}
