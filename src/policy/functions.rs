//! The functions that expressions call: CEL's functions, and our own, which only the rewritten expressions call. The names of
//! our own begin with `@`, so an owner cannot write them in a rule.

use std::any::Any;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use cel::common::types::{
    CelBool, CelInt, CelList, CelMap, CelMapKey, CelString, CelTimestamp, DYN_TYPE, INT_TYPE, LIST_TYPE,
    MAP_TYPE, STRING_TYPE, TIMESTAMP_TYPE, Type,
};
use cel::common::value::{CowVal, StaticVal, Val};
use cel::extensions::strings;
use cel::{DeclarationError, Env, ExecutionError};
use chrono::NaiveDate;

use super::lists::{self, List, Lists};
use super::meter::{self, SPEND};
use super::names;
use super::patterns::Patterns;

/// `@matches(text, pattern, @constants)`: whether a compiled pattern matches a part of a text.
pub(super) const MATCHES: &str = "@matches";

/// `@matches_name(name, pattern, @constants)`: whether a pattern that was compiled for names matches a part of a name.
pub(super) const MATCHES_NAME: &str = "@matches_name";

/// `@in_list(text, list, @constants)`: whether a text is an entry of a list, which is given by its position.
pub(super) const IN_LIST: &str = "@in_list";

/// `@in_list_name(name, list, @constants)`: like [`IN_LIST`], but case is ignored.
pub(super) const IN_LIST_NAME: &str = "@in_list_name";

/// `@under_list(domain, list, @constants)`: whether a domain is an entry of a list, or below one.
pub(super) const UNDER_LIST: &str = "@under_list";

/// `@age(date, now)`: the full years since a date.
pub(super) const AGE: &str = "@age";

/// The function that an error names if a list cannot be read.
pub(super) const LISTS: &str = "lists";

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

/// The variable with the compiled patterns and the lists.
pub(super) const CONSTANTS: &str = "@constants";

static CONSTANTS_TYPE: Type = Type::new_unspecified_type(CONSTANTS);

/// The environment with CEL's functions and our own.
pub(super) fn environment() -> Result<Env, DeclarationError> {
    let mut env = Env::stdlib().with_optional_support(false);
    let text = || STRING_TYPE.to_owned();
    let match_arguments = || vec![text(), text(), CONSTANTS_TYPE.to_owned()];
    let list_arguments = || vec![text(), INT_TYPE.to_owned(), CONSTANTS_TYPE.to_owned()];
    env.add_extension(strings)?;
    env.add_member_overload("under", "@under_text", text(), vec![text()], under)?;
    env.add_member_overload("under", "@under_texts", text(), vec![LIST_TYPE.to_owned()], under)?;
    env.add_overload(IN_LIST, IN_LIST, list_arguments(), |args| {
        look_up(&args, |list, text| list.entries.as_ref().map(|entries| entries.contains(text, false)))
    })?;
    env.add_overload(IN_LIST_NAME, IN_LIST_NAME, list_arguments(), |args| {
        look_up(&args, |list, text| list.entries.as_ref().map(|entries| entries.contains(text, true)))
    })?;
    env.add_overload(UNDER_LIST, UNDER_LIST, list_arguments(), |args| {
        let text = args.first().and_then(|text| text.downcast_ref::<CelString>());
        if !text.is_some_and(|text| lists::may_be_domain(text.inner())) {
            return Err(ExecutionError::function_error("under", "the text is no domain"));
        }
        look_up(&args, |list, text| {
            list.entries.as_ref().map(|entries| entries.covers_domain(text, list.is_file))
        })
    })?;
    env.add_overload(AGE, AGE, vec![text(), TIMESTAMP_TYPE.to_owned()], |args| age(&args))?;
    env.add_overload(MATCHES, MATCHES, match_arguments(), |args| matches(args, false))?;
    env.add_overload(MATCHES_NAME, MATCHES_NAME, match_arguments(), |args| matches(args, true))?;
    env.add_overload(FOLD, "@fold_text", vec![text()], fold_text)?;
    env.add_overload(FOLD, "@fold_value", vec![DYN_TYPE.to_owned(), text()], fold_value)?;
    env.add_overload(ANSWER, ANSWER, vec![MAP_TYPE.to_owned(), text()], answer)?;
    env.add_overload(HAS_LABEL, HAS_LABEL, vec![MAP_TYPE.to_owned(), text()], has_label)?;
    env.add_overload(SPEND, SPEND, vec![INT_TYPE.to_owned()], |args| spend(&args))?;
    Ok(env)
}

