//! Warnings about a valid policy that probably does not do what its owner wants.

mod trust;
mod weakness;

use std::collections::BTreeSet;
use std::fmt;

use cel::common::ast::operators as op;
use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue};

use super::check::constants::{collect_variables, text};
use super::compile::{Compiled, Lets};
use super::lists::Lists;
use super::{Policy, Rule};
use crate::model::{RepoPattern, Verdict};
use weakness::Weakness;

/// A part of a policy that is valid, but probably wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The part of the policy, such as ``rule `staff` ``.
    pub subject: String,
    /// The text names the probable mistake, and says how to mend it.
    pub text: String,
    /// Whether the part is a list that cannot be read. Then the rules that read the list cannot be evaluated.
    pub is_unreadable_list: bool,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}: {}", self.subject, self.text)
    }
}

/// All warnings about a policy.
pub(super) fn of(policy: &Policy) -> Vec<Warning> {
    let Policy { rules, lets, default, lists_read, constants, .. } = policy;
    let (lists, lets_read) = (&constants.lists, rules.iter().flat_map(Rule::lets).collect::<BTreeSet<_>>());
    let mut found = Vec::new();
    let mut warn = |subject: String, text: &str| {
        found.push(Warning { subject, text: text.to_owned(), is_unreadable_list: false });
    };
    match default.then {
        Verdict::Accept => warn(
            "`default`".to_owned(),
            "it accepts everybody whom no rule stops; write `default = \"hold\"`, and add rules that accept",
        ),
        Verdict::Reject | Verdict::Reset if default.reason.is_none() => warn(
            "`default`".to_owned(),
            "the requesters do not learn why; write `default = { then = \"…\", reason = \"…\" }`",
        ),
        _ => {}
    }
    for rule in rules {
        for text in of_rule(rule, lets, lists) {
            warn(format!("rule `{}`", rule.name), &text);
        }
    }
    for (position, each) in lets.compiled.iter().enumerate() {
        if !lets_read.contains(&position)
            && !lets.compiled.iter().any(|other| other.expression.lets.contains(&position))
        {
            warn(format!("let `{}`", each.checked.name), "no rule reads it; remove it, or use it in a rule");
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

fn of_rule(rule: &Rule, lets: &Lets, lists: &Lists) -> Vec<String> {
    let mut texts = Vec::new();
    let condition = rule.condition.with_lets(lets);
    if rule.then == Verdict::Accept {
        texts.extend(weak_accept(Weakness::of(&condition), rule.unless.is_some()).map(str::to_owned));
    }
    if is_never_true(&condition) {
        texts.push("it never matches; correct its `if`, or remove the rule".to_owned());
    }
    if rule.expressions().any(|each| mixes_and_with_or(each.source())) {
        texts.push(
            "`&&` and `||` are used without brackets, and `a || b && c` means `a || (b && c)`; write the brackets that you mean"
                .to_owned(),
        );
    }
    texts.extend(rule.repos.iter().flatten().filter_map(bare_name));
    if matches!(rule.then, Verdict::Reject | Verdict::Reset) && rule.reason.is_none() {
        texts.push(format!(
            "the requesters do not learn why they are {}; add a `reason`",
            if rule.then == Verdict::Reject { "rejected" } else { "reset" }
        ));
    }
    add_slips(&condition, rule.then == Verdict::Accept, lists, &mut texts);
    if let Some(unless) = &rule.unless {
        let unless = unless.with_lets(lets);
        add_slips(&unless, rule.then != Verdict::Accept, lists, &mut texts);
        texts.extend(weak_unless(&unless, rule.then).map(str::to_owned));
    }
    texts.sort();
    texts.dedup();
    texts
}

/// Whether a condition is true of every request, as far as its form shows it.
pub(super) fn is_always_true(condition: &Compiled, lets: &Lets) -> bool {
    Weakness::of(&condition.with_lets(lets)) == Weakness::Everybody
}

/// Whether a condition is true of no request, as far as its form shows it.
fn is_never_true(condition: &IdedExpr) -> bool {
    match &condition.expr {
        Expr::Literal(LiteralValue::Boolean(is_true)) => !is_true.inner(),
        Expr::Call(CallExpr { func_name, args, .. }) => match func_name.as_str() {
            op::LOGICAL_AND => args.iter().any(is_never_true),
            op::LOGICAL_OR => args.iter().all(is_never_true),
            _ => false,
        },
        _ => false,
    }
}

/// Whether an expression uses `&&` and `||` without brackets between them. The parser drops brackets, so this reads the source.
fn mixes_and_with_or(source: &str) -> bool {
    // Whether the innermost brackets contain `&&`, and whether they contain `||`.
    let (mut found, mut outer) = ([false; 2], Vec::new());
    let mut rest = source;
    while let Some(c) = rest.chars().next() {
        let mut length = c.len_utf8();
        match c {
            '\'' | '"' => {
                let is_end = |(at, end): &(usize, char)| {
                    *end == c && *at > 0 && !rest.get(..*at).is_some_and(|s| s.ends_with('\\'))
                };
                length = rest.char_indices().find(is_end).map_or(rest.len(), |(at, _)| at + 1);
            }
            '(' | '[' | '{' => outer.push(std::mem::take(&mut found)),
            ')' | ']' | '}' => found = outer.pop().unwrap_or_default(),
            ',' | '?' | ':' => found = [false; 2],
            _ => {
                found[0] |= rest.starts_with("&&");
                found[1] |= rest.starts_with("||");
                if found == [true; 2] {
                    return true;
                }
            }
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    false
}

/// `repos = ["acme"]` names an old model without an owner, and no repo of `acme`.
fn bare_name(pattern: &RepoPattern) -> Option<String> {
    match pattern {
        RepoPattern::One(repo) if repo.owner().is_none() => Some(format!(
            "`{repo}` in `repos` names one repo without an owner; write `{repo}/*` for all repos of `{repo}`"
        )),
        _ => None,
    }
}

fn weak_accept(weakness: Weakness, has_exception: bool) -> Option<&'static str> {
    match weakness {
        Weakness::None | Weakness::Length => None,
        Weakness::Presence => Some(
            "it only tests whether a value is there, so any value is enough; compare it with the values that you want to accept",
        ),
        Weakness::Empty => Some(
            "it is also true of an empty list: of a user without organizations, or of a request without answers; add \
             `size(…) > 0 && …`",
        ),
        Weakness::Negation => Some(
            "it accepts everybody who is not excluded, even with a value that you did not expect; name in `if` the users to \
             accept, and exclude the others with a rule that rejects or holds",
        ),
        Weakness::Everybody if has_exception => {
            Some("it accepts everybody but its exceptions; name in `if` the users to accept")
        }
        Weakness::Everybody => Some("it accepts everybody; name in `if` the users to accept"),
    }
}

/// Why an `unless` is true of more users than the owner means. A wide `unless` of a rule that accepts lets nobody in, so less is
/// warned of.
fn weak_unless(unless: &IdedExpr, then: Verdict) -> Option<&'static str> {
    let weakness = Weakness::of(unless);
    if weakness == Weakness::Everybody {
        return Some(
            "its `unless` is always true, so the rule never matches; remove the rule, or name the users to except",
        );
    }
    if reads_answers_alone(unless) {
        return Some(
            "its `unless` rests on answers alone, and a requester may answer anything; add a condition on data of the Hub, such as \
             `user.domain` or `user.verified_orgs`",
        );
    }
    match weakness {
        _ if then == Verdict::Accept => None,
        Weakness::Negation => Some("its `unless` excepts everybody who is not named; name users to except"),
        Weakness::Empty => Some(
            "its `unless` is also true of an empty list: of a user without organizations, or of a request without answers; add \
             `size(…) > 0 && …`",
        ),
        _ => None,
    }
}

/// Whether answers alone can make a condition true.
fn reads_answers_alone(condition: &IdedExpr) -> bool {
    if let Expr::Call(CallExpr { func_name, args, .. }) = &condition.expr
        && func_name == op::LOGICAL_OR
    {
        return args.iter().any(reads_answers_alone);
    }
    let mut variables = BTreeSet::new();
    collect_variables(condition, &mut variables);
    let reads = |names: &[&str]| names.iter().any(|name| variables.contains(*name));
    reads(&["fields"]) && !reads(&["user", "repo", "requested_at"])
}

/// Whether two expressions are written in the same way. Their ids differ.
fn same(a: &IdedExpr, b: &IdedExpr) -> bool {
    match (&a.expr, &b.expr) {
        (Expr::Select(a), Expr::Select(b)) => {
            a.field == b.field && a.test == b.test && same(&a.operand, &b.operand)
        }
        (Expr::Call(a), Expr::Call(b)) => {
            a.func_name == b.func_name
                && a.args.len() == b.args.len()
                && a.target.is_some() == b.target.is_some()
                && a.target.iter().zip(&b.target).all(|(one, other)| same(one, other))
                && a.args.iter().zip(&b.args).all(|(one, other)| same(one, other))
        }
        (Expr::Ident(a), Expr::Ident(b)) => a == b,
        (Expr::Literal(a), Expr::Literal(b)) => a == b,
        _ => false,
    }
}

/// Adds a warning for each part of an expression that is probably wrong. `lets_in` says whether a true expression gives a requester
/// access, or excepts them from a rule. The check has bounded the depth of the expression.
fn add_slips(expression: &IdedExpr, lets_in: bool, lists: &Lists, texts: &mut Vec<String>) {
    match &expression.expr {
        Expr::Select(select) => add_slips(&select.operand, lets_in, lists, texts),
        Expr::Call(call) => {
            texts.extend(open_end(call));
            texts.extend(number_as_text(call));
            texts.extend(minutes(call));
            texts.extend(trust::of_call(call, lists).filter(|_| lets_in));
            // A negated condition keeps requesters out.
            let lets_in = lets_in && call.func_name != op::LOGICAL_NOT;
            let operands = call.target.as_deref().into_iter().chain(&call.args);
            operands.for_each(|operand| add_slips(operand, lets_in, lists, texts));
        }
        Expr::List(list) => {
            list.elements.iter().for_each(|element| add_slips(element, lets_in, lists, texts));
        }
        Expr::Comprehension(c) => {
            texts.extend(trust::of_macro(c).filter(|_| lets_in));
            add_slips(&c.iter_range, lets_in, lists, texts);
            add_slips(&c.loop_step, lets_in, lists, texts);
        }
        _ => {}
    }
}

/// `user.domain.endsWith('acme.com')` is also true of `evilacme.com`.
fn open_end(call: &CallExpr) -> Option<String> {
    let is_domain = matches!(trust::source(call.target.as_deref()?), Some("user.domain" | "user.email"));
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

/// `duration('3m')` may be meant as three months. No policy needs a wait of some minutes.
fn minutes(CallExpr { func_name, args, .. }: &CallExpr) -> Option<String> {
    let number = text(args.first()?)?.strip_suffix('m').filter(|_| func_name == "duration")?;
    let is_short = number.parse::<u32>().is_ok_and(|number| number < 60);
    is_short.then(|| {
        format!("`duration('{number}m')` is {number} minutes; write a time of days in hours, such as `duration('72h')`")
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
