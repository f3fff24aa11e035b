//! `webhook`: creating, listing and changing webhooks, also after a lost response.

use serde_json::json;

use crate::hub::{Fault, Hub, Webhook};
use crate::support::SECRET;
use crate::{CommandResult, doorman, doorman_in};

const URL: &str = "https://doorman.example/";

/// Runs `webhook create` for these repos, with the secret.
async fn create(hub: &Hub, repos: &str, url: &str) -> CommandResult {
    let variables = [("REPOS", repos), ("WEBHOOK_SECRET", SECRET)];
    doorman_in(hub, &variables, &["webhook", "create", "--url", url]).await
}

/// Adds so many webhooks to the Hub, and returns their ids.
fn webhooks(hub: &Hub, number: usize) -> Vec<String> {
    let new = |number| Webhook::new(&format!("https://{number}.example/"), &[("org", "acme")]);
    hub.model().webhooks = (0..number).map(new).collect();
    ids(hub)
}

fn ids(hub: &Hub) -> Vec<String> {
    hub.model().webhooks.iter().map(|webhook| webhook.id.clone()).collect()
}

/// Whether each webhook is disabled.
fn disabled(hub: &Hub) -> Vec<bool> {
    hub.model().webhooks.iter().map(|webhook| webhook.disabled == true).collect()
}

/// How often this call was made.
fn times(hub: &Hub, call: &str) -> usize {
    hub.calls().iter().filter(|one| *one == call).count()
}

#[tokio::test]
async fn create_watches_repos_and_sets_the_secret() {
    let hub = Hub::start().await;
    let repos = "acme/*, Owner/* other/model,datasets/other/corpus ACME/*, datasets/acme/* Other/Model";
    let out = create(&hub, repos, &format!("{URL}hook?stage=live")).await.out();
    let model = hub.model();
    let [Webhook { id, url, job, watched, domains, secret, disabled }] = &*model.webhooks else {
        panic!("{:?}", model.webhooks)
    };
    let watched: Vec<String> = watched.iter().map(|(kind, name)| format!("{kind} {name}")).collect();
    let expected = ["org acme", "user Owner", "model other/model", "dataset other/corpus"];
    assert_eq!(watched, expected, "each owner and repo once");
    assert_eq!(url.as_deref(), Some("https://doorman.example/hook?stage=live"));
    assert_eq!((secret.as_deref(), disabled, job), (Some(SECRET), &json!(false), &None));
    assert_eq!(domains, &["repo", "discussion"]);
    let watched = expected.join(", ");
    assert_eq!(out, format!("{id}\tenabled\tsecret\thttps://doorman.example/hook\t{watched}\n"));
}

#[tokio::test]
async fn create_watches_the_repo_of_the_policy() {
    let hub = Hub::start().await;
    let expected = [("acme/model", "model acme/model, dataset acme/doorman"), ("acme/*", "org acme")];
    for (repos, watched) in expected {
        let place = "hf://datasets/acme/doorman/policy.toml";
        let variables = [("REPOS", repos), ("WEBHOOK_SECRET", SECRET), ("APPROVAL_POLICY", place)];
        let created = doorman_in(&hub, &variables, &["webhook", "create", "--url", URL]).await.out();
        assert!(created.ends_with(&format!("\t{watched}\n")), "{created}");
        hub.model().webhooks.clear();
    }
}

#[tokio::test]
async fn list_does_not_show_secrets() {
    let hub = Hub::start().await;
    assert_eq!(doorman(&hub, "webhook list").await.out(), "");
    assert_eq!(doorman(&hub, "webhook list --json").await.json(), json!([]));

    let with_secret = Webhook {
        secret: Some(SECRET.to_owned()),
        ..Webhook::new("https://a.example/hook?key=hidden#hidden", &[("org", "acme"), ("model", "b/m")])
    };
    let without_secret = Webhook {
        disabled: json!(true),
        domains: vec!["discussion".to_owned()],
        ..Webhook::new("https://b.example/", &[("user", "owner")])
    };
    let job = Webhook { url: None, job: Some("hidden".to_owned()), ..Webhook::new("", &[]) };
    let suspended =
        Webhook { disabled: json!("suspended-after-failure"), ..Webhook::new("https://c.example/", &[]) };
    hub.model().webhooks = vec![with_secret, without_secret, job, suspended];
    let [first, second, third, fourth] = ids(&hub).try_into().expect("four");

    let expected = format!(
        "{first}\tenabled\tsecret\thttps://a.example/hook\torg acme, model b/m\n\
         {second}\tdisabled\tno secret\thttps://b.example/\tuser owner\n\
         {third}\tenabled\tno secret\ta Job\t\n\
         {fourth}\tsuspended\tno secret\thttps://c.example/\t\n"
    );
    assert_eq!(doorman(&hub, "webhook list").await.out(), expected);

    let result = doorman(&hub, "webhook list --json").await;
    assert!(!result.out.contains("hidden"), "{}", result.out);
    let watched = json!([{"type": "org", "name": "acme"}, {"type": "model", "name": "b/m"}]);
    let expected = json!([
        {"id": first, "url": "https://a.example/hook", "watched": watched, "domains": ["repo", "discussion"],
            "has_secret": true, "state": "enabled"},
        {"id": second, "url": "https://b.example/", "watched": [{"type": "user", "name": "owner"}],
            "domains": ["discussion"], "has_secret": false, "state": "disabled"},
        {"id": third, "url": null, "watched": [], "domains": ["repo", "discussion"], "has_secret": false, "state": "enabled"},
        {"id": fourth, "url": "https://c.example/", "watched": [], "domains": ["repo", "discussion"], "has_secret": false, "state": "suspended"},
    ]);
    assert_eq!(result.json(), expected);
    assert_eq!(times(&hub, "GET /api/settings/webhooks"), hub.calls().len(), "no other call");
}

