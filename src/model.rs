//! The words of this project as plain data: a repo, an access request, a verdict, a decision and what became of it.
//! No I/O, and nothing here knows how the Hub or Lambda writes any of it.

mod name;
mod pattern;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use name::Name;
pub use pattern::RepoPattern;

/// The kinds of repo that the Hub can gate. Spaces and buckets cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RepoType {
    /// A model, `acme/model`.
    Model,
    /// A dataset, written `datasets/acme/corpus` wherever its type is not said otherwise.
    Dataset,
}

impl RepoType {
    /// The name that the Hub gives it: `model` or `dataset`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Dataset => "dataset",
        }
    }
}

/// A repo whose name has been found to be within the Hub's grammar, so that it is safe to build a URL with.
///
/// It is a [`Name`]: two repos are equal if only the case of their names differs, and each keeps its own spelling.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Repo {
    repo_type: RepoType,
    name: Name,
}

/// A name that no repo on the Hub can have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{}` is not the name of a repo: a name is `repo` or `namespace/repo`, each part of 1 to 96 letters, digits, \
     `-`, `_` and `.`, not starting or ending with `-` or `.`, without `--` and `..`, and not ending in `.git`",
    excerpt(.0)
)]
pub struct InvalidRepoName(String);

/// Enough of a text from outside to recognise it by, on one line.
fn excerpt(text: &str) -> String {
    let mut short: String = text.chars().take(100).flat_map(char::escape_debug).collect();
    if text.chars().nth(100).is_some() {
        short.push('…');
    }
    short
}

impl Repo {
    /// Takes a name as the Hub writes it: `namespace/name`, or one bare name for a few old models.
    ///
    /// The grammar is that of `validate_repo_id` in `huggingface_hub` 2.4.0, in ASCII only. Anything else is an
    /// [`InvalidRepoName`].
    pub fn new(repo_type: RepoType, name: &str) -> Result<Self, InvalidRepoName> {
        let parts: Vec<&str> = name.split('/').collect();
        let well_formed = parts.len() <= 2
            && parts.iter().all(|part| is_name(part))
            && !matches!(name.rsplit_once('.'), Some((_, "git")));
        if well_formed {
            Ok(Self { repo_type, name: name.into() })
        } else {
            Err(InvalidRepoName(name.to_owned()))
        }
    }

    /// Whether it is a model or a dataset.
    #[must_use]
    pub fn repo_type(&self) -> RepoType {
        self.repo_type
    }

    /// `namespace/name`, or one bare name, as it was spelled.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// The user or organization it belongs to; a few old repos have none.
    #[must_use]
    pub fn owner(&self) -> Option<&str> {
        self.name().split_once('/').map(|(owner, _)| owner)
    }

    /// Whether it belongs to this user or organization.
    #[must_use]
    pub fn is_owned_by(&self, owner: &Name) -> bool {
        self.owner().is_some_and(|namespace| *owner == *namespace)
    }
}

/// Whether `part` can be a namespace or the name of a repo.
fn is_name(part: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let outer = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (1..=96).contains(&part.len())
        && part.chars().all(inner)
        && part.starts_with(outer)
        && part.ends_with(outer)
        && !part.contains("--")
        && !part.contains("..")
}

impl fmt::Display for Repo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.repo_type {
            RepoType::Model => self.name.fmt(f),
            RepoType::Dataset => write!(f, "datasets/{}", self.name),
        }
    }
}

/// Somebody waiting at the gate, as far as the Hub tells. Whatever it does not tell is `None` and stays unknown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct AccessRequest {
    /// The Hub's id of the request, where it gives one.
    pub request_id: Option<String>,
    /// The person; a repo may be set not to share its requesters, then all of it is unknown.
    pub user: User,
    /// When access was requested.
    pub requested_at: Option<DateTime<Utc>>,
    /// The answers to the gate form by label; empty where the form has no questions of its own.
    pub fields: BTreeMap<String, String>,
    /// What about this entry could not be read, if anything: then no rule may decide it.
    pub doubt: Option<&'static str>,
}

/// The person behind an access request.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct User {
    /// The Hub's id of the user.
    pub id: Option<String>,
    /// The user name.
    pub name: Option<String>,
    /// The full name.
    pub fullname: Option<String>,
    /// The e-mail address.
    pub email: Option<String>,
    /// Whether they pay for PRO.
    pub pro: Option<bool>,
    /// Names of the organizations that the Hub has verified them to belong to.
    pub verified_orgs: Option<Vec<String>>,
    /// Names of the organizations that they are a member of.
    pub orgs: Option<Vec<String>>,
}

impl AccessRequest {
    /// What to name this request by when writing: the user's id, else the id of the request (the only one where
    /// a repo is set not to share its requesters), else the user's name.
    #[must_use]
    pub fn identity(&self) -> Option<Identity> {
        let AccessRequest { request_id, user, .. } = self;
        let by_id = user.id.clone().map(Identity::UserId);
        by_id
            .or_else(|| request_id.clone().map(Identity::RequestId))
            .or_else(|| user.name.clone().map(Identity::UserName))
    }

