//! The output for people.

use std::collections::BTreeSet;
use std::io::{self, StdoutLock, Write};
use std::path::Path;

use serde_json::Value;

use crate::SECRET;
use crate::hub::{Hub, Status};
use crate::people::REPOS;

/// Standard output, with a memory of what it has shown.
pub struct Screen {
    out: StdoutLock<'static>,
    /// The held users that were shown already, by repo. Their grounds are not shown again with every event.
    held: BTreeSet<String>,
}

impl Screen {
    pub fn new() -> Self {
        Self { out: io::stdout().lock(), held: BTreeSet::new() }
    }

    /// Shows everything as JSON.
    pub fn json(&mut self, value: &Value) -> io::Result<()> {
        writeln!(self.out, "{value:#}")
    }

    /// Shows the policy and the pending requests.
    pub fn introduction(&mut self, hub: &Hub, policy: &str) -> io::Result<()> {
        let out = &mut self.out;
        writeln!(
            out,
            "Sample events through the real handler, over HTTP, to a stand-in for the Hugging Face Hub"
        )?;
        writeln!(out, "at {}. The webhook secret is {SECRET:?}. The policy:\n", hub.endpoint())?;
        policy.lines().try_for_each(|line| writeln!(out, "    {line}"))?;
        writeln!(out, "\nPending requests for {}:\n", REPOS.join(" and for "))?;
        writeln!(
            out,
            "    {:<8} {:<33} {:<13} {:<24} verified member of",
            "user", "e-mail", "Country", "Affiliation"
        )?;
        for request in &hub.model().repo(REPOS[0]).requests {
            let person = &request.person;
            let answer = |label: &str| {
                let answer = person.fields.as_ref().and_then(|fields| fields.get(label));
                answer.map_or("not answered", text)
            };
            let row = format!(
                "    {:<8} {:<33} {:<13} {:<24} {}",
                person.name,
                person.email.as_deref().unwrap_or("not shared"),
                answer("Country"),
                answer("Affiliation"),
                person.verified_orgs.join(", ")
            );
            writeln!(out, "{}", row.trim_end())?;
        }
        Ok(())
    }

    /// Shows an event and what happened: the response, and the new decisions.
    pub fn event(&mut self, one: &Value) -> io::Result<()> {
        let (incoming, response) = (&one["in"], &one["answer"]);
        let file = Path::new(text(&one["event"])).file_name().unwrap_or_default().display();
        if incoming["digest"] == true {
            writeln!(self.out, "\n▶ {file}: an order to send the digest")?;
            writeln!(self.out, "◀ {}", digest_summary(response))?;
            let messages = one["messages"].as_array().into_iter().flatten();
            // Invisible characters keep names from notifying anybody.
            for line in messages.flat_map(|message| text(message).lines()) {
                writeln!(self.out, "{}", format!("    {}", line.replace('\u{200b}', "")).trim_end())?;
            }
            return Ok(());
        }
        let names = |list: &Value| Some(list.as_array()?.iter().map(text).collect::<Vec<_>>().join(" and "));
        let mail = names(&incoming["mails"]).map(|subjects| format!("the Hub's mail: {subjects}"));
        let order = names(&incoming["order"]).map(|repos| {
            format!("an order over HTTP to sweep {repos}, with the {} secret", text(&incoming["secret"]))
        });
        let sweep = names(&incoming["sweep"]).map(|repos| format!("a sweep over {repos}"));
        if let (Some(_), Some(name)) = (&mail, one["asked"].as_str()) {
            writeln!(self.out, "\n● {name} asks for access")?;
        }
        if let Some(what) = mail.or(order).or(sweep) {
            writeln!(self.out, "\n▶ {file}: {what}")?;
            if response["status"] == "ignored" {
                writeln!(self.out, "◀ {}", summary(response))?;
            }
            for report in response["repos"].as_array().into_iter().flatten() {
                let name = match text(&report["type"]) {
                    "dataset" => format!("datasets/{}", text(&report["repo"])),
                    _ => text(&report["repo"]).to_owned(),
                };
                writeln!(self.out, "◀ {name}, {}", counts(report))?;
                let of_repo = |line: &&Value| line["repo"] == name;
                self.repo(report, one["decisions"].as_array().into_iter().flatten().filter(of_repo))?;
            }
            return Ok(());
        }
        let [scope, action, kind, repo, secret] =
            ["scope", "action", "type", "repo", "secret"].map(|key| text(&incoming[key]));
        let moved = incoming["moved_to"].as_str().map(|name| format!(", now {name}")).unwrap_or_default();
        writeln!(self.out, "\n▶ {file}: {scope} {action} on {kind} {repo}{moved}, with the {secret} secret")?;
        writeln!(self.out, "◀ {} {}", one["status"], summary(response))?;
        self.repo(&response["repos"][0], one["decisions"].as_array().into_iter().flatten())
    }

    /// Shows the error and the decisions of a repo.
    fn repo<'a>(&mut self, report: &Value, decisions: impl Iterator<Item = &'a Value>) -> io::Result<()> {
        if let Some(error) = report["error"].as_str() {
            writeln!(self.out, "    {error}")?;
        }
        let mut still_held = Vec::new();
        for line in decisions {
            let [user, verdict, repo, grounds] =
                ["user", "verdict", "repo", "grounds"].map(|key| text(&line[key]));
            if verdict == "hold" && !self.held.insert(format!("{repo}: {user}")) {
                still_held.push(user);
                continue;
            }
            let reason =
                line["reason"].as_str().map(|reason| format!(", reason: {reason:?}")).unwrap_or_default();
            writeln!(self.out, "    {user:<8} {verdict:<7} {grounds}{reason}")?;
        }
        if !still_held.is_empty() {
            writeln!(self.out, "    still held, as before: {}", still_held.join(", "))?;
        }
        Ok(())
    }

    /// Shows the lists of each repo.
    pub fn lists(&mut self, lists: &Value) -> io::Result<()> {
        writeln!(self.out, "\nThe lists now:")?;
        for (repo, lists) in lists.as_object().into_iter().flatten() {
            writeln!(self.out, "\n    {repo}")?;
            for status in Status::ALL {
                let users = lists[status.as_str()].as_array().into_iter().flatten().filter_map(Value::as_str);
                writeln!(self.out, "    {:<9} {}", status.as_str(), users.collect::<Vec<_>>().join(", "))?;
            }
        }
        Ok(())
    }
}

/// The response to a webhook in one line.
fn summary(response: &Value) -> String {
    match response["status"].as_str() {
        Some("ignored") => format!("ignored: {}", text(&response["reason"])),
        Some(status) => format!("{status}: {}", counts(&response["repos"][0])),
        None if response.is_null() => "without a body".to_owned(),
        None => text(&response["error"]).to_owned(),
    }
}

/// The response to an order for the digest in one line.
fn digest_summary(response: &Value) -> String {
    match response["status"].as_str() {
        Some("ignored") => summary(response),
        status => format!(
            "{}: {} held, to {} destination; the message in the chat:",
            status.unwrap_or_default(),
            response["held"],
            response["destinations"]
        ),
    }
}

/// The numbers in the report about a repo, without those that are zero.
fn counts(report: &Value) -> String {
    let counts = ["accepted", "rejected", "reset", "held", "gone", "failed"].into_iter();
    let counts = counts.filter(|name| report[name] != 0).map(|name| format!(", {} {name}", report[name]));
    let (listed, calls) = (&report["listed"], &report["calls"]);
    let plural = if *calls == 1 { "" } else { "s" };
    format!("{listed} listed{}; {calls} call{plural} to the Hub", counts.collect::<String>())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
