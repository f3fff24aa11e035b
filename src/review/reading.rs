//! Which page is read next: one reading of the list after another, until no request can have been skipped. This is a pure
//! state machine: it does no I/O, never waits, and does not look at single requests.

use std::collections::HashSet;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use reqwest::Url;
use tokio::time::Instant;

use crate::hub::{MAX_PAGE, first_page_from};

/// The smallest number of entries that is requested in a page.
const MIN_PAGE: usize = 10;

/// If a page takes longer to read than this, the next page is requested with fewer entries.
const SLOW_PAGE: Duration = Duration::from_secs(1);

/// The most readings in a row in which no request is decided and none is concluded.
const MAX_IDLE_READINGS: u32 = 10;

/// The most time that a run waits for its next readings until a request is concluded. The time that calls wait for the rate limit
/// does not count.
const MAX_WAIT: Duration = Duration::from_secs(5 * 60);

/// The properties of a page that matter for the reading.
#[derive(Debug)]
pub(super) struct PageRead {
    pub(super) url: Url,
    /// The URL of the next page, if the Hub gives it.
    pub(super) next: Option<Url>,
    /// Whether it has as many entries as were requested.
    pub(super) is_full: bool,
    /// A hash that is the same for the same entries.
    pub(super) fingerprint: u64,
    /// Whether its entries are in the order of their timestamps.
    pub(super) is_sorted: bool,
    pub(super) oldest: Option<DateTime<Utc>>,
    pub(super) newest: Option<DateTime<Utc>>,
    pub(super) requested: Instant,
    /// The time from the request to the end of the response.
    pub(super) took: Duration,
}

/// The state after a reading, when all of its requests are decided.
#[derive(Clone, Copy, Debug)]
pub(super) struct BetweenReadings {
    pub(super) now: Instant,
    /// If the list has to be read again for some request: the earliest time.
    pub(super) again_from: Option<Instant>,
    /// The time from which the list shows everything that this run has written.
    pub(super) settles_at: Option<Instant>,
}

/// A page to request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NextPage {
    /// `None` is the first page.
    pub(super) url: Option<Url>,
    /// The most entries to request.
    pub(super) limit: usize,
    /// The earliest time of the request.
    pub(super) from: Instant,
}

/// The next step of a review.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// This page has to be read: the first page of the next reading, or a probe page.
    Read(NextPage),
    /// The list is read to its end. An error says why requests may have been skipped.
    End(Result<(), &'static str>),
}

/// The side of a full page without a next link on which a probe page looks for further requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Before,
    After,
}

/// A reading of the list from its first page to its last, and what the next reading takes over from it.
#[derive(Debug)]
pub(super) struct Reading {
    /// 1 for the first reading.
    pub(super) number: u32,
    /// When its first page was requested.
    pub(super) began: Option<Instant>,
    pages: usize,
    next: Option<Url>,
    visited: HashSet<Url>,
    /// Whether it has found a request whose decision has to be written.
    pub(super) has_writes: bool,
    /// The fingerprints of the full pages without a next link.
    unlinked: HashSet<u64>,
    /// The probe pages before and after those, which are still to be read.
    probes: Vec<(Side, DateTime<Utc>, Url)>,
    /// The last probe page: its side of a full page, and the timestamp at the border.
    probe: Option<(Side, DateTime<Utc>)>,
    /// Whether the last probe page has shown an entry of about that timestamp. If it has not, it proves nothing.
    is_border_seen: bool,
    /// Whether it is unproven that the list ends where the last page ends.
    is_unproven: bool,
    limit: usize,
    /// The number of readings in a row without progress.
    idle: u32,
    /// The waits for readings since a request was last concluded.
    waited: Duration,
}

impl Reading {
    pub(super) fn new() -> Self {
        Self {
            number: 1,
            began: None,
            pages: 0,
            next: None,
            visited: HashSet::new(),
            has_writes: false,
            unlinked: HashSet::new(),
            probes: Vec::new(),
            probe: None,
            is_border_seen: false,
            is_unproven: false,
            limit: MAX_PAGE,
            idle: 0,
            waited: Duration::ZERO,
        }
    }

    /// The next page of this reading, if its URL is known. At the beginning of the run, that is the first page.
    pub(super) fn next_linked(&mut self, now: Instant) -> Option<NextPage> {
        let is_first = self.pages == 0 && self.began.is_none();
        if !is_first && self.next.is_none() {
            return None;
        }
        self.began.get_or_insert(now);
        Some(NextPage { url: self.next.take(), limit: self.limit, from: now })
    }

