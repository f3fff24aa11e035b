//! What this run knows of each request: whether it is settled, is being written, or is in doubt because the Hub has not said
//! what it did. When a page lists a request, the ledger says what to do about it.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use super::queue::{Decided, Tried};
use crate::hub::{Handled, HubError, LIST_LAG, RecentWrites};
use crate::model::{AccessRequest, Decision, Identity, Outcome};

/// The most write attempts for one request in a run, across all readings of the list.
pub(super) const MAX_ATTEMPTS: u8 = 8;

/// The most of these attempts that may time out. Each takes seconds.
pub(super) const MAX_STALLS: u8 = 3;

/// Hashes of a request and of its user. Two entries are the same request if they have the same `requestId` and timestamp, or
/// without a `requestId` the same user and timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    request: u64,
    user: Option<u64>,
}

/// The write attempts for a request so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Attempts {
    pub(super) made: u8,
    pub(super) stalled: u8,
    /// How many batches failed that may have failed because of one of their requests.
    pub(super) failed_batches: u8,
    /// Which identities of the request the Hub did not know.
    pub(super) tried: Tried,
    /// Whether the request has only one identity.
    pub(super) has_one_identity: bool,
}

/// What to do about a request that a page lists.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ListedAction {
    /// Nothing: it is settled, it is being written, or the page is too old to say anything new.
    Ignore,
    /// Decide it. These attempts were made before.
    Decide(Attempts),
    /// It was decided and is not written again in this run.
    GiveUp(Outcome),
    /// Another request of the same user was decided before, and is not written yet: hold both.
    Contradicts(Key),
}

#[derive(Debug)]
enum State {
    /// Queued.
    Queued,
    /// A call is under way.
    Sent,
    /// Nothing was written: decide it when it is listed again.
    PutOff,
    /// In doubt: the attempt that ended then may have been carried out.
    InDoubt(Instant),
    /// The Hub answered then that there is no such request.
    Gone(Instant),
}

/// A request that is decided and not settled.
#[derive(Debug)]
struct Open {
    state: State,
    attempts: Attempts,
    /// The last pass that listed it.
    pass: u32,
    user: Option<u64>,
    by_user: bool,
    pub(super) who: Option<Identity>,
    requested_at: Option<DateTime<Utc>>,
    decision: Decision,
    error: Option<HubError>,
}

/// A request that this run is done with.
#[derive(Debug)]
pub(super) struct Concluded {
    pub(super) who: Option<Identity>,
    pub(super) requested_at: Option<DateTime<Utc>>,
    pub(super) decision: Decision,
    pub(super) outcome: Outcome,
    /// Why it could not be written.
    pub(super) error: Option<HubError>,
    /// Whether a later reading of the list has shown what became of it.
    pub(super) is_known: bool,
}

impl Key {
    /// What is the same for the same request.
    pub(super) fn request(self) -> u64 {
        self.request
    }
}

#[derive(Debug, Default)]
pub(super) struct Ledger {
    open: HashMap<u64, Open>,
    /// The open request of each user who has one.
    users: HashMap<u64, u64>,
    /// Requests that stay on the list: held, or not to be written again in this run.
    held: HashSet<u64>,
    /// Requests that the Hub said it has written.
    done: HashSet<u64>,
    /// Those of this run and of earlier ones that a page may still list, because the list lags.
    recent: RecentWrites,
    last_answer: Option<Instant>,
    /// If a page has listed a request that was left for another reading: the earliest time of that reading.
    overlooked: Option<Instant>,
    /// Requests that the Hub said it has written, and still lists after [`LIST_LAG`].
    relisted: HashSet<u64>,
}

impl Ledger {
    pub(super) fn new(recent: RecentWrites) -> Self {
        Self { recent, ..Self::default() }
    }

    /// Takes the recent writes out, for the next run.
    pub(super) fn take_recent_writes(&mut self) -> RecentWrites {
        std::mem::take(&mut self.recent)
    }

    /// The key of a request; nothing if it has neither an id nor a user.
    pub(super) fn key(&self, request: &AccessRequest) -> Option<Key> {
        request.identity()?;
        let user = &request.user;
        // The Hub ignores the case of names.
        let name = || user.name.as_ref().map(|name| name.to_ascii_lowercase());
        let hasher = &self.recent.hasher;
        let user = user.id.clone().or_else(name).map(|user| hasher.hash_one(user));
        let request = match &request.request_id {
            Some(id) => hasher.hash_one((id, request.requested_at)),
            None => hasher.hash_one((user, request.requested_at)),
        };
        Some(Key { request, user })
    }

