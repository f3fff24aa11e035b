//! Requests of the browser become responses.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Form, Query, Request, State};
use axum::http::header::{LOCATION, SET_COOKIE};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use chrono::{TimeDelta, Utc};
use hub_doorman::model::{Decision, Grounds, Repo, Status, Verdict};
use hub_doorman::plan::Choice;
use serde::Deserialize;
use tokio::time::{Instant, timeout};

use super::choices::TIME_TO_UNDO;
use super::filter::Filter;
use super::guard::{HEADERS, Refusal};
use super::page::{self, Context, List};
use super::state::Subject;
use super::{Desk, assets, decided};
use crate::arguments::reason;
use crate::screen::count;

/// The most bytes of a form. It may name every request of a page.
const MAX_FORM: usize = 64 * 1024;

/// How long the first page waits for the first reading.
const MAX_FIRST_WAIT: Duration = Duration::from_millis(300);

/// If the lists are older, a page has them read again.
const MAX_AGE: TimeDelta = TimeDelta::minutes(5);

/// A longer wait for the rate limit is shown.
const MAX_SILENT_WAIT: Duration = Duration::from_secs(2);

/// The most decided requests that are remembered for forms.
const MAX_DECIDED: usize = 10_000;

type AppState = State<Arc<Desk>>;

/// The pairs of a form. A key may occur more than once.
type Pairs = Form<Vec<(String, String)>>;

pub fn router(desk: &Arc<Desk>) -> Router {
    let path = |name: &str| format!("{}/{name}", desk.guard.path());
    Router::new()
        .route(&path(""), get(pending))
        .route(&path("decided"), get(decided))
        .route(&path("decide"), post(decide))
        .route(&path("change"), post(change))
        .route(&path("undo"), post(undo))
        .route(&path("refresh"), post(refresh))
        .route(&path("desk.css"), get(assets::style))
        .route(&path("desk.js"), get(assets::script))
        .layer(DefaultBodyLimit::max(MAX_FORM))
        .layer(from_fn_with_state(Arc::clone(desk), check))
        .with_state(Arc::clone(desk))
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
}

