//! A policy is a list of rules, and each rule gives its verdict if its condition is true for an access request. The policy is
//! compiled and checked at start-up, and then [`Policy::decide`] decides requests without I/O.
//!
//! All rules are evaluated, so their order does not change the verdict. The strictest verdict wins: reject, reset, hold,
//! accept. If no rule matches, the policy's default decides. If a rule cannot be evaluated, the request is held.

mod answers;
mod check;
mod compile;
mod document;
mod evaluation;
mod expressions;
mod functions;
mod lists;
mod meter;
mod names;
mod patterns;
mod place;
mod readable;
mod suggest;
mod summary;
#[cfg(test)]
mod tests;
mod tree;
mod variables;
mod warnings;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use cel::Env;
use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use crate::model::{AccessRequest, Decision, Grounds, Repo, RepoPattern, Verdict};
pub use answers::AnswerUse;
use check::cost::MAX_POLICY_COST;
use compile::{Compiled, Compiler, Lets, add_fault};
pub use document::Limits;
use document::{DefaultVerdict, Document, WrittenRule};
use evaluation::Evaluation;
pub use evaluation::RuleResult;
use functions::{CONSTANTS, Constants, ConstantsValue};
pub use lists::ReadFile;
use lists::{Entries, Lists};
use patterns::Patterns;
pub use suggest::nearest;
pub use summary::RuleSummary;
use tree::{Fault, Node};
use variables::variables;
pub use warnings::Warning;

/// The maximum length of a policy, in bytes. The environment of a Lambda function holds less, but the command line reads files.
pub(crate) const MAX_POLICY_LENGTH: usize = 256 * 1024;

/// The fault of the first rule at which the sum of the costs exceeds [`MAX_POLICY_COST`].
const TOO_COSTLY: &str = "together with the rules before it, this rule could cost too much for a request with long answers; \
     nest fewer macros, or use smaller repetitions in patterns";

/// Compiled rules, and the verdict if none of them matches.
pub struct Policy {
    rules: Vec<Rule>,
    lets: Lets,
    default: DefaultVerdict,
    limits: Limits,
    paused: bool,
    fingerprint: String,
    /// The commit from which the policy was read.
    commit: Option<Arc<str>>,
    /// Why the policy cannot be used. Then everybody is held.
    unusable: Option<Arc<str>>,
    env: Arc<Env>,
    constants: Arc<Constants>,
    /// The positions of the lists that expressions read.
    lists_read: BTreeSet<usize>,
    /// The maximum cost of all rules together for one request.
    max_cost: u64,
    /// Whether a rule reads the folded copies of `fields` and `user`.
    reads_folded: bool,
}

struct Rule {
    name: Arc<str>,
    then: Verdict,
    condition: Compiled,
    unless: Option<Compiled>,
    reason: Option<Arc<str>>,
    /// The repos that the rule applies to, or `None` for all.
    repos: Option<Vec<RepoPattern>>,
}

impl Policy {
    /// Reads and compiles a policy in TOML or JSON, or returns all its faults in the order of the text. If the policy has lists in
    /// files, these lists cannot be read.
    pub fn parse(text: &str) -> Result<Self, Vec<String>> {
        Self::parse_with_files(text, &|_| Err("this policy is not in a folder with files".to_owned()))
    }

    /// Like [`Policy::parse`], but `read_file` reads the files of the lists. An unreadable file is not a fault of the policy: the rules
    /// that read the list hold requests, and [`Policy::warnings`] says why.
    pub fn parse_with_files(text: &str, read_file: ReadFile) -> Result<Self, Vec<String>> {
        if text.len() > MAX_POLICY_LENGTH {
            let length = text.len();
            let fault =
                format!("the policy has {length} bytes; shorten it to at most {MAX_POLICY_LENGTH} bytes");
            return Err(vec![fault]);
        }
        let mut faults = Vec::new();
        let compiled = tree::read(text).and_then(|root| {
            let document = document::read(&root, &mut faults);
            Self::compile(document, &root, read_file, &mut faults)
                .map_err(|error| vec![Fault { at: 0, text: error.to_string() }])
        });
        match compiled {
            Ok(policy) if faults.is_empty() => Ok(policy),
            Ok(_) => Err(tree::messages(faults, text)),
            Err(others) => {
                faults.extend(others);
                Err(tree::messages(faults, text))
            }
        }
    }

