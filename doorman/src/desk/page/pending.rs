//! The first tab: the requests that wait for a person.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use hub_doorman::model::{Repo, Verdict};
use maud::{Markup, html};

use super::super::filter::{Filter, NO_RULE};
use super::super::state::State;
use super::parts::{self, PAGE_SIZE};
use super::{Context, Tab, layout};
use crate::pending::PendingRequest;
use crate::screen::{count, grouped};

const BUTTONS: [(Verdict, &str); 3] =
    [(Verdict::Accept, "Accept"), (Verdict::Reset, "Reset"), (Verdict::Reject, "Reject")];

pub fn pending(context: &Context, state: &State) -> Markup {
    let filter = context.filter;
    let mut shown: Vec<&Arc<PendingRequest>> =
        state.undecided().filter(|request| filter.includes(request)).collect();
    if filter.is_newest_first() {
        shown.reverse();
    }
    let total = shown.len();
    let page = filter.page.min(total.saturating_sub(1) / PAGE_SIZE);
    let filter = &filter.on_page(page);
    let by_name = state.pending_by_name();
    let on_page = shown.iter().skip(page * PAGE_SIZE).take(PAGE_SIZE);
    let body = html! {
        (filters(filter, state))
        form.decide method="post" action={ "decide" (filter.query()) } {
            // Without this, Enter in the field of the reason would press the first button of the page.
            button disabled hidden {}
            div #form { input type="hidden" name="form" value=(context.form); }
            div #list {
                p.summary {
                    (summary(total, filter, state))
                    @if is_narrowed(filter) { " " a href="./" { "Show all that are held for you" } }
                }
                ol.requests {
                    @for request in on_page { (row(request, context, state, &by_name)) }
                }
                (parts::pages(filter, total, "./"))
            }
            @if total > 0 { (parts::bar(context, &BUTTONS)) }
        }
    };
    layout(context, state, Tab::Pending, &body)
}

/// Whether the filter shows some requests only.
fn is_narrowed(filter: &Filter) -> bool {
    !filter.q.is_empty() || !filter.repo.is_empty() || !filter.rule.is_empty()
}

fn summary(total: usize, filter: &Filter, state: &State) -> String {
    let held = state.undecided().filter(|request| request.is_held()).count() as u64;
    let reading = if state.is_reading { " The lists are being read." } else { "" };
    let pending = grouped(state.undecided().count() as u64);
    match (held, total) {
        (_, total) if is_narrowed(filter) => {
            format!("{} found, of {pending} pending.{reading}", count(total as u64, "request"))
        }
        (0, 0) if state.is_reading => "Reading the lists…".to_owned(),
        (0, 0) => format!("No request is held. Pending: {pending}."),
        _ => format!("{} held for you, of {pending} pending.{reading}", count(held, "request")),
    }
}

fn filters(filter: &Filter, state: &State) -> Markup {
    let rules: BTreeSet<&str> =
        state.requests.iter().map(|request| request.decision.grounds.rule().unwrap_or(NO_RULE)).collect();
    html! {
        form.filters method="get" action="./" role="search" {
            div { label for="q" { "Search" } input #q type="search" name="q" value=(filter.q); }
            div {
                label for="repo" { "Repo" }
                select #repo name="repo" {
                    option value="" { "All repos" }
                    @for repo in state.repos.keys() {
                        @let name = repo.to_string();
                        option value=(name) selected[name == filter.repo] { (name) }
                    }
                }
            }
            div {
                label for="rule" { "Rule" }
                select #rule name="rule" {
                    option value="" { "All rules" }
                    @for rule in rules { option value=(rule) selected[rule == filter.rule] { (rule) } }
                }
            }
            div {
                label for="show" { "Show" }
                select #show name="show" {
                    option value="" { "Held for you" }
                    option value="all" selected[filter.shows_all()] { "All pending" }
                }
            }
            div {
                label for="sort" { "Order" }
                select #sort name="sort" {
                    option value="" { "Oldest first" }
                    option value="newest" selected[filter.is_newest_first()] { "Newest first" }
                }
            }
            button { "Search" }
            button formmethod="post" formaction={ "refresh" (filter.query()) } { "Read again" }
        }
    }
}

fn row(
    request: &PendingRequest,
    context: &Context,
    state: &State,
    by_name: &HashMap<String, Vec<Repo>>,
) -> Markup {
    let PendingRequest { repo, key, request: asked, decision, .. } = request;
    let (key, name) = (key.to_string(), request.name());
    let others = state.others(request, by_name);
    let grounds = match decision.grounds.rule() {
        Some(rule) => decision.explanation().replacen(&format!("rule `{rule}`"), "", 1),
        None => decision.explanation(),
    };
    html! {
        li.request id={ "r-" (key) } data-name=(parts::text(&name)) data-repo=(repo) tabindex="-1" {
            input type="checkbox" name="request" value=(key) aria-label={ "Select " (parts::text(&name)) };
            div.who {
                (parts::person(asked, &name, context.hub_url))
                p.where {
                    a href={ (context.hub_url) "/" (repo) "/settings" } target="_blank" rel="noopener noreferrer" { (repo) }
                    " · asked " (parts::when(asked.requested_at))
                }
            }
            div.why {
                p {
                    span.verdict.(decision.verdict.as_str()) { (decision.verdict.as_str()) }
                    @if let Some(rule) = decision.grounds.rule() { " " code { (rule) } }
                    " " (parts::text(grounds.trim_start_matches([' ', ';'])))
                }
                @if let Some(reason) = &decision.reason { p { "Reason of the policy: " q { (parts::text(reason)) } } }
                @if !others.is_empty() {
                    p.others {
                        "Also: "
                        @for (i, (repo, status)) in others.iter().enumerate() {
                            @if i > 0 { ", " }
                            (repo) " (" (status.as_str()) ")"
                        }
                    }
                }
            }
            (parts::answers(asked))
            (parts::buttons(&key, &name, &BUTTONS))
        }
    }
}
