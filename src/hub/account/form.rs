//! The gate form of a repo.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// The gate form of a repo: `extra_gated_fields` of its card. It is a map, or a list of maps as in the Hub's template of a
/// dataset card.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form {
    /// The questions by their labels.
    pub questions: BTreeMap<String, Question>,
    /// The labels of the questions that need no answer (`optional: true`).
    pub optional: BTreeSet<String>,
    /// The parts that cannot be read, one message for each fault.
    pub unread: Vec<String>,
}

/// A question of a gate form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Any text answers it.
    Text,
    /// It is answered by ticking a box.
    Checkbox,
    /// A date answers it.
    Date,
    /// A country answers it. The Hub uses the two letters of ISO 3166-1.
    Country,
    /// One of these options answers it.
    Select(Vec<String>),
    /// The requester's IP address answers it. The form shows no input for it.
    IpLocation,
    /// Its kind is not documented.
    Other(String),
}

impl Form {
    pub(super) fn read(fields: &Value) -> Self {
        let mut form = Self::default();
        match fields {
            Value::Null => {}
            Value::Object(fields) => fields.iter().for_each(|(label, question)| form.add(label, question)),
            Value::Array(fields) => {
                for (place, field) in fields.iter().enumerate() {
                    match field.as_object() {
                        Some(field) => field.iter().for_each(|(label, question)| form.add(label, question)),
                        None => {
                            form.unread
                                .push(format!("entry {} of `extra_gated_fields` is not a map", place + 1));
                        }
                    }
                }
            }
            _ => form.unread.push("`extra_gated_fields` is neither a map nor a list of maps".to_owned()),
        }
        form
    }

    fn add(&mut self, label: &str, question: &Value) {
        let kind = question.as_str().or_else(|| question["type"].as_str()).unwrap_or_default();
        let read = match kind {
            "text" => Question::Text,
            "checkbox" => Question::Checkbox,
            "date_picker" => Question::Date,
            "country" => Question::Country,
            "ip_location" => Question::IpLocation,
            // An option is a text, a number, or a label with a value. It is not known whether the label or the value is the
            // answer, so both count as options.
            "select" => {
                let options = question["options"].as_array().map(Vec::as_slice).unwrap_or_default();
                let texts = |written: &Value| -> Vec<String> {
                    [written, &written["label"], &written["value"]].into_iter().filter_map(option).collect()
                };
                if options.is_empty() || options.iter().any(|written| texts(written).is_empty()) {
                    self.unread.push(format!("its question `{label}` has options that cannot be read"));
                    Question::Other(kind.to_owned())
                } else {
                    Question::Select(options.iter().flat_map(texts).collect())
                }
            }
            other => {
                let kind = if other.is_empty() {
                    "no kind".to_owned()
                } else {
                    format!("the unknown kind `{other}`")
                };
                self.unread.push(format!("its question `{label}` has {kind}"));
                Question::Other(other.to_owned())
            }
        };
        if !matches!(question["optional"], Value::Null | Value::Bool(_)) {
            self.unread.push(format!("`optional` of its question `{label}` is neither true nor false"));
        }
        if question["optional"] == true {
            self.optional.insert(label.to_owned());
        }
        self.questions.insert(label.to_owned(), read);
    }
}

/// An option as text. YAML reads an option without quotes as a number or a boolean if it looks like one.
fn option(option: &Value) -> Option<String> {
    match option {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(option.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn form_is_read_as_a_map_or_as_a_list_of_maps() {
        let select =
            json!({"type": "select", "options": ["a", 7, true, {"label": "Other", "value": "other"}]});
        let question = |kind: &str| json!({"type": kind, "optional": true});
        let map = json!({"Name": "text", "Use": select, "News": question("checkbox"), "geo": "ip_location"});
        let list =
            json!([{"Name": "text"}, {"Use": select}, {"News": question("checkbox"), "geo": "ip_location"}]);
        for fields in [map, list] {
            let form = Form::read(&fields);
            let options = ["a", "7", "true", "Other", "other"].map(str::to_owned).to_vec();
            let expected = [
                ("Name", Question::Text),
                ("Use", Question::Select(options)),
                ("News", Question::Checkbox),
                ("geo", Question::IpLocation),
            ];
            let expected = expected.map(|(label, question)| (label.to_owned(), question));
            assert_eq!(form.questions, BTreeMap::from(expected));
            assert_eq!((form.optional.len(), form.unread.len()), (1, 0));
        }
        assert_eq!(Form::read(&Value::Null), Form::default());
    }

    #[test]
    fn unreadable_parts_of_a_form_are_reported() {
        let cases = [
            (json!("text"), "neither a map nor a list"),
            (json!([{"Name": "text"}, "Country"]), "entry 2 of `extra_gated_fields` is not a map"),
            (json!({"Name": "signature"}), "its question `Name` has the unknown kind `signature`"),
            (json!({"Name": null}), "its question `Name` has no kind"),
            (
                json!({"Age": {"type": "select", "options": [["1"], "2"]}}),
                "`Age` has options that cannot be read",
            ),
            (json!({"Age": {"type": "select", "options": "2"}}), "`Age` has options that cannot be read"),
            (
                json!({"Age": {"type": "text", "optional": "yes"}}),
                "`optional` of its question `Age` is neither true nor false",
            ),
        ];
        for (fields, expected) in cases {
            let unread = Form::read(&fields).unread;
            assert!(unread.len() == 1 && unread[0].contains(expected), "{unread:?}");
        }
    }
}
