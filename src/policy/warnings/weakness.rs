//! Conditions that are true of users whom the owner did not name, or of nobody.

use std::collections::BTreeSet;

use cel::common::ast::operators as op;
use cel::common::ast::{ComprehensionExpr, Expr, IdedExpr};

use super::super::check::constants::collect_variables;
use super::super::check::kinds::path;
use super::super::expressions::{bool, call, int, is_variable, operands_of, size_of, text};

/// Why a condition may be true of users whom the owner did not name. The worst is last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Weakness {
    /// It is true of nobody.
    Never,
    /// The condition names the users of whom it is true.
    None,
    /// It reads only how long a text or a list is.
    Length,
    /// It only tests whether a value is there.
    Presence,
    /// It is true if a value is not there.
    Absence,
    /// It is also true of an empty list.
    Empty,
    /// It is true of each value that it does not name.
    Negation,
    /// It reads only the repo.
    RepoAlone,
    /// It is true of everybody.
    Everybody,
}

impl Weakness {
    /// The weakness of a condition in which each `let` is replaced by its expression.
    pub(super) fn of(condition: &IdedExpr) -> Self {
        Self::find(condition, false)
    }

    /// The weakness of a condition, or of its negation.
    fn find(condition: &IdedExpr, is_negated: bool) -> Self {
        match &condition.expr {
            Expr::Literal(_) if bool(condition) == Some(is_negated) => Self::Never,
            Expr::Literal(_) => Self::Everybody,
            Expr::Select(select) if select.test && is_negated => Self::Absence,
            Expr::Select(select) if select.test => Self::Presence,
            // `!user.pro`
            Expr::Select(_) if is_negated => Self::Negation,
            Expr::Comprehension(c) => Self::of_macro(c, is_negated),
            _ => call(condition)
                .map_or(Self::None, |(function, operands)| Self::of_call(function, &operands, is_negated)),
        }
    }

    fn of_call(function: &str, operands: &[&IdedExpr], is_negated: bool) -> Self {
        match (function, operands) {
            (op::LOGICAL_NOT, [negated]) => Self::find(negated, !is_negated),
            (op::LOGICAL_AND, [a, b]) if !is_negated => Self::of_both(a, b),
            (op::LOGICAL_OR, [a, b]) if !is_negated && is_negation_of(a, b) => Self::Everybody,
            // By De Morgan's laws, the negation of `a && b` is `!a || !b`.
            (op::LOGICAL_AND | op::LOGICAL_OR, [a, b]) => {
                let (a, b) = (Self::find(a, is_negated), Self::find(b, is_negated));
                if (function == op::LOGICAL_AND) == is_negated { a.max(b) } else { a.and(b) }
            }
            (op::CONDITIONAL, [test, a, b]) => {
                let first = Self::find(test, false).and(Self::find(a, is_negated));
                first.max(Self::find(test, true).and(Self::find(b, is_negated)))
            }
            (op::EQUALS | op::NOT_EQUALS, [a, b]) => {
                Self::of_equality(a, b, is_negated == (function == op::NOT_EQUALS))
            }
            _ if read_repo_alone(operands) => Self::RepoAlone,
            (op::IN, [_, fields]) if is_fields_or_user(fields) && is_negated => Self::Absence,
            (op::IN, [_, fields]) if is_fields_or_user(fields) => Self::Presence,
            (op::LESS | op::LESS_EQUALS | op::GREATER | op::GREATER_EQUALS, [a, b]) => {
                size_of(a).or(size_of(b)).map_or(Self::None, Self::of_size)
            }
            (op::IN | "matches" | "contains" | "startsWith" | "endsWith" | "under", _) if is_negated => {
                Self::Negation
            }
            _ => Self::None,
        }
    }

    /// The weakness of `a && b`.
    fn of_both(a: &IdedExpr, b: &IdedExpr) -> Self {
        let [mut of_a, mut of_b] = [Vec::new(), Vec::new()];
        collect_conjuncts(a, &mut of_a);
        collect_conjuncts(b, &mut of_b);
        if of_a.iter().any(|part| of_b.iter().any(|other| excludes(part, other))) {
            return Self::Never;
        }
        Self::of(a).and(Self::of(b))
    }

