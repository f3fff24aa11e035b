//! An event becomes a [`Trigger`]: the repos to review. A trigger only starts a review. Nothing in it decides a request.
//!
//! A webhook's secret is verified first, and only a verified payload can be parsed.

pub mod mail;
mod order;
pub mod schedule;
pub mod webhook;

use crate::model::{Repo, RepoPattern};

/// The run that an event asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// Review this repo.
    Review(Repo),
    /// Sweep the repos that these patterns match.
    Sweep(Vec<RepoPattern>),
    /// Sweep all repos that `REPOS` names.
    SweepAll,
    /// Review the repos that these mails name, or all repos that `REPOS` names. Each mail has to be verified first.
    Mails(Vec<Result<mail::Received, mail::Refused>>),
    /// Send the digest.
    Digest,
    /// Do nothing. The text says why.
    Ignore(&'static str),
}
