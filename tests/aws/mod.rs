//! A stand-in for the two services of AWS that keep secrets, as far as they are asked for one. It does not check signatures;
//! moto does, in `scripts/verify.sh`.
//!
//! Each user of it needs another part of it.
#![allow(dead_code)]
// It is part of tests and of the harness, where a panic is the way to say that something is wrong.
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

/// The ARN of a secret of Secrets Manager, and of a parameter.
pub const SECRET: &str = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:doorman-a1b2c3";
pub const PARAMETER: &str = "arn:aws:ssm:eu-central-1:123456789012:parameter/doorman/webhook";

/// A running stand-in; it ends when this is dropped.
pub struct Aws {
    model: Arc<Mutex<Model>>,
    address: SocketAddr,
    _server: Server,
}

#[derive(Default)]
pub struct Model {
    /// What is kept, by ARN.
    pub kept: HashMap<String, String>,
    /// What was asked for, by ARN, in this order.
    pub asked: Vec<String>,
    /// No answer is given before so many calls are waiting for one.
    pub together: usize,
    /// So many calls are never answered.
    pub hangs: usize,
    /// What the next calls are answered instead: status, kind and message.
    pub faults: Vec<(u16, &'static str, &'static str)>,
    waiting: usize,
}

impl Aws {
    pub async fn start() -> Self {
        let model: Arc<Mutex<Model>> = Arc::default();
        let all_there = Arc::new(Notify::new());
        let kept = Arc::clone(&model);
        let (address, server) =
            listen(move |request| answer(Arc::clone(&kept), Arc::clone(&all_there), request)).await;
        Self { model, address, _server: server }
    }

    pub fn model(&self) -> MutexGuard<'_, Model> {
        self.model.lock().expect("no panic while it was held")
    }

    /// Keeps this from now on.
    pub fn keep(&self, arn: &str, text: &str) {
        self.model().kept.insert(arn.to_owned(), text.to_owned());
    }

    /// What `AWS_ENDPOINT_URL` has to be.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn answer(
    model: Arc<Mutex<Model>>,
    all_there: Arc<Notify>,
    request: Request<Incoming>,
) -> io::Result<Response<Full<Bytes>>> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let header =
        |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_signed = header("authorization").starts_with("AWS4-HMAC-SHA256 Credential=");
    let (is_secret, name) = match header("x-amz-target") {
        "secretsmanager.GetSecretValue" => (true, &body["SecretId"]),
        "AmazonSSM.GetParameter" if body["WithDecryption"] == true => (false, &body["Name"]),
        _ => return Ok(respond(400, &json!({"__type": "UnknownOperationException"}))),
    };
    let arn = name.as_str().unwrap_or_default().to_owned();
    // Whoever is told that all are there has to have been waiting before they were counted.
    let told = all_there.notified();
    tokio::pin!(told);
    told.as_mut().enable();
    let is_last = {
        let mut model = model.lock().expect("no panic");
        model.asked.push(arn.clone());
        model.waiting += 1;
        model.waiting >= model.together
    };
    if is_last {
        all_there.notify_waiters();
    } else {
        told.await;
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

fn respond(status: u16, body: &Value) -> Response<Full<Bytes>> {
    let response = Response::builder().status(status).header("Content-Type", "application/x-amz-json-1.1");
    response.body(Full::new(Bytes::from(body.to_string()))).expect("a response")
}
