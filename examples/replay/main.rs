//! Sends the sample events through the real handler to the stand-in Hub, over real HTTP, and shows what happens.
//!
//! ```text
//! cargo run --example replay                                 every file of events/
//! cargo run --example replay -- events/alb.json …            some of them
//! cargo run --example replay -- --policy FILE                with another policy
//! cargo run --example replay -- --json                       output as JSON
//! cargo run --example replay -- --push                       a policy on the Hub: a push to its list decides
//! ```
#![allow(clippy::print_stderr)]

mod chat;
#[path = "../../tests/logs/mod.rs"]
mod logs;
mod push;
mod screen;

use std::env::VarError;
use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use chrono::Utc;
use hub_doorman::config::{Config, read_from};
use hub_doorman::handler::Handler;
use hub_doorman::report::metrics::Metrics;
use hub_doorman::trigger::webhook::SECRET_HEADER;
use lambda_http::request::RequestContext;
use lambda_http::{Body, Request, RequestExt};
use serde_json::{Value, json};

use chat::Chat;
use hub_stand_in::people;
use hub_stand_in::{self as hub, Hub, Status};
use logs::Logs;
use people::REPOS;
use screen::Screen;

/// The secret of all sample events but one.
const SECRET: &str = "sample-webhook-secret";

/// When the mails of the sample events arrived.
const MAIL_ARRIVED: &str = "2026-11-27T12:00:03.100Z";

