//! The ledger: the state of each request of this run. If a page lists a request, the ledger says what to do about it.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use super::decided::{Attempts, DecidedRequest, Key, MAX_ATTEMPTS, MAX_STALLS};
use crate::hub::{HubError, LIST_LAG, RecentWrites, WriteResult};
use crate::model::{AccessRequest, Decision, Identity, Outcome};

/// The action for a request that a page lists.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ListedAction {
    /// Nothing: it is settled, it is being written, or the page was requested too early to show anything new.
    Ignore,
    /// Decide it. These attempts were made before.
    Decide(Attempts),
    /// It is not written again in this run. This is its outcome.
    GiveUp(Outcome),
    /// Another request of the same user, with this key, is queued: hold both.
    Contradicts(Key),
}

#[derive(Debug)]
enum State {
    /// Its decision waits for a call.
    Queued,
    /// A call is in flight.
    Sent,
    /// The last attempt wrote nothing. The request is decided again when it is listed again.
    NotWritten,
    /// In doubt: the attempt that ended at this time may have written the decision.
    InDoubt(Instant),
    /// The Hub answered at this time that there is no such request.
    NotFound(Instant),
}

/// A request that is decided and has no outcome yet.
#[derive(Debug)]
struct OpenRequest {
    state: State,
    attempts: Attempts,
    /// The number of the last reading that listed it.
    reading: u32,
    user: Option<u64>,
    by_user: bool,
    who: Option<Identity>,
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
    /// Whether the outcome is certain. If it is not, the request may still be pending.
    pub(super) is_certain: bool,
}

/// The requests of this run by the hash of [`Key`].
#[derive(Debug, Default)]
pub(super) struct Ledger {
    open: HashMap<u64, OpenRequest>,
    /// The open request of each user who has one.
    users: HashMap<u64, u64>,
    /// Requests that stay listed: they are held, or are not written again in this run.
    held: HashSet<u64>,
    /// Requests that are written, as the Hub has confirmed.
    done: HashSet<u64>,
    /// The recent writes of this run and of earlier ones. A page may still list these requests, because the list lags.
    recent: RecentWrites,
    /// When the last write was confirmed.
    last_confirmed: Option<Instant>,
    /// From when on no write in doubt to a request whose user is not known can reach the Hub any more.
    nameless_doubt_until: Option<Instant>,
    /// The same for the writes in doubt to all requests.
    doubt_until: Option<Instant>,
    /// If a listed request was left for another reading: the earliest time of that reading.
    reading_required_from: Option<Instant>,
    /// Requests that are written, as the Hub has confirmed, but are still listed after [`LIST_LAG`].
    relisted: HashSet<u64>,
}

impl Ledger {
    pub(super) fn new(recent: RecentWrites) -> Self {
        Self { recent, ..Self::default() }
    }

    /// Takes the recent writes, to be kept for the next run.
    pub(super) fn take_recent_writes(&mut self) -> RecentWrites {
        std::mem::take(&mut self.recent)
    }

    /// The key of a request, or `None` if it has neither an id nor a user.
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

    /// The number of requests that are known to stay listed.
    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    /// Says what to do about a request that is listed on a page. `requested` is when that page was requested.
    pub(super) fn on_listed(&mut self, key: Key, requested: Instant, reading: u32) -> ListedAction {
        if self.held.contains(&key.request) {
            return ListedAction::Ignore;
        }
        if let Some(open) = self.open.get_mut(&key.request) {
            open.reading = reading;
            return open.on_listed(requested);
        }
        let lags = |until: Option<&Instant>| until.copied().filter(|until| requested < *until);
        if lags(self.recent.requests.get(&key.request)).is_some() {
            return ListedAction::Ignore;
        }
        if let Some(until) = lags(self.recent.not_found.get(&key.request)) {
            self.require_reading(until);
            return ListedAction::Ignore;
        }
        if self.done.contains(&key.request) {
            self.relisted.insert(key.request);
            return ListedAction::Ignore;
        }
        // An entry without a user may be of any user. A write in doubt to an older request of that user could change this one.
        let doubt = if key.user.is_none() { self.doubt_until } else { self.nameless_doubt_until };
        if let Some(until) = lags(doubt.as_ref()) {
            self.require_reading(until);
            return ListedAction::Ignore;
        }
        let Some(user) = key.user else { return ListedAction::Decide(Attempts::default()) };
        // The list may show an older request of this user. A decision about it, if it names the user, could change the newer
        // one.
        if let Some(until) = lags(self.recent.users.get(&user)) {
            self.require_reading(until);
            return ListedAction::Ignore;
        }
        self.on_listed_beside_other(user, requested)
    }

