//! Comparisons that are true of more than the owner means, because a requester can choose the rest of the value.
//!
//! The principle: a rule that lets somebody in compares the whole of a value. A part of a domain, an address or a name can be had by
//! anybody. If another part of the same `&&` names the users, the rest of it only makes the rule stricter.

use cel::common::ast::operators as op;
use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, IdedExpr, LiteralValue};

use super::super::lists::List;
use super::patterns::{open_answer, open_answer_pattern, open_pattern};
use super::reads::{Read, Scope, Texts};
use super::text;

/// The functions that compare a part of a text.
const PARTIAL: [&str; 4] = ["startsWith", "endsWith", "contains", "matches"];

/// Why a condition that lets people in is true of more people than the owner means. `answers_count` says whether the answers matter,
/// too.
pub(super) fn of_call(function: &str, call: &CallExpr, scope: &Scope, answers_count: bool) -> Option<String> {
    let operands: Vec<&IdedExpr> = call.target.as_deref().into_iter().chain(&call.args).collect();
    let [value, other, ..] = operands.as_slice() else { return None };
    let reads: Vec<Option<Read>> = operands.iter().map(|operand| scope.read(operand)).collect();
    if answers_count
        && function == op::EQUALS
        && let [Some(a), Some(b)] = reads.as_slice()
        && are_chosen_by_the_requester(a, b)
    {
        return Some(BOTH_CHOSEN.to_owned());
    }
    let read = reads.into_iter().flatten().next()?;
    let texts = scope.texts(other);
    let is_whole = read.is_whole && matches!(function, op::EQUALS | op::IN | op::INDEX);
    let is_comparison = matches!(function, op::EQUALS | op::IN) || PARTIAL.contains(&function);
    match read.source.as_str() {
        // This tests whether the value is there.
        _ if function == op::EQUALS && (is_blank(other) || is_blank(value)) => None,
        "user.domain" | "user.email" => match function {
            _ if is_whole => None,
            "under" => top_level(function, &texts),
            "matches" if read.is_whole => match texts.all.as_slice() {
                _ if matches_every_address(&texts, scope) => Some(EVERY_ADDRESS.to_owned()),
                all => all.iter().find_map(|pattern| open_pattern(pattern)),
            },
            "startsWith" | "endsWith" | "contains" => {
                open_part(function, &texts, read.is_whole).or_else(|| top_level(function, &texts))
            }
            _ => Some(PART.to_owned()),
        },
        "user.name" if !is_whole => Some(format!(
            "anybody can take a name of which {} is true; compare whole names, such as `user.name in lists.colleagues`",
            if PARTIAL.contains(&function) { format!("`{function}`") } else { "this condition".to_owned() }
        )),
        "user.orgs" if !is_whole => Some(ORGANIZATION.to_owned()),
        "user.fullname" if is_comparison => Some(
            "anybody can take any full name; compare `user.name` or `user.email` instead of `user.fullname`"
                .to_owned(),
        ),
        "fields" if answers_count => {
            if function == "under" || is_comparison && has_address(other, scope) {
                return Some(ADDRESS.to_owned());
            }
            match (function, texts.all.first()) {
                ("contains" | "startsWith" | "endsWith", Some(part)) => Some(open_answer(function, part)),
                ("matches", Some(_)) => texts.all.iter().find_map(|pattern| open_answer_pattern(pattern)),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Whether a true condition means that the requester is one of those whom the owner named, by data of the Hub.
pub(super) fn names_users<'e>(condition: &'e IdedExpr, scope: &mut Scope<'e>) -> bool {
    match &condition.expr {
        Expr::Call(call) => match (call.func_name.as_str(), call.args.as_slice()) {
            (op::LOGICAL_AND, [a, b]) => names_users(a, scope) || names_users(b, scope),
            (op::LOGICAL_OR, [a, b]) => names_users(a, scope) && names_users(b, scope),
            _ => is_named(call, scope),
        },
        Expr::Comprehension(c) => match &c.loop_step.expr {
            Expr::Call(CallExpr { func_name, args, .. }) if func_name == op::LOGICAL_OR => {
                let Some(condition) = args.get(1) else { return false };
                scope.enter(&c.iter_var, &c.iter_range);
                let names_users = names_users(condition, scope);
                scope.leave();
                names_users
            }
            _ => false,
        },
        _ => false,
    }
}

/// Whether a call compares data that names a user with constant texts, and is not too wide.
fn is_named(call: &CallExpr, scope: &Scope) -> bool {
    let mut operands = call.target.as_deref().into_iter().chain(&call.args);
    let mut reads = operands.by_ref().filter_map(|operand| scope.read(operand));
    let (read, other) = (reads.next(), reads.next());
    let is_comparison =
        matches!(call.func_name.as_str(), op::EQUALS | op::IN | "under" | "endsWith" | "matches");
    let names = ["user.name", "user.email", "user.domain", "user.id", "user.orgs", "user.verified_orgs"];
    is_comparison
        && other.is_none()
        && read.is_some_and(|read| read.is_whole && names.contains(&read.source.as_str()))
        && of_call(&call.func_name, call, scope, true).is_none()
}

/// Whether two values are chosen by the requester, so that their comparison proves nothing. A user name is left out, because a rule
/// may test whether the answers are about the requester.
fn are_chosen_by_the_requester(a: &Read, b: &Read) -> bool {
    let chosen = ["fields", "user.email", "user.domain", "user.fullname"];
    let has = |of: &Read, any: &[&str]| any.contains(&of.source.as_str());
    has(a, &chosen) && has(b, &chosen) && (has(a, &["fields"]) || has(b, &["fields"]))
}

const BOTH_CHOSEN: &str = "both sides are the requester's choice, so anybody can make them equal; add a condition on data that you \
     know, such as `&& user.domain.under(…)`, or reset requests in which they differ";

const EVERY_ADDRESS: &str = "its pattern matches every address, so it accepts everybody; name domains in it, or write \
     `user.domain.under(…)`";

const PART: &str = "it compares only a part of the address or the domain, and anybody can have an address with that part; compare the \
     whole value with `==` or `in`, or write `user.domain.under('acme.com')`";

const ORGANIZATION: &str = "anybody can create an organization whose name begins or ends like another one; compare whole names, such as \
     `'acme' in user.verified_orgs`";

const ADDRESS: &str = "an answer may be the address of somebody else; compare `user.email` or `user.domain` instead of the answer";

fn is_blank(expression: &IdedExpr) -> bool {
    text(expression).is_some_and(|text| text.trim().is_empty())
}

/// `user.domain.endsWith('acme.com')` is also true of `evilacme.com`.
fn open_part(function: &str, texts: &Texts, is_whole: bool) -> Option<String> {
    let is_open = |end: &&&str| {
        function != "endsWith" || !is_whole || !end.starts_with(['.', '@']) && !end.contains('@')
    };
    let end = match texts.all.as_slice() {
        [] => return Some(PART.to_owned()),
        all => all.iter().find(is_open)?,
    };
    let domain = end.trim_matches(['.', '@']);
    let (end, domain) =
        if texts.may_be_shown && !domain.is_empty() { (*end, domain) } else { ("…", "…") };
    let (example, whole) = match function {
        "contains" => (format!("such as `{domain}.example.org`"), domain),
        "endsWith" => (format!("such as `evil{domain}`"), domain),
        _ => ("because it does not compare the end".to_owned(), "…"),
    };
    Some(format!(
        "`{function}('{end}')` is also true of other domains, {example}; write `user.domain.under('{whole}')`"
    ))
}

/// Whether a pattern of these is true of any address, and not of some addresses.
fn matches_every_address(texts: &Texts, scope: &Scope) -> bool {
    let strangers = ["q7@x-2.example", "zoe.w@mail.k9.test", "x-2.example", "k9.test"];
    let is_match = |pattern: &str, text: &str| scope.constants.patterns.is_match(pattern, text, true);
    texts.all.iter().any(|pattern| {
        let [address, other_address, domain, other_domain] =
            strangers.map(|text| is_match(pattern, text).unwrap_or_default());
        address && other_address || domain && other_domain
    })
}

/// The top-level domains that only certain institutions can have.
const RESTRICTED: [&str; 4] = ["edu", "gov", "int", "mil"];

/// The domains under which anybody can have one, if they stand before the domain of a country: `co.uk`, `com.br`.
const OPEN: [&str; 4] = ["co", "com", "net", "org"];

/// Why `under` is true of more domains than the owner means: a text names all domains with an ending.
fn top_level(function: &str, texts: &Texts) -> Option<String> {
    let is_open = |domain: &&&str| {
        let is_one_of = |known: &[&str], part: &str| known.iter().any(|each| each.eq_ignore_ascii_case(part));
        match domain.trim_start_matches('.').split_once('.') {
            None if domain.contains('@') => false,
            None => !is_one_of(&RESTRICTED, domain.trim_start_matches('.')),
            Some((second, country)) => country.len() == 2 && is_one_of(&OPEN, second),
        }
    };
    let domain = texts.all.iter().find(is_open)?;
    Some(if texts.may_be_shown {
        let ending = domain.trim_start_matches('.');
        format!(
            "`{function}('{domain}')` is true of every domain that ends in `.{ending}`; write whole domains"
        )
    } else {
        "an entry of the list that `under` reads covers every domain of a country or another ending; write whole domains".to_owned()
    })
}

/// Whether a text, or an entry of a list, has the form of an address.
fn has_address(expression: &IdedExpr, scope: &Scope) -> bool {
    match scope.list(expression) {
        Some((_, list)) => List::has_addresses(list),
        None => scope.texts(expression).all.iter().any(|text| text.contains('@')),
    }
}

/// Why a macro is true of more users than the owner means: one of several answers is enough.
pub(super) fn of_macro(c: &ComprehensionExpr, is_size: bool) -> Option<String> {
    let mut calls = Vec::new();
    collect_calls(&c.loop_step, &mut calls);
    let is_fields = |of: &IdedExpr| matches!(&of.expr, Expr::Ident(name) if name == "fields");
    let is_variable = |part: &IdedExpr| matches!(&part.expr, Expr::Ident(name) if *name == c.iter_var);
    let reads_answer =
        |call: &&CallExpr| matches!(call.args.as_slice(), [of, label] if is_fields(of) && is_variable(label));
    let step = calls.first().map_or("", |call| call.func_name.as_str());
    if step != (if is_size { op::CONDITIONAL } else { op::LOGICAL_OR }) || !calls.iter().any(reads_answer) {
        return None;
    }
    match &c.iter_range.expr {
        Expr::List(_) => Some(
            "one of the answers is enough for this condition; if each of them is needed, write `all`".to_owned(),
        ),
        _ if is_fields(&c.iter_range) => Some(
            "a requester may send any answer under any label; name the labels that count, such as `fields['…'] in ['…', '…']`"
                .to_owned(),
        ),
        _ => None,
    }
}

/// `size(['A', 'B'].filter(box, fields[box] == 'on')) > 0` is another form of `exists`.
pub(super) fn of_filter(call: &CallExpr) -> Option<String> {
    let [size, number] = call.args.as_slice() else { return None };
    let (Expr::Call(size), Expr::Literal(LiteralValue::Int(number))) = (&size.expr, &number.expr) else {
        return None;
    };
    let is_any = matches!(
        (call.func_name.as_str(), *number.inner()),
        (op::GREATER | op::NOT_EQUALS, 0) | (op::GREATER_EQUALS, 1)
    );
    match size.target.as_deref().or(size.args.first()).map(|of| &of.expr) {
        Some(Expr::Comprehension(c)) if is_any && size.func_name == "size" => of_macro(c, true),
        _ => None,
    }
}

/// `now - requested_at < duration('72h')` is true of a request that was just made, and not of one that has waited.
pub(super) fn of_wait(CallExpr { func_name, args, .. }: &CallExpr) -> Option<String> {
    let is = |part: &IdedExpr, variable: &str| matches!(&part.expr, Expr::Ident(name) if name == variable);
    let is_wait = |part: &IdedExpr| match &part.expr {
        Expr::Call(CallExpr { func_name, args, .. }) if func_name == op::SUBSTRACT => {
            matches!(args.as_slice(), [a, b] if is(a, "now") && is(b, "requested_at"))
        }
        _ => false,
    };
    let is_short = match (func_name.as_str(), args.as_slice()) {
        (op::LESS | op::LESS_EQUALS, [wait, _]) | (op::GREATER | op::GREATER_EQUALS, [_, wait]) => {
            is_wait(wait)
        }
        _ => false,
    };
    is_short.then(|| {
        "it is true of a request that was just made, and not of one that has waited; write `now - requested_at > duration('72h')`"
            .to_owned()
    })
}

fn collect_calls<'e>(expression: &'e IdedExpr, calls: &mut Vec<&'e CallExpr>) {
    if let Expr::Call(call) = &expression.expr {
        calls.push(call);
        let operands = call.target.as_deref().into_iter().chain(&call.args);
        operands.for_each(|operand| collect_calls(operand, calls));
    }
}
