//! A secret that AWS keeps: the parsing of its ARN, and the call that reads it.
//!
//! The secret is read with AWS's signing library and the HTTP client that the function has anyway. This makes the binary 0.15 MB
//! larger. A start with two ARNs takes 1.17 times as long as a start without (`bench/run.py`).
//!
//! Alternatives:
//!
//! - The AWS SDK. Programs that read one secret and one parameter need 5.2 MB and 5.9 ms of processor time with it (median of
//!   21 starts), and 2.3 MB and 1.5 ms this way. The function needs most of the latter in any case.
//! - The AWS Parameters and Secrets extension. It needs no signing. But it is a layer whose ARN differs by region and processor, and
//!   a second process in the function's 128 MB for which every cold start waits. It also caches a secret for five minutes, in which
//!   a rotated token does not work. It exists only as a layer of Lambda, so it was not measured.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use lambda_http::http::{Request, header};
use reqwest::Client;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::{Secret, redact};
use crate::http::retry;
use crate::http::{self, ReadError};

/// The maximum time of an attempt.
const CALL_TIMEOUT: Duration = Duration::from_secs(3);

/// The maximum length of a response, in bytes. A secret has up to 64 KB, and JSON may escape each byte with six.
const MAX_RESPONSE_BYTES: usize = 1024 * 1024;

/// A secret that AWS keeps, with all that is needed to read it.
#[derive(Clone, Debug)]
pub struct Stored {
    arn: String,
    /// The key of the secret, if AWS keeps a JSON object.
    key: Option<String>,
    service: Service,
    region: String,
    endpoint: String,
    credentials: Credentials,
}

#[derive(Clone, Copy, Debug)]
enum Service {
    SecretsManager,
    ParameterStore,
}

impl Service {
    /// The service's name in host names and in signatures.
    const fn name(self) -> &'static str {
        match self {
            Self::SecretsManager => "secretsmanager",
            Self::ParameterStore => "ssm",
        }
    }
}

/// A failed call.
pub(crate) struct Failed {
    pub(crate) why: String,
    /// Whether another attempt may succeed.
    pub(crate) is_transient: bool,
}

impl Stored {
    /// Parses the ARN of a secret or of a parameter, optionally followed by `#key`. `get` returns the value of an environment
    /// variable: AWS credentials, which Lambda sets, and endpoints, which tests and emulators set. An error does not show the text,
    /// because it may be a secret.
    pub fn parse(text: &str, get: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let fault = || {
            "it begins with `arn:`, but it is the ARN of neither a secret (arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME) nor a \
             parameter (arn:aws:ssm:REGION:ACCOUNT:parameter/NAME)"
                .to_owned()
        };
        let (arn, key) = match text.split_once('#') {
            Some((_, "")) => return Err("no key follows the `#` after its ARN".to_owned()),
            Some((arn, key)) => (arn, Some(key.to_owned())),
            None => (text, None),
        };
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        let ["arn", partition, service, region, _account, resource] = parts[..] else { return Err(fault()) };
        let (service, endpoint_variable) = match service {
            "secretsmanager" if resource.starts_with("secret:") => {
                (Service::SecretsManager, "AWS_ENDPOINT_URL_SECRETS_MANAGER")
            }
            "ssm" if resource.starts_with("parameter/") => (Service::ParameterStore, "AWS_ENDPOINT_URL_SSM"),
            _ => return Err(fault()),
        };
        // The public partitions, as the AWS SDKs list them.
        let domain = match partition {
            "aws" | "aws-us-gov" => "amazonaws.com",
            "aws-cn" => "amazonaws.com.cn",
            "aws-eusc" => "amazonaws.eu",
            _ => return Err(fault()),
        };
        let is_valid_in_region = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if region.is_empty() || !region.chars().all(is_valid_in_region) {
            return Err(fault());
        }
        let endpoint = get(endpoint_variable)
            .or_else(|| get("AWS_ENDPOINT_URL"))
            .unwrap_or_else(|| format!("https://{}.{region}.{domain}", service.name()));
        let credential =
            |name| get(name).ok_or_else(|| format!("reading its ARN needs {name}, which Lambda sets"));
        let credentials = Credentials::new(
            credential("AWS_ACCESS_KEY_ID")?,
            credential("AWS_SECRET_ACCESS_KEY")?,
            get("AWS_SESSION_TOKEN"),
            None,
            "environment",
        );
        let (arn, region) = (arn.to_owned(), region.to_owned());
        let endpoint = endpoint.trim_end_matches('/').to_owned();
        Ok(Self { arn, key, service, region, endpoint, credentials })
    }

