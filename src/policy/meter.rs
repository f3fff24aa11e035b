//! How much work it is to decide one request, counted while it is decided. Nothing interrupts an evaluation from outside, and a clock
//! would decide differently on a slower machine.

use std::cell::Cell;
use std::panic::resume_unwind;

use cel::common::ast::operators as op;
use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, IdedExpr, LiteralValue};

/// The most work for one request. A unit is about a nanosecond on a fast machine; in a function of 128 MB it is about 14.
const MAX_REQUEST_WORK: u64 = 70_000_000;

/// A policy that may take more work for a request is slow: about 10 ms on a fast machine.
pub(super) const SLOW_WORK: u64 = 10_000_000;

/// `@spend(units)`: counts them, and is true.
pub(super) const SPEND: &str = "@spend";

/// The payload with which [`spend`] unwinds after too much work. An error would not do, because `||` absorbs errors.
pub(super) struct TooMuchWork;

thread_local! {
    /// Thread-local, because a CEL function gets only its arguments.
    static LEFT: Cell<u64> = const { Cell::new(u64::MAX) };
}

/// Decides a request. After [`MAX_REQUEST_WORK`] units, an evaluation is ended by [`TooMuchWork`].
pub(super) fn limited<T>(decide: impl FnOnce() -> T) -> T {
    LEFT.set(MAX_REQUEST_WORK);
    let decided = decide();
    LEFT.set(u64::MAX);
    decided
}

/// Counts some work.
pub(super) fn spend(units: u64) {
    let left = LEFT.get().checked_sub(units);
    LEFT.set(left.unwrap_or_default());
    if left.is_none() {
        resume_unwind(Box::new(TooMuchWork));
    }
}

/// Makes a macro count so many units in each step, before anything in the step can fail.
pub(super) fn count_steps(c: &mut ComprehensionExpr, units: u64) {
    let spend = call(
        SPEND,
        vec![expression(Expr::Literal(LiteralValue::Int(i64::try_from(units).unwrap_or(i64::MAX).into())))],
    );
    let and = |condition: &mut IdedExpr, spend| {
        let written = std::mem::take(condition);
        *condition = call(op::LOGICAL_AND, vec![spend, written]);
    };
    match &mut c.loop_step.expr {
        // `exists` and `all`.
        Expr::Call(CallExpr { func_name, args, .. })
            if matches!(func_name.as_str(), op::LOGICAL_OR | op::LOGICAL_AND) =>
        {
            args.get_mut(1).into_iter().for_each(|condition| and(condition, spend.clone()));
        }
        // `filter`, `exists_one`, and `map` with a condition.
        Expr::Call(CallExpr { func_name, args, .. }) if func_name == op::CONDITIONAL => {
            args.first_mut().into_iter().for_each(|condition| and(condition, spend.clone()));
        }
        // `map`.
        _ => {
            let (step, result) =
                (std::mem::take(&mut c.loop_step), expression(Expr::Ident(c.accu_var.clone())));
            c.loop_step = call(op::CONDITIONAL, vec![spend, step, result]);
        }
    }
}

fn call(function: &str, args: Vec<IdedExpr>) -> IdedExpr {
    expression(Expr::Call(CallExpr { func_name: function.to_owned(), target: None, args }))
}

fn expression(expr: Expr) -> IdedExpr {
    IdedExpr { id: 0, expr }
}
