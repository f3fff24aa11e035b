//! The condition of a rule. At start-up, its `if` is parsed, checked and rewritten, and its patterns are compiled. For each
//! request, the rewritten expression is evaluated.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use cel::parser::{Expression, ParseError, PrattParser};
use cel::{Context, Env, ExecutionError, Value};

use super::check::constants::collect_variables;
use super::check::{self, cost};
use super::functions::{FOLDED_FIELDS, FOLDED_USER};
use super::meter::CostLimitExceeded;
use super::patterns::Patterns;

/// The maximum length of an expression, in bytes. It allows a long list of names, and bounds the time and the stack that the
/// parser needs.
const MAX_LENGTH: usize = 4096;

/// A checked expression that gives a bool.
pub(super) struct Condition {
    /// The expression as the owner wrote it.
    source: Box<str>,
    /// The rewritten expression, which is evaluated.
    rewritten: Expression,
    /// The attributes and labels that are literals in the expression. An explanation may show them. Any other key may be
    /// written by the requester.
    literal_keys: BTreeSet<String>,
    /// Whether the expression compares an answer, an id or a full name with a name, so that it reads [`FOLDED_FIELDS`] or
    /// [`FOLDED_USER`].
    reads_folded: bool,
    /// The maximum cost of one evaluation, in the units of [`meter`](super::meter).
    max_cost: u64,
}

impl Condition {
    /// Parses, checks and rewrites an expression and compiles its patterns, or returns the first fault.
    pub(super) fn compile(source: &str, env: &Arc<Env>, patterns: &mut Patterns) -> Result<Self, String> {
        if source.len() > MAX_LENGTH {
            let length = source.len();
            return Err(format!(
                "the expression has {length} bytes; split it into rules of at most {MAX_LENGTH} bytes"
            ));
        }
        let mut expression = PrattParser::new().parse(source).map_err(|errors| {
            // Further errors are mostly consequences of the first one.
            let first = errors.errors.first().map(describe).unwrap_or_default();
            format!("not a CEL expression: {first}")
        })?;
        let has_line_breaks = source.contains(check::LINE_BREAKS);
        let findings = check::check_condition(&mut expression, env, has_line_breaks)?;
        findings.patterns.into_iter().try_for_each(|pattern| pattern.compile(env, patterns))?;
        let max_cost = cost::check(&mut expression, patterns)?;
        let mut variables = BTreeSet::new();
        collect_variables(&expression, &mut variables);
        let reads_folded = variables.contains(FOLDED_FIELDS) || variables.contains(FOLDED_USER);
        let (source, literal_keys) = (source.into(), findings.literal_keys);
        Ok(Self { source, rewritten: expression, literal_keys, reads_folded, max_cost })
    }

    /// Parses the expression as the owner wrote it, again.
    pub(super) fn parse_source(&self) -> Expression {
        PrattParser::new().parse(&self.source).unwrap_or_else(|_| self.rewritten.clone())
    }

    pub(super) fn max_cost(&self) -> u64 {
        self.max_cost
    }

    pub(super) fn reads_folded(&self) -> bool {
        self.reads_folded
    }

    /// Evaluates the condition over the variables of one request. An error says why that is impossible, and contains nothing that
    /// the requester wrote.
    pub(super) fn evaluate(&self, variables: &Context) -> Result<bool, String> {
        // If an answer makes the library panic, the other requests of the run still have to be decided.
        match catch_unwind(AssertUnwindSafe(|| Value::resolve(&self.rewritten, variables))) {
            Ok(Ok(Value::Bool(is_true))) => Ok(is_true),
            Ok(Ok(_)) => Err("the expression does not give a bool".to_owned()),
            Ok(Err(error)) => Err(self.explain(&error)),
            Err(payload) if payload.is::<CostLimitExceeded>() => {
                Err("its evaluation for this request exceeds the cost limit; a person has to decide"
                    .to_owned())
            }
            Err(_) => Err("a value of the request makes the evaluation fail".to_owned()),
        }
    }

    /// Replaces the library's message, which shows values of the request.
    fn explain(&self, error: &ExecutionError) -> String {
        match error {
            ExecutionError::NoSuchKey(key) if self.literal_keys.contains(key.as_str()) => has_no(key),
            ExecutionError::NoSuchKey(_) => "the request has no such attribute or answer".to_owned(),
            ExecutionError::UndeclaredReference(name) => has_no(name),
            ExecutionError::FunctionError { function, .. } => {
                format!("`{function}` cannot read a value of the request")
            }
            ExecutionError::IndexOutOfBounds(_) => "a list is shorter than the rule expects".to_owned(),
            ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => {
                "the rule divides by zero".to_owned()
            }
            ExecutionError::Overflow(..) => "a number is too large".to_owned(),
            _ => "a value of the request does not fit the expression".to_owned(),
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

/// The place and the message of an error, without the excerpt of the source that the parser appends.
fn describe(error: &ParseError) -> String {
    let (line, column) = error.pos;
    let message = error.msg.lines().next().unwrap_or_default();
    if message.contains("recursion limit") {
        return "brackets are nested more than 96 deep".to_owned();
    }
    format!("line {line}, column {column}: {message}")
}
