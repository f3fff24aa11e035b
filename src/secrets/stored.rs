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

use reqwest::Client;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::Secret;
pub(crate) use crate::http::aws::Failed;
use crate::http::aws::{Api, Arn};

/// A secret that AWS keeps, with all that is needed to read it.
#[derive(Clone, Debug)]
pub struct Stored {
    arn: String,
    /// The key of the secret, if AWS keeps a JSON object.
    key: Option<String>,
    service: Service,
    api: Api,
}

#[derive(Clone, Copy, Debug)]
enum Service {
    SecretsManager,
    ParameterStore,
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
        let parts = Arn::split(arn).ok_or_else(fault)?;
        let (service, name, endpoint_variable) = match parts.service {
            "secretsmanager" if parts.resource.starts_with("secret:") => {
                (Service::SecretsManager, "secretsmanager", "AWS_ENDPOINT_URL_SECRETS_MANAGER")
            }
            "ssm" if parts.resource.starts_with("parameter/") => {
                (Service::ParameterStore, "ssm", "AWS_ENDPOINT_URL_SSM")
            }
            _ => return Err(fault()),
        };
        let api = Api::new(name, endpoint_variable, parts, get)?;
        Ok(Self { arn: arn.to_owned(), key, service, api })
    }

    /// Reads the secret, and retries transient errors until `deadline`. An error names the ARN and repeats AWS's message.
    pub async fn read(&self, http: &Client, deadline: Instant) -> Result<Secret, String> {
        let text = self.call(http, deadline).await;
        let text = text.map_err(|Failed { why, .. }| why).and_then(|text| self.pick(&text));
        let secret = text.and_then(|text| Secret::for_header(&text));
        secret.map_err(|why| format!("{} cannot be used: {why}", self.arn))
    }

    /// Reads a text that is no secret, such as a policy. Without a key, it may be a JSON object.
    pub(crate) async fn read_text(&self, http: &Client, deadline: Instant) -> Result<String, Failed> {
        let text = self.call(http, deadline).await?;
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

    async fn call(&self, http: &Client, deadline: Instant) -> Result<String, Failed> {
        let (headers, body) = self.request();
        let body = self.api.call(&headers, body.to_string().as_bytes(), http, deadline).await?;
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let text = match self.service {
            Service::SecretsManager => &body["SecretString"],
            Service::ParameterStore => &body["Parameter"]["Value"],
        };
        let why = || "AWS keeps a binary value there, not text".to_owned();
        text.as_str().map(str::to_owned).ok_or_else(|| Failed { why: why(), is_transient: false })
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

    /// The headers and the body of the call that reads the secret.
    fn request(&self) -> ([(&'static str, &'static str); 2], Value) {
        let (target, body) = match self.service {
            Service::SecretsManager => ("secretsmanager.GetSecretValue", json!({"SecretId": self.arn})),
            Service::ParameterStore => {
                ("AmazonSSM.GetParameter", json!({"Name": self.arn, "WithDecryption": true}))
            }
        };
        ([("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target)], body)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::http::aws::example_credentials as get;

    const SECRET: &str = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:doorman-a1b2c3";

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
            let stored = Stored::parse(arn, get).expect(arn);
            let (headers, body) = stored.request();
            let request =
                stored.api.signed(&headers, body.to_string().as_bytes(), time).expect("a signature");
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
        assert_eq!((parameter.api.endpoint(), secret.api.endpoint()), ("http://ssm", "http://all"));
    }

    #[test]
    fn debug_output_shows_no_credentials() {
        let debug = format!("{:?}", Stored::parse(SECRET, get).expect("a secret"));
        assert!(!debug.contains("wJalrXUtnFEMI") && !debug.contains("session"), "{debug}");
    }
}
