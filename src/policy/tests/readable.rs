//! Unreadable requests, which are held without evaluating any rule.

use super::{ada, answer, decide, policy, rules};
use crate::model::{AccessRequest, Grounds, Verdict};

/// Creates a request that contains a number of something.
type Make<'a> = &'a dyn Fn(usize) -> AccessRequest;

/// Why a request is unreadable, if it is. The policies would accept every request.
fn unreadable(request: &AccessRequest) -> Option<&'static str> {
    let lenient = [rules(&["accept: true"]), policy(r#"{"rules": [], "default": "accept"}"#)];
    let [with_rule, with_default] = lenient.map(|policy| decide(&policy, request));
    assert_eq!(with_rule.verdict, with_default.verdict);
    match with_rule.grounds {
        Grounds::Unreadable(unreadable) => {
            assert_eq!(with_rule.verdict, Verdict::Hold);
            assert_eq!(with_default.grounds, Grounds::Unreadable(unreadable));
            Some(unreadable)
        }
        _ => None,
    }
}

fn with_email(email: &str) -> AccessRequest {
    let mut request = ada();
    request.user.email = Some(email.to_owned());
    request
}

#[test]
fn unreadable_address_is_held_whatever_the_rules_are() {
    let long =
        format!("ada@{}.com", ["x".repeat(62), "x".repeat(62), "x".repeat(62), "x".repeat(62)].join("."));
    let long_local_part = format!("{}@acme.com", "a".repeat(65));
    let long_label = format!("ada@{}.com", "x".repeat(64));
    let addresses = [
        "",
        "ada",
        "@",
        "ada@",
        "@acme.com",
        "ada@acme.com@evil.com",
        "ada@@acme.com",
        "\"ada@acme.com\"@evil.com",
        "ada@acme.com ",
        " ada@acme.com",
        "ada lovelace@acme.com",
        "ada@acme .com",
        "ada@evil.com\nacme.com",
        "ada\t@acme.com",
        "ada@acme.com\0",
        "ada\u{a0}@acme.com",
        "ada\u{85}@acme.com",
        "ada@acme.com.",
        "ada@.acme.com",
        "ada@.",
        "ada@acme..com",
        "ada@\u{212a}aggle.com",
        "ada@аcme.com",
        "ada@evil.com,acme.com",
        "ada@[127.0.0.1]",
        "<ada@acme.com>",
        "ada@evil.com/acme.com",
        "ada@evil.com(acme.com",
        "ada(x)@acme.com",
        "ada,bob@acme.com",
        "ada\\@acme.com",
        "ada\u{200b}@acme.com",
        "\u{202e}ada@acme.com",
        "ada@-acme.com",
        "ada@acme-.com",
        &long_label,
        &long,
        &long_local_part,
    ];
    for address in addresses {
        assert_eq!(
            unreadable(&with_email(address)),
            Some("the e-mail address cannot be read"),
            "{address:?}"
        );
    }
}

#[test]
fn domain_of_a_readable_address_is_lower_case() {
    let longest = format!("{}.com", [57, 63, 63, 63].map(|length| "x".repeat(length)).join("."));
    let cases = [
        ("ada@ACME.com", "acme.com"),
        ("ada@acme.com.evil.com", "acme.com.evil.com"),
        ("ada+x@acme.com", "acme.com"),
        ("O'Hara.ädä/x@acme.com", "acme.com"),
        ("ada@localhost", "localhost"),
        ("ada@mail_1.acme.com", "mail_1.acme.com"),
        ("ada@xn--cme-5cd.com", "xn--cme-5cd.com"),
        (&format!("{}@{longest}", "a".repeat(64)), &longest),
    ];
    for (address, domain) in cases {
        assert_eq!(unreadable(&with_email(address)), None, "{address:?}");
        assert_eq!(answer(&format!("user.domain == '{domain}'"), &with_email(address)), "yes", "{address:?}");
    }
}

#[test]
fn missing_address_is_readable() {
    let mut request = ada();
    request.user.email = None;
    assert_eq!(unreadable(&request), None);
}

#[test]
fn request_is_decided_up_to_each_limit_and_held_above() {
    let count = |request: &AccessRequest| {
        let texts = [&request.user.id, &request.user.name, &request.user.fullname, &request.user.email];
        let fields: usize = request.fields.iter().map(|(label, answer)| label.len() + answer.len()).sum();
        fields + texts.into_iter().flatten().map(String::len).sum::<usize>()
    };
    let organizations = |number: usize| {
        let mut request = ada();
        request.user.orgs = Some((0..number).map(|number| format!("org{number}")).collect());
        request
    };
    let organization = |length: usize| {
        let mut request = ada();
        request.user.verified_orgs = Some(vec!["o".repeat(length)]);
        request
    };
    let user = |length: usize| {
        let mut request = ada();
        request.user.name = Some("u".repeat(length));
        request
    };
    let answers = |number: usize| {
        let mut request = ada();
        request.fields = (0..number).map(|number| (format!("q{number}"), String::new())).collect();
        request
    };
    // These requests have this number of bytes in one answer, in many answers, in a label, or in a name.
    let in_one_answer = |bytes: usize| {
        let mut request = ada();
        request.fields.insert(String::new(), "x".repeat(bytes - count(&request)));
        request
    };
    let in_many = |bytes: usize| {
        let mut request = ada();
        request.fields.extend((0..9).map(|number| (number.to_string(), "x".repeat(10_000))));
        let answer = "x".repeat(bytes - count(&request));
        request.fields.insert(String::new(), answer);
        request
    };
    let in_a_label = |bytes: usize| {
        let mut request = ada();
        request.fields.insert("x".repeat(bytes - count(&request)), String::new());
        request
    };
    let in_a_name = |bytes: usize| {
        let mut request = ada();
        request.user.fullname = None;
        request.user.fullname = Some("x".repeat(bytes - count(&request)));
        request
    };
    let too_long = "the texts of the request have more than 100 KB in total";
    let too_long_a_name = "the name of the user or of an organization is longer than 200 bytes";
    let cases: [(Make, usize, &str); 8] = [
        (&organizations, 300, "the user has more than 300 organizations"),
        (&organization, 200, too_long_a_name),
        (&user, 200, too_long_a_name),
        (&answers, 300, "the request has more than 300 answers"),
        (&in_one_answer, 100_000, too_long),
        (&in_many, 100_000, too_long),
        (&in_a_label, 100_000, too_long),
        (&in_a_name, 100_000, too_long),
    ];
    for (make, limit, expected) in cases {
        assert_eq!(unreadable(&make(limit)), None, "{limit}: {expected}");
        assert_eq!(unreadable(&make(limit + 1)), Some(expected), "{limit}");
    }
}
