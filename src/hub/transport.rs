//! What carries calls to the Hub and brings the answers back.

use std::fmt::Debug;
use std::pin::Pin;
use std::time::SystemTime;

use reqwest::{Client, Request, Response};

use super::Problem;

/// Carries calls to the Hub: the HTTP client does, and so may a model of the Hub and of the network before it. How long an
/// answer may take is not its concern: a call that is given up is dropped, and may be carried out by the Hub all the same.
pub trait Transport: Debug + Send + Sync {
    /// Carries one call, and brings the beginning of its answer; a redirect is not followed.
    fn carry(&self, call: Request) -> Pin<Box<dyn Future<Output = Result<Response, Problem>> + Send + '_>>;

    /// The wall clock, which goes on while Lambda freezes the process.
    fn wall_clock(&self) -> SystemTime {
        SystemTime::now()
    }
}

impl Transport for Client {
    fn carry(&self, call: Request) -> Pin<Box<dyn Future<Output = Result<Response, Problem>> + Send + '_>> {
        Box::pin(async { self.execute(call).await.map_err(|error| Problem::of(&error)) })
    }
}
