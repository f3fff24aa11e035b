use std::collections::HashSet;

use chrono::TimeZone;
use proptest::prelude::*;
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
use serde_json::Value;

use super::escape::{for_any_service, for_discord, for_markdown, shown};
use super::*;
use crate::model::RepoType;

const SERVICES: [Service; 5] =
    [Service::Slack, Service::Discord, Service::Teams, Service::Mattermost, Service::Other];

/// Names and causes that would do something in one of the services.
const HOSTILE: [&str; 29] = [
    "<!channel>",
    "<!here|here>",
    "<@U012AB3CD>",
    "<#C123>",
    "@everyone",
    "@here",
    "@channel all",
    "~town-square #release :smile:",
    "[x](http://evil)",
    "![x](http://evil/x.png)",
    "<http://evil|x> <https://evil>",
    "http://evil https://evil.example/x www.evil.com evil.com/x",
    "mail@evil.com <mail@evil.com>",
    "*b* **b** _i_ __i__ ~s~ ~~s~~ ||spoiler||",
    "`code` ```block```",
    "# heading",
    "- item",
    "+ item",
    "1. item",
    "> quote",
    "| a | b |",
    "    indented",
    "<b>bold</b> <script>alert(1)</script> <!-- comment -->",
    "&lt;b&gt; &#64;everyone &amp;",
    "$x$ $$y$$ \\(z\\) {{DATE(2026-01-01T00:00:00Z,SHORT)}}",
    "\\*b\\* \\",
    "line\nbreak\r\n\n# heading\u{2028}x",
    "\u{202e}gnp.exe\u{2066}x\u{61c}",
    "👩‍👩‍👧 🎉 é 漢字",
];

fn endpoint() -> Url {
    Url::parse("https://hub.example/").expect("a URL")
}

/// A Friday.
fn made() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 27, 8, 0, 0).single().expect("a time")
}

fn request(name: &str, why: &str) -> HeldRequest {
    HeldRequest {
        who: Some(Identity::UserName(name.to_owned())),
        repo: Repo::new(RepoType::Dataset, "acme/corpus").expect("a repo"),
        since: Some(made() - TimeDelta::days(10)),
        why: why.to_owned(),
    }
}

/// The digest of these requests.
fn digest(requests: impl IntoIterator<Item = HeldRequest>) -> Digest {
    let mut held = Held::default();
    for request in requests {
        held.add(request.since, || request);
    }
    let Held { oldest, total } = held;
    Digest {
        held: oldest,
        total,
        over_limit: 0,
        decided: Decided::default(),
        unread: Vec::new(),
        paused: false,
        policy_fault: None,
        dry_run: false,
        endpoint: endpoint(),
        made: made(),
    }
}

/// Digests of few and many, of usual names and of those that make the longest messages.
fn digests() -> Vec<(String, Digest)> {
    let long =
        ["x".repeat(4000), "*".repeat(4000), "\u{1f389}".repeat(4000), "<".repeat(4000), "\"".repeat(4000)];
    let names = ["ada-lovelace"].into_iter().chain(long.iter().map(String::as_str));
    let mut digests = Vec::new();
    for name in names {
        for number in [0, 1, 50, 10_000] {
            let mut digest = digest((0..number).map(|_| request(name, name)));
            digests.push((format!("{number} of {}", &name[..1.max(name.len() / 4000)]), digest.clone()));
            digest.unread = vec![name.to_owned(); 1000];
            digest.policy_fault = Some(name.to_owned());
            digest.over_limit = number;
            digests.push((format!("{number} with remarks"), digest));
        }
    }
    digests
}

fn utf16(text: &Value) -> usize {
    text.as_str().expect("a text").encode_utf16().count()
}

