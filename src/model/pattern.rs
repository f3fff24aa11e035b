//! The patterns of repos in `REPOS` and in an order.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use super::Name;
use super::repo::{InvalidRepoName, Repo, RepoType, is_name};

/// The repos that an entry of `REPOS` covers: one repo, or all gated repos of a namespace. The case of names does not matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RepoPattern {
    /// `acme/model` or `datasets/acme/corpus`.
    One(Repo),
    /// `acme/*` covers models and datasets. `datasets/acme/*` covers datasets only.
    Namespace {
        /// The user or organization.
        owner: Name,
        /// The only type that is covered, or nothing if both types are.
        only: Option<RepoType>,
        /// The repos of the namespace that are excluded.
        except: BTreeSet<Repo>,
    },
}

impl RepoPattern {
    /// Whether the pattern covers `repo`.
    #[must_use]
    pub fn covers(&self, repo: &Repo) -> bool {
        match self {
            Self::One(one) => one == repo,
            Self::Namespace { owner, only, except } => {
                repo.is_owned_by(owner)
                    && only.is_none_or(|only| only == repo.repo_type())
                    && !except.contains(repo)
            }
        }
    }

    /// Parses several patterns. `!acme/open` excludes one repo of a namespace. The faults say that they are in `place`.
    pub fn parse_all<'a>(
        names: impl IntoIterator<Item = &'a str>,
        place: &str,
    ) -> Result<Vec<Self>, Vec<String>> {
        let (mut patterns, mut excluded, mut faults) = (Vec::<Self>::new(), Vec::new(), Vec::new());
        for name in names {
            match (name.strip_prefix('!').unwrap_or(name).parse(), name.starts_with('!')) {
                (Ok(pattern), false) => patterns.push(pattern),
                (Ok(Self::One(repo)), true) => excluded.push(repo),
                (Ok(Self::Namespace { .. }), true) => {
                    faults.push(format!(
                        "`{name}` excludes a namespace; only single repos can be excluded, such as `!acme/model`"
                    ));
                }
                (Err(error), _) => faults.push(format!(
                    "{error}; {place} accepts names such as `acme/model`, `datasets/acme/corpus` and `acme/*`"
                )),
            }
        }
        for repo in excluded {
            let lists_repo = |pattern: &Self| matches!(pattern, Self::One(one) if *one == repo);
            if patterns.iter().any(lists_repo) {
                faults.push(format!(
                    "`!{repo}` excludes a repo which {place} also lists; remove `{repo}` or `!{repo}`"
                ));
            } else if !patterns.iter().any(|pattern| pattern.covers(&repo)) {
                faults.push(format!(
                    "`!{repo}` excludes a repo which no pattern covers; remove it, or add a pattern such as `acme/*`"
                ));
            }
            for pattern in &mut patterns {
                pattern.leave_out(&repo);
            }
        }
        if faults.is_empty() { Ok(patterns) } else { Err(faults) }
    }

    /// Excludes a repo from the pattern of a namespace. The pattern of one repo stays as it is.
    pub fn leave_out(&mut self, repo: &Repo) {
        if let Self::Namespace { except, .. } = self {
            except.insert(repo.clone());
        }
    }

    /// Whether some repo may be covered by both patterns. Excluded repos are not considered if both are namespaces.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::One(repo), pattern) | (pattern, Self::One(repo)) => pattern.covers(repo),
            (
                Self::Namespace { owner, only, .. },
                Self::Namespace { owner: other_owner, only: other_only, .. },
            ) => owner == other_owner && (only.is_none() || other_only.is_none() || only == other_only),
        }
    }
}

impl fmt::Display for RepoPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(repo) => repo.fmt(f),
            Self::Namespace { owner, only: Some(RepoType::Dataset), .. } => write!(f, "datasets/{owner}/*"),
            Self::Namespace { owner, .. } => write!(f, "{owner}/*"),
        }
    }
}

