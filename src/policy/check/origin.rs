//! The origin of a value: the rule, the owner or the requester. A requester never writes part of a rule. If an answer could
//! become a pattern, the answer `.*` would match every text.

use cel::common::ast::operators as op;
use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, LiteralValue};

/// The party that decides a value. If a value is made from several values, the least trusted origin counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::policy) enum Origin {
    /// The rule itself. The value is the same for every request and every repo.
    Rule,
    /// The owner, who names the repos, or the time.
    Owner,
    /// The requester, or the Hub for the requester.
    Requester,
}

impl Origin {
    /// The origin of a variable that no macro has bound.
    pub(in crate::policy) fn of_variable(name: &str) -> Self {
        if matches!(name, "repo" | "now") { Self::Owner } else { Self::Requester }
    }
}

/// Checks that the argument of a text function does not come from the requester, and that a pattern is constant. The
/// `origins` are those of the searched text and of the argument, in this order.
pub(in crate::policy) fn check_argument(
    call: &CallExpr,
    origins: &[Origin],
    origin_of: impl Fn(&str) -> Origin,
) -> Result<(), String> {
    let name = call.func_name.as_str();
    if let ("duration", Some(text), Some(Origin::Requester)) = (name, call.args.first(), origins.first()) {
        let source = show(find(text, &|name| origin_of(name) == Origin::Requester).unwrap_or(text));
        return Err(format!(
            "`duration` reads `{source}`, which the requester writes; write a constant, such as `duration('72h')`"
        ));
    }
    let allowed = match name {
        "matches" => Origin::Rule,
        "contains" | "startsWith" | "endsWith" | "under" | "split" | "replace" | "indexOf" | "join" => {
            Origin::Owner
        }
        _ if name.starts_with("get") => Origin::Owner,
        _ => return Ok(()),
    };
    let mut operands = call.target.as_deref().into_iter().chain(&call.args);
    let Some(searched) = operands.next() else { return Ok(()) };
    // The other operands of `replace` are two texts.
    operands.zip(origins.iter().skip(1)).try_for_each(|(argument, origin)| {
        check_operand(call, searched, argument, *origin, allowed, &origin_of)
    })
}

fn check_operand(
    call: &CallExpr,
    searched: &IdedExpr,
    argument: &IdedExpr,
    origin: Origin,
    allowed: Origin,
    origin_of: &impl Fn(&str) -> Origin,
) -> Result<(), String> {
    let name = call.func_name.as_str();
    let is_empty =
        matches!(&argument.expr, Expr::Literal(LiteralValue::String(text)) if text.inner().is_empty());
    if is_empty && matches!(name, "contains" | "startsWith" | "endsWith" | "under") {
        return Err(format!(
            "`{}` searches for an empty text, which every text contains; remove the condition",
            show_call(call, searched)
        ));
    }
    if origin <= allowed {
        return Ok(());
    }
    let what = if name == "matches" { "pattern" } else { "argument" };
    let source = find(argument, &|name| origin_of(name) > allowed).unwrap_or(argument);
    let fault = format!("the {what} in `{}` reads `{}`", show_call(call, searched), show(source));
    if origin == Origin::Owner {
        return Err(format!(
            "{fault}, but patterns are compiled when the policy is read. Use a constant pattern, or `contains`, `startsWith` \
             or `endsWith`"
        ));
    }
    let risk = match name {
        "matches" => "`.*` would match every text",
        "contains" | "startsWith" | "endsWith" | "under" => "Every text contains an empty one",
        _ => "A requester must not decide how a rule reads an answer",
    };
    let alternative = alternative(name, searched, argument, source);
    Err(format!("{fault}, which the requester writes. {risk}. Use a constant {what}{alternative}"))
}

