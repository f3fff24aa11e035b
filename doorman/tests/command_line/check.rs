//! `check`: it finds what is wrong before a deployment, and names the variable, repo or webhook to correct.

mod forms;
mod function;
mod policy_repo;
mod webhooks;

use serde_json::{Value, json};

use crate::hub::{Fault, Gating, Hub, Role, Scope, TokenRole, Webhook};
use crate::policies::TempFile;
use crate::support::{SECRET, ask, staff, stranger};
use crate::{CommandResult, doorman_in};

/// The result of `check`.
pub struct CheckResult {
    status: i32,
    /// The level, the subject and the text of each finding.
    findings: Vec<[String; 3]>,
}

impl CheckResult {
    fn of(result: &CommandResult) -> Self {
        let cells = |line: &str| -> Vec<String> { line.split('\t').map(str::to_owned).collect() };
        let findings = result.out.lines().map(|line| cells(line).try_into().expect("three cells"));
        Self { status: result.status, findings: findings.collect() }
    }

    /// The level and the subject of each finding that did not pass.
    pub fn wrong(&self) -> Vec<(&str, &str)> {
        let wrong = self.findings.iter().filter(|[level, ..]| level != "passed");
        wrong.map(|[level, about, _]| (&**level, &**about)).collect()
    }

    /// Asserts that there is a finding of this level and subject that contains all these texts.
    #[track_caller]
    pub fn says(&self, level: &str, about: &str, texts: &[&str]) {
        let matches = |[of, what, text]: &[String; 3]| {
            of == level && what == about && texts.iter().all(|part| text.contains(part))
        };
        assert!(self.findings.iter().any(matches), "{level} {about} {texts:?}: {:#?}", self.findings);
    }

    /// The text of the first finding about this subject.
    pub fn text(&self, about: &str) -> &str {
        let found = self.findings.iter().find(|[_, what, _]| what == about);
        found.map_or("", |[_, _, text]| text)
    }

    /// Asserts that only this finding did not pass, and that it contains all these texts.
    #[track_caller]
    pub fn only(&self, level: &str, about: &str, texts: &[&str]) {
        assert_eq!(self.wrong(), [(level, about)], "{:#?}", self.findings);
        self.says(level, about, texts);
        assert_eq!(self.status, i32::from(level == "failed"));
    }
}

/// Runs `check` for acme/model with the secret and with these variables, which may replace the others. Asserts that nothing is
/// written.
async fn run(hub: &Hub, variables: &[(&str, &str)], arguments: &[&str]) -> CommandResult {
    let variables = [&[("REPOS", "acme/model"), ("WEBHOOK_SECRET", SECRET)], variables].concat();
    let result = doorman_in(hub, &variables, &[&["check"], arguments].concat()).await;
    assert!(hub.calls().iter().all(|call| call.starts_with("GET ")), "{:?}", hub.calls());
    result
}

pub async fn check(hub: &Hub, variables: &[(&str, &str)]) -> CheckResult {
    CheckResult::of(&run(hub, variables, &[]).await)
}

/// A Hub with a correct setup: acme/model is gated, its form has the fields of the policy, and a webhook watches it.
pub async fn ready() -> Hub {
    let hub = Hub::start().await;
    hub.model().add("acme/model").card = hub_form();
    watch(&hub, &[("org", "acme")]);
    hub
}

fn form(fields: &Value) -> Value {
    json!({"extra_gated_prompt": "Who are you?", "extra_gated_fields": fields})
}

/// Replaces all webhooks by one that watches this. Returns its id.
fn watch(hub: &Hub, watched: &[(&str, &str)]) -> String {
    let secret = Some(SECRET.to_owned());
    let webhook = Webhook { secret, ..Webhook::new("https://doorman.example/?key=hidden", watched) };
    let id = webhook.id.clone();
    hub.model().webhooks = vec![webhook];
    id
}

