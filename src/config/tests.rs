//! Defaults, accepted values and faults of the variables.

use super::*;

const POLICY: &str = r#"{"rules": [{"name": "staff", "then": "accept", "if": "user.domain == 'acme.com'"}]}"#;

/// The configuration with the required variables and `variables`, which have precedence.
fn read(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let required = [("HF_TOKEN", "hf_tok"), ("WEBHOOK_SECRET", "sesame"), ("APPROVAL_POLICY", POLICY)];
    let lookup = |name: &str| {
        let found = variables.iter().chain(&required).find(|(variable, _)| *variable == name);
        found.map(|(_, value)| (*value).to_owned()).ok_or(VarError::NotPresent)
    };
    Config::from_lookup(lookup, &read_file)
}

/// The only file beside the policy.
fn read_file(name: &str) -> Result<Vec<u8>, String> {
    if name == "staff.txt" { Ok(b"ada\ngrace\n".to_vec()) } else { Err("there is no such file".to_owned()) }
}

fn fault(variable: &str, value: &str) -> String {
    read(&[(variable, value)]).expect_err(variable).to_string()
}

#[test]
fn variable_that_is_not_set_has_its_documented_default() {
    let config = read(&[]).expect("a configuration");
    assert_eq!(config.endpoint.as_str(), "https://huggingface.co/");
    assert_eq!((config.repos, config.dry_run, config.concurrency), (None, false, 8));
}

#[test]
fn value_is_read_without_the_white_space_around_it() {
    let config = read(&[
        ("HF_TOKEN", " hf_tok\n"),
        ("HF_ENDPOINT", " http://127.0.0.1:8080/ "),
        ("WEBHOOK_SECRET", "\tnew sesame\n"),
        ("WEBHOOK_SECRET_PREVIOUS", " old sesame "),
        ("REPOS", " acme/model, datasets/acme/corpus\n  acme/*,"),
        ("DRY_RUN", " true "),
        ("CONCURRENCY", " 64 "),
        ("RUST_LOG", " warn, hub_doorman=DEBUG,"),
    ])
    .expect("a configuration");
    let given = |source: &Source| match source {
        Source::Given(secret) => secret.expose().to_owned(),
        Source::Stored(stored) => panic!("{stored:?} is not given"),
    };
    let Sources { token, webhook, webhook_previous, .. } = &config.secrets;
    let webhook = webhook.as_ref().expect("required");
    let previous = webhook_previous.as_ref().map(given);
    assert_eq!(
        (&*given(token), &*given(webhook), previous.as_deref()),
        ("hf_tok", "new sesame", Some("old sesame"))
    );
    assert_eq!(config.endpoint.as_str(), "http://127.0.0.1:8080/");
    let patterns: Vec<RepoPattern> =
        ["acme/model", "datasets/acme/corpus", "acme/*"].iter().map(|p| p.parse().expect(p)).collect();
    assert_eq!((config.repos, config.dry_run, config.concurrency), (Some(patterns), true, 64));
}

#[test]
fn required_variable_cannot_be_empty() {
    for variable in ["HF_TOKEN", "WEBHOOK_SECRET", "APPROVAL_POLICY"] {
        for empty in ["", " ", "\n"] {
            let message = fault(variable, empty);
            assert!(message.contains(&format!("- {variable}: not set; it must be ")), "{message}");
        }
    }
    let config = read(&[("WEBHOOK_SECRET_PREVIOUS", " ")]).expect("an empty previous secret is none");
    assert!(config.secrets.webhook_previous.is_none());
}

#[test]
fn all_faults_are_reported_at_once_without_secrets() {
    let variables = [
        ("HF_TOKEN", "hf_t\u{f6}ken"),
        ("HF_ENDPOINT", "ftp://example.org"),
        ("WEBHOOK_SECRET", "sesame\u{0}s"),
        ("WEBHOOK_SECRET_PREVIOUS", "s\u{e9}same"),
        (
            "APPROVAL_POLICY",
            r#"{"rules": [{"name": "a", "then": "accept", "if": "usr.pro"}, {"name": "b"}]}"#,
        ),
        ("MAIL_SECRET", "the-same"),
        ("MAIL_FROM", "anybody"),
        ("REPOS", "acme/model, spaces/acme/app, a--b"),
        ("DRY_RUN", "yes"),
        ("CONCURRENCY", "0"),
    ];
    let message = read(&variables).expect_err("faults").to_string();
    let about: Vec<&str> =
        message.lines().skip(1).map(|line| line[2..].split(':').next().unwrap_or_default()).collect();
    let expected = [
        "HF_TOKEN",
        "HF_ENDPOINT",
        "WEBHOOK_SECRET",
        "WEBHOOK_SECRET_PREVIOUS",
        "APPROVAL_POLICY",
        "APPROVAL_POLICY",
        "APPROVAL_POLICY",
        "REPOS",
        "REPOS",
        "MAIL_SECRET",
        "MAIL_FROM",
        "DRY_RUN",
        "CONCURRENCY",
    ];
    assert_eq!(about, expected, "{message}");
    assert!(message.starts_with("the configuration has 13 faults:\n"), "{message}");
    assert!(!message.contains("hf_t") && !message.contains("same"), "{message}");
}

