//! The command line: commands, options and their help.
// The doc comments are shown on a terminal, which does not hide backticks.
#![allow(clippy::doc_markdown)]

mod backtest;
mod deploy;
mod digest;
mod notify;
mod policy;
mod requests;
pub mod values;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use hub_doorman::model::{Identity, Repo};

use crate::{repos, users};
pub use backtest::BacktestArguments;
pub use deploy::{DeployArguments, DeployCommand, InitArguments};
pub use digest::DigestArguments;
pub use notify::{Notify, NotifyRepos};
pub use policy::{DiffArguments, PolicyCommand, PushArguments};
pub use requests::{DeskArguments, ListArguments, PlanArguments, ReviewArguments, Scope};
pub use values::reason;

/// Decide access requests to gated repos on the Hugging Face Hub.
///
/// doorman reads the same environment variables as the Lambda function: APPROVAL_POLICY, REPOS, HF_TOKEN and others. If HF_TOKEN
/// is not set, it uses the token that `hf auth login` has saved.
#[derive(Debug, Parser)]
#[command(
    name = "doorman",
    version,
    max_term_width = 100,
    after_help = "\
Repos: name a repo as on the Hub, `acme/model` or `datasets/acme/corpus`. `acme/*` stands for all gated repos of a namespace. \
The URL of a page of the repo works, too.

Exit status: 0 everything is done, 1 something failed, 2 the command line or the environment is invalid, 3 something is left \
for the next run.

Examples:
  doorman demo                                  try it, without a token
  doorman check                                 find faults before a deployment
  doorman plan --policy policy.json acme/model  show what a policy would decide
  doorman review --yes                          decide the requests for all repos of REPOS
  doorman revoke acme/model mallory --reason 'The license was broken.'"
)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Try plan, review and list on a stand-in for the Hub: no token is needed, and no data leaves this machine
    #[command(after_help = "Example:\n  doorman demo")]
    Demo,
    /// Show what the policy would decide about each pending request, and why
    ///
    /// This decides as `review` does, and changes nothing. On a terminal it shows a table of requests, and the totals by rule. In a
    /// pipe it writes one line for each request, with tabs between the cells: repo, user, time of the request, verdict, rule, why.
    #[command(after_help = "\
Examples:
  doorman plan --policy policy.json https://huggingface.co/acme/model
  REPOS='acme/*' APPROVAL_POLICY=\"$(cat policy.json)\" doorman plan
  doorman plan --answers acme/model
  doorman plan acme/model | awk -F'\\t' '$4 == \"accept\" {print $2}'")]
    Plan(PlanArguments),
    /// Decide each pending request, and write the decisions to the Hub
    ///
    /// On a terminal it first shows what it will do, with the names of the users, and asks. Without a terminal, as under cron, it does
    /// not ask. In a pipe it writes one line for each request, with tabs between the cells: time, repo, user, time of the request,
    /// verdict, rule, why, outcome.
    ///
    /// Without REPO it reviews the repos of REPOS. In a Hugging Face Job that a webhook started, it reviews the repo of
    /// WEBHOOK_PAYLOAD if REPOS covers it. If DRY_RUN is true or the policy is paused, it changes nothing.
    ///
    /// If more requests of a repo would be accepted or rejected than the limits of the policy allow, none of them is. Look at them
    /// with `plan`, and decide them with --beyond-limits.
    #[command(after_help = "\
Exit status: 0 all requests are decided, 1 no request is decided, 2 the command line or the environment is invalid, 3 something \
is left for the next run, or is over a limit of the policy.

Examples:
  doorman review --policy policy.json acme/model
  doorman review --yes --json 'acme/*' | jq '.repos[].accepted'
  doorman review --beyond-limits acme/model")]
    Review {
        #[command(flatten)]
        arguments: ReviewArguments,
        /// Do not ask before writing
        #[arg(long, short)]
        yes: bool,
        /// Also decide requests that are over the limits of the policy
        #[arg(long)]
        beyond_limits: bool,
    },
    Backtest(BacktestArguments),
    Digest(DigestArguments),
    /// Show the requests on a list of a repo, with their answers
    ///
    /// In a pipe it writes one line for each request, with tabs between the cells: user, full name, e-mail address, time of the
    /// request, and each answer after its label. If the repo does not share the user, `request:…` stands for the user. Other
    /// commands take that, too.
    ///
    /// With --held it shows the requests that the policy holds, of one repo or of all repos of REPOS, and why. In a pipe the cells are
    /// then: repo, user, full name, e-mail address, time of the request, rule, why, and the answers.
    #[command(after_help = "\
Examples:
  doorman list acme/model
  doorman list --held
  doorman list acme/model --status accepted --csv > accepted.csv
  doorman list acme/model --search ada --json")]
    List(ListArguments),
    /// Decide the held requests one by one on the terminal
    ///
    /// For each held request this shows why it is held, and the answers, and asks what to do, like `git add -p`. At the end it shows all
    /// decisions, asks, and sends them. A request that has changed meanwhile is not decided. If DRY_RUN is true, nothing is sent.
    #[command(after_help = "\
