//! The HTTP server in front of the model.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::stream;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, Version};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::api::HubResponse;
use super::exchange::{Endless, Reply, exchange};
use super::model::{Call, Model};

/// Stops serving when it is dropped.
pub struct Server(JoinHandle<()>);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Serves HTTP on a free port. An error of `answer` closes the connection without a response.
pub async fn listen<F, A, B>(answer: F) -> (SocketAddr, Server)
where
    F: Fn(Request<Incoming>) -> A + Clone + Send + 'static,
    A: Future<Output = io::Result<Response<B>>> + Send + 'static,
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let serve = async move {
        while let Ok((stream, _)) = listener.accept().await {
            // Without Nagle's algorithm, so that no response waits for an acknowledgement.
            let _ = stream.set_nodelay(true);
            let service = service_fn(answer.clone());
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    };
    (address, Server(tokio::spawn(serve)))
}

/// Serves the model as the Hub, or as the storage of large files.
pub async fn start(model: Arc<Mutex<Model>>, to_storage: bool) -> (SocketAddr, Server) {
    listen(move |request| serve(Arc::clone(&model), request, to_storage)).await
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

/// The body of a response. Some bodies have no end, and some break off.
pub type AnyBody = BoxBody<Bytes, io::Error>;

async fn serve(
    model: Arc<Mutex<Model>>,
    request: Request<Incoming>,
    to_storage: bool,
) -> io::Result<Response<AnyBody>> {
    let (call, token) = read(request).await?;
    let call = Call { to_storage, ..call };
    let _in_flight = InFlight::new(Arc::clone(&model));
    let latency = lock(&model).latency;
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    let (reply, way_back) = {
        let mut model = lock(&model);
        (exchange(&mut model, &call, token.as_deref()).0, model.way_back)
    };
    if !way_back.is_zero() {
        tokio::time::sleep(way_back).await;
    }
    respond(reply).await
}

/// Reads a call and its token.
pub async fn read(request: Request<Incoming>) -> io::Result<(Call, Option<String>)> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let call = Call {
        method: parts.method.to_string(),
        path: parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
        user_agent: header("user-agent").unwrap_or_default().to_owned(),
        if_none_match: header("if-none-match").map(str::to_owned),
        to_storage: false,
        authorized: parts.headers.contains_key("authorization"),
        body: read_json(&body).unwrap_or_default(),
    };
    let token = header("authorization").and_then(|value| value.strip_prefix("Bearer "));
    Ok((call, token.map(str::to_owned)))
}

/// Reads a body of JSON, or of JSON lines.
fn read_json(body: &[u8]) -> serde_json::Result<Value> {
    serde_json::from_slice(body)
        .or_else(|_| serde_json::Deserializer::from_slice(body).into_iter::<Value>().collect())
}

/// Sends the reply. An error closes the connection.
pub async fn respond(reply: Reply) -> io::Result<Response<AnyBody>> {
    match reply {
        Reply::Response(response) => {
            let body = Full::from(response.body.clone()).map_err(|never| match never {});
            Ok(to_http(&response, body.boxed()))
        }
        Reply::Cut(response) => {
            let half = Bytes::copy_from_slice(&response.body[..response.body.len() / 2]);
            let parts = [Ok(Frame::data(half)), Err(io::Error::other("broken off"))];
            Ok(to_http(&response, StreamBody::new(stream::iter(parts)).boxed()))
        }
        Reply::Half(response) => {
            let half = Bytes::copy_from_slice(&response.body[..response.body.len() / 2]);
            let body = StreamBody::new(stream::iter([Ok(Frame::data(half))])).boxed();
            let mut response = to_http(&response, body);
            *response.version_mut() = Version::HTTP_10;
            Ok(response)
        }
        Reply::Endless(endless) => Ok(endless_response(endless)),
        Reply::Closed => Err(io::Error::other("closed")),
        Reply::Silence => std::future::pending().await,
    }
}

fn to_http(HubResponse { status, headers, .. }: &HubResponse, body: AnyBody) -> Response<AnyBody> {
    let mut response = Response::builder().status(*status);
    if !headers.iter().any(|(name, _)| *name == "Content-Type") {
        response = response.header("Content-Type", "application/json; charset=utf-8");
    }
    let response = headers.iter().fold(response, |response, (name, value)| response.header(*name, value));
    response.body(body).expect("a response")
}

/// A response whose body is blanks.
fn endless_response(endless: Endless) -> Response<AnyBody> {
    let Endless { status, headers, length, promised, chunk, pause, streamed } = endless;
    let left = length.unwrap_or(u64::MAX);
    let chunks = stream::unfold((left, streamed), move |(left, streamed)| async move {
        let chunk = chunk.min(usize::try_from(left).unwrap_or(usize::MAX));
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        streamed.fetch_add(chunk, Ordering::Relaxed);
        let next = (left - chunk as u64, streamed);
        (chunk > 0).then(|| (Ok(Frame::data(vec![b' '; chunk].into())), next))
    });
    let body = StreamBody::new(chunks).boxed();
    let promised = promised.map(|length| ("Content-Length", length.to_string()));
    let headers = headers.into_iter().chain(promised).collect();
    to_http(&HubResponse { status, headers, body: Bytes::new() }, body)
}
