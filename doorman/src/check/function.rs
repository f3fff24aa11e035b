//! The check of a deployed function: its own configuration instead of the shell's, and its last sweep.

use std::collections::HashMap;
use std::error::Error;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::findings::{Findings, Level};
use crate::aws::Aws;
use crate::deploy::settings::{DEFAULT_PATH, Settings};
use crate::deploy::{describe_stack, stack_output};
use crate::environment;
use crate::exit::UsageError;
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
    /// When the function was deployed, if AWS says so.
    modified: Option<DateTime<Utc>>,
}

impl Function {
    /// Reads the configuration of a function. From now on, [`environment::variables`] are its variables. If AWS keeps the token or the
    /// policy, they are read too, because the checks need them. Other secrets are not read.
    /// A name or region that is not given is that of `doorman.toml` in the current folder. Without that file, a missing name is an error,
    /// and the region is that of the `aws` command.
    pub fn read(
        name: Option<&str>,
        region: Option<&str>,
        findings: &mut Findings,
    ) -> Result<Self, Box<dyn Error>> {
        let stack = match name {
            Some(name) => name.to_owned(),
            None => settings_here()?.name,
        };
        let region = region.map(str::to_owned).or_else(Settings::region_here);
        let aws = Aws::new(region.as_deref());
        aws.account()?;
        let about = configuration(&aws, name, &stack)?;
        let variables = about["Environment"]["Variables"].as_object().into_iter().flatten();
        let text = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
        let mut variables: HashMap<String, String> = variables.filter_map(text).collect();
        let name = about["FunctionName"].as_str().unwrap_or_default().to_owned();
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
        Ok(Self {
            aws,
            name,
            timeout: about["Timeout"].as_i64().unwrap_or(MAX_TIMEOUT),
            modified: moment(&about["LastModified"]),
        })
    }

    /// Checks when the last sweep has finished, from the metric that the alarm "no sweep finished" watches.
    pub fn check_sweeps(&self, findings: &mut Findings) {
        let now = Utc::now();
        let minutes = |time: TimeDelta| count(time.num_minutes().unsigned_abs(), "minute");
        let is_recent = |time: &DateTime<Utc>| now - *time <= self.max_age();
        let (level, text) = match self.last_sweep(now) {
            Err(error) => (Level::Warning, format!("it is not known when the last one finished: {error}")),
            Ok(Some(last)) => {
                let (at, ago) = (time(Some(last), false), minutes(now - last));
                let level = if is_recent(&last) { Level::Passed } else { Level::Failed };
                (level, format!("the last one finished at about {at}, {ago} ago"))
            }
            Ok(None) => {
                if let Some(modified) = self.modified.filter(is_recent) {
                    let (ago, period) = (minutes(now - modified), minutes(self.period()));
                    let text = format!(
                        "none has finished yet; the function was deployed {ago} ago, and a sweep begins at least every {period}"
                    );
                    (Level::Passed, text)
                } else {
                    let days = count(MAX_AGE.num_days().unsigned_abs(), "day");
                    (Level::Failed, format!("none has finished in the last {days}"))
                }
            }
        };
        let remedy = match level {
            Level::Failed => format!(
                "; look at the log and the schedule of the function, as this document says: {}",
                document(env!("CARGO_PKG_REPOSITORY"), "operations.md#no-sweep-finished")
            ),
            _ => String::new(),
        };
        let text = text + &remedy;
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

    /// The longest time between two sweeps.
    fn period(&self) -> TimeDelta {
        TimeDelta::seconds(if self.timeout >= MAX_TIMEOUT { MAX_SWEEP_PERIOD } else { self.timeout })
    }

    /// How old the last sweep may be: three times the time between two sweeps, as for the alarm.
    fn max_age(&self) -> TimeDelta {
        self.period() * 3 + PERIOD
    }
}

/// The settings in the current folder.
fn settings_here() -> Result<Settings, Box<dyn Error>> {
    let path = Path::new(DEFAULT_PATH);
    if path.exists() {
        return Ok(Settings::read(path)?);
    }
    let text = format!(
        "--function: no name is given, and there is no {DEFAULT_PATH} here; name the function or its stack"
    );
    Err(UsageError(text).into())
}

/// Reads the configuration of the function of this name. If there is no such function, or no name, it is that of the stack's function.
fn configuration(aws: &Aws, function: Option<&str>, stack: &str) -> Result<Value, Box<dyn Error>> {
    let read = |name: &str| aws.call("lambda", "get-function-configuration", &json!({"FunctionName": name}));
    match function.map(read) {
        Some(Ok(about)) => return Ok(about),
        Some(Err(failure)) if failure.is(&["ResourceNotFoundException"]) => {}
        Some(Err(failure)) => return Err(failure.into()),
        None => {}
    }
    // The name of a stack has no colon, so the ARN of a function is not the name of a stack.
    let found = if stack.contains(':') { None } else { describe_stack(aws, stack)? };
    if let Some(name) = found.and_then(|stack| stack_output(&stack, "Function")) {
        return Ok(read(&name)?);
    }
    let what = if function.is_some() { "no function and no stack" } else { "no stack with a function" };
    let region = aws.region().map(|region| format!(" in the region {region}")).unwrap_or_default();
    let text = format!(
        "{stack}: there is {what} of this name{region}; correct the name, or name the region with --region"
    );
    Err(text.into())
}

/// The URL of a document of this version. If the URL of the repository is not known, it is the path of the document.
fn document(repository: &str, page: &str) -> String {
    match repository {
        "" => format!("docs/{page} in the repository of Hub Doorman"),
        _ => format!("{repository}/blob/v{}/docs/{page}", env!("CARGO_PKG_VERSION")),
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
    let text = time.as_str()?;
    // Lambda writes the offset without a colon.
    let time = DateTime::parse_from_rfc3339(text).or_else(|_| DateTime::parse_from_str(text, "%FT%T%.f%z"));
    time.ok().map(|time| time.to_utc())
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
        let max_age = |timeout| {
            let function = Function { aws: Aws::new(None), name: String::new(), timeout, modified: None };
            function.max_age().num_minutes()
        };
        assert_eq!([60, 300, 600, 900].map(max_age), [8, 20, 35, 185]);
    }

    #[test]
    fn offset_of_a_time_may_lack_its_colon() {
        let expected = "2026-11-27T02:10:00.120Z".parse().ok();
        for text in
            ["2026-11-27T02:10:00.120+0000", "2026-11-27T04:10:00.120+0200", "2026-11-27T02:10:00.120Z"]
        {
            assert_eq!(moment(&json!(text)), expected, "{text}");
        }
        assert_eq!(moment(&Value::Null), None);
    }

    #[test]
    fn document_has_a_url_if_the_package_names_its_repository() {
        let page = "operations.md#no-sweep-finished";
        assert_eq!(
            document("https://github.com/OWNER/hub-doorman", page),
            format!("https://github.com/OWNER/hub-doorman/blob/v{}/docs/{page}", env!("CARGO_PKG_VERSION"))
        );
        assert_eq!(document("", page), format!("docs/{page} in the repository of Hub Doorman"));
    }
}
