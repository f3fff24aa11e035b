//! A Hub in memory that checks the calls it gets.

use std::pin::Pin;

use hub_doorman::hub::{Problem, Transport};
use lambda_http::http;
use reqwest::{Method, Request, Response};

use crate::{ENDPOINT, TOKEN};

/// A Hub with the same two pending requests for every repo, on which every write succeeds.
#[derive(Debug)]
pub struct QuietHub;

const PAGE: &str = r#"[
    {"requestId": "r-1", "status": "pending", "timestamp": "2026-10-05T08:00:00.000Z", "fields": {"Country": "CH"},
        "user": {"_id": "u-1", "user": "ada", "email": "ada@acme.com"}},
    {"requestId": "r-2", "status": "pending", "timestamp": "2026-10-05T08:00:00.000Z", "fields": {"Country": "KP"},
        "user": {"_id": "u-2", "user": "kim", "email": "kim@acme.com"}}]"#;

impl Transport for QuietHub {
    fn carry(&self, call: Request) -> Pin<Box<dyn Future<Output = Result<Response, Problem>> + Send + '_>> {
        let path = checked_path(&call);
        let is_about_acme =
            ["/api/models/acme/", "/api/datasets/acme/"].iter().any(|acme| path.starts_with(acme));
        let body = match (call.method(), path) {
            (&Method::GET, "/api/models") => r#"[{"id": "acme/model", "gated": "manual"}]"#,
            (&Method::GET, "/api/datasets") => "[]",
            (&Method::GET, _) if is_about_acme => PAGE,
            (&Method::POST, _) if is_about_acme => "{}",
            _ => panic!("an unexpected call: {path}"),
        };
        let response = http::Response::new(body.as_bytes().to_vec());
        Box::pin(std::future::ready(Ok(Response::from(response))))
    }
}

/// The path of a call. Checks that the call goes to the Hub, has the token, and has a path without `..`, `%` and the like.
pub fn checked_path(call: &Request) -> &str {
    let (url, path) = (call.url(), call.url().path());
    assert_eq!(url.origin().ascii_serialization(), ENDPOINT, "a call leaves the Hub's origin");
    let token = call.headers().get("authorization").and_then(|value| value.to_str().ok());
    assert_eq!(token, Some(&*format!("Bearer {TOKEN}")));
    let is_plain = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    assert!(path.starts_with('/') && path[1..].split('/').all(is_plain), "an odd path: {path}");
    path
}
