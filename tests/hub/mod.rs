//! The stand-in Hub: a model of the real one behind a real HTTP server on `127.0.0.1`, which tests and the harness read
//! and change. It does what the Hub was seen to do, with the Hub's own codes, headers and bodies; what it is asked beyond
//! that it answers with a 404 that names what was asked.
//!
//! Each user of it needs another part of it.
#![allow(dead_code, unused_imports)]
// It is part of tests and of the harness, where a panic is the way to say that something is wrong.
#![allow(clippy::expect_used)]

mod api;
mod entry;
mod exchange;
pub mod kept;
mod model;
mod quota;
mod server;
mod settings;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

pub use api::Answer;
pub use exchange::{Reply, exchange};
pub use model::{AccessRequest, Batch, Call, Cursor, Fault, Gating, Model, Person, Repo, Role, Status};
pub use quota::Quota;
pub use server::{Server, listen, read, respond};
pub use settings::{Account, Collection, Scope, TokenRole, Webhook};

/// A running stand-in; it ends when this is dropped.
pub struct Hub {
    model: Arc<Mutex<Model>>,
    address: SocketAddr,
    _server: server::Server,
}

impl Hub {
    /// Starts an empty Hub, whose only token is [`Hub::TOKEN`].
    pub async fn start() -> Self {
        let model = Arc::new(Mutex::new(Model::new(Self::TOKEN)));
        let (address, server) = server::start(Arc::clone(&model)).await;
        model.lock().expect("no panic").origin = format!("http://{address}");
        Self { model, address, _server: server }
    }

    /// The token of somebody with write access to every repo.
    pub const TOKEN: &str = "hf_StandInTokenThatMustNeverBeSeen";

    /// What `HF_ENDPOINT` has to be.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The state of this Hub, to read and to change.
    pub fn model(&self) -> MutexGuard<'_, Model> {
        self.model.lock().expect("no panic while it was held")
    }

    /// The names of the users in one of a repo's lists, in alphabetical order.
    pub fn users(&self, repo: &str, status: Status) -> Vec<String> {
        self.model().repo(repo).users(status)
    }

    /// The calls so far, as `POST /api/…`.
    pub fn calls(&self) -> Vec<String> {
        self.model().calls.iter().map(ToString::to_string).collect()
    }
}
