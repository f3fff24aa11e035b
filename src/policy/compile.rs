//! The expressions of a policy. At start-up, each one is parsed, checked and rewritten, and its patterns are compiled. For each
//! request, the rewritten expression is evaluated.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use cel::common::ast::Expr;
use cel::parser::{Expression, ParseError, PrattParser};
use cel::{Context, Env, ExecutionError, Value};

use super::check::constants::{collect_variables, literal};
use super::check::cost::{self, Size};
use super::check::origin::Origin;
use super::check::{self, CheckedLet, Scope, Wanted};
use super::document::{Source, WrittenLet};
use super::functions::{FOLDED_FIELDS, FOLDED_USER, LISTS};
use super::lists::Lists;
use super::meter::CostLimitExceeded;
use super::patterns::Patterns;
use super::tree::Fault;

/// The maximum length of an expression, in bytes. It allows a long list of names, and bounds the time and the stack that the
/// parser needs.
const MAX_LENGTH: usize = 4096;

/// The fault of a `let` that needs its own value.
const DEPENDS_ON_ITSELF: &str =
    "it depends on itself, directly or through another `let`; remove one of these references";

/// The data that compiling an expression reads, and the data that it adds to.
pub(super) struct Compiler<'a> {
    pub(super) env: &'a Arc<Env>,
    pub(super) lists: &'a Lists,
    pub(super) patterns: Patterns,
    /// The expressions under `let`. Each one reads only those before it.
    pub(super) lets: Lets,
    /// The lists that expressions read.
    pub(super) lists_read: BTreeSet<usize>,
}

/// The expressions under `let` that are compiled, and the names of those with a fault.
#[derive(Default)]
pub(super) struct Lets {
    pub(super) compiled: Vec<Let>,
    faulty: BTreeSet<String>,
}

/// An expression under `let`, which rules read by its name.
pub(super) struct Let {
    pub(super) checked: CheckedLet,
    pub(super) expression: Compiled,
    size: Size,
}

/// A checked expression.
pub(super) struct Compiled {
    /// The expression as the owner wrote it.
    source: Box<str>,
    /// The rewritten expression, which is evaluated.
    rewritten: Expression,
    /// The attributes and labels that are literals in the expression. An explanation may show them. Any other key may be
    /// written by the requester.
    literal_keys: BTreeSet<String>,
    /// The positions in [`Lets`] of the expressions that this one reads, directly or through others.
    pub(super) lets: BTreeSet<usize>,
    /// Whether the expression compares an answer, an id or a full name with a name, so that it reads [`FOLDED_FIELDS`] or
    /// [`FOLDED_USER`].
    pub(super) reads_folded: bool,
    /// The maximum cost of one evaluation, in the units of [`meter`](super::meter), without the expressions under `let`.
    pub(super) max_cost: u64,
}

/// Why expressions under `let` could not be evaluated for a request, by their names.
pub(super) type FailedLets = HashMap<String, String>;