#[test]
fn fault_shows_the_value_and_what_is_allowed() {
    let cases = [
        (
            "HF_ENDPOINT",
            "",
            "`` is not a URL (relative URL without a base); it must be a URL such as https://hug",
        ),
        ("HF_ENDPOINT", "huggingface.co", "`huggingface.co` is not a URL"),
        ("HF_ENDPOINT", "https://huggingface.co?x=1", "has a query or a fragment"),
        (
            "REPOS",
            ",",
            "`,` names no repo; name one, or unset REPOS to review any repo that the token manages",
        ),
        ("REPOS", "acme/mo del?", "`del?` is not the name of a repo"),
        ("DRY_RUN", "", "`` is neither `true` nor `false`"),
        ("DRY_RUN", "True", "`True` is neither `true` nor `false`"),
        ("CONCURRENCY", "", "`` is not a whole number from 1 to 64"),
        ("CONCURRENCY", "65", "`65` is not a whole number from 1 to 64"),
        ("CONCURRENCY", "-1", "`-1` is not a whole number from 1 to 64"),
        ("RUST_LOG", "inof", "`inof` is not a log level"),
        ("RUST_LOG", "info,reqwest=verbose", "`verbose` is not a log level"),
    ];
    for (variable, value, expected) in cases {
        let message = fault(variable, value);
        assert!(message.contains(&format!("1 fault:\n- {variable}: ")), "{message}");
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn possible_secret_in_the_endpoint_is_not_shown() {
    let endpoints = [
        "https://me:hunter2@hub",
        "ftp://me:hunter2@hub",
        "http://me:hunter2@hub:99999/",
        "me:hunter2@hub",
        "https://hub/?token=hunter2",
        "https://hub/#hunter2",
    ];
    for endpoint in endpoints {
        let message = fault("HF_ENDPOINT", endpoint);
        assert!(message.contains("HF_ENDPOINT: the value ") && !message.contains("hunter2"), "{message}");
    }
}

#[test]
fn concurrency_is_lowered_to_fit_the_memory_of_the_function() {
    for (memory, wanted, expected) in [("128", "64", 8), ("128", "4", 4), ("512", "64", 32), ("8", "64", 1)] {
        let variables = [("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", memory), ("CONCURRENCY", wanted)];
        assert_eq!(read(&variables).expect("a configuration").concurrency, expected, "{memory} {wanted}");
    }
}

#[test]
fn http_endpoint_is_refused_except_on_loopback() {
    for endpoint in ["http://huggingface.co", "http://10.0.0.1:8080", "http://localhost.evil.com"] {
        assert!(fault("HF_ENDPOINT", endpoint).contains("without encryption; write https://"), "{endpoint}");
    }
    for endpoint in ["http://localhost:8080", "http://127.0.0.2", "http://[::1]:80", "https://hub.acme.com"] {
        assert!(read(&[("HF_ENDPOINT", endpoint)]).is_ok(), "{endpoint}");
    }
}

#[test]
fn repo_of_a_namespace_can_be_excluded() {
    let repos = read(&[("REPOS", "acme/* !acme/open")]).expect("a configuration").repos.expect("patterns");
    let [pattern] = &*repos else { panic!("{repos:?}") };
    let covers = |name: &str| {
        pattern.covers(&crate::model::Repo::new(crate::model::RepoType::Model, name).expect("a name"))
    };
    assert!(covers("acme/model") && !covers("acme/Open"));
    for (repos, expected) in [
        ("acme/* !acme/*", "only single repos can be excluded"),
        ("acme/model !acme/model", "which REPOS also lists"),
        ("acme/* !other/model", "which no pattern covers"),
        ("!acme/model", "which no pattern covers"),
    ] {
        assert!(fault("REPOS", repos).contains(expected), "{repos}: {}", fault("REPOS", repos));
    }
}

#[test]
fn value_that_is_not_utf_8_is_a_fault() {
    let not_utf_8 = |_: &str| Err(VarError::NotUnicode("x".into()));
    let message = Config::from_lookup(not_utf_8, &read_file).expect_err("faults").to_string();
    assert!(
        message.contains("13 faults") && message.contains("APPROVAL_POLICY: it is not UTF-8"),
        "{message}"
    );
}

#[test]
fn secret_may_be_an_arn_that_is_not_read_yet() {
    let arn = "arn:aws:ssm:eu-central-1:123456789012:parameter/doorman/token";
    let credentials = [("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "hunter2")];
    for variable in ["HF_TOKEN", "WEBHOOK_SECRET", "WEBHOOK_SECRET_PREVIOUS", "MAIL_SECRET"] {
        let config = read(&[credentials[0], credentials[1], (variable, arn)]).expect(variable);
        let Sources { token, webhook, webhook_previous, mail } = config.secrets;
        let all = [Some(token), webhook, webhook_previous, mail];
        let stored = all.iter().flatten().filter(|source| matches!(source, Source::Stored(_))).count();
        assert_eq!(stored, 1, "{variable}");
        let message = fault(variable, arn);
        assert!(message.contains(&format!("- {variable}: using its ARN needs AWS_")), "{message}");
        let message = fault(variable, "arn:aws:s3:::hunter2");
        assert!(message.contains(variable) && !message.contains("hunter2"), "{message}");
    }
}

#[test]
fn debug_output_shows_no_secret() {
    let debug = format!("{:?}", read(&[]).expect("a configuration"));
    assert!(!debug.contains("hf_tok") && !debug.contains("sesame"), "{debug}");
}

#[test]
fn list_of_the_policy_is_read_through_the_file_reader() {
    let policy = r#"{"lists": {"staff": {"file": "staff.txt"}, "guests": {"file": "guests.txt"}},
        "rules": [{"name": "known", "then": "accept", "if": "user.name in lists.staff || user.name in lists.guests"}]}"#;
    let policy = read(&[("APPROVAL_POLICY", policy)]).expect("a configuration").policy;
    let Place::Given(policy) = policy else { panic!("{policy}") };
    let lists: Vec<_> = policy.lists().collect();
    assert_eq!(
        lists,
        [("staff", Ok(2)), ("guests", Err("`guests.txt` cannot be read: there is no such file"))]
    );
}
