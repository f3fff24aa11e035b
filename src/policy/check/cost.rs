//! Bounds the size of each value in an expression, and the cost of its evaluation, when the policy is read. A few nested
//! macros with a sum in each can turn one letter into gigabytes.
//!
//! The unit of cost is that of [`meter`]. Costs depend on the expression and the request only, so a request is decided in the
//! same way on every machine.

use cel::common::ast::operators as op;
use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue};

use super::super::functions::{ANSWER, CONSTANTS, FOLD, FOLDED_FIELDS, HAS_LABEL, MATCHES, MATCHES_NAME};
use super::super::meter;
use super::super::patterns::{MAX_SEARCHED, Patterns};
use super::super::readable::MAX_ADDRESS;
use crate::model::{MAX_LIST, MAX_NAME, MAX_TEXT};

/// The maximum size of a value, in bytes. Together with the pages that may be in memory, it fits into the function's 128 MB.
const MAX_SIZE: usize = 48 * 1024 * 1024;

/// The size of a value without its text or elements, in bytes.
const VALUE_SIZE: usize = 64;

/// The maximum cost of all rules of a policy together for one request. The estimate is far above the cost of real requests:
/// it assumes the maximum number of answers and of bytes, and for each pattern the text that is hardest to search.
pub(in crate::policy) const MAX_POLICY_COST: u64 = 2_000_000_000;

/// The measured cost of evaluating one part of an expression.
const COST_PER_PART: u64 = 25;

/// The measured cost of beginning one step of a macro.
const COST_PER_STEP: u64 = 150;

/// How many bytes can be compared or copied for one unit.
const BYTES_PER_UNIT: u64 = 4;

/// The maximum size of a value.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::policy) enum Size {
    /// A text, or any other value that is neither a list nor a map.
    Text(Length),
    /// The number of elements of a list and the size of each, or the number of entries of a map and the size of each value.
    List(usize, Box<Size>),
}

/// The maximum length of a value that is neither a list nor a map, in bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::policy) struct Length {
    max: usize,
    /// The maximum of the mean over all steps of the macro that gives the value. One answer may be very long, but not all of
    /// them.
    mean: usize,
}

use Size::{List, Text};

/// Checks that no value in an expression can become too large, for any request. Makes each step of a macro count its cost, and
/// returns the maximum size of its value and the maximum cost of the expression. Its types have to be checked before, and its patterns compiled.
pub(in crate::policy) fn check(
    expression: &mut IdedExpr,
    patterns: &Patterns,
    size_of_let: &dyn Fn(&str) -> Option<Size>,
) -> Result<(Size, u64), String> {
    let mut estimate =
        Estimate { patterns, size_of_let, bound: Vec::new(), cost: 0, times: 1, cost_of_step: 0 };
    let size = estimate.size_of(expression)?;
    Ok((size, estimate.cost))
}

struct Estimate<'a> {
    patterns: &'a Patterns,
    /// The maximum size of the value of a `let`.
    size_of_let: &'a dyn Fn(&str) -> Option<Size>,
    /// The variables that the enclosing macros have bound. The innermost is last.
    bound: Vec<Bound>,
    /// The cost of all parts of the expression so far.
    cost: u64,
    /// How often the present part of the expression is evaluated.
    times: u64,
    /// The cost of the present step, without the macros and patterns in it, which count their cost themselves.
    cost_of_step: u64,
}

/// A variable that a macro has bound.
struct Bound {
    name: String,
    size: Size,
    /// Whether the variable goes through the labels of `fields`.
    is_label: bool,
}

