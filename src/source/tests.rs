//! Places and how they are written, and which policy is in force after a read.

use std::time::SystemTime;

use super::*;
use crate::model::Verdict;

fn place(text: &str) -> Result<Place, Vec<String>> {
    let read_file = |file: &str| match file {
        "policy.toml" => Ok(b"rules = []\n[lists]\nl = { file = 'l.txt' }".to_vec()),
        "gate/policy.toml" => Ok(b"\xEF\xBB\xBFrules = []\nlists = { l = { file = 'l.txt' } }".to_vec()),
        "l.txt" => Ok(b"ada".to_vec()),
        "gate/l.txt" => Ok(b"ada\nkim".to_vec()),
        _ => Err("no such file".to_owned()),
    };
    let get = |name: &str| name.starts_with("AWS_").then(|| "x".to_owned());
    Place::parse(text, get, &read_file)
}

#[test]
fn place_of_a_policy_is_parsed_and_shown() {
    let places = [
        "hf://datasets/acme/doorman/policy.toml",
        "hf://datasets/acme/doorman@0123456789abcdef0123456789abcdef01234567/gate/policy.toml",
        "hf://datasets/acme/doorman@team%2Fgate/policy.toml",
        "hf://acme/model/policy.toml",
        "arn:aws:ssm:eu-central-1:123456789012:parameter/doorman/policy",
        "arn:aws:secretsmanager:eu-central-1:123456789012:secret:doorman-a1b2c3#policy",
    ];
    for text in places {
        assert_eq!(place(text).unwrap_or_else(|faults| panic!("{text}: {faults:?}")).to_string(), text);
    }
    assert_eq!(
        place("hf://models/acme/model@main/policy.toml").expect("a place").to_string(),
        "hf://acme/model/policy.toml"
    );
    let faults = [
        ("hf://datasets/acme/doorman", "it is written as"),
        ("hf://datasets/acme/doorman/", "it is written as"),
        ("hf://datasets/acme/doorman/../policy.toml", "it is written as"),
        ("hf://spaces/acme/doorman/policy.toml", "kept in a dataset or a model"),
        ("hf://datasets/acme/doorman@/policy.toml", "no revision follows"),
        ("hf://datasets/acme/doorman@../policy.toml", "is not the name of a revision"),
        ("HF://datasets/acme/doorman/policy.toml", "`hf://datasets/acme/doorman/policy.toml`"),
        (
            "https://huggingface.co/datasets/acme/gate/blob/v1/a/policy.toml",
            "`hf://datasets/acme/gate@v1/a/policy.toml`",
        ),
        ("https://u:pw@huggingface.co/acme", "`hf://datasets/acme/doorman/policy.toml`"),
        ("hf://datasets/ac me/doorman/policy.toml", "is not the name of a repo"),
        ("arn:aws:s3:::bucket", "neither a secret"),
        ("file:other.toml", "other.toml: cannot be read: no such file"),
    ];
    for (text, expected) in faults {
        let faults = place(text).expect_err(text);
        assert!(faults.len() == 1 && faults[0].contains(expected), "{text}: {faults:?}");
    }
}

#[test]
fn lists_of_a_file_are_read_beside_it() {
    let given = "rules = []\n[lists]\nl = { file = 'l.txt' }";
    for (text, entries) in [("file:policy.toml", 1), ("file:gate/policy.toml", 2), (given, 1)] {
        let Place::Given(policy) = place(text).expect(text) else { panic!("{text}") };
        assert_eq!(policy.lists().collect::<Vec<_>>(), [("l", Ok(entries))], "{text}");
    }
}

/// The events of a process: how many seconds pass, and the result of reading the policy.
enum Event {
    New(&'static str),
    Same,
    Faults,
    Outage,
}

#[test]
fn last_policy_is_used_for_an_hour_and_never_after_a_fault() {
    use Event::{Faults, New, Outage, Same};
    let known = |commit: &str| {
        let policy =
            Policy::parse("default = 'accept'\nrules = []").expect("a policy").at_commit(Some(commit));
        Known::of(Arc::new(policy))
    };
    let unusable = |is_outage| Unusable {
        is_outage,
        commit: Some("faulty".to_owned()),
        ..Unusable::of("why".to_owned())
    };
    // Each step: the seconds before it, what is read, and the commit in force after it. No commit stands for a policy that holds.
    let stories: [&[(u64, Event, Option<&str>)]; 5] = [
        &[(0, New("a"), Some("a")), (60, Same, Some("a")), (60, New("b"), Some("b"))],
        &[(0, New("a"), Some("a")), (3600, Outage, Some("a")), (1, Outage, None), (1, New("a"), Some("a"))],
        &[(0, New("a"), Some("a")), (3000, Same, Some("a")), (3000, Outage, Some("a"))],
        &[(0, New("a"), Some("a")), (1, Faults, None), (1, Outage, None), (1, New("b"), Some("b"))],
        &[(0, Outage, None), (1, Faults, None), (1, New("a"), Some("a"))],
    ];
    for (number, story) in stories.into_iter().enumerate() {
        let (mut state, mut time) = (State::default(), SystemTime::now());
        for (step, (seconds, event, expected)) in story.iter().enumerate() {
            time += Duration::from_secs(*seconds);
            let read = match event {
                New(commit) => Ok(Some(known(commit))),
                Same => Ok(None),
                Faults => Err(unusable(false)),
                Outage => Err(unusable(true)),
            };
            let policy = state.settle(read, Moment::now(time));
            let in_force = policy.commit().filter(|_| policy.why_unusable().is_none());
            assert_eq!(in_force, *expected, "story {number}, step {step}");
        }
    }
}

#[test]
fn unusable_policy_holds_everybody_and_shows_no_address() {
    let mut state = State::default();
    let fault = "`user.email` is compared with 'ada@epfl.ch x'".to_owned();
    let policy = state.settle(Err(Unusable::of(fault)), Moment::now(SystemTime::now()));
    let repo = crate::model::Repo::new(crate::model::RepoType::Model, "acme/model").expect("a repo");
    let decision = policy.decide(&crate::model::AccessRequest::default(), &repo, chrono::Utc::now());
    assert_eq!(decision.verdict, Verdict::Hold);
    let grounds = decision.grounds.to_string();
    assert!(grounds.starts_with("the policy cannot be used: ") && !grounds.contains("ada@"), "{grounds}");
}
