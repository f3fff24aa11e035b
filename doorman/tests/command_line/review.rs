//! `plan` and `review` of repos.

use std::collections::BTreeMap;
use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::crowd;
use crate::hub::{Fault, Gating, Hub, Role, Status};
use crate::support::{ask, doorman_with, hub_with, report_on, staff, stranger, sweep};
use crate::{CommandResult, command, doorman, doorman_in, doorman_with_closed_stdout};

/// The sample policy. Its rules read the answers that the crowd gives.
const SAMPLE_POLICY: &str = include_str!("../../../examples/policy.json");

/// The verdict, the rule, the grounds and the reason, by repo and user.
fn decisions(report: &Value) -> BTreeMap<(String, String), [String; 4]> {
    let repos = report["repos"].as_array().expect("repos").iter();
    let decisions_of = |repo: &Value| {
        let name = repo["repo"].to_string() + &repo["type"].to_string();
        let decisions = repo["decisions"].as_array().expect("decisions").clone();
        decisions.into_iter().map(move |decision| {
            let what = ["verdict", "rule", "grounds", "reason"].map(|key| decision[key].to_string());
            ((name.clone(), decision["user"].to_string()), what)
        })
    };
    repos.flat_map(decisions_of).collect()
}

/// A Hub with three requests: one to accept, one to reject and one to hold.
pub async fn hub_with_three(repo: &str) -> Hub {
    let hub = Hub::start().await;
    ask(&hub, repo, [staff("ada"), stranger("kim").answer("Country", "KP"), stranger("eve")]);
    for request in &mut hub.model().repo(repo).requests {
        request.requested_at = "2026-10-05T08:00:00Z".parse().expect("a time");
    }
    hub
}

/// The rest of a line after its time.
pub fn after_time(line: &str) -> &str {
    let (time, rest) = line.split_once(' ').unwrap_or_default();
    assert!(time.parse::<chrono::DateTime<chrono::Utc>>().is_ok(), "{line}");
    rest
}

#[tokio::test]
async fn plan_writes_nothing_and_review_decides_the_same() {
    let hub = Hub::start().await;
    crowd::seed(&hub, 300);
    let variables = [("APPROVAL_POLICY", SAMPLE_POLICY), ("REPOS", "acme/*")];
    let state = |hub: &Hub| format!("{:?}", hub.model().repos);
    let before = state(&hub);

    let plan = doorman_in(&hub, &variables, &["plan", "--json"]).await;
    assert!(hub.calls().iter().all(|call| call.starts_with("GET ")), "{:?}", hub.calls());
    assert_eq!(state(&hub), before);
    let planned = decisions(&plan.json());
    let verdicts: Vec<&str> = planned.values().map(|[verdict, ..]| verdict.trim_matches('"')).collect();
    for verdict in ["accept", "reject", "reset", "hold"] {
        assert!(verdicts.contains(&verdict), "no request of the crowd gets {verdict}");
    }

    let pending = |hub: &Hub| -> BTreeMap<String, Vec<String>> {
        let mut model = hub.model();
        let repos = model.repos.iter_mut();
        repos.map(|(name, repo)| (name.clone(), repo.users(Status::Pending))).collect()
    };
    let before = pending(&hub);
    let review = doorman_in(&hub, &variables, &["review", "--yes", "--json"]).await;
    assert_eq!(review.status, 0, "{}", review.err);
    assert_eq!(decisions(&review.json()), planned);

    // The statuses on the Hub agree with the plan.
    let after = pending(&hub);
    for ((repo, user), [verdict, ..]) in &planned {
        let name = repo.split('"').nth(1).expect("a name");
        let name = if repo.ends_with("\"dataset\"") { format!("datasets/{name}") } else { name.to_owned() };
        let user = user.trim_matches('"').trim_start_matches("request:request-").to_owned();
        assert!(before[&name].contains(&user), "{user} was pending at {name}");
        let status = match verdict.trim_matches('"') {
            "accept" => Status::Accepted,
            "reject" => Status::Rejected,
            "reset" => Status::Reset,
            _ => Status::Pending,
        };
        assert_eq!(hub.model().repo(&name).request(&user).status, status, "{user} at {name}");
    }
    let count = |lists: &BTreeMap<String, Vec<String>>| lists.values().map(Vec::len).sum::<usize>();
    assert_eq!(count(&before) - count(&after), verdicts.iter().filter(|verdict| **verdict != "hold").count());
}

