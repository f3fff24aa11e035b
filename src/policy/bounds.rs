//! Bounds the size of every value of an expression, and the work to evaluate it, when the policy is read. A few nested macros with
//! a sum in each can turn one letter into gigabytes.
//!
//! Work is counted in units of about a nanosecond on a fast machine. They depend on the expression and the request alone, so the
//! same request is decided in the same way on any machine.

use cel::common::ast::operators as op;
use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue};

use super::library::{ANSWER, FOLD, FOLDED_FIELDS, HAS_LABEL, MATCHES, MATCHES_NAME, PATTERNS};
use super::patterns::{MAX_SEARCHED, Patterns};
use super::readable::MAX_ADDRESS;
use super::{MAX_LIST, MAX_NAME, MAX_TEXT, meter};

/// The most bytes that anything may become. With the pages that may be in hand it fits into the function's 128 MB.
const MAX_SIZE: usize = 48 * 1024 * 1024;

/// What any value takes by itself.
const VALUE: usize = 64;

/// The most work that all rules of a policy together may take for one request. The estimate is far above real use: it assumes the
/// most answers, the most bytes, and the hardest text for each pattern.
pub(super) const MAX_POLICY_WORK: u64 = 2_000_000_000;

/// The work to evaluate any part of an expression, and to begin a step of a macro, by measurement.
const PART: u64 = 25;
const STEP: u64 = 150;

/// How many bytes are compared or copied in one unit.
const BYTES_A_UNIT: u64 = 4;

/// The most that a value may be.
#[derive(Clone, Debug, PartialEq)]
enum Size {
    Text(Length),
    /// So many elements of this size; of a map, its values.
    List(usize, Box<Size>),
}

/// How many bytes a text has, or anything else that is no list.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Length {
    most: usize,
    /// On average over the steps of the macro that gives it. One answer may be very long, but not all of them.
    mean: usize,
}

use Size::{List, Text};

/// Checks that nothing in an expression, whose kinds have been checked and whose patterns are compiled, may become too large,
/// whatever the request is. Makes each step of a macro count as work, and returns the most work that the whole may be.
pub(super) fn check(expression: &mut IdedExpr, patterns: &Patterns) -> Result<u64, String> {
    let mut bounds = Bounds { patterns, bound: Vec::new(), work: 0, times: 1, work_of_step: 0 };
    bounds.of(expression)?;
    Ok(bounds.work)
}

struct Bounds<'a> {
    patterns: &'a Patterns,
    /// The variables that macros have bound, innermost last.
    bound: Vec<Bound>,
    /// The work of all that was looked at.
    work: u64,
    /// How often the present part of the expression is evaluated.
    times: u64,
    /// The work of the present step, but for macros within it and for patterns.
    work_of_step: u64,
}

struct Bound {
    name: String,
    size: Size,
    /// Whether it is each label of `fields` in turn.
    is_label: bool,
}

