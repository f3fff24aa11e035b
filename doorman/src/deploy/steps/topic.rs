//! The step `alarms`: a topic whose subscriber gets the alarms by e-mail.

use std::error::Error;

use serde_json::{Value, json};

use super::Made;
use crate::deploy::deployment::Place;

const UNCONFIRMED: &str = "subscribed, but not confirmed: AWS has sent a mail to the address. NO ALARM ARRIVES until somebody follows the \
                           link in it";

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
    if let Some(state) = subscription(&known, address) {
        return Ok(state.to_owned());
    }
    let input = json!({"TopicArn": arn, "Protocol": "email", "Endpoint": address});
    place.aws.call("sns", "subscribe", &input)?;
    Ok(UNCONFIRMED.to_owned())
}

/// The state of the subscription of this address, if it has one.
fn subscription(listed: &Value, address: &str) -> Option<&'static str> {
    let mut listed = listed["Subscriptions"].as_array()?.iter();
    let known = listed.find(|known| known["Endpoint"] == address)?;
    Some(if known["SubscriptionArn"] == "PendingConfirmation" { UNCONFIRMED } else { "unchanged" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unconfirmed_subscription_is_not_called_unchanged() {
        let listed = json!({"Subscriptions": [
            {"Endpoint": "ada@acme.com", "SubscriptionArn": "PendingConfirmation"},
            {"Endpoint": "bob@acme.com", "SubscriptionArn": "arn:aws:sns:eu-central-1:1:x:y"},
        ]});
        let state = subscription(&listed, "ada@acme.com").unwrap_or_default();
        assert!(state.contains("not confirmed") && state.contains("NO ALARM ARRIVES"), "{state}");
        assert_eq!(subscription(&listed, "bob@acme.com"), Some("unchanged"));
        assert_eq!(subscription(&listed, "eve@acme.com"), None);
    }
}
