//! `list` and `export`: who is on a repo's lists, and what they wrote.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::error::Error;
use std::io::Write;

use chrono::{DateTime, Utc};
use hub_doorman::hub::{HubError, ListPage, Listed, RepoCalls};
use hub_doorman::model::{AccessRequest, Identity, Repo, Status, User};
use serde::Serialize;
use serde_json::Value;

use crate::Ending;
use crate::arguments::Format;
use crate::environment::{deadline, hub};
use crate::screen::{Cell, Screen, complain, grouped, rfc3339, time};

/// What the Hub's access report tells of everybody. If it tells more one day, that comes behind.
const COLUMNS: [&str; 7] = ["user", "fullname", "email", "status", "time", "reviewedAt", "grantedBy"];

/// Shows one of the lists of a repo.
pub async fn list(
    repo: &Repo,
    status: Status,
    search: Option<&str>,
    format: &Format,
    screen: &mut Screen,
) -> Result<Ending, Box<dyn Error>> {
    let hub = hub().await?;
    let calls = hub.repo(repo, deadline());
    let (people, may_go_on) = read_list(&calls, status, search).await?;
    if format.json {
        screen.json(&people.iter().map(Row::of).collect::<Vec<_>>())?;
    } else if format.csv {
        csv(&people, screen)?;
    } else {
        show(&people, screen)?;
        let whom = if people.len() == 1 { "person" } else { "people" };
        screen.aside(&format!("\n{} {whom} {}", grouped(people.len() as u64), status.as_str()))?;
    }
    if may_go_on {
        screen.flush()?;
        complain(&format!(
            "doorman: {repo}: the Hub's list ends with a full page, so more people may follow; `doorman export {repo}` has everybody"
        ));
        return Ok(Ending::Incomplete);
    }
    Ok(Ending::Complete)
}

/// Reads one of the lists of a repo to its end. Says as well whether the list may go on behind a full page without a next link.
pub async fn read_list(
    calls: &RepoCalls<'_>,
    status: Status,
    search: Option<&str>,
) -> Result<(Vec<Listed>, bool), HubError> {
    let ListPage { mut people, mut next, mut may_go_on } = calls.list(status, search, None).await?;
    let mut visited = HashSet::new();
    // A list whose pages go in a circle has been read as well.
    while let Some(page) = next.take_if(|page| visited.insert(page.clone())) {
        let read = calls.list(status, search, Some(page)).await?;
        people.extend(read.people);
        (next, may_go_on) = (read.next, read.may_go_on);
    }
    Ok((people, may_go_on))
}

/// Writes the access report of a repo.
pub async fn export(repo: &Repo, csv: bool, screen: &mut Screen) -> Result<Ending, Box<dyn Error>> {
    let hub = hub().await?;
    let report = hub.repo(repo, deadline()).access_report().await?;
    if !csv {
        screen.json(&report)?;
        return Ok(Ending::Complete);
    }
    let known: BTreeSet<&str> = COLUMNS.into();
    let others: BTreeSet<&str> = report
        .iter()
        .flat_map(BTreeMap::keys)
        .map(String::as_str)
        .filter(|key| !known.contains(key))
        .collect();
    let columns: Vec<&str> = COLUMNS.into_iter().chain(others).collect();
    let header: Vec<String> = columns.iter().map(|column| (*column).to_owned()).collect();
    let row =
        |person: &BTreeMap<String, Value>| columns.iter().map(|column| text(person.get(*column))).collect();
    screen.csv(&header, report.iter().map(row))?;
    Ok(Ending::Complete)
}

/// What the Hub writes about somebody, in one cell; of who granted access only the user name.
fn text(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Object(object)) if object.contains_key("user") => text(object.get("user")),
        Some(value) => value.to_string(),
    }
}

/// Somebody, as JSON and CSV tell of them.
#[derive(Serialize)]
struct Row<'a> {
    user: Option<&'a str>,
    fullname: Option<&'a str>,
    email: Option<&'a str>,
    request_id: Option<&'a str>,
    requested_at: Option<DateTime<Utc>>,
    reviewed_at: Option<DateTime<Utc>>,
    granted_by: Option<&'a str>,
    fields: &'a BTreeMap<String, String>,
}

impl<'a> Row<'a> {
    fn of(Listed { request, reviewed_at, granted_by }: &'a Listed) -> Self {
        let AccessRequest { request_id, user, requested_at, fields, doubt: _ } = request;
        let User { id: _, name, fullname, email, pro: _, verified_orgs: _, orgs: _ } = user;
        Self {
            user: name.as_deref(),
            fullname: fullname.as_deref(),
            email: email.as_deref(),
            request_id: request_id.as_deref(),
            requested_at: *requested_at,
            reviewed_at: *reviewed_at,
            granted_by: granted_by.as_deref(),
            fields,
        }
    }
}

fn csv(people: &[Listed], screen: &mut Screen) -> std::io::Result<()> {
    let labels: BTreeSet<&str> =
        people.iter().flat_map(|listed| listed.request.fields.keys()).map(String::as_str).collect();
    let header = ["user", "fullname", "email", "request_id", "requested_at", "reviewed_at", "granted_by"];
    let header = header.into_iter().chain(labels.iter().copied()).map(str::to_owned).collect::<Vec<_>>();
    let row = |listed: &Listed| {
        let Row { user, fullname, email, request_id, requested_at, reviewed_at, granted_by, fields } =
            Row::of(listed);
        let texts = [user, fullname, email, request_id].map(|text| text.unwrap_or_default().to_owned());
        let times = [requested_at, reviewed_at].map(|time| time.map(rfc3339).unwrap_or_default());
        let answers = labels.iter().map(|label| fields.get(*label).cloned().unwrap_or_default());
        texts
            .into_iter()
            .chain(times)
            .chain([granted_by.unwrap_or_default().to_owned()])
            .chain(answers)
            .collect()
    };
    screen.csv(&header, people.iter().map(row))
}

/// Everybody with their answers: below each other on a terminal, for there are as many as the form has questions; one line
/// each in a pipe.
fn show(people: &[Listed], screen: &mut Screen) -> std::io::Result<()> {
    let is_terminal = screen.is_terminal();
    for Listed { request, reviewed_at: _, granted_by } in people {
        let who = request.who().as_ref().map(name).unwrap_or_default();
        let User { fullname, email, .. } = &request.user;
        let [fullname, email] = [fullname, email].map(|text| text.as_deref().unwrap_or_default());
        let asked = time(request.requested_at, is_terminal);
        let answers = request.fields.iter().map(|(label, answer)| format!("{label}: {answer}"));
        if is_terminal {
            let granted = granted_by.as_ref().map(|by| format!("granted by {by}")).unwrap_or_default();
            let about = [&asked, fullname, email, &granted];
            let about: Vec<&str> = about.into_iter().filter(|text| !text.is_empty()).collect();
            screen.entry(&who, &about.join(", "), answers)?;
        } else {
            let row = [who, fullname.to_owned(), email.to_owned(), asked].into_iter().chain(answers);
            screen.table(&[], [row.map(Cell::plain).collect()])?;
        }
    }
    Ok(())
}

/// What a command takes, and shows, for somebody.
pub fn name(who: &Identity) -> String {
    match who {
        Identity::UserName(name) => name.clone(),
        Identity::RequestId(id) => format!("request:{id}"),
        Identity::UserId(id) => format!("id:{id}"),
    }
}