#[tokio::test]
async fn correct_setup_passes_and_nothing_is_changed() {
    let hub = ready().await;
    ask(&hub, "acme/model", [staff("ada")]);
    let id = hub.model().webhooks[0].id.clone();
    let result = run(&hub, &[], &[]).await;
    let expected = format!(
        "passed\tAPPROVAL_POLICY\t3 rules\n\
         passed\tWEBHOOK_SECRET\tis set\n\
         passed\tHF_TOKEN\ta token of owner with the role `write`\n\
         passed\tacme/model\tgated, with manual approval; 1 pending request\n\
         passed\trate limit\ta sweep makes 1 call; once a minute, that is 5 of the 1,000 that the Hub allows in 5 minutes; \
         a period of 1 minute or more fits\n\
         passed\tthe rules\tread only answers that the forms ask for\n\
         passed\twebhook {id}\tdelivered to https://doorman.example/\n"
    );
    assert_eq!((result.status, &*result.out), (0, &*expected));
    assert_eq!(result.err, "7 passed, 0 warnings, 0 failed\n", "the sums are not on standard output");
    assert_eq!(hub.calls().len(), 5, "{:?}", hub.calls());
}

#[tokio::test]
async fn all_faulty_variables_are_reported_without_a_call() {
    let hub = ready().await;
    let rules = r#"{"rules": [{"name": "a", "then": "accept", "if": "usr.pro"}, {"name": "b"}]}"#;
    let variables = [
        ("APPROVAL_POLICY", rules),
        ("REPOS", "acme/model, spaces/acme/app, a--b"),
        ("DRY_RUN", "perhaps"),
        ("WEBHOOK_SECRET", "ses\u{e9}me"),
        ("WEBHOOK_SECRET_PREVIOUS", "s\u{e9}same"),
        ("CONCURRENCY", "0"),
        ("HF_ENDPOINT", "ftp://example.org"),
        ("HF_TOKEN", "hf_t\u{f6}ken"),
        ("RUST_LOG", "inof"),
    ];
    let result = run(&hub, &variables, &[]).await;
    let checked = CheckResult::of(&result);
    let failed: Vec<&str> = checked
        .wrong()
        .into_iter()
        .map(|(level, about)| if level == "failed" { about } else { level })
        .collect();
    let expected = [
        "APPROVAL_POLICY",
        "APPROVAL_POLICY",
        "APPROVAL_POLICY",
        "REPOS",
        "REPOS",
        "DRY_RUN",
        "WEBHOOK_SECRET",
        "WEBHOOK_SECRET_PREVIOUS",
        "RUST_LOG",
        "CONCURRENCY",
        "HF_ENDPOINT",
        "HF_TOKEN",
    ];
    assert_eq!((checked.status, &*failed), (1, &expected[..]));
    checked.says("failed", "APPROVAL_POLICY", &["usr"]);
    checked.says("failed", "REPOS", &["spaces/acme/app"]);
    checked.says("failed", "REPOS", &["a--b"]);
    checked.says("failed", "DRY_RUN", &["`perhaps` is neither"]);
    assert!(!result.out.contains("hf_t") && !result.out.contains("s\u{e9}"), "{}", result.out);
    assert!(result.err.contains("0 warnings, 12 failed"), "{}", result.err);
    assert_eq!(hub.calls(), [""; 0]);
}

#[tokio::test]
async fn faulty_policy_does_not_stop_the_other_checks() {
    let hub = ready().await;
    hub.model().repo("acme/model").gating = Gating::Off;
    hub.model().webhooks[0].disabled = json!(true);
    let id = hub.model().webhooks[0].id.clone();
    let checked = check(&hub, &[("APPROVAL_POLICY", "{"), ("DRY_RUN", "true")]).await;
    let webhook = format!("webhook {id}");
    let expected = [
        ("failed", "APPROVAL_POLICY"),
        ("warning", "DRY_RUN"),
        ("failed", "acme/model"),
        ("failed", &*webhook),
        ("warning", "acme/model"),
    ];
    assert_eq!((checked.status, checked.wrong()), (1, expected.to_vec()));
}

