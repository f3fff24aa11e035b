//! The stand-in Hub: the account of the token, its rights, and its webhooks.

use serde_json::{Value, json};

use crate::hub::{Account, Hub, Scope, Status, TokenRole, Webhook};
use crate::stand_in::{REQUESTS, call, client, json_of};
use crate::support::{ask, staff};

const WEBHOOKS: &str = "/api/settings/webhooks";

/// The status and the body of the response to a call.
async fn send(hub: &Hub, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
    let response = call(hub, method, path, body).await;
    (response.status().as_u16(), json_of(response).await)
}

#[tokio::test]
async fn webhook_is_created_changed_disabled_and_deleted() {
    let hub = Hub::start().await;
    let body = json!({"url": "https://doorman.example/", "watched": [{"type": "org", "name": "acme"}], "secret": "s"});
    let (status, made) = send(&hub, "POST", WEBHOOKS, Some(body.clone())).await;
    let id = made["webhook"]["id"].as_str().expect("an id").to_owned();
    let mut expected = body;
    let avatar = "https://huggingface.co/avatars/x.svg";
    expected["watched"][0]["avatarUrl"] = json!(avatar);
    expected.as_object_mut().expect("an object").remove("secret");
    expected["hasSecret"] = json!(true);
    expected["id"] = json!(id);
    expected["domains"] = json!(["repo", "discussion"]);
    expected["disabled"] = json!(false);
    assert_eq!((status, &made), (200, &json!({"webhook": expected})));
    assert_eq!(send(&hub, "GET", WEBHOOKS, None).await, (200, json!([expected])), "a bare list");

    let one = format!("{WEBHOOKS}/{id}");
    for (action, disabled) in [("disable", true), ("disable", true), ("enable", false)] {
        let (status, body) = send(&hub, "POST", &format!("{one}/{action}"), None).await;
        assert_eq!((status, &body["webhook"]["disabled"]), (200, &json!(disabled)));
        assert_eq!(hub.model().webhooks[0].disabled, disabled);
    }

    let watched =
        json!([{"type": "dataset", "name": "acme/corpus"}, {"type": "model", "name": "acme/model"}]);
    let change = json!({"watched": watched, "domains": ["discussion"]});
    let (status, changed) = send(&hub, "POST", &one, Some(change)).await;
    expected["watched"] = watched;
    (0..2).for_each(|place| expected["watched"][place]["avatarUrl"] = json!(avatar));
    expected["domains"] = json!(["discussion"]);
    assert_eq!((status, &changed), (200, &json!({"webhook": expected})), "settings that are left out stay");
    assert_eq!(send(&hub, "GET", &one, None).await, (200, changed));

    assert_eq!(send(&hub, "DELETE", &one, None).await.0, 200);
    assert!(hub.model().webhooks.is_empty());
    for (method, path) in
        [("GET", ""), ("POST", ""), ("DELETE", ""), ("POST", "/enable"), ("POST", "/disable")]
    {
        let (status, body) = send(&hub, method, &format!("{one}{path}"), Some(json!({}))).await;
        assert_eq!((status, body), (404, json!({"error": "Webhook not found"})), "{method} {path}");
    }
}

#[tokio::test]
async fn incomplete_or_unknown_webhook_settings_are_refused() {
    let hub = Hub::start().await;
    let url = "https://doorman.example/";
    let watched = |kind: &str| json!([{"type": kind, "name": "acme"}]);
    let webhook = Webhook::new(url, &[("org", "acme")]);
    let one = format!("{WEBHOOKS}/{}", webhook.id);
    hub.model().webhooks.push(webhook.clone());
    for (body, made, changed) in [
        (json!({"watched": watched("org")}), 400, 200),
        (json!({"url": url}), 400, 400),
        (json!({"url": url, "watched": []}), 400, 400),
        (json!({"url": "doorman", "watched": watched("org")}), 400, 400),
        (json!({"url": url, "watched": watched("kernel")}), 400, 400),
        (json!({"url": url, "watched": [{"type": "org"}]}), 400, 400),
        (json!({"url": url, "watched": watched("org"), "domains": ["discussions"]}), 400, 400),
        (json!({"url": url, "watched": watched("org"), "domains": "repo"}), 400, 400),
        (json!({"url": url, "watched": watched("bucket"), "domains": ["repo"]}), 200, 200),
    ] {
        let before = hub.model().webhooks.len();
        assert_eq!(send(&hub, "POST", WEBHOOKS, Some(body.clone())).await.0, made, "made from {body}");
        assert_eq!(hub.model().webhooks.len() - before, usize::from(made == 200), "{body}");
        assert_eq!(hub.model().webhooks[0], webhook, "{body}");
        assert_eq!(send(&hub, "POST", &one, Some(body.clone())).await.0, changed, "changed to {body}");
        hub.model().webhooks[0] = webhook.clone();
    }
}

