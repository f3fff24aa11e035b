//! Which page is read next, and what is done about a request that a page lists: tables of cases.

use tokio::time::advance;

use super::pass::{BetweenPasses, Next, PageRead, Pass};
use super::queue::Identities;
use super::*;
use crate::hub::{LIST_LAG, Problem};
use crate::model::User;

fn page(next: Option<&str>) -> PageRead {
    PageRead {
        url: "https://hub/pending?limit=1000&cursor=7".parse().expect("a URL"),
        next: next.map(|next| next.parse().expect("a URL")),
        is_full: false,
        is_sorted: true,
        fingerprint: 1,
        oldest: "2026-11-25T08:00:00Z".parse().ok(),
        newest: "2026-11-25T09:00:00Z".parse().ok(),
        requested: Instant::now(),
        took: Duration::ZERO,
    }
}

/// A full page without a next link.
fn unlinked(fingerprint: u64) -> PageRead {
    PageRead { is_full: true, fingerprint, ..page(None) }
}

/// A pass that has read these pages.
fn pass(pages: Vec<PageRead>) -> Pass {
    let mut pass = Pass::new();
    assert!(pass.next_linked(Instant::now()).is_some());
    for page in pages {
        pass.read(page).expect("no circle");
        pass.next_linked(Instant::now());
    }
    pass
}

fn at_rest() -> BetweenPasses {
    BetweenPasses { now: Instant::now(), again_from: None, settles_at: None }
}

fn first_page(from: Instant) -> Next {
    Next::Read { page: None, limit: PAGE, from }
}

#[tokio::test(start_paused = true)]
async fn pass_ends_once_nobody_can_have_been_skipped() {
    let now = Instant::now();
    let two_pages = || pass(vec![page(Some("https://hub/2")), page(None)]);
    let settles = BetweenPasses { settles_at: Some(now + LIST_LAG), ..at_rest() };
    assert_eq!(pass(vec![page(None)]).next(settles), Next::End(Ok(())), "one page shows everybody");
    assert_eq!(two_pages().next(at_rest()), Next::End(Ok(())), "nobody left");
    assert_eq!(two_pages().next(settles), first_page(now + LIST_LAG), "what was written may still be listed");
    let mut wrote = two_pages();
    wrote.wrote = true;
    assert_eq!(wrote.next(settles), first_page(now));
    let again = BetweenPasses { again_from: Some(now + LIST_LAG), ..at_rest() };
    assert_eq!(pass(vec![page(None)]).next(again), first_page(now + LIST_LAG));
}

#[tokio::test(start_paused = true)]
async fn restless_list_is_given_up() {
    let mut pass = pass(vec![page(None)]);
    let again = BetweenPasses { again_from: Some(Instant::now()), ..at_rest() };
    let passes = (0..100).take_while(|_| matches!(pass.next(again), Next::Read { .. })).count();
    assert_eq!(passes, 10);
}

#[tokio::test(start_paused = true)]
async fn full_page_without_link_is_probed_on_both_sides() {
    let mut pass = pass(vec![unlinked(1)]);
    let mut probes = Vec::new();
    for border in ["2026-11-25T09:00:00Z", "2026-11-25T08:00:00Z"] {
        let Next::Read { page: Some(url), .. } = pass.next(at_rest()) else { panic!("no probe") };
        probes.push(url.query().unwrap_or_default().to_owned());
        let at = border.parse().ok();
        pass.read(PageRead { oldest: at, newest: at, ..page(None) }).expect("no circle");
    }
    assert_eq!(
        probes,
        ["limit=1000&after=2026-11-25T08%3A59%3A59.999Z", "limit=1000&before=2026-11-25T08%3A00%3A00.001Z"]
    );
    assert_eq!(pass.next(at_rest()), Next::End(Ok(())), "partial answers prove the end");
}

#[tokio::test(start_paused = true)]
async fn answer_to_a_probe_proves_nothing_without_what_is_known() {
    let empty = || PageRead { oldest: None, newest: None, ..page(None) };
    let answers: [fn() -> PageRead; 2] = [|| unlinked(1), empty];
    for answer in answers {
        let mut pass = pass(vec![unlinked(1)]);
        while let Next::Read { page: Some(_), .. } = pass.next(at_rest()) {
            pass.read(answer()).expect("no circle");
        }
        assert!(matches!(pass.next(at_rest()), Next::End(Err(_))));
    }
}

#[tokio::test(start_paused = true)]
async fn full_page_in_no_order_of_time_is_not_probed() {
    let mut pass = pass(vec![PageRead { is_sorted: false, ..unlinked(1) }]);
    assert!(matches!(pass.next(at_rest()), Next::End(Err(_))));
}

