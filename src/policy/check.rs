//! Checks an expression at start-up: its names, its types, its size and cost, and the constants in it. The `cel` crate checks
//! nothing before it evaluates an expression.
//!
//! The check also rewrites the parts that the crate would evaluate in a different way: comparisons with names and patterns.

pub(super) mod constants;
pub(super) mod cost;
mod origin;
pub(super) mod types;

use std::collections::BTreeSet;
use std::sync::Arc;

use cel::common::ast::operators as op;
use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, MapExpr, SelectExpr,
};
use cel::{Context, Env, Value};

use super::functions::{MATCHES, MATCHES_NAME, PATTERNS};
use super::names;
use constants::{PatternUse, Scope};
use origin::Origin;
use types::Type::{self, Answers, Any, Bool, Int, List, Map, Name, Repo, Text, Timestamp, Uint, User};
use types::{FUNCTIONS, is_known, type_of_attribute, type_of_call, type_of_literal};

/// How deep an expression may be nested, because the check, the evaluation and the drop of one are recursive. The crate's own
/// limit of 96 applies to brackets only, but a chain of operators is nested as deep as it is long.
const MAX_DEPTH: usize = 200;

/// How deep macros may be nested. The requester decides how long a list is, and nothing can interrupt an evaluation.
const MAX_LOOPS: usize = 2;

pub(super) const LINE_BREAKS: [char; 2] = ['\n', '\r'];

/// The findings of the check of a condition.
pub(super) struct Findings {
    /// The attributes and labels that are literals in it.
    pub(super) literal_keys: BTreeSet<String>,
    /// The patterns that it uses, in order.
    pub(super) patterns: Vec<PatternUse>,
}

/// Checks an expression, and rewrites it to the one that is evaluated. Its attributes, variables and functions have to exist,
/// each function has to apply to its arguments, and the result has to be a bool.
///
/// If the source `has_line_breaks`, no text in it may contain a line break. The crate's parser allows a text over several
/// lines, but CEL does not, and most likely a quote is missing.
pub(super) fn check_condition(
    expression: &mut IdedExpr,
    env: &Arc<Env>,
    has_line_breaks: bool,
) -> Result<Findings, String> {
    let findings = Findings { literal_keys: BTreeSet::new(), patterns: Vec::new() };
    let mut checker =
        Checker { env, has_line_breaks, loops: 0, bound: Vec::new(), depth: 0, variables: 0, findings };
    match checker.check(expression)?.ty {
        Bool | Any => Ok(checker.findings),
        other => Err(format!("the expression gives {other}, but a condition has to give a bool")),
    }
}

/// The type and the origin of the value of an expression, as the check found them.
#[derive(Clone)]
struct Checked {
    ty: Type,
    origin: Origin,
}

/// A variable that a macro such as `exists` has bound.
struct Bound {
    name: String,
    value: Checked,
    /// The list that the macro iterates over, if it is constant.
    range: Option<IdedExpr>,
}

struct Checker<'a> {
    env: &'a Arc<Env>,
    has_line_breaks: bool,
    /// How many macros enclose the present expression.
    loops: usize,
    /// The variables that the enclosing macros have bound. The innermost is last.
    bound: Vec<Bound>,
    depth: usize,
    /// How many variables were found so far. An expression without a variable is constant.
    variables: usize,
    findings: Findings,
}

