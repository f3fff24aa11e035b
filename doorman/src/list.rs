//! `list`: the requests on a list of a repo, with their answers.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::error::Error;
use std::io::{self, Write};

use chrono::{DateTime, Utc};
use hub_doorman::hub::{HubError, ListEntry, ListPage, RepoCalls};
use hub_doorman::model::{AccessRequest, Repo, RepoPattern, Status, User};
use serde::Serialize;

use crate::arguments::{Format, ListArguments, Scope};
use crate::environment::{deadline, hub};
use crate::exit::ExitStatus;
use crate::screen::{Cell, Screen, count, print_message, rfc3339, time};
use crate::{held, users};

/// Shows one of the lists of a repo, or the held requests.
pub async fn run(arguments: &ListArguments, screen: &mut Screen) -> Result<ExitStatus, Box<dyn Error>> {
    let ListArguments { repo, status, held: _, policy, search, format } = arguments;
    let search = search.as_deref();
    match repo {
        Some(repo) if !arguments.held => show_list(repo, (*status).into(), search, format, screen).await,
        repo => {
            let repos = repo.iter().cloned().map(RepoPattern::One).collect();
            let scope = Scope { repos, exclude: Vec::new(), policy: policy.clone() };
            held::run(&scope, search, format, screen).await
        }
    }
}

async fn show_list(
    repo: &Repo,
    status: Status,
    search: Option<&str>,
    format: &Format,
    screen: &mut Screen,
) -> Result<ExitStatus, Box<dyn Error>> {
    let hub = hub().await?;
    let calls = hub.repo(repo, deadline());
    let (entries, may_go_on) = read_list(&calls, status, search).await?;
    if format.json {
        screen.json(&entries.iter().map(Row::of).collect::<Vec<_>>())?;
    } else if format.csv {
        write_csv(&entries, screen)?;
    } else {
        show(&entries, screen)?;
        let noun = format!("{} request", status.as_str());
        screen.write_note(&format!("\n{}", count(entries.len() as u64, &noun)))?;
    }
    if may_go_on {
        screen.flush()?;
        print_message(&format!(
            "doorman: {repo}: the Hub's list ends with a full page, so more requests may follow; `doorman export {repo}` writes all"
        ));
        return Ok(ExitStatus::Incomplete);
    }
    Ok(ExitStatus::Complete)
}

/// Reads one of the lists of a repo to its end. The second value is whether the list may go on: its last page is full, and has no
/// link to a next page.
pub async fn read_list(
    calls: &RepoCalls<'_>,
    status: Status,
    search: Option<&str>,
) -> Result<(Vec<ListEntry>, bool), HubError> {
    let mut entries = Vec::new();
    let may_go_on = read_pages(calls, status, search, |page| entries.extend(page)).await?;
    Ok((entries, may_go_on))
}

/// Reads one of the lists of a repo to its end, and gives each page to `on_page`. The result is whether the list may go on, as that
/// of [`read_list`].
pub async fn read_pages(
    calls: &RepoCalls<'_>,
    status: Status,
    search: Option<&str>,
    mut on_page: impl FnMut(Vec<ListEntry>),
) -> Result<bool, HubError> {
    let (mut link, mut visited) = (None, HashSet::new());
    loop {
        let ListPage { people, next, may_go_on } = calls.list(status, search, link).await?;
        on_page(people);
        // If the links form a circle, the list ends at the first page that was read before.
        link = next.filter(|next| visited.insert(next.clone()));
        if link.is_none() {
            return Ok(may_go_on);
        }
    }
}

/// A request in JSON and CSV.
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
    fn of(ListEntry { request, reviewed_at, granted_by }: &'a ListEntry) -> Self {
        let AccessRequest { request_id, user, requested_at, fields, unreadable: _ } = request;
        let User { id: _, name, fullname, email, pro: _, verified_orgs: _, orgs: _, service_account: _ } =
            user;
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

/// Writes CSV with one column for each label that occurs.
fn write_csv(entries: &[ListEntry], screen: &mut Screen) -> io::Result<()> {
    let labels: BTreeSet<&str> =
        entries.iter().flat_map(|entry| entry.request.fields.keys()).map(String::as_str).collect();
    let header = ["user", "fullname", "email", "request_id", "requested_at", "reviewed_at", "granted_by"];
    let header = header.into_iter().chain(labels.iter().copied()).map(str::to_owned).collect::<Vec<_>>();
    let row = |entry: &ListEntry| {
        let Row { user, fullname, email, request_id, requested_at, reviewed_at, granted_by, fields } =
            Row::of(entry);
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
    screen.csv(&header, entries.iter().map(row))
}

/// Shows each request with its answers. On a terminal each answer gets its own line, because a form may have many questions.
fn show(entries: &[ListEntry], screen: &mut Screen) -> io::Result<()> {
    let is_terminal = screen.is_terminal();
    for ListEntry { request, reviewed_at: _, granted_by } in entries {
        let name = request.who().as_ref().map(users::name).unwrap_or_default();
        let User { fullname, email, .. } = &request.user;
        let [fullname, email] = [fullname, email].map(|text| text.as_deref().unwrap_or_default());
        let requested_at = time(request.requested_at, is_terminal);
        let answers = request.fields.iter().map(|(label, answer)| format!("{label}: {answer}"));
        if is_terminal {
            let granted = granted_by.as_ref().map(|by| format!("granted by {by}")).unwrap_or_default();
            let remark = [&requested_at, fullname, email, &granted];
            let remark: Vec<&str> = remark.into_iter().filter(|text| !text.is_empty()).collect();
            screen.write_entry(&name, &remark.join(", "), answers)?;
        } else {
            let row = [name, fullname.to_owned(), email.to_owned(), requested_at].into_iter().chain(answers);
            screen.table(&[], [row.map(Cell::plain).collect()])?;
        }
    }
    Ok(())
}
