//! Checks an expression at start-up: its names, its types, its size and cost, and the constants in it. The `cel` crate checks
//! nothing before it evaluates an expression.
//!
//! The check also rewrites the parts that the crate would evaluate in a different way: comparisons with names and patterns.

pub(super) mod constants;
pub(super) mod cost;
mod hints;
pub(super) mod kinds;
mod macros;
mod named;
pub(super) mod origin;
mod slips;
pub(super) mod types;

use std::collections::BTreeSet;
use std::sync::Arc;

use cel::common::ast::operators as op;
use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, LiteralValue, MapExpr, SelectExpr};
use cel::{Context, Env, Value};

use super::expressions::text;
use super::functions::{self, AGE, MATCHES, MATCHES_NAME};
use super::lists::Lists;
use super::names;
use super::suggest::did_you_mean;
use constants::PatternUse;
use origin::Origin;
use types::Type::{self, Answers, Any, Bool, Int, List, Map, Name, Repo, Text, Timestamp, Uint, User};
use types::{is_known, type_of_attribute, type_of_call, type_of_literal};

/// How deep an expression may be nested, because the check, the evaluation and the drop of one are recursive. The crate's own
/// limit of 96 applies to brackets only, but a chain of operators is nested as deep as it is long.
const MAX_DEPTH: usize = 200;

pub(super) const LINE_BREAKS: [char; 2] = ['\n', '\r'];

/// The fault of an expression that reads a `let` which has a fault itself. It is not reported.
pub(super) const FAULT_IN_LET: &str = "";

/// The type that an expression has to have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Bool,
    /// Any type whose values can be compared.
    Value,
}

/// The data that an expression may read beside the request.
pub(super) struct Scope<'a> {
    pub(super) env: &'a Arc<Env>,
    pub(super) lists: &'a Lists,
    /// The expressions under `let`. The position of one in this list identifies it.
    pub(super) lets: Vec<&'a CheckedLet>,
    /// The names of those under `let` that have a fault.
    pub(super) faulty_lets: &'a BTreeSet<String>,
    /// Whether the source has line breaks. Then no text in it may contain one. The crate's parser allows a text over several
    /// lines, but CEL does not, and most likely a quote is missing.
    pub(super) has_line_breaks: bool,
}

/// A checked expression under `let`.
pub(super) struct CheckedLet {
    pub(super) name: String,
    pub(super) value: Checked,
    /// The value as a literal, if it is constant. Then it is part of each expression that reads it.
    pub(super) constant: Option<Expr>,
}

impl Scope<'_> {
    /// The expression under `let` of this name, and its position.
    fn find_let(&self, name: &str) -> Option<(usize, &CheckedLet)> {
        self.lets.iter().copied().enumerate().find(|(_, each)| each.name == name)
    }

    /// The names of all expressions under `let`.
    fn let_names(&self) -> impl Iterator<Item = &str> {
        self.lets.iter().map(|each| &*each.name).chain(self.faulty_lets.iter().map(String::as_str))
    }
}

/// The findings of the check of an expression.
pub(super) struct Findings {
    /// The type and the origin of its value.
    pub(super) value: Checked,
    /// The attributes and labels that are literals in it.
    pub(super) literal_keys: BTreeSet<String>,
    /// The patterns that it uses, in order.
    pub(super) patterns: Vec<PatternUse>,
    /// The positions of the expressions under `let` that it reads.
    pub(super) lets: BTreeSet<usize>,
    /// The positions of the lists that it reads.
    pub(super) lists: BTreeSet<usize>,
}

/// Checks an expression, and rewrites it to the one that is evaluated. Its attributes, variables and functions have to exist,
/// each function has to apply to its arguments, and the result has to be of the wanted type.
pub(super) fn check(expression: &mut IdedExpr, scope: &Scope, wanted: Wanted) -> Result<Findings, String> {
    let findings = Findings {
        value: Checked { ty: Any, origin: Origin::Rule },
        literal_keys: BTreeSet::new(),
        patterns: Vec::new(),
        lets: BTreeSet::new(),
        lists: BTreeSet::new(),
    };
    let mut checker = Checker { scope, loops: 0, bound: Vec::new(), depth: 0, variables: 0, findings };
    let value = checker.value(expression)?;
    match value.ty {
        Bool | Any => {}
        _ if wanted == Wanted::Value => {}
        other => return Err(format!("the expression gives {other}, but a condition has to give a bool")),
    }
    Ok(Findings { value, ..checker.findings })
}