/// The limits that the services publish. Slack's is the size of the blocks that it was seen to refuse, without a margin.
#[test]
fn message_is_within_the_limits_of_its_service() {
    for (what, digest) in digests() {
        let [slack, discord, teams, mattermost, other] = SERVICES.map(|service| service.payload(&digest));
        assert!(slack.to_string().len() <= 13_200 && utf16(&slack["text"]) <= 4000, "{what}: {slack}");
        assert!(slack["blocks"].as_array().expect("blocks").len() <= 50);
        assert!(utf16(&discord["content"]) <= 2000, "{what}");
        assert!((1..=4096).contains(&utf16(&discord["embeds"][0]["description"])), "{what}: {discord}");
        assert!(teams.to_string().len() <= 28 * 1024, "{what}");
        assert!((1..=16_383).contains(&utf16(&mattermost["text"])), "{what}");
        assert!((1..=16_383).contains(&utf16(&other["text"])), "{what}");
        let (subject, message) = (digest.title(), digest.text());
        assert!(subject.is_ascii() && (1..=100).contains(&subject.len()), "{what}: {subject}");
        assert!(subject.starts_with(|c: char| c.is_ascii_alphanumeric()) && !subject.contains('\n'));
        assert!((1..=256 * 1024).contains(&message.len()), "{what}");
        assert!(digest.markdown().len() <= 256 * 1024, "{what}");
    }
}

#[test]
fn message_says_how_many_are_not_named() {
    let digest = digest((0..10_000).map(|number| request(&format!("user{number:05}"), "no rule matched")));
    for service in SERVICES {
        let text = service.payload(&digest).to_string();
        let named = (0..10_000).filter(|number| text.contains(&format!("user{number:05}"))).count();
        assert!((20..=MAX_NAMED).contains(&named), "{service:?}: {named}");
        assert!(
            text.contains("user00000") && text.contains(&format!("And {} more.", 10_000 - named)),
            "{service:?}"
        );
        assert!(text.contains("10000 access requests are held"), "{service:?}");
    }
}

#[test]
fn held_requests_are_the_oldest_in_their_order() {
    let time = |days: i64| Some(made() - TimeDelta::days(days));
    let mut requests: Vec<_> =
        (0..200).map(|days| HeldRequest { since: time(days * 7 % 200), ..request("x", "") }).collect();
    requests.push(HeldRequest { since: None, ..request("unknown", "") });
    let digest = digest(requests);
    assert_eq!(digest.total, 201);
    let days: Vec<_> = digest.held.iter().map(|request| request.since).collect();
    assert_eq!(days, (150..200).rev().map(time).collect::<Vec<_>>());
}

#[test]
fn markdown_shows_who_is_held_since_when_and_why() {
    let mut digest = digest([
        request("ada", "rule `vague`"),
        HeldRequest {
            who: Some(Identity::RequestId("abc_1".to_owned())),
            since: None,
            ..request("", "no rule matched")
        },
        HeldRequest { since: Some(made() - TimeDelta::hours(30)), ..request("grace", "no rule matched") },
    ]);
    digest.decided = Decided { accepted: 3, reset: 2, rejected: 1, uncounted: 1 };
    digest.unread = ["acme/a", "b/*"].map(str::to_owned).to_vec();
    digest.dry_run = true;
    digest.over_limit = 1;
    let corpus = "[datasets/acme/corpus](<https://hub.example/datasets/acme/corpus/settings>)";
    let expected = format!(
        "**3 access requests are held for you.**\n\n\
         - [ada](<https://hub.example/ada>) for {corpus}, since 2026-11-17 (10 days): rule \\`vague\\`\n\
         - [grace](<https://hub.example/grace>) for {corpus}, since 2026-11-26 (1 day): no rule matched\n\
         - request abc\\_1 for {corpus}: no rule matched\n\n\
         1 request over a limit of the policy. \\`doorman review --beyond-limits\\` decides them.\n\n\
         DRY\\_RUN is true, so no decision is written.\n\n\
         Not everything could be read: acme/a, b/\\*.\n\n\
         Since yesterday: 3 accepted, 2 reset, 1 rejected. The decisions in 1 repo could not be counted.\n"
    );
    assert_eq!(digest.markdown(), expected);
}

