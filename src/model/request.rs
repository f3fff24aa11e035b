//! An access request, and the user behind it.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Utc};

/// The maximum number of answers of a request, and of organizations of its user. A request with more is held.
pub(crate) const MAX_LIST: usize = 300;

/// The maximum size of all texts of a request together, in bytes. A request with more is held. Names of organizations do not
/// count, because [`MAX_LIST`] and [`MAX_NAME`] bound them.
pub(crate) const MAX_TEXT: usize = 100_000;

/// The maximum length of the name of a user or an organization, in bytes. The Hub allows 42 characters.
pub(crate) const MAX_NAME: usize = 200;

/// An access request as the Hub lists it. An attribute that the Hub does not give is `None`, and a rule that reads it cannot be
/// evaluated.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct AccessRequest {
    /// The Hub's id of the request.
    pub request_id: Option<String>,
    /// The requester. If the repo is set not to share its requesters, all attributes are `None`.
    pub user: User,
    /// When the user requested access.
    pub requested_at: Option<DateTime<Utc>>,
    /// The answers to the gate form, by label. If the form has no questions, there are none.
    pub fields: BTreeMap<String, String>,
    /// Why the request is unreadable, if it is: the Hub's list entry contains something that cannot be read. An unreadable
    /// request is held, and no rule is evaluated.
    pub unreadable: Option<&'static str>,
}

/// The user who requests access.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct User {
    /// The Hub's id of the user.
    pub id: Option<String>,
    /// The user name.
    pub name: Option<String>,
    /// The full name.
    pub fullname: Option<String>,
    /// The e-mail address.
    pub email: Option<String>,
    /// Whether the user pays for PRO.
    pub pro: Option<bool>,
    /// The names of the organizations that the Hub has verified the user to belong to.
    pub verified_orgs: Option<Vec<String>>,
    /// The names of the organizations that the user is a member of.
    pub orgs: Option<Vec<String>>,
    /// The organization whose service account the user is, or an empty text if the user is a person.
    pub service_account: Option<String>,
}

impl AccessRequest {
    /// The identity that a write to the Hub uses: the user's id, else the id of the request, else the user's name.
    ///
    /// If the repo is set not to share its requesters, the id of the request is the only one.
    #[must_use]
    pub fn identity(&self) -> Option<Identity> {
        let AccessRequest { request_id, user, .. } = self;
        let by_id = user.id.clone().map(Identity::UserId);
        by_id
            .or_else(|| request_id.clone().map(Identity::RequestId))
            .or_else(|| user.name.clone().map(Identity::UserName))
    }

    /// The identity that a person is shown: the user's name, else the id of the request, else the user's id.
    #[must_use]
    pub fn who(&self) -> Option<Identity> {
        let AccessRequest { request_id, user, .. } = self;
        let by_name = user.name.clone().map(Identity::UserName);
        by_name
            .or_else(|| request_id.clone().map(Identity::RequestId))
            .or_else(|| user.id.clone().map(Identity::UserId))
    }
}

impl fmt::Debug for AccessRequest {
    /// Shows the user's name but nothing else that the user wrote, because an access request is personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AccessRequest { request_id, user, requested_at, fields, unreadable } = self;
        f.debug_struct("AccessRequest")
            .field("request_id", request_id)
            .field("user", &user.name)
            .field("requested_at", requested_at)
            .field("fields", &format_args!("{} answers", fields.len()))
            .field("unreadable", unreadable)
            .finish_non_exhaustive()
    }
}

/// A name or an id that identifies an access request on the Hub.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Identity {
    /// The id of the user.
    UserId(String),
    /// The id of the request.
    RequestId(String),
    /// The name of the user.
    UserName(String),
}

impl Identity {
    /// The name or id itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::UserId(text) | Self::RequestId(text) | Self::UserName(text) => text,
        }
    }
}

/// The status of an access request. The Hub has one list for each status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Nobody has decided the request.
    Pending,
    /// The user has access.
    Accepted,
    /// The request is refused for good.
    Rejected,
    /// The request is refused, but the user may ask again.
    Reset,
}

impl Status {
    /// The Hub's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::Reset => "reset",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_shows_no_answer_and_no_email_address() {
        let mut request = AccessRequest::default();
        request.user.email = Some("ada@acme.com".to_owned());
        request.user.fullname = Some("Ada".to_owned());
        request.fields.insert("Purpose".to_owned(), "world peace".to_owned());
        let debug = format!("{request:?}");
        assert!(!debug.contains("acme.com") && !debug.contains("Ada") && !debug.contains("peace"), "{debug}");
    }
}
