//! Pages: when the next one is requested, and which pages are in memory.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};

use tokio::time::{Instant, sleep_until};

use super::Review;
use super::conclude::{MAX_BACK_OFF, wait_too_long};
use super::decide::TIME_TO_DECIDE;
use super::reading::{BetweenReadings, Next, NextPage, PageRead, Reading};
use crate::hub::{HubError, MAX_BATCH, MAX_PAGE, Moment, Page, PagePermit, Problem, RepoCalls};
use crate::model::AccessRequest;
use crate::policy::Policy;
use crate::report::Failure;
use crate::report::audit::Step;

/// The most requests that may wait to be decided or written when a further page is requested. It is enough to keep all calls
/// in flight busy while a page is read. More would take memory, and be older when they are written.
pub(super) fn max_ahead(concurrency: usize) -> usize {
    (2 * MAX_PAGE).min(concurrency * MAX_BATCH * 5 / 2)
}

/// The reading of the list, and the pages that are in memory.
pub(super) struct Pages<'a> {
    pub(super) reading: Reading,
    pub(super) in_memory: VecDeque<PageInMemory>,
    /// One permit for each page's worth of requests that are not decided or not written.
    permits: Vec<PagePermit<'a>>,
    /// If the list could not be read to its end: why.
    pub(super) ended: Option<ReadingEnded>,
    /// The last reading in which the pages were made smaller because a page became too old before all of it was written.
    pub(super) shrunk_in: u32,
    hasher: RandomState,
}

/// The requests of a page that are not decided yet.
pub(super) struct PageInMemory {
    pub(super) requested: Moment,
    /// Whether it was too old to be decided when both it and the policy were there.
    pub(super) is_late: bool,
    /// The number of the reading that it belongs to.
    pub(super) reading: u32,
    /// Until when its requests are decided. The second half of the time until the deadline is for writing.
    pub(super) decide_until: Instant,
    pub(super) requests: VecDeque<AccessRequest>,
}

impl PageInMemory {
    /// Prepares the page to be decided by this policy from `now` on.
    pub(super) fn prepare(&mut self, policy: &Policy, now: Moment) {
        self.is_late = self.requested.age_at(now) > TIME_TO_DECIDE;
        if policy.may_be_slow() && !self.requests.is_empty() {
            // A run may not have the time to decide all requests. So each run begins with another one.
            self.requests.rotate_left(fastrand::usize(..self.requests.len()));
        }
    }
}

/// Why the list was not read to its end.
pub(super) struct ReadingEnded {
    pub(super) why: Failure,
    /// Whether the list could be read again only after the deadline, and that is a long wait.
    pub(super) is_wait: bool,
}

impl From<Failure> for ReadingEnded {
    fn from(why: Failure) -> Self {
        Self { why, is_wait: false }
    }
}

impl ReadingEnded {
    pub(super) fn out_of_time() -> Self {
        Failure::from(HubError::new("GET", Problem::OutOfTime)).into()
    }
}

/// Reads a page once its time has come and there is a permit for it.
pub(super) async fn read_page<'a>(
    calls: &RepoCalls<'a>,
    page: NextPage,
    permit: Option<PagePermit<'a>>,
) -> Result<(PagePermit<'a>, Page), HubError> {
    let NextPage { url, limit, from } = page;
    // Even a sleep until now may take a millisecond, in which another review would get the permit first.
    if from > Instant::now() {
        sleep_until(from).await;
    }
    let permit = match permit {
        Some(permit) => permit,
        None => calls.acquire_page_permit().await?,
    };
    Ok((permit, calls.pending(url, limit).await?))
}

impl Pages<'_> {
    pub(super) fn new() -> Self {
        Self {
            reading: Reading::new(),
            in_memory: VecDeque::new(),
            permits: Vec::new(),
            ended: None,
            shrunk_in: 0,
            hasher: RandomState::new(),
        }
    }

    /// The number of requests in memory that are not decided yet.
    pub(super) fn undecided(&self) -> usize {
        self.in_memory.iter().map(|page| page.requests.len()).sum()
    }
}

impl<'a> Review<'a> {
    /// The page to request next, if any, not before `earliest`. It comes with a permit if one is free now.
    pub(super) fn next_page(
        &mut self,
        calls: &RepoCalls<'a>,
        earliest: Instant,
    ) -> Option<(NextPage, Option<PagePermit<'a>>)> {
        let permit = calls.try_acquire_page_permit();
        // A review that has a permit does not wait for another one: two such reviews would wait for each other forever.
        if permit.is_none() && !self.pages.permits.is_empty() {
            return None;
        }
        let page = self.choose_page(max_ahead(self.hub.concurrency()))?;
        let from = page.from.max(earliest);
        // No permit is kept while the page has to wait.
        let permit = permit.filter(|_| from <= Instant::now());
        Some((NextPage { from, ..page }, permit))
    }

