//! The pages, as HTML. Whatever a requester wrote is text: the templates escape it, and characters that control the direction of
//! writing are replaced.

mod decided;
mod parts;
mod pending;

use std::collections::BTreeSet;

use hub_doorman::model::{Decision, Verdict};
use hub_doorman::plan::Progress;
use maud::{DOCTYPE, Markup, html};
use tokio::time::Instant;

use super::filter::Filter;
use super::state::{OpenChoice, State};
use crate::screen::count;
pub use decided::{List, decided};
pub use parts::{refusal, welcome};
pub use pending::pending;

/// What every page needs besides the state.
pub struct Context<'a> {
    pub filter: &'a Filter,
    /// The mark of the forms on the page.
    pub form: &'a str,
    /// The reasons of the policy.
    pub reasons: &'a [&'a str],
    /// The address of the Hub, without a slash at the end.
    pub hub_url: &'a str,
    pub dry_run: bool,
    /// How long the Hub takes no calls, in seconds.
    pub wait: Option<u64>,
    /// A message about the last request of this browser.
    pub message: Option<&'a str>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Tab {
    Pending,
    Decided,
}

/// A whole page.
fn layout(context: &Context, state: &State, tab: Tab, body: &Markup) -> Markup {
    let current = |of: Tab| (of == tab).then_some("page");
    let held = state.undecided().filter(|request| request.is_held()).count();
    let is_first_reading = state.read_at.is_none() && state.is_reading;
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { @if held > 0 { "(" (held) ") " } "Doorman desk" }
                link rel="stylesheet" href="desk.css";
                script src="desk.js" defer {}
                @if is_first_reading {
                    noscript { meta http-equiv="refresh" content="1"; }
                }
            }
            body {
                header {
                    h1 { "Doorman desk" }
                    nav aria-label="Lists" {
                        a href="./" aria-current=[current(Tab::Pending)] { "Waiting" }
                        a href="decided" aria-current=[current(Tab::Decided)] { "Decided" }
                    }
                    button type="button" id="help-button" hidden { "Keys " kbd { "?" } }
                }
                main {
                    (status(context, state, tab))
                    (body)
                }
                (dialogs())
            }
        }
    }
}

/// What the desk is doing: problems, and the decisions that will be sent. A script replaces it.
fn status(context: &Context, state: &State, tab: Tab) -> Markup {
    let query = context.filter.query();
    let back = if tab == Tab::Decided { "decided" } else { "" };
    let now = Instant::now();
    let can_be_undone = |open: &&OpenChoice| open.choice.progress() == Progress::Waiting;
    let undoable = state.choices.iter().filter(can_be_undone).count() as u64;
    let is_busy = state.is_reading || state.choices.iter().any(|open| open.is_begun);
    let faults: BTreeSet<&String> = state.faults.iter().chain(state.repos.values().flatten()).collect();
    html! {
        section #status aria-label="State of the desk" data-busy=[is_busy.then_some("")] {
            @if context.dry_run {
                p.note { "DRY_RUN is true, so nothing is sent." }
            }
            @if let Some(message) = context.message {
                p.problem role="alert" { (message) }
            }
            @if let Some(seconds) = context.wait {
                p.note { "The Hub takes no calls for another " (seconds) " s, because its rate limit is used up. The desk waits." }
            }
            @for fault in faults {
                p.problem { (parts::text(fault)) }
            }
            form method="post" action={ "undo?from=" (back) "&" (query.trim_start_matches('?')) } {
                input type="hidden" name="form" value=(context.form);
                @if !state.problems.is_empty() {
                    div role="alert" {
                        ul.problems tabindex="0" aria-label="Problems" { @for problem in &state.problems { li { (parts::text(&problem.line)) } } }
                    }
                    button name="undo" value="problems" { "Dismiss" }
                }
                @if !state.choices.is_empty() {
                    @if undoable > 1 {
                        p.all { (count(undoable, "decision")) " to be sent " button name="undo" value="all" { "Undo all" } }
                    }
                    // The newest is on top, because only the first ones are in sight.
                    ul.choices aria-label="Decisions to be sent" tabindex="0" {
                        @for open in state.choices.iter().rev() {
                            li data-row={ "r-" (open.subject.key()) } { (waiting(open, now)) }
                        }
                    }
                }
            }
            @if let Some(last) = state.sent.front() {
                details.sent {
                    summary { @if context.dry_run { "Would have been sent: " } @else { "Sent: " } (state.sent_count) ". Last: " (parts::text(last)) }
                    ul tabindex="0" aria-label="Sent" { @for line in &state.sent { li { (parts::text(line)) } } }
                }
            }
        }
    }
}

/// A decision that will be sent, and what its requester will see.
fn waiting(open: &OpenChoice, now: Instant) -> Markup {
    let OpenChoice { id, subject, choice, due, is_begun } = open;
    let Decision { verdict, reason, .. } = &choice.decision;
    let (left, progress) = (due.saturating_duration_since(now), choice.progress());
    html! {
        span.what {
            b.(verdict.as_str()) { (parts::infinitive(*verdict)) }
            " " b { (parts::text(&subject.name())) }
            " · " (subject.repo())
        }
        span.sees { (sees(*verdict, reason.as_deref())) }
        @match progress {
            Progress::Waiting if *is_begun => span { "Waiting for the Hub" },
            Progress::Waiting => span data-due=(left.as_millis()) { "Sends in " (left.as_secs() + 1) " s" },
            Progress::Sent | Progress::Withdrawn => span { "Sending…" },
            Progress::InDoubt => span { "The Hub gave no clear response, so this may be done already. The desk looks again." },
        }
        @if progress == Progress::Waiting {
            button name="undo" value=(id) { "Undo" }
        }
    }
}

/// What the requester will see.
fn sees(verdict: Verdict, reason: Option<&str>) -> Markup {
    html! {
        @match (verdict, reason) {
            (Verdict::Accept, _) => "gets access, without a reason",
            (Verdict::Hold, _) => "stays pending",
            (_, Some(reason)) => { "is shown: " q { (parts::text(reason)) } },
            (_, None) => "is shown no reason",
        }
    }
}

/// The dialogs of the script.
fn dialogs() -> Markup {
    html! {
        dialog #decide aria-labelledby="decide-title" {
            form method="dialog" {
                h2 #decide-title {}
                p #decide-effect {}
                label for="decide-reason" { "Reason" }
                textarea #decide-reason rows="3" maxlength="200" {}
                p.count { span #decide-count { "0" } " of 200 characters. Enter sends, Esc cancels." }
                div #decide-reasons role="group" aria-label="Reasons of the policy" {}
                p.preview #decide-preview aria-live="polite" {}
                div.buttons {
                    button value="cancel" formnovalidate { "Cancel" }
                    button.primary #decide-send value="send" { "Send" }
                }
            }
        }
        dialog #help aria-labelledby="help-title" {
            form method="dialog" {
                h2 #help-title { "Keys" }
                dl.keys {
                    @for (key, what) in KEYS {
                        dt { kbd { (key) } }
                        dd { (what) }
                    }
                }
                div.buttons { button.primary value="close" { "Close" } }
            }
        }
        div #announce .visually-hidden role="status" aria-live="polite" {}
    }
}

const KEYS: [(&str, &str); 9] = [
    ("j", "next person"),
    ("k", "previous person"),
    ("a", "accept the person, or the selected people"),
    ("r", "reject, with a reason"),
    ("s", "reset, with a reason: the person may ask again"),
    ("x", "select the person"),
    ("u", "undo the last decision"),
    ("/", "search"),
    ("?", "these keys"),
];
