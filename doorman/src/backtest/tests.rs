use chrono::{DateTime, Utc};
use hub_doorman::hub::ListEntry;
use hub_doorman::model::{Decision, Grounds, Identity, Verdict};

use super::comparison::{Comparison, KINDS, PastDecision, Redecided, Table, VerdictCounts, is_dangerous};
use super::selection::{LeftOut, Selection};

const VERDICTS: [Verdict; 4] = [Verdict::Accept, Verdict::Hold, Verdict::Reset, Verdict::Reject];

fn time(text: &str) -> DateTime<Utc> {
    text.parse().expect("a time")
}

/// A request that a person decided in this way on a day of October, and that the policy decides by this rule.
fn redecided(name: &str, past: PastDecision, day: u8, verdict: Verdict, rule: &str) -> Redecided {
    Redecided {
        who: Some(Identity::UserName(name.to_owned())),
        requested_at: None,
        past,
        reviewed_at: time(&format!("2026-10-{day:02}T08:00:00Z")),
        decision: Decision::new(verdict, Grounds::Rule(rule.into())),
    }
}

fn names(comparison: &Comparison) -> Vec<&str> {
    let who = comparison.differences.iter().filter_map(|request| request.who.as_ref());
    who.map(Identity::as_str).collect()
}

#[test]
fn table_counts_each_pair_and_keeps_the_differences() {
    let mut comparison = Comparison::default();
    let mut number = 0;
    for past in PastDecision::ALL {
        for verdict in VERDICTS {
            number += 1;
            let name = format!("{} {}", past.status().as_str(), verdict.as_str());
            (0..number).for_each(|_| comparison.add(redecided(&name, past, 1, verdict, "rule")));
        }
    }
    comparison.sort();
    let expected = Table {
        accepted: VerdictCounts { accept: 1, hold: 2, reset: 3, reject: 4 },
        rejected: VerdictCounts { accept: 5, hold: 6, reset: 7, reject: 8 },
        reset: VerdictCounts { accept: 9, hold: 10, reset: 11, reject: 12 },
    };
    assert_eq!(comparison.table, expected);
    assert_eq!((expected.total(), expected.agreed(), expected.held()), (78, 1 + 8 + 11, 2 + 6 + 10));
    assert_eq!(comparison.differences.len(), 78 - 20);
    let mut kinds = names(&comparison);
    kinds.dedup();
    let dangerous_first = [
        "rejected accept",
        "reset accept",
        "accepted reject",
        "accepted reset",
        "reset reject",
        "rejected reset",
        "accepted hold",
        "rejected hold",
        "reset hold",
    ];
    assert_eq!(kinds, dangerous_first);
    let sum: Table = [expected, expected].into_iter().sum();
    assert_eq!((sum.total(), sum.accepted.reject, sum.rejected.reset, sum.reset.accept), (156, 8, 14, 18));
}

#[test]
fn only_new_access_is_dangerous() {
    let dangerous: Vec<_> = KINDS.into_iter().filter(|kind| is_dangerous(*kind)).collect();
    assert_eq!(
        dangerous,
        [(PastDecision::Rejected, Verdict::Accept), (PastDecision::Reset, Verdict::Accept)]
    );
    assert!(!is_dangerous((PastDecision::Accepted, Verdict::Accept)));
}

#[test]
fn differences_of_a_kind_are_sorted_by_rule_and_time() {
    let mut comparison = Comparison::default();
    for (name, past, day, rule) in [
        ("old b", PastDecision::Rejected, 1, "b"),
        ("reset", PastDecision::Reset, 9, "a"),
        ("old a", PastDecision::Rejected, 2, "a"),
        ("new b", PastDecision::Rejected, 4, "b"),
        ("new a", PastDecision::Rejected, 3, "a"),
    ] {
        comparison.add(redecided(name, past, day, Verdict::Accept, rule));
    }
    comparison.sort();
    assert_eq!(names(&comparison), ["new a", "old a", "new b", "old b", "reset"]);
}

#[test]
fn entry_is_compared_or_left_out_for_one_reason() {
    let entry = |reviewed_at: Option<&str>, granted_by: Option<&str>| {
        let mut entry = ListEntry {
            request: hub_doorman::model::AccessRequest::default(),
            reviewed_at: reviewed_at.map(time),
            granted_by: granted_by.map(str::to_owned),
        };
        entry.request.user.name = Some("ada".to_owned());
        entry.request.user.email = Some("ada at acme".to_owned());
        entry
    };
    let without_email = |mut entry: ListEntry| {
        entry.request.user.email = None;
        entry
    };
    let (before, on, after) = ("2026-09-30T23:59:59Z", "2026-10-01T00:00:00Z", "2026-10-02T08:00:00Z");
    let with_answer = |mut entry: ListEntry| {
        entry.request.fields.insert("Country".to_owned(), "CH".to_owned());
        entry
    };
    let hidden = |mut entry: ListEntry| {
        entry.request.user.name = None;
        entry
    };
    let granted = without_email(entry(Some(after), Some("bob")));
    // The entry, and the result for all requests, for those since October, and for those of other accounts than `Owner`.
    let cases = [
        (entry(Some(on), None), [Ok(on), Ok(on), Ok(on)]),
        (entry(Some(before), None), [Ok(before), Err(LeftOut::Earlier), Ok(before)]),
        (entry(None, None), [Err(LeftOut::Undated); 3]),
        (entry(Some(after), Some("bob")), [Ok(after); 3]),
        (entry(Some(after), Some("owner")), [Ok(after), Ok(after), Err(LeftOut::ByAccount)]),
        (entry(Some(before), Some("OWNER")), [Ok(before), Err(LeftOut::Earlier), Err(LeftOut::ByAccount)]),
        (granted.clone(), [Err(LeftOut::Granted); 3]),
        (with_answer(granted.clone()), [Ok(after); 3]),
        (hidden(granted), [Ok(after); 3]),
        (without_email(entry(Some(after), None)), [Ok(after); 3]),
        (without_email(entry(None, Some("owner"))), [Err(LeftOut::Granted); 3]),
    ];
    let selection = |since: Option<&str>, by_others| Selection {
        since: since.map(time),
        account: "Owner".into(),
        by_others,
    };
    let selections = [selection(None, false), selection(Some(on), false), selection(None, true)];
    for (number, (entry, expected)) in cases.into_iter().enumerate() {
        for (selection, expected) in selections.iter().zip(expected) {
            let since = selection.since;
            assert_eq!(selection.time_of(&entry), expected.map(time), "case {number}, since {since:?}");
        }
    }
}
