//! Warnings about a valid policy: it probably does not do what its owner wants.

use std::collections::BTreeSet;
use std::fmt;

use cel::common::ast::operators as op;
use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue};

use super::Rule;
use super::check::constants::collect_variables;
use super::compile::Lets;
use super::document::DefaultVerdict;
use super::lists::Lists;
use crate::model::Verdict;

/// What is valid in a policy, but probably wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The part of the policy, such as ``rule `staff` ``.
    pub subject: String,
    /// What is probably wrong, and what to write instead.
    pub text: String,
    /// Whether it is a list that cannot be read, so that the rules which read it cannot be evaluated.
    pub is_unreadable_list: bool,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}: {}", self.subject, self.text)
    }
}

/// All warnings about a policy.
pub(super) fn of(
    rules: &[Rule],
    default: &DefaultVerdict,
    lets: &Lets,
    lets_read: &BTreeSet<usize>,
    lists: &Lists,
    lists_read: &BTreeSet<usize>,
) -> Vec<Warning> {
    let mut found = Vec::new();
    let mut warn = |subject: String, text: &str| {
        found.push(Warning { subject, text: text.to_owned(), is_unreadable_list: false });
    };
    match default.then {
        Verdict::Accept => warn(
            "`default`".to_owned(),
            "it accepts everybody whom no rule stops; write `default = \"hold\"`, and rules that accept",
        ),
        Verdict::Reject | Verdict::Reset if default.reason.is_none() => warn(
            "`default`".to_owned(),
            "the requesters do not learn why; write `default = { then = \"…\", reason = \"…\" }`",
        ),
        _ => {}
    }
    for rule in rules {
        for text in of_rule(rule, lets) {
            warn(format!("rule `{}`", rule.name), &text);
        }
    }
    for (position, of) in lets.compiled.iter().enumerate() {
        if !lets_read.contains(&position)
            && !lets.compiled.iter().any(|other| other.expression.lets.contains(&position))
        {
            warn(format!("let `{}`", of.name), "no rule reads it; remove it, or use it in a rule");
        }
    }
    for (position, list) in lists.iter().enumerate() {
        let warning = |text, is_unreadable_list| {
            let subject = format!("list `{}`", list.name);
            Warning { subject, text, is_unreadable_list }
        };
        found.extend(list.warnings().into_iter().map(|text| warning(text, list.entries.is_err())));
        if !lists_read.contains(&position) {
            let text = "no rule reads it; remove it, or use it in a rule";
            found.push(warning(text.to_owned(), false));
        }
    }
    found
}

fn of_rule(rule: &Rule, lets: &Lets) -> Vec<String> {
    let mut texts = Vec::new();
    let condition = rule.condition.parse_source();
    if rule.then == Verdict::Accept {
        if is_always_true(&condition) {
            texts.push(match rule.unless {
                None => "it accepts everybody; name in `if` whom you want to accept".to_owned(),
                Some(_) => {
                    "it accepts everybody but its exceptions; name in `if` whom you want to accept".to_owned()
                }
            });
        } else if rests_on_negation(&condition) {
            texts.push(
                "it accepts everybody who is not excluded, also with a value that you did not think of; name in `if` whom you \
                 want to accept, and exclude the others with a rule that rejects or holds"
                    .to_owned(),
            );
        }
    }
    if matches!(rule.then, Verdict::Reject | Verdict::Reset) && rule.reason.is_none() {
        texts.push(format!(
            "the requesters do not learn why they are {}; add a `reason`",
            if rule.then == Verdict::Reject { "rejected" } else { "reset" }
        ));
    }
    for expression in rule.expressions() {
        add_slips(&expression.parse_source(), &mut texts);
    }
    if let Some(unless) = &rule.unless {
        let mut variables = BTreeSet::new();
        collect_variables(&unless.parse_source(), &mut variables);
        for of in unless.lets.iter().filter_map(|position| lets.compiled.get(*position)) {
            collect_variables(&of.expression.parse_source(), &mut variables);
        }
        let reads = |names: &[&str]| names.iter().any(|name| variables.contains(*name));
        if reads(&["fields"]) && !reads(&["user", "repo", "requested_at"]) {
            texts.push(
                "its `unless` rests on answers alone, and a requester may answer anything; add something that the Hub knows, \
                 such as `user.domain` or `user.orgs`"
                    .to_owned(),
            );
        }
    }
    texts.sort();
    texts.dedup();
    texts
}

