//! The policies in `docs/policy.md`. Each block of TOML there is a policy without faults and warnings, and it decides the requests in
//! the tables below it as the tables say.
//!
//! A request is written as in a policy file: `` `user.email = "ada@epfl.ch", fields.Country = "CH"` ``. What is not given is absent. A
//! table with the column `requester` gives requests a name for the tables after it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::super::tree;
use super::{Policy, at};
use crate::model::{AccessRequest, Repo, RepoPattern, User};

/// The maximum number of lines that a rule of a recipe takes beside its name, its verdict and its reason.
const MAX_LINES_OF_RULE: usize = 3;

/// The least number of recipes in the cookbook.
const MIN_RECIPES: usize = 20;

/// The least number of requests in the tables.
const MIN_REQUESTS: usize = 80;

/// The time, and the repo, of a request that names none.
const NOW: &str = "2026-11-22T12:00:00Z";
const REPO: &str = "datasets/acme/corpus";

/// A block of TOML, and the rows of the tables below it.
struct Block {
    section: String,
    heading: String,
    line: usize,
    toml: String,
    rows: Vec<Row>,
}

/// A request, and its decision.
struct Row {
    line: usize,
    request: String,
    verdict: String,
    /// The explanation, if the table has a column for it.
    why: Option<String>,
}

#[test]
fn policies_of_the_guide_decide_as_it_says() {
    let (blocks, requesters) = read_guide();
    let mut faults = String::new();
    for block in &blocks {
        if let Err(fault) = check(block, &requesters) {
            writeln!(faults, "docs/policy.md:{}: {}: {fault}", block.line, block.heading).expect("written");
        }
    }
    assert!(faults.is_empty(), "{faults}");
    let requests: usize = blocks.iter().map(|block| block.rows.len()).sum();
    assert!(requests >= MIN_REQUESTS, "only {requests} requests were found");
}

#[test]
fn rules_of_the_cookbook_have_three_lines() {
    let (blocks, _) = read_guide();
    let recipes: Vec<&Block> = blocks.iter().filter(|block| block.section == "Cookbook").collect();
    assert!(recipes.len() >= MIN_RECIPES, "only {} recipes were found", recipes.len());
    for recipe in recipes {
        let is_part_of_each_rule =
            |line: &&str| ["[", "name", "then", "reason"].iter().any(|start| line.starts_with(start));
        let lines = recipe.toml.lines().filter(|line| !line.trim().is_empty());
        let count = lines.filter(|line| !is_part_of_each_rule(line)).count();
        let rules = recipe.toml.matches("[[rules]]").count();
        assert!(count <= MAX_LINES_OF_RULE * rules, "docs/policy.md:{}: it has {count} lines", recipe.line);
        assert!(!recipe.rows.is_empty(), "docs/policy.md:{}: no table says what it does", recipe.line);
    }
}

#[test]
fn example_policies_have_no_warnings() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/policies");
    let files = fs::read_dir(folder).expect("the examples").map(|file| file.expect("a file").path());
    let policies: Vec<_> = files.filter(|path| path.extension().is_some_and(|end| end == "toml")).collect();
    assert!(policies.len() >= 9, "{policies:?}");
    for path in policies {
        let text = fs::read_to_string(&path).expect("a policy");
        let policy = Policy::parse_with_files(&text, &read_file).expect("no faults");
        assert_eq!(policy.warnings(), [], "{}", path.display());
    }
}

fn check(block: &Block, requesters: &BTreeMap<String, String>) -> Result<(), String> {
    // A block may be a part of a policy that has no rules.
    let is_part = !block.toml.contains("rules");
    let toml = if is_part { format!("rules = []\n{}", block.toml) } else { block.toml.clone() };
    let policy = Policy::parse_with_files(&toml, &read_file).map_err(|faults| faults.join("\n"))?;
    let warnings: Vec<String> = policy.warnings().iter().map(ToString::to_string).collect();
    if !is_part && !warnings.is_empty() {
        return Err(warnings.join("\n"));
    }
    for Row { line, request, verdict, why } in &block.rows {
        let request = requesters.get(request).unwrap_or(request);
        let (request, repo, now) = parse_request(request).map_err(|fault| format!("line {line}: {fault}"))?;
        let decision = policy.decide(&request, &repo, now);
        let is_explained = why.as_ref().is_none_or(|why| *why == decision.explanation());
        if decision.verdict.as_str() != verdict || !is_explained {
            return Err(format!("line {line}: {}: {}", decision.verdict.as_str(), decision.explanation()));
        }
    }
    Ok(())
}

