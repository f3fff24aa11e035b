//! A *name* is a text whose case the Hub or mail ignores: `user.name`, `user.email`, `user.domain`, `repo.name`,
//! `repo.owner`, and each name of an organization. A text that is made from a name is a name too. All names are in ASCII
//! lower case.
//!
//! Answers, labels, ids, full names and the texts in a rule are not names. If such a text is compared with a name, or is in a
//! list with one, the comparison has to ignore its case as well. So the expression is rewritten here, and *folds* the text:
//! it converts the text to ASCII lower case.
//!
//! Only ASCII letters are folded. In Unicode, the Kelvin sign is an upper-case `k`, but a domain with it is not `kaggle.com`.

use std::borrow::Cow;
use std::collections::BTreeSet;

use cel::common::ast::operators as op;
use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, LiteralValue};

use super::check::types::Type::{self, Answers, List, Map, Name, Text};
use super::functions::{ANSWER, FOLD, FOLDED_FIELDS, FOLDED_USER, HAS_LABEL, Shape};

/// Converts the ASCII letters of a text to lower case.
pub(super) fn fold(text: &str) -> Cow<'_, str> {
    if has_capitals(text.as_bytes()) { Cow::Owned(text.to_ascii_lowercase()) } else { Cow::Borrowed(text) }
}

/// Whether a text has upper-case ASCII letters. It reads eight bytes at a time, because a rule may compare an answer of 100
/// KB with each of many names.
fn has_capitals(text: &[u8]) -> bool {
    const EACH: u64 = u64::MAX / 0xff;
    let (eights, rest) = text.as_chunks();
    let has_capital = |eight: &[u8; 8]| {
        let bytes = u64::from_ne_bytes(*eight);
        let low = bytes & (EACH * 0x7f);
        // In these two, the highest bit of each byte says whether the byte is at least `A`, and whether it is above `Z`.
        let (from_a, above_z) =
            (low + EACH * (0x80 - u64::from(b'A')), low + EACH * (0x7f - u64::from(b'Z')));
        (from_a ^ above_z) & !bytes & (EACH * 0x80) != 0
    };
    eights.iter().any(has_capital) || rest.iter().any(u8::is_ascii_uppercase)
}

/// Converts the other operand to a name if one operand of a comparison or a sum is a name.
pub(super) fn convert_operands(
    call: &mut CallExpr,
    types: &[Type],
    is_bound: &impl Fn(&str) -> bool,
) -> Result<(), String> {
    if let ("upperAscii", [Name]) = (call.func_name.as_str(), types) {
        "lowerAscii".clone_into(&mut call.func_name);
    }
    let Some(wanted) = operand_types(call.func_name.as_str(), types) else {
        look_up_label(call, types);
        return Ok(());
    };
    let operands = call.target.as_deref_mut().into_iter().chain(&mut call.args);
    operands
        .zip(types)
        .zip(&wanted)
        .try_for_each(|((operand, from), to)| convert(operand, from, to, is_bound))
}

/// The types that the operands have to be converted to, if the function compares or joins them.
fn operand_types(function: &str, types: &[Type]) -> Option<Vec<Type>> {
    let boxed = Box::new;
    match (function, types) {
        (op::CONDITIONAL, [condition, yes, no]) => {
            let branch = yes.join(no)?;
            Some(vec![condition.clone(), branch.clone(), branch])
        }
        (op::IN, [element, List(elements)]) => {
            let each = element.join(elements)?;
            Some(vec![each.clone(), List(boxed(each))])
        }
        (op::IN, [key, Map(keys, values)]) => {
            let key = key.join(keys)?;
            Some(vec![key.clone(), Map(boxed(key), values.clone())])
        }
        (op::INDEX, [Map(keys, values), key]) => {
            let key = key.join(keys)?;
            Some(vec![Map(boxed(key.clone()), values.clone()), key])
        }
        ("join", [List(element), separator]) => {
            let both = element.join(separator)?;
            Some(vec![List(boxed(both.clone())), both])
        }
        ("replace", [a, b, c, count @ ..]) => {
            let all = a.join(b)?.join(c)?;
            let texts = [all.clone(), all.clone(), all];
            Some(texts.into_iter().chain(count.iter().cloned()).collect())
        }
        ("split" | "indexOf", [a, b, number @ ..]) => {
            let both = a.join(b)?;
            Some([both.clone(), both].into_iter().chain(number.iter().cloned()).collect())
        }
        (
            op::EQUALS
            | op::NOT_EQUALS
            | op::LESS
            | op::LESS_EQUALS
            | op::GREATER
            | op::GREATER_EQUALS
            | op::ADD
            | "contains"
            | "startsWith"
            | "endsWith",
            [a, b],
        ) => {
            let both = a.join(b)?;
            Some(vec![both.clone(), both])
        }
        _ => None,
    }
}

