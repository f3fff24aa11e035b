//! The stand-in behaves like the Hub for the Hub's own Python client, both in its newest release and in the last one before
//! version 2.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use crate::hub::{Gating, Hub, Person, Role, Status, Webhook};
use crate::support::staff;

/// The Python of a virtual environment with this release of the client, or the error of the installation.
async fn install(requirement: &str) -> Result<PathBuf, String> {
    let name = requirement.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
    let environment = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let python = environment.join("bin/python");
    run(Command::new("python3").args(["-m", "venv"]).arg(&environment)).await?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade", requirement];
    run(Command::new(&python).args(pip)).await?;
    Ok(python)
}

async fn run(command: &mut Command) -> Result<String, String> {
    let command = command.stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() { Ok(text) } else { Err(text + &String::from_utf8_lossy(&output.stderr)) }
}

/// Runs `python_client.py` with this release, and checks what it left on the Hub.
async fn check_with_python_client(requirement: &str) {
    let python = match install(requirement).await {
        Ok(python) => python,
        // In CI a missing Python is an error, because this check would silently never run.
        Err(why) if std::env::var_os("CI").is_none() => {
            // Written directly, because the test runner hides what a passing test prints.
            let message = format!("\nSKIPPED: the stand-in was not checked against {requirement}: {why}\n");
            std::io::stderr().write_all(message.as_bytes()).expect("standard error");
            return;
        }
        Err(why) => panic!("{requirement} could not be installed: {why}"),
    };
    let hub = Hub::start().await;
    {
        let mut model = hub.model();
        model.max_page = 2;
        model.people.push(Person::new("guest", "guest@example.org"));
        model.people.push(Person::new("idle", "idle@example.org"));
        for repo in ["acme/model", "datasets/acme/corpus"] {
            let repo = model.add(repo);
            for name in ["ada", "bob", "eve", "kim"] {
                repo.ask(staff(name).answer("Country", "CH"));
            }
        }
        model.files.regular_limit = 1000;
        model.add("acme/open").gating = Gating::Off;
        model.add("acme/readonly").role = Role::Read;
    }
    hub.dataset("acme/large").commit(&[("large.txt", "x".repeat(2000))]);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stories/python_client.py");
    let mut command = Command::new(python);
    command.arg(script).env("HF_ENDPOINT", hub.endpoint()).env("HF_TOKEN", Hub::TOKEN);
    command.env("HF_HOME", Path::new(env!("CARGO_TARGET_TMPDIR")).join("hf_home"));
    let output = run(&mut command).await.unwrap_or_else(|error| panic!("{requirement}: {error}"));
    assert!(output.ends_with("all as on the Hub\n"), "{output}");

    for repo in ["acme/model", "datasets/acme/corpus"] {
        assert_eq!(hub.users(repo, Status::Accepted), ["ada", "guest"], "{repo}");
        assert_eq!(hub.users(repo, Status::Rejected), ["bob"], "{repo}");
        assert_eq!(hub.users(repo, Status::Pending), ["eve", "kim"], "{repo}");
        assert_eq!(hub.model().repo(repo).request("bob").reason.as_deref(), Some("Not this time."));
    }
    assert!(hub.model().files.authorized_storage_calls.is_empty());
    let webhooks = hub.model().webhooks.clone();
    let watched = [("model", "acme/model"), ("dataset", "acme/corpus")];
    let expected = Webhook {
        id: webhooks[0].id.clone(),
        domains: vec!["discussion".to_owned()],
        secret: Some("new".to_owned()),
        ..Webhook::new("https://new.example/", &watched)
    };
    assert_eq!(webhooks, [expected]);
}

#[tokio::test]
async fn newest_python_client_works_with_the_stand_in() {
    check_with_python_client("huggingface_hub").await;
}

#[tokio::test]
async fn older_python_client_works_with_the_stand_in() {
    check_with_python_client("huggingface_hub<2").await;
}
