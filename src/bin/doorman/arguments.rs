//! What can be asked for on the command line, with its help.
// The comments are read on a terminal, which shows backticks as they are.
#![allow(clippy::doc_markdown)]

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use hub_doorman::model::{Identity, Repo, RepoPattern, Status};

use crate::repos;

/// The doorman for gated repos on the Hugging Face Hub, by hand.
///
/// It reads the environment variables of the function: APPROVAL_POLICY, REPOS, HF_TOKEN and the others. Without HF_TOKEN it takes
/// the token that `hf auth login` has saved.
#[derive(Debug, Parser)]
#[command(
    name = "doorman",
    version,
    max_term_width = 100,
    after_help = "\
Repos are named as on the Hub, `acme/model`, `datasets/acme/corpus`, or `acme/*` for all gated ones of a namespace; or by the \
address that the browser shows.

Exit status: 0 all is done, 1 something failed, 2 the command or the environment is at fault, 3 something is left for the \
next run.

Examples:
  doorman check                                 what is wrong before a deployment
  doorman plan --policy policy.json acme/model  what a policy would do, without doing it
  doorman review --yes                          do it, over all that REPOS names
  doorman revoke acme/model mallory --reason 'The license was broken.'"
)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what would be decided about whom, and why; changes nothing
    ///
    /// Decides everybody who waits as `review` would, and shows it: a table of people, then sums by rule. Into a pipe it writes a
    /// line a person: repo, user, when they asked, verdict, rule and why, with tabs between.
    #[command(after_help = "\
Examples:
  doorman plan --policy policy.json https://huggingface.co/acme/model
  REPOS='acme/*' APPROVAL_POLICY=\"$(cat policy.json)\" doorman plan
  doorman plan acme/model | awk -F'\\t' '$4 == \"accept\" {print $2}'")]
    Plan(Decide),
    /// Decide everybody who waits, and tell the Hub
    ///
    /// On a terminal it shows first what will be done, with the names of those who are turned away, and asks. Into a pipe, or from
    /// cron, it writes a line for everybody who waited: the time now, repo, user, when they asked, verdict, rule, why and outcome,
    /// with tabs between.
    ///
    /// Without REPO it reviews what REPOS names; in a Hugging Face Job that a webhook has started, the repo that the webhook is
    /// about (WEBHOOK_PAYLOAD), if it is one of those. With DRY_RUN=true it changes nothing.
    #[command(after_help = "\
Exit status: 0 everybody was decided, 1 nothing was, 2 the command or the environment is at fault, 3 something is left for \
the next run.