/// Replaces a look-up in `fields` whose label is a name by a look-up that ignores case. Other labels are compared exactly.
fn look_up_label(call: &mut CallExpr, types: &[Type]) {
    match (call.func_name.as_str(), types) {
        (op::INDEX, [Answers, Name]) => ANSWER.clone_into(&mut call.func_name),
        (op::IN, [Name, Answers]) => {
            call.args.reverse();
            HAS_LABEL.clone_into(&mut call.func_name);
        }
        _ => {}
    }
}

/// Converts an expression from one type to another, which differs only in that some texts are names. `is_bound` says whether a
/// macro has bound a variable, so that it is not a variable of the request.
pub(super) fn convert(
    expression: &mut IdedExpr,
    from: &Type,
    to: &Type,
    is_bound: &impl Fn(&str) -> bool,
) -> Result<(), String> {
    if shape(from, to).is_none() {
        return Ok(());
    }
    match (&mut expression.expr, from, to) {
        (Expr::Literal(LiteralValue::String(text)), ..) => *text = text.inner().to_ascii_lowercase().into(),
        (Expr::List(list), List(from), List(to)) => {
            list.elements.iter_mut().try_for_each(|element| convert(element, from, to, is_bound))?;
        }
        (Expr::Map(map), Map(from_keys, from_values), Map(to_keys, to_values)) => {
            let mut keys = BTreeSet::new();
            for entry in &mut map.entries {
                let EntryExpr::MapEntry(entry) = &mut entry.expr else { continue };
                convert(&mut entry.key, from_keys, to_keys, is_bound)?;
                convert(&mut entry.value, from_values, to_values, is_bound)?;
                if let Expr::Literal(LiteralValue::String(key)) = &entry.key.expr
                    && !keys.insert(key.inner().to_owned())
                {
                    return Err(format!(
                        "a map has the key `{}` twice, because names ignore case; remove one of the two",
                        key.inner()
                    ));
                }
            }
        }
        (Expr::Call(call), ..) if call.func_name == op::ADD => {
            call.args.iter_mut().try_for_each(|operand| convert(operand, from, to, is_bound))?;
        }
        (Expr::Call(call), ..) if call.func_name == op::CONDITIONAL => {
            call.args.iter_mut().skip(1).try_for_each(|branch| convert(branch, from, to, is_bound))?;
        }
        _ => {
            if *from != Text || !read_folded_copy(expression, is_bound) {
                fold_at_evaluation(expression, shape(from, to));
            }
        }
    }
    Ok(())
}

/// Makes `fields['Label']` and `user.fullname` read the folded copies. Returns whether the expression was one of these.
fn read_folded_copy(expression: &mut IdedExpr, is_bound: &impl Fn(&str) -> bool) -> bool {
    let operand = match &mut expression.expr {
        Expr::Select(select) => Some(&mut *select.operand),
        // The form is the first argument of an index and of a look-up by a name. No other function makes text of it.
        Expr::Call(call) => call.args.first_mut(),
        _ => None,
    };
    let Some(Expr::Ident(variable)) = operand.map(|operand| &mut operand.expr) else { return false };
    let folded = match variable.as_str() {
        bound if is_bound(bound) => return false,
        "fields" => FOLDED_FIELDS,
        "user" => FOLDED_USER,
        _ => return false,
    };
    folded.clone_into(variable);
    true
}

