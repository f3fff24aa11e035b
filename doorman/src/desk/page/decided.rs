//! The second tab: people who were accepted, rejected or reset.

use std::sync::Arc;

use hub_doorman::model::{Repo, Status, Verdict};
use maud::{Markup, html};

use super::super::decided::DecidedRequest;
use super::super::filter::Filter;
use super::super::state::{State, Subject};
use super::parts::{self, PAGE_SIZE};
use super::{Context, Tab, layout};
use crate::screen::count;

/// A list of decided requests, as far as it was read.
pub struct List {
    pub repo: Option<Repo>,
    pub status: Status,
    pub requests: Vec<Arc<DecidedRequest>>,
    pub has_more: bool,
    pub error: Option<String>,
}

/// What can be done with a request of this status. To revoke is to reset: the user loses access and may ask again.
fn buttons(status: Status) -> &'static [(Verdict, &'static str)] {
    match status {
        Status::Accepted => &[(Verdict::Reset, "Revoke"), (Verdict::Reject, "Reject for good")],
        Status::Rejected => &[(Verdict::Accept, "Accept"), (Verdict::Reset, "Let ask again")],
        Status::Reset => &[(Verdict::Accept, "Accept"), (Verdict::Reject, "Reject for good")],
        Status::Pending => &[],
    }
}

pub fn decided(context: &Context, state: &State, list: &List) -> Markup {
    let List { repo, status, requests, has_more, error } = list;
    let is_chosen = |request: &Arc<DecidedRequest>| {
        state
            .choices
            .iter()
            .any(|open| matches!(&open.subject, Subject::Decided(other) if other.key == request.key))
    };
    let shown: Vec<&Arc<DecidedRequest>> = requests.iter().filter(|request| !is_chosen(request)).collect();
    let page = context.filter.page.min(shown.len().saturating_sub(1) / PAGE_SIZE);
    let filter = &context.filter.on_page(page);
    let body = html! {
        (filters(filter, state, repo.as_ref(), *status))
        @if let Some(error) = error { p.problem role="alert" { (parts::text(error)) } }
        form.decide method="post" action={ "change" (filter.query()) } {
            button disabled hidden {}
            div #form { input type="hidden" name="form" value=(context.form); }
            div #list {
                p.summary {
                    (count(shown.len() as u64, &format!("{} request", status.as_str())))
                    @if let Some(repo) = repo { " for " (repo) }
                    @if *has_more { ". The list is longer: search for the beginning of a user name to see others" }
                    "."
                }
                ol.requests {
                    @for request in shown.iter().skip(page * PAGE_SIZE).take(PAGE_SIZE) { (row(request, context)) }
                }
                (parts::pages(filter, shown.len(), "decided"))
            }
            @if !shown.is_empty() { (parts::bar(context, buttons(*status))) }
        }
    };
    layout(context, state, Tab::Decided, &body)
}

fn filters(filter: &Filter, state: &State, repo: Option<&Repo>, status: Status) -> Markup {
    html! {
        form.filters method="get" action="decided" role="search" {
            div { label for="q" { "User name begins with" } input #q type="search" name="q" maxlength="250" value=(filter.q); }
            div {
                label for="repo" { "Repo" }
                select #repo name="repo" {
                    @for each in state.repos.keys() {
                        option value=(each) selected[Some(each) == repo] { (each) }
                    }
                }
            }
            div {
                label for="status-of" { "List" }
                select #status-of name="status" {
                    @for each in [Status::Accepted, Status::Rejected, Status::Reset] {
                        option value=(each.as_str()) selected[each == status] { (each.as_str()) }
                    }
                }
            }
            button { "Show" }
        }
    }
}

fn row(decided: &DecidedRequest, context: &Context) -> Markup {
    let DecidedRequest { repo, key, status, request, reviewed_at, granted_by } = decided;
    let (key, name) = (key.to_string(), decided.name());
    html! {
        li.request id={ "r-" (key) } data-name=(parts::text(&name)) data-repo=(repo) tabindex="-1" {
            input type="checkbox" name="request" value=(key) aria-label={ "Select " (parts::text(&name)) };
            div.who {
                (parts::person(request, &name, context.hub_url))
                p.where { "asked " (parts::when(request.requested_at)) }
            }
            div.why {
                p {
                    span.verdict.(status.as_str()) { (status.as_str()) }
                    " " (parts::when(*reviewed_at))
                    @if let Some(by) = granted_by { " by " (parts::text(by)) }
                }
            }
            (parts::answers(request))
            (parts::buttons(&key, &name, buttons(*status)))
        }
    }
}
