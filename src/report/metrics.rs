//! Metrics for `CloudWatch`: lines in its [Embedded Metric Format] in the log. `CloudWatch` takes the metrics from the log,
//! so no call is made.
//!
//! | metric | unit | |
//! |---|---|---|
//! | `Listed`, `Held` | count | pending requests that were read, and how many of them are held |
//! | `Accepted`, `Rejected`, `Reset` | count | decisions by verdict; none in a dry run |
//! | `Gone` | count | requests that somebody else decided meanwhile, or that were withdrawn |
//! | `Failed` | count | decisions that could not be written, or whose write got no response |
//! | `Stuck` | count | requests that the Hub lists, although it answers that they do not exist |
//! | `LimitsReached` | count | reviews in which a limit of the policy left requests pending |
//! | `PolicyUnusable` | count | events for which the policy, or one of its lists, could not be used |
//! | `Calls`, `RateLimited` | count | calls to the Hub, and how many of them it answered with 429 |
//! | `RateLimitRemaining` | count | calls that the Hub's rate limit leaves in its current window |
//! | `OldestPendingAge` | seconds | the age of the oldest request that is still pending |
//! | `ReviewDuration`, `SweepDuration` | milliseconds | the time from an event to its response: for a webhook, and for a sweep |
//! | `WaitTime` | seconds | the time from a request to its decision, for each request that the run decided |
//! | `Mails`, `RejectedMails` | count | mails that arrived, and how many of them prompted no look, because they are not verified |
//! | `DigestFailed` | count | destinations to which the digest could not be sent |
//! | `SweepFinished` | count | sweeps of all of `REPOS` that left nothing undone and found a repo for each pattern |
//! | `TokenRefused` | count | runs in which the Hub refused the token |
//! | `RejectedWebhooks` | count | webhooks without the secret, and unreadable HTTP requests |
//!
//! AWS bills each metric by its name and dimensions, for each hour with a line that contains it. So there is only one
//! dimension, the name of the function. A count of zero is left out. A level, such as `Listed`, is also written if it is
//! zero.
//!
//! A line is one JSON object, written with serde. Of the libraries for this format, `metrique` adds 38 crates, and
//! `metrics_cloudwatch_embedded` repeats the last level of each metric with every event and keeps it for the whole process.
//!
//! [Embedded Metric Format]: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html

use std::fmt;
use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lambda_runtime::Context;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{Counts, Waits};
use crate::hub::LimitStatus;

/// The namespace of the metrics in `CloudWatch`.
const NAMESPACE: &str = "HubDoorman";

/// The only dimension.
const DIMENSION: &str = "FunctionName";

/// Writes the lines with metrics.
pub struct Metrics(Mutex<Box<dyn Write + Send>>);

/// The names of an event in the log.
#[derive(Clone, Debug, Serialize)]
pub struct Event {
    /// `webhook`, `sweep`, `mail` or `digest`.
    pub name: &'static str,
    /// The name of the function.
    #[serde(rename = "FunctionName")]
    pub function: String,
    /// Lambda's id of the invocation.
    #[serde(rename = "requestId")]
    pub request_id: String,
    /// The Hub's id of the delivery. A retry has the same id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery_id: Option<String>,
    /// The repo of a webhook.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repo: Option<String>,
}

impl Event {
    /// An event with nothing but the ids of its invocation.
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

/// A metric, by its name in `CloudWatch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Pending requests that were read.
    Listed,
    /// Requests that stay pending, for a person to decide.
    Held,
    /// Accepted requests.
    Accepted,
    /// Rejected requests.
    Rejected,
    /// Reset requests.
    Reset,
    /// Requests that somebody else decided meanwhile, or that were withdrawn.
    Gone,
    /// Decisions that could not be written, or whose write got no response.
    Failed,
    /// Requests that the Hub lists, although it answers that they do not exist.
    Stuck,
    /// A review in which a limit of the policy left requests pending.
    LimitsReached,
    /// An event for which the policy, or one of its lists, could not be used.
    PolicyUnusable,
    /// Calls to the Hub.
    Calls,
    /// Calls that the Hub refused with 429.
    RateLimited,
    /// Calls that the rate limit leaves in its current window.
    RateLimitRemaining,
    /// The age of the oldest request that is still pending.
    OldestPendingAge,
    /// The time from a webhook to its response.
    ReviewDuration,
    /// The time from a schedule or an order to its response.
    SweepDuration,
    /// The time from a request to its decision.
    WaitTime,
    /// Mails that arrived.
    Mails,
    /// Mails that are not verified.
    RejectedMails,
    /// Destinations to which the digest could not be sent.
    DigestFailed,
    /// A sweep of all of `REPOS` that left nothing undone and found a repo for each pattern.
    SweepFinished,
    /// The Hub refused the token.
    TokenRefused,
    /// A webhook without the secret, or an unreadable HTTP request.
    RejectedWebhooks,
}

