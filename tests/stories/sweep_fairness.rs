//! Fairness: if time or calls are too few for all repos, every repo is still reviewed, in this sweep or in the next ones.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::hub::{Batch, Cursor, Fault, Gating, Quota, Status};
use crate::logs::Logs;
use crate::support::{
    HALF_A_MINUTE, ask, doorman_with, hub_with, incomplete, invoke, model, names, searches_and_reviews,
    staff, stranger, sweep, sweep_within,
};

/// Calls in flight at once. Their order is random.
const IN_FLIGHT: usize = 8;

#[tokio::test]
async fn all_first_pages_are_read_before_any_second_page() {
    let hub = hub_with(40).await;
    hub.model().latency = Duration::from_millis(5);
    hub.model().max_page = 100;
    // In every second repo the requests are accepted, in the others they are held.
    for number in 0..10 {
        let people = (0..500).map(|person| {
            let name = format!("user{person}");
            if number % 2 == 0 { staff(&name) } else { stranger(&name) }
        });
        ask(&hub, &model(number), people);
    }
    let report = sweep(&doorman_with(&hub, &[("REPOS", "acme/*")])).await;
    assert_eq!(report["status"], "reviewed", "{report}");
    let calls = hub.calls();
    let second_page = calls.iter().position(|call| call.contains("&cursor=")).expect("a second page");
    let last_first_page = (0..40).map(|number| {
        let first_page = format!("{}/user-access-request/pending?limit=1000", model(number));
        calls.iter().position(|call| call.ends_with(&first_page)).expect("a first page")
    });
    assert!(last_first_page.max() < Some(second_page + IN_FLIGHT), "{calls:#?}");
}

/// With two calls at a time, at most two repos have a page that is not written yet.
#[tokio::test]
async fn concurrency_bounds_the_pages_in_memory() {
    let hub = hub_with(10).await;
    for number in 0..10 {
        ask(&hub, &model(number), (0..999).map(|person| staff(&format!("user{person}"))));
    }
    hub.model().latency = Duration::from_millis(5);
    sweep(&doorman_with(&hub, &[("REPOS", "acme/*"), ("CONCURRENCY", "2")])).await;
    let (mut unwritten_batches, mut max_pages) = (HashMap::new(), 0);
    for call in hub.calls() {
        let repo = call.split('/').nth(4).unwrap_or_default().to_owned();
        if call.starts_with("POST ") {
            *unwritten_batches.get_mut(&repo).expect("read before it is written") -= 1;
            unwritten_batches.retain(|_, batches| *batches > 0);
        } else if call.contains("/pending") {
            unwritten_batches.insert(repo, 10);
        }
        max_pages = max_pages.max(unwritten_batches.len());
    }
    assert_eq!((max_pages, unwritten_batches.len()), (2, 0));
}

/// No repo waits for a call that only its own next step would release.
#[tokio::test]
async fn concurrency_of_one_does_not_deadlock() {
    let hub = hub_with(3).await;
    for number in 0..3 {
        ask(&hub, &model(number), (0..300).map(|person| staff(&format!("user{person}"))));
    }
    let lag = Duration::from_millis(300);
    (hub.model().max_page, hub.model().cursor, hub.model().lag) = (100, Cursor::Offset, lag);
    let report = sweep(&doorman_with(&hub, &[("REPOS", "acme/*"), ("CONCURRENCY", "1")])).await;
    assert_eq!((&report["status"], hub.model().most_in_flight), (&json!("reviewed"), 1), "{report}");
}

#[tokio::test]
async fn long_list_leaves_calls_for_the_other_repos() {
    let hub = hub_with(60).await;
    ask(&hub, "acme/many", (0..30_000).map(|person| staff(&format!("user{person}"))));
    (0..60).for_each(|number| ask(&hub, &model(number), [staff("ada")]));
    // Two searches, a page with ten batches of the long list, two calls for each of the sixty, and 20 more.
    hub.model().quota = Quota::new(2 + 11 + 120 + 20, Duration::from_secs(300));
    let report = sweep(&doorman_with(&hub, &[("REPOS", "acme/*")])).await;
    let failed = incomplete(&report);
    assert_eq!(failed.iter().map(|(repo, _)| *repo).collect::<Vec<_>>(), ["acme/many"]);
    assert!(failed[0].1.contains("the Hub takes no calls with this HF_TOKEN for another"), "{failed:?}");
    assert_eq!(hub.model().refused_by_quota, 0);
    assert!((0..60).all(|number| hub.users(&model(number), Status::Accepted) == ["ada"]));
}

