//! What kind of value an expression gives, found out at start-up, so that a policy with a slip in it never starts:
//! the `cel` crate checks nothing before an expression is evaluated, and there `fields['Age'] == 18` is not an error
//! but silently false, because answers are text.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use cel::common::ast::operators as op;
use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, MapExpr, SelectExpr,
};
use cel::{Context, Env, Value};

/// What an expression gives.
#[derive(Clone, Debug, PartialEq)]
enum Kind {
    Bool,
    Int,
    Uint,
    Double,
    Text,
    Bytes,
    Null,
    Timestamp,
    Duration,
    List(Box<Kind>),
    /// A map that the expression makes itself, from a kind of keys to a kind of values.
    Map(Box<Kind>, Box<Kind>),
    /// The variable `fields`: text by text.
    Answers,
    /// The variable `user`.
    User,
    /// The variable `repo`.
    Repo,
    /// Of what is in an empty list or map: there is nothing, so it may be taken for anything.
    Any,
}

use Kind::{
    Answers, Any, Bool, Bytes, Double, Duration, Int, List, Map, Null, Repo, Text, Timestamp, Uint, User,
};

/// The functions that a policy may use.
const FUNCTIONS: [&str; 22] = [
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "matches",
    "getFullYear",
    "getMonth",
    "getDate",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getHours",
    "getMinutes",
    "getSeconds",
    "getMilliseconds",
    "string",
    "int",
    "uint",
    "double",
    "bool",
    "timestamp",
    "duration",
];

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
    match checker.kind_of(expression)? {
        Bool | Any => Ok(checker.names),
        other => Err(format!("it gives {other}, but a condition gives a bool")),
    }
}

struct Checker<'a> {
    env: &'a Arc<Env>,
    several_lines: bool,
    /// How many macros that go over a list are around what is looked at.
    loops: usize,
    /// The variables that macros such as `exists` have bound, innermost last.
    bound: Vec<(&'a str, Kind)>,
    depth: usize,
    /// How many variables were met so far: where none is met, an expression is the same for every request.
    variables: usize,
    names: BTreeSet<String>,
}

impl<'a> Checker<'a> {
    fn kind_of(&mut self, expression: &'a IdedExpr) -> Result<Kind, String> {
        if self.depth >= MAX_DEPTH {
            return Err(format!("it nests more than {MAX_DEPTH} deep"));
        }
        self.depth += 1;
        let variables_before = self.variables;
        let kind = self.kind_of_nested(expression)?;
        self.depth -= 1;
        if self.variables == variables_before && !matches!(expression.expr, Expr::Literal(_)) {
            self.try_out(expression)?;
        }
        Ok(kind)
    }

    fn kind_of_nested(&mut self, expression: &'a IdedExpr) -> Result<Kind, String> {
        match &expression.expr {
            Expr::Literal(LiteralValue::String(text))
                if self.several_lines && text.inner().contains(BREAKS) =>
            {
                Err("a text breaks over the line; write it on one line, with `\\n` where it breaks"
                    .to_owned())
            }
            Expr::Literal(literal) => Ok(kind_of_literal(literal)),
            Expr::Ident(name) => self.variable(name),
            Expr::Select(select) => self.select(select),
            Expr::Call(call) => self.call(call),
            Expr::List(list) => Ok(List(Box::new(self.common_kind(&list.elements)?))),
            Expr::Map(map) => self.map(map),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            Expr::Struct(made) => Err(format!("there is no type `{}`", made.type_name)),
            Expr::Unspecified => Err("it is empty".to_owned()),
        }
    }

    fn variable(&mut self, name: &str) -> Result<Kind, String> {
        self.variables += 1;
        if let Some((_, kind)) = self.bound.iter().rev().find(|(bound, _)| *bound == name) {
            return Ok(kind.clone());
        }
        match name {
            "user" => Ok(User),
            "fields" => Ok(Answers),
            "repo" => Ok(Repo),
            "requested_at" | "now" => Ok(Timestamp),
            _ => Err(format!(
                "there is no variable `{name}`; there are `user`, `fields`, `repo`, `requested_at` and `now`"
            )),
        }
    }

