//! `deploy --destroy`: removes what `deploy` has made, and nothing else. The log and the policy on the Hub stay.

use std::error::Error;

use serde_json::{Value, json};

use super::deployment::Place;
use super::steps::{
    bucket_exists, call_bucket, deactivate_mail, delete_and_wait, describe_stack, read_secret, webhook_of,
};
use super::{is_agreed, show_done, stopped};
use crate::aws::Aws;
use crate::environment::{self, deadline};
use crate::exit::ExitStatus;
use crate::screen::Screen;

/// The parts of a deployment, in the order of their removal. The secret is the last, because its tag names the webhook.
#[derive(Clone, Copy)]
enum Removal {
    Webhook,
    Stack,
    Alarms,
    Bucket,
    Secret,
}

impl Removal {
    const ALL: [Self; 5] = [Self::Webhook, Self::Stack, Self::Alarms, Self::Bucket, Self::Secret];

    fn name(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Stack => "stack",
            Self::Alarms => "alarms",
            Self::Bucket => "bucket",
            Self::Secret => "secret",
        }
    }

    fn describe(self, place: &Place) -> String {
        let name = &place.settings.name;
        match self {
            Self::Webhook => "delete the webhook on the Hub that calls the function".to_owned(),
            Self::Stack => format!(
                "delete the stack {name} in account {}, region {}, with the function; its log stays",
                place.account.id, place.settings.region
            ),
            Self::Alarms => format!("delete the topic {}", place.topic()),
            Self::Bucket => format!("delete the bucket {} with the code", place.bucket()),
            Self::Secret => {
                format!("delete the secret {name}, with the token and the webhook's secret, for good")
            }
        }
    }

    /// Removes it, if it is there and `deploy` has made it.
    async fn run(self, place: &Place) -> Result<String, Box<dyn Error>> {
        match self {
            Self::Webhook => delete_webhook(place).await,
            Self::Stack => delete_stack(place).await,
            Self::Alarms => delete_topic(place),
            Self::Bucket => delete_bucket(place),
            Self::Secret => delete_secret(place),
        }
    }
}

const ABSENT: &str = "there is none";
const DELETED: &str = "deleted";
const FOREIGN: &str = "left as it is, because `doorman deploy` has not made it";

pub async fn run(
    place: &Place,
    is_dry: bool,
    yes: bool,
    screen: &mut Screen,
) -> Result<ExitStatus, Box<dyn Error>> {
    let plan: Vec<_> = Removal::ALL.iter().map(|one| (one.name(), one.describe(place))).collect();
    if !is_agreed(&plan, is_dry, yes, screen)? {
        return Ok(if is_dry { ExitStatus::Complete } else { ExitStatus::Failed });
    }
    for one in Removal::ALL {
        let done = one.run(place).await.map_err(|error| stopped(one.name(), &*error))?;
        show_done(one.name(), &done, screen)?;
    }
    screen.write_note(
        "\nThe log of the function and the policy on the Hub stay. The requests stay as they are.",
    )?;
    Ok(ExitStatus::Complete)
}

async fn delete_webhook(place: &Place) -> Result<String, Box<dyn Error>> {
    let secret = read_secret(&place.aws, &place.settings.name)?;
    let Some(id) = secret.as_ref().and_then(webhook_of) else { return Ok(ABSENT.to_owned()) };
    environment::hub().await?.account(deadline()).delete_webhook(id).await.or_else(|error| {
        match error.status() {
            Some(404) => Ok(()),
            _ => Err(error),
        }
    })?;
    Ok(format!("{DELETED} {id}"))
}

async fn delete_stack(place: &Place) -> Result<String, Box<dyn Error>> {
    let name = &place.settings.name;
    match describe_stack(&place.aws, name)? {
        None => Ok(ABSENT.to_owned()),
        Some(stack) if !place.is_ours(&stack["Tags"]) => Ok(FOREIGN.to_owned()),
        Some(stack) => {
            deactivate_mail(place, &stack)?;
            delete_and_wait(&place.aws, name).await?;
            Ok(DELETED.to_owned())
        }
    }
}

fn delete_topic(place: &Place) -> Result<String, Box<dyn Error>> {
    let arn = format!(
        "arn:{}:sns:{}:{}:{}",
        place.account.partition(),
        place.settings.region,
        place.account.id,
        place.topic()
    );
    let tags = match place.aws.call("sns", "list-tags-for-resource", &json!({"ResourceArn": arn})) {
        Err(failure) if failure.is(&["ResourceNotFound", "ResourceNotFoundException", "NotFound"]) => {
            return Ok(ABSENT.to_owned());
        }
        tags => tags?,
    };
    if !place.is_ours(&tags["Tags"]) {
        return Ok(FOREIGN.to_owned());
    }
    place.aws.call("sns", "delete-topic", &json!({"TopicArn": arn}))?;
    Ok(DELETED.to_owned())
}

fn delete_bucket(place: &Place) -> Result<String, Box<dyn Error>> {
    if !bucket_exists(place)? {
        return Ok(ABSENT.to_owned());
    }
    let tags = match call_bucket(place, "get-bucket-tagging", &json!({})) {
        Err(failure) if failure.is(&["NoSuchTagSet"]) => Value::Null,
        tags => tags?["TagSet"].take(),
    };
    if !place.is_ours(&tags) {
        return Ok(FOREIGN.to_owned());
    }
    // `aws` reads all pages of the list.
    let listed = call_bucket(place, "list-objects-v2", &json!({}))?;
    let keys =
        listed["Contents"].as_array().into_iter().flatten().map(|object| json!({"Key": object["Key"]}));
    for keys in keys.collect::<Vec<_>>().chunks(1000) {
        call_bucket(place, "delete-objects", &json!({"Delete": {"Objects": keys, "Quiet": true}}))?;
    }
    call_bucket(place, "delete-bucket", &json!({}))?;
    Ok(DELETED.to_owned())
}

fn delete_secret(place: &Place) -> Result<String, Box<dyn Error>> {
    let (aws, name): (&Aws, _) = (&place.aws, &place.settings.name);
    match read_secret(aws, name)? {
        None => Ok(ABSENT.to_owned()),
        Some(secret) if !place.is_ours(&secret["Tags"]) => Ok(FOREIGN.to_owned()),
        Some(_) => {
            let input = json!({"SecretId": name, "ForceDeleteWithoutRecovery": true});
            aws.call("secretsmanager", "delete-secret", &input)?;
            Ok(DELETED.to_owned())
        }
    }
}