#[tokio::test]
async fn single_writes_leave_calls_for_the_other_repos() {
    let hub = hub_with(60).await;
    (0..60).for_each(|number| ask(&hub, &model(number), [staff("ada")]));
    let everybody = r#"{"rules": [{"name": "all", "then": "accept", "if": "requested_at < now"}]}"#;
    let doorman = doorman_with(&hub, &[("REPOS", "acme/*"), ("APPROVAL_POLICY", everybody)]);
    let others: Vec<String> = (0..60).map(model).collect();
    invoke(&doorman, &json!({"sweep": others}), HALF_A_MINUTE).await.expect("no failure");

    // The new repo was never swept, so it goes first. Its requests can only be written one by one.
    (0..60).for_each(|number| ask(&hub, &model(number), [staff("bob")]));
    ask(&hub, "acme/many", (0..3000).map(|person| staff(&format!("user{person}"))));
    hub.model().repo("acme/many").hides_requesters = true;
    hub.model().batch = Batch::NoRequestId;
    hub.model().latency = Duration::from_millis(2);
    hub.model().quota = Quota::new(2 + 400, Duration::from_secs(300));
    let report = sweep(&doorman).await;
    assert_eq!(incomplete(&report).len(), 1, "{report}");
    assert!((0..60).all(|number| hub.users(&model(number), Status::Accepted) == ["ada", "bob"]));
}

/// The limit of a window is 101 calls, for two searches and 200 repos.
#[tokio::test]
async fn two_sweeps_with_half_the_calls_read_every_repo() {
    let hub = hub_with(200).await;
    let doorman = doorman_with(&hub, &[("REPOS", "acme/*")]);
    let window = Duration::from_secs(4);
    hub.model().quota = Quota::new(101, window);
    let began = Instant::now();
    let (logs, _guard) = Logs::capture();
    let report = sweep_within(&doorman, Duration::from_secs(3)).await;
    assert_eq!((&report["status"], incomplete(&report).len()), (&json!("deferred"), 101), "{report}");
    assert!(incomplete(&report).iter().all(|(_, error)| error.contains("are used up; the next run goes on")));
    let left: Vec<_> = incomplete(&report).into_iter().map(|(repo, _)| repo).collect();
    assert_eq!(logs.lines("left for the next sweep")[0]["repos"], left.join(" "));
    assert_eq!((logs.lines("reviewed").len(), &logs.lines("swept")[0]["left"]), (0, &json!(101)));

    tokio::time::sleep(window.saturating_sub(began.elapsed())).await;
    let report = sweep_within(&doorman, Duration::from_secs(3)).await;
    assert_eq!(incomplete(&report).len(), 2 + 99, "the searches, and the repos that would have been next");
    let (searches, mut reviews) = searches_and_reviews(&hub);
    reviews.sort();
    assert_eq!((searches, reviews), (2, (0..200).map(model).collect()));
    assert_eq!(hub.model().refused_by_quota, 0);
}

#[tokio::test]
async fn sweep_waits_for_the_next_window_if_there_is_time() {
    for repos in ["acme/*", "acme/model000 acme/model001 acme/model002"] {
        let hub = hub_with(3).await;
        hub.model().quota = Quota { used: 1000, ..Quota::new(1000, Duration::from_secs(3)) };
        let report = sweep_within(&doorman_with(&hub, &[("REPOS", repos)]), Duration::from_secs(6)).await;
        assert_eq!((&report["status"], names(&report).len()), (&json!("reviewed"), 3), "{report}");
    }
}

/// One repo takes all the time of a sweep, and there is one call at a time.
#[tokio::test]
async fn stalled_repo_is_not_the_first_of_every_sweep() {
    let hub = hub_with(4).await;
    hub.model().faults("/acme/model001/", &Fault::Stall, 1000);
    let doorman = doorman_with(&hub, &[("REPOS", "acme/*"), ("CONCURRENCY", "1")]);
    for _ in 0..4 {
        sweep_within(&doorman, Duration::from_millis(1600)).await;
    }
    for number in [0, 2, 3] {
        assert!(
            searches_and_reviews(&hub).1.iter().filter(|repo| **repo == model(number)).count() >= 2,
            "{:?}",
            searches_and_reviews(&hub)
        );
    }
}

#[tokio::test]
async fn known_repos_are_swept_whenever_the_search_fails() {
    let hub = hub_with(5).await;
    let doorman = doorman_with(&hub, &[("REPOS", "acme/*")]);
    sweep(&doorman).await;
    hub.model().faults("?author=", &Fault::Status(418), 1000);
    for round in 2..5 {
        let report = sweep(&doorman).await;
        assert_eq!(
            (names(&report).len(), searches_and_reviews(&hub).1.len()),
            (2 + 5, round * 5),
            "{report}"
        );
    }
}

