//! Slips: comparisons that give the same result for every request, so the owner must have meant something else.

use cel::common::ast::operators as op;
use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue};

use super::super::expressions::{call, int, is_variable, operands, operands_of, text};
use super::kinds::{Kind, fault_in, path};
use super::origin::show;
use super::types::Type::{self, Name};

/// Checks a call whose types are right, before it is rewritten. `types` are those of its operands.
pub(super) fn check(call: &CallExpr, types: &[Type]) -> Result<(), String> {
    let operands = operands(call);
    let (function, [a, b]) = (call.func_name.as_str(), operands.as_slice()) else { return Ok(()) };
    // If one side is a name, or made from one, the case of the other does not matter either.
    let ignores_case = types.contains(&Name);
    match function {
        op::EQUALS | op::NOT_EQUALS => {
            check_literals(a, op::EQUALS, b, ignores_case)?;
            check_literals(b, op::EQUALS, a, ignores_case)?;
            check_number(a, function, b)?;
            check_number(b, function, a)
        }
        op::LESS | op::LESS_EQUALS | op::GREATER | op::GREATER_EQUALS if is_in_the_past(a, function, b) => {
            Err(PAST.to_owned())
        }
        op::LESS => check_number(a, function, b).and(check_number(b, op::GREATER, a)),
        op::LESS_EQUALS => check_number(a, function, b).and(check_number(b, op::GREATER_EQUALS, a)),
        op::GREATER => check_number(a, function, b).and(check_number(b, op::LESS, a)),
        op::GREATER_EQUALS => check_number(a, function, b).and(check_number(b, op::LESS_EQUALS, a)),
        op::IN | "under" if matches!(&b.expr, Expr::List(list) if list.elements.is_empty()) => {
            Err("the list is empty, so the condition is never true; remove it".to_owned())
        }
        op::IN => check_literals(a, op::EQUALS, b, ignores_case).and(check_element(a, b)),
        "matches" => text(b).map_or(Ok(()), |pattern| check_pattern(a, pattern, ignores_case)),
        "contains" | "startsWith" | "endsWith" | "under" => check_literals(a, function, b, ignores_case),
        _ => Ok(()),
    }
}

const PAST: &str = "`requested_at` is always before `now`; to wait for some time, write \
     `now - requested_at > duration('24h')`";

/// Whether an order of two times or durations is the same for every request, because `requested_at` is before `now`.
fn is_in_the_past(a: &IdedExpr, function: &str, b: &IdedExpr) -> bool {
    let is_less = matches!(function, op::LESS | op::LESS_EQUALS);
    let (less, greater) = if is_less { (a, b) } else { (b, a) };
    let is_difference = |of: &IdedExpr| {
        operands_of(op::SUBSTRACT, of)
            .is_some_and(|[a, b]| is_variable(a, "requested_at") && is_variable(b, "now"))
    };
    let is_before_request = operands_of(op::SUBSTRACT, less)
        .is_some_and(|[from, time]| is_variable(from, "requested_at") && is_positive_duration(time));
    is_before_request && is_variable(greater, "now")
        || is_difference(a) && is_positive_duration(b)
        || is_positive_duration(a) && is_difference(b)
}

fn is_positive_duration(expression: &IdedExpr) -> bool {
    let duration = operands_of("duration", expression).and_then(|[duration]| text(duration));
    duration.is_some_and(|text| !text.starts_with('-'))
}

/// `'acme.com' in user.orgs` compares the text with the elements of a list.
fn check_element(text: &IdedExpr, list: &IdedExpr) -> Result<(), String> {
    let is_orgs = matches!(path(list).as_deref(), Some("user.orgs" | "user.verified_orgs"));
    match (&text.expr, is_orgs) {
        (Expr::Literal(LiteralValue::String(text)), true) => {
            fault_in(Kind::Account, op::EQUALS, text.inner())
                .map_or(Ok(()), |why| Err(refusal(&show(list), text.inner(), &why)))
        }
        _ => Ok(()),
    }
}

/// Checks the literal texts that a value is compared with: one text, or the texts of a list.
fn check_literals(
    value: &IdedExpr,
    function: &str,
    literals: &IdedExpr,
    ignores_case: bool,
) -> Result<(), String> {
    match &literals.expr {
        Expr::Literal(LiteralValue::String(text)) => check_text(value, function, text.inner(), ignores_case),
        Expr::List(list) => list
            .elements
            .iter()
            .try_for_each(|element| check_literals(value, function, element, ignores_case)),
        _ => Ok(()),
    }
}

/// Checks a text that a value is compared with by `==`, `contains`, `startsWith`, `endsWith` or `under`.
pub(super) fn check_text(
    value: &IdedExpr,
    function: &str,
    text: &str,
    ignores_case: bool,
) -> Result<(), String> {
    let path = path(value);
    if function == "under" {
        if path.as_deref() == Some("user.email") {
            return Err("`under` reads a domain; write `user.domain.under(…)`".to_owned());
        }
        return fault_in(Kind::Domain, op::EQUALS, text)
            .map_or(Ok(()), |why| Err(refusal(&show(value), text, &why)));
    }
    let kind = path.as_deref().and_then(Kind::of);
    let Some(kind) = kind.filter(|kind| *kind != Kind::Id) else {
        return check_changed(value, function, text, ignores_case);
    };
    if path.as_deref() == Some("user.service_account") && text.is_empty() {
        return Ok(());
    }
    fault_in(kind, function, text).map_or(Ok(()), |why| Err(refusal(&show(value), text, &why)))
}

