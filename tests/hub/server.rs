//! The HTTP server before the model.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::api::Answer;
use super::exchange::{Reply, exchange};
use super::model::{Call, Model};

/// Stops serving when it is dropped.
pub struct Server(JoinHandle<()>);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Answers HTTP on a free port. An error closes the connection without an answer.
pub async fn listen<F, A>(answer: F) -> (SocketAddr, Server)
where
    F: Fn(Request<Incoming>) -> A + Clone + Send + 'static,
    A: Future<Output = io::Result<Response<Full<Bytes>>>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let serve = async move {
        while let Ok((stream, _)) = listener.accept().await {
            // As a server behind a load balancer: no answer waits for the network to ask for its end.
            let _ = stream.set_nodelay(true);
            let service = service_fn(answer.clone());
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    };
    (address, Server(tokio::spawn(serve)))
}

pub async fn start(model: Arc<Mutex<Model>>) -> (SocketAddr, Server) {
    listen(move |request| serve(Arc::clone(&model), request)).await
}

fn lock(model: &Mutex<Model>) -> MutexGuard<'_, Model> {
    model.lock().expect("no panic while it was held")
}

/// A call that is being answered.
struct InFlight(Arc<Mutex<Model>>);

impl InFlight {
    fn new(model: Arc<Mutex<Model>>) -> Self {
        let mut locked = lock(&model);
        locked.in_flight += 1;
        locked.most_in_flight = locked.most_in_flight.max(locked.in_flight);
        drop(locked);
        Self(model)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        // It may be dropped by a test that failed while it held the model.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).in_flight -= 1;
    }
}

async fn serve(model: Arc<Mutex<Model>>, request: Request<Incoming>) -> io::Result<Response<Full<Bytes>>> {
    let (call, token) = read(request).await?;
    let _in_flight = InFlight::new(Arc::clone(&model));
    let latency = lock(&model).latency;
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    let reply = exchange(&mut lock(&model), &call, token.as_deref());
    respond(reply).await
}

/// A call as the model takes it, and the token that came with it.
pub async fn read(request: Request<Incoming>) -> io::Result<(Call, Option<String>)> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let call = Call {
        method: parts.method.to_string(),
        path: parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
        user_agent: header("user-agent").unwrap_or_default().to_owned(),
        body: serde_json::from_slice(&body).unwrap_or_default(),
    };
    let token = header("authorization").and_then(|value| value.strip_prefix("Bearer "));
    Ok((call, token.map(str::to_owned)))
}

/// Brings back over HTTP what became of a call.
pub async fn respond(reply: Reply) -> io::Result<Response<Full<Bytes>>> {
    match reply {
        Reply::Answer(answer) => Ok(response(answer)),
        // Only the length that was promised tells the two apart.
        Reply::Cut(_) | Reply::Closed => Err(io::Error::other("dropped")),
        Reply::Silence => std::future::pending().await,
    }
}

/// An answer as HTTP has it.
pub fn response(Answer { status, headers, body }: Answer) -> Response<Full<Bytes>> {
    let mut response =
        Response::builder().status(status).header("Content-Type", "application/json; charset=utf-8");
    for (name, value) in headers {
        response = response.header(name, value);
    }
    response.body(Full::new(Bytes::from(body))).expect("a response")
}