/// The arguments of the command line.
struct Arguments {
    events: Vec<PathBuf>,
    policy: PathBuf,
    json: bool,
    push: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match replay().await {
        Ok(()) => ExitCode::SUCCESS,
        // The reader of the output has closed the pipe.
        Err(error)
            if error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe) =>
        {
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("replay: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn replay() -> Result<(), Box<dyn Error>> {
    let Arguments { events, policy, json, push } = arguments()?;
    if push {
        return push::play().await;
    }
    let folder = policy.parent().map(Path::to_owned).unwrap_or_default();
    let policy = read(&policy)?;
    let (hub, chat) = (Hub::start().await, Chat::start().await);
    let doorman = doorman(&hub, &chat.url, &policy, &folder).await?;
    let (logs, _guard) = Logs::capture();
    let mut newcomers = people::newcomers();
    people::seed(&hub);

    let mut screen = Screen::new();
    if !json {
        screen.introduction(&hub, &policy)?;
    }
    let (mut replayed, mut asked) = (Vec::new(), None);
    for path in events {
        // A mail that arrived before its repo was read would prompt nothing.
        let event = read(&path)?.replace(MAIL_ARRIVED, &Utc::now().to_rfc3339());
        let unreadable = |error: &dyn Error| format!("{}: {error}", path.display());
        let request = lambda_http::request::from_str(&event).map_err(|error| unreadable(&error))?;
        let incoming = incoming(&request);
        let lines_before = logs.lines("decided").len();
        let response = doorman.handle(request).await.map_err(|error| unreadable(&error))?;
        let decisions = logs.lines("decided").split_off(lines_before);
        let body = match response.body() {
            Body::Empty => Value::Null,
            body => serde_json::from_slice(body)?,
        };
        let one = json!({
            "asked": asked, "event": path, "in": incoming, "status": response.status().as_u16(), "answer": body, "decisions": decisions,
            "messages": chat.take_texts(),
        });
        if json {
            replayed.push(one);
        } else {
            screen.event(&one)?;
        }
        // Another person makes a request before the next event.
        let newcomer = newcomers.next();
        for (person, repo) in newcomer.iter().flat_map(|person| REPOS.map(|repo| (person, repo))) {
            hub.model().repo(repo).ask_at(person.clone(), Utc::now());
        }
        asked = newcomer.map(|person| person.name);
    }
    if json {
        screen.json(&json!({"events": replayed, "lists": lists(&hub)}))?;
    } else {
        screen.lists(&lists(&hub))?;
    }
    Ok(())
}

fn arguments() -> Result<Arguments, Box<dyn Error>> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut arguments =
        Arguments { events: Vec::new(), policy: here.join("examples/policy.json"), json: false, push: false };
    let mut given = std::env::args().skip(1);
    while let Some(argument) = given.next() {
        match argument.as_str() {
            "--json" => arguments.json = true,
            "--push" => arguments.push = true,
            "--policy" => arguments.policy = given.next().ok_or("--policy takes the path of a file")?.into(),
            option if option.starts_with('-') => {
                return Err(format!(
                    "there is no option {option}; there are --policy FILE, --json and --push"
                )
                .into());
            }
            event => arguments.events.push(event.into()),
        }
    }
    if arguments.events.is_empty() {
        let files = std::fs::read_dir(here.join("events"))?.map(|entry| entry.map(|entry| entry.path()));
        arguments.events = files.collect::<Result<_, _>>()?;
        arguments.events.sort();
        // The simplest event comes first, and then the sweeps, mails and orders, while there are requests to decide.
        let first = [
            "discussion-opened.json",
            "sweep.json",
            "sweep-some.json",
            "mail.json",
            "mail-sns.json",
            "order.json",
        ];
        arguments
            .events
            .sort_by_key(|path| first.iter().position(|name| path.ends_with(name)).unwrap_or(first.len()));
    }
    Ok(arguments)
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

async fn doorman(hub: &Hub, digest_to: &str, policy: &str, folder: &Path) -> Result<Handler, Box<dyn Error>> {
    let lookup = |name: &str| match name {
        "HF_ENDPOINT" => Ok(hub.endpoint()),
        "HF_TOKEN" => Ok(Hub::TOKEN.to_owned()),
        "WEBHOOK_SECRET" => Ok(SECRET.to_owned()),
        "MAIL_SECRET" => Ok("sample-mail-secret".to_owned()),
        "APPROVAL_POLICY" => Ok(policy.to_owned()),
        "REPOS" => Ok("acme/*".to_owned()),
        "DIGEST_TO" => Ok(digest_to.to_owned()),
        _ => Err(VarError::NotPresent),
    };
    let config = Config::from_lookup(lookup, &read_from(folder))?;
    Ok(Handler::new(config, Metrics::new(io::sink())).await?)
}

/// A summary of an event: what happened to which repo, or what a sweep covers.
fn incoming(request: &Request) -> Value {
    let payload: Value = serde_json::from_slice(request.body()).unwrap_or_default();
    if let Some(RequestContext::PassThrough) = request.request_context_ref() {
        if let Some(records) = payload["Records"].as_array() {
            return json!({"mails": records.iter().map(subject).collect::<Vec<_>>()});
        }
        if payload["digest"] == true {
            return json!({"digest": true});
        }
        return json!({"sweep": payload.get("sweep").unwrap_or(&json!(["REPOS"]))});
    }
    let secret = request.headers().get(SECRET_HEADER).is_some_and(|shown| shown == SECRET);
    if payload["sweep"].is_array() {
        return json!({"secret": if secret { "right" } else { "wrong" }, "order": payload["sweep"]});
    }
    json!({
        "secret": if secret { "right" } else { "wrong" },
        "scope": payload["event"]["scope"], "action": payload["event"]["action"],
        "type": payload["repo"]["type"], "repo": payload["repo"]["name"], "moved_to": payload["movedTo"]["name"],
    })
}

/// The subject of a mail, directly or in the messages of SNS and SQS.
fn subject(record: &Value) -> Value {
    let parse =
        |text: &Value| serde_json::from_str::<Value>(text.as_str().unwrap_or_default()).unwrap_or_default();
    let mail = match (&record["body"], &record["Sns"]["Message"]) {
        (Value::Null, Value::Null) => record["ses"].clone(),
        (Value::Null, message) => parse(message),
        (body, _) => parse(&parse(body)["Message"]),
    };
    mail["mail"]["commonHeaders"]["subject"].clone()
}

/// The users in each list of each repo.
fn lists(hub: &Hub) -> Value {
    let of_repo = |repo: &&str| {
        let lists = Status::ALL
            .into_iter()
            .map(|status| (status.as_str().to_owned(), json!(hub.users(repo, status))));
        ((*repo).to_owned(), Value::Object(lists.collect()))
    };
    Value::Object(REPOS.iter().map(of_repo).collect())
}
