//! The arguments of `policy`.

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
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
