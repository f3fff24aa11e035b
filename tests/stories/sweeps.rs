//! Sweeps over repos and whole namespaces.

use std::time::{Duration, Instant};

use hub_doorman::handler::InvocationError;
use serde_json::json;

use crate::hub::{Fault, Gating, Hub, Quota, Role, Status};
use crate::logs::Logs;
use crate::support::{
    HALF_A_MINUTE, ask, doorman_with, error, hub_with, incomplete, invoke, model, names, report_on, staff,
    stranger, sweep, sweep_within,
};

/// No request is pending in any of the repos.
#[tokio::test]
async fn quiet_sweep_costs_a_call_a_page_and_a_call_a_repo() {
    let hub = hub_with(200).await;
    hub.model().latency = Duration::from_millis(5);
    let report = sweep(&doorman_with(&hub, &[("REPOS", "acme/*")])).await;
    assert_eq!(report["status"], "reviewed", "{report}");
    assert_eq!(names(&report), (0..200).map(model).collect::<Vec<_>>());
    assert_eq!(hub.calls().len(), 202, "a page of models, one of datasets, and one of each repo");
    assert_eq!(hub.model().most_in_flight, 8);
}

#[tokio::test]
async fn event_that_is_no_trigger_fails_without_a_call() {
    let hub = hub_with(1).await;
    let doorman = doorman_with(&hub, &[("REPOS", "acme/*")]);
    for event in [json!({}), json!([]), json!(null), json!({"Records": []}), json!({"sweep": ["no repo"]})] {
        let failure = invoke(&doorman, &event, HALF_A_MINUTE).await.expect_err("no prompt");
        assert!(matches!(failure, InvocationError::UnknownEvent(_)), "{event}: {failure}");
    }
    let failure = invoke(&doorman_with(&hub, &[]), &json!({"sweep": true}), HALF_A_MINUTE).await;
    assert!(failure.expect_err("nothing to sweep").to_string().contains("set REPOS"));
    assert_eq!(hub.calls(), [""; 0]);
}

#[tokio::test]
async fn failing_repo_is_reported_and_stops_no_other() {
    let hub = hub_with(200).await;
    for number in 0..200 {
        ask(&hub, &model(number), [staff("ada"), stranger("mallory")]);
    }
    hub.model().repo(&model(17)).role = Role::Read;
    hub.model().faults("/acme/model042/", &Fault::Garbage, 1000);
    hub.model().faults("/acme/model111/", &Fault::Stall, 1000);
    let started = Instant::now();
    let report = sweep_within(&doorman_with(&hub, &[("REPOS", "acme/*")]), Duration::from_secs(8)).await;
    assert!(started.elapsed() < Duration::from_secs(8));
    let failed = incomplete(&report);
    let expected = [
        ("acme/model017", "give HF_TOKEN write access to the repo"),
        ("acme/model042", "the Hub's response cannot be read"),
        ("acme/model111", "no response from the Hub"),
    ];
    assert_eq!((failed.len(), names(&report).len()), (3, 200), "{failed:?}");
    for ((repo, error), (expected_repo, expected)) in failed.into_iter().zip(expected) {
        assert!(repo == expected_repo && error.contains(expected), "{repo}: {error}");
    }
    for number in (0..200).filter(|number| ![17, 42, 111].contains(number)) {
        assert_eq!(hub.users(&model(number), Status::Accepted), ["ada"], "{number}");
    }
}

/// The sweep has 900 s, and does not spend them on one repo.
#[tokio::test]
async fn silent_repo_is_given_up_after_three_calls() {
    let hub = hub_with(2).await;
    hub.model().faults("/acme/model000/", &Fault::Stall, 1000);
    let report = sweep_within(&doorman_with(&hub, &[("REPOS", "acme/*")]), Duration::from_secs(900)).await;
    assert_eq!(report_on(&report, "acme/model000")["calls"], 3, "{report}");
    assert!(error(report_on(&report, "acme/model000")).contains("it took too long"), "{report}");
}

