//! Loads far above the usual: the function responds before Lambda's deadline, which is in 30 s, and within its 128 MB.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::Child;

use crate::binary::{RuntimeApi, event, start_unread};
use crate::hub::{Fault, Hub, Quota, Status};
use crate::support::{ask, error, staff};

const MB: usize = 1024 * 1024;

/// The bound of resident memory, in KB. The debug build is larger and slower than the build for Lambda.
const MAX_RESIDENT_KB: usize = 120 * 1024;

/// The response of a new process to an event, and the peak of its resident memory, in KB.
async fn invoke(hub: &Hub, event: String, variables: &[(&str, &str)]) -> (Value, usize) {
    let mut api = RuntimeApi::start([event]).await;
    let process = start_unread(hub, &api, variables);
    let (kind, mut response) = api.next_post().await;
    assert_eq!(kind, "response", "{response}");
    if let Some(body) = response["body"].as_str() {
        response = serde_json::from_str(body).expect("a report");
    }
    (response, peak_kb(&process))
}

/// The peak of the resident memory of a process, in KB.
fn peak_kb(process: &Child) -> usize {
    let status = format!("/proc/{}/status", process.id().expect("it runs"));
    let status = std::fs::read_to_string(status).expect("Linux");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the peak");
    peak.trim_end_matches(" kB").trim().parse().expect("a number")
}

/// The report of a sweep, which has to stay within the bound of memory.
async fn sweep(hub: &Hub, variables: &[(&str, &str)]) -> Value {
    let (report, peak) = invoke(hub, event("sweep"), variables).await;
    assert!(peak < MAX_RESIDENT_KB, "{peak} KB");
    report
}

/// The number of repos in a report, with those that it only counts.
fn count_repos(report: &Value) -> u64 {
    report["repos"].as_array().expect("a list").len() as u64
        + report["more_repos"].as_u64().unwrap_or_default()
}

fn count(report: &Value, name: &str) -> u64 {
    report["repos"].as_array().expect("a list").iter().filter_map(|repo| repo[name].as_u64()).sum()
}

#[tokio::test]
async fn many_endless_searches_find_no_more_than_one() {
    let hub = Hub::start().await;
    hub.model().quota = Quota::new(u32::MAX, Duration::from_secs(300));
    ask(&hub, "acme/model", [staff("ada")]);
    hub.model().lists_repos_without_end = true;
    let owners: Vec<String> = (0..20).map(|number| format!("owner{number}/*")).collect();
    let report = sweep(&hub, &[("REPOS", &format!("{} acme/model", owners.join(" ")))]).await;
    assert!(count_repos(&report) <= 20_001, "{}", count_repos(&report));
    assert_eq!(hub.users("acme/model", Status::Accepted), ["ada"]);
}

#[tokio::test]
async fn ten_thousand_repos_are_all_counted() {
    let hub = Hub::start().await;
    hub.model().quota = Quota::new(u32::MAX, Duration::from_secs(300));
    for number in 0..10_000 {
        hub.model().add(&format!("acme/model{number}"));
    }
    ask(&hub, "acme/model9999", [staff("ada")]);
    let report = sweep(&hub, &[]).await;
    assert_eq!((count_repos(&report), report["more_repos"].is_u64()), (10_000, true));
    assert_eq!(hub.users("acme/model9999", Status::Accepted), ["ada"], "{}", report["status"]);
}

#[tokio::test]
async fn largest_responses_at_once_fit_into_memory() {
    let hub = Hub::start().await;
    for number in 0..20 {
        let repo = format!("acme/model{number:02}");
        let page = json!([{"user": {"user": "ada"}, "fields": {"Why": "x".repeat(4_190_000)}}]).to_string();
        hub.model().add(&repo).raw_page = Some(page);
        if number < 10 {
            let endless = Fault::Endless { status: 200, promised: None, chunk: MB, pause: Duration::ZERO };
            hub.model().faults(&format!("{repo}/"), &endless, 3);
        }
    }
    let report = sweep(&hub, &[]).await;
    let of_each = report["repos"].as_array().expect("a list").iter();
    let (held, not_read): (Vec<_>, Vec<_>) = of_each.partition(|repo| repo["held"] == 1);
    assert_eq!((held.len(), not_read.len()), (10, 10), "{report}");
    assert!(not_read.iter().all(|repo| error(repo).contains("larger than 4096 KB")), "{report}");
}

