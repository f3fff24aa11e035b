//! Parts of several pages.

use chrono::{DateTime, Utc};
use hub_doorman::model::{AccessRequest, User, Verdict};
use maud::{DOCTYPE, Markup, html};

use super::super::filter::Filter;
use super::super::guard::Refusal;
use super::Context;
use crate::held::age;
use crate::screen::{grouped, is_control, rfc3339};

/// The most requests of a page.
pub const PAGE_SIZE: usize = 100;

/// A longer answer is shown on demand.
const LONG_ANSWER: usize = 280;

/// The text without characters that control the direction of writing or hide others. Lines are kept.
pub fn text(text: &str) -> String {
    let replace = |c: char| if is_control(c) && c != '\n' { char::REPLACEMENT_CHARACTER } else { c };
    text.trim().replace("\r\n", "\n").replace('\t', " ").chars().map(replace).collect()
}

pub fn infinitive(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Accept => "Accept",
        Verdict::Hold => "Hold",
        Verdict::Reset => "Reset",
        Verdict::Reject => "Reject",
    }
}

/// The requester: the name with a link to the Hub, the full name, the address and the organizations.
pub fn person(request: &AccessRequest, name: &str, hub: &str) -> Markup {
    let User { name: user, fullname, email, pro, verified_orgs, orgs, service_account, .. } = &request.user;
    let verified: Vec<&str> = verified_orgs.iter().flatten().map(String::as_str).collect();
    let others = orgs.iter().flatten().filter(|org| !verified.contains(&org.as_str()));
    html! {
        p.person {
            @match user {
                Some(user) => a.name href={ (hub) "/" (path(user)) } target="_blank" rel="noopener noreferrer" { (text(user)) },
                None => b.name { (text(name)) },
            }
            @if let Some(fullname) = fullname { " " bdi.fullname { (text(fullname)) } }
            @if *pro == Some(true) { " " span.tag { "PRO" } }
            @if service_account.as_deref().is_some_and(|org| !org.is_empty()) { " " span.tag { "service account" } }
        }
        p.contact {
            @match email {
                Some(email) => bdi { (text(email)) },
                None => span.faint { "address not shared" },
            }
            @for org in &verified { " " bdi.tag.verified title="The Hub has verified this organization" { "✓ " (text(org)) } }
            @for org in others { " " bdi.tag { (text(org)) } }
        }
    }
}

/// A name as a part of a path.
fn path(name: &str) -> String {
    name.chars().filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c)).collect()
}

/// The answers to the gate form. A long one is cut, and shown whole on demand.
pub fn answers(request: &AccessRequest) -> Markup {
    html! {
        @if request.fields.is_empty() {
            p.answers.faint { "No answers" }
        } @else {
            dl.answers {
                @for (label, answer) in &request.fields {
                    dt dir="auto" { (text(label)) }
                    dd dir="auto" { (long(&text(answer))) }
                }
            }
        }
    }
}

fn long(answer: &str) -> Markup {
    let cut = answer.char_indices().nth(LONG_ANSWER).map(|(at, _)| at);
    html! {
        @match cut {
            None if answer.is_empty() => span.faint { "(empty)" },
            None => (answer),
            Some(at) => details {
                summary { (answer.get(..at).unwrap_or_default()) "… " span.more { "(" (grouped(answer.chars().count() as u64)) " characters)" } }
                div tabindex="0" { (answer) }
            },
        }
    }
}

/// A time with its age.
pub fn when(at: Option<DateTime<Utc>>) -> Markup {
    html! {
        @match at {
            Some(at) => time datetime=(rfc3339(at)) title=(rfc3339(at)) { (age(at, Utc::now())) " ago" },
            None => span.faint { "at an unknown time" },
        }
    }
}

/// The bar below a list: the reason, and what to do with the selected people.
pub fn bar(context: &Context, buttons: &[(Verdict, &str)]) -> Markup {
    html! {
        div.bar {
            span #selected hidden { "0 selected" }
            div.reason {
                label for="reason" { "Reason for a reset or a rejection" }
                input #reason name="reason" list="reasons" maxlength="200" autocomplete="off";
                datalist #reasons {
                    @for reason in context.reasons { option value=(reason) {} }
                }
            }
            @for (verdict, label) in buttons {
                button name="verdict" value=(verdict.as_str()) class=(verdict.as_str()) { (label) " selected" }
            }
        }
    }
}

/// The buttons of one person.
pub fn buttons(key: &str, name: &str, buttons: &[(Verdict, &str)]) -> Markup {
    html! {
        div.buttons {
            @for (verdict, label) in buttons {
                button name="one" value={ (verdict.as_str()) " " (key) } class=(verdict.as_str()) data-verdict=(verdict.as_str()) {
                    (label) span.visually-hidden { " " (text(name)) }
                }
            }
        }
    }
}

/// Links to the pages of a list.
pub fn pages(filter: &Filter, total: usize, place: &str) -> Markup {
    let last = total.saturating_sub(1) / PAGE_SIZE;
    html! {
        @if last > 0 {
            nav.pages aria-label="Pages" {
                @if filter.page > 0 {
                    a rel="prev" href={ (place) (filter.on_page(filter.page - 1).query()) } { "← Previous" }
                }
                span { "Page " (filter.page + 1) " of " (last + 1) }
                @if filter.page < last {
                    a rel="next" href={ (place) (filter.on_page(filter.page + 1).query()) } { "Next →" }
                }
            }
        }
    }
}

/// The page for the first request of the owner's browser. It leads to the desk.
pub fn welcome() -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="refresh" content="0; url=./";
                title { "Doorman desk" }
            }
            body { p { a href="./" { "Open the desk" } } }
        }
    }
}

/// The page for a refused request. It shows nothing else of the desk.
pub fn refusal(refusal: Refusal) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head { meta charset="utf-8"; title { "Refused" } }
            body { h1 { "Refused" } p { (refusal) } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_requester_wrote_is_text() {
        let mut request = AccessRequest::default();
        let evil = "<script>alert(1)</script>\"' onerror=x \u{202e}evil";
        request.user.name = Some(evil.to_owned());
        request.user.fullname = Some(evil.to_owned());
        request.user.email = Some(evil.to_owned());
        request.user.orgs = Some(vec![evil.to_owned()]);
        request.user.verified_orgs = Some(vec![evil.to_owned() + "!"]);
        for label in [evil.to_owned(), evil.repeat(50)] {
            request.fields.insert(label, evil.repeat(20));
        }
        let page = person(&request, evil, "https://hub").into_string() + &answers(&request).into_string();
        let page = page + &buttons("key", evil, &[(Verdict::Accept, "Accept")]).into_string();
        assert!(page.contains("&lt;script&gt;") && !page.contains("<script"), "{page}");
        assert!(!page.contains('\u{202e}') && !page.contains("\"' onerror"), "{page}");
        assert!(page.contains("href=\"https://hub/scriptalert1script"), "{page}");
    }

    #[test]
    fn long_answer_is_cut_and_shown_on_demand() {
        let answer = "ä".repeat(4000);
        let page = long(&answer).into_string();
        assert!(page.contains(&format!("{}…", "ä".repeat(LONG_ANSWER))) && page.contains(&answer));
        assert!(page.contains("(4,000 characters)"));
        assert_eq!(long(&"ä".repeat(LONG_ANSWER)).into_string(), "ä".repeat(LONG_ANSWER));
    }
}
