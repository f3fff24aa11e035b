//! The faults that a call can have.

use std::time::Duration;

use super::files::Changes;

/// A fault of the Hub or of the network. Except where "nothing is done" is said, the model carries out the call first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A response with this status. Nothing is done.
    Status(u16),
    /// A response with this status, these headers and this body. Nothing is done.
    Answer(u16, Vec<(&'static str, String)>, String),
    /// The connection is closed. Nothing is done.
    DropBefore,
    /// The connection is closed after the call was carried out.
    DropAfter,
    /// No response ever comes.
    Stall,
    /// The body of the response is not JSON.
    Garbage,
    /// A proxy on the way answers with this status.
    Lost(u16),
    /// The connection is closed in the middle of the response.
    Cut,
    /// The response ends in the middle, and its end is that of the connection. So nothing shows that a half is missing.
    Half,
    /// The response is that of the commit before the newest one of this repo.
    Behind(String),
    /// The page of a list also contains requests that are decided.
    DecidedListed,
    /// The page contains each entry twice.
    Duplicates,
    /// The page also contains older versions of some requests.
    OlderVersions,
    /// Only the first half of a batch is carried out. The response reports that the second half failed, or is this status.
    HalfDone(Option<u16>),
    /// A redirect (307) to this URL or path. Two of them that lead to each other are a circle. Nothing is done.
    Redirect(String),
    /// After the call, these changes are committed to this repo. The response is that from before the commit.
    ThenCommit(String, Changes),
    /// The headers are those of the response, and the body is so many blanks. They are sent in small chunks.
    Blanks(u64),
    /// The link to the next page of a list has another origin.
    NextElsewhere,
    /// The link to the next page of a list leads to this page.
    NextIsThis,
    /// A response that never ends, with this status and this `Content-Length`. It is sent in chunks of so many bytes, with a
    /// pause before each. Nothing is done.
    Endless { status: u16, promised: Option<u64>, chunk: usize, pause: Duration },
}

impl Fault {
    /// The name under which faults are counted.
    pub fn name(&self) -> String {
        match self {
            Self::Status(status) | Self::Answer(status, ..) => format!("status {status}"),
            Self::Lost(status) => format!("done, status {status}"),
            Self::DropBefore => "no connection".to_owned(),
            Self::DropAfter => "done, connection closed".to_owned(),
            Self::Stall => "done, no response".to_owned(),
            Self::Garbage => "done, unreadable response".to_owned(),
            Self::Cut => "done, response breaks off".to_owned(),
            Self::Half => "half a response".to_owned(),
            Self::Behind(_) => "response of the commit before".to_owned(),
            Self::DecidedListed => "page with decided requests".to_owned(),
            Self::Duplicates => "page with every entry twice".to_owned(),
            Self::OlderVersions => "page with older versions of some requests".to_owned(),
            Self::HalfDone(None) => "half of a batch done, the other reported as failed".to_owned(),
            Self::HalfDone(Some(status)) => format!("half of a batch done, status {status}"),
            Self::Redirect(_) => "redirect".to_owned(),
            Self::ThenCommit(..) => "done, and a commit after it".to_owned(),
            Self::Blanks(bytes) => format!("{bytes} blanks"),
            Self::NextElsewhere => "next page at another origin".to_owned(),
            Self::NextIsThis => "next page is this page".to_owned(),
            Self::Endless { .. } => "response without an end".to_owned(),
        }
    }
}
