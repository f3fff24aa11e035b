//! The step `smoke test`: the function must accept a webhook with the secret, and refuse all others. The webhooks are about no repo, so
//! no request is reviewed.

use std::error::Error;
use std::time::Duration;

use hub_doorman::secrets::Secret;
use reqwest::{Client, Url};
use tokio::time::sleep;

use super::{Made, TOO_EARLY};
use crate::environment;
use crate::screen::spinner;

const PAYLOAD: &str = r#"{"event":{"action":"update","scope":"repo"},"repo":null}"#;

/// How long an attempt may take. The Hub waits as long for a response.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A new URL and a new role need some seconds until they are known everywhere.
const ATTEMPTS: u32 = 8;
const PAUSE: Duration = Duration::from_secs(4);

pub async fn run(made: &Made) -> Result<String, Box<dyn Error>> {
    let url = &made.outputs.as_ref().ok_or(TOO_EARLY)?.url;
    let secret = &made.secret.as_ref().ok_or(TOO_EARLY)?.webhook;
    let (http, bar) = (environment::http()?, spinner("testing the function"));
    let mut answer = send(&http, url, Some(secret)).await;
    for _ in 1..ATTEMPTS {
        if answer.as_ref().is_ok_and(|answer| answer.is_accepted() || answer.status == 401) {
            break;
        }
        sleep(PAUSE).await;
        answer = send(&http, url, Some(secret)).await;
    }
    bar.finish_and_clear();
    let answer = answer?;
    if !answer.is_accepted() {
        return Err(format!("a webhook with the secret: {}", answer.diagnosis()).into());
    }
    let wrong = Secret::new("smoke-test-with-a-wrong-secret");
    for (what, secret) in [("a wrong secret", Some(&wrong)), ("no secret", None)] {
        let answer = send(&http, url, secret).await?;
        match answer.status {
            401 => {}
            200..300 => {
                let text = format!(
                    "THE DOOR IS OPEN: the function accepts a webhook with {what}; delete its URL, or run `doorman deploy --destroy`"
                );
                return Err(text.into());
            }
            _ => return Err(format!("a webhook with {what}: {}", answer.diagnosis()).into()),
        }
    }
    Ok("the function accepts a webhook with the secret, and refuses one with a wrong secret or none"
        .to_owned())
}

/// The response to a webhook.
struct Answer {
    status: u16,
    /// Whether the body has a `status`, as each response of Hub Doorman has.
    has_status: bool,
}

async fn send(http: &Client, url: &Url, secret: Option<&Secret>) -> Result<Answer, String> {
    let mut request =
        http.post(url.clone()).header("content-type", "application/json").body(PAYLOAD).timeout(TIMEOUT);
    if let Some(secret) = secret {
        request = request.header("x-webhook-secret", secret.expose());
    }
    let lost = |error: reqwest::Error| format!("the function cannot be reached: {}", error.without_url());
    let response = request.send().await.map_err(lost)?;
    let status = response.status().as_u16();
    // The text is not shown: a server that is not Hub Doorman may send the secret back.
    let body = response.bytes().await.map_err(lost)?;
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    Ok(Answer { status, has_status: body["status"].is_string() })
}

impl Answer {
    fn is_accepted(&self) -> bool {
        self.status == 200 && self.has_status
    }

    /// The fault that this answer shows, and its remedy.
    fn diagnosis(&self) -> String {
        let why = match self.status {
            200 => "this is not Hub Doorman, whose responses have a `status`",
            401 => {
                "the function has another secret; a running one reads a new secret within a minute, so run this again"
            }
            403 => {
                "the URL is not public; does a policy of the organization forbid public URLs of functions?"
            }
            404 => "no function is at this URL",
            429 => "the account is at its limit of concurrent executions",
            500 | 502 => "the function cannot start or has crashed; look for `cannot start` in its log",
            503 | 504 => {
                "Lambda is not available, or the function has timed out; run this again, then look at its log"
            }
            _ => "this is not what Hub Doorman answers",
        };
        format!("{}: {why}", self.status)
    }
}
