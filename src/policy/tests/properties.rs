//! Properties of every policy and every request, tested with generated rules.

use std::fmt;

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::{at, policy};
use crate::model::{AccessRequest, Decision, Grounds, Repo, RepoType, User, Verdict};
use crate::policy::Policy;
use crate::properties::often;

/// Removes one value that a rule can read.
type Removal = fn(&mut AccessRequest, &mut Repo);

/// Each value that a rule can read and a request may lack: how it is removed, and conditions that read only this value.
const READ: [(&str, Removal, &[&str]); 12] = [
    ("id", |request, _| request.user.id = None, &["user.id == 'u-1'", "user['id'] != 'u-1'"]),
    (
        "name",
        |request, _| request.user.name = None,
        &["user.name == 'ada'", "user.name.startsWith('b')", "size(user.name) > 3"],
    ),
    (
        "fullname",
        |request, _| request.user.fullname = None,
        &["user.fullname.contains('L')", "user.fullname.matches('^A.*e$')"],
    ),
    ("email", |request, _| request.user.email = None, &["user.email.endsWith('acme.com')"]),
    (
        "domain",
        |request, _| request.user.email = None,
        &["user.domain == 'acme.com'", "user.domain in ['epfl.ch', 'acme.com']"],
    ),
    ("pro", |request, _| request.user.pro = None, &["user.pro", "user.pro == false"]),
    (
        "verified_orgs",
        |request, _| request.user.verified_orgs = None,
        &[
            "'epfl' in user.verified_orgs",
            "user.verified_orgs.exists(o, o == 'acme')",
            "user.verified_orgs[0] == 'acme'",
        ],
    ),
    (
        "orgs",
        |request, _| request.user.orgs = None,
        &["size(user.orgs) == 1", "user.orgs.all(o, o != 'epfl')"],
    ),
    (
        "requested_at",
        |request, _| request.requested_at = None,
        &["requested_at < now", "now - requested_at > duration('24h')"],
    ),
    (
        "Country",
        |request, _| drop(request.fields.remove("Country")),
        &["fields['Country'] == 'CH'", "fields.Country in ['KP', 'CH']"],
    ),
    (
        "Age",
        |request, _| drop(request.fields.remove("Age")),
        &["int(fields['Age']) >= 18", "fields['Age'] < '5'"],
    ),
    (
        "owner",
        |_, repo| *repo = Repo::new(RepoType::Model, "bare").expect("a name"),
        &["repo.owner == 'acme'", "repo.owner > 'b'"],
    ),
];

/// Conditions that can be evaluated whatever the request lacks.
const OTHERS: [&str; 6] =
    ["true", "false", "has(user.email)", "'Country' in fields", "'orgs' in user", "repo.type == 'dataset'"];

/// A rule before it has a name.
#[derive(Clone)]
struct Rule {
    then: Verdict,
    condition: String,
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.then.as_str(), self.condition)
    }
}

/// A policy of these rules, which are called 0, 1 and so on. A rule has a reason if its verdict can have one.
fn compile(rules: &[Rule], default: Verdict) -> Policy {
    let written: Vec<_> = rules
        .iter()
        .enumerate()
        .map(|(index, Rule { then, condition })| {
            let mut rule = serde_json::json!({"name": index.to_string(), "then": then, "if": condition});
            if matches!(then, Verdict::Reject | Verdict::Reset) {
                rule["reason"] = format!("because of {index}").into();
            }
            rule
        })
        .collect();
    policy(&serde_json::json!({"rules": written, "default": default}).to_string())
}

fn decide(rules: &[Rule], default: Verdict, (request, repo): &(AccessRequest, Repo)) -> Decision {
    compile(rules, default).decide(request, repo, at("2026-11-22T12:00:00Z"))
}

/// The decision of a policy, computed from the decisions of each rule alone. This is the complete meaning of a policy.
fn expected(
    rules: &[Rule],
    default: Verdict,
    request_and_repo: &(AccessRequest, Repo),
) -> (Verdict, Option<usize>) {
    let alone = |rule: &Rule| decide(std::slice::from_ref(rule), Verdict::Hold, request_and_repo).grounds;
    let grounds: Vec<Grounds> = rules.iter().map(alone).collect();
    let verdicts = rules.iter().zip(&grounds).map(|(rule, grounds)| match grounds {
        Grounds::Rule(_) => Some(rule.then),
        Grounds::Unknown { .. } => Some(Verdict::Hold),
        _ => None,
    });
    let verdicts: Vec<Option<Verdict>> = verdicts.collect();
    let strictest = verdicts.iter().flatten().max().copied();
    let first = verdicts.iter().position(|verdict| verdict.is_some() && *verdict == strictest);
    (strictest.unwrap_or(default), first)
}

fn verdict() -> impl Strategy<Value = Verdict> {
    select(&[Verdict::Accept, Verdict::Hold, Verdict::Reset, Verdict::Reject][..])
}

/// Nested conditions that consist of these ones.
fn nested(leaf: impl Strategy<Value = String> + 'static) -> impl Strategy<Value = String> {
    leaf.prop_recursive(3, 12, 3, |inner| {
        let two = (inner.clone(), inner.clone());
        prop_oneof![
            two.clone().prop_map(|(a, b)| format!("({a} && {b})")),
            two.prop_map(|(a, b)| format!("({a} || {b})")),
            inner.clone().prop_map(|a| format!("!({a})")),
            (inner.clone(), inner.clone(), inner).prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
        ]
    })
}

