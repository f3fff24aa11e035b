//! `check --function`: the variables of a deployed function, from an `aws` command that a script stands in for.

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};

use super::{CheckResult, ready};
use crate::CommandResult;
use crate::deploy::aws;
use crate::hub::Hub;
use crate::policy::Folder;
use crate::support::POLICY;

/// A deployed function, and the arguments of its check.
struct Deployed {
    variables: Value,
    /// How many minutes ago the last sweep finished.
    last_sweep: Option<i64>,
    /// How many minutes ago the function was deployed.
    age: i64,
    arguments: &'static [&'static str],
}

impl Default for Deployed {
    fn default() -> Self {
        Self {
            variables: json!({}),
            last_sweep: Some(3),
            age: 60 * 24,
            arguments: &["--function", "gate-Doorman-1A2B"],
        }
    }
}

/// Runs the check in this folder, with an `aws` command that knows the function `gate-Doorman-1A2B` of the stack `gate`.
async fn run(hub: &Hub, folder: &Folder, deployed: Deployed) -> CommandResult {
    let Deployed { variables, last_sweep, age, arguments } = deployed;
    let last = last_sweep.map(|minutes| (Utc::now() - TimeDelta::minutes(minutes + 5)).to_rfc3339());
    let points: Vec<Value> = last.iter().map(|last| json!({"Timestamp": last, "Sum": 1.0})).collect();
    let modified = (Utc::now() - TimeDelta::minutes(age)).format("%FT%T%.3f%z").to_string();
    let mut all = json!({"HF_ENDPOINT": hub.endpoint(), "APPROVAL_POLICY": POLICY, "REPOS": "acme/model", "DRY_RUN": "false",
        "HF_TOKEN": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:doorman-AbCdEf#token",
        "WEBHOOK_SECRET": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:doorman-AbCdEf#webhook"});
    all.as_object_mut().expect("an object").extend(variables.as_object().expect("an object").clone());
    let kept = json!({"token": Hub::TOKEN, "webhook": "never needed"}).to_string();
    let name = "gate-Doorman-1A2B";
    let about = json!({"FunctionName": name, "Timeout": 300, "LastModified": modified, "Environment": {"Variables": all}});
    let stack = json!({"Stacks": [{"Outputs": [{"OutputKey": "Function", "OutputValue": name}]}]});
    let account = json!({"Account": "123456789012", "Arn": "arn:aws:iam::123456789012:user/ada"});
    // The service, a part of its input, and its response.
    let responses = [
        ("sts", "", account),
        ("lambda", "\"FunctionName\":\"gate-Doorman-1A2B\"", about),
        ("cloudformation", "\"StackName\":\"gate\"", stack),
        ("secretsmanager", "", json!({"SecretString": kept})),
        ("cloudwatch", "", json!({"Datapoints": points})),
    ];
    let mut script = vec!["[ \"$1\" = --version ] && echo aws-cli/2.31.0 && exit".to_owned()];
    script.push("case \"$*\" in".to_owned());
    for (service, part, response) in responses {
        folder.write(&format!("bin/{service}"), response.to_string());
        script.push(format!("{service}*'{part}'*) cat \"$(dirname \"$0\")/{service}\" ;;"));
    }
    let failure = |text: &str| format!("echo 'An error occurred ({text}' >&2; exit 254 ;;");
    script.push(format!("lambda*) {}", failure("ResourceNotFoundException) when calling X: not found")));
    script
        .push(format!("cloudformation*) {}", failure("ValidationError) when calling X: it does not exist")));
    script.push("esac".to_owned());
    let path = aws(folder, &script.join("\n"));
    // The shell has other variables, which are not used.
    let shell =
        [("PATH", &*path), ("HF_TOKEN", "hf_of_the_shell"), ("APPROVAL_POLICY", "{"), ("REPOS", "other/*")];
    folder.run(hub, &shell, &[&["check"], arguments].concat()).await
}

/// Runs the check in a folder of its own.
async fn check(hub: &Hub, folder: &str, deployed: Deployed) -> CheckResult {
    CheckResult::of(&run(hub, &Folder::new(folder, &[]), deployed).await)
}

#[tokio::test]
async fn function_is_checked_instead_of_the_shell() {
    let hub = ready().await;
    let result = check(&hub, "function", Deployed::default()).await;
    assert_eq!((result.status, result.wrong()), (0, vec![]), "{:#?}", result.findings);
    result.says("passed", "function gate-Doorman-1A2B", &["those of its configuration"]);
    result.says("passed", "WEBHOOK_SECRET", &["is set"]);
    result.says("passed", "sweeps", &["the last one finished at about 20", "3 minutes ago"]);
}

#[tokio::test]
async fn late_or_missing_sweep_is_a_fault() {
    let hub = ready().await;
    let late = Deployed { last_sweep: Some(21), age: 1, ..Deployed::default() };
    check(&hub, "function-late", late).await.only(
        "failed",
        "sweeps",
        &["21 minutes ago; look at", "no-sweep-finished"],
    );
    let never = Deployed { last_sweep: None, age: 21, ..Deployed::default() };
    let never = check(&hub, "function-never", never).await;
    never.only("failed", "sweeps", &["none has finished in the last 4 days; look at", "no-sweep-finished"]);
    let empty = Deployed { variables: json!({"REPOS": ""}), last_sweep: None, ..Deployed::default() };
    let empty = check(&hub, "function-empty", empty).await;
    empty.only("warning", "REPOS", &["there are no sweeps, so nobody is decided until a webhook comes"]);
}

#[tokio::test]
async fn missing_sweep_of_a_new_function_is_no_fault() {
    let hub = ready().await;
    let result =
        check(&hub, "function-new", Deployed { last_sweep: None, age: 2, ..Deployed::default() }).await;
    assert_eq!((result.status, result.wrong()), (0, vec![]), "{:#?}", result.findings);
    let texts = ["none has finished yet", "deployed 2 minutes ago", "begins at least every 5 minutes"];
    result.says("passed", "sweeps", &texts);
}

#[tokio::test]
async fn function_is_found_by_its_stack_or_the_settings() {
    let (hub, folder) = (ready().await, Folder::new("function-stack", &[]));
    let by = |arguments| Deployed { arguments, ..Deployed::default() };
    run(&hub, &folder, by(&["--function"]))
        .await
        .failed(2, &["there is no doorman.toml here; name the function"]);
    let unknown = by(&["--function", "gat", "--region", "eu-west-1"]);
    let texts =
        ["gat: there is no function and no stack of this name in the region eu-west-1; correct the name"];
    run(&hub, &folder, unknown).await.failed(1, &texts);
    folder.write(
        "doorman.toml",
        "name = 'gate'\nregion = 'eu-central-1'\nrepos = ['acme/*']\npolicy = 'policy.toml'\n",
    );
    for arguments in [&["--function"][..], &["--function", "gate"]] {
        let result = CheckResult::of(&run(&hub, &folder, by(arguments)).await);
        assert_eq!((result.status, result.wrong()), (0, vec![]), "{:#?}", result.findings);
        result.says("passed", "function gate-Doorman-1A2B", &["those of its configuration"]);
    }
    let of_the_shell = run(&hub, &folder, by(&[])).await;
    of_the_shell.failed(1, &["`doorman check --function` checks the deployment of doorman.toml"]);
}

#[tokio::test]
async fn policy_in_the_package_of_a_function_is_not_guessed() {
    let hub = ready().await;
    let deployed =
        Deployed { variables: json!({"APPROVAL_POLICY": "file:policy.toml"}), ..Deployed::default() };
    let result = check(&hub, "function-file", deployed).await;
    result.only("warning", "APPROVAL_POLICY", &["a file in the package of the function", "--policy"]);
}