#[tokio::test]
async fn report_equals_that_of_the_function() {
    let variables = [("REPOS", "acme/model"), ("DRY_RUN", "true")];
    let hub = hub_with_three("acme/model").await;
    let function = doorman_with(&hub, &variables);
    let mut expected = sweep(&function).await;
    let mut report = doorman_in(&hub, &variables, &["review", "--json"]).await.json();
    let decisions = report["repos"][0].as_object_mut().expect("a report").remove("decisions");
    assert_eq!(decisions.expect("decisions").as_array().map(Vec::len), Some(3));
    for report in [&mut report, &mut expected] {
        // A second may have passed between the two reports.
        assert!(report["repos"][0]["oldest_pending_s"].take().is_u64());
    }
    assert_eq!(report, expected);
}

#[tokio::test]
async fn plan_names_the_rule_from_which_a_request_is_excepted() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", [staff("ada")]);
    let policy = r#"{"rules": [
        {"name": "ours", "then": "accept", "if": "user.domain == 'acme.com'", "unless": "user.name == 'ada'"}]}"#;
    let plan = doorman_in(&hub, &[("APPROVAL_POLICY", policy)], &["plan", "acme/model"]).await.out();
    assert!(plan.ends_with("\thold\t\tno rule matched; excepted from rule `ours`\n"), "{plan}");
}

/// What `plan` says without `REPOS`.
const NO_SWEEPS: &str = "REPOS is not set: a function with these variables makes no sweeps, so nobody is decided until a webhook comes.\n";

#[tokio::test]
async fn stdout_has_a_line_per_request_and_stderr_the_sums() {
    for repo in ["acme/model", "datasets/acme/corpus"] {
        let hub = hub_with_three(repo).await;
        let time = "2026-10-05T08:00:00Z";
        let plan = doorman(&hub, &format!("plan {repo}")).await;
        assert_eq!(plan.err, NO_SWEEPS);
        let with_repos = doorman_in(&hub, &[("REPOS", repo)], &["plan"]).await;
        assert_eq!((with_repos.err, &with_repos.out), (String::new(), &plan.out));
        let expected = format!(
            "{repo}\teve\t{time}\thold\t\tno rule matched\n\
             {repo}\tada\t{time}\taccept\tstaff\t\n\
             {repo}\tkim\t{time}\treject\tembargo\treason “We cannot.”\n"
        );
        assert_eq!(plan.out(), expected);
        let review = doorman(&hub, &format!("review {repo}")).await;
        assert_eq!(
            after_time(&review.err),
            format!("{repo}: 3 listed, 1 accepted, 1 rejected, 1 held; 3 calls to the Hub\n")
        );
        let expected = [
            format!("{repo}\teve\t{time}\thold\t\tno rule matched\theld"),
            format!("{repo}\tada\t{time}\taccept\tstaff\t\tdone"),
            format!("{repo}\tkim\t{time}\treject\tembargo\treason “We cannot.”\tdone"),
        ];
        let out = review.out();
        let mut lines: Vec<&str> = out.lines().collect();
        // The lines are in the order in which the requests were concluded, so they are sorted here.
        lines.sort_by_key(|line| line.split('\t').nth(4).map(|verdict| (verdict != "hold", verdict)));
        let lines = lines.into_iter().filter_map(|line| line.split_once('\t'));
        let (times, lines): (Vec<&str>, Vec<&str>) = lines.unzip();
        assert_eq!(lines, expected);
        assert!(times.iter().all(|time| time.parse::<chrono::DateTime<chrono::Utc>>().is_ok()), "{times:?}");
        assert_eq!(hub.users(repo, Status::Accepted), ["ada"]);
    }
}

/// The repo that the Hub refuses for 10 minutes is left for the next run.
#[tokio::test]
async fn long_retry_after_does_not_delay_other_repos() {
    let hub = hub_with_three("acme/model").await;
    ask(&hub, "acme/other", [staff("ada")]);
    let headers = vec![("Retry-After", "600".to_owned())];
    let refused = Fault::Answer(503, headers, String::new());
    hub.model().faults("POST /api/models/acme/model/user-access-request", &refused, 100);
    let result = doorman(&hub, "review --yes acme/*").await;
    result.failed(3, &["acme/model: the list of this repo could be read again only in 600 s"]);
    assert_eq!(hub.users("acme/other", Status::Accepted), ["ada"]);
}

