//! When the list is read again, how far ahead, and who is decided once.

use std::pin::Pin;
use std::sync::Arc;

use chrono::TimeDelta;
use lambda_http::http;
use reqwest::{Request, Response};
use tokio::sync::Semaphore;

use super::*;
use crate::hub::{Problem, Transport};
use crate::keyring::{Keyring, Source, Sources};
use crate::model::RepoType;
use crate::secret::Secret;

fn repo() -> Repo {
    Repo::new(RepoType::Model, "acme/model").expect("a name")
}

fn with_review<T>(test: impl FnOnce(&mut Review) -> T) -> T {
    with_review_by(r#"{"rules": []}"#, test)
}

fn with_review_by<T>(policy: &str, test: impl FnOnce(&mut Review) -> T) -> T {
    let repo = repo();
    let policy = Policy::parse(policy).expect("a policy");
    let deadline = Instant::now() + Duration::from_secs(3600);
    let mut tell = |_: Step| ();
    let mut review = Review::new(&repo, &policy, false, deadline, &mut tell);
    review.passes = 1;
    test(&mut review)
}

/// How long to wait before the list is read again after passes over so many pages, each of which wrote or not and
/// still listed so many of those who had been written before.
fn waits(pages: usize, passes: &[(bool, u64)]) -> Vec<Option<u128>> {
    with_review(|review| {
        let mut wait = |&(wrote, still_listed)| {
            review.pass = Pass { pages, wrote, still_listed, ..Pass::default() };
            review.look_again().map(|wait| wait.as_millis())
        };
        passes.iter().map(&mut wait).collect()
    })
}

#[test]
fn the_list_is_read_again_until_nobody_can_have_been_skipped() {
    assert_eq!(waits(1, &[(true, 9)]), [None], "a page shows everybody at once");
    assert_eq!(waits(2, &[(false, 0)]), [None], "nobody left");
    assert_eq!(waits(2, &[(true, 0), (false, 0)]), [Some(0), None], "nobody is left to leave");
    assert_eq!(
        waits(2, &[(true, 0), (false, 5), (false, 0)]),
        [Some(0), Some(100), None],
        "it has caught up"
    );
    assert_eq!(waits(2, &[(true, 5), (false, 5), (false, 5)]), [Some(0), Some(100), None], "it stands still");
    let moves = [(true, 0), (false, 5), (false, 4), (false, 3), (true, 3), (false, 3), (false, 2)];
    let expected = [Some(0), Some(100), Some(200), Some(400), Some(0), Some(100), Some(200)];
    assert_eq!(waits(2, &moves), expected, "it moves");
}

#[test]
fn a_list_that_never_stands_still_is_given_up() {
    let restless: Vec<(bool, u64)> = (1..20).map(|listed| (false, listed)).collect();
    let waits = waits(2, &restless);
    assert_eq!(waits[..6], [100, 200, 400, 800, 1600, 2000].map(Some));
    assert_eq!((waits[9], waits[10]), (Some(2000), None));
}

#[test]
fn what_was_postponed_is_looked_at_again_but_nothing_is_after_a_failure() {
    with_review(|review| {
        review.postponed = true;
        assert_eq!(review.look_again(), Some(Duration::ZERO));
        assert_eq!(review.look_again(), None);
        (review.postponed, review.report.error) = (true, Some(Failure::Other("no".to_owned())));
        assert_eq!(review.look_again(), None);
    });
}

#[test]
fn who_was_held_is_not_decided_again_in_this_run_not_even_with_another_request() {
    with_review(|review| {
        let mut request = AccessRequest { request_id: Some("r".to_owned()), ..AccessRequest::default() };
        review.decide(&request);
        review.decide(&request);
        request.requested_at = Some(Utc::now());
        review.decide(&request);
        assert_eq!(review.report.counts.held, 1);
    });
}

#[test]
fn who_is_listed_with_another_request_before_anything_was_written_is_held() {
    with_review_by(r#"{"rules": [], "default": "accept"}"#, |review| {
        let mut request = AccessRequest { request_id: Some("r".to_owned()), ..AccessRequest::default() };
        request.requested_at = Some(Utc::now() - TimeDelta::seconds(60));
        review.decide(&request);
        assert_eq!((review.queue.len(), review.unwritten), (1, 1));
        request.requested_at = Some(Utc::now());
        review.decide(&request);
        review.decide(&request);
        assert_eq!((review.queue.len(), review.unwritten, review.report.counts.held), (0, 0, 1));
        assert!(review.queue.take(false).is_none());
        assert_eq!(review.pass.still_listed, 0);
        assert!(review.report.counts.oldest_pending_s.is_some_and(|age| age >= 60));
    });
}

#[test]
fn who_has_asked_again_is_new_once_the_first_request_is_written_and_not_before() {
    with_review_by(r#"{"rules": [], "default": "accept"}"#, |review| {
        let mut request = AccessRequest { request_id: Some("r".to_owned()), ..AccessRequest::default() };
        review.decide(&request);
        let decided = review.queue.take(false).expect("a group").decided;
        request.requested_at = Some(Utc::now());
        review.decide(&request);
        assert_eq!(review.queue.len(), 0, "the first is on its way");
        review.account_for(decided.into_iter().map(|one| (one, Ok(Handled::Done))).collect());
        review.decide(&request);
        review.decide(&request);
        assert_eq!((review.queue.len(), review.report.counts.accepted), (1, 1));
    });
}

#[test]
fn no_wait_goes_past_the_deadline() {
    with_review(|review| {
        review.deadline = Instant::now() + FIRST_PATIENCE / 2;
        review.pass = Pass { pages: 2, still_listed: 1, ..Pass::default() };
        assert_eq!(review.look_again(), None);
        assert!(
            review.report.error.as_ref().is_some_and(|error| error.to_string().contains("has not caught up"))
        );
    });
}

