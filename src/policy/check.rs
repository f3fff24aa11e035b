//! Checks an expression at start-up, so that a policy with a slip in it never starts: the `cel` crate checks nothing before an
//! expression is evaluated.

use std::collections::BTreeSet;
use std::sync::Arc;

use cel::common::ast::operators as op;
use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, MapExpr, SelectExpr,
};
use cel::{Context, Env, Value};

use super::kinds::Kind::{self, Answers, Any, Bool, Int, List, Map, Repo, Text, Timestamp, Uint, User};
use super::kinds::{FUNCTIONS, attribute, is_known, kind_of_call, kind_of_literal};
use super::origin::{self, Origin};

/// How deep an expression may nest; checking, evaluating and dropping one recurse. The library's own limit, 96, is on
/// brackets only, and a chain of operators nests as deep as it is long.
const MAX_DEPTH: usize = 200;

/// How many macros that go over a list may stand within each other. How long a list is the requester may say, and nothing
/// ends an evaluation before its time.
const MAX_LOOPS: usize = 2;

/// What ends a line.
pub(super) const BREAKS: [char; 2] = ['\n', '\r'];

/// Checks that the expression names only what there is, applies functions to what they take, and gives a bool.
/// Returns the names and texts that stand in it.
/// Where it stands on `several_lines`, no text in it may have a line break.
pub(super) fn check_condition(
    expression: &IdedExpr,
    env: &Arc<Env>,
    several_lines: bool,
) -> Result<BTreeSet<String>, String> {
    let names = BTreeSet::new();
    let mut checker =
        Checker { env, several_lines, loops: 0, bound: Vec::new(), depth: 0, variables: 0, names };
    match checker.check(expression)?.kind {
        Bool | Any => Ok(checker.names),
        other => Err(format!("it gives {other}, but a condition gives a bool")),
    }
}

/// What is known of an expression that was checked.
struct Checked {
    kind: Kind,
    origin: Origin,
}

/// A variable that a macro such as `exists` has bound.
struct Bound<'a> {
    name: &'a str,
    kind: Kind,
    origin: Origin,
}

struct Checker<'a> {
    env: &'a Arc<Env>,
    several_lines: bool,
    /// How many macros that go over a list are around what is looked at.
    loops: usize,
    /// Innermost last.
    bound: Vec<Bound<'a>>,
    depth: usize,
    /// How many variables were met so far: where none is met, an expression is the same for every request.
    variables: usize,
    names: BTreeSet<String>,
}