/// Cron and jobs read a pipe, and a process there may be killed at any time. The lines have to show what was done until then.
#[tokio::test]
async fn line_is_written_when_its_request_is_concluded() {
    let hub = hub_with_three("acme/model").await;
    ask(&hub, "acme/other", [staff("ada")]);
    hub.model().faults("GET /api/models/acme/other/user-access-request", &Fault::Stall, 100);
    let mut child =
        command(&hub, &[], &["review", "--yes", "acme/*"]).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut names = Vec::new();
    while names.len() < 3 {
        let line = lines.next_line().await.expect("read").expect("a line before the end");
        names.push(line.split('\t').nth(2).expect("a name").to_owned());
    }
    assert!(child.try_wait().expect("a child").is_none(), "it is still running");
    child.kill().await.expect("killed");
    names.sort();
    assert_eq!(names, ["ada", "eve", "kim"]);
}

#[tokio::test]
async fn addresses_and_answers_are_not_shown() {
    let hub = Hub::start().await;
    let eve = stranger("eve").answer("Purpose", "hush-hush and more").answer("Country", "KP");
    ask(&hub, "acme/model", [staff("ada"), eve]);
    for command in ["plan acme/model", "plan acme/model --json", "review acme/model", "check acme/model"] {
        let CommandResult { out, err, status } = doorman(&hub, command).await;
        assert!(
            status < 2 && out.contains(if command.starts_with("check") { "passed" } else { "ada" }),
            "{out}{err}"
        );
        for private in ["@acme.com", "@example.org", "hush", "the Tester"] {
            assert!(!out.contains(private) && !err.contains(private), "{command}: {out}{err}");
        }
    }
}

#[tokio::test]
async fn arguments_replace_repos() {
    let hub = hub_with_three("acme/model").await;
    ask(&hub, "datasets/acme/corpus", [staff("ada")]);
    hub.model().add("acme/open").gating = Gating::Off;
    let reviewed = async |variables: &[(&str, &str)], arguments: &[&str]| -> Vec<String> {
        let report = doorman_in(&hub, variables, &[&["plan", "--json"], arguments].concat()).await.json();
        let repos = report["repos"].as_array().expect("repos").iter();
        repos.map(|repo| format!("{} {}", repo["type"], repo["repo"]).replace('"', "")).collect()
    };
    let all = ["model acme/model", "dataset acme/corpus"];
    assert_eq!(reviewed(&[], &["acme/*"]).await, all);
    assert_eq!(reviewed(&[("REPOS", "acme/*")], &[]).await, all);
    assert_eq!(reviewed(&[("REPOS", "acme/*")], &["datasets/acme/corpus"]).await, all[1..]);
    assert_eq!(
        reviewed(&[("REPOS", "acme/corpus")], &["https://huggingface.co/acme/model/tree/main"]).await,
        all[..1]
    );
    assert_eq!(reviewed(&[], &["acme/model", "acme/model", "acme/*"]).await, all);
    doorman(&hub, "review").await.failed(2, &["no repos are named", "REPOS"]);
    doorman(&hub, "plan other/*").await.failed(1, &["doorman: other/*: no gated repo found"]);
    doorman(&hub, "plan acme/* other/*").await.failed(3, &["doorman: other/*: no gated repo found"]);
}

#[tokio::test]
async fn exit_status_shows_complete_incomplete_or_failed() {
    let hub = hub_with_three("acme/model").await;
    ask(&hub, "acme/other", [staff("ada")]);
    hub.model().repo("acme/other").role = Role::Read;
    let expected = [
        "doorman: acme/other: GET /api/models/acme/other/",
        "403",
        "(request id ",
        "give HF_TOKEN write access",
    ];
    doorman(&hub, "review acme/other").await.failed(1, &expected);
    doorman(&hub, "review acme/model acme/other").await.failed(3, &expected);
    assert_eq!(hub.users("acme/model", Status::Accepted), ["ada"]);
    assert_eq!(doorman(&hub, "review acme/model").await.status, 0);
    hub.model().repo("acme/other").role = Role::Write;
    hub.model().faults("POST", &Fault::Status(400), 8);
    let result = doorman(&hub, "review acme/other").await;
    result.failed(1, &["acme/other: 1 listed, 1 failed", "the Hub answered 400"]);
    assert!(result.out.ends_with("\tstaff\t\tfailed\n"), "{}", result.out);
    doorman_in(&hub, &[("HF_TOKEN", "hf_wrong")], &["review", "acme/*"])
        .await
        .failed(1, &["401", "acme/*: "]);
    let result = doorman_in(&hub, &[("APPROVAL_POLICY", "")], &["review", "acme/model"]).await;
    result.failed(2, &["1 fault", "APPROVAL_POLICY: not set", "--policy FILE"]);
}