impl Estimate<'_> {
    /// Adds the cost of an expression, and returns the size of its value.
    fn size_of(&mut self, expression: &mut IdedExpr) -> Result<Size, String> {
        self.add_cost(COST_PER_PART);
        let size = match &mut expression.expr {
            Expr::Literal(LiteralValue::String(text)) => Text(text.inner().len().into()),
            Expr::Literal(LiteralValue::Bytes(bytes)) => Text(bytes.inner().len().into()),
            Expr::Literal(_) | Expr::Struct(_) | Expr::Unspecified => Text(0.into()),
            Expr::Ident(name) => self.variable(name),
            Expr::Select(select) => {
                let of = self.size_of(&mut select.operand)?;
                if select.test { Text(0.into()) } else { attribute(&select.operand, &of, &select.field) }
            }
            Expr::Call(call) => self.call(call)?,
            Expr::List(list) => List(list.elements.len(), Box::new(self.largest(&mut list.elements)?)),
            Expr::Map(map) => {
                let entries = map.entries.iter_mut().filter_map(|entry| match &mut entry.expr {
                    EntryExpr::MapEntry(entry) => Some([&mut entry.key, &mut entry.value]),
                    EntryExpr::StructField(_) => None,
                });
                let entries: Vec<_> = entries.collect();
                List(entries.len(), Box::new(self.largest(entries.into_iter().flatten())?))
            }
            Expr::Comprehension(comprehension) => self.comprehension(comprehension)?,
        };
        within_limit(size.bytes())?;
        Ok(size)
    }

    fn largest<'e>(
        &mut self,
        expressions: impl IntoIterator<Item = &'e mut IdedExpr>,
    ) -> Result<Size, String> {
        expressions
            .into_iter()
            .try_fold(Text(0.into()), |largest, expression| Ok(largest.max(self.size_of(expression)?)))
    }

    fn add_cost(&mut self, units: u64) {
        self.cost_of_step = self.cost_of_step.saturating_add(units);
        self.cost = self.cost.saturating_add(self.times.saturating_mul(units));
    }

    fn find_bound(&self, name: &str) -> Option<&Bound> {
        self.bound.iter().rev().find(|bound| bound.name == name)
    }

    fn variable(&self, name: &str) -> Size {
        match self.find_bound(name) {
            Some(bound) => bound.size.clone(),
            // The patterns and lists exist once for all requests, so they do not count.
            None if name == CONSTANTS => Text(0.into()),
            None if name == "fields" || name == FOLDED_FIELDS => {
                // `MAX_TEXT` bounds the sum of all answers.
                List(MAX_LIST, Box::new(Text(Length { max: MAX_TEXT, mean: MAX_TEXT / MAX_LIST })))
            }
            None => (self.size_of_let)(name).unwrap_or(Text(MAX_TEXT.into())),
        }
    }

    fn call(&mut self, call: &mut CallExpr) -> Result<Size, String> {
        let operands = call.target.as_deref_mut().into_iter().chain(&mut call.args);
        let sizes = operands.map(|operand| self.size_of(operand)).collect::<Result<Vec<_>, _>>()?;
        // All operands are in memory together.
        within_limit(sizes.iter().map(Size::bytes).fold(0, usize::saturating_add))?;
        match call.func_name.as_str() {
            op::LOGICAL_AND
            | op::LOGICAL_OR
            | op::LOGICAL_NOT
            | op::NOT_STRICTLY_FALSE
            | op::CONDITIONAL
            | op::INDEX => {}
            // The name is compared with all labels, but a label with another length is not read.
            ANSWER | HAS_LABEL => self.add_cost(8 * MAX_LIST as u64),
            MATCHES | MATCHES_NAME => self.add_cost_of_search(call, &sizes),
            // The library compares the part with the text at each of its places.
            "indexOf" => {
                let [text, part] = [0, 1].map(|place| sizes.get(place).map_or(1, Size::bytes_read));
                self.add_cost(text.saturating_mul(part.max(4)) / BYTES_PER_UNIT);
            }
            _ => self
                .add_cost(sizes.iter().map(Size::bytes_read).fold(0, u64::saturating_add) / BYTES_PER_UNIT),
        }
        if let Some(made) = size_of_text_function(call, &sizes) {
            self.add_cost(made.bytes_read() / BYTES_PER_UNIT);
            return Ok(made);
        }
        let mut sizes = sizes.into_iter();
        Ok(match (call.func_name.as_str(), sizes.next(), sizes.next(), call.args.as_slice()) {
            (op::ADD, Some(a), Some(b), _) => a.plus(b),
            (op::CONDITIONAL, Some(_), Some(yes), _) => sizes.fold(yes, Size::max),
            (op::INDEX, Some(of), Some(_), [operand, key]) => match &key.expr {
                Expr::Literal(LiteralValue::String(name)) => attribute(operand, &of, name.inner()),
                Expr::Ident(name) if is_fields(operand) && self.is_label(name) => of.element(),
                _ => of.any_element(),
            },
            (FOLD, Some(of), _, _) => of,
            (ANSWER, Some(of), _, _) => of.any_element(),
            // A value that is not a text is formatted in fewer than `VALUE_SIZE` bytes.
            ("string", Some(Text(length)), None, _) => Text(length.max(VALUE_SIZE.into())),
            // Bools, numbers and times.
            _ => Text(0.into()),
        })
    }

    fn is_label(&self, variable: &str) -> bool {
        self.find_bound(variable).is_some_and(|bound| bound.is_label)
    }

    /// Adds the cost of a search with a pattern, but not to the step: a search counts its real cost at evaluation, because
    /// the costs of patterns differ so much.
    fn add_cost_of_search(&mut self, call: &CallExpr, sizes: &[Size]) {
        let pattern = call.args.get(1).and_then(|pattern| match &pattern.expr {
            Expr::Literal(LiteralValue::String(text)) => Some(text.inner()),
            _ => None,
        });
        let cost_per_byte = self.patterns.cost_per_byte(pattern, call.func_name == MATCHES_NAME);
        let searched = sizes.first().map_or(0, Size::bytes_read).min(MAX_SEARCHED as u64);
        let units = self.times.saturating_mul(cost_per_byte.saturating_mul(searched));
        self.cost = self.cost.saturating_add(units);
    }

    /// Estimates one step of a macro. What the step adds to the result is multiplied by the number of steps.
    fn comprehension(&mut self, c: &mut ComprehensionExpr) -> Result<Size, String> {
        let range = self.size_of(&mut c.iter_range)?;
        let (times, outer) = (range.len(), self.bound.len());
        let initial = self.size_of(&mut c.accu_init)?;
        let mut bind = |name: &str, size: Size, is_label| {
            self.bound.push(Bound { name: name.to_owned(), size, is_label });
        };
        bind(&c.iter_var, range.element(), is_fields(&c.iter_range));
        c.iter_var2.iter().for_each(|name| bind(name, range.element(), false));
        bind(&c.accu_var, initial, false);
        let outside = (self.cost_of_step, self.times);
        (self.cost_of_step, self.times) = (0, self.times.saturating_mul(times as u64));
        self.add_cost(COST_PER_STEP + range.element().bytes_read() / BYTES_PER_UNIT);
        self.size_of(&mut c.loop_cond)?;
        let accumulated = match self.size_of(&mut c.loop_step)? {
            List(added, element) => List(added.saturating_mul(times), element),
            text @ Text(_) => text,
        };
        meter::count_steps(c, self.cost_of_step);
        (self.cost_of_step, self.times) = outside;
        self.bound.push(Bound { name: c.accu_var.clone(), size: accumulated, is_label: false });
        let result = self.size_of(&mut c.result);
        self.bound.truncate(outer);
        result
    }
}