    /// The weakness of `a == b`, or of `a != b` if `is_equal` is not set.
    fn of_equality(a: &IdedExpr, b: &IdedExpr, is_equal: bool) -> Self {
        match (bool(a), bool(b)) {
            (Some(value), _) => return Self::find(b, value != is_equal),
            (_, Some(value)) => return Self::find(a, value != is_equal),
            _ => {}
        }
        let is_account = |of: &IdedExpr| path(of).as_deref() == Some("user.service_account");
        let tests_for_blank = is_blank(a) || is_blank(b) || is_zero_size(a, b) || is_zero_size(b, a);
        match is_equal {
            _ if a == b => {
                if is_equal {
                    Self::Everybody
                } else {
                    Self::Never
                }
            }
            _ if read_repo_alone(&[a, b]) => Self::RepoAlone,
            // `user.service_account == ''` is true of each person.
            true if tests_for_blank && (is_account(a) || is_account(b)) => Self::Negation,
            true if tests_for_blank => Self::Absence,
            true => Self::None,
            false if tests_for_blank => Self::Presence,
            false => Self::Negation,
        }
    }

    fn of_macro(c: &ComprehensionExpr, is_negated: bool) -> Self {
        let all = operands_of(op::LOGICAL_AND, &c.loop_step);
        let Some([_, condition]) = all.or_else(|| operands_of(op::LOGICAL_OR, &c.loop_step)) else {
            return Self::None;
        };
        let weakness = Self::find(condition, is_negated);
        // The negation of `exists` is `all` of the negation. It is true of an empty list.
        if all.is_some() != is_negated && reads_request(&c.iter_range) {
            weakness.max(Self::Empty)
        } else {
            weakness
        }
    }

    /// The weakness of a comparison with the size of a value. Every account has a name, and anybody can add an organization or an answer.
    fn of_size(sized: &IdedExpr) -> Self {
        let is_attribute = path(sized).is_some_and(|path| path.starts_with("user."));
        if is_attribute || is_fields_or_user(sized) { Self::Presence } else { Self::Length }
    }

    fn and(self, other: Self) -> Self {
        let (weaker, stronger) = (self.max(other), self.min(other));
        match (weaker, stronger) {
            (_, Self::Never | Self::None) => stronger,
            (Self::Everybody | Self::RepoAlone, stronger) => stronger,
            // The other condition excludes the empty list.
            (Self::Empty, Self::Length | Self::Presence) => Self::Length,
            _ => weaker,
        }
    }
}

fn collect_conjuncts<'e>(condition: &'e IdedExpr, parts: &mut Vec<&'e IdedExpr>) {
    match operands_of(op::LOGICAL_AND, condition) {
        Some([a, b]) => [a, b].into_iter().for_each(|part| collect_conjuncts(part, parts)),
        None => parts.push(condition),
    }
}

/// Whether two conditions are never true at once: one is `!` of the other, or both compare one value with different texts.
fn excludes(a: &IdedExpr, b: &IdedExpr) -> bool {
    let [a_equals, b_equals] = [a, b].map(|each| operands_of(op::EQUALS, each));
    is_negation_of(a, b)
        || a_equals.zip(b_equals).is_some_and(|([value, one], [other_value, other])| {
            let texts = text(one).zip(text(other));
            value == other_value && texts.is_some_and(|(one, other)| !one.eq_ignore_ascii_case(other))
        })
}

/// Whether one of the two is `!` of the other.
fn is_negation_of(a: &IdedExpr, b: &IdedExpr) -> bool {
    let is_not = |a, b| operands_of(op::LOGICAL_NOT, a).is_some_and(|[negated]| negated == b);
    is_not(a, b) || is_not(b, a)
}

/// Whether an expression is a text of blanks or an empty list.
pub(super) fn is_blank(expression: &IdedExpr) -> bool {
    text(expression).is_some_and(|text| text.trim().is_empty())
        || matches!(&expression.expr, Expr::List(list) if list.elements.is_empty())
}

/// `size(x) == 0`
fn is_zero_size(size: &IdedExpr, number: &IdedExpr) -> bool {
    size_of(size).is_some() && int(number) == Some(0)
}

/// Whether expressions read nothing of the request, and no time.
fn read_repo_alone(parts: &[&IdedExpr]) -> bool {
    parts.iter().flat_map(|part| variables(part)).all(|name| matches!(name.as_str(), "repo" | "lists"))
}

/// Whether an expression is the variable `fields` or `user`, so that `x in …` tests for presence.
fn is_fields_or_user(expression: &IdedExpr) -> bool {
    is_variable(expression, "fields") || is_variable(expression, "user")
}

/// Whether an expression reads data of the request.
fn reads_request(expression: &IdedExpr) -> bool {
    variables(expression).iter().any(|name| matches!(name.as_str(), "fields" | "user"))
}

/// The variables that an expression reads.
pub(super) fn variables(expression: &IdedExpr) -> BTreeSet<String> {
    let mut variables = BTreeSet::new();
    collect_variables(expression, &mut variables);
    variables
}
