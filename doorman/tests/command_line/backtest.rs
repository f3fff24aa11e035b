//! `backtest` over requests that people have decided.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::hub::{Fault, Hub, Person, Status};
use crate::policies::TempFile;
use crate::support::{ask, staff, stranger};
use crate::{doorman, doorman_in};

fn time(text: &str) -> DateTime<Utc> {
    text.parse().expect("a time")
}

/// A person whom the sample policy rejects.
fn embargoed(name: &str) -> Person {
    staff(name).answer("Country", "KP")
}

/// A person whom the sample policy resets.
fn vague(name: &str) -> Person {
    staff(name).answer("Purpose", "Work")
}

/// The request of this person was decided by a user named `reviewer` on 2 October 2026.
fn decide(hub: &Hub, repo: &str, status: Status, person: Person) {
    decide_at(hub, repo, status, person, "2026-10-02T08:00:00Z");
}

fn decide_at(hub: &Hub, repo: &str, status: Status, person: Person, reviewed_at: &str) {
    let name = person.name.clone();
    ask(hub, repo, [person]);
    let mut model = hub.model();
    let request = model.repo(repo).find_mut("user", &name).expect("a request");
    request.requested_at = time("2026-10-01T08:00:00Z");
    request.set(status, None);
    (request.reviewed_at, request.reviewed_by) = (Some(time(reviewed_at)), "reviewer");
}

/// A Hub with four decided requests. The sample policy decides three of them otherwise.
async fn hub_with_four() -> Hub {
    let hub = Hub::start().await;
    decide(&hub, "acme/model", Status::Accepted, stranger("eve"));
    decide(&hub, "acme/model", Status::Accepted, embargoed("kim"));
    decide(&hub, "acme/model", Status::Rejected, staff("ada"));
    decide(&hub, "acme/model", Status::Reset, vague("bob"));
    hub
}

fn users(differences: &Value) -> Vec<&str> {
    let differences = differences.as_array().expect("a list").iter();
    differences.map(|difference| difference["user"].as_str().expect("a user")).collect()
}