    /// What to call this request by before a person: the user's name, else the id of the request, else that of the user.
    #[must_use]
    pub fn who(&self) -> Option<Identity> {
        let AccessRequest { request_id, user, .. } = self;
        let by_name = user.name.clone().map(Identity::UserName);
        by_name
            .or_else(|| request_id.clone().map(Identity::RequestId))
            .or_else(|| user.id.clone().map(Identity::UserId))
    }
}

impl fmt::Debug for AccessRequest {
    /// Shows who it is and nothing that they wrote: an access request is personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AccessRequest { request_id, user, requested_at, fields, doubt } = self;
        f.debug_struct("AccessRequest")
            .field("request_id", request_id)
            .field("user", &user.name)
            .field("requested_at", requested_at)
            .field("fields", &format_args!("{} answers", fields.len()))
            .field("doubt", doubt)
            .finish_non_exhaustive()
    }
}

/// How the Hub is told which access request is meant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Identity {
    /// By the id of the user.
    UserId(String),
    /// By the id of the request.
    RequestId(String),
    /// By the name of the user.
    UserName(String),
}

impl Identity {
    /// The name or id itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::UserId(text) | Self::RequestId(text) | Self::UserName(text) => text,
        }
    }
}

/// The state that an access request is in; the Hub has a list of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Waiting.
    Pending,
    /// In.
    Accepted,
    /// Turned away for good.
    Rejected,
    /// Turned away, and free to ask again.
    Reset,
}

impl Status {
    /// The name that the Hub gives it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::Reset => "reset",
        }
    }
}

/// What is to become of an access request, from the mildest to the strictest: where rules disagree the strictest wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Let in.
    Accept,
    /// Left pending, for a person.
    Hold,
    /// Turned away for now: the user may mend the request and ask again.
    Reset,
    /// Turned away for good: on the Hub asking again is silently ignored.
    Reject,
}

impl Verdict {
    /// The name that a policy gives it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Hold => "hold",
            Self::Reset => "reset",
            Self::Reject => "reject",
        }
    }

    /// The status that it gives to a request. What is held stays pending.
    #[must_use]
    pub fn status(self) -> Status {
        match self {
            Self::Accept => Status::Accepted,
            Self::Hold => Status::Pending,
            Self::Reset => Status::Reset,
            Self::Reject => Status::Rejected,
        }
    }
}

/// A verdict with its grounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What is to be done.
    pub verdict: Verdict,
    /// What the user is told, for a reset or a rejection that gives one.
    pub reason: Option<Arc<str>>,
    /// Why.
    pub grounds: Grounds,
}

/// Why a decision is what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grounds {
    /// This rule matched: the first one listed among those of the strictest verdict.
    Rule(Arc<str>),
    /// No rule matched, so the policy's default holds.
    NoRule,
    /// This rule could not be evaluated, so a person has to look.
    Unknown {
        /// The first rule that could not be evaluated.
        rule: Arc<str>,
        /// What was missing or did not fit, without anything that the user wrote.
        why: String,
    },
    /// What the Hub tells of this request cannot be relied upon, so no rule was asked.
    Doubt(&'static str),
}

impl Grounds {
    /// The rule that decided, or kept the policy from deciding.
    #[must_use]
    pub fn rule(&self) -> Option<&str> {
        match self {
            Self::Rule(rule) | Self::Unknown { rule, .. } => Some(rule),
            Self::NoRule | Self::Doubt(_) => None,
        }
    }
}

impl fmt::Display for Grounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule(rule) => write!(f, "rule `{rule}`"),
            Self::NoRule => f.write_str("no rule matched"),
            Self::Unknown { rule, why } => write!(f, "rule `{rule}` could not be evaluated: {why}"),
            Self::Doubt(doubt) => f.write_str(doubt),
        }
    }
}

/// What became of a decision on the Hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The Hub did as it was told.
    Done,
    /// Left pending, as decided.
    Held,
    /// The request was in that state already, or is no more: somebody was faster.
    Gone,
    /// The Hub could not be told, or would not; the next run takes it up.
    Failed,
    /// The Hub was told, but its answer was lost: it may have been done or not. If not, the next run takes it up.
    Unknown,
    /// The Hub lists the request, but answers that it does not exist, whether its id or its user names it.
    Stuck,
    /// Left for the next run: the request came in or changed after a person had agreed to a plan.
    NotAgreed,
    /// A dry run: nothing was written.
    DryRun,
}

impl Outcome {
    /// The word for it in the audit line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Held => "held",
            Self::Gone => "gone",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::Stuck => "stuck",
            Self::NotAgreed => "left",
            Self::DryRun => "dry run",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::{Index, select};

    use super::*;
    use crate::properties::often;

    #[test]
    fn names_within_the_grammar_are_taken() {
        for name in ["gpt2", "acme/model", "a/b", "Foo-BAR_foo.bar123", "_a/b_", "123/4.5", &"n".repeat(96)] {
            assert!(Repo::new(RepoType::Model, name).is_ok(), "{name}");
        }
    }