/// The expression that the owner probably wants instead.
fn alternative(function: &str, searched: &IdedExpr, argument: &IdedExpr, source: &IdedExpr) -> String {
    let is_text = !matches!(&source.expr, Expr::Ident(name) if name == "requested_at");
    match (&searched.expr, &argument.expr) {
        (Expr::Literal(_), _) if is_path(argument) => {
            format!(", or write `{} in ['…', '…']` to compare with several texts", show(argument))
        }
        _ if function == "endsWith" && show(searched) == "user.email" && is_path(argument) => {
            format!(", or write `user.domain == {}` to compare the two", show(argument))
        }
        _ if is_path(searched)
            && is_text
            && (argument.expr == source.expr || function == "matches" && is_sum_with(argument, source)) =>
        {
            format!(", or write `{} == {}` to compare the two", show(searched), show(source))
        }
        _ => String::new(),
    }
}

/// The first path in an expression that begins with a variable for which `is_wanted` is true.
fn find<'a>(expression: &'a IdedExpr, is_wanted: &impl Fn(&str) -> bool) -> Option<&'a IdedExpr> {
    let mut root = expression;
    while let Some((operand, _)) = step(root) {
        root = operand;
    }
    if let Expr::Ident(name) = &root.expr
        && is_wanted(name)
    {
        return Some(expression);
    }
    match &expression.expr {
        Expr::Select(select) => find(&select.operand, is_wanted),
        Expr::Call(call) => {
            call.target.as_deref().into_iter().chain(&call.args).find_map(|operand| find(operand, is_wanted))
        }
        Expr::List(list) => list.elements.iter().find_map(|element| find(element, is_wanted)),
        Expr::Map(map) => map.entries.iter().find_map(|entry| match &entry.expr {
            EntryExpr::MapEntry(entry) => {
                find(&entry.key, is_wanted).or_else(|| find(&entry.value, is_wanted))
            }
            EntryExpr::StructField(_) => None,
        }),
        Expr::Comprehension(comprehension) => find(&comprehension.iter_range, is_wanted),
        _ => None,
    }
}

/// The last step of a path: its operand, and the source text of the step.
fn step(expression: &IdedExpr) -> Option<(&IdedExpr, String)> {
    match &expression.expr {
        Expr::Select(select) => Some((&select.operand, format!(".{}", select.field))),
        Expr::Call(CallExpr { func_name, args, .. }) if func_name == op::INDEX => match args.as_slice() {
            [operand, IdedExpr { expr: Expr::Literal(LiteralValue::String(label)), .. }] => {
                Some((operand, format!("['{}']", label.inner())))
            }
            [operand, IdedExpr { expr: Expr::Literal(LiteralValue::Int(index)), .. }] => {
                Some((operand, format!("[{}]", index.inner())))
            }
            [operand, _] => Some((operand, "[…]".to_owned())),
            _ => None,
        },
        _ => None,
    }
}

fn is_path(expression: &IdedExpr) -> bool {
    match step(expression) {
        Some((operand, text)) => text != "[…]" && is_path(operand),
        None => matches!(&expression.expr, Expr::Ident(_)),
    }
}

/// Whether an expression is the path, or a sum of the path and constant texts.
fn is_sum_with(expression: &IdedExpr, path: &IdedExpr) -> bool {
    match &expression.expr {
        Expr::Literal(_) => true,
        Expr::Call(call) if call.func_name == op::ADD => call.args.iter().all(|arg| is_sum_with(arg, path)),
        other => *other == path.expr && is_path(path),
    }
}

/// The source text of a path, or `…` for any other expression.
pub(super) fn show(expression: &IdedExpr) -> String {
    match (step(expression), &expression.expr) {
        (Some((operand, text)), _) => show(operand) + &text,
        (None, Expr::Ident(name)) => name.clone(),
        (None, Expr::Literal(LiteralValue::String(text))) => format!("'{}'", text.inner()),
        _ => "…".to_owned(),
    }
}

fn show_call(call: &CallExpr, searched: &IdedExpr) -> String {
    let (name, searched) = (&call.func_name, show(searched));
    if call.target.is_some() { format!("{searched}.{name}(…)") } else { format!("{name}({searched}, …)") }
}
