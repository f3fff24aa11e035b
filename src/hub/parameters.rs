//! Members of a header's list and their parameters: `member;name=value;name="value", member`. `Link` (RFC 8288) and `RateLimit`
//! (a draft of the IETF) share this form.
//!
//! We parse it ourselves for two reasons. The crates that parse `Link` are looser than RFC 8288, and a misread link would
//! skip a page or lead to a wrong one. The crate `sfv` rejects the `RateLimit-Policy` that the Hub documents,
//! `"fixed window";"api";q=1000;w=300`, because it is not a valid structured field.

/// The parameters `name=value` of one member. The value of a parameter without `=` is empty.
pub(super) fn parameters(member: &str) -> impl Iterator<Item = (&str, String)> {
    split_outside_quotes(member, ';').map(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        (name.trim(), unquoted(value.trim()))
    })
}

/// Splits a text at each `separator` that is not within quotes.
pub(super) fn split_outside_quotes(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_after_backslash) = (false, false);
    text.split(move |c| {
        let is_escaped = is_after_backslash;
        is_after_backslash = is_quoted && !is_escaped && c == '\\';
        is_quoted ^= c == '"' && !is_escaped;
        c == separator && !is_quoted
    })
}

/// A value without its quotes and the backslashes of its escapes.
fn unquoted(value: &str) -> String {
    let Some(quoted) = value.strip_prefix('"') else { return value.to_owned() };
    let (mut text, mut characters) = (String::new(), quoted.chars());
    while let Some(character) = characters.next() {
        match character {
            '"' => break,
            '\\' => text.extend(characters.next()),
            other => text.push(other),
        }
    }
    text
}
