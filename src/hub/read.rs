//! Reading: pages of pending requests, any of the four lists, the access report, and the gated repos of an owner.

mod repos;
mod request;

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::Url;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::call::{CallOptions, Calls, PageOf};
use super::{Hub, HubError, MAX_PAGE, Moment, PagePermit, Problem, RepoCalls, link, wire};
use crate::model::{AccessRequest, Name, Repo, RepoType, Status};
pub use repos::RepoSearchResult;

/// How long the first attempt to read the access report may take. The report is a single response, however many users it lists.
const REPORT_TIMEOUT: Duration = Duration::from_secs(60);

/// The most bytes of the access report in the function.
const MAX_REPORT_IN_FUNCTION: usize = 16 * 1024 * 1024;

/// The most bytes of the access report, enough for half a million users. Only the command line reads it, so Lambda's memory
/// does not limit it.
const MAX_REPORT_BYTES: usize = 256 * 1024 * 1024;

/// One page of the pending access requests of a repo.
#[derive(Debug)]
pub struct Page {
    /// The pending requests.
    pub requests: Vec<AccessRequest>,
    /// The number of entries, including those that are no longer pending and therefore not in `requests`.
    pub entries: usize,
    /// The URL of the next page, always of the same list.
    pub next: Option<Url>,
    /// The URL of this page.
    pub url: Url,
    /// The most entries that were requested.
    pub limit: usize,
    /// When the page was requested. The age of the page counts from here.
    pub requested: Moment,
}

/// An entry of one of the four lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListEntry {
    /// The request.
    pub request: AccessRequest,
    /// When it was accepted, rejected or reset, in the years 1 to 9999. If the Hub does not say it in the documented form, it is
    /// unknown.
    pub reviewed_at: Option<DateTime<Utc>>,
    /// The name of the user who gave access. The Hub documents it for access without a request. It is unknown whether the Hub also
    /// names who accepted a request.
    pub granted_by: Option<String>,
}

/// One page of a list.
#[derive(Debug)]
pub struct ListPage {
    /// The entries of the page.
    pub people: Vec<ListEntry>,
    /// The URL of the next page.
    pub next: Option<Url>,
    /// Whether the page is full and has no link to a next one. Then more entries may follow.
    pub may_go_on: bool,
}

impl Hub {
    /// Finds the gated repos of one type that a user or an organization has, private ones included if the token sees them.
    /// `found` gets the repos of each page while the search goes on. If it returns false, that page is dropped and the search
    /// ends.
    pub async fn gated_repos(
        &self,
        owner: &Name,
        repo_type: RepoType,
        deadline: Instant,
        found: &mut (dyn FnMut(&[Repo]) -> bool + Send),
    ) -> RepoSearchResult {
        repos::search(&Calls::new(self, deadline), owner, repo_type, found).await
    }
}

impl<'a> RepoCalls<'a> {
    /// Waits for a permit to hold a page in memory, behind all reviews that already wait for one.
    pub async fn acquire_page_permit(&self) -> Result<PagePermit<'a>, HubError> {
        self.calls.acquire_page_permit(&format!("GET {}", self.path("pending"))).await
    }

    /// A permit, if one is free and no review waits for one.
    pub fn try_acquire_page_permit(&self) -> Option<PagePermit<'a>> {
        self.calls.hub.page_permits.try_acquire().ok()
    }

    /// Reads a page of the pending requests, with at most `limit` entries: the one at `page`, or the first one.
    pub async fn pending(&self, page: Option<Url>, limit: usize) -> Result<Page, HubError> {
        let url = match page {
            Some(page) if link::limit(&page).is_some_and(|of_page| of_page <= limit) => page,
            Some(page) => link::with_limit(&page, limit),
            None => self.calls.url(&self.path(&format!("pending?limit={limit}")))?,
        };
        let page = self.calls.page(&url, |body| request::read_page(body, Status::Pending)).await;
        let page = page.map_err(|error| self.stop_if_final(error))?;
        let (requests, entries) = page.content;
        let PageOf { next, url, limit, requested, .. } = page;
        Ok(Page { requests, entries, next, url, limit, requested })
    }

    /// Reads a page of one of the lists: the one at `page`, or the first one. `search` is the beginning of a user name of up to
    /// 250 characters; its case does not matter.
    pub async fn list(
        &self,
        status: Status,
        search: Option<&str>,
        page: Option<Url>,
    ) -> Result<ListPage, HubError> {
        let first = || {
            let mut url = self.calls.url(&self.path(status.as_str()))?;
            url.query_pairs_mut().append_pair("limit", &MAX_PAGE.to_string());
            if let Some(search) = search {
                url.query_pairs_mut().append_pair("q", search);
            }
            Ok(url)
        };
        let url = page.map_or_else(first, Ok)?;
        let page = self.calls.page(&url, |body| {
            let entries = wire::entries(body).map_err(Problem::Unreadable)?;
            let count = entries.len();
            Ok((entries.into_iter().filter_map(|entry| read_list_entry(entry, status)).collect(), count))
        });
        let PageOf { content: (people, count), next, limit, .. } =
            page.await.map_err(|error| self.stop_if_final(error))?;
        let may_go_on = next.is_none() && count >= limit;
        Ok(ListPage { people, next, may_go_on })
    }

    /// Reads the Hub's access report: every user in any of the lists, with all that the Hub reports about them.
    pub async fn access_report(&self) -> Result<Vec<BTreeMap<String, Value>>, HubError> {
        let read = |body: &[u8]| serde_json::from_slice(body).map_err(|error| wire::describe(&error));
        self.read_report(MAX_REPORT_BYTES, read).await
    }
}