#[tokio::test(start_paused = true)]
async fn full_page_of_which_some_were_written_is_read_again() {
    let mut pass = pass(vec![unlinked(1)]);
    pass.wrote = true;
    assert_eq!(pass.next(at_rest()), first_page(Instant::now()));
}

#[tokio::test(start_paused = true)]
async fn slow_page_halves_the_next_page_down_to_ten() {
    let limits = (0..9).scan(Pass::new(), |pass, _| {
        pass.read(PageRead { took: Duration::from_millis(1001), ..page(None) }).expect("no circle");
        match pass.next(BetweenPasses { again_from: Some(Instant::now()), ..at_rest() }) {
            Next::Read { limit, .. } => Some(limit),
            Next::End(_) => None,
        }
    });
    assert_eq!(limits.collect::<Vec<_>>(), [500, 250, 125, 62, 31, 15, 10, 10, 10]);
}

#[test]
fn pages_in_a_circle_are_an_error() {
    let mut pass = Pass::new();
    pass.read(page(Some("https://hub/2"))).expect("new");
    assert!(pass.read(page(Some("https://hub/2"))).is_err());
}

fn request(id: &str, user: &str, seconds: i64) -> AccessRequest {
    AccessRequest {
        request_id: Some(id.to_owned()),
        user: User { id: Some(user.to_owned()), ..User::default() },
        requested_at: chrono::DateTime::from_timestamp(seconds, 0),
        ..AccessRequest::default()
    }
}

/// A ledger with an accepted request that is on its way, and its key.
fn sent(attempts: Attempts) -> (Ledger, Key) {
    let (mut ledger, request) = (Ledger::default(), request("r", "ada", 0));
    let key = ledger.key(&request).expect("named");
    let decision = Decision { verdict: Verdict::Accept, reason: None, grounds: Grounds::NoRule };
    let (identities, page) = (Identities::of(&request), Moment::now(std::time::SystemTime::now()));
    let decided =
        Decided { key, identities, by_user: true, who: None, requested_at: None, decision, attempts, page };
    ledger.queue(&decided, 1);
    ledger.send(key);
    (ledger, key)
}

fn lost() -> HubError {
    HubError::new("POST /x", Problem::TooSlow)
}

#[tokio::test(start_paused = true)]
async fn request_in_doubt_waits_for_a_later_page() {
    let (mut ledger, key) = sent(Attempts::default());
    let ended = Instant::now();
    let one = Attempts { made: 1, ..Attempts::default() };
    assert!(ledger.written(key, one, Err(lost()), ended).is_none());
    assert_eq!(ledger.again_from(1, ended, ended), Some(ended + LIST_LAG));
    let bit = Duration::from_millis(1);
    assert_eq!(ledger.on_listed(key, ended + LIST_LAG - bit, 2), ListedAction::Ignore);
    assert_eq!(ledger.on_listed(key, ended + LIST_LAG, 3), ListedAction::Decide(one));
    assert_eq!(ledger.again_from(1, ended + LIST_LAG, ended), None);
}

#[tokio::test(start_paused = true)]
async fn request_in_doubt_that_is_listed_no_more_is_unknown() {
    for (began, is_known) in [(LIST_LAG, true), (Duration::from_millis(1999), false)] {
        let (mut ledger, key) = sent(Attempts::default());
        let ended = Instant::now();
        ledger.written(key, Attempts::default(), Err(lost()), ended);
        let concluded = ledger.finish(2, Some(ended + began)).remove(0);
        assert_eq!((concluded.outcome, concluded.is_known), (Outcome::Unknown, is_known));
    }
}

#[tokio::test(start_paused = true)]
async fn written_request_is_ignored_while_the_list_lags() {
    let (mut ledger, key) = sent(Attempts::default());
    let ended = Instant::now();
    assert!(ledger.written(key, Attempts::default(), Ok(Handled::Done), ended).is_some());
    ledger.forget_recent_writes(ended);
    assert_eq!((ledger.on_listed(key, ended, 2), ledger.relisted()), (ListedAction::Ignore, 0));
    advance(LIST_LAG).await;
    ledger.forget_recent_writes(Instant::now());
    assert_eq!((ledger.on_listed(key, Instant::now(), 3), ledger.relisted()), (ListedAction::Ignore, 1));
}

