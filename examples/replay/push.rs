//! A policy that is kept on the Hub: a line is appended to its list, the webhook of the push comes, and the signer gets access.

use std::error::Error;
use std::io::{self, Write};

use serde_json::{Value, json};

use crate::hub::{Hub, Person, Status};
use crate::{doorman, logs::Logs};

const DATASET: &str = "acme/doorman";
const MODEL: &str = "acme/gated-model";

const POLICY: &str = "default = \"hold\"

[lists]
signed = { file = \"signed.csv\", column = \"E-mail\" }

[[rules]]
name = \"signed\"
then = \"accept\"
if   = \"user.email in lists.signed\"
";

const SIGNED: &str = "Date,E-mail
2026-11-02,ada@epfl.ch
";

/// Plays the scene, and shows it on one screen.
pub async fn play() -> Result<(), Box<dyn Error>> {
    let hub = Hub::start().await;
    let dataset = hub.dataset(DATASET);
    dataset.commit(&[("policy.toml", POLICY), ("signed.csv", SIGNED)]);
    for name in ["ada", "emmy"] {
        let mut model = hub.model();
        let repo = if name == "ada" { model.add(MODEL) } else { model.repo(MODEL) };
        repo.ask(Person::new(name, &format!("{name}@epfl.ch")));
    }
    let place = format!("hf://datasets/{DATASET}/policy.toml");
    let doorman = doorman(&hub, "", &place, std::path::Path::new(".")).await?;
    let (logs, _guard) = Logs::capture();
    let mut out = io::stdout().lock();

    writeln!(out, "APPROVAL_POLICY is {place}:\n")?;
    POLICY.lines().try_for_each(|line| writeln!(out, "    {line}"))?;
    writeln!(out, "\nsigned.csv:\n")?;
    SIGNED.lines().try_for_each(|line| writeln!(out, "    {line}"))?;
    writeln!(out, "\nada and emmy have asked for access to {MODEL}. ▶ A sweep:\n")?;
    doorman.handle(request(&json!({"sweep": true}), None)?).await?;
    decisions(&mut out, &logs, 0)?;

    let line = "2026-11-26,emmy@epfl.ch\n";
    writeln!(out, "\nEmmy signs, and the form's script appends a line to signed.csv:\n\n    {line}")?;
    let before = logs.lines("decided").len();
    let old = dataset.head().id;
    let new = dataset.commit(&[("signed.csv", format!("{SIGNED}{line}"))]);
    writeln!(out, "▶ The push sends a webhook, with commit {}:\n", short(&new))?;
    let payload = json!({
        "event": {"action": "update", "scope": "repo.content"},
        "repo": {"type": "dataset", "name": DATASET, "headSha": new},
        "webhook": {"id": "webhook", "version": 3},
        "updatedRefs": [{"ref": "refs/heads/main", "oldSha": old, "newSha": new}],
    });
    let answer = doorman.handle(request(&payload, Some(crate::SECRET))?).await?;
    decisions(&mut out, &logs, before)?;
    let accepted = hub.users(MODEL, Status::Accepted);
    writeln!(out, "\n◀ {}. People with access: {}", answer.status(), accepted.join(", "))?;
    Ok(())
}

/// An order if there is no secret, and a webhook if there is one.
fn request(body: &Value, secret: Option<&str>) -> Result<lambda_http::Request, Box<dyn Error>> {
    let event = match secret {
        None => body.clone(),
        Some(secret) => json!({
            "version": "2.0", "rawPath": "/", "rawQueryString": "", "isBase64Encoded": false, "body": body.to_string(),
            "headers": {"x-webhook-secret": secret, "content-type": "application/json"},
            "requestContext": {"http": {"method": "POST", "path": "/"}, "timeEpoch": 0},
        }),
    };
    Ok(lambda_http::request::from_str(&event.to_string())?)
}

/// Shows the decisions after the first few.
fn decisions(out: &mut impl Write, logs: &Logs, before: usize) -> io::Result<()> {
    for line in logs.lines("decided").split_off(before) {
        let [user, verdict, grounds, commit] =
            ["user", "verdict", "grounds", "commit"].map(|key| line[key].as_str().unwrap_or_default());
        writeln!(out, "    {user:<5} {verdict:<7} {grounds:<16} by commit {}", short(commit))?;
    }
    Ok(())
}

fn short(commit: &str) -> &str {
    commit.get(..7).unwrap_or(commit)
}
