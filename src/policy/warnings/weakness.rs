//! Conditions that are true of users whom the owner did not name, or of nobody.

use std::collections::BTreeSet;

use cel::common::ast::operators as op;
use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, IdedExpr, LiteralValue};

use super::super::check::constants::collect_variables;
use super::super::check::kinds::path;
use super::{same, text};

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
            Expr::Literal(LiteralValue::Boolean(value)) if *value.inner() != is_negated => Self::Everybody,
            Expr::Literal(LiteralValue::Boolean(_)) => Self::Never,
            Expr::Select(select) if select.test && is_negated => Self::Absence,
            Expr::Select(select) if select.test => Self::Presence,
            Expr::Comprehension(c) => Self::of_macro(c, is_negated),
            Expr::Call(call) => Self::of_call(call, is_negated),
            _ => Self::None,
        }
    }

    fn of_call(call: &CallExpr, is_negated: bool) -> Self {
        let CallExpr { func_name, args, .. } = call;
        match (func_name.as_str(), args.as_slice()) {
            (op::LOGICAL_NOT, [negated]) => Self::find(negated, !is_negated),
            // By De Morgan's laws, the negation of `a && b` is `!a || !b`.
            (op::LOGICAL_AND, [a, b]) if !is_negated => Self::of_both(a, b),
            (op::LOGICAL_OR, [a, b]) if !is_negated => Self::of_either(a, b),
            (op::LOGICAL_AND, [a, b]) => Self::find(a, true).max(Self::find(b, true)),
            (op::LOGICAL_OR, [a, b]) => Self::find(a, true).and(Self::find(b, true)),
            (op::CONDITIONAL, [test, a, b]) => {
                let first = Self::find(test, false).and(Self::find(a, is_negated));
                first.max(Self::find(test, true).and(Self::find(b, is_negated)))
            }
            (op::EQUALS | op::NOT_EQUALS, [a, b]) => {
                Self::of_equality(a, b, is_negated == (func_name == op::NOT_EQUALS))
            }
            _ if read_repo_alone(call.target.as_deref().into_iter().chain(args)) => Self::RepoAlone,
            (op::IN, [_, fields]) if is_fields_or_user(fields) => {
                if is_negated {
                    Self::Absence
                } else {
                    Self::Presence
                }
            }
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
        let excludes_another = |part: &&IdedExpr| of_b.iter().any(|other| excludes(part, other));
        if of_a.iter().any(excludes_another) {
            return Self::Never;
        }
        Self::of(a).and(Self::of(b))
    }

    /// The weakness of `a || b`.
    fn of_either(a: &IdedExpr, b: &IdedExpr) -> Self {
        if is_negation_of(a, b) { Self::Everybody } else { Self::of(a).max(Self::of(b)) }
    }

    /// The weakness of `a == b`, or of `a != b` if `is_equal` is not set.
    fn of_equality(a: &IdedExpr, b: &IdedExpr, is_equal: bool) -> Self {
        let is_bool = |of: &IdedExpr| match &of.expr {
            Expr::Literal(LiteralValue::Boolean(value)) => Some(*value.inner()),
            _ => None,
        };
        let is_account = |of: &IdedExpr| path(of).as_deref() == Some("user.service_account");
        match (is_bool(a), is_bool(b)) {
            (Some(value), _) => return Self::find(b, value != is_equal),
            (_, Some(value)) => return Self::find(a, value != is_equal),
            _ => {}
        }
        let tests_for_blank = is_blank(a) || is_blank(b);
        if same(a, b) {
            return if is_equal { Self::Everybody } else { Self::Never };
        }
        match is_equal {
            _ if read_repo_alone([a, b].into_iter()) => Self::RepoAlone,
            // `user.service_account == ''` is true of each person.
            true if tests_for_blank && (is_account(a) || is_account(b)) => Self::Negation,
            true => Self::None,
            false if tests_for_blank => Self::Presence,
            false => Self::Negation,
        }
    }

    fn of_macro(c: &ComprehensionExpr, is_negated: bool) -> Self {
        let Expr::Call(CallExpr { func_name, args, .. }) = &c.loop_step.expr else { return Self::None };
        let (is_all, condition) = match (func_name.as_str(), args.as_slice()) {
            (op::LOGICAL_AND, [_, condition]) => (true, condition),
            (op::LOGICAL_OR, [_, condition]) => (false, condition),
            _ => return Self::None,
        };
        let weakness = Self::find(condition, is_negated);
        // The negation of `exists` is `all` of the negation. It is true of an empty list.
        if is_all != is_negated && reads_request(&c.iter_range) {
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
    match &condition.expr {
        Expr::Call(call) if call.func_name == op::LOGICAL_AND => {
            call.args.iter().for_each(|part| collect_conjuncts(part, parts));
        }
        _ => parts.push(condition),
    }
}

/// Whether two conditions are never true at once: one is `!` of the other, or both compare one value with different texts.
fn excludes(a: &IdedExpr, b: &IdedExpr) -> bool {
    is_negation_of(a, b)
        || equality(a).zip(equality(b)).is_some_and(|((value, one), (other_value, other))| {
            same(value, other_value) && !one.eq_ignore_ascii_case(other)
        })
}

/// The value and the text in `value == 'text'`.
fn equality(condition: &IdedExpr) -> Option<(&IdedExpr, &str)> {
    match &condition.expr {
        Expr::Call(CallExpr { func_name, args, .. }) if func_name == op::EQUALS => match args.as_slice() {
            [value, other] => Some((value, text(other)?)),
            _ => None,
        },
        _ => None,
    }
}

/// Whether one of the two is `!` of the other.
fn is_negation_of(a: &IdedExpr, b: &IdedExpr) -> bool {
    [(a, b), (b, a)].into_iter().any(|(a, b)| match &a.expr {
        Expr::Call(CallExpr { func_name, args, .. }) if func_name == op::LOGICAL_NOT => {
            args.first().is_some_and(|negated| same(negated, b))
        }
        _ => false,
    })
}

fn is_blank(expression: &IdedExpr) -> bool {
    text(expression).is_some_and(|text| text.trim().is_empty())
        || matches!(&expression.expr, Expr::List(list) if list.elements.is_empty())
}

/// The value whose size an expression gives.
fn size_of(expression: &IdedExpr) -> Option<&IdedExpr> {
    match &expression.expr {
        Expr::Call(call) if call.func_name == "size" => call.target.as_deref().or(call.args.first()),
        _ => None,
    }
}

/// Whether expressions read nothing of the request, and no time.
fn read_repo_alone<'e>(mut parts: impl Iterator<Item = &'e IdedExpr>) -> bool {
    parts.all(|part| {
        let mut variables = BTreeSet::new();
        collect_variables(part, &mut variables);
        variables.iter().all(|name| matches!(name.as_str(), "repo" | "lists"))
    })
}

/// Whether an expression is the variable `fields` or `user`, so that `x in …` tests for presence.
fn is_fields_or_user(expression: &IdedExpr) -> bool {
    matches!(&expression.expr, Expr::Ident(name) if name == "fields" || name == "user")
}

/// Whether an expression reads data of the request.
fn reads_request(expression: &IdedExpr) -> bool {
    let mut variables = BTreeSet::new();
    collect_variables(expression, &mut variables);
    variables.contains("fields") || variables.contains("user")
}
