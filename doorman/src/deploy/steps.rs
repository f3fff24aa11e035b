//! The steps of a deployment, in their order. Each can say what it does, and do it. Each first looks which parts exist already, so the
//! next deployment finishes one that was interrupted.

mod code;
mod mail;
mod secret;
mod smoke;
mod stack;
mod topic;
mod webhook;

use std::error::Error;

use hub_doorman::secrets::Secret;

use super::deployment::Deployment;
use super::existing::Existing;
use crate::aws::AwsFailure;
use crate::policy::push::{PushOptions, Pushed, push};
use crate::screen::grouped;
pub use code::{bucket_exists, call as call_bucket};
pub use mail::{advice as mail_advice, deactivate as deactivate_mail};
pub use secret::{forget_webhook, read_secret, webhook_of};
pub use stack::{delete_and_wait, describe_stack, is_of_others, output as stack_output};

/// A step. Its name is the first cell of its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Policy,
    Secret,
    Alarms,
    Bucket,
    Code,
    Stack,
    Mail,
    Webhook,
    SmokeTest,
}

/// What the steps so far have found or made.
#[derive(Default)]
pub struct Made {
    /// The secret in AWS.
    secret: Option<KeptSecret>,
    /// The ARN of the topic for alarms.
    topic: Option<String>,
    /// The outputs of the stack.
    pub outputs: Option<Outputs>,
}

/// The secret in AWS.
struct KeptSecret {
    arn: String,
    /// The secret of the webhook.
    webhook: Secret,
    /// The id of the webhook on the Hub that sends this secret.
    webhook_id: Option<String>,
}

/// The outputs of the stack.
pub struct Outputs {
    /// The URL of the function.
    pub url: reqwest::Url,
    /// The name of the function.
    pub function: String,
    /// The name of the log group.
    pub log: String,
    /// The DNS records that mail needs.
    pub records: Vec<String>,
}

/// The error of a step that needs an earlier one.
const TOO_EARLY: &str = "a step before this one was left out";

impl Step {
    /// The steps of this deployment.
    pub fn all(deployment: &Deployment) -> Vec<Self> {
        let all = [
            Self::Policy,
            Self::Secret,
            Self::Alarms,
            Self::Bucket,
            Self::Code,
            Self::Stack,
            Self::Mail,
            Self::Webhook,
            Self::SmokeTest,
        ];
        let has_alarms = deployment.place.settings.alarms.is_some();
        let is_needed = |step: &Self| match step {
            Self::Alarms => has_alarms,
            Self::Mail => mail::domain(&deployment.place).is_some(),
            Self::Webhook => !deployment.patterns.is_empty() || deployment.policy.on_hub().is_some(),
            _ => true,
        };
        all.into_iter().filter(is_needed).collect()
    }

    /// The name of the step.
    pub fn name(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Secret => "secret",
            Self::Alarms => "alarms",
            Self::Bucket => "bucket",
            Self::Code => "code",
            Self::Stack => "stack",
            Self::Mail => "mail",
            Self::Webhook => "webhook",
            Self::SmokeTest => "smoke test",
        }
    }

    /// Whether AWS or the Hub has already what the step makes. None means that nothing was read that would tell.
    pub fn exists(self, deployment: &Deployment, existing: &Existing) -> Result<Option<bool>, AwsFailure> {
        Ok(match self {
            Self::Policy | Self::Mail | Self::SmokeTest => None,
            Self::Secret => Some(existing.secret.is_some()),
            Self::Alarms => {
                Some(existing.topic.is_some()).filter(|_| deployment.place.settings.alarm_address().is_some())
            }
            Self::Bucket => Some(existing.bucket.is_some()),
            Self::Code => {
                Some(existing.bucket.is_some() && code::is_uploaded(&deployment.place, &deployment.zip)?)
            }
            Self::Stack => Some(existing.stack.is_some()),
            Self::Webhook => Some(existing.webhook().is_some()),
        })
    }

    /// Whether the step makes something that it then leaves as it is. The others say themselves what they change or keep.
    pub fn is_only_made(self) -> bool {
        matches!(self, Self::Alarms | Self::Bucket | Self::Code | Self::Webhook)
    }

    /// What the step does.
    pub fn describe(self, deployment: &Deployment, existing: &Existing) -> String {
        let place = &deployment.place;
        match self {
            Self::Policy => deployment.policy.describe(),
            Self::Secret => secret::describe(deployment),
            Self::Alarms => topic::describe(place),
            Self::Bucket => format!("make the private bucket {} for the code", place.bucket()),
            Self::Code => {
                let (path, kb) =
                    (deployment.zip.path.display(), grouped(deployment.zip.bytes.div_ceil(1000)));
                format!("upload {path} ({kb} KB, for {}) to the bucket", place.settings.architecture.as_str())
            }
            Self::Stack => stack::describe(deployment, existing.stack.as_ref()),
            Self::Mail => mail::describe(deployment),
            Self::Webhook => webhook::describe(deployment),
            Self::SmokeTest => {
                "send webhooks about no repo to the function, with the secret and without".to_owned()
            }
        }
    }

    /// Carries the step out, and says what it has done. If everything is there already, it changes nothing.
    pub async fn run(self, deployment: &Deployment, made: &mut Made) -> Result<String, Box<dyn Error>> {
        let place = &deployment.place;
        match self {
            Self::Policy => push_policy(deployment).await,
            Self::Secret => secret::run(deployment, made),
            Self::Alarms => topic::run(place, made),
            Self::Bucket => code::make_bucket(place),
            Self::Code => Ok(code::upload(place, &deployment.zip)?),
            Self::Stack => stack::run(deployment, made).await,
            Self::Mail => Ok(mail::run(place)?),
            Self::Webhook => webhook::run(deployment, made).await,
            Self::SmokeTest => smoke::run(made).await,
        }
    }
}

async fn push_policy(deployment: &Deployment) -> Result<String, Box<dyn Error>> {
    let super::policy::FunctionPolicy::Pushed { local, place } = &deployment.policy else {
        return Ok("nothing to push".to_owned());
    };
    match push(&deployment.hub, place, local, PushOptions { create: true, ..PushOptions::default() }).await? {
        Pushed::Commit(commit) => Ok(format!("pushed to {place} as {commit}")),
        Pushed::Unchanged(_) => Ok(format!("unchanged at {place}")),
    }
}
