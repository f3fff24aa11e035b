//! Warnings about a valid policy that probably does not do what its owner wants.

mod calls;
mod patterns;
mod reads;
mod search;
mod trust;
mod weakness;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use cel::common::ast::operators as op;
use cel::common::ast::{Expr, IdedExpr};

use super::answers::collect_tests;
use super::check::kinds::Kind;
use super::compile::{Compiled, Lets};
use super::expressions::{is_variable, operands_of};
use super::functions::Constants;
use super::{Policy, Rule};
use crate::model::{RepoPattern, Verdict};
use search::{Effect, Search};
use weakness::Weakness;

/// The kinds of the values that the rules look up in each list, by the position of the list.
type Uses = BTreeMap<usize, BTreeSet<Kind>>;

/// A part of a policy that is valid, but probably wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The part of the policy, such as ``rule `staff` ``.
    pub subject: String,
    /// The text names the probable mistake, and says how to mend it.
    pub text: String,
    /// Whether the part is a list that cannot be used: it cannot be read, or none of its entries has the form of the values that the
    /// rules look up.
    pub is_unusable_list: bool,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}: {}", self.subject, self.text)
    }
}

/// All warnings about a policy.
pub(super) fn of(policy: &Policy) -> Vec<Warning> {
    let Policy { rules, lets, default, lists_read, constants, .. } = policy;
    let (lists, lets_read) = (&constants.lists, rules.iter().flat_map(Rule::lets).collect::<BTreeSet<_>>());
    let mut found = Vec::new();
    let mut warn = |subject: String, text: &str| {
        found.push(Warning { subject, text: text.to_owned(), is_unusable_list: false });
    };
    match default.then {
        Verdict::Accept => warn(
            "`default`".to_owned(),
            "it accepts everybody whom no rule stops; write `default = \"hold\"`, and add rules that accept",
        ),
        Verdict::Reject | Verdict::Reset if default.reason.is_none() => warn(
            "`default`".to_owned(),
            "the requesters do not learn why; write `default = { then = \"…\", reason = \"…\" }`",
        ),
        _ => {}
    }
    let mut uses = Uses::new();
    for rule in rules {
        for text in of_rule(rule, lets, constants, &mut uses) {
            warn(format!("rule `{}`", rule.name), &text);
        }
    }
    for (position, each) in lets.compiled.iter().enumerate() {
        if !lets_read.contains(&position)
            && !lets.compiled.iter().any(|other| other.expression.lets.contains(&position))
        {
            warn(format!("let `{}`", each.checked.name), "no rule reads it; remove it, or use it in a rule");
        }
    }
    for (position, list) in lists.iter().enumerate() {
        let warning = |text, is_unusable_list| {
            let subject = format!("list `{}`", list.name);
            Warning { subject, text, is_unusable_list }
        };
        let uses = uses.remove(&position).unwrap_or_default();
        found.extend(list.warnings(&uses).into_iter().map(|(text, is_unusable)| warning(text, is_unusable)));
        if !lists_read.contains(&position) {
            let text = "no rule reads it; remove it, or use it in a rule";
            found.push(warning(text.to_owned(), false));
        }
    }
    found
}

fn of_rule(rule: &Rule, lets: &Lets, constants: &Constants, uses: &mut Uses) -> Vec<String> {
    let mut texts = Vec::new();
    let condition = rule.condition.with_lets(lets);
    let weakness = Weakness::of(&condition);
    if rule.then == Verdict::Accept {
        texts.extend(weak_accept(weakness, rule.unless.is_some()).map(str::to_owned));
    } else {
        texts.extend(skipped_without(&condition));
    }
    if weakness == Weakness::Never {
        texts.push("it never matches; correct its `if`, or remove the rule".to_owned());
    }
    if rule.expressions().any(|each| mixes_and_with_or(each.source())) {
        texts.push(
            "`&&` and `||` are used without brackets, and `a || b && c` means `a || (b && c)`; write the brackets that you mean"
                .to_owned(),
        );
    }
    texts.extend(rule.repos.iter().flatten().filter_map(bare_name));
    if matches!(rule.then, Verdict::Reject | Verdict::Reset) && rule.reason.is_none() {
        texts.push(format!(
            "the requesters do not learn why they are {}; add a `reason`",
            if rule.then == Verdict::Reject { "rejected" } else { "reset" }
        ));
    }
    let effect = if rule.then == Verdict::Accept { Effect::LetsIn } else { Effect::Stops };
    Search::of(&condition, effect, constants, &mut texts, uses);
    if let Some(unless) = &rule.unless {
        let unless = unless.with_lets(lets);
        // A wide exception from a rule that accepts lets nobody in.
        let effect = if rule.then == Verdict::Accept { Effect::None } else { Effect::LetsIn };
        Search::of(&unless, effect, constants, &mut texts, uses);
        texts.extend(weak_unless(&unless, rule.then, &condition).map(str::to_owned));
    }
    texts.sort();
    texts.dedup();
    texts
}

