//! An event of the function that is not a webhook: a schedule or a rule of `EventBridge`, an order, mails, or a ping.
//!
//! None of these can come through the function's URL: Lambda wraps each of its requests in an HTTP event, so a caller can fill only
//! the headers and the body. Sending any other event needs the permission to invoke the function.

use serde_json::{Map, Value};

use super::{Trigger, mail, order};

/// Why an event is not a trigger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotATrigger {
    /// It is an HTTP event, but of an unknown or unreadable form.
    Http,
    /// The text says what is wrong and what was expected. The only part of the event that it may repeat is an invalid repo name.
    Unknown(String),
}

/// The events that the function accepts.
pub(super) const EXPECTED: &str = "expected an HTTP event (of a Function URL, an API Gateway or a load balancer), an event of \
    EventBridge (a schedule, or a rule's with `source`, `detail-type` and `detail`), mails of SES (also through SNS and SQS), or an \
    order to sweep: `{\"sweep\": [\"acme/model\", \"datasets/acme/corpus\", \"acme/*\"]}`, or `{\"sweep\": true}` for all that REPOS \
    names, or for the digest: `{\"digest\": true}`";

/// Reads an event that is not a webhook.
///
/// A schedule of `EventBridge` sends `{"source": "aws.scheduler", "detail-type": "Scheduled Event", …}`. A rule with a timer sends
/// the same with `aws.events`. Any other rule sends both keys with an `id` and an `account`. If a schedule or a rule has an input
/// of its own, only that input arrives. Other services of AWS send a `source` too, but they start no sweep.
pub fn parse(event: &str) -> Result<Trigger, NotATrigger> {
    let Ok(event) = serde_json::from_str::<Map<String, Value>>(event) else {
        return Err(NotATrigger::Unknown(format!("the event is not a JSON object; {EXPECTED}")));
    };
    if event.contains_key("requestContext") {
        return Err(NotATrigger::Http);
    }
    match order::parse(&event) {
        Some(order) => order.map_err(NotATrigger::Unknown),
        None if let Some(mails) = mail::read(&event) => Ok(Trigger::Mails(mails)),
        None if is_ping(&event) => Ok(Trigger::Ignore("a ping that keeps the function warm")),
        None if is_from_eventbridge(&event) => Ok(Trigger::SweepAll),
        None => Err(NotATrigger::Unknown(format!("the event is of no known form; {EXPECTED}"))),
    }
}

/// Whether the event comes from Serverless's warm-up plugin or from npm's `lambda-warmer`.
fn is_ping(event: &Map<String, Value>) -> bool {
    event.get("source").is_some_and(|source| source == "serverless-plugin-warmup")
        || ["warmer", "warmup", "ping"].iter().any(|key| event.get(*key) == Some(&Value::Bool(true)))
}

fn is_from_eventbridge(event: &Map<String, Value>) -> bool {
    let text = |key: &str| event.get(key).and_then(Value::as_str);
    let is_text = |key: &&str| text(key).is_some_and(|text| !text.is_empty());
    let is_rule =
        ["source", "detail-type", "id", "account"].iter().all(is_text) && event.contains_key("detail");
    is_rule || matches!(text("source"), Some("aws.scheduler" | "aws.events"))
}

#[cfg(test)]
mod tests;