impl Compiler<'_> {
    /// Compiles the expressions under `let`, each one after those that it reads.
    pub(super) fn compile_lets(&mut self, written: &[WrittenLet], faults: &mut Vec<Fault>) {
        let mut remaining: BTreeMap<&str, (&Source, BTreeSet<String>)> = BTreeMap::new();
        for WrittenLet { name, expression } in written {
            let mut variables = BTreeSet::new();
            if let Ok(parsed) = parse(&expression.text) {
                collect_variables(&parsed, &mut variables);
            }
            remaining.insert(name, (expression, variables));
        }
        while !remaining.is_empty() {
            let is_ready = |(_, variables): &(&Source, BTreeSet<String>)| {
                !variables.iter().any(|variable| remaining.contains_key(variable.as_str()))
            };
            let ready = remaining.iter().find(|(_, entry)| is_ready(entry)).map(|(name, _)| *name);
            let name = ready.or_else(|| remaining.keys().next().copied()).unwrap_or_default();
            let Some((source, _)) = remaining.remove(name) else { return };
            let compiled = match ready {
                Some(_) => self.compile_let(name, source),
                None => Err(DEPENDS_ON_ITSELF.to_owned()),
            };
            match compiled {
                Ok(compiled) => self.lets.compiled.push(compiled),
                Err(fault) => {
                    self.lets.faulty.insert(name.to_owned());
                    add_fault(faults, source.at, &format!("let `{name}`"), &fault);
                }
            }
        }
    }

    fn compile_let(&mut self, name: &str, source: &Source) -> Result<Let, String> {
        let (expression, value, size) = self.compile(&source.text, Wanted::Value)?;
        let context = Context::with_env(Arc::clone(self.env));
        let is_constant = value.origin == Origin::Rule;
        let constant = is_constant.then(|| Value::resolve(&expression.rewritten, &context));
        let constant = constant.and_then(Result::ok).and_then(literal).map(|literal| literal.expr);
        Ok(Let { checked: CheckedLet { name: name.to_owned(), value, constant }, expression, size })
    }

    /// Compiles an `if` or an `unless`.
    pub(super) fn compile_condition(&mut self, source: &Source) -> Result<Compiled, String> {
        self.compile(&source.text, Wanted::Bool).map(|(compiled, ..)| compiled)
    }

    /// Parses, checks and rewrites an expression and compiles its patterns, or returns the first fault.
    fn compile(&mut self, source: &str, wanted: Wanted) -> Result<(Compiled, check::Checked, Size), String> {
        let mut expression = parse(source)?;
        let has_line_breaks = source.contains(check::LINE_BREAKS);
        let lets = self.lets.compiled.iter().map(|each| &each.checked).collect();
        let faulty_lets = &self.lets.faulty;
        let scope = Scope { env: self.env, lists: self.lists, lets, faulty_lets, has_line_breaks };
        let findings = check::check(&mut expression, &scope, wanted)?;
        let (env, patterns) = (self.env, &mut self.patterns);
        findings.patterns.into_iter().try_for_each(|pattern| pattern.compile(env, patterns))?;
        let size_of_let = |name: &str| self.lets.find(name).map(|of| of.size.clone());
        let (size, max_cost) = cost::check(&mut expression, patterns, &size_of_let)?;
        let mut variables = BTreeSet::new();
        collect_variables(&expression, &mut variables);
        let reads_folded = variables.contains(FOLDED_FIELDS) || variables.contains(FOLDED_USER);
        let mut lets = findings.lets;
        for read in lets.clone() {
            lets.extend(self.lets.compiled.get(read).into_iter().flat_map(|of| &of.expression.lets));
        }
        self.lists_read.extend(findings.lists);
        let (source, literal_keys) = (source.into(), findings.literal_keys);
        let compiled = Compiled { source, rewritten: expression, literal_keys, lets, reads_folded, max_cost };
        Ok((compiled, findings.value, size))
    }
}

impl Lets {
    pub(super) fn find(&self, name: &str) -> Option<&Let> {
        self.compiled.iter().find(|each| each.checked.name == name)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.compiled.iter().map(|each| &*each.checked.name)
    }
}

/// Adds a fault, unless it is only the consequence of a fault in a `let`.
pub(super) fn add_fault(faults: &mut Vec<Fault>, at: usize, subject: &str, fault: &str) {
    if fault != check::FAULT_IN_LET {
        faults.push(Fault { at, text: format!("{subject}: {fault}") });
    }
}

/// Parses an expression that is not too long.
pub(super) fn parse(source: &str) -> Result<Expression, String> {
    if source.len() > MAX_LENGTH {
        let length = source.len();
        return Err(format!(
            "the expression has {length} bytes; split it into rules of at most {MAX_LENGTH} bytes"
        ));
    }
    PrattParser::new().parse(source).map_err(|errors| {
        // Further errors are mostly consequences of the first one.
        let first = errors.errors.first().map(describe).unwrap_or_default();
        let hint = foreign_operator(source).unwrap_or_default();
        format!("not a CEL expression: {first}{hint}")
    })
}

impl Compiled {
    /// Parses the source again. The result is the expression as the owner wrote it.
    pub(super) fn parse_source(&self) -> Expression {
        PrattParser::new().parse(&self.source).unwrap_or_else(|_| self.rewritten.clone())
    }

    /// The expression as the owner wrote it, but with each `let` replaced by its expression.
    pub(super) fn with_lets(&self, lets: &Lets) -> Expression {
        let (mut expression, mut replacements) = (self.parse_source(), MAX_REPLACEMENTS);
        replace_lets(&mut expression, lets, 0, &mut replacements);
        expression
    }

    /// The expression as the owner wrote it.
    pub(super) fn source(&self) -> &str {
        &self.source
    }

    /// Evaluates a condition over the variables of one request. An error says why the evaluation failed, and contains nothing
    /// that the requester wrote.
    pub(super) fn is_true(&self, variables: &Context, failed: &FailedLets) -> Result<bool, String> {
        match self.evaluate(variables, failed)? {
            Value::Bool(is_true) => Ok(is_true),
            _ => Err("the expression does not give a bool".to_owned()),
        }
    }

