//! A policy that is kept in a dataset on the Hub: it is read with its lists, read again, and never used in part.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use hub_doorman::handler::Handler;
use hub_doorman::http;
use hub_doorman::hub::{Connections, Problem, Transport};
use hub_doorman::report::metrics::Metrics;
use reqwest::{Request, Response};
use serde_json::{Value, json};

use crate::hub::{Dataset, Fault, Hub, Status};
use crate::logs::Logs;
use crate::support::{
    POLICY, ask, config_with, deliver, deliver_within, payload, report_on, request, send, stranger, sweep,
};

const PLACE: &str = "hf://datasets/acme/gate/policy.toml";

const SIGNED: &str = "default = 'hold'
[lists]
signed = { file = 'lists/signed.csv', column = 'E-mail' }
[[rules]]
name = 'signed'
then = 'accept'
if = 'user.email in lists.signed'
";

/// A transport whose wall clock can be set forward.
#[derive(Debug)]
struct WithClock(Connections, Arc<AtomicU64>);

impl Transport for WithClock {
    fn carry(&self, call: Request) -> Pin<Box<dyn Future<Output = Result<Response, Problem>> + Send + '_>> {
        self.0.carry(call)
    }

    fn wall_clock(&self) -> SystemTime {
        SystemTime::now() + Duration::from_secs(self.1.load(Ordering::Relaxed))
    }

    fn renew(&self) {
        self.0.renew();
    }
}

/// A process whose policy is kept on the Hub, and its clock.
struct Process {
    doorman: Handler,
    seconds: Arc<AtomicU64>,
}

impl Process {
    async fn start(hub: &Hub, place: &str) -> Self {
        let (client, seconds) = (http::client().expect("a client"), Arc::default());
        let transport = WithClock(Connections::new(client.clone()), Arc::clone(&seconds));
        let config = config_with(hub, &[("APPROVAL_POLICY", place), ("REPOS", "acme/* !datasets/acme/gate")]);
        let metrics = Metrics::new(std::io::sink());
        let doorman = Handler::with_transport(config, metrics, &client, transport).await.expect("a client");
        Self { doorman, seconds }
    }

    /// Lets this much time pass.
    fn wait(&self, seconds: u64) {
        self.seconds.fetch_add(seconds, Ordering::Relaxed);
    }

    /// The report on `acme/model` after a webhook about it.
    async fn review(&self) -> Value {
        let (status, report) = deliver(&self.doorman, &payload("acme/model")).await;
        assert!(status == 200 || status == 202, "{status}: {report}");
        report
    }

    /// The number of people whom a webhook accepts.
    async fn accepts(&self) -> u64 {
        report_on(&self.review().await, "acme/model")["accepted"].as_u64().expect("a number")
    }
}

/// A Hub with a policy whose list has these entries, and with requests of ada, bob and kim.
async fn hub_with_list(entries: &str) -> Hub {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", ["ada", "bob", "kim"].map(stranger));
    gate(&hub).commit(&[("policy.toml", SIGNED), ("lists/signed.csv", &csv(entries))]);
    hub
}

fn gate(hub: &Hub) -> Dataset<'_> {
    hub.dataset("acme/gate")
}

fn csv(names: &str) -> String {
    names
        .split_whitespace()
        .fold("Date;E-mail\n".to_owned(), |text, name| format!("{text}2026-05-01;{name}@example.org\n"))
}

/// The calls for files since the last time.
fn files_read(hub: &Hub, seen: &mut usize) -> Vec<String> {
    let calls = hub.calls();
    let new = calls[*seen..].iter().filter(|call| call.contains("/resolve"));
    let new = new.map(|call| call.split("/resolve/").nth(1).unwrap_or(call).to_owned()).collect();
    *seen = calls.len();
    new
}