impl<'a> Checker<'a> {
    fn check(&mut self, expression: &'a IdedExpr) -> Result<Checked, String> {
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

    fn check_nested(&mut self, expression: &'a IdedExpr) -> Result<Checked, String> {
        match &expression.expr {
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
                let Checked { kind, origin } = self.check_all(&list.elements)?;
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
        if let Some(Bound { kind, origin, .. }) = self.bound.iter().rev().find(|bound| bound.name == name) {
            return Ok(Checked { kind: kind.clone(), origin: *origin });
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

    /// `operand.field`, or `has(operand.field)`, which looks the same but for `test`.
    fn select(&mut self, select: &'a SelectExpr) -> Result<Checked, String> {
        let Checked { kind: operand, origin } = self.check(&select.operand)?;
        self.note_name(&operand, &select.field);
        let kind = attribute(&operand, &select.field)?;
        Ok(Checked { kind: if select.test { Bool } else { kind }, origin })
    }

    /// Keeps what the owner calls something of the request; the keys of the expression's own maps are no such names.
    fn note_name(&mut self, of: &Kind, name: &str) {
        if matches!(of, User | Repo | Answers) {
            self.names.insert(name.to_owned());
        }
    }

    fn map(&mut self, map: &'a MapExpr) -> Result<Checked, String> {
        let entries = || {
            map.entries.iter().filter_map(|entry| match &entry.expr {
                EntryExpr::MapEntry(entry) => Some(entry),
                EntryExpr::StructField(_) => None,
            })
        };
        let keys = self.check_all(entries().map(|entry| &entry.key))?;
        if !matches!(keys.kind, Bool | Int | Uint | Text | Any) {
            return Err(format!("{} cannot be the key of a map", keys.kind));
        }
        let values = self.check_all(entries().map(|entry| &entry.value))?;
        let kind = Map(Box::new(keys.kind), Box::new(values.kind));
        Ok(Checked { kind, origin: keys.origin.max(values.origin) })
    }

    /// The one kind that all of these have. Of mixed kinds a comparison would be silently false.
    fn check_all(&mut self, expressions: impl IntoIterator<Item = &'a IdedExpr>) -> Result<Checked, String> {
        let mut common = Checked { kind: Any, origin: Origin::Rule };
        for expression in expressions {
            let Checked { kind, origin } = self.value(expression)?;
            let joined = common.kind.join(&kind);
            common.kind =
                joined.ok_or_else(|| format!("{} and {kind} stand in one list or map", common.kind))?;
            common.origin = common.origin.max(origin);
        }
        Ok(common)
    }

    /// Something that is used as a value, which `user` and `repo` are not: of one that was put elsewhere it could not be
    /// told which attributes it has.
    fn value(&mut self, expression: &'a IdedExpr) -> Result<Checked, String> {
        match self.check(expression)? {
            Checked { kind: of @ (User | Repo), .. } => {
                Err(format!("{of} is no value by itself; say which attribute is meant"))
            }
            checked => Ok(checked),
        }
    }

    /// `exists`, `all`, `exists_one`, `map` and `filter` after the parser has spelt them out.
    fn comprehension(&mut self, c: &'a ComprehensionExpr) -> Result<Checked, String> {
        let range = self.check(&c.iter_range)?;
        let each = match range.kind {
            List(element) => *element,
            Answers => Text,
            Map(key, _) => *key,
            other => return Err(format!("one can go over a list or over `fields`, not over {other}")),
        };
        let begun = self.check(&c.accu_init)?;
        self.loops += 1;
        if self.loops > MAX_LOOPS {
            return Err(
                "it goes over a list within a list within a list; two within each other are taken".to_owned()
            );
        }
        let outer = self.bound.len();
        self.bound.push(Bound { name: &c.iter_var, kind: each, origin: range.origin });
        let origin = range.origin.max(begun.origin);
        self.bound.push(Bound { name: &c.accu_var, kind: begun.kind, origin });
        let condition = self.check(&c.loop_cond)?;
        // A list that starts empty gets its kind from what is added to it.
        let step = self.check(&c.loop_step)?;
        let origin = origin.max(condition.origin).max(step.origin);
        self.bound.push(Bound { name: &c.accu_var, kind: step.kind, origin });
        let result = self.check(&c.result)?;
        self.bound.truncate(outer);
        self.loops -= 1;
        Ok(Checked { kind: result.kind, origin: origin.max(result.origin) })
    }

    fn call(&mut self, call: &'a CallExpr) -> Result<Checked, String> {
        let name = call.func_name.as_str();
        if !is_known(name) {
            return Err(match name {
                "has" | "exists" | "all" | "exists_one" | "map" | "filter" => {
                    format!(
                        "`{name}` is not written so: it is `has(user.email)`, `user.orgs.exists(org, org == 'acme')`"
                    )
                }
                _ => format!("there is no function `{name}`; there are {}", FUNCTIONS.join(", ")),
            });
        }
        // `user['email']` and `'email' in user` are `user.email` and `has(user.email)` written otherwise.
        let (of, key) = match (name, call.args.as_slice()) {
            (op::INDEX, [of, key]) | (op::IN, [key, of]) => (Some(of), Some(key)),
            _ => (None, None),
        };
        let (mut operands, mut origins) = (Vec::new(), Vec::new());
        for operand in call.target.as_deref().into_iter().chain(&call.args) {
            let is_looked_into = of.is_some_and(|of| std::ptr::eq(of, operand));
            let checked = if is_looked_into { self.check(operand)? } else { self.value(operand)? };
            operands.push(checked.kind);
            origins.push(checked.origin);
        }
        let origin = origins.iter().copied().max().unwrap_or(Origin::Rule);
        let looked_into = operands.iter().find(|kind| matches!(kind, User | Repo | Answers)).cloned();
        if let (Some(of), Some(key)) = (looked_into, key) {
            match (&of, &key.expr) {
                (_, Expr::Literal(LiteralValue::String(name))) => {
                    self.note_name(&of, name.inner());
                    let kind = attribute(&of, name.inner())?;
                    return Ok(Checked { kind: if call.func_name == op::IN { Bool } else { kind }, origin });
                }
                (Answers, _) => {}
                _ => return Err(format!("which attribute of {of} is meant must be said outright")),
            }
        }
        let kind = kind_of_call(name, call.target.is_some(), &operands)?;
        let origin_of = |name: &str| {
            let bound = self.bound.iter().rev().find(|bound| bound.name == name);
            bound.map_or_else(|| Origin::of_variable(name), |bound| bound.origin)
        };
        origin::check_argument(call, &origins, origin_of)?;
        self.try_constant_argument(call, &operands)?;
        Ok(Checked { kind, origin })
    }

    /// Some arguments can be wrong by themselves: the pattern of `matches`, the time zone of `getHours`.
    fn try_constant_argument(&self, call: &CallExpr, operands: &[Kind]) -> Result<(), String> {
        let literal = |text: &str| IdedExpr {
            id: 0,
            expr: Expr::Literal(LiteralValue::String(text.to_owned().into())),
        };
        let function = |name: &str, target: Option<IdedExpr>, args: Vec<IdedExpr>| IdedExpr {
            id: 0,
            expr: Expr::Call(CallExpr { func_name: name.to_owned(), target: target.map(Box::new), args }),
        };
        let Some(last @ IdedExpr { expr: Expr::Literal(_), .. }) = call.args.last() else { return Ok(()) };
        let sample = match operands {
            [Text, Text] if call.func_name == "matches" => literal(""),
            [Timestamp, Text] => function("timestamp", None, vec![literal("2026-01-01T00:00:00Z")]),
            _ => return Ok(()),
        };
        self.try_out(&function(&call.func_name, Some(sample), vec![last.clone()]))
    }

    /// Evaluates what is the same for every request: what fails now would fail for everybody.
    fn try_out(&self, constant: &IdedExpr) -> Result<(), String> {
        match Value::resolve(constant, &Context::with_env(Arc::clone(self.env))) {
            Ok(_) => Ok(()),
            // The values in the message are the owner's own: nothing else is in a constant.
            Err(error) => Err(error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")),
        }
    }
}