/// A held request is no success if every write failed with 403. One failed write among successful ones is an incomplete run.
#[tokio::test]
async fn review_with_a_read_token_fails_despite_a_hold() {
    let hub = hub_with_three("acme/model").await;
    hub.model().faults("POST", &Fault::Status(403), 10);
    doorman(&hub, "review acme/model")
        .await
        .failed(1, &["3 listed, 1 held, 2 failed", "403", "give HF_TOKEN write access"]);
    hub.model().heal();
    hub.model().repo("acme/model").has_request_ids = false;
    hub.model().fault("POST", Fault::Status(400));
    doorman(&hub, "review acme/model").await.failed(3, &["3 listed, 1 ", "1 held, 1 failed"]);
    hub.model().repo("acme/model").gating = Gating::Off;
    doorman(&hub, "review acme/model")
        .await
        .failed(1, &["doorman: acme/model: ", "400 RepoNotGated", "(request id "]);
}

/// The command does its work, and standard error and the exit status report failures.
#[tokio::test]
async fn closed_stdout_does_not_stop_a_command() {
    let hub = hub_with_three("acme/model").await;
    ask(&hub, "acme/other", [staff("ada")]);
    hub.model().repo("acme/other").role = Role::Read;
    let result = doorman_with_closed_stdout(&hub, &["review", "acme/model", "acme/other"]).await;
    result.failed(3, &["acme/model: 3 listed, 1 accepted", "doorman: acme/other: ", "403"]);
    assert_eq!(hub.users("acme/model", Status::Accepted), ["ada"]);
    doorman_with_closed_stdout(&hub, &["accept", "acme/model", "nobody"]).await.failed(1, &[]);
    doorman_with_closed_stdout(&hub, &["check", "acme/nowhere"]).await.failed(1, &["failed"]);
    for command in [&["list", "acme/model"][..], &["completions", "bash"], &["plan", "acme/model", "--json"]]
    {
        let result = doorman_with_closed_stdout(&hub, command).await;
        assert_eq!(result.status, 0, "{}", result.err);
    }
}

#[tokio::test]
async fn model_and_dataset_of_one_name_are_distinguished() {
    let hub = hub_with_three("acme/one").await;
    ask(&hub, "datasets/acme/one", [staff("bob")]);
    let plan = doorman(&hub, "plan acme/one datasets/acme/one --json").await.json();
    let users = |place: usize| plan["repos"][place]["decisions"].as_array().map(Vec::len);
    assert_eq!((users(0), users(1)), (Some(3), Some(1)));
}

