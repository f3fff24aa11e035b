//! The checks of single settings. The faults do not show texts that may be secrets or addresses.

use hub_doorman::policy::nearest;

use super::TOKEN_OF_ENVIRONMENT;
use crate::deploy::template;

/// The most characters of the name. The name of the bucket is this name, the account and the region, and may have 63 characters.
const MAX_NAME: usize = 32;

/// Checks the name of the deployment.
pub fn name(name: &str) -> Result<(), String> {
    let is_valid = name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if is_valid && name.len() <= MAX_NAME {
        return Ok(());
    }
    Err(format!(
        "`{name}` does not consist of at most {MAX_NAME} lower-case letters, digits and hyphens, with a letter at the beginning and no hyphen \
         at the end"
    ))
}

/// Checks the form of the name of a region.
pub fn region(region: &str) -> Result<(), String> {
    let directions =
        ["north", "northeast", "east", "southeast", "south", "southwest", "west", "northwest", "central"];
    let is_region = match region.split('-').collect::<Vec<_>>()[..] {
        [_, .., direction, number] => directions.contains(&direction) && number.parse::<u8>().is_ok(),
        _ => false,
    };
    let is_region =
        is_region && region.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if is_region { Ok(()) } else { Err(format!("`{region}` is not a region of AWS, such as `eu-central-1`")) }
}

/// Checks where the token comes from. The fault does not show the text, because it may be the token itself.
pub fn token(text: &str) -> Result<(), String> {
    let is_arn = text.starts_with("arn:") && (text.contains(":secretsmanager:") || text.contains(":ssm:"));
    if text == TOKEN_OF_ENVIRONMENT || is_arn {
        return Ok(());
    }
    Err(format!(
        "it is neither `{TOKEN_OF_ENVIRONMENT}` nor the ARN of a secret or parameter; never write a token itself here, and revoke one that you have typed or saved in the clear"
    ))
}

/// Checks who gets the alarms. The fault does not show the text, because it may be an address.
pub fn alarms(text: &str) -> Result<(), String> {
    let is_address = text.split_once('@').is_some_and(|(name, host)| {
        !name.is_empty() && host.contains('.') && !text.contains(char::is_whitespace)
    });
    if is_address || text.starts_with("arn:") && text.contains(":sns:") {
        return Ok(());
    }
    Err("it is neither an e-mail address nor the ARN of a topic of SNS".to_owned())
}

/// Checks a parameter: the template has it and allows the value, and no other setting sets it.
pub fn parameter(name: &str, value: &str) -> Result<(), String> {
    let others = [
        ("ApprovalPolicy", "policy"),
        ("Repos", "repos"),
        ("NoSweeps", "no_sweeps"),
        ("HfToken", "token"),
        ("WebhookSecret", "the secret that `doorman deploy` makes"),
        ("AlarmTopic", "alarms"),
        ("MailSecret", "the secret that `doorman deploy` makes"),
        ("MailRuleSet", "the set of rules that is active in the account"),
        ("DryRun", "dry_run"),
        ("Architecture", "architecture"),
        ("CodeBucket", "the zip that `doorman deploy` uploads"),
        ("CodeKey", "the zip that `doorman deploy` uploads"),
    ];
    if let Some((_, key)) = others.iter().find(|(other, _)| *other == name) {
        return Err(format!("`{name}` is set by {key}"));
    }
    let known = template::parameters();
    if known.iter().any(|known| known == name) {
        return match template::allowed_values(name) {
            Some(allowed) if !allowed.iter().any(|allowed| allowed == value) => {
                Err(format!("{name}: `{value}` is none of its values: {}", allowed.join(", ")))
            }
            _ => Ok(()),
        };
    }
    let hint = nearest(name, known.iter().map(String::as_str));
    let hint = hint.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    Err(format!("the template has no parameter `{name}`{hint}"))
}
