//! A chat service on this machine, to which the digest is sent.

use std::io;
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt, Full};
use hyper::Response;
use hyper::body::Bytes;
use serde_json::Value;

use crate::hub::{Server, listen};

/// Takes every message.
pub struct Chat {
    messages: Arc<Mutex<Vec<Value>>>,
    /// The address of its webhook.
    pub url: String,
    _server: Server,
}

impl Chat {
    pub async fn start() -> Self {
        let messages: Arc<Mutex<Vec<Value>>> = Arc::default();
        let kept = Arc::clone(&messages);
        let (address, server) = listen(move |request| {
            let messages = Arc::clone(&kept);
            async move {
                let body = request.into_body().collect().await.map_err(io::Error::other)?.to_bytes();
                messages.lock().map_err(|_| io::ErrorKind::Other)?.push(serde_json::from_slice(&body)?);
                Ok(Response::new(Full::new(Bytes::from_static(b"ok"))))
            }
        })
        .await;
        Self { messages, url: format!("http://{address}/"), _server: server }
    }

    /// Takes the texts of the messages that have come.
    pub fn take_texts(&self) -> Vec<Value> {
        let taken = self.messages.lock().map(|mut messages| std::mem::take(&mut *messages));
        taken.unwrap_or_default().into_iter().map(|mut message| message["text"].take()).collect()
    }
}
