//! The arguments of `digest`.

use clap::Args;

use super::Scope;

/// Show who is held, in Markdown, or send it to DIGEST_TO
///
/// It names the people who have waited longest, up to 50, each with the repo, the time, the rule and the cause, and counts the
/// decisions since yesterday. It changes nothing on the Hub, and shows no address and no answer.
///
/// With --send it is sent to each destination of DIGEST_TO, separated by white space: ARNs of SNS topics, URLs of webhooks (Slack,
/// Discord, Teams, Mattermost and others), and ARNs of secrets that hold such a URL. If nobody has to do anything, it is sent on
/// Mondays only.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit status: 0 the digest was written or sent, 1 a list could not be read or a destination failed, 2 the command line or \
the environment is invalid.

Examples:
  doorman digest >> digest.md
  DIGEST_TO=https://hooks.slack.com/services/… doorman digest --send 'acme/*'")]
pub struct DigestArguments {
    #[command(flatten)]
    pub scope: Scope,
    /// Send it to DIGEST_TO
    #[arg(long)]
    pub send: bool,
}
