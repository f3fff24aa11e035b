//! `check --function`: the variables of a deployed function, from an `aws` command that a script stands in for.

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};

use super::{CheckResult, ready};
use crate::deploy::aws;
use crate::hub::Hub;
use crate::policy::Folder;
use crate::support::POLICY;

/// Runs the check of a function with these variables, whose last sweep has finished so many minutes ago.
async fn check(hub: &Hub, folder: &str, variables: Value, last_sweep: Option<i64>) -> CheckResult {
    let folder = Folder::new(folder, &[]);
    let last = last_sweep.map(|minutes| (Utc::now() - TimeDelta::minutes(minutes + 5)).to_rfc3339());
    let points: Vec<Value> = last.iter().map(|last| json!({"Timestamp": last, "Sum": 1.0})).collect();
    let mut all = json!({"HF_ENDPOINT": hub.endpoint(), "APPROVAL_POLICY": POLICY, "REPOS": "acme/model", "DRY_RUN": "false",
        "HF_TOKEN": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:doorman-AbCdEf#token",
        "WEBHOOK_SECRET": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:doorman-AbCdEf#webhook"});
    all.as_object_mut().expect("an object").extend(variables.as_object().expect("an object").clone());
    let kept = json!({"token": Hub::TOKEN, "webhook": "never needed"}).to_string();
    let answers = [
        ("sts", json!({"Account": "123456789012", "Arn": "arn:aws:iam::123456789012:user/ada"})),
        ("lambda", json!({"FunctionName": "doorman", "Timeout": 300, "Environment": {"Variables": all}})),
        ("secretsmanager", json!({"SecretString": kept})),
        ("cloudwatch", json!({"Datapoints": points})),
    ];
    let mut script = vec!["[ \"$1\" = --version ] && echo aws-cli/2.31.0".to_owned()];
    for (service, answer) in answers {
        folder.write(&format!("bin/{service}"), answer.to_string());
        script.push(format!("[ \"$1\" = {service} ] && cat \"$(dirname \"$0\")/{service}\""));
    }
    script.push("exit 0".to_owned());
    let path = aws(&folder, &script.join("\n"));
    // The shell has other variables, which are not used.
    let shell =
        [("PATH", &*path), ("HF_TOKEN", "hf_of_the_shell"), ("APPROVAL_POLICY", "{"), ("REPOS", "other/*")];
    CheckResult::of(&folder.run(hub, &shell, &["check", "--function", "doorman"]).await)
}

#[tokio::test]
async fn function_is_checked_instead_of_the_shell() {
    let hub = ready().await;
    let result = check(&hub, "function", json!({}), Some(3)).await;
    assert_eq!((result.status, result.wrong()), (0, vec![]), "{:#?}", result.findings);
    result.says("passed", "function doorman", &["those of its configuration"]);
    result.says("passed", "WEBHOOK_SECRET", &["is set"]);
    result.says("passed", "sweeps", &["the last one finished at about 20", "3 minutes ago"]);
}

#[tokio::test]
async fn late_or_missing_sweep_is_a_fault() {
    let hub = ready().await;
    let late = check(&hub, "function-late", json!({}), Some(21)).await;
    late.only("failed", "sweeps", &["21 minutes ago", "no sweep finished"]);
    let never = check(&hub, "function-never", json!({}), None).await;
    never.only("failed", "sweeps", &["none has finished in the last 4 days"]);
    let empty = check(&hub, "function-empty", json!({"REPOS": ""}), None).await;
    empty.only("warning", "REPOS", &["there are no sweeps, so nobody is decided until a webhook comes"]);
}

#[tokio::test]
async fn policy_in_the_package_of_a_function_is_not_guessed() {
    let hub = ready().await;
    let result = check(&hub, "function-file", json!({"APPROVAL_POLICY": "file:policy.toml"}), Some(3)).await;
    result.only("warning", "APPROVAL_POLICY", &["a file in the package of the function", "--policy"]);
}
