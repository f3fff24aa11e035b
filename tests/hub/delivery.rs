//! The deliveries of webhooks after a commit.

use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use reqwest::Url;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::Hub;
use super::files::Changes;
use super::model::Model;
use super::repo::Repo;
use super::settings::Webhook;

/// A delivery of a webhook.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// The value of `Webhook-Id`: the same if the delivery is repeated.
    pub id: String,
    pub url: String,
    pub secret: Option<String>,
    pub payload: Value,
}

/// A ref that a push has changed.
pub struct UpdatedRef<'a> {
    pub name: &'a str,
    pub old: Option<&'a str>,
    pub new: &'a str,
}

/// The payload for a push (the Hub's documentation; `huggingface_hub` has its types). For a pull request it is unknown whether
/// `headSha` is its commit or that of `main`. Here it is that of `main`.
pub fn push_payload(origin: &str, repo: &Repo, updated: &UpdatedRef, webhook: &str) -> Value {
    let key = repo.key();
    json!({
        "event": {"action": "update", "scope": "repo.content"},
        "repo": {
            "type": repo.kind, "name": repo.name, "id": format!("id-{}", repo.name), "private": repo.private,
            "url": {"web": format!("{origin}/{key}"), "api": format!("{origin}/api/{}s/{}", repo.kind, repo.name)},
            "owner": {"id": format!("id-{}", repo.owner())}, "headSha": repo.files.head().id, "tags": [],
        },
        "webhook": {"id": webhook, "version": 3},
        "updatedRefs": [{"ref": updated.name, "oldSha": updated.old, "newSha": updated.new}],
    })
}

/// Whether a webhook watches the content of a repo.
fn watches(webhook: &Webhook, repo: &Repo) -> bool {
    let is_watched = |(kind, name): &(String, String)| match kind.as_str() {
        "user" | "org" => name.eq_ignore_ascii_case(repo.owner()),
        kind => kind == repo.kind && name.eq_ignore_ascii_case(&repo.name),
    };
    webhook.disabled == false
        && webhook.domains.iter().any(|domain| domain == "repo")
        && webhook.watched.iter().any(is_watched)
}

impl Model {
    /// Commits changes to a ref, with this summary. The webhooks that watch the repo have a delivery due then. Returns the id of the
    /// commit.
    pub fn commit_to(&mut self, repo: &str, name: &str, summary: &str, changes: Changes) -> String {
        let files = &mut self.repo(repo).files;
        let old = files.refs.get(name).cloned();
        let new = files.commit(name, summary, changes);
        let updated = UpdatedRef { name, old: old.as_deref(), new: &new };
        let (_, repo) = self.find(repo).expect("the repo");
        let mut due = Vec::new();
        for webhook in self.webhooks.iter().filter(|webhook| watches(webhook, repo)) {
            let Some(url) = &webhook.url else { continue };
            due.push(Delivery {
                id: format!("delivery-{}-{new}", webhook.id),
                url: url.clone(),
                secret: webhook.secret.clone(),
                payload: push_payload(&self.origin, repo, &updated, &webhook.id),
            });
        }
        self.deliveries.extend(due);
        new
    }
}

impl Delivery {
    /// Sends the delivery, and returns the status of the response. The secret is sent verbatim (the Hub's documentation).
    async fn send(&self) -> Result<u16, Box<dyn std::error::Error>> {
        let url = Url::parse(&self.url)?;
        let host =
            format!("{}:{}", url.host_str().ok_or("no host")?, url.port_or_known_default().unwrap_or(80));
        let stream = TcpStream::connect(&host).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        let mut request = Request::post(url.path().to_owned() + &query);
        request = request.header("Host", host).header("Content-Type", "application/json");
        request = request.header("Webhook-Id", &self.id);
        if let Some(secret) = &self.secret {
            request = request.header("X-Webhook-Secret", secret);
        }
        let body = Full::<Bytes>::from(self.payload.to_string());
        let response = sender.send_request(request.body(body)?).await;
        connection.abort();
        Ok(response?.status().as_u16())
    }
}

impl Hub {
    /// Takes the deliveries that are due, without sending them.
    pub fn take_deliveries(&self) -> Vec<Delivery> {
        std::mem::take(&mut self.model().deliveries)
    }

    /// Sends the deliveries that are due, one after the other. Returns the statuses of the responses: 0 if there was none.
    pub async fn deliver(&self) -> Vec<u16> {
        let mut statuses = Vec::new();
        for delivery in self.take_deliveries() {
            statuses.push(delivery.send().await.unwrap_or(0));
        }
        statuses
    }
}
