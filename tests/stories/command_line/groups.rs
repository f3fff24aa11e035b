//! Gating groups: accepting somebody in one repo opens the others, and `check` and `plan` say so.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::check::{check, hub_form, ready};
use super::{doorman, doorman_in};
use crate::hub::{Collection, Fault, Hub};
use crate::support::{ask, hub_with, staff};

const SLUG: &str = "acme/suite--one-64f9a55bb3115b4f513ec026";

/// A gating group of six items: four repos, a Space and a paper. A list of collections shows only four of them.
fn suite() -> Collection {
    let items = [
        ("paper", "2311.12983"),
        ("space", "acme/demo"),
        ("model", "acme/b"),
        ("model", "acme/model"),
        ("model", "acme/c"),
        ("dataset", "acme/corpus"),
    ];
    Collection::gating_group(SLUG, &items)
}

#[tokio::test]
async fn check_warns_of_a_gating_group_and_names_its_other_repos() {
    let hub = ready().await;
    hub.model().collections = vec![suite()];
    let about = format!("gating group {SLUG}");
    let checked = check(&hub, &[]).await;
    let opens =
        "accepting somebody in acme/model also opens acme/b, acme/c, datasets/acme/corpus and every repo";
    let foreign = "The doorman does not look after acme/b, acme/c, datasets/acme/corpus: ";
    checked.only("warning", &about, &[opens, "the most lenient of them decides", foreign]);
    assert_eq!(hub.calls().iter().filter(|call| call.contains("/api/collections")).count(), 2);

    for repo in ["acme/b", "acme/c", "datasets/acme/corpus"] {
        hub.model().add(repo).card = hub_form();
    }
    let repos = "acme/model ACME/B acme/c";
    let checked = check(&hub, &[("REPOS", repos)]).await;
    let opens = "in one of acme/b, acme/c, acme/model, datasets/acme/corpus opens all of them";
    checked.only("warning", &about, &[opens, "does not look after datasets/acme/corpus: "]);

    let checked = check(&hub, &[("REPOS", "acme/*")]).await;
    assert_eq!(checked.wrong(), [("warning", &*about)], "once a group");
    assert!(!checked.text(&about).contains("does not look after"), "{}", checked.text(&about));
}

#[tokio::test]
async fn collections_without_a_gate_are_no_gating_groups() {
    let hub = ready().await;
    for gating in [None, Some(Value::Null), Some(json!(false))] {
        hub.model().collections = vec![Collection { gating, ..suite() }];
        assert_eq!(check(&hub, &[]).await.wrong(), Vec::new());
    }
    // It is unknown what these mean, so `check` warns of them, too.
    for gating in [json!(true), json!("auto"), json!({"mode": "auto"}), json!({})] {
        hub.model().collections = vec![Collection { gating: Some(gating.clone()), ..suite() }];
        assert_eq!(check(&hub, &[]).await.wrong().len(), 1, "{gating}");
    }
    let alone = Collection::gating_group(SLUG, &[("model", "acme/model"), ("space", "acme/demo")]);
    hub.model().collections = vec![alone];
    let later = "accepting somebody in acme/model also opens every repo that joins the group later";
    check(&hub, &[]).await.only("warning", &format!("gating group {SLUG}"), &[later]);
}

#[tokio::test]
async fn check_says_if_it_could_not_look_for_groups() {
    let token = json!([{"gating": true, "slug": format!("acme/{}", Hub::TOKEN)}]).to_string();
    let odd = [
        Fault::Status(404),
        Fault::Status(403),
        Fault::Answer(200, Vec::new(), token),
        Fault::Answer(200, Vec::new(), r#"{"error": "no"}"#.to_owned()),
        Fault::Answer(200, Vec::new(), r#"[{"gating": true, "slug": "../../settings"}]"#.to_owned()),
    ];
    // All at the same time, because each odd answer makes `check` retry.
    join_all(odd.map(|fault| async move {
        let hub = ready().await;
        hub.model().faults("GET /api/collections", &fault, 100);
        let checked = check(&hub, &[]).await;
        checked.only("warning", "gating groups", &["not all could be read", "GET /api/collections"]);
        assert!(!hub.calls().iter().any(|call| call.contains("/api/collections/")), "{fault:?}");
    }))
    .await;
    // If only the list of collections can be read, the group is known, but not all of its repos.
    let hub = ready().await;
    hub.model().collections = vec![suite()];
    hub.model().fault("GET /api/collections/", Fault::Status(404));
    let checked = check(&hub, &[]).await;
    checked.says("warning", &format!("gating group {SLUG}"), &["acme/model also opens acme/b and every"]);
    checked.says("warning", "gating groups", &["not all could be read"]);
}

#[tokio::test]
async fn group_behind_the_collections_of_others_is_found() {
    let hub = ready().await;
    let other = || Collection { gating: None, ..suite() };
    let found = |others: usize| {
        hub.model().collections = (0..others).map(|_| other()).chain([suite()]).collect();
        check(&hub, &[])
    };
    let about = format!("gating group {SLUG}");
    assert_eq!(found(50).await.wrong(), [("warning", &*about)]);
    found(1000).await.only("warning", "gating groups", &["so many collections that only 10 pages"]);
}

/// A Hub where ada waits for a repo of a group.
async fn hub_with_group() -> Hub {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", [staff("ada")]);
    hub.model().add("acme/b");
    hub.model().collections = vec![suite()];
    hub
}

#[tokio::test]
async fn plan_warns_once_a_group_after_what_it_shows() {
    let hub = hub_with_group().await;
    for command in ["plan", "plan --json"] {
        let variables = [("REPOS", "acme/model acme/b acme/c")];
        let arguments: Vec<&str> = command.split(' ').chain(["acme/model", "acme/b"]).collect();
        let ended = doorman_in(&hub, &variables, &arguments).await;
        let expected = format!(
            "doorman: gating group {SLUG}: accepting somebody in one of acme/b, acme/c, acme/model, datasets/acme/corpus \
             opens all of them, and every repo that joins the group later; the most lenient of them decides, so use the \
             same rules for all. The doorman does not look after datasets/acme/corpus: whoever is accepted there is \
             accepted here too\n"
        );
        assert_eq!((ended.status, &*ended.err), (0, &*expected), "{command}");
        assert!(!ended.out.contains(SLUG), "{}", ended.out);
    }
}

#[tokio::test]
async fn plan_says_if_it_could_not_look_for_groups() {
    let odd = [Fault::Status(404), Fault::Stall, Fault::Answer(200, Vec::new(), "7".to_owned())];
    join_all(odd.map(|fault| async move {
        let hub = hub_with_group().await;
        hub.model().faults("GET /api/collections", &fault, 100);
        let ended = doorman(&hub, "plan acme/model").await;
        let said =
            "doorman: not all gating groups could be read, so accepting somebody may open more repos: ";
        assert!(ended.status == 0 && ended.err.starts_with(said), "{fault:?}: {}", ended.err);
    }))
    .await;
}

#[tokio::test]
async fn plan_looks_for_groups_of_twenty_repos_and_says_so() {
    let hub = hub_with(21).await;
    let ended = doorman(&hub, "plan acme/*").await;
    let expected =
        "doorman: looked for gating groups of the first 20 of 21 repos; `doorman check` looks at all\n";
    assert_eq!((ended.status, &*ended.err), (0, expected));
    assert_eq!(hub.calls().iter().filter(|call| call.contains("/api/collections")).count(), 20);
}
