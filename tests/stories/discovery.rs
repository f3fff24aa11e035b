//! Which repos a sweep goes over.

use std::time::Duration;

use serde_json::json;

use crate::hub::{Fault, Gating, Hub, Role, Status};
use crate::logs::Logs;
use crate::support::{
    HALF_A_MINUTE, ask, doorman_with, error, hub_with, incomplete, invoke, names, searches_and_reviews,
    staff, sweep, sweep_within,
};

#[tokio::test]
async fn namespace_means_its_gated_models_and_datasets() {
    for filters_by_gate in [true, false] {
        let hub = Hub::start().await;
        hub.model().filters_by_gate = filters_by_gate;
        hub.model().add("acme/private").private = true;
        hub.model().add("acme/auto").gating = Gating::Auto;
        hub.model().add("acme/open").gating = Gating::Off;
        hub.model().add("acme/unseen").role = Role::None;
        hub.model().add("other/model");
        hub.model().add("datasets/acme/corpus");
        hub.model().add("datasets/other/corpus");
        let repos: Vec<String> = hub.model().repos.keys().cloned().collect();
        for repo in &repos {
            ask(&hub, repo, [staff("ada")]);
        }

        let report = sweep(&doorman_with(&hub, &[("REPOS", "datasets/acme/*")])).await;
        assert_eq!(
            (names(&report), hub.calls().len()),
            (vec!["acme/corpus"], 3),
            "a search, a page, a write"
        );

        let report = sweep(&doorman_with(&hub, &[("REPOS", "acme/*, acme/auto")])).await;
        assert_eq!(names(&report), ["acme/auto", "acme/private", "acme/corpus"], "{report}");
        let reviews = searches_and_reviews(&hub).1;
        assert_eq!(
            reviews.iter().filter(|repo| *repo == "acme/auto").count(),
            1,
            "named and found: {reviews:?}"
        );
        for repo in repos {
            let is_covered = ["acme/auto", "acme/private", "datasets/acme/corpus"].contains(&&*repo);
            assert_eq!(hub.users(&repo, Status::Accepted).len(), usize::from(is_covered), "{repo}");
        }
    }
}

#[tokio::test]
async fn order_sweeps_only_the_repos_it_names() {
    for repos in ["", "acme/*", "datasets/acme/corpus acme/model000 acme/model001"] {
        let hub = hub_with(3).await;
        ask(&hub, "datasets/acme/corpus", [staff("ada")]);
        let doorman = doorman_with(&hub, &[("REPOS", repos)]);
        let some = json!({"sweep": ["acme/model000", "datasets/acme/*"], "my": "input"});
        let report = invoke(&doorman, &some, HALF_A_MINUTE).await.expect("no failure");
        assert_eq!(names(&report), ["acme/model000", "acme/corpus"], "{repos}");
        assert_eq!(
            (searches_and_reviews(&hub).0, hub.users("datasets/acme/corpus", Status::Accepted).len()),
            (1, 1)
        );
    }
}

#[tokio::test]
async fn order_for_a_repo_outside_repos_is_refused() {
    let hub = hub_with(3).await;
    ask(&hub, "other/model", [staff("ada")]);
    let doorman = doorman_with(&hub, &[("REPOS", "acme/model000 acme/model001")]);
    for foreign in ["other/model", "other/*", "datasets/acme/*", "acme/model002"] {
        let failure = invoke(&doorman, &json!({"sweep": ["acme/model000", foreign]}), HALF_A_MINUTE).await;
        let expected = format!("`sweep` names `{foreign}`, which REPOS does not cover");
        assert_eq!(failure.expect_err(foreign).to_string(), expected);
    }
    assert_eq!(hub.calls(), [""; 0]);

    let report = invoke(&doorman, &json!({"sweep": ["acme/*"]}), HALF_A_MINUTE).await.expect("no failure");
    assert_eq!(names(&report), ["acme/model000", "acme/model001"], "what is found and covered by REPOS");
}

#[tokio::test]
async fn failed_search_is_reported_and_known_repos_are_swept() {
    let hub = hub_with(12).await;
    hub.model().max_page = 10;
    hub.model().faults("GET /api/datasets?author=acme", &Fault::Status(500), 100);
    hub.model().faults("cursor=10", &Fault::Status(418), 100);
    let doorman = doorman_with(&hub, &[("REPOS", "acme/* datasets/acme/corpus")]);
    ask(&hub, "datasets/acme/corpus", [staff("ada")]);
    let (logs, _guard) = Logs::capture();
    let report = sweep_within(&doorman, Duration::from_secs(3)).await;
    let failed = incomplete(&report);
    assert_eq!((failed.len(), names(&report).len()), (2, 13), "{report}");
    assert_eq!(logs.lines("search failed").len(), 2);
    let first = &report["searches"][0];
    assert_eq!((failed[0].0, &first["type"], &first["calls"]), ("acme", &json!("model"), &json!(2)));
    assert!(failed[0].1.starts_with("GET /api/models: the Hub answered 418"), "{report}");
    assert!(failed[1].1.starts_with("GET /api/datasets: the Hub answered 500"), "{report}");
    assert_eq!(hub.users("datasets/acme/corpus", Status::Accepted), ["ada"]);
}

#[tokio::test]
async fn stalled_search_leaves_time_for_named_repos() {
    let hub = hub_with(5).await;
    ask(&hub, "datasets/acme/corpus", [staff("ada")]);
    hub.model().faults("GET /api/models?author=acme", &Fault::Stall, 100);
    let doorman = doorman_with(&hub, &[("REPOS", "acme/* acme/model000")]);
    let report = sweep_within(&doorman, Duration::from_secs(4)).await;
    assert_eq!(names(&report), ["acme", "acme/model000", "acme/corpus"], "{report}");
    assert!(error(&report["searches"][0]).contains("no response from the Hub"), "{report}");
    assert_eq!(hub.users("datasets/acme/corpus", Status::Accepted), ["ada"]);
}

