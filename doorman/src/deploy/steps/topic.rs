//! The step `alarms`: a topic whose subscriber gets the alarms by e-mail.

use std::error::Error;

use serde_json::json;

use super::Made;
use crate::deploy::deployment::Place;

pub fn describe(place: &Place) -> String {
    match place.settings.alarm_address() {
        // The address is not shown, because outputs may be kept or public.
        Some(_) => {
            format!("make the topic {}, and subscribe the address of the settings to it", place.topic())
        }
        None => format!("use the topic {}", place.settings.alarms.as_deref().unwrap_or_default()),
    }
}

pub fn run(place: &Place, made: &mut Made) -> Result<String, Box<dyn Error>> {
    let Some(address) = place.settings.alarm_address() else {
        made.topic.clone_from(&place.settings.alarms);
        return Ok("nothing to make".to_owned());
    };
    // If the topic exists already, AWS changes nothing and gives its ARN.
    let topic =
        place.aws.call("sns", "create-topic", &json!({"Name": place.topic(), "Tags": place.tags()}))?;
    let arn = topic["TopicArn"].as_str().ok_or("AWS names no ARN")?.to_owned();
    made.topic = Some(arn.clone());
    let known = place.aws.call("sns", "list-subscriptions-by-topic", &json!({"TopicArn": arn}))?;
    let known = known["Subscriptions"].as_array().into_iter().flatten();
    if let Some(known) = known.into_iter().find(|known| known["Endpoint"] == address) {
        let is_pending = known["SubscriptionArn"] == "PendingConfirmation";
        return Ok(if is_pending {
            "waits for the confirmation that AWS has asked for by mail"
        } else {
            "unchanged"
        }
        .to_owned());
    }
    let input = json!({"TopicArn": arn, "Protocol": "email", "Endpoint": address});
    place.aws.call("sns", "subscribe", &input)?;
    Ok("subscribed; AWS sends a mail, and no alarms until somebody confirms it".to_owned())
}
