//! The case of names does not matter, nor the case of a text that is compared with a name.

use proptest::prelude::*;

use super::{Policy, ada, answer, at, rules};
use crate::model::{AccessRequest, Grounds, Repo, RepoType};
use crate::properties::often;

/// The request of Ada, with capital letters in all names.
fn capital_ada() -> AccessRequest {
    let mut request = ada();
    request.user.name = Some("ADA".to_owned());
    request.user.email = Some("Ada@Lab.ACME.com".to_owned());
    request.user.orgs = Some(vec!["Ladies".to_owned(), "ACME".to_owned()]);
    request.user.verified_orgs = Some(vec!["EPFL".to_owned()]);
    request.fields.insert("GitHub".to_owned(), "aDa".to_owned());
    request.fields.insert("Ada".to_owned(), "Label".to_owned());
    request
}

/// The grounds of the decision by one expression for the repo `Acme/Weights-Unreleased`.
fn grounds(expression: &str, request: &AccessRequest) -> Grounds {
    let repo = Repo::new(RepoType::Model, "Acme/Weights-Unreleased").expect("a name");
    let policy = rules(&[&format!("accept: {expression}")]);
    policy.decide(request, &repo, at("2026-11-22T12:00:00Z")).grounds
}

#[test]
fn comparison_with_a_name_ignores_case() {
    let cases = [
        "user.name == 'Ada'",
        "'aDa' == user.name",
        "!(user.name != 'Ada')",
        "user['name'] == 'Ada'",
        "user.email == 'ada@lab.acme.COM'",
        "user.domain == 'Lab.Acme.com'",
        "user.name in ['bob', 'Ada']",
        "'Acme' in user.orgs && 'lAdies' in user.orgs && 'Epfl' in user.verified_orgs",
        "user.orgs.exists(o, o == 'aCME')",
        "user.orgs.exists(o, o in ['x', 'aCME'])",
        "user.orgs == ['ladies', 'Acme'] && [user.name] == ['Ada']",
        "user.orgs + ['EPFL'] == ['ladies', 'Acme', 'epfl']",
        "['x', user.name][1] == 'Ada' && ['ADA', user.name][0] == 'Ada'",
        "user.orgs[0] == 'lADIES'",
        "user.name.startsWith('Ad') && user.name.endsWith('Da') && user.name.contains('D')",
        "user.domain.endsWith('.Acme.com')",
        "user.email.contains('@' + 'LAB')",
        "user.name < 'B' && 'Z' > user.name && !('Ada' < user.name) && user.name >= 'ADA'",
        // The repo.
        "repo.name == 'acme/weights-unreleased'",
        "repo.name in ['acme/weights-unreleased'] && repo.owner == 'ACME'",
        "repo.owner in user.orgs && repo.name.startsWith(repo.owner)",
        "'ACME Corporation'.contains(repo.owner)",
        "repo.name.matches('^Acme/[W-Z]eights')",
        // Answers that are compared with a name.
        "fields['GitHub'] == user.name && user.name == fields.GitHub",
        "fields['GitHub'] in [user.name] && user.name in [fields['GitHub']]",
        "'x' + fields['GitHub'] == 'X' + user.name",
        "fields['GitHub'] >= user.name && fields['GitHub'] <= user.name",
        "[fields['GitHub']].exists(a, a == user.name)",
        "[fields['GitHub'], user.name][0] == 'ADA'",
        "['x', fields['GitHub']].map(a, a) == ['X', user.name]",
        "[[fields['GitHub']].map(a, a)] == [[user.name]]",
        "user.name in fields.map(label, fields[label])",
        "fields[user.name] == 'Label' && user.name in fields && fields['A' + 'ge'] == '36'",
        "fields.exists(label, fields[label] == user.name) && user.fullname.contains(repo.owner) == false",
        "user.fullname >= user.name && fields.GitHub.startsWith('x' + repo.owner) == false",
        "[{'GitHub': 'X'}].exists(fields, fields['GitHub'] + user.name == 'xAda')",
        "['X'].exists(fields, fields + user.name == 'xAda') && fields['GitHub'] in [user.name]",
        // Texts that are made from a name.
        "user.name + '@Acme.com' == 'Ada@ACME.com' && 'X' + user.name == 'xADA'",
        "string(user.name) == 'Ada'",
        "(user.pro ? user.name : 'X') == 'Ada' && (user.pro ? 'ADA' : user.name) == 'Ada'",
        "(user.pro ? fields['GitHub'] : user.name) == 'ADA'",
        "(user.pro ? ['ADA'] : user.orgs) == ['Ada']",
        "user.orgs.map(o, o + '.ORG') == ['ladies.org', 'acme.Org']",
        "user.orgs.filter(o, o != 'Ladies') == ['acme']",
        "user.orgs.filter(o, o in ['LADIES']).map(o, [o]) == [['ladies']]",
        "user.orgs.map(o, {'Org': o})[1]['Org'] == 'Acme'",
        "user.orgs.map(o, {'Org': o})[1].Org == 'Acme'",
        "user.orgs.exists(a, user.verified_orgs.exists(b, a + b == 'acmeEpfl'))",
        "user.orgs.exists_one(o, o.startsWith('Ac'))",
        "['ADA', 'BOB'].exists(p, p == user.name) && ['AD'].exists(p, user.name.startsWith(p))",
        "['AD'].map(p, p + 'A').exists(p, user.name.contains(p))",
        // Keys of maps.
        "{'Ada': true}[user.name] && user.name in {'Ada': true} && {user.name: true}['Ada']",
        "{user.name: true}.ADA && has({user.name: true}.ADA) && 'ADA' in {user.name: true}",
        "(user.pro ? {'Ada': 'x'} : {'Bob': 'x'})[user.name] == 'x'",
        "{'X': user.name} == {'X': 'Ada'} && {user.name: 'X'} == {'Ada': 'X'}",
        "user.orgs.map(o, {'X': fields['GitHub']}) == user.orgs.map(o, {'X': user.name})",
        "user.orgs.map(o, {fields['GitHub']: 1}) == user.orgs.map(o, {user.name: 1})",
        "{'X': ['Y']}.map(k, k)[0] == 'X' && {user.name: 1}.map(k, k) == ['Ada']",
        // Patterns.
        "user.name.matches('^ADA$') && user.name.matches('^[A-D]+$') && user.name.matches('^[[:upper:]]+$')",
        "!user.name.matches('[[:digit:]]')",
        "user.name.matches(r'^\\p{Lu}+$') && user.name.matches(r'^[\\p{Lu}]+$') && user.name.matches(r'^[^\\P{Lu}]+$')",
        "user.name.matches('^A(?-i:D)A$') && matches(user.name, 'ADA') && user.name.matches(r'\\x41\\bDA|\\x44')",
        "!user.name.matches('^[^A]') && !user.name.matches('^[[:^upper:]]') && !user.name.matches(r'^\\P{Lu}')",
        "user.orgs.exists(o, o.matches('^Ac')) && ['Ad', 'x'].exists(p, user.name.matches('^' + p))",
    ];
    for expression in cases {
        assert_eq!(grounds(expression, &capital_ada()), Grounds::Rule("1".into()), "{expression}");
    }
}

