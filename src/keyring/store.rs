//! A secret that AWS keeps: its ARN, and reading it from there.
//!
//! It is read by AWS's own signing library and the HTTP client that is here anyway, which makes the binary 0.15 MB larger, and
//! a start with two ARNs 1.17 times as long as one without (`bench/run.py`). Measured in programs of their own that read one
//! secret and one parameter, medians of 21 in one run: with the AWS SDK 5.2 MB and 5.9 ms of processor, so 2.3 MB and 1.5
//! ms, most of which the function has in any case. The AWS Parameters and Secrets extension is to be had as a layer of
//! Lambda only, so it could not be measured without an account. It would need no signing, but a layer whose ARN differs by
//! region and processor, and a second process in the function's 128 MB that every cold start waits for; and what it has
//! once read it keeps for five minutes, in which a rotated token does not work.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use lambda_http::http::{Request, header};
use reqwest::Client;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::http::{self, Unread};
use crate::retry;
use crate::secret::{Secret, shown};

/// How long a call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(3);

/// The longest answer that is read, in bytes: a secret has up to 64 KB, and each of them may be written as six.
const LARGEST_ANSWER: usize = 1024 * 1024;

/// A secret that AWS keeps, and all that it takes to read it.
#[derive(Clone, Debug)]
pub struct Stored {
    arn: String,
    /// The key to look under, if what is kept is a JSON object.
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
    /// As it is called in the names of servers and in signatures.
    const fn name(self) -> &'static str {
        match self {
            Self::SecretsManager => "secretsmanager",
            Self::ParameterStore => "ssm",
        }
    }
}

/// A call to AWS that failed: why, and whether calling again in a moment may do better.
struct Failed {
    why: String,
    is_transient: bool,
}

impl Stored {
    /// Reads the ARN of a secret or of a parameter, with `#key` behind it or not. `get` gives the value of an environment
    /// variable: the credentials, which Lambda sets, and for tests and emulators where AWS is. An error does not show the
    /// text: it may be a secret after all.
    pub fn parse(text: &str, get: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let fault = || {
            "it begins with `arn:` and is the ARN of neither a secret (arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME) nor a \
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
        // The partitions that are open to the public, as AWS's SDKs list them.
        let domain = match partition {
            "aws" | "aws-us-gov" => "amazonaws.com",
            "aws-cn" => "amazonaws.com.cn",
            "aws-eusc" => "amazonaws.eu",
            _ => return Err(fault()),
        };
        let is_of_region = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if region.is_empty() || !region.chars().all(is_of_region) {
            return Err(fault());
        }
        let endpoint = get(endpoint_variable)
            .or_else(|| get("AWS_ENDPOINT_URL"))
            .unwrap_or_else(|| format!("https://{}.{region}.{domain}", service.name()));
        let credential = |name| {
            get(name).ok_or_else(|| format!("to read what its ARN names takes {name}, which Lambda sets"))
        };
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

    /// Reads the secret, again and again while that may help and there is time. An error names the ARN and says what AWS said.
    pub async fn read(&self, http: &Client, deadline: Instant) -> Result<Secret, String> {
        let read =
            retry::retry(deadline, |failed: &Failed| failed.is_transient, || self.call(http, deadline));
        let text = read.await.map_err(|Failed { why, .. }| why).and_then(|text| self.pick(&text));
        let secret = text.and_then(|text| Secret::for_header(&text));
        secret.map_err(|why| format!("{} cannot be used: {why}", self.arn))
    }

    async fn call(&self, http: &Client, deadline: Instant) -> Result<String, Failed> {
        let failed = |why: String| Failed { why, is_transient: false };
        let request = self.signed(SystemTime::now()).map_err(|error| failed(error.to_string()))?;
        let mut request = reqwest::Request::try_from(request).map_err(|error| failed(error.to_string()))?;
        let left = deadline.saturating_duration_since(Instant::now());
        *request.timeout_mut() = Some(CALL_TIMEOUT.min(left));
        let lost = |error: reqwest::Error| {
            let why = format!("{} cannot be reached: {}", self.endpoint, http::cause(&error));
            Failed { why, is_transient: true }
        };
        let response = http.execute(request).await.map_err(lost)?;
        let status = response.status();
        let body = http::read_within(LARGEST_ANSWER, response).await.map_err(|unread| match unread {
            Unread::TooLarge => failed("AWS's answer is larger than 1 MB, and was not read".to_owned()),
            Unread::Lost(error) => lost(error),
        })?;
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        if !status.is_success() {
            let field =
                |name: &str| body[name].as_str().map(|text| shown(&self.without_credentials(text), &[]));
            let (kind, message) = (field("__type"), field("message").or_else(|| field("Message")));
            // Some throttle with a status of 400.
            let is_throttled = kind.as_ref().is_some_and(|kind| kind.contains("Throttl"));
            let is_transient = is_throttled || retry::is_transient(status.as_u16());
            let said = [Some(format!("AWS answered {}", status.as_u16())), kind, message];
            let mut why = said.into_iter().flatten().collect::<Vec<_>>().join(" ");
            if !is_transient {
                why += "; check the ARN, and that the role of the function may read it";
            }
            return Err(Failed { why, is_transient });
        }
        let text = match self.service {
            Service::SecretsManager => &body["SecretString"],
            Service::ParameterStore => &body["Parameter"]["Value"],
        };
        text.as_str().map(str::to_owned).ok_or_else(|| failed("what AWS keeps there is not text".to_owned()))
    }

    /// What AWS says of a signature may repeat what was signed.
    fn without_credentials(&self, text: &str) -> String {
        let text = text.replace(self.credentials.secret_access_key(), "[redacted]");
        match self.credentials.session_token() {
            Some(token) => text.replace(token, "[redacted]"),
            None => text,
        }
    }

    /// The text under the key, or all of it.
    fn pick(&self, text: &str) -> Result<String, String> {
        match (&self.key, serde_json::from_str::<Map<String, Value>>(text)) {
            (None, Err(_)) => Ok(text.to_owned()),
            (None, Ok(_)) => {
                Err("it holds a JSON object; say under which key to look, as in ARN#key".to_owned())
            }
            (Some(key), Ok(object)) => match object.get(key) {
                Some(Value::String(text)) => Ok(text.clone()),
                Some(_) => Err(format!("what it holds under the key `{key}` is not text")),
                None => Err(format!("it holds nothing under the key `{key}`")),
            },
            (Some(key), Err(_)) => {
                Err(format!("it is not a JSON object, so there is nothing under the key `{key}`"))
            }
        }
    }

    /// The call that reads it, signed as of this time.
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
    fn calls_are_signed_as_aws_signs_them() {
        // What botocore 1.44.5 makes of the same calls at the same time.
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
    fn what_is_no_arn_of_a_secret_is_told_without_being_shown() {
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
            error.expect_err("no credentials").contains("takes AWS_SECRET_ACCESS_KEY, which Lambda sets")
        );
    }

    #[test]
    fn where_aws_is_may_be_said_for_all_services_or_for_one() {
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
