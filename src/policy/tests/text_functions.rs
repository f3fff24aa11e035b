//! The text functions, with the cases of cel-go's documentation of its strings extension, and `age`.

use super::{ada, answer, at, rules};
use crate::model::{AccessRequest, Grounds, Repo, RepoType};

/// Each case is an expression that is true. Constant expressions are evaluated when the policy is read.
#[test]
fn text_functions_give_the_results_of_cel_go() {
    let cases = [
        // indexOf
        "'hello mellow'.indexOf('') == 0",
        "'hello mellow'.indexOf('ello') == 1",
        "'hello mellow'.indexOf('jello') == -1",
        "'hello mellow'.indexOf('', 2) == 2",
        "'hello mellow'.indexOf('ello', 2) == 7",
        "'ta©o©αT'.indexOf('©') == 2",
        // join
        "['hello', 'mellow'].join() == 'hellomellow'",
        "['hello', 'mellow'].join(' ') == 'hello mellow'",
        "[].join() == '' && [].join('/') == ''",
        // lowerAscii and upperAscii
        "'TacoCat'.lowerAscii() == 'tacocat'",
        "'TacoCÆt Xii'.lowerAscii() == 'tacocÆt xii'",
        "'TacoCat'.upperAscii() == 'TACOCAT'",
        "'TacoCÆt Xii'.upperAscii() == 'TACOCÆT XII'",
        // replace
        "'hello hello'.replace('he', 'we') == 'wello wello'",
        "'hello hello'.replace('he', 'we', -1) == 'wello wello'",
        "'hello hello'.replace('he', 'we', 1) == 'wello hello'",
        "'hello hello'.replace('he', 'we', 0) == 'hello hello'",
        "'hello hello'.replace('', '_') == '_h_e_l_l_o_ _h_e_l_l_o_'",
        "'hello hello'.replace('h', '') == 'ello ello'",
        // split
        "'hello hello hello'.split(' ') == ['hello', 'hello', 'hello']",
        "'hello hello hello'.split(' ', 0) == []",
        "'hello hello hello'.split(' ', 1) == ['hello hello hello']",
        "'hello hello hello'.split(' ', 2) == ['hello', 'hello hello']",
        "'hello hello hello'.split(' ', -1) == ['hello', 'hello', 'hello']",
        "'abc'.split('') == ['a', 'b', 'c']",
        // substring
        "'tacocat'.substring(4) == 'cat'",
        "'tacocat'.substring(0, 4) == 'taco'",
        "'ta©o©αT'.substring(2, 6) == '©o©α'",
        // trim
        "'  \\ttrim\\n    '.trim() == 'trim'",
        "'\\u2028trim\\u00a0'.trim() == 'trim'",
    ];
    for expression in cases {
        assert_eq!(answer(expression, &ada()), "yes", "{expression}");
        // The same, where the text is an answer.
        let Some((text, rest)) = expression.strip_prefix('\'').and_then(|rest| rest.split_once("'.")) else {
            continue;
        };
        if text.contains('\\') || rest.contains("'.") {
            continue;
        }
        let mut request = ada();
        request.fields.insert("Text".to_owned(), text.to_owned());
        assert_eq!(answer(&format!("fields['Text'].{rest}"), &request), "yes", "{expression}");
    }
}

#[test]
fn text_that_is_made_from_a_name_is_a_name() {
    let cases = [
        "user.name.upperAscii() == 'ada' && user.name.upperAscii() == 'ADA' && user.name.lowerAscii() == 'ADA'",
        "user.name.trim() == 'ADA' && user.name.substring(1) == 'DA'",
        "user.name.replace('D', 'X') == 'aXa' && user.name.replace('d', 'X') == 'axa'",
        "user.email.split('@LAB')[1] == '.ACME.com' && user.domain.split('.') == ['LAB', 'Acme', 'com']",
        "user.email.indexOf('@LAB') == 3",
        "user.verified_orgs.join('X') == 'epflxACME' && ['A', user.name].join() == 'aADA'",
        "fields['Affiliation'].lowerAscii() == 'epfl' && fields['Affiliation'].lowerAscii() in user.verified_orgs",
        "fields['Country'].split('H').join('h') == 'Ch' && fields['Country'].replace('h', 'x') == 'CH'",
    ];
    for expression in cases {
        assert_eq!(answer(expression, &ada()), "yes", "{expression}");
    }
}