    /// How many requests are known to stay on the list.
    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    /// Says what to do about a request, now that a page which was requested at `requested` lists it.
    pub(super) fn on_listed(&mut self, key: Key, requested: Instant, pass: u32) -> ListedAction {
        if self.held.contains(&key.request) {
            return ListedAction::Ignore;
        }
        if let Some(open) = self.open.get_mut(&key.request) {
            open.pass = pass;
            let is_news = match open.state {
                State::Queued | State::Sent => false,
                State::PutOff => true,
                State::InDoubt(ended) | State::Gone(ended) => requested >= ended + LIST_LAG,
            };
            return match (is_news, open.final_outcome()) {
                (false, _) => ListedAction::Ignore,
                (true, Some(outcome)) => ListedAction::GiveUp(outcome),
                (true, None) => ListedAction::Decide(open.attempts),
            };
        }
        if self.recent.requests.get(&key.request).is_some_and(|until| requested < *until) {
            return ListedAction::Ignore;
        }
        if let Some(until) = self.recent.gone.get(&key.request).filter(|until| requested < **until) {
            self.overlooked = self.overlooked.max(Some(*until));
            return ListedAction::Ignore;
        }
        if self.done.contains(&key.request) {
            self.relisted.insert(key.request);
            return ListedAction::Ignore;
        }
        // A write that names this user could hit the request that was just written.
        if let Some(until) =
            key.user.and_then(|user| self.recent.users.get(&user)).filter(|until| requested < **until)
        {
            self.overlooked = self.overlooked.max(Some(*until));
            return ListedAction::Ignore;
        }
        let other = key.user.and_then(|user| Some((*self.users.get(&user)?, user)));
        let Some((request, user)) = other else { return ListedAction::Decide(Attempts::default()) };
        match self.open.get(&request).map(|open| &open.state) {
            Some(State::Queued) => ListedAction::Contradicts(Key { request, user: Some(user) }),
            Some(State::PutOff | State::Gone(_)) | None => ListedAction::Decide(Attempts::default()),
            Some(State::InDoubt(ended)) if requested >= *ended + LIST_LAG => {
                ListedAction::Decide(Attempts::default())
            }
            // The write about the other request of this user may still arrive, and could hit this one.
            Some(State::Sent | State::InDoubt(_)) => {
                self.overlook(requested);
                ListedAction::Ignore
            }
        }
    }

    /// A page listed requests that were not decided, so the list has to be read again, not before `from`.
    pub(super) fn overlook(&mut self, from: Instant) {
        self.overlooked = self.overlooked.max(Some(from));
    }

    /// A request stays on the list.
    pub(super) fn hold(&mut self, key: Key) {
        self.close(key.request);
        self.held.insert(key.request);
    }

    /// A decision waits to be written.
    pub(super) fn queue(&mut self, decided: &Decided, pass: u32) {
        let Decided { key, by_user, attempts, who, requested_at, decision, .. } = decided;
        let Key { request, user } = *key;
        self.users.extend(user.map(|user| (user, request)));
        let open = Open {
            state: State::Queued,
            attempts: *attempts,
            pass,
            user,
            by_user: *by_user,
            who: who.clone(),
            requested_at: *requested_at,
            decision: decision.clone(),
            error: None,
        };
        self.open.insert(request, open);
    }

    /// A decision is on its way to the Hub.
    pub(super) fn send(&mut self, key: Key) {
        if let Some(open) = self.open.get_mut(&key.request) {
            open.state = State::Sent;
        }
    }

    /// A decision was not sent after all, or an attempt to write it has ended. Says what became of it, if that is known now.
    pub(super) fn written(
        &mut self,
        key: Key,
        attempts: Attempts,
        result: Result<Handled, HubError>,
        ended: Instant,
    ) -> Option<Concluded> {
        let open = self.open.get_mut(&key.request)?;
        open.attempts = attempts;
        let (state, error) = match result {
            Ok(Handled::Done) => {
                self.last_answer = self.last_answer.max(Some(ended));
                self.recent.requests.insert(key.request, ended + LIST_LAG);
                let user = key.user.filter(|_| open.by_user);
                self.recent.users.extend(user.map(|user| (user, ended + LIST_LAG)));
                self.done.insert(key.request);
                return self.conclude(key.request, Outcome::Done, true);
            }
            Ok(Handled::Gone | Handled::NoUser) => {
                // The list may still show it to the next run, which then looks again.
                self.recent.gone.insert(key.request, ended + LIST_LAG);
                (State::Gone(ended), None)
            }
            Ok(Handled::Failed(_)) => {
                self.held.insert(key.request);
                return self.conclude(key.request, Outcome::Failed, true);
            }
            Err(error) if error.leaves_in_doubt() => (State::InDoubt(ended), Some(error)),
            Err(error) if error.is_put_off() => (State::PutOff, Some(error)),
            Err(error) => {
                open.error = Some(error);
                self.held.insert(key.request);
                return self.conclude(key.request, Outcome::Failed, true);
            }
        };
        open.state = state;
        // Why an earlier attempt failed says more than that a page was too old.
        open.error =
            error.filter(|error| open.error.is_none() || !error.is_page_too_old()).or(open.error.take());
        None
    }

