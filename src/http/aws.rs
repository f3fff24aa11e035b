//! Signed calls to an API of AWS, with AWS's signing library and the HTTP client that the function has anyway.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use lambda_http::http::Request;
use reqwest::Client;
use serde_json::Value;
use tokio::time::Instant;

use super::{ReadError, cause, read_within, retry};
use crate::secrets::redact;

/// The maximum time of an attempt.
const CALL_TIMEOUT: Duration = Duration::from_secs(3);

/// The maximum length of a response, in bytes. A secret has up to 64 KB, and JSON may escape each byte with six.
const MAX_RESPONSE_BYTES: usize = 1024 * 1024;

/// The parts of an ARN that say which API it belongs to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arn<'a> {
    pub(crate) service: &'a str,
    region: &'a str,
    /// The domain of the partition.
    domain: &'static str,
    pub(crate) resource: &'a str,
}

impl<'a> Arn<'a> {
    /// Splits an ARN of one of the public partitions, as the AWS SDKs list them.
    pub(crate) fn split(arn: &'a str) -> Option<Self> {
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        let ["arn", partition, service, region, _account, resource] = parts[..] else { return None };
        let domain = match partition {
            "aws" | "aws-us-gov" => "amazonaws.com",
            "aws-cn" => "amazonaws.com.cn",
            "aws-eusc" => "amazonaws.eu",
            _ => return None,
        };
        let is_valid_in_region = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        (!region.is_empty() && region.chars().all(is_valid_in_region)).then_some(Self {
            service,
            region,
            domain,
            resource,
        })
    }
}

/// The API of a service in a region, and the credentials for it.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    /// The service's name in host names and in signatures.
    service: &'static str,
    region: String,
    endpoint: String,
    credentials: Credentials,
}

/// A failed call.
#[derive(Clone, Debug)]
pub(crate) struct Failed {
    pub(crate) why: String,
    /// Whether another attempt may succeed.
    pub(crate) is_transient: bool,
}

impl Api {
    /// The API of `service` in the region of an ARN. `get` returns the value of an environment variable: AWS credentials, which Lambda
    /// sets, and endpoints, which tests and emulators set. `endpoint_variable` is that of the service.
    pub(crate) fn new(
        service: &'static str,
        endpoint_variable: &str,
        arn: Arn<'_>,
        get: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, String> {
        let endpoint = get(endpoint_variable)
            .or_else(|| get("AWS_ENDPOINT_URL"))
            .unwrap_or_else(|| format!("https://{service}.{}.{}", arn.region, arn.domain));
        let credential =
            |name| get(name).ok_or_else(|| format!("using its ARN needs {name}, which Lambda sets"));
        let credentials = Credentials::new(
            credential("AWS_ACCESS_KEY_ID")?,
            credential("AWS_SECRET_ACCESS_KEY")?,
            get("AWS_SESSION_TOKEN"),
            None,
            "environment",
        );
        let endpoint = endpoint.trim_end_matches('/').to_owned();
        Ok(Self { service, region: arn.region.to_owned(), endpoint, credentials })
    }

    #[cfg(test)]
    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Makes a call, and retries transient errors until `deadline`. Returns the body of the response.
    pub(crate) async fn call(
        &self,
        headers: &[(&str, &str)],
        body: &[u8],
        http: &Client,
        deadline: Instant,
    ) -> Result<Vec<u8>, Failed> {
        let attempt = || self.attempt(headers, body, http, deadline);
        retry::retry(deadline, |failed: &Failed| failed.is_transient, attempt).await
    }

    async fn attempt(
        &self,
        headers: &[(&str, &str)],
        body: &[u8],
        http: &Client,
        deadline: Instant,
    ) -> Result<Vec<u8>, Failed> {
        let failed = |why: String| Failed { why, is_transient: false };
        let request =
            self.signed(headers, body, SystemTime::now()).map_err(|error| failed(error.to_string()))?;
        let mut request = reqwest::Request::try_from(request).map_err(|error| failed(error.to_string()))?;
        let left = deadline.saturating_duration_since(Instant::now());
        *request.timeout_mut() = Some(CALL_TIMEOUT.min(left));
        let lost = |error: reqwest::Error| {
            let why = format!("{} cannot be reached: {}", self.endpoint, redact(&cause(&error), &[]));
            Failed { why, is_transient: true }
        };
        let response = http.execute(request).await.map_err(lost)?;
        let status = response.status();
        let body = read_within(MAX_RESPONSE_BYTES, response).await.map_err(|unread| match unread {
            ReadError::TooLarge => failed("AWS's response is larger than 1 MB and was not read".to_owned()),
            ReadError::Lost(error) => lost(error),
        })?;
        if status.is_success() { Ok(body) } else { Err(self.failure(status.as_u16(), &body)) }
    }

    /// Describes a response that is an error.
    fn failure(&self, status: u16, body: &[u8]) -> Failed {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        // SNS wraps the error.
        let error = if body["Error"].is_object() { &body["Error"] } else { &body };
        let field =
            |name: &str| error[name].as_str().map(|text| redact(&self.without_credentials(text), &[]));
        let kind = field("__type").or_else(|| field("Code"));
        let message = field("message").or_else(|| field("Message"));
        // Some services throttle with the status 400.
        let is_throttled = kind.as_ref().is_some_and(|kind| kind.contains("Throttl"));
        let is_transient = is_throttled || retry::is_transient(status);
        let said = [Some(format!("AWS answered {status}")), kind, message];
        let mut why = said.into_iter().flatten().collect::<Vec<_>>().join(" ");
        if !is_transient {
            why += "; check the ARN, and whether the function's role may use it";
        }
        Failed { why, is_transient }
    }

    /// AWS's message about a wrong signature may repeat what was signed.
    fn without_credentials(&self, text: &str) -> String {
        let text = text.replace(self.credentials.secret_access_key(), "[redacted]");
        match self.credentials.session_token() {
            Some(token) => text.replace(token, "[redacted]"),
            None => text,
        }
    }

    /// A POST with these headers and this body, and with a signature of this time.
    pub(crate) fn signed(
        &self,
        headers: &[(&str, &str)],
        body: &[u8],
        time: SystemTime,
    ) -> Result<Request<Vec<u8>>, lambda_http::Error> {
        let url = format!("{}/", self.endpoint);
        let mut request = Request::post(&url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(body.to_vec())?;
        let identity = self.credentials.clone().into();
        let parameters = SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(self.service)
            .time(time)
            .settings(SigningSettings::default())
            .build()?
            .into();
        let headers =
            request.headers().iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let signable = SignableRequest::new("POST", &url, headers, SignableBody::Bytes(request.body()))?;
        let (instructions, _) = sign(signable, &parameters)?.into_parts();
        instructions.apply_to_request_http1x(&mut request);
        Ok(request)
    }
}

/// The environment variables of example credentials.
#[cfg(test)]
pub(crate) fn example_credentials(name: &str) -> Option<String> {
    let value = match name {
        "AWS_ACCESS_KEY_ID" => "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY" => "wJalrXUtnFEMI",
        "AWS_SESSION_TOKEN" => "session",
        _ => return None,
    };
    Some(value.to_owned())
}
