//! The repos, the policy and the options of the commands that show or decide requests.

use clap::{Args, ValueEnum};
use hub_doorman::model::{Repo, RepoPattern, Status};

use super::{Format, values};
use crate::repos;

/// The repos and the policy of a command.
#[derive(Debug, Args)]
pub struct Scope {
    /// Repos to use instead of those of REPOS
    #[arg(value_name = "REPO", value_parser = repos::parse)]
    pub repos: Vec<RepoPattern>,
    /// Leave out this repo. Repeat the option for several
    #[arg(long, value_name = "REPO", value_parser = repos::parse_one)]
    pub exclude: Vec<Repo>,
    /// Read the policy from this place instead of APPROVAL_POLICY: a file, hf://datasets/OWNER/NAME/FILE, or an ARN
    #[arg(long, value_name = "PLACE")]
    pub policy: Option<String>,
}

impl Scope {
    /// Another command on the same repos with the same policy, as a person types it.
    pub fn command(&self, name: &str) -> String {
        let mut words = vec!["doorman".to_owned(), name.to_owned()];
        words.extend(self.policy.iter().flat_map(|policy| ["--policy".to_owned(), policy.clone()]));
        words.extend(self.exclude.iter().flat_map(|repo| ["--exclude".to_owned(), repo.to_string()]));
        words.extend(self.repos.iter().map(ToString::to_string));
        // A word with a NUL cannot be quoted, but no argument has one.
        shlex::try_join(words.iter().map(String::as_str)).unwrap_or_default()
    }
}

#[derive(Debug, Args)]
pub struct ReviewArguments {
    #[command(flatten)]
    pub scope: Scope,
    /// Write the report as JSON, with all decisions
    #[arg(long)]
    pub json: bool,
}

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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::{Arguments, Command};

    #[test]
    fn next_command_has_the_same_policy_and_repos() {
        let words = [
            "doorman",
            "plan",
            "--policy",
            "my policy.toml",
            "--exclude",
            "acme/old",
            "acme/*",
            "datasets/acme/corpus",
        ];
        let Command::Plan(plan) = Arguments::parse_from(words).command else { panic!("not a plan") };
        let expected =
            "doorman review --policy 'my policy.toml' --exclude acme/old 'acme/*' datasets/acme/corpus";
        assert_eq!(plan.review.scope.command("review"), expected);
    }
}