    /// Concludes an open request that stays on the list.
    pub(super) fn give_up(&mut self, key: Key, outcome: Outcome) -> Option<Concluded> {
        self.held.insert(key.request);
        self.conclude(key.request, outcome, true)
    }

    /// A page that was requested at `requested` has arrived, so no later page precedes it.
    pub(super) fn forget_recent_writes(&mut self, requested: Instant) {
        self.recent.forget(requested);
    }

    /// The time from which the list shows everything that this run has written. The pages of a pass that began before may have
    /// shifted.
    pub(super) fn settles_at(&self) -> Option<Instant> {
        self.last_answer.map(|answer| answer + LIST_LAG)
    }

    /// Whether the list has to be read again after this pass, which began at `began`, to know what became of each request; if
    /// so, the earliest time.
    pub(super) fn again_from(&mut self, pass: u32, began: Instant, now: Instant) -> Option<Instant> {
        let is_put_off = |open: &Open| matches!(open.state, State::PutOff) && open.pass == pass;
        let overlooked = self.overlooked.take().map(|from| from.max(now));
        let put_off = self.open.values().any(is_put_off).then_some(now);
        if let Some(from) = overlooked.max(put_off) {
            return Some(from);
        }
        let of_open = self.open.values().filter_map(|open| match open.state {
            State::InDoubt(ended) | State::Gone(ended) => Some(ended + LIST_LAG),
            State::Queued | State::Sent | State::PutOff => None,
        });
        of_open.max().filter(|from| began < *from)
    }

    /// How many requests the Hub said it has written, and lists all the same.
    pub(super) fn relisted(&self) -> usize {
        self.relisted.len()
    }

    /// Ends the run. Says what became of the requests that are still open, as far as the last pass tells. `whole` is when that
    /// pass began, if no request can have been skipped in it.
    pub(super) fn finish(&mut self, pass: u32, whole: Option<Instant>) -> Vec<Concluded> {
        let requests: Vec<u64> = self.open.keys().copied().collect();
        let end = |ledger: &mut Self, request| {
            let open = ledger.open.get(&request)?;
            let is_off_list = whole.is_some() && open.pass < pass;
            let (outcome, is_known) = match open.state {
                State::InDoubt(ended) => (Outcome::Unknown, is_off_list && whole >= Some(ended + LIST_LAG)),
                State::Gone(ended) => (Outcome::Gone, is_off_list && whole >= Some(ended + LIST_LAG)),
                _ if is_off_list => (Outcome::Gone, true),
                _ => (Outcome::Failed, false),
            };
            ledger.conclude(request, outcome, is_known)
        };
        let mut concluded: Vec<_> = requests.into_iter().filter_map(|request| end(self, request)).collect();
        concluded.sort_by_cached_key(|one| {
            (one.requested_at, one.who.as_ref().map(|who| who.as_str().to_owned()))
        });
        concluded
    }

    fn conclude(&mut self, request: u64, outcome: Outcome, is_known: bool) -> Option<Concluded> {
        let Open { who, requested_at, decision, error, .. } = self.close(request)?;
        Some(Concluded { who, requested_at, decision, outcome, error, is_known })
    }

    fn close(&mut self, request: u64) -> Option<Open> {
        let open = self.open.remove(&request)?;
        if let Some(user) = open.user.filter(|user| self.users.get(user) == Some(&request)) {
            self.users.remove(&user);
        }
        Some(open)
    }
}

impl Open {
    /// Its outcome, if it is listed again but must not be written again.
    fn final_outcome(&self) -> Option<Outcome> {
        let Attempts { made, stalled, failed_batches: _, tried, has_one_identity } = self.attempts;
        let (user, request_id) = (tried.user, tried.request_id);
        let is_exhausted = user && request_id || has_one_identity && (user || request_id);
        match self.state {
            State::Gone(_) if is_exhausted => Some(Outcome::Stuck),
            _ if made >= MAX_ATTEMPTS || stalled >= MAX_STALLS => Some(Outcome::Failed),
            _ => None,
        }
    }
}
