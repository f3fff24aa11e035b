//! The HTTP client with the settings that all calls share, and the retries of calls.

pub(crate) mod aws;
pub mod retry;

use std::error::Error;
use std::net::IpAddr;
use std::time::Duration;

use reqwest::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use reqwest::{Client, ClientBuilder, Response, Url, Version, redirect};

/// The `User-Agent` of every call.
const USER_AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));

/// The maximum time to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// The HTTP client before it is built. It follows no redirects, because a redirect may lead to another origin or repo. The token is
/// for one origin. A decision is for one repo.
///
/// TLS uses ring, the only provider that is compiled in. The root certificates are compiled in too. This setup of TLS is the
/// fastest to start, because nothing is read from disk.
pub fn client_builder() -> ClientBuilder {
    let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let tls = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let builder = Client::builder().user_agent(USER_AGENT).connect_timeout(CONNECT_TIMEOUT);
    builder.redirect(redirect::Policy::none()).tls_backend_preconfigured(tls)
}

/// Builds the HTTP client. The build fails only if TLS cannot be set up. No connection is made yet.
pub fn client() -> reqwest::Result<Client> {
    client_builder().build()
}

/// Why the body of a response was not read to its end.
pub(crate) enum ReadError {
    /// It is longer than the limit.
    TooLarge,
    /// The connection broke, or the time ran out.
    Lost(reqwest::Error),
}

/// Reads the body of a response, of at most `limit` bytes. If `Content-Length` is above the limit, nothing is read. If the body turns
/// out to be longer, reading stops at the limit. In both cases the connection is closed.
pub(crate) async fn read_within(limit: usize, mut response: Response) -> Result<Vec<u8>, ReadError> {
    let announced =
        response.content_length().map_or(0, |length| usize::try_from(length).unwrap_or(usize::MAX));
    if announced > limit {
        return Err(ReadError::TooLarge);
    }
    let mut body = Vec::with_capacity(announced);
    while let Some(chunk) = response.chunk().await.map_err(ReadError::Lost)? {
        if chunk.len() > limit - body.len() {
            return Err(ReadError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Whether a response says where its body ends. Otherwise the end of the connection is the end of the body, and nothing shows whether
/// the body is whole (RFC 9112, 6.3).
pub(crate) fn has_marked_end(response: &Response) -> bool {
    let is_chunked = |coding: &str| coding.trim_end().to_ascii_lowercase().ends_with("chunked");
    let headers = response.headers();
    response.version() >= Version::HTTP_2
        || headers.contains_key(CONTENT_LENGTH)
        || headers.get(TRANSFER_ENCODING).and_then(|coding| coding.to_str().ok()).is_some_and(is_chunked)
}

/// Whether a URL leads to this machine, so that a call needs no encryption.
pub(crate) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// The innermost cause of an error of the client, which is mostly the useful part. It does not contain the URL.
pub(crate) fn cause(error: &reqwest::Error) -> String {
    let mut innermost: &dyn Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
