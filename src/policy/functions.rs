//! The functions that expressions call: CEL's functions, and our own, which only the rewritten expressions call. The names of
//! our own begin with `@`, so an owner cannot write them in a rule.

use std::any::Any;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use cel::common::types::{
    CelBool, CelInt, CelList, CelMap, CelMapKey, CelString, DYN_TYPE, INT_TYPE, MAP_TYPE, STRING_TYPE, Type,
};
use cel::common::value::{CowVal, StaticVal, Val};
use cel::{DeclarationError, Env, ExecutionError};

use super::meter::{self, SPEND};
use super::names;
use super::patterns::Patterns;

/// `@matches(text, pattern, @patterns)`: whether a compiled pattern matches a part of a text.
pub(super) const MATCHES: &str = "@matches";

/// `@matches_name(name, pattern, @patterns)`: whether a pattern that was compiled for names matches a part of a name.
pub(super) const MATCHES_NAME: &str = "@matches_name";

/// `@fold(text)`, or `@fold(value, shape)`: converts the texts in a value to names.
pub(super) const FOLD: &str = "@fold";

/// `@answer(fields, name)`: the answer under a label that is a name.
pub(super) const ANSWER: &str = "@answer";

/// `@has_label(fields, name)`: whether there is an answer under a label that is a name.
pub(super) const HAS_LABEL: &str = "@has_label";

/// The letters of a shape, which says where in a value texts become names. The outermost part comes first: the shape of a
/// list of names is `ln`. After the letter of a map come the shape of its keys and the shape of its values.
pub(super) struct Shape;

impl Shape {
    pub(super) const NAME: &str = "n";
    pub(super) const SAME: &str = ".";
    pub(super) const LIST: &str = "l";
    pub(super) const MAP: &str = "m";
}

/// The folded copies of `fields` and `user`, in which all texts are names. They are made once per request, and not in each
/// step of a macro.
pub(super) const FOLDED_FIELDS: &str = "@fields";
pub(super) const FOLDED_USER: &str = "@user";

/// The variable with the compiled patterns.
pub(super) const PATTERNS: &str = "@patterns";

static PATTERNS_TYPE: Type = Type::new_unspecified_type(PATTERNS);

/// The environment with CEL's functions and our own.
pub(super) fn environment() -> Result<Env, DeclarationError> {
    let mut env = Env::stdlib().with_optional_support(false);
    let text = || STRING_TYPE.to_owned();
    let match_arguments = || vec![text(), text(), PATTERNS_TYPE.to_owned()];
    env.add_overload(MATCHES, MATCHES, match_arguments(), |args| matches(args, false))?;
    env.add_overload(MATCHES_NAME, MATCHES_NAME, match_arguments(), |args| matches(args, true))?;
    env.add_overload(FOLD, "@fold_text", vec![text()], fold_text)?;
    env.add_overload(FOLD, "@fold_value", vec![DYN_TYPE.to_owned(), text()], fold_value)?;
    env.add_overload(ANSWER, ANSWER, vec![MAP_TYPE.to_owned(), text()], answer)?;
    env.add_overload(HAS_LABEL, HAS_LABEL, vec![MAP_TYPE.to_owned(), text()], has_label)?;
    env.add_overload(SPEND, SPEND, vec![INT_TYPE.to_owned()], |args| spend(&args))?;
    Ok(env)
}

/// The patterns of a policy as a CEL value.
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

fn matches<'b, 'v>(args: Vec<CowVal<'b, 'v>>, for_names: bool) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let found = <[_; 3]>::try_from(args).ok().and_then(|[text, pattern, patterns]| {
        let PatternsValue(patterns) = patterns.downcast_ref()?;
        let (text, pattern) = (text.downcast_ref::<CelString>()?, pattern.downcast_ref::<CelString>()?);
        Some(patterns.is_match(pattern.inner(), text.inner(), for_names))
    });
    match found.unwrap_or(Err("the text or the pattern is missing")) {
        Ok(matches) => Ok(CowVal::owned(CelBool::from(matches))),
        Err(why) => Err(ExecutionError::function_error("matches", why)),
    }
}