#[tokio::test]
async fn change_of_a_list_decides_and_costs_a_conditional_call() {
    for names_commit in [true, false] {
        let hub = hub_with_list("ada").await;
        hub.model().files.unchanged_names_commit = names_commit;
        let (process, mut seen) = (Process::start(&hub, PLACE).await, 0);
        assert_eq!(process.accepts().await, 1);
        let first = gate(&hub).head().id;
        assert_eq!(
            files_read(&hub, &mut seen),
            ["main/policy.toml".to_owned(), format!("{first}/lists/signed.csv")]
        );

        process.wait(9);
        assert_eq!(process.accepts().await, 0);
        assert_eq!(files_read(&hub, &mut seen), [""; 0], "it was asked for 9 seconds ago");

        process.wait(10);
        assert_eq!(process.accepts().await, 0);
        let expected = if names_commit { 1 } else { 2 };
        assert_eq!(files_read(&hub, &mut seen), vec!["main/policy.toml"; expected]);

        let second = gate(&hub).commit(&[("lists/signed.csv", &csv("ada bob"))]);
        process.wait(10);
        let (logs, _guard) = Logs::capture();
        assert_eq!(process.accepts().await, 1, "bob has signed");
        assert_eq!(
            files_read(&hub, &mut seen),
            ["main/policy.toml".to_owned(), format!("{second}/lists/signed.csv")]
        );
        assert!(
            logs.lines("decided").iter().all(|line| line["commit"] == second),
            "{:?}",
            logs.lines("decided")
        );
        assert_eq!(hub.users("acme/model", Status::Accepted), ["ada", "bob"]);
    }
}

