//! The crowd of `cargo run --example hub -- --crowd NUMBER`: it is varied, and the same every time.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::Utc;
use serde_json::Value;

use crate::crowd::{REPOS, seed, words};
use crate::hub::{AccessRequest, Gating, Hub, Status};

const PEOPLE: usize = 300;

async fn crowd() -> Hub {
    let hub = Hub::start().await;
    seed(&hub, PEOPLE);
    hub
}

/// The requests for all repos.
fn requests(hub: &Hub) -> Vec<AccessRequest> {
    let model = hub.model();
    model.repos.values().flat_map(|repo| repo.requests.clone()).collect()
}

#[tokio::test]
async fn crowd_is_the_same_every_time() {
    let of = |hub: &Hub| -> Vec<String> {
        let shown = |one: AccessRequest| format!("{:?} {:?} {}", one.person, one.status, one.granted);
        requests(hub).into_iter().map(shown).collect()
    };
    assert_eq!(of(&crowd().await), of(&crowd().await));
}

#[tokio::test]
async fn crowd_is_as_varied_as_in_life() {
    let hub = crowd().await;
    let names: BTreeSet<String> = hub.model().people.iter().map(|person| person.name.clone()).collect();
    assert_eq!(names.len(), PEOPLE);
    assert_eq!(names.iter().map(String::len).max(), Some(42));
    assert_eq!(names.iter().map(String::len).min(), Some(1));

    for repo in REPOS {
        let mut model = hub.model();
        let repo = model.repo(repo);
        assert!(!repo.users(Status::Pending).is_empty(), "no request is pending for {}", repo.name);
        let questions = repo.card["extra_gated_fields"].as_object().cloned().expect("a form");
        for fields in repo.requests.iter().filter_map(|request| request.person.fields.as_ref()) {
            assert!(fields.keys().eq(questions.keys()), "{fields:?} for {}", repo.name);
        }
        assert!(repo.requests.is_sorted_by_key(|request| request.requested_at));
    }
    let gating = REPOS.map(|repo| hub.model().repo(repo).gating);
    assert_eq!(gating.iter().filter(|gating| **gating == Gating::Off).count(), 1);
    assert_eq!(gating.iter().filter(|gating| **gating == Gating::Auto).count(), 1);

    let all = requests(&hub);
    for status in Status::ALL {
        assert!(all.iter().any(|one| one.status == status), "{status:?}");
    }
    let answers = all.iter().filter_map(|one| one.person.fields.as_ref()).flat_map(|fields| fields.values());
    let answers: Vec<&str> = answers.filter_map(Value::as_str).collect();
    for odd in words::ODD {
        assert!(answers.contains(&odd), "{odd:?}");
    }
    assert!(answers.iter().any(|answer| answer.chars().count() == 4000));
    assert!(all.iter().any(|one| one.person.fields.is_none()));
    assert!(all.iter().any(|one| one.person.email.is_none()));
    assert!(all.iter().any(|one| one.granted && one.status == Status::Accepted));
    assert!(all.iter().any(|one| !one.person.verified_orgs.is_empty()));
    let age = |one: &AccessRequest| (Utc::now() - one.requested_at).to_std().expect("in the past");
    assert!(all.iter().any(|one| age(one) < Duration::from_secs(3600)));
    assert!(all.iter().any(|one| age(one) > Duration::from_secs(600 * 86_400)));
    assert!(all.iter().all(|one| one.reviewed_at.is_none_or(|at| at > one.requested_at && at < Utc::now())));
}
