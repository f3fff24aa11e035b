//! How a request gets to the Hub and its response back.

use std::fmt::Debug;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use reqwest::{Client, Request, Response};

use super::{Moment, Problem};
use crate::http;

/// Carries calls to the Hub. The HTTP client implements it, and so does a model of the Hub and its network in tests. It has no
/// timeout: the caller drops the future of a call that takes too long. The Hub may still carry out such a call.
pub trait Transport: Debug + Send + Sync {
    /// Sends one call and returns the head of its response. A redirect is not followed.
    fn carry(&self, call: Request) -> Pin<Box<dyn Future<Output = Result<Response, Problem>> + Send + '_>>;

    /// The time of the wall clock, which goes on while Lambda freezes the process.
    fn wall_clock(&self) -> SystemTime {
        SystemTime::now()
    }

    /// Drops the open connections, because a call got no response. Further calls use new ones.
    fn renew(&self) {}
}

/// The longest time that a connection may be idle before it is used again. A router or proxy on the way may have dropped it
/// silently.
const MAX_IDLE: Duration = Duration::from_secs(20);

/// The HTTP client, with connections that are likely to be alive.
///
/// While Lambda freezes a process, its connections die and their timers stop. Without this type, each call after a freeze would
/// first use up its timeout of 5 seconds.
#[derive(Debug)]
pub struct Connections(Mutex<(Client, Moment)>);

impl Connections {
    /// Uses this client at first.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self(Mutex::new((client, Moment::now(SystemTime::now()))))
    }

    /// The client. It is replaced by a new one if its connections have been idle for too long, by either clock.
    fn client(&self, now: Moment) -> Client {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (client, used) = &mut *state;
        if used.age_at(now) > MAX_IDLE {
            renew(client);
        }
        *used = now;
        client.clone()
    }
}

fn renew(client: &mut Client) {
    // Building a client has never failed. If it does, the old connections are better than none.
    if let Ok(new) = http::client() {
        *client = new;
    }
}

impl Transport for Connections {
    fn carry(&self, call: Request) -> Pin<Box<dyn Future<Output = Result<Response, Problem>> + Send + '_>> {
        let client = self.client(Moment::now(self.wall_clock()));
        Box::pin(async move { client.execute(call).await.map_err(|error| Problem::from_client(&error)) })
    }

    fn renew(&self) {
        renew(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).0);
    }
}

impl Transport for Client {
    fn carry(&self, call: Request) -> Pin<Box<dyn Future<Output = Result<Response, Problem>> + Send + '_>> {
        Box::pin(async { self.execute(call).await.map_err(|error| Problem::from_client(&error)) })
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A server that responds once on each connection, with the number of the connection, and then never again.
    async fn serve_once_each() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = format!("http://{}/", listener.local_addr().expect("an address"));
        tokio::spawn(async move {
            for number in 0.. {
                let (mut connection, _) = listener.accept().await.expect("a connection");
                tokio::spawn(async move {
                    let _ = connection.read(&mut [0; 4096]).await;
                    let response = format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{number}");
                    connection.write_all(response.as_bytes()).await.expect("written");
                    std::future::pending::<()>().await;
                });
            }
        });
        address
    }

    async fn connection_used(connections: &Connections, address: &str) -> Option<String> {
        let request = Request::new(reqwest::Method::GET, address.parse().expect("a URL"));
        let carried =
            tokio::time::timeout(Duration::from_millis(300), connections.carry(request)).await.ok()?;
        carried.expect("a response").text().await.ok()
    }

    #[tokio::test]
    async fn calls_use_new_connections_after_a_stall() {
        let (address, connections) =
            (serve_once_each().await, Connections::new(http::client().expect("TLS")));
        assert_eq!(connection_used(&connections, &address).await.as_deref(), Some("0"));
        assert_eq!(connection_used(&connections, &address).await, None, "the connection is dead");
        connections.renew();
        assert_eq!(connection_used(&connections, &address).await.as_deref(), Some("1"));
    }

    #[tokio::test]
    async fn calls_use_new_connections_after_a_freeze() {
        let (address, connections) =
            (serve_once_each().await, Connections::new(http::client().expect("TLS")));
        assert_eq!(connection_used(&connections, &address).await.as_deref(), Some("0"));
        connections.0.lock().expect("no panic").1 = Moment::now(SystemTime::now() - Duration::from_secs(60));
        assert_eq!(connection_used(&connections, &address).await.as_deref(), Some("1"));
    }
}