#[tokio::test]
async fn missing_or_ungated_repo_is_reported() {
    let hub = hub_with(2).await;
    ask(&hub, "acme/model000", [staff("ada")]);
    ask(&hub, "acme/model001", [staff("ada")]);
    hub.model().repo("acme/model000").gating = Gating::Off;
    let named = doorman_with(&hub, &[("REPOS", "acme/gone acme/model000 acme/model001")]);
    let report = sweep(&named).await;
    let failed = incomplete(&report);
    assert_eq!(failed.iter().map(|(repo, _)| *repo).collect::<Vec<_>>(), ["acme/gone", "acme/model000"]);
    assert!(failed[0].1.contains("there is no such repo, or HF_TOKEN does not see it"), "{report}");
    assert!(failed[1].1.contains("RepoNotGated"), "{report}");
    assert_eq!(hub.users("acme/model000", Status::Pending), ["ada"], "unchanged");
    assert_eq!(hub.users("acme/model001", Status::Accepted), ["ada"]);

    let report = sweep(&doorman_with(&hub, &[("REPOS", "acme/*")])).await;
    assert_eq!((names(&report), &report["status"]), (vec!["acme/model001"], &json!("reviewed")));
}

#[tokio::test]
async fn token_that_is_refused_everywhere_fails_the_invocation() {
    let refused_everywhere: Vec<fn(&Hub)> = vec![
        |hub| "another".clone_into(&mut hub.model().token),
        |hub| (0..3).for_each(|number| hub.model().repo(&model(number)).role = Role::Read),
        |hub| hub.model().faults("GET /api/", &Fault::Status(403), 100),
        // It does not see private repos, and may not write to the others.
        |hub| {
            (0..3).for_each(|number| hub.model().repo(&model(number)).role = Role::None);
            hub.model().repo(&model(1)).role = Role::Read;
        },
        // It may not write to the repos that respond, and its rights in the others are unknown.
        |hub| {
            (0..3).for_each(|number| hub.model().repo(&model(number)).role = Role::Read);
            hub.model().faults("/acme/model001/", &Fault::Status(500), 100);
            hub.model().faults("/api/datasets?", &Fault::Status(418), 1);
        },
        // It is revoked during the sweep.
        |hub| hub.model().fault("/acme/model002/", Fault::Status(401)),
    ];
    for repos in ["acme/*", "acme/model000 acme/model001 acme/model002"] {
        for breaks in &refused_everywhere {
            let hub = hub_with(3).await;
            breaks(&hub);
            let (logs, _guard) = Logs::capture();
            let doorman = doorman_with(&hub, &[("REPOS", repos)]);
            let failure = invoke(&doorman, &json!({"source": "aws.scheduler"}), HALF_A_MINUTE).await;
            let failure = failure.expect_err("a failure").to_string();
            assert!(failure.starts_with("the Hub refuses HF_TOKEN: GET /api/"), "{failure}");
            assert!(failure.contains("the Hub answered 401") || failure.contains("the Hub answered 403"));
            assert_eq!(logs.lines("swept").len(), 1, "the sweep is logged all the same");
        }
    }
}

#[tokio::test]
async fn token_that_works_somewhere_fails_nothing() {
    let works_somewhere: Vec<fn(&Hub)> = vec![
        |hub| (1..3).for_each(|number| hub.model().repo(&model(number)).role = Role::Read),
        |hub| (1..3).for_each(|number| hub.model().repo(&model(number)).role = Role::None),
        |hub| (0..3).for_each(|number| hub.model().repo(&model(number)).role = Role::None),
        |hub| hub.model().faults("/api/datasets?", &Fault::Status(403), 1),
        |hub| hub.model().faults("/acme/", &Fault::Status(400), 100),
        // It may not write to one repo. The limit ends the sweep before the others are read.
        |hub| {
            (0..3).for_each(|number| hub.model().repo(&model(number)).role = Role::Read);
            hub.model().quota = Quota::new(1, Duration::from_secs(300));
        },
        // It may write to one repo, although that write fails.
        |hub| {
            ask(hub, &model(1), [staff("ada")]);
            (0..3).for_each(|number| hub.model().repo(&model(number)).role = Role::Read);
            hub.model().repo(&model(1)).role = Role::Write;
            hub.model().faults("POST", &Fault::Status(418), 2);
        },
    ];
    for repos in ["acme/*", "acme/model000 acme/model001 acme/model002"] {
        for breaks in &works_somewhere {
            let hub = hub_with(3).await;
            breaks(&hub);
            sweep(&doorman_with(&hub, &[("REPOS", repos)])).await;
        }
    }
}