fn refusal(value: &str, text: &str, why: &str) -> String {
    format!("`{value}` is compared with '{text}', but {why}")
}

/// `x.lowerAscii() == 'Acme'` is never true, and neither is `x.trim() == ' a'`.
fn check_changed(value: &IdedExpr, function: &str, text: &str, ignores_case: bool) -> Result<(), String> {
    let Some((name, operands)) = call(value) else { return Ok(()) };
    let changed = match name {
        "lowerAscii" => text.to_ascii_lowercase(),
        "upperAscii" => text.to_ascii_uppercase(),
        "trim" if function == op::EQUALS => text.trim().to_owned(),
        "trim" if function == "startsWith" => text.trim_start().to_owned(),
        "trim" if function == "endsWith" => text.trim_end().to_owned(),
        _ => return Ok(()),
    };
    if changed == text || ignores_case && changed.eq_ignore_ascii_case(text) {
        return Ok(());
    }
    Err(format!(
        "`{}.{name}()` is compared with '{text}', which it never contains; write '{changed}'",
        operands.first().map_or_else(String::new, |of| show(of))
    ))
}

/// Checks a pattern that is matched with a value whose characters are known.
fn check_pattern(value: &IdedExpr, pattern: &str, ignores_case: bool) -> Result<(), String> {
    let kind = path(value).as_deref().and_then(Kind::of);
    if let (Some(kind), Some(before)) = (kind, before_needed_at(pattern)) {
        if matches!(kind, Kind::Domain | Kind::Account) {
            return Err(refusal(&show(value), pattern, &format!("{} contains no `@`", kind.noun())));
        }
        if kind == Kind::Address && before == "^" {
            return Err(refusal(&show(value), pattern, "an e-mail address has text before the `@`"));
        }
    }
    let plain = pattern.trim_start_matches('^').trim_end_matches('$');
    if plain.contains(|c: char| "|()[]{}?*+\\".contains(c)) {
        return Ok(());
    }
    check_changed(value, "contains", plain, ignores_case)
}

/// The part of a pattern before an `@` that every matching text contains. If that is not sure, there is none: the `@` may be in
/// brackets, be repeated, or be in an alternative.
fn before_needed_at(pattern: &str) -> Option<&str> {
    let (before, after) = pattern.split_once('@')?;
    let is_closed = |open, close| before.matches(open).count() == before.matches(close).count();
    let is_sure = is_closed('[', ']')
        && is_closed('(', ')')
        && ![r"\)", r"\]"].iter().any(|escaped| before.contains(escaped))
        && !pattern.contains('|')
        && !after.starts_with(['?', '*', '{', ']']);
    is_sure.then_some(before)
}

/// Checks a whole number that a part of a time, or the size of a value, is compared with.
fn check_number(value: &IdedExpr, function: &str, number: &IdedExpr) -> Result<(), String> {
    let (Some((name, operands)), Some(number)) = (call(value), int(number)) else { return Ok(()) };
    let Some(of) = operands.first() else { return Ok(()) };
    let name = name.trim_start_matches('@');
    // The parts of a duration have no such limit: `duration('72h').getHours()` is 72.
    let is_time = is_time(of);
    let (from, to) = match name {
        "getMonth" => (0, 11),
        "getDate" => (1, 31),
        "getDayOfMonth" => (0, 30),
        "getDayOfWeek" => (0, 6),
        "getDayOfYear" => (0, 365),
        "getHours" if is_time => (0, 23),
        "getMinutes" | "getSeconds" if is_time => (0, 59),
        "getMilliseconds" if is_time => (0, 999),
        "age" => (0, MAX_AGE),
        "size" => (least_size(of), i64::MAX),
        "indexOf" => (-1, i64::MAX),
        _ => return Ok(()),
    };
    let is_constant = match function {
        op::EQUALS | op::NOT_EQUALS => number < from || number > to,
        op::LESS | op::GREATER_EQUALS => number <= from || number > to,
        op::LESS_EQUALS | op::GREATER => number < from || number >= to,
        _ => false,
    };
    if !is_constant {
        return Ok(());
    }
    let range = if to == i64::MAX { format!("at least {from}") } else { format!("from {from} to {to}") };
    let hint = match name {
        "getMonth" => "; January is 0",
        "size" if is_split(of) => {
            ", also of a blank text; first remove the blank parts with `.filter(part, part.trim() != '')`"
        }
        _ => "",
    };
    Err(format!(
        "`{name}` is {range}{hint}, so its comparison with {number} gives the same result for every request"
    ))
}

/// Whether an expression is certainly a time, and not a duration.
fn is_time(expression: &IdedExpr) -> bool {
    ["now", "requested_at"].iter().any(|name| is_variable(expression, name))
        || call(expression).is_some_and(|(function, _)| function == "timestamp")
}

/// More years than anybody is old.
const MAX_AGE: i64 = 1000;

/// The least size of a value. `''.split(',')` has one part, and no name is empty.
fn least_size(of: &IdedExpr) -> i64 {
    let names = ["user.name", "user.email", "user.domain", "user.id", "repo.name", "repo.owner", "repo.type"];
    let is_name = path(of).is_some_and(|path| names.contains(&path.as_str()));
    i64::from(is_name || is_split(of))
}

/// `text.split(',')`, with a separator and without a limit.
fn is_split(parts: &IdedExpr) -> bool {
    let separator = operands_of("split", parts).and_then(|[_, separator]| text(separator));
    separator.is_some_and(|separator| !separator.is_empty())
}