impl Checker<'_> {
    fn check(&mut self, expression: &mut IdedExpr) -> Result<Checked, String> {
        if self.depth >= MAX_DEPTH {
            return Err(format!(
                "the expression is nested more than {MAX_DEPTH} deep; split it into several rules"
            ));
        }
        self.depth += 1;
        let variables_before = self.variables;
        let checked = self.check_nested(expression)?;
        self.depth -= 1;
        if self.variables == variables_before && !matches!(expression.expr, Expr::Literal(_)) {
            self.evaluate_constant(expression)?;
        }
        Ok(checked)
    }

    fn check_nested(&mut self, expression: &mut IdedExpr) -> Result<Checked, String> {
        match &mut expression.expr {
            Expr::Literal(LiteralValue::String(text))
                if self.has_line_breaks && text.inner().contains(LINE_BREAKS) =>
            {
                Err("a text contains a line break; add the missing quote, or write the line break as `\\n`"
                    .to_owned())
            }
            Expr::Literal(literal) => Ok(Checked { ty: type_of_literal(literal), origin: Origin::Rule }),
            Expr::Ident(name) => self.variable(name),
            Expr::Select(select) => self.select(select),
            Expr::Call(call) => self.call(call),
            Expr::List(list) => {
                let Checked { ty, origin } = self.check_all(list.elements.iter_mut().collect())?;
                Ok(Checked { ty: List(Box::new(ty)), origin })
            }
            Expr::Map(map) => self.map(map),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            Expr::Struct(object) => Err(format!("there is no type `{}`", object.type_name)),
            Expr::Unspecified => Err("the expression is empty".to_owned()),
        }
    }

    fn variable(&mut self, name: &str) -> Result<Checked, String> {
        self.variables += 1;
        if let Some(bound) = self.find_bound(name) {
            return Ok(bound.value.clone());
        }
        let ty = match name {
            "user" => User,
            "fields" => Answers,
            "repo" => Repo,
            "requested_at" | "now" => Timestamp,
            _ => {
                return Err(format!(
                    "there is no variable `{name}`; the variables are `user`, `fields`, `repo`, `requested_at` and `now`"
                ));
            }
        };
        Ok(Checked { ty, origin: Origin::of_variable(name) })
    }

    fn find_bound(&self, name: &str) -> Option<&Bound> {
        self.bound.iter().rev().find(|bound| bound.name == name)
    }

    /// `operand.field`, or `has(operand.field)` if `test` is set.
    fn select(&mut self, select: &mut SelectExpr) -> Result<Checked, String> {
        let Checked { ty: operand, origin } = self.check(&mut select.operand)?;
        self.add_literal_key(&operand, &select.field);
        let ty = type_of_attribute(&operand, &select.field)?;
        if matches!(operand, Map(keys, _) if *keys == Name) {
            select.field.make_ascii_lowercase();
        }
        Ok(Checked { ty: if select.test { Bool } else { ty }, origin })
    }

    /// Remembers an attribute or a label that the owner wrote. Keys of maps that the expression creates are neither.
    fn add_literal_key(&mut self, of: &Type, key: &str) {
        if matches!(of, User | Repo | Answers) {
            self.findings.literal_keys.insert(key.to_owned());
        }
    }

    fn map(&mut self, map: &mut MapExpr) -> Result<Checked, String> {
        let entries = map.entries.iter_mut().filter_map(|entry| match &mut entry.expr {
            EntryExpr::MapEntry(entry) => Some((&mut entry.key, &mut entry.value)),
            EntryExpr::StructField(_) => None,
        });
        let (keys, values): (Vec<_>, Vec<_>) = entries.unzip();
        let keys = self.check_all(keys)?;
        if !matches!(keys.ty, Bool | Int | Uint | Text | Name | Any) {
            return Err(format!("{} cannot be a key of a map; use text, a bool or an int", keys.ty));
        }
        let values = self.check_all(values)?;
        let ty = Map(Box::new(keys.ty), Box::new(values.ty));
        Ok(Checked { ty, origin: keys.origin.max(values.origin) })
    }

    /// Checks the members of a list or map, and converts them to one common type. If types were mixed, a comparison would be
    /// silently false.
    fn check_all(&mut self, expressions: Vec<&mut IdedExpr>) -> Result<Checked, String> {
        let mut common = Checked { ty: Any, origin: Origin::Rule };
        let mut members = Vec::with_capacity(expressions.len());
        for expression in expressions {
            let Checked { ty, origin } = self.value(expression)?;
            let joined = common.ty.join(&ty);
            common.ty = joined.ok_or_else(|| {
                format!("one list or map contains both {} and {ty}; use only one type", common.ty)
            })?;
            common.origin = common.origin.max(origin);
            members.push((expression, ty));
        }
        for (member, ty) in members {
            names::convert(member, &ty, &common.ty, &|name| self.find_bound(name).is_some())?;
        }
        Ok(common)
    }

    /// Checks an expression that is used as a value. `user` and `repo` are not values, because it would be unknown which
    /// attributes an element of a list has, for example.
    fn value(&mut self, expression: &mut IdedExpr) -> Result<Checked, String> {
        match self.check(expression)? {
            Checked { ty: of @ (User | Repo), .. } => {
                let example = if of == User { "user.name" } else { "repo.name" };
                Err(format!("{of} is not a value; use one of its attributes, such as `{example}`"))
            }
            checked => Ok(checked),
        }
    }

    /// `exists`, `all`, `exists_one`, `map` and `filter`, which the parser has expanded.
    fn comprehension(&mut self, c: &mut ComprehensionExpr) -> Result<Checked, String> {
        let range = self.check(&mut c.iter_range)?;
        let each = match range.ty {
            List(element) => *element,
            Answers => Text,
            Map(key, _) => *key,
            other => {
                return Err(format!("a macro iterates over a list, a map or `fields`, not over {other}"));
            }
        };
        let begun = self.check(&mut c.accu_init)?;
        self.loops += 1;
        if self.loops > MAX_LOOPS {
            return Err(format!(
                "macros such as `exists` are nested more than {MAX_LOOPS} deep; split the rule"
            ));
        }
        let outer = self.bound.len();
        let mut origin = range.origin;
        self.bind(&c.iter_var, each, origin, (origin == Origin::Rule).then(|| c.iter_range.clone()));
        origin = origin.max(begun.origin);
        self.bind(&c.accu_var, begun.ty, origin, None);
        let condition = self.check(&mut c.loop_cond)?;
        // The accumulator may start as an empty list. Then the step gives its type.
        let step = self.check(&mut c.loop_step)?;
        origin = origin.max(condition.origin).max(step.origin);
        self.bind(&c.accu_var, step.ty, origin, None);
        let result = self.check(&mut c.result)?;
        self.bound.truncate(outer);
        self.loops -= 1;
        Ok(Checked { ty: result.ty, origin: origin.max(result.origin) })
    }

    fn bind(&mut self, name: &str, ty: Type, origin: Origin, range: Option<IdedExpr>) {
        self.bound.push(Bound { name: name.to_owned(), value: Checked { ty, origin }, range });
    }

    fn call(&mut self, call: &mut CallExpr) -> Result<Checked, String> {
        let name = call.func_name.clone();
        if !is_known(&name) {
            return Err(unknown_function(&name));
        }
        // `user['email']` is another form of `user.email`, and `'email' in user` of `has(user.email)`.
        let place_of_map = match (name.as_str(), call.args.len()) {
            (op::INDEX, 2) => Some(0),
            (op::IN, 2) => Some(1),
            _ => None,
        };
        let (mut operands, mut origins) = (Vec::new(), Vec::new());
        for (place, operand) in call.target.as_deref_mut().into_iter().chain(&mut call.args).enumerate() {
            let checked =
                if place_of_map == Some(place) { self.check(operand)? } else { self.value(operand)? };
            operands.push(checked.ty);
            origins.push(checked.origin);
        }
        let origin = origins.iter().copied().max().unwrap_or(Origin::Rule);
        let key = place_of_map.and_then(|place| call.args.get(1 - place));
        let looked_into = operands.iter().find(|ty| matches!(ty, User | Repo | Answers)).cloned();
        if let (Some(of), Some(key)) = (looked_into, key) {
            match (&of, &key.expr) {
                (_, Expr::Literal(LiteralValue::String(label))) => {
                    self.add_literal_key(&of, label.inner());
                    let ty = type_of_attribute(&of, label.inner())?;
                    return Ok(Checked { ty: if name == op::IN { Bool } else { ty }, origin });
                }
                (Answers, _) => {}
                _ => {
                    return Err(format!(
                        "the attribute of {of} is not constant; write its name, such as `user['email']`"
                    ));
                }
            }
        }
        let ty = type_of_call(&name, call.target.is_some(), &operands)?;
        let origin_of = |name: &str| {
            self.find_bound(name).map_or_else(|| Origin::of_variable(name), |bound| bound.value.origin)
        };
        origin::check_argument(call, &origins, origin_of)?;
        self.check_time_zone(call, &operands)?;
        if name == "matches" {
            self.use_compiled_pattern(call, operands.first() == Some(&Name));
        } else {
            names::convert_operands(call, &operands, &|name| self.find_bound(name).is_some())?;
        }
        Ok(Checked { ty, origin })
    }

    /// Rewrites `text.matches(pattern)` to a call that uses a compiled pattern. The pattern is compiled after the check.
    fn use_compiled_pattern(&mut self, call: &mut CallExpr, for_names: bool) {
        let mut operands: Vec<IdedExpr> = call.target.take().map(|target| *target).into_iter().collect();
        operands.append(&mut call.args);
        if let Some(pattern) = operands.last() {
            let scopes = self.bound.iter().filter_map(|bound| {
                Some(Scope { variable: bound.name.clone(), range: bound.range.clone()? })
            });
            let (pattern, scopes) = (pattern.clone(), scopes.collect());
            self.findings.patterns.push(PatternUse { pattern, for_names, scopes });
        }
        operands.push(IdedExpr { id: 0, expr: Expr::Ident(PATTERNS.to_owned()) });
        let function = if for_names { MATCHES_NAME } else { MATCHES };
        *call = CallExpr { func_name: function.to_owned(), target: None, args: operands };
        // The pattern is not compiled yet, so the call must not count as constant, which would be evaluated.
        self.variables += 1;
    }

    /// Checks a constant time zone by evaluating the call for a sample time. The time of the call itself need not be constant.
    fn check_time_zone(&self, call: &CallExpr, operands: &[Type]) -> Result<(), String> {
        let ([Timestamp, Text | Name], [zone @ IdedExpr { expr: Expr::Literal(_), .. }]) =
            (operands, call.args.as_slice())
        else {
            return Ok(());
        };
        let sample = LiteralValue::String("2026-01-01T00:00:00Z".to_owned().into());
        let sample = IdedExpr { id: 0, expr: Expr::Literal(sample) };
        let sample = CallExpr { func_name: "timestamp".to_owned(), target: None, args: vec![sample] };
        let target = Some(Box::new(IdedExpr { id: 0, expr: Expr::Call(sample) }));
        let sample = CallExpr { func_name: call.func_name.clone(), target, args: vec![zone.clone()] };
        self.evaluate_constant(&IdedExpr { id: 0, expr: Expr::Call(sample) })
    }

    /// Evaluates a constant expression. If it fails now, it would fail for every request.
    fn evaluate_constant(&self, constant: &IdedExpr) -> Result<(), String> {
        let context = Context::with_env(Arc::clone(self.env));
        Value::resolve(constant, &context).map(drop).map_err(|error| constants::describe(&error))
    }
}

fn unknown_function(name: &str) -> String {
    match name {
        "has" => "`has` has wrong arguments; write it like `has(user.email)`".to_owned(),
        "exists" | "all" | "exists_one" | "map" | "filter" => {
            format!("`{name}` has wrong arguments; write it like `user.orgs.{name}(org, org == 'acme')`")
        }
        _ => format!("there is no function `{name}`; the functions are {}", FUNCTIONS.join(", ")),
    }
}
