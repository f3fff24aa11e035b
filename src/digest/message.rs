//! What a digest says, independent of the service that shows it.

use chrono::{DateTime, Utc};
use reqwest::Url;

use super::escape::shown;
use super::{Decided, Digest, HeldRequest, MAX_UNREAD_NAMED};
use crate::model::{Identity, Repo};

/// The most characters of a name in a link. The Hub's own limit is 96.
const MAX_NAME: usize = 100;

/// A piece of a line. No service may read mark-up or mentions in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Span {
    Text(String),
    Link { text: String, url: String },
}

pub(super) type Line = Vec<Span>;

impl Digest {
    /// The first line, without a name.
    #[must_use]
    pub fn title(&self) -> String {
        match self.total {
            0 if !self.unread.is_empty() => {
                "Not all lists could be read, so it is not known who is held.".to_owned()
            }
            0 => "No request is held for you.".to_owned(),
            1 => "1 access request is held for you.".to_owned(),
            total => format!("{total} access requests are held for you."),
        }
    }

    /// One line for each named request.
    pub(super) fn requests(&self) -> Vec<Line> {
        self.held.iter().map(|request| request_line(request, &self.endpoint, self.made)).collect()
    }

    /// The lines below the requests, of which `named` are shown.
    pub(super) fn remarks(&self, named: usize) -> Vec<String> {
        let mut remarks = Vec::new();
        if named < self.total {
            remarks.push(format!("And {} more. `doorman list --held` shows all.", self.total - named));
        }
        if self.over_limit > 0 {
            let requests = count(self.over_limit, "request");
            remarks.push(format!(
                "{requests} over a limit of the policy. `doorman review --beyond-limits` decides them."
            ));
        }
        if let Some(fault) = &self.policy_fault {
            remarks.push(format!("The policy cannot be used, so everybody is held: {}", shown(fault)));
        }
        if self.paused {
            remarks.push(
                "The policy is paused, so no request is decided. Remove `paused` to continue.".to_owned(),
            );
        } else if self.dry_run {
            remarks.push("DRY_RUN is true, so no decision is written.".to_owned());
        }
        if !self.unread.is_empty() {
            let named: Vec<String> =
                self.unread.iter().take(MAX_UNREAD_NAMED).map(|name| shown(name)).collect();
            let more = self.unread.len() - named.len();
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            remarks.push(format!("Not everything could be read: {}{more}.", named.join(", ")));
        }
        let Decided { accepted, reset, rejected, uncounted } = self.decided;
        let uncounted = match uncounted {
            0 => String::new(),
            number => format!(" The decisions in {} could not be counted.", count(number, "repo")),
        };
        if self.unread.is_empty() || self.total + accepted + reset + rejected > 0 {
            remarks.push(format!(
                "Since yesterday: {accepted} accepted, {reset} reset, {rejected} rejected.{uncounted}"
            ));
        }
        remarks
    }
}

/// `1 repo`, `2 repos`.
fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

fn request_line(request: &HeldRequest, endpoint: &Url, now: DateTime<Utc>) -> Line {
    let HeldRequest { who, repo, since, why } = request;
    let who = match who {
        Some(Identity::UserName(name)) => match link(shown(name), endpoint, &[name]) {
            // A word in front, because Markdown might read the beginning of a line as a list.
            Span::Text(name) => Span::Text(format!("user {name}")),
            link @ Span::Link { .. } => link,
        },
        Some(other) => Span::Text(format!("request {}", shown(other.as_str()))),
        None => Span::Text("somebody".to_owned()),
    };
    let since = since.map(|since| {
        let days = (now - since).num_days().max(0);
        let days = count(usize::try_from(days).unwrap_or_default(), "day");
        format!(", since {} ({days})", since.format("%Y-%m-%d"))
    });
    let rest = format!("{}: {}", since.unwrap_or_default(), shown(why));
    vec![who, Span::Text(" for ".to_owned()), requests_of(repo, endpoint), Span::Text(rest)]
}

/// A link to the settings of a repo, where the Hub shows its access requests.
fn requests_of(repo: &Repo, endpoint: &Url) -> Span {
    let name = repo.to_string();
    let parts: Vec<&str> = name.split('/').chain(["settings"]).collect();
    link(name.clone(), endpoint, &parts)
}

/// A link to a page of the Hub. If a part of the path is not as the Hub's names are, there is no link, because a service might read
/// mark-up in its URL.
fn link(text: String, endpoint: &Url, path: &[&str]) -> Span {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let is_usual = |part: &&str| {
        part.len() <= MAX_NAME && part.chars().all(is_plain) && !part.trim_matches('.').is_empty()
    };
    if !path.iter().all(is_usual) {
        return Span::Text(text);
    }
    let mut url = endpoint.clone();
    match url.path_segments_mut() {
        Ok(mut segments) => segments.pop_if_empty().extend(path),
        Err(()) => return Span::Text(text),
    };
    Span::Link { text, url: url.into() }
}