fn spend<'b, 'v>(args: &[CowVal<'b, 'v>]) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let units = args.first().and_then(|units| units.downcast_ref::<CelInt>());
    let units = units.ok_or_else(|| ExecutionError::function_error(SPEND, "the number is missing"))?;
    meter::spend(units.inner().unsigned_abs());
    Ok(CowVal::owned(CelBool::from(true)))
}

fn fold_text<'b, 'v>(mut args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let text = args.pop().ok_or_else(wrong_shape)?;
    let folded = match names::fold(text.downcast_ref::<CelString>().ok_or_else(wrong_shape)?.inner()) {
        Cow::Borrowed(_) => None,
        Cow::Owned(folded) => Some(folded),
    };
    Ok(folded.map_or(text, |folded| CowVal::owned(CelString::from(folded))))
}

fn fold_value<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let [value, shape] = <[_; 2]>::try_from(args).map_err(|_| wrong_shape())?;
    let shape = shape.downcast_ref::<CelString>().ok_or_else(wrong_shape)?;
    folded(&*value, shape.inner()).map(CowVal::Owned)
}

fn folded<'v>(value: &(dyn Val + 'v), shape: &str) -> Result<Box<dyn Val + 'v>, ExecutionError> {
    let (outermost, inner) = shape.split_at_checked(1).ok_or_else(wrong_shape)?;
    match outermost {
        Shape::NAME => {
            let text = value.downcast_ref::<CelString>().ok_or_else(wrong_shape)?;
            Ok(Box::new(CelString::from(text.inner().to_ascii_lowercase())))
        }
        Shape::LIST => {
            let list = value.downcast_ref::<CelList>().ok_or_else(wrong_shape)?;
            let elements = list.inner().iter().map(|element| folded(&**element, inner));
            Ok(Box::new(CelList::from(elements.collect::<Result<Vec<_>, _>>()?)))
        }
        Shape::MAP => {
            let map = value.downcast_ref::<CelMap>().ok_or_else(wrong_shape)?;
            let (keys, inner) = inner.split_at_checked(1).ok_or_else(wrong_shape)?;
            let mut entries = HashMap::with_capacity(map.inner().len());
            for (key, value) in map.inner() {
                let key = match key {
                    CelMapKey::String(key) if keys == Shape::NAME => {
                        CelMapKey::from(key.inner().to_ascii_lowercase())
                    }
                    key => key.clone(),
                };
                if entries.insert(key, folded(&**value, inner)?).is_some() {
                    return Err(ExecutionError::function_error("==", "two keys are equal names"));
                }
            }
            Ok(Box::new(CelMap::from(entries)))
        }
        _ => Ok(value.clone_as_boxed()),
    }
}

fn wrong_shape() -> ExecutionError {
    ExecutionError::function_error(FOLD, "the value does not have this shape")
}

fn answer<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let [fields, name] = <[_; 2]>::try_from(args).map_err(|_| wrong_shape())?;
    let mut answers = answers_under(&*fields, &*name)?;
    match (answers.next(), answers.next()) {
        (Some(answer), None) => Ok(CowVal::Owned(answer.clone_as_boxed())),
        (None, _) => Err(ExecutionError::no_such_key("")),
        _ => Err(ExecutionError::function_error("fields", "two labels are equal names")),
    }
}

fn has_label<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let [fields, name] = <[_; 2]>::try_from(args).map_err(|_| wrong_shape())?;
    let is_there = answers_under(&*fields, &*name)?.next().is_some();
    Ok(CowVal::owned(CelBool::from(is_there)))
}

/// The answers whose label equals a name. Case does not matter.
fn answers_under<'a, 'v>(
    fields: &'a (dyn Val + 'v),
    name: &'a (dyn Val + 'v),
) -> Result<impl Iterator<Item = &'a (dyn Val + 'v)>, ExecutionError> {
    let fields = fields.downcast_ref::<CelMap>().ok_or_else(wrong_shape)?;
    let name = name.downcast_ref::<CelString>().ok_or_else(wrong_shape)?;
    Ok(fields.inner().iter().filter_map(|(label, answer)| match label {
        CelMapKey::String(label) if label.inner().eq_ignore_ascii_case(name.inner()) => Some(&**answer),
        _ => None,
    }))
}