#[tokio::test]
async fn dry_sweep_changes_nothing() {
    let hub = hub_with(5).await;
    (0..5).for_each(|number| ask(&hub, &model(number), [staff("ada")]));
    let report = sweep(&doorman_with(&hub, &[("REPOS", "acme/*"), ("DRY_RUN", "true")])).await;
    assert_eq!((&report["dry_run"], &report["repos"][4]["accepted"]), (&json!(true), &json!(1)), "{report}");
    assert!(hub.calls().iter().all(|call| call.starts_with("GET ")));
}

#[tokio::test]
async fn sweep_logs_itself_and_each_repo_with_something_to_do() {
    let hub = hub_with(50).await;
    ask(&hub, "acme/model007", [staff("ada"), stranger("mallory")]);
    hub.model().repo("acme/model013").role = Role::Read;
    let (logs, _guard) = Logs::capture();
    sweep(&doorman_with(&hub, &[("REPOS", "acme/*")])).await;
    let reviewed = logs.lines("reviewed");
    let mut of_repos: Vec<_> = reviewed.iter().map(|line| line["repo"].as_str().expect("a name")).collect();
    of_repos.sort_unstable();
    assert_eq!((of_repos, logs.lines("decided").len()), (vec!["acme/model007", "acme/model013"], 2));
    let swept = &logs.lines("swept")[0];
    for (field, expected) in [
        ("repos", json!(50)),
        ("left", json!(1)),
        ("listed", json!(2)),
        ("accepted", json!(1)),
        ("held", json!(1)),
        ("calls", json!(2 + 50 + 1)),
        ("dry_run", json!(false)),
    ] {
        assert_eq!(swept[field], expected, "{field}: {swept}");
    }
}

#[tokio::test]
async fn sweep_does_not_overrule_a_person() {
    let hub = hub_with(12).await;
    for number in 0..12 {
        let people = (0..250).map(|person| {
            let name = format!("user{person}");
            if person % 5 == 0 { stranger(&name) } else { staff(&name) }
        });
        ask(&hub, &model(number), people);
    }
    // The run takes longer than the person does.
    hub.model().latency = Duration::from_millis(20);
    let doorman = doorman_with(&hub, &[("REPOS", "acme/*")]);
    let person = async {
        // A request that the policy holds, and one that it accepts.
        for one in (0..250).step_by(5) {
            for number in 0..12 {
                let mut hub = hub.model();
                let repo = hub.repo(&model(number));
                let mut decide = |user: usize, status| {
                    let request = repo.find_mut("user", &format!("user{user}")).expect("somebody");
                    if request.status == Status::Pending {
                        request.set(status, None);
                    }
                };
                decide(one, Status::Rejected);
                decide(one + 1, Status::Accepted);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let (report, ()) = tokio::join!(sweep(&doorman), person);
    assert_eq!(report["status"], "reviewed", "{report}");
    for number in 0..12 {
        assert_eq!(hub.users(&model(number), Status::Rejected).len(), 50, "{number}");
        assert_eq!(hub.users(&model(number), Status::Accepted).len(), 200, "{number}");
        let requests = hub.model().repo(&model(number)).requests.clone();
        assert!(requests.iter().all(|request| request.writes == 1), "{number}");
    }
}
