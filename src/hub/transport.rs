//! What carries calls to the Hub and brings the answers back.

use std::fmt::Debug;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use reqwest::{Client, Request, Response};

use super::{Moment, Problem};
use crate::http;

/// Carries calls to the Hub: the HTTP client does, and so may a model of the Hub and of the network before it. How long an
/// answer may take is not its concern: a call that is given up is dropped, and may be carried out by the Hub all the same.
pub trait Transport: Debug + Send + Sync {
    /// Carries one call, and brings the beginning of its answer; a redirect is not followed.
    fn carry(&self, call: Request) -> Pin<Box<dyn Future<Output = Result<Response, Problem>> + Send + '_>>;

    /// The wall clock, which goes on while Lambda freezes the process.
    fn wall_clock(&self) -> SystemTime {
        SystemTime::now()
    }

    /// A call got no answer: from now on calls go over new connections.
    fn renew(&self) {}
}

/// The longest that a connection may be idle before it is used again. Whatever is between here and the Hub may have forgotten it
/// without a word.
const MAX_IDLE: Duration = Duration::from_secs(20);

/// The HTTP client, and connections that are known to be alive.
///
/// While Lambda freezes a process its connections die, and their timers stop: each call would find out by itself, by
/// its timeout of 5 seconds.
#[derive(Debug)]
pub struct Connections(Mutex<(Client, Moment)>);

impl Connections {
    /// Begins with the connections of this client.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self(Mutex::new((client, Moment::now(SystemTime::now()))))
    }

    /// The client, with new connections if the others have been idle for long, by either clock.
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
    // If it fails, which it never has, the old connections are better than none.
    if let Ok(new) = http::client() {
        *client = new;
    }
}

impl Transport for Connections {
    fn carry(&self, call: Request) -> Pin<Box<dyn Future<Output = Result<Response, Problem>> + Send + '_>> {
        let client = self.client(Moment::now(self.wall_clock()));
        Box::pin(async move { client.execute(call).await.map_err(|error| Problem::of(&error)) })
    }

    fn renew(&self) {
        renew(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).0);
    }
}

impl Transport for Client {
    fn carry(&self, call: Request) -> Pin<Box<dyn Future<Output = Result<Response, Problem>> + Send + '_>> {
        Box::pin(async { self.execute(call).await.map_err(|error| Problem::of(&error)) })
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A server that answers each connection once and then never again, and says on which connection it answered.
    async fn serve_once_each() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = format!("http://{}/", listener.local_addr().expect("an address"));
        tokio::spawn(async move {
            for number in 0.. {
                let (mut connection, _) = listener.accept().await.expect("a connection");
                tokio::spawn(async move {
                    let _ = connection.read(&mut [0; 4096]).await;
                    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{number}");
                    connection.write_all(answer.as_bytes()).await.expect("written");
                    std::future::pending::<()>().await;
                });
            }
        });
        address
    }

    async fn answered_on(connections: &Connections, address: &str) -> Option<String> {
        let request = Request::new(reqwest::Method::GET, address.parse().expect("a URL"));
        let carried =
            tokio::time::timeout(Duration::from_millis(300), connections.carry(request)).await.ok()?;
        carried.expect("an answer").text().await.ok()
    }

    #[tokio::test]
    async fn after_a_stall_calls_go_over_new_connections() {
        let (address, connections) =
            (serve_once_each().await, Connections::new(http::client().expect("TLS")));
        assert_eq!(answered_on(&connections, &address).await.as_deref(), Some("0"));
        assert_eq!(answered_on(&connections, &address).await, None, "the connection is dead");
        connections.renew();
        assert_eq!(answered_on(&connections, &address).await.as_deref(), Some("1"));
    }

    #[tokio::test]
    async fn after_a_freeze_calls_go_over_new_connections() {
        let (address, connections) =
            (serve_once_each().await, Connections::new(http::client().expect("TLS")));
        assert_eq!(answered_on(&connections, &address).await.as_deref(), Some("0"));
        connections.0.lock().expect("no panic").1 = Moment::now(SystemTime::now() - Duration::from_secs(60));
        assert_eq!(answered_on(&connections, &address).await.as_deref(), Some("1"));
    }
}