Examples:
  doorman decide
  doorman decide --policy policy.toml acme/model")]
    Decide(Scope),
    /// Decide the held requests on a page in the browser
    ///
    /// This prints an address, and opens it in the browser. The page shows the held requests of all repos, with the answers, and decides
    /// them. A decision can be undone for five seconds, and is then sent. If you stop the desk earlier, it is not sent.
    ///
    /// The desk is reachable from this machine only, and only by the browser that has opened the address. It stops after an hour without
    /// use. If DRY_RUN is true, nothing is sent.
    #[command(after_help = "\
Examples:
  doorman desk
  doorman desk --policy policy.toml acme/model datasets/acme/corpus
  doorman desk --port 8017 'acme/*'     and on your own machine: ssh -L 8017:127.0.0.1:8017 HOST")]
    Desk(DeskArguments),
    /// Accept requests, whatever their status
    #[command(after_help = "\
Examples:
  doorman accept acme/model ada grace
  doorman list acme/model --search ada | cut -f1 | xargs doorman accept acme/model")]
    Accept(Users),
    /// Reject requests for good: the Hub silently ignores further requests of these users
    ///
    /// On a terminal it asks first.
    #[command(after_help = "\
Example:
  doorman reject acme/model mallory --reason 'We cannot ship there.'")]
    Reject {
        #[command(flatten)]
        arguments: UsersAndReason,
        /// Do not ask before writing
        #[arg(long, short)]
        yes: bool,
    },
    /// Make requests pending again, as if they had not been decided
    ///
    /// A user with access loses it until the request is decided again. The next sweep decides it by the policy, so a request that
    /// its rules accept is accepted again. To take access away, use `revoke`.
    #[command(after_help = "\
Example:
  doorman cancel acme/model ada")]
    Cancel(Users),
    /// Reset requests: the users have no access, and may ask again
    #[command(after_help = "\
Example:
  doorman reset acme/model ada --reason 'Please tell us your affiliation and ask again.'")]
    Reset(UsersAndReason),
    /// Give access to users who have not asked for it
    #[command(after_help = "\
Example:
  doorman grant datasets/acme/corpus ada")]
    Grant(Users),
    /// Take access away from users
    ///
    /// The Hub has no call for this, so doorman changes the status of the request. The new status is `reset`: the user loses access,
    /// gets an e-mail with the reason, and may ask again. Then the policy decides the new request. With --final the new status is
    /// `rejected`: the user loses access and can never ask again.
    ///
    /// `cancel` does not replace this command. It makes the request pending, so a policy that accepts it would accept it again
    /// within minutes.
    #[command(after_help = "\
Examples:
  doorman revoke acme/model mallory --reason 'Please tell us what you publish.'
  doorman revoke acme/model mallory eve --final")]
    Revoke {
        #[command(flatten)]
        arguments: UsersAndReason,
        /// Reject for good: the users can never ask again. On a terminal it asks first
        #[arg(long = "final")]
        is_final: bool,
        /// Do not ask before writing
        #[arg(long, short, requires = "is_final")]
        yes: bool,
    },
    /// Write the Hub's access report, with everybody who has ever requested access
    #[command(after_help = "\
Examples:
  doorman export acme/model > report.json
  doorman export datasets/acme/corpus --csv > report.csv")]
    Export {
        /// Repo: `acme/model`, `datasets/acme/corpus`, or the URL of a page of it
        #[arg(value_parser = repos::parse_one)]
        repo: Repo,
        #[command(flatten)]
        format: Format,
    },
    /// Find everything that is wrong before a deployment
    ///
    /// This checks the variables, the policy, the token, each repo with its gate and its form, gating groups, and the webhooks that
    /// watch the repos. It changes nothing. In a pipe it writes one line for each finding, with tabs between the cells: passed,
    /// warning or failed; the subject; what to do.
    ///
    /// With --function it checks the variables of a deployed function instead of those of the shell, and says when the last sweep
    /// finished. It reads them with the `aws` command.
    #[command(after_help = "\
Examples:
  doorman check
  doorman check --policy policy.json acme/model
  doorman check --function hub-doorman")]
    Check(CheckArguments),
    /// Test a policy with the cases of a file: requests, and the verdict that each must get
    #[command(after_help = "\
