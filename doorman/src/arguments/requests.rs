//! The options of the commands that show requests: `plan`, `list` and `desk`.

use clap::{Args, ValueEnum};
use hub_doorman::model::{Repo, Status};

use super::{Format, ReviewArguments, Scope, values};
use crate::repos;

#[derive(Debug, Args)]
pub struct PlanArguments {
    #[command(flatten)]
    pub review: ReviewArguments,
    /// Show the answers of each request, too
    #[arg(long)]
    pub answers: bool,
}

#[derive(Debug, Args)]
pub struct ListArguments {
    /// Repo: `acme/model`, `datasets/acme/corpus`, or the URL of a page of it
    #[arg(value_parser = repos::parse_one, required_unless_present = "held")]
    pub repo: Option<Repo>,
    /// List to show
    #[arg(long, value_enum, default_value_t = ListOf::Pending)]
    pub status: ListOf,
    /// Show the requests that the policy holds, and why
    #[arg(long, conflicts_with = "status")]
    pub held: bool,
    /// With --held: read the policy from this place instead of APPROVAL_POLICY
    #[arg(long, value_name = "PLACE", requires = "held")]
    pub policy: Option<String>,
    /// Show only users whose name begins with this text
    #[arg(long, value_name = "TEXT", value_parser = values::search)]
    pub search: Option<String>,
    #[command(flatten)]
    pub format: Format,
}

#[derive(Debug, Args)]
pub struct DeskArguments {
    #[command(flatten)]
    pub scope: Scope,
    /// Port to listen on. By default, the system chooses a free one
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    pub port: u16,
    /// Print the address without opening it
    #[arg(long)]
    pub no_browser: bool,
}

/// One of the four lists of a repo.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum ListOf {
    Pending,
    Accepted,
    Rejected,
    Reset,
}

impl From<ListOf> for Status {
    fn from(list: ListOf) -> Self {
        match list {
            ListOf::Pending => Self::Pending,
            ListOf::Accepted => Self::Accepted,
            ListOf::Rejected => Self::Rejected,
            ListOf::Reset => Self::Reset,
        }
    }
}
