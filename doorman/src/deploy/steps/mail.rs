//! The step `mail`: the rules of SES that send the mail of a domain to the function.
//!
//! One set of rules is active in an account and region. If there is one of somebody else, `CloudFormation` adds the rule to it, so the
//! account's other mail stays as it is. Otherwise the stack has a set of its own, and this step activates it, because `CloudFormation`
//! cannot.

use serde_json::{Value, json};

use crate::aws::AwsFailure;
use crate::deploy::deployment::{Deployment, Place};
use crate::deploy::settings::Parameter;

/// The domain whose mail the function gets.
pub fn domain(place: &Place) -> Option<String> {
    place.settings.parameters.get("MailDomain").map(Parameter::text).filter(|domain| !domain.is_empty())
}

pub fn describe(deployment: &Deployment) -> String {
    format!(
        "let SES send the mail of {} to the function; other mail of the account stays as it is",
        domain(&deployment.place).unwrap_or_default()
    )
}

/// The set that is active and that the stack does not make, if there is one. Only the stack's own set has its name.
pub fn foreign_rule_set(place: &Place) -> Result<Option<String>, AwsFailure> {
    Ok(active(place)?.filter(|active| *active != place.settings.name))
}

/// Makes the own set of this stack inactive, because AWS deletes no active one. A stack without mail has none, and then SES is not asked:
/// it receives mail in some regions only.
pub fn deactivate(place: &Place, stack: &Value) -> Result<(), AwsFailure> {
    let mut outputs = stack["Outputs"].as_array().into_iter().flatten();
    let has_mail = outputs.any(|output| output["OutputKey"] == "MailRuleSet");
    if has_mail && active(place)?.as_ref() == Some(&place.settings.name) {
        place.aws.call("ses", "set-active-receipt-rule-set", &json!({}))?;
    }
    Ok(())
}

pub fn run(place: &Place) -> Result<String, AwsFailure> {
    let name = &place.settings.name;
    // Somebody may have activated another set while the stack was made.
    Ok(match active(place)? {
        Some(active) if active == *name => "unchanged".to_owned(),
        Some(active) => format!("the rule is in the active set {active}"),
        None => {
            place.aws.call("ses", "set-active-receipt-rule-set", &json!({"RuleSetName": name}))?;
            format!("no set of rules was active, so {name} is active now")
        }
    })
}

/// What the owner has to do before mail comes.
pub fn advice(place: &Place, records: &[String]) -> Option<String> {
    let (domain, settings) = (domain(place)?, &place.settings);
    Some(format!(
        "\n\nFor mail, add these records to the DNS of {domain}:\n    {}\nThen let the Hub mail the function:\n    secret=$(aws \
         secretsmanager get-secret-value --secret-id {} --region {} --query SecretString --output text)\n    MAIL_SECRET=$(python3 -c \
         'import json, sys; print(json.loads(sys.argv[1])[\"mail\"])' \"$secret\") REPOS='{}' doorman notify on --domain {domain}",
        records.join("\n    "),
        settings.name,
        settings.region,
        settings.repos(),
    ))
}

/// The name of the active set.
fn active(place: &Place) -> Result<Option<String>, AwsFailure> {
    // Without an active set, the output is empty.
    let active = place.aws.call("ses", "describe-active-receipt-rule-set", &json!({}))?;
    Ok(active["Metadata"]["Name"].as_str().map(str::to_owned))
}
