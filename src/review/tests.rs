//! Unit tests: which page is read next, and what is done about a request that a page lists.

use tokio::time::advance;

use super::brake::{Permission, Withheld};
use super::decided::{Attempts, DecidedRequest, Identities, Key, UnknownIdentities};
use super::ledger::ListedAction;
use super::pages::max_ahead;
use super::reading::{BetweenReadings, Next, NextPage, PageRead, Reading};
use super::*;
use crate::hub::{HubError, LIST_LAG, MAX_PAGE, Moment, Problem, WriteResult};
use crate::model::{AccessRequest, Decision, Grounds, Identity, Outcome, User, Verdict};
use crate::policy::Limits;
use crate::report::LimitReached;

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

/// A reading that has read these pages.
fn reading(pages: Vec<PageRead>) -> Reading {
    let mut reading = Reading::new();
    assert!(reading.next_linked(Instant::now()).is_some());
    for page in pages {
        reading.add(page).expect("no circle");
        reading.next_linked(Instant::now());
    }
    reading
}

fn nothing_open() -> BetweenReadings {
    BetweenReadings { now: Instant::now(), again_from: None, settles_at: None }
}

fn first_page(from: Instant) -> Next {
    Next::Read(NextPage { url: None, limit: MAX_PAGE, from })
}

#[tokio::test(start_paused = true)]
async fn reading_ends_once_no_request_can_have_been_skipped() {
    let now = Instant::now();
    let two_pages = || reading(vec![page(Some("https://hub/2")), page(None)]);
    let settles = BetweenReadings { settles_at: Some(now + LIST_LAG), ..nothing_open() };
    assert_eq!(reading(vec![page(None)]).next(settles), Next::End(Ok(())), "one page shows the whole list");
    assert_eq!(two_pages().next(nothing_open()), Next::End(Ok(())), "no request has left");
    assert_eq!(two_pages().next(settles), first_page(now + LIST_LAG), "written requests may still be listed");
    let mut wrote = two_pages();
    wrote.has_writes = true;
    assert_eq!(wrote.next(settles), first_page(now));
    let again = BetweenReadings { again_from: Some(now + LIST_LAG), ..nothing_open() };
    assert_eq!(reading(vec![page(None)]).next(again), first_page(now + LIST_LAG));
}

#[tokio::test(start_paused = true)]
async fn list_that_keeps_changing_is_given_up_after_ten_readings() {
    let mut reading = reading(vec![page(None)]);
    let again = BetweenReadings { again_from: Some(Instant::now()), ..nothing_open() };
    let readings = (0..100).take_while(|_| matches!(reading.next(again), Next::Read(_))).count();
    assert_eq!(readings, 10);
}

#[tokio::test(start_paused = true)]
async fn full_page_without_link_is_probed_on_both_sides() {
    let mut reading = reading(vec![unlinked(1)]);
    let mut probes = Vec::new();
    for border in ["2026-11-25T09:00:00Z", "2026-11-25T08:00:00Z"] {
        let Next::Read(NextPage { url: Some(url), .. }) = reading.next(nothing_open()) else {
            panic!("no probe")
        };
        probes.push(url.query().unwrap_or_default().to_owned());
        let at = border.parse().ok();
        reading.add(PageRead { oldest: at, newest: at, ..page(None) }).expect("no circle");
    }
    assert_eq!(
        probes,
        ["limit=1000&after=2026-11-25T08%3A59%3A59.999Z", "limit=1000&before=2026-11-25T08%3A00%3A00.001Z"]
    );
    assert_eq!(reading.next(nothing_open()), Next::End(Ok(())), "pages that are not full prove the end");
}

#[tokio::test(start_paused = true)]
async fn probe_without_the_known_border_proves_nothing() {
    let empty = || PageRead { oldest: None, newest: None, ..page(None) };
    let probes: [fn() -> PageRead; 2] = [|| unlinked(1), empty];
    for probe in probes {
        let mut reading = reading(vec![unlinked(1)]);
        while let Next::Read(NextPage { url: Some(_), .. }) = reading.next(nothing_open()) {
            reading.add(probe()).expect("no circle");
        }
        assert!(matches!(reading.next(nothing_open()), Next::End(Err(_))));
    }
}

#[tokio::test(start_paused = true)]
async fn full_page_that_is_not_in_time_order_is_not_probed() {
    let mut reading = reading(vec![PageRead { is_sorted: false, ..unlinked(1) }]);
    assert!(matches!(reading.next(nothing_open()), Next::End(Err(_))));
}

#[tokio::test(start_paused = true)]
async fn full_page_with_writes_is_read_again() {
    let mut reading = reading(vec![unlinked(1)]);
    reading.has_writes = true;
    assert_eq!(reading.next(nothing_open()), first_page(Instant::now()));
}

