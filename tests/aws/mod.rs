//! A stand-in for AWS Secrets Manager, the Systems Manager Parameter Store and SNS. It only answers the calls that read one secret or
//! parameter, and those that publish a message. It does not verify signatures. `scripts/verify.sh` has them verified by moto.

// Each user of this module needs another part of it.
#![allow(dead_code)]
// This is test code, where a panic reports what is wrong.
#![allow(clippy::expect_used)]

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::hub::{Server, listen};

/// The ARN of a secret of Secrets Manager.
pub const SECRET: &str = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:doorman-a1b2c3";
/// The ARN of a parameter of the Parameter Store.
pub const PARAMETER: &str = "arn:aws:ssm:eu-central-1:123456789012:parameter/doorman/webhook";

/// The ARN of a topic of SNS. Others do not exist.
pub const TOPIC: &str = "arn:aws:sns:eu-central-1:123456789012:owners";

/// A running stand-in for AWS. It stops when this is dropped.
pub struct Aws {
    model: Arc<Mutex<Model>>,
    address: SocketAddr,
    _server: Server,
}

/// The secrets, and the switches with which a test changes the behaviour.
#[derive(Default)]
pub struct Model {
    /// The secrets and parameters, by ARN.
    pub kept: HashMap<String, String>,
    /// The ARNs that were asked for, in this order.
    pub asked: Vec<String>,
    /// The parameters of the messages that were published.
    pub published: Vec<HashMap<String, String>>,
    /// Responses wait until so many calls have arrived.
    pub together: usize,
    /// How many of the next calls get no response.
    pub hangs: usize,
    /// The errors that the next calls get: status, type and message.
    pub faults: Vec<(u16, &'static str, &'static str)>,
    waiting: usize,
}

impl Aws {
    pub async fn start() -> Self {
        let model: Arc<Mutex<Model>> = Arc::default();
        let all_arrived = Arc::new(Notify::new());
        let shared = Arc::clone(&model);
        let (address, server) =
            listen(move |request| answer(Arc::clone(&shared), Arc::clone(&all_arrived), request)).await;
        Self { model, address, _server: server }
    }

    pub fn model(&self) -> MutexGuard<'_, Model> {
        self.model.lock().expect("no panic while it was held")
    }

    /// Adds or replaces a secret or parameter.
    pub fn keep(&self, arn: &str, text: &str) {
        self.model().kept.insert(arn.to_owned(), text.to_owned());
    }

    /// The value for `AWS_ENDPOINT_URL`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn answer(
    model: Arc<Mutex<Model>>,
    all_arrived: Arc<Notify>,
    request: Request<Incoming>,
) -> io::Result<Response<Full<Bytes>>> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let header =
        |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_signed = header("authorization").starts_with("AWS4-HMAC-SHA256 Credential=");
    if header("content-type") == "application/x-www-form-urlencoded" {
        return Ok(publish(
            &mut model.lock().expect("no panic"),
            is_signed,
            str::from_utf8(&body).expect("UTF-8"),
        ));
    }
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let (is_secret, name) = match header("x-amz-target") {
        "secretsmanager.GetSecretValue" => (true, &body["SecretId"]),
        "AmazonSSM.GetParameter" if body["WithDecryption"] == true => (false, &body["Name"]),
        _ => return Ok(respond(400, &json!({"__type": "UnknownOperationException"}))),
    };
    let arn = name.as_str().unwrap_or_default().to_owned();
    // A call must be registered for the notification before it is counted.
    let notified = all_arrived.notified();
    tokio::pin!(notified);
    notified.as_mut().enable();
    let is_last = {
        let mut model = model.lock().expect("no panic");
        model.asked.push(arn.clone());
        model.waiting += 1;
        model.waiting >= model.together
    };
    if is_last {
        all_arrived.notify_waiters();
    } else {
        notified.await;
    }
    let hangs = {
        let mut model = model.lock().expect("no panic");
        let hangs = model.hangs > 0;
        model.hangs = model.hangs.saturating_sub(1);
        hangs
    };
    if hangs {
        return std::future::pending().await;
    }
    let mut model = model.lock().expect("no panic");
    let fault = if model.faults.is_empty() { None } else { Some(model.faults.remove(0)) };
    if let Some((status, kind, message)) = fault {
        return Ok(respond(status, &json!({"__type": kind, "message": message})));
    }
    Ok(match model.kept.get(&arn) {
        _ if !is_signed => respond(400, &json!({"__type": "MissingAuthenticationTokenException"})),
        Some(text) if is_secret => respond(200, &json!({"ARN": arn, "SecretString": text})),
        Some(text) => {
            respond(200, &json!({"Parameter": {"ARN": arn, "Value": text, "Type": "SecureString"}}))
        }
        None if is_secret => {
            let message = "Secrets Manager can't find the specified secret.";
            respond(400, &json!({"__type": "ResourceNotFoundException", "message": message}))
        }
        None => respond(400, &json!({"__type": "ParameterNotFound"})),
    })
}

/// Publishes a message within the limits that SNS has for its subject and its length.
fn publish(model: &mut Model, is_signed: bool, form: &str) -> Response<Full<Bytes>> {
    let url = format!("http://localhost/?{form}").parse::<reqwest::Url>().expect("a form");
    let parameters: HashMap<String, String> = url.query_pairs().into_owned().collect();
    let error = |status, code: &str, message: &str| {
        respond(status, &json!({"Error": {"Type": "Sender", "Code": code, "Message": message}}))
    };
    let fault = if model.faults.is_empty() { None } else { Some(model.faults.remove(0)) };
    let is_subject = |subject: &str| subject.is_ascii() && (1..100).contains(&subject.len());
    let is_message = |message: &str| (1..=262_144).contains(&message.len());
    let of = |name: &str| parameters.get(name).map_or("", String::as_str);
    if let Some((status, code, message)) = fault {
        return error(status, code, message);
    }
    match (of("Action"), of("Version")) {
        _ if !is_signed => {
            error(403, "MissingAuthenticationToken", "Request is missing Authentication Token")
        }
        ("Publish", "2010-03-31") if of("TopicArn") != TOPIC => {
            error(404, "NotFound", "Topic does not exist")
        }
        ("Publish", "2010-03-31") if is_subject(of("Subject")) && is_message(of("Message")) => {
            model.published.push(parameters);
            respond(200, &json!({"PublishResponse": {"PublishResult": {"MessageId": "id-message"}}}))
        }
        _ => error(400, "InvalidParameter", "Invalid parameter"),
    }
}

fn respond(status: u16, body: &Value) -> Response<Full<Bytes>> {
    let response = Response::builder().status(status).header("Content-Type", "application/x-amz-json-1.1");
    response.body(Full::new(Bytes::from(body.to_string()))).expect("a response")
}