fn is_fields(expression: &IdedExpr) -> bool {
    matches!(&expression.expr, Expr::Ident(name) if name == "fields" || name == FOLDED_FIELDS)
}

/// The size of the result of a function that makes text of text.
fn size_of_text_function(call: &CallExpr, sizes: &[Size]) -> Option<Size> {
    // An empty separator splits between all characters.
    let least_length = |argument: &IdedExpr| match &argument.expr {
        Expr::Literal(LiteralValue::String(text)) => text.inner().len().max(1),
        _ => 1,
    };
    match (call.func_name.as_str(), sizes, call.args.as_slice()) {
        ("lowerAscii" | "upperAscii" | "trim" | "substring", [text, ..], _) => Some(text.clone()),
        ("split", [Text(text), ..], [separator, ..]) => {
            let parts = text.max / least_length(separator) + 1;
            Some(List(parts, Box::new(Text(Length { max: text.max, mean: text.max / parts + 1 }))))
        }
        ("join", [List(length, element), separator @ ..], _) => {
            let each = element.bytes_read() + separator.first().map_or(0, Size::bytes_read);
            Some(Text(usize::try_from(each).unwrap_or(usize::MAX).saturating_mul(*length).into()))
        }
        ("replace", [Text(text), _, Text(to), ..], [from, ..]) => {
            // An empty text is found between all characters.
            let places = text.max / least_length(from) + 1;
            Some(Text(text.max.saturating_add(places.saturating_mul(to.max)).into()))
        }
        _ => None,
    }
}

