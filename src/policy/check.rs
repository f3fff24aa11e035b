//! Checks an expression at start-up, so that a policy with a slip in it never starts. The `cel` crate checks nothing before an
//! expression is evaluated. Parts that the crate would evaluate in another way than we mean are rewritten during the check.

use std::collections::BTreeSet;
use std::sync::Arc;

use cel::common::ast::operators as op;
use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, MapExpr, SelectExpr,
};
use cel::{Context, Env, Value};

use super::constants::{PatternUse, Scope};
use super::kinds::Kind::{self, Answers, Any, Bool, Int, List, Map, Name, Repo, Text, Timestamp, Uint, User};
use super::kinds::{FUNCTIONS, attribute, is_known, kind_of_call, kind_of_literal};
use super::library::{MATCHES, MATCHES_NAME, PATTERNS};
use super::names;
use super::origin::{self, Origin};

/// How deep an expression may nest; checking, evaluating and dropping one recurse. The library's own limit, 96, is on
/// brackets only, and a chain of operators nests as deep as it is long.
const MAX_DEPTH: usize = 200;

/// How many macros over lists may be nested. The requester decides how long a list is, and nothing interrupts an evaluation.
const MAX_LOOPS: usize = 2;

/// What ends a line.
pub(super) const BREAKS: [char; 2] = ['\n', '\r'];

/// What the check of a condition has found in it.
pub(super) struct Findings {
    /// The attributes and the labels that it names.
    pub(super) names: BTreeSet<String>,
    /// The patterns that it uses, in their order.
    pub(super) patterns: Vec<PatternUse>,
}

/// Checks an expression, and rewrites it to the one that is evaluated. It may name only attributes, variables and functions
/// that exist, each function has to take its arguments, and the result has to be a bool. If it is written on `several_lines`,
/// no text in it may have a line break.
pub(super) fn check_condition(
    expression: &mut IdedExpr,
    env: &Arc<Env>,
    several_lines: bool,
) -> Result<Findings, String> {
    let findings = Findings { names: BTreeSet::new(), patterns: Vec::new() };
    let mut checker =
        Checker { env, several_lines, loops: 0, bound: Vec::new(), depth: 0, variables: 0, findings };
    match checker.check(expression)?.kind {
        Bool | Any => Ok(checker.findings),
        other => Err(format!("it gives {other}, but a condition gives a bool")),
    }
}

/// What is known of an expression that was checked.
#[derive(Clone)]
struct Checked {
    kind: Kind,
    origin: Origin,
}

/// A variable that a macro such as `exists` has bound.
struct Bound {
    name: String,
    value: Checked,
    /// The list that the macro goes over, if it is the same for every request.
    range: Option<IdedExpr>,
}

struct Checker<'a> {
    env: &'a Arc<Env>,
    several_lines: bool,
    /// How many macros over lists are around the expression that is being checked.
    loops: usize,
    /// Innermost last.
    bound: Vec<Bound>,
    depth: usize,
    /// How many variables were found so far. An expression in which none was found is the same for every request.
    variables: usize,
    findings: Findings,
}