#[test]
fn texts_that_are_not_names_are_compared_exactly() {
    let no = [
        "fields['Country'] == 'ch' || fields['Country'] in ['ch'] || fields['Country'].startsWith('c')",
        "fields['Country'].matches('^ch$') || 'ch' == fields.Country",
        "user.fullname == 'ada lovelace' || user.fullname.contains('ADA')",
        "user.id == 'U-1' || user.id == repo.type",
        "'country' in fields || has(fields.country)",
        "{'ch': true} == {fields['Country']: true}",
        "fields['Country'] in {'ch': user.name}",
        "{user.name: fields['Country']}['ada'] == 'ch'",
        "{'x': user.name}.exists(k, k == 'X')",
        "user.orgs.map(o, {'X': fields['GitHub']}) == user.orgs.map(o, {'x': user.name})",
        "user.orgs.map(o, fields['Country']).exists(c, c == 'ch')",
        "user.orgs.exists(o, fields['Country'] == 'ch' && o == 'ACME')",
        "string(size(user.name)) + 'A' == '3a'",
        "string(user.pro) == 'TRUE'",
        // Other letters are compared exactly, and a negated class does not match a letter in either case.
        "user.name == 'Adä' || user.name.matches('^[^A-Z]')",
    ];
    for expression in no {
        assert_eq!(grounds(expression, &capital_ada()), Grounds::NoRule, "{expression}");
    }
}

#[test]
fn only_ascii_letters_ignore_case() {
    let mut request = ada();
    request.user.name = Some("É\u{212a}".to_owned());
    let no = [
        "user.name == 'é\u{212a}'",
        "user.name.contains('k')",
        "user.name.matches('K')",
        "user.name.matches('[J-L]')",
        "user.name.matches('é')",
        "user.name in ['Ék', 'é\u{212a}']",
    ];
    for expression in no {
        assert_eq!(answer(expression, &request), "no", "{expression}");
    }
    assert_eq!(answer("user.name == 'É\u{212a}' && user.name.matches('^É\u{212a}$')", &request), "yes");
}