    /// Says what to do about a new request of a user who may have another, open request.
    fn on_listed_beside_other(&mut self, user: u64, requested: Instant) -> ListedAction {
        let other = self.users.get(&user).copied();
        let state = other.and_then(|request| Some((request, &self.open.get(&request)?.state)));
        match state {
            Some((request, State::Queued)) => ListedAction::Contradicts(Key { request, user: Some(user) }),
            None | Some((_, State::NotWritten | State::NotFound(_))) => {
                ListedAction::Decide(Attempts::default())
            }
            Some((_, State::InDoubt(ended))) if requested >= *ended + LIST_LAG => {
                ListedAction::Decide(Attempts::default())
            }
            // The write about the other request may still reach the Hub, and could change this one.
            Some((_, State::Sent | State::InDoubt(_))) => {
                self.require_reading(requested);
                ListedAction::Ignore
            }
        }
    }

    /// Requires another reading, not before `from`, because a listed request was not decided.
    pub(super) fn require_reading(&mut self, from: Instant) {
        self.reading_required_from = self.reading_required_from.max(Some(from));
    }

    /// Notes that a request stays listed.
    pub(super) fn hold(&mut self, key: Key) {
        self.close(key.request);
        self.held.insert(key.request);
    }

    /// Notes that a decision waits for a call.
    pub(super) fn queue(&mut self, decided: &DecidedRequest, reading: u32) {
        let DecidedRequest { key, by_user, attempts, who, requested_at, decision, .. } = decided;
        let Key { request, user } = *key;
        self.users.extend(user.map(|user| (user, request)));
        let open = OpenRequest {
            state: State::Queued,
            attempts: *attempts,
            reading,
            user,
            by_user: *by_user,
            who: who.clone(),
            requested_at: *requested_at,
            decision: decision.clone(),
            error: None,
        };
        self.open.insert(request, open);
    }

    /// Notes that a call with this decision is in flight.
    pub(super) fn send(&mut self, key: Key) {
        if let Some(open) = self.open.get_mut(&key.request) {
            open.state = State::Sent;
        }
    }

    /// Adds the result of an attempt to write a decision, or the error if it was not sent. Returns the request if it is
    /// concluded.
    pub(super) fn add_result(
        &mut self,
        key: Key,
        attempts: Attempts,
        result: Result<WriteResult, HubError>,
        ended: Instant,
    ) -> Option<Concluded> {
        let open = self.open.get_mut(&key.request)?;
        open.attempts = attempts;
        let (state, error) = match result {
            Ok(WriteResult::Done) => {
                self.last_confirmed = self.last_confirmed.max(Some(ended));
                self.recent.requests.insert(key.request, ended + LIST_LAG);
                let user = key.user.filter(|_| open.by_user);
                self.recent.users.extend(user.map(|user| (user, ended + LIST_LAG)));
                self.done.insert(key.request);
                return self.conclude(key.request, Outcome::Done, true);
            }
            Ok(WriteResult::NoSuchRequest | WriteResult::NoSuchUser) => {
                // If the lagging list still shows it to the next run, that run reads the list once more.
                self.recent.not_found.insert(key.request, ended + LIST_LAG);
                (State::NotFound(ended), None)
            }
            Ok(WriteResult::Failed(_)) => {
                self.held.insert(key.request);
                return self.conclude(key.request, Outcome::Failed, true);
            }
            Err(error) if error.leaves_in_doubt() => {
                let until = Some(ended + LIST_LAG);
                self.doubt_until = self.doubt_until.max(until);
                if open.user.is_none() {
                    self.nameless_doubt_until = self.nameless_doubt_until.max(until);
                }
                (State::InDoubt(ended), Some(error))
            }
            Err(error) if error.is_put_off() => (State::NotWritten, Some(error)),
            Err(error) => {
                open.error = Some(error);
                self.held.insert(key.request);
                return self.conclude(key.request, Outcome::Failed, true);
            }
        };
        open.state = state;
        // The error of an earlier attempt explains more than a page that was too old.
        open.error =
            error.filter(|error| open.error.is_none() || !error.is_page_too_old()).or(open.error.take());
        None
    }

    /// Concludes an open request that stays listed.
    pub(super) fn give_up(&mut self, key: Key, outcome: Outcome) -> Option<Concluded> {
        self.held.insert(key.request);
        self.conclude(key.request, outcome, true)
    }