    #[test]
    fn names_outside_the_grammar_are_refused() {
        let too_long = "n".repeat(97);
        let refused = [
            "",
            "/",
            "a/",
            "/b",
            "a/b/c",
            ".",
            "..",
            "../x",
            "acme/..",
            "a--b",
            "a..b",
            ".a",
            "a.",
            "-a",
            "a-",
            "acme/model.git",
            "acme/mo del",
            "acme/model?x=1",
            "acme/model#x",
            "acme/%2e%2e",
            "acme\\model",
            "acme/modèle",
            "acme/model\n",
            "acme/@me",
            "acme/a:b",
            "acme/\0",
            "*",
            "acme/*",
            &too_long,
        ];
        for name in refused {
            assert!(Repo::new(RepoType::Model, name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_refused_name_is_shown_on_one_line_and_cut() {
        let error = Repo::new(RepoType::Model, &format!("a\n{}", "x".repeat(5000))).expect_err("refused");
        assert!(error.to_string().starts_with("`a\\nxxx"), "{error}");
        assert!(error.to_string().len() < 500, "{error}");
    }

    #[test]
    fn verdicts_are_ordered_by_strictness() {
        assert!(Verdict::Reject > Verdict::Reset);
        assert!(Verdict::Reset > Verdict::Hold);
        assert!(Verdict::Hold > Verdict::Accept);
    }

    #[test]
    fn nothing_that_a_person_wrote_is_in_the_debug_output() {
        let mut request = AccessRequest::default();
        request.user.email = Some("ada@acme.com".to_owned());
        request.user.fullname = Some("Ada".to_owned());
        request.fields.insert("Purpose".to_owned(), "world peace".to_owned());
        let debug = format!("{request:?}");
        assert!(!debug.contains("acme.com") && !debug.contains("Ada") && !debug.contains("peace"), "{debug}");
    }
    /// The grammar of names, letter by letter.
    fn is_within_the_grammar(name: &str) -> bool {
        let (mut previous, mut length, mut slashes) = (b'/', 0, 0);
        for letter in name.bytes().chain([b'/']) {
            let follows_a_letter = previous.is_ascii_alphanumeric() || previous == b'_';
            let fits = match letter {
                b'-' | b'.' => previous != b'/' && previous != letter,
                b'/' => follows_a_letter && length <= 96,
                other => other.is_ascii_alphanumeric() || other == b'_',
            };
            if !fits {
                return false;
            }
            slashes += u32::from(letter == b'/');
            length = if letter == b'/' { 0 } else { length + 1 };
            previous = letter;
        }
        slashes <= 2 && !matches!(name.as_bytes(), [.., b'.', b'g', b'i', b't'])
    }

    /// Anything, what looks much like a name, and names with one letter changed.
    fn name() -> impl Strategy<Value = String> {
        let one = "[a-zA-Z0-9_]([a-zA-Z0-9_]|[-.][a-zA-Z0-9_]){0,6}(\\.git)?";
        let letter = select(&["", "-", ".", "/", "é", "%", "\n", "\0"][..]);
        let changed = (
            proptest::string::string_regex(&format!("{one}/{one}")).expect("a pattern"),
            any::<Index>(),
            letter,
        );
        prop_oneof![
            any::<String>(),
            "[ab0_./?#%@ -]{0,8}",
            "[a-z]{90,100}(/[a-z]{90,100})?",
            changed.prop_map(|(mut name, place, letter)| {
                name.insert_str(place.index(name.len() + 1), letter);
                name
            }),
        ]
    }

    proptest! {
        #![proptest_config(often())]

        #[test]
        fn any_text_is_a_name_within_the_grammar_or_refused(name in name()) {
            let repo = Repo::new(RepoType::Dataset, &name);
            prop_assert_eq!(repo.is_ok(), is_within_the_grammar(&name));
            if let Ok(repo) = repo {
                let url = reqwest::Url::parse(&format!("https://hub/api/datasets/{name}/x")).expect("a URL");
                prop_assert_eq!(url.path(), format!("/api/datasets/{name}/x"), "a path is made of it as it is");
                let pattern: RepoPattern = repo.to_string().parse().expect("how it is written");
                prop_assert_eq!(pattern, RepoPattern::One(repo));
            }
        }

        #[test]
        fn any_text_is_a_pattern_of_names_within_the_grammar_or_refused(
            (before, name, after) in (select(&["", "datasets/", "spaces/"][..]), name(), select(&["", "/*", "*"][..])),
        ) {
            let text = format!("{before}{name}{after}");
            let rest = text.strip_prefix("datasets/").unwrap_or(&text);
            let named = match rest.strip_suffix("/*") {
                Some(owner) => is_within_the_grammar(&format!("{owner}/x")) && !owner.contains('/'),
                None => is_within_the_grammar(rest),
            };
            prop_assert_eq!(text.parse::<RepoPattern>().is_ok(), named && !text.starts_with("spaces/"), "{}", text);
        }
    }
}