/// The texts of the paragraphs and list items of Markdown. A link must lead to the Hub. Nothing else but the bold title may occur.
fn texts_of_markdown(markdown: &str) -> Vec<String> {
    let (mut texts, mut is_open) = (Vec::<String>::new(), false);
    for event in Parser::new_ext(markdown, Options::all() - Options::ENABLE_SMART_PUNCTUATION) {
        match event {
            Event::Start(Tag::Paragraph | Tag::Item) => {
                if !is_open {
                    texts.push(String::new());
                }
                is_open = true;
            }
            Event::End(TagEnd::Paragraph | TagEnd::Item) => is_open = false,
            Event::Start(Tag::List(None))
            | Event::End(TagEnd::List(false) | TagEnd::Link | TagEnd::Strong) => {}
            Event::Start(Tag::Strong) => assert!(texts.len() == 1 && texts[0].is_empty(), "{markdown}"),
            Event::Start(Tag::Link { dest_url, .. }) => {
                assert!(dest_url.starts_with("https://hub.example/"), "{dest_url}");
            }
            Event::SoftBreak => texts.last_mut().expect("a paragraph").push('\n'),
            Event::Text(text) => texts.last_mut().expect("a paragraph").push_str(&text),
            other => panic!("{other:?} in {markdown}"),
        }
    }
    texts
}

fn without_zero_width(text: &str) -> String {
    text.replace('\u{200b}', "")
}

/// [`digest`] of a request with this text wherever a stranger might have chosen it.
fn hostile_digest(text: &str) -> Digest {
    let by_id = Some(Identity::RequestId(text.to_owned()));
    let mut digest = digest([request(text, text), HeldRequest { who: by_id, ..request("", text) }]);
    digest.unread = vec![text.to_owned()];
    digest
}

/// The reason: each character of mark-up is escaped. A real parser reads the Markdown, and gets the text back.
#[test]
fn hostile_name_is_text_in_markdown() {
    for text in HOSTILE {
        let digest = hostile_digest(text);
        for markdown in [
            digest.markdown(),
            Service::Mattermost.payload(&digest)["text"].as_str().expect("a text").to_owned(),
        ] {
            let texts = texts_of_markdown(&markdown);
            let texts: Vec<String> = texts.iter().map(|text| without_zero_width(text)).collect();
            let expected = shown(text);
            assert_eq!(texts.len(), 5, "{text:?}: {texts:?}");
            assert!(texts[1].starts_with(&format!("user {expected} for datasets/")), "{texts:?}");
            assert!(texts[2].starts_with(&format!("request {expected} for datasets/")), "{texts:?}");
            assert!(
                texts[1].ends_with(expected.trim_end()) && texts[2].ends_with(expected.trim_end()),
                "{texts:?}"
            );
            assert!(texts[3].contains(&expected), "{texts:?}");
            has_no_mention(&markdown);
        }
    }
}

/// Mattermost, Discord and GitHub look for these in the text, after backslashes were removed.
fn has_no_mention(text: &str) {
    let text = text.replace('\\', "");
    for (place, c) in text.char_indices() {
        let next = text[place + c.len_utf8()..].chars().next();
        let is_url_of_hub = text[..place].ends_with("(<https") || text[..place].ends_with(" <https");
        let is_safe = match c {
            '@' | '~' | '#' => next == Some('\u{200b}') || text[..place].ends_with('&'),
            ':' => is_url_of_hub || next.is_none_or(|next| next == '\u{200b}' || next.is_whitespace()),
            _ => true,
        };
        assert!(is_safe, "{c} in {text}");
    }
}

