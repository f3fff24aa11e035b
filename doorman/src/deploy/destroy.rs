//! `deploy --destroy`: removes what `deploy` has made, and nothing else. The log and the policy on the Hub stay.

use std::error::Error;

use serde_json::{Value, json};

use super::deployment::Place;
use super::existing::Existing;
use super::interrupt::Interrupt;
use super::settings::Settings;
use super::steps::{call_bucket, deactivate_mail, delete_and_wait, forget_webhook};
use super::{PlanLine, is_agreed, show_done, show_plan, stopped};
use crate::environment::{self, deadline};
use crate::exit::ExitStatus;
use crate::screen::Screen;

/// The parts of a deployment, in the order of their removal. The secret is the last, because its tag names the webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

    /// Whether the part exists.
    fn exists(self, existing: &Existing) -> bool {
        match self {
            Self::Webhook => existing.webhook().is_some(),
            Self::Stack => existing.stack.is_some(),
            Self::Alarms => existing.topic.is_some(),
            Self::Bucket => existing.bucket.is_some(),
            Self::Secret => existing.secret.is_some(),
        }
    }

    /// Whether `doorman deploy` has made the part, as its tags say.
    fn is_ours(self, place: &Place, existing: &Existing) -> bool {
        let tags = |about: &Option<Value>| about.as_ref().is_some_and(|about| place.is_ours(&about["Tags"]));
        match self {
            Self::Webhook => existing.webhook().is_some(),
            Self::Stack => tags(&existing.stack),
            Self::Alarms => existing.topic.as_ref().is_some_and(|tags| place.is_ours(tags)),
            Self::Bucket => existing.bucket.as_ref().is_some_and(|tags| place.is_ours(tags)),
            Self::Secret => tags(&existing.secret),
        }
    }

    fn plan(self, place: &Place, existing: &Existing) -> PlanLine {
        let exists = self.exists(existing);
        let text = if !exists {
            "nothing to remove".to_owned()
        } else if !self.is_ours(place, existing) {
            "leave it as it is, because `doorman deploy` has not made it".to_owned()
        } else {
            self.describe(place)
        };
        PlanLine { step: self.name(), exists: Some(exists), text }
    }

    /// Removes the part, which exists.
    async fn run(self, place: &Place, existing: &Existing) -> Result<(), Box<dyn Error>> {
        let (aws, name) = (&place.aws, &place.settings.name);
        match self {
            Self::Webhook => {
                delete_webhook(existing.webhook().unwrap_or_default()).await?;
                forget_webhook(aws, name)?;
            }
            Self::Stack => {
                deactivate_mail(place, existing.stack.as_ref().unwrap_or(&Value::Null))?;
                delete_and_wait(aws, name).await?;
            }
            Self::Alarms => {
                aws.call("sns", "delete-topic", &json!({"TopicArn": place.topic_arn()}))?;
            }
            Self::Bucket => delete_bucket(place)?,
            Self::Secret => {
                let input = json!({"SecretId": name, "ForceDeleteWithoutRecovery": true});
                aws.call("secretsmanager", "delete-secret", &input)?;
            }
        }
        Ok(())
    }
}

pub async fn run(
    place: &Place,
    is_dry: bool,
    yes: bool,
    interrupt: &Interrupt,
    screen: &mut Screen,
) -> Result<ExitStatus, Box<dyn Error>> {
    let existing = Existing::read(place)?;
    let plan: Vec<PlanLine> = Removal::ALL.iter().map(|one| one.plan(place, &existing)).collect();
    let ours: Vec<Removal> = Removal::ALL.into_iter().filter(|one| one.is_ours(place, &existing)).collect();
    if ours.is_empty() {
        show_plan(&plan, screen)?;
        let (Place { account, .. }, Settings { name, region, .. }) = (place, &place.settings);
        let text =
            format!("\nThere is nothing to remove: account {} has no `{name}` in {region}.", account.id);
        screen.write_note(&text)?;
        return Ok(ExitStatus::Complete);
    }
    if !is_agreed(&plan, place, &existing, is_dry, yes, screen)? {
        return Ok(if is_dry { ExitStatus::Complete } else { ExitStatus::Failed });
    }
    for one in ours {
        interrupt.begin(one.name());
        one.run(place, &existing).await.map_err(|error| stopped(one.name(), &*error))?;
        show_done(one.name(), "deleted", screen)?;
    }
    let mut text =
        "\nThe log of the function and the policy on the Hub stay. The requests stay as they are.".to_owned();
    if !place.settings.dry_run {
        text += " The settings have dry_run = false, so the next deployment would write decisions at once.";
    }
    screen.write_note(&text)?;
    Ok(ExitStatus::Complete)
}

async fn delete_webhook(id: &str) -> Result<(), Box<dyn Error>> {
    match environment::hub().await?.account(deadline()).delete_webhook(id).await {
        Err(error) if error.status() != Some(404) => Err(error.into()),
        _ => Ok(()),
    }
}

fn delete_bucket(place: &Place) -> Result<(), Box<dyn Error>> {
    // `aws` reads all pages of the list.
    let listed = call_bucket(place, "list-objects-v2", &json!({}))?;
    let keys =
        listed["Contents"].as_array().into_iter().flatten().map(|object| json!({"Key": object["Key"]}));
    for keys in keys.collect::<Vec<_>>().chunks(1000) {
        call_bucket(place, "delete-objects", &json!({"Delete": {"Objects": keys, "Quiet": true}}))?;
    }
    call_bucket(place, "delete-bucket", &json!({}))?;
    Ok(())
}