/// A row of the Hub's access report.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReportRow<'a> {
    user: Option<String>,
    status: Option<&'a str>,
    #[serde(borrow)]
    reviewed_at: Option<&'a RawValue>,
}

impl ReportRow<'_> {
    /// The status, if the request is decided.
    fn decided(&self) -> Option<Status> {
        let all = [Status::Accepted, Status::Rejected, Status::Reset];
        all.into_iter().find(|status| self.status == Some(status.as_str()))
    }
}

impl RepoCalls<'_> {
    /// The new status of each request that was decided at `since` or later, as the Hub's access report says. It is read within the
    /// memory of a function, so a report about more than about 80,000 users is refused.
    pub async fn decided_since(&self, since: DateTime<Utc>) -> Result<Vec<Status>, HubError> {
        let is_recent = |row: &&ReportRow| row.reviewed_at.and_then(request::timestamp) >= Some(since);
        self.read_rows(|rows| rows.iter().filter(is_recent).filter_map(ReportRow::decided).collect()).await
    }

    /// The users whose requests are decided and for whom `is_wanted` is true, as the Hub's access report says. It is read within the
    /// same memory as by [`RepoCalls::decided_since`].
    pub async fn decided_users(
        &self,
        is_wanted: impl Fn(&str) -> bool,
    ) -> Result<Vec<(String, Status)>, HubError> {
        let wanted = |row: &ReportRow| {
            let user = row.user.as_deref().filter(|user| is_wanted(user))?;
            Some((user.to_owned(), row.decided()?))
        };
        self.read_rows(|rows| rows.iter().filter_map(wanted).collect()).await
    }

    async fn read_rows<T>(&self, read: impl Fn(&[ReportRow]) -> T) -> Result<T, HubError> {
        let read = |body: &[u8]| match serde_json::from_slice::<Vec<ReportRow>>(body) {
            Ok(rows) => Ok(read(&rows)),
            Err(error) => Err(wire::describe(&error)),
        };
        self.read_report(MAX_REPORT_IN_FUNCTION, read).await
    }

    async fn read_report<T>(
        &self,
        max_bytes: usize,
        read: impl Fn(&[u8]) -> Result<T, String>,
    ) -> Result<T, HubError> {
        let options = CallOptions { timeout: REPORT_TIMEOUT, max_bytes, ..CallOptions::default() };
        let path = format!("/{}/user-access-report", self.repo);
        self.calls.get(&path, &options, read).await.map_err(|error| self.stop_if_final(error))
    }
}

fn read_list_entry(entry: &RawValue, status: Status) -> Option<ListEntry> {
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Review<'a> {
        #[serde(borrow)]
        reviewed_at: Option<&'a RawValue>,
        #[serde(default)]
        granted_by: Value,
    }
    let request = request::read(entry, status)?;
    let Review { reviewed_at, granted_by } = serde_json::from_str(entry.get()).unwrap_or_default();
    let reviewed_at = reviewed_at.and_then(request::timestamp);
    let granted_by = granted_by["user"].as_str().map(str::to_owned);
    Some(ListEntry { request, reviewed_at, granted_by })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_of_the_review_is_read_if_it_is_documented() {
        let cases = [
            (r#""2026-10-02T08:00:00.000Z""#, Some("2026-10-02T08:00:00Z")),
            (r#""2026-10-02T10:00:00+02:00""#, Some("2026-10-02T08:00:00Z")),
            ("null", None),
            ("1790928000", None),
            (r#""yesterday""#, None),
            (r#""+262142-12-31T23:59:59Z""#, None),
            (r#""-0001-01-01T00:00:00Z""#, None),
        ];
        for (text, expected) in cases {
            let entry =
                format!(r#"{{"requestId": "r1", "reviewedAt": {text}, "grantedBy": {{"user": "bob"}}}}"#);
            let entry: &RawValue = serde_json::from_str(&entry).expect("JSON");
            let read = read_list_entry(entry, Status::Accepted).expect("an entry");
            assert_eq!(read.reviewed_at, expected.map(|time| time.parse().expect("a time")), "{text}");
            assert_eq!(read.granted_by.as_deref(), Some("bob"), "{text}");
        }
    }
}