#[test]
fn the_next_pass_begins_early_only_if_what_is_left_fits_a_page() {
    let begins = |held: u64, unwritten| {
        with_review(|review| {
            review.pass = Pass { pages: 2, wrote: true, ..Pass::default() };
            review.held = (0..held).collect();
            review.unwritten = unwritten;
            review.next_page(0).is_some()
        })
    };
    assert!(begins(0, 999) && begins(500, 499) && begins(5000, 0));
    assert!(!begins(0, 1000) && !begins(500, 500) && !begins(5000, 1));
}

#[test]
fn what_is_read_ahead_is_two_and_a_half_batches_for_each_call_and_at_most_two_pages() {
    assert_eq!([1, 2, 7, 8, 100].map(max_ahead), [250, 500, 1750, 2000, 2000]);
}

#[test]
fn no_page_is_read_before_those_at_hand_are_few_enough() {
    with_review(|review| {
        let page: Url = "https://hub/page".parse().expect("a URL");
        review.next = Some(page.clone());
        review.undecided.extend([AccessRequest::default(), AccessRequest::default()]);
        let decision = Decision { verdict: Verdict::Accept, reason: None, grounds: Grounds::NoRule };
        for name in ["ada", "bob", "eve"] {
            let (identity, decision) = (Identity::UserName(name.to_owned()), decision.clone());
            review.queue.push(Decided { identity, hash: 0, who: None, requested_at: None, decision });
        }
        assert_eq!(review.next_page(4), None, "two and three are more than four");
        assert_eq!(review.next_page(5), Some((Some(page), Duration::ZERO)));
    });
}

#[tokio::test(start_paused = true)]
async fn how_many_wait_is_told_once_and_deciding_a_page_may_take_half_of_the_time_left() {
    let (repo, policy) = (repo(), Policy::parse(r#"{"rules": []}"#).expect("a policy"));
    let turns = Semaphore::new(2);
    let mut listed = Vec::new();
    let mut tell = |step: Step| listed.extend(if let Step::Listed(more) = step { Some(more) } else { None });
    let begun = Instant::now();
    let mut review = Review::new(&repo, &policy, false, begun + Duration::from_secs(8), &mut tell);
    for (passes, requests) in [(1, 3), (2, 5)] {
        review.passes = passes;
        let requests = (0..requests).map(|_| AccessRequest::default()).collect();
        review.take_in(Ok((turns.try_acquire().expect("a turn"), Page { requests, next: None })));
    }
    assert_eq!(review.decide_until - begun, Duration::from_secs(4));
    assert_eq!(review.undecided.len(), 8);
    drop(review);
    assert_eq!(listed, [3], "those of the second pass were seen before");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_decided_in_time_is_left_to_the_next_run() {
    with_review(|review| {
        let nobody = AccessRequest::default;
        (review.undecided, review.decide_until) = ([nobody(), nobody()].into(), Instant::now());
        review.decide_some();
        assert_eq!((review.report.counts.held, review.report.error.is_none()), (2, true), "just in time");

        (review.undecided, review.next) = ([nobody(), nobody()].into(), "https://hub/page".parse().ok());
        review.decide_until -= Duration::from_nanos(1);
        review.decide_some();
        assert_eq!((review.report.counts.held, review.undecided.len(), &review.next), (2, 0, &None));
        let error = review.report.error.as_ref().map(ToString::to_string).unwrap_or_default();
        assert!(error.contains("deciding takes too long"), "{error}");
    });
}

/// A Hub whose list, two pages long, shows Ada for ever, whatever is made of her request. Each call takes a second.
#[derive(Debug)]
struct Lagging;

impl Transport for Lagging {
    fn carry(&self, call: Request) -> Pin<Box<dyn Future<Output = Result<Response, Problem>> + Send + '_>> {
        let link = r#"</api/models/acme/model/user-access-request/pending?cursor=2>; rel="next""#;
        let (link, body) = match (call.method().as_str(), call.url().query()) {
            ("GET", Some("limit=1000")) => {
                (Some(link), r#"[{"user": {"_id": "id-ada", "user": "ada"}, "status": "pending"}]"#)
            }
            ("GET", _) => (None, "[]"),
            _ => (None, "{}"),
        };
        let mut answer = http::Response::new(body);
        answer.headers_mut().extend(link.map(|link| (http::header::LINK, link.parse().expect("a header"))));
        Box::pin(async {
            sleep(Duration::from_secs(1)).await;
            Ok(answer.into())
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_that_lags_is_given_time_before_it_is_read_again() {
    let given = || Source::Given(Secret::new("never shown"));
    let sources = Sources { token: given(), webhook: Some(given()), webhook_previous: None };
    let client = crate::http::client().expect("a client");
    let keyring = Keyring::read(sources, &client).await.expect("what is given");
    let hub = Hub::new(Lagging, "https://hub".parse().expect("a URL"), Arc::new(keyring), 8);
    let policy = Policy::parse(r#"{"rules": [], "default": "accept"}"#).expect("a policy");
    let begun = Instant::now();
    let report = review(&repo(), &policy, &hub, false, begun + Duration::from_secs(60), &mut |_| ()).await;
    assert!(report.complete, "{:?}", report.error);
    // Two pages and, with the second of them, a verdict; the same two pages at once, for others may have been skipped; and,
    // after a while, once more.
    assert_eq!((report.counts.calls, begun.elapsed()), (7, Duration::from_secs(6) + FIRST_PATIENCE));
}
