//! Names on the Hub, whose comparison ignores case.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};

/// The name of a repo, a user or an organization.
///
/// The Hub accepts names in any case ("Repo ids are case insensitive across the Hub", a maintainer of `huggingface_hub`). So
/// names that differ only in ASCII case are equal, and have the same order and hash.
///
/// A name keeps its spelling. If equal names are put into one set, `insert` and `extend` keep the first spelling, and `replace`
/// keeps the last one.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Name(String);

impl Name {
    /// The name in its own spelling.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn lower_case(&self) -> impl Iterator<Item = u8> {
        self.0.bytes().map(|byte| byte.to_ascii_lowercase())
    }
}

impl From<&str> for Name {
    fn from(name: &str) -> Self {
        Self(name.to_owned())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        self.0.eq_ignore_ascii_case(other)
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        *self == *other.as_str()
    }
}

impl Eq for Name {}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> Ordering {
        self.lower_case().cmp(other.lower_case())
    }
}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.to_ascii_lowercase().hash(state);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashSet};

    use super::*;

    #[test]
    fn names_that_differ_only_in_case_are_equal_in_collections() {
        let names = ["Acme/Model", "acme/model", "ACME/MODEL"].map(Name::from);
        let (sorted, hashed) = (BTreeSet::from(names.clone()), HashSet::from(names.clone()));
        assert_eq!((sorted.len(), hashed.len()), (1, 1));
        assert!(names[0] == names[1] && names[0] == *"acme/MODEL" && names[0] != *"acme/models");
        let mut ordered = ["b", "C", "A", "_"].map(Name::from);
        ordered.sort();
        assert_eq!(ordered.each_ref().map(Name::as_str), ["_", "A", "b", "C"]);
    }

    #[test]
    fn insert_keeps_the_first_spelling_and_replace_the_last() {
        let mut names = BTreeSet::from(["Acme".into()]);
        names.insert(Name::from("acme"));
        assert_eq!(names.first().map(Name::as_str), Some("Acme"));
        names.replace("acme".into());
        assert_eq!(names.first().map(Name::as_str), Some("acme"));
    }
}