#[tokio::test(start_paused = true)]
async fn slow_page_halves_the_next_page_down_to_ten() {
    let limits = (0..9).scan(Reading::new(), |reading, _| {
        reading.add(PageRead { took: Duration::from_millis(1001), ..page(None) }).expect("no circle");
        match reading.next(BetweenReadings { again_from: Some(Instant::now()), ..nothing_open() }) {
            Next::Read(NextPage { limit, .. }) => Some(limit),
            Next::End(_) => None,
        }
    });
    assert_eq!(limits.collect::<Vec<_>>(), [500, 250, 125, 62, 31, 15, 10, 10, 10]);
}

#[test]
fn pages_in_a_circle_are_an_error() {
    let mut reading = Reading::new();
    reading.add(page(Some("https://hub/2"))).expect("new");
    assert!(reading.add(page(Some("https://hub/2"))).is_err());
}

#[tokio::test]
async fn waits_add_up_until_a_request_is_concluded() {
    let (mut reading, now) = (Reading::new(), Instant::now());
    let minutes = |number: u64| Duration::from_secs(60 * number);
    assert!(reading.add_wait(minutes(3)));
    let next = reading.next(BetweenReadings { now, again_from: Some(now), settles_at: None });
    assert!(matches!(next, Next::Read(_)));
    assert!(reading.add_wait(minutes(2)), "the wait before the last reading counts");
    assert!(!reading.add_wait(Duration::from_secs(1)));
    reading.note_conclusion();
    assert!(reading.add_wait(minutes(5)));
}

fn request(id: &str, user: &str, seconds: i64) -> AccessRequest {
    AccessRequest {
        request_id: Some(id.to_owned()),
        user: User { id: Some(user.to_owned()), ..User::default() },
        requested_at: chrono::DateTime::from_timestamp(seconds, 0),
        ..AccessRequest::default()
    }
}

/// A ledger with a queued decision about a request of ada, and the key of the request.
fn queued(attempts: Attempts) -> (Ledger, Key) {
    let mut ledger = Ledger::default();
    let key = queue(&mut ledger, &request("r", "ada", 0), attempts);
    (ledger, key)
}

/// Queues a decision about a request, and returns its key.
fn queue(ledger: &mut Ledger, request: &AccessRequest, attempts: Attempts) -> Key {
    let key = ledger.key(request).expect("named");
    let decision = Decision::new(Verdict::Accept, Grounds::NoRule);
    let (identities, page) = (Identities::of(request), Moment::now(std::time::SystemTime::now()));
    let decided = DecidedRequest {
        choice: None,
        key,
        identities,
        by_user: true,
        who: None,
        requested_at: None,
        decision,
        attempts,
        page,
    };
    ledger.queue(&decided, 1);
    key
}

/// Like [`queued`], but the call is in flight.
fn sent(attempts: Attempts) -> (Ledger, Key) {
    let (mut ledger, key) = queued(attempts);
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
    assert!(ledger.add_result(key, one, Err(lost()), ended).is_none());
    assert_eq!(ledger.next_reading_from(1, ended, ended), Some(ended + LIST_LAG));
    let margin = Duration::from_millis(1);
    assert_eq!(ledger.on_listed(key, ended + LIST_LAG - margin, 2), ListedAction::Ignore);
    assert_eq!(ledger.on_listed(key, ended + LIST_LAG, 3), ListedAction::Decide(one));
    assert_eq!(ledger.next_reading_from(1, ended + LIST_LAG, ended), None);
}

#[tokio::test(start_paused = true)]
async fn request_in_doubt_that_leaves_the_list_is_unknown() {
    for (began, is_certain) in [(LIST_LAG, true), (Duration::from_millis(1999), false)] {
        let (mut ledger, key) = sent(Attempts::default());
        let ended = Instant::now();
        ledger.add_result(key, Attempts::default(), Err(lost()), ended);
        let concluded = ledger.finish(2, Some(ended + began)).remove(0);
        assert_eq!((concluded.outcome, concluded.is_certain), (Outcome::Unknown, is_certain));
    }
}

#[tokio::test(start_paused = true)]
async fn written_request_is_ignored_while_the_list_lags() {
    let (mut ledger, key) = sent(Attempts::default());
    let ended = Instant::now();
    assert!(ledger.add_result(key, Attempts::default(), Ok(WriteResult::Done), ended).is_some());
    ledger.forget_recent_writes(ended);
    assert_eq!((ledger.on_listed(key, ended, 2), ledger.relisted()), (ListedAction::Ignore, 0));
    advance(LIST_LAG).await;
    ledger.forget_recent_writes(Instant::now());
    assert_eq!((ledger.on_listed(key, Instant::now(), 3), ledger.relisted()), (ListedAction::Ignore, 1));
}

