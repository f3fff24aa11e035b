//! One `if`: a CEL expression that has been checked, and its evaluation.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use cel::parser::{Expression, ParseError, PrattParser};
use cel::{Context, Env, ExecutionError, Value};

use super::constants::note_variables;
use super::library::{FOLDED_FIELDS, FOLDED_USER};
use super::meter::TooMuchWork;
use super::patterns::Patterns;
use super::{bounds, check};

/// The most bytes that an expression may have: enough for a long list of names, and few enough to bound what parsing
/// one costs in time and stack.
const MAX_LENGTH: usize = 4096;

/// A checked expression that gives a bool.
pub(super) struct Condition {
    /// The expression, as the owner has written it.
    source: Box<str>,
    /// The expression that is evaluated.
    checked: Expression,
    /// The attributes and labels that the expression names outright: those may be repeated in an explanation. Any
    /// other key may be what the requester wrote.
    names: BTreeSet<String>,
    /// Whether it compares an answer, an id or a full name with a name, and so reads [`FOLDED_FIELDS`] or [`FOLDED_USER`].
    reads_folded: bool,
    /// The most work that its evaluation may be, in the units of [`meter`](super::meter).
    work: u64,
}

impl Condition {
    /// Parses and checks an expression, or says what is wrong with it.
    pub(super) fn compile(source: &str, env: &Arc<Env>, patterns: &mut Patterns) -> Result<Self, String> {
        if source.len() > MAX_LENGTH {
            return Err(format!("the expression has {} bytes; at most {MAX_LENGTH} are taken", source.len()));
        }
        let mut checked = PrattParser::new().parse(source).map_err(|errors| {
            // What follows the first error follows from it.
            let first = errors.errors.first().map(describe).unwrap_or_default();
            format!("not a CEL expression: {first}")
        })?;
        // This parser takes a text that breaks over the line, which CEL does not: most likely a quote is missing.
        let findings = check::check_condition(&mut checked, env, source.contains(check::BREAKS))?;
        findings.patterns.into_iter().try_for_each(|pattern| pattern.compile(env, patterns))?;
        let work = bounds::check(&mut checked, patterns)?;
        let mut variables = BTreeSet::new();
        note_variables(&checked, &mut variables);
        let reads_folded = variables.contains(FOLDED_FIELDS) || variables.contains(FOLDED_USER);
        Ok(Self { source: source.into(), checked, names: findings.names, reads_folded, work })
    }

    /// The expression, as the owner has written it.
    pub(super) fn written(&self) -> Expression {
        PrattParser::new().parse(&self.source).unwrap_or_else(|_| self.checked.clone())
    }

    pub(super) fn work(&self) -> u64 {
        self.work
    }

    pub(super) fn reads_folded(&self) -> bool {
        self.reads_folded
    }

    /// Evaluates it over the facts of one request; an error says why it could not be, in words that hold nothing
    /// that the requester wrote.
    pub(super) fn holds(&self, facts: &Context) -> Result<bool, String> {
        // What a requester writes must not take down the review of all the others, whatever it does to the library.
        match catch_unwind(AssertUnwindSafe(|| Value::resolve(&self.checked, facts))) {
            Ok(Ok(Value::Bool(holds))) => Ok(holds),
            Ok(Ok(_)) => Err("it does not give a bool".to_owned()),
            Ok(Err(error)) => Err(self.explain(&error)),
            Err(thrown) if thrown.is::<TooMuchWork>() => {
                Err("evaluating it for this request is more work than is allowed; a person has to decide"
                    .to_owned())
            }
            Err(_) => Err("what the request says makes the evaluation fail".to_owned()),
        }
    }

    /// The messages of the library show the values that did not fit, which are the requester's: so other words.
    fn explain(&self, error: &ExecutionError) -> String {
        match error {
            ExecutionError::NoSuchKey(key) if self.names.contains(key.as_str()) => has_no(key),
            ExecutionError::NoSuchKey(_) => "the request has no such attribute or answer".to_owned(),
            ExecutionError::UndeclaredReference(name) => has_no(name),
            ExecutionError::FunctionError { function, .. } => {
                format!("`{function}` cannot read what the request says")
            }
            ExecutionError::IndexOutOfBounds(_) => "a list is shorter than the rule expects".to_owned(),
            ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => {
                "it divides by zero".to_owned()
            }
            ExecutionError::Overflow(..) => "a number is too large".to_owned(),
            _ => "what the request says does not fit the expression".to_owned(),
        }
    }
}

fn has_no(attribute: &str) -> String {
    let why = match attribute {
        "email" | "domain" => ": its e-mail address is not shared with the owner of the repo",
        _ => "",
    };
    format!("the request has no `{attribute}`{why}")
}

/// Where the fault is and what, without the excerpt of the source that the parser appends.
fn describe(error: &ParseError) -> String {
    let (line, column) = error.pos;
    let message = error.msg.lines().next().unwrap_or_default();
    if message.contains("recursion limit") {
        return "more than 96 brackets within brackets".to_owned();
    }
    format!("line {line}, column {column}: {message}")
}