#[tokio::test]
async fn create_refuses_a_second_webhook_for_one_url() {
    let hub = Hub::start().await;
    create(&hub, "acme/*", URL).await.out();
    let [id] = ids(&hub).try_into().expect("one");
    for url in [URL, "https://doorman.example", "https://DOORMAN.example/?again=1"] {
        let expected =
            [&*format!("webhook {id} is delivered there"), &format!("doorman webhook delete {id}")];
        create(&hub, "acme/model", url).await.failed(2, &expected);
    }
    assert_eq!(ids(&hub), [&*id]);
    assert_eq!(times(&hub, "POST /api/settings/webhooks"), 1);

    create(&hub, "acme/*", "https://doorman.example/other").await.out();
    assert_eq!(ids(&hub).len(), 2, "another path is another URL");
}

#[tokio::test]
async fn secret_that_the_hub_repeats_in_an_error_is_redacted() {
    let hub = Hub::start().await;
    let body = json!({"error": format!("the secret {SECRET} is not taken")}).to_string();
    hub.model().fault("POST /api/settings/webhooks", Fault::Answer(400, Vec::new(), body));
    let result = create(&hub, "acme/*", URL).await;
    result.failed(1, &["the secret [redacted] is not taken"]);
    assert!(!result.err.contains(SECRET), "{}", result.err);
}

#[tokio::test]
async fn create_needs_repos_and_a_secret() {
    let hub = Hub::start().await;
    let arguments = ["webhook", "create", "--url", URL];
    let secret = ("WEBHOOK_SECRET", SECRET);
    doorman_in(&hub, &[secret], &arguments).await.failed(2, &["REPOS: not set", "`acme/*`"]);
    doorman_in(&hub, &[secret, ("REPOS", "a--b")], &arguments).await.failed(2, &["REPOS: ", "a--b"]);
    for repos in ["", "acme/*"] {
        let result = doorman_in(&hub, &[("REPOS", repos), ("WEBHOOK_SECRET", " ")], &arguments).await;
        result.failed(2, &["WEBHOOK_SECRET: not set"]);
    }
    let nothing = [("HF_TOKEN", ""), ("CONCURRENCY", "0"), ("REPOS", "a--b")];
    let expected = ["HF_TOKEN: ", "WEBHOOK_SECRET: ", "REPOS: ", "CONCURRENCY: "];
    doorman_in(&hub, &nothing, &arguments).await.failed(2, &expected);
    assert_eq!(hub.calls(), [""; 0]);
}

#[tokio::test]
async fn create_refuses_unsafe_urls() {
    let hub = Hub::start().await;
    create(&hub, "acme/*", "http://doorman.example/").await.failed(2, &["--url", "not https"]);
    create(&hub, "acme/*", "doorman.example").await.failed(2, &["--url", "not a URL"]);
    create(&hub, "acme/*", "https://me:hunter2@doorman/").await.failed(2, &["--url", "a password"]);
    assert_eq!(hub.calls(), [""; 0]);
}

/// A retry could create the webhook twice, so the error names the command that shows whether it exists.
#[tokio::test]
async fn create_is_not_retried_after_a_lost_response() {
    for (fault, count) in [(Fault::DropAfter, 1), (Fault::Garbage, 1), (Fault::Status(500), 0)] {
        let hub = Hub::start().await;
        hub.model().fault("POST /api/settings/webhooks", fault.clone());
        let expected = ["the webhook may exist", "`doorman webhook list`"];
        create(&hub, "acme/*", URL).await.failed(1, &expected);
        assert_eq!(times(&hub, "POST /api/settings/webhooks"), 1, "{fault:?}");
        assert_eq!(ids(&hub).len(), count, "{fault:?}");
    }
}

