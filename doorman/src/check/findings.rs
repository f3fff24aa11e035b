//! The findings of `check`, in the order of the checks.

use std::slice::Iter;

use hub_doorman::config::{ConfigError, FaultNoted, Variables};

use crate::environment::{self, Lookup};
use crate::exit::UsageError;
use crate::screen::print_message;

#[derive(Default)]
pub struct Findings(Vec<Finding>);

pub struct Finding {
    pub level: Level,
    /// The subject of the finding: a variable, a repo, a rule or a webhook.
    pub subject: String,
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Passed,
    Warning,
    Failed,
}

impl Findings {
    pub fn add(&mut self, level: Level, subject: impl Into<String>, text: impl Into<String>) {
        self.0.push(Finding { level, subject: subject.into(), text: text.into() });
    }

    pub fn iter(&self) -> Iter<'_, Finding> {
        self.0.iter()
    }

    pub fn count(&self, level: Level) -> u64 {
        self.iter().filter(|finding| finding.level == level).count() as u64
    }

    /// Prints the warnings. If a check has failed, returns what has failed as an error.
    pub fn refuse_failed(&self) -> Result<(), UsageError> {
        let lines = |wanted: Level| {
            let found = self.iter().filter(move |finding| finding.level == wanted);
            found.map(|Finding { subject, text, .. }| format!("{subject}: {text}"))
        };
        let failed: Vec<String> = lines(Level::Failed).collect();
        if !failed.is_empty() {
            return Err(UsageError(failed.join("\n")));
        }
        lines(Level::Warning).for_each(|warning| print_message(&format!("doorman: warning: {warning}")));
        Ok(())
    }

    /// Reads a variable. Its faults become findings.
    pub fn variable<T>(
        &mut self,
        read: impl FnOnce(&Variables<Lookup>) -> Result<T, FaultNoted>,
    ) -> Option<T> {
        let variables = environment::variables();
        let value = read(&variables);
        self.value_of(variables.all(|| value))
    }

    /// The value of a result. If it is an error, its faults become findings.
    pub fn value_of<T>(&mut self, result: Result<T, ConfigError>) -> Option<T> {
        result.map_err(|ConfigError(faults)| faults.iter().for_each(|fault| self.add_fault(fault))).ok()
    }

    /// Adds a fault, whose text begins with the subject and a colon.
    fn add_fault(&mut self, fault: &str) {
        let (subject, text) = fault.split_once(": ").unwrap_or(("", fault));
        let has_no_token = subject == "HF_TOKEN" && text.starts_with("not set");
        let hint = if has_no_token { "; `hf auth login` saves one, too" } else { "" };
        self.add(Level::Failed, subject, format!("{text}{hint}"));
    }
}
