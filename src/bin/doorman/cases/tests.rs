//! What is said of a policy that decides otherwise, and of a file that cannot be used.

use std::fs;
use std::path::PathBuf;

use super::{file, run};

const POLICY: &str = r#"{"rules": [
    {"name": "embargo", "then": "reject", "if": "fields['Country'] in ['KP']", "reason": "We cannot ship there."},
    {"name": "watched", "then": "hold", "if": "has(user.name) && user.name == 'mallory'"},
    {"name": "staff", "then": "accept", "if": "user.domain == 'acme.com' && repo.type == 'dataset'"},
    {"name": "waited", "then": "accept", "if": "repo.type == 'model' && now - requested_at > duration('24h')"}
]}"#;

/// Two files in a directory of their own, which goes away with it.
struct Files(PathBuf);

impl Files {
    fn new(policy: &str, cases: &str) -> Self {
        let place = std::env::temp_dir().join(format!("doorman-{:016x}", fastrand::u64(..)));
        fs::create_dir(&place).expect("a directory");
        fs::write(place.join("policy.json"), policy).expect("a file");
        fs::write(place.join("cases.json"), cases).expect("a file");
        Self(place)
    }

    /// What is written, and whether all is as expected; or the error, with the names of the files only.
    fn run(&self) -> Result<(String, bool), String> {
        let mut out = Vec::new();
        let met = run(&self.0.join("policy.json"), &self.0.join("cases.json"), &mut out);
        let met = met.map_err(|error| error.to_string().replace(&format!("{}/", self.0.display()), ""))?;
        Ok((String::from_utf8(out).expect("text"), met))
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).expect("removed");
    }
}

