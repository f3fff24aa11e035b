//! The functions that rules call: those of CEL, and ours that a checked expression calls in their place. No source text can
//! name ours.

use std::any::Any;
use std::sync::Arc;

use cel::common::types::{CelBool, CelString, STRING_TYPE, Type};
use cel::common::value::{CowVal, StaticVal, Val};
use cel::{DeclarationError, Env, ExecutionError};

use super::patterns::Patterns;

/// `@matches(text, pattern, @patterns)`.
pub(super) const MATCHES: &str = "@matches";

/// The variable that holds the compiled patterns.
pub(super) const PATTERNS: &str = "@patterns";

static PATTERNS_TYPE: Type = Type::new_unspecified_type(PATTERNS);

/// CEL's functions and ours.
pub(super) fn environment() -> Result<Env, DeclarationError> {
    let mut env = Env::stdlib().with_optional_support(false);
    let operands = vec![STRING_TYPE.to_owned(), STRING_TYPE.to_owned(), PATTERNS_TYPE.to_owned()];
    env.add_overload(MATCHES, MATCHES, operands, matches)?;
    Ok(env)
}

/// The patterns of a policy as a value.
#[derive(Clone, Debug)]
pub(super) struct PatternsValue(pub(super) Arc<Patterns>);

impl Val for PatternsValue {
    fn get_type(&self) -> &Type {
        &PATTERNS_TYPE
    }

    fn cel_type() -> &'static Type {
        &PATTERNS_TYPE
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
        Box::new(self.clone())
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for PatternsValue {}

fn matches<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let found = <[_; 3]>::try_from(args).ok().and_then(|[text, pattern, patterns]| {
        let PatternsValue(patterns) = patterns.downcast_ref()?;
        let (text, pattern) = (text.downcast_ref::<CelString>()?, pattern.downcast_ref::<CelString>()?);
        Some(patterns.is_match(pattern.inner(), text.inner()))
    });
    match found.unwrap_or(Err("there is no text or no pattern")) {
        Ok(matches) => Ok(CowVal::owned(CelBool::from(matches))),
        Err(why) => Err(ExecutionError::function_error("matches", why)),
    }
}