/// A file may begin with a byte order mark.
#[tokio::test]
async fn policy_option_reads_a_file() {
    let hub = hub_with_three("acme/model").await;
    let directory =
        std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("policy-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    let (good, bad) = (directory.join("good.json"), directory.join("bad.json"));
    std::fs::write(&good, r#"{"rules": [], "default": "reject"}"#).expect("a file");
    std::fs::write(&bad, r#"{"rules": [{"name": "a", "then": "accept", "if": "user.emial == ''"}]}"#)
        .expect("a file");
    let with_bom = directory.join("with-bom.json");
    std::fs::write(&with_bom, "\u{feff}{\"rules\": [], \"default\": \"reject\"}").expect("a file");
    let run = async |policy: &std::path::Path| {
        let policy = policy.to_str().expect("UTF-8");
        doorman_in(&hub, &[("APPROVAL_POLICY", "")], &["plan", "acme/model", "--json", "--policy", policy])
            .await
    };
    assert_eq!(report_on(&run(&good).await.json(), "acme/model")["rejected"], 3);
    assert_eq!(report_on(&run(&with_bom).await.json(), "acme/model")["rejected"], 3);
    run(&bad)
        .await
        .failed(2, &["bad.json: line 1, column 50: rule `a`: `if`: `user` has no attribute `emial`"]);
    run(&directory.join("none.json")).await.failed(2, &["none.json: cannot be read: No such file"]);
    std::fs::remove_dir_all(&directory).expect("removed");
}

#[tokio::test]
async fn repos_can_be_excluded() {
    let hub = hub_with_three("acme/model").await;
    ask(&hub, "acme/open", [staff("ada")]);
    for (repos, arguments) in [
        ("acme/* !acme/Open", &["plan"][..]),
        ("acme/*", &["plan", "--exclude", "ACME/open"]),
        ("", &["plan", "acme/*", "--exclude", "acme/open"]),
    ] {
        let result = doorman_in(&hub, &[("REPOS", repos)], arguments).await;
        assert!(
            !result.out.contains("acme/open") && result.out.contains("acme/model"),
            "{arguments:?}: {}",
            result.out
        );
    }
    assert!(!hub.calls().iter().any(|call| call.contains("acme/open/")));
}

#[tokio::test]
async fn dry_run_of_review_writes_nothing() {
    let hub = hub_with_three("acme/model").await;
    let result = doorman_in(&hub, &[("DRY_RUN", "true")], &["review", "acme/model"]).await;
    assert!(result.err.contains("DRY_RUN is true, so nothing was changed"), "{}", result.err);
    assert!(result.out().contains("\tada\t2026-10-05T08:00:00Z\taccept\tstaff\t\tdry run\n"));
    assert_eq!(hub.users("acme/model", Status::Pending), ["ada", "eve", "kim"]);
}

#[tokio::test]
async fn token_saved_by_hugging_face_tools_is_used() {
    let hub = hub_with_three("acme/model").await;
    let home = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("home-{}", std::process::id()));
    let saved = home.join(".cache/huggingface");
    std::fs::create_dir_all(&saved).expect("a directory");
    std::fs::write(saved.join("token"), format!("{}\n", Hub::TOKEN)).expect("a file");
    let home_path = home.to_str().expect("UTF-8");
    let file = saved.join("token").to_str().expect("UTF-8").to_owned();
    for variable in [("HOME", home_path), ("HF_TOKEN_PATH", &*file)] {
        doorman_in(&hub, &[("HF_TOKEN", ""), variable], &["plan", "acme/model"]).await.out();
    }
    doorman_in(&hub, &[("HF_TOKEN", " "), ("HOME", home_path)], &["plan", "acme/model"]).await.out();
    let result =
        doorman_in(&hub, &[("HF_TOKEN", ""), ("HF_TOKEN_PATH", home_path)], &["plan", "acme/model"]).await;
    result.failed(2, &[&format!("the token in {home_path} cannot be read: "), "HF_TOKEN: not set"]);
    let missing = format!("{home_path}/missing");
    let result =
        doorman_in(&hub, &[("HF_TOKEN", ""), ("HF_TOKEN_PATH", &missing)], &["plan", "acme/model"]).await;
    result.failed(2, &[&format!("the token in {missing} cannot be read: "), "HF_TOKEN: not set"]);
    let result =
        doorman_in(&hub, &[("HF_TOKEN", "hf_wrong"), ("HOME", home_path)], &["plan", "acme/model"]).await;
    result.failed(1, &["401"]);
    std::fs::remove_dir_all(&home).expect("removed");
}

#[tokio::test]
async fn log_goes_to_stderr() {
    let hub = hub_with_three("acme/model").await;
    let result = doorman_in(&hub, &[("RUST_LOG", "debug")], &["plan", "acme/model"]).await;
    assert!(result.err.lines().any(|line| line.starts_with('{')), "{}", result.err);
    assert_eq!(result.out().lines().count(), 3);
    doorman_in(&hub, &[("RUST_LOG", "inof")], &["plan", "acme/model"])
        .await
        .failed(2, &["RUST_LOG: `inof` is not a log level"]);
}

#[tokio::test]
async fn plan_shows_a_repo_in_two_spellings_once() {
    let hub = hub_with(1).await;
    ask(&hub, "acme/model000", [staff("ada")]);
    let plan = doorman(&hub, "plan --json ACME/Model000 acme/* Acme/MODEL000").await.json();
    assert_eq!(plan["repos"].as_array().map(Vec::len), Some(1), "{plan}");
    assert_eq!(report_on(&plan, "acme/model000")["decisions"][0]["user"], "ada", "{plan}");
}
