//! The arguments of `deploy`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::deploy::settings::DEFAULT_PATH;

/// Deploy the function to AWS, with its schedule, alarms and webhook
///
/// It reads doorman.toml, which `doorman deploy init` writes, shows what it will do, and asks. Then it makes, in your account: a secret
/// with the token, a private bucket with the code, and a stack with the function, its URL, the schedule of sweeps, alarms and a dashboard.
/// On the Hub it makes a webhook. At the end it tests the function. It uses the `aws` command, with its credentials.
///
/// Each step first looks which parts exist already, so the command can be repeated: after a change of the settings or the policy, for a
/// new version, or after an interruption. It writes the plan, and then a line for each step that is done, with tabs between the cells in
/// a pipe. If DRY_RUN is true, nothing is changed.
// Each is an option of the command line.
#[allow(clippy::struct_excessive_bools)]
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  doorman deploy init
  doorman deploy --dry-run
  doorman deploy --yes
  doorman deploy --destroy"
)]
pub struct DeployArguments {
    #[command(subcommand)]
    pub command: Option<DeployCommand>,
    /// File with the settings
    #[arg(long, value_name = "FILE", default_value = DEFAULT_PATH)]
    pub settings: PathBuf,
    /// Zip of the function, instead of the one that came with this program
    #[arg(long, value_name = "FILE")]
    pub zip: Option<PathBuf>,
    /// Replace the token that AWS keeps with that of HF_TOKEN
    #[arg(long, conflicts_with = "destroy")]
    pub replace_token: bool,
    /// Show what would be done, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Remove what was deployed: the webhook, the stack, the topic, the bucket and the secret. The log and the policy on the Hub stay
    #[arg(long)]
    pub destroy: bool,
    /// Do not ask. A deployment of other repos under the same name is then neither replaced nor removed
    #[arg(long, short)]
    pub yes: bool,
}

#[derive(Debug, Subcommand)]
pub enum DeployCommand {
    Init(InitArguments),
}

/// Ask for the settings of a deployment, check each answer, and write doorman.toml
///
/// Each answer is checked at once: the repos on the Hub and their gates, the policy, and the rights of the token. An answer can also be
/// given as an option. The file contains no secret. A file that is there is not overwritten.
#[derive(Debug, Default, Args)]
#[command(after_help = "\
Examples:
  doorman deploy init
  doorman deploy init --repos 'acme/*' --policy policy.toml --region eu-central-1 --alarms ''")]
pub struct InitArguments {
    /// Repos, separated by commas or blanks, as in REPOS
    #[arg(long, value_name = "REPOS")]
    pub repos: Option<String>,
    /// Policy: a file, hf://datasets/OWNER/NAME/FILE, or an ARN
    #[arg(long, value_name = "PLACE")]
    pub policy: Option<String>,
    /// Place on the Hub to which the policy is pushed if it has list files, or is too long for the function's configuration
    #[arg(long, value_name = "PLACE")]
    pub push_to: Option<String>,
    /// Token: HF_TOKEN for the token of the environment or of `hf auth login`, or the ARN of a secret that holds it
    #[arg(long, value_name = "SOURCE")]
    pub token: Option<String>,
    /// E-mail address that gets alarms, or the ARN of a topic of SNS, or none
    #[arg(long, value_name = "ADDRESS")]
    pub alarms: Option<String>,
    /// Region of AWS, such as eu-central-1
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
    /// File to write
    #[arg(long, value_name = "FILE", default_value = DEFAULT_PATH)]
    pub settings: PathBuf,
}
