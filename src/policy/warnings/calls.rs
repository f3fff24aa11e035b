//! Calls that are probably wrong wherever they stand: mistaken units, numbers that are compared as text.

use cel::common::ast::operators as op;
use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue};

use super::text;

/// Why a call is probably wrong.
pub(super) fn of_call(call: &CallExpr) -> Option<String> {
    number_as_text(call)
        .or_else(|| duration(call))
        .or_else(|| weekday(call))
        .or_else(|| difference_of_years(call))
        .or_else(|| time_since_answer(call))
}

const ORDERS: [&str; 4] = [op::LESS, op::LESS_EQUALS, op::GREATER, op::GREATER_EQUALS];

/// `fields['Age'] >= '18'` compares text, in which `'9'` comes after `'18'`.
fn number_as_text(call: &CallExpr) -> Option<String> {
    let is_date =
        |text: &str| text.starts_with(|c: char| c.is_ascii_digit()) && text.contains(['-', '.', '/']);
    let is_number = |text: &str| text.trim().parse::<f64>().is_ok();
    let number = call.args.iter().filter_map(text).find(|text| is_date(text) || is_number(text))?;
    ORDERS.contains(&call.func_name.as_str()).then(|| {
        if is_number(number) {
            format!("'{number}' is compared as text, in which '9' comes after '18'; write `int(…)` around the answer, and {number}")
        } else {
            format!(
                "'{number}' is compared as text, in which '01.01.2020' comes before '2008-11-22'; write `age(…)`, or compare \
                 `timestamp(…)`"
            )
        }
    })
}

/// `duration('3m')` may be meant as three months, and `duration('72m')` as 72 hours. No policy needs a wait of some minutes.
fn duration(CallExpr { func_name, args, .. }: &CallExpr) -> Option<String> {
    let text = text(args.first()?).filter(|_| func_name == "duration")?;
    let seconds = |unit: char, seconds: i64| {
        Some(text.strip_suffix(unit)?.parse::<i64>().ok()?.saturating_mul(seconds))
    };
    let all = seconds('h', 3600).or_else(|| seconds('m', 60)).or_else(|| seconds('s', 1))?;
    // 72, 96 and 168 are usual numbers of hours.
    let is_day = text.ends_with('m') && all % (24 * 60) == 0 && all % 3600 != 0;
    let what = match all {
        _ if text.starts_with('-') => "is negative, so it is always over".to_owned(),
        _ if all >= 3600 && !is_day => return None,
        60 => "is 1 minute".to_owned(),
        _ if text.ends_with('m') => format!("is {} minutes", all / 60),
        _ => format!("is only {all} s"),
    };
    Some(format!("`duration('{text}')` {what}; write a time of days in hours, such as `duration('72h')`"))
}

/// `now.getDayOfWeek() < 5` is true of Sunday, which is 0.
fn weekday(CallExpr { func_name, args, .. }: &CallExpr) -> Option<String> {
    let [
        IdedExpr { expr: Expr::Call(day), .. },
        IdedExpr { expr: Expr::Literal(LiteralValue::Int(number)), .. },
    ] = args.as_slice()
    else {
        return None;
    };
    let counts_from_monday = matches!(
        (func_name.as_str(), *number.inner()),
        (op::LESS | op::GREATER_EQUALS, 5) | (op::LESS_EQUALS | op::GREATER, 4)
    );
    (day.func_name == "getDayOfWeek" && counts_from_monday).then(|| {
        "`getDayOfWeek` is 0 on Sunday and 5 on Friday; write `now.getDayOfWeek() in [1, 2, 3, 4, 5]` for Monday to Friday".to_owned()
    })
}

/// The difference of calendar years is not an age.
fn difference_of_years(CallExpr { func_name, args, .. }: &CallExpr) -> Option<String> {
    let is_year =
        |value: &IdedExpr| matches!(&value.expr, Expr::Call(call) if call.func_name == "getFullYear");
    (func_name == op::SUBSTRACT && args.first().is_some_and(is_year)).then(|| {
        "the difference of two calendar years is one too many before the birthday of this year; write `age(…)`".to_owned()
    })
}

/// `now - timestamp(fields['Born']) > duration('18h')` means years, which no duration has.
fn time_since_answer(CallExpr { func_name, args, .. }: &CallExpr) -> Option<String> {
    let is_answer = |value: &IdedExpr| {
        matches!(&value.expr, Expr::Call(call) if call.func_name == "timestamp"
            && call.args.first().is_some_and(|of| !matches!(of.expr, Expr::Literal(_))))
    };
    let [now, since] = args.as_slice() else { return None };
    let is_now = matches!(&now.expr, Expr::Ident(name) if name == "now");
    (func_name == op::SUBSTRACT && is_now && is_answer(since))
        .then(|| "the requester writes the time that it reads, and no duration has years; write `age(…)` for a date of birth".to_owned())
}
