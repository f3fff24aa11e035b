//! The output for a policy that decides as expected or not, and the errors for files with faults.

use std::fs;
use std::path::PathBuf;

use super::{cases, decide_all, read_files};

const POLICY: &str = r#"{"rules": [
    {"name": "embargo", "then": "reject", "if": "fields['Country'] in ['KP']", "reason": "We cannot ship there."},
    {"name": "watched", "then": "hold", "if": "has(user.name) && user.name == 'mallory'"},
    {"name": "staff", "then": "accept", "if": "user.domain == 'acme.com' && repo.type == 'dataset'"},
    {"name": "waited", "then": "accept", "if": "repo.type == 'model' && now - requested_at > duration('24h')"}
]}"#;

/// A policy and its cases, in a directory that is removed on drop.
struct Files(PathBuf);

impl Files {
    fn new(policy: &str, cases: &str) -> Self {
        let place = std::env::temp_dir().join(format!("doorman-{:016x}", fastrand::u64(..)));
        fs::create_dir(&place).expect("a directory");
        fs::write(place.join("policy.json"), policy).expect("a file");
        fs::write(place.join("cases.json"), cases).expect("a file");
        Self(place)
    }

    /// Returns the output and the number of cases that failed, or the error without the directory.
    fn run(&self) -> Result<(String, usize), String> {
        let files = read_files(&self.0.join("policy.json"), &self.0.join("cases.json"));
        let (policy, cases) =
            files.map_err(|error| error.to_string().replace(&format!("{}/", self.0.display()), ""))?;
        let mut out = Vec::new();
        let failed = decide_all(&policy, &cases, &mut out).expect("written");
        Ok((String::from_utf8(out).expect("text"), failed))
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).expect("removed");
    }
}

