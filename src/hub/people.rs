//! What an owner asks about the people of a repo beside what a review needs: any of the four lists, a search in it, the access
//! report, and letting somebody in who never asked.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::Url;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::calls::{Manner, Paged};
use super::{Handled, HubError, PAGE, Problem, RepoCalls, wire};
use crate::model::{AccessRequest, Identity, Status};

/// How long the access report may take, which is one answer however many people are in it.
const REPORT_TIMEOUT: Duration = Duration::from_secs(60);

/// The most bytes that it may have: half a million people, on the machine of whoever asks for it.
const LARGEST_REPORT: usize = 256 * 1024 * 1024;

/// Somebody on a list, with what is known of how they came there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The request.
    pub request: AccessRequest,
    /// When it was accepted, rejected or reset.
    pub reviewed_at: Option<DateTime<Utc>>,
    /// The name of the user who let them in without a request.
    pub granted_by: Option<String>,
}

/// One page of a list.
#[derive(Debug)]
pub struct ListPage {
    /// The people on it.
    pub people: Vec<Listed>,
    /// Where the next page is.
    pub next: Option<Url>,
    /// Whether the page is full and has no next link, so that the list may go on behind it.
    pub may_go_on: bool,
}

impl RepoCalls<'_> {
    /// Reads a page of one of the lists: the first one, or the one that was named with the last. `search` is the beginning of
    /// a name, in any case, of up to 250 characters.
    pub async fn list(
        &self,
        status: Status,
        search: Option<&str>,
        page: Option<Url>,
    ) -> Result<ListPage, HubError> {
        let first = || {
            let mut url = self.calls.url(&self.path(status.as_str()))?;
            url.query_pairs_mut().append_pair("limit", &PAGE.to_string());
            if let Some(search) = search {
                url.query_pairs_mut().append_pair("q", search);
            }
            Ok(url)
        };
        let url = page.map_or_else(first, Ok)?;
        let page = self.calls.page(&url, |body| {
            let entries = wire::entries(body).map_err(Problem::Unreadable)?;
            let count = entries.len();
            Ok((entries.into_iter().filter_map(|entry| listed(entry, status)).collect(), count))
        });
        let Paged { content: (people, count), next, limit, .. } =
            page.await.map_err(|error| self.heed(error))?;
        let may_go_on = next.is_none() && count >= limit;
        Ok(ListPage { people, next, may_go_on })
    }

    /// Lets somebody in, whether or not they asked. Who is in already is [`Handled::Gone`].
    pub async fn grant(&self, user: &Identity) -> Result<Handled, HubError> {
        let named: wire::NamedBy = user.into();
        match self.post("grant", &named, None, wire::handled).await {
            Ok(()) => Ok(Handled::Done),
            Err(error) if error.is_no_such_user() => Ok(Handled::NoUser),
            Err(error) if error.is_in_already() && error.may_be_done => Ok(Handled::Done),
            Err(error) if error.is_in_already() => Ok(Handled::Gone),
            Err(error) => Err(self.heed(error)),
        }
    }

    /// Reads the Hub's access report: everybody in any of the lists, with what the Hub tells of each.
    pub async fn access_report(&self) -> Result<Vec<BTreeMap<String, Value>>, HubError> {
        let manner = Manner { timeout: REPORT_TIMEOUT, largest: LARGEST_REPORT, ..Manner::default() };
        let path = format!("/{}/user-access-report", self.repo);
        let read = |body: &[u8]| serde_json::from_slice(body).map_err(|error| wire::describe(&error));
        self.calls.get(&path, &manner, read).await.map_err(|error| self.heed(error))
    }
}

fn listed(entry: &RawValue, status: Status) -> Option<Listed> {
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Reviewed {
        #[serde(default)]
        reviewed_at: Value,
        #[serde(default)]
        granted_by: Value,
    }
    let request = wire::request(entry, status)?;
    let Reviewed { reviewed_at, granted_by } = serde_json::from_str(entry.get()).unwrap_or_default();
    let reviewed_at = reviewed_at.as_str().and_then(|time| time.parse().ok());
    let granted_by = granted_by["user"].as_str().map(str::to_owned);
    Some(Listed { request, reviewed_at, granted_by })
}