Examples:
  doorman review --policy policy.json acme/model
  doorman review --yes --json 'acme/*' | jq '.repos[].accepted'")]
    Review {
        #[command(flatten)]
        decide: Decide,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// Show the people on one of a repo's lists, with their answers
    ///
    /// Into a pipe it writes a line a person: user, full name, e-mail, when they asked, and each answer behind its label, with tabs
    /// between. A user whom the repo does not share is `request:…`, which other commands take as well.
    #[command(after_help = "\
Examples:
  doorman list acme/model
  doorman list acme/model --status accepted --csv > accepted.csv
  doorman list acme/model --search ada --json")]
    List {
        /// A repo: `acme/model`, `datasets/acme/corpus`, or the address that the browser shows
        #[arg(value_parser = repos::parse_one)]
        repo: Repo,
        /// Which list
        #[arg(long, value_enum, default_value_t = ListOf::Pending)]
        status: ListOf,
        /// Only those whose name begins so
        #[arg(long, value_name = "BEGINNING", value_parser = search)]
        search: Option<String>,
        #[command(flatten)]
        format: Format,
    },
    /// Let people in who have asked, whatever became of their request
    #[command(after_help = "\
Examples:
  doorman accept acme/model ada grace
  doorman list acme/model --search ada | cut -f1 | xargs doorman accept acme/model")]
    Accept(People),
    /// Turn people away for good: on the Hub, asking again is silently ignored
    ///
    /// On a terminal it asks first.
    #[command(after_help = "\
Example:
  doorman reject acme/model mallory --reason 'We cannot ship there.'")]
    Reject {
        #[command(flatten)]
        told: Told,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// Put requests back into the queue, as if they had not been decided
    ///
    /// Who was in has no access any more, until the request is decided again. A doorman with a policy does that in its next
    /// sweep: whoever its rules accept is back in. To take access away use `revoke`.
    #[command(after_help = "\
Example:
  doorman cancel acme/model ada")]
    Cancel(People),
    /// Turn people away who may mend their request and ask again
    #[command(after_help = "\
Example:
  doorman reset acme/model ada --reason 'Please tell us your affiliation and ask again.'")]
    Reset(Told),
    /// Let people in who never asked
    #[command(after_help = "\
Example:
  doorman grant datasets/acme/corpus ada")]
    Grant(People),
    /// Take access away from people who have it
    ///
    /// The Hub has no call for this, so it gives their request another status: `reset`, by which they lose access, get an e-mail
    /// with the reason, and may ask again, which the policy then decides; or with --final `rejected`, by which they lose access
    /// and can never ask again.
    ///
    /// It is not `cancel`, which puts the request back into the queue: an automatic policy that accepted it once would accept it
    /// again within minutes.
    #[command(after_help = "\
Examples:
  doorman revoke acme/model mallory --reason 'Please tell us what you publish.'
  doorman revoke acme/model mallory eve --final")]
    Revoke {
        #[command(flatten)]
        told: Told,
        /// For good: they cannot ask again; on a terminal it asks first
        #[arg(long = "final")]
        is_final: bool,
        /// Do not ask
        #[arg(long, short, requires = "is_final")]
        yes: bool,
    },
    /// Write the Hub's access report: everybody who has ever asked
    #[command(after_help = "\
Examples:
  doorman export acme/model > report.json
  doorman export datasets/acme/corpus --csv > report.csv")]
    Export {
        /// A repo: `acme/model`, `datasets/acme/corpus`, or the address that the browser shows
        #[arg(value_parser = repos::parse_one)]
        repo: Repo,
        #[command(flatten)]
        format: Format,
    },
    /// Look for everything that can be wrong before a deployment
    ///
    /// Variables, policy, token, each repo with its gate and its form, and the webhooks that watch the repos. Changes nothing. Into
    /// a pipe it writes a line for each finding: passed, warning or failed, what it is about, and what to do, with tabs between.
    #[command(after_help = "\
Examples:
  doorman check
  doorman check --policy policy.json acme/model")]
    Check {
        /// The repos to look at, instead of those of REPOS
        #[arg(value_name = "REPO", value_parser = repos::parse)]
        repos: Vec<RepoPattern>,
        /// Leave this repo out; may be given several times
        #[arg(long, value_name = "REPO", value_parser = repos::parse_one)]
        exclude: Vec<Repo>,
        /// Take the policy from a file, instead of from APPROVAL_POLICY
        #[arg(long, value_name = "FILE")]
        policy: Option<PathBuf>,
    },
    /// Run a policy against cases in a file: people, and the verdict expected
    #[command(after_help = "\
The cases are JSON:
  {\"repo\": \"acme/model\", \"cases\": [
    {\"name\": \"staff get in\", \"user\": {\"name\": \"ada\", \"email\": \"ada@acme.com\"},
     \"fields\": {\"Country\": \"GB\"}, \"verdict\": \"accept\", \"rule\": \"staff\"}]}

Example:
  doorman test policy.json policy.cases.json")]
    Test {
        /// The policy
        policy: PathBuf,
        /// The cases
        cases: PathBuf,
    },
    /// Manage the webhooks of the token's owner
    ///
    /// They tell a deployed doorman that something has happened. With DRY_RUN=true nothing is changed.
    #[command(
        subcommand,
        after_help = "\
Examples:
  doorman webhook list
  REPOS='acme/*' WEBHOOK_SECRET=\"$(cat secret)\" doorman webhook create --url https://….on.aws/"
    )]
    Webhook(Webhook),
    /// Write completions for a shell
    #[command(after_help = "\
Example:
  doorman completions bash > ~/.local/share/bash-completion/completions/doorman")]
    Completions { shell: Shell },
}

#[derive(Debug, Args)]
pub struct Decide {
    /// The repos, instead of those of REPOS
    #[arg(value_name = "REPO", value_parser = repos::parse)]
    pub repos: Vec<RepoPattern>,
    /// Leave this repo out; may be given several times
    #[arg(long, value_name = "REPO", value_parser = repos::parse_one)]
    pub exclude: Vec<Repo>,
    /// Take the policy from a file, instead of from APPROVAL_POLICY
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Write the report as JSON, with all decisions
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct People {
    /// A repo: `acme/model`, `datasets/acme/corpus`, or the address that the browser shows
    #[arg(value_parser = repos::parse_one)]
    pub repo: Repo,
    /// Names of users, or `request:…` as `list` shows those whom a repo does not share
    #[arg(value_name = "USER", required = true, value_parser = user)]
    pub users: Vec<Identity>,
}

/// People who are told something.
#[derive(Debug, Args)]
pub struct Told {
    #[command(flatten)]
    pub people: People,
    /// What the users are told, in at most 200 characters
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub reason: Option<String>,
}

#[derive(Debug, Args)]
#[group(multiple = false)]
pub struct Format {
    /// Write JSON
    #[arg(long)]
    pub json: bool,
    /// Write CSV; what a spreadsheet would take for a formula gets a ' in front
    #[arg(long)]
    pub csv: bool,
}

#[derive(Debug, Subcommand)]
pub enum Webhook {
    /// Show the webhooks
    ///
    /// Into a pipe it writes a line for each: id, enabled, disabled or suspended, secret or no secret, URL, and what it watches, with tabs
    /// between.
    #[command(after_help = "\
Examples:
  doorman webhook list
  doorman webhook list | awk -F'\\t' '$2 == \"disabled\" {print $1}' | xargs doorman webhook enable")]
    List {
        /// Write JSON
        #[arg(long)]
        json: bool,
    },
    /// Create a webhook that watches what REPOS names, with the secret of WEBHOOK_SECRET
    #[command(after_help = "\
Example:
  REPOS='acme/*' WEBHOOK_SECRET=\"$(cat secret)\" doorman webhook create --url https://….on.aws/")]
    Create {
        /// Where the function is
        #[arg(long, value_parser = url)]
        url: reqwest::Url,
    },
    /// Have webhooks delivered again
    #[command(after_help = "\
Example:
  doorman webhook enable 687f911eaea852de79c4a50a")]
    Enable(Ids),
    /// Have webhooks delivered no more, until they are enabled
    #[command(after_help = "\
Example:
  doorman webhook disable 687f911eaea852de79c4a50a")]
    Disable(Ids),
    /// Delete webhooks
    #[command(after_help = "\
Example:
  doorman webhook delete 687f911eaea852de79c4a50a")]
    Delete(Ids),
}

