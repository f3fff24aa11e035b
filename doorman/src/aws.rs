//! The `aws` command. It knows the account, the credentials and the protocols of AWS, so this program implements none of them.

mod failure;

use std::error::Error;
use std::ffi::OsStr;
use std::io::{ErrorKind, Write};
use std::process::{Command, Output, Stdio};

use hub_doorman::secrets::Secret;
use serde_json::{Value, json};

use crate::exit::UsageError;
pub use failure::AwsFailure;

/// The oldest versions with which a deployment was tried: each major version, with its lowest minor version. Debian 12 has 2.9.
const OLDEST: [(u32, u32); 2] = [(1, 29), (2, 9)];

/// A region that exists.
const KNOWN_REGION: &str = "us-east-1";

/// The value of an option that makes the `aws` command read it from its standard input.
const STDIN: &str = "file:///dev/stdin";

/// The `aws` command, for one region.
#[derive(Clone, Debug)]
pub struct Aws {
    /// The region, or none for that of the command's own configuration.
    region: Option<String>,
}

/// An account of AWS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsAccount {
    /// Twelve digits.
    pub id: String,
    /// The ARN of the user or role whose credentials the command has.
    pub caller: String,
}

/// A parameter that is passed by standard input, because every user of a machine can see the arguments of its processes.
pub struct Hidden<'a> {
    /// The option, such as `--secret-string`.
    pub option: &'a str,
    pub text: &'a str,
}

impl AwsAccount {
    /// The partition, such as `aws` or `aws-cn`.
    pub fn partition(&self) -> &str {
        self.caller.split(':').nth(1).unwrap_or("aws")
    }
}

impl Aws {
    /// The command for this region. It is not run yet.
    pub fn new(region: Option<&str>) -> Self {
        Self { region: region.map(str::to_owned) }
    }

    pub fn region(&self) -> Option<&str> {
        self.region.as_deref()
    }

    /// Checks that the command is there, is new enough, and has credentials, and gives the account that they belong to.
    pub fn account(&self) -> Result<AwsAccount, Box<dyn Error>> {
        let output = run(Command::new("aws").arg("--version"), None)?;
        // Old versions write to the standard error.
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        check_version(said.join(" ").trim())?;
        let identity = self.call("sts", "get-caller-identity", &json!({})).map_err(|failure| {
            if is_unreachable(&failure) {
                return self.why_unreachable(&failure);
            } else if failure.lacks_region() {
                return failure.to_string().into();
            }
            let text = format!("{failure}. To give `aws` credentials, run `aws configure` or `aws sso login`, or set AWS_PROFILE");
            Box::<dyn Error>::from(text)
        })?;
        let field = |name: &str| identity[name].as_str().map(str::to_owned);
        let (id, caller) =
            field("Account").zip(field("Arn")).ok_or("`aws sts get-caller-identity` names no account")?;
        Ok(AwsAccount { id, caller })
    }

    /// Why the endpoint of the region cannot be reached. A region that does not exist has no endpoint. If another region responds, there
    /// is a network. So no list of the regions is needed, which would become out of date.
    fn why_unreachable(&self, failure: &AwsFailure) -> Box<dyn Error> {
        let other = Self::new(Some(KNOWN_REGION)).call("sts", "get-caller-identity", &json!({}));
        match &self.region {
            Some(region) if !other.is_err_and(|other| is_unreachable(&other)) => UsageError(format!(
                "region: `{region}` is not a region of AWS: it has no endpoint, but AWS can be reached; correct it to one such as \
                 `eu-central-1` (https://docs.aws.amazon.com/global-infrastructure/latest/regions/aws-regions.html lists all)"
            ))
            .into(),
            _ => format!("{failure}. Is the region right, and is there a network?").into(),
        }
    }

    /// Calls an operation of a service with this input, and gives its output. An output that is not JSON is `null`.
    pub fn call(&self, service: &str, operation: &str, input: &Value) -> Result<Value, AwsFailure> {
        self.call_with(service, operation, input, None, &[])
    }

    /// Like [`Aws::call`], with a hidden parameter.
    pub fn call_hidden(
        &self,
        service: &str,
        operation: &str,
        input: &Value,
        hidden: &Hidden<'_>,
    ) -> Result<Value, AwsFailure> {
        self.call_with(service, operation, input, Some(hidden), &[])
    }

