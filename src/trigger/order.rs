//! An order to sweep, `{"sweep": true}` or `{"sweep": ["acme/model", …]}`, or to send the digest, `{"digest": true}`. Sending one needs the permission to invoke the function, or
//! the webhook's secret.

use serde_json::{Map, Value};

use super::Trigger;
use super::schedule::EXPECTED;
use crate::model::RepoPattern;

/// Reads an order, or returns `None` if the event has neither `sweep` nor `digest`. An error says what is wrong with the order.
pub(super) fn parse(event: &Map<String, Value>) -> Option<Result<Trigger, String>> {
    if let Some(digest) = event.get("digest") {
        return Some(match digest {
            Value::Bool(true) if !event.contains_key("sweep") => Ok(Trigger::Digest),
            _ => Err(format!("`digest` is not `true`, or stands beside `sweep`; {EXPECTED}")),
        });
    }
    Some(match event.get("sweep")? {
        Value::Bool(true) => Ok(Trigger::SweepAll),
        Value::Array(names) if !names.is_empty() => {
            names.iter().map(pattern).collect::<Result<_, _>>().map(Trigger::Sweep)
        }
        _ => Err(format!("`sweep` is neither `true` nor a list of repos; {EXPECTED}")),
    })
}

fn pattern(name: &Value) -> Result<RepoPattern, String> {
    let name =
        name.as_str().ok_or_else(|| format!("`sweep` lists a value that is not a string; {EXPECTED}"))?;
    name.parse().map_err(|error| format!("`sweep`: {error}"))
}