#[derive(Debug, Args)]
pub struct Ids {
    /// What `webhook list` calls them
    #[arg(value_name = "ID", required = true, value_parser = id)]
    pub ids: Vec<String>,
}

/// One of the four lists.
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

fn user(text: &str) -> Result<Identity, String> {
    let is_id =
        |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    match text.split_once(':') {
        Some(("request", id)) if is_id(id) => Ok(Identity::RequestId(id.to_owned())),
        Some(("id", id)) if is_id(id) => Ok(Identity::UserId(id.to_owned())),
        None if is_id(text) => Ok(Identity::UserName(text.to_owned())),
        _ => Err("it is neither the name of a user nor `request:` with the id of a request".to_owned()),
    }
}

fn reason(text: &str) -> Result<String, String> {
    match text.encode_utf16().count() {
        _ if text.trim().is_empty() => Err("it is empty; leave it out or say something".to_owned()),
        length if length > 200 => Err(format!("it has {length} characters; the Hub takes at most 200")),
        _ => Ok(text.to_owned()),
    }
}

fn search(text: &str) -> Result<String, String> {
    match text.chars().count() {
        length if length > 250 => Err(format!("it has {length} characters; the Hub takes at most 250")),
        _ => Ok(text.to_owned()),
    }
}

fn id(text: &str) -> Result<String, String> {
    let is_id = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric());
    is_id.then(|| text.to_owned()).ok_or_else(|| "it is no id; `doorman webhook list` shows them".to_owned())
}

fn url(text: &str) -> Result<reqwest::Url, String> {
    let url = reqwest::Url::parse(text).map_err(|error| format!("it is not a URL: {error}"))?;
    match url.scheme() {
        "https" if !url.username().is_empty() || url.password().is_some() => {
            Err("it has a user name or a password in it, which everybody sees who sees the URL".to_owned())
        }
        "https" => Ok(url),
        _ => Err("it is not https, and the secret would be sent for everybody to read".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::people::name;

    #[test]
    fn whoever_is_shown_can_be_named_in_the_same_way() {
        let all = [
            Identity::UserName("ada-l_1.x".to_owned()),
            Identity::RequestId("67f0".to_owned()),
            Identity::UserId("65a1".to_owned()),
        ];
        for who in all {
            assert_eq!(user(&name(&who)), Ok(who));
        }
        for text in ["", "request:", "id:a/b", "a:b", "a b", "@ada"] {
            assert!(user(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_command_line_contradicts_itself_nowhere() {
        Arguments::command().debug_assert();
    }
}
