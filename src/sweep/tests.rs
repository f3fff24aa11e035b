//! The order of a sweep, and what ends it.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::http;
use crate::hub::{HubError, Problem};
use crate::model::RepoType;
use crate::report::Reach;
use crate::secrets::{Keyring, Secret, Source, Sources};

const ALL: [&str; 6] = ["a/0", "a/1", "a/2", "a/3", "a/4", "a/5"];

/// Sweeps these repos, which need no search. Returns the order in which their reviews began.
async fn order(
    names: &[&str],
    history: &SweepHistory,
    review: fn(&mut RepoReport),
) -> (Vec<String>, SweepReport) {
    order_until(Instant::now() + Duration::from_secs(60), names, history, review).await
}

async fn order_until(
    deadline: Instant,
    names: &[&str],
    history: &SweepHistory,
    review: fn(&mut RepoReport),
) -> (Vec<String>, SweepReport) {
    let endpoint = "http://127.0.0.1:1".parse().expect("a URL");
    let given = || Source::Given(Secret::new("never shown"));
    let sources = Sources { token: given(), webhook: Some(given()), webhook_previous: None, mail: None };
    let http = http::client().expect("a client");
    let keyring = Keyring::read(sources, &http).await.expect("what is given");
    let hub = Hub::new(http, endpoint, Arc::new(keyring), 8);
    let patterns: Vec<RepoPattern> = names.iter().map(|name| name.parse().expect("a name")).collect();
    let order = RefCell::new(Vec::new());
    let review = async |repo: Repo| {
        order.borrow_mut().push(repo.name().to_owned());
        let mut report = RepoReport::new(&repo);
        report.complete = true;
        review(&mut report);
        report
    };
    let swept = sweep(&hub, &patterns, |_| true, history, deadline, review).await;
    (order.into_inner(), swept)
}

fn out_of_time() -> HubError {
    HubError { call: "GET /x".to_owned(), problem: Problem::OutOfTime, may_be_done: false }
}

#[tokio::test]
async fn unreached_repos_go_first_then_unfinished_ones() {
    // Repeated, because tasks of equal rank are in random order.
    for _ in 0..50 {
        let history = SweepHistory::default();
        let (_, swept) = order(&ALL, &history, |report| match report.repo.name() {
            "a/1" | "a/4" => (report.complete, report.error) = (false, Some(out_of_time().into())),
            "a/2" => {
                (report.complete, report.error) = (false, Some(Failure::Other("broken".to_owned())));
            }
            _ => {}
        })
        .await;
        let names: Vec<_> = swept.repos.iter().map(|report| report.repo.name()).collect();
        assert_eq!(names, ALL, "in the order of their names");
        let (mut next, _) = order(&ALL, &history, |_| ()).await;
        next[..2].sort();
        next[3..].sort();
        assert_eq!(next, ["a/1", "a/4", "a/2", "a/0", "a/3", "a/5"]);
    }
}

#[tokio::test]
async fn no_review_begins_after_the_deadline() {
    let history = SweepHistory::default();
    let names: Vec<String> = (0..1500).map(|number| format!("a/{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (begun, swept) = order_until(Instant::now(), &names, &history, |_| ()).await;
    assert!(begun.is_empty() && swept.repos.iter().all(|report| report.reach() == Reach::NotReached));
    assert_eq!((swept.repos.len(), swept.unlisted.repos), (1000, 500));
    assert_eq!(order(&ALL, &history, |_| ()).await.0.len(), 6, "the next sweep reviews them");
}

#[tokio::test]
async fn unfinished_repo_is_reviewed_only_if_a_pattern_covers_it() {
    let history = SweepHistory::default();
    order(&ALL, &history, |report| {
        (report.complete, report.error) = (false, Some(out_of_time().into()));
    })
    .await;
    assert_eq!(order(&["a/3"], &history, |_| ()).await.0, ["a/3"]);
}

#[tokio::test]
async fn repo_that_was_reviewed_longest_ago_goes_first() {
    let history = SweepHistory::default();
    order(&ALL, &history, |_| ()).await;
    order(&["a/3", "a/1"], &history, |_| ()).await;
    order(&["a/3"], &history, |_| ()).await;
    let (next, _) = order(&ALL, &history, |_| ()).await;
    assert_eq!(next[4..], ["a/1", "a/3"]);
}

#[tokio::test]
async fn sweep_without_history_begins_in_random_order() {
    let mut first = BTreeSet::new();
    for _ in 0..200 {
        first.insert(order(&ALL, &SweepHistory::default(), |_| ()).await.0.swap_remove(0));
    }
    assert_eq!(first.len(), ALL.len());
}

#[tokio::test]
async fn panic_in_a_review_stops_no_other() {
    let history = SweepHistory::default();
    let (_, swept) = order(&ALL, &history, |report| assert!(report.repo.name() != "a/3")).await;
    let failed: Vec<_> = swept.repos.iter().filter(|report| !report.complete).collect();
    assert_eq!((swept.repos.len(), failed.len(), failed[0].repo.name()), (6, 1, "a/3"));
    assert!(failed[0].error.as_ref().is_some_and(|error| error.to_string().contains("panicked")));
}

#[test]
fn page_that_is_refused_leaves_room_for_a_smaller_one() {
    let (sender, mut pages) = mpsc::unbounded_channel();
    let found_pages = FoundPages { sender, count: AtomicUsize::new(0) };
    let page = |repos: usize| vec![Repo::new(RepoType::Model, "a/0").expect("a name"); repos];
    assert!(found_pages.add(&page(MAX_FOUND - 1)));
    assert!(!found_pages.add(&page(2)));
    assert!(found_pages.add(&page(1)) && !found_pages.add(&page(1)));
    let sizes = std::iter::from_fn(|| pages.try_recv().ok()).map(|page| page.len());
    assert_eq!(sizes.collect::<Vec<_>>(), [MAX_FOUND - 1, 1]);
}