    fn compile(
        document: Document,
        root: &Node,
        read_file: ReadFile,
        faults: &mut Vec<Fault>,
    ) -> Result<Self, cel::DeclarationError> {
        let Document { default, lists, lets, rules: written, limits, paused } = document;
        let env = Arc::new(functions::environment()?);
        let lists = Lists::read(lists, read_file);
        let (patterns, lists_read) = (Patterns::default(), BTreeSet::new());
        let mut compiler = Compiler { env: &env, lists: &lists, patterns, lets: Lets::default(), lists_read };
        compiler.compile_lets(&lets, faults);
        let mut rules = Vec::with_capacity(written.len());
        let (mut max_cost, mut lets_read) = (0u64, BTreeSet::new());
        for rule in written {
            let (at, label) = (rule.condition.at, rule.label.clone());
            let Some(rule) = Rule::compile(rule, &mut compiler, faults) else { continue };
            let cost_before = max_cost;
            for position in rule.lets() {
                let cost = compiler.lets.compiled.get(position).map_or(0, |each| each.expression.max_cost);
                max_cost = max_cost.saturating_add(if lets_read.insert(position) { cost } else { 0 });
            }
            max_cost = rule.expressions().map(|each| each.max_cost).fold(max_cost, u64::saturating_add);
            if cost_before <= MAX_POLICY_COST && max_cost > MAX_POLICY_COST {
                faults.push(Fault { at, text: format!("{label}: {TOO_COSTLY}") });
            }
            rules.push(rule);
        }
        let Compiler { patterns, lets, lists_read, .. } = compiler;
        let fingerprint = fingerprint(root, &lists);
        let of_lets = lets.compiled.iter().map(|each| &each.expression);
        let reads_folded =
            rules.iter().flat_map(Rule::expressions).chain(of_lets).any(|each| each.reads_folded);
        let constants = Arc::new(Constants { patterns, lists });
        Ok(Self {
            rules,
            lets,
            default,
            limits,
            paused,
            fingerprint,
            commit: None,
            unusable: None,
            env,
            constants,
            lists_read,
            max_cost,
            reads_folded,
        })
    }

    /// Twelve hexadecimal digits that identify the policy and its lists in the audit log. White space does not change them.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Whether decisions may take so long that a run does not reach all requests.
    pub(crate) fn may_be_slow(&self) -> bool {
        self.max_cost > meter::SLOW_POLICY_COST
    }

    /// The maximum numbers of requests that a run accepts and rejects in one repo.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Removes the limits. A caller does this after a person has agreed to the decisions.
    pub fn lift_limits(&mut self) {
        self.limits = Limits::default();
    }

    /// Whether the owner has paused the policy, so that no decision is written.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// The lists of the policy: the name of each one, and how many entries it has or why it cannot be read.
    pub fn lists(&self) -> impl Iterator<Item = (&str, Result<usize, &str>)> {
        self.constants.lists.iter().map(|list| (&*list.name, list.count()))
    }

    /// How many entries of a list are not in the same list of another policy. Case is ignored. The result is `None` if one of the two
    /// policies has no such list, or cannot read it.
    #[must_use]
    pub fn entries_not_in(&self, other: &Self, list: &str) -> Option<usize> {
        let [of_self, of_other] = [self, other].map(|policy| policy.constants.lists.entries(list));
        let (entries, others) = (of_self?, of_other?);
        Some(entries.iter().filter(|entry| !others.contains(entry, true)).count())
    }

    /// The names of the expressions under `let`.
    pub fn let_names(&self) -> impl Iterator<Item = &str> {
        self.lets.names()
    }

    /// The parts of the policy that are valid, but probably not what the owner wants.
    #[must_use]
    pub fn warnings(&self) -> Vec<Warning> {
        warnings::of(self)
    }

    /// The names of the rules, in the order of the policy.
    pub fn rule_names(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().map(|rule| &*rule.name)
    }

    /// The results of each rule that the cases of a test should cover. If the `if` of a rule is always true, "does not match" is left
    /// out. If the rule has no `unless`, "excepted" is left out.
    pub fn results_to_cover(&self) -> impl Iterator<Item = (&str, Vec<RuleResult>)> {
        self.rules.iter().map(|rule| {
            let mut results = vec![RuleResult::Matches];
            if !warnings::is_always_true(&rule.condition, &self.lets) {
                results.push(RuleResult::DoesNotMatch);
            }
            results.extend(rule.unless.as_ref().map(|_| RuleResult::Excepted));
            (&*rule.name, results)
        })
    }

    /// The patterns in `repos` of the rules, each with the name of its rule.
    pub fn repo_patterns(&self) -> impl Iterator<Item = (&str, &RepoPattern)> {
        self.rules.iter().flat_map(|rule| rule.repos.iter().flatten().map(|pattern| (&*rule.name, pattern)))
    }

    /// Whether a rule applies to a repo, by the rule's name. A rule that does not exist applies to none.
    #[must_use]
    pub fn applies(&self, rule: &str, repo: &Repo) -> bool {
        self.rules.iter().any(|each| &*each.name == rule && each.applies_to(repo))
    }

