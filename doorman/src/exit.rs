//! How a command ends: its exit status, and the error for a command that could not start.

use std::process::ExitCode;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// Everything is done.
    Complete,
    /// A call or a decision failed.
    Failed,
    /// The command line or the environment is invalid. Nothing was done.
    UsageError,
    /// Some requests are left for the next run.
    Incomplete,
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(match status {
            ExitStatus::Complete => 0,
            ExitStatus::Failed => 1,
            ExitStatus::UsageError => 2,
            ExitStatus::Incomplete => 3,
        })
    }
}

/// A fault of the command line or the environment that was found before anything was done.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub String);
