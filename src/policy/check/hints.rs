//! Faults that say what the owner should write instead.

use cel::common::ast::{CallExpr, Expr, IdedExpr};

use super::super::expressions::text;
use super::super::suggest::did_you_mean;
use super::types::FUNCTIONS;

/// The fault of a constant duration or time.
pub(super) fn unreadable_time(constant: &IdedExpr) -> Option<String> {
    let Expr::Call(CallExpr { func_name, args, .. }) = &constant.expr else { return None };
    let text = text(args.first()?)?;
    match func_name.as_str() {
        "duration" => {
            let days = text.strip_suffix('d').and_then(|days| days.parse::<u32>().ok());
            let hours = days.map_or(72, |days| u64::from(days) * 24);
            Some(format!(
                "`duration('{text}')` is not a duration, whose units are `h`, `m` (minutes) and `s`; write days in hours, such as \
                 '{hours}h'"
            ))
        }
        "timestamp" => Some(format!(
            "`timestamp('{text}')` is not a time; write it with a zone, such as '2026-11-01T00:00:00Z'"
        )),
        _ => None,
    }
}

/// The fault of a function that does not exist, or of a macro with wrong arguments.
pub(super) fn unknown_function(name: &str) -> String {
    match name {
        "get" => "there is no function `get`; write `fields['…']` for an answer, and `'…' in fields` to test for one".to_owned(),
        "has" => "`has` has wrong arguments; write it like `has(user.email)`".to_owned(),
        "exists" | "all" | "exists_one" | "map" | "filter" => {
            format!("`{name}` has wrong arguments; write it like `user.orgs.{name}(org, org == 'acme')`")
        }
        // The names in Python.
        "len" => "there is no function `len`; did you mean `size`?".to_owned(),
        "strip" => "there is no function `strip`; did you mean `trim`?".to_owned(),
        _ => format!("there is no function `{name}`{}", did_you_mean(name, FUNCTIONS)),
    }
}