/// The list lags: it also shows a request that ada withdrew before she made the one that was written.
#[tokio::test(start_paused = true)]
async fn older_request_waits_after_a_write_that_names_its_user() {
    let (mut ledger, key) = sent(Attempts::default());
    let ended = Instant::now();
    ledger.add_result(key, Attempts::default(), Ok(WriteResult::Done), ended);
    let other = ledger.key(&request("r0", "ada", 1)).expect("named");
    assert_eq!(ledger.on_listed(other, ended, 1), ListedAction::Ignore);
    let from = ended + LIST_LAG;
    assert_eq!(ledger.next_reading_from(1, ended, ended), Some(from));
    assert_eq!(ledger.on_listed(other, from, 2), ListedAction::Decide(Attempts::default()));
}

#[tokio::test(start_paused = true)]
async fn listed_request_unknown_by_both_identities_is_stuck() {
    let (mut ledger, key) = sent(Attempts::default());
    let mut attempts = Attempts { made: 1, ..Attempts::default() };
    attempts.unknown.user = true;
    ledger.add_result(key, attempts, Ok(WriteResult::NoSuchRequest), Instant::now());
    advance(LIST_LAG).await;
    assert_eq!(
        ledger.on_listed(key, Instant::now(), 2),
        ListedAction::Decide(attempts),
        "by its other identity"
    );
    attempts.unknown.request_id = true;
    ledger.add_result(key, attempts, Ok(WriteResult::NoSuchUser), Instant::now());
    assert_eq!(ledger.on_listed(key, Instant::now(), 3), ListedAction::Ignore);
    advance(LIST_LAG).await;
    assert_eq!(ledger.on_listed(key, Instant::now(), 4), ListedAction::GiveUp(Outcome::Stuck));
}

#[tokio::test(start_paused = true)]
async fn eighth_attempt_is_the_last() {
    for (made, stalled, expected) in [(7, 2, None), (8, 0, Some(())), (3, 3, Some(()))] {
        let (mut ledger, key) = sent(Attempts::default());
        let attempts = Attempts { made, stalled, ..Attempts::default() };
        ledger.add_result(key, attempts, Err(HubError::new("POST /x", Problem::Postponed)), Instant::now());
        let listed = ledger.on_listed(key, Instant::now(), 2);
        assert_eq!(listed == ListedAction::GiveUp(Outcome::Failed), expected.is_some(), "{made} {stalled}");
    }
}

#[tokio::test(start_paused = true)]
async fn new_request_waits_while_the_old_one_is_in_doubt() {
    let (mut ledger, old) = sent(Attempts::default());
    let new = ledger.key(&request("r2", "ada", 60)).expect("named");
    assert_eq!(ledger.on_listed(new, Instant::now(), 1), ListedAction::Ignore, "a call is in flight");
    let ended = Instant::now();
    assert_eq!(ledger.next_reading_from(1, ended, ended), Some(ended), "it was not decided");
    ledger.add_result(old, Attempts::default(), Err(lost()), ended);
    assert_eq!(ledger.on_listed(new, ended, 1), ListedAction::Ignore);
    assert_eq!(ledger.on_listed(new, ended + LIST_LAG, 1), ListedAction::Decide(Attempts::default()));
}

/// Users may hide their data from a list at any time, so an entry without a user may be of the same user.
#[tokio::test(start_paused = true)]
async fn doubt_about_a_request_without_a_user_holds_new_ones() {
    let nameless = |id, second| AccessRequest { user: User::default(), ..request(id, "ada", second) };
    for (old, new) in
        [(nameless("r", 0), request("r", "ada", 1)), (request("r", "ada", 0), nameless("r2", 1))]
    {
        let mut ledger = Ledger::default();
        let (old, new) = (queue(&mut ledger, &old, Attempts::default()), ledger.key(&new).expect("an id"));
        ledger.send(old);
        let ended = Instant::now();
        ledger.add_result(old, Attempts::default(), Err(lost()), ended);
        assert_eq!(ledger.on_listed(new, ended, 1), ListedAction::Ignore);
        assert_eq!(ledger.next_reading_from(1, ended, ended), Some(ended + LIST_LAG));
        assert_eq!(ledger.on_listed(new, ended + LIST_LAG, 2), ListedAction::Decide(Attempts::default()));
    }
}

