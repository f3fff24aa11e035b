//! A call of the `aws` command that failed.

use std::fmt;

/// The most characters of a message that are shown.
const MAX_CHARS: usize = 600;

/// The message of a failed call, without hidden texts.
#[derive(Debug)]
pub struct AwsFailure {
    /// The service and the operation.
    call: String,
    /// AWS's code of the error, such as `ResourceNotFoundException`.
    code: Option<String>,
    message: String,
}

impl AwsFailure {
    /// A failure with what the command has written to its standard error. `hidden` must not be shown.
    pub fn new(service: &str, operation: &str, written: &str, hidden: Option<&str>) -> Self {
        // Our text goes on behind the message.
        let words: Vec<&str> = written.trim().trim_end_matches('.').split_whitespace().collect();
        let mut message = words.join(" ");
        if let Some(hidden) = hidden.map(str::trim).filter(|hidden| !hidden.is_empty()) {
            message = message.replace(hidden, "[redacted]");
        }
        // The codes are in the format of botocore: `An error occurred (CODE) when calling the … operation: …`.
        let code = message.split_once("An error occurred (").and_then(|(_, rest)| rest.split_once(')'));
        let code = code.map(|(code, _)| code.to_owned());
        if let Some((end, _)) = message.char_indices().nth(MAX_CHARS) {
            message.truncate(end);
            message.push('…');
        }
        Self { call: format!("{service} {operation}"), code, message }
    }

    /// Whether AWS has responded with one of these codes.
    pub fn is(&self, codes: &[&str]) -> bool {
        self.code.as_deref().is_some_and(|code| codes.contains(&code))
    }

    /// Whether AWS's message contains this text.
    pub fn says(&self, text: &str) -> bool {
        self.message.contains(text)
    }

    /// Whether neither an option nor the configuration names a region.
    pub fn lacks_region(&self) -> bool {
        self.says("specify a region")
    }
}

impl fmt::Display for AwsFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { call, code, message } = self;
        write!(f, "`aws {call}` failed: {message}")?;
        let is_missing_right = code.as_ref().is_some_and(|code| code.contains("AccessDenied"));
        if is_missing_right {
            write!(f, " (the credentials of `aws` lack this right; use those of an administrator)")?;
        } else if self.lacks_region() {
            write!(f, " (name it with --region, or set AWS_REGION)")?;
        }
        Ok(())
    }
}

impl std::error::Error for AwsFailure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_has_the_code_and_hides_the_secret() {
        let written = "\naws: [ERROR]: An error occurred (InvalidRequestException) when calling the CreateSecret operation:\n\
                       hunter2hunter2 is wrong\n";
        let failure = AwsFailure::new("secretsmanager", "create-secret", written, Some("hunter2hunter2\n"));
        assert!(failure.is(&["InvalidRequestException"]) && !failure.is(&["AccessDenied"]));
        let shown = failure.to_string();
        assert!(
            shown.starts_with("`aws secretsmanager create-secret` failed: aws: [ERROR]: An error"),
            "{shown}"
        );
        assert!(shown.ends_with("operation: [redacted] is wrong") && failure.says("is wrong"), "{shown}");
    }

    #[test]
    fn missing_right_and_missing_region_have_a_hint() {
        let cases = [
            ("An error occurred (AccessDenied) when calling the X operation: no", "administrator"),
            (
                "You must specify a region. You can also configure your region.",
                "your region (name it with --region,",
            ),
        ];
        for (written, hint) in cases {
            assert!(AwsFailure::new("s3api", "x", written, None).to_string().contains(hint), "{written}");
        }
    }
}