    fn choose_page(&mut self, max_ahead: usize) -> Option<NextPage> {
        if self.pages.ended.is_some() || self.has_all_choices() {
            return None;
        }
        let now = Instant::now();
        let ahead = self.pages.undecided() + self.writes.queue.len();
        let linked = if ahead <= max_ahead { self.pages.reading.next_linked(now) } else { None };
        let is_read = !self.pages.reading.has_next() && ahead == 0 && self.writes.results.is_empty();
        let next = match linked {
            Some(page) => Next::Read(page),
            None if is_read => self.next_after_reading(now)?,
            None => return None,
        };
        let page = match next {
            Next::Read(page) => self.check_wait(page, now),
            Next::End(Ok(())) => return None,
            Next::End(Err(why)) => Err(Failure::Other(why.to_owned()).into()),
        };
        page.map_err(|ended| self.pages.ended = Some(ended)).ok()
    }

    /// Whether a person has decided these requests, and each has its outcome or is being written. Then the rest of the list does not
    /// matter.
    fn has_all_choices(&self) -> bool {
        let found = self.report.counts.listed as usize + self.writes.unwritten;
        self.mode.choices().is_some_and(|choices| found >= choices.len())
    }

    /// Chooses the next step after a reading, once all of its requests are decided. The next reading may begin before the last writes
    /// have a response, but only if the requests that stay listed fit into one page.
    fn next_after_reading(&mut self, now: Instant) -> Option<Next> {
        let Self { pages, ledger, writes, .. } = self;
        let reading = &mut pages.reading;
        let again_from = if writes.unwritten > 0 {
            if !reading.may_begin_early() || ledger.held() + writes.unwritten >= MAX_PAGE {
                return None;
            }
            Some(now)
        } else {
            let again = ledger.next_reading_from(reading.number, reading.began.unwrap_or(now), now);
            again.map(|from| writes.not_before.take().map_or(from, |not_before| from.max(not_before)))
        };
        let next = reading.next(BetweenReadings { now, again_from, settles_at: ledger.settles_at() });
        if !matches!(next, Next::End(_)) || !self.brake.is_counting() {
            return Some(next);
        }
        Some(self.next_after_counting(now).unwrap_or(next))
    }

    /// Ends the counting of a list of several pages. If any of the counted decisions has to be written, the list is read again,
    /// because its pages are too old by now. That is so even if the end of the list is unproven: the writes shorten it.
    fn next_after_counting(&mut self, now: Instant) -> Option<Next> {
        if self.mode.is_dry() {
            self.end_counting();
            return None;
        }
        let has_writes = self.brake.has_writes();
        self.brake.end_counting();
        has_writes.then(|| self.pages.reading.again(now))
    }

    /// Ends the reading if the page can be requested only after the deadline, or only after a long wait without progress.
    fn check_wait(&mut self, page: NextPage, now: Instant) -> Result<NextPage, ReadingEnded> {
        if now >= self.deadline {
            return Err(ReadingEnded::out_of_time());
        }
        let wait = page.from.saturating_duration_since(now);
        if !self.pages.reading.add_wait(wait) || page.from >= self.deadline {
            let why = Failure::Other(wait_too_long(wait));
            return Err(ReadingEnded { why, is_wait: wait > MAX_BACK_OFF });
        }
        Ok(page)
    }

    /// Adds a page that was read, or ends the reading if it could not be read.
    pub(super) fn add_page(&mut self, page: Result<(PagePermit<'a>, Page), HubError>) {
        let (permit, page) = match page {
            Ok(read) => read,
            Err(error) => return self.pages.ended = Some(Failure::from(error).into()),
        };
        self.pages.permits.push(permit);
        if self.pages.reading.number == 1 {
            (self.report_step)(Step::Listed(page.requests.len()));
        }
        let Page { requests, entries, next, url, limit, requested } = page;
        let took = requested.age_at(self.hub.now());
        let times = || requests.iter().filter_map(|request| request.requested_at);
        let entry =
            |request: &AccessRequest| (self.ledger.key(request).map(|key| key.request), request.requested_at);
        let entries_read: Vec<_> = requests.iter().map(entry).collect();
        let read = self.pages.reading.add(PageRead {
            url,
            next,
            is_full: entries >= limit,
            is_sorted: times().is_sorted() || times().is_sorted_by(|one, next| one >= next),
            fingerprint: self.pages.hasher.hash_one(&entries_read),
            oldest: times().min(),
            newest: times().max(),
            requested: requested.monotonic(),
            took,
        });
        self.brake.note_page(self.pages.reading.is_whole_list());
        if let Err(why) = read {
            self.pages.ended = Some(Failure::Other(why).into());
        }
        self.ledger.forget_recent_writes(requested.monotonic());
        let now = Instant::now();
        let decide_until = now + self.deadline.saturating_duration_since(now) / 2;
        let (reading, requests) = (self.pages.reading.number, requests.into());
        let mut page = PageInMemory { requested, is_late: false, reading, decide_until, requests };
        if let Some(policy) = &self.policy {
            page.prepare(policy, self.hub.now());
        }
        self.pages.in_memory.push_back(page);
    }

    /// Releases the permits of the requests that are decided and written.
    pub(super) fn release_page_permits(&mut self) {
        let in_memory = self.pages.undecided() + self.writes.unwritten;
        self.pages.permits.truncate(in_memory.div_ceil(MAX_PAGE));
    }
}
