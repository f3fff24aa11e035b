//! A policy as it is written. TOML and JSON give the same tree, which has the place of each key and value.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use toml::de::{DeTable, DeValue};

/// A value, and its place in the text.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// The number of bytes before it in the text.
    pub(super) at: usize,
    pub(super) value: Value,
}

/// The values that a policy consists of.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    Bool(bool),
    Integer(i64),
    List(Vec<Node>),
    /// The entries, in the order of the text. A key may be repeated.
    Table(Vec<(Node, Node)>),
    /// A value that no policy may contain, such as a date. The text names its kind.
    Other(&'static str),
}

/// A fault in a policy, and the number of bytes before it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Fault {
    pub(super) at: usize,
    pub(super) text: String,
}

/// Reads a policy. If its first character is `{`, it is JSON; otherwise it is TOML.
pub(super) fn read(text: &str) -> Result<Node, Vec<Fault>> {
    if text.trim_start().starts_with('{') {
        let whole: &RawValue = serde_json::from_str(text).map_err(|error| {
            let line_start = text.split_inclusive('\n').take(error.line() - 1).map(str::len).sum::<usize>();
            let at = line_start + error.column().saturating_sub(1);
            // serde_json appends the place, which the fault already has.
            let message = error.to_string();
            let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message);
            vec![Fault { at, text: format!("this is not valid JSON: {message}") }]
        })?;
        return json(text, whole, 0).map_err(|fault| vec![fault]);
    }
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(node_of_table(table.get_ref(), 0));
    }
    let fault = |error: &toml::de::Error| Fault {
        at: error.span().map_or(0, |span| span.start),
        text: format!("this is not valid TOML: {}", error.message()),
    };
    Err(errors.iter().map(fault).collect())
}

/// The maximum number of faults that are shown.
const MAX_FAULTS: usize = 100;

/// Sorts faults by their place, and makes a message of each one.
pub(super) fn messages(mut faults: Vec<Fault>, text: &str) -> Vec<String> {
    faults.sort();
    let message = |Fault { at, text: fault }: &Fault| {
        let before = text.get(..*at).unwrap_or(text);
        let (line, start) = (before.matches('\n').count() + 1, before.rfind('\n').map_or(0, |end| end + 1));
        let column = before.get(start..).unwrap_or_default().chars().count() + 1;
        format!("line {line}, column {column}: {fault}")
    };
    if faults.len() > MAX_FAULTS {
        let others = faults.split_off(MAX_FAULTS);
        let at = others.first().map_or(0, |fault| fault.at);
        faults.push(Fault { at, text: format!("here and below are {} more faults", others.len()) });
    }
    faults.iter().map(message).collect()
}

fn node_of_table(table: &DeTable, at: usize) -> Node {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    let entries = entries.into_iter().map(|(key, value)| {
        let name = Value::Text(key.get_ref().to_string());
        (Node { at: key.span().start, value: name }, node_of(value.get_ref(), value.span().start))
    });
    Node { at, value: Value::Table(entries.collect()) }
}

fn node_of(value: &DeValue, at: usize) -> Node {
    let value = match value {
        DeValue::Table(table) => return node_of_table(table, at),
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Boolean(is_true) => Value::Bool(*is_true),
        DeValue::Integer(number) => {
            let parsed = i64::from_str_radix(number.as_str(), number.radix());
            parsed.map_or(Value::Other("a number that is too large"), Value::Integer)
        }
        DeValue::Array(list) => {
            Value::List(list.iter().map(|each| node_of(each.get_ref(), each.span().start)).collect())
        }
        DeValue::Float(_) => Value::Other("a number with a fraction"),
        DeValue::Datetime(_) => Value::Other("a date"),
    };
    Node { at, value }
}

/// How deep the values of a policy may be nested in JSON. A policy needs five levels.
const MAX_DEPTH: usize = 8;

/// Makes the tree of a part of the text. `depth` is the number of values around this part.
fn json(text: &str, raw: &RawValue, depth: usize) -> Result<Node, Fault> {
    let raw = raw.get();
    let at = raw.as_ptr().addr() - text.as_ptr().addr();
    let invalid = |error: serde_json::Error| Fault { at, text: error.to_string() };
    let value = match raw.as_bytes().first() {
        Some(b'{' | b'[') if depth > MAX_DEPTH => Value::Other("a value that is nested too deep"),
        Some(b'{') => {
            let Entries(entries) = serde_json::from_str(raw).map_err(invalid)?;
            let mut end = at;
            let entries = entries.into_iter().map(|(key, value)| {
                let at =
                    text.get(end..).and_then(|rest| rest.find('"')).map_or(end, |distance| end + distance);
                end = value.get().as_ptr().addr() - text.as_ptr().addr() + value.get().len();
                Ok((Node { at, value: Value::Text(key) }, json(text, value, depth + 1)?))
            });
            Value::Table(entries.collect::<Result<_, _>>()?)
        }
        Some(b'[') => {
            let list: Vec<&RawValue> = serde_json::from_str(raw).map_err(invalid)?;
            Value::List(list.into_iter().map(|each| json(text, each, depth + 1)).collect::<Result<_, _>>()?)
        }
        Some(b'"') => Value::Text(serde_json::from_str(raw).map_err(invalid)?),
        Some(b't' | b'f') => Value::Bool(raw == "true"),
        Some(b'n') => Value::Other("null"),
        _ => raw.parse().map_or(Value::Other("a number with a fraction"), Value::Integer),
    };
    Ok(Node { at, value })
}

/// The entries of a JSON object in the order of the text, repeated keys included.
struct Entries<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries<'de>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

impl Node {
    /// The same tree as JSON, without places. The keys are in alphabetical order.
    pub(super) fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Text(text) => text.as_str().into(),
            Value::Bool(is_true) => (*is_true).into(),
            Value::Integer(number) => (*number).into(),
            Value::List(list) => list.iter().map(Node::to_json).collect(),
            Value::Table(entries) => {
                entries.iter().map(|(key, value)| (key.text().unwrap_or_default(), value.to_json())).collect()
            }
            Value::Other(what) => (*what).into(),
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        if let Value::Text(text) = &self.value { Some(text) } else { None }
    }
}

impl fmt::Display for Value {
    /// Says what kind of value it is.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Text(_) => "text",
            Self::Bool(_) => "`true` or `false`",
            Self::Integer(_) => "a number",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
            Self::Other(what) => what,
        })
    }
}
