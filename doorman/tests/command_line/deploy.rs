//! `doorman deploy`, as far as it does not need AWS: the questions, the settings, and an `aws` command that is missing or fails.
//! `scripts/verify/deploy.py` runs the whole deployment.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use crate::CommandResult;
use crate::hub::{Fault, Gating, Hub};
use crate::policy::Folder;

const POLICY: &str = "[[rules]]\nname = 'staff'\nthen = 'accept'\nif = \"user.domain == 'acme.com'\"\n";

const WITH_LIST: &str = "[lists]\nmembers = { file = 'members.txt' }\n\n[[rules]]\nname = 'members'\nthen = 'accept'\n\
                         if = 'user.name in lists.members'\n";

const SETTINGS: &str = "region = 'eu-central-1'\nrepos = ['acme/model']\npolicy = 'policy.toml'\n";

const INIT: [&str; 10] = [
    "deploy",
    "init",
    "--repos",
    "acme/model, datasets/acme/corpus",
    "--policy",
    "policy.toml",
    "--alarms",
    "operators@example.org",
    "--region",
    "eu-central-1",
];

/// A Hub with two gated repos.
async fn hub() -> Hub {
    let hub = Hub::start().await;
    hub.model().add("acme/model");
    hub.model().add("datasets/acme/corpus");
    hub
}

/// Runs `init` with these options instead of the ones that work.
async fn init(hub: &Hub, folder: &Folder, options: &[(&str, &str)]) -> CommandResult {
    let mut arguments = INIT.to_vec();
    for (name, value) in options {
        match arguments.iter().position(|argument| argument == name) {
            Some(at) => arguments[at + 1] = value,
            None => arguments.extend([name, value]),
        }
    }
    folder.run(hub, &[], &arguments).await
}

/// Writes an `aws` command that is this script, and gives the `PATH` of it.
pub fn aws(folder: &Folder, script: &str) -> String {
    folder.write("bin/aws", format!("#!/bin/sh\n{script}\n"));
    let path = folder.path("bin");
    let permissions = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(path.join("aws"), permissions).expect("executable");
    format!("{}:/usr/bin:/bin", path.display())
}

#[tokio::test]
async fn init_writes_settings_without_a_secret() {
    let (hub, folder) = (hub().await, Folder::new("deploy-init", &[("policy.toml", POLICY)]));
    let result = init(&hub, &folder, &[]).await;
    result.failed(0, &["Wrote doorman.toml", "before you can deploy: there is no `aws` command"]);
    let text = folder.read("doorman.toml");
    let lines: Vec<&str> =
        text.lines().filter(|line| line.contains(" = ") && !line.starts_with('#')).collect();
    let expected = [
        "name = \"hub-doorman\"",
        "region = \"eu-central-1\"",
        "repos = [\"acme/model\", \"datasets/acme/corpus\"]",
        "policy = \"policy.toml\"",
        "token = \"HF_TOKEN\"",
        "alarms = \"operators@example.org\"",
        "dry_run = true",
        "architecture = \"arm64\"",
    ];
    assert_eq!(lines, expected);
    assert!(!text.contains(Hub::TOKEN) && !result.err.contains("operators@"), "{text}{}", result.err);
    init(&hub, &folder, &[]).await.failed(2, &["doorman.toml is there already, and is not overwritten"]);
    assert!(hub.calls().iter().all(|call| call.starts_with("GET ")), "{:?}", hub.calls());
}

#[tokio::test]
async fn init_without_a_terminal_names_the_missing_options() {
    let (hub, folder) = (hub().await, Folder::new("deploy-missing", &[]));
    let result = folder.run(&hub, &[], &["deploy", "init", "--policy", "policy.toml"]).await;
    result.failed(2, &["give --repos, --alarms, --region"]);
    assert_eq!(hub.calls(), [""; 0]);
}

#[tokio::test]
async fn init_refuses_each_wrong_answer() {
    let (hub, folder) =
        (hub().await, Folder::new("deploy-wrong", &[("policy.toml", POLICY), ("bad.toml", "rule = 1")]));
    hub.model().add("acme/open").gating = Gating::Off;
    let form = json!({"extra_gated_fields": {"Country": "country"}});
    hub.model().repo("acme/model").card = form;
    folder.write("label.toml", POLICY.replace("user.domain", "fields['Kountry']"));
    let cases = [
        ("--repos", "acme/nothing", "acme/nothing: "),
        ("--repos", "acme/open", "acme/open: not gated: everybody has access"),
        ("--repos", " ", "name at least one repo"),
        ("--policy", "none.toml", "none.toml: there is no such file"),
        ("--policy", "bad.toml", "bad.toml: line 1"),
        ("--policy", "label.toml", "reads fields['Kountry'], which no form asks"),
        ("--policy", "hf://datasets/acme/doorman/policy.toml", "hf://datasets/acme/doorman/policy.toml: "),
        ("--token", "hf_hunter2", "token: it is neither `HF_TOKEN` nor the ARN"),
        ("--alarms", "hunter2", "alarms: it is neither an e-mail address"),
        ("--region", "Frankfurt", "region: `Frankfurt` is not a region"),
    ];
    for (option, answer, expected) in cases {
        let result = init(&hub, &folder, &[(option, answer)]).await;
        assert!(result.status != 0 && result.err.contains(expected), "{option} {answer}: {}", result.err);
        assert!(!result.err.contains("hunter2"), "{}", result.err);
    }
    hub.model().fault("GET /api/whoami-v2", Fault::Answer(200, Vec::new(), read_only()));
    init(&hub, &folder, &[]).await.failed(2, &["this token may only read"]);
    assert!(!folder.names().contains(&"doorman.toml".to_owned()));
}

