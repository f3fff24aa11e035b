//! `check` compares the webhooks with the repos.

use serde_json::json;

use super::{check, ready, watch};
use crate::hub::{Fault, Webhook};

#[tokio::test]
async fn faulty_webhook_is_found() {
    let hub = ready().await;
    let id = hub.model().webhooks[0].id.clone();
    let about = &*format!("webhook {id}");
    hub.model().webhooks[0].domains = vec!["discussion".to_owned()];
    check(&hub, &[]).await.only(
        "warning",
        about,
        &["https://doorman.example/ gets events of discussions only"],
    );

    hub.model().webhooks[0].secret = None;
    check(&hub, &[]).await.only("warning", about, &["https://doorman.example/ gets no secret", "401"]);

    hub.model().webhooks[0].disabled = json!(true);
    let checked = check(&hub, &[]).await;
    assert_eq!((checked.status, checked.wrong()), (1, vec![("failed", about), ("warning", "acme/model")]));
    let enable = format!("`doorman webhook enable {id}`");
    checked.says("failed", about, &["disabled", &enable]);
    checked.says("warning", "acme/model", &["no webhook", "`doorman webhook create`"]);

    hub.model().webhooks[0].disabled = json!("suspended-after-failure");
    let checked = check(&hub, &[]).await;
    checked.says(
        "failed",
        about,
        &["the Hub has suspended it", "https://huggingface.co/settings/webhooks", &enable],
    );
}

#[tokio::test]
async fn repo_without_a_webhook_is_a_warning() {
    let hub = ready().await;
    hub.model().webhooks.clear();
    check(&hub, &[]).await.only("warning", "acme/model", &["only sweeps", "`doorman webhook create`"]);

    let others: [&[_]; 5] = [
        &[("model", "acme/other")],
        &[("dataset", "acme/model")],
        &[("org", "other")],
        &[("space", "acme/model")],
        &[],
    ];
    for watched in others {
        watch(&hub, watched);
        let checked = check(&hub, &[]).await;
        checked.only("warning", "acme/model", &["no webhook"]);
        assert!(!checked.findings.iter().any(|[_, about, _]| about.starts_with("webhook ")), "{watched:?}");
    }
    for watched in [("model", "acme/model"), ("org", "acme"), ("user", "acme")] {
        let id = watch(&hub, &[("org", "other"), watched]);
        let checked = check(&hub, &[]).await;
        assert_eq!((checked.status, checked.wrong()), (0, Vec::new()), "{watched:?}");
        checked.says("passed", &format!("webhook {id}"), &["delivered to https://doorman.example/"]);
    }
}

#[tokio::test]
async fn namespace_with_one_watched_repo_is_a_warning() {
    let hub = ready().await;
    let id = watch(&hub, &[("model", "acme/model")]);
    let checked = check(&hub, &[("REPOS", "acme/*")]).await;
    checked.says("passed", &format!("webhook {id}"), &["delivered to"]);
    checked.only("warning", "acme/*", &["no webhook", "all of it"]);
    watch(&hub, &[("org", "acme")]);
    assert_eq!(
        check(&hub, &[("REPOS", "acme/* datasets/acme/*")]).await.wrong(),
        [("failed", "datasets/acme/*")]
    );
}

#[tokio::test]
async fn webhook_that_starts_a_job_passes() {
    let hub = ready().await;
    let job = Some("64f9a55bb3115b4f513ec026".to_owned());
    // It needs no secret: nobody but the Hub can start it.
    let starts = Webhook { url: None, job, ..Webhook::new("", &[("org", "acme")]) };
    let id = starts.id.clone();
    hub.model().webhooks = vec![starts];
    check(&hub, &[]).await.says("passed", &format!("webhook {id}"), &["a Job"]);
}

#[tokio::test]
async fn token_without_access_to_webhooks_is_a_warning() {
    let hub = ready().await;
    hub.model().fault("GET /api/settings/webhooks", Fault::Status(403));
    check(&hub, &[]).await.only("warning", "webhooks", &["403", "the right to manage webhooks"]);
}