    /// `operand.field`, or `has(operand.field)`, which looks the same but for `test`.
    fn select(&mut self, select: &'a SelectExpr) -> Result<Kind, String> {
        let operand = self.kind_of(&select.operand)?;
        self.note_name(&operand, &select.field);
        let kind = attribute(&operand, &select.field)?;
        Ok(if select.test { Bool } else { kind })
    }

    /// Keeps what the owner calls something of the request; the keys of the expression's own maps are no such names.
    fn note_name(&mut self, of: &Kind, name: &str) {
        if matches!(of, User | Repo | Answers) {
            self.names.insert(name.to_owned());
        }
    }

    fn map(&mut self, map: &'a MapExpr) -> Result<Kind, String> {
        let entries = || {
            map.entries.iter().filter_map(|entry| match &entry.expr {
                EntryExpr::MapEntry(entry) => Some(entry),
                EntryExpr::StructField(_) => None,
            })
        };
        let keys = self.common_kind(entries().map(|entry| &entry.key))?;
        if !matches!(keys, Bool | Int | Uint | Text | Any) {
            return Err(format!("{keys} cannot be the key of a map"));
        }
        let values = self.common_kind(entries().map(|entry| &entry.value))?;
        Ok(Map(Box::new(keys), Box::new(values)))
    }

    /// The one kind that all of these have. Of mixed kinds a comparison would be silently false.
    fn common_kind(&mut self, expressions: impl IntoIterator<Item = &'a IdedExpr>) -> Result<Kind, String> {
        let mut common = Any;
        for expression in expressions {
            let kind = self.value_of(expression)?;
            common =
                common.join(&kind).ok_or_else(|| format!("{common} and {kind} stand in one list or map"))?;
        }
        Ok(common)
    }

    /// The kind of something that is used as a value, which `user` and `repo` are not: of one that was put elsewhere it
    /// could not be told which attributes it has.
    fn value_of(&mut self, expression: &'a IdedExpr) -> Result<Kind, String> {
        match self.kind_of(expression)? {
            of @ (User | Repo) => Err(format!("{of} is no value by itself; say which attribute is meant")),
            kind => Ok(kind),
        }
    }

    /// `exists`, `all`, `exists_one`, `map` and `filter` after the parser has spelt them out.
    fn comprehension(&mut self, c: &'a ComprehensionExpr) -> Result<Kind, String> {
        let each = match self.kind_of(&c.iter_range)? {
            List(element) => *element,
            Answers => Text,
            Map(key, _) => *key,
            other => return Err(format!("one can go over a list or over `fields`, not over {other}")),
        };
        let accumulator = self.kind_of(&c.accu_init)?;
        self.loops += 1;
        if self.loops > MAX_LOOPS {
            return Err(
                "it goes over a list within a list within a list; two within each other are taken".to_owned()
            );
        }
        let outer = self.bound.len();
        self.bound.push((&c.iter_var, each));
        self.bound.push((&c.accu_var, accumulator));
        self.kind_of(&c.loop_cond)?;
        // A list that starts empty gets its kind from what is added to it.
        let accumulated = self.kind_of(&c.loop_step)?;
        self.bound.push((&c.accu_var, accumulated));
        let result = self.kind_of(&c.result);
        self.bound.truncate(outer);
        self.loops -= 1;
        result
    }

