//! Comparisons that are true of more than the owner means, because a requester can choose the rest of the value.

use cel::common::ast::operators as op;
use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, IdedExpr, LiteralValue};

use super::super::lists::{List, Lists};
use super::text;

/// The functions that compare a part of a text.
const PARTIAL: [&str; 4] = ["startsWith", "endsWith", "contains", "matches"];

/// The functions whose result is a part of a text, or a slightly changed text.
const EDITS: [&str; 7] = ["lowerAscii", "upperAscii", "trim", "replace", "substring", "split", "string"];

/// Why a call in a condition that lets people in is true of more people than the owner means.
pub(super) fn of_call(call: &CallExpr, lists: &Lists) -> Option<String> {
    let function = call.func_name.as_str();
    let operands: Vec<&IdedExpr> = call.target.as_deref().into_iter().chain(&call.args).collect();
    let [value, other, ..] = operands.as_slice() else { return None };
    let is_comparison = matches!(function, op::EQUALS | op::IN);
    match source(value).or_else(|| source(other).filter(|_| function == op::EQUALS)) {
        Some("user.domain" | "user.email") => match (function, text(other)) {
            ("startsWith", Some(start)) => Some(format!(
                "`startsWith('{start}')` is also true of other domains, because it does not compare the end; compare the whole \
                 value with `==`, or write `user.domain.under(…)`"
            )),
            ("matches", Some(pattern)) => open_pattern(pattern),
            ("under", _) => top_level(other, lists),
            _ => None,
        },
        Some("user.name") if PARTIAL.contains(&function) => Some(format!(
            "anybody can take a name for which `{function}` on `user.name` is true; compare whole names, such as \
             `user.name in lists.colleagues`"
        )),
        Some("user.fullname") if is_comparison || PARTIAL.contains(&function) => Some(
            "anybody can take any full name; compare `user.name` or `user.email` instead of `user.fullname`"
                .to_owned(),
        ),
        Some("fields")
            if function == "under"
                || (is_comparison || PARTIAL.contains(&function)) && has_address(other, lists) =>
        {
            Some(ADDRESS.to_owned())
        }
        Some("fields") => match (function, text(other)) {
            ("contains", Some(part)) => Some(open_answer(function, part)),
            ("matches", Some(pattern)) if !(pattern.contains('^') && pattern.contains('$')) => {
                Some(open_answer(function, pattern))
            }
            _ => None,
        },
        _ if function == op::SUBSTRACT && is_year(value) => Some(
            "the difference of two calendar years is one too many before the birthday of this year; write `age(…)`".to_owned(),
        ),
        _ => None,
    }
}

fn open_answer(function: &str, part: &str) -> String {
    format!(
        "`{function}('{part}')` is also true of an answer that says the opposite in more words; compare the whole answer, such as \
         `fields['…'] in ['…', '…']`"
    )
}

fn is_year(value: &IdedExpr) -> bool {
    matches!(&value.expr, Expr::Call(call) if call.func_name == "getFullYear")
}

/// The top-level domains that only certain institutions can have.
const RESTRICTED: [&str; 4] = ["edu", "gov", "int", "mil"];

/// Why `under` is true of more domains than the owner means: it names a whole top-level domain.
fn top_level(domains: &IdedExpr, lists: &Lists) -> Option<String> {
    let warning = |domain: &str| {
        let is_open =
            !domain.contains('.') && !RESTRICTED.iter().any(|known| known.eq_ignore_ascii_case(domain));
        is_open.then(|| {
            format!(
                "`under('{domain}')` is true of every domain that ends in `.{domain}`; write whole domains"
            )
        })
    };
    match &domains.expr {
        Expr::List(list) => list.elements.iter().find_map(|element| warning(text(element)?)),
        _ => match find_list(domains, lists) {
            Some(List { entries: Ok(entries), is_file: false, .. }) => entries.iter().find_map(warning),
            _ => warning(text(domains)?),
        },
    }
}

/// The list that `lists.name` names.
fn find_list<'l>(expression: &IdedExpr, lists: &'l Lists) -> Option<&'l List> {
    match &expression.expr {
        Expr::Select(select) if matches!(&select.operand.expr, Expr::Ident(name) if name == "lists") => {
            lists.get(lists.position(&select.field)?)
        }
        _ => None,
    }
}

const ADDRESS: &str = "an answer may be the address of somebody else; compare `user.email` or `user.domain` instead of the answer";

