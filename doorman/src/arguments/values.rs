//! Parsers of single values, with the limits of the Hub.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use reqwest::Url;

/// Reads the reason of a decision: at most 200 UTF-16 code units, as the Hub counts.
pub fn reason(text: &str) -> Result<String, String> {
    match text.encode_utf16().count() {
        _ if text.trim().is_empty() => Err("it is empty; write a reason, or leave --reason out".to_owned()),
        length if length > 200 => Err(format!("it has {length} characters; the Hub takes at most 200")),
        _ => Ok(text.to_owned()),
    }
}

/// Reads the message of a commit.
pub fn message(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("it is empty; write a message, or leave --message out".to_owned());
    }
    Ok(text.to_owned())
}

/// Reads the beginning of a name: at most 250 characters.
pub fn search(text: &str) -> Result<String, String> {
    match text.chars().count() {
        length if length > 250 => Err(format!("it has {length} characters; the Hub takes at most 250")),
        _ => Ok(text.to_owned()),
    }
}

/// Reads a day, which begins at midnight in UTC, or a time of RFC 3339.
pub fn since(text: &str) -> Result<DateTime<Utc>, String> {
    let midnight = |day: NaiveDate| day.and_time(NaiveTime::MIN).and_utc();
    let day = text.parse().map(midnight);
    let time = || DateTime::parse_from_rfc3339(text).map(|time| time.to_utc());
    day.or_else(|_| time()).map_err(|_| {
        "it is neither a day such as `2026-10-01` nor a time such as `2026-10-01T08:00:00Z`".to_owned()
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn day_or_time_is_read_in_utc() {
        let cases = [
            ("2026-10-01", Some("2026-10-01T00:00:00Z")),
            ("2026-10-01T08:00:00Z", Some("2026-10-01T08:00:00Z")),
            ("2026-10-01T08:00:00+02:00", Some("2026-10-01T06:00:00Z")),
            ("2026-02-29", None),
            ("2026-10-01T08:00:00", None),
            ("yesterday", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let expected = expected.map(|time| time.parse().expect("a time"));
            assert_eq!(since(text).ok(), expected, "{text}");
        }
    }
}