#[test]
fn equal_names_in_one_map_are_refused_or_held() {
    let rule =
        serde_json::json!({"name": "r", "then": "accept", "if": "{'Ada': 1, 'ADA': 2}[user.name] == 1"});
    let faults = Policy::parse(&serde_json::json!({ "rules": [rule] }).to_string()).expect_err("a fault");
    assert!(faults[0].contains("a map has the key `ada` twice, because names ignore case"), "{faults:?}");
    let mut request = capital_ada();
    request.fields.insert("ada".to_owned(), "x".to_owned());
    assert_eq!(answer("fields[user.name] == 'x'", &request), "`fields` cannot read a value of the request");
    assert_eq!(answer("user.name in fields", &request), "yes");
    let keys = "fields['GitHub']: 1, 'Ada': 2";
    assert_ne!(answer(&format!("{{{keys}}}[user.name] == 2"), &request), "yes");
}

#[test]
fn rule_that_reads_a_missing_name_cannot_be_evaluated() {
    let mut request = capital_ada();
    request.user.name = None;
    let expected = "the request has no `name`";
    for expression in ["user.name == 'Ada'", "fields['GitHub'] == user.name", "user.name.matches('^A')"] {
        assert_eq!(answer(expression, &request), expected, "{expression}");
    }
    assert_eq!(answer("has(user.name)", &request), "no");
    assert_eq!(answer("'name' in user", &ada()), "yes");
}

/// Conditions about names. The texts in them may be in any case.
const CONDITIONS: [&str; 14] = [
    "user.name == 'ada'",
    "'acme' in user.orgs",
    "user.email.endsWith('@acme.com')",
    "user.domain in ['acme.com', 'epfl.ch']",
    "user.name < 'b'",
    "user.orgs.exists(o, o.startsWith('ac'))",
    "user.orgs.map(o, o + '.org') == ['acme.org', 'x.org']",
    "{'ada': true, 'bob': false}[user.name]",
    "user.name + '@acme.com' == user.email",
    "(user.pro ? user.name : 'bob') == 'bob'",
    "fields['Account'] == user.name",
    "repo.name == 'acme/weights' && repo.owner in user.orgs",
    "user.name.matches('^[abc]d?')",
    "['ad', 'x'].exists(p, user.name.matches('^' + p))",
];

/// The text with some of its letters in capitals.
fn with_capitals(text: &str, which: u64) -> String {
    let change = |(place, c): (usize, char)| {
        if which >> (place % 64) & 1 == 1 { c.to_ascii_uppercase() } else { c }
    };
    text.chars().enumerate().map(change).collect()
}

/// The expression with some capitals in its texts, but not in its labels.
fn with_capitals_in_texts(expression: &str, which: u64) -> String {
    let parts = (0..).zip(expression.split('\'')).map(|(number, part): (u64, _)| {
        let is_text = number % 2 == 1 && part != "Account";
        if is_text { with_capitals(part, which.wrapping_mul(2 * number + 1)) } else { part.to_owned() }
    });
    parts.collect::<Vec<_>>().join("'")
}

proptest! {
    #![proptest_config(often())]

    #[test]
    fn case_of_names_never_changes_a_decision(
        (condition, is_pro) in (prop::sample::select(&CONDITIONS[..]), any::<bool>()),
        (name, email) in prop::sample::select(&[("ada", "ada@acme.com"), ("bob", "bob@epfl.ch"), ("add", "add@x.com")][..]),
        orgs in prop::sample::subsequence(&["acme", "x"][..], 0..=2),
        account in prop::sample::select(&["ada", "x"][..]),
        repo in prop::sample::select(&["acme/weights", "zoo/weights"][..]),
        capitals in any::<[u64; 6]>(),
    ) {
        let decide = |[in_rule, in_name, in_email, in_orgs, in_account, in_repo]: [u64; 6]| {
            let mut request = AccessRequest { request_id: Some("r-1".to_owned()), ..AccessRequest::default() };
            request.user.pro = Some(is_pro);
            request.user.name = Some(with_capitals(name, in_name));
            request.user.email = Some(with_capitals(email, in_email));
            request.user.orgs = Some(orgs.iter().map(|org| with_capitals(org, in_orgs)).collect());
            request.fields.insert("Account".to_owned(), with_capitals(account, in_account));
            let repo = Repo::new(RepoType::Model, &with_capitals(repo, in_repo)).expect("a name");
            let policy = rules(&[&format!("accept: {}", with_capitals_in_texts(condition, in_rule))]);
            let decision = policy.decide(&request, &repo, at("2026-11-22T12:00:00Z"));
            (decision.verdict, decision.grounds)
        };
        prop_assert_eq!(decide(capitals), decide([0; 6]));
    }
}