/// Why a macro is true of more users than the owner means.
pub(super) fn of_macro(c: &ComprehensionExpr) -> Option<String> {
    let mut calls = Vec::new();
    collect_calls(&c.loop_step, &mut calls);
    let is_variable = |part: &IdedExpr| matches!(&part.expr, Expr::Ident(name) if *name == c.iter_var);
    let compares_part = |call: &&CallExpr| {
        PARTIAL.contains(&call.func_name.as_str()) && call.target.as_deref().is_some_and(is_variable)
    };
    if source(&c.iter_range) == Some("user.orgs") && calls.iter().any(compares_part) {
        return Some(
            "anybody can create an organization whose name begins or ends like another one; compare whole names, such as \
             `'acme' in user.verified_orgs`"
                .to_owned(),
        );
    }
    let is_any = calls.first().is_some_and(|call| call.func_name == op::LOGICAL_OR);
    let reads_answer = |call: &&CallExpr| {
        let is_fields = |of: &IdedExpr| matches!(&of.expr, Expr::Ident(name) if name == "fields");
        matches!(call.args.as_slice(), [of, label] if is_fields(of) && is_variable(label))
    };
    (is_any && matches!(&c.iter_range.expr, Expr::List(_)) && calls.iter().any(reads_answer)).then(|| {
        "one of the answers is enough for `exists`; if each of them is needed, write `all`".to_owned()
    })
}

fn collect_calls<'e>(expression: &'e IdedExpr, calls: &mut Vec<&'e CallExpr>) {
    if let Expr::Call(call) = &expression.expr {
        calls.push(call);
        call.target
            .as_deref()
            .into_iter()
            .chain(&call.args)
            .for_each(|operand| collect_calls(operand, calls));
    }
}

/// The attribute that a text is made from, or `fields` if it is made from an answer.
pub(super) fn source(value: &IdedExpr) -> Option<&'static str> {
    match &value.expr {
        Expr::Select(select) => attribute(&select.operand, &select.field),
        Expr::Call(call) if call.func_name == op::INDEX => match call.args.as_slice() {
            [of, IdedExpr { expr: Expr::Literal(LiteralValue::String(name)), .. }] => {
                attribute(of, name.inner())
            }
            [of, _] => source(of).or_else(|| attribute(of, "")),
            _ => None,
        },
        Expr::Call(call) if EDITS.contains(&call.func_name.as_str()) => {
            source(call.target.as_deref().or(call.args.first())?)
        }
        _ => None,
    }
}

fn attribute(of: &IdedExpr, name: &str) -> Option<&'static str> {
    let known = ["user.name", "user.email", "user.domain", "user.fullname", "user.orgs"];
    match &of.expr {
        Expr::Ident(variable) if variable == "fields" => Some("fields"),
        Expr::Ident(variable) if variable == "user" => {
            known.into_iter().find(|known| known.strip_prefix("user.") == Some(name))
        }
        _ => None,
    }
}

/// Whether a text, or an entry of a list, has the form of an address.
fn has_address(expression: &IdedExpr, lists: &Lists) -> bool {
    match &expression.expr {
        Expr::List(list) => list.elements.iter().any(|element| has_address(element, lists)),
        _ => {
            find_list(expression, lists).is_some_and(List::has_addresses)
                || text(expression).is_some_and(|text| text.contains('@'))
        }
    }
}

/// Why a pattern matches more domains than the owner means: a dot in it, or one of its ends, is open.
fn open_pattern(pattern: &str) -> Option<String> {
    let has_open_dot = pattern.as_bytes().windows(3).any(|part| {
        matches!(part, [before, b'.', after] if before.is_ascii_alphanumeric() && after.is_ascii_alphanumeric())
    });
    if has_open_dot {
        return Some(format!("in `matches('{pattern}')` the dot stands for any character; write `[.]`"));
    }
    let fixed_starts = ["^", "@", "[.]", "[@.]", "[.@]", "\\.", ".*[.]", ".+[.]", ".*\\.", ".+\\."];
    let start = pattern.trim_start_matches("(?i)").trim_start_matches('(');
    if !fixed_starts.iter().any(|fixed| start.starts_with(fixed)) {
        return Some(format!(
            "`matches('{pattern}')` is also true of other domains that end in this way; begin the pattern with `(^|[.])`, or \
             write `user.domain.under(…)`"
        ));
    }
    (!pattern.trim_end_matches(')').ends_with('$')).then(|| {
        format!(
            "`matches('{pattern}')` is also true of other domains that begin in this way; end the pattern with `$`, or write \
             `user.domain.under(…)`"
        )
    })
}
