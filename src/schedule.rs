//! What starts a sweep: an event of `EventBridge`, or an order to sweep.
//!
//! Neither can come through the function's URL. What comes from there is an HTTP event, and nothing that a caller sends gets
//! out of its `headers`, `body` and the like; to hand over anything else takes the permission to invoke the function.

use serde_json::{Map, Value};

use crate::model::RepoPattern;

/// Which repos are to be swept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sweep {
    /// All that are looked after.
    All,
    /// These.
    Some(Vec<RepoPattern>),
}

/// Why an event is no prompt to sweep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoPrompt {
    /// It is a ping that keeps the function warm.
    Ping,
    /// It came as HTTP. Of what form it is, or what in it cannot be read, is not known.
    Http,
    /// What is wrong with it and what was expected; nothing of the event is in it but the name of a repo that is none.
    Unknown(String),
}

/// What an event has to be.
const EXPECTED: &str = "expected an HTTP event (of a Function URL, an API Gateway or a load balancer), an event of \
    EventBridge (a schedule, or a rule's with `source`, `detail-type` and `detail`), or an order to sweep: `{\"sweep\": [\"acme/model\", \
    \"datasets/acme/corpus\", \"acme/*\"]}`, or `{\"sweep\": true}` for all that REPOS names";

/// Reads an event that is not a webhook.
///
/// A schedule of `EventBridge` sends `{"source": "aws.scheduler", "detail-type": "Scheduled Event", …}`, a rule on a timer the
/// same with `aws.events`, and an event of a rule on anything else has both keys and an `id` and an `account`. Where a schedule or a rule has an input of its
/// own, that is all that arrives. Other services of AWS send a `source` as well; they start no sweep.
pub fn parse(event: &str) -> Result<Sweep, NoPrompt> {
    let Ok(event) = serde_json::from_str::<Map<String, Value>>(event) else {
        return Err(NoPrompt::Unknown(format!("the event is not a JSON object; {EXPECTED}")));
    };
    if event.contains_key("requestContext") {
        return Err(NoPrompt::Http);
    }
    if !event.contains_key("sweep") && is_ping(&event) {
        return Err(NoPrompt::Ping);
    }
    sweep(&event).map_err(NoPrompt::Unknown)
}

/// Whether this is what Serverless's plugin or npm's `lambda-warmer` sends.
fn is_ping(event: &Map<String, Value>) -> bool {
    event.get("source").is_some_and(|source| source == "serverless-plugin-warmup")
        || ["warmer", "warmup", "ping"].iter().any(|key| event.get(*key) == Some(&Value::Bool(true)))
}

fn sweep(event: &Map<String, Value>) -> Result<Sweep, String> {
    let text = |key: &str| event.get(key).and_then(Value::as_str);
    let is_text = |key: &&str| text(key).is_some_and(|text| !text.is_empty());
    let is_rule =
        ["source", "detail-type", "id", "account"].iter().all(is_text) && event.contains_key("detail");
    let is_schedule = matches!(text("source"), Some("aws.scheduler" | "aws.events"));
    match event.get("sweep") {
        Some(Value::Bool(true)) => Ok(Sweep::All),
        Some(Value::Array(names)) if !names.is_empty() => {
            names.iter().map(pattern).collect::<Result<_, _>>().map(Sweep::Some)
        }
        Some(_) => Err(format!("`sweep` is neither `true` nor a list of repos; {EXPECTED}")),
        None if is_rule || is_schedule => Ok(Sweep::All),
        None => Err(format!("the event is of no known form; {EXPECTED}")),
    }
}

