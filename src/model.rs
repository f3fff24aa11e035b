//! The vocabulary of this project as plain data: repos, access requests, verdicts, decisions and outcomes.
//!
//! Nothing here does I/O or depends on the formats of the Hub or of AWS.

mod decision;
mod name;
mod pattern;
mod repo;
mod request;

pub use decision::{Decision, Grounds, Outcome, Verdict};
pub use name::Name;
pub use pattern::RepoPattern;
pub use repo::{InvalidRepoName, Repo, RepoType};
pub use request::{AccessRequest, Identity, Status, User};
pub(crate) use request::{MAX_LIST, MAX_NAME, MAX_TEXT};