    /// Like [`Aws::call`], with a hidden parameter and more arguments. The error shows no hidden text.
    pub fn call_with(
        &self,
        service: &str,
        operation: &str,
        input: &Value,
        hidden: Option<&Hidden<'_>>,
        arguments: &[&OsStr],
    ) -> Result<Value, AwsFailure> {
        let mut command = Command::new("aws");
        command.args([service, operation, "--output", "json", "--cli-input-json", &input.to_string()]);
        if let Some(region) = &self.region {
            command.args(["--region", region]);
        }
        if let Some(Hidden { option, .. }) = hidden {
            command.args([option, STDIN]);
        }
        command.args(arguments);
        let text = hidden.map(|hidden| hidden.text);
        let failed = |message: &str| AwsFailure::new(service, operation, message, text);
        let output = run(&mut command, text).map_err(|error| failed(&error))?;
        if !output.status.success() {
            return Err(failed(&String::from_utf8_lossy(&output.stderr)));
        }
        Ok(serde_json::from_slice(&output.stdout).unwrap_or_default())
    }

    /// Reads the text that a secret or a parameter keeps: the ARN, optionally with `#key` behind it.
    pub fn read_stored(&self, place: &str) -> Result<Secret, Box<dyn Error>> {
        let (arn, key) = place.split_once('#').map_or((place, None), |(arn, key)| (arn, Some(key)));
        let text = if arn.contains(":ssm:") {
            let input = json!({"Name": arn, "WithDecryption": true});
            self.call("ssm", "get-parameter", &input)?["Parameter"]["Value"].take()
        } else {
            self.call("secretsmanager", "get-secret-value", &json!({"SecretId": arn}))?["SecretString"].take()
        };
        let Value::String(text) = text else { return Err(format!("{arn}: it holds no text").into()) };
        let Some(key) = key else { return Ok(Secret::new(text)) };
        let object: Value = serde_json::from_str(&text).unwrap_or_default();
        let value =
            object[key].as_str().ok_or_else(|| format!("{arn}: it holds no text under the key `{key}`"))?;
        Ok(Secret::new(value))
    }
}

/// Whether no server has responded.
fn is_unreachable(failure: &AwsFailure) -> bool {
    failure.says("Could not connect to the endpoint")
}

/// Runs a command, with this text as its standard input.
fn run(command: &mut Command, stdin: Option<&str>) -> Result<Output, String> {
    // Version 2 would show long outputs in a pager, and may be configured to ask for parameters.
    command.env("AWS_PAGER", "").env("AWS_CLI_AUTO_PROMPT", "off");
    command.stdin(stdin.map_or_else(Stdio::null, |_| Stdio::piped()));
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.map_err(|error| match error.kind() {
        ErrorKind::NotFound => {
            "there is no `aws` command; install version 2 of it: https://aws.amazon.com/cli/".to_owned()
        }
        _ => format!("the `aws` command cannot be run: {error}"),
    })?;
    if let Some((mut pipe, text)) = child.stdin.take().zip(stdin) {
        // If the command ends early, its own error says more.
        let _ = pipe.write_all(text.as_bytes());
    }
    child.wait_with_output().map_err(|error| format!("the `aws` command cannot be run: {error}"))
}

/// Refuses a version that is too old. `text` is what `aws --version` prints, such as `aws-cli/2.31.0 Python/3.13.7 …`.
fn check_version(text: &str) -> Result<(), String> {
    let version = text.strip_prefix("aws-cli/").and_then(|rest| rest.split_whitespace().next());
    let mut numbers = version.unwrap_or_default().split('.').map(str::parse::<u32>);
    let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else {
        return Err("the `aws` command does not say its version; is it the command line of AWS? https://aws.amazon.com/cli/".to_owned());
    };
    let oldest = OLDEST.iter().find(|(oldest, _)| *oldest == major);
    if major > 2 || oldest.is_some_and(|(_, oldest)| minor >= *oldest) {
        return Ok(());
    }
    Err(format!(
        "the `aws` command is too old ({major}.{minor}); install version 2: https://aws.amazon.com/cli/"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_and_foreign_aws_commands_are_refused() {
        let cases = [
            ("aws-cli/2.31.0 Python/3.13.7 Linux/6.1 exe/x86_64", true),
            ("aws-cli/2.9.19 Python/3.11.2", true),
            ("aws-cli/2.8.13 Python/3.9.11", false),
            ("aws-cli/1.46.3 Python/3.11.7 botocore/1.43.62", true),
            ("aws-cli/1.19.112 Python/2.7.18", false),
            ("aws-cli/3.0.0", true),
            ("GNU bash, version 5", false),
            ("aws-cli/x", false),
            ("", false),
        ];
        for (text, is_accepted) in cases {
            assert_eq!(check_version(text).is_ok(), is_accepted, "{text}");
        }
    }
}