/// Refuses whoever may not use the desk, and gives every response the headers that protect it.
async fn check(State(desk): AppState, request: Request, next: Next) -> Response {
    let mut response = match check_request(&desk, &request) {
        Ok(Permission::Use) => {
            desk.last_use.touch();
            next.run(request).await
        }
        // A redirect would not do: after a click in a terminal that is itself a page, the browser withholds the strict cookie from it.
        Ok(Permission::Begin { cookie }) => ([(SET_COOKIE, cookie)], page::welcome()).into_response(),
        Ok(Permission::See(address)) => see(&address),
        Err(refusal) => (refusal.status(), page::refusal(refusal)).into_response(),
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    response
}

/// What a request is permitted.
enum Permission {
    Use,
    /// It shows the token of the printed address instead of the cookie, which is set now.
    Begin {
        cookie: String,
    },
    /// It has to ask for this address instead.
    See(String),
}

fn check_request(desk: &Desk, request: &Request) -> Result<Permission, Refusal> {
    desk.guard.check_place(request.method(), request.headers())?;
    let (home, uri) = (desk.guard.path(), request.uri());
    if *request.method() == Method::GET && uri.path() == home {
        // A person who copies the address may leave out its last slash. The links and the cookie need it.
        let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        return Ok(Permission::See(format!("{home}/{query}")));
    }
    let is_known = desk.guard.check_cookie(request.headers());
    if *request.method() == Method::GET
        && is_known.is_err()
        && uri.path().trim_end_matches('/') == home
        && let Ok(Query(Token { token: Some(token) })) = Query::try_from_uri(uri)
    {
        return desk.guard.exchange(&token).map(|cookie| Permission::Begin { cookie });
    }
    is_known.map(|()| Permission::Use)
}

async fn pending(State(desk): AppState, Query(filter): Query<Filter>) -> Response {
    let _ = timeout(MAX_FIRST_WAIT, desk.first_reading()).await;
    let is_old = desk.state().read_at.is_some_and(|read_at| Utc::now() - read_at > MAX_AGE);
    if is_old {
        tokio::spawn(Arc::clone(&desk).read());
    }
    desk.pending_page(&filter, None).into_response()
}

async fn refresh(State(desk): AppState, Query(filter): Query<Filter>) -> Response {
    // The form of the filters has no mark: to send it again only reads the lists again.
    tokio::spawn(Arc::clone(&desk).read());
    see(&format!("./{}", filter.query()))
}

async fn decide(State(desk): AppState, Query(filter): Query<Filter>, Form(pairs): Pairs) -> Response {
    let find = |desk: &Desk, key: &str| {
        let state = desk.state();
        let found = state.requests.iter().find(|request| request.key.to_string() == key).cloned();
        found.map(Subject::Pending)
    };
    match desk.choose(&pairs, find) {
        Ok(()) => see(&format!("./{}", filter.query())),
        Err((status, message)) => (status, desk.pending_page(&filter, Some(&message))).into_response(),
    }
}

async fn decided(State(desk): AppState, Query(filter): Query<Filter>) -> Response {
    let list = desk.decided_list(&filter).await;
    desk.decided_page(&filter, &list, None).into_response()
}

async fn change(State(desk): AppState, Query(filter): Query<Filter>, Form(pairs): Pairs) -> Response {
    let find = |desk: &Desk, key: &str| desk.state().decided.get(key).cloned().map(Subject::Decided);
    match desk.choose(&pairs, find) {
        Ok(()) => see(&format!("decided{}", filter.query())),
        Err((status, message)) => {
            let list = desk.decided_list(&filter).await;
            (status, desk.decided_page(&filter, &list, Some(&message))).into_response()
        }
    }
}

/// The tab from which a form was sent.
#[derive(Deserialize)]
struct Tab {
    from: Option<String>,
}

async fn undo(
    State(desk): AppState,
    Query(filter): Query<Filter>,
    Query(Tab { from }): Query<Tab>,
    Form(pairs): Pairs,
) -> Response {
    let is_of_decided = from.as_deref() == Some("decided");
    let failed = match desk.guard.use_form(value(&pairs, "form")) {
        Err(refusal) => Some((refusal.status(), refusal.to_string())),
        Ok(()) => match value(&pairs, "undo") {
            "problems" => {
                desk.state().problems.clear();
                None
            }
            "all" => desk.undo(None),
            id => id.parse().ok().and_then(|id| desk.undo(Some(id))),
        },
    };
    match failed {
        None => see(&format!("{}{}", if is_of_decided { "decided" } else { "./" }, filter.query())),
        Some((status, message)) if is_of_decided => {
            let list = desk.decided_list(&filter).await;
            (status, desk.decided_page(&filter, &list, Some(&message))).into_response()
        }
        Some((status, message)) => (status, desk.pending_page(&filter, Some(&message))).into_response(),
    }
}

/// The first value of a key, or an empty text.
fn value<'a>(pairs: &'a [(String, String)], key: &str) -> &'a str {
    pairs.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str()).unwrap_or_default()
}

/// Sends the browser to another page of the desk.
fn see(place: &str) -> Response {
    (StatusCode::SEE_OTHER, [(LOCATION, place.to_owned())]).into_response()
}

fn verdict(word: &str) -> Option<Verdict> {
    [Verdict::Accept, Verdict::Reset, Verdict::Reject].into_iter().find(|verdict| verdict.as_str() == word)
}

impl Desk {
    /// Returns once the lists were read.
    async fn first_reading(&self) {
        loop {
            let changed = self.changed.notified();
            if self.state().read_at.is_some() {
                return;
            }
            changed.await;
        }
    }

