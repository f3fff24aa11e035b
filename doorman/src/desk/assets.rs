//! The style sheet and the script, which are part of the program. Nothing is loaded from elsewhere.

use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;

pub async fn style() -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("desk.css"))
}

pub async fn script() -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/javascript; charset=utf-8")], include_str!("desk.js"))
}
