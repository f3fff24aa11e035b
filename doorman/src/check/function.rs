//! The check of a deployed function: its own configuration instead of the shell's, and its last sweep.

use std::collections::HashMap;
use std::error::Error;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::findings::{Findings, Level};
use crate::aws::Aws;
use crate::deploy::settings::Settings;
use crate::environment;
use crate::screen::{count, time};

/// How far back sweeps are searched for. `CloudWatch` gives at most 1,440 periods at once.
const MAX_AGE: TimeDelta = TimeDelta::days(4);
const PERIOD: TimeDelta = TimeDelta::minutes(5);

/// The longest timeout that Lambda allows, in seconds. If a function has it, the time between its sweeps is longer.
const MAX_TIMEOUT: i64 = 900;

/// The longest time between two sweeps that `template.yaml` allows, in seconds.
const MAX_SWEEP_PERIOD: i64 = 3600;

/// A deployed function.
pub struct Function {
    aws: Aws,
    name: String,
    /// How long a sweep may take, in seconds. `template.yaml` sets the time between two sweeps, if Lambda allows it.
    timeout: i64,
}

impl Function {
    /// Reads the configuration of a function. From now on, [`environment::variables`] are its variables. If AWS keeps the token or the
    /// policy, they are read too, because the checks need them. Other secrets are not read.
    /// If no region is given, it is that of `doorman.toml` in the current folder, or of the `aws` command.
    pub fn read(name: &str, region: Option<&str>, findings: &mut Findings) -> Result<Self, Box<dyn Error>> {
        let region = region.map(str::to_owned).or_else(Settings::region_here);
        let aws = Aws::new(region.as_deref());
        aws.account()?;
        let about = aws.call("lambda", "get-function-configuration", &json!({"FunctionName": name}))?;
        let variables = about["Environment"]["Variables"].as_object().into_iter().flatten();
        let text = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
        let mut variables: HashMap<String, String> = variables.filter_map(text).collect();
        let name = about["FunctionName"].as_str().unwrap_or(name).to_owned();
        findings.add(
            Level::Passed,
            format!("function {name}"),
            "the variables are those of its configuration",
        );
        for variable in ["HF_TOKEN", "APPROVAL_POLICY"] {
            let Some(arn) = variables.get(variable).filter(|text| text.starts_with("arn:")) else { continue };
            match aws.read_stored(arn) {
                Ok(secret) => {
                    variables.insert(variable.to_owned(), secret.expose().to_owned());
                }
                Err(error) => return Err(format!("{variable}: {error}").into()),
            }
        }
        // Lambda sets these variables, and without them an ARN is a fault. The checks make no call with them.
        for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
            variables.insert(name.to_owned(), "set by Lambda".to_owned());
        }
        environment::use_deployed(variables);
        Ok(Self { aws, name, timeout: about["Timeout"].as_i64().unwrap_or(MAX_TIMEOUT) })
    }

    /// Checks when the last sweep has finished, from the metric that the alarm "no sweep finished" watches.
    pub fn check_sweeps(&self, findings: &mut Findings) {
        let now = Utc::now();
        let (level, text) = match self.last_sweep(now) {
            Err(error) => (Level::Warning, format!("it is not known when the last one finished: {error}")),
            Ok(None) => {
                let days = count(MAX_AGE.num_days().unsigned_abs(), "day");
                let text = format!(
                    "none has finished in the last {days}; if the function is not new, look at its log and its schedule, as \
                     docs/operations.md says under “no sweep finished”"
                );
                (Level::Failed, text)
            }
            Ok(Some(last)) => {
                let ago = count((now - last).num_minutes().unsigned_abs(), "minute");
                let text = format!("the last one finished at about {}, {ago} ago", time(Some(last), false));
                if now - last <= self.max_age() {
                    (Level::Passed, text)
                } else {
                    (
                        Level::Failed,
                        format!("{text}; docs/operations.md says under “no sweep finished” what to do"),
                    )
                }
            }
        };
        findings.add(level, "sweeps", text);
    }

    /// The end of the period in which the last sweep has finished.
    fn last_sweep(&self, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, Box<dyn Error>> {
        // The end is exclusive, and `aws` cuts it to seconds. With `now`, a sweep that has just finished would be missed.
        let end = now + PERIOD;
        let input = json!({
            "Namespace": "HubDoorman",
            "MetricName": "SweepFinished",
            "Dimensions": [{"Name": "FunctionName", "Value": self.name}],
            "StartTime": (now - MAX_AGE).to_rfc3339(),
            "EndTime": end.to_rfc3339(),
            "Period": PERIOD.num_seconds(),
            "Statistics": ["Sum"],
        });
        let read = self.aws.call("cloudwatch", "get-metric-statistics", &input)?;
        Ok(newest(&read)?.map(|begin| (begin + PERIOD).min(now)))
    }

    /// How old the last sweep may be: three times the time between two sweeps, as for the alarm.
    fn max_age(&self) -> TimeDelta {
        let period = if self.timeout >= MAX_TIMEOUT { MAX_SWEEP_PERIOD } else { self.timeout };
        TimeDelta::seconds(3 * period) + PERIOD
    }
}

/// The start of the newest period in which a sweep has finished.
fn newest(read: &Value) -> Result<Option<DateTime<Utc>>, String> {
    let points = read["Datapoints"].as_array().into_iter().flatten();
    let finished = points.filter(|point| point["Sum"].as_f64().is_some_and(|sum| sum > 0.0));
    let begins = finished.map(|point| {
        moment(&point["Timestamp"])
            .ok_or_else(|| format!("`aws` gives the time {}, which has no known form", point["Timestamp"]))
    });
    Ok(begins.collect::<Result<Vec<_>, _>>()?.into_iter().max())
}

/// A time of the `aws` command: version 2 writes text, and version 1 passes on what the service has sent, which may be seconds.
fn moment(time: &Value) -> Option<DateTime<Utc>> {
    if let Some(seconds) = time.as_f64() {
        return DateTime::UNIX_EPOCH
            .checked_add_signed(TimeDelta::from_std(Duration::try_from_secs_f64(seconds).ok()?).ok()?);
    }
    DateTime::parse_from_rfc3339(time.as_str()?).ok().map(|time| time.to_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newest_sweep_is_found_in_each_format_of_times() {
        let points = json!({"Datapoints": [
            {"Timestamp": "2026-11-27T02:00:00Z", "Sum": 1.0},
            {"Timestamp": "2026-11-27T02:10:00+00:00", "Sum": 2.0},
            {"Timestamp": 1_795_745_100.0, "Sum": 1.0},
            {"Timestamp": "2026-11-27T02:15:00Z", "Sum": 0.0},
        ]});
        let expected = "2026-11-27T02:10:00Z".parse().expect("a time");
        assert_eq!(newest(&points), Ok(Some(expected)));
        assert_eq!(newest(&json!({"Datapoints": []})), Ok(None));
        newest(&json!({"Datapoints": [{"Timestamp": "now", "Sum": 1.0}]})).expect_err("no time");
    }

    #[test]
    fn sweep_may_be_three_periods_old() {
        let max_age =
            |timeout| Function { aws: Aws::new(None), name: String::new(), timeout }.max_age().num_minutes();
        assert_eq!([60, 300, 600, 900].map(max_age), [8, 20, 35, 185]);
    }
}