The cases are JSON:
  {\"repo\": \"acme/model\", \"cases\": [
    {\"name\": \"staff get in\", \"user\": {\"name\": \"ada\", \"email\": \"ada@acme.com\"},
     \"fields\": {\"Country\": \"GB\"}, \"verdict\": \"accept\", \"rule\": \"staff\"}]}

Examples:
  doorman test policy.toml
  doorman test --coverage policy.toml other.cases.json")]
    Test {
        /// File with the policy
        policy: PathBuf,
        /// File with the cases. Without it, the file beside the policy, such as policy.cases.json for policy.toml
        cases: Option<PathBuf>,
        /// Show in how many cases each rule matches, does not match, and is excepted by its `unless`
        ///
        /// If there is no case for one of them, the exit status is 1. In a pipe, a line for each rule follows the results, with tabs
        /// between the cells.
        #[arg(long)]
        coverage: bool,
    },
    /// See, compare and write policies
    #[command(
        subcommand,
        after_help = "\
Examples:
  doorman policy show
  doorman policy schema > policy.schema.json"
    )]
    Policy(PolicyCommand),
    Deploy(DeployArguments),
    /// Manage the webhooks of the token's owner
    ///
    /// Webhooks make a deployed doorman review a repo at once. If DRY_RUN is true, nothing is changed.
    #[command(
        subcommand,
        after_help = "\
Examples:
  doorman webhook list
  REPOS='acme/*' WEBHOOK_SECRET=\"$(cat secret)\" doorman webhook create --url https://….on.aws/"
    )]
    Webhook(Webhook),
    /// Set where the Hub mails about new requests
    ///
    /// A mail of the Hub makes a deployed doorman review the repo within seconds. The Hub does not tell how its mails are set, so nothing
    /// can restore what was set before. This asks first. If DRY_RUN is true, nothing is changed.
    #[command(
        subcommand,
        after_help = "\
Examples:
  REPOS='acme/*' MAIL_SECRET=\"$(cat mail-secret)\" doorman notify on --domain doorman.acme.com
  doorman notify off --email ada@acme.com --mode bulk acme/model"
    )]
    Notify(Notify),
    /// Write the completions for a shell
    #[command(after_help = "\
Example:
  doorman completions bash > ~/.local/share/bash-completion/completions/doorman")]
    Completions {
        /// Shell to write them for
        shell: Shell,
    },
}

#[derive(Debug, Args)]
pub struct CheckArguments {
    #[command(flatten)]
    pub scope: Scope,
    /// Check the configuration of a deployed function, by its name or ARN, or by the name of its stack. Without a name, check the
    /// deployment of doorman.toml here
    #[arg(long, value_name = "NAME", num_args = 0..=1)]
    // Clap needs this type for an option whose value may be left out.
    #[allow(clippy::option_option)]
    pub function: Option<Option<String>>,
    /// Region of the function, instead of that of doorman.toml here, or else of `aws configure`
    #[arg(long, value_name = "REGION", requires = "function")]
    pub region: Option<String>,
}

/// Users of one repo.
#[derive(Debug, Args)]
pub struct Users {
    /// Repo: `acme/model`, `datasets/acme/corpus`, or the URL of a page of it
    #[arg(value_parser = repos::parse_one)]
    pub repo: Repo,
    /// User names, or `request:…` as `list` shows users whom a repo does not share
    #[arg(value_name = "USER", required = true, value_parser = users::parse)]
    pub users: Vec<Identity>,
}

/// Users of one repo, and the reason that the Hub shows them.
#[derive(Debug, Args)]
pub struct UsersAndReason {
    #[command(flatten)]
    pub users: Users,
    /// Reason that the Hub shows the users, at most 200 characters
    #[arg(long, value_name = "TEXT", value_parser = values::reason)]
    pub reason: Option<String>,
}

#[derive(Debug, Args)]
#[group(multiple = false)]
pub struct Format {
    /// Write JSON
    #[arg(long)]
    pub json: bool,
    /// Write CSV. Text that a spreadsheet would read as a formula gets a leading '
    #[arg(long)]
    pub csv: bool,
}

#[derive(Debug, Subcommand)]
pub enum Webhook {
    /// Show the webhooks
    ///
    /// In a pipe it writes one line for each webhook, with tabs between the cells: id; enabled, disabled or suspended; secret or no
    /// secret; URL; what it watches.
    #[command(after_help = "\
Examples:
  doorman webhook list
  doorman webhook list | awk -F'\\t' '$2 == \"disabled\" {print $1}' | xargs doorman webhook enable")]
    List {
        /// Write JSON
        #[arg(long)]
        json: bool,
    },
    /// Create a webhook that watches the repos of REPOS, with the secret of WEBHOOK_SECRET
    ///
    /// If APPROVAL_POLICY is on the Hub, the webhook watches its repo, too, so that a push to it decides at once.
    #[command(after_help = "\
Example:
  REPOS='acme/*' WEBHOOK_SECRET=\"$(cat secret)\" doorman webhook create --url https://….on.aws/")]
    Create {
        /// URL of the Lambda function
        #[arg(long, value_parser = values::webhook_url)]
        url: reqwest::Url,
    },
    /// Enable webhooks, so that the Hub delivers them
    #[command(after_help = "\
Example:
  doorman webhook enable 687f911eaea852de79c4a50a")]
    Enable(WebhookIds),
    /// Disable webhooks, so that the Hub does not deliver them until they are enabled
    #[command(after_help = "\
Example:
  doorman webhook disable 687f911eaea852de79c4a50a")]
    Disable(WebhookIds),
    /// Delete webhooks
    #[command(after_help = "\
Example:
  doorman webhook delete 687f911eaea852de79c4a50a")]
    Delete(WebhookIds),
}

#[derive(Debug, Args)]
pub struct WebhookIds {
    /// Ids, as `doorman webhook list` shows them
    #[arg(value_name = "ID", required = true, value_parser = values::webhook_id)]
    pub ids: Vec<String>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn definition_of_the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
