//! The files that the stand-in serves, where no other story would show a fault of it.

use reqwest::header::HeaderMap;

use crate::hub::Hub;

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