#[test]
fn argument_of_a_text_function_is_constant() {
    let cases = [
        "user.fullname.split(fields['Age']) == []",
        "user.fullname.replace(user.name, '') == 'x'",
        "user.fullname.replace('x', user.name) == 'x'",
        "user.fullname.indexOf(fields['Age']) == 0",
        "user.orgs.join(user.name) == 'x'",
        "user.domain.under(fields['Age'])",
        "user.domain.under(user.orgs)",
        "user.domain.under([user.name])",
    ];
    for expression in cases {
        let rule = serde_json::json!({"name": "r", "then": "accept", "if": expression});
        let faults =
            super::Policy::parse(&serde_json::json!({"rules": [rule]}).to_string()).expect_err(expression);
        assert!(faults[0].contains("which the requester writes"), "{expression}: {faults:?}");
        assert!(faults[0].contains("Use a constant argument"), "{expression}: {faults:?}");
    }
}

#[test]
fn text_functions_fail_where_cel_go_fails() {
    let cases = [
        ("user.fullname.substring(40) == 'x'", "`substring` cannot read a value of the request"),
        ("user.fullname.substring(3, 2) == 'x'", "`substring` cannot read a value of the request"),
        ("fields['Age'].indexOf('x', 20) == 1", "`indexOf` cannot read a value of the request"),
    ];
    for (expression, expected) in cases {
        assert_eq!(answer(expression, &ada()), expected, "{expression}");
    }
}

#[test]
fn age_counts_full_years() {
    let cases = [
        ("2008-11-22", "2026-11-22T00:00:00Z", "18"),
        ("2008-11-23", "2026-11-22T23:59:59Z", "17"),
        ("2008-11-22", "2026-11-21T23:59:59Z", "17"),
        ("2008-02-29", "2026-02-28T12:00:00Z", "17"),
        ("2008-02-29", "2026-03-01T00:00:00Z", "18"),
        ("2008-02-29", "2028-02-28T12:00:00Z", "19"),
        ("2008-02-29", "2028-02-29T00:00:00Z", "20"),
        ("2026-11-22", "2026-11-22T12:00:00Z", "0"),
        ("1026-11-23", "2026-11-22T12:00:00Z", "999"),
        // Not a date in the past.
        ("2026-11-23", "2026-11-22T12:00:00Z", "error"),
        ("2008-02-30", "2026-11-22T12:00:00Z", "error"),
        ("2008-2-29", "2026-11-22T12:00:00Z", "error"),
        ("29.02.2008", "2026-11-22T12:00:00Z", "error"),
        (" 2008-02-29", "2026-11-22T12:00:00Z", "error"),
        ("+2008-02-9", "2026-11-22T12:00:00Z", "error"),
        ("٢008-02-29", "2026-11-22T12:00:00Z", "error"),
        ("", "2026-11-22T12:00:00Z", "error"),
    ];
    let repo = Repo::new(RepoType::Model, "acme/model").expect("a name");
    for (date, now, expected) in cases {
        let mut request = AccessRequest::default();
        request.fields.insert("Birth".to_owned(), date.to_owned());
        let years = expected.parse().unwrap_or(0);
        let policy = rules(&[&format!("accept: age(fields['Birth']) == {years}")]);
        match policy.decide(&request, &repo, at(now)).grounds {
            Grounds::Rule(_) => assert_ne!(expected, "error", "{date}"),
            Grounds::Unknown { why, .. } => {
                assert_eq!(
                    (expected, why.as_str()),
                    ("error", "`age` cannot read a value of the request"),
                    "{date}"
                );
            }
            other => panic!("{date} {now}: {other:?}"),
        }
    }
}

#[test]
fn service_account_is_an_organization_or_blank() {
    let mut bot = ada();
    bot.user.service_account = Some("Acme".to_owned());
    assert_eq!(answer("user.service_account == ''", &ada()), "yes");
    assert_eq!(answer("user.service_account == 'acme'", &bot), "yes");
    assert_eq!(answer("user.service_account in ['ACME', 'zoo']", &bot), "yes");
    let hidden = AccessRequest::default();
    assert_eq!(answer("user.service_account == ''", &hidden), "the request has no `service_account`");
}