#[tokio::test]
async fn missing_optional_variable_is_a_warning() {
    let hub = ready().await;
    check(&hub, &[("WEBHOOK_SECRET", "")]).await.only("warning", "WEBHOOK_SECRET", &["not set", "Lambda"]);
    check(&hub, &[("WEBHOOK_SECRET", " ")]).await.only("warning", "WEBHOOK_SECRET", &["not set"]);
    check(&hub, &[("REPOS", "")]).await.only("warning", "REPOS", &["not set", "no sweeps"]);
    check(&hub, &[("DRY_RUN", "true")]).await.only("warning", "DRY_RUN", &["changes nothing"]);
    let result = run(&hub, &[("REPOS", ""), ("DRY_RUN", "true")], &[]).await;
    assert!(result.err.contains(" passed, 2 warnings, 0 failed"), "{}", result.err);
}

#[tokio::test]
async fn missing_required_variable_fails() {
    let hub = ready().await;
    check(&hub, &[("APPROVAL_POLICY", "")]).await.only("failed", "APPROVAL_POLICY", &["not set"]);
    check(&hub, &[("HF_TOKEN", "")]).await.only("failed", "HF_TOKEN", &["not set"]);
}

#[tokio::test]
async fn token_saved_at_login_passes() {
    let hub = ready().await;
    let saved = TempFile::new("check-token", &format!("{}\n", Hub::TOKEN));
    let checked = check(&hub, &[("HF_TOKEN", ""), ("HF_TOKEN_PATH", saved.path())]).await;
    assert_eq!((checked.status, checked.wrong()), (0, Vec::new()));
}

#[tokio::test]
async fn unknown_token_is_the_only_finding() {
    let hub = ready().await;
    hub.model().token = "another".to_owned();
    let checked = check(&hub, &[]).await;
    checked.only("failed", "HF_TOKEN", &["401", "put a valid token into HF_TOKEN"]);
    assert_eq!(hub.calls(), ["GET /api/whoami-v2"]);
}

#[tokio::test]
async fn read_token_fails_and_so_do_its_repos() {
    let hub = ready().await;
    hub.model().token_role = TokenRole::Read;
    let checked = check(&hub, &[]).await;
    assert_eq!(
        (checked.status, checked.wrong()),
        (1, vec![("failed", "HF_TOKEN"), ("failed", "acme/model")])
    );
    checked.says("failed", "HF_TOKEN", &["a token of owner", "may only read", "`write`"]);
    checked.says("failed", "acme/model", &["403", "write access"]);
}

#[tokio::test]
async fn fine_grained_token_must_include_each_repo() {
    let hub = ready().await;
    hub.model().add("datasets/acme/corpus").card = hub_form();
    let repos = [("REPOS", "acme/model datasets/acme/corpus")];

    hub.model().token_role =
        TokenRole::FineGrained(vec![Scope::new("org", "acme", &["repo.content.read", "repo.write"])]);
    let checked = check(&hub, &repos).await;
    assert_eq!((checked.status, checked.wrong()), (0, Vec::new()));
    checked.says("passed", "HF_TOKEN", &["a fine-grained token of owner", "at each repo"]);

    hub.model().token_role = TokenRole::FineGrained(vec![Scope::new("model", "acme/model", &["repo.write"])]);
    let checked = check(&hub, &repos).await;
    checked.only("failed", "datasets/acme/corpus", &["403", "write access"]);
    checked.says("passed", "acme/model", &["manual approval"]);

    hub.model().token_role = TokenRole::FineGrained(vec![Scope::new("org", "acme", &["repo.content.read"])]);
    let checked = check(&hub, &repos).await;
    assert_eq!(checked.wrong(), [("failed", "acme/model"), ("failed", "datasets/acme/corpus")]);
}

pub fn hub_form() -> Value {
    let optional = |kind: &str| json!({"type": kind, "optional": true});
    form(&json!({"Country": optional("country"), "Purpose": optional("text")}))
}

