//! The template of the stack: `template.yaml` after SAM's transform, so that `CloudFormation` accepts it without SAM.

use serde_json::Value;

/// `scripts/verify/transformed.py` makes it from `template.yaml`.
const TEMPLATE: &str = include_str!("template.json");

/// The template without white space, because `CloudFormation` accepts at most 51,200 bytes in a call.
pub fn body() -> String {
    template().to_string()
}

/// The names of the template's parameters.
pub fn parameters() -> Vec<String> {
    let template = template();
    template["Parameters"].as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect()
}

/// The values that a parameter may have, or `None` if the template lists none.
pub fn allowed_values(parameter: &str) -> Option<Vec<String>> {
    let mut template = template();
    serde_json::from_value(template["Parameters"][parameter]["AllowedValues"].take()).ok()
}

/// Whether nobody may see the value of a parameter. The template says so with `NoEcho`.
pub fn is_hidden(parameter: &str) -> bool {
    template()["Parameters"][parameter]["NoEcho"] == true
}

fn template() -> Value {
    serde_json::from_str(TEMPLATE).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn template_fits_into_a_call() {
        assert!((20_000..51_200).contains(&body().len()), "{}", body().len());
        assert!(parameters().contains(&"CodeKey".to_owned()));
    }

    #[test]
    fn parameter_with_a_secret_is_hidden() {
        assert!(is_hidden("DigestTo") && is_hidden("MailSecret"));
        assert!(!is_hidden("DigestHour") && !is_hidden("Other"));
    }
}
