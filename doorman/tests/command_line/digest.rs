//! `digest`: who is held, in Markdown, and sent to `DIGEST_TO`.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use crate::hub::{Fault, Hub, Status};
use crate::support::{ask, hub_with, model, staff, stranger, writes};
use crate::{doorman, doorman_in};

/// The part of a URL that nobody may see.
const KEY: &str = "key-of-the-webhook-7c1f";

/// The URL of a webhook that responds with this status, and the messages that it gets.
fn webhook(status: u16) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let (sender, messages) = channel();
    thread::spawn(move || listener.incoming().try_for_each(|stream| receive(stream?, status, &sender)));
    (format!("http://{address}/{KEY}"), messages)
}

/// Reads one message, and responds.
fn receive(mut stream: TcpStream, status: u16, messages: &Sender<String>) -> io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let head: Vec<String> =
        reader.by_ref().lines().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
    let length =
        head.iter().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or_default()];
    reader.read_exact(&mut body)?;
    messages.send(String::from_utf8_lossy(&body).replace('\u{200b}', "")).map_err(io::Error::other)?;
    write!(stream, "HTTP/1.1 {status} Done\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
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
    assert!(out.starts_with("**1 access request is held for you.**\n\n- [mallory](<http://"), "{out}");
    assert!(out.ends_with("Since yesterday: 0 accepted, 0 reset, 0 rejected.\n"), "{out}");
    assert!(!out.contains("example.org") && !out.contains("my purpose") && !out.contains("ada"), "{out}");
    assert_eq!((writes(&hub), hub.users(&model(0), Status::Pending).len()), (0, 2));
}

#[tokio::test]
async fn digest_is_sent_and_each_destination_reported() {
    let hub = hub_with_one_held().await;
    let ((good, messages), (bad, _bad)) = (webhook(200), webhook(404));
    let to = format!("{good} {bad}");
    let result = doorman_in(&hub, &[("DIGEST_TO", &to), ("REPOS", "acme/*")], &["digest", "--send"]).await;
    result.failed(
        1,
        &["Sent to destination 1 (webhook).", "destination 2 (webhook): not sent: the service answered 404"],
    );
    assert!(!result.err.contains(KEY) && result.out.is_empty(), "{}", result.err);
    let messages: Vec<String> = messages.try_iter().collect();
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