/// Whether an expression is true of every request, as far as its form shows it.
pub(super) fn is_always_true(expression: &IdedExpr) -> bool {
    match &expression.expr {
        Expr::Literal(LiteralValue::Boolean(is_true)) => *is_true.inner(),
        Expr::Call(CallExpr { func_name, args, .. }) => match (func_name.as_str(), args.as_slice()) {
            (op::LOGICAL_OR, [a, b]) => is_always_true(a) || is_always_true(b) || is_negation_of(a, b),
            (op::LOGICAL_AND, [a, b]) => is_always_true(a) && is_always_true(b),
            (op::EQUALS, [a, b]) => same(a, b),
            _ => false,
        },
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

/// Whether two expressions are written in the same way. Their ids differ.
fn same(a: &IdedExpr, b: &IdedExpr) -> bool {
    match (&a.expr, &b.expr) {
        (Expr::Select(a), Expr::Select(b)) => {
            a.field == b.field && a.test == b.test && same(&a.operand, &b.operand)
        }
        (Expr::Call(a), Expr::Call(b)) => {
            let operands = |call: &CallExpr| {
                call.target
                    .iter()
                    .map(|target| (**target).clone())
                    .chain(call.args.clone())
                    .collect::<Vec<_>>()
            };
            let (one, other) = (operands(a), operands(b));
            a.func_name == b.func_name
                && one.len() == other.len()
                && one.iter().zip(&other).all(|(one, other)| same(one, other))
        }
        (Expr::Ident(a), Expr::Ident(b)) => a == b,
        (Expr::Literal(a), Expr::Literal(b)) => a == b,
        _ => false,
    }
}

/// Whether an expression can be true of a value only because the value is not one of those that are named.
fn rests_on_negation(expression: &IdedExpr) -> bool {
    let Expr::Call(CallExpr { func_name, args, .. }) = &expression.expr else { return false };
    match (func_name.as_str(), args.as_slice()) {
        (op::NOT_EQUALS, [a, b]) => !is_blank(a) && !is_blank(b),
        (op::LOGICAL_NOT, [negated]) => compares(negated),
        (op::LOGICAL_OR, [a, b]) => rests_on_negation(a) || rests_on_negation(b),
        (op::LOGICAL_AND, [a, b]) => rests_on_negation(a) && rests_on_negation(b),
        _ => false,
    }
}

/// Whether an expression compares a value, so that its negation is true of every other value.
fn compares(expression: &IdedExpr) -> bool {
    match &expression.expr {
        Expr::Call(CallExpr { func_name, args, .. }) => match func_name.as_str() {
            op::EQUALS => !args.iter().any(is_blank),
            op::IN => !args
                .iter()
                .any(|arg| matches!(&arg.expr, Expr::Ident(name) if name == "fields" || name == "user")),
            op::LOGICAL_AND | op::LOGICAL_OR => args.iter().any(compares),
            "matches" | "contains" | "startsWith" | "endsWith" | "under" => true,
            _ => false,
        },
        Expr::Comprehension(c) => compares(&c.loop_step),
        _ => false,
    }
}

fn is_blank(expression: &IdedExpr) -> bool {
    text(expression).is_some_and(|text| text.trim().is_empty())
}

fn text(expression: &IdedExpr) -> Option<&str> {
    match &expression.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner()),
        _ => None,
    }
}

/// Adds what is probably wrong anywhere in an expression. It is no deeper nested than the check allows.
fn add_slips(expression: &IdedExpr, texts: &mut Vec<String>) {
    match &expression.expr {
        Expr::Select(select) => add_slips(&select.operand, texts),
        Expr::Call(call) => {
            texts.extend(open_end(call));
            texts.extend(number_as_text(call));
            call.target
                .as_deref()
                .into_iter()
                .chain(&call.args)
                .for_each(|operand| add_slips(operand, texts));
        }
        Expr::List(list) => list.elements.iter().for_each(|element| add_slips(element, texts)),
        Expr::Comprehension(c) => {
            add_slips(&c.iter_range, texts);
            add_slips(&c.loop_step, texts);
        }
        _ => {}
    }
}

/// `user.domain.endsWith('acme.com')` is also true of `evilacme.com`.
fn open_end(call: &CallExpr) -> Option<String> {
    let is_domain = matches!(&call.target.as_deref()?.expr, Expr::Select(select)
        if matches!(select.field.as_str(), "domain" | "email") && matches!(&select.operand.expr, Expr::Ident(user) if user == "user"));
    let end = call.args.first().and_then(text)?;
    let function = call.func_name.as_str();
    let is_open = match function {
        "endsWith" => !end.starts_with(['.', '@']) && !end.contains('@'),
        "contains" => true,
        _ => false,
    };
    (is_domain && is_open).then(|| {
        let domain = end.trim_matches(['.', '@']);
        format!(
            "`{function}('{end}')` is also true of other domains, such as {}; write `user.domain.under('{domain}')`",
            if function == "contains" { format!("`{domain}.example.org`") } else { format!("`evil{end}`") }
        )
    })
}

/// `fields['Age'] >= '18'` compares text, in which `'9'` comes after `'18'`.
fn number_as_text(call: &CallExpr) -> Option<String> {
    let is_order =
        matches!(call.func_name.as_str(), op::LESS | op::LESS_EQUALS | op::GREATER | op::GREATER_EQUALS);
    let number = call.args.iter().filter_map(text).find(|text| text.trim().parse::<f64>().is_ok())?;
    is_order.then(|| {
        format!("'{number}' is compared as text, in which '9' comes after '18'; write `int(…)` around the answer, and {number}")
    })
}
