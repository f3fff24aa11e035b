//! Reading the Hub's JSON: lists with a bound, and errors that repeat nothing of the text.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::MAX_PAGE;

/// Splits a list into its entries.
pub(super) fn entries(body: &[u8]) -> Result<Vec<&RawValue>, String> {
    // Each entry is parsed separately, because an entry that cannot be parsed (half a surrogate pair, a huge number) must not
    // hide the others.
    let list: Bounded<&RawValue, MAX_ENTRIES> =
        serde_json::from_slice(body).map_err(|error| describe(&error))?;
    list.whole().ok_or_else(|| format!("it lists more than {MAX_ENTRIES} entries"))
}

/// The most entries of a page. A response with more is refused, because a parsed entry may take more memory than its text.
const MAX_ENTRIES: usize = 2 * MAX_PAGE;

/// The first `MAX` elements of a list. There is a bound because a parsed element may take many times the memory of its text.
pub(super) struct Bounded<T, const MAX: usize> {
    pub(super) elements: Vec<T>,
    has_more: bool,
}

impl<T, const MAX: usize> Bounded<T, MAX> {
    /// All elements, unless there are more.
    fn whole(self) -> Option<Vec<T>> {
        (!self.has_more).then_some(self.elements)
    }
}

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for Bounded<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List<T, const MAX: usize>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for List<T, MAX> {
            type Value = Bounded<T, MAX>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut bounded = Bounded { elements: Vec::new(), has_more: false };
                while bounded.elements.len() < MAX {
                    let Some(element) = list.next_element()? else { return Ok(bounded) };
                    bounded.elements.push(element);
                }
                while list.next_element::<IgnoredAny>()?.is_some() {
                    bounded.has_more = true;
                }
                Ok(bounded)
            }
        }

        deserializer.deserialize_seq(List(PhantomData))
    }
}

/// Parses a value, or returns `None` if it is not of this type.
pub(super) fn parse<'a, T: Deserialize<'a>>(value: &'a RawValue) -> Option<T> {
    serde_json::from_str(value.get()).ok()
}

/// Parses an object. A derived `Deserialize` would accept a list of the values too.
pub(super) fn parse_object<'a, T: Deserialize<'a>>(value: &'a RawValue) -> Option<T> {
    if value.get().starts_with('{') { parse(value) } else { None }
}

/// Says what is wrong with a JSON text and where, without repeating any of the text.
pub(super) fn describe(error: &serde_json::Error) -> String {
    let fault = match error.classify() {
        serde_json::error::Category::Eof => "it is incomplete",
        serde_json::error::Category::Data => "it does not have the documented form",
        _ => "it is not JSON",
    };
    format!("{fault} (line {}, column {})", error.line(), error.column())
}