#[tokio::test]
async fn each_unusable_repo_fails_with_its_cause() {
    let hub = ready().await;
    for (name, gating, role) in [
        ("acme/open", Gating::Off, Role::Write),
        ("acme/automatic", Gating::Auto, Role::Write),
        ("acme/foreign", Gating::Manual, Role::Read),
        ("acme/hidden", Gating::Manual, Role::None),
    ] {
        let mut model = hub.model();
        let repo = model.add(name);
        (repo.gating, repo.role, repo.card) = (gating, role, hub_form());
    }
    hub.model().add("acme/old").name = "acme/new".to_owned();
    let repos = "acme/old acme/hidden acme/open acme/gone acme/model acme/foreign acme/automatic acme/model";
    let checked = check(&hub, &[("REPOS", repos)]).await;

    let wrong = ["automatic", "foreign", "gone", "hidden", "old", "open"].map(|name| format!("acme/{name}"));
    let expected: Vec<_> = wrong.iter().map(|name| ("failed", &**name)).collect();
    assert_eq!((checked.status, checked.wrong()), (1, expected), "in alphabetical order");
    checked.says("failed", "acme/open", &["not gated: everybody has access", "manual approval"]);
    checked.says("failed", "acme/automatic", &["accepts every request", "manual approval"]);
    checked.says("failed", "acme/foreign", &["403", "write access"]);
    checked.says("failed", "acme/hidden", &["404 RepoNotFound", "HF_TOKEN does not see it"]);
    checked.says("failed", "acme/gone", &["404 RepoNotFound"]);
    checked.says("failed", "acme/old", &["the Hub calls it `acme/new` now"]);
    let about_model = checked.findings.iter().filter(|[_, about, _]| about == "acme/model").count();
    assert_eq!(about_model, 1, "named twice, checked once");
}

#[tokio::test]
async fn names_in_another_case_pass_in_the_hubs_spelling() {
    let hub = ready().await;
    hub.model().add("datasets/acme/corpus").card = hub_form();
    let scope = |kind, name| Scope::new(kind, name, &["repo.write"]);
    let scoped = vec![scope("model", "Acme/Model"), scope("org", "ACME")];
    hub.model().token_role = TokenRole::FineGrained(scoped);
    let id = watch(&hub, &[("org", "aCME")]);
    let checked = check(&hub, &[("REPOS", "ACME/Model acme/MODEL Acme/* datasets/acme/Corpus")]).await;
    assert_eq!((checked.wrong(), checked.findings.len()), (Vec::new(), 8), "{:#?}", checked.findings);
    for repo in ["acme/model", "datasets/acme/corpus"] {
        checked.says("passed", repo, &["manual approval"]);
    }
    checked.says("passed", &format!("webhook {id}"), &["delivered to"]);

    for watched in [("model", "ACME/model"), ("user", "Acme")] {
        watch(&hub, &[watched]);
        assert_eq!(check(&hub, &[("REPOS", "acme/Model")]).await.wrong(), Vec::new(), "{watched:?}");
    }
}

#[tokio::test]
async fn renamed_repo_fails_with_its_new_name() {
    let hub = ready().await;
    let moved = [("Location", "/api/models/acme/renamed".to_owned())];
    hub.model().fault("GET /api/models/acme/model", Fault::Answer(307, moved.to_vec(), String::new()));
    check(&hub, &[]).await.only("failed", "acme/model", &["307", "acme/renamed"]);
}

#[tokio::test]
async fn unknown_kind_of_gate_fails() {
    let hub = ready().await;
    let answer = json!({"id": "acme/model", "gated": "sometimes", "cardData": hub_form()}).to_string();
    hub.model().fault("GET /api/models/acme/model", Fault::Answer(200, Vec::new(), answer));
    check(&hub, &[]).await.only("failed", "acme/model", &["not documented"]);
}