/// The answer of the Hub about a token that may only read.
fn read_only() -> String {
    json!({"name": "owner", "auth": {"accessToken": {"role": "read"}}}).to_string()
}

#[tokio::test]
async fn init_asks_for_a_place_of_a_policy_with_lists() {
    let (hub, folder) =
        (hub().await, Folder::new("deploy-lists", &[("policy.toml", WITH_LIST), ("members.txt", "ada\n")]));
    init(&hub, &folder, &[]).await.failed(0, &["Wrote"]);
    let text = folder.read("doorman.toml");
    assert!(text.contains("push_to = \"hf://datasets/acme/doorman/policy.toml\""), "{text}");
    let wrong = [("--push-to", "policy.toml"), ("--settings", "other.toml")];
    init(&hub, &folder, &wrong).await.failed(2, &["push_to: this is no place on the Hub"]);
}

#[tokio::test]
async fn deploy_needs_settings_and_an_aws_command_that_works() {
    let (hub, folder) = (hub().await, Folder::new("deploy-aws", &[("policy.toml", POLICY)]));
    let deploy = ["deploy", "--yes"];
    folder.run(&hub, &[], &deploy).await.failed(2, &["doorman.toml: there is no such file", "deploy init"]);
    folder.write("doorman.toml", "region = 'x'\nrepos = []\npolicy = 'policy.toml'\n");
    folder
        .run(&hub, &[], &deploy)
        .await
        .failed(2, &["- doorman.toml: region: ", "- doorman.toml: repos: it is empty"]);
    folder.write("doorman.toml", SETTINGS);
    folder.run(&hub, &[], &deploy).await.failed(1, &["there is no `aws` command; install version 2"]);
    let scripts = [
        ("echo aws-cli/1.16.0".to_owned(), "the `aws` command is too old (1.16)"),
        ("echo hello".to_owned(), "does not say its version"),
        (
            format!("{VERSION}echo 'Unable to locate credentials' >&2; exit 253"),
            "Unable to locate credentials. To give `aws` credentials",
        ),
    ];
    for (script, expected) in scripts {
        let path = aws(&folder, &script);
        folder.run(&hub, &[("PATH", &path)], &deploy).await.failed(1, &[expected]);
    }
    assert_eq!(hub.calls(), [""; 0]);
}

/// The part of an `aws` script that says its version.
const VERSION: &str = "[ \"$1\" = --version ] && echo aws-cli/2.31.0 && exit\n";

#[tokio::test]
async fn region_without_an_endpoint_is_refused_if_aws_can_be_reached() {
    let (hub, folder) = (hub().await, Folder::new("deploy-region", &[("policy.toml", POLICY)]));
    let unreachable = "echo 'Could not connect to the endpoint URL: \"https://sts.eu-west-9.amazonaws.com/\"' >&2; exit 255";
    let online = format!(
        "{VERSION}case \"$*\" in *eu-west-9*) {unreachable};; *) echo '{{\"Account\": \"123456789012\", \"Arn\": \"x\"}}';; esac"
    );
    let path = aws(&folder, &online);
    let online = [("PATH", &*path)];
    let expected =
        "region: `eu-west-9` is not a region of AWS: it has no endpoint, but AWS can be reached; correct it";
    let wrong: Vec<&str> =
        INIT.map(|argument| if argument == "eu-central-1" { "eu-west-9" } else { argument }).to_vec();
    folder.run(&hub, &online, &wrong).await.failed(2, &[expected]);
    assert!(!folder.names().contains(&"doorman.toml".to_owned()));
    folder.write("doorman.toml", SETTINGS.replace("eu-central-1", "eu-west-9"));
    folder.run(&hub, &online, &["deploy", "--yes"]).await.failed(2, &[expected]);
    aws(&folder, &format!("{VERSION}{unreachable}"));
    let offline = folder.run(&hub, &online, &["deploy", "--yes"]).await;
    offline.failed(1, &["Is the region right, and is there a network?"]);
}

/// The `aws` command sends the signal of Ctrl-C, and ends after `doorman` has ended.
#[tokio::test]
async fn ctrl_c_before_the_first_step_says_that_nothing_was_changed() {
    let (hub, folder) = (hub().await, Folder::new("deploy-ctrl-c", &[("doorman.toml", SETTINGS)]));
    let path = aws(
        &folder,
        &format!("{VERSION}kill -INT $PPID\nwhile kill -0 $PPID 2>/dev/null; do sleep 0.05; done"),
    );
    let result = folder.run(&hub, &[("PATH", &path)], &["deploy", "--yes"]).await;
    result.failed(130, &["doorman: interrupted before the first step, so nothing was changed."]);
    assert_eq!((result.err.lines().count(), hub.calls().len()), (1, 0), "{}", result.err);
}

#[tokio::test]
async fn deploy_needs_the_zip_of_the_function() {
    let (hub, folder) =
        (hub().await, Folder::new("deploy-zip", &[("policy.toml", POLICY), ("doorman.toml", SETTINGS)]));
    let script = "case $1 in --version) echo aws-cli/2.31.0;; *) echo '{\"Account\": \"123456789012\", \"Arn\": \"arn:aws:iam::1:user/x\"}';; esac";
    let path = aws(&folder, script);
    let variables = [("PATH", &*path)];
    folder.run(&hub, &variables, &["deploy"]).await.failed(
        2,
        &["hub-doorman-lambda-arm64.zip: this program was installed without the function", "--zip"],
    );
    let arguments = ["deploy", "--zip", "policy.toml"];
    folder
        .run(&hub, &variables, &arguments)
        .await
        .failed(2, &["policy.toml: this is not a zip of a function"]);
}