    /// Forgets the recent writes that cannot affect a page requested at `requested` or later.
    pub(super) fn forget_recent_writes(&mut self, requested: Instant) {
        self.recent.forget(requested);
    }

    /// The time from which the list shows everything that this run has written. In a reading that began before, the pages may
    /// have shifted.
    pub(super) fn settles_at(&self) -> Option<Instant> {
        self.last_confirmed.map(|confirmed| confirmed + LIST_LAG)
    }

    /// If another reading is needed for some request: the earliest time. The last reading is `reading`, and began at `began`.
    pub(super) fn next_reading_from(
        &mut self,
        reading: u32,
        began: Instant,
        now: Instant,
    ) -> Option<Instant> {
        let is_still_listed =
            |open: &OpenRequest| matches!(open.state, State::NotWritten) && open.reading == reading;
        let required = self.reading_required_from.take().map(|from| from.max(now));
        let not_written = self.open.values().any(is_still_listed).then_some(now);
        if let Some(from) = required.max(not_written) {
            return Some(from);
        }
        let lags_until = self.open.values().filter_map(|open| match open.state {
            State::InDoubt(ended) | State::NotFound(ended) => Some(ended + LIST_LAG),
            State::Queued | State::Sent | State::NotWritten => None,
        });
        lags_until.max().filter(|from| began < *from)
    }

    /// The number of requests that are still listed, although the Hub has confirmed their writes.
    pub(super) fn relisted(&self) -> usize {
        self.relisted.len()
    }

    /// Ends the run: concludes the requests that are still open. The last reading is `reading`. If no request can have been
    /// skipped in it, `whole_since` is when it began. Then a request that it did not list is no longer pending.
    pub(super) fn finish(&mut self, reading: u32, whole_since: Option<Instant>) -> Vec<Concluded> {
        let requests: Vec<u64> = self.open.keys().copied().collect();
        let end = |ledger: &mut Self, request| {
            let open = ledger.open.get(&request)?;
            let is_off_list = whole_since.is_some() && open.reading < reading;
            let is_off_list_after_lag = |ended: Instant| is_off_list && whole_since >= Some(ended + LIST_LAG);
            let (outcome, is_certain) = match open.state {
                State::InDoubt(ended) => (Outcome::Unknown, is_off_list_after_lag(ended)),
                State::NotFound(ended) => (Outcome::Gone, is_off_list_after_lag(ended)),
                _ if is_off_list => (Outcome::Gone, true),
                _ => (Outcome::Failed, false),
            };
            ledger.conclude(request, outcome, is_certain)
        };
        let mut concluded: Vec<_> = requests.into_iter().filter_map(|request| end(self, request)).collect();
        concluded.sort_by_cached_key(|request| {
            (request.requested_at, request.who.as_ref().map(|who| who.as_str().to_owned()))
        });
        concluded
    }

    fn conclude(&mut self, request: u64, outcome: Outcome, is_certain: bool) -> Option<Concluded> {
        let OpenRequest { who, requested_at, decision, error, .. } = self.close(request)?;
        Some(Concluded { who, requested_at, decision, outcome, error, is_certain })
    }

    fn close(&mut self, request: u64) -> Option<OpenRequest> {
        let open = self.open.remove(&request)?;
        if let Some(user) = open.user.filter(|user| self.users.get(user) == Some(&request)) {
            self.users.remove(&user);
        }
        Some(open)
    }
}

impl OpenRequest {
    /// Says what to do about this request, now that a page lists it again. `requested` is when that page was requested.
    fn on_listed(&self, requested: Instant) -> ListedAction {
        let shows_result = match self.state {
            State::Queued | State::Sent => false,
            State::NotWritten => true,
            State::InDoubt(ended) | State::NotFound(ended) => requested >= ended + LIST_LAG,
        };
        match (shows_result, self.final_outcome()) {
            (false, _) => ListedAction::Ignore,
            (true, Some(outcome)) => ListedAction::GiveUp(outcome),
            (true, None) => ListedAction::Decide(self.attempts),
        }
    }

    /// Its outcome, if it is listed again but must not be written again.
    fn final_outcome(&self) -> Option<Outcome> {
        let Attempts { made, stalled, failed_batches: _, unknown, has_one_identity } = self.attempts;
        let (user, request_id) = (unknown.user, unknown.request_id);
        let is_exhausted = user && request_id || has_one_identity && (user || request_id);
        match self.state {
            State::NotFound(_) if is_exhausted => Some(Outcome::Stuck),
            _ if made >= MAX_ATTEMPTS || stalled >= MAX_STALLS => Some(Outcome::Failed),
            _ => None,
        }
    }
}