    fn call(&mut self, call: &'a CallExpr) -> Result<Kind, String> {
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
        let mut operands = Vec::with_capacity(call.args.len() + 1);
        for operand in call.target.as_deref().into_iter().chain(&call.args) {
            let is_looked_into = of.is_some_and(|of| std::ptr::eq(of, operand));
            let kind = if is_looked_into { self.kind_of(operand)? } else { self.value_of(operand)? };
            operands.push(kind);
        }
        let looked_into = operands.iter().find(|kind| matches!(kind, User | Repo | Answers)).cloned();
        if let (Some(of), Some(key)) = (looked_into, key) {
            match (&of, &key.expr) {
                (_, Expr::Literal(LiteralValue::String(name))) => {
                    self.note_name(&of, name.inner());
                    let kind = attribute(&of, name.inner())?;
                    return Ok(if call.func_name == op::IN { Bool } else { kind });
                }
                (Answers, _) => {}
                _ => return Err(format!("which attribute of {of} is meant must be said outright")),
            }
        }
        let kind = kind_of_call(name, call.target.is_some(), &operands)?;
        self.try_constant_argument(call, &operands)?;
        Ok(kind)
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

fn kind_of_literal(literal: &LiteralValue) -> Kind {
    match literal {
        LiteralValue::Boolean(_) => Bool,
        LiteralValue::Int(_) => Int,
        LiteralValue::UInt(_) => Uint,
        LiteralValue::Double(_) => Double,
        LiteralValue::Bytes(_) => Bytes,
        LiteralValue::String(_) => Text,
        LiteralValue::Null => Null,
    }
}

/// What `operand.name` gives.
fn attribute(operand: &Kind, name: &str) -> Result<Kind, String> {
    let (kind, known) = match operand {
        User => (
            match name {
                "name" | "id" | "fullname" | "email" | "domain" => Some(Text),
                "pro" => Some(Bool),
                "verified_orgs" | "orgs" => Some(List(Box::new(Text))),
                _ => None,
            },
            "`name`, `id`, `fullname`, `email`, `domain`, `pro`, `verified_orgs` and `orgs`",
        ),
        Repo => (matches!(name, "name" | "owner" | "type").then_some(Text), "`name`, `owner` and `type`"),
        Answers => return Ok(Text),
        Map(_, value) => return Ok((**value).clone()),
        other => return Err(format!("`.{name}`: {other} has no attributes")),
    };
    kind.ok_or_else(|| format!("{operand} has no attribute `{name}`; it has {known}"))
}

/// What a function or an operator gives for such operands; the first of them is the receiver, if it has one.
fn kind_of_call(name: &str, has_receiver: bool, operands: &[Kind]) -> Result<Kind, String> {
    let given = match (name, operands) {
        (op::CONDITIONAL, [condition, yes, no]) if condition.is(&Bool) => yes.join(no),
        (op::LOGICAL_AND | op::LOGICAL_OR, [a, b]) if a.is(&Bool) && b.is(&Bool) => Some(Bool),
        (op::LOGICAL_NOT | op::NOT_STRICTLY_FALSE, [a]) if a.is(&Bool) => Some(Bool),
        (op::EQUALS | op::NOT_EQUALS, [a, b]) if a.is_comparable(b) => Some(Bool),
        (op::LESS | op::LESS_EQUALS | op::GREATER | op::GREATER_EQUALS, [a, b]) if a.is_ordered(b) => {
            Some(Bool)
        }
        (op::IN, [element, List(elements)]) if element.is_comparable(elements) => Some(Bool),
        (op::IN, [key, Answers]) if key.is(&Text) => Some(Bool),
        (op::IN, [key, Map(keys, _)]) if key.is_comparable(keys) => Some(Bool),
        (op::INDEX, [List(element), index]) if index.is(&Int) => Some((**element).clone()),
        (op::INDEX, [Answers, label]) if label.is(&Text) => Some(Text),
        (op::INDEX, [Map(keys, value), key]) if key.is_comparable(keys) => Some((**value).clone()),
        (op::NEGATE, [a @ (Int | Double)]) => Some(a.clone()),
        (op::ADD | op::SUBSTRACT | op::MULTIPLY | op::DIVIDE | op::MODULO, [a, b]) => arithmetic(name, a, b),
        ("size", [Text | Bytes | List(_) | Map(..) | Answers]) => Some(Int),
        ("contains" | "startsWith" | "endsWith", [a, b]) if has_receiver && a.is(&Text) && b.is(&Text) => {
            Some(Bool)
        }
        ("matches", [a, b]) if a.is(&Text) && b.is(&Text) => Some(Bool),
        (
            "getFullYear" | "getMonth" | "getDate" | "getDayOfMonth" | "getDayOfWeek" | "getDayOfYear"
            | "getHours" | "getMinutes" | "getSeconds" | "getMilliseconds",
            [Timestamp] | [Timestamp, Text],
        ) if has_receiver => Some(Int),
        ("getHours" | "getMinutes" | "getSeconds" | "getMilliseconds", [Duration]) if has_receiver => {
            Some(Int)
        }
        ("string", [Bool | Int | Uint | Double | Text | Bytes | Timestamp | Duration]) if !has_receiver => {
            Some(Text)
        }
        ("int", [Int | Uint | Double | Text | Timestamp]) if !has_receiver => Some(Int),
        ("uint", [Int | Uint | Double | Text]) if !has_receiver => Some(Uint),
        ("double", [Int | Uint | Double | Text]) if !has_receiver => Some(Double),
        ("bool", [Bool | Text]) if !has_receiver => Some(Bool),
        ("timestamp", [Text | Int | Timestamp]) if !has_receiver => Some(Timestamp),
        ("duration", [Text | Duration]) if !has_receiver => Some(Duration),
        _ => None,
    };
    given.ok_or_else(|| {
        let kinds: Vec<String> = operands.iter().map(ToString::to_string).collect();
        let shown = name.trim_matches(['_', '@']);
        if operands.contains(&Null) {
            return format!(
                "`{shown}`: nothing here is ever null; `has(user.email)` tells whether there is one"
            );
        }
        let how = match (name, has_receiver) {
            ("contains" | "startsWith" | "endsWith" | "getHours", false) => {
                "; it is written `text.contains('x')`"
            }
            ("string" | "int" | "uint" | "double" | "bool" | "timestamp" | "duration", true) => {
                "; it is written `int(x)`"
            }
            _ => "",
        };
        format!("`{shown}` does not apply to {}{how}", kinds.join(" and "))
    })
}

/// Whether [`kind_of_call`] knows the name, with whatever operands.
fn is_known(name: &str) -> bool {
    let is_operator = name.starts_with('@') || !name.contains(|c: char| c.is_ascii_alphanumeric());
    is_operator || FUNCTIONS.contains(&name)
}

fn arithmetic(operator: &str, a: &Kind, b: &Kind) -> Option<Kind> {
    match (operator, a, b) {
        (op::ADD, Text, Text) => Some(Text),
        (op::ADD, Bytes, Bytes) => Some(Bytes),
        (op::ADD, List(_), List(_)) => a.join(b),
        (op::ADD | op::SUBSTRACT, Timestamp, Duration) | (op::ADD, Duration, Timestamp) => Some(Timestamp),
        (op::SUBSTRACT, Timestamp, Timestamp) | (op::ADD | op::SUBSTRACT, Duration, Duration) => {
            Some(Duration)
        }
        (op::MODULO, Double, Double) => None,
        (_, a, b) if a.is_number() && a == b => Some(a.clone()),
        _ => None,
    }
}

impl Kind {
    /// Whether it is, or may turn out to be, the same kind.
    fn is(&self, other: &Kind) -> bool {
        self.join(other).is_some()
    }

    /// The kind that both are, where what is in an empty list may be taken for anything.
    fn join(&self, other: &Kind) -> Option<Kind> {
        match (self, other) {
            (Any, kind) | (kind, Any) => Some(kind.clone()),
            (List(a), List(b)) => Some(List(Box::new(a.join(b)?))),
            (Map(k, v), Map(l, w)) => Some(Map(Box::new(k.join(l)?), Box::new(v.join(w)?))),
            (a, b) => (a == b).then(|| a.clone()),
        }
    }

    fn is_number(&self) -> bool {
        matches!(self, Int | Uint | Double)
    }

    /// Whether asking if the two are equal can have more than one answer.
    fn is_comparable(&self, other: &Kind) -> bool {
        match (self, other) {
            (Null | User | Repo, _) | (_, Null | User | Repo) => false,
            (List(a), List(b)) => a.is_comparable(b),
            (a, b) => a.is(b) || (a.is_number() && b.is_number()),
        }
    }

    fn is_ordered(&self, other: &Kind) -> bool {
        !matches!(self, List(_) | Map(..) | Answers) && self.is_comparable(other)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Bool => "a bool",
            Int => "an int",
            Uint => "a uint",
            Double => "a double",
            Text => "text",
            Bytes => "bytes",
            Null => "null",
            Timestamp => "a timestamp",
            Duration => "a duration",
            List(element) => return write!(f, "a list ({element})"),
            Map(key, value) => return write!(f, "a map ({key} to {value})"),
            Answers => "`fields`",
            User => "`user`",
            Repo => "`repo`",
            Any => "nothing",
        })
    }
}
