//! `notify`: the address to which the Hub mails.

use std::time::Duration;

use serde_json::{Value, json};

use crate::hub::{Fault, Hub, Role};
use crate::{CommandResult, doorman_in};

const SECRET: &str = "look-here-4f9a2c7d1b";

/// A Hub with two models and a dataset of acme, of which one model is not gated.
async fn hub() -> Hub {
    let hub = Hub::start().await;
    for repo in ["acme/model", "acme/open", "datasets/acme/corpus"] {
        hub.model().add(repo);
    }
    hub.model().repo("acme/open").gating = crate::hub::Gating::Off;
    hub
}

/// The mode and the address that are set for each repo.
fn set(hub: &Hub) -> Vec<(String, Option<String>)> {
    let model = hub.model();
    let repos = ["acme/model", "acme/open", "datasets/acme/corpus"].map(|name| &model.repos[name]);
    repos.map(|repo| (repo.notifications_mode.clone(), repo.notifications_email.clone())).into()
}

async fn notify(hub: &Hub, arguments: &[&str]) -> CommandResult {
    let variables = [("REPOS", "acme/*"), ("MAIL_SECRET", SECRET)];
    doorman_in(hub, &variables, &[&["notify"], arguments].concat()).await
}

#[tokio::test]
async fn on_sets_mode_and_address_and_shows_no_secret() {
    let hub = hub().await;
    let result = notify(&hub, &["on", "--domain", "doorman.acme.com", "--yes"]).await;
    assert!(!result.err.contains(SECRET), "{}", result.err);
    let out = result.out();
    let expected =
        ["acme/model", "datasets/acme/corpus"].map(|repo| format!("{repo}\treal-time\t…@doorman.acme.com\n"));
    assert_eq!(out, expected.concat());
    let (ours, bulk) =
        (("real-time".to_owned(), Some(format!("{SECRET}@doorman.acme.com"))), ("bulk".to_owned(), None));
    assert_eq!(set(&hub), [ours.clone(), bulk, ours]);
    let bodies: Vec<Value> =
        hub.model().calls.iter().filter(|call| call.method == "PUT").map(|call| call.body.clone()).collect();
    let body = json!({"gatedNotificationsMode": "real-time", "gatedNotificationsEmail": format!("{SECRET}@doorman.acme.com")});
    assert_eq!(bodies, [body.clone(), body], "nothing else is changed");
}

#[tokio::test]
async fn off_sets_what_the_owner_names() {
    let hub = hub().await;
    let out = notify(&hub, &["off", "--email", "ada@acme.com", "--mode", "bulk", "--yes", "acme/model"])
        .await
        .out();
    assert_eq!(out, "acme/model\tbulk\t…@acme.com\n");
    assert_eq!(set(&hub)[0], ("bulk".to_owned(), Some("ada@acme.com".to_owned())));
    assert_eq!(set(&hub)[2], ("bulk".to_owned(), None));
    notify(&hub, &["off", "--mode", "bulk"]).await.failed(2, &["--email"]);
}

#[tokio::test]
async fn nothing_is_set_without_an_agreement_or_an_address() {
    let hub = hub().await;
    notify(&hub, &["on", "--domain", "doorman.acme.com"]).await.failed(2, &["give --yes"]);
    notify(&hub, &["on"]).await.failed(2, &["--domain"]);
    notify(&hub, &["on", "--address", "not an address"]).await.failed(2, &["not a mail address"]);
    let on = ["notify", "on", "--domain", "doorman.acme.com", "--yes"];
    doorman_in(&hub, &[("REPOS", "acme/*")], &on).await.failed(2, &["MAIL_SECRET: not set"]);
    doorman_in(&hub, &[("MAIL_SECRET", SECRET)], &on).await.failed(2, &["REPOS is not set"]);
    let dry = [("REPOS", "acme/*"), ("MAIL_SECRET", SECRET), ("DRY_RUN", "true")];
    let result = doorman_in(&hub, &dry, &on).await;
    assert!(result.err.contains("nothing was changed"), "{}", result.err);
    assert_eq!(set(&hub), vec![("bulk".to_owned(), None); 3]);
}

#[tokio::test]
async fn repo_that_fails_does_not_prevent_the_others() {
    let hub = hub().await;
    hub.model().repo("acme/model").role = Role::Read;
    let result = notify(&hub, &["on", "--address", "ada@gmail.com", "--yes"]).await;
    result.failed(1, &["acme/model", "needs write access"]);
    assert_eq!(result.out, "datasets/acme/corpus\treal-time\t…@gmail.com\n");
}

/// The status says that the settings were taken. A repeated call would only use up the rate limit.
#[tokio::test]
async fn success_counts_whatever_its_body_is() {
    let answer = |headers, body: &str| Fault::Answer(200, headers, body.to_owned());
    let endless =
        Fault::Endless { status: 200, promised: None, chunk: 10, pause: Duration::from_millis(100) };
    let encoded = vec![("content-encoding", "zstd".to_owned())];
    let answers = [Fault::Garbage, endless, answer(Vec::new(), "{}"), answer(encoded, "")];
    for answer in answers {
        let hub = hub().await;
        hub.model().faults("settings", &answer, 100);
        let result = notify(&hub, &["on", "--address", "ada@gmail.com", "--yes", "acme/model"]).await;
        assert_eq!(result.out(), "acme/model\treal-time\t…@gmail.com\n", "{answer:?}");
        assert_eq!(hub.calls().iter().filter(|call| call.starts_with("PUT")).count(), 1, "{answer:?}");
    }
}