#[tokio::test]
async fn only_the_first_page_of_requests_is_read() {
    let hub = ready().await;
    ask(&hub, "acme/model", (0..11).map(|number| stranger(&format!("eve{number}"))));
    hub.model().max_page = 10;
    check(&hub, &[]).await.says("passed", "acme/model", &["10 or more pending requests"]);
}

#[tokio::test]
async fn gated_repos_of_a_namespace_are_checked() {
    let hub = ready().await;
    for name in ["acme/automatic", "acme/open", "datasets/acme/corpus", "other/model"] {
        hub.model().add(name).card = hub_form();
    }
    hub.model().repo("acme/automatic").gating = Gating::Auto;
    hub.model().repo("acme/open").gating = Gating::Off;
    let checked = check(&hub, &[("REPOS", "acme/* acme/model")]).await;
    checked.only("warning", "acme/automatic", &["accepts every request"]);
    let about: Vec<&str> = checked.findings.iter().map(|[_, about, _]| &**about).collect();
    assert_eq!(about[3..6], ["acme/automatic", "acme/model", "datasets/acme/corpus"]);
    assert_eq!(about.len(), 9, "{about:?}");

    let checked = check(&hub, &[("REPOS", "datasets/acme/*")]).await;
    let about: Vec<&str> = checked.findings.iter().map(|[_, about, _]| &**about).collect();
    assert_eq!((checked.wrong(), about[3]), (Vec::new(), "datasets/acme/corpus"));
    assert_eq!(about.len(), 7, "{about:?}");
}

#[tokio::test]
async fn namespace_without_gated_repos_fails() {
    let hub = ready().await;
    hub.model().add("nobody/open").gating = Gating::Off;
    watch(&hub, &[("org", "acme"), ("user", "nobody")]);
    let checked = check(&hub, &[("REPOS", "acme/* nobody/*")]).await;
    checked.only("failed", "nobody/*", &["no gated repo found", "misspelt", "HF_TOKEN"]);
}

#[tokio::test]
async fn failed_search_is_not_reported_as_empty() {
    let hub = ready().await;
    hub.model().fault("GET /api/datasets?author=acme", Fault::Status(403));
    let checked = check(&hub, &[("REPOS", "acme/*")]).await;
    checked.only("failed", "acme/*", &["403"]);
    checked.says("passed", "acme/model", &["manual approval"]);

    hub.model().fault("GET /api/datasets?author=acme", Fault::Status(403));
    check(&hub, &[("REPOS", "datasets/acme/*")]).await.only("failed", "datasets/acme/*", &["403"]);
}

#[tokio::test]
async fn arguments_replace_repos() {
    let hub = ready().await;
    hub.model().add("acme/open").gating = Gating::Off;
    let address = format!("{}/acme/open/tree/main", hub.endpoint());
    for repos in ["acme/model", ""] {
        let checked = CheckResult::of(&run(&hub, &[("REPOS", repos)], &[&address]).await);
        let of_repos: Vec<_> = checked.wrong().into_iter().filter(|(_, about)| about.contains('/')).collect();
        assert_eq!((checked.status, of_repos), (1, vec![("failed", "acme/open")]));
        assert!(!hub.calls().iter().any(|call| call.contains("acme/model")), "{:?}", hub.calls());
    }
    run(&hub, &[], &["acme/model/tree"]).await.failed(2, &["acme/model/tree", "is not the name of a repo"]);
}

/// An automatic gate fails a repo that is named, and is a warning in a namespace until the repo is left out.
#[tokio::test]
async fn automatic_gate_in_a_namespace_can_be_excluded() {
    let hub = ready().await;
    hub.model().add("acme/open").gating = Gating::Auto;
    let checked = check(&hub, &[("REPOS", "acme/*")]).await;
    checked.only("warning", "acme/open", &["leave it out with `!acme/open` in REPOS"]);
    assert_eq!(checked.status, 0);
    assert_eq!(check(&hub, &[("REPOS", "acme/* !acme/open")]).await.wrong(), Vec::new());
    assert_eq!(check(&hub, &[("REPOS", "acme/model acme/open")]).await.status, 1);
}
