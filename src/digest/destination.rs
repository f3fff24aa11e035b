//! Where a digest is sent: a topic of SNS, or the webhook of a chat service.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::header::RETRY_AFTER;
use reqwest::{Client, Url};
use tokio::time::{Instant, sleep};

use super::{Digest, Service};
use crate::http::aws::{Api, Arn, Failed};
use crate::http::{cause, is_loopback, retry};
use crate::secrets::{Secret, Stored};

/// The maximum time of an attempt.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// A longer `Retry-After` is not waited for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(30);

/// A destination of `DIGEST_TO`. The URL of a webhook is a secret: who has it can post.
#[derive(Clone, Debug)]
pub struct Destination(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Topic {
        arn: String,
        api: Api,
    },
    Webhook(Secret),
    /// AWS keeps the URL.
    Stored(Stored),
}

/// What became of a digest at one destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The destination's number in `DIGEST_TO`, from 1, and its kind.
    pub destination: String,
    /// Why it could not be sent.
    pub failure: Option<String>,
}

impl Destination {
    /// Reads the destinations of `DIGEST_TO`, separated by white space. `get` returns the value of an environment variable. A fault names
    /// the number of the destination and shows nothing of it.
    pub fn parse_all(text: &str, get: impl Fn(&str) -> Option<String>) -> Result<Vec<Self>, Vec<String>> {
        let read = |(number, text): (usize, &str)| {
            let destination = Self::parse(text, &get);
            destination.map_err(|fault| format!("destination {}: {fault}", number + 1))
        };
        let (read, faults): (Vec<_>, Vec<_>) =
            text.split_whitespace().enumerate().map(read).partition(Result::is_ok);
        if faults.is_empty() {
            Ok(read.into_iter().flatten().collect())
        } else {
            Err(faults.into_iter().filter_map(Result::err).collect())
        }
    }

    fn parse(text: &str, get: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let kind = match Arn::split(text) {
            Some(arn) if arn.service == "sns" && arn.resource.strip_suffix(".fifo").is_some() => {
                return Err("it is the ARN of a FIFO topic; name a standard topic".to_owned());
            }
            Some(arn) if arn.service == "sns" => {
                let api = Api::new("sns", "AWS_ENDPOINT_URL_SNS", arn, get)?;
                Kind::Topic { arn: text.to_owned(), api }
            }
            _ if text.starts_with("arn:") => Kind::Stored(Stored::parse(text, get)?),
            _ => {
                webhook(text)?;
                Kind::Webhook(Secret::new(text))
            }
        };
        Ok(Self(kind))
    }

    /// Sends a digest to all destinations at the same time, and retries transient errors until `deadline`.
    pub async fn send_all(all: &[Self], digest: &Digest, http: &Client, deadline: Instant) -> Vec<Sent> {
        let send = |(number, destination): (usize, &'_ Self)| {
            let destination = destination.clone();
            async move {
                let (kind, result) = destination.send(digest, http, deadline).await;
                Sent { destination: format!("{} ({kind})", number + 1), failure: result.err() }
            }
        };
        join_all(all.iter().enumerate().map(send)).await
    }

    /// Sends a digest. Returns the kind of the destination and the result.
    async fn send(
        &self,
        digest: &Digest,
        http: &Client,
        deadline: Instant,
    ) -> (&'static str, Result<(), String>) {
        let url = match &self.0 {
            Kind::Topic { arn, api } => return ("SNS", publish(arn, api, digest, http, deadline).await),
            Kind::Webhook(url) => webhook(url.expose()),
            Kind::Stored(stored) => {
                let read = stored.read_text(http, deadline).await.map_err(|Failed { why, .. }| why);
                read.and_then(|text| webhook(text.trim()))
            }
        };
        let url = match url {
            Ok(url) => url,
            Err(fault) => return ("secret", Err(fault)),
        };
        let service = Service::of(&url);
        let body = service.payload(digest).to_string();
        let post = || post(http, &url, &body, deadline);
        let sent = retry::retry(deadline, |failed: &Failed| failed.is_transient, post).await;
        (service.name(), sent.map_err(|failed| failed.why))
    }
}

/// The URL of a webhook. An error does not show it.
fn webhook(text: &str) -> Result<Url, String> {
    let url =
        Url::parse(text).map_err(|_| "it is neither a URL nor the ARN of a topic or a secret".to_owned())?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err("its URL is neither http nor https".to_owned());
    }
    if url.scheme() == "http" && !is_loopback(&url) {
        return Err("its URL would send names without encryption; write https://".to_owned());
    }
    Ok(url)
}

