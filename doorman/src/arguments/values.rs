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

/// Reads a mail address in the form that the Hub accepts (its OpenAPI, 2026-08). An error does not show it.
pub fn mail_address(text: &str) -> Result<String, String> {
    let fault = || "it is not a mail address that the Hub accepts".to_owned();
    let (local, domain) = text.split_once('@').ok_or_else(fault)?;
    let is_of = |more: &'static str| move |c: char| c.is_ascii_alphanumeric() || more.contains(c);
    let is_local = !local.starts_with('.')
        && !local.contains("..")
        && local.chars().all(is_of("_'+-."))
        && local.ends_with(is_of("_+-"));
    if is_local && mail_domain(domain).is_ok() { Ok(text.to_owned()) } else { Err(fault()) }
}

/// Reads the domain of a mail address.
pub fn mail_domain(text: &str) -> Result<String, String> {
    let is_label = |label: &str| {
        label.starts_with(|c: char| c.is_ascii_alphanumeric())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    let last = text.rsplit_once('.').map_or("", |(_, last)| last);
    if text.split('.').all(is_label) && last.len() >= 2 && last.chars().all(|c| c.is_ascii_alphabetic()) {
        return Ok(text.to_owned());
    }
    Err("it is not a domain such as `doorman.acme.com`".to_owned())
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
    fn mail_address_is_one_that_the_hub_accepts() {
        for text in ["ada@acme.com", "a.d'a+x_1@mail.acme.co", "x@a-b.com"] {
            assert_eq!(mail_address(text), Ok(text.to_owned()));
        }
        for text in [
            "",
            "ada",
            "ada@",
            "@acme.com",
            ".a@acme.com",
            "a.@acme.com",
            "a..b@acme.com",
            "a b@acme.com",
            "ada@acme",
            "ada@-acme.com",
            "ada@acme.c",
            "ada@acme.c0m",
            "a@b@acme.com",
        ] {
            let error = mail_address(text).expect_err(text);
            assert!(error.contains("not a mail address"), "{text}: {error}");
        }
    }

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