#[test]
fn second_request_contradicts_a_queued_one() {
    let (mut ledger, key) = queued(Attempts::default());
    let other = ledger.key(&request("r2", "ada", 0)).expect("named");
    assert_eq!(ledger.on_listed(other, Instant::now(), 1), ListedAction::Contradicts(key));
    let bob = ledger.key(&request("r3", "bob", 0)).expect("named");
    assert_eq!(ledger.on_listed(bob, Instant::now(), 1), ListedAction::Decide(Attempts::default()));
}

#[test]
fn identities_are_tried_one_after_the_other() {
    let identities = Identities::of(&request("r", "ada", 0));
    let mut unknown = UnknownIdentities::default();
    assert_eq!(identities.for_handle(unknown), Some(&Identity::UserId("ada".to_owned())));
    unknown.user = true;
    assert_eq!(identities.for_handle(unknown), Some(&Identity::RequestId("r".to_owned())));
}

#[test]
fn read_ahead_is_bounded_by_calls_and_pages() {
    assert_eq!([1, 2, 7, 8, 100].map(max_ahead), [250, 500, 1750, 2000, 2000]);
}

#[test]
fn brake_counts_a_list_before_it_permits_a_write() {
    use Verdict::{Accept, Reject, Reset};
    // A long list of these verdicts: how many wait for the next reading, how many are left, and how many that reading writes.
    let cases: [(&[Verdict], Limits, usize, usize, usize); 8] = [
        (&[Accept; 3], Limits { accept: Some(3), reject: None }, 3, 0, 3),
        (&[Accept; 3], Limits { accept: Some(2), reject: None }, 0, 3, 0),
        (&[Accept; 3], Limits { accept: Some(0), reject: None }, 0, 3, 0),
        (&[Accept; 3], Limits { accept: None, reject: Some(0) }, 0, 0, 3),
        (&[Accept, Reject, Accept, Reject], Limits { accept: Some(1), reject: Some(2) }, 2, 2, 2),
        (&[Accept, Reject, Accept, Reject], Limits { accept: Some(2), reject: Some(1) }, 2, 2, 2),
        (&[Reset, Accept, Accept], Limits { accept: Some(1), reject: None }, 0, 2, 1),
        (&[Reset, Reset], Limits { accept: Some(0), reject: Some(0) }, 0, 0, 2),
    ];
    for (verdicts, limits, waiting, left, written) in cases {
        let mut brake = Brake::default();
        brake.set_limits(limits);
        let mut over = 0;
        for (number, verdict) in verdicts.iter().enumerate() {
            match brake.add(withheld(number as u64, *verdict), false) {
                Permission::Write(_) => panic!("nothing is written while the list is counted"),
                Permission::Wait => {}
                Permission::Leave(requests) => over += requests.len(),
            }
        }
        assert_eq!(brake.has_writes(), written > 0, "{verdicts:?} {limits:?}");
        assert_eq!((brake.end_counting().len(), over), (waiting, left), "{verdicts:?} {limits:?}");
        let may_write = |(number, verdict): (usize, &Verdict)| {
            matches!(brake.add(withheld(number as u64, *verdict), false), Permission::Write(_))
        };
        let permitted = verdicts.iter().enumerate().map(may_write).filter(|may| *may).count();
        assert_eq!(permitted, written, "{verdicts:?} {limits:?}");
    }
}

#[test]
fn brake_admits_a_repeated_write_but_no_further_request() {
    let mut brake = Brake::default();
    brake.set_limits(Limits { accept: Some(1), reject: None });
    assert!(matches!(brake.add(withheld(1, Verdict::Accept), false), Permission::Wait));
    assert!(matches!(brake.add(withheld(1, Verdict::Accept), false), Permission::Wait), "listed twice");
    assert_eq!(brake.end_counting().len(), 1);
    assert!(matches!(brake.add(withheld(1, Verdict::Accept), false), Permission::Write(_)));
    assert!(matches!(brake.add(withheld(2, Verdict::Accept), false), Permission::Leave(_)));
    assert!(matches!(brake.add(withheld(1, Verdict::Accept), false), Permission::Write(_)), "again");
    let expected = LimitReached { verdict: Verdict::Accept, limit: 1, requests: 2, left: 1 };
    assert_eq!(brake.limits_reached(), [expected]);
}

/// A decision about the request with this key.
fn withheld(request: u64, verdict: Verdict) -> Withheld {
    let decided = DecidedRequest {
        choice: None,
        key: Key { request, user: None },
        identities: Identities { request_id: None, user: None },
        by_user: false,
        who: None,
        requested_at: None,
        decision: Decision::new(verdict, Grounds::NoRule),
        attempts: Attempts::default(),
        page: Moment::now(std::time::SystemTime::now()),
    };
    Withheld { decided, entry: None }
}
