//! `desk`: the page over HTTP, as a browser without a script uses it. `tests/desk/` has the tests in a real browser.

use std::process::Stdio;
use std::time::Duration;

use reqwest::header::{COOKIE, HOST, LOCATION, ORIGIN, SET_COOKIE};
use reqwest::{Client, Response, StatusCode};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::command;
use crate::hub::{Fault, Hub, Status};
use crate::support::{ask, stranger};

/// A running desk, and a browser that has opened it.
struct Desk {
    child: Child,
    client: Client,
    /// The address of the page, with a slash at the end.
    home: String,
    origin: String,
    cookie: String,
}

impl Desk {
    async fn start(hub: &Hub, variables: &[(&str, &str)]) -> Self {
        let mut command = command(hub, variables, &["desk", "--no-browser", "acme/model"]);
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("doorman starts");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let address = lines.next_line().await.expect("a line").expect("the address");
        let client = hub_doorman::http::client_builder().no_proxy().build().expect("a client");
        let (home, _) = address.split_once('?').expect("a token");
        let origin = home.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
        let response = client.get(&address).send().await.expect("a response");
        assert_eq!(response.status(), StatusCode::OK);
        let cookie = response.headers()[SET_COOKIE].to_str().expect("ASCII");
        let cookie = cookie.split(';').next().expect("a pair").to_owned();
        Self { child, client, home: home.to_owned(), origin, cookie }
    }

    async fn page(&self) -> String {
        self.get("").await.text().await.expect("a page")
    }

    async fn get(&self, path: &str) -> Response {
        let get = self.client.get(self.home.clone() + path).header(COOKIE, &self.cookie);
        get.send().await.expect("a response")
    }

    async fn post(&self, path: &str, pairs: &[(&str, &str)]) -> Response {
        let post = self.client.post(self.home.clone() + path).header(COOKIE, &self.cookie);
        let pairs = pairs.iter().map(|(key, value)| format!("{key}={}", value.replace(' ', "+")));
        let body = pairs.collect::<Vec<_>>().join("&");
        let post = post.header("content-type", "application/x-www-form-urlencoded").body(body);
        post.header(ORIGIN, &self.origin).send().await.expect("a response")
    }

    /// Presses a button of the first waiting person.
    async fn press(&self, verdict: &str) -> Response {
        self.press_on("", verdict).await
    }

    /// Presses a button of the first person on a tab.
    async fn press_on(&self, tab: &str, verdict: &str) -> Response {
        let page = self.get(tab).await.text().await.expect("a page");
        let one = format!("{verdict} {}", between(&page, "id=\"r-", "\""));
        let path = if tab.is_empty() { "decide" } else { "change" };
        self.post(path, &[("form", form_of(&page)), ("one", &one)]).await
    }

    /// Undoes the only decision, and returns the status of the response.
    async fn undo(&self) -> StatusCode {
        self.post("undo", &[("form", form_of(&self.page().await)), ("undo", "all")]).await.status()
    }
}

/// The mark of the forms on a page.
fn form_of(page: &str) -> &str {
    between(page, "name=\"form\" value=\"", "\"")
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("`{before}` is not in: {text}"));
    rest.split_once(after).expect("an end").0
}

/// Waits until the page of the desk fulfils a condition.
async fn until(desk: &Desk, what: &str, is_true: impl Fn(&str) -> bool) -> String {
    for _ in 0..600 {
        let page = desk.page().await;
        if is_true(&page) {
            return page;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("not within 30 s: {what}: {}", desk.page().await)
}

#[tokio::test]
async fn decision_is_sent_after_the_time_to_undo_it() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", ["ada", "bob"].map(stranger));
    let desk = Desk::start(&hub, &[]).await;
    let response = desk.press("accept").await;
    assert_eq!(
        (response.status(), &response.headers()[LOCATION]),
        (StatusCode::SEE_OTHER, &"./".parse().expect("a value"))
    );
    let page = until(&desk, "it waits", |page| page.contains("Sends in")).await;
    assert!(!page.contains("data-name=\"ada\"") && page.contains("data-name=\"bob\""), "{page}");
    assert!(hub.calls().iter().all(|call| call.starts_with("GET")));
    until(&desk, "it is sent", |page| page.contains("accept ada (acme/model): done")).await;
    assert_eq!(hub.users("acme/model", Status::Accepted), ["ada"]);
    assert_eq!(hub.model().repo("acme/model").request("ada").writes, 1);
}

#[tokio::test]
async fn dry_run_of_the_desk_sends_nothing() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", [stranger("ada")]);
    let desk = Desk::start(&hub, &[("DRY_RUN", "true")]).await;
    desk.press("reject").await;
    let page =
        until(&desk, "it would be sent", |page| page.contains("reject ada (acme/model): dry run")).await;
    assert!(page.contains("Would have been sent: 1. Last: reject ada") && !page.contains("Sent:"), "{page}");
    assert!(hub.calls().iter().all(|call| call.starts_with("GET")));
}

/// A rate limit refuses the write. The desk waits, and the person changes their mind.
#[tokio::test]
async fn decision_that_the_hub_has_refused_for_now_can_be_undone() {
    for (tab, before) in [("", Status::Pending), ("decided", Status::Accepted)] {
        let hub = Hub::start().await;
        ask(&hub, "acme/model", [stranger("ada")]);
        hub.model().repo("acme/model").find_mut("user", "ada").expect("ada").set(before, None);
        let refusal = Fault::Answer(429, vec![("retry-after", "60".to_owned())], "{}".to_owned());
        hub.model().faults("POST", &refusal, 9);
        let desk = Desk::start(&hub, &[]).await;
        desk.press_on(tab, "reset").await;
        let is_refused = |page: &str| writes(&hub) == 1 && page.contains("Waiting for the Hub");
        until(&desk, "it is refused", is_refused).await;
        assert_eq!(desk.undo().await, StatusCode::SEE_OTHER);
        let page = desk.get(tab).await.text().await.expect("a page");
        assert!(page.contains("data-name=\"ada\"") && !page.contains("Undo"), "{page}");
        assert_eq!((hub.users("acme/model", before), writes(&hub)), (vec!["ada".to_owned()], 1));
    }
}