impl Bounds<'_> {
    fn of(&mut self, expression: &mut IdedExpr) -> Result<Size, String> {
        self.charge(PART);
        let size = match &mut expression.expr {
            Expr::Literal(LiteralValue::String(text)) => Text(text.inner().len().into()),
            Expr::Literal(LiteralValue::Bytes(bytes)) => Text(bytes.inner().len().into()),
            Expr::Literal(_) | Expr::Struct(_) | Expr::Unspecified => Text(0.into()),
            Expr::Ident(name) => self.variable(name),
            Expr::Select(select) => {
                let of = self.of(&mut select.operand)?;
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
            .try_fold(Text(0.into()), |largest, expression| Ok(largest.max(self.of(expression)?)))
    }

    fn charge(&mut self, units: u64) {
        self.work_of_step = self.work_of_step.saturating_add(units);
        self.work = self.work.saturating_add(self.times.saturating_mul(units));
    }

    fn find_bound(&self, name: &str) -> Option<&Bound> {
        self.bound.iter().rev().find(|bound| bound.name == name)
    }

    fn variable(&self, name: &str) -> Size {
        match self.find_bound(name) {
            Some(bound) => bound.size.clone(),
            // The patterns are shared by all requests, so they count for none.
            None if name == PATTERNS => Text(0.into()),
            None if name == "fields" || name == FOLDED_FIELDS => {
                // All texts of a request together have at most `MAX_TEXT` bytes.
                List(MAX_LIST, Box::new(Text(Length { most: MAX_TEXT, mean: MAX_TEXT / MAX_LIST })))
            }
            None => Text(MAX_TEXT.into()),
        }
    }

    fn call(&mut self, call: &mut CallExpr) -> Result<Size, String> {
        let operands = call.target.as_deref_mut().into_iter().chain(&mut call.args);
        let sizes = operands.map(|operand| self.of(operand)).collect::<Result<Vec<_>, _>>()?;
        // All operands are in memory at the same time.
        within_limit(sizes.iter().map(Size::bytes).fold(0, usize::saturating_add))?;
        match call.func_name.as_str() {
            op::LOGICAL_AND
            | op::LOGICAL_OR
            | op::LOGICAL_NOT
            | op::NOT_STRICTLY_FALSE
            | op::CONDITIONAL
            | op::INDEX => {}
            // Of most labels, only the length is looked at.
            ANSWER | HAS_LABEL => self.charge(8 * MAX_LIST as u64),
            MATCHES | MATCHES_NAME => self.charge_for_pattern(call, &sizes),
            _ => self.charge(sizes.iter().map(Size::read).fold(0, u64::saturating_add) / BYTES_A_UNIT),
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
            // A value that is not a string is formatted in fewer than `VALUE` bytes.
            ("string", Some(Text(length)), None, _) => Text(length.max(VALUE.into())),
            // Bools, numbers and times.
            _ => Text(0.into()),
        })
    }

    fn is_label(&self, variable: &str) -> bool {
        self.find_bound(variable).is_some_and(|bound| bound.is_label)
    }

    /// Patterns count as they are used when a request is decided, because what they cost differs so much.
    fn charge_for_pattern(&mut self, call: &CallExpr, sizes: &[Size]) {
        let pattern = call.args.get(1).and_then(|pattern| match &pattern.expr {
            Expr::Literal(LiteralValue::String(text)) => Some(text.inner()),
            _ => None,
        });
        let work_per_byte = self.patterns.work_per_byte(pattern, call.func_name == MATCHES_NAME);
        let searched = sizes.first().map_or(0, Size::read).min(MAX_SEARCHED as u64);
        let units = self.times.saturating_mul(work_per_byte.saturating_mul(searched));
        self.work = self.work.saturating_add(units);
    }

    /// One step gives the size of what it adds to the result. That size is multiplied by the number of elements.
    fn comprehension(&mut self, c: &mut ComprehensionExpr) -> Result<Size, String> {
        let range = self.of(&mut c.iter_range)?;
        let (times, outer) = (range.len(), self.bound.len());
        let begun = self.of(&mut c.accu_init)?;
        let mut bind = |name: &str, size: Size, is_label| {
            self.bound.push(Bound { name: name.to_owned(), size, is_label });
        };
        bind(&c.iter_var, range.element(), is_fields(&c.iter_range));
        c.iter_var2.iter().for_each(|name| bind(name, range.element(), false));
        bind(&c.accu_var, begun, false);
        let around = (self.work_of_step, self.times);
        (self.work_of_step, self.times) = (0, self.times.saturating_mul(times as u64));
        self.charge(STEP + range.element().read() / BYTES_A_UNIT);
        self.of(&mut c.loop_cond)?;
        let made = match self.of(&mut c.loop_step)? {
            List(added, element) => List(added.saturating_mul(times), element),
            text @ Text(_) => text,
        };
        meter::count_steps(c, self.work_of_step);
        (self.work_of_step, self.times) = around;
        self.bound.push(Bound { name: c.accu_var.clone(), size: made, is_label: false });
        let result = self.of(&mut c.result);
        self.bound.truncate(outer);
        result
    }
}

fn is_fields(expression: &IdedExpr) -> bool {
    matches!(&expression.expr, Expr::Ident(name) if name == "fields" || name == FOLDED_FIELDS)
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
            List(MAX_LIST, Box::new(Text(MAX_NAME.into())))
        }
        (Expr::Ident(user), "name") if user == "user" => Text(MAX_NAME.into()),
        (Expr::Ident(user), "email" | "domain") if user == "user" => Text(MAX_ADDRESS.into()),
        _ => of.any_element(),
    }
}

impl From<usize> for Length {
    fn from(length: usize) -> Self {
        Self { most: length, mean: length }
    }
}

impl Length {
    fn plus(self, other: Self) -> Self {
        Self { most: self.most.saturating_add(other.most), mean: self.mean.saturating_add(other.mean) }
    }

    fn max(self, other: Self) -> Self {
        Self { most: self.most.max(other.most), mean: self.mean.max(other.mean) }
    }
}

impl Size {
    fn bytes(&self) -> usize {
        match self {
            Text(length) => VALUE.saturating_add(length.most),
            List(length, element) => VALUE.saturating_add(length.saturating_mul(element.bytes())),
        }
    }

    /// How many bytes a function reads that goes through all of it.
    fn read(&self) -> u64 {
        match self {
            Text(length) => length.mean as u64,
            List(length, element) => (*length as u64).saturating_mul(element.read().saturating_add(16)),
        }
    }

    /// The number of steps of a macro over this value.
    fn len(&self) -> usize {
        match self {
            Text(_) => 0,
            List(length, _) => *length,
        }
    }

    /// The size of each element in turn; of a text, which `user` is taken for, its own.
    fn element(&self) -> Size {
        match self {
            Text(_) => self.clone(),
            List(_, element) => (**element).clone(),
        }
    }

    /// The size of an element that may be any, always the longest for instance.
    fn any_element(&self) -> Size {
        self.element().at_most()
    }

    /// The same, always as long as possible.
    fn at_most(self) -> Size {
        match self {
            Text(length) => Text(length.most.into()),
            List(length, element) => List(length, Box::new(element.at_most())),
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
