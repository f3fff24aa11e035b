//! `digest`: who is held, in Markdown, and sent to DIGEST_TO.

use std::io;
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt, Full};
use hyper::Response;
use hyper::body::Bytes;

use crate::hub::{Fault, Hub, Server, Status, listen};
use crate::support::{ask, hub_with, model, staff, stranger, writes};
use crate::{doorman, doorman_in};

/// The part of a URL that nobody may see.
const KEY: &str = "key-of-the-webhook-7c1f";

/// A webhook that responds with this status, and the messages that it gets.
async fn webhook(status: u16) -> (String, Arc<Mutex<Vec<String>>>, Server) {
    let messages: Arc<Mutex<Vec<String>>> = Arc::default();
    let kept = Arc::clone(&messages);
    let (address, server) = listen(move |request| {
        let messages = Arc::clone(&kept);
        async move {
            let body = request.into_body().collect().await.map_err(io::Error::other)?.to_bytes();
            messages.lock().expect("no panic").push(String::from_utf8_lossy(&body).replace('\u{200b}', ""));
            Ok(Response::builder().status(status).body(Full::new(Bytes::new())).expect("a response"))
        }
    })
    .await;
    (format!("http://{address}/{KEY}"), messages, server)
}

async fn hub_with_one_held() -> Hub {
    let hub = hub_with(2).await;
    ask(&hub, &model(0), [stranger("mallory").answer("Purpose", "my purpose"), staff("ada")]);
    hub
}

#[tokio::test]
async fn digest_is_markdown_without_addresses_and_answers() {
    let hub = hub_with_one_held().await;
    let result = doorman(&hub, "digest acme/*").await;
    assert_eq!((result.status, &*result.err), (0, ""), "{}", result.out);
    let out = result.out;
    assert!(
        out.starts_with("**1 access request waits for your decision.**\n\n- [mallory](<http://"),
        "{out}"
    );
    assert!(out.ends_with("Since yesterday: 0 accepted, 0 reset, 0 rejected.\n"), "{out}");
    assert!(!out.contains("example.org") && !out.contains("my purpose") && !out.contains("ada"), "{out}");
    assert_eq!((writes(&hub), hub.users(&model(0), Status::Pending).len()), (0, 2));
}

#[tokio::test]
async fn digest_is_sent_and_each_destination_reported() {
    let hub = hub_with_one_held().await;
    let ((good, messages, _good), (bad, _, _bad)) = (webhook(200).await, webhook(404).await);
    let to = format!("{good} {bad}");
    let result = doorman_in(&hub, &[("DIGEST_TO", &to), ("REPOS", "acme/*")], &["digest", "--send"]).await;
    result.failed(
        1,
        &["Sent to destination 1 (webhook).", "destination 2 (webhook): not sent: the service answered 404"],
    );
    assert!(!result.err.contains(KEY) && result.out.is_empty(), "{}", result.err);
    let messages = messages.lock().expect("no panic").clone();
    assert!(messages.len() == 1 && messages[0].contains("mallory"), "{messages:?}");
    let result = doorman_in(&hub, &[("DIGEST_TO", &good)], &["digest", "--send", "acme/*"]).await;
    assert_eq!(result.status, 0, "{}", result.err);
}

#[tokio::test]
async fn digest_with_an_invalid_destination_is_not_sent() {
    let hub = hub_with_one_held().await;
    let insecure = format!("http://chat.acme.com/{KEY}");
    let cases = [
        ("", "--send needs DIGEST_TO"),
        (&*insecure, "DIGEST_TO: destination 1: its URL would send names without encryption"),
        ("arn:aws:s3:::key-of-the-webhook-7c1f", "DIGEST_TO: destination 1: it begins with `arn:`"),
    ];
    for (to, words) in cases {
        let result = doorman_in(&hub, &[("DIGEST_TO", to)], &["digest", "--send", "acme/*"]).await;
        result.failed(2, &[words]);
        assert!(!result.err.contains(KEY), "{}", result.err);
    }
    assert_eq!(hub.calls().len(), 0);
}

#[tokio::test]
async fn digest_with_an_unread_repo_fails_and_names_it() {
    let hub = hub_with_one_held().await;
    hub.model().faults("acme/model001/", &Fault::Status(404), 100);
    let result = doorman(&hub, "digest acme/model000 acme/model001").await;
    result.failed(1, &["doorman: acme/model001: not everything could be read"]);
    assert!(result.out.contains("mallory") && result.out.contains("read: acme/model001."), "{}", result.out);
}