    /// Reads the secret, and retries transient errors until `deadline`. An error names the ARN and repeats AWS's message.
    pub async fn read(&self, http: &Client, deadline: Instant) -> Result<Secret, String> {
        let text = self.call_until(http, deadline).await;
        let text = text.map_err(|Failed { why, .. }| why).and_then(|text| self.pick(&text));
        let secret = text.and_then(|text| Secret::for_header(&text));
        secret.map_err(|why| format!("{} cannot be used: {why}", self.arn))
    }

    /// Reads a text that is no secret, such as a policy. Without a key, it may be a JSON object.
    pub(crate) async fn read_text(&self, http: &Client, deadline: Instant) -> Result<String, Failed> {
        let text = self.call_until(http, deadline).await?;
        match self.key {
            None => Ok(text),
            Some(_) => self.pick(&text).map_err(|why| Failed { why, is_transient: false }),
        }
    }

    /// The ARN, with the key behind it.
    pub(crate) fn place(&self) -> String {
        match &self.key {
            Some(key) => format!("{}#{key}", self.arn),
            None => self.arn.clone(),
        }
    }

    /// Calls AWS, and retries transient errors until `deadline`.
    async fn call_until(&self, http: &Client, deadline: Instant) -> Result<String, Failed> {
        retry::retry(deadline, |failed: &Failed| failed.is_transient, || self.call(http, deadline)).await
    }

    async fn call(&self, http: &Client, deadline: Instant) -> Result<String, Failed> {
        let failed = |why: String| Failed { why, is_transient: false };
        let request = self.signed(SystemTime::now()).map_err(|error| failed(error.to_string()))?;
        let mut request = reqwest::Request::try_from(request).map_err(|error| failed(error.to_string()))?;
        let left = deadline.saturating_duration_since(Instant::now());
        *request.timeout_mut() = Some(CALL_TIMEOUT.min(left));
        let lost = |error: reqwest::Error| {
            let why = format!("{} cannot be reached: {}", self.endpoint, redact(&http::cause(&error), &[]));
            Failed { why, is_transient: true }
        };
        let response = http.execute(request).await.map_err(lost)?;
        let status = response.status();
        let body = http::read_within(MAX_RESPONSE_BYTES, response).await.map_err(|unread| match unread {
            ReadError::TooLarge => failed("AWS's response is larger than 1 MB and was not read".to_owned()),
            ReadError::Lost(error) => lost(error),
        })?;
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        if !status.is_success() {
            let field =
                |name: &str| body[name].as_str().map(|text| redact(&self.without_credentials(text), &[]));
            let (kind, message) = (field("__type"), field("message").or_else(|| field("Message")));
            // Some services throttle with the status 400.
            let is_throttled = kind.as_ref().is_some_and(|kind| kind.contains("Throttl"));
            let is_transient = is_throttled || retry::is_transient(status.as_u16());
            let said = [Some(format!("AWS answered {}", status.as_u16())), kind, message];
            let mut why = said.into_iter().flatten().collect::<Vec<_>>().join(" ");
            if !is_transient {
                why += "; check the ARN, and whether the function's role may read it";
            }
            return Err(Failed { why, is_transient });
        }
        let text = match self.service {
            Service::SecretsManager => &body["SecretString"],
            Service::ParameterStore => &body["Parameter"]["Value"],
        };
        text.as_str()
            .map(str::to_owned)
            .ok_or_else(|| failed("AWS keeps a binary value there, not text".to_owned()))
    }

    /// AWS's message about a wrong signature may repeat what was signed.
    fn without_credentials(&self, text: &str) -> String {
        let text = text.replace(self.credentials.secret_access_key(), "[redacted]");
        match self.credentials.session_token() {
            Some(token) => text.replace(token, "[redacted]"),
            None => text,
        }
    }

    /// Returns the text under the key, or the whole text if no key was given.
    fn pick(&self, text: &str) -> Result<String, String> {
        match (&self.key, serde_json::from_str::<Map<String, Value>>(text)) {
            (None, Err(_)) => Ok(text.to_owned()),
            (None, Ok(_)) => {
                Err("it holds a JSON object; add the key of the secret, as in ARN#key".to_owned())
            }
            (Some(key), Ok(object)) => match object.get(key) {
                Some(Value::String(text)) => Ok(text.clone()),
                Some(_) => Err(format!("the value under the key `{key}` is not a string")),
                None => Err(format!("it holds nothing under the key `{key}`")),
            },
            (Some(key), Err(_)) => {
                Err(format!("it is not a JSON object, so there is nothing under the key `{key}`"))
            }
        }
    }

