//! Parts that are probably wrong in every rule, or in one that stops requests: mistaken units, numbers that are compared as text, and
//! comparisons that miss a slightly different answer.

use cel::common::ast::operators as op;
use cel::common::ast::{Expr, IdedExpr};

use super::super::check::kinds::Kind;
use super::super::expressions::{call, int, is_variable, operands_of, text};
use super::search::Part;
use super::trust::has_address;

const ORDERS: [&str; 4] = [op::LESS, op::LESS_EQUALS, op::GREATER, op::GREATER_EQUALS];

/// `fields['Age'] >= '18'` compares text, in which `'9'` comes after `'18'`.
pub(super) fn number_as_text(part: &Part) -> Option<String> {
    let is_date =
        |text: &str| text.starts_with(|c: char| c.is_ascii_digit()) && text.contains(['-', '.', '/']);
    let is_number = |text: &str| text.trim().parse::<f64>().is_ok();
    let mut texts = part.operands.iter().filter_map(|operand| text(operand));
    let number = texts.find(|text| is_date(text) || is_number(text))?;
    ORDERS.contains(&part.function).then(|| {
        if is_number(number) {
            format!("'{number}' is compared as text, in which '9' comes after '18'; write `int(…)` around the answer, and {number}")
        } else {
            format!(
                "'{number}' is compared as text, in which '01.01.2020' comes before '2008-11-22'; write `age(…)`, or compare \
                 `timestamp(…)`"
            )
        }
    })
}

/// `duration('3m')` may be meant as three months, and `duration('72m')` as 72 hours. No policy needs a wait of some minutes.
pub(super) fn short_duration(part: &Part) -> Option<String> {
    let text = text(part.operands.first()?).filter(|_| part.function == "duration")?;
    let seconds = |unit: char, seconds: i64| {
        Some(text.strip_suffix(unit)?.parse::<i64>().ok()?.saturating_mul(seconds))
    };
    let all = seconds('h', 3600).or_else(|| seconds('m', 60)).or_else(|| seconds('s', 1))?;
    // 72, 96 and 168 are usual numbers of hours.
    let is_day = text.ends_with('m') && all % (24 * 60) == 0 && all % 3600 != 0;
    let what = match all {
        _ if text.starts_with('-') => "is negative, so it is always over".to_owned(),
        _ if all >= 3600 && !is_day => return None,
        60 => "is 1 minute".to_owned(),
        _ if text.ends_with('m') => format!("is {} minutes", all / 60),
        _ => format!("is only {all} s"),
    };
    Some(format!("`duration('{text}')` {what}; write a time of days in hours, such as `duration('72h')`"))
}

/// `now.getDayOfWeek() < 5` is true of Sunday, which is 0.
pub(super) fn weekday(part: &Part) -> Option<String> {
    let [day, number] = part.pair()?;
    let counts_from_monday = matches!(
        (part.function, int(number)?),
        (op::LESS | op::GREATER_EQUALS, 5) | (op::LESS_EQUALS | op::GREATER, 4)
    );
    (is_call(day, "getDayOfWeek") && counts_from_monday).then(|| {
        "`getDayOfWeek` is 0 on Sunday and 5 on Friday; write `now.getDayOfWeek() in [1, 2, 3, 4, 5]` for Monday to Friday".to_owned()
    })
}

/// The difference of calendar years is not an age.
pub(super) fn difference_of_years(part: &Part) -> Option<String> {
    let [year, _] = part.pair().filter(|_| part.function == op::SUBSTRACT)?;
    is_call(year, "getFullYear").then(|| {
        "the difference of two calendar years is one too many before the birthday of this year; write `age(…)`".to_owned()
    })
}

/// `now - timestamp(fields['Born']) > duration('18h')` probably means years, which is not a unit of durations.
pub(super) fn time_since_answer(part: &Part) -> Option<String> {
    let [now, since] = part.pair().filter(|_| part.function == op::SUBSTRACT)?;
    let [answer] = operands_of("timestamp", since).filter(|_| is_variable(now, "now"))?;
    (!matches!(answer.expr, Expr::Literal(_)))
        .then(|| "the requester writes the time that it reads, and no duration has years; write `age(…)` for a date of birth".to_owned())
}

/// `user.id == 'ada'` compares the id with a name.
pub(super) fn wrong_id(part: &Part) -> Option<String> {
    let [a, b] = part.pair().filter(|_| matches!(part.function, op::EQUALS | op::IN))?;
    let (value, other) = if text(a).is_some() { (b, a) } else { (a, b) };
    let is_id = part.scope.read(value).and_then(|read| read.kind()) == Some(Kind::Id);
    let texts = part.scope.texts(other);
    let is_wrong = texts.may_be_shown && texts.all.iter().any(|text| !Kind::Id.fits(text));
    (is_id && is_wrong).then(|| {
        "an id has 24 digits from 0 to 9 and a to f; write the `_id` of the user, or compare `user.name`"
            .to_owned()
    })
}

/// `fields['Purpose'] == ''` in a rule that stops requests.
pub(super) fn blank_answer(part: &Part) -> Option<String> {
    let [answer, other] = part.pair().filter(|_| part.function == op::EQUALS)?;
    let [of, _] = operands_of(op::INDEX, answer)?;
    (is_variable(of, "fields") && text(other) == Some(""))
        .then(|| "an answer of blanks gets round `== ''`; write `fields['…'].trim() == ''`".to_owned())
}

/// `fields['E-mail'].endsWith('@gmail.com')` in a rule that stops requests: it does not stop an answer that ends in `@Gmail.com`.
pub(super) fn capital_letters(part: &Part) -> Option<String> {
    let [value, other] = part.pair()?;
    part.scope.read(value).filter(|read| read.source == "fields" && !read.is_folded)?;
    let texts = part.scope.texts(other);
    let has_letters = texts.all.iter().any(|text| text.contains(|c: char| c.is_ascii_alphabetic()));
    let is_exact = match part.function {
        "contains" | "startsWith" | "endsWith" => has_letters,
        op::EQUALS | op::IN => has_address(other, part.scope),
        _ => false,
    };
    is_exact.then(|| {
        "an answer with other capital letters gets round it; write `fields['…'].lowerAscii()` and compare with small letters".to_owned()
    })
}

fn is_call(expression: &IdedExpr, function: &str) -> bool {
    call(expression).is_some_and(|(name, _)| name == function)
}
