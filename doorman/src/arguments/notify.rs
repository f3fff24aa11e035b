//! `notify`: the address to which the Hub mails.

use clap::{Args, Subcommand, ValueEnum};
use hub_doorman::hub::NotificationMode;
use hub_doorman::model::RepoPattern;

use super::values;
use crate::repos;

#[derive(Debug, Subcommand)]
pub enum Notify {
    /// Let the Hub mail the doorman about each request, at once
    ///
    /// The address is the secret of MAIL_SECRET at --domain, or --address. It is not shown.
    #[command(after_help = "\
Examples:
  REPOS='acme/*' MAIL_SECRET=\"$(cat mail-secret)\" doorman notify on --domain doorman.acme.com
  doorman notify on --address ada+doorman@gmail.com acme/model")]
    On {
        #[command(flatten)]
        repos: NotifyRepos,
        /// Domain of the address, whose mail the function gets
        #[arg(long, value_name = "DOMAIN", value_parser = values::mail_domain, required_unless_present = "address")]
        domain: Option<String>,
        /// Whole address, instead of MAIL_SECRET and --domain
        #[arg(long, value_name = "ADDRESS", value_parser = values::mail_address, conflicts_with = "domain")]
        address: Option<String>,
    },
    /// Let the Hub mail a person instead of the doorman
    ///
    /// The Hub has no call to remove an address, so name the one that should get the mail.
    #[command(after_help = "\
Example:
  doorman notify off --email ada@acme.com --mode bulk acme/model")]
    Off {
        #[command(flatten)]
        repos: NotifyRepos,
        /// Address of the person
        #[arg(long, value_name = "ADDRESS", value_parser = values::mail_address)]
        email: String,
        /// How often the Hub mails
        #[arg(long, value_enum)]
        mode: Mode,
    },
}

/// The repos of which the notifications are set.
#[derive(Debug, Args)]
pub struct NotifyRepos {
    /// Repos to use instead of those of REPOS
    #[arg(value_name = "REPO", value_parser = repos::parse)]
    pub repos: Vec<RepoPattern>,
    /// Do not ask before writing
    #[arg(long, short)]
    pub yes: bool,
}

/// How often the Hub mails.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Mode {
    /// About the requests of a day
    Bulk,
    /// About each request
    RealTime,
}

impl From<Mode> for NotificationMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Bulk => Self::Bulk,
            Mode::RealTime => Self::RealTime,
        }
    }
}
