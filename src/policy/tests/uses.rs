//! The operands of functions and operators. If they fit, the result is CEL's, and if they do not fit, the policy is refused.

use super::{Policy, ada, answer};

#[test]
fn operands_that_fit_give_the_result_of_cel() {
    let cases = [
        // Conversions.
        "-int(fields['Age']) == -36",
        "int(36u) == int(36.9) && int(timestamp('1970-01-01T00:01:00Z')) == 60",
        "uint(fields['Age']) == 36u && uint(36) == uint(36.0)",
        "double(fields['Age']) == 36.0 && double(36) == double(36u)",
        "bool(fields['Agree']) && bool(true)",
        "string(36) + string(36u) + string(1.5) + string(true) == '36361.5true'",
        "string(user.name) + string(b'x') == 'adax'",
        "string(timestamp('2026-11-20T12:00:00Z')) == '2026-11-20T12:00:00Z'",
        "string(duration('1h')) == '3600s'",
        "timestamp('2026-11-20T12:00:00Z') == requested_at && timestamp(requested_at) == requested_at",
        "timestamp(0) < requested_at",
        "duration(duration('48h')) == now - requested_at",
        // Numbers of all types.
        "int(fields['Age']) > 35.5 && int(fields['Age']) != 36.5 && int(fields['Age']) in [36.0]",
        "int(fields['Age']) * 2 / 3 - 4 % 3 == 23",
        "double(fields['Age']) * 2.0 / 3.0 - 1.0 + 0.5 == 23.5",
        "-double(fields['Age']) == -36.0",
        // Times.
        "requested_at + duration('48h') == now && duration('48h') + requested_at == now",
        "now - duration('48h') == requested_at",
        "now - requested_at + duration('1h') - duration('49h') == duration('0s')",
        "(now - requested_at).getHours() == 48 && (now - requested_at).getMinutes() == 2880",
        "requested_at.getMonth() == 10 && requested_at.getDate() == 20 && requested_at.getDayOfMonth() == 19",
        "requested_at.getDayOfWeek() == 5 && requested_at.getMinutes() == 0",
        // Text, bytes, lists, maps and the form.
        "user.name + '@' + user.domain == 'ada@lab.acme.com' && b'a' + b'b' == b'ab'",
        "user.orgs + user.verified_orgs == ['ladies', 'epfl', 'acme']",
        "matches(user.name, '^a.a$') && user.name.matches('^a.a$') && user.name.endsWith('da')",
        "size(user.name) + size(b'xy') + size(user.orgs) + size({'a': 1}) + size(fields) == 11",
        "fields['Country'] in {'CH': 1} && {36: 'x'}[int(fields['Age'])] == 'x'",
        "{'CH': 'yes'}.exists(country, country == fields['Country'])",
        "fields[user.pro ? 'Country' : 'Age'] == 'CH' && (user.pro ? 'Age' : 'Purpose') in fields",
        "user.name < 'b' && b'a' < b'b' && user.pro > false && requested_at <= now",
        "user.orgs != [] && [[], [user.name]] == [[], ['ada']] && {} != {'a': user.name}",
    ];
    for expression in cases {
        assert_eq!(answer(expression, &ada()), "yes", "{expression}");
    }
}

#[test]
fn zones_have_their_summer_time() {
    let cases = [
        "requested_at.getHours('Europe/Paris') == 13 && requested_at.getHours('') == requested_at.getHours('UTC')",
        "timestamp('2026-07-20T12:00:00Z').getHours('Europe/Paris') == 14 && requested_at.getHours('-03:30') == 8",
        "timestamp('0001-01-01T00:00:00Z').getMinutes('Europe/Paris') == 9 && now.getDate('Asia/Tokyo') == 22",
        "timestamp('9999-12-31T23:59:59Z').getHours('America/New_York') == 18",
    ];
    for expression in cases {
        assert_eq!(answer(expression, &ada()), "yes", "{expression}");
    }
}

