//! The stand-in Hub does what the real one was seen to do, call by call.

use std::time::Duration;

use reqwest::{Client, Response};
use serde_json::{Value, json};

use crate::hub::{self, Cursor, Fault, Gating, Hub, Person, Quota, Role, Status};
use crate::support::{ask, staff};

/// The path of the access requests of a repo.
pub const REQUESTS: &str = "/api/models/acme/model/user-access-request";

/// An HTTP client as the doorman uses it.
pub fn client() -> Client {
    hub_doorman::http::client().expect("a client")
}

/// The response to a call with the token.
pub async fn call(hub: &Hub, method: &str, path: &str, body: Option<Value>) -> Response {
    let method = method.parse().expect("a method");
    let request = client().request(method, hub.endpoint() + path).bearer_auth(Hub::TOKEN);
    let request = match body {
        Some(body) => request.header("Content-Type", "application/json").body(body.to_string()),
        None => request,
    };
    request.send().await.expect("a response")
}

/// The body of a response.
pub async fn json_of(response: Response) -> Value {
    serde_json::from_slice(&response.bytes().await.expect("a body")).expect("JSON")
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
    let mut model = hub.model();
    model.people.push(Person::new("idle", "idle@example.org"));
    let repo = model.add("acme/model");
    repo.ask(staff("ada"));
    repo.find_mut("user", "ada").expect("ada").status = status;
    drop(model);
    hub
}

/// To set the status that a request already has is a 404.
#[tokio::test]
async fn handle_moves_a_request_to_any_other_state() {
    for from in Status::ALL {
        for to in Status::ALL {
            let hub = hub_with_ada(from).await;
            let body = json!({"user": "ada", "status": to.as_str()});
            let response = call(&hub, "POST", &format!("{REQUESTS}/handle"), Some(body)).await;
            let expected = if from == to { 404 } else { 200 };
            assert_eq!(response.status(), expected, "{from:?} to {to:?}");
            if from == to {
                let message = "No access request found matching your criteria";
                assert_eq!(response.headers()["x-error-message"], message);
                assert_eq!(json_of(response).await, json!({"error": message}));
            } else {
                assert_eq!(json_of(response).await, json!({}));
            }
            assert_eq!(hub.users("acme/model", to), ["ada"]);
        }
    }
}

#[tokio::test]
async fn handle_takes_exactly_one_identity_of_a_requester() {
    let cases = [
        (json!({"userId": "id-ada"}), 200, ""),
        (json!({"requestId": "request-ada"}), 200, ""),
        (json!({"user": "idle"}), 404, "No access request found matching your criteria"),
        (json!({"user": "nobody"}), 404, "User not found"),
        (json!({}), 400, ""),
        (json!({"user": "ada", "userId": "id-ada"}), 400, ""),
    ];
    for (mut body, status, message) in cases {
        let hub = hub_with_ada(Status::Pending).await;
        body["status"] = json!("accepted");
        let response = call(&hub, "POST", &format!("{REQUESTS}/handle"), Some(body.clone())).await;
        assert_eq!(response.status(), status, "{body}");
        if !message.is_empty() {
            assert_eq!(response.headers()["x-error-message"], message, "{body}");
        }
    }
    for (body, status) in [
        (json!({"user": "ada", "status": "maybe"}), 400),
        (json!({"user": "ada", "status": "rejected", "rejectionReason": "x".repeat(201)}), 400),
        (json!({"user": "ada", "status": "reset", "resetReason": "x".repeat(200)}), 200),
    ] {
        let hub = hub_with_ada(Status::Pending).await;
        assert_eq!(call(&hub, "POST", &format!("{REQUESTS}/handle"), Some(body)).await.status(), status);
    }
}

#[tokio::test]
async fn names_match_in_any_case_and_keep_their_spelling() {
    let hub = hub_with_ada(Status::Pending).await;
    let info = json_of(call(&hub, "GET", "/api/models/ACME/Model", None).await).await;
    let listed = json_of(call(&hub, "GET", "/api/models?author=Acme&gated=true", None).await).await;
    assert_eq!([&info["id"], &listed[0]["id"]], ["acme/model"; 2]);
    let requests = REQUESTS.replace("acme/model", "Acme/MODEL");
    let pending = json_of(call(&hub, "GET", &format!("{requests}/pending"), None).await).await;
    assert_eq!(pending[0]["user"]["user"], "ada");

    let accept = json!({"status": "accepted", "user": "ADA"});
    assert_eq!(call(&hub, "POST", &format!("{requests}/handle"), Some(accept)).await.status(), 200);
    let reset = json!({"status": "reset", "requests": [{"user": "Ada"}]});
    let results = json_of(call(&hub, "POST", &format!("{requests}/batch"), Some(reset)).await).await;
    assert_eq!(results, json!([{"user": "Ada", "ok": true}]));
    for user in ["aDA", "IDLE"] {
        let grant = Some(json!({"user": user}));
        assert_eq!(call(&hub, "POST", &format!("{requests}/grant"), grant).await.status(), 200, "{user}");
    }
    assert_eq!(hub.users("ACME/model", Status::Accepted), ["ada", "idle"]);
    let report = json_of(call(&hub, "GET", "/Acme/Model/user-access-report", None).await).await;
    assert_eq!(report[1]["user"], "idle");
    assert!(hub.calls().contains(&"GET /Acme/Model/user-access-report".to_owned()), "recorded as made");
}