/// A 503 means that the Hub has done nothing.
#[tokio::test]
async fn create_is_retried_after_a_503() {
    let hub = Hub::start().await;
    hub.model().fault("POST /api/settings/webhooks", Fault::Status(503));
    create(&hub, "acme/*", URL).await.out();
    assert_eq!((times(&hub, "POST /api/settings/webhooks"), ids(&hub).len()), (2, 1));
}

#[tokio::test]
async fn refused_create_does_not_say_that_it_may_exist() {
    let hub = Hub::start().await;
    hub.model().fault("POST /api/settings/webhooks", Fault::Status(403));
    let result = create(&hub, "acme/*", URL).await;
    result.failed(1, &["403", "the right to manage webhooks"]);
    assert!(!result.err.contains("may be there"), "{}", result.err);
    assert_eq!(ids(&hub).len(), 0);
}

#[tokio::test]
async fn several_webhooks_are_disabled_enabled_and_deleted() {
    let hub = Hub::start().await;
    let all = webhooks(&hub, 3);
    let [a, b, c] = &*all else { panic!("{all:?}") };
    let out = doorman(&hub, &format!("webhook disable {a} {c}")).await.out();
    assert_eq!(out, format!("{a}\tdisabled\n{c}\tdisabled\n"));
    assert_eq!(disabled(&hub), [true, false, true]);

    let out = doorman(&hub, &format!("webhook enable {a} {b}")).await.out();
    assert_eq!(out, format!("{a}\tenabled\n{b}\tenabled\n"));
    assert_eq!(disabled(&hub), [false, false, true]);

    let out = doorman(&hub, &format!("webhook delete {b} {c}")).await.out();
    assert_eq!(out, format!("{b}\tdeleted\n{c}\tdeleted\n"));
    assert_eq!(ids(&hub), [&**a]);
}

#[tokio::test]
async fn unknown_id_does_not_stop_the_other_changes() {
    for command in ["disable", "enable", "delete"] {
        let hub = Hub::start().await;
        let all = webhooks(&hub, 2);
        hub.model().webhooks.iter_mut().for_each(|webhook| webhook.disabled = json!(command == "enable"));
        let [a, b] = &*all else { panic!("{all:?}") };
        let result = doorman(&hub, &format!("webhook {command} {a} 0badc0de {b}")).await;
        result.failed(1, &["webhook 0badc0de: ", "404", "`doorman webhook list` shows the ids"]);
        assert_eq!(result.out, format!("{a}\t{command}d\n{b}\t{command}d\n"));
        match command {
            "delete" => assert_eq!(ids(&hub), [""; 0]),
            _ => assert_eq!(disabled(&hub), [command == "disable"; 2]),
        }
    }
}

#[tokio::test]
async fn delete_is_retried_after_a_lost_response() {
    let hub = Hub::start().await;
    let [id] = webhooks(&hub, 1).try_into().expect("one");
    hub.model().fault("DELETE", Fault::DropAfter);
    assert_eq!(doorman(&hub, &format!("webhook delete {id}")).await.out(), format!("{id}\tdeleted\n"));
    assert_eq!(ids(&hub), [""; 0]);
}

#[tokio::test]
async fn invalid_id_is_not_sent_to_the_hub() {
    let hub = Hub::start().await;
    for id in ["../../whoami-v2", "a/enable", "a?b", ""] {
        doorman_in(&hub, &[], &["webhook", "delete", id]).await.failed(2, &["`doorman webhook list`"]);
    }
    doorman(&hub, "webhook delete").await.failed(2, &["<ID>"]);
    assert_eq!(hub.calls(), [""; 0]);
}

#[tokio::test]
async fn dry_run_changes_no_webhook() {
    let hub = Hub::start().await;
    let variables = [("DRY_RUN", "true"), ("REPOS", "acme/*"), ("WEBHOOK_SECRET", SECRET)];
    for command in [
        &["webhook", "create", "--url", URL][..],
        &["webhook", "delete", "1a"],
        &["webhook", "disable", "1a"],
    ] {
        let result = doorman_in(&hub, &variables, command).await;
        assert_eq!((result.status, &*result.err), (0, "DRY_RUN is true, so nothing was changed.\n"));
    }
    assert_eq!(hub.calls(), [""; 0]);
}

#[tokio::test]
async fn secret_parts_of_a_url_are_not_shown() {
    let hub = Hub::start().await;
    let url = "https://me:hunter2@doorman.example/hook?secret=hunter2#hunter2";
    hub.model().webhooks.push(Webhook::new(url, &[("org", "acme")]));
    for command in [&["webhook", "list"][..], &["webhook", "list", "--json"], &["check", "acme/*"]] {
        let result = doorman_in(&hub, &[], command).await;
        assert!(result.out.contains("https://doorman.example/hook"), "{}", result.out);
        assert!(
            !result.out.contains("hunter2") && !result.err.contains("hunter2"),
            "{}{}",
            result.out,
            result.err
        );
    }
    create(&hub, "acme/*", "https://doorman.example/hook").await.failed(2, &["is delivered there already"]);
}
