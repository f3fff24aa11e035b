//! Where the policy is kept, and when it is read again. A policy that is kept on the Hub or by AWS may change at any time, so each event
//! asks for it, but a process asks at most once in ten seconds.
//!
//! Only a whole policy decides requests. If the newest policy cannot be used, everybody is held.

mod place;
mod reading;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use reqwest::Client;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::hub::{Hub, Moment};
use crate::policy::Policy;
use crate::secrets::redact;
pub use place::{HubFile, Place};
use reading::{Known, Unusable};
pub use reading::{MAX_BYTES_OF_LISTS, MAX_LIST_BYTES};

/// The minimum time between two reads of the policy, unless a push has changed it.
pub(crate) const MIN_PERIOD: Duration = Duration::from_secs(10);

/// How long the last policy is used if the Hub cannot be reached.
const MAX_OUTAGE: Duration = Duration::from_secs(60 * 60);

/// The policy of a process. It is read from its place, and kept until it is due to be read again.
#[derive(Debug)]
pub struct Source {
    place: Place,
    http: Client,
    state: Mutex<State>,
}

/// The policies that were read, and when.
#[derive(Debug, Default)]
struct State {
    /// The last policy that could be used. There is none if a newer one cannot be used.
    known: Option<Known>,
    /// When it was last known to be the newest.
    confirmed: Option<Moment>,
    /// When the policy was last asked for, and the policy to use since then.
    last: Option<(Moment, Arc<Policy>)>,
}

impl Source {
    /// The policy at this place. It is not read yet. `http` carries calls to AWS.
    #[must_use]
    pub fn new(place: Place, http: Client) -> Self {
        Self { place, http, state: Mutex::default() }
    }

    /// Where the policy is kept.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The policy that is in force. If it cannot be used, the result holds everybody, and says why. The policy is read in at most half
    /// of the time until `deadline`.
    pub async fn current(&self, hub: &Hub, deadline: Instant) -> Arc<Policy> {
        if let Place::Given(policy) = &self.place {
            return Arc::clone(policy);
        }
        let mut state = self.state.lock().await;
        let now = hub.now();
        if let Some((asked, policy)) = &state.last
            && asked.age_at(now) < MIN_PERIOD
        {
            return Arc::clone(policy);
        }
        let deadline = Instant::now() + deadline.saturating_duration_since(Instant::now()) / 2;
        let read = reading::read(&self.place, hub, &self.http, state.known.as_mut(), deadline).await;
        let policy = state.settle(read, now);
        state.last = Some((now, Arc::clone(&policy)));
        policy
    }

    /// Reads the policy once, for a command that reports all faults.
    pub async fn read(self, hub: &Hub, deadline: Instant) -> Result<Arc<Policy>, Vec<String>> {
        let Self { place, http, .. } = self;
        if let Place::Given(policy) = place {
            return Ok(policy);
        }
        match reading::read(&place, hub, &http, None, deadline).await {
            Ok(Some(known)) => Ok(known.policy),
            Ok(None) => Err(vec![format!("{place}: nothing was read")]),
            Err(Unusable { faults, .. }) => {
                Err(faults.into_iter().map(|fault| format!("{place}: {fault}")).collect())
            }
        }
    }

    /// Whether the last read has shown which policy is the newest.
    pub async fn is_confirmed(&self) -> bool {
        let State { confirmed, last, .. } = &*self.state.lock().await;
        let last = last.as_ref().map(|(asked, _)| *asked);
        confirmed.zip(last).is_some_and(|(confirmed, asked)| confirmed.monotonic() >= asked.monotonic())
    }

    /// The commit of the last policy that could be used, if the Hub keeps it.
    pub async fn commit(&self) -> Option<String> {
        let State { known, .. } = &*self.state.lock().await;
        known.as_ref().and_then(|known| known.policy.commit()).map(str::to_owned)
    }

    /// Makes the next event ask for the policy at once, because a push has changed it.
    pub async fn expire(&self) {
        self.state.lock().await.last = None;
    }
}

impl State {
    /// Chooses the policy to use after it was asked for at `asked`. `Ok(None)` means that it has not changed.
    fn settle(&mut self, read: Result<Option<Known>, Unusable>, asked: Moment) -> Arc<Policy> {
        let Unusable { faults, commit, is_outage } = match read {
            Ok(new) => {
                if let Some(new) = new {
                    let policy = &new.policy;
                    tracing::info!(commit = policy.commit(), policy = policy.fingerprint(), "policy read");
                    log_unreadable_lists(policy);
                    self.known = Some(new);
                }
                self.confirmed = Some(asked);
                match &self.known {
                    Some(known) => return Arc::clone(&known.policy),
                    None => Unusable::of("it was not read".to_owned()),
                }
            }
            Err(unusable) => unusable,
        };
        // A fault may quote an address from the policy.
        let why = redact(&faults.join("; "), &[]);
        let age = self.confirmed.map(|confirmed| confirmed.age_at(asked));
        if let (true, Some(known), Some(age)) = (is_outage, &self.known, age)
            && age <= MAX_OUTAGE
        {
            tracing::warn!(
                error = why,
                commit = known.policy.commit(),
                age_s = age.as_secs(),
                "the policy cannot be read again; the last one is used"
            );
            return Arc::clone(&known.policy);
        }
        self.known = None;
        tracing::error!(commit, error = why, "the policy cannot be used, so everybody is held");
        Arc::new(Policy::unusable(&why).at_commit(commit.as_deref()))
    }
}

/// Logs the lists that cannot be read.
pub fn log_unreadable_lists(policy: &Policy) {
    for (list, entries) in policy.lists() {
        if let Err(error) = entries {
            tracing::warn!(list, error, commit = policy.commit(), "a list of the policy cannot be read");
        }
    }
}
