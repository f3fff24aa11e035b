//! The stand-in Hub: a model of the real Hub behind a real HTTP server on `127.0.0.1`. Tests and examples read and change the
//! model.
//!
//! Its behaviour, status codes, headers and bodies are those that the real Hub documents or was seen to have. A comment names
//! the evidence: the Hub's documentation, its OpenAPI description, the source of `huggingface_hub`, or "seen" for recorded
//! exchanges with the live Hub. Where the real behaviour is unknown, the comment says so, and a field of the model lets tests
//! try both. A call that is not modelled is answered with a 404 that names the call.

// The names of most fields are those of the Hub.
#![allow(missing_docs)]
// This is test code, where a panic reports what is wrong.
#![allow(clippy::expect_used, clippy::missing_panics_doc, clippy::must_use_candidate)]

mod api;
mod commit;
pub mod crowd;
mod dataset;
mod delivery;
mod entry;
mod exchange;
mod fault;
mod files;
pub mod kept;
mod model;
pub mod people;
mod quota;
mod repo;
mod requester;
mod requests;
mod resolve;
mod server;
mod settings;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

pub use api::HubResponse;
pub use dataset::{Dataset, changes};
pub use delivery::{Delivery, UpdatedRef, push_payload};
pub use exchange::{Reply, exchange};
pub use fault::Fault;
pub use files::{Blob, Changes, Commit, FileRules, Files};
pub use model::{Batch, Call, Cursor, Model};
pub use quota::Quota;
pub use repo::{AccessRequest, Gating, Person, Repo, Role, Status};
pub use server::{Server, listen, read, respond};
pub use settings::{Collection, Scope, TokenRole, Webhook};

/// A running stand-in Hub. It stops when this is dropped.
pub struct Hub {
    model: Arc<Mutex<Model>>,
    address: SocketAddr,
    _servers: [server::Server; 2],
}

impl Hub {
    /// Starts an empty Hub, whose only token is [`Hub::TOKEN`].
    pub async fn start() -> Self {
        let model = Arc::new(Mutex::new(Model::new(Self::TOKEN)));
        let (address, server) = server::start(Arc::clone(&model), false).await;
        let (storage, other_server) = server::start(Arc::clone(&model), true).await;
        {
            let mut model = model.lock().expect("no panic");
            model.origin = format!("http://{address}");
            // Another host, too: `huggingface_hub` 1.33 takes another port of one host for the same origin.
            model.files.storage = format!("http://localhost:{}", storage.port());
        }
        Self { model, address, _servers: [server, other_server] }
    }

    /// The token of an account with write access to every repo.
    pub const TOKEN: &str = "hf_StandInTokenThatMustNeverBeSeen";

    /// The value for `HF_ENDPOINT`.
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

    /// The calls that were made so far, each as `POST /api/…`.
    pub fn calls(&self) -> Vec<String> {
        self.model().calls.iter().map(ToString::to_string).collect()
    }
}