/// The requests are counted by hand: 1,200 accepted, 500 rejected and 300 reset ones, each for one of the policy's verdicts.
#[tokio::test]
async fn table_of_2000_agrees_with_a_count_by_hand() {
    type Make = fn(&str) -> Person;
    let groups: [(Status, Make, usize); 11] = [
        (Status::Accepted, staff, 900),
        (Status::Accepted, stranger, 200),
        (Status::Accepted, vague, 40),
        (Status::Accepted, embargoed, 60),
        (Status::Rejected, staff, 30),
        (Status::Rejected, stranger, 120),
        (Status::Rejected, embargoed, 350),
        (Status::Reset, staff, 20),
        (Status::Reset, stranger, 25),
        (Status::Reset, vague, 250),
        (Status::Reset, embargoed, 5),
    ];
    let repos = ["acme/model", "datasets/acme/corpus"];
    let hub = Hub::start().await;
    for repo in repos {
        let people = groups.iter().flat_map(|group| std::iter::repeat_n(group, group.2));
        let mut people: Vec<_> = people.enumerate().collect();
        fastrand::Rng::with_seed(19).shuffle(&mut people);
        for (number, (status, make, _)) in people {
            decide(&hub, repo, *status, make(&format!("user{number}")));
        }
        // The policy does not see pending requests.
        ask(&hub, repo, [staff("waiting")]);
    }
    let table = json!({
        "accepted": {"accept": 900, "hold": 200, "reset": 40, "reject": 60},
        "rejected": {"accept": 30, "hold": 120, "reset": 0, "reject": 350},
        "reset": {"accept": 20, "hold": 25, "reset": 250, "reject": 5},
    });
    let state = |hub: &Hub| format!("{:?}", hub.model().repos);
    let before = state(&hub);

    let result = doorman(&hub, &format!("backtest {} {} --json", repos[0], repos[1])).await;
    let report = result.json();
    assert_eq!((result.status, &*result.err), (0, ""));
    for repo in report["repos"].as_array().expect("repos") {
        assert_eq!((&repo["table"], &repo["calls"], &repo["complete"]), (&table, &json!(4), &json!(true)));
        let mut kinds: BTreeMap<String, u64> = BTreeMap::new();
        for difference in repo["differences"].as_array().expect("a list") {
            *kinds.entry(format!("{} {}", difference["status"], difference["verdict"])).or_default() += 1;
        }
        assert_eq!(kinds.values().sum::<u64>(), 500, "{kinds:?}");
        assert_eq!((kinds[r#""rejected" "accept""#], kinds[r#""reset" "reject""#]), (30, 5));
    }
    let calls = hub.calls();
    assert_eq!(calls[0], "GET /api/whoami-v2");
    for repo in ["models/acme/model", "datasets/acme/corpus"] {
        let of_repo = calls.iter().filter(|call| call.starts_with(&format!("GET /api/{repo}/"))).count();
        assert_eq!(of_repo, 4, "{calls:?}");
    }
    assert_eq!((calls.len(), state(&hub)), (1 + 2 * 4, before));
}

#[tokio::test]
async fn differences_are_rows_and_the_table_is_a_note() {
    let hub = hub_with_four().await;
    let result = doorman(&hub, "backtest acme/model").await;
    let time = "2026-10-02T08:00:00Z";
    let expected = format!(
        "acme/model\tada\t{time}\trejected\taccept\tstaff\t\n\
         acme/model\tkim\t{time}\taccepted\treject\tembargo\treason “We cannot.”\n\
         acme/model\teve\t{time}\taccepted\thold\t\tno rule matched\n"
    );
    assert_eq!((result.status, &*result.out), (0, &*expected), "{}", result.err);
    let expected = "acme/model: 4 decided requests\n\
        acme/model: of 2 accepted, the policy would accept 0, hold 1, reset 0, reject 1\n\
        acme/model: of 1 rejected, the policy would accept 1, hold 0, reset 0, reject 0\n\
        acme/model: of 1 reset, the policy would accept 0, hold 0, reset 1, reject 0\n\
        1 would be decided in the same way\n1 would be held\n2 would be decided otherwise\n";
    assert_eq!(result.err, expected);
}

#[tokio::test]
async fn dangerous_differences_of_all_repos_come_first() {
    let hub = hub_with_four().await;
    decide(&hub, "datasets/acme/corpus", Status::Accepted, stranger("eve"));
    decide(&hub, "datasets/acme/corpus", Status::Reset, staff("zoe"));
    let result = doorman(&hub, "backtest acme/* ").await;
    let rows: Vec<Vec<&str>> = result.out.lines().map(|line| line.split('\t').collect()).collect();
    let rows: Vec<_> = rows.iter().map(|row| (row[0], row[1])).collect();
    let corpus = "datasets/acme/corpus";
    let expected = [
        ("acme/model", "ada"),
        (corpus, "zoe"),
        ("acme/model", "kim"),
        ("acme/model", "eve"),
        (corpus, "eve"),
    ];
    assert_eq!(rows, expected);
    let sum = "all repos: of 3 accepted, the policy would accept 0, hold 2, reset 0, reject 1\n";
    assert!(result.err.contains(sum), "{}", result.err);
}

#[tokio::test]
async fn json_has_every_difference_with_its_grounds() {
    let hub = hub_with_four().await;
    let report = doorman(&hub, "backtest acme/model --json").await.json();
    let fingerprint = report["policy"].as_str().expect("a fingerprint");
    assert_eq!(fingerprint.len(), 12);
    let (asked, decided) = ("2026-10-01T08:00:00Z", "2026-10-02T08:00:00Z");
    let expected = json!({
        "policy": fingerprint, "account": "owner", "since": null, "by_others": false,
        "repos": [{
            "repo": "acme/model", "type": "model", "complete": true, "calls": 3, "error": null,
            "table": {
                "accepted": {"accept": 0, "hold": 1, "reset": 0, "reject": 1},
                "rejected": {"accept": 1, "hold": 0, "reset": 0, "reject": 0},
                "reset": {"accept": 0, "hold": 0, "reset": 1, "reject": 0},
            },
            "by_account": 0,
            "left_out": {"earlier": 0, "granted": 0, "by_account": 0, "undated": 0},
            "differences": [
                {"user": "ada", "requested_at": asked, "reviewed_at": decided, "status": "rejected",
                    "verdict": "accept", "rule": "staff", "grounds": "rule `staff`", "reason": null},
                {"user": "kim", "requested_at": asked, "reviewed_at": decided, "status": "accepted",
                    "verdict": "reject", "rule": "embargo", "grounds": "rule `embargo`", "reason": "We cannot."},
                {"user": "eve", "requested_at": asked, "reviewed_at": decided, "status": "accepted",
                    "verdict": "hold", "rule": null, "grounds": "no rule matched", "reason": null},
            ],
        }],
    });
    assert_eq!(report, expected);
}

/// Ada was 17 when she was decided, and her request was an hour old. Both are different today.
#[tokio::test]
async fn policy_decides_as_of_the_time_of_the_decision() {
    let policy = r#"{"rules": [
        {"name": "adult", "then": "accept", "if": "age(fields['Born']) >= 18"},
        {"name": "fresh", "then": "reset", "if": "now - requested_at < duration('2h')", "unless": "age(fields['Born']) >= 18"}]}"#;
    let hub = Hub::start().await;
    for (name, reviewed_at) in [("young", "2018-05-31T23:59:59Z"), ("grown", "2018-06-01T00:00:00Z")] {
        let person = stranger(name).answer("Born", "2000-06-01");
        decide_at(&hub, "acme/model", Status::Accepted, person, reviewed_at);
        let mut model = hub.model();
        let request = model.repo("acme/model").find_mut("user", name).expect("a request");
        request.requested_at = time("2018-05-31T22:59:59Z");
    }
    let variables = [("APPROVAL_POLICY", policy)];
    let result = doorman_in(&hub, &variables, &["backtest", "acme/model", "--json"]).await;
    let report = result.json();
    assert_eq!(
        report["repos"][0]["table"]["accepted"],
        json!({"accept": 1, "hold": 0, "reset": 1, "reject": 0})
    );
    let differences = &report["repos"][0]["differences"];
    assert_eq!((users(differences), &differences[0]["rule"]), (vec!["young"], &json!("fresh")));
}

#[tokio::test]
async fn rule_for_other_repos_does_not_decide() {
    let policy = r#"{"rules": [{"name": "all", "then": "accept", "if": "user.domain == 'acme.com'", "repos": ["acme/model"]}]}"#;
    let hub = Hub::start().await;
    for repo in ["acme/model", "acme/other"] {
        decide(&hub, repo, Status::Accepted, staff("ada"));
    }
    let variables = [("APPROVAL_POLICY", policy), ("REPOS", "acme/*")];
    let result = doorman_in(&hub, &variables, &["backtest"]).await;
    assert_eq!(result.out, "acme/other\tada\t2026-10-02T08:00:00Z\taccepted\thold\t\tno rule matched\n");
}

#[tokio::test]
async fn access_by_the_tokens_account_can_be_left_out() {
    let hub = hub_with_four().await;
    decide(&hub, "acme/model", Status::Accepted, staff("zoe"));
    for user in ["kim", "zoe"] {
        hub.model().repo("acme/model").find_mut("user", user).expect("a request").reviewed_by = "Owner";
    }
    // The Hub names nobody for a rejected request.
    hub.model().repo("acme/model").find_mut("user", "ada").expect("a request").reviewed_by = "owner";
    let result = doorman(&hub, "backtest acme/model").await;
    let note = "2 accepted by owner, the account of HF_TOKEN; --by-others leaves them out\n";
    assert!(result.err.contains(note), "{}", result.err);
    assert_eq!(result.out.lines().count(), 3);

    let result = doorman(&hub, "backtest acme/model --by-others").await;
    assert!(
        result.err.contains("2 left out: accepted by owner, the account of HF_TOKEN\n"),
        "{}",
        result.err
    );
    assert!(!result.err.contains("--by-others"), "{}", result.err);
    let users: Vec<&str> = result.out.lines().filter_map(|line| line.split('\t').nth(1)).collect();
    assert_eq!(users, ["ada", "eve"]);
}

#[tokio::test]
async fn since_leaves_out_earlier_decisions() {
    let hub = hub_with_four().await;
    decide_at(&hub, "acme/model", Status::Rejected, staff("old"), "2026-10-01T23:59:59Z");
    for (since, expected, earlier) in [
        ("2026-10-02", &["ada", "kim", "eve"][..], 1),
        ("2026-10-02T10:00:00+02:00", &["ada", "kim", "eve"], 1),
        ("2026-10-01", &["ada", "old", "kim", "eve"], 0),
        ("2026-10-03", &[], 5),
    ] {
        let result = doorman(&hub, &format!("backtest acme/model --json --since {since}")).await;
        let report = result.json();
        assert_eq!(users(&report["repos"][0]["differences"]), expected, "{since}");
        assert_eq!(report["repos"][0]["left_out"]["earlier"], earlier, "{since}");
    }
    doorman(&hub, "backtest acme/model --since yesterday").await.failed(2, &["neither a day such as"]);
}

#[tokio::test]
async fn grants_and_undated_decisions_are_counted_and_left_out() {
    let hub = hub_with_four().await;
    hub.model().people.push(stranger("guest"));
    doorman(&hub, "grant acme/model guest").await.out();
    hub.model().repo("acme/model").find_mut("user", "ada").expect("a request").reviewed_at = None;
    let result = doorman(&hub, "backtest acme/model").await;
    let note = "1 left out: access without a request\n1 left out: the time of the decision is missing\n";
    assert!(result.err.contains(note), "{}", result.err);
    assert!(!result.out.contains("guest") && !result.out.contains("ada"), "{}", result.out);
    let report = doorman(&hub, "backtest acme/model --json").await.json();
    let expected = json!({"earlier": 0, "granted": 1, "by_account": 0, "undated": 1});
    assert_eq!(report["repos"][0]["left_out"], expected);
}

#[tokio::test]
async fn unreadable_request_counts_as_held() {
    let hub = Hub::start().await;
    decide(&hub, "acme/model", Status::Accepted, staff("ada").answer("Agree", true));
    decide(&hub, "acme/model", Status::Accepted, staff("bob"));
    let out = doorman(&hub, "backtest acme/model").await.out();
    let why = "an answer to the gate form is not text";
    assert_eq!(out, format!("acme/model\tada\t2026-10-02T08:00:00Z\taccepted\thold\t\t{why}\n"));
}

#[tokio::test]
async fn hostile_name_cannot_control_the_terminal() {
    let hub = Hub::start().await;
    let mut person = stranger("eve").answer("Why", "world peace");
    person.name = "eve\u{1b}[2J\u{202e}".to_owned();
    decide(&hub, "acme/model", Status::Accepted, person);
    for command in ["backtest acme/model", "backtest acme/model --json"] {
        let result = doorman(&hub, command).await;
        assert!(result.out.contains("eve") && !result.out.contains(['\u{1b}', '\u{202e}']), "{}", result.out);
        assert!(!result.out.contains("example.org") && !result.out.contains("peace"), "{}", result.out);
    }
}

#[tokio::test]
async fn entry_that_two_pages_repeat_counts_once() {
    let hub = Hub::start().await;
    for number in 0..25 {
        decide(&hub, "acme/model", Status::Accepted, stranger(&format!("user{number}")));
    }
    // Each page begins five entries before the end of the one before it.
    hub.model().max_page = 10;
    let first =
        format!("{}/api/models/acme/model/user-access-request/accepted?limit=1000&cursor=5", hub.endpoint());
    hub.model().next_page = Some(first);
    let report = doorman(&hub, "backtest acme/model --json").await.json();
    assert_eq!(report["repos"][0]["table"]["accepted"]["hold"], 15);
}

#[tokio::test]
async fn full_page_without_a_link_makes_the_table_incomplete() {
    let hub = Hub::start().await;
    for number in 0..1001 {
        decide(&hub, "acme/model", Status::Rejected, stranger(&format!("user{number}")));
    }
    doorman(&hub, "backtest acme/model").await.out();
    hub.model().links_pages = false;
    for command in ["backtest acme/model", "backtest acme/model --json"] {
        let result = doorman(&hub, command).await;
        result.failed(3, &["acme/model: the Hub's list of rejected requests ends with a full page"]);
    }
    let report = doorman(&hub, "backtest acme/model --json").await.json();
    assert_eq!(report["repos"][0]["complete"], json!(false));
}

#[tokio::test]
async fn failure_of_one_repo_does_not_hide_the_others() {
    let hub = hub_with_four().await;
    decide(&hub, "acme/other", Status::Accepted, staff("ada"));
    hub.model().fault("acme/other/user-access-request/reset", Fault::Status(403));
    let result = doorman(&hub, "backtest acme/model acme/other acme/nowhere").await;
    result.failed(1, &["acme/other: ", "403", "acme/nowhere: ", "404", "acme/model: 4 decided requests"]);
    assert!(result.out.lines().all(|line| line.starts_with("acme/model\t")), "{}", result.out);
    let result = doorman(&hub, "backtest nobody/*").await;
    result.failed(1, &["nobody/*: no gated repo found"]);
    let result = doorman_in(&hub, &[("HF_TOKEN", "hf_wrong")], &["backtest", "acme/model"]).await;
    result.failed(1, &["whoami-v2", "401"]);
    doorman(&hub, "backtest").await.failed(2, &["no repos are named"]);
}

#[tokio::test]
async fn unreadable_list_of_the_policy_is_named() {
    let policy = r#"
        lists.signed = { file = "not-there.txt" }
        rules = [{ name = "signed", then = "accept", if = "user.email in lists.signed" }]"#;
    let policy = TempFile::new("backtest-list.toml", policy);
    let hub = hub_with_four().await;
    let result = doorman_in(&hub, &[], &["backtest", "acme/model", "--policy", policy.path()]).await;
    assert_eq!(result.status, 0, "{}", result.err);
    assert!(result.err.contains("not-there.txt"), "{}", result.err);
    assert_eq!(result.out.matches("\thold\tsigned\t").count(), 4, "{}", result.out);
}
