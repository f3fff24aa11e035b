//! What a digest says, independent of the service that shows it.

use chrono::{DateTime, Utc};
use reqwest::Url;

use super::{Decided, Digest, HeldRequest, MAX_UNREAD_NAMED};
use crate::model::{Identity, Repo};

/// The most characters of a text that others than the owner may choose.
const MAX_CHARS: usize = 200;

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
            0 => "Nobody waits for your decision.".to_owned(),
            1 => "1 access request waits for your decision.".to_owned(),
            total => format!("{total} access requests wait for your decision."),
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
        if self.paused {
            remarks.push("The policy is paused, so nobody is decided.".to_owned());
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
            number => format!(" The decisions of {number} repos could not be counted."),
        };
        remarks.push(format!(
            "Since yesterday: {accepted} accepted, {reset} reset, {rejected} rejected.{uncounted}"
        ));
        remarks
    }
}

fn request_line(request: &HeldRequest, endpoint: &Url, now: DateTime<Utc>) -> Line {
    let HeldRequest { who, repo, since, why } = request;
    let who = match who {
        Some(Identity::UserName(name)) => link(shown(name), endpoint, &[name]),
        Some(other) => Span::Text(format!("request {}", shown(other.as_str()))),
        None => Span::Text("somebody".to_owned()),
    };
    let since = since.map(|since| {
        let days = (now - since).num_days().max(0);
        let days = if days == 1 { "1 day".to_owned() } else { format!("{days} days") };
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

fn link(text: String, endpoint: &Url, path: &[&str]) -> Span {
    let mut url = endpoint.clone();
    match url.path_segments_mut() {
        Ok(mut segments) => segments.pop_if_empty().extend(path),
        Err(()) => return Span::Text(text),
    };
    Span::Link { text, url: url.into() }
}

/// A text on one line, without characters that control the terminal or the direction of the text, and not too long.
fn shown(text: &str) -> String {
    let is_control = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}')
    };
    let clean = |c: char| if is_control(c) { '\u{fffd}' } else { c };
    let mut short: String = text.chars().take(MAX_CHARS).map(clean).collect();
    if text.chars().nth(MAX_CHARS).is_some() {
        short.push('…');
    }
    short
}
