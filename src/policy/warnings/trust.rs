//! Comparisons that are true of more users than the owner means, because a requester can choose the rest of the value.
//!
//! A rule that lets somebody in should compare a whole value. Anybody can have a domain, an address or a name with a certain part. If
//! another part of the same `&&` names the users, the comparison only makes the rule stricter.

use cel::common::ast::operators as op;
use cel::common::ast::{ComprehensionExpr, Expr, IdedExpr};

use super::super::expressions::{call, int, is_variable, operands_of, size_of};
use super::super::lists::List;
use super::patterns::{open_answer, open_answer_pattern, open_pattern};
use super::reads::{Read, Scope, Texts};
use super::search::Part;
use super::weakness::is_blank;

/// The functions that compare a part of a text.
const PARTIAL: [&str; 4] = ["startsWith", "endsWith", "contains", "matches"];

/// Why a comparison with data of the Hub is true of more people than the owner means.
pub(super) fn part_of_a_value(part: &Part) -> Option<String> {
    let [value, other, ..] = part.operands else { return None };
    let read = part.reads().into_iter().flatten().next()?;
    let (function, texts) = (part.function, part.scope.texts(other));
    let is_whole = read.is_whole && matches!(function, op::EQUALS | op::IN | op::INDEX);
    match read.source.as_str() {
        // This tests whether the value is there.
        _ if function == op::EQUALS && (is_blank(other) || is_blank(value)) => None,
        "user.domain" | "user.email" => match function {
            _ if is_whole => None,
            "under" => top_level(function, &texts),
            "matches" if read.is_whole => match texts.all.as_slice() {
                _ if matches_every_address(&texts, part.scope) => Some(EVERY_ADDRESS.to_owned()),
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
        "user.fullname" if is_comparison(function) => Some(FULL_NAME.to_owned()),
        _ => None,
    }
}

/// Why a comparison with an answer is true of more people than the owner means.
pub(super) fn answer(part: &Part) -> Option<String> {
    let [_, other, ..] = part.operands else { return None };
    let (function, reads, texts) = (part.function, part.reads(), part.scope.texts(other));
    if let (op::EQUALS, [Some(a), Some(b)]) = (function, reads.as_slice())
        && are_chosen_by_the_requester(a, b)
    {
        return Some(BOTH_CHOSEN.to_owned());
    }
    reads.into_iter().flatten().next().filter(|read| read.source == "fields")?;
    match (function, texts.all.first()) {
        ("under", _) => Some(ADDRESS.to_owned()),
        _ if is_comparison(function) && has_address(other, part.scope) => Some(ADDRESS.to_owned()),
        ("contains" | "startsWith" | "endsWith", Some(part)) => Some(open_answer(function, part)),
        ("matches", _) => texts.all.iter().find_map(|pattern| open_answer_pattern(pattern)),
        _ => None,
    }
}

fn is_comparison(function: &str) -> bool {
    matches!(function, op::EQUALS | op::IN) || PARTIAL.contains(&function)
}

/// Whether a true condition means that the requester is one of those whom the owner named, by data of the Hub.
pub(super) fn names_users<'e>(condition: &'e IdedExpr, scope: &mut Scope<'e>) -> bool {
    if let Expr::Comprehension(c) = &condition.expr {
        let Some([_, condition]) = operands_of(op::LOGICAL_OR, &c.loop_step) else { return false };
        scope.enter(&c.iter_var, &c.iter_range);
        let names_users = names_users(condition, scope);
        scope.leave();
        return names_users;
    }
    let Some((function, operands)) = call(condition) else { return false };
    match function {
        op::LOGICAL_AND => operands.into_iter().any(|part| names_users(part, scope)),
        op::LOGICAL_OR => operands.into_iter().all(|part| names_users(part, scope)),
        _ => is_named(&Part { function, operands: &operands, scope }),
    }
}

/// Whether a call compares data that names a user with constant texts, and is not too wide.
fn is_named(part: &Part) -> bool {
    let reads: Vec<Read> = part.reads().into_iter().flatten().collect();
    let [read] = reads.as_slice() else { return false };
    let is_comparison = matches!(part.function, op::EQUALS | op::IN | "under" | "endsWith" | "matches");
    let names = ["user.name", "user.email", "user.domain", "user.id", "user.orgs", "user.verified_orgs"];
    is_comparison && read.is_whole && names.contains(&read.source.as_str()) && part_of_a_value(part).is_none()
}

/// Whether two values are chosen by the requester, so that their comparison proves nothing. A user name is left out, because a rule
/// may test whether the answers are about the requester.
fn are_chosen_by_the_requester(a: &Read, b: &Read) -> bool {
    let chosen = ["fields", "user.email", "user.domain", "user.fullname"];
    let sources = [a.source.as_str(), b.source.as_str()];
    sources.contains(&"fields") && sources.iter().all(|source| chosen.contains(source))
}

const FULL_NAME: &str =
    "anybody can take any full name; compare `user.name` or `user.email` instead of `user.fullname`";

const BOTH_CHOSEN: &str = "both sides are the requester's choice, so anybody can make them equal; add a condition on data that you \
     know, such as `&& user.domain.under(…)`, or reset requests in which they differ";

const EVERY_ADDRESS: &str = "its pattern matches every address, so it accepts everybody; name domains in it, or write \
     `user.domain.under(…)`";

const PART: &str = "it compares only a part of the address or the domain, and anybody can have an address with that part; compare the \
     whole value with `==` or `in`, or write `user.domain.under('acme.com')`";

const ORGANIZATION: &str = "anybody can create an organization whose name begins or ends like another one; compare whole names, such as \
     `'acme' in user.verified_orgs`";

const ADDRESS: &str = "an answer may be the address of somebody else; compare `user.email` or `user.domain` instead of the answer";

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

/// Whether one of these patterns is true of every address, so that it names no users.
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
pub(super) fn has_address(expression: &IdedExpr, scope: &Scope) -> bool {
    match scope.list(expression) {
        Some((_, list)) => List::has_addresses(list),
        None => scope.texts(expression).all.iter().any(|text| text.contains('@')),
    }
}

/// Why a macro is true of more users than the owner means: one of several answers is enough. The `step` is the function that its loop
/// calls: `||` in `exists`, `?:` in `filter`.
pub(super) fn one_answer(c: &ComprehensionExpr, step: &str) -> Option<String> {
    call(&c.loop_step)
        .filter(|(function, _)| *function == step && reads_answer(&c.loop_step, &c.iter_var))?;
    match &c.iter_range.expr {
        Expr::List(_) => Some(
            "one of the answers is enough for this condition; if each of them is needed, write `all`".to_owned(),
        ),
        _ if is_variable(&c.iter_range, "fields") => Some(
            "a requester may send any answer under any label; name the labels that count, such as `fields['…'] in ['…', '…']`"
                .to_owned(),
        ),
        _ => None,
    }
}

/// Whether an expression reads the answer under a label, or tests for it. The label is a variable.
fn reads_answer(expression: &IdedExpr, label: &str) -> bool {
    let Some((_, operands)) = call(expression) else { return false };
    match operands.as_slice() {
        [of, each] if is_variable(of, "fields") && is_variable(each, label) => true,
        operands => operands.iter().any(|operand| reads_answer(operand, label)),
    }
}

/// `size(['A', 'B'].filter(box, fields[box] == 'on')) > 0` is another form of `exists`.
pub(super) fn one_of_several(part: &Part) -> Option<String> {
    let [size, number] = part.pair()?;
    let is_any = matches!((part.function, int(number)?), (op::GREATER, 0) | (op::GREATER_EQUALS, 1));
    match &size_of(size).filter(|_| is_any)?.expr {
        Expr::Comprehension(c) => one_answer(c, op::CONDITIONAL),
        _ => None,
    }
}

/// `now - requested_at < duration('72h')` is true of a request that was just made, and not of one that has waited.
pub(super) fn short_wait(part: &Part) -> Option<String> {
    let [a, b] = part.pair()?;
    let wait = match part.function {
        op::LESS | op::LESS_EQUALS => a,
        op::GREATER | op::GREATER_EQUALS => b,
        _ => return None,
    };
    let [from, to] = operands_of(op::SUBSTRACT, wait)?;
    (is_variable(from, "now") && is_variable(to, "requested_at")).then(|| {
        "it is true of a request that was just made, and not of one that has waited; write `now - requested_at > duration('72h')`"
            .to_owned()
    })
}