impl Metric {
    fn unit(self) -> &'static str {
        match self {
            Self::OldestPendingAge | Self::WaitTime => "Seconds",
            Self::ReviewDuration | Self::SweepDuration => "Milliseconds",
            _ => "Count",
        }
    }
}

/// Metrics and their values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values(Vec<(Metric, Value)>);

impl Values {
    /// One metric, counted once.
    #[must_use]
    pub fn one(metric: Metric) -> Self {
        Self::default().count(metric, 1)
    }

    /// The values of a run. If the run is not `complete` and no request was listed, the list may not have been read, so no
    /// level is reported. A dry run counts no decisions, because every sweep would count the same requests.
    #[must_use]
    pub fn of(counts: &Counts, complete: bool, dry_run: bool, limit: LimitStatus) -> Self {
        let is_read = complete || counts.listed > 0;
        let decided = |number: u32| if dry_run { 0 } else { number };
        Self::default()
            .level(Metric::Listed, is_read.then_some(counts.listed.into()))
            .level(Metric::Held, is_read.then_some(counts.held.into()))
            .count(Metric::Accepted, decided(counts.accepted))
            .count(Metric::Rejected, decided(counts.rejected))
            .count(Metric::Reset, decided(counts.reset))
            .count(Metric::Gone, counts.gone)
            .count(Metric::Failed, counts.failed + counts.unknown)
            .count(Metric::Stuck, counts.stuck)
            .count(Metric::Calls, counts.calls)
            .count(Metric::RateLimited, limit.refused)
            .level(Metric::RateLimitRemaining, limit.left.map(u64::from))
    }

    /// Adds a count, unless it is 0.
    #[must_use]
    pub fn count(self, metric: Metric, number: u32) -> Self {
        self.level(metric, (number > 0).then_some(number.into()))
    }

    /// Adds a duration.
    #[must_use]
    pub fn duration(self, metric: Metric, duration: Duration) -> Self {
        self.level(metric, u64::try_from(duration.as_millis()).ok())
    }

    /// Adds a level, if it is known.
    #[must_use]
    pub fn level(mut self, metric: Metric, value: Option<u64>) -> Self {
        self.0.extend(value.map(|value| (metric, value.into())));
        self
    }

    /// Adds the waits of the requests that were decided, if there are any.
    #[must_use]
    pub fn waits(mut self, waits: &Waits) -> Self {
        if !waits.is_empty() {
            self.0.push((Metric::WaitTime, waits.samples().into()));
        }
        self
    }
}

impl Metrics {
    /// Metrics that are written to `out`, one line for each event. On Lambda, `out` is the standard output.
    pub fn new(out: impl Write + Send + 'static) -> Self {
        Self(Mutex::new(Box::new(out)))
    }

    /// Writes a line, unless there are no values: `CloudWatch` refuses a line without metrics. If that fails, the metrics are lost,
    /// because there is nowhere else to report the failure.
    pub fn write(&self, event: &Event, Values(values): &Values) {
        if values.is_empty() {
            return;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let timestamp = u64::try_from(now.as_millis()).unwrap_or_default();
        let named = |(metric, value): &(Metric, Value)| (format!("{metric:?}"), metric.unit(), value.clone());
        let values: Vec<_> = values.iter().map(named).collect();
        let metrics: Vec<Value> =
            values.iter().map(|(name, unit, _)| json!({"Name": name, "Unit": unit})).collect();
        let directive = json!({"Namespace": NAMESPACE, "Dimensions": [[DIMENSION]], "Metrics": metrics});
        let mut line = Map::new();
        line.insert("_aws".to_owned(), json!({"Timestamp": timestamp, "CloudWatchMetrics": [directive]}));
        line.insert("message".to_owned(), "metrics".into());
        if let Ok(Value::Object(event)) = serde_json::to_value(event) {
            line.extend(event);
        }
        line.extend(values.into_iter().map(|(name, _, value)| (name, value)));
        let line = format!("{}\n", Value::Object(line));
        let _ = self.0.lock().unwrap_or_else(PoisonError::into_inner).write_all(line.as_bytes());
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}
