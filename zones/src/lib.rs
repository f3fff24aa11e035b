//! The part of the crate `chrono-tz` that `cel` uses, with the tables of the crate `jiff`.
//!
//! The tables of the real `chrono-tz` have 29,000 addresses. The loader of a position-independent binary writes each of them before
//! `main` runs. That took a quarter of the function's start, and 1.2 MB of its memory. The tables of `jiff` are plain bytes, which
//! are read only if a rule names a zone.

use std::str::FromStr;

use chrono::{FixedOffset, LocalResult, NaiveDate, NaiveDateTime, Offset, TimeZone};
use jiff::Timestamp;
use jiff::tz::TimeZoneDatabase;

/// A time zone of the IANA database.
#[derive(Clone, Debug)]
pub struct Tz(jiff::tz::TimeZone);

/// Coordinated Universal Time.
pub const UTC: Tz = Tz(jiff::tz::TimeZone::UTC);

impl FromStr for Tz {
    type Err = jiff::Error;

    /// Finds a zone by its name, such as `Europe/Paris`. Case is ignored.
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        TimeZoneDatabase::bundled().get(name).map(Self)
    }
}

/// The offset of a zone from UTC at one time.
#[derive(Clone, Debug)]
pub struct TzOffset(Tz, FixedOffset);

impl Offset for TzOffset {
    fn fix(&self) -> FixedOffset {
        self.1
    }
}

impl TimeZone for Tz {
    type Offset = TzOffset;

    fn from_offset(offset: &TzOffset) -> Self {
        offset.0.clone()
    }

    fn offset_from_utc_datetime(&self, utc: &NaiveDateTime) -> TzOffset {
        // The last time that `jiff` knows is on 9999-12-30. Times of chrono may be later.
        let time = utc.and_utc().timestamp().clamp(Timestamp::MIN.as_second(), Timestamp::MAX.as_second());
        let seconds = Timestamp::from_second(time).map_or(0, |time| self.0.to_offset(time).seconds());
        TzOffset(self.clone(), FixedOffset::east_opt(seconds).unwrap_or(chrono::Utc.fix()))
    }

    fn offset_from_utc_date(&self, utc: &NaiveDate) -> TzOffset {
        self.offset_from_utc_datetime(&utc.and_time(chrono::NaiveTime::MIN))
    }

    fn offset_from_local_datetime(&self, _: &NaiveDateTime) -> LocalResult<TzOffset> {
        LocalResult::None
    }

    fn offset_from_local_date(&self, _: &NaiveDate) -> LocalResult<TzOffset> {
        LocalResult::None
    }
}
