//! Which page is read next: one pass over the list after another, until no request can have been skipped. This is a pure state
//! machine: it does no I/O, never waits, and does not look at single requests.

use std::collections::HashSet;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use reqwest::Url;
use tokio::time::Instant;

use crate::hub::{PAGE, list_from};

/// The fewest entries that are requested in a page.
const SMALLEST_PAGE: usize = 10;

/// A page that takes longer to read than this makes the next page be requested with fewer entries.
const SLOW_PAGE: Duration = Duration::from_secs(1);

/// The most passes in a row in which no request is decided and no write succeeds.
const MAX_IDLE_PASSES: u32 = 10;

/// What the review reports of a page that it has read.
#[derive(Debug)]
pub(super) struct PageRead {
    pub(super) url: Url,
    /// Where the next page is, if the Hub says so.
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
    /// How long it took from the request to the end of the answer.
    pub(super) took: Duration,
}

/// What the review knows between two passes, when nothing is left to be decided or written.
#[derive(Clone, Copy, Debug)]
pub(super) struct BetweenPasses {
    pub(super) now: Instant,
    /// If the list has to be read again for some request: the earliest time.
    pub(super) again_from: Option<Instant>,
    /// The time from which the list shows everything that this run has written.
    pub(super) settles_at: Option<Instant>,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Read this page (`None` is the first one) with at most `limit` entries, and not before `from`.
    Read { page: Option<Url>, limit: usize, from: Instant },
    /// The list is read. An error says why requests may have been skipped.
    End(Result<(), &'static str>),
}

/// On which side of a full page without a next link the list is probed for further requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Before,
    After,
}

/// One reading of the list from its first page to its last, and what is carried over to the next reading.
#[derive(Debug)]
pub(super) struct Pass {
    /// 1 for the first one.
    pub(super) number: u32,
    /// When its first page was requested.
    pub(super) began: Option<Instant>,
    pages: usize,
    next: Option<Url>,
    visited: HashSet<Url>,
    /// Whether it found something to write.
    pub(super) wrote: bool,
    /// The fingerprints of the full pages without a next link.
    unlinked: HashSet<u64>,
    /// The pages before and after them that are still to be read.
    probes: Vec<(Side, DateTime<Utc>, Url)>,
    /// The last probe: on which side of a full page it was, and the timestamp at the border.
    probe: Option<(Side, DateTime<Utc>)>,
    /// Whether the probe has shown an entry of about that timestamp. One that does not proves nothing.
    is_border_seen: bool,
    /// Whether nothing proves that the list ends where the last page ends.
    is_unproven: bool,
    limit: usize,
    /// How many passes in a row have brought no progress.
    idle: u32,
}

impl Pass {
    pub(super) fn new() -> Self {
        Self {
            number: 1,
            began: None,
            pages: 0,
            next: None,
            visited: HashSet::new(),
            wrote: false,
            unlinked: HashSet::new(),
            probes: Vec::new(),
            probe: None,
            is_border_seen: false,
            is_unproven: false,
            limit: PAGE,
            idle: 0,
        }
    }

    /// The next page of this pass, if its link is known; the first one to begin with.
    pub(super) fn next_linked(&mut self, now: Instant) -> Option<Next> {
        let is_first = self.pages == 0 && self.began.is_none();
        if !is_first && self.next.is_none() {
            return None;
        }
        self.began.get_or_insert(now);
        Some(Next::Read { page: self.next.take(), limit: self.limit, from: now })
    }

    /// A page was read. An error says why the pass cannot go on.
    pub(super) fn read(&mut self, page: PageRead) -> Result<(), String> {
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

    /// A full page without a next link does not prove that the list ends there: there may be more requests before and after it.
    /// If the page is in another order than that of time, there may be more anywhere.
    fn end_without_link(&mut self, page: &PageRead) {
        let is_new = self.unlinked.insert(page.fingerprint);
        let (Some(oldest), Some(newest), true) = (page.oldest, page.newest, is_new && page.is_sorted) else {
            self.is_unproven = true;
            return;
        };
        let probe = |parameter, at: DateTime<Utc>| {
            list_from(&page.url, parameter, &at.to_rfc3339_opts(SecondsFormat::Millis, true))
        };
        // It is unknown whether `before` and `after` include the time itself, and other requests may have the same timestamp.
        let bit = TimeDelta::milliseconds(1);
        let last = self.probe.map(|(side, _)| side);
        if last != Some(Side::After) {
            self.probes.push((Side::Before, oldest, probe("before", oldest + bit)));
        }
        if last != Some(Side::Before) {
            self.probes.push((Side::After, newest, probe("after", newest - bit)));
        }
    }

    /// The next page is requested with half as many entries, but with at least [`SMALLEST_PAGE`].
    pub(super) fn shrink(&mut self) {
        self.shrink_to(SMALLEST_PAGE);
    }

    /// The next page is requested with half as many entries, but with at least `least`.
    pub(super) fn shrink_to(&mut self, least: usize) {
        self.limit = (self.limit / 2).max(least).min(self.limit);
    }

    /// Whether the link to a further page is known.
    pub(super) fn has_next(&self) -> bool {
        self.next.is_some()
    }

    /// A request was decided or concluded, so the run has not come to a standstill.
    pub(super) fn progress(&mut self) {
        self.idle = 0;
    }

    /// Whether the next pass may begin before the last writes are answered, if the list then fits one page: a single page shows
    /// all requests at the same time. This pass has to have found something to write, and has to have read several pages or one
    /// without a proven end, so that another pass is needed.
    pub(super) fn may_begin_early(&self) -> bool {
        self.wrote && (self.pages > 1 || !self.unlinked.is_empty())
    }

    /// What comes next after all pages of the pass are decided, and the decisions are written.
    pub(super) fn next(&mut self, state: BetweenPasses) -> Next {
        let BetweenPasses { now, again_from, settles_at } = state;
        if let Some(from) = again_from {
            return self.again(from);
        }
        if !self.unlinked.is_empty() && self.wrote {
            return self.again(now);
        }
        if let Some((side, border, page)) = self.probes.pop() {
            (self.probe, self.is_border_seen) = (Some((side, border)), false);
            return Next::Read { page: Some(page), limit: self.limit, from: now };
        }
        // Requests that leave the list while it is read may shift the pages behind them, so that other requests are skipped.
        let unsettled = settles_at.filter(|at| self.began.is_none_or(|began| began < *at));
        if self.pages > 1 && self.wrote {
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

    /// Begins another pass.
    fn again(&mut self, from: Instant) -> Next {
        if self.idle >= MAX_IDLE_PASSES {
            return Next::End(Err("the Hub's list keeps changing; the next run looks again"));
        }
        *self = Self {
            number: self.number + 1,
            began: Some(from),
            limit: self.limit,
            idle: self.idle + 1,
            ..Self::new()
        };
        Next::Read { page: None, limit: self.limit, from }
    }
}