/// The type and the origin of the value of an expression, as the check found them.
#[derive(Clone)]
pub(super) struct Checked {
    pub(super) ty: Type,
    pub(super) origin: Origin,
}

/// A variable that a macro such as `exists` has bound.
struct Bound {
    name: String,
    value: Checked,
    /// The list that the macro iterates over, if it is constant.
    range: Option<IdedExpr>,
}

struct Checker<'a> {
    scope: &'a Scope<'a>,
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
        self.insert_constant(expression)?;
        match &mut expression.expr {
            Expr::Literal(LiteralValue::String(text))
                if self.scope.has_line_breaks && text.inner().contains(LINE_BREAKS) =>
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
        if let Some((position, each)) = self.scope.find_let(name) {
            self.findings.lets.insert(position);
            return Ok(each.value.clone());
        }
        let ty = match name {
            "user" => User,
            "fields" => Answers,
            "repo" => Repo,
            "requested_at" | "now" => Timestamp,
            "lists" => {
                return Err("`lists` is not a value; use one of the lists, such as `lists.name`".to_owned());
            }
            _ if self.scope.faulty_lets.contains(name) => return Err(FAULT_IN_LET.to_owned()),
            _ => {
                let lets = self.scope.let_names();
                let variables = ["user", "fields", "repo", "requested_at", "now", "true", "false"];
                let variables = variables.into_iter().chain(lets);
                return Err(format!("there is no variable `{name}`{}", did_you_mean(name, variables)));
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

    fn call(&mut self, call: &mut CallExpr) -> Result<Checked, String> {
        let name = call.func_name.clone();
        if !is_known(&name) {
            return Err(hints::unknown_function(&name));
        }
        if let Some(looked_up) = self.look_up(call)? {
            return Ok(looked_up);
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
        slips::check(call, &operands)?;
        let origin_of = |name: &str| match (self.find_bound(name), self.scope.find_let(name)) {
            (Some(bound), _) => bound.value.origin,
            (None, Some((_, each))) => each.value.origin,
            (None, None) => Origin::of_variable(name),
        };
        origin::check_argument(call, &origins, origin_of)?;
        self.check_time_zone(call, &operands)?;
        match name.as_str() {
            "matches" => self.use_compiled_pattern(call, operands.first() == Some(&Name)),
            "age" => {
                self.pass_now(call)?;
                return Ok(Checked { ty, origin: origin.max(Origin::Owner) });
            }
            _ => names::convert_operands(call, &operands, &|name| self.find_bound(name).is_some())?,
        }
        Ok(Checked { ty, origin })
    }

    /// Rewrites `age(date)` to a call that gets the time, too.
    fn pass_now(&mut self, call: &mut CallExpr) -> Result<(), String> {
        if self.find_bound("now").is_some() {
            return Err("`age` reads `now`; give the variable of the macro another name".to_owned());
        }
        if let Some(date) = call.args.first().and_then(text)
            && functions::parse_date(date).is_none()
        {
            return Err(format!("`age('{date}')` reads no date; write it as `YYYY-MM-DD`"));
        }
        call.args.push(IdedExpr { id: 0, expr: Expr::Ident("now".to_owned()) });
        AGE.clone_into(&mut call.func_name);
        self.variables += 1;
        Ok(())
    }

    /// Rewrites `text.matches(pattern)` to a call that uses a compiled pattern. The pattern is compiled after the check.
    fn use_compiled_pattern(&mut self, call: &mut CallExpr, for_names: bool) {
        let mut operands: Vec<IdedExpr> = call.target.take().map(|target| *target).into_iter().collect();
        operands.append(&mut call.args);
        if let Some(pattern) = operands.last() {
            let scopes = self.bound.iter().filter_map(|bound| {
                Some(constants::Loop { variable: bound.name.clone(), range: bound.range.clone()? })
            });
            let (pattern, scopes) = (pattern.clone(), scopes.collect());
            self.findings.patterns.push(PatternUse { pattern, for_names, scopes });
        }
        operands.push(constants::variable());
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
        let context = Context::with_env(Arc::clone(self.scope.env));
        let fault = |error| hints::unreadable_time(constant).unwrap_or_else(|| constants::describe(&error));
        Value::resolve(constant, &context).map(drop).map_err(fault)
    }
}
