//! The arguments of `policy`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use hub_doorman::model::{Repo, RepoPattern};

use super::values;
use crate::repos;

#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Write a first policy for a repo, with a rule for each question of its form, and cases that test it
    ///
    /// It reads the form and writes policy.toml and policy.cases.json to the current directory. A file that is there is not
    /// overwritten. The policy accepts nobody until you add rules that accept.
    #[command(after_help = "\
Examples:
  doorman policy init acme/model
  doorman policy init --print datasets/acme/corpus | less")]
    Init {
        /// Repo: `acme/model`, `datasets/acme/corpus`, or the URL of a page of it
        #[arg(value_parser = repos::parse_one)]
        repo: Repo,
        /// Write the policy to the standard output instead
        #[arg(long)]
        print: bool,
    },
    /// Show the policy that is in force: its place and commit, its rules, and how many entries its lists have
    ///
    /// In a pipe it writes one line for each part, with tabs between the cells. The first cell says what the part is: place, commit,
    /// policy (its fingerprint, as in the log), default, paused, limit, list or rule.
    #[command(after_help = "\
Examples:
  doorman policy show
  doorman policy show hf://datasets/acme/doorman/policy.toml
  doorman policy show --json policy.toml | jq '.lists[] | select(.error)'")]
    Show {
        /// Show the policy at this place instead of APPROVAL_POLICY: a file, hf://datasets/OWNER/NAME/FILE, or an ARN
        place: Option<String>,
        /// Write JSON
        #[arg(long)]
        json: bool,
    },
    Diff(DiffArguments),
    Push(PushArguments),
    /// Write the JSON Schema of policies, for editors that check and complete TOML and JSON
    #[command(after_help = "\
Example:
  doorman policy schema > policy.schema.json

Name the file in the first line of a policy in TOML:
  #:schema policy.schema.json
or at the beginning of a policy in JSON:
  {\"$schema\": \"policy.schema.json\", …")]
    Schema,
}

/// Show which pending requests two policies decide differently
///
/// It reads the pending requests once and changes nothing. A request is shown if it gets another verdict, or another reason that the
/// Hub shows the requester. In a pipe it writes one line for each of these requests, with tabs between the cells: repo, user, time of
/// the request, verdict of A, verdict of B, why in A, why in B.
///
/// A and B are places of policies: a file, hf://datasets/OWNER/NAME/FILE, or an ARN. A revision behind NAME is an older policy:
/// hf://datasets/acme/doorman@COMMIT/policy.toml.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  doorman policy diff hf://datasets/acme/doorman/policy.toml policy.toml
  doorman policy diff old.toml new.toml 'acme/*' | awk -F'\\t' '$5 == \"reject\" {print $2}'")]
pub struct DiffArguments {
    /// Policy to compare with, such as the one in force
    pub a: String,
    /// Other policy, such as a new one
    pub b: String,
    /// Repos to read instead of those of REPOS
    #[arg(value_name = "REPO", value_parser = repos::parse)]
    pub repos: Vec<RepoPattern>,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Commit a policy and its lists to a private repo on the Hub
///
/// It first checks the policy, and tests it with the cases beside it: those of policy.cases.json for policy.toml. If the policy has a
/// fault, a list that cannot be read, or a case that fails, nothing is pushed. The policy and the files of its lists become one commit.
/// If somebody else has pushed meanwhile, nothing is overwritten. If DRY_RUN is true, nothing is pushed.
///
/// A form's script may have added entries to a list on the Hub. If the push would remove entries, nothing is pushed. Download the newer
/// file first, or use --remove-entries.
///
/// It writes one line, with tabs between the cells in a pipe: pushed or unchanged; the place; the commit.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  doorman policy push --create policy.toml hf://datasets/acme/doorman/policy.toml
  APPROVAL_POLICY=hf://datasets/acme/doorman/policy.toml doorman policy push policy.toml")]
pub struct PushArguments {
    /// File with the policy
    pub policy: PathBuf,
    /// Place on the Hub, hf://datasets/OWNER/NAME/FILE, instead of that of APPROVAL_POLICY
    pub place: Option<String>,
    /// File with the cases, instead of the one beside the policy
    #[arg(long, value_name = "FILE")]
    pub cases: Option<PathBuf>,
    /// Create the repo if there is none. It is private
    #[arg(long)]
    pub create: bool,
    /// Push also if lists on the Hub lose entries
    #[arg(long)]
    pub remove_entries: bool,
    /// Message of the commit
    #[arg(long, short, value_name = "TEXT", value_parser = values::message)]
    pub message: Option<String>,
}
