//! The types of expressions and functions. The `cel` crate does not check types: `fields['Age'] == 18` is silently false there,
//! because answers are text. The check at start-up refuses such an expression.

use std::fmt;

use cel::common::ast::LiteralValue;
use cel::common::ast::operators as op;

use crate::policy::suggest::did_you_mean;

/// The type of the value that an expression gives.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::policy) enum Type {
    Bool,
    Int,
    Uint,
    Double,
    Text,
    /// A text whose case does not matter, see [`names`](crate::policy::names). The value is in ASCII lower case.
    Name,
    Bytes,
    Null,
    Timestamp,
    Duration,
    List(Box<Type>),
    /// A map that the expression itself creates: the types of its keys and of its values.
    Map(Box<Type>, Box<Type>),
    /// The variable `fields`, which maps labels to answers.
    Answers,
    /// The variable `user`.
    User,
    /// The variable `repo`.
    Repo,
    /// The type of the elements of an empty list or map, which fits every type.
    Any,
}

use Type::{
    Answers, Any, Bool, Bytes, Double, Duration, Int, List, Map, Name, Null, Repo, Text, Timestamp, Uint,
    User,
};

/// The functions that a policy may use.
pub(in crate::policy) const FUNCTIONS: [&str; 32] = [
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "matches",
    "under",
    "lowerAscii",
    "upperAscii",
    "trim",
    "split",
    "join",
    "replace",
    "substring",
    "indexOf",
    "age",
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

pub(in crate::policy) fn type_of_literal(literal: &LiteralValue) -> Type {
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

/// The type of `operand.name`.
pub(in crate::policy) fn type_of_attribute(operand: &Type, name: &str) -> Result<Type, String> {
    let (ty, known): (_, &[&str]) = match operand {
        User => (
            match name {
                "name" | "email" | "domain" | "service_account" => Some(Name),
                "id" | "fullname" => Some(Text),
                "pro" => Some(Bool),
                "verified_orgs" | "orgs" => Some(List(Box::new(Name))),
                _ => None,
            },
            &["name", "id", "fullname", "email", "domain", "pro", "verified_orgs", "orgs", "service_account"],
        ),
        Repo => (
            match name {
                "name" | "owner" => Some(Name),
                "type" => Some(Text),
                _ => None,
            },
            &["name", "owner", "type"],
        ),
        Answers => return Ok(Text),
        Map(_, value) => return Ok((**value).clone()),
        other => {
            return Err(format!(
                "`.{name}`: {other} has no attributes; only `user`, `repo`, `fields` and maps have them"
            ));
        }
    };
    ty.ok_or_else(|| {
        format!("{operand} has no attribute `{name}`{}", did_you_mean(name, known.iter().copied()))
    })
}

/// The type of the result of a function or an operator. If a call has a receiver, the receiver is the first operand.
pub(in crate::policy) fn type_of_call(
    name: &str,
    has_receiver: bool,
    operands: &[Type],
) -> Result<Type, String> {
    type_of_operator(name, operands)
        .or_else(|| type_of_text_function(name, has_receiver, operands))
        .or_else(|| if has_receiver { type_of_new_text(name, operands) } else { None })
        .or_else(|| type_of_time_part(name, has_receiver, operands))
        .or_else(|| if has_receiver { None } else { type_of_conversion(name, operands) })
        .ok_or_else(|| wrong_operands(name, has_receiver, operands))
}

fn type_of_operator(name: &str, operands: &[Type]) -> Option<Type> {
    match (name, operands) {
        (op::CONDITIONAL, [condition, yes, no]) if condition.fits(&Bool) => yes.join(no),
        (op::LOGICAL_AND | op::LOGICAL_OR, [a, b]) if a.fits(&Bool) && b.fits(&Bool) => Some(Bool),
        (op::LOGICAL_NOT | op::NOT_STRICTLY_FALSE, [a]) if a.fits(&Bool) => Some(Bool),
        (op::EQUALS | op::NOT_EQUALS, [a, b]) if a.is_comparable(b) => Some(Bool),
        (op::LESS | op::LESS_EQUALS | op::GREATER | op::GREATER_EQUALS, [a, b]) if a.is_ordered(b) => {
            Some(Bool)
        }
        (op::IN, [element, List(elements)]) if element.is_comparable(elements) => Some(Bool),
        (op::IN, [key, Answers]) if key.fits(&Text) => Some(Bool),
        (op::IN, [key, Map(keys, _)]) if key.is_comparable(keys) => Some(Bool),
        (op::INDEX, [List(element), index]) if index.fits(&Int) => Some((**element).clone()),
        (op::INDEX, [Answers, label]) if label.fits(&Text) => Some(Text),
        (op::INDEX, [Map(keys, value), key]) if key.is_comparable(keys) => Some((**value).clone()),
        (op::NEGATE, [a @ (Int | Double)]) => Some(a.clone()),
        (op::ADD | op::SUBSTRACT | op::MULTIPLY | op::DIVIDE | op::MODULO, [a, b]) => arithmetic(name, a, b),
        _ => None,
    }
}

fn type_of_text_function(name: &str, has_receiver: bool, operands: &[Type]) -> Option<Type> {
    match (name, operands) {
        ("size", [Text | Name | Bytes | List(_) | Map(..) | Answers]) => Some(Int),
        ("contains" | "startsWith" | "endsWith", [a, b])
            if has_receiver && a.fits(&Text) && b.fits(&Text) =>
        {
            Some(Bool)
        }
        ("matches", [a, b]) if a.fits(&Text) && b.fits(&Text) => Some(Bool),
        ("under", [Text | Name, Text | Name]) if has_receiver => Some(Bool),
        ("under", [Text | Name, List(entry)]) if has_receiver && entry.fits(&Text) => Some(Bool),
        ("age", [Text | Name]) if !has_receiver => Some(Int),
        _ => None,
    }
}

/// The functions of cel-go's extension for strings.
fn type_of_new_text(name: &str, operands: &[Type]) -> Option<Type> {
    match (name, operands) {
        ("lowerAscii" | "upperAscii" | "trim", [text @ (Text | Name)])
        | ("substring", [text @ (Text | Name), Int] | [text @ (Text | Name), Int, Int]) => Some(text.clone()),
        ("split", [text, separator] | [text, separator, Int]) if text.is_text() => {
            Some(List(Box::new(text.join(separator)?)))
        }
        ("join", [List(element)]) => element.join(&Text),
        ("join", [List(element), separator]) if separator.is_text() => element.join(separator),
        ("replace", [text, from, to] | [text, from, to, Int]) if text.is_text() => text.join(from)?.join(to),
        ("indexOf", [text, part] | [text, part, Int]) if text.is_text() && part.is_text() => Some(Int),
        _ => None,
    }
}

fn type_of_time_part(name: &str, has_receiver: bool, operands: &[Type]) -> Option<Type> {
    match (name, operands) {
        (
            "getFullYear" | "getMonth" | "getDate" | "getDayOfMonth" | "getDayOfWeek" | "getDayOfYear"
            | "getHours" | "getMinutes" | "getSeconds" | "getMilliseconds",
            [Timestamp] | [Timestamp, Text | Name],
        ) if has_receiver => Some(Int),
        ("getHours" | "getMinutes" | "getSeconds" | "getMilliseconds", [Duration]) if has_receiver => {
            Some(Int)
        }
        _ => None,
    }
}

fn type_of_conversion(name: &str, operands: &[Type]) -> Option<Type> {
    match (name, operands) {
        ("string", [Name]) => Some(Name),
        ("string", [Bool | Int | Uint | Double | Text | Bytes | Timestamp | Duration]) => Some(Text),
        ("int", [Int | Uint | Double | Text | Name | Timestamp]) => Some(Int),
        ("uint", [Int | Uint | Double | Text | Name]) => Some(Uint),
        ("double", [Int | Uint | Double | Text | Name]) => Some(Double),
        ("bool", [Bool | Text | Name]) => Some(Bool),
        ("timestamp", [Text | Name | Int | Timestamp]) => Some(Timestamp),
        ("duration", [Text | Name | Duration]) => Some(Duration),
        _ => None,
    }
}

/// The fault of a call that does not apply to its operands.
fn wrong_operands(name: &str, has_receiver: bool, operands: &[Type]) -> String {
    let shown = match name {
        op::CONDITIONAL => "? :",
        op::INDEX => "[ ]",
        _ => name.trim_matches(['_', '@']),
    };
    if operands.contains(&Null) {
        return format!(
            "`{shown}`: no value is ever null; test for a missing value with `has`, such as `has(user.email)`"
        );
    }
    let types: Vec<String> = operands.iter().map(ToString::to_string).collect();
    let hint = match (name, has_receiver) {
        (
            "contains" | "startsWith" | "endsWith" | "under" | "split" | "replace" | "indexOf" | "trim"
            | "lowerAscii" | "upperAscii",
            false,
        ) => {
            let argument = if matches!(name, "trim" | "lowerAscii" | "upperAscii") { "" } else { "'x'" };
            format!("; write it as `text.{name}({argument})`")
        }
        ("age", true) => "; write it as `age(fields['Date of birth'])`".to_owned(),
        (time_part, false) if time_part.starts_with("get") => format!("; write it as `now.{name}()`"),
        ("string" | "int" | "uint" | "double" | "bool" | "timestamp" | "duration", true) => {
            format!("; write it as `{name}(x)`")
        }
        _ => String::new(),
    };
    format!("`{shown}` does not apply to {}{hint}", types.join(" and "))
}

/// Whether a function or an operator of this name exists.
pub(in crate::policy) fn is_known(name: &str) -> bool {
    let is_operator = name.starts_with('@') || !name.contains(|c: char| c.is_ascii_alphanumeric());
    is_operator || FUNCTIONS.contains(&name)
}

fn arithmetic(operator: &str, a: &Type, b: &Type) -> Option<Type> {
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

impl Type {
    /// Whether a value of this type may be used as one of the other type.
    fn fits(&self, other: &Type) -> bool {
        self.join(other).is_some()
    }

    /// The common type of two values that are compared, are in one list, or are the branches of `?:` or the operands of `+`. The
    /// common type of a text and a name is `Name`.
    pub(in crate::policy) fn join(&self, other: &Type) -> Option<Type> {
        match (self, other) {
            (Any, ty) | (ty, Any) => Some(ty.clone()),
            (Text, Name) | (Name, Text) => Some(Name),
            (List(a), List(b)) => Some(List(Box::new(a.join(b)?))),
            (Map(k, v), Map(l, w)) => Some(Map(Box::new(k.join(l)?), Box::new(v.join(w)?))),
            (a, b) => (a == b).then(|| a.clone()),
        }
    }

    fn is_text(&self) -> bool {
        matches!(self, Text | Name)
    }

    fn is_number(&self) -> bool {
        matches!(self, Int | Uint | Double)
    }

    /// Whether a comparison of the two can give both true and false.
    fn is_comparable(&self, other: &Type) -> bool {
        match (self, other) {
            (Null | User | Repo, _) | (_, Null | User | Repo) => false,
            (List(a), List(b)) => a.is_comparable(b),
            (a, b) => a.fits(b) || (a.is_number() && b.is_number()),
        }
    }

    fn is_ordered(&self, other: &Type) -> bool {
        !matches!(self, List(_) | Map(..) | Answers) && self.is_comparable(other)
    }
}

impl fmt::Display for Type {
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
