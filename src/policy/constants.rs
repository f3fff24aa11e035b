//! Evaluates constant expressions when a policy is read.

use std::collections::BTreeSet;
use std::sync::Arc;

use cel::common::ast::{EntryExpr, Expr, IdedExpr};
use cel::{Context, Env, ExecutionError, Value};

use super::library::PATTERNS;
use super::patterns::Patterns;

/// The most patterns that one call of `matches` may choose from.
const MAX_CHOICE: usize = 1000;

/// A pattern in a call of `matches`. It is constant, but it may use the variables of macros around it.
pub(super) struct PatternUse {
    pub(super) pattern: IdedExpr,
    /// Whether it is tried on a name, whose case does not matter.
    pub(super) on_name: bool,
    /// Innermost last.
    pub(super) scopes: Vec<Scope>,
}

/// A variable of a macro that goes over a constant list.
pub(super) struct Scope {
    pub(super) variable: String,
    pub(super) range: IdedExpr,
}

impl PatternUse {
    /// Compiles each value that the pattern can have.
    pub(super) fn compile(mut self, env: &Arc<Env>, patterns: &mut Patterns) -> Result<(), String> {
        if self.leave_out_unused_scopes().contains(PATTERNS) {
            return Err(
                "a pattern depends on what `matches` gives; write one condition for each pattern".to_owned()
            );
        }
        let (mut texts, mut steps) = (BTreeSet::new(), 0);
        choices(&self.pattern, &self.scopes, &Context::with_env(Arc::clone(env)), &mut texts, &mut steps)?;
        texts.iter().try_for_each(|text| patterns.add(text, self.on_name))
    }

    /// Drops the scopes whose variables the pattern does not use. Returns all variables that the pattern and the remaining
    /// lists name.
    fn leave_out_unused_scopes(&mut self) -> BTreeSet<String> {
        let mut used = BTreeSet::new();
        note_variables(&self.pattern, &mut used);
        let scopes = std::mem::take(&mut self.scopes);
        for scope in scopes.into_iter().rev() {
            if used.contains(&scope.variable) {
                note_variables(&scope.range, &mut used);
                self.scopes.insert(0, scope);
            }
        }
        used
    }
}

/// Collects all values of an expression, over all values of the variables of its scopes.
fn choices(
    expression: &IdedExpr,
    scopes: &[Scope],
    context: &Context,
    texts: &mut BTreeSet<String>,
    steps: &mut usize,
) -> Result<(), String> {
    *steps += 1;
    if *steps > MAX_CHOICE {
        return Err(format!(
            "a call of `matches` chooses from more than {MAX_CHOICE} patterns; split the rule"
        ));
    }
    let Some((Scope { variable, range }, inner)) = scopes.split_first() else {
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
        choices(expression, inner, &context, texts, steps)?;
    }
    Ok(())
}

fn evaluate(expression: &IdedExpr, context: &Context) -> Result<Value, String> {
    Value::resolve(expression, context).map_err(|error| describe(&error))
}

/// An error in a constant. The values in it are the owner's own.
pub(super) fn describe(error: &ExecutionError) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Collects all variables that an expression names, including those that its own macros bind.
pub(super) fn note_variables(expression: &IdedExpr, variables: &mut BTreeSet<String>) {
    let mut note = |expression: &IdedExpr| note_variables(expression, variables);
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
