//! The stand-in is only as good as its likeness: here the Hub's own Python client, its newest release and its older
//! line, works with it as it would with the Hub.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use crate::hub::{Gating, Hub, Person, Role, Status, Webhook};
use crate::support::staff;

/// A virtual environment with this release of the client, or why there is none.
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

async fn the_python_client_finds_the_hub_that_it_knows(requirement: &str) {
    let python = match install(requirement).await {
        Ok(python) => python,
        // On a machine of CI a missing Python would be a check that is never made.
        Err(why) if std::env::var_os("CI").is_none() => {
            // Past the test runner, which keeps what a passing test prints to itself.
            let word = format!("\nSKIPPED: the stand-in was not checked against {requirement}: {why}\n");
            std::io::stderr().write_all(word.as_bytes()).expect("a word");
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
        model.add("acme/open").gating = Gating::Off;
        model.add("acme/readonly").role = Role::Read;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stories/python_client.py");
    let mut command = Command::new(python);
    command.arg(script).env("HF_ENDPOINT", hub.endpoint()).env("HF_TOKEN", Hub::TOKEN);
    command.env("HF_HOME", Path::new(env!("CARGO_TARGET_TMPDIR")).join("hf_home"));
    let said = run(&mut command).await.unwrap_or_else(|error| panic!("{requirement}: {error}"));
    assert!(said.ends_with("all as on the Hub\n"), "{said}");

    for repo in ["acme/model", "datasets/acme/corpus"] {
        assert_eq!(hub.users(repo, Status::Accepted), ["ada", "guest"], "{repo}");
        assert_eq!(hub.users(repo, Status::Rejected), ["bob"], "{repo}");
        assert_eq!(hub.users(repo, Status::Pending), ["eve", "kim"], "{repo}");
        assert_eq!(hub.model().repo(repo).request("bob").reason.as_deref(), Some("Not this time."));
    }
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
async fn the_newest_python_client_finds_the_hub_that_it_knows() {
    the_python_client_finds_the_hub_that_it_knows("huggingface_hub").await;
}

#[tokio::test]
async fn the_older_python_client_finds_the_hub_that_it_knows() {
    the_python_client_finds_the_hub_that_it_knows("huggingface_hub<2").await;
}