/// A repo that a sweep began and did not finish is the first of the next sweep.
#[tokio::test]
async fn unfinished_repo_goes_before_the_search() {
    let hub = hub_with(3).await;
    ask(&hub, "acme/many", (0..20_000).map(|person| staff(&format!("user{person}"))));
    hub.model().latency = Duration::from_millis(60);
    let doorman = doorman_with(&hub, &[("REPOS", "acme/*")]);
    let report = sweep_within(&doorman, Duration::from_secs(2)).await;
    assert_eq!(
        incomplete(&report).iter().map(|(repo, _)| *repo).collect::<Vec<_>>(),
        ["acme/many"],
        "{report}"
    );
    hub.model().latency = Duration::ZERO;
    hub.model().calls.clear();
    sweep(&doorman).await;
    let calls = hub.calls();
    assert!(calls[0].contains("/acme/many/"), "{calls:?}");
    assert!(hub.users("acme/many", Status::Pending).is_empty());
}

/// The search has four pages, and a sweep has time for a few calls.
#[tokio::test]
async fn long_search_ends_after_several_short_sweeps() {
    let hub = hub_with(30).await;
    (hub.model().max_page, hub.model().latency) = (10, Duration::from_millis(40));
    let doorman = doorman_with(&hub, &[("REPOS", "acme/*"), ("CONCURRENCY", "1")]);
    let short = Duration::from_millis(1700);
    sweep_within(&doorman, short).await;
    hub.model().add("acme/zzz");
    // The search gets its turn by chance, after repos that were reached longer ago.
    for _ in 0..60 {
        sweep_within(&doorman, short).await;
        if searches_and_reviews(&hub).1.contains(&"acme/zzz".to_owned()) {
            return;
        }
    }
    panic!("the repo on the last page is never reviewed");
}

/// Repos that only an order named are not swept later.
#[tokio::test]
async fn order_does_not_change_the_next_sweep() {
    let hub = hub_with(3).await;
    hub.model().add("acme/open").gating = Gating::Off;
    let doorman = doorman_with(&hub, &[("REPOS", "acme/*")]);
    for order in [json!(["acme/open", "acme/typo"]), json!(["acme/model000"])] {
        invoke(&doorman, &json!({"sweep": order}), HALF_A_MINUTE).await.expect("no failure");
    }
    let report = sweep(&doorman).await;
    assert_eq!((&report["status"], names(&report).len()), (&json!("reviewed"), 3), "{report}");
}

#[tokio::test]
async fn deleted_repo_is_forgotten() {
    let hub = hub_with(5).await;
    let doorman = doorman_with(&hub, &[("REPOS", "acme/*")]);
    sweep(&doorman).await;
    hub.model().repos.remove(&model(2));
    for _ in 0..3 {
        let report = sweep(&doorman).await;
        assert_eq!((&report["status"], names(&report).len()), (&json!("reviewed"), 4), "{report}");
    }

    // A repo that the last sweep left is known, so it is reviewed once more.
    let doorman = doorman_with(&hub, &[("REPOS", "acme/*"), ("CONCURRENCY", "1")]);
    hub.model().latency = Duration::from_millis(100);
    let report = sweep_within(&doorman, Duration::from_millis(1700)).await;
    let left = incomplete(&report).last().expect("time for three calls").0.to_owned();
    hub.model().repos.remove(&left);
    hub.model().latency = Duration::ZERO;
    let report = sweep(&doorman).await;
    assert_eq!(incomplete(&report).iter().map(|(repo, _)| *repo).collect::<Vec<_>>(), [&*left], "{report}");
    for _ in 0..3 {
        let report = sweep(&doorman).await;
        assert_eq!((&report["status"], names(&report).len()), (&json!("reviewed"), 3), "{report}");
    }
}

#[tokio::test]
async fn next_sweep_begins_with_what_the_last_one_left() {
    let hub = hub_with(60).await;
    hub.model().latency = Duration::from_millis(150);
    let doorman = doorman_with(&hub, &[("REPOS", "acme/*")]);
    let started = Instant::now();
    let report = sweep_within(&doorman, Duration::from_secs(2)).await;
    assert!(started.elapsed() < Duration::from_secs(2));
    let left: Vec<String> = incomplete(&report).into_iter().map(|(repo, _)| repo.to_owned()).collect();
    assert!((1..60).contains(&left.len()), "{report}");
    assert!(incomplete(&report).iter().all(|(_, error)| error.contains("the time for this run was up")));

    hub.model().latency = Duration::ZERO;
    hub.model().calls.clear();
    let report = sweep(&doorman).await;
    assert_eq!((&report["status"], names(&report).len()), (&json!("reviewed"), 60));
    let first = searches_and_reviews(&hub).1[..left.len() + IN_FLIGHT].to_vec();
    assert!(left.iter().all(|left| first.contains(left)), "{left:?} {first:?}");
}