/// Makes one attempt to post a message. The response is not read: only its status counts.
async fn post(http: &Client, url: &Url, body: &str, deadline: Instant) -> Result<(), Failed> {
    let left = deadline.saturating_duration_since(Instant::now());
    let request = http.post(url.clone()).header("Content-Type", "application/json").body(body.to_owned());
    let response = request.timeout(SEND_TIMEOUT.min(left)).send().await.map_err(|error| Failed {
        why: format!("the service cannot be reached: {}", cause(&error.without_url())),
        is_transient: true,
    })?;
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    let why = format!("the service answered {}", status.as_u16());
    let seconds = response.headers().get(RETRY_AFTER).and_then(|after| after.to_str().ok()?.parse().ok());
    let after = seconds.and_then(|seconds| Duration::try_from_secs_f32(seconds).ok());
    Err(Failed { why, is_transient: retry::is_transient(status.as_u16()) && wait(after, deadline).await })
}

/// Waits as the service asks. Returns whether another attempt may be made.
async fn wait(after: Option<Duration>, deadline: Instant) -> bool {
    match after {
        None => true,
        Some(after) if after <= MAX_RETRY_AFTER && Instant::now() + after < deadline => {
            sleep(after).await;
            true
        }
        Some(_) => false,
    }
}

/// Publishes a digest to a topic of SNS.
async fn publish(
    arn: &str,
    api: &Api,
    digest: &Digest,
    http: &Client,
    deadline: Instant,
) -> Result<(), String> {
    let form = publication(arn, &digest.title(), &digest.text())?;
    let sent = api.call(&PUBLICATION_HEADERS, form.as_bytes(), http, deadline).await;
    sent.map(|_| ()).map_err(|failed| failed.why)
}

const PUBLICATION_HEADERS: [(&str, &str); 2] =
    [("content-type", "application/x-www-form-urlencoded"), ("accept", "application/json")];

/// The parameters of a call that publishes a message.
fn publication(arn: &str, subject: &str, message: &str) -> Result<String, String> {
    let parameters = [
        ("Action", "Publish"),
        ("Version", "2010-03-31"),
        ("TopicArn", arn),
        ("Subject", subject),
        ("Message", message),
    ];
    // Only for the encoding of the parameters, which is that of a query.
    let form = Url::parse_with_params("http://localhost/", parameters).map_err(|error| error.to_string())?;
    Ok(form.query().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::http::aws::example_credentials as get;

    const TOPIC: &str = "arn:aws:sns:eu-central-1:123456789012:owners";

    #[test]
    fn signature_of_a_publication_equals_that_of_botocore() {
        let all = Destination::parse_all(TOPIC, get).expect("a topic");
        let [Destination(Kind::Topic { arn, api })] = &all[..] else { panic!("{all:?}") };
        let subject = "2 access requests wait for your decision.";
        let form = publication(arn, subject, "é: <x> & y\n").expect("a form");
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_341_600);
        let request = api.signed(&PUBLICATION_HEADERS, form.as_bytes(), time).expect("a signature");
        assert_eq!(request.uri(), "https://sns.eu-central-1.amazonaws.com/");
        // The signature is that of botocore 1.43.127 for the same call at the same time.
        let expected = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261122/eu-central-1/sns/aws4_request, \
            SignedHeaders=accept;content-type;host;x-amz-date;x-amz-security-token, \
            Signature=73de7d7d792c9f5bcb2ca2ae267619ea0f63815499122e8104e3f040b8d37ed1";
        assert_eq!(request.headers()["authorization"], expected);
    }

    #[test]
    fn destinations_are_separated_by_white_space() {
        let text = format!(
            "{TOPIC}\n https://hooks.slack.com/services/T/B/x\thttp://127.0.0.1:1/ \
             arn:aws:ssm:eu-central-1:1:parameter/url http://[::1]:1/x http://localhost/x"
        );
        let all = Destination::parse_all(&text, get).expect("destinations");
        assert_eq!(all.len(), 6);
        let debug = format!("{all:?}");
        assert!(!debug.contains("services") && !debug.contains("wJalrXUtnFEMI"), "{debug}");
    }

    #[test]
    fn fault_of_a_destination_names_its_number_and_hides_it() {
        let cases = [
            ("hunter2", "neither a URL nor the ARN"),
            ("ftp://hunter2.example/", "neither http nor https"),
            ("mailto:hunter2@example.org", "neither http nor https"),
            ("http://hunter2.example/", "without encryption"),
            ("http://localhost.hunter2.example/", "without encryption"),
            ("arn:aws:sns:eu-central-1:1:hunter2.fifo", "FIFO"),
            ("arn:aws:sns:hunter2.example/:1:x", "begins with `arn:`"),
            ("arn:aws:sqs:eu-central-1:1:hunter2", "begins with `arn:`"),
        ];
        for (text, why) in cases {
            let faults = Destination::parse_all(&format!("https://a.example/ {text}"), get).expect_err(text);
            let [fault] = &faults[..] else { panic!("{faults:?}") };
            assert!(fault.starts_with("destination 2: ") && fault.contains(why), "{text}: {fault}");
            assert!(!fault.contains("hunter2"), "{fault}");
        }
        let faults = Destination::parse_all(TOPIC, |_| None).expect_err("no credentials");
        assert!(faults[0].contains("needs AWS_ACCESS_KEY_ID"), "{faults:?}");
    }
}