    /// Evaluates the expression over the variables of one request, like [`Compiled::is_true`].
    pub(super) fn evaluate(&self, variables: &Context, failed: &FailedLets) -> Result<Value, String> {
        // If an answer makes the library panic, the other requests of the run still have to be decided.
        match catch_unwind(AssertUnwindSafe(|| Value::resolve(&self.rewritten, variables))) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(self.explain(&error, failed)),
            Err(payload) if payload.is::<CostLimitExceeded>() => {
                Err("its evaluation for this request exceeds the cost limit; a person has to decide"
                    .to_owned())
            }
            Err(_) => Err("a value of the request makes the evaluation fail".to_owned()),
        }
    }

    /// Replaces the library's message, which shows values of the request.
    fn explain(&self, error: &ExecutionError, failed: &FailedLets) -> String {
        match error {
            ExecutionError::NoSuchKey(key) if self.literal_keys.contains(key.as_str()) => has_no(key),
            ExecutionError::NoSuchKey(_) => "the request has no such attribute or answer".to_owned(),
            ExecutionError::UndeclaredReference(name) => match failed.get(name.as_str()) {
                Some(why) => format!("`{name}`: {why}"),
                None => has_no(name),
            },
            // The message names the list, which the owner wrote.
            ExecutionError::FunctionError { function, message } if function == LISTS => message.clone(),
            ExecutionError::FunctionError { function, .. } => {
                format!("`{}` cannot read a value of the request", function.trim_start_matches('@'))
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

/// The maximum number of replacements in one expression. A few `let`s that read each other could make an expression of any size.
const MAX_REPLACEMENTS: usize = 200;

/// How deep the replaced `let`s may read each other. The depth is bounded because the result is visited recursively.
const MAX_NESTED_LETS: usize = 5;

fn replace_lets(expression: &mut Expression, lets: &Lets, nested: usize, replacements: &mut usize) {
    let mut replace = |expression: &mut Expression| replace_lets(expression, lets, nested, replacements);
    // Expressions that are written in the same way are equal.
    expression.id = 0;
    match &mut expression.expr {
        Expr::Ident(name) => {
            if let (Some(of), Some(rest)) = (lets.find(name), replacements.checked_sub(1))
                && nested < MAX_NESTED_LETS
            {
                *replacements = rest;
                *expression = of.expression.parse_source();
                replace_lets(expression, lets, nested + 1, replacements);
            }
        }
        Expr::Select(select) => replace(&mut select.operand),
        Expr::Call(call) => call.target.as_deref_mut().into_iter().chain(&mut call.args).for_each(replace),
        Expr::List(list) => list.elements.iter_mut().for_each(replace),
        Expr::Comprehension(c) => {
            replace(&mut c.iter_range);
            replace(&mut c.loop_step);
        }
        Expr::Map(_) | Expr::Literal(_) | Expr::Struct(_) | Expr::Unspecified => {}
    }
}

fn has_no(attribute: &str) -> String {
    let why = match attribute {
        "email" | "domain" => ": its e-mail address is not shared with the owner of the repo",
        _ => "",
    };
    format!("the request has no `{attribute}`{why}")
}

/// The operators of other languages, and those of CEL.
const OPERATORS: [(&str, &str); 7] =
    [("and", "&&"), ("or", "||"), ("not", "!"), ("is", "=="), ("===", "=="), ("<>", "!="), ("=", "==")];

/// The advice for an expression with an operator of another language outside of quotes.
fn foreign_operator(source: &str) -> Option<String> {
    let outside: String = source.split(['\'', '"']).step_by(2).collect::<Vec<_>>().join(" ");
    let is_symbol = |c: char| "=<>!&|".contains(c);
    let symbols = outside.split(|c: char| !is_symbol(c));
    let words = outside.split(|c: char| !c.is_alphanumeric() && c != '_');
    let find = |word: &str| OPERATORS.iter().find(|(other, _)| other.eq_ignore_ascii_case(word));
    let (other, right) = words.chain(symbols).find_map(find)?;
    Some(format!("; write `{right}` instead of `{other}`"))
}

/// The place and the message of an error, without the excerpt of the source that the parser appends.
fn describe(error: &ParseError) -> String {
    let (line, column) = error.pos;
    let message = error.msg.lines().next().unwrap_or_default();
    if message.contains("recursion limit") {
        return "brackets are nested more than 96 deep".to_owned();
    }
    if message.contains("has()") {
        return "`has` tests for an attribute, such as `has(user.email)`; to test for an answer, write `'Label' in fields`"
            .to_owned();
    }
    if line == 1 {
        return format!("at its character {column}: {message}");
    }
    format!("at its line {line}, character {column}: {message}")
}
