//! The responses to a webhook or a sweep.

use lambda_http::http::{StatusCode, header};
use lambda_http::{Body, Response};
use serde::Serialize;
use serde_json::json;

/// A response with a JSON body.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response<Body> {
    let mut response = Response::new(Body::Text(serde_json::to_string(body).unwrap_or_default()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}

/// A response without a body.
pub(super) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = status;
    response
}

/// The response to an event that starts nothing, with the reason. The reason is logged.
pub(super) fn ignored(reason: &str) -> Response<Body> {
    tracing::info!(reason, "event ignored");
    json(StatusCode::OK, &NothingDone { status: "ignored", reason })
}

/// The response to an event that is left to the schedule, with the reason. The reason is logged.
pub(super) fn deferred(reason: &str) -> Response<Body> {
    tracing::warn!(reason, "event deferred");
    json(StatusCode::ACCEPTED, &NothingDone { status: "deferred", reason })
}

#[derive(Serialize)]
struct NothingDone<'a> {
    status: &'static str,
    reason: &'a str,
}

/// The response to an HTTP request that is not a webhook of the Hub. The error is logged.
pub(super) fn error(status: StatusCode, error: &str) -> Response<Body> {
    tracing::warn!(error, "webhook not understood");
    json(status, &json!({"error": error}))
}

/// The response to an HTTP request with another method than POST. The error is logged.
pub(super) fn method_not_allowed() -> Response<Body> {
    let mut response =
        error(StatusCode::METHOD_NOT_ALLOWED, "the method is not POST; send a webhook as a POST");
    response.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static("POST"));
    response
}