/// The reason: a backslash stands before each punctuation mark that Discord reads, and `allowed_mentions` allows none.
#[test]
fn hostile_name_is_text_in_discord() {
    for text in HOSTILE {
        let payload = Service::Discord.payload(&hostile_digest(text));
        assert_eq!(payload["allowed_mentions"], serde_json::json!({"parse": []}));
        assert_eq!(payload["content"], "2 access requests are held for you.");
        let escaped = for_discord(&shown(text));
        let description = payload["embeds"][0]["description"].as_str().expect("a description");
        assert!(description.contains(&format!("user {escaped} for ")), "{description}");
        let (mut plain, mut rest) = (String::new(), escaped.chars().peekable());
        while let Some(c) = rest.next() {
            match c {
                '\\' => plain.push(rest.next().expect("no backslash at the end")),
                ':' => {
                    assert!(rest.peek().is_none_or(|next| next.is_whitespace()), "{escaped}");
                    plain.push(c);
                }
                c => {
                    assert!(!"`*_~|<>[]#@".contains(c), "{c} in {escaped}");
                    plain.push(c);
                }
            }
        }
        assert_eq!(without_zero_width(&plain), shown(text));
    }
}

/// All texts below a JSON value under keys with this name.
fn texts_under(value: &Value, key: &str) -> Vec<String> {
    match value {
        Value::Object(object) => object
            .iter()
            .flat_map(|(name, value)| match value {
                Value::String(text) if name == key => vec![text.clone()],
                value => texts_under(value, key),
            })
            .collect(),
        Value::Array(values) => values.iter().flat_map(|value| texts_under(value, key)).collect(),
        _ => Vec::new(),
    }
}

/// The reason: the text stands in elements that read no mark-up. A mention would be an element of its own.
#[test]
fn hostile_name_is_text_in_slack_and_teams() {
    for text in HOSTILE {
        let digest = hostile_digest(text);
        let slack = Service::Slack.payload(&digest);
        let types: HashSet<String> = texts_under(&slack, "type").into_iter().collect();
        let known = ["rich_text", "rich_text_section", "rich_text_list", "text", "link"];
        assert!(types.iter().all(|name| known.contains(&name.as_str())), "{types:?}");
        assert_eq!(slack["text"], "2 access requests are held for you.");
        assert!(texts_under(&slack, "text").contains(&format!("user {}", shown(text))), "{slack}");
        let teams = Service::Teams.payload(&digest);
        let types: HashSet<String> = texts_under(&teams, "type").into_iter().collect();
        let known = ["message", "AdaptiveCard", "RichTextBlock", "TextRun", "Action.OpenUrl"];
        assert!(types.iter().all(|name| known.contains(&name.as_str())), "{types:?}");
        assert!(teams["attachments"][0]["content"]["msteams"].is_null(), "no entities, so no mentions");
        let runs = texts_under(&teams, "text");
        assert!(runs.iter().any(|run| without_zero_width(run) == format!("user {}", shown(text))), "{teams}");
        assert!(!runs.iter().any(|run| run.contains("{{")), "{runs:?}");
        for payload in [slack, teams] {
            assert!(
                texts_under(&payload, "url")
                    .iter()
                    .all(|url| url.starts_with("https://hub.example/datasets/"))
            );
            assert!(texts_under(&payload, "text").iter().all(|text| !text.is_empty()), "{payload}");
        }
    }
}

/// The reason: what any service reads as mark-up is replaced by what none reads.
#[test]
fn hostile_name_is_text_in_an_unknown_service() {
    for text in HOSTILE {
        let digest = hostile_digest(text);
        for message in
            [Service::Other.payload(&digest)["text"].as_str().expect("a text").to_owned(), digest.text()]
        {
            let links = ["corpus <https://hub.example/datasets/acme/corpus/settings>", "corpus"];
            let message = message.replace(links[0], links[1]);
            assert!(!message.contains(['*', '`', '[', ']', '|', '\\']), "{message}");
            assert!(!message.replace("<\u{200b}", "").contains('<'), "{message}");
            assert!(!message.contains(" _") && !message.contains("_ "), "{message}");
            has_no_mention(&message);
            assert_eq!(
                texts_of_markdown(&message.replace("<\u{200b}", "").replace(['&', '$'], "")).len(),
                4,
                "{message}"
            );
        }
    }
    assert_eq!(for_any_service("ada_lovelace-2 for acme/model_v0.1"), "ada_lovelace-2 for acme/model_v0.1");
}