/// The patterns and lists of a policy, which are read once.
#[derive(Debug, Default)]
pub(super) struct Constants {
    pub(super) patterns: Patterns,
    pub(super) lists: Lists,
}

/// The constants as a CEL value.
#[derive(Clone, Debug)]
pub(super) struct ConstantsValue(pub(super) Arc<Constants>);

impl Val for ConstantsValue {
    fn get_type(&self) -> &Type {
        &CONSTANTS_TYPE
    }

    fn cel_type() -> &'static Type {
        &CONSTANTS_TYPE
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
        Box::new(self.clone())
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for ConstantsValue {}

fn matches<'b, 'v>(args: Vec<CowVal<'b, 'v>>, for_names: bool) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let found = <[_; 3]>::try_from(args).ok().and_then(|[text, pattern, constants]| {
        let ConstantsValue(constants) = constants.downcast_ref()?;
        let (text, pattern) = (text.downcast_ref::<CelString>()?, pattern.downcast_ref::<CelString>()?);
        Some(constants.patterns.is_match(pattern.inner(), text.inner(), for_names))
    });
    match found.unwrap_or(Err("the text or the pattern is missing")) {
        Ok(matches) => Ok(CowVal::owned(CelBool::from(matches))),
        Err(why) => Err(ExecutionError::function_error("matches", why)),
    }
}

fn look_up<'b, 'v>(
    args: &[CowVal<'b, 'v>],
    is_in: impl for<'l> Fn(&'l List, &str) -> Result<bool, &'l String>,
) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let [text, position, constants] = args else { return Err(wrong_shape()) };
    let ConstantsValue(constants) = constants.downcast_ref().ok_or_else(wrong_shape)?;
    let position = position.downcast_ref::<CelInt>().and_then(|at| usize::try_from(*at.inner()).ok());
    let list = position.and_then(|position| constants.lists.get(position)).ok_or_else(wrong_shape)?;
    let text = text.downcast_ref::<CelString>().ok_or_else(wrong_shape)?;
    let is_in = is_in(list, text.inner()).map_err(|_| {
        ExecutionError::function_error(LISTS, format!("the list `{}` cannot be read", list.name))
    })?;
    Ok(CowVal::owned(CelBool::from(is_in)))
}

fn under<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let [domain, others] = <[_; 2]>::try_from(args).map_err(|_| wrong_shape())?;
    let domain = domain.downcast_ref::<CelString>().ok_or_else(wrong_shape)?.inner();
    if !lists::may_be_domain(domain) {
        return Err(ExecutionError::function_error("under", "the text is no domain"));
    }
    let is_under = |other: &(dyn Val + 'v)| {
        other.downcast_ref::<CelString>().is_some_and(|other| lists::is_under(domain, other.inner()))
    };
    let is_under = match others.downcast_ref::<CelList>() {
        Some(others) => others.inner().iter().any(|other| is_under(&**other)),
        None => is_under(&*others),
    };
    Ok(CowVal::owned(CelBool::from(is_under)))
}

/// The full years from a date such as `2008-02-29` to a time. Who was born on 29 February completes a year on 1 March if the year has
/// no such day.
fn age<'b, 'v>(args: &[CowVal<'b, 'v>]) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let [date, now] = args else { return Err(wrong_shape()) };
    let text = date.downcast_ref::<CelString>().ok_or_else(wrong_shape)?.inner();
    let now = now.downcast_ref::<CelTimestamp>().ok_or_else(wrong_shape)?.inner().to_utc().date_naive();
    let years = parse_date(text).and_then(|date| now.years_since(date));
    let years = years.ok_or_else(|| ExecutionError::function_error("age", "this is no date in the past"))?;
    Ok(CowVal::owned(CelInt::from(i64::from(years))))
}

/// Reads a date such as `2008-02-29`.
pub(super) fn parse_date(text: &str) -> Option<NaiveDate> {
    // chrono also reads `2008-2-9` and `+2008-02-09`.
    let has_all_digits = text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|_| has_all_digits)
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
