//! Expressions at the limits of length, depth and size, on the small stack of a thread. At each limit they are accepted and
//! evaluated, and above it they are refused with the right message.

use std::thread;

use super::{Policy, ada, answer, decide};
use crate::model::{Grounds, Verdict};

/// The stack size of tokio's threads and of test threads, in bytes.
const STACK: usize = 2 * 1024 * 1024;

/// The fault of an expression. If there is none, the expression is evaluated.
fn fault(expression: &str) -> Option<String> {
    let rule = serde_json::json!({"name": "shape", "then": "accept", "if": expression});
    let tried = move || match Policy::parse(&serde_json::json!({ "rules": [rule] }).to_string()) {
        Ok(policy) => {
            let decision = decide(&policy, &ada());
            assert!(!matches!(decision.grounds, Grounds::Unknown { .. }), "{decision:?}");
            None
        }
        Err(faults) => Some(faults.join("; ")),
    };
    let thread = thread::Builder::new().stack_size(STACK).spawn(tried).expect("a thread");
    thread.join().expect("no panic and no stack overflow")
}

fn nested(before: &str, times: usize, middle: &str, after: &str) -> String {
    format!("{}{middle}{}", before.repeat(times), after.repeat(times))
}

#[test]
fn expression_is_accepted_up_to_each_limit() {
    type Shape = fn(usize) -> String;
    let brackets = "brackets are nested more than 96 deep";
    let depth = "the expression is nested more than 200 deep";
    let too_long = "bytes; split it into rules of at most 4096 bytes";
    let shapes: [(Shape, usize, &str); 20] = [
        (|n| format!("user.name{} == ''", " + 'A'".repeat(n)), 197, depth),
        (
            |n| {
                format!(
                    "{}user.name == fields['Age']",
                    "'A' == user.name ? fields['Age'] == '36' : ".repeat(n)
                )
            },
            94,
            too_long,
        ),
        (|n| nested("[", n, "fields['Age']", ", user.name][0]") + " == 'X'", 95, brackets),
        (|n| nested("{user.name: ", n, "fields['Age']", "}[user.name]") + " == 'X'", 95, brackets),
        (|n| nested("(1 + ", n, "1", ")") + " > 0", 96, brackets),
        (|n| nested("int(", n, "1", ")") + " > 0", 96, brackets),
        (|n| nested("'1'.contains(string(", n, "1", "))"), 48, brackets),
        (|n| nested("[", n, "1", "]") + " != []", 96, brackets),
        (|n| nested("{1: ", n, "1", "}") + " != {}", 96, brackets),
        (|n| nested("[0][", n, "0", "]") + " == 0", 96, brackets),
        (|n| nested("user.pro ? (", n, "true", ") : false"), 96, brackets),
        (|n| nested("(true || ", n, "true", ")"), 96, brackets),
        (|n| "user.pro ? true : ".repeat(n) + "true", 198, depth),
        (|n| vec!["1"; n].join(" + ") + " > 0", 199, depth),
        (|n| format!("user.orgs{} == []", ".filter(o, o == '')".repeat(n)), 195, depth),
        (|n| vec!["true"; n].join("&&"), 683, too_long),
        (|n| nested("(", n, "true", ")"), 2046, too_long),
        (|n| format!("'{}' == ''", "\\\\".repeat(n)), 2044, too_long),
        (|n| format!("'{}' == ''", "é".repeat(n)), 2044, too_long),
        (
            |n| format!("user.name.matches('(a{{1000}}){{{n}}}')"),
            8,
            "the pattern is larger than 256 KB when compiled",
        ),
    ];
    for (shape, limit, expected) in shapes {
        let shown: String = shape(3);
        assert_eq!(fault(&shape(limit)), None, "{limit} of {shown}");
        let fault = fault(&shape(limit + 1)).unwrap_or_else(|| panic!("{limit} of {shown}"));
        assert!(
            fault.starts_with("line 1, column 17: rule `shape`: `if`: ") && fault.contains(expected),
            "{shown}: {fault}"
        );
    }
}

#[test]
fn repeated_text_exhausts_neither_stack_nor_memory() {
    let pieces = "( ) [ { - ! !- -! $ ' ` \\ 1? 1?( 1?1: (1+ {1: {1:1}. [1][ [0] a. .a .a() a( a.a( A{a: 1+ 1||1&& 1< 1, 'a' \
                  has( .map(a,a) [1].map(a, [1].all(a,[1].all(b, .filter(a,a==a) 1. 1e 0x é \n // && ||true ?true:";
    let mut accepted = Vec::new();
    for piece in pieces.split(' ') {
        for (first, last) in
            [("", ""), ("", "1"), ("", "true"), ("user.pro", ""), ("user.pro", "true"), ("[1]", "")]
        {
            match fault(&format!("{first}{}{last}", piece.repeat(4080 / piece.len()))) {
                Some(fault) => {
                    assert!(fault.starts_with("line 1, column 17: rule `shape`: `if`: "), "{piece}: {fault}");
                }
                None => accepted.push((first, piece, last)),
            }
        }
    }
    // These are valid expressions: the repeated operators cancel out, are white space or comments, or change nothing.
    let harmless = [
        ("", "-", "true"),
        ("", "!", "true"),
        ("", "\n", "true"),
        ("user.pro", "\n", ""),
        ("user.pro", "//", ""),
        ("user.pro", "//", "true"),
        ("user.pro", "||true", ""),
    ];
    assert_eq!(accepted, harmless);
}

