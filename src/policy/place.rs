//! What the policy's place needs to know about the policy, and the other way round: the files of its lists, the commit from which it
//! was read, and the policy that stands for one that cannot be used.

use std::sync::Arc;

use cel::Env;

use super::document::{self, DefaultVerdict, Limits, ListSource};
use super::functions::Constants;
use super::{Lets, Policy, tree};
use crate::model::Verdict;

impl Policy {
    /// A policy that holds everybody, because the real one cannot be used. `why` is shown as the grounds of each decision.
    #[must_use]
    pub fn unusable(why: &str) -> Self {
        Self {
            rules: Vec::new(),
            lets: Lets::default(),
            default: DefaultVerdict { then: Verdict::Hold, reason: None },
            limits: Limits::default(),
            paused: false,
            fingerprint: "none".to_owned(),
            commit: None,
            unusable: Some(why.into()),
            env: Arc::new(Env::stdlib().with_optional_support(false)),
            constants: Arc::new(Constants::default()),
            lists_read: [].into(),
            max_cost: 0,
            reads_folded: false,
        }
    }

    /// Why the policy cannot be used, so that everybody is held.
    #[must_use]
    pub fn why_unusable(&self) -> Option<&str> {
        self.unusable.as_deref()
    }

    /// The commit of the repo from which the policy and its lists were read, if they are kept on the Hub.
    #[must_use]
    pub fn commit(&self) -> Option<&str> {
        self.commit.as_deref()
    }

    /// The same policy, read from this commit.
    #[must_use]
    pub fn at_commit(self, commit: Option<&str>) -> Self {
        Self { commit: commit.map(Arc::from), ..self }
    }

    /// The names of the files that the lists of a policy need, in the order of the text. If the text has faults, some files may be
    /// missing.
    #[must_use]
    pub fn files_of_lists(text: &str) -> Vec<String> {
        let Ok(root) = tree::read(text) else { return Vec::new() };
        let mut files = Vec::new();
        for list in document::read(&root, &mut Vec::new()).lists {
            match list.source {
                ListSource::File { file, .. } if !files.contains(&file) => files.push(file),
                _ => {}
            }
        }
        files
    }
}
