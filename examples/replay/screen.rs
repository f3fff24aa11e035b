//! What a person sees.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;

use serde_json::Value;

use crate::hub::{Hub, Status};
use crate::{REPOS, SECRET};

/// Who has been shown as held already; to show them again with every event would be noise.
static HELD: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

pub fn introduction(hub: &Hub, policy: &str) {
    println!("Sample webhooks, through the real handler, over HTTP, to a stand-in for the Hugging Face Hub");
    println!("at {}. The webhook secret is {SECRET:?}. The policy:\n", hub.endpoint());
    policy.lines().for_each(|line| println!("    {line}"));
    println!("\nWaiting for access to {}:\n", REPOS.join(" and to "));
    println!("    {:<8} {:<33} {:<8} {:<24} verified member of", "user", "e-mail", "Country", "Affiliation");
    for request in &hub.model().repo(REPOS[0]).requests {
        let person = &request.person;
        let answer = |label: &str| {
            let answer = person.fields.as_ref().and_then(|fields| fields.get(label));
            answer.map_or("not answered".to_owned(), text)
        };
        let row = format!(
            "    {:<8} {:<33} {:<8} {:<24} {}",
            person.name,
            person.email.as_deref().unwrap_or("not shared"),
            answer("Country"),
            answer("Affiliation"),
            person.verified_orgs.join(", ")
        );
        println!("{}", row.trim_end());
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

pub fn event(one: &Value) {
    let (incoming, answer) = (&one["in"], &one["answer"]);
    let path = text(&one["event"]);
    let file =
        Path::new(&path).file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut what = format!(
        "{} {} on {} {}",
        text(&incoming["scope"]),
        text(&incoming["action"]),
        text(&incoming["type"]),
        text(&incoming["repo"])
    );
    if let Some(name) = incoming["moved_to"].as_str() {
        what += &format!(", now {name}");
    }
    println!("\n▶ {file}: {what}, with the {} secret", text(&incoming["secret"]));

    print!("◀ {}", one["status"]);
    match answer["status"].as_str() {
        Some("ignored") => println!(" ignored: {}", text(&answer["reason"])),
        Some(status) => {
            let report = &answer["repos"][0];
            let counts = ["accepted", "rejected", "reset", "held", "gone", "failed"].into_iter();
            let counts =
                counts.filter(|name| report[name] != 0).map(|name| format!(", {} {name}", report[name]));
            let (listed, calls) = (&report["listed"], &report["calls"]);
            let plural = if *calls == 1 { "" } else { "s" };
            println!(
                " {status}: {listed} listed{}; {calls} call{plural} to the Hub",
                counts.collect::<String>()
            );
            if let Some(error) = report["error"].as_str() {
                println!("  {error}");
            }
        }
        None if answer.is_null() => println!(", and not a word"),
        None => println!(" {}", text(&answer["error"])),
    }

    let mut still_held = Vec::new();
    for line in one["decisions"].as_array().into_iter().flatten() {
        let (user, verdict) = (text(&line["user"]), text(&line["verdict"]));
        let held_before = verdict == "hold"
            && HELD.lock().is_ok_and(|mut held| !held.insert(format!("{}: {user}", text(&line["repo"]))));
        if held_before {
            still_held.push(user);
            continue;
        }
        let said = line["reason"].as_str().map(|reason| format!(", told {reason:?}")).unwrap_or_default();
        println!("    {user:<8} {verdict:<7} {}{said}", text(&line["grounds"]));
    }
    if !still_held.is_empty() {
        println!("    still held, as before: {}", still_held.join(", "));
    }
}

pub fn lists(lists: &Value) {
    println!("\nThe lists as they stand now:");
    for (repo, lists) in lists.as_object().into_iter().flatten() {
        println!("\n    {repo}");
        for status in Status::ALL {
            let users: Vec<_> =
                lists[status.as_str()].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            println!("    {:<9} {}", status.as_str(), users.join(", "));
        }
    }
}