fn pattern(name: &Value) -> Result<RepoPattern, String> {
    let name = name.as_str().ok_or_else(|| format!("`sweep` lists what is not a text; {EXPECTED}"))?;
    name.parse().map_err(|error| format!("`sweep`: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_of_eventbridge_is_a_sweep_over_all() {
        let events = [
            r#"{"version": "0", "id": "53dc", "detail-type": "Scheduled Event", "source": "aws.scheduler", "detail": "{}"}"#,
            r#"{"version": "0", "id": "53dc", "detail-type": "Scheduled Event", "source": "aws.events", "detail": {}}"#,
            r#"{"id": "53dc", "account": "123456789012", "detail-type": "Model released", "source": "acme.models", "detail": {"sweep": ["acme/one"]}}"#,
            r#"{"source": "aws.scheduler", "my": "input"}"#,
            r#"{"sweep": true}"#,
        ];
        for event in events {
            assert_eq!(parse(event), Ok(Sweep::All), "{event}");
        }
    }

    #[test]
    fn event_of_something_else_is_no_sweep() {
        for event in [
            r#"{"source": "evil", "detail-type": "x", "detail": {}}"#,
            r#"{"detail-type": "Scheduled Event"}"#,
            r#"{"id": "53dc", "account": "123456789012", "source": "", "detail-type": "x", "detail": {}}"#,
        ] {
            assert!(matches!(parse(event), Err(NoPrompt::Unknown(_))), "{event}");
        }
    }

    #[test]
    fn ping_that_keeps_the_function_warm_does_nothing() {
        for event in [
            r#"{"warmer": true, "concurrency": 3}"#,
            r#"{"source": "serverless-plugin-warmup"}"#,
            r#"{"ping": true}"#,
        ] {
            assert_eq!(parse(event), Err(NoPrompt::Ping), "{event}");
        }
    }

    #[test]
    fn an_order_names_its_repos_as_they_are_named_in_repos() {
        let event = r#"{"sweep": ["acme/one", "datasets/acme/*"], "source": "aws.scheduler"}"#;
        let patterns = ["acme/one", "datasets/acme/*"].map(|name| name.parse().expect("a pattern"));
        assert_eq!(parse(event), Ok(Sweep::Some(patterns.into())));
    }

    #[test]
    fn whatever_else_comes_is_told_what_was_expected() {
        let events = [
            ("", "not a JSON object"),
            ("null", "not a JSON object"),
            ("[]", "not a JSON object"),
            (r#""sweep""#, "not a JSON object"),
            ("{}", "of no known form"),
            (r#"{"Records": []}"#, "of no known form"),
            (r#"{"source": 1}"#, "of no known form"),
            (r#"{"source": "aws.cloudwatch", "alarmArn": "arn:aws:cloudwatch:x"}"#, "of no known form"),
            (r#"{"source": "acme.models"}"#, "of no known form"),
            (r#"{"detail-type": "Model released"}"#, "of no known form"),
            (r#"{"sweep": []}"#, "`sweep` is neither"),
            (r#"{"sweep": null}"#, "`sweep` is neither"),
            (r#"{"sweep": false, "source": "aws.scheduler"}"#, "`sweep` is neither"),
            (r#"{"sweep": "acme/one"}"#, "`sweep` is neither"),
            (r#"{"sweep": [1]}"#, "`sweep` lists what is not a text"),
        ];
        let error_of = |event| match parse(event) {
            Err(NoPrompt::Unknown(why)) => why,
            other => panic!("{event}: {other:?}"),
        };
        for (event, expected) in events {
            let error = error_of(event);
            assert!(error.contains(expected) && error.contains("expected an HTTP event"), "{event}: {error}");
        }
        let error = error_of(r#"{"sweep": ["acme/one", "spaces/acme/app"]}"#);
        assert!(error.starts_with("`sweep`: `spaces/acme/app` is not the name of a repo"), "{error}");
    }

    #[test]
    fn what_came_as_http_orders_no_sweep_whatever_is_in_it() {
        for event in
            [r#"{"requestContext": {}}"#, r#"{"sweep": true, "source": "x", "requestContext": null}"#]
        {
            assert_eq!(parse(event), Err(NoPrompt::Http), "{event}");
        }
    }
}
