//! The step `stack`: `CloudFormation` makes the function and everything around it.

use std::error::Error;
use std::time::Duration;

use hub_doorman::model::RepoPattern;
use reqwest::Url;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{Made, Outputs, TOO_EARLY, mail};
use crate::aws::Aws;
use crate::deploy::deployment::{Deployment, Place};
use crate::deploy::settings::{Settings, TOKEN_OF_ENVIRONMENT};
use crate::deploy::template;
use crate::screen::spinner;

/// The time between two reads of the state of a stack that changes.
const LOOK_PERIOD: Duration = Duration::from_secs(5);

/// How long a change may take. Usually it takes two minutes.
const MAX_CHANGE: Duration = Duration::from_secs(30 * 60);

/// The states of a stack that can only be deleted: it has never worked, or only a part of it is left.
const UNUSABLE: [&str; 6] = [
    "ROLLBACK_COMPLETE",
    "ROLLBACK_FAILED",
    "CREATE_FAILED",
    "DELETE_FAILED",
    "REVIEW_IN_PROGRESS",
    "IMPORT_ROLLBACK_COMPLETE",
];

pub fn describe(deployment: &Deployment, existing: Option<&Value>) -> String {
    let settings = &deployment.place.settings;
    let mode = if settings.dry_run {
        "a dry run, which changes no request"
    } else {
        "not a dry run: it writes decisions to the Hub"
    };
    let repos = if settings.repos.is_empty() {
        "webhooks of any repo, and NO SWEEPS: nobody is decided until a webhook comes".to_owned()
    } else {
        format!("the repos {}", settings.repos())
    };
    let Place { account, .. } = &deployment.place;
    let others =
        settings.parameters.iter().map(|(name, value)| format!(", {name}={}", shown(name, &value.text())));
    let (what, changes) = match existing {
        None => ("make", String::new()),
        Some(stack) => ("update", changes(deployment, stack)),
    };
    format!(
        "{what} the stack {} in account {}, region {}: the function for {repos}; {mode}{}{changes}",
        settings.name,
        account.id,
        settings.region,
        others.collect::<String>()
    )
}

/// The settings that an update of this stack changes. Somebody else may have deployed it under the same name.
fn changes(deployment: &Deployment, stack: &Value) -> String {
    let deployed = |key: &str| parameter(stack, key);
    let settings = &deployment.place.settings;
    // AWS does not tell the values of the others.
    let known = settings.parameters.iter().filter(|(name, _)| !template::is_hidden(name));
    let new = [("Repos", settings.repos()), ("DryRun", settings.dry_run.to_string())];
    let mut changes: Vec<String> = new
        .into_iter()
        .chain(known.map(|(name, value)| (name.as_str(), value.text())))
        .filter_map(|(key, new)| {
            let old = deployed(key).filter(|old| *old != new)?;
            Some(format!("{key} is `{}` now and becomes `{}`", shown(key, old), shown(key, &new)))
        })
        .collect();
    if deployed("ApprovalPolicy").is_some_and(|old| old != deployment.policy.value()) {
        changes.push("the policy changes".to_owned());
    }
    if settings.alarms.is_none() && deployed("AlarmTopic").is_some_and(|topic| !topic.is_empty()) {
        changes.push("nobody gets alarms any more".to_owned());
    }
    let changes =
        if changes.is_empty() { String::new() } else { format!(". CHANGES: {}", changes.join("; ")) };
    let warning = ". THIS REPLACES ANOTHER DEPLOYMENT: this stack decides none of your repos now. If you want both, stop, and set another \
                   `name` in the settings";
    changes + if is_of_others(settings, stack) { warning } else { "" }
}

/// The value of a parameter, unless it may be a secret or an e-mail address. Outputs may be kept or public.
fn shown<'a>(name: &str, value: &'a str) -> &'a str {
    let is_hidden = value.contains('@') || template::is_hidden(name) && !value.starts_with("arn:");
    if is_hidden { "(hidden)" } else { value }
}

/// A parameter of a deployed stack.
fn parameter<'a>(stack: &'a Value, key: &str) -> Option<&'a str> {
    let mut parameters = stack["Parameters"].as_array().into_iter().flatten();
    parameters.find(|one| one["ParameterKey"] == key)?["ParameterValue"].as_str()
}

/// Whether a deployed stack decides none of the repos of these settings. Then it is probably another deployment of the same name.
pub fn is_of_others(settings: &Settings, stack: &Value) -> bool {
    parameter(stack, "Repos").is_some_and(|deployed| has_none_of(deployed, &settings.repos()))
}