#[test]
fn operands_that_do_not_fit_are_refused() {
    let cases = [
        ("user.name ? true : false", "`? :` does not apply to text and a bool and a bool"),
        ("user.pro + user.pro == user.pro", "`+` does not apply to a bool and a bool"),
        ("user.name - 'x' == ''", "`-` does not apply to text and text"),
        ("int(fields['Age']) + 1.5 > 18.0", "`+` does not apply to an int and a double"),
        ("double(fields['Age']) % 2.0 == 0.0", "`%` does not apply to a double and a double"),
        ("user.orgs + [1] == []", "`+` does not apply to a list (text) and a list (an int)"),
        ("now + now > now", "`+` does not apply to a timestamp and a timestamp"),
        ("duration('1h') - now < duration('1h')", "`-` does not apply to a duration and a timestamp"),
        ("user.orgs < user.verified_orgs", "`<` does not apply to a list (text) and a list (text)"),
        (
            "{'a': user.name} < {'b': user.name}",
            "`<` does not apply to a map (text to text) and a map (text to text)",
        ),
        ("fields < fields", "`<` does not apply to `fields` and `fields`"),
        ("1 in fields", "`in` does not apply to an int and `fields`"),
        ("int(fields['Age']) in fields", "`in` does not apply to an int and `fields`"),
        ("int(fields['Age']) in {'36': true}", "`in` does not apply to an int and a map (text to a bool)"),
        ("fields[1] == 'x'", "`[ ]` does not apply to `fields` and an int"),
        ("user.orgs['x'] == 'x'", "`[ ]` does not apply to a list (text) and text"),
        ("user.orgs.contains('x')", "`contains` does not apply to a list (text) and text"),
        ("user.name.contains(1)", "`contains` does not apply to text and an int"),
        ("user.orgs.matches('x')", "`matches` does not apply to a list (text) and text"),
        ("user.name.matches(1)", "`matches` does not apply to text and an int"),
        ("size(user.pro) > 1", "`size` does not apply to a bool"),
        (
            "under(user.domain, 'acme.com')",
            "`under` does not apply to text and text; write it as `text.under('x')`",
        ),
        (
            "under(user.domain, ['acme.com'])",
            "`under` does not apply to text and a list (text); write it as `text.under('x')`",
        ),
        ("user.domain.under([1])", "`under` does not apply to text and a list (an int)"),
        ("trim(user.name) == 'x'", "`trim` does not apply to text; write it as `text.trim()`"),
        ("size(user.name).split(1) == [1]", "`split` does not apply to an int and an int"),
        ("[1].join(1) == 1", "`join` does not apply to a list (an int) and an int"),
        ("size(user.name).replace(1, 1) == 1", "`replace` does not apply to an int and an int and an int"),
        ("user.name.split(1) == []", "`split` does not apply to text and an int"),
        ("[1].join() == ''", "`join` does not apply to a list (an int)"),
        ("[1].join(',') == ''", "`join` does not apply to a list (an int) and text"),
        ("user.orgs.join(1) == ''", "`join` does not apply to a list (text) and an int"),
        ("user.name.replace(1, 'x') == ''", "`replace` does not apply to text and an int and text"),
        ("user.name.replace('x', 1) == ''", "`replace` does not apply to text and text and an int"),
        ("user.name.indexOf(1) == 0", "`indexOf` does not apply to text and an int"),
        (
            "getFullYear(now) == 2026",
            "`getFullYear` does not apply to a timestamp; write it as `now.getFullYear()`",
        ),
        (
            "getHours(now - requested_at) > 1",
            "`getHours` does not apply to a duration; write it as `now.getHours()`",
        ),
        ("(now - requested_at).getFullYear() > 1", "`getFullYear` does not apply to a duration"),
        ("requested_at.getHours('Europe/Pairs') > 18", "unknown time zone Europe/Pairs"),
        ("fields['Age'].string() == 'x'", "`string` does not apply to text; write it as `string(x)`"),
        ("fields['Age'].int() == 1", "`int` does not apply to text; write it as `int(x)`"),
        ("fields['Age'].uint() == 1u", "`uint` does not apply to text; write it as `uint(x)`"),
        ("fields['Age'].double() == 1.0", "`double` does not apply to text; write it as `double(x)`"),
        ("fields['Agree'].bool()", "`bool` does not apply to text; write it as `bool(x)`"),
        ("fields['Age'].timestamp() < now", "`timestamp` does not apply to text; write it as `timestamp(x)`"),
        (
            "fields['Age'].duration() < now - now",
            "`duration` does not apply to text; write it as `duration(x)`",
        ),
        ("bool(int(fields['Age']))", "`bool` does not apply to an int"),
    ];
    for (expression, expected) in cases {
        let rule = serde_json::json!({"name": "slip", "then": "accept", "if": expression});
        let faults = Policy::parse(&serde_json::json!({"rules": [rule]}).to_string()).expect_err(expression);
        assert!(faults[0].ends_with(expected), "{expression}: {faults:?}");
    }
}

#[test]
fn expression_may_have_4096_bytes_but_not_4097() {
    let longest = format!("{}true", " ".repeat(4092));
    assert_eq!(answer(&longest, &ada()), "yes");
    let rule = serde_json::json!({"name": "long", "then": "accept", "if": longest + " "});
    let faults = Policy::parse(&serde_json::json!({"rules": [rule]}).to_string()).expect_err("too long");
    assert_eq!(
        faults,
        [
            "line 1, column 17: rule `long`: `if`: the expression has 4097 bytes; split it into rules of at most 4096 bytes"
        ]
    );
}