    /// Builds the call that reads the secret, with a signature of this time.
    fn signed(&self, time: SystemTime) -> Result<Request<Vec<u8>>, lambda_http::Error> {
        let (target, body) = match self.service {
            Service::SecretsManager => ("secretsmanager.GetSecretValue", json!({"SecretId": self.arn})),
            Service::ParameterStore => {
                ("AmazonSSM.GetParameter", json!({"Name": self.arn, "WithDecryption": true}))
            }
        };
        let url = format!("{}/", self.endpoint);
        let mut request = Request::post(&url)
            .header(header::CONTENT_TYPE, "application/x-amz-json-1.1")
            .header("x-amz-target", target)
            .body(body.to_string().into_bytes())?;
        let identity = self.credentials.clone().into();
        let parameters = SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(self.service.name())
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

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:doorman-a1b2c3";

    fn get(name: &str) -> Option<String> {
        let value = match name {
            "AWS_ACCESS_KEY_ID" => "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY" => "wJalrXUtnFEMI",
            "AWS_SESSION_TOKEN" => "session",
            _ => return None,
        };
        Some(value.to_owned())
    }

    #[test]
    fn signature_equals_that_of_botocore() {
        // The signatures are those of botocore 1.44.5 for the same calls at the same time.
        let cases = [
            (
                SECRET,
                "https://secretsmanager.eu-central-1.amazonaws.com/",
                "20261122/eu-central-1/secretsmanager",
                "4b942747b017c2584bf4b7b880592444a924e6dfde3189a18a65369e95882a43",
            ),
            (
                "arn:aws-cn:ssm:cn-north-1:123456789012:parameter/doorman/token",
                "https://ssm.cn-north-1.amazonaws.com.cn/",
                "20261122/cn-north-1/ssm",
                "b956788a9a28f69ad271d9b23553982467ccb36bc201cc43dae4037aee2f1099",
            ),
        ];
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_341_600);
        for (arn, url, scope, signature) in cases {
            let request = Stored::parse(arn, get).expect(arn).signed(time).expect("a signature");
            let expected = format!(
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/{scope}/aws4_request, \
                 SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target, Signature={signature}"
            );
            assert_eq!(request.uri().to_string(), url);
            assert_eq!(request.headers()["authorization"], expected);
        }
    }

    #[test]
    fn error_about_an_arn_does_not_show_it() {
        let cases = [
            "arn:",
            "arn:aws:s3:::hunter2",
            "arn:aws:secretsmanager:eu-central-1:1:hunter2",
            "arn:aws:ssm:eu-central-1:1:document/hunter2",
            "arn:aws-hunter2:ssm:eu-central-1:1:parameter/x",
            "arn:aws:ssm:hunter2.example/:1:parameter/x",
            "arn:aws:ssm::1:parameter/hunter2",
        ];
        for text in cases {
            let error = Stored::parse(text, get).expect_err(text);
            assert!(error.contains("neither a secret") && !error.contains("hunter2"), "{error}");
        }
        let error = Stored::parse(&format!("{SECRET}#"), get).expect_err("no key");
        assert!(error.contains("no key"), "{error}");
        let error = Stored::parse(SECRET, |name| get(name).filter(|_| name != "AWS_SECRET_ACCESS_KEY"));
        assert!(
            error.expect_err("no credentials").contains("needs AWS_SECRET_ACCESS_KEY, which Lambda sets")
        );
    }

    #[test]
    fn endpoint_is_set_for_all_services_or_for_one() {
        let endpoint = |name: &str| match name {
            "AWS_ENDPOINT_URL" => Some("http://all/".to_owned()),
            "AWS_ENDPOINT_URL_SSM" => Some("http://ssm".to_owned()),
            name => get(name),
        };
        let parameter =
            Stored::parse("arn:aws:ssm:eu-central-1:1:parameter/x", endpoint).expect("a parameter");
        let secret = Stored::parse(SECRET, endpoint).expect("a secret");
        assert_eq!((&*parameter.endpoint, &*secret.endpoint), ("http://ssm", "http://all"));
    }

    #[test]
    fn debug_output_shows_no_credentials() {
        let debug = format!("{:?}", Stored::parse(SECRET, get).expect("a secret"));
        assert!(!debug.contains("wJalrXUtnFEMI") && !debug.contains("session"), "{debug}");
    }
}
