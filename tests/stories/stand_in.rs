//! The stand-in Hub does what the real one was seen to do, call by call.

use std::time::Duration;

use reqwest::Response;
use serde_json::{Value, json};

use crate::hub::{Cursor, Hub, Quota, Status};
use crate::support::{ask, staff};

const REQUESTS: &str = "/api/models/acme/model/user-access-request";

/// The response to a `GET` with the token, or to a `POST` if there is a body.
async fn call(hub: &Hub, path: &str, body: Option<&Value>) -> Response {
    let client = hub_doorman::http::client().expect("a client");
    let url = hub.endpoint() + path;
    let request = match body {
        Some(body) => client.post(url).body(body.to_string()),
        None => client.get(url),
    };
    request.bearer_auth(Hub::TOKEN).send().await.expect("a response")
}

/// The path of the next page, if there is one.
fn next_of(hub: &Hub, response: &Response) -> Option<String> {
    let link = response.headers().get("link")?.to_str().expect("ASCII");
    let url = link.strip_prefix('<').and_then(|link| link.strip_suffix(r#">; rel="next""#)).expect("a link");
    Some(url.strip_prefix(&hub.endpoint()).expect("of this Hub").to_owned())
}

/// A Hub on which ada has requested `acme/model`, and the request has this status.
async fn hub_with_ada(status: Status) -> Hub {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", [staff("ada")]);
    hub.model().repo("acme/model").find_mut("user", "ada").expect("ada").status = status;
    hub
}

/// If the stand-in accepted such a call, no story would notice that the doorman makes it.
#[tokio::test]
async fn call_outside_the_limits_of_the_hub_is_refused() {
    let hub = hub_with_ada(Status::Pending).await;
    for query in ["limit=5", "limit=1001", "limit=ten", &format!("q={}", "x".repeat(251))] {
        let path = format!("{REQUESTS}/pending?{query}");
        assert_eq!(call(&hub, &path, None).await.status(), 400, "{query}");
    }
    let ada = json!({"user": "ada"});
    let (url, watched) = ("https://doorman.example/", json!([{"type": "org", "name": "acme"}]));
    let (handle, batch, webhooks) =
        (&*format!("{REQUESTS}/handle"), &*format!("{REQUESTS}/batch"), "/api/settings/webhooks");
    for (path, body) in [
        (handle, json!({"status": "accepted"})),
        (handle, json!({"status": "accepted", "user": "ada", "userId": "id-ada"})),
        (handle, json!({"status": "maybe", "user": "ada"})),
        (handle, json!({"status": "reset", "user": "ada", "resetReason": "x".repeat(201)})),
        (batch, json!({"status": "accepted", "requests": []})),
        (batch, json!({"status": "accepted", "requests": vec![ada; 101]})),
        (webhooks, json!({"watched": watched})),
        (webhooks, json!({"url": "doorman", "watched": watched})),
        (webhooks, json!({"url": url})),
        (webhooks, json!({"url": url, "watched": [{"type": "paper", "name": "acme"}]})),
        (webhooks, json!({"url": url, "watched": watched, "domains": ["discussions"]})),
    ] {
        assert_eq!(call(&hub, path, Some(&body)).await.status(), 400, "{body}");
    }
    assert_eq!(hub.users("acme/model", Status::Pending), ["ada"]);
}

#[tokio::test]
async fn rejected_user_cannot_ask_again_but_a_reset_user_can() {
    for (status, pending) in [(Status::Rejected, 0), (Status::Reset, 1)] {
        let hub = hub_with_ada(status).await;
        hub.model().repo("acme/model").ask(staff("ada"));
        assert_eq!(hub.users("acme/model", Status::Pending).len(), pending, "{status:?}");
    }
}

#[tokio::test]
async fn every_response_shows_the_quota_and_429_follows_it() {
    let hub = hub_with_ada(Status::Pending).await;
    hub.model().quota = Quota { tells_when: true, ..Quota::new(2, Duration::from_secs(300)) };
    for (status, left) in [(200, 1), (200, 0), (429, 0)] {
        let response = call(&hub, "/api/whoami-v2", None).await;
        assert_eq!(response.status(), status);
        assert_eq!(
            response.headers()["ratelimit"].to_str().ok(),
            Some(format!("\"api\";r={left};t=300").as_str())
        );
        assert_eq!(response.headers()["ratelimit-policy"], r#""fixed window";"api";q=2;w=300"#);
        assert_eq!(response.headers().contains_key("retry-after"), status == 429);
    }
}

/// With an offset cursor, the second page skips as many requests as left the first one, once the list has caught up.
#[tokio::test]
async fn offset_cursor_skips_after_a_request_leaves() {
    for (cursor, lag, expected) in [(Cursor::Key, 0, 10), (Cursor::Offset, 0, 15), (Cursor::Offset, 3600, 10)]
    {
        let hub = Hub::start().await;
        ask(&hub, "acme/model", (0..20).map(|number| staff(&format!("user{number}"))));
        hub.model().cursor = cursor;
        hub.model().lag = Duration::from_secs(lag);
        hub.model().max_page = 10;
        let first = call(&hub, &format!("{REQUESTS}/pending?limit=10"), None).await;
        let next = next_of(&hub, &first).expect("a second page");
        for user in 0..5 {
            let mut model = hub.model();
            let request =
                model.repo("acme/model").find_mut("user", &format!("user{user}")).expect("a request");
            request.set(Status::Accepted, None);
        }
        let second = call(&hub, &next, None).await.bytes().await.expect("a body");
        let second: Value = serde_json::from_slice(&second).expect("JSON");
        assert_eq!(second[0]["user"]["user"], format!("user{expected}"), "{cursor:?} {lag}");
    }
}