/// `has(user.domain) && …` in a rule that stops requests: the rule does not stop a user who shares no address.
fn skipped_without(condition: &IdedExpr) -> Option<String> {
    let test_of = |part: &IdedExpr| match &part.expr {
        Expr::Select(select) if select.test && is_variable(&select.operand, "user") => {
            Some(select.field.clone())
        }
        _ => None,
    };
    let [mut tested, mut tested_for_absence] = [BTreeSet::new(), BTreeSet::new()];
    collect_tests(condition, &test_of, &mut tested, &mut tested_for_absence);
    let attribute = tested.difference(&tested_for_absence).next()?;
    Some(format!(
        "a request without `user.{attribute}` gets round it; remove `has(user.{attribute})`, and such a request is held, or write \
         `unless = \"!has(user.{attribute})\"` if it may pass"
    ))
}

/// Whether a condition is true of every request, as far as its form shows it.
pub(super) fn is_always_true(condition: &Compiled, lets: &Lets) -> bool {
    Weakness::of(&condition.with_lets(lets)) == Weakness::Everybody
}

/// Whether an expression uses `&&` and `||` without brackets between them. The parser drops brackets, so this reads the source.
fn mixes_and_with_or(source: &str) -> bool {
    // Whether the innermost brackets contain `&&`, and whether they contain `||`.
    let (mut found, mut outer) = ([false; 2], Vec::new());
    let mut rest = source;
    while let Some(c) = rest.chars().next() {
        let mut length = c.len_utf8();
        match c {
            '\'' | '"' => {
                let is_end = |(at, end): &(usize, char)| {
                    *end == c && *at > 0 && !rest.get(..*at).is_some_and(|s| s.ends_with('\\'))
                };
                length = rest.char_indices().find(is_end).map_or(rest.len(), |(at, _)| at + 1);
            }
            '(' | '[' | '{' => outer.push(std::mem::take(&mut found)),
            ')' | ']' | '}' => found = outer.pop().unwrap_or_default(),
            ',' | '?' | ':' => found = [false; 2],
            _ => {
                found[0] |= rest.starts_with("&&");
                found[1] |= rest.starts_with("||");
                if found == [true; 2] {
                    return true;
                }
            }
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    false
}

/// `repos = ["acme"]` names an old model without an owner, and no repo of `acme`. `dataset/corpus` names a model.
fn bare_name(pattern: &RepoPattern) -> Option<String> {
    let RepoPattern::One(repo) = pattern else { return None };
    match repo.owner() {
        None => Some(format!(
            "`{repo}` in `repos` names one repo without an owner; write `{repo}/*` for all repos of `{repo}`"
        )),
        Some(owner @ ("dataset" | "model" | "models")) => Some(format!(
            "`{repo}` in `repos` names a model of `{owner}`; write `acme/…` for a model, and `datasets/acme/…` for a dataset"
        )),
        _ => None,
    }
}

fn weak_accept(weakness: Weakness, has_exception: bool) -> Option<&'static str> {
    match weakness {
        Weakness::Never | Weakness::None | Weakness::Length => None,
        Weakness::Presence => Some(
            "it only tests whether a value is there, so any value is enough; compare it with the values that you want to accept",
        ),
        Weakness::Absence => Some(
            "it is also true of a request without the value that it tests for; remove the test, and such a request is held",
        ),
        Weakness::RepoAlone => Some(
            "it reads nothing of the request, so it accepts everybody who asks for such a repo; name in `if` the users to accept",
        ),
        Weakness::Empty => Some(
            "it is also true of an empty list: of a user without organizations, or of a request without answers; add \
             `size(…) > 0 && …`",
        ),
        Weakness::Negation => Some(
            "it accepts everybody who is not excluded, even with a value that you did not expect; name in `if` the users to \
             accept, and exclude the others with a rule that rejects or holds",
        ),
        Weakness::Everybody if has_exception => {
            Some("it accepts everybody but its exceptions; name in `if` the users to accept")
        }
        Weakness::Everybody => Some("it accepts everybody; name in `if` the users to accept"),
    }
}

/// Why an `unless` is true of more users than the owner means. A wide `unless` of a rule that accepts lets nobody in. If the answers alone
/// make a `reset` match, the requester could change these answers as well, so an `unless` that rests on answers does no harm.
fn weak_unless(unless: &IdedExpr, then: Verdict, condition: &IdedExpr) -> Option<&'static str> {
    let weakness = Weakness::of(unless);
    match weakness {
        Weakness::Everybody => Some(
            "its `unless` is always true, so the rule never matches; remove the rule, or name the users to except",
        ),
        _ if then == Verdict::Accept => None,
        _ if reads_answers_alone(unless) && !(then == Verdict::Reset && reads_answers_alone(condition)) => {
            Some(
                "its `unless` rests on answers alone, and a requester may answer anything; add a condition on data of the Hub, such as \
             `user.domain` or `user.verified_orgs`",
            )
        }
        Weakness::Presence => Some("its `unless` only tests whether a value is there; name users to except"),
        Weakness::Negation => Some("its `unless` excepts everybody who is not named; name users to except"),
        Weakness::Empty => Some(
            "its `unless` is also true of an empty list: of a user without organizations, or of a request without answers; add \
             `size(…) > 0 && …`",
        ),
        _ => None,
    }
}

/// Whether answers alone can make a condition true.
fn reads_answers_alone(condition: &IdedExpr) -> bool {
    if let Some([a, b]) = operands_of(op::LOGICAL_OR, condition) {
        return reads_answers_alone(a) || reads_answers_alone(b);
    }
    let variables = weakness::variables(condition);
    let reads = |names: &[&str]| names.iter().any(|name| variables.contains(*name));
    reads(&["fields"]) && !reads(&["user", "repo", "requested_at"])
}
