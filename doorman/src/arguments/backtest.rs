//! The arguments of `backtest`.

use chrono::{DateTime, Utc};
use clap::Args;

use super::{Scope, values};

/// Show how the policy would have decided the requests that people have decided
///
/// It reads the lists of accepted, rejected and reset requests, and changes nothing. The policy decides each request as of the time
/// at which a person decided it. All other data, such as the organizations of a user and the lists of the policy, is as of today.
///
/// On a terminal it shows a table for each repo, and then the requests that the policy would decide otherwise, with the rule: first
/// those that it would accept although a person did not, last those that it would hold. In a pipe it writes one line for each of
/// these requests, with tabs between the cells: repo, user, time of the decision, status, verdict, rule, why. The table goes to the
/// standard error.
///
/// Users who got access without a request are left out. They have no answers and no address for the policy to read.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  doorman backtest --policy policy.toml acme/model
  doorman backtest --since 2026-10-01 --by-others 'acme/*'
  doorman backtest acme/model | awk -F'\\t' '$4 != \"accepted\" && $5 == \"accept\" {print $2}'")]
pub struct BacktestArguments {
    #[command(flatten)]
    pub scope: Scope,
    /// Leave out requests that were decided before this day, or before this time: `2026-10-01`, `2026-10-01T08:00:00Z`
    #[arg(long, value_name = "DATE", value_parser = values::since)]
    pub since: Option<DateTime<Utc>>,
    /// Leave out users to whom the account of HF_TOKEN gave access
    #[arg(long)]
    pub by_others: bool,
    /// Write the tables and all differences as JSON
    #[arg(long)]
    pub json: bool,
}
