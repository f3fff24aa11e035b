//! `plan` and `review`.

use std::collections::BTreeMap;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};

use super::{Ended, command, doorman, doorman_in, doorman_unread};
use crate::hub::{Fault, Gating, Hub, Role, Status};
use crate::support::{ask, doorman_with, payload, report_on, staff, stranger, sweep};
use crate::{crowd, support};

/// The rules of the sample policy, which the crowd's form is made for.
const CROWDS_POLICY: &str = include_str!("../../../examples/policy.json");

/// By repo and user: the verdict, the rule, the grounds and the reason.
fn decisions(report: &Value) -> BTreeMap<(String, String), [String; 4]> {
    let repos = report["repos"].as_array().expect("repos").iter();
    let of_repo = |repo: &Value| {
        let name = repo["repo"].to_string() + &repo["type"].to_string();
        let decisions = repo["decisions"].as_array().expect("decisions").clone();
        decisions.into_iter().map(move |one| {
            let what = ["verdict", "rule", "grounds", "reason"].map(|key| one[key].to_string());
            ((name.clone(), one["user"].to_string()), what)
        })
    };
    repos.flat_map(of_repo).collect()
}

/// Three who are accepted, rejected and held.
async fn hub_with_three(repo: &str) -> Hub {
    let hub = Hub::start().await;
    ask(&hub, repo, [staff("ada"), stranger("kim").answer("Country", "KP"), stranger("eve")]);
    for request in &mut hub.model().repo(repo).requests {
        request.requested_at = "2026-10-05T08:00:00Z".parse().expect("a time");
    }
    hub
}

/// What a line says after the time.
fn after_time(line: &str) -> &str {
    let (time, rest) = line.split_once(' ').unwrap_or_default();
    assert!(time.parse::<chrono::DateTime<chrono::Utc>>().is_ok(), "{line}");
    rest
}

#[tokio::test]
async fn plan_and_review_agree_to_the_person_and_plan_writes_nothing() {
    let hub = Hub::start().await;
    crowd::seed(&hub, 300);
    let variables = [("APPROVAL_POLICY", CROWDS_POLICY), ("REPOS", "acme/*")];
    let state = |hub: &Hub| format!("{:?}", hub.model().repos);
    let before = state(&hub);

    let plan = doorman_in(&hub, &variables, &["plan", "--json"]).await;
    assert!(hub.calls().iter().all(|call| call.starts_with("GET ")), "{:?}", hub.calls());
    assert_eq!(state(&hub), before);
    let planned = decisions(&plan.json());
    let verdicts: Vec<&str> = planned.values().map(|[verdict, ..]| verdict.trim_matches('"')).collect();
    for verdict in ["accept", "reject", "reset", "hold"] {
        assert!(verdicts.contains(&verdict), "nobody in the crowd gets {verdict}");
    }

    let waiting = |hub: &Hub| -> BTreeMap<String, Vec<String>> {
        let mut model = hub.model();
        let repos = model.repos.iter_mut();
        repos.map(|(name, repo)| (name.clone(), repo.users(Status::Pending))).collect()
    };
    let waited = waiting(&hub);
    let review = doorman_in(&hub, &variables, &["review", "--yes", "--json"]).await;
    assert_eq!(review.status, 0, "{}", review.err);
    assert_eq!(decisions(&review.json()), planned);

    // And so it is on the Hub.
    let still = waiting(&hub);
    for ((repo, user), [verdict, ..]) in &planned {
        let name = repo.split('"').nth(1).expect("a name");
        let name = if repo.ends_with("\"dataset\"") { format!("datasets/{name}") } else { name.to_owned() };
        let user = user.trim_matches('"').trim_start_matches("request:request-").to_owned();
        assert!(waited[&name].contains(&user), "{user} waited for {name}");
        let status = match verdict.trim_matches('"') {
            "accept" => Status::Accepted,
            "reject" => Status::Rejected,
            "reset" => Status::Reset,
            _ => Status::Pending,
        };
        assert_eq!(hub.model().repo(&name).request(&user).status, status, "{user} at {name}");
    }
    let moved = |lists: &BTreeMap<String, Vec<String>>| lists.values().map(Vec::len).sum::<usize>();
    assert_eq!(moved(&waited) - moved(&still), verdicts.iter().filter(|verdict| **verdict != "hold").count());
}

