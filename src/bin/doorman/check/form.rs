//! What the rules of a policy read of the answers to a form, held against what the forms ask.

use std::collections::BTreeSet;

use hub_doorman::hub::{Form, Question};
use hub_doorman::policy::AnswerUse;

use super::Level;

/// How alike two texts have to be, from 0 to 1, for one to be the other misspelt.
const LIKENESS: f64 = 0.8;

/// What is wrong with how a rule uses an answer, where these are the forms of the repos.
pub fn problems(used: &AnswerUse, forms: &[(String, &Form)]) -> Vec<(Level, String)> {
    let AnswerUse { rule: _, label, may_be_absent, is_always_read, compared_with } = used;
    let (asked, not_asked): (Vec<_>, Vec<_>) =
        forms.iter().partition(|(_, form)| form.questions.contains_key(label));
    if asked.is_empty() {
        let labels = forms.iter().flat_map(|(_, form)| form.questions.keys());
        let (meant, is_misspelt) = meant(label, labels);
        let (level, verb, so) = match (may_be_absent, is_always_read) {
            (true, _) => (Level::Warning, "asks for", "so that it is never there"),
            (false, true) => (Level::Failed, "reads", "so that everybody is held"),
            (false, false) if is_misspelt => {
                (Level::Failed, "reads", "so that it holds whomever that matters for")
            }
            (false, false) => (Level::Warning, "reads", "so that it holds whomever that matters for"),
        };
        // What could not be read may ask it.
        let is_unread = forms.iter().any(|(_, form)| !form.unread.is_empty());
        let (level, as_far) =
            if is_unread { (Level::Warning, " as far as the forms could be read") } else { (level, "") };
        return vec![(level, format!("{verb} fields['{label}'], which no form asks{as_far}, {so}{meant}"))];
    }
    let mut problems = Vec::new();
    if !not_asked.is_empty() && !may_be_absent {
        let repos: Vec<&str> = not_asked.iter().map(|(repo, _)| repo.as_str()).collect();
        let text = format!(
            "reads fields['{label}'], which the form of {} does not ask: it holds everybody there, unless it says first which \
             repos it is about",
            several(&repos)
        );
        problems.push((Level::Warning, text));
    }
    let optional = asked.iter().filter(|(_, form)| form.optional.contains(label));
    let optional: Vec<&str> = optional.map(|(repo, _)| repo.as_str()).collect();
    if !optional.is_empty() && !may_be_absent {
        let text = format!(
            "reads fields['{label}'], which may be left out in the form of {}: it holds whoever does, unless it asks first: \
             `'{label}' in fields && …`",
            several(&optional)
        );
        problems.push((Level::Warning, text));
    }
    let questions: Vec<&Question> = asked.iter().map(|(_, form)| &form.questions[label]).collect();
    problems.extend(compared_with.iter().filter_map(|answer| comparison(label, answer, &questions)));
    problems
}

/// What is wrong with comparing the answer to one of these questions with this.
fn comparison(label: &str, answer: &str, questions: &[&Question]) -> Option<(Level, String)> {
    let mut options: Vec<&String> = Vec::new();
    for question in questions {
        match question {
            Question::Select(of_one) => options.extend(of_one),
            Question::Text | Question::IpLocation | Question::Other(_) => return None,
            Question::Country
                if answer.len() == 2 && answer.bytes().all(|byte| byte.is_ascii_uppercase()) =>
            {
                return None;
            }
            Question::Country => {
                let text = "the Hub knows countries by two capital letters, of ISO 3166-1";
                return Some((Level::Warning, format!("compares fields['{label}'] with '{answer}'; {text}")));
            }
            Question::Checkbox | Question::Date => {
                let text = "how the Hub writes such an answer is not documented; `doorman list` shows those there are";
                return Some((Level::Warning, format!("compares fields['{label}'] with '{answer}'; {text}")));
            }
        }
    }
    if options.is_empty() || options.iter().any(|option| *option == answer) {
        return None;
    }
    let (meant, _) = meant(answer, options.iter().copied());
    Some((
        Level::Failed,
        format!("compares fields['{label}'] with '{answer}', which is none of its options{meant}"),
    ))
}

/// Which of these a text was meant to be, or what there is; and whether it is one of them misspelt.
fn meant<'a>(text: &str, all: impl Iterator<Item = &'a String>) -> (String, bool) {
    let all: BTreeSet<&str> = all.map(String::as_str).collect();
    let likeness = |one: &str| strsim::jaro_winkler(&one.to_lowercase(), &text.to_lowercase());
    let nearest = all.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    match nearest {
        Some(nearest) if likeness(nearest) >= LIKENESS => (format!("; is `{nearest}` meant?"), true),
        Some(_) => {
            let all: Vec<String> = all.iter().map(|one| format!("`{one}`")).collect();
            (format!("; there is {}", several(&all)), false)
        }
        None => (String::new(), false),
    }
}

