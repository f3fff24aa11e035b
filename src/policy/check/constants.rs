//! Evaluates constant expressions when a policy is read: the patterns of `matches`, with all values of the variables in them.

use std::collections::BTreeSet;
use std::sync::Arc;

use cel::common::ast::{EntryExpr, Expr, IdedExpr, ListExpr, LiteralValue};
use cel::{Context, Env, ExecutionError, Value};

use super::super::functions::CONSTANTS;
use super::super::patterns::Patterns;

/// The maximum number of patterns that one call of `matches` can have.
const MAX_PATTERNS_PER_CALL: usize = 1000;

/// The pattern in a call of `matches`. It is constant, but it may read the variables of enclosing macros over constant lists.
pub(in crate::policy) struct PatternUse {
    pub(in crate::policy) pattern: IdedExpr,
    /// Whether it is matched with a name, whose case does not matter.
    pub(in crate::policy) for_names: bool,
    /// The enclosing macros. The innermost is last.
    pub(in crate::policy) scopes: Vec<Loop>,
}

/// The variable of a macro over a constant list.
pub(in crate::policy) struct Loop {
    pub(in crate::policy) variable: String,
    pub(in crate::policy) range: IdedExpr,
}

impl PatternUse {
    /// Evaluates the pattern for all values of its variables, and compiles each result.
    pub(in crate::policy) fn compile(
        mut self,
        env: &Arc<Env>,
        patterns: &mut Patterns,
    ) -> Result<(), String> {
        if self.drop_unused_scopes().contains(CONSTANTS) {
            return Err(
                "a pattern depends on the result of another `matches` or on a list in a file; write a \
                 condition for each pattern"
                    .to_owned(),
            );
        }
        let (mut texts, mut steps) = (BTreeSet::new(), 0);
        collect_values(
            &self.pattern,
            &self.scopes,
            &Context::with_env(Arc::clone(env)),
            &mut texts,
            &mut steps,
        )?;
        texts.iter().try_for_each(|text| patterns.add(text, self.for_names))
    }

    /// Drops the scopes whose variables the pattern does not read. Returns all variables that the pattern and the remaining
    /// lists read.
    fn drop_unused_scopes(&mut self) -> BTreeSet<String> {
        let mut used = BTreeSet::new();
        collect_variables(&self.pattern, &mut used);
        let scopes = std::mem::take(&mut self.scopes);
        for scope in scopes.into_iter().rev() {
            if used.contains(&scope.variable) {
                collect_variables(&scope.range, &mut used);
                self.scopes.insert(0, scope);
            }
        }
        used
    }
}

/// Collects all values of an expression, for all values of the variables of its scopes.
fn collect_values(
    expression: &IdedExpr,
    scopes: &[Loop],
    context: &Context,
    texts: &mut BTreeSet<String>,
    steps: &mut usize,
) -> Result<(), String> {
    *steps += 1;
    if *steps > MAX_PATTERNS_PER_CALL {
        return Err(format!(
            "a call of `matches` has more than {MAX_PATTERNS_PER_CALL} patterns; split it into several rules"
        ));
    }
    let Some((Loop { variable, range }, inner)) = scopes.split_first() else {
        if let Value::String(text) = evaluate(expression, context)? {
            texts.insert(text.to_string());
        }
        return Ok(());
    };
    let elements = match evaluate(range, context)? {
        Value::List(elements) => elements.to_vec(),
        Value::Map(map) => map.map.keys().map(|key| Value::from(key.clone())).collect(),
        _ => Vec::new(),
    };
    for element in elements {
        let mut context = context.new_inner_scope();
        context.add_variable_from_value(variable.as_str(), element);
        collect_values(expression, inner, &context, texts, steps)?;
    }
    Ok(())
}

fn evaluate(expression: &IdedExpr, context: &Context) -> Result<Value, String> {
    Value::resolve(expression, context).map_err(|error| describe(&error))
}

/// The maximum length of the text of a constant `let`, in bytes.
const MAX_CONSTANT: usize = 4096;

/// The literal that gives a value, if there is one: of a bool, a number, a text that is not too long, or a list of these.
pub(in crate::policy) fn literal(value: Value) -> Option<IdedExpr> {
    let literal = match value {
        Value::Bool(is_true) => LiteralValue::Boolean(is_true.into()),
        Value::Int(number) => LiteralValue::Int(number.into()),
        Value::UInt(number) => LiteralValue::UInt(number.into()),
        Value::Float(number) => LiteralValue::Double(number.into()),
        Value::String(text) if text.len() <= MAX_CONSTANT => LiteralValue::String(text.to_string().into()),
        Value::List(elements) => {
            let elements = elements.iter().cloned().map(literal).collect::<Option<_>>()?;
            return Some(list(elements));
        }
        _ => return None,
    };
    Some(IdedExpr { id: 0, expr: Expr::Literal(literal) })
}

/// The literal of a list of texts.
pub(in crate::policy) fn list_of<'a>(texts: impl Iterator<Item = &'a str>) -> IdedExpr {
    let text =
        |text: &str| IdedExpr { id: 0, expr: Expr::Literal(LiteralValue::String(text.to_owned().into())) };
    list(texts.map(text).collect())
}

fn list(elements: Vec<IdedExpr>) -> IdedExpr {
    IdedExpr { id: 0, expr: Expr::List(ListExpr::new(elements)) }
}

/// The variable with the compiled patterns and the lists.
pub(in crate::policy) fn variable() -> IdedExpr {
    IdedExpr { id: 0, expr: Expr::Ident(CONSTANTS.to_owned()) }
}

/// The message of an error in a constant. It may show values, because the owner wrote them.
pub(in crate::policy) fn describe(error: &ExecutionError) -> String {
    if let ExecutionError::UndeclaredReference(name) = error {
        return format!(
            "the value of `{name}` is too large to be part of a pattern; write the pattern into the rule"
        );
    }
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Collects all variables that an expression reads, including those that its own macros bind.
pub(in crate::policy) fn collect_variables(expression: &IdedExpr, variables: &mut BTreeSet<String>) {
    let mut note = |expression: &IdedExpr| collect_variables(expression, variables);
    match &expression.expr {
        Expr::Ident(name) => drop(variables.insert(name.clone())),
        Expr::Select(select) => note(&select.operand),
        Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).for_each(note),
        Expr::List(list) => list.elements.iter().for_each(note),
        Expr::Map(map) => {
            for entry in &map.entries {
                if let EntryExpr::MapEntry(entry) = &entry.expr {
                    [&entry.key, &entry.value].into_iter().for_each(&mut note);
                }
            }
        }
        Expr::Comprehension(c) => {
            [&c.iter_range, &c.accu_init, &c.loop_cond, &c.loop_step, &c.result].into_iter().for_each(note);
        }
        Expr::Literal(_) | Expr::Struct(_) | Expr::Unspecified => {}
    }
}