fn writes(hub: &Hub) -> usize {
    hub.calls().iter().filter(|call| call.starts_with("POST")).count()
}

/// The Hub carries out each write, and no response says so. Nobody is told that such a decision is undone.
#[tokio::test]
async fn decision_that_the_hub_may_have_carried_out_cannot_be_undone() {
    for (tab, before) in [("", Status::Pending), ("decided", Status::Accepted)] {
        let hub = Hub::start().await;
        ask(&hub, "acme/model", [stranger("ada")]);
        hub.model().repo("acme/model").find_mut("user", "ada").expect("ada").set(before, None);
        hub.model().faults("POST", &Fault::DropAfter, 9);
        let desk = Desk::start(&hub, &[]).await;
        desk.press_on(tab, "reset").await;
        until(&desk, "it is in doubt", |page| page.contains("this may be done already")).await;
        assert_eq!(desk.undo().await, StatusCode::CONFLICT);
        let page = until(&desk, "it is over", |page| !page.contains("this may be done already")).await;
        assert!(page.contains("reset ada (acme/model): unknown"), "{page}");
        assert_eq!(hub.users("acme/model", Status::Reset), ["ada"]);
    }
}

#[tokio::test]
async fn ctrl_c_drops_what_can_still_be_undone() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", [stranger("ada")]);
    let mut desk = Desk::start(&hub, &[]).await;
    desk.press("reject").await;
    let id = desk.child.id().expect("it runs").to_string();
    Command::new("kill").args(["-INT", &id]).status().await.expect("kill runs");
    let mut err = String::new();
    desk.child.stderr.take().expect("a pipe").read_to_string(&mut err).await.expect("text");
    assert!(
        err.contains("1 decision could still be undone, and was not sent: reject ada (acme/model)"),
        "{err}"
    );
    assert!(desk.child.wait().await.expect("it ends").success());
    assert_eq!(hub.users("acme/model", Status::Pending), ["ada"]);
}

#[tokio::test]
async fn browser_that_may_not_use_the_desk_sees_nothing() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", [stranger("ada")]);
    let desk = Desk::start(&hub, &[]).await;
    let page = desk.page().await;
    assert!(page.contains("ada") && !page.contains(Hub::TOKEN));
    let get = |cookie: &str, host: &str| {
        desk.client.get(&desk.home).header(COOKIE, cookie).header(HOST, host).send()
    };
    let own = desk.origin.trim_start_matches("http://");
    for (cookie, host, status) in
        [("", own, 403), ("doorman=0", own, 403), (&*desk.cookie, "evil.example", 421)]
    {
        let response = get(cookie, host).await.expect("a response");
        assert_eq!(response.status().as_u16(), status, "{cookie} {host}");
        assert_eq!(response.headers()["x-frame-options"], "DENY");
        assert!(!response.text().await.expect("a page").contains("ada"));
    }
    let long = desk.post("decide", &[("form", &"x".repeat(100_000))]).await;
    assert_eq!(long.status(), StatusCode::PAYLOAD_TOO_LARGE);
    for method in ["PUT", "DELETE"] {
        let method = method.parse().expect("a method");
        let request = desk.client.request(method, &desk.home).header(COOKIE, &desk.cookie);
        let response = request.header(ORIGIN, &desk.origin).send().await.expect("a response");
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    }
}

/// A person may copy the address without its last slash.
#[tokio::test]
async fn address_without_its_last_slash_leads_to_the_desk() {
    let hub = Hub::start().await;
    let desk = Desk::start(&hub, &[]).await;
    for query in ["", "?token=0&q=ada"] {
        let address = desk.home.trim_end_matches('/').to_owned() + query;
        let response = desk.client.get(address).send().await.expect("a response");
        assert_eq!(response.status(), StatusCode::SEE_OTHER);
        let place = response.headers()[LOCATION].to_str().expect("ASCII");
        assert_eq!(desk.origin.clone() + place, desk.home.clone() + query);
    }
}

#[tokio::test]
async fn form_with_a_fault_changes_nothing() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", [stranger("ada")]);
    let desk = Desk::start(&hub, &[]).await;
    let long = "x".repeat(201);
    let page = desk.page().await;
    let key = between(&page, "id=\"r-", "\"");
    let cases = [
        (vec![("verdict", "accept")], 400, "Nobody is selected"),
        (vec![("verdict", "hold"), ("request", key)], 400, "Choose what to do"),
        (vec![("verdict", "accept"), ("verdict", "reject"), ("request", key)], 400, "two decisions"),
        (vec![("verdict", "reject"), ("request", key), ("reason", &long)], 400, "201 characters"),
        (vec![("verdict", "accept"), ("request", "0")], 409, "Not accepted: 1 decision"),
    ];
    for (mut pairs, status, expected) in cases {
        let page = desk.page().await;
        pairs.push(("form", form_of(&page)));
        let response = desk.post("decide", &pairs).await;
        assert_eq!(response.status().as_u16(), status, "{pairs:?}");
        let page = response.text().await.expect("a page");
        assert!(page.contains(expected) && page.contains("data-name=\"ada\""), "{pairs:?}: {page}");
    }
}