/// The search for models has a next page forever. It ends at 20 pages, and repos are reviewed before it ends.
#[tokio::test]
async fn endless_search_ends_and_its_repos_are_reviewed_meanwhile() {
    let hub = hub_with(1).await;
    ask(&hub, "acme/model000", [staff("ada")]);
    hub.model().lists_repos_without_end = true;
    // Repos that a search found are reviewed in random order. Repos that are named come first.
    let doorman = doorman_with(&hub, &[("REPOS", "acme/* acme/model000")]);
    let report = sweep_within(&doorman, Duration::from_secs(6)).await;
    assert_eq!(hub.users("acme/model000", Status::Accepted), ["ada"]);
    let calls = hub.calls();
    let is_search = |call: &&String| call.contains("author=acme");
    assert_eq!(calls.iter().filter(is_search).count(), 22, "20 pages, and one more for each type");
    let last_search = calls.iter().rposition(|call| is_search(&call)).expect("a search");
    let review_of_found = |call: &String| call.contains("made-up") && call.contains("/pending");
    assert!(calls[..last_search].iter().any(review_of_found));
    let listed = report["repos"].as_array().expect("a list").len();
    let more = report["more_repos"].as_u64().expect("a number");
    assert_eq!((listed, more), (1000, 19_000), "20,000 repos, with the one that is named");
    assert!(error(&report["searches"][0]).contains("name the repos in REPOS"), "{}", report["searches"][0]);
}

/// A search may list repos of others and entries without a name, or link to other lists.
#[tokio::test]
async fn foreign_search_results_are_reported_and_not_reviewed() {
    let hub = hub_with(1).await;
    ask(&hub, "other/model", [staff("ada")]);
    let found = json!([{"id": "other/model", "gated": "manual"}, {"id": "acme/../other/model"}, {"id": "bare"}, 7,
        {"gated": "auto"}, {"id": "acme/model000", "gated": "manual"}]);
    hub.model().fault("GET /api/models?", Fault::Answer(200, Vec::new(), found.to_string()));
    let report = sweep(&doorman_with(&hub, &[("REPOS", "acme/*")])).await;
    assert_eq!(names(&report), ["acme", "acme/model000"]);
    assert!(error(&report["searches"][0]).contains("it lists `other/model` as a repo of `acme`"), "{report}");
    assert_eq!(searches_and_reviews(&hub), (2, vec!["acme/model000".to_owned()]));

    let odd = json!([{"gated": "auto"}, {"id": Hub::TOKEN}]).to_string();
    let next = r#"</api/models?author=acme&page=2>; rel="next""#.to_owned();
    hub.model().fault("GET /api/models?", Fault::Answer(200, vec![("Link", next)], odd));
    hub.model().fault("page=2", Fault::Status(401));
    let failure =
        invoke(&doorman_with(&hub, &[("REPOS", "acme/*")]), &json!({"sweep": true}), HALF_A_MINUTE).await;
    assert!(
        failure.expect_err("a failure").to_string().contains("answered 401"),
        "a refused token is reported before odd names"
    );

    let odd = [
        (json!([{"gated": "auto"}]), "it lists a repo without a name"),
        (json!([{"id": format!("x/{}", Hub::TOKEN)}]), "it lists `x/[redacted]` as a repo of `acme`"),
    ];
    for (odd, expected) in odd {
        hub.model().fault("GET /api/models?", Fault::Answer(200, Vec::new(), odd.to_string()));
        let report = sweep(&doorman_with(&hub, &[("REPOS", "acme/*")])).await;
        assert!(error(&report["searches"][0]).contains(expected), "{report}");
    }

    let elsewhere = Hub::start().await;
    let links = [
        (format!("{}/api/models?author=acme", elsewhere.endpoint()), "which is not the same list"),
        ("/api/datasets?author=acme".to_owned(), "which is not the same list"),
        ("/api/models?author=acme&gated=true&limit=1000".to_owned(), "its pages go in a circle"),
    ];
    for (link, expected) in links {
        let headers = vec![("Link", format!(r#"<{link}>; rel="next""#))];
        hub.model().fault("GET /api/models?", Fault::Answer(200, headers, "[]".to_owned()));
        let report = sweep(&doorman_with(&hub, &[("REPOS", "acme/*")])).await;
        assert!(error(&report["searches"][0]).contains(expected), "{report}");
    }
    assert_eq!(elsewhere.calls(), [""; 0]);
}

/// The Hub answers 400 for a namespace that does not exist, and lists nothing for one without gated repos.
#[tokio::test]
async fn namespace_without_gated_repos_is_complete_and_logged() {
    let hub = hub_with(2).await;
    hub.model().fault("author=unknown", Fault::Status(400));
    let (logs, _guard) = Logs::capture();
    let repos = "acme/* acmee/* datasets/acme/* datasets/unknown/*";
    let report = sweep(&doorman_with(&hub, &[("REPOS", repos)])).await;
    assert_eq!(names(&report), ["unknown", "acme/model000", "acme/model001"]);
    let misspelt = logs.lines("no gated repo found; is it misspelt, or hidden from HF_TOKEN?");
    let patterns: Vec<_> = misspelt.iter().map(|line| line["pattern"].clone()).collect();
    assert_eq!(patterns, ["acmee/*", "datasets/acme/*"]);
}
