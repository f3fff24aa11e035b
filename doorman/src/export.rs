//! `export`: the Hub's access report, as JSON or CSV.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;

use hub_doorman::model::Repo;
use serde_json::Value;

use crate::environment::{deadline, hub};
use crate::exit::ExitStatus;
use crate::screen::Screen;

/// The documented columns of the report. Columns that the Hub adds later are written after these.
const COLUMNS: [&str; 7] = ["user", "fullname", "email", "status", "time", "reviewedAt", "grantedBy"];

/// Writes the access report of a repo.
pub async fn run(repo: &Repo, csv: bool, screen: &mut Screen) -> Result<ExitStatus, Box<dyn Error>> {
    let hub = hub().await?;
    let report = hub.repo(repo, deadline()).access_report().await?;
    if !csv {
        screen.json(&report)?;
        return Ok(ExitStatus::Complete);
    }
    let known: BTreeSet<&str> = COLUMNS.into();
    let keys: BTreeSet<&str> = report.iter().flat_map(BTreeMap::keys).map(String::as_str).collect();
    let columns: Vec<&str> = COLUMNS.into_iter().chain(keys.difference(&known).copied()).collect();
    let header: Vec<String> = columns.iter().map(|column| (*column).to_owned()).collect();
    let row = |user: &BTreeMap<String, Value>| columns.iter().map(|column| cell(user.get(*column))).collect();
    screen.csv(&header, report.iter().map(row))?;
    Ok(ExitStatus::Complete)
}

/// The text of a cell. A user object becomes its user name.
fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Object(object)) if object.contains_key("user") => cell(object.get("user")),
        Some(value) => value.to_string(),
    }
}
