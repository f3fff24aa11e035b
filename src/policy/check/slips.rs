//! Slips: comparisons that give the same result for every request, so the owner must have meant something else.

use cel::common::ast::operators as op;
use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue};

use super::origin::show;

/// Checks a call whose types are right, before it is rewritten.
pub(super) fn check(call: &CallExpr) -> Result<(), String> {
    let operands: Vec<&IdedExpr> = call.target.as_deref().into_iter().chain(&call.args).collect();
    let (function, [a, b]) = (call.func_name.as_str(), operands.as_slice()) else { return Ok(()) };
    match function {
        op::EQUALS | op::NOT_EQUALS => {
            check_literals(a, op::EQUALS, b)?;
            check_literals(b, op::EQUALS, a)?;
            check_number(a, function, b)?;
            check_number(b, function, a)
        }
        op::GREATER | op::GREATER_EQUALS if is_variable(a, "now") && is_in_the_past(b) => {
            Err(PAST.to_owned())
        }
        op::LESS | op::LESS_EQUALS if is_in_the_past(a) && is_variable(b, "now") => Err(PAST.to_owned()),
        op::LESS => check_number(a, function, b).and(check_number(b, op::GREATER, a)),
        op::LESS_EQUALS => check_number(a, function, b).and(check_number(b, op::GREATER_EQUALS, a)),
        op::GREATER => check_number(a, function, b).and(check_number(b, op::LESS, a)),
        op::GREATER_EQUALS => check_number(a, function, b).and(check_number(b, op::LESS_EQUALS, a)),
        op::IN => check_literals(a, op::EQUALS, b).and(check_element(a, b)),
        "contains" | "startsWith" | "endsWith" | "under" => check_literals(a, function, b),
        _ => Ok(()),
    }
}

const PAST: &str = "`requested_at` is always before `now`; to wait for some time, write \
     `now - requested_at > duration('24h')`";

fn is_variable(expression: &IdedExpr, variable: &str) -> bool {
    matches!(&expression.expr, Expr::Ident(name) if name == variable)
}

/// Whether an expression is a time before `requested_at`.
fn is_in_the_past(expression: &IdedExpr) -> bool {
    match &expression.expr {
        Expr::Call(CallExpr { func_name, args, .. }) if func_name == op::SUBSTRACT => {
            args.first().is_some_and(|from| is_variable(from, "requested_at"))
        }
        _ => false,
    }
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
fn check_literals(value: &IdedExpr, function: &str, literals: &IdedExpr) -> Result<(), String> {
    match &literals.expr {
        Expr::Literal(LiteralValue::String(text)) => check_text(value, function, text.inner()),
        Expr::List(list) => {
            list.elements.iter().try_for_each(|element| check_literals(value, function, element))
        }
        _ => Ok(()),
    }
}

/// Checks a text that a value is compared with by `==`, `contains`, `startsWith`, `endsWith` or `under`.
pub(super) fn check_text(value: &IdedExpr, function: &str, text: &str) -> Result<(), String> {
    let path = path(value);
    if function == "under" {
        if path.as_deref() == Some("user.email") {
            return Err("`under` reads a domain; write `user.domain.under(…)`".to_owned());
        }
        return fault_in(Kind::Domain, op::EQUALS, text)
            .map_or(Ok(()), |why| Err(refusal(&show(value), text, &why)));
    }
    let kind = match path.as_deref() {
        Some("user.domain") => Kind::Domain,
        Some("user.email") => Kind::Address,
        Some("user.name" | "repo.owner") => Kind::Account,
        Some("user.service_account") if !text.is_empty() => Kind::Account,
        Some("repo.name") => Kind::RepoName,
        Some("repo.type") => Kind::RepoType,
        _ => return check_changed(value, function, text),
    };
    fault_in(kind, function, text).map_or(Ok(()), |why| Err(refusal(&show(value), text, &why)))
}

fn refusal(value: &str, text: &str, why: &str) -> String {
    format!("`{value}` is compared with '{text}', but {why}")
}

/// The values whose form is known.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Domain,
    Address,
    /// The name of a user or an organization.
    Account,
    RepoName,
    RepoType,
}

impl Kind {
    fn noun(self) -> &'static str {
        match self {
            Self::Domain => "a domain",
            Self::Address => "an e-mail address",
            Self::Account => "such a name",
            Self::RepoName => "the name of a repo",
            Self::RepoType => "a type",
        }
    }
}