    /// Adds a page that was read. An error says why the reading cannot go on.
    pub(super) fn add(&mut self, page: PageRead) -> Result<(), String> {
        self.pages += 1;
        if self.pages == 1 {
            self.began = Some(page.requested);
        }
        if page.took > SLOW_PAGE {
            self.shrink();
        }
        if let Some((side, border)) = self.probe {
            self.is_border_seen |= match side {
                Side::Before => page.newest >= Some(border),
                Side::After => page.oldest.is_some_and(|oldest| oldest <= border),
            };
            self.is_unproven |= page.next.is_none() && !self.is_border_seen;
        }
        if let Some(next) = page.next {
            if !self.visited.insert(next.clone()) {
                return Err(format!("the pages of {} go in a circle", next.path()));
            }
            self.next = Some(next);
        } else if page.is_full {
            self.end_without_link(&page);
        }
        Ok(())
    }

    /// A full page without a next link does not prove that the list ends there: there may be more requests before and after
    /// it. If the page is not in the order of time, there may be more anywhere.
    fn end_without_link(&mut self, page: &PageRead) {
        let is_new = self.unlinked.insert(page.fingerprint);
        let (Some(oldest), Some(newest), true) = (page.oldest, page.newest, is_new && page.is_sorted) else {
            self.is_unproven = true;
            return;
        };
        let probe = |parameter, at: DateTime<Utc>| {
            first_page_from(&page.url, parameter, &at.to_rfc3339_opts(SecondsFormat::Millis, true))
        };
        // It is unknown whether `before` and `after` include the time itself, and other requests may have the same timestamp.
        let margin = TimeDelta::milliseconds(1);
        let last = self.probe.map(|(side, _)| side);
        if last != Some(Side::After) {
            self.probes.push((Side::Before, oldest, probe("before", oldest + margin)));
        }
        if last != Some(Side::Before) {
            self.probes.push((Side::After, newest, probe("after", newest - margin)));
        }
    }

    /// The next page is requested with half as many entries, but with at least [`MIN_PAGE`].
    pub(super) fn shrink(&mut self) {
        self.shrink_to(MIN_PAGE);
    }

    /// The next page is requested with half as many entries, but with at least `least`.
    pub(super) fn shrink_to(&mut self, least: usize) {
        self.limit = (self.limit / 2).max(least).min(self.limit);
    }

    /// Whether a single page has shown the whole list.
    pub(super) fn is_whole_list(&self) -> bool {
        self.pages == 1 && self.next.is_none() && self.unlinked.is_empty()
    }

    /// Whether the link to a further page is known.
    pub(super) fn has_next(&self) -> bool {
        self.next.is_some()
    }

    /// Notes that a request was decided or concluded.
    pub(super) fn note_progress(&mut self) {
        self.idle = 0;
    }

    /// Notes that a request was concluded, so that the run may wait again.
    pub(super) fn note_conclusion(&mut self) {
        self.waited = Duration::ZERO;
    }

    /// Adds a wait for the next reading. Returns whether the run may wait that long.
    pub(super) fn add_wait(&mut self, wait: Duration) -> bool {
        self.waited += wait;
        self.waited <= MAX_WAIT
    }

    /// Whether the next reading may begin before the last writes have a response. This is so if another reading is needed in
    /// any case: this one has found something to write, and has read several pages, or one without a proven end. The caller
    /// makes sure that the list fits into one page then, because a single page shows all requests at the same time.
    pub(super) fn may_begin_early(&self) -> bool {
        self.has_writes && (self.pages > 1 || !self.unlinked.is_empty())
    }

    /// Chooses the next step, after all requests of this reading are decided.
    pub(super) fn next(&mut self, state: BetweenReadings) -> Next {
        let BetweenReadings { now, again_from, settles_at } = state;
        if let Some(from) = again_from {
            return self.again(from);
        }
        if !self.unlinked.is_empty() && self.has_writes {
            return self.again(now);
        }
        if let Some((side, border, url)) = self.probes.pop() {
            (self.probe, self.is_border_seen) = (Some((side, border)), false);
            return Next::Read(NextPage { url: Some(url), limit: self.limit, from: now });
        }
        // Requests that leave the list while it is read shift the pages behind them, so that other requests may be skipped.
        let unsettled = settles_at.filter(|at| self.began.is_none_or(|began| began < *at));
        if self.pages > 1 && self.has_writes {
            return self.again(now);
        }
        if let Some(settles_at) = unsettled.filter(|_| self.pages > 1 || self.is_unproven) {
            return self.again(settles_at);
        }
        Next::End(if self.is_unproven {
            Err(
                "the Hub's list ends with a full page, so more requests may be listed behind it; decide some held requests on the Hub, so that \
                 the next run can read the rest",
            )
        } else {
            Ok(())
        })
    }

    /// Begins another reading.
    pub(super) fn again(&mut self, from: Instant) -> Next {
        if self.idle >= MAX_IDLE_READINGS {
            return Next::End(Err("the Hub's list keeps changing; the next run looks again"));
        }
        *self = Self {
            number: self.number + 1,
            began: Some(from),
            limit: self.limit,
            idle: self.idle + 1,
            waited: self.waited,
            ..Self::new()
        };
        Next::Read(NextPage { url: None, limit: self.limit, from })
    }
}
