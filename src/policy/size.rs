//! How large what an expression makes may become, found out at start-up: a few macros and a sum in each of them make
//! gigabytes of a single letter, and nothing ends an evaluation before its time.

use cel::common::ast::operators as op;
use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue};

use super::library::{ANSWER, FOLD, FOLDED_FIELDS, PATTERNS};
use super::{MAX_LIST, MAX_NAME, MAX_TEXT};

/// The most bytes that anything may become. With the pages that may be in hand it fits into the function's 128 MB.
const MAX_SIZE: usize = 48 * 1024 * 1024;

/// What any value takes by itself.
const VALUE: usize = 64;

/// The most that a value may be.
#[derive(Clone, Debug, PartialEq)]
enum Size {
    /// A text of so many bytes, or anything else that is no list.
    Text(usize),
    /// So many elements of this size; of a map, its values.
    List(usize, Box<Size>),
}

use Size::{List, Text};

/// Checks that nothing in an expression, whose kinds have been checked, may become too large, whatever the request is.
pub(super) fn check(expression: &IdedExpr) -> Result<(), String> {
    Sizes { bound: Vec::new() }.of(expression).map(drop)
}

struct Sizes<'a> {
    /// The variables that macros have bound, innermost last.
    bound: Vec<(&'a str, Size)>,
}

impl<'a> Sizes<'a> {
    fn of(&mut self, expression: &'a IdedExpr) -> Result<Size, String> {
        let size = match &expression.expr {
            Expr::Literal(LiteralValue::String(text)) => Text(text.inner().len()),
            Expr::Literal(LiteralValue::Bytes(bytes)) => Text(bytes.inner().len()),
            Expr::Literal(_) | Expr::Struct(_) | Expr::Unspecified => Text(0),
            Expr::Ident(name) => self.variable(name),
            Expr::Select(select) => {
                let of = self.of(&select.operand)?;
                if select.test { Text(0) } else { attribute(&select.operand, &of, &select.field) }
            }
            Expr::Call(call) => self.call(call)?,
            Expr::List(list) => List(list.elements.len(), Box::new(self.largest(&list.elements)?)),
            Expr::Map(map) => {
                let entries = map.entries.iter().filter_map(|entry| match &entry.expr {
                    EntryExpr::MapEntry(entry) => Some([&entry.key, &entry.value]),
                    EntryExpr::StructField(_) => None,
                });
                List(map.entries.len(), Box::new(self.largest(entries.flatten())?))
            }
            Expr::Comprehension(comprehension) => self.comprehension(comprehension)?,
        };
        within_limit(size.bytes())?;
        Ok(size)
    }

    fn largest(&mut self, expressions: impl IntoIterator<Item = &'a IdedExpr>) -> Result<Size, String> {
        expressions.into_iter().try_fold(Text(0), |largest, expression| Ok(largest.max(self.of(expression)?)))
    }

    fn variable(&self, name: &str) -> Size {
        match self.bound.iter().rev().find(|(bound, _)| *bound == name) {
            Some((_, size)) => size.clone(),
            // The patterns are shared by all requests, so they count for none.
            None if name == PATTERNS => Text(0),
            None if name == "fields" || name == FOLDED_FIELDS => List(MAX_LIST, Box::new(Text(MAX_TEXT))),
            None => Text(MAX_TEXT),
        }
    }

    fn call(&mut self, call: &'a CallExpr) -> Result<Size, String> {
        let operands = call.target.as_deref().into_iter().chain(&call.args);
        let sizes = operands.map(|operand| self.of(operand)).collect::<Result<Vec<_>, _>>()?;
        // They are there at the same time.
        within_limit(sizes.iter().map(Size::bytes).fold(0, usize::saturating_add))?;
        let mut sizes = sizes.into_iter();
        Ok(match (call.func_name.as_str(), sizes.next(), sizes.next(), call.args.as_slice()) {
            (op::ADD, Some(a), Some(b), _) => a.plus(b),
            (op::CONDITIONAL, Some(_), Some(yes), _) => sizes.fold(yes, Size::max),
            (op::INDEX, Some(of), Some(_), [operand, key]) => match &key.expr {
                Expr::Literal(LiteralValue::String(name)) => attribute(operand, &of, name.inner()),
                _ => of.element(),
            },
            (FOLD, Some(of), _, _) => of,
            (ANSWER, Some(of), _, _) => of.element(),
            // What is no text is written as one in fewer bytes than that.
            ("string", Some(Text(length)), None, _) => Text(length.max(VALUE)),
            // Bools, numbers and times.
            _ => Text(0),
        })
    }

    /// Of one step of the macro the size is that of what it adds; so it is taken as often as there are elements.
    fn comprehension(&mut self, c: &'a ComprehensionExpr) -> Result<Size, String> {
        let range = self.of(&c.iter_range)?;
        let (times, outer) = (range.len(), self.bound.len());
        let begun = self.of(&c.accu_init)?;
        self.bound.push((&c.iter_var, range.element()));
        self.bound.extend(c.iter_var2.as_deref().map(|name| (name, range.element())));
        self.bound.push((&c.accu_var, begun));
        self.of(&c.loop_cond)?;
        let made = match self.of(&c.loop_step)? {
            List(added, element) => List(added.saturating_mul(times), element),
            text @ Text(_) => text,
        };
        self.bound.push((&c.accu_var, made));
        let result = self.of(&c.result);
        self.bound.truncate(outer);
        result
    }
}

fn within_limit(bytes: usize) -> Result<(), String> {
    if bytes <= MAX_SIZE {
        return Ok(());
    }
    Err(format!("what it makes of a request may become larger than {} MB", MAX_SIZE / (1024 * 1024)))
}

/// The size of `operand.name`.
fn attribute(operand: &IdedExpr, of: &Size, name: &str) -> Size {
    match (&operand.expr, name) {
        (Expr::Ident(user), "orgs" | "verified_orgs") if user == "user" => {
            List(MAX_LIST, Box::new(Text(MAX_NAME)))
        }
        _ => of.element(),
    }
}

impl Size {
    fn bytes(&self) -> usize {
        match self {
            Text(length) => VALUE + length,
            List(length, element) => VALUE.saturating_add(length.saturating_mul(element.bytes())),
        }
    }

    /// How often one goes over it.
    fn len(&self) -> usize {
        match self {
            Text(_) => 0,
            List(length, _) => *length,
        }
    }

    /// The size of what is in it; of a text, which `user` is taken for, its own.
    fn element(&self) -> Size {
        match self {
            Text(_) => self.clone(),
            List(_, element) => (**element).clone(),
        }
    }

    fn plus(self, other: Size) -> Size {
        match (self, other) {
            (Text(a), Text(b)) => Text(a.saturating_add(b)),
            (List(a, one), List(b, other)) => List(a.saturating_add(b), Box::new(one.max(*other))),
            (list @ List(..), Text(_)) | (Text(_), list @ List(..)) => list,
        }
    }

    fn max(self, other: Size) -> Size {
        match (self, other) {
            (Text(a), Text(b)) => Text(a.max(b)),
            (List(a, one), List(b, other)) => List(a.max(b), Box::new(one.max(*other))),
            (list @ List(..), Text(_)) | (Text(_), list @ List(..)) => list,
        }
    }
}