fn has_none_of(deployed: &str, repos: &str) -> bool {
    let read = |repos: &str| RepoPattern::parse_all(repos.split_whitespace(), "Repos").unwrap_or_default();
    let (deployed, ours) = (read(deployed), read(repos));
    let is_shared = |pattern: &RepoPattern| deployed.iter().any(|one| one.overlaps(pattern));
    !deployed.is_empty() && !ours.is_empty() && !ours.iter().any(is_shared)
}

pub async fn run(deployment: &Deployment, made: &mut Made) -> Result<String, Box<dyn Error>> {
    let Place { aws, settings, .. } = &deployment.place;
    let name = &settings.name;
    let before = match settled(aws, name).await? {
        Some(stack) if UNUSABLE.contains(&status(&stack)) => {
            delete_and_wait(aws, name).await?;
            None
        }
        before => before,
    };
    if let Some(before) = before.as_ref().filter(|_| mail::domain(&deployment.place).is_none()) {
        mail::deactivate(&deployment.place, before)?;
    }
    let input = json!({
        "StackName": name,
        "TemplateBody": template::body(),
        "Capabilities": ["CAPABILITY_IAM"],
        "Tags": deployment.place.tags(),
    });
    // The parameters contain the policy, which other users of the machine should not see.
    let parameters = parameters(deployment, made)?.to_string();
    let hidden = crate::aws::Hidden { option: "--parameters", text: &parameters };
    let operation = if before.is_some() { "update-stack" } else { "create-stack" };
    let what = match aws.call_hidden("cloudformation", operation, &input, &hidden) {
        Ok(_) if before.is_some() => "updated",
        Ok(_) => "created",
        Err(failure) if failure.says("No updates are to be performed") => "unchanged",
        Err(failure) => return Err(failure.into()),
    };
    let after = settled(aws, name).await?.ok_or("the stack is not there any more")?;
    if !matches!(status(&after), "CREATE_COMPLETE" | "UPDATE_COMPLETE") && what != "unchanged" {
        return Err(why_failed(aws, name, status(&after)).into());
    }
    made.outputs = Some(outputs(&after)?);
    Ok(what.to_owned())
}

/// The parameters of the stack.
fn parameters(deployment: &Deployment, made: &Made) -> Result<Value, Box<dyn Error>> {
    let settings = &deployment.place.settings;
    let secret = made.secret.as_ref().ok_or(TOO_EARLY)?;
    let token = if settings.token == TOKEN_OF_ENVIRONMENT {
        format!("{}#token", secret.arn)
    } else {
        settings.token.clone()
    };
    let of_settings = [
        ("HfToken", token),
        ("WebhookSecret", format!("{}#webhook", secret.arn)),
        ("ApprovalPolicy", deployment.policy.value()),
        ("Repos", settings.repos()),
        ("NoSweeps", settings.no_sweeps.to_string()),
        ("DryRun", settings.dry_run.to_string()),
        ("AlarmTopic", made.topic.clone().unwrap_or_default()),
        ("Architecture", settings.architecture.as_str().to_owned()),
        ("CodeBucket", deployment.place.bucket()),
        ("CodeKey", deployment.zip.key.clone()),
    ];
    let of_mail = match mail::domain(&deployment.place) {
        Some(_) => [
            ("MailRuleSet", mail::foreign_rule_set(&deployment.place)?.unwrap_or_default()),
            ("MailSecret", format!("{}#mail", secret.arn)),
        ]
        .to_vec(),
        None => Vec::new(),
    };
    let of_settings = of_settings.into_iter().chain(of_mail).map(|(name, value)| (name.to_owned(), value));
    let others = settings.parameters.iter().map(|(name, value)| (name.clone(), value.text()));
    let parameter = |(name, value): (String, String)| json!({"ParameterKey": name, "ParameterValue": value});
    Ok(of_settings.chain(others).map(parameter).collect())
}

/// The outputs of the stack. If one is missing, the stack is not that of the template, which is an error.
fn outputs(stack: &Value) -> Result<Outputs, Box<dyn Error>> {
    let output = |key: &str| {
        output(stack, key).ok_or_else(|| {
            format!("the stack has no output `{key}`, so it is not complete; look at it in the console of CloudFormation, and repair or delete it")
        })
    };
    let url = output("WebhookUrl")?;
    let url =
        Url::parse(&url).map_err(|error| format!("the stack's output `WebhookUrl` is not a URL: {error}"))?;
    let records = ["MailServer", "MailRecord1", "MailRecord2", "MailRecord3"];
    let records = records.into_iter().filter_map(|key| output(key).ok()).collect();
    Ok(Outputs { url, function: output("Function")?, log: output("LogGroup")?, records })
}

