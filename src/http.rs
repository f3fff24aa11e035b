//! The HTTP client, as all who make calls set it up.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, ClientBuilder, Response, redirect};

use crate::secret::shown;

/// What this client calls itself.
const USER_AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// The HTTP client before it is built. It follows no redirect: the token is for one origin, and the policy was asked about
/// one repo; a redirect may lead to another of either.
///
/// Of the ways to do TLS this one is ready soonest: the roots are compiled in, and nothing is read from disk.
pub fn client_builder() -> ClientBuilder {
    let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = Client::builder().user_agent(USER_AGENT).connect_timeout(CONNECT_TIMEOUT);
    let builder = builder.redirect(redirect::Policy::none());
    match rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions() {
        Ok(tls) => builder.tls_backend_preconfigured(tls.with_root_certificates(roots).with_no_client_auth()),
        // Cannot happen with a provider that has TLS 1.2 and 1.3; building the client says so then.
        Err(_) => builder,
    }
}

/// The HTTP client. Fails only if TLS cannot be set up. No connection is made yet.
pub fn client() -> reqwest::Result<Client> {
    client_builder().build()
}

/// Why an answer was not read to its end.
pub(crate) enum Unread {
    /// It is longer than it may be.
    TooLarge,
    /// It broke off.
    Lost(reqwest::Error),
}

/// Reads an answer to its end, if that comes within so many bytes. Of one that promises more nothing is read, and of one
/// that turns out longer no more than that; its connection is closed.
pub(crate) async fn read_within(limit: usize, mut answer: Response) -> Result<Vec<u8>, Unread> {
    let promised = answer.content_length().map_or(0, |length| usize::try_from(length).unwrap_or(usize::MAX));
    if promised > limit {
        return Err(Unread::TooLarge);
    }
    let mut body = Vec::with_capacity(promised);
    while let Some(chunk) = answer.chunk().await.map_err(Unread::Lost)? {
        if chunk.len() > limit - body.len() {
            return Err(Unread::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// What lies at the bottom of an error of the client, which is mostly what there is to know of it. Its URL is left out.
pub(crate) fn cause(error: &reqwest::Error) -> String {
    let mut innermost: &dyn Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    shown(&innermost.to_string(), &[])
}
