//! The Hub's rate limit: what its headers say, and the budget of calls that follows from it.

mod budget;
mod headers;

pub use budget::LimitStatus;
pub(super) use budget::{Budget, CallInFlight};
pub(super) use headers::{Bucket, RateLimitHeaders};
