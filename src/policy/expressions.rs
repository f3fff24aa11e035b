//! Recognizes the forms of expressions, so that a check reads like the policy that it looks for.

use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue};

/// The operands of a call. The receiver is the first one.
pub(super) fn operands(call: &CallExpr) -> Vec<&IdedExpr> {
    call.target.as_deref().into_iter().chain(&call.args).collect()
}

/// The function and the operands of a call, or nothing for another expression.
pub(super) fn call(expression: &IdedExpr) -> Option<(&str, Vec<&IdedExpr>)> {
    match &expression.expr {
        Expr::Call(call) => Some((&call.func_name, operands(call))),
        _ => None,
    }
}

/// The operands of a call of this function, if there are `N`.
pub(super) fn operands_of<'e, const N: usize>(
    function: &str,
    expression: &'e IdedExpr,
) -> Option<[&'e IdedExpr; N]> {
    let (_, operands) = call(expression).filter(|(name, _)| *name == function)?;
    operands.try_into().ok()
}

/// The value whose size an expression gives.
pub(super) fn size_of(expression: &IdedExpr) -> Option<&IdedExpr> {
    operands_of("size", expression).map(|[of]| of)
}

pub(super) fn is_variable(expression: &IdedExpr, variable: &str) -> bool {
    matches!(&expression.expr, Expr::Ident(name) if name == variable)
}

/// The text of a literal.
pub(super) fn text(expression: &IdedExpr) -> Option<&str> {
    match &expression.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner()),
        _ => None,
    }
}

/// The whole number of a literal.
pub(super) fn int(expression: &IdedExpr) -> Option<i64> {
    match &expression.expr {
        Expr::Literal(LiteralValue::Int(number)) => Some(*number.inner()),
        _ => None,
    }
}

/// The value of `true` or `false`.
pub(super) fn bool(expression: &IdedExpr) -> Option<bool> {
    match &expression.expr {
        Expr::Literal(LiteralValue::Boolean(value)) => Some(*value.inner()),
        _ => None,
    }
}