    /// Decides one request. The same arguments always give the same decision.
    ///
    /// A rule that cannot be evaluated counts as a rule with the verdict `hold`. So an error accepts nobody, and hides no stricter
    /// verdict.
    #[must_use]
    pub fn decide(&self, request: &AccessRequest, repo: &Repo, now: DateTime<Utc>) -> Decision {
        if let Some(why) = &self.unusable {
            return Decision::new(Verdict::Hold, Grounds::NoPolicy(Arc::clone(why)));
        }
        if let Some(why) = readable::why_unreadable(request) {
            return Decision::new(Verdict::Hold, Grounds::Unreadable(why));
        }
        meter::with_limit(|| self.apply_rules(repo, &mut self.evaluation(request, repo, now)))
    }

    /// The result of each rule for a request, with the rule's name and in the order of the policy. [`Policy::decide`] uses the same
    /// results.
    #[must_use]
    pub fn evaluate_rules(
        &self,
        request: &AccessRequest,
        repo: &Repo,
        now: DateTime<Utc>,
    ) -> Vec<(&str, RuleResult)> {
        if let Some(why) = readable::why_unreadable(request) {
            let unreadable = || RuleResult::CannotBeEvaluated(format!("the request is unreadable: {why}"));
            return self.rule_names().map(|name| (name, unreadable())).collect();
        }
        let mut evaluation = self.evaluation(request, repo, now);
        let results = self.rules.iter().map(|rule| (&*rule.name, evaluation.result(rule, repo)));
        meter::with_limit(|| results.collect())
    }

    fn evaluation<'a>(
        &'a self,
        request: &'a AccessRequest,
        repo: &'a Repo,
        now: DateTime<Utc>,
    ) -> Evaluation<'a> {
        let mut variables = variables(&self.env, request, repo, now, self.reads_folded);
        variables.add_variable_as_val(CONSTANTS, Box::new(ConstantsValue(Arc::clone(&self.constants))));
        Evaluation::new(&self.lets, variables)
    }

    fn apply_rules(&self, repo: &Repo, evaluation: &mut Evaluation) -> Decision {
        let mut strictest = Decision::new(self.default.then, Grounds::NoRule);
        strictest.reason.clone_from(&self.default.reason);
        let mut excepted = Vec::new();
        for rule in &self.rules {
            let (verdict, grounds) = match evaluation.result(rule, repo) {
                RuleResult::Matches => (rule.then, Grounds::Rule(rule.name.clone())),
                RuleResult::DoesNotMatch | RuleResult::DoesNotApply => continue,
                RuleResult::Excepted => {
                    excepted.push(rule.name.clone());
                    continue;
                }
                RuleResult::CannotBeEvaluated(why) => {
                    (Verdict::Hold, Grounds::Unknown { rule: rule.name.clone(), why })
                }
            };
            if strictest.grounds == Grounds::NoRule || verdict > strictest.verdict {
                let reason = rule.reason.clone().filter(|_| matches!(grounds, Grounds::Rule(_)));
                strictest = Decision { verdict, reason, grounds, excepted: Vec::new() };
            }
        }
        Decision { excepted, ..strictest }
    }
}

impl Rule {
    fn compile(written: WrittenRule, compiler: &mut Compiler, faults: &mut Vec<Fault>) -> Option<Self> {
        let WrittenRule { label, name, then, condition: source, unless: source_of_unless, reason, repos } =
            written;
        let condition = compiler.compile_condition(&source);
        let condition =
            condition.map_err(|fault| add_fault(faults, source.at, &format!("{label}: `if`"), &fault));
        let unless = source_of_unless.map(|source| {
            let unless = compiler.compile_condition(&source);
            unless.map_err(|fault| add_fault(faults, source.at, &format!("{label}: `unless`"), &fault))
        });
        let (condition, unless) = (condition.ok()?, unless.transpose().ok()?);
        Some(Self { name, then, condition, unless, reason, repos })
    }

    fn applies_to(&self, repo: &Repo) -> bool {
        self.repos.as_ref().is_none_or(|repos| repos.iter().any(|pattern| pattern.covers(repo)))
    }

    /// The `if` of the rule, and its `unless` if it has one.
    fn expressions(&self) -> impl Iterator<Item = &Compiled> {
        std::iter::once(&self.condition).chain(&self.unless)
    }

    /// The positions of the expressions under `let` that the rule reads, directly or through others.
    fn lets(&self) -> impl Iterator<Item = usize> {
        self.expressions().flat_map(|expression| expression.lets.iter().copied())
    }
}

/// The fingerprint of a policy. It is made from the tree, so white space and the format do not change it.
fn fingerprint(root: &Node, lists: &Lists) -> String {
    let mut hash = Sha256::new_with_prefix(root.to_json().to_string());
    for list in lists.iter().filter(|list| list.is_file) {
        hash.update([0]);
        let entries = list.entries.iter().flat_map(Entries::iter);
        entries.for_each(|entry| {
            hash.update(entry);
            hash.update([0]);
        });
    }
    hash.finalize().iter().take(6).fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.rule_names().collect();
        f.debug_struct("Policy")
            .field("rules", &names)
            .field("default", &self.default.then)
            .finish_non_exhaustive()
    }
}