fn within_limit(bytes: usize) -> Result<(), String> {
    if bytes <= MAX_SIZE {
        return Ok(());
    }
    Err(format!(
        "the expression could build more than {} MB from one request; nest fewer macros, or make shorter sums",
        MAX_SIZE / (1024 * 1024)
    ))
}

/// The size of `operand.name`.
fn attribute(operand: &IdedExpr, of: &Size, name: &str) -> Size {
    match (&operand.expr, name) {
        (Expr::Ident(user), "orgs" | "verified_orgs") if user == "user" => {
            List(MAX_LIST, Box::new(Text(MAX_NAME.into())))
        }
        (Expr::Ident(user), "name") if user == "user" => Text(MAX_NAME.into()),
        (Expr::Ident(user), "email" | "domain") if user == "user" => Text(MAX_ADDRESS.into()),
        _ => of.any_element(),
    }
}

impl From<usize> for Length {
    fn from(length: usize) -> Self {
        Self { max: length, mean: length }
    }
}

impl Length {
    fn plus(self, other: Self) -> Self {
        Self { max: self.max.saturating_add(other.max), mean: self.mean.saturating_add(other.mean) }
    }

    fn max(self, other: Self) -> Self {
        Self { max: self.max.max(other.max), mean: self.mean.max(other.mean) }
    }
}

impl Size {
    /// The memory that the value takes, in bytes.
    fn bytes(&self) -> usize {
        match self {
            Text(length) => VALUE_SIZE.saturating_add(length.max),
            List(length, element) => {
                let each = match &**element {
                    // The mean bounds the sum of all elements.
                    Text(length) => VALUE_SIZE.saturating_add(length.mean),
                    list @ List(..) => list.bytes(),
                };
                VALUE_SIZE.saturating_add(length.saturating_mul(each))
            }
        }
    }

    /// The number of bytes that a function reads if it reads all of the value.
    fn bytes_read(&self) -> u64 {
        match self {
            Text(length) => length.mean as u64,
            List(length, element) => (*length as u64).saturating_mul(element.bytes_read().saturating_add(16)),
        }
    }

    /// The number of steps of a macro over this value.
    fn len(&self) -> usize {
        match self {
            Text(_) => 0,
            List(length, _) => *length,
        }
    }

    /// The size of the elements, if each one is read once. For a text, it is the size of the text, because `user` counts as a
    /// text.
    fn element(&self) -> Size {
        match self {
            Text(_) => self.clone(),
            List(_, element) => (**element).clone(),
        }
    }

    /// The size of an element that may be the longest one each time.
    fn any_element(&self) -> Size {
        self.element().without_mean()
    }

    /// The size with the maximum length as the mean.
    fn without_mean(self) -> Size {
        match self {
            Text(length) => Text(length.max.into()),
            List(length, element) => List(length, Box::new(element.without_mean())),
        }
    }

    fn plus(self, other: Size) -> Size {
        match (self, other) {
            (Text(a), Text(b)) => Text(a.plus(b)),
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
