//! The files that the stand-in serves, where no other story would show a fault of it.

use std::sync::{Arc, Mutex};

use http_body_util::Full;
use hyper::Response;
use hyper::body::Bytes;
use reqwest::header::HeaderMap;
use serde_json::json;

use crate::hub::{Fault, Hub, Webhook, changes, listen, read};

/// A call for a file with this token and these headers, without following redirects.
async fn get(hub: &Hub, path: &str, token: Option<&str>, known: Option<&str>) -> (u16, HeaderMap, String) {
    let client = hub_doorman::http::client().expect("a client");
    let url = if path.starts_with('/') { hub.endpoint() + path } else { path.to_owned() };
    let mut request = client.get(url);
    request = token.into_iter().fold(request, reqwest::RequestBuilder::bearer_auth);
    request = known.into_iter().fold(request, |request, known| request.header("If-None-Match", known));
    let response = request.send().await.expect("a response");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    (status, headers, response.text().await.expect("a body"))
}

const OWNER: Option<&str> = Some(Hub::TOKEN);

#[tokio::test]
async fn unchanged_file_is_304_and_a_commit_changes_it() {
    let hub = Hub::start().await;
    let dataset = hub.dataset("acme/doorman");
    let first = dataset.commit(&[("policy.toml", "default = \"hold\"\n")]);
    let path = dataset.path("main", "policy.toml");

    let (status, headers, body) = get(&hub, &path, OWNER, None).await;
    assert_eq!((status, body.as_str()), (200, "default = \"hold\"\n"));
    assert_eq!(headers["X-Repo-Commit"], *first);
    assert_eq!(headers["RateLimit"], "\"resolvers\";r=4999;t=300");
    let etag = headers["ETag"].to_str().expect("a text").to_owned();
    // From `printf 'default = "hold"\n' | git hash-object --stdin`.
    assert_eq!(etag, "\"3c1b3d75096018e98d29f1025215e94bad25429e\"");

    let second = dataset.commit(&[("other.txt", "x")]);
    let (status, headers, body) = get(&hub, &path, OWNER, Some(&etag)).await;
    assert_eq!((status, body.as_str()), (304, ""));
    assert_eq!(headers["X-Repo-Commit"], *second);
    assert_eq!(headers["ETag"], *etag);

    dataset.commit(&[("policy.toml", "")]);
    assert_eq!(get(&hub, &path, OWNER, Some(&etag)).await.0, 200);
    let (status, _, body) = get(&hub, &dataset.path(&first, "policy.toml"), OWNER, None).await;
    assert_eq!((status, body.as_str()), (200, "default = \"hold\"\n"));
}

#[tokio::test]
async fn small_public_file_redirects_to_the_same_origin() {
    let hub = Hub::start().await;
    let dataset = hub.dataset("acme/doorman");
    dataset.commit(&[("a b/policy.toml", "x")]);
    let path = dataset.path("main", "a%20b/policy.toml");
    assert_eq!(get(&hub, &path, None, None).await.0, 401);

    dataset.publish();
    let (status, headers, _) = get(&hub, &path, None, None).await;
    assert_eq!(status, 307);
    let location = headers["Location"].to_str().expect("a text");
    assert!(location.starts_with("/api/resolve-cache/datasets/acme/doorman/"), "{location}");
    let (status, headers, body) = get(&hub, location, None, None).await;
    assert_eq!((status, body.as_str()), (200, "x"));
    assert_eq!(headers["X-Repo-Commit"], *dataset.head().id);
    let etag = headers["ETag"].to_str().expect("a text");
    assert_eq!(get(&hub, &path, None, Some(etag)).await.0, 304);
}

#[tokio::test]
async fn storage_of_large_files_refuses_a_token() {
    let hub = Hub::start().await;
    hub.model().files.regular_limit = 10;
    let dataset = hub.dataset("acme/doorman");
    dataset.commit(&[("list.txt", "eleven char")]);
    let (status, headers, _) = get(&hub, &dataset.path("main", "list.txt"), OWNER, None).await;
    assert_eq!((status, &headers["X-Linked-Size"]), (302, &"11".parse().unwrap()));
    let location = headers["Location"].to_str().expect("a text");
    assert!(!location.starts_with(&hub.endpoint()), "{location}");

    let (status, _, body) = get(&hub, location, None, None).await;
    assert_eq!((status, body.as_str()), (200, "eleven char"));
    assert!(hub.model().files.authorized_storage_calls.is_empty());
    assert_eq!(get(&hub, location, OWNER, None).await.0, 400);
    assert_eq!(hub.model().files.authorized_storage_calls.len(), 1);
}