/// The blocks of the guide, and the requests that have a name.
fn read_guide() -> (Vec<Block>, BTreeMap<String, String>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/policy.md");
    let text = fs::read_to_string(path).expect("docs/policy.md");
    let (mut blocks, mut requesters): (Vec<Block>, _) = (Vec::new(), BTreeMap::new());
    let (mut section, mut heading, mut header) = (String::new(), String::new(), Vec::new());
    let mut lines = (1..).zip(text.lines());
    while let Some((line, text)) = lines.next() {
        if let Some(title) = text.strip_prefix("## ") {
            (section, heading) = (title.to_owned(), title.to_owned());
        } else if let Some(title) = text.strip_prefix("### ") {
            title.clone_into(&mut heading);
        } else if text == "```toml" {
            let toml = lines.by_ref().map(|(_, text)| text).take_while(|text| *text != "```");
            let toml = toml.collect::<Vec<_>>().join("\n");
            blocks.push(Block {
                section: section.clone(),
                heading: heading.clone(),
                line,
                toml,
                rows: Vec::new(),
            });
        } else if text.starts_with("```") {
            lines.by_ref().find(|(_, text)| *text == "```");
        } else if let Some(row) = text.strip_prefix("| ").and_then(|row| row.strip_suffix(" |")) {
            let cells: Vec<&str> = row.split(" | ").map(str::trim).collect();
            match (header.as_slice(), cells.as_slice()) {
                ([], cells) => header = cells.to_vec(),
                (["requester", "request"], [name, request]) => {
                    requesters.insert((*name).to_owned(), (*request).to_owned());
                }
                (["request" | "requester", "verdict", ..], [request, verdict, why @ ..]) => {
                    let why = why.first().map(|why| (*why).to_owned());
                    let (request, verdict) = ((*request).to_owned(), (*verdict).to_owned());
                    let block = blocks.last_mut().expect("a policy above the table");
                    block.rows.push(Row { line, request, verdict, why });
                }
                _ => {}
            }
        } else if !text.starts_with('|') {
            header.clear();
        }
    }
    (blocks, requesters)
}

/// The files of the lists in the guide: those of the example policies, and two large ones.
fn read_file(name: &str) -> Result<Vec<u8>, String> {
    let lines = |entry: &dyn Fn(usize) -> String, count, last: &str| {
        let entries = (1..count).map(entry).chain([last.to_owned()]);
        entries.collect::<Vec<_>>().join("\n").into_bytes()
    };
    match name {
        "known.txt" => Ok(lines(&|number| format!("colleague-{number}"), 500, "ada")),
        "universities.txt" => Ok(lines(&|number| format!("university-{number}.example"), 10_000, "epfl.ch")),
        _ => {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/policies").join(name);
            fs::read(path).map_err(|error| error.to_string())
        }
    }
}

/// Parses a request in TOML, which stands in backquotes. Text around it is for the reader.
fn parse_request(cell: &str) -> Result<(AccessRequest, Repo, DateTime<Utc>), String> {
    let parts: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
    let toml = format!("request = {{ {} }}", parts.join(", "));
    let table = tree::read(&toml).map_err(|faults| format!("{toml}: {faults:?}"))?.to_json();
    let mut request = AccessRequest::default();
    // Most users are persons.
    request.user.service_account = Some(String::new());
    let (mut repo, mut now) = (REPO.to_owned(), at(NOW));
    for (key, value) in table["request"].as_object().into_iter().flatten() {
        let text = || value.as_str().map(str::to_owned).ok_or_else(|| format!("`{key}` is no text"));
        match key.as_str() {
            "user" => request.user = parse_user(value)?,
            "fields" => {
                let fields = value.as_object().ok_or("`fields` is no table")?;
                for (label, answer) in fields {
                    let answer = answer.as_str().ok_or_else(|| format!("`{label}` is no text"))?;
                    request.fields.insert(label.clone(), answer.to_owned());
                }
            }
            "repo" => repo = text()?,
            "now" => now = at(&text()?),
            "requested_at" => request.requested_at = Some(at(&text()?)),
            _ => return Err(format!("a request has no `{key}`")),
        }
    }
    let Ok(RepoPattern::One(repo)) = repo.parse() else { return Err(format!("{repo} is not a repo")) };
    Ok((request, repo, now))
}

fn parse_user(value: &Value) -> Result<User, String> {
    let mut user = User { service_account: Some(String::new()), ..User::default() };
    for (key, value) in value.as_object().ok_or("`user` is no table")? {
        let text = value.as_str().map(str::to_owned);
        let list = || {
            let names = value.as_array()?.iter().map(|name| name.as_str().map(str::to_owned));
            names.collect::<Option<Vec<_>>>()
        };
        match key.as_str() {
            "id" => user.id = text,
            "name" => user.name = text,
            "fullname" => user.fullname = text,
            "email" => user.email = text,
            "pro" => user.pro = value.as_bool(),
            "orgs" => user.orgs = list(),
            "verified_orgs" => user.verified_orgs = list(),
            "service_account" => user.service_account = text,
            _ => return Err(format!("a user has no `{key}`")),
        }
    }
    Ok(user)
}