#[test]
fn small_rule_that_could_build_large_values_is_refused() {
    let chain = |letters: &str, times: usize| {
        format!("size(['x']{}) == 1", format!(".map(a, {letters})").repeat(times))
    };
    let (sum, list) = ("a + a + a + a + a + a + a + a + a + a", "[a, a, a, a, a, a, a, a, a, a]");
    let large = [
        chain(sum, 8),
        chain(sum, 40),
        chain(list, 8),
        chain("{1: a, 2: a}", 30),
        "user.orgs.map(a, user.orgs.map(b, user.orgs)) == []".to_owned(),
        "fields.map(a, user.pro, user.orgs.map(b, user.fullname)) == []".to_owned(),
        "size(fields.map(l, fields.orgs + fields.orgs)) == 1".to_owned(),
    ];
    for expression in large {
        let fault = fault(&expression).unwrap_or_else(|| panic!("{expression} is accepted"));
        let expected = "line 1, column 17: rule `shape`: `if`: the expression could build more than 48 MB from one request; ";
        assert!(fault.starts_with(expected), "{expression}: {fault}");
    }
    let small = [
        chain(sum, 7),
        chain(list, 4),
        "fields.map(a, fields.map(b, fields[b])) == []".to_owned(),
        "size(user.pro ? user.orgs.map(a, fields.filter(l, true)) : []) == 1".to_owned(),
        "fields.map(l, fields[l]).exists(answer, answer == 'x')".to_owned(),
        "fields.map(l, fields[l]) == fields.map(l, fields[l])".to_owned(),
        "size(fields.map(l, string(fields[l]) + string(fields[l]))) == 1".to_owned(),
        "user.orgs.map(a, user.verified_orgs.map(b, a + b)).exists(o, o == [])".to_owned(),
        "user.orgs.filter(o, o in user.verified_orgs).map(o, size(o)).exists_one(n, n == 1)".to_owned(),
        "size(fields.map(l, user['orgs'] + user['orgs'])) < 301".to_owned(),
        "(fields['Country'] + ' ' + fields['Age'] + ' ' + user.name).contains('x')".to_owned(),
        "user.orgs.all(a, fields.exists(l, (fields[l] + a + a) == user.email + a))".to_owned(),
    ];
    for expression in small {
        assert_eq!(fault(&expression), None, "{expression}");
    }
}

#[test]
fn policy_is_accepted_up_to_the_maximum_length() {
    let rule = |number: usize| format!(r#"{{"name": "{number}", "then": "reset", "if": "!user.pro"}}"#);
    let longest: Vec<String> = (0..4000).map(rule).collect();
    let json = format!(r#"{{"rules": [{}]}}"#, longest.join(","));
    let padding = " ".repeat(256 * 1024 - json.len());
    let policy = Policy::parse(&format!("{json}{padding}")).expect("a policy");
    assert_eq!(decide(&policy, &ada()).verdict, Verdict::Hold);
    let faults = Policy::parse(&format!("{json}{padding} ")).expect_err("too long");
    assert_eq!(faults, ["the policy has 262145 bytes; shorten it to at most 262144 bytes"]);
    let deep = format!(r#"{{"rules": {}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    let faults = Policy::parse(&deep).expect_err("no rule");
    assert!(
        faults.len() == 1
            && faults[0]
                .starts_with("line 1, column 12: rule number 1: this is a list, but it has to be a table"),
        "{faults:?}"
    );
    for (open, close) in [("[", "]"), (r#"{"then":"#, "}")] {
        let deep = format!(r#"{{"rules": [], "default": {}0{}}}"#, open.repeat(25_000), close.repeat(25_000));
        assert_eq!(Policy::parse(&deep).expect_err("no verdict").len(), 1);
    }
}

#[test]
fn longest_accepted_chains_can_be_evaluated() {
    assert_eq!(answer(&(vec!["1"; 190].join(" + ") + " == 190"), &ada()), "yes");
    assert_eq!(answer(&vec!["true"; 500].join(" && "), &ada()), "yes");
    assert_eq!(answer(&format!("{}true", "!".repeat(4000)), &ada()), "yes");
}