#[tokio::test]
async fn commit_between_two_reads_changes_the_second_one() {
    let hub = Hub::start().await;
    let dataset = hub.dataset("acme/doorman");
    dataset.commit(&[("policy.toml", "old"), ("list.txt", "old")]);
    let then_commit =
        Fault::ThenCommit(dataset.key.clone(), changes(&[("policy.toml", "new"), ("list.txt", "new")]));
    hub.model().fault_after("/policy.toml", 1, then_commit);
    let policy = dataset.path("main", "policy.toml");
    for expected in ["old", "old", "new"] {
        assert_eq!(get(&hub, &policy, OWNER, None).await.2, expected);
    }
    let before = dataset.head().parent.expect("a parent");
    assert_eq!(get(&hub, &dataset.path(&before, "list.txt"), OWNER, None).await.2, "old");
}

#[tokio::test]
async fn commit_sends_the_webhooks_that_watch_its_repo() {
    let received = Arc::new(Mutex::new(Vec::new()));
    let shared = Arc::clone(&received);
    let (address, _server) = listen(move |request| {
        let shared = Arc::clone(&shared);
        async move {
            let headers = request.headers().clone();
            let (call, _) = read(request).await?;
            shared.lock().expect("no panic").push((call, headers));
            Ok(Response::builder().status(202).body(Full::<Bytes>::default()).expect("a response"))
        }
    })
    .await;
    let hub = Hub::start().await;
    let dataset = hub.dataset("acme/doorman");
    let old = dataset.head().id;
    let url = format!("http://{address}/hook?stage=1");
    let watching =
        Webhook { secret: Some("the secret".to_owned()), ..Webhook::new(&url, &[("org", "ACME")]) };
    let other = Webhook::new(&url, &[("model", "acme/doorman"), ("dataset", "acme/other")]);
    let off = Webhook { disabled: json!(true), ..Webhook::new(&url, &[("dataset", "acme/doorman")]) };
    let discussions = Webhook { domains: vec!["discussion".to_owned()], ..watching.clone() };
    hub.model().webhooks = vec![watching, other, off, discussions];

    let new = dataset.commit(&[("policy.toml", "x")]);
    assert_eq!(hub.deliver().await, [202]);
    assert!(hub.deliver().await.is_empty());
    let [(call, headers)] = &received.lock().expect("no panic")[..] else { panic!("one delivery") };
    assert_eq!(call.to_string(), "POST /hook?stage=1");
    assert_eq!(headers["X-Webhook-Secret"], "the secret");
    assert!(headers.contains_key("Webhook-Id"));
    assert_eq!(call.body["event"], json!({"action": "update", "scope": "repo.content"}));
    assert_eq!(call.body["repo"]["headSha"], json!(new));
    let updated = json!([{"ref": "refs/heads/main", "oldSha": old, "newSha": new}]);
    assert_eq!(call.body["updatedRefs"], updated);
}

/// Later stories try both positions of each switch, so a switch without effect would go unnoticed.
#[tokio::test]
async fn each_switch_of_the_files_changes_one_thing() {
    let hub = Hub::start().await;
    let dataset = hub.dataset("acme/doorman");
    dataset.commit(&[("policy.toml", "x")]);
    let path = dataset.path("main", "policy.toml");
    let etag = get(&hub, &path, OWNER, None).await.1["ETag"].to_str().expect("a text").to_owned();
    let unchanged = || get(&hub, &path, OWNER, Some(&etag));

    assert!(unchanged().await.1.contains_key("X-Repo-Commit"));
    hub.model().files.unchanged_names_commit = false;
    assert!(!unchanged().await.1.contains_key("X-Repo-Commit"));

    let used = hub.model().resolvers.used;
    unchanged().await;
    assert_eq!(hub.model().resolvers.used, used + 1);
    hub.model().files.unchanged_counts = false;
    let (status, headers, _) = unchanged().await;
    assert_eq!((status, hub.model().resolvers.used), (304, used + 1));
    assert!(headers["RateLimit"].to_str().expect("a text").contains(&format!("r={};", 5000 - used - 1)));
    assert_eq!(hub.model().quota.used, 0);

    hub.model().files.weakens_etags = true;
    let weak = get(&hub, &path, OWNER, None).await.1["ETag"].clone();
    assert_eq!(weak, format!("W/{etag}"));
    assert_eq!(get(&hub, &path, OWNER, weak.to_str().ok()).await.0, 304);

    hub.model().files.redirects_private = true;
    assert_eq!(get(&hub, &path, OWNER, None).await.0, 307);
    assert_eq!(get(&hub, &path, None, None).await.0, 401);
}
