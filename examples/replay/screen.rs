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
    println!();
    for repo in REPOS {
        let waiting = hub.users(repo, Status::Pending);
        println!("Waiting for {repo}: {}", waiting.join(", "));
    }
}

pub fn event(one: &Value) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
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
            let number = |name: &str| format!("{} {name}", report[name]);
            let counts: Vec<_> =
                ["accepted", "rejected", "reset", "held", "gone", "failed"].map(number).into();
            println!(
                " {status}: {} listed, {}; {} calls to the Hub",
                report["listed"],
                counts.join(", "),
                report["calls"]
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