fn fold_at_evaluation(expression: &mut IdedExpr, shape: Option<String>) {
    let mut args = vec![std::mem::take(expression)];
    args.extend(
        shape
            .filter(|shape| shape != Shape::NAME)
            .map(|shape| IdedExpr { id: 0, expr: Expr::Literal(LiteralValue::String(shape.into())) }),
    );
    expression.expr = Expr::Call(CallExpr { func_name: FOLD.to_owned(), target: None, args });
}

/// The [`Shape`] of the conversion: where in a value texts become names. If no text does, there is none.
fn shape(from: &Type, to: &Type) -> Option<String> {
    match (from, to) {
        (Text, Name) => Some(Shape::NAME.to_owned()),
        (List(from), List(to)) => Some(Shape::LIST.to_owned() + &shape(from, to)?),
        (Map(from_keys, from_values), Map(to_keys, to_values)) => {
            let (keys, values) = (shape(from_keys, to_keys), shape(from_values, to_values));
            if keys.is_none() && values.is_none() {
                return None;
            }
            let or_same = |shape: Option<String>| shape.unwrap_or_else(|| Shape::SAME.to_owned());
            Some(Shape::MAP.to_owned() + &or_same(keys) + &or_same(values))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::compile::parse;
    use super::{Cow, List, Map, Name, Text, convert, fold};

    /// Macros convert such a text in each step, so the conversion has to be cheap.
    #[test]
    fn texts_of_a_request_are_converted_without_a_call() {
        let list = |of| List(Box::new(of));
        let map = |keys, values| Map(Box::new(keys), Box::new(values));
        let cases = [
            ("'Ada'", "'ada'", Text, Name),
            ("fields['A']", "FIELDS['A']", Text, Name),
            ("fields.A", "FIELDS.A", Text, Name),
            ("user.fullname", "USER.fullname", Text, Name),
            ("'A' + user.id + 'B'", "'a' + USER.id + 'b'", Text, Name),
            ("user.pro ? 'A' : fields.A", "user.pro ? 'a' : FIELDS.A", Text, Name),
            ("['A', user.id]", "['a', USER.id]", list(Text), list(Name)),
            ("{'A': user.id}", "{'A': USER.id}", map(Text, Text), map(Text, Name)),
        ];
        for (written, expected, from, to) in cases {
            let mut expression = parse(written).expect("an expression");
            convert(&mut expression, &from, &to, &|_| false).expect("no fault");
            let expected = format!("{:?}", parse(expected).expect("an expression"));
            let expected =
                expected.replace("FIELDS", super::FOLDED_FIELDS).replace("USER", super::FOLDED_USER);
            assert_eq!(format!("{expression:?}"), expected, "{written}");
        }
        // A variable of a macro is not the one of the request.
        let mut expression = parse("fields.A").expect("an expression");
        convert(&mut expression, &Text, &Name, &|name| name == "fields").expect("no fault");
        assert!(format!("{expression:?}").contains(super::FOLD));
    }

    #[test]
    fn folding_changes_only_upper_case_ascii_letters() {
        for c in ('\0'..='\u{2ff}').chain(['\u{212a}', '\u{ff21}', '\u{10ffff}']) {
            for place in 0..20 {
                let text = format!("{}{c}{}", "a".repeat(place), "é".repeat(7));
                let folded = fold(&text);
                assert_eq!(folded, text.to_ascii_lowercase(), "{text:?}");
                // A text without capitals is not copied.
                assert_eq!(matches!(folded, Cow::Owned(_)), c.is_ascii_uppercase(), "{text:?}");
            }
        }
    }
}