#[tokio::test]
async fn the_report_is_that_of_the_function() {
    let variables = [("REPOS", "acme/model"), ("DRY_RUN", "true")];
    let hub = hub_with_three("acme/model").await;
    let function = doorman_with(&hub, &variables);
    let mut expected = sweep(&function).await;
    let mut report = doorman_in(&hub, &variables, &["review", "--json"]).await.json();
    let decisions = report["repos"][0].as_object_mut().expect("a report").remove("decisions");
    assert_eq!(decisions.expect("decisions").as_array().map(Vec::len), Some(3));
    for report in [&mut report, &mut expected] {
        // A second may have passed between the two.
        assert!(report["repos"][0]["oldest_pending_s"].take().is_u64());
    }
    assert_eq!(report, expected);
}

#[tokio::test]
async fn a_program_gets_a_line_for_each_and_a_person_the_sums() {
    for repo in ["acme/model", "datasets/acme/corpus"] {
        let hub = hub_with_three(repo).await;
        let time = "2026-10-05T08:00:00Z";
        let plan = doorman(&hub, &format!("plan {repo}")).await;
        assert_eq!(plan.err, "");
        let expected = format!(
            "{repo}\teve\t{time}\thold\t\tno rule matched\n\
             {repo}\tada\t{time}\taccept\tstaff\t\n\
             {repo}\tkim\t{time}\treject\tembargo\ttold “We cannot.”\n"
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
            format!("{repo}\tkim\t{time}\treject\tembargo\ttold “We cannot.”\tdone"),
        ];
        let out = review.out();
        let mut lines: Vec<&str> = out.lines().collect();
        // They are written in the order in which they are concluded.
        lines.sort_by_key(|line| line.split('\t').nth(4).map(|verdict| (verdict != "hold", verdict)));
        let lines = lines.into_iter().filter_map(|line| line.split_once('\t'));
        let (times, lines): (Vec<&str>, Vec<&str>) = lines.unzip();
        assert_eq!(lines, expected);
        assert!(times.iter().all(|time| time.parse::<chrono::DateTime<chrono::Utc>>().is_ok()), "{times:?}");
        assert_eq!(hub.users(repo, Status::Accepted), ["ada"]);
    }
}

#[tokio::test]
async fn long_retry_after_is_left_for_the_next_run_and_holds_up_no_other_repo() {
    let hub = hub_with_three("acme/model").await;
    ask(&hub, "acme/other", [staff("ada")]);
    let headers = vec![("Retry-After", "600".to_owned())];
    let refused = Fault::Answer(503, headers, String::new());
    hub.model().faults("POST /api/models/acme/model/user-access-request", &refused, 100);
    let ended = doorman(&hub, "review --yes acme/*").await;
    ended.failed(3, &["acme/model: the list of this repo could be read again only in 600 s"]);
    assert_eq!(hub.users("acme/other", Status::Accepted), ["ada"]);
}