fn rules() -> impl Strategy<Value = Vec<Rule>> {
    let all: Vec<&str> = READ.iter().flat_map(|(_, _, reads)| *reads).chain(&OTHERS).copied().collect();
    let rule = (verdict(), nested(select(all).prop_map(str::to_owned)));
    prop::collection::vec(rule.prop_map(|(then, condition)| Rule { then, condition }), 0..5)
}

/// A request with some of its values, and its repo.
fn request_and_repo() -> impl Strategy<Value = (AccessRequest, Repo)> {
    let text = |texts: &'static [&'static str]| mostly(select(texts).prop_map(str::to_owned));
    let names =
        || mostly(prop::collection::vec(select(&["acme", "epfl", "x"][..]).prop_map(str::to_owned), 0..3));
    let user = (
        text(&["u-1", "u-2"]),
        text(&["ada", "bob"]),
        text(&["Ada Lovelace", ""]),
        text(&["ada@acme.com", "bob@EPFL.ch", "eve@localhost"]),
        mostly(any::<bool>()),
        names(),
        names(),
    );
    let at = mostly(select(&["2026-11-22T11:00:00Z", "2026-11-01T00:00:00Z", "2027-01-01T00:00:00Z"][..]));
    let answers = (text(&["CH", "KP", ""]), text(&["36", "7", "old"]));
    let repo = select(&["acme/corpus", "zoo/corpus", "bare"][..]);
    (user, at, answers, repo).prop_map(|(user, requested_at, (country, age), repo)| {
        let mut request = AccessRequest { request_id: Some("r-1".to_owned()), ..AccessRequest::default() };
        let User { id, name, fullname, email, pro, verified_orgs, orgs, service_account: _ } =
            &mut request.user;
        (*id, *name, *fullname, *email, *pro, *verified_orgs, *orgs) = user;
        request.requested_at = requested_at.map(super::at);
        request.fields.extend(country.map(|answer| ("Country".to_owned(), answer)));
        request.fields.extend(age.map(|answer| ("Age".to_owned(), answer)));
        (request, Repo::new(RepoType::Dataset, repo).expect("a name"))
    })
}

fn mostly<T: fmt::Debug + Clone>(known: impl Strategy<Value = T>) -> impl Strategy<Value = Option<T>> {
    prop::option::weighted(0.9, known)
}

proptest! {
    #![proptest_config(often())]

    #[test]
    fn rules_together_decide_as_each_alone_in_any_order(
        (rules, shuffled) in rules().prop_flat_map(|rules| (Just(rules.clone()), Just(rules).prop_shuffle())),
        default in verdict(),
        request_and_repo in request_and_repo(),
    ) {
        let (first, second) = (decide(&rules, default, &request_and_repo), decide(&shuffled, default, &request_and_repo));
        prop_assert_eq!(first.verdict, second.verdict);
        for (rules, decision) in [(rules, first), (shuffled, second)] {
            let (verdict, rule) = expected(&rules, default, &request_and_repo);
            let rule = rule.map(|index| index.to_string());
            prop_assert_eq!((decision.verdict, decision.grounds.rule()), (verdict, rule.as_deref()));
            let has_reason = matches!(verdict, Verdict::Reset | Verdict::Reject);
            let reason = rule.filter(|_| has_reason).map(|rule| format!("because of {rule}"));
            prop_assert_eq!(decision.reason.as_deref(), reason.as_deref());
        }
    }

    #[test]
    fn missing_value_that_a_rule_reads_accepts_nobody(
        (removal, condition) in select(&READ[..]).prop_flat_map(|(_, removal, reads)| {
            (Just(removal), nested(select(reads).prop_map(str::to_owned)))
        }),
        mut rules in rules(),
        (then, place) in (verdict(), any::<Index>()),
        default in verdict(),
        mut request_and_repo in request_and_repo(),
    ) {
        rules.insert(place.index(rules.len() + 1), Rule { then, condition });
        let (request, repo) = &mut request_and_repo;
        removal(request, repo);
        let decision = decide(&rules, default, &request_and_repo);
        prop_assert_ne!(decision.verdict, Verdict::Accept);
        let is_held = matches!(decision.grounds, Grounds::Unknown { .. } | Grounds::Rule(_));
        prop_assert!(is_held || decision.verdict > Verdict::Hold, "{:?}", decision);
    }

    #[test]
    fn additional_rule_without_accept_accepts_nobody(
        rules in rules(),
        (then, condition) in (select(&[Verdict::Hold, Verdict::Reset, Verdict::Reject][..]), self::rules()),
        place in any::<Index>(),
        default in verdict(),
        request_and_repo in request_and_repo(),
    ) {
        let mut more = rules.clone();
        let added = condition.into_iter().map(|rule| Rule { then, ..rule });
        let place = place.index(rules.len() + 1);
        more.splice(place..place, added);
        let (before, after) = (decide(&rules, default, &request_and_repo).verdict, decide(&more, default, &request_and_repo).verdict);
        prop_assert!(after != Verdict::Accept || before == Verdict::Accept, "{:?} became {:?}", before, after);
    }
}
