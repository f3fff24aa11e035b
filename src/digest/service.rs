//! The form of a digest for each service. Where a service has a form in which nothing is read as mark-up, that form is used. Otherwise
//! each character that could be mark-up is escaped.

use reqwest::Url;
use serde_json::{Value, json};

use super::Digest;
use super::escape::{for_any_service, for_discord, for_markdown, for_teams};
use super::message::{Line, Span};

/// A service that shows a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Slack, by an incoming webhook.
    Slack,
    /// Discord, by a webhook of a channel.
    Discord,
    /// Microsoft Teams, by a workflow.
    Teams,
    /// Mattermost, by an incoming webhook.
    Mattermost,
    /// Anything else, which gets `{"text": …}`.
    Other,
}

/// The most bytes of a message to Slack. Its reference has no limit for rich text, but Slack refused blocks of about 13,200 bytes.
const MAX_SLACK: usize = 12_000;

/// The most UTF-16 units of the description of an embed in Discord. Its own limit is 4,096 characters.
const MAX_DISCORD: usize = 4000;

/// The most bytes of a message to Teams. Its own limit is 28 KB.
const MAX_TEAMS: usize = 24_000;

/// The most UTF-16 units of a text to Mattermost, whose own limit is 16,383 characters, or to another service.
const MAX_TEXT: usize = 16_000;

/// The domains of workflows and, in older tenants, of connectors, in the public and the national clouds.
const TEAMS: [&str; 6] = [
    "webhook.office.com",
    "logic.azure.com",
    "powerplatform.com",
    "logic.azure.us",
    "logic.azure.cn",
    "powerplatform.us",
];

impl Service {
    /// Recognizes a service by the host of its webhook's URL.
    #[must_use]
    pub fn of(url: &Url) -> Self {
        let host = url.host_str().unwrap_or_default();
        let is_in = |domain: &str| {
            host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        if ["slack.com", "slack-gov.com"].iter().any(|domain| is_in(domain)) {
            Self::Slack
        } else if ["discord.com", "discordapp.com"].iter().any(|domain| is_in(domain)) {
            Self::Discord
        } else if TEAMS.iter().any(|domain| is_in(domain)) {
            Self::Teams
        } else if host.contains("mattermost") {
            Self::Mattermost
        } else {
            Self::Other
        }
    }

    /// The name of the service.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Slack => "Slack",
            Self::Discord => "Discord",
            Self::Teams => "Teams",
            Self::Mattermost => "Mattermost",
            Self::Other => "webhook",
        }
    }

    /// The body of the POST to the service's webhook. It names as many people as fit.
    #[must_use]
    pub fn payload(self, digest: &Digest) -> Value {
        let mut requests = digest.requests();
        loop {
            let payload = self.build(&Parts::of(digest, &requests));
            if self.fits(&payload) || requests.pop().is_none() {
                return payload;
            }
        }
    }

    fn build(self, parts: &Parts) -> Value {
        match self {
            Self::Slack => slack(parts),
            Self::Discord => discord(parts),
            Self::Teams => teams(parts),
            Self::Mattermost => json!({"text": markdown(parts)}),
            Self::Other => json!({"text": plain(parts)}),
        }
    }

    fn fits(self, payload: &Value) -> bool {
        match self {
            Self::Slack => payload.to_string().len() <= MAX_SLACK,
            Self::Discord => utf16_length(&payload["embeds"][0]["description"]) <= MAX_DISCORD,
            Self::Teams => payload.to_string().len() <= MAX_TEAMS,
            Self::Mattermost | Self::Other => utf16_length(&payload["text"]) <= MAX_TEXT,
        }
    }
}

impl Digest {
    /// The digest in Markdown, for a terminal, a job summary or a file.
    #[must_use]
    pub fn markdown(&self) -> String {
        markdown(&Parts::of(self, &self.requests()))
    }

    /// The digest in plain text, for a mail.
    #[must_use]
    pub fn text(&self) -> String {
        plain(&Parts::of(self, &self.requests()))
    }
}

/// The parts of a message.
struct Parts<'a> {
    title: String,
    requests: &'a [Line],
    remarks: Vec<String>,
}