/// The first few of these.
fn several(all: &[impl AsRef<str>]) -> String {
    let shown: Vec<&str> = all.iter().take(5).map(AsRef::as_ref).collect();
    let more = all.len() - shown.len();
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{}{more}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of a rule that uses an answer like this, where these are the forms.
    fn said(
        label: &str,
        may_be_absent: bool,
        compared_with: &[&str],
        forms: &[&[(&str, Question)]],
    ) -> Vec<(Level, String)> {
        let forms: Vec<(String, Form)> = forms
            .iter()
            .enumerate()
            .map(|(number, form)| {
                let form = form.iter().map(|(label, question)| ((*label).to_owned(), question.clone()));
                (format!("acme/{number}"), Form { questions: form.collect(), ..Form::default() })
            })
            .collect();
        let forms: Vec<(String, &Form)> = forms.iter().map(|(repo, form)| (repo.clone(), form)).collect();
        let compared_with = compared_with.iter().map(|text| (*text).to_owned()).collect();
        let is_always_read = !may_be_absent;
        problems(
            &AnswerUse {
                rule: "r".into(),
                label: label.to_owned(),
                may_be_absent,
                is_always_read,
                compared_with,
            },
            &forms,
        )
    }

    fn select(options: &[&str]) -> Question {
        Question::Select(options.iter().map(|option| (*option).to_owned()).collect())
    }

    fn is(said: &[(Level, String)], level: Level, texts: &[&str]) {
        assert!(said.len() == 1 && said[0].0 == level, "{said:?}");
        for text in texts {
            assert!(said[0].1.contains(text), "{text}: {said:?}");
        }
    }

    #[test]
    fn what_the_form_asks_is_fine() {
        let form = [
            ("Country", Question::Country),
            ("Use", select(&["Research", "Other"])),
            ("Why", Question::Text),
        ];
        assert_eq!(said("Country", false, &["CH", "KP"], &[&form]), []);
        assert_eq!(said("Use", false, &["Other"], &[&form]), []);
        assert_eq!(said("Why", false, &["world peace"], &[&form]), []);
    }

    #[test]
    fn a_label_that_no_form_asks_is_misspelt() {
        let form = [("Country", Question::Country), ("Affiliation", Question::Text)];
        let expected = ["reads fields['Contry']", "everybody is held; is `Country` meant?"];
        is(&said("Contry", false, &["CH"], &[&form]), Level::Failed, &expected);
        is(&said("country", true, &[], &[&form]), Level::Warning, &["never there; is `Country` meant?"]);
        is(&said("Purpose", false, &[], &[&form]), Level::Failed, &["there is `Affiliation`, `Country`"]);
        is(&said("Purpose", false, &[], &[&[]]), Level::Failed, &["everybody is held"]);
    }

    #[test]
    fn a_label_that_only_some_forms_ask_holds_everybody_at_the_others() {
        let with: &[_] = &[("Country", Question::Country)];
        let forms = [with, &[], &[], &[], &[], &[], &[]];
        let expected = ["the form of acme/1, acme/2, acme/3, acme/4, acme/5 and 1 more does not ask"];
        is(&said("Country", false, &[], &forms), Level::Warning, &expected);
        assert_eq!(said("Country", true, &[], &forms), []);
    }

    #[test]
    fn answer_that_may_be_left_out_has_to_be_asked_for_first() {
        let form = Form {
            questions: [("News".to_owned(), Question::Checkbox)].into(),
            optional: ["News".to_owned()].into(),
            unread: Vec::new(),
        };
        let said = |may_be_absent| {
            let used = AnswerUse {
                rule: "r".into(),
                label: "News".to_owned(),
                may_be_absent,
                is_always_read: !may_be_absent,
                compared_with: BTreeSet::new(),
            };
            problems(&used, &[("acme/0".to_owned(), &form)])
        };
        is(
            &said(false),
            Level::Warning,
            &["may be left out in the form of acme/0", "`'News' in fields && …`"],
        );
        assert_eq!(said(true), []);
    }

    #[test]
    fn form_that_cannot_be_read_fails_no_rule() {
        let form = Form {
            unread: vec!["`extra_gated_fields` is neither a map nor a list of maps".to_owned()],
            ..Form::default()
        };
        let used = AnswerUse {
            rule: "r".into(),
            label: "Country".to_owned(),
            may_be_absent: false,
            is_always_read: true,
            compared_with: BTreeSet::new(),
        };
        let said = problems(&used, &[("acme/0".to_owned(), &form)]);
        is(&said, Level::Warning, &["which no form asks as far as the forms could be read"]);
    }

    #[test]
    fn an_option_that_a_select_does_not_have_is_misspelt() {
        let one = [("Use", select(&["Research", "Education"]))];
        let other = [("Use", select(&["Research", "Commerce"]))];
        is(
            &said("Use", false, &["Reserch"], &[&one]),
            Level::Failed,
            &["none of its options; is `Research` meant?"],
        );
        is(&said("Use", false, &["War"], &[&one]), Level::Failed, &["there is `Education`, `Research`"]);
        assert_eq!(said("Use", false, &["Commerce", "Education"], &[&one, &other]), []);
    }

    #[test]
    fn what_is_not_known_of_how_answers_are_written_is_said() {
        let form = [("Country", Question::Country), ("Agree", Question::Checkbox), ("Since", Question::Date)];
        for country in ["Switzerland", "ch", "CHE", ""] {
            is(&said("Country", false, &[country], &[&form]), Level::Warning, &["two capital letters"]);
        }
        is(&said("Agree", false, &["true"], &[&form]), Level::Warning, &["not documented"]);
        is(&said("Since", true, &["2026-01-01"], &[&form]), Level::Warning, &["not documented"]);
        assert_eq!(said("Agree", true, &[], &[&form]), []);
    }
}