/// A batch succeeds for a request that already has the status.
#[tokio::test]
async fn batch_has_a_result_for_each_request() {
    let hub = hub_with_ada(Status::Accepted).await;
    let requests = json!([{"user": "ada"}, {"user": "idle"}, {"userId": "id-nobody"}]);
    let body = json!({"status": "accepted", "requests": requests});
    let response = call(&hub, "POST", &format!("{REQUESTS}/batch"), Some(body)).await;
    assert_eq!(response.status(), 200);
    let expected = json!([
        {"user": "ada", "ok": true},
        {"user": "idle", "ok": false, "error": "request_not_found"},
        {"userId": "id-nobody", "ok": false, "error": "user_not_found"},
    ]);
    assert_eq!(json_of(response).await, expected);
    for requests in [json!([]), Value::from(vec![json!({"user": "ada"}); 101])] {
        let body = json!({"status": "accepted", "requests": requests});
        assert_eq!(call(&hub, "POST", &format!("{REQUESTS}/batch"), Some(body)).await.status(), 400);
    }
}

#[tokio::test]
async fn grant_accepts_any_user_who_is_not_accepted_yet() {
    for status in [Status::Pending, Status::Rejected, Status::Reset] {
        let hub = hub_with_ada(status).await;
        assert_eq!(
            call(&hub, "POST", &format!("{REQUESTS}/grant"), Some(json!({"user": "ada"}))).await.status(),
            200
        );
        assert_eq!(hub.users("acme/model", Status::Accepted), ["ada"]);
    }
    let hub = hub_with_ada(Status::Accepted).await;
    for (user, status) in [("ada", 400), ("idle", 200), ("nobody", 404)] {
        let response = call(&hub, "POST", &format!("{REQUESTS}/grant"), Some(json!({"user": user}))).await;
        assert_eq!(response.status(), status, "{user}");
    }
    let accepted = json_of(call(&hub, "GET", &format!("{REQUESTS}/accepted"), None).await).await;
    assert_eq!(accepted[1]["user"]["email"], Value::Null, "a granted user shares no e-mail address");
    let report = json_of(call(&hub, "GET", "/acme/model/user-access-report", None).await).await;
    assert_eq!(report[0].get("grantedBy"), None);
    assert_eq!(report[1]["grantedBy"], json!({"fullname": "The Owner", "user": "owner"}));
    assert_eq!(report[1]["grantedBy"], accepted[1]["grantedBy"]);
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
async fn asking_again_gives_a_new_time_and_perhaps_a_new_id() {
    for (renews, id) in [(true, "request-ada-again"), (false, "request-ada")] {
        for withdrawn in [true, false] {
            let hub = hub_with_ada(if withdrawn { Status::Pending } else { Status::Reset }).await;
            let mut model = hub.model();
            let repo = model.repo("acme/model");
            repo.renews_request_ids = renews;
            if withdrawn {
                repo.withdraw("ada");
            }
            let times = ["2026-10-06T09:00:00Z", "2026-10-07T09:00:00Z"];
            let [again, while_pending] = times.map(|time| time.parse().expect("a time"));
            repo.ask_at(staff("ada"), again);
            repo.ask_at(staff("ada"), while_pending);
            let request = repo.find_mut("requestId", id).expect("found by its id");
            assert_eq!((request.status, request.requested_at), (Status::Pending, again), "{id} {withdrawn}");
            assert_eq!(repo.place("requestId", "request-ada").is_some(), !renews, "the old id");
        }
    }
}

#[tokio::test]
async fn lists_come_in_pages_with_a_link_to_the_next() {
    let hub = Hub::start().await;
    hub.model().add("acme/model");
    (0..25).for_each(|number| hub.model().repo("acme/model").ask(staff(&format!("user{number:02}"))));
    let (mut path, mut sizes) = (format!("{REQUESTS}/pending?limit=10"), Vec::new());
    loop {
        let response = call(&hub, "GET", &path, None).await;
        let next = next_of(&hub, &response);
        sizes.push(json_of(response).await.as_array().map_or(0, Vec::len));
        let Some(next) = next else { break };
        path = next;
    }
    assert_eq!(sizes, [10, 10, 5]);
    for limit in ["5", "1001", "ten"] {
        assert_eq!(call(&hub, "GET", &format!("{REQUESTS}/pending?limit={limit}"), None).await.status(), 400);
    }
}

#[tokio::test]
async fn list_is_searched_by_the_beginning_of_a_name() {
    let hub = Hub::start().await;
    hub.model().add("acme/model");
    for number in 0..12 {
        hub.model().repo("acme/model").ask(staff(&format!("Ada-{number:02}")));
        hub.model().repo("acme/model").ask(staff(&format!("bob-{number:02}")));
    }
    let full_name = |fullname: &str, name: &str| Person { fullname: fullname.to_owned(), ..staff(name) };
    hub.model().repo("acme/model").ask(full_name("Ümit & Søn = 100%", "zed"));
    for (searched, found) in [
        ("", 25),
        ("ada", 12),
        ("ADA-0", 10),
        ("da-", 0),
        ("bob-11%20the%20T", 1),
        ("bob-11+the", 1),
        ("%C3%BCMIT%20%26%20s%C3%B8n%20%3D%20100%25", 1),
        ("zed@", 0),
        (&"%C3%BC".repeat(250), 0),
    ] {
        let path = format!("{REQUESTS}/pending?limit=100&q={searched}");
        let listed = json_of(call(&hub, "GET", &path, None).await).await;
        assert_eq!(listed.as_array().map(Vec::len), Some(found), "{searched}");
    }
    let long = "x".repeat(251);
    assert_eq!(call(&hub, "GET", &format!("{REQUESTS}/pending?q={long}"), None).await.status(), 400);

    // The link to the next page keeps the search.
    for (cursor, searched) in [(Cursor::Key, "bob%2D"), (Cursor::Offset, "bob%2D")] {
        hub.model().cursor = cursor;
        let first = call(&hub, "GET", &format!("{REQUESTS}/pending?q={searched}&limit=10"), None).await;
        let next = next_of(&hub, &first).expect("a second page");
        let second = call(&hub, "GET", &next, None).await;
        assert_eq!(next_of(&hub, &second), None);
        let users = [json_of(first).await, json_of(second).await];
        let users: Vec<_> = users.iter().flat_map(|page| page.as_array().into_iter().flatten()).collect();
        assert_eq!((users.len(), &users[11]["user"]["user"]), (12, &json!("bob-11")), "{cursor:?}");
    }

    hub.model().repo("acme/model").hides_requesters = true;
    let listed = json_of(call(&hub, "GET", &format!("{REQUESTS}/pending?q=ada"), None).await).await;
    assert_eq!(listed, json!([]), "hidden requesters are not found");
}

#[tokio::test]
async fn errors_have_the_codes_and_messages_of_the_hub() {
    let hub = hub_with_ada(Status::Pending).await;
    let accept = || Some(json!({"user": "ada", "status": "accepted"}));
    let handle = format!("{REQUESTS}/handle");

    hub.model().repo("acme/model").gating = Gating::Off;
    let response = call(&hub, "POST", &handle, accept()).await;
    assert_eq!(
        (response.status().as_u16(), &response.headers()["x-error-code"]),
        (400, &"RepoNotGated".parse().expect(""))
    );
    // The list of a repo that is no longer gated can still be read.
    assert_eq!(call(&hub, "GET", &format!("{REQUESTS}/pending"), None).await.status(), 200);

    hub.model().repo("acme/model").role = Role::Read;
    assert_eq!(call(&hub, "POST", &handle, accept()).await.status(), 403);
    hub.model().repo("acme/model").role = Role::None;
    assert_eq!(call(&hub, "POST", &handle, accept()).await.headers()["x-error-code"], "RepoNotFound");
    hub.model().token = "another".to_owned();
    let response = call(&hub, "GET", "/api/whoami-v2", None).await;
    assert_eq!(response.status(), 401);
    assert!(response.headers()["x-request-id"].to_str().is_ok_and(|id| id.starts_with("Root=")));
}

#[tokio::test]
async fn every_response_shows_the_quota_and_429_follows_it() {
    let hub = hub_with_ada(Status::Pending).await;
    hub.model().quota = Quota { tells_when: true, ..Quota::new(2, Duration::from_secs(300)) };
    for (status, left) in [(200, 1), (200, 0), (429, 0)] {
        let response = call(&hub, "GET", "/api/whoami-v2", None).await;
        assert_eq!(response.status(), status);
        assert_eq!(
            response.headers()["ratelimit"].to_str().ok(),
            Some(format!("\"api\";r={left};t=300").as_str())
        );
        assert_eq!(response.headers()["ratelimit-policy"], r#""fixed window";"api";q=2;w=300"#);
        assert_eq!(response.headers().contains_key("retry-after"), status == 429);
    }
}

#[tokio::test]
async fn repo_info_search_and_report_are_served() {
    let hub = hub_with_ada(Status::Pending).await;
    {
        let mut model = hub.model();
        model.repo("acme/model").card = json!({"extra_gated_fields": {"Country": "country"}});
        model.add("acme/open").gating = Gating::Off;
        model.add("datasets/acme/corpus").ask(staff("eve"));
        model.add("other/model");
    }
    let info = json_of(call(&hub, "GET", "/api/models/acme/model", None).await).await;
    assert_eq!(
        (&info["gated"], &info["cardData"]["extra_gated_fields"]["Country"]),
        (&json!("manual"), &json!("country"))
    );
    let listed = json_of(call(&hub, "GET", "/api/models?author=acme&gated=true", None).await).await;
    let ids: Vec<_> = listed.as_array().into_iter().flatten().map(|repo| repo["id"].clone()).collect();
    assert_eq!(ids, ["acme/model"]);
    let report = call(&hub, "GET", "/datasets/acme/corpus/user-access-report", None).await;
    assert!(
        report.headers()["content-disposition"].to_str().is_ok_and(|text| text.starts_with("attachment"))
    );
    let report = json_of(report).await;
    assert_eq!((&report[0]["user"], &report[0]["status"]), (&json!("eve"), &json!("pending")));
}

#[tokio::test]
async fn fault_happens_once_and_only_to_its_call() {
    let hub = hub_with_ada(Status::Pending).await;
    hub.model().fault("/pending", Fault::Status(503));
    assert_eq!(call(&hub, "GET", "/api/whoami-v2", None).await.status(), 200);
    assert_eq!(call(&hub, "GET", &format!("{REQUESTS}/pending"), None).await.status(), 503);
    assert_eq!(call(&hub, "GET", &format!("{REQUESTS}/pending"), None).await.status(), 200);

    // A write whose connection drops afterwards is carried out.
    hub.model().fault("/handle", Fault::DropAfter);
    let url = format!("{}{REQUESTS}/handle", hub.endpoint());
    let request = client().post(url).bearer_auth(Hub::TOKEN);
    assert!(request.body(r#"{"user": "ada", "status": "accepted"}"#).send().await.is_err());
    assert_eq!(hub.users("acme/model", Status::Accepted), ["ada"]);
}

#[tokio::test]
async fn flaky_hub_fails_at_its_rate_and_in_every_way() {
    let hub = hub_with_ada(Status::Pending).await;
    hub.model().flaky(0.3, 1);
    let call = hub::Call { method: "GET".to_owned(), path: "/".to_owned(), ..hub::Call::default() };
    let faults: Vec<Fault> = (0..1000).filter_map(|_| hub.model().take_fault(&call)).collect();
    assert!((250..350).contains(&faults.len()), "{}", faults.len());
    let ways = [Fault::DropBefore, Fault::DropAfter, Fault::Garbage, Fault::Stall];
    let ways = ways.into_iter().chain([408, 425, 429, 500, 502, 503, 504].map(Fault::Status));
    for way in ways {
        assert!(faults.contains(&way), "{way:?}");
    }
    hub.model().heal();
    assert_eq!(hub.model().take_fault(&call), None);
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
        let first = call(&hub, "GET", &format!("{REQUESTS}/pending?limit=10"), None).await;
        let next = next_of(&hub, &first).expect("a second page");
        for user in 0..5 {
            let mut model = hub.model();
            let request =
                model.repo("acme/model").find_mut("user", &format!("user{user}")).expect("a request");
            request.set(Status::Accepted, None);
        }
        let second = json_of(call(&hub, "GET", &next, None).await).await;
        assert_eq!(second[0]["user"]["user"], format!("user{expected}"), "{cursor:?} {lag}");
    }
}

#[tokio::test]
async fn window_of_the_quota_ends() {
    let hub = hub_with_ada(Status::Pending).await;
    hub.model().quota = Quota { used: 10, ..Quota::new(10, Duration::from_secs(300)) };
    assert_eq!(call(&hub, "GET", "/api/whoami-v2", None).await.headers()["ratelimit"], r#""api";r=0;t=300"#);
    hub.model().quota.began -= Duration::from_secs(300);
    assert_eq!(call(&hub, "GET", "/api/whoami-v2", None).await.headers()["ratelimit"], r#""api";r=9;t=300"#);
}

#[tokio::test]
async fn unknown_endpoint_is_named_in_the_404() {
    let hub = hub_with_ada(Status::Pending).await;
    let response = call(&hub, "POST", &format!("{REQUESTS}/revoke"), Some(json!({}))).await;
    assert_eq!(response.status(), 404);
    assert_eq!(response.text().await.expect("a body"), format!("Cannot POST {REQUESTS}/revoke"));
}