/// The fault, the path of the calls that have it, and a part of the error.
type Case = (&'static str, Fault, &'static str, &'static str);

fn moved(to: &str) -> Fault {
    Fault::Answer(302, vec![("Location", to.to_owned())], String::new())
}

/// The faults of a Hub that cannot be reached, and those that show that the newest policy cannot be used.
fn faults() -> (Vec<Case>, Vec<Case>) {
    let endless = Fault::Endless { status: 200, promised: None, chunk: 1 << 20, pause: Duration::ZERO };
    let huge = Fault::Endless { status: 200, promised: Some(1 << 30), chunk: 1 << 20, pause: Duration::ZERO };
    let policy = "main/policy.toml";
    let outages = vec![
        ("500", Fault::Status(500), policy, "answered 500"),
        ("half a file", Fault::Cut, policy, ""),
        ("no content", Fault::Answer(204, vec![], String::new()), policy, "its status is 204"),
        (
            "a circle",
            moved("/api/resolve-cache/datasets/acme/gate/main/policy.toml"),
            "policy.toml",
            "redirects too many times",
        ),
    ];
    let elsewhere = |name, target: &str| (name, moved(target), policy, "which is not followed");
    let unusable = vec![
        elsewhere("another repo", "/datasets/evil/gate/resolve/main/policy.toml"),
        elsewhere("another scheme", "ftp://example.org/policy.toml"),
        elsewhere("no encryption", "http://192.0.2.1/policy.toml"),
        elsewhere("the way up", "/api/resolve-cache/..%2f..%2fapi/whoami-v2"),
        ("401", Fault::Status(401), policy, "answered 401"),
        ("403", Fault::Status(403), policy, "answered 403"),
        ("404", Fault::Status(404), policy, "answered 404"),
        ("1 GB", huge, policy, "larger"),
        ("no end", endless, policy, "larger"),
        ("no commit", Fault::Answer(200, vec![], "rules = []".to_owned()), policy, "of which commit"),
    ];
    (outages, unusable)
}

#[tokio::test]
async fn policy_that_cannot_be_read_holds_everybody() {
    let (outages, unusable) = faults();
    let number = outages.len();
    let story = async |index: usize, (name, fault, part, error): Case| {
        let hub = hub_with_list("ada").await;
        let warm = Process::start(&hub, PLACE).await;
        assert_eq!(warm.accepts().await, 1);
        gate(&hub)
            .commit(&[("policy.toml", format!("# New\n{SIGNED}")), ("lists/signed.csv", csv("ada bob kim"))]);
        hub.model().faults(part, &fault, 1000);

        let cold = Process::start(&hub, PLACE).await.review().await;
        assert_eq!(report_on(&cold, "acme/model")["held"], 2, "{name}: {cold}");
        let shown = cold["policy_fault"].as_str().unwrap_or_default();
        assert!(shown.contains(error) && !shown.is_empty(), "{name}: {cold}");

        warm.wait(3600 - 60);
        let report = warm.review().await;
        let is_outage = index < number;
        assert_eq!(report["policy_fault"].is_null(), is_outage, "{name}: the last policy is used: {report}");
        warm.wait(61);
        let report = warm.review().await;
        assert!(report["policy_fault"].is_string(), "{name}: an hour has passed: {report}");
        assert_eq!(hub.users("acme/model", Status::Accepted), ["ada"], "{name}");

        hub.model().heal();
        warm.wait(10);
        assert_eq!(warm.accepts().await, 2, "{name}");
        assert_eq!(hub.model().files.authorized_storage_calls, [""; 0], "{name}");
    };
    let cases = outages.into_iter().chain(unusable).enumerate();
    join_all(cases.map(|(index, case)| story(index, case))).await;
}

/// A policy that accepts everybody who is not in a list.
const OPEN: &str = "default = 'hold'
[lists]
blocked = { file = 'blocked.txt' }
[[rules]]
name = 'all'
then = 'accept'
if = 'true'
unless = 'user.email in lists.blocked'
";

/// The end of a policy. With it, nobody is accepted.
const CLOSED: &str = "[[rules]]
name = 'nobody'
then = 'hold'
if = 'true'
";

/// A fault of a file, made from the id of the newest commit and from that of the one before.
type FaultOf = Box<dyn Fn(&str, &str) -> Fault>;

/// The name of a case, a part of the path of the file, its fault, and a part of the error.
type DoubtfulFile = (&'static str, &'static str, FaultOf, &'static str);

/// The files that may not be whole, or not of the commit of the policy.
fn doubtful_files(elsewhere: &Hub) -> Vec<DoubtfulFile> {
    let answer = |status, body: &'static str| {
        move |commit: &str, _: &str| {
            Fault::Answer(status, vec![("X-Repo-Commit", commit.to_owned())], body.to_owned())
        }
    };
    let to_storage = moved(&format!("{}/policy.toml", elsewhere.endpoint()));
    let other_list = |_: &str, before: &str| {
        Fault::Answer(200, vec![("X-Repo-Commit", before.to_owned())], "# nobody".to_owned())
    };
    let no_commit = |_: &str, _: &str| {
        Fault::Answer(200, vec![("X-Repo-Commit", "../x".to_owned())], "# nobody".to_owned())
    };
    let mixed = |commit: &str, before: &str| {
        let cache = format!("/api/resolve-cache/datasets/acme/gate/{before}/policy.toml");
        Fault::Answer(307, vec![("X-Repo-Commit", commit.to_owned()), ("Location", cache)], String::new())
    };
    let (policy, list) = ("main/policy.toml", "blocked.txt");
    vec![
        ("part of a policy", policy, Box::new(answer(206, OPEN)), "its status is 206"),
        ("part of a list", list, Box::new(answer(206, "ada@example.org")), "its status is 206"),
        ("half a policy", policy, Box::new(|_, _| Fault::Half), "does not say where the file ends"),
        ("half a list", list, Box::new(|_, _| Fault::Half), "does not say where the file ends"),
        ("a list of another commit", list, Box::new(other_list), "it is of the commit"),
        ("a list of no commit", list, Box::new(no_commit), "is not the id of a commit"),
        ("a policy of another commit", policy, Box::new(mixed), "it is of the commit"),
        ("commit of another origin", policy, Box::new(move |_, _| to_storage.clone()), "of which commit"),
    ]
}

#[tokio::test]
async fn file_that_may_not_be_whole_is_not_used() {
    let elsewhere = Hub::start().await;
    let accepts_all = "default = 'accept'\nrules = []".to_owned();
    let foreign = Fault::Answer(200, vec![("X-Repo-Commit", "f".repeat(40))], accepts_all);
    elsewhere.model().faults("/policy.toml", &foreign, 100);
    let story = async |(name, part, fault, error): DoubtfulFile| {
        let hub = hub_with_list("ada").await;
        let before = gate(&hub).commit(&[("policy.toml", OPEN), ("blocked.txt", "# nobody")]);
        let (policy, blocked) = if part.ends_with("policy.toml") {
            (format!("{OPEN}{}\n{CLOSED}", "#".repeat(400)), "# nobody")
        } else {
            (OPEN.to_owned(), "ada@example.org\nbob@example.org\nkim@example.org\n")
        };
        let commit = gate(&hub).commit(&[("policy.toml", &*policy), ("blocked.txt", blocked)]);
        hub.model().faults(part, &fault(&commit, &before), 1000);
        let process = Process::start(&hub, PLACE).await;
        let (logs, _guard) = Logs::capture();
        let report = process.review().await;
        assert_eq!(hub.users("acme/model", Status::Accepted), [""; 0], "{name}: {report}");
        let why = ["a list of the policy cannot be read", "the policy cannot be used, so everybody is held"];
        let lines: Vec<Value> = why.iter().flat_map(|why| logs.lines(why)).collect();
        assert!(lines.iter().any(|line| line["error"].to_string().contains(error)), "{name}: {lines:?}");
        hub.model().heal();
        process.wait(10);
        assert_eq!(process.accepts().await, 0, "{name}");
        let report = process.review().await;
        assert!(report["policy_fault"].is_null(), "{name}: {report}");
    };
    for case in doubtful_files(&elsewhere) {
        story(case).await;
    }
}

#[tokio::test]
async fn newer_commit_with_faults_holds_everybody_at_once() {
    let long = vec![b'#'; 300_000];
    let faulty: [(&str, &[u8]); 3] = [
        ("a fault", b"rules = [{ name = 'all', then = 'acept', if = 'user.pro' }]"),
        ("not UTF-8", b"default = 'hold' # \xff\nrules = []"),
        ("too long", &long),
    ];
    for (name, content) in faulty {
        let hub = hub_with_list("ada bob").await;
        let warm = Process::start(&hub, PLACE).await;
        assert_eq!(warm.accepts().await, 2);
        let commit = gate(&hub).commit(&[("policy.toml", content)]);
        warm.wait(10);
        let (logs, _guard) = Logs::capture();
        for process in [&warm, &Process::start(&hub, PLACE).await] {
            let report = process.review().await;
            assert!(report["policy_fault"].is_string(), "{name}: {report}");
            assert_eq!(report_on(&report, "acme/model")["held"], 1, "{name}");
        }
        let lines = logs.lines("the policy cannot be used, so everybody is held");
        assert_eq!(lines.len(), 2, "{name}");
        if name != "too long" {
            assert!(lines.iter().all(|line| line["commit"] == commit), "{name}: {lines:?}");
        }
        // The last good policy is not used again when the Hub cannot be reached either.
        hub.model().faults("/resolve/", &Fault::Status(503), 100);
        warm.wait(10);
        assert!(warm.review().await["policy_fault"].is_string(), "{name}");
        assert_eq!(hub.users("acme/model", Status::Accepted), ["ada", "bob"], "{name}");
    }
}

#[tokio::test]
async fn list_that_cannot_be_read_holds_by_its_rules_only() {
    let other =
        "[[rules]]\nname = 'kim'\nthen = 'reset'\nif = \"user.name == 'kim'\"\nreason = 'Ask again.'\n";
    let vanish = |hub: &Hub| drop(gate(hub).delete("lists/signed.csv"));
    let fail = |hub: &Hub| hub.model().faults("lists/signed.csv", &Fault::Status(500), 8);
    let refuse = |hub: &Hub| hub.model().fault("lists/signed.csv", Fault::Status(401));
    let huge = |hub: &Hub| {
        let endless = Fault::Endless { status: 200, promised: None, chunk: 1 << 20, pause: Duration::ZERO };
        hub.model().faults("lists/signed.csv", &endless, 8);
    };
    let breaks: [(_, fn(&Hub), _); 4] =
        [("it vanished", vanish, false), ("500", fail, true), ("401", refuse, true), ("no end", huge, false)];
    for (name, break_list, heals) in breaks {
        let hub = hub_with_list("ada").await;
        gate(&hub).commit(&[("policy.toml", format!("{SIGNED}{other}"))]);
        break_list(&hub);
        let process = Process::start(&hub, PLACE).await;
        let report = process.review().await;
        let report = report_on(&report, "acme/model");
        assert_eq!([&report["reset"], &report["held"]], [1, 2], "{name}: {report}");
        assert_eq!(hub.users("acme/model", Status::Reset), ["kim"], "{name}");
        process.wait(10);
        assert_eq!(process.accepts().await, u64::from(heals), "{name}: the same commit is read again");
    }
}

#[tokio::test]
async fn large_list_comes_from_another_origin_without_the_token() {
    let hub = hub_with_list("ada").await;
    hub.model().files.regular_limit = 400;
    let many: String = (0..100).fold("ada bob".to_owned(), |text, number| format!("{text} user{number}"));
    gate(&hub).commit(&[("lists/signed.csv", &csv(&many))]);
    assert_eq!(Process::start(&hub, PLACE).await.accepts().await, 2);
    assert_eq!(hub.model().files.authorized_storage_calls, [""; 0]);

    gate(&hub).publish();
    assert_eq!(Process::start(&hub, PLACE).await.accepts().await, 0, "nobody is left");
    let calls = hub.calls();
    assert!(calls.iter().any(|call| call.contains("/api/resolve-cache/")), "{calls:?}");
}

#[tokio::test]
async fn pinned_policy_stays_at_its_commit() {
    let hub = hub_with_list("ada").await;
    let (pinned, missing) = (gate(&hub).head().id, "0123456789abcdef0123456789abcdef01234567");
    gate(&hub).commit(&[("lists/signed.csv", &csv("ada bob"))]);
    let place = |revision: &str| format!("hf://datasets/acme/gate@{revision}/policy.toml");
    let process = Process::start(&hub, &place(&pinned)).await;
    assert_eq!(process.accepts().await, 1);
    let (_, answer) = push(&process, &hub, &[]).await;
    assert_eq!(answer["reason"], "APPROVAL_POLICY names a commit, so no push changes the policy");
    assert_eq!(hub.users("acme/model", Status::Accepted), ["ada"]);

    let report = Process::start(&hub, &place(missing)).await.review().await;
    let fault = report["policy_fault"].as_str().expect("a fault");
    assert!(fault.contains("RevisionNotFound"), "{fault}");
}

/// Commits these files, and delivers the webhook of the push.
async fn push(process: &Process, hub: &Hub, files: &[(&str, &str)]) -> (u16, Value) {
    let old = gate(hub).head().id;
    let new = if files.is_empty() { old.clone() } else { gate(hub).commit(files) };
    deliver(&process.doorman, &push_payload(&old, &new)).await
}

fn push_payload(old: &str, new: &str) -> Value {
    let mut payload = payload("datasets/acme/gate");
    payload["event"] = json!({"action": "update", "scope": "repo.content"});
    payload["repo"]["headSha"] = new.into();
    payload["updatedRefs"] = json!([{"ref": "refs/heads/main", "oldSha": old, "newSha": new}]);
    payload
}

#[tokio::test]
async fn push_decides_all_repos_at_once() {
    let hub = hub_with_list("ada").await;
    hub.model().add("acme/other").ask(stranger("bob"));
    let process = Process::start(&hub, PLACE).await;
    sweep(&process.doorman).await;
    let signed = csv("ada bob");
    let (status, report) = push(&process, &hub, &[("lists/signed.csv", &signed)]).await;
    assert_eq!((status, &report["status"]), (200, &json!("reviewed")), "{report}");
    assert_eq!(hub.users("acme/model", Status::Accepted), ["ada", "bob"]);
    assert_eq!(hub.users("acme/other", Status::Accepted), ["bob"]);

    // Another push that the webhook's time is too short for.
    let (old, new) = (gate(&hub).head().id, gate(&hub).commit(&[("lists/signed.csv", &csv("kim"))]));
    let (status, report) =
        deliver_within(&process.doorman, &push_payload(&old, &new), Duration::from_secs(2)).await;
    assert_eq!((status, &report["status"]), (202, &json!("deferred")), "{report}");
}

#[tokio::test]
async fn several_pushes_in_a_few_seconds_cost_one_sweep() {
    let hub = hub_with_list("ada").await;
    let processes = [(); 3].map(|()| Process::start(&hub, PLACE));
    let processes = join_all(processes).await;
    let commits: Vec<String> = ["ada bob", "ada bob kim", "kim"]
        .iter()
        .scan(gate(&hub).head().id, |_, names| Some(gate(&hub).commit(&[("lists/signed.csv", &csv(names))])))
        .collect();
    // Each webhook reaches another instance. The last one is delivered twice.
    let deliveries = commits
        .iter()
        .zip(&processes)
        .map(async |(commit, process)| deliver(&process.doorman, &push_payload("", commit)).await.1);
    let answers = join_all(deliveries).await;
    let newer =
        "the policy has another commit than the pushed one; if it is newer, its webhook starts the sweep";
    assert_eq!([&answers[0]["reason"], &answers[1]["reason"]], [newer, newer]);
    assert_eq!(answers[2]["status"], "reviewed", "{answers:?}");
    let again = deliver(&processes[2].doorman, &push_payload("", &commits[2])).await.1;
    assert_eq!(again["reason"], "all repos have just been swept by this commit of the policy");
    assert_eq!(hub.users("acme/model", Status::Accepted), ["kim"], "nobody is decided by an older list");
    let searches = hub.calls().iter().filter(|call| call.starts_with("GET /api/models?author=")).count();
    assert_eq!(searches, 1);
}

#[tokio::test]
async fn push_decides_when_the_hub_serves_its_commit() {
    let behind = Fault::Behind("datasets/acme/gate".to_owned());
    // The number of reads that do not show the commit yet, the seconds that the webhook has, and whether it decides.
    let story = async |(reads, seconds, decides): (usize, u64, bool)| {
        let hub = hub_with_list("ada").await;
        let process = Process::start(&hub, PLACE).await;
        assert_eq!(process.accepts().await, 1);
        let (old, new) = (gate(&hub).head().id, gate(&hub).commit(&[("lists/signed.csv", &csv("ada bob"))]));
        hub.model().faults("main/policy.toml", &behind, reads);
        let webhook = push_payload(&old, &new);
        let (status, answer) = deliver_within(&process.doorman, &webhook, Duration::from_secs(seconds)).await;
        let accepted = hub.users("acme/model", Status::Accepted);
        if decides {
            assert_eq!((status, accepted), (200, vec!["ada".to_owned(), "bob".to_owned()]), "{answer}");
        } else {
            assert_eq!(
                (status, &answer["status"], accepted),
                (202, &json!("deferred"), vec!["ada".to_owned()])
            );
            assert!(answer["reason"].to_string().contains("the schedule sweeps"), "{answer}");
        }
    };
    join_all([(3, 20, true), (100, 7, false)].map(story)).await;
}

#[tokio::test]
async fn policy_whose_repo_is_gone_holds_everybody() {
    let old = "datasets/acme/gate";
    for action in ["move", "delete"] {
        let hub = hub_with_list("ada").await;
        let process = Process::start(&hub, PLACE).await;
        assert_eq!(process.accepts().await, 1);
        let fault = match action {
            "move" => Fault::Redirect("/datasets/acme/renamed/resolve/main/policy.toml".to_owned()),
            _ => Fault::Answer(404, vec![("X-Error-Code", "RepoNotFound".to_owned())], String::new()),
        };
        hub.model().faults("main/policy.toml", &fault, 100);
        let mut webhook = payload(old);
        webhook["event"] = json!({"action": action, "scope": "repo"});
        webhook["movedTo"] = json!({"name": "acme/renamed"});
        let (_, answer) = deliver(&process.doorman, &webhook).await;
        let fault = answer["policy_fault"].as_str().unwrap_or_default();
        let expected = if action == "move" { "acme/renamed" } else { "RepoNotFound" };
        assert!(fault.contains(expected), "{action}: {answer}");
        ask(&hub, "acme/model", [stranger("ada")]);
        for process in [&process, &Process::start(&hub, PLACE).await] {
            process.wait(10);
            assert!(process.review().await["policy_fault"].is_string(), "{action}");
        }
        assert_eq!(hub.users("acme/model", Status::Accepted), ["ada"], "{action}");
    }
}

#[tokio::test]
async fn webhook_that_changes_no_policy_starts_no_sweep() {
    let hub = hub_with_list("ada").await;
    let process = Process::start(&hub, PLACE).await;
    let head = gate(&hub).head().id;
    let mut other_branch = push_payload(&head, &head);
    other_branch["updatedRefs"][0]["ref"] = "refs/pr/1".into();
    let (_, answer) = deliver(&process.doorman, &other_branch).await;
    assert_eq!(answer["reason"], "the push does not change `main`, the revision of the policy");

    let mut discussion = push_payload(&head, &head);
    discussion["event"]["scope"] = "discussion.comment".into();
    let (_, answer) = deliver(&process.doorman, &discussion).await;
    assert_eq!(answer["reason"], "REPOS does not name datasets/acme/gate");

    let stranger = request("POST", Some("wrong"), push_payload(&head, &head).to_string());
    assert_eq!(send(&process.doorman, stranger).await.0, 401);
    assert_eq!(hub.calls(), [""; 0]);
}

#[tokio::test]
async fn policy_in_the_variable_is_not_changed_by_a_push() {
    let hub = hub_with_list("ada").await;
    let process = Process::start(&hub, POLICY).await;
    let (_, answer) = push(&process, &hub, &[]).await;
    assert_eq!(answer["reason"], "REPOS does not name datasets/acme/gate");
}

#[tokio::test]
async fn commit_while_the_policy_is_read_is_not_mixed_in() {
    let hub = hub_with_list("ada").await;
    hub.model().way_back = Duration::from_millis(300);
    let process = Process::start(&hub, PLACE).await;
    let push = async {
        while !hub.calls().iter().any(|call| call.contains("/resolve/main/")) {
            tokio::task::yield_now().await;
        }
        gate(&hub).commit(&[("lists/signed.csv", &csv("ada bob kim"))]);
    };
    let (report, ()) = tokio::join!(process.review(), push);
    assert_eq!(report_on(&report, "acme/model")["accepted"], 1, "{report}");
    process.wait(10);
    assert_eq!(process.accepts().await, 2);
}

#[tokio::test]
async fn policy_that_does_not_come_leaves_time_to_decide() {
    let hub = hub_with_list("ada").await;
    let process = Process::start(&hub, PLACE).await;
    assert_eq!(process.accepts().await, 1);
    ask(&hub, "acme/other", [stranger("ada")]);
    hub.model().faults("main/policy.toml", &Fault::Stall, 100);
    process.wait(10);
    let webhook = payload("acme/other");
    let (status, report) = deliver_within(&process.doorman, &webhook, Duration::from_secs(8)).await;
    assert_eq!((status, &report["policy_fault"]), (200, &Value::Null), "{report}");
    assert_eq!(hub.users("acme/other", Status::Accepted), ["ada"], "the last policy is used");
}