/// The list lags: it shows the request that ada withdrew, after the one that she made then.
#[tokio::test(start_paused = true)]
async fn older_request_of_a_user_who_was_just_written_waits() {
    let (mut ledger, key) = sent(Attempts::default());
    let ended = Instant::now();
    ledger.written(key, Attempts::default(), Ok(Handled::Done), ended);
    let other = ledger.key(&request("r0", "ada", 1)).expect("named");
    assert_eq!(ledger.on_listed(other, ended, 1), ListedAction::Ignore);
    let from = ended + LIST_LAG;
    assert_eq!(ledger.again_from(1, ended, ended), Some(from));
    assert_eq!(ledger.on_listed(other, from, 2), ListedAction::Decide(Attempts::default()));
}

#[tokio::test(start_paused = true)]
async fn request_that_is_gone_by_both_identities_is_stuck() {
    let (mut ledger, key) = sent(Attempts::default());
    let mut attempts = Attempts { made: 1, ..Attempts::default() };
    attempts.tried.user = true;
    ledger.written(key, attempts, Ok(Handled::Gone), Instant::now());
    advance(LIST_LAG).await;
    assert_eq!(
        ledger.on_listed(key, Instant::now(), 2),
        ListedAction::Decide(attempts),
        "by its other identity"
    );
    attempts.tried.request_id = true;
    ledger.written(key, attempts, Ok(Handled::NoUser), Instant::now());
    assert_eq!(ledger.on_listed(key, Instant::now(), 3), ListedAction::Ignore);
    advance(LIST_LAG).await;
    assert_eq!(ledger.on_listed(key, Instant::now(), 4), ListedAction::GiveUp(Outcome::Stuck));
}

#[tokio::test(start_paused = true)]
async fn eighth_attempt_is_the_last() {
    for (made, stalled, expected) in [(7, 2, None), (8, 0, Some(())), (3, 3, Some(()))] {
        let (mut ledger, key) = sent(Attempts::default());
        let attempts = Attempts { made, stalled, ..Attempts::default() };
        ledger.written(key, attempts, Err(HubError::new("POST /x", Problem::Postponed)), Instant::now());
        let listed = ledger.on_listed(key, Instant::now(), 2);
        assert_eq!(listed == ListedAction::GiveUp(Outcome::Failed), expected.is_some(), "{made} {stalled}");
    }
}

#[tokio::test(start_paused = true)]
async fn new_request_waits_while_the_old_one_is_in_doubt() {
    let (mut ledger, old) = sent(Attempts::default());
    let new = ledger.key(&request("r2", "ada", 60)).expect("named");
    assert_eq!(ledger.on_listed(new, Instant::now(), 1), ListedAction::Ignore, "a write is under way");
    let ended = Instant::now();
    assert_eq!(ledger.again_from(1, ended, ended), Some(ended), "it was overlooked");
    ledger.written(old, Attempts::default(), Err(lost()), ended);
    assert_eq!(ledger.on_listed(new, ended, 1), ListedAction::Ignore);
    assert_eq!(ledger.on_listed(new, ended + LIST_LAG, 1), ListedAction::Decide(Attempts::default()));
}

#[test]
fn user_with_two_requests_before_a_write_contradicts() {
    let (mut ledger, request_of_ada) = (Ledger::default(), request("r", "ada", 0));
    let key = ledger.key(&request_of_ada).expect("named");
    let decision = Decision { verdict: Verdict::Accept, reason: None, grounds: Grounds::NoRule };
    let (identities, page, attempts) =
        (Identities::of(&request_of_ada), Moment::now(std::time::SystemTime::now()), Attempts::default());
    let decided =
        Decided { key, identities, by_user: true, who: None, requested_at: None, decision, attempts, page };
    ledger.queue(&decided, 1);
    let other = ledger.key(&request("r2", "ada", 0)).expect("named");
    assert_eq!(ledger.on_listed(other, Instant::now(), 1), ListedAction::Contradicts(key));
    let bob = ledger.key(&request("r3", "bob", 0)).expect("named");
    assert_eq!(ledger.on_listed(bob, Instant::now(), 1), ListedAction::Decide(attempts));
}

#[test]
fn identities_are_tried_one_after_the_other() {
    let identities = Identities::of(&request("r", "ada", 0));
    let mut tried = queue::Tried::default();
    assert_eq!(identities.for_handle(tried), Some(&Identity::UserId("ada".to_owned())));
    tried.user = true;
    assert_eq!(identities.for_handle(tried), Some(&Identity::RequestId("r".to_owned())));
}

#[test]
fn read_ahead_is_bounded_by_calls_and_pages() {
    assert_eq!([1, 2, 7, 8, 100].map(max_ahead), [250, 500, 1750, 2000, 2000]);
}
