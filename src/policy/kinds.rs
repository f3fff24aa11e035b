//! What kind of value an expression gives, found out at start-up, so that a policy with a slip in it never starts:
//! the `cel` crate checks nothing before an expression is evaluated, and there `fields['Age'] == 18` is not an error
//! but silently false, because answers are text.

use std::fmt;

use cel::common::ast::LiteralValue;
use cel::common::ast::operators as op;

/// What an expression gives.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Bool,
    Int,
    Uint,
    Double,
    Text,
    /// A text whose case the Hub or mail ignores, or a text that was made from one. A value of this kind is in ASCII lower case.
    Name,
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
    Answers, Any, Bool, Bytes, Double, Duration, Int, List, Map, Name, Null, Repo, Text, Timestamp, Uint,
    User,
};

/// The functions that a policy may use.
pub(super) const FUNCTIONS: [&str; 22] = [
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

pub(super) fn kind_of_literal(literal: &LiteralValue) -> Kind {
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
pub(super) fn attribute(operand: &Kind, name: &str) -> Result<Kind, String> {
    let (kind, known) = match operand {
        User => (
            match name {
                "name" | "email" | "domain" => Some(Name),
                "id" | "fullname" => Some(Text),
                "pro" => Some(Bool),
                "verified_orgs" | "orgs" => Some(List(Box::new(Name))),
                _ => None,
            },
            "`name`, `id`, `fullname`, `email`, `domain`, `pro`, `verified_orgs` and `orgs`",
        ),
        Repo => (
            match name {
                "name" | "owner" => Some(Name),
                "type" => Some(Text),
                _ => None,
            },
            "`name`, `owner` and `type`",
        ),
        Answers => return Ok(Text),
        Map(_, value) => return Ok((**value).clone()),
        other => return Err(format!("`.{name}`: {other} has no attributes")),
    };
    kind.ok_or_else(|| format!("{operand} has no attribute `{name}`; it has {known}"))
}

/// What a function or an operator gives for such operands; the first of them is the receiver, if it has one.
pub(super) fn kind_of_call(name: &str, has_receiver: bool, operands: &[Kind]) -> Result<Kind, String> {
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
        ("size", [Text | Name | Bytes | List(_) | Map(..) | Answers]) => Some(Int),
        ("contains" | "startsWith" | "endsWith", [a, b]) if has_receiver && a.is(&Text) && b.is(&Text) => {
            Some(Bool)
        }
        ("matches", [a, b]) if a.is(&Text) && b.is(&Text) => Some(Bool),
        (
            "getFullYear" | "getMonth" | "getDate" | "getDayOfMonth" | "getDayOfWeek" | "getDayOfYear"
            | "getHours" | "getMinutes" | "getSeconds" | "getMilliseconds",
            [Timestamp] | [Timestamp, Text | Name],
        ) if has_receiver => Some(Int),
        ("getHours" | "getMinutes" | "getSeconds" | "getMilliseconds", [Duration]) if has_receiver => {
            Some(Int)
        }
        ("string", [Name]) if !has_receiver => Some(Name),
        ("string", [Bool | Int | Uint | Double | Text | Bytes | Timestamp | Duration]) if !has_receiver => {
            Some(Text)
        }
        ("int", [Int | Uint | Double | Text | Name | Timestamp]) if !has_receiver => Some(Int),
        ("uint", [Int | Uint | Double | Text | Name]) if !has_receiver => Some(Uint),
        ("double", [Int | Uint | Double | Text | Name]) if !has_receiver => Some(Double),
        ("bool", [Bool | Text | Name]) if !has_receiver => Some(Bool),
        ("timestamp", [Text | Name | Int | Timestamp]) if !has_receiver => Some(Timestamp),
        ("duration", [Text | Name | Duration]) if !has_receiver => Some(Duration),
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
pub(super) fn is_known(name: &str) -> bool {
    let is_operator = name.starts_with('@') || !name.contains(|c: char| c.is_ascii_alphanumeric());
    is_operator || FUNCTIONS.contains(&name)
}

fn arithmetic(operator: &str, a: &Kind, b: &Kind) -> Option<Kind> {
    match (operator, a, b) {
        (op::ADD, Text | Name, Text | Name) | (op::ADD, List(_), List(_)) => a.join(b),
        (op::ADD, Bytes, Bytes) => Some(Bytes),
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

    /// The common kind of two values that are compared or put into one list. The elements of an empty list may be of any kind,
    /// and a text beside a name becomes a name.
    pub(super) fn join(&self, other: &Kind) -> Option<Kind> {
        match (self, other) {
            (Any, kind) | (kind, Any) => Some(kind.clone()),
            (Text, Name) | (Name, Text) => Some(Name),
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
            Text | Name => "text",
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