#[tokio::test]
async fn webhook_that_starts_a_job_has_no_url_until_it_gets_one() {
    let hub = Hub::start().await;
    let job = "64f9a55bb3115b4f513ec026";
    let webhook = Webhook { url: None, job: Some(job.to_owned()), ..Webhook::new("", &[("user", "owner")]) };
    let one = format!("{WEBHOOKS}/{}", webhook.id);
    hub.model().webhooks.push(webhook);
    let (_, shown) = send(&hub, "GET", &one, None).await;
    assert_eq!((&shown["webhook"]["jobSourceId"], shown["webhook"].get("url")), (&json!(job), None));
    let body = json!({"url": "https://doorman.example/", "watched": shown["webhook"]["watched"]});
    assert_eq!(send(&hub, "POST", &one, Some(body)).await.0, 200);
    assert_eq!(hub.model().webhooks[0].job, None);
}

#[tokio::test]
async fn settings_need_a_token() {
    let hub = Hub::start().await;
    for path in ["/api/whoami-v2", WEBHOOKS] {
        let url = hub.endpoint() + path;
        assert_eq!(client().get(&url).send().await.expect("a response").status(), 401, "{path}");
        let wrong = client().get(&url).bearer_auth("hf_wrong").send().await.expect("a response");
        assert_eq!(wrong.status(), 401, "{path}");
        assert_eq!(wrong.headers()["x-error-message"], "Invalid username or password.");
        assert_eq!(call(&hub, "GET", path, None).await.status(), 200, "{path}");
    }
}

#[tokio::test]
async fn whoami_shows_the_account_and_the_rights_of_a_token() {
    let hub = Hub::start().await;
    let orgs = vec![("acme".to_owned(), "write".to_owned()), ("labs".to_owned(), "read".to_owned())];
    hub.model().account = Account { name: "ada".to_owned(), orgs, ..Account::new() };
    let (_, who) = send(&hub, "GET", "/api/whoami-v2", None).await;
    assert_eq!((&who["name"], &who["orgs"][1]["name"]), (&json!("ada"), &json!("labs")));
    assert_eq!(who["orgs"][0]["roleInOrg"], "write");
    assert_eq!(who["auth"]["accessToken"]["role"], "write");

    let scoped = vec![Scope::new("org", "acme", &["repo.content.read", "repo.write"])];
    hub.model().account.role = TokenRole::FineGrained { reads_gated: true, global: Vec::new(), scoped };
    let (_, who) = send(&hub, "GET", "/api/whoami-v2", None).await;
    assert_eq!(who["auth"]["accessToken"]["role"], "fineGrained");
    let scoped = json!([{"entity": {"_id": "id-acme", "type": "org", "name": "acme"},
        "permissions": ["repo.content.read", "repo.write"]}]);
    let expected = json!({"canReadGatedRepos": true, "global": [], "scoped": scoped});
    assert_eq!(who["auth"]["accessToken"]["fineGrained"], expected);
}

#[tokio::test]
async fn token_opens_only_what_its_role_and_scopes_allow() {
    let hub = Hub::start().await;
    for repo in ["acme/model", "datasets/acme/model", "acmeish/model"] {
        ask(&hub, repo, [staff("ada")]);
    }
    let scope = |kind: &str, name: &str, permission: &str| TokenRole::FineGrained {
        reads_gated: true,
        global: Vec::new(),
        scoped: vec![Scope::new("user", "owner", &["repo.write"]), Scope::new(kind, name, &[permission])],
    };
    for (role, [model, dataset, other]) in [
        (TokenRole::Write, [200, 200, 200]),
        (TokenRole::Read, [403, 403, 403]),
        (scope("org", "acme", "repo.write"), [200, 200, 403]),
        (scope("org", "acme", "repo.content.read"), [403, 403, 403]),
        (scope("model", "acme/model", "repo.write"), [200, 403, 403]),
        (scope("dataset", "acme/model", "repo.write"), [403, 200, 403]),
    ] {
        hub.model().account.role = role.clone();
        for (repo, status) in [("models/acme", model), ("datasets/acme", dataset), ("models/acmeish", other)]
        {
            let path = format!("/api/{repo}/model/user-access-request/pending");
            assert_eq!(call(&hub, "GET", &path, None).await.status(), status, "{role:?} {repo}");
        }
        let handled = call(&hub, "POST", &format!("{REQUESTS}/handle"), Some(json!({"user": "ada"}))).await;
        assert_eq!(handled.status() == 403, model == 403, "{role:?}");
    }
    assert_eq!(hub.users("acme/model", Status::Pending), ["ada"]);
}