/// Cases about a dataset, at noon.
fn cases(cases: &str) -> String {
    format!(r#"{{"repo": "datasets/acme/corpus", "now": "2026-11-22T12:00:00Z", "cases": [{cases}]}}"#)
}

fn faults(json: &str) -> Vec<String> {
    file::read(json, chrono::Utc::now()).err().unwrap_or_default()
}

#[test]
fn where_all_is_as_expected_nothing_but_their_number_is_written() {
    let all = cases(
        r#"
        {"name": "a", "user": {"email": "ada@acme.com"}, "fields": {"Country": "GB"}, "verdict": "accept", "rule": "staff", "reason": null},
        {"name": "b", "user": {"email": "kim@acme.com"}, "fields": {"Country": "KP"}, "verdict": "reject", "rule": "embargo", "reason": "We cannot ship there."},
        {"name": "c", "user": {"email": "eve@acme.org"}, "fields": {"Country": "GB"}, "verdict": "hold", "rule": null},
        {"name": "d", "user": {"email": "ada@acme.com"}, "fields": {"Country": null}, "verdict": "hold", "unknown": "embargo"},
        {"name": "e", "user": {"email": "x@acme.org", "name": "mallory"}, "fields": {"Country": "GB"}, "verdict": "hold", "rule": "watched"},
        {"name": "f", "repo": "acme/model", "user": {"email": "x@acme.org"}, "fields": {"Country": "GB"}, "requested_at": "2026-11-21T11:59:00Z", "verdict": "accept", "rule": "waited"},
        {"name": "g", "repo": "acme/model", "now": "2026-11-22T11:00:00+01:00", "user": {"email": "x@acme.org"}, "fields": {"Country": "GB"}, "requested_at": "2026-11-21T11:59:00Z", "verdict": "hold"}"#,
    );
    assert_eq!(Files::new(POLICY, &all).run(), Ok(("7 cases: 7 as expected\n".to_owned(), true)));
}

#[test]
fn each_difference_is_written_with_both_sides() {
    let different = cases(
        r#"
        {"name": "another verdict", "user": {"email": "ada@acme.com"}, "fields": {}, "verdict": "accept", "rule": "staff"},
        {"name": "another rule", "user": {"email": "ada@acme.com"}, "fields": {"Country": "GB"}, "verdict": "accept", "rule": "waited"},
        {"name": "a rule after all", "user": {"email": "ada@acme.com"}, "fields": {"Country": "GB"}, "verdict": "accept", "rule": null},
        {"name": "another reason", "user": {"email": "kim@acme.com"}, "fields": {"Country": "KP"}, "verdict": "reject", "reason": "No."},
        {"name": "any reason", "user": {"email": "kim@acme.com"}, "fields": {"Country": "KP"}, "verdict": "reject", "reason": null},
        {"name": "no reason", "user": {"email": "ada@acme.com"}, "fields": {"Country": "GB"}, "verdict": "accept", "reason": "Yes."},
        {"name": "not unknown", "user": {"email": "a@b.c", "name": "mallory"}, "fields": {"Country": "GB"}, "verdict": "hold", "unknown": "watched"},
        {"name": "unknown", "user": {"name": "mallory"}, "verdict": "hold", "rule": "embargo"},
        {"name": "no such \u001b[2J\u0007rule", "user": {"email": "ada@acme.com"}, "fields": {"Country": "GB"}, "verdict": "accept", "rule": "stuff"}"#,
    );
    let expected = "\
failed: another verdict
    expected accept: rule `staff`
    got      hold: rule `embargo` could not be evaluated: the request has no `Country`
failed: another rule
    expected accept: rule `waited`
    got      accept: rule `staff`
failed: a rule after all
    expected accept: no rule matched
    got      accept: rule `staff`
failed: another reason
    expected reject, told \"No.\"
    got      reject: rule `embargo`, told \"We cannot ship there.\"
failed: any reason
    expected reject, told nothing
    got      reject: rule `embargo`, told \"We cannot ship there.\"
failed: no reason
    expected accept, told \"Yes.\"
    got      accept: rule `staff`, told nothing
failed: not unknown
    expected hold: rule `watched` could not be evaluated
    got      hold: rule `watched`
failed: unknown
    expected hold: rule `embargo`
    got      hold: rule `embargo` could not be evaluated: the request has no `Country`
failed: no such \u{fffd}[2J\u{fffd}rule
    expected accept: rule `stuff` (the policy has no rule of this name)
    got      accept: rule `staff`
note: no case is decided by `waited`
9 cases: 0 as expected, 9 not
";
    let (written, met) = Files::new(POLICY, &different).run().expect("no fault");
    assert_eq!(written, expected);
    assert!(!met);
}

#[test]
fn a_rule_that_decides_no_case_is_no_failure() {
    let one = cases(r#"{"name": "a", "verdict": "hold", "unknown": "embargo"}"#);
    let written =
        "note: no case is decided by `embargo`, `watched`, `staff`, `waited`\n1 case: 1 as expected\n";
    assert_eq!(Files::new(POLICY, &one).run(), Ok((written.to_owned(), true)));
}

#[test]
fn faults_of_both_files_are_told_at_once_each_on_a_line_of_its_own() {
    let policy =
        r#"{"rules": [{"name": "a", "then": "accept", "if": "user.emial == 'x'"}], "default": "stay"}"#;
    let files = Files::new(policy, &cases(r#"{"name": "a\u001b\nb", "verdict": "no"}, {"verdict": "hold"}"#));
    let error = files.run().expect_err("faults");
    let lines: Vec<&str> = error.lines().collect();
    assert_eq!(lines.len(), 4, "{error}");
    assert!(lines[0].starts_with("policy.json: rule `a`: `if`: "), "{error}");
    assert!(lines[1].starts_with("policy.json: `default`: "), "{error}");
    assert!(lines[2].starts_with("cases.json: case `a\u{fffd} b`: `verdict` is to be "), "{error}");
    assert!(lines[3].starts_with("cases.json: case number 2: `name` is missing; "), "{error}");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let files = Files::new(POLICY, "{}");
    fs::remove_file(files.0.join("cases.json")).expect("removed");
    let error = files.run().expect_err("no file");
    assert!(error.starts_with("cases.json: cannot be read: No such file"), "{error}");
}

#[test]
fn each_fault_of_a_case_names_its_key_and_says_what_it_is_to_be() {
    let a_text = "text that is not empty; leave it out if it is unknown";
    let faulty = [
        (r#""verdict": "maybe""#, "`verdict` is to be \"accept\", \"hold\", \"reset\" or \"reject\""),
        (r#""verdict": null"#, "`verdict` is missing; it is \"accept\", \"hold\", \"reset\" or \"reject\""),
        (r#""verdict": "hold", "user": "ada""#, "`user`: it is to be a JSON object"),
        (r#""verdict": "hold", "user": {"name": ""}"#, &format!("`user.name` is to be {a_text}")),
        (r#""verdict": "hold", "user": {"id": 7}"#, &format!("`user.id` is to be {a_text}")),
        (r#""verdict": "hold", "user": {"fullname": []}"#, &format!("`user.fullname` is to be {a_text}")),
        (r#""verdict": "hold", "user": {"email": " "}"#, &format!("`user.email` is to be {a_text}")),
        (r#""verdict": "hold", "user": {"pro": "yes"}"#, "`user.pro` is to be true or false"),
        (
            r#""verdict": "hold", "user": {"verified_orgs": "epfl"}"#,
            "`user.verified_orgs` is to be a list of names",
        ),
        (r#""verdict": "hold", "user": {"orgs": [1]}"#, "`user.orgs` is to be a list of names"),
        (
            r#""verdict": "hold", "user": {"domain": "acme.com"}"#,
            "`user`: unknown field `domain`, expected one of `name`, `id`, `fullname`, `email`, `pro`, \
             `verified_orgs`, `orgs`; the domain is that of `email`",
        ),
        (r#""verdict": "hold", "fields": ["x"]"#, "`fields`: it is to be a JSON object"),
        (
            r#""verdict": "hold", "fields": {"Age": 18}"#,
            "`fields['Age']` is to be text, as a rule sees every answer",
        ),
        (
            r#""verdict": "hold", "requested_at": "yesterday""#,
            "`requested_at` is to be a time such as \"2026-11-22T12:00:00Z\"",
        ),
        (
            r#""verdict": "hold", "now": "12026-11-22T12:00:00Z""#,
            "`now` is to be a time such as \"2026-11-22T12:00:00Z\"",
        ),
        (r#""verdict": "hold", "repo": 7"#, "`repo` is to be text such as \"datasets/acme/corpus\""),
        (r#""verdict": "hold", "repo": "acme/*""#, "`repo`: `acme/*` is any of them; a case is about one"),
        (
            r#""verdict": "hold", "rule": """#,
            "`rule` is to be the name of a rule, or null if none is to match",
        ),
        (r#""verdict": "hold", "unknown": 1"#, "`unknown` is to be the name of a rule"),
        (
            r#""verdict": "hold", "rule": "a", "unknown": "b""#,
            "`rule` and `unknown` are both given; one of them decides",
        ),
        (
            r#""verdict": "reject", "unknown": "b""#,
            "`unknown` is given, but what cannot be known is held: `verdict` is to be \"hold\"",
        ),
        (r#""verdict": "hold", "reason": 1"#, "`reason` is to be text, or null"),
    ];
    for (case, fault) in faulty {
        let found = faults(&cases(&format!(r#"{{"name": "a", {case}}}"#)));
        assert_eq!(found, [format!("case `a`: {fault}")], "{case}");
    }
    let found = faults(&cases(r#"{"name": "a", "verdict": "hold", "repo": "spaces/acme/app"}"#));
    assert!(
        found[0].starts_with("case `a`: `repo`: `spaces/acme/app` is not the name of a repo"),
        "{found:?}"
    );
    let found = faults(&cases(r#"{"name": "a", "verdict": "hold", "role": "staff"}"#));
    assert!(found[0].starts_with("case `a`: unknown field `role`, expected one of `name`"), "{found:?}");
    assert!(!found[0].contains(" at line "), "{found:?}");
}

#[test]
fn all_faults_are_told_at_once() {
    let found = faults(
        r#"{"now": 1, "cases": [
            {"name": "a", "verdict": "hold", "user": {"pro": 1, "email": 2}},
            {"name": "a", "verdict": "hold", "repo": "acme/model"},
            {"name": " ", "verdict": "hold", "repo": "acme/model"},
            []
        ]}"#,
    );
    let expected = [
        "`now` is to be a time such as \"2026-11-22T12:00:00Z\"",
        "case `a`: `repo` is missing; give one, or one at the top for all cases",
        "case `a`: `user.email` is to be text that is not empty; leave it out if it is unknown",
        "case `a`: `user.pro` is to be true or false",
        "case `a`: another case has this name; give each its own",
        "case number 3: `name` is to be text that says what is expected",
        "case number 4: it is to be a JSON object",
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_file_that_is_no_list_of_cases_is_told_what_one_looks_like() {
    for json in ["", "[]", "7", "{", "{}", r#"{"case": []}"#, r#"{"cases": {}}"#] {
        let found = faults(json);
        assert!(found.len() == 1 && found[0].contains("; a file of cases looks like {"), "{json}: {found:?}");
    }
    let nothing = faults(r#"{"cases": []}"#);
    assert_eq!(nothing, ["`cases` is empty, so it would test nothing; write one for each rule"]);
}