impl Checker<'_> {
    fn check(&mut self, expression: &mut IdedExpr) -> Result<Checked, String> {
        if self.depth >= MAX_DEPTH {
            return Err(format!("it nests more than {MAX_DEPTH} deep"));
        }
        self.depth += 1;
        let variables_before = self.variables;
        let checked = self.check_nested(expression)?;
        self.depth -= 1;
        if self.variables == variables_before && !matches!(expression.expr, Expr::Literal(_)) {
            self.try_out(expression)?;
        }
        Ok(checked)
    }

    fn check_nested(&mut self, expression: &mut IdedExpr) -> Result<Checked, String> {
        match &mut expression.expr {
            Expr::Literal(LiteralValue::String(text))
                if self.several_lines && text.inner().contains(BREAKS) =>
            {
                Err("a text breaks over the line; write it on one line, with `\\n` where it breaks"
                    .to_owned())
            }
            Expr::Literal(literal) => Ok(Checked { kind: kind_of_literal(literal), origin: Origin::Rule }),
            Expr::Ident(name) => self.variable(name),
            Expr::Select(select) => self.select(select),
            Expr::Call(call) => self.call(call),
            Expr::List(list) => {
                let Checked { kind, origin } = self.check_all(list.elements.iter_mut().collect())?;
                Ok(Checked { kind: List(Box::new(kind)), origin })
            }
            Expr::Map(map) => self.map(map),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            Expr::Struct(made) => Err(format!("there is no type `{}`", made.type_name)),
            Expr::Unspecified => Err("it is empty".to_owned()),
        }
    }

    fn variable(&mut self, name: &str) -> Result<Checked, String> {
        self.variables += 1;
        if let Some(bound) = self.find_bound(name) {
            return Ok(bound.value.clone());
        }
        let kind = match name {
            "user" => User,
            "fields" => Answers,
            "repo" => Repo,
            "requested_at" | "now" => Timestamp,
            _ => {
                return Err(format!(
                    "there is no variable `{name}`; there are `user`, `fields`, `repo`, `requested_at` and `now`"
                ));
            }
        };
        Ok(Checked { kind, origin: Origin::of_variable(name) })
    }

    fn find_bound(&self, name: &str) -> Option<&Bound> {
        self.bound.iter().rev().find(|bound| bound.name == name)
    }

    /// `operand.field`, or `has(operand.field)`, which looks the same but for `test`.
    fn select(&mut self, select: &mut SelectExpr) -> Result<Checked, String> {
        let Checked { kind: operand, origin } = self.check(&mut select.operand)?;
        self.note_name(&operand, &select.field);
        let kind = attribute(&operand, &select.field)?;
        if matches!(operand, Map(keys, _) if *keys == Name) {
            select.field.make_ascii_lowercase();
        }
        Ok(Checked { kind: if select.test { Bool } else { kind }, origin })
    }

    /// Notes an attribute or a label that the owner wrote. Keys of the expression's own maps are neither.
    fn note_name(&mut self, of: &Kind, name: &str) {
        if matches!(of, User | Repo | Answers) {
            self.findings.names.insert(name.to_owned());
        }
    }

    fn map(&mut self, map: &mut MapExpr) -> Result<Checked, String> {
        let entries = map.entries.iter_mut().filter_map(|entry| match &mut entry.expr {
            EntryExpr::MapEntry(entry) => Some((&mut entry.key, &mut entry.value)),
            EntryExpr::StructField(_) => None,
        });
        let (keys, values): (Vec<_>, Vec<_>) = entries.unzip();
        let keys = self.check_all(keys)?;
        if !matches!(keys.kind, Bool | Int | Uint | Text | Name | Any) {
            return Err(format!("{} cannot be the key of a map", keys.kind));
        }
        let values = self.check_all(values)?;
        let kind = Map(Box::new(keys.kind), Box::new(values.kind));
        Ok(Checked { kind, origin: keys.origin.max(values.origin) })
    }

    /// The kind that all of these have or are converted to. If kinds were mixed, a comparison would be silently false.
    fn check_all(&mut self, expressions: Vec<&mut IdedExpr>) -> Result<Checked, String> {
        let mut common = Checked { kind: Any, origin: Origin::Rule };
        let mut members = Vec::with_capacity(expressions.len());
        for expression in expressions {
            let Checked { kind, origin } = self.value(expression)?;
            let joined = common.kind.join(&kind);
            common.kind =
                joined.ok_or_else(|| format!("{} and {kind} stand in one list or map", common.kind))?;
            common.origin = common.origin.max(origin);
            members.push((expression, kind));
        }
        for (member, kind) in members {
            names::convert(member, &kind, &common.kind, &|name| self.find_bound(name).is_some())?;
        }
        Ok(common)
    }

    /// Checks an expression that is used as a value. `user` and `repo` are not values: in a list or a map, for instance, it
    /// would be unknown which attributes they have.
    fn value(&mut self, expression: &mut IdedExpr) -> Result<Checked, String> {
        match self.check(expression)? {
            Checked { kind: of @ (User | Repo), .. } => {
                Err(format!("{of} is no value by itself; say which attribute is meant"))
            }
            checked => Ok(checked),
        }
    }

    /// `exists`, `all`, `exists_one`, `map` and `filter`, which the parser has expanded.
    fn comprehension(&mut self, c: &mut ComprehensionExpr) -> Result<Checked, String> {
        let range = self.check(&mut c.iter_range)?;
        let each = match range.kind {
            List(element) => *element,
            Answers => Text,
            Map(key, _) => *key,
            other => return Err(format!("one can go over a list or over `fields`, not over {other}")),
        };
        let begun = self.check(&mut c.accu_init)?;
        self.loops += 1;
        if self.loops > MAX_LOOPS {
            return Err(
                "it goes over a list within a list within a list; nest at most two of them".to_owned()
            );
        }
        let outer = self.bound.len();
        let mut origin = range.origin;
        self.bind(&c.iter_var, each, origin, (origin == Origin::Rule).then(|| c.iter_range.clone()));
        origin = origin.max(begun.origin);
        self.bind(&c.accu_var, begun.kind, origin, None);
        let condition = self.check(&mut c.loop_cond)?;
        // A list that starts empty gets its kind from what is added to it.
        let step = self.check(&mut c.loop_step)?;
        origin = origin.max(condition.origin).max(step.origin);
        self.bind(&c.accu_var, step.kind, origin, None);
        let result = self.check(&mut c.result)?;
        self.bound.truncate(outer);
        self.loops -= 1;
        Ok(Checked { kind: result.kind, origin: origin.max(result.origin) })
    }

    fn bind(&mut self, name: &str, kind: Kind, origin: Origin, range: Option<IdedExpr>) {
        self.bound.push(Bound { name: name.to_owned(), value: Checked { kind, origin }, range });
    }

    fn call(&mut self, call: &mut CallExpr) -> Result<Checked, String> {
        let name = call.func_name.clone();
        if !is_known(&name) {
            return Err(match name.as_str() {
                "has" | "exists" | "all" | "exists_one" | "map" | "filter" => {
                    format!(
                        "`{name}` is not written so: it is `has(user.email)`, `user.orgs.exists(org, org == 'acme')`"
                    )
                }
                _ => format!("there is no function `{name}`; there are {}", FUNCTIONS.join(", ")),
            });
        }
        // `user['email']` and `'email' in user` are `user.email` and `has(user.email)` written otherwise.
        let place_of_map = match (name.as_str(), call.args.len()) {
            (op::INDEX, 2) => Some(0),
            (op::IN, 2) => Some(1),
            _ => None,
        };
        let (mut operands, mut origins) = (Vec::new(), Vec::new());
        for (place, operand) in call.target.as_deref_mut().into_iter().chain(&mut call.args).enumerate() {
            let checked =
                if place_of_map == Some(place) { self.check(operand)? } else { self.value(operand)? };
            operands.push(checked.kind);
            origins.push(checked.origin);
        }
        let origin = origins.iter().copied().max().unwrap_or(Origin::Rule);
        let key = place_of_map.and_then(|place| call.args.get(1 - place));
        let looked_into = operands.iter().find(|kind| matches!(kind, User | Repo | Answers)).cloned();
        if let (Some(of), Some(key)) = (looked_into, key) {
            match (&of, &key.expr) {
                (_, Expr::Literal(LiteralValue::String(label))) => {
                    self.note_name(&of, label.inner());
                    let kind = attribute(&of, label.inner())?;
                    return Ok(Checked { kind: if name == op::IN { Bool } else { kind }, origin });
                }
                (Answers, _) => {}
                _ => return Err(format!("which attribute of {of} is meant must be said outright")),
            }
        }
        let kind = kind_of_call(&name, call.target.is_some(), &operands)?;
        let origin_of = |name: &str| {
            self.find_bound(name).map_or_else(|| Origin::of_variable(name), |bound| bound.value.origin)
        };
        origin::check_argument(call, &origins, origin_of)?;
        self.try_time_zone(call, &operands)?;
        if name == "matches" {
            self.compile_later(call, operands.first() == Some(&Name));
        } else {
            names::convert_operands(call, &operands, &|name| self.find_bound(name).is_some())?;
        }
        Ok(Checked { kind, origin })
    }

    /// Rewrites `text.matches(pattern)` to a call that uses a compiled pattern.
    fn compile_later(&mut self, call: &mut CallExpr, on_name: bool) {
        let mut operands: Vec<IdedExpr> = call.target.take().map(|target| *target).into_iter().collect();
        operands.append(&mut call.args);
        if let Some(pattern) = operands.last() {
            let scopes = self.bound.iter().filter_map(|bound| {
                Some(Scope { variable: bound.name.clone(), range: bound.range.clone()? })
            });
            let (pattern, scopes) = (pattern.clone(), scopes.collect());
            self.findings.patterns.push(PatternUse { pattern, on_name, scopes });
        }
        operands.push(IdedExpr { id: 0, expr: Expr::Ident(PATTERNS.to_owned()) });
        let function = if on_name { MATCHES_NAME } else { MATCHES };
        *call = CallExpr { func_name: function.to_owned(), target: None, args: operands };
        // The patterns are not compiled yet, so the call cannot be tried out.
        self.variables += 1;
    }

    /// A constant time zone may be wrong although the time is not constant. It is tried out on a sample time.
    fn try_time_zone(&self, call: &CallExpr, operands: &[Kind]) -> Result<(), String> {
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
        self.try_out(&IdedExpr { id: 0, expr: Expr::Call(sample) })
    }

    /// Evaluates what is the same for every request: what fails now would fail for everybody.
    fn try_out(&self, constant: &IdedExpr) -> Result<(), String> {
        let context = Context::with_env(Arc::clone(self.env));
        Value::resolve(constant, &context).map(drop).map_err(|error| super::constants::describe(&error))
    }
}
