//! Parsers of single values, with the limits of the Hub.

use reqwest::Url;

/// Reads the reason of a decision: at most 200 UTF-16 code units, as the Hub counts.
pub fn reason(text: &str) -> Result<String, String> {
    match text.encode_utf16().count() {
        _ if text.trim().is_empty() => Err("it is empty; write a reason, or leave --reason out".to_owned()),
        length if length > 200 => Err(format!("it has {length} characters; the Hub takes at most 200")),
        _ => Ok(text.to_owned()),
    }
}

/// Reads the beginning of a name: at most 250 characters.
pub fn search(text: &str) -> Result<String, String> {
    match text.chars().count() {
        length if length > 250 => Err(format!("it has {length} characters; the Hub takes at most 250")),
        _ => Ok(text.to_owned()),
    }
}

/// Reads the id of a webhook.
pub fn webhook_id(text: &str) -> Result<String, String> {
    let is_id = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric());
    is_id
        .then(|| text.to_owned())
        .ok_or_else(|| "it is not an id; `doorman webhook list` shows the ids".to_owned())
}

/// Reads the URL of a webhook. It must be https, because the Hub sends the secret there.
pub fn webhook_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("it is not a URL: {error}"))?;
    match url.scheme() {
        "https" if !url.username().is_empty() || url.password().is_some() => {
            Err("it contains a user name or a password, which everybody who sees the URL can read".to_owned())
        }
        "https" => Ok(url),
        _ => Err("it is not https, so the secret would be sent unencrypted".to_owned()),
    }
}