/// Pages of 4 MB that are nearly all kept as answers, and others that need much memory while they are read.
#[tokio::test]
async fn large_pages_with_many_values_fit_into_memory() {
    let answers = |number: usize| {
        let fields: serde_json::Map<_, _> =
            (0..300).map(|label| (format!("q{label}"), json!("x".repeat(70)))).collect();
        json!({"requestId": format!("r{number}"), "user": {"user": format!("user{number}")}, "fields": fields})
    };
    let people: Vec<_> = (0..155).map(answers).collect();
    let organizations = format!(r#"[{{"user": {{"user": "a", "orgs": [0{}]}}}}]"#, ",0".repeat(2_000_000));
    for (listed, page) in [(155, json!(people).to_string()), (1, organizations)] {
        let hub = Hub::start().await;
        for number in 0..10 {
            hub.model().add(&format!("acme/model{number}")).raw_page = Some(page.clone());
        }
        let report = sweep(&hub, &[("CONCURRENCY", "64")]).await;
        // A slow machine decides fewer requests before their page is too old.
        let held = count(&report, "held");
        assert!(held <= 10 * listed && held == count(&report, "listed"), "{held}");
        let pages = hub.calls().iter().filter(|call| call.contains("/pending")).count();
        assert!(pages >= 10, "each page is sent: {:?}", hub.calls());
    }
}

/// A pattern that takes a thousand steps for each byte, and requests with 290 answers.
#[tokio::test]
async fn slow_pattern_holds_its_requests_in_time() {
    let hub = Hub::start().await;
    let rule = "fields.exists(label, fields[label].matches('[ab]*a[ab]{300}c'))";
    let policy =
        json!({"rules": [{"name": "slow", "then": "reject", "if": rule}], "default": "accept"}).to_string();
    let mut random = fastrand::Rng::with_seed(7);
    let people = (0..10).map(|number| {
        let mut answer = || (0..330).map(|_| if random.bool() { 'a' } else { 'b' }).collect::<String>();
        (0..290).fold(staff(&format!("user{number}")), |person, label| {
            person.answer(&format!("q{label}"), &*answer())
        })
    });
    ask(&hub, "acme/gated-model", people.collect::<Vec<_>>());
    let (report, peak) = invoke(&hub, event("discussion-opened"), &[("APPROVAL_POLICY", &policy)]).await;
    assert_eq!((count(&report, "held"), count(&report, "accepted")), (10, 0), "{report}");
    assert!(peak < MAX_RESIDENT_KB, "{peak} KB");
}

/// The policy is read, and read again after a change of its list, while the old list is still in memory.
#[tokio::test]
async fn policy_with_a_large_list_fits_into_memory() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", [staff("ada")]);
    let line = |number: u32| format!("person{number}@university{}.example.edu\n", number % 9973);
    let list: String = (0..100_000).map(line).collect();
    let policy = "lists = { signed = { file = 'signed.txt' } }
        rules = [{ name = 'signed', then = 'accept', if = 'user.email in lists.signed' }]";
    let dataset = hub.dataset("acme/gate");
    dataset.commit(&[("policy.toml", policy), ("signed.txt", &list)]);
    let mut api = RuntimeApi::start([event("sweep")]).await;
    let place = ("APPROVAL_POLICY", "hf://datasets/acme/gate/policy.toml");
    let process = start_unread(&hub, &api, &[place, ("REPOS", "acme/model")]);
    let (_, report) = api.next_post().await;
    assert_eq!((count(&report, "held"), &report["policy_fault"]), (1, &Value::Null), "{report}");

    let commit = dataset.commit(&[("signed.txt", list + "ada@acme.com\n")]);
    let payload = json!({
        "event": {"action": "update", "scope": "repo.content"}, "webhook": {"id": "w", "version": 3},
        "repo": {"type": "dataset", "name": "acme/gate", "headSha": commit},
    });
    let mut push: Value = serde_json::from_str(&event("push-to-main")).expect("JSON");
    push["body"] = payload.to_string().into();
    api.hand_over(push.to_string());
    api.next_post().await;
    assert_eq!(hub.users("acme/model", Status::Accepted), ["ada"]);
    let peak = peak_kb(&process);
    assert!(peak < 100 * 1024, "{peak} KB");
}