impl FromStr for RepoPattern {
    type Err = InvalidRepoName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // A Space cannot be gated. Without this check, `spaces/acme` would be a model of a user called `spaces`.
        if text.starts_with("spaces/") {
            return Err(InvalidRepoName(text.to_owned()));
        }
        let (repo_type, name) = match text.strip_prefix("datasets/") {
            Some(name) => (RepoType::Dataset, name),
            None => (RepoType::Model, text),
        };
        match name.strip_suffix("/*") {
            Some(owner) if is_name(owner) => {
                let only = (repo_type == RepoType::Dataset).then_some(repo_type);
                Ok(Self::Namespace { owner: owner.into(), only, except: BTreeSet::new() })
            }
            Some(_) => Err(InvalidRepoName(text.to_owned())),
            None => Ok(Self::One(Repo::new(repo_type, name)?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pattern_covers_the_repos_it_names_and_no_others() {
        let model = Repo::new(RepoType::Model, "acme/one").expect("a name");
        let dataset = Repo::new(RepoType::Dataset, "acme/one").expect("a name");
        let cases = [
            ("acme/one", true, false),
            ("datasets/acme/one", false, true),
            ("acme/*", true, true),
            ("datasets/acme/*", false, true),
            ("acme/o", false, false),
            ("acm/*", false, false),
            ("one", false, false),
            ("Acme/ONE", true, false),
            ("datasets/ACME/one", false, true),
            ("ACME/*", true, true),
            ("datasets/Acme/*", false, true),
        ];
        for (pattern, covers_model, covers_dataset) in cases {
            let pattern: RepoPattern = pattern.parse().expect(pattern);
            assert_eq!(
                (pattern.covers(&model), pattern.covers(&dataset)),
                (covers_model, covers_dataset),
                "{pattern:?}"
            );
        }
    }

    #[test]
    fn excluded_repo_is_not_covered() {
        let mut pattern: RepoPattern = "acme/*".parse().expect("a pattern");
        pattern.leave_out(&Repo::new(RepoType::Model, "acme/Open").expect("a name"));
        let covers = |repo_type, name| pattern.covers(&Repo::new(repo_type, name).expect("a name"));
        assert!(!covers(RepoType::Model, "ACME/open") && covers(RepoType::Dataset, "acme/open"));
        assert!(covers(RepoType::Model, "acme/other"));
    }

    #[test]
    fn patterns_overlap_if_both_may_cover_one_repo() {
        let cases = [
            ("acme/one", "acme/one", true),
            ("acme/one", "ACME/One", true),
            ("acme/one", "Acme/*", true),
            ("acme/*", "datasets/ACME/*", true),
            ("acme/one", "acme/two", false),
            ("acme/one", "datasets/acme/one", false),
            ("acme/*", "acme/one", true),
            ("acme/*", "other/one", false),
            ("acme/*", "other/*", false),
            ("acme/*", "acme/*", true),
            ("acme/*", "datasets/acme/*", true),
            ("datasets/acme/*", "acme/one", false),
            ("datasets/acme/*", "datasets/acme/one", true),
        ];
        for (a, b, expected) in cases {
            let [a, b]: [RepoPattern; 2] = [a, b].map(|pattern| pattern.parse().expect("a pattern"));
            assert_eq!((a.overlaps(&b), b.overlaps(&a)), (expected, expected), "{a} {b}");
        }
        let of_type =
            |only| RepoPattern::Namespace { owner: "acme".into(), only: Some(only), except: BTreeSet::new() };
        assert!(!of_type(RepoType::Model).overlaps(&of_type(RepoType::Dataset)));
    }

    #[test]
    fn pattern_is_displayed_as_it_was_parsed() {
        for text in ["acme/one", "datasets/acme/one", "acme/*", "datasets/acme/*"] {
            assert_eq!(text.parse::<RepoPattern>().expect(text).to_string(), text);
        }
    }

    #[test]
    fn pattern_without_a_clear_namespace_is_refused() {
        for pattern in ["*", "*/*", "acme/m*", "acme/*/x", "datasets/*", "spaces/acme/app", "spaces/*", "a,b"]
        {
            assert!(pattern.parse::<RepoPattern>().is_err(), "{pattern}");
        }
    }
}
