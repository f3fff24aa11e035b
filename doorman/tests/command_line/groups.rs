//! Gating groups: accepting a request for one repo gives access to the others. `check` and `plan` warn of that.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::check::{check, hub_form, ready};
use crate::doorman_in;
use crate::hub::{Collection, Fault, Hub};
use crate::support::{ask, hub_with, staff};

const SLUG: &str = "acme/suite--one-64f9a55bb3115b4f513ec026";

/// A gating group of four repos, a Space and a paper. The Hub's list of collections shows only four of its items.
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
        "accepting a request for acme/model also opens acme/b, acme/c, datasets/acme/corpus and every repo";
    let foreign = "REPOS does not cover acme/b, acme/c, datasets/acme/corpus: ";
    checked.only("warning", &about, &[opens, "the most lenient rules decide", foreign]);
    assert_eq!(hub.calls().iter().filter(|call| call.contains("/api/collections")).count(), 2);

    for repo in ["acme/b", "acme/c", "datasets/acme/corpus"] {
        hub.model().add(repo).card = hub_form();
    }
    let repos = "acme/model ACME/B acme/c";
    let checked = check(&hub, &[("REPOS", repos)]).await;
    let opens = "for one of acme/b, acme/c, acme/model, datasets/acme/corpus opens all of them";
    checked.only("warning", &about, &[opens, "does not cover datasets/acme/corpus: "]);

    let checked = check(&hub, &[("REPOS", "acme/*")]).await;
    assert_eq!(checked.wrong(), [("warning", &*about)], "one warning for each group");
    assert!(!checked.text(&about).contains("does not cover"), "{}", checked.text(&about));
}

#[tokio::test]
async fn collections_without_a_gate_are_no_gating_groups() {
    let hub = ready().await;
    for gating in [None, Some(Value::Null), Some(json!(false))] {
        hub.model().collections = vec![Collection { gating, ..suite() }];
        assert_eq!(check(&hub, &[]).await.wrong(), Vec::new());
    }
    // The meaning of these values is unknown, so `check` warns of them, too.
    for gating in [json!(true), json!("auto"), json!({"mode": "auto"}), json!({})] {
        hub.model().collections = vec![Collection { gating: Some(gating.clone()), ..suite() }];
        assert_eq!(check(&hub, &[]).await.wrong().len(), 1, "{gating}");
    }
    let alone = Collection::gating_group(SLUG, &[("model", "acme/model"), ("space", "acme/demo")]);
    hub.model().collections = vec![alone];
    let later = "accepting a request for acme/model also opens every repo that joins the group later";
    check(&hub, &[]).await.only("warning", &format!("gating group {SLUG}"), &[later]);
}

#[tokio::test]
async fn check_warns_if_collections_cannot_be_read() {
    let token = json!([{"gating": true, "slug": format!("acme/{}", Hub::TOKEN)}]).to_string();
    let faults = [
        Fault::Status(404),
        Fault::Status(403),
        Fault::Answer(200, Vec::new(), token),
        Fault::Answer(200, Vec::new(), r#"{"error": "no"}"#.to_owned()),
        Fault::Answer(200, Vec::new(), r#"[{"gating": true, "slug": "../../settings"}]"#.to_owned()),
    ];
    // All at the same time, because each of these responses makes `check` retry.
    join_all(faults.map(|fault| async move {
        let hub = ready().await;
        hub.model().faults("GET /api/collections", &fault, 100);
        let checked = check(&hub, &[]).await;
        checked.only("warning", "gating groups", &["not all could be read", "GET /api/collections"]);
        assert!(!hub.calls().iter().any(|call| call.contains("/api/collections/")), "{fault:?}");
    }))
    .await;
    // If only the list of collections can be read, the group is known, but not all its repos.
    let hub = ready().await;
    hub.model().collections = vec![suite()];
    hub.model().fault("GET /api/collections/", Fault::Status(404));
    let checked = check(&hub, &[]).await;
    checked.says("warning", &format!("gating group {SLUG}"), &["acme/model also opens acme/b and every"]);
    checked.says("warning", "gating groups", &["not all could be read"]);
}

#[tokio::test]
async fn gating_group_on_a_later_page_is_found() {
    let hub = ready().await;
    let other = || Collection { gating: None, ..suite() };
    let found = |others: usize| {
        hub.model().collections = (0..others).map(|_| other()).chain([suite()]).collect();
        check(&hub, &[])
    };
    let about = format!("gating group {SLUG}");
    assert_eq!(found(50).await.wrong(), [("warning", &*about)]);
    found(1000).await.only("warning", "gating groups", &["so many collections that only the first 10 pages"]);
}

/// A Hub with a request of ada for a repo of a gating group.
async fn hub_with_group() -> Hub {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", [staff("ada")]);
    hub.model().add("acme/b");
    hub.model().collections = vec![suite()];
    hub
}

/// The warning goes to standard error, after the plan.
#[tokio::test]
async fn plan_warns_once_for_each_group() {
    let hub = hub_with_group().await;
    for command in ["plan", "plan --json"] {
        let variables = [("REPOS", "acme/model acme/b acme/c")];
        let arguments: Vec<&str> = command.split(' ').chain(["acme/model", "acme/b"]).collect();
        let result = doorman_in(&hub, &variables, &arguments).await;
        let expected = format!(
            "doorman: gating group {SLUG}: accepting a request for one of acme/b, acme/c, acme/model, datasets/acme/corpus \
             opens all of them, and every repo that joins the group later; the most lenient rules decide, so use the \
             same rules for all. REPOS does not cover datasets/acme/corpus: accepting a request there \
             opens these repos too\n"
        );
        assert_eq!((result.status, &*result.err), (0, &*expected), "{command}");
        assert!(!result.out.contains(SLUG), "{}", result.out);
    }
}

#[tokio::test]
async fn plan_warns_if_collections_cannot_be_read() {
    let faults = [Fault::Status(404), Fault::Stall, Fault::Answer(200, Vec::new(), "7".to_owned())];
    join_all(faults.map(|fault| async move {
        let hub = hub_with_group().await;
        hub.model().faults("GET /api/collections", &fault, 100);
        let result = doorman_in(&hub, &[("REPOS", "acme/model")], &["plan"]).await;
        let expected =
            "doorman: not all gating groups could be read, so accepting a request may open more repos: ";
        assert!(result.status == 0 && result.err.starts_with(expected), "{fault:?}: {}", result.err);
    }))
    .await;
}

#[tokio::test]
async fn plan_looks_up_the_groups_of_20_repos_at_most() {
    let hub = hub_with(21).await;
    let result = doorman_in(&hub, &[("REPOS", "acme/*")], &["plan"]).await;
    let expected =
        "doorman: searched for gating groups of the first 20 of 21 repos; `doorman check` searches for all\n";
    assert_eq!((result.status, &*result.err), (0, expected));
    assert_eq!(hub.calls().iter().filter(|call| call.contains("/api/collections")).count(), 20);
}
