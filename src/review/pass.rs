//! Which page is read next: one pass over the list after another, until nobody can have been skipped. It does no I/O, knows no
//! request, and waits for nothing.

use std::collections::HashSet;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use reqwest::Url;
use tokio::time::Instant;

use crate::hub::{PAGE, list_from};

/// The fewest entries that the Hub gives in a page, if it is asked for so few.
const SMALLEST_PAGE: usize = 10;

/// The longest that reading the body of a page may take before the next page is requested with fewer entries.
const SLOW_BODY: Duration = Duration::from_secs(1);

/// The most passes in a row that bring nothing to an end.
const MAX_IDLE: u32 = 10;

/// What the review tells of a page that it has read.
#[derive(Debug)]
pub(super) struct PageRead {
    pub(super) url: Url,
    /// The first page of a pass, whatever its URL.
    pub(super) next: Option<Url>,
    /// Whether it has as many entries as were requested.
    pub(super) is_full: bool,
    /// The same for the same entries.
    pub(super) fingerprint: u64,
    pub(super) oldest: Option<DateTime<Utc>>,
    pub(super) newest: Option<DateTime<Utc>>,
    pub(super) requested: Instant,
    pub(super) body_took: Duration,
}

/// What the review knows when nothing of a pass is left to be decided or written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    pub(super) now: Instant,
    /// From when on something has to be looked at again.
    pub(super) again_from: Option<Instant>,
    /// From when on the list shows all that this run has written.
    pub(super) settles: Option<Instant>,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// This page; none is the first one.
    Read { page: Option<Url>, limit: usize, from: Instant },
    /// Nothing: the list is read. Whether nobody can have been skipped, and if not, why.
    End(Result<(), &'static str>),
}

/// To which side of a full page without a next link is looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Before,
    After,
}

/// One reading of the list from its first page to its last; and what is carried over to the next.
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
    /// The full pages without a next link.
    unlinked: HashSet<u64>,
    /// What is left to be looked at before and after them.
    probes: Vec<(Side, Url)>,
    side: Option<Side>,
    is_unproven: bool,
    limit: usize,
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
            side: None,
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
        if page.body_took > SLOW_BODY {
            self.shrink();
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

    /// A full page without a next link is no proof of the end: there may be others before and after it.
    fn end_without_link(&mut self, page: &PageRead) {
        let (Some(oldest), Some(newest), true) =
            (page.oldest, page.newest, self.unlinked.insert(page.fingerprint))
        else {
            self.is_unproven = true;
            return;
        };
        let probe = |side, parameter, at: DateTime<Utc>| {
            (side, list_from(&page.url, parameter, &at.to_rfc3339_opts(SecondsFormat::Millis, true)))
        };
        // Whether the Hub counts the moment itself in is unknown, and others may have the same timestamp.
        let bit = TimeDelta::milliseconds(1);
        if self.side != Some(Side::After) {
            self.probes.push(probe(Side::Before, "before", oldest + bit));
        }
        if self.side != Some(Side::Before) {
            self.probes.push(probe(Side::After, "after", newest - bit));
        }
    }

    /// A page took too long: the next one is requested with half as many entries.
    pub(super) fn shrink(&mut self) {
        self.shrink_to(SMALLEST_PAGE);
    }

    /// The same, but not below so many.
    pub(super) fn shrink_to(&mut self, least: usize) {
        self.limit = (self.limit / 2).max(least).min(self.limit);
    }

    /// Whether the link to a further page is known.
    pub(super) fn has_next(&self) -> bool {
        self.next.is_some()
    }

    /// This run has come nearer to its end.
    pub(super) fn progress(&mut self) {
        self.idle = 0;
    }

    /// Whether the pass was over several pages, wrote, and leaves a list of one page: then the next one may begin before the last
    /// writes are answered, for a single page shows everybody at one moment.
    pub(super) fn may_begin_early(&self) -> bool {
        self.pages > 1 && self.wrote && self.unlinked.is_empty()
    }

    /// All pages of the pass are decided, and what was decided is written. What comes next?
    pub(super) fn next(&mut self, standing: Standing) -> Next {
        let Standing { now, again_from, settles } = standing;
        if let Some(from) = again_from {
            return self.again(from);
        }
        if !self.unlinked.is_empty() && self.wrote {
            return self.again(now);
        }
        if let Some((side, page)) = self.probes.pop() {
            self.side = Some(side);
            return Next::Read { page: Some(page), limit: self.limit, from: now };
        }
        // Requests that leave the list while it is read may shift the pages behind them, so that somebody is skipped.
        let unsettled = settles.filter(|settles| self.began.is_none_or(|began| began < *settles));
        if self.pages > 1 && self.wrote {
            return self.again(now);
        }
        if let Some(settles) = unsettled.filter(|_| self.pages > 1 || self.is_unproven) {
            return self.again(settles);
        }
        Next::End(if self.is_unproven {
            Err("the Hub's list ends with a full page, and nothing proves that nobody is listed behind it")
        } else {
            Ok(())
        })
    }

    /// Begins another pass.
    fn again(&mut self, from: Instant) -> Next {
        if self.idle >= MAX_IDLE {
            return Next::End(Err("the Hub's list does not come to rest; the next run looks again"));
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
