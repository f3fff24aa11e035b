//! Metrics for `CloudWatch`: lines of its [Embedded Metric Format] in the log, from which it takes them without being called.
//!
//! | metric | unit | |
//! |---|---|---|
//! | `Listed`, `Held` | count | how many were seen waiting, and how many of them are left for a person |
//! | `Accepted`, `Rejected`, `Reset` | count | decisions by verdict; none in a dry run |
//! | `Gone` | count | decided by somebody else meanwhile, or withdrawn |
//! | `Failed` | count | decisions that could not be written, or whose answer was lost |
//! | `Stuck` | count | the Hub lists the request, but answers that it does not exist, whatever names it |
//! | `Calls`, `RateLimited` | count | calls to the Hub, and those that it answered with 429 |
//! | `RateLimitRemaining` | count | how many calls the Hub's limit leaves in its current window |
//! | `OldestPendingAge` | seconds | how long the one who has waited longest has waited and still does |
//! | `ReviewDuration`, `SweepDuration` | milliseconds | from the event to the answer, of a webhook and of a sweep |
//! | `SweepFinished` | count | a sweep over all that is looked after found something for each name in `REPOS`, and left nothing undone |
//! | `TokenRefused` | count | the Hub did not accept the token |
//! | `RejectedWebhooks` | count | a webhook did not show the secret, or was no request that can be read |
//!
//! Each metric is billed by its name and its dimensions, for the hours in which there is a line with it. So there is one
//! dimension, the name of the function; and what is zero is left out, unless it is a level whose zero says something.
//!
//! A line is one JSON object, which serde writes. Of the libraries that do, `metrique` brings 38 crates with it, and
//! `metrics_cloudwatch_embedded` repeats the last level of each metric with every event and keeps them for the whole process.
//!
//! [Embedded Metric Format]: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html

use std::fmt;
use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lambda_runtime::Context;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::hub::Limit;
use crate::report::Counts;

/// What `CloudWatch` lists them under.
const NAMESPACE: &str = "HubDoorman";

/// The only dimension.
const DIMENSION: &str = "FunctionName";

/// Where lines with metrics go.
pub struct Metrics(Mutex<Box<dyn Write + Send>>);

/// What an event is known by in the log.
#[derive(Clone, Debug, Serialize)]
pub struct Event {
    /// `webhook` or `sweep`.
    pub name: &'static str,
    /// The name of the function.
    #[serde(rename = "FunctionName")]
    pub function: String,
    /// Lambda's id of the invocation.
    #[serde(rename = "requestId")]
    pub request_id: String,
    /// The Hub's id of the delivery, the same when it delivers again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery_id: Option<String>,
    /// The repo that a webhook is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repo: Option<String>,
}

impl Event {
    /// An event of which no more is known than its invocation.
    #[must_use]
    pub fn of(name: &'static str, context: Option<&Context>) -> Self {
        Self {
            name,
            function: context.map(|context| context.env_config.function_name.clone()).unwrap_or_default(),
            request_id: context.map(|context| context.request_id.clone()).unwrap_or_default(),
            delivery_id: None,
            repo: None,
        }
    }
}

/// Metrics with their units and values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values(Vec<(&'static str, &'static str, u64)>);

impl Values {
    /// One of something that happened.
    #[must_use]
    pub fn one(name: &'static str) -> Self {
        Self::default().count(name, 1)
    }

    /// What a run did. What is not `complete` may not have seen everybody, so that nobody seen means nothing then. In a dry
    /// run nothing is decided, or the same people would be in each sweep.
    #[must_use]
    pub fn of(counts: &Counts, complete: bool, dry_run: bool, limit: Limit) -> Self {
        let seen = complete || counts.listed > 0;
        let decided = |number: u32| if dry_run { 0 } else { number };
        let values = Self::default()
            .level("Listed", "Count", seen.then_some(counts.listed.into()))
            .level("Held", "Count", seen.then_some(counts.held.into()))
            .count("Accepted", decided(counts.accepted))
            .count("Rejected", decided(counts.rejected))
            .count("Reset", decided(counts.reset))
            .count("Gone", counts.gone)
            .count("Failed", counts.failed + counts.unknown)
            .count("Stuck", counts.stuck)
            .count("Calls", counts.calls)
            .count("RateLimited", limit.refused);
        values.level("RateLimitRemaining", "Count", limit.left.map(u64::from))
    }

    /// Something that is counted, unless it did not happen.
    #[must_use]
    pub fn count(self, name: &'static str, number: u32) -> Self {
        self.level(name, "Count", (number > 0).then_some(number.into()))
    }

    /// How long something took.
    #[must_use]
    pub fn duration(self, name: &'static str, duration: Duration) -> Self {
        self.level(name, "Milliseconds", u64::try_from(duration.as_millis()).ok())
    }

    /// How much there is of something, if that is known.
    #[must_use]
    pub fn level(mut self, name: &'static str, unit: &'static str, value: Option<u64>) -> Self {
        self.0.extend(value.map(|value| (name, unit, value)));
        self
    }
}

impl Metrics {
    /// Metrics that go here, a line for each event. On Lambda that is the standard output.
    pub fn new(out: impl Write + Send + 'static) -> Self {
        Self(Mutex::new(Box::new(out)))
    }

    /// Writes a line. What cannot be written is lost: there is nowhere else to say so.
    pub fn write(&self, event: &Event, Values(values): &Values) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let timestamp = u64::try_from(now.as_millis()).unwrap_or_default();
        let metrics: Vec<Value> =
            values.iter().map(|(name, unit, _)| json!({"Name": name, "Unit": unit})).collect();
        let directive = json!({"Namespace": NAMESPACE, "Dimensions": [[DIMENSION]], "Metrics": metrics});
        let mut line = Map::new();
        line.insert("_aws".to_owned(), json!({"Timestamp": timestamp, "CloudWatchMetrics": [directive]}));
        line.insert("message".to_owned(), "metrics".into());
        if let Ok(Value::Object(event)) = serde_json::to_value(event) {
            line.extend(event);
        }
        line.extend(values.iter().map(|(name, _, value)| ((*name).to_owned(), (*value).into())));
        let line = format!("{}\n", Value::Object(line));
        let _ = self.0.lock().unwrap_or_else(PoisonError::into_inner).write_all(line.as_bytes());
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}
