//! The check of a policy against the forms: the answers that its rules read, and the questions that the forms ask.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use hub_doorman::hub::{Form, Question};
use hub_doorman::model::Verdict;
use hub_doorman::policy::{AnswerUse, nearest};

use super::findings::Level;

/// The most names that a message lists.
const MAX_LISTED: usize = 5;

/// The problems of a rule that uses an answer, for the forms of these repos.
pub fn problems(used: &AnswerUse, forms: &[(String, &Form)]) -> Vec<(Level, String)> {
    let AnswerUse { label, then, may_be_absent, compared_with, .. } = used;
    let lets_in = *then == Verdict::Accept;
    let (asking, not_asking): (Vec<_>, Vec<_>) =
        forms.iter().partition(|(_, form)| form.questions.contains_key(label));
    if asking.is_empty() {
        return vec![unknown_label(used, forms)];
    }
    let mut problems = Vec::new();
    if !not_asking.is_empty() && !may_be_absent {
        let repos: Vec<&str> = not_asking.iter().map(|(repo, _)| repo.as_str()).collect();
        let text = format!(
            "reads fields['{label}'], which the form of {} does not ask: it holds every request there, unless it tests the repo first",
            first_few(&repos)
        );
        problems.push((Level::Warning, text));
    }
    let optional = asking.iter().filter(|(_, form)| form.optional.contains(label));
    let optional: Vec<&str> = optional.map(|(repo, _)| repo.as_str()).collect();
    if !optional.is_empty() && !may_be_absent {
        let text = format!(
            "reads fields['{label}'], which may be left out in the form of {}: it holds requests without this answer, unless it \
             begins with `'{label}' in fields && …`",
            first_few(&optional)
        );
        problems.push((Level::Warning, text));
    }
    if used.is_skipped_without && !lets_in && optional.is_empty() && not_asking.is_empty() {
        let text = format!(
            "tests with `'{label}' in fields` for an answer that the form requires. A request can be sent without the form, and \
             without this answer it gets round the rule; remove the test, and such a request is held"
        );
        problems.push((Level::Warning, text));
    }
    let questions: Vec<&Question> = asking.iter().map(|(_, form)| &form.questions[label]).collect();
    problems.extend(compared_with.iter().filter_map(|answer| wrong_comparison(label, answer, &questions)));
    let is_mixed_case = |text: &&String| text.bytes().any(|byte| byte.is_ascii_uppercase());
    if !lets_in
        && questions.contains(&&Question::Text)
        && let Some(text) = compared_with.iter().find(is_mixed_case)
    {
        let folded = text.to_ascii_lowercase();
        let text = format!(
            "compares fields['{label}'] with '{text}', so '{folded}' gets round the rule; compare \
             `fields['{label}'].lowerAscii()` with '{folded}'"
        );
        problems.push((Level::Warning, text));
    }
    problems
}

/// The problem of a label that no form asks. It is a failure if every request would be held, or if the label is misspelt. It is only
/// a warning if a form could not be read completely, because that form may ask it.
fn unknown_label(used: &AnswerUse, forms: &[(String, &Form)]) -> (Level, String) {
    let AnswerUse { label, may_be_absent, is_always_read, .. } = used;
    let labels = forms.iter().flat_map(|(_, form)| form.questions.keys());
    let (hint, is_misspelt) = suggestion(label, labels);
    let (level, verb, effect) = match (may_be_absent, is_always_read) {
        (true, _) => (Level::Warning, "tests for", "it is never there"),
        (false, true) => (Level::Failed, "reads", "every request is held"),
        (false, false) => {
            let level = if is_misspelt { Level::Failed } else { Level::Warning };
            (level, "reads", "a request is held if the verdict depends on it")
        }
    };
    let has_unread = forms.iter().any(|(_, form)| !form.unread.is_empty());
    let (level, limit) =
        if has_unread { (Level::Warning, " as far as the forms could be read") } else { (level, "") };
    (level, format!("{verb} fields['{label}'], which no form asks{limit}, so {effect}{hint}"))
}

/// The problem of comparing the answer to one of these questions with this text.
fn wrong_comparison(label: &str, text: &str, questions: &[&Question]) -> Option<(Level, String)> {
    let warning =
        |why: &str| Some((Level::Warning, format!("compares fields['{label}'] with '{text}'; {why}")));
    let is_country_code = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase());
    let mut options: Vec<&String> = Vec::new();
    for question in questions {
        match question {
            Question::Select(of_question) => options.extend(of_question),
            Question::Text | Question::IpLocation | Question::Other(_) => return None,
            Question::Country if is_country_code => return None,
            Question::Country => {
                return warning("the Hub writes a country as two capital letters, from ISO 3166-1");
            }
            Question::Checkbox | Question::Date => {
                return warning(
                    "it is not documented how the Hub writes such an answer; `doorman list` shows answers",
                );
            }
        }
    }
    if options.is_empty() || options.iter().any(|option| *option == text) {
        return None;
    }
    let (hint, _) = suggestion(text, options.into_iter());
    let text = format!("compares fields['{label}'] with '{text}', which is none of its options{hint}");
    Some((Level::Failed, text))
}

/// Suggests the candidate that is most similar to a text, else lists the candidates. The second value is whether the text is
/// probably a misspelling of one.
fn suggestion<'a>(text: &str, candidates: impl Iterator<Item = &'a String>) -> (String, bool) {
    let candidates: BTreeSet<&str> = candidates.map(String::as_str).collect();
    if let Some(nearest) = nearest(text, candidates.iter().copied()) {
        return (format!("; did you mean `{nearest}`?"), true);
    }
    if candidates.is_empty() {
        return (String::new(), false);
    }
    let all: Vec<String> = candidates.iter().map(|one| format!("`{one}`")).collect();
    (format!("; choose from {}", first_few(&all)), false)
}

/// The first few of these names, and the number of the others.
fn first_few(names: &[impl AsRef<str>]) -> String {
    let listed: Vec<&str> = names.iter().take(MAX_LISTED).map(AsRef::as_ref).collect();
    let more = names.len() - listed.len();
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{}{more}", listed.join(", "))
}
