//! What a page shows: the search, the filters, the order and the number of the page, as the query of its address.

use hub_doorman::model::{AccessRequest, User};
use reqwest::Url;
use serde::Deserialize;

use crate::pending::PendingRequest;

/// The rule of requests that no rule decided, in the filter.
pub const NO_RULE: &str = "(none)";

/// The query of a page. A value that is not known counts as not given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Filter {
    /// The text to search for.
    pub q: String,
    pub repo: String,
    pub rule: String,
    /// `all`, if not only the held requests are shown.
    pub show: String,
    /// `newest`, if the newest request comes first.
    pub sort: String,
    /// The status of decided requests.
    pub status: String,
    /// The number of the page; the first is 0.
    pub page: usize,
}

impl Filter {
    /// The query, with `?`. It is empty if everything is as usual.
    pub fn query(&self) -> String {
        let Self { q, repo, rule, show, sort, status, page } = self;
        let page = if *page > 0 { page.to_string() } else { String::new() };
        let pairs = [("q", q), ("repo", repo), ("rule", rule), ("show", show), ("sort", sort)];
        let pairs = pairs.into_iter().chain([("status", status), ("page", &page)]);
        let pairs = pairs.filter(|(_, value)| !value.is_empty());
        match Url::parse_with_params("http://desk/", pairs) {
            Ok(url) => url.query().filter(|query| !query.is_empty()).map(|query| format!("?{query}")),
            Err(_) => None,
        }
        .unwrap_or_default()
    }

    pub fn on_page(&self, page: usize) -> Self {
        Self { page, ..self.clone() }
    }

    pub fn shows_all(&self) -> bool {
        self.show == "all"
    }

    pub fn is_newest_first(&self) -> bool {
        self.sort == "newest"
    }

    /// Whether the page shows this request.
    pub fn includes(&self, request: &PendingRequest) -> bool {
        let rule = request.decision.grounds.rule().unwrap_or(NO_RULE);
        (self.shows_all() || request.is_held())
            && (self.repo.is_empty() || request.repo.to_string() == self.repo)
            && (self.rule.is_empty() || rule == self.rule)
            && self.finds(&request.request)
    }

    /// Whether the search finds something that the request contains.
    pub fn finds(&self, request: &AccessRequest) -> bool {
        let wanted = self.q.trim().to_lowercase();
        if wanted.is_empty() {
            return true;
        }
        let AccessRequest { request_id, user, requested_at: _, fields, unreadable: _ } = request;
        let User { name, fullname, email, orgs, verified_orgs, .. } = user;
        let texts = [request_id, name, fullname, email].into_iter().flatten();
        let orgs = orgs.iter().flatten().chain(verified_orgs.iter().flatten());
        let mut texts = texts.chain(orgs).chain(fields.values());
        texts.any(|text| text.to_lowercase().contains(&wanted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_keeps_what_is_asked_for() {
        let filter = Filter {
            q: "a&b=<ß>".to_owned(),
            repo: "datasets/acme/corpus".to_owned(),
            page: 2,
            ..Filter::default()
        };
        let query = filter.query();
        assert_eq!(query, "?q=a%26b%3D%3C%C3%9F%3E&repo=datasets%2Facme%2Fcorpus&page=2");
        assert_eq!(Filter::default().query(), "");
    }

    #[test]
    fn search_ignores_case_and_reads_answers() {
        let mut request = AccessRequest::default();
        request.user.fullname = Some("Ada LOVELACE".to_owned());
        request.fields.insert("Purpose".to_owned(), "Weltfrieden".to_owned());
        let finds = |q: &str| Filter { q: q.to_owned(), ..Filter::default() }.finds(&request);
        assert!(finds("lovelace") && finds(" FRIEDEN ") && finds(""));
        assert!(!finds("Purpose") && !finds("grace"));
    }
}