/// A file of cases about a dataset, at noon.
fn file(cases: &str) -> String {
    format!(r#"{{"repo": "datasets/acme/corpus", "now": "2026-11-22T12:00:00Z", "cases": [{cases}]}}"#)
}

/// The fault of a file of cases.
fn fault(json: &str) -> String {
    cases::parse(json, chrono::Utc::now()).expect_err(json)
}

/// The fault of a file with one case, which has these keys and a name.
fn fault_of_case(keys: &str) -> String {
    fault(&format!(r#"{{"repo": "acme/model", "cases": [{{"name": "a", {keys}}}]}}"#))
}

#[test]
fn cases_that_pass_are_only_counted() {
    let all = file(
        r#"
        {"name": "a", "user": {"email": "ada@acme.com"}, "fields": {"Country": "GB"}, "verdict": "accept", "rule": "staff", "reason": null},
        {"name": "b", "user": {"email": "kim@acme.com"}, "fields": {"Country": "KP"}, "verdict": "reject", "rule": "embargo", "reason": "We cannot ship there."},
        {"name": "c", "user": {"email": "eve@acme.org"}, "fields": {"Country": "GB"}, "verdict": "hold", "rule": null},
        {"name": "d", "user": {"email": "ada@acme.com"}, "fields": {"Country": null}, "verdict": "hold", "unknown": "embargo"},
        {"name": "e", "user": {"email": "x@acme.org", "name": "mallory"}, "fields": {"Country": "GB"}, "verdict": "hold", "rule": "watched"},
        {"name": "f", "repo": "acme/model", "user": {"email": "x@acme.org"}, "fields": {"Country": "GB"}, "requested_at": "2026-11-21T11:59:00Z", "verdict": "accept", "rule": "waited"},
        {"name": "g", "repo": "acme/model", "now": "2026-11-22T11:00:00+01:00", "user": {"email": "x@acme.org"}, "fields": {"Country": "GB"}, "requested_at": "2026-11-21T11:59:00Z", "verdict": "hold"}"#,
    );
    assert_eq!(Files::new(POLICY, &all).run(), Ok(("7 cases: 7 as expected\n".to_owned(), 0)));
}

#[test]
fn difference_is_shown_with_both_sides() {
    let different = file(
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
    expected reject, reason \"No.\"
    got      reject: rule `embargo`, reason \"We cannot ship there.\"
failed: any reason
    expected reject, no reason
    got      reject: rule `embargo`, reason \"We cannot ship there.\"
failed: no reason
    expected accept, reason \"Yes.\"
    got      accept: rule `staff`, no reason
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
    assert_eq!(Files::new(POLICY, &different).run(), Ok((expected.to_owned(), 9)));
}

#[test]
fn rule_that_decides_no_case_is_only_noted() {
    let one = file(r#"{"name": "a", "verdict": "hold", "unknown": "embargo"}"#);
    let out = "note: no case is decided by `embargo`, `watched`, `staff`, `waited`\n1 case: 1 as expected\n";
    assert_eq!(Files::new(POLICY, &one).run(), Ok((out.to_owned(), 0)));
}

#[test]
fn faults_of_both_files_are_reported_together() {
    let policy =
        r#"{"rules": [{"name": "a", "then": "accept", "if": "user.emial == 'x'"}], "default": "stay"}"#;
    let files = Files::new(policy, &file(r#"{"name": "a\u001b\nb", "verdict": "no"}, {"verdict": "hold"}"#));
    let error = files.run().expect_err("faults");
    let lines: Vec<&str> = error.lines().collect();
    assert_eq!(lines.len(), 3, "{error}");
    assert!(lines[0].starts_with("policy.json: line 1, column 50: rule `a`: `if`: "), "{error}");
    assert!(lines[1].starts_with("policy.json: line 1, column 84: `default`: "), "{error}");
    assert!(lines[2].starts_with("cases.json: cases[0].verdict: unknown variant `no`"), "{error}");
}

#[test]
fn unreadable_file_is_named() {
    let files = Files::new(POLICY, "{}");
    fs::remove_file(files.0.join("cases.json")).expect("removed");
    let error = files.run().expect_err("no file");
    assert!(error.starts_with("cases.json: cannot be read: No such file"), "{error}");
}

#[test]
fn fault_names_the_key_and_the_place() {
    let json = "{\"repo\": \"acme/model\", \"cases\": [\n  {\"name\": \"a\", \"verdict\": \"hold\"},\n  {\"name\": \"b\", \"user\": {\"email\": 7}}]}";
    let expected = "cases[1].user.email: invalid type: integer `7`, expected a string at line 3 column 35";
    assert_eq!(fault(json), expected);
}

#[test]
fn value_of_the_wrong_kind_is_a_fault() {
    let faulty = [
        (
            r#""verdict": "maybe""#,
            "verdict: unknown variant `maybe`, expected one of `accept`, `hold`, `reset`, `reject`",
        ),
        (r#""user": "ada""#, "user: invalid type: string \"ada\", expected a user, which is an object"),
        (r#""user": {"name": ""}"#, "user.name: the text is empty"),
        (r#""user": {"id": 7}"#, "user.id: invalid type: integer `7`, expected a string"),
        (r#""user": {"fullname": []}"#, "user.fullname: invalid type: sequence, expected a string"),
        (r#""user": {"email": " "}"#, "user.email: the text is empty"),
        (r#""user": {"pro": "yes"}"#, "user.pro: invalid type: string \"yes\", expected a boolean"),
        (
            r#""user": {"verified_orgs": "epfl"}"#,
            "user.verified_orgs: invalid type: string \"epfl\", expected a sequence",
        ),
        (r#""user": {"orgs": [1]}"#, "user.orgs[0]: invalid type: integer `1`, expected a string"),
        (r#""fields": ["x"]"#, "fields: invalid type: sequence, expected a map"),
        (r#""fields": {"Age": 18}"#, "fields.Age: invalid type: integer `18`, expected a string"),
        (
            r#""requested_at": "yesterday""#,
            "requested_at: `yesterday` is not a time such as `2026-11-22T12:00:00Z`",
        ),
        (r#""now": "12026-11-22T12:00:00Z""#, "now: `12026-11-22T12:00:00Z` is not a time"),
        (r#""repo": 7"#, "repo: invalid type: integer `7`, expected a string"),
        (r#""repo": "acme/*""#, "repo: `acme/*` stands for many repos; name one"),
        (r#""repo": "spaces/acme/app""#, "repo: `spaces/acme/app` is not the name of a repo"),
        (r#""rule": """#, "rule: the text is empty"),
        (r#""unknown": 1"#, "unknown: invalid type: integer `1`, expected a string"),
        (r#""reason": 1"#, "reason: invalid type: integer `1`, expected a string"),
    ];
    for (keys, expected) in faulty {
        let fault = fault_of_case(keys);
        assert!(fault.starts_with(&format!("cases[0].{expected}")), "{keys}: {fault}");
        assert!(fault.contains(" at line 1 column "), "{keys}: {fault}");
    }
}

#[test]
fn misspelt_key_is_a_fault_that_names_it() {
    let faulty = [
        (
            r#"{"repos": "acme/model", "cases": []}"#,
            "repos: unknown field `repos`, expected one of `repo`, `now`, `cases`",
        ),
        (
            r#"{"cases": [{"name": "a", "role": "staff"}]}"#,
            "cases[0].role: unknown field `role`, expected one of `name`",
        ),
        (
            r#"{"cases": [{"user": {"emial": "a@b.c"}}]}"#,
            "cases[0].user.emial: unknown field `emial`, expected one of `name`",
        ),
    ];
    for (json, expected) in faulty {
        assert!(fault(json).starts_with(expected), "{json}: {}", fault(json));
    }
    let fault = fault_of_case(r#""user": {"domain": "acme.com"}"#);
    assert!(fault.ends_with("; the domain is that of `email`"), "{fault}");
}

#[test]
fn missing_key_is_a_fault() {
    let faulty = [
        (r#"{"cases": [{"verdict": "hold"}]}"#, "cases[0]: missing field `name`"),
        (r#"{"cases": [{"name": "a"}]}"#, "cases[0]: missing field `verdict`"),
        (
            r#"{"cases": [{"name": "a", "verdict": "hold"}]}"#,
            "cases[0].repo: missing; name a repo here, or at the top",
        ),
        (r#"{"cases": [[]]}"#, "cases[0]: invalid length 0, expected a case, which is an object"),
        (r#"{"cases": []}"#, "cases: the list is empty"),
    ];
    for (json, expected) in faulty {
        assert!(fault(json).starts_with(expected), "{json}: {}", fault(json));
    }
}

#[test]
fn contradiction_in_a_case_is_a_fault() {
    let fault = fault_of_case(r#""verdict": "hold", "rule": null, "unknown": "b""#);
    assert!(fault.starts_with("cases[0].unknown: given together with `rule: null`"), "{fault}");
    let fault = fault_of_case(r#""verdict": "accept", "unknown": "b""#);
    assert!(fault.starts_with("cases[0].verdict: `accept`, but a rule that cannot be evaluated"), "{fault}");
}

#[test]
fn repeated_name_of_a_case_is_a_fault() {
    let fault = fault(&file(r#"{"name": "a", "verdict": "hold"}, {"name": "a", "verdict": "hold"}"#));
    assert_eq!(fault, "cases[1].name: `a` is the name of another case; give each case its own name");
}

#[test]
fn file_without_cases_gets_an_example() {
    for json in ["", "[]", "7", "{}"] {
        let fault = fault(json);
        assert!(fault.contains("; a file of cases looks like {"), "{json}: {fault}");
    }
    assert!(
        fault(&(file(r#"{"name": "a", "verdict": "hold"}"#) + "}"))
            .starts_with("trailing characters at line 1")
    );
}

/// A policy with a list in a file, a `let`, exceptions and a rule for some repos.
const RICH: &str = r#"
lists = { staff = { file = "staff.txt" } }
let = { ours = "user.name in lists.staff" }
rules = [
    { name = "hold", then = "hold", if = "user.pro", unless = "ours" },
    { name = "reject", then = "reject", if = "fields['Country'] == 'KP'", unless = "ours", reason = "No." },
    { name = "models", then = "accept", if = "ours", repos = ["acme/model"] },
    { name = "datasets", then = "accept", if = "true", unless = "!ours", repos = ["datasets/acme/*"] },
]"#;

fn rich(cases: &str) -> Result<(String, usize), String> {
    let files = Files::new(RICH, &file(cases));
    fs::write(files.0.join("staff.txt"), "# staff\nada\n").expect("a file");
    files.run()
}

#[test]
fn exceptions_lists_and_repos_of_rules_are_known() {
    let cases = r#"
        {"name": "a", "user": {"name": "ada", "pro": true}, "fields": {"Country": "KP"}, "verdict": "accept", "rule": "datasets", "excepted": ["reject", "hold"]},
        {"name": "b", "repo": "acme/model", "user": {"name": "Ada", "pro": false}, "fields": {"Country": "GB"}, "verdict": "accept", "rule": "models", "excepted": []},
        {"name": "c", "user": {"name": "eve", "pro": true}, "fields": {"Country": "GB"}, "verdict": "hold", "rule": "hold", "excepted": ["datasets"]},
        {"name": "d", "user": {"name": "eve"}, "fields": {"Country": "KP"}, "verdict": "reject", "rule": "reject", "unknown": "hold"},
        {"name": "e", "user": {"name": "eve", "pro": true}, "verdict": "hold", "rule": "hold", "unknown": "reject"},
        {"name": "f", "user": {"name": "eve"}, "verdict": "hold", "unknown": "reject"}"#;
    assert_eq!(rich(cases), Ok(("6 cases: 6 as expected\n".to_owned(), 0)));
}

#[test]
fn failed_case_shows_exceptions_and_unknown_rules() {
    let cases = r#"
        {"name": "an exception", "user": {"name": "ada", "pro": true}, "fields": {"Country": "GB"}, "verdict": "hold"},
        {"name": "another exception", "user": {"name": "ada", "pro": true}, "fields": {"Country": "GB"}, "verdict": "accept", "excepted": ["hold", "reject"]},
        {"name": "no exception", "repo": "acme/model", "user": {"name": "ada", "pro": false}, "fields": {"Country": "GB"}, "verdict": "accept", "excepted": ["hold"]},
        {"name": "exceptions after all", "user": {"name": "ada", "pro": true}, "fields": {"Country": "KP"}, "verdict": "accept", "excepted": []},
        {"name": "known", "user": {"name": "eve", "pro": true}, "fields": {"Country": "GB"}, "verdict": "hold", "rule": "hold", "unknown": "reject"},
        {"name": "elsewhere", "user": {"name": "eve", "pro": true}, "fields": {"Country": "GB"}, "verdict": "hold", "unknown": "models"},
        {"name": "no such rule", "user": {"name": "eve", "pro": true}, "fields": {"Country": "GB"}, "verdict": "hold", "unknown": "x", "excepted": ["y"]}"#;
    let expected = "\
failed: an exception
    expected hold
    got      accept: rule `datasets`; excepted from rule `hold`
failed: another exception
    expected accept: excepted from rules `hold`, `reject`
    got      accept: rule `datasets`; excepted from rule `hold`
failed: no exception
    expected accept: excepted from rule `hold`
    got      accept: rule `models`; excepted from no rule
failed: exceptions after all
    expected accept: excepted from no rule
    got      accept: rule `datasets`; excepted from rules `hold`, `reject`
failed: known
    expected hold: rule `hold`; rule `reject` could not be evaluated
    got      hold: rule `hold`; excepted from rule `datasets`; rule `reject` does not match
failed: elsewhere
    expected hold: rule `models` could not be evaluated
    got      hold: rule `hold`; excepted from rule `datasets`; rule `models` does not apply to this repo
failed: no such rule
    expected hold: rule `x` (the policy has no rule of this name) could not be evaluated; excepted from rule `y` (the policy has no rule of this name)
    got      hold: rule `hold`; excepted from rule `datasets`
note: no case is decided by `reject`
7 cases: 0 as expected, 7 not
";
    assert_eq!(rich(cases), Ok((expected.to_owned(), 7)));
}

#[test]
fn list_that_cannot_be_read_is_named() {
    let cases = file(
        r#"{"name": "a", "user": {"name": "ada", "pro": true}, "fields": {"Country": "GB"}, "verdict": "accept"}"#,
    );
    let (out, _) = Files::new(RICH, &cases).run().expect("no fault of the policy");
    assert!(out.contains("note: list `staff`: `staff.txt` cannot be read: No such file"), "{out}");
}