    /// Adds the choices of a form. The error is the status and the message of the response. If only some of the requests have changed,
    /// the choices about the others are added.
    fn choose(
        &self,
        pairs: &[(String, String)],
        find: impl Fn(&Self, &str) -> Option<Subject>,
    ) -> Result<(), (StatusCode, String)> {
        let bad = |message: &str| (StatusCode::BAD_REQUEST, message.to_owned());
        self.guard
            .use_form(value(pairs, "form"))
            .map_err(|refusal| (refusal.status(), refusal.to_string()))?;
        // The button of one person goes before the selection.
        let selected = || pairs.iter().filter(|(name, _)| name == "request").map(|(_, key)| key.as_str());
        let (word, keys) = match value(pairs, "one").split_once(' ') {
            Some((word, key)) => (word, vec![key]),
            None => (value(pairs, "verdict"), selected().collect()),
        };
        let is_named_twice = |name: &str| pairs.iter().filter(|(key, _)| key == name).nth(1).is_some();
        if is_named_twice("verdict") || is_named_twice("one") {
            return Err(bad("The form names two decisions. Nothing was changed."));
        }
        let verdict = verdict(word).ok_or_else(|| bad("Choose what to do. Nothing was changed."))?;
        if keys.is_empty() {
            return Err(bad("Nobody is selected, so nothing was changed."));
        }
        let text = value(pairs, "reason").trim();
        let reason = match verdict {
            Verdict::Reset | Verdict::Reject if !text.is_empty() => Some(
                reason(text)
                    .map_err(|why| bad(&format!("The reason cannot be sent: {why}. Nothing was changed.")))?,
            ),
            _ => None,
        };
        let decision = Decision { reason: reason.map(Into::into), ..Decision::new(verdict, Grounds::Person) };
        let due = Instant::now() + TIME_TO_UNDO;
        let mut refused = 0;
        for key in keys {
            let choice = Choice::new(decision.clone());
            let is_added = find(self, key).is_some_and(|subject| self.state().choose(subject, choice, due));
            refused += u64::from(!is_added);
        }
        self.chosen.notify_one();
        if refused == 0 {
            return Ok(());
        }
        let message = format!(
            "Not accepted: {}. The requests have changed since this page was made, or are decided already. The list below is new.",
            count(refused, "decision")
        );
        Err((StatusCode::CONFLICT, message))
    }

    /// Takes choices back. The result is the status and the message of the response if it was too late.
    fn undo(&self, id: Option<u64>) -> Option<(StatusCode, String)> {
        let undone = self.state().undo(id);
        self.chosen.notify_one();
        undone.is_empty().then(|| {
            let message = "It is too late to undo: the decision is being sent, or the Hub may have carried it out. Look under Decided.";
            (StatusCode::CONFLICT, message.to_owned())
        })
    }

    /// Reads the list of decided requests that a page asks for. Without a repo it is the first one.
    async fn decided_list(&self, filter: &Filter) -> List {
        let _ = timeout(MAX_FIRST_WAIT, self.first_reading()).await;
        let status =
            [Status::Rejected, Status::Reset].into_iter().find(|each| each.as_str() == filter.status);
        let status = status.unwrap_or(Status::Accepted);
        // Only repos that the desk is about.
        let repo: Option<Repo> = {
            let state = self.state();
            let named = state.repos.keys().find(|repo| repo.to_string() == filter.repo);
            named.or(state.repos.keys().next()).cloned()
        };
        let mut list = List { repo, status, requests: Vec::new(), has_more: false, error: None };
        let Some(repo) = &list.repo else { return list };
        let search =
            Some(filter.q.trim()).filter(|search| !search.is_empty() && search.chars().count() <= 250);
        match decided::read(&self.setup.hub, repo, status, search).await {
            Ok((requests, has_more)) => {
                list.has_more = has_more;
                list.requests = requests.into_iter().map(Arc::new).collect();
            }
            Err(error) => list.error = Some(error.to_string()),
        }
        let mut state = self.state();
        if state.decided.len() > MAX_DECIDED {
            state.decided.clear();
        }
        state
            .decided
            .extend(list.requests.iter().map(|request| (request.key.to_string(), Arc::clone(request))));
        list
    }

    fn pending_page(&self, filter: &Filter, message: Option<&str>) -> maud::Markup {
        self.with_context(filter, message, page::pending)
    }

    fn decided_page(&self, filter: &Filter, list: &List, message: Option<&str>) -> maud::Markup {
        self.with_context(filter, message, |context, state| page::decided(context, state, list))
    }

    fn with_context(
        &self,
        filter: &Filter,
        message: Option<&str>,
        make: impl FnOnce(&Context, &super::State) -> maud::Markup,
    ) -> maud::Markup {
        let wait = self.setup.hub.wait().filter(|wait| *wait > MAX_SILENT_WAIT);
        let context = Context {
            filter,
            form: &self.guard.new_form(),
            reasons: &self.setup.policy.reasons(),
            hub_url: &self.hub_url,
            dry_run: self.setup.dry_run,
            wait: wait.map(|wait| wait.as_secs() + 1),
            message,
        };
        make(&context, &self.state())
    }
}
