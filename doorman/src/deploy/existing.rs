//! The parts of a deployment that are in AWS and on the Hub already. To read them changes nothing.

use std::error::Error;

use serde_json::{Value, json};

use super::deployment::Place;
use super::steps::{bucket_exists, call_bucket, describe_stack, read_secret, webhook_of};

/// What AWS says about each part, or `None` if there is no such part.
pub struct Existing {
    pub stack: Option<Value>,
    /// The secret, without its text.
    pub secret: Option<Value>,
    /// The tags of the topic.
    pub topic: Option<Value>,
    /// The tags of the bucket.
    pub bucket: Option<Value>,
}

impl Existing {
    pub fn read(place: &Place) -> Result<Self, Box<dyn Error>> {
        let (aws, name) = (&place.aws, &place.settings.name);
        Ok(Self {
            stack: describe_stack(aws, name)?,
            secret: read_secret(aws, name)?,
            topic: topic_tags(place)?,
            bucket: bucket_tags(place)?,
        })
    }

    /// The id of the webhook on the Hub. A tag of the secret names it.
    pub fn webhook(&self) -> Option<&str> {
        webhook_of(self.secret.as_ref()?)
    }
}

fn topic_tags(place: &Place) -> Result<Option<Value>, Box<dyn Error>> {
    match place.aws.call("sns", "list-tags-for-resource", &json!({"ResourceArn": place.topic_arn()})) {
        Ok(mut read) => Ok(Some(read["Tags"].take())),
        Err(failure) if failure.is(&["ResourceNotFound", "ResourceNotFoundException", "NotFound"]) => {
            Ok(None)
        }
        Err(failure) => Err(failure.into()),
    }
}

fn bucket_tags(place: &Place) -> Result<Option<Value>, Box<dyn Error>> {
    if !bucket_exists(place)? {
        return Ok(None);
    }
    match call_bucket(place, "get-bucket-tagging", &json!({})) {
        Ok(mut read) => Ok(Some(read["TagSet"].take())),
        Err(failure) if failure.is(&["NoSuchTagSet"]) => Ok(Some(Value::Null)),
        Err(failure) => Err(failure.into()),
    }
}