proptest! {
    /// A text of characters that mean something in Markdown comes back from the parser.
    #[test]
    fn any_text_comes_back_from_markdown(text in "x[-`*_~|<>\\[\\]()#@:.&$!{}+=1a \\\\/]{0,40}x") {
        let texts = texts_of_markdown(&format!("- user {}\n", for_markdown(&text)));
        prop_assert_eq!(texts.iter().map(|text| without_zero_width(text)).collect::<Vec<_>>(), [format!("user {text}")]);
    }
}

#[test]
fn name_is_linked_only_if_it_is_a_usual_one() {
    let long = "x".repeat(101);
    let cases = [
        ("ada_l.v-2", true),
        ("_i_", true),
        ("..", false),
        ("a/b", false),
        ("a b", false),
        ("é", false),
        ("", false),
        (&*long, false),
    ];
    for (name, is_linked) in cases {
        let markdown = digest([request(name, "x")]).markdown();
        assert_eq!(markdown.contains("- ["), is_linked, "{markdown}");
        let text = without_zero_width(&texts_of_markdown(&markdown)[1]);
        assert!(text.trim_start_matches("user ").starts_with(&format!("{name} for")), "{text}");
    }
}

#[test]
fn long_text_is_cut_and_controls_are_replaced() {
    assert_eq!(shown(&"é".repeat(4000)), "é".repeat(200) + "…");
    assert_eq!(shown("a\u{202e}b\nc\u{1b}[2Jd\u{200b}"), "a\u{fffd}b\u{fffd}c\u{fffd}[2Jd\u{fffd}");
}

#[test]
fn digest_is_due_on_mondays_or_if_somebody_must_act() {
    let quiet = digest([]);
    let due: Vec<bool> = (0..7)
        .map(|days| Digest { made: made() + TimeDelta::days(days), ..quiet.clone() }.is_due())
        .collect();
    assert_eq!(due, [false, false, false, true, false, false, false], "from Friday to Thursday");
    let cases = [
        ("held", Digest { total: 1, ..quiet.clone() }),
        ("over a limit", Digest { over_limit: 1, ..quiet.clone() }),
        ("unread", Digest { unread: vec!["acme/model".to_owned()], ..quiet.clone() }),
        ("paused", Digest { paused: true, ..quiet.clone() }),
        ("no policy", Digest { policy_fault: Some("it is gone".to_owned()), ..quiet.clone() }),
    ];
    for (what, digest) in cases {
        assert!(digest.is_due(), "{what}");
    }
    assert!(!Digest { dry_run: true, ..quiet }.is_due());
}

#[test]
fn digest_of_lists_that_cannot_be_read_claims_nothing() {
    let text = Digest { unread: vec!["acme/*".to_owned()], ..digest([]) }.text();
    assert!(text.starts_with("Not all lists could be read"), "{text}");
    assert!(!text.contains("Since yesterday"), "{text}");
}

#[test]
fn service_is_recognized_by_its_host() {
    let cases = [
        ("https://hooks.slack.com/services/T/B/x", Service::Slack),
        ("https://hooks.slack-gov.com/services/T/B/x", Service::Slack),
        ("https://discord.com/api/webhooks/1/x", Service::Discord),
        ("https://canary.discord.com/api/webhooks/1/x", Service::Discord),
        ("https://discordapp.com/api/webhooks/1/x", Service::Discord),
        ("https://prod-01.westeurope.logic.azure.com:443/workflows/x", Service::Teams),
        ("https://x.09.environment.api.powerplatform.com/x", Service::Teams),
        ("https://acme.webhook.office.com/webhookb2/x", Service::Teams),
        ("https://mattermost.acme.com/hooks/x", Service::Mattermost),
        ("https://HOOKS.SLACK.COM/services/T/B/x", Service::Slack),
        ("https://notslack.com/x", Service::Other),
        ("https://slack.com.evil.example/x", Service::Other),
        ("https://chat.googleapis.com/v1/spaces/x", Service::Other),
        ("http://127.0.0.1:8080/discord.com", Service::Other),
    ];
    for (url, service) in cases {
        assert_eq!(Service::of(&Url::parse(url).expect(url)), service, "{url}");
    }
}