/// Why no value of this kind equals the text, or contains, begins or ends with it.
fn fault_in(kind: Kind, function: &str, text: &str) -> Option<String> {
    let is_whole = function == op::EQUALS;
    if is_whole && text.trim().is_empty() {
        return Some("it is never empty; to test whether it is there, use `has`".to_owned());
    }
    if kind == Kind::RepoType {
        let fits = |known: &str| match function {
            "contains" => known.contains(text),
            "startsWith" => known.starts_with(text),
            "endsWith" => known.ends_with(text),
            _ => known == text,
        };
        return (!["model", "dataset"].into_iter().any(fits))
            .then(|| "it is 'model' or 'dataset'".to_owned());
    }
    let what = kind.noun();
    if text.contains(char::is_whitespace) {
        return Some(format!("{what} contains no white space"));
    }
    match kind {
        Kind::Domain if text.contains('@') => {
            Some(format!("{what} contains no `@`; write '{}'", text.rsplit('@').next().unwrap_or_default()))
        }
        Kind::Domain if text.contains(['/', '*', ',']) => {
            Some(format!("{what} contains only letters, digits, `-` and `.`"))
        }
        Kind::Domain if is_whole && text.starts_with('.') => {
            let domain = text.trim_matches('.');
            Some(format!("{what} does not begin with a dot; write `user.domain.under('{domain}')`"))
        }
        Kind::Domain if text.ends_with('.') && matches!(function, op::EQUALS | "endsWith") => {
            Some(format!("{what} does not end with a dot"))
        }
        Kind::Address if is_whole && !text.contains('@') => {
            Some(format!("{what} contains an `@`; write `user.domain.under('{text}')` to compare its domain"))
        }
        Kind::Address if text.matches('@').count() > 1 => Some(format!("{what} contains one `@`")),
        Kind::Address if is_whole && (text.starts_with('@') || text.ends_with('@')) => {
            Some(format!("{what} has text on both sides of the `@`"))
        }
        Kind::Account if text.contains(['@', '/', '*']) => {
            Some(format!("{what} contains only letters, digits, `-`, `_` and `.`"))
        }
        Kind::RepoName if text.contains(['@', '*']) => {
            Some(format!("{what} contains only letters, digits, `-`, `_`, `.` and `/`"))
        }
        Kind::RepoName if text.starts_with("datasets/") || text.matches('/').count() > 1 => Some(format!(
            "{what} is written as 'owner/name'; test for a dataset with `repo.type == 'dataset'`"
        )),
        Kind::RepoName if is_whole && !text.contains('/') => {
            Some(format!("{what} begins with its owner; write 'owner/{text}'"))
        }
        _ => None,
    }
}

/// `x.lowerAscii() == 'Acme'` is never true, and neither is `x.trim() == ' a'`.
fn check_changed(value: &IdedExpr, function: &str, text: &str) -> Result<(), String> {
    let Expr::Call(call) = &value.expr else { return Ok(()) };
    let changed = match call.func_name.as_str() {
        "lowerAscii" => text.to_ascii_lowercase(),
        "upperAscii" => text.to_ascii_uppercase(),
        "trim" if function == op::EQUALS => text.trim().to_owned(),
        _ => return Ok(()),
    };
    // If the value is a name, its case does not matter.
    let is_name = call.target.as_deref().and_then(path).is_some_and(|path| {
        !matches!(path.as_str(), "user.fullname" | "user.id") && !path.starts_with("fields")
    });
    if changed == text || is_name && changed.eq_ignore_ascii_case(text) {
        return Ok(());
    }
    Err(format!(
        "`{}.{}()` is compared with '{text}', which it never contains; write '{changed}'",
        call.target.as_deref().map_or_else(|| "…".to_owned(), show),
        call.func_name
    ))
}

/// Checks a whole number that a part of a time, or the size of a value, is compared with.
fn check_number(value: &IdedExpr, function: &str, number: &IdedExpr) -> Result<(), String> {
    let (Expr::Call(call), Expr::Literal(LiteralValue::Int(number))) = (&value.expr, &number.expr) else {
        return Ok(());
    };
    let name = call.func_name.as_str();
    let is_duration = matches!(call.target.as_deref().map(|of| &of.expr), Some(Expr::Call(of))
        if matches!(of.func_name.as_str(), op::SUBSTRACT | op::ADD | "duration"));
    let (from, to) = match name {
        "getMonth" => (0, 11),
        "getDate" => (1, 31),
        "getDayOfMonth" => (0, 30),
        "getDayOfWeek" => (0, 6),
        "getDayOfYear" => (0, 365),
        "getHours" if !is_duration => (0, 23),
        "getMinutes" | "getSeconds" if !is_duration => (0, 59),
        "getMilliseconds" => (0, 999),
        "size" => (0, i64::MAX),
        "indexOf" => (-1, i64::MAX),
        _ => return Ok(()),
    };
    let number = *number.inner();
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
    let hint = if name == "getMonth" { "; January is 0" } else { "" };
    Err(format!(
        "`{name}` is {range}{hint}, so its comparison with {number} gives the same result for every request"
    ))
}

/// The path of an attribute: `user.domain` for both `user.domain` and `user['domain']`.
fn path(expression: &IdedExpr) -> Option<String> {
    match &expression.expr {
        Expr::Select(select) => match &select.operand.expr {
            Expr::Ident(variable) => Some(format!("{variable}.{}", select.field)),
            _ => None,
        },
        Expr::Call(CallExpr { func_name, args, .. }) if func_name == op::INDEX => match args.as_slice() {
            [
                IdedExpr { expr: Expr::Ident(variable), .. },
                IdedExpr { expr: Expr::Literal(LiteralValue::String(name)), .. },
            ] => Some(format!("{variable}.{}", name.inner())),
            _ => None,
        },
        _ => None,
    }
}
