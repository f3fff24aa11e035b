//! Conditions that are true of users whom the owner did not name.

use std::collections::BTreeSet;

use cel::common::ast::operators as op;
use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, IdedExpr, LiteralValue};

use super::super::check::constants::collect_variables;
use super::{same, text};

/// Why a condition may be true of users whom the owner did not name. The worst is last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Weakness {
    /// The condition names the users of whom it is true.
    None,
    /// It reads only how long a text or a list is.
    Length,
    /// It only tests whether a value is there.
    Presence,
    /// It is also true of an empty list.
    Empty,
    /// It is true of each value that it does not name.
    Negation,
    /// It is true of everybody.
    Everybody,
}

impl Weakness {
    /// The weakness of a condition in which each `let` is replaced by its expression.
    pub(super) fn of(condition: &IdedExpr) -> Self {
        match &condition.expr {
            Expr::Literal(LiteralValue::Boolean(is_true)) if *is_true.inner() => Self::Everybody,
            Expr::Select(select) if select.test => Self::Presence,
            Expr::Comprehension(c) => Self::of_macro(c),
            Expr::Call(call) => Self::of_call(call),
            _ => Self::None,
        }
    }

    fn of_call(CallExpr { func_name, args, .. }: &CallExpr) -> Self {
        match (func_name.as_str(), args.as_slice()) {
            (op::LOGICAL_OR, [a, b]) if is_negation_of(a, b) => Self::Everybody,
            (op::LOGICAL_OR, [a, b]) => Self::of(a).max(Self::of(b)),
            (op::LOGICAL_AND, [a, b]) => Self::of(a).and(Self::of(b)),
            (op::EQUALS, [a, b]) if same(a, b) => Self::Everybody,
            (op::NOT_EQUALS, [a, b]) if is_blank(a) || is_blank(b) => Self::Presence,
            (op::NOT_EQUALS, _) => Self::Negation,
            (op::IN, [_, fields]) if is_fields_or_user(fields) => Self::Presence,
            (op::LOGICAL_NOT, [negated]) => Self::of_negation(negated),
            (op::LESS | op::LESS_EQUALS | op::GREATER | op::GREATER_EQUALS, [a, b])
                if is_size(a) || is_size(b) =>
            {
                Self::Length
            }
            _ => Self::None,
        }
    }

    fn of_negation(negated: &IdedExpr) -> Self {
        match &negated.expr {
            _ if compares(negated) => Self::Negation,
            Expr::Comprehension(c) if reads_request(&c.iter_range) => Self::Empty,
            Expr::Call(call) if call.func_name == op::IN => Self::Presence,
            _ => Self::None,
        }
    }

    fn of_macro(c: &ComprehensionExpr) -> Self {
        let Expr::Call(CallExpr { func_name, args, .. }) = &c.loop_step.expr else { return Self::None };
        match (func_name.as_str(), args.as_slice()) {
            // `all` over data of the request.
            (op::LOGICAL_AND, _) if reads_request(&c.iter_range) => Self::Empty,
            (op::LOGICAL_AND | op::LOGICAL_OR, [_, condition]) => Self::of(condition),
            _ => Self::None,
        }
    }

    fn and(self, other: Self) -> Self {
        let (weaker, stronger) = (self.max(other), self.min(other));
        match (weaker, stronger) {
            (_, Self::None) => Self::None,
            (Self::Everybody, stronger) => stronger,
            // The other condition excludes the empty list.
            (Self::Empty, Self::Length | Self::Presence) => Self::Length,
            _ => weaker,
        }
    }
}

/// Whether an expression compares a value, so that its negation is true of every other value.
fn compares(expression: &IdedExpr) -> bool {
    match &expression.expr {
        Expr::Call(CallExpr { func_name, args, .. }) => match func_name.as_str() {
            op::EQUALS => !args.iter().any(is_blank),
            op::IN => !args.iter().any(is_fields_or_user),
            op::LOGICAL_AND | op::LOGICAL_OR => args.iter().any(compares),
            "matches" | "contains" | "startsWith" | "endsWith" | "under" => true,
            _ => false,
        },
        Expr::Comprehension(c) => compares(&c.loop_step),
        _ => false,
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

fn is_size(expression: &IdedExpr) -> bool {
    matches!(&expression.expr, Expr::Call(call) if call.func_name == "size")
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