/// A pipe is for cron and jobs, which may be ended at any time. What was done by then has to be known.
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
async fn neither_an_address_nor_an_answer_is_shown() {
    let hub = Hub::start().await;
    let secretive = stranger("eve").answer("Purpose", "hush-hush and more").answer("Country", "KP");
    ask(&hub, "acme/model", [staff("ada"), secretive]);
    for command in ["plan acme/model", "plan acme/model --json", "review acme/model", "check acme/model"] {
        let Ended { out, err, status } = doorman(&hub, command).await;
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
async fn repos_are_those_that_are_named_or_else_those_of_repos() {
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
    doorman(&hub, "review").await.failed(2, &["which repos?", "REPOS"]);
    doorman(&hub, "plan other/*").await.failed(1, &["doorman: other/*: no gated repo found"]);
    doorman(&hub, "plan acme/* other/*").await.failed(3, &["doorman: other/*: no gated repo found"]);
}

#[tokio::test]
async fn the_exit_status_tells_complete_incomplete_and_failed() {
    let hub = hub_with_three("acme/model").await;
    ask(&hub, "acme/other", [staff("ada")]);
    hub.model().repo("acme/other").role = Role::Read;
    let said = [
        "doorman: acme/other: GET /api/models/acme/other/",
        "403",
        "(request id ",
        "give HF_TOKEN write access",
    ];
    doorman(&hub, "review acme/other").await.failed(1, &said);
    doorman(&hub, "review acme/model acme/other").await.failed(3, &said);
    assert_eq!(hub.users("acme/model", Status::Accepted), ["ada"]);
    assert_eq!(doorman(&hub, "review acme/model").await.status, 0);
    hub.model().repo("acme/other").role = Role::Write;
    hub.model().faults("POST", &Fault::Status(400), 8);
    let ended = doorman(&hub, "review acme/other").await;
    ended.failed(1, &["acme/other: 1 listed, 1 failed", "the Hub answered 400"]);
    assert!(ended.out.ends_with("\tstaff\t\tfailed\n"), "{}", ended.out);
    doorman_in(&hub, &[("HF_TOKEN", "hf_wrong")], &["review", "acme/*"])
        .await
        .failed(1, &["401", "acme/*: "]);
    let ended = doorman_in(&hub, &[("APPROVAL_POLICY", "")], &["review", "acme/model"]).await;
    ended.failed(2, &["1 fault", "APPROVAL_POLICY: not set", "--policy FILE"]);
}

#[tokio::test]
async fn a_token_that_may_look_but_not_write_fails_whoever_is_held() {
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

#[tokio::test]
async fn what_nobody_reads_is_done_all_the_same_and_its_failure_is_told() {
    let hub = hub_with_three("acme/model").await;
    ask(&hub, "acme/other", [staff("ada")]);
    hub.model().repo("acme/other").role = Role::Read;
    let ended = doorman_unread(&hub, &["review", "acme/model", "acme/other"]).await;
    ended.failed(3, &["acme/model: 3 listed, 1 accepted", "doorman: acme/other: ", "403"]);
    assert_eq!(hub.users("acme/model", Status::Accepted), ["ada"]);
    doorman_unread(&hub, &["accept", "acme/model", "nobody"]).await.failed(1, &[]);
    doorman_unread(&hub, &["check", "acme/nowhere"]).await.failed(1, &["failed"]);
    for command in [&["list", "acme/model"][..], &["completions", "bash"], &["plan", "acme/model", "--json"]]
    {
        let ended = doorman_unread(&hub, command).await;
        assert_eq!(ended.status, 0, "{}", ended.err);
    }
}

#[tokio::test]
async fn a_model_and_a_dataset_of_one_name_are_told_apart() {
    let hub = hub_with_three("acme/one").await;
    ask(&hub, "datasets/acme/one", [staff("bob")]);
    let plan = doorman(&hub, "plan acme/one datasets/acme/one --json").await.json();
    let users = |place: usize| plan["repos"][place]["decisions"].as_array().map(Vec::len);
    assert_eq!((users(0), users(1)), (Some(3), Some(1)));
}

#[tokio::test]
async fn the_policy_may_be_in_a_file() {
    let hub = hub_with_three("acme/model").await;
    let directory =
        std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("policy-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    let (good, bad) = (directory.join("good.json"), directory.join("bad.json"));
    std::fs::write(&good, r#"{"rules": [], "default": "reject"}"#).expect("a file");
    std::fs::write(&bad, r#"{"rules": [{"name": "a", "then": "accept", "if": "user.emial == ''"}]}"#)
        .expect("a file");
    let marked = directory.join("marked.json");
    std::fs::write(&marked, "\u{feff}{\"rules\": [], \"default\": \"reject\"}").expect("a file");
    let run = async |policy: &std::path::Path| {
        let policy = policy.to_str().expect("UTF-8");
        doorman_in(&hub, &[("APPROVAL_POLICY", "")], &["plan", "acme/model", "--json", "--policy", policy])
            .await
    };
    assert_eq!(report_on(&run(&good).await.json(), "acme/model")["rejected"], 3);
    assert_eq!(report_on(&run(&marked).await.json(), "acme/model")["rejected"], 3);
    run(&bad).await.failed(2, &["bad.json: rule `a`: `if`: `user` has no attribute `emial`"]);
    run(&directory.join("none.json")).await.failed(2, &["none.json: No such file"]);
    std::fs::remove_dir_all(&directory).expect("removed");
}

#[tokio::test]
async fn repos_can_be_left_out() {
    let hub = hub_with_three("acme/model").await;
    ask(&hub, "acme/open", [staff("ada")]);
    for (repos, arguments) in [
        ("acme/* !acme/Open", &["plan"][..]),
        ("acme/*", &["plan", "--exclude", "ACME/open"]),
        ("", &["plan", "acme/*", "--exclude", "acme/open"]),
    ] {
        let ended = doorman_in(&hub, &[("REPOS", repos)], arguments).await;
        assert!(
            !ended.out.contains("acme/open") && ended.out.contains("acme/model"),
            "{arguments:?}: {}",
            ended.out
        );
    }
    assert!(!hub.calls().iter().any(|call| call.contains("acme/open/")));
}

#[tokio::test]
async fn a_dry_run_reviews_as_a_plan_does() {
    let hub = hub_with_three("acme/model").await;
    let ended = doorman_in(&hub, &[("DRY_RUN", "true")], &["review", "acme/model"]).await;
    assert!(ended.err.contains("DRY_RUN is true, so nothing was changed"), "{}", ended.err);
    assert!(ended.out().contains("\tada\t2026-10-05T08:00:00Z\taccept\tstaff\t\tdry run\n"));
    assert_eq!(hub.users("acme/model", Status::Pending), ["ada", "eve", "kim"]);
}

#[tokio::test]
async fn a_job_that_a_webhook_has_started_reviews_the_repo_of_the_webhook() {
    for repo in ["acme/model", "datasets/acme/corpus"] {
        let hub = hub_with_three(repo).await;
        let payload = payload(repo).to_string();
        let job =
            |repos| [("WEBHOOK_PAYLOAD", &*payload), ("WEBHOOK_SECRET", support::SECRET), ("REPOS", repos)];
        let ended = doorman_in(&hub, &job("acme/other"), &["review"]).await;
        assert_eq!(
            (ended.status, after_time(&ended.err)),
            (0, &*format!("Nothing to do: REPOS does not name {repo}.\n"))
        );
        assert!(hub.calls().is_empty());
        doorman_in(&hub, &job("acme/*"), &["review"]).await.out();
        assert_eq!(hub.users(repo, Status::Accepted), ["ada"]);
        assert!(hub.calls().iter().all(|call| call.contains("/user-access-request/")), "no search");
    }
}

#[tokio::test]
async fn a_job_has_nothing_to_do_where_the_function_has_not() {
    let hub = hub_with_three("acme/model").await;
    let mut of_a_space = payload("acme/model");
    of_a_space["repo"]["type"] = json!("space");
    let run = async |payload: &str, arguments: &[&str]| {
        let job = [("WEBHOOK_PAYLOAD", payload), ("REPOS", "acme/*")];
        doorman_in(&hub, &job, &[&["review"], arguments].concat()).await
    };
    let ended = run(&of_a_space.to_string(), &[]).await;
    assert_eq!((ended.status, after_time(&ended.err)), (0, "Nothing to do: a Space cannot be gated.\n"));
    let ignored = run(&of_a_space.to_string(), &["--json"]).await;
    assert_eq!(
        (ignored.status, ignored.json()),
        (0, json!({"status": "ignored", "reason": "a Space cannot be gated"}))
    );
    run("{", &[]).await.failed(2, &["WEBHOOK_PAYLOAD is not what the Hub puts there"]);
    assert!(hub.calls().is_empty());
    hub.model().add("acme/open").gating = Gating::Off;
    assert_eq!(
        run(&payload("acme/open").to_string(), &["acme/model"]).await.status,
        0,
        "what is named counts"
    );
    assert_eq!(hub.users("acme/model", Status::Accepted), ["ada"]);
}

#[tokio::test]
async fn the_token_is_the_one_that_the_hubs_own_tools_have_saved() {
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
    let ended =
        doorman_in(&hub, &[("HF_TOKEN", ""), ("HF_TOKEN_PATH", home_path)], &["plan", "acme/model"]).await;
    ended.failed(2, &[&format!("the token in {home_path} cannot be read: "), "HF_TOKEN: not set"]);
    let ended =
        doorman_in(&hub, &[("HF_TOKEN", "hf_wrong"), ("HOME", home_path)], &["plan", "acme/model"]).await;
    ended.failed(1, &["401"]);
    std::fs::remove_dir_all(&home).expect("removed");
}

#[tokio::test]
async fn with_rust_log_the_log_goes_where_a_person_looks() {
    let hub = hub_with_three("acme/model").await;
    let ended = doorman_in(&hub, &[("RUST_LOG", "debug")], &["plan", "acme/model"]).await;
    assert!(ended.err.lines().any(|line| line.starts_with('{')), "{}", ended.err);
    assert_eq!(ended.out().lines().count(), 3);
    doorman_in(&hub, &[("RUST_LOG", "inof")], &["plan", "acme/model"])
        .await
        .failed(2, &["RUST_LOG: `inof` is no level"]);
}