impl<'a> Parts<'a> {
    fn of(digest: &Digest, requests: &'a [Line]) -> Self {
        Self { title: digest.title(), requests, remarks: digest.remarks(requests.len()) }
    }
}

/// Slack's rich text parses neither mark-up nor mentions. `text` is shown in notifications, and names nobody.
fn slack(Parts { title, requests, remarks }: &Parts) -> Value {
    let text = |text: &str| json!({"type": "text", "text": text});
    let span = |span: &Span| match span {
        Span::Text(shown) => text(shown),
        Span::Link { text, url } => json!({"type": "link", "text": text, "url": url}),
    };
    let section = |elements: Vec<Value>| json!({"type": "rich_text_section", "elements": elements});
    let items: Vec<Value> = requests.iter().map(|line| section(line.iter().map(span).collect())).collect();
    let mut elements = vec![section(vec![text(title)])];
    if !items.is_empty() {
        elements.push(json!({"type": "rich_text_list", "style": "bullet", "elements": items}));
    }
    elements.extend(remarks.iter().map(|remark| section(vec![text(&format!("{remark}\n"))])));
    json!({"text": title, "blocks": [{"type": "rich_text", "elements": elements}], "unfurl_links": false})
}

/// Discord reads Markdown in an embed, so names are escaped. No mention notifies anybody.
fn discord(parts: &Parts) -> Value {
    let description = body(parts, for_discord, "\n");
    json!({"content": parts.title, "embeds": [{"description": description}], "allowed_mentions": {"parse": []}})
}

/// The text runs of an Adaptive Card read no mark-up. A mention would need an entity beside the text.
fn teams(Parts { title, requests, remarks }: &Parts) -> Value {
    let run = |text: &str| json!({"type": "TextRun", "text": for_teams(text)});
    let span = |span: &Span| match span {
        Span::Text(text) => run(text),
        Span::Link { text, url } => {
            let action = json!({"type": "Action.OpenUrl", "url": url});
            json!({"type": "TextRun", "text": for_teams(text), "selectAction": action})
        }
    };
    let block = |inlines: Vec<Value>| json!({"type": "RichTextBlock", "inlines": inlines});
    let mut blocks = vec![block(vec![json!({"type": "TextRun", "text": title, "weight": "bolder"})])];
    blocks.extend(requests.iter().map(|line| block(line.iter().map(span).collect())));
    blocks.extend(remarks.iter().map(|remark| block(vec![run(remark)])));
    let card = json!({"$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard",
        "version": "1.4", "body": blocks});
    let attachment = json!({"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": null, "content": card});
    json!({"type": "message", "attachments": [attachment]})
}

fn markdown(parts: &Parts) -> String {
    format!("**{}**\n\n{}\n", parts.title, body(parts, for_markdown, "\n\n"))
}

/// The requests as a list, and the remarks, in Markdown. `gap` separates remarks.
fn body(Parts { requests, remarks, .. }: &Parts, escape: fn(&str) -> String, gap: &str) -> String {
    let link = |text: &str, url: &str| format!("[{}](<{url}>)", escape(text));
    let remarks: Vec<String> = remarks.iter().map(|remark| escape(remark)).collect();
    format!("{}{}", list(requests, escape, link), remarks.join(gap))
}

/// A text for a mail, or for a service that is not known.
fn plain(Parts { title, requests, remarks }: &Parts) -> String {
    let link = |text: &str, url: &str| format!("{} <{url}>", for_any_service(text));
    let remarks: Vec<String> = remarks.iter().map(|remark| for_any_service(remark)).collect();
    format!("{title}\n\n{}{}\n", list(requests, for_any_service, link), remarks.join("\n"))
}

/// A line for each request, and an empty one.
fn list(requests: &[Line], escape: fn(&str) -> String, link: impl Fn(&str, &str) -> String) -> String {
    let span = |span: &Span| match span {
        Span::Text(text) => escape(text),
        Span::Link { text, url } => link(text, url),
    };
    let lines = requests.iter().map(|line| format!("- {}\n", line.iter().map(span).collect::<String>()));
    let lines: String = lines.collect();
    if lines.is_empty() { lines } else { lines + "\n" }
}

fn utf16_length(text: &Value) -> usize {
    text.as_str().unwrap_or_default().encode_utf16().count()
}
