//! The step `secret`: AWS keeps the token and the secret of the webhook. If it keeps them already, they stay.

use std::error::Error;

use hub_doorman::secrets::Secret;
use serde_json::{Map, Value, json};

use super::{KeptSecret, Made};
use crate::aws::{Aws, AwsFailure, Hidden};
use crate::deploy::deployment::{Deployment, tag};

/// The tag with the id of the webhook that sends the secret.
const WEBHOOK_TAG: &str = "hub-doorman:webhook";

/// The keys of the JSON object that AWS keeps.
const TOKEN: &str = "token";
const WEBHOOK: &str = "webhook";
const MAIL: &str = "mail";

const OPTION: &str = "--secret-string";

pub fn describe(deployment: &Deployment) -> String {
    let name = &deployment.place.settings.name;
    let token = match (&deployment.token, deployment.replaces_token) {
        (None, _) => "",
        (Some(_), true) => "the token of HF_TOKEN instead of the one that is there, and ",
        (Some(_), false) => "the token of HF_TOKEN and ",
    };
    format!(
        "keep {token}a new secret for the webhook in Secrets Manager as {name}; what is kept there already stays"
    )
}

/// What AWS says about a secret, without its text. None if there is none.
pub fn read_secret(aws: &Aws, name: &str) -> Result<Option<Value>, Box<dyn Error>> {
    match aws.call("secretsmanager", "describe-secret", &json!({"SecretId": name})) {
        Ok(secret) => Ok(Some(secret)),
        Err(failure) if failure.is(&["ResourceNotFoundException"]) => Ok(None),
        Err(failure) => Err(failure.into()),
    }
}

/// The id of the webhook that sends this secret.
pub fn webhook_of(secret: &Value) -> Option<&str> {
    tag(&secret["Tags"], WEBHOOK_TAG)
}

/// Notes in a tag which webhook sends the secret.
pub fn note_webhook(aws: &Aws, arn: &str, id: &str) -> Result<(), Box<dyn Error>> {
    let input = json!({"SecretId": arn, "Tags": [{"Key": WEBHOOK_TAG, "Value": id}]});
    aws.call("secretsmanager", "tag-resource", &input)?;
    Ok(())
}

/// Removes the tag with the id of the webhook.
pub fn forget_webhook(aws: &Aws, name: &str) -> Result<(), AwsFailure> {
    let input = json!({"SecretId": name, "TagKeys": [WEBHOOK_TAG]});
    aws.call("secretsmanager", "untag-resource", &input).map(|_| ())
}

pub fn run(deployment: &Deployment, made: &mut Made) -> Result<String, Box<dyn Error>> {
    let (aws, name) = (&deployment.place.aws, &deployment.place.settings.name);
    let about = read_secret(aws, name)?;
    let mut object = match &about {
        None => Map::new(),
        Some(about) => {
            if about["DeletedDate"] != Value::Null {
                aws.call("secretsmanager", "restore-secret", &json!({"SecretId": name}))?;
            }
            read_object(aws, name)?
        }
    };
    let added = add_missing(deployment, &mut object)?;
    let text = Value::Object(object.clone()).to_string();
    let hidden = Hidden { option: OPTION, text: &text };
    let kept = if let Some(about) = &about {
        if added.contains(&WEBHOOK) && webhook_of(about).is_some() {
            // The webhook on the Hub sends the earlier secret. Without the tag, the next run replaces it, also after an interruption.
            forget_webhook(aws, name)?;
        }
        if !added.is_empty() {
            aws.call_hidden("secretsmanager", "put-secret-value", &json!({"SecretId": name}), &hidden)?;
        }
        about.clone()
    } else {
        let description = "The token and the webhook's secret of Hub Doorman";
        let input = json!({"Name": name, "Description": description, "Tags": deployment.place.tags()});
        aws.call_hidden("secretsmanager", "create-secret", &input, &hidden)?
    };
    let arn = kept["ARN"].as_str().ok_or("AWS names no ARN")?.to_owned();
    let webhook = Secret::new(object[WEBHOOK].as_str().unwrap_or_default());
    // A webhook that sends an earlier secret does not count, so it is replaced.
    let webhook_id = webhook_of(&kept).filter(|_| !added.contains(&WEBHOOK)).map(str::to_owned);
    made.secret = Some(KeptSecret { arn, webhook, webhook_id });
    let is_other = deployment.token.as_ref().is_some_and(|token| object[TOKEN] != token.expose());
    let hint =
        if is_other { "; the token there is not that of HF_TOKEN; --replace-token replaces it" } else { "" };
    let what = match (about, &*added) {
        (None, _) => "created".to_owned(),
        (Some(_), []) => "unchanged".to_owned(),
        (Some(_), added) => format!("new there: {}", added.join(", ")),
    };
    Ok(format!("{what}{hint}"))
}

/// Adds the texts that are missing in the object or have to be replaced. Returns their keys.
fn add_missing(
    deployment: &Deployment,
    object: &mut Map<String, Value>,
) -> Result<Vec<&'static str>, getrandom::Error> {
    let mut added = Vec::new();
    let is_kept = |object: &Map<String, Value>, key: &str| object.get(key).is_some_and(Value::is_string);
    if let Some(token) = &deployment.token
        && (!is_kept(object, TOKEN) || deployment.replaces_token && object[TOKEN] != token.expose())
    {
        object.insert(TOKEN.to_owned(), token.expose().into());
        added.push(TOKEN);
    }
    if !is_kept(object, WEBHOOK) {
        object.insert(WEBHOOK.to_owned(), new_secret(32)?.expose().into());
        added.push(WEBHOOK);
    }
    if super::mail::domain(&deployment.place).is_some() && !is_kept(object, MAIL) {
        // The part of an address before the @ has at most 64 characters.
        object.insert(MAIL.to_owned(), new_secret(16)?.expose().into());
        added.push(MAIL);
    }
    Ok(added)
}

/// The JSON object that AWS keeps.
fn read_object(aws: &Aws, name: &str) -> Result<Map<String, Value>, Box<dyn Error>> {
    match aws.call("secretsmanager", "get-secret-value", &json!({"SecretId": name})) {
        Ok(value) => {
            let text = value["SecretString"].as_str().unwrap_or_default();
            let object = serde_json::from_str(text).map_err(|_| {
                format!("the secret {name} holds something else than a JSON object; choose another `name` in the settings, or delete it")
            })?;
            Ok(object)
        }
        // A secret without a value.
        Err(failure) if failure.is(&["ResourceNotFoundException"]) => Ok(Map::new()),
        Err(failure) => Err(failure.into()),
    }
}

/// The hexadecimal digits of so many random bytes.
fn new_secret(bytes: usize) -> Result<Secret, getrandom::Error> {
    let mut bytes = vec![0_u8; bytes];
    getrandom::fill(&mut bytes)?;
    Ok(Secret::new(bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))))
}