/// An output of a stack, if it has one of this name.
pub fn output(stack: &Value, key: &str) -> Option<String> {
    let mut outputs = stack["Outputs"].as_array()?.iter();
    outputs.find(|output| output["OutputKey"] == key)?["OutputValue"].as_str().map(str::to_owned)
}

/// The stack of this name, if there is one.
pub fn describe_stack(aws: &Aws, name: &str) -> Result<Option<Value>, Box<dyn Error>> {
    match aws.call("cloudformation", "describe-stacks", &json!({"StackName": name})) {
        Ok(mut found) => Ok(found["Stacks"].get_mut(0).map(Value::take)),
        Err(failure) if failure.says("does not exist") => Ok(None),
        Err(failure) => Err(failure.into()),
    }
}

fn status(stack: &Value) -> &str {
    stack["StackStatus"].as_str().unwrap_or_default()
}

/// The stack, after any change of it has ended.
async fn settled(aws: &Aws, name: &str) -> Result<Option<Value>, Box<dyn Error>> {
    let (deadline, bar) = (Instant::now() + MAX_CHANGE, spinner("waiting for CloudFormation"));
    while Instant::now() < deadline {
        let stack = describe_stack(aws, name)?;
        let changes =
            |stack: &Value| status(stack).ends_with("_IN_PROGRESS") && status(stack) != "REVIEW_IN_PROGRESS";
        if !stack.as_ref().is_some_and(changes) {
            bar.finish_and_clear();
            return Ok(stack);
        }
        sleep(LOOK_PERIOD).await;
    }
    Err(format!("the stack {name} still changes after {} minutes; look at it in the console of CloudFormation, then run this again", MAX_CHANGE.as_secs() / 60).into())
}

/// Deletes a stack, and waits until it is gone. If there is none, nothing happens.
pub async fn delete_and_wait(aws: &Aws, name: &str) -> Result<(), Box<dyn Error>> {
    aws.call("cloudformation", "delete-stack", &json!({"StackName": name}))?;
    match settled(aws, name).await? {
        None => Ok(()),
        Some(stack) if status(&stack) == "DELETE_COMPLETE" => Ok(()),
        Some(stack) => Err(why_failed(aws, name, status(&stack)).into()),
    }
}

/// Why a change has failed: the first reasons that `CloudFormation` gives.
fn why_failed(aws: &Aws, name: &str, status: &str) -> String {
    let events =
        aws.call("cloudformation", "describe-stack-events", &json!({"StackName": name})).unwrap_or_default();
    let events = events["StackEvents"].as_array().cloned().unwrap_or_default();
    // The newest event comes first. The events of earlier changes follow.
    let has_begun = |event: &&Value| {
        event["ResourceType"] == "AWS::CloudFormation::Stack"
            && event["ResourceStatusReason"] == "User Initiated"
    };
    let of_change = events.iter().take_while(|event| !has_begun(event));
    let reason = |event: &Value| {
        let is_failure = event["ResourceStatus"].as_str().is_some_and(|status| status.ends_with("_FAILED"));
        let (resource, reason) =
            (event["LogicalResourceId"].as_str()?, event["ResourceStatusReason"].as_str()?);
        (is_failure && !reason.contains("cancelled")).then(|| format!("{resource}: {reason}"))
    };
    let mut reasons: Vec<String> = of_change.filter_map(reason).collect();
    reasons.reverse();
    reasons.truncate(3);
    format!("the stack {name} is in the state {status}. {}", reasons.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_and_addresses_are_hidden() {
        let shown = |name, value| shown(name, value).to_owned();
        assert_eq!(shown("MailForward", "ada@acme.com"), "(hidden)");
        assert_eq!(shown("DigestTo", "https://hooks.slack.com/services/T0/B0/x"), "(hidden)");
        assert_eq!(shown("DigestTo", "arn:aws:ssm:x"), "arn:aws:ssm:x");
        assert_eq!(shown("SweepMinutes", "10"), "10");
    }

    #[test]
    fn stack_without_a_common_repo_is_another_deployment() {
        let cases = [
            ("acme/model", "acme/other", true),
            ("acme/model acme/other", "acme/other", false),
            ("acme/*", "acme/model", false),
            ("datasets/acme/corpus", "acme/corpus", true),
            ("of-others/*", "acme/*", true),
            ("", "acme/*", false),
            ("acme/*", "", false),
        ];
        for (deployed, new, expected) in cases {
            assert_eq!(has_none_of(deployed, new), expected, "{deployed}, {new}");
        }
    }
}
