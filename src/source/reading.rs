//! One read of a policy from its place, with the files of its lists. All files are of one commit.

use std::collections::HashMap;
use std::sync::Arc;

use reqwest::Client;
use tokio::time::Instant;

use super::place::{HubFile, Place};
use crate::hub::{File, FileRead, Files, Hub, HubError};
use crate::policy::{MAX_POLICY_LENGTH, Policy};
use crate::secrets::{Failed, Stored};

/// The most bytes of a list in a file. A regular file of the Hub has no more.
pub const MAX_LIST_BYTES: usize = 10 * 1024 * 1024;

/// The most bytes of all lists in files together. The function has 128 MB, and a list needs less than three times its bytes while it is
/// read.
pub const MAX_BYTES_OF_LISTS: usize = 2 * MAX_LIST_BYTES;

/// A policy that was read, with what the next read needs to know.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) policy: Arc<Policy>,
    text: String,
    etag: Option<String>,
    /// Whether the policy has lists in files.
    has_files: bool,
}

impl Known {
    /// Whether all lists could be read. If one could not, the cause may have been the token or the Hub, so the same commit is read again.
    fn is_complete(&self) -> bool {
        self.policy.lists().all(|(_, entries)| entries.is_ok())
    }

    #[cfg(test)]
    pub(super) fn of(policy: Arc<Policy>) -> Self {
        Self { policy, text: String::new(), etag: None, has_files: false }
    }
}

/// Why a policy cannot be used.
#[derive(Debug)]
pub(super) struct Unusable {
    pub(super) faults: Vec<String>,
    /// The commit with the faults.
    pub(super) commit: Option<String>,
    /// Whether the place cannot be reached, so that it is unknown which policy is the newest.
    pub(super) is_outage: bool,
}

impl Unusable {
    pub(super) fn of(fault: String) -> Self {
        Self { faults: vec![fault], commit: None, is_outage: false }
    }
}

impl From<HubError> for Unusable {
    fn from(error: HubError) -> Self {
        Self { is_outage: error.is_outage(), ..Self::of(error.to_string()) }
    }
}

/// Reads the policy from its place. The result is `None` if it is the same as `known`.
pub(super) async fn read(
    place: &Place,
    hub: &Hub,
    http: &Client,
    known: Option<&mut Known>,
    deadline: Instant,
) -> Result<Option<Known>, Unusable> {
    match place {
        Place::Given(_) => Ok(None),
        Place::Hub(file) => read_from_hub(file, &hub.files(deadline), known).await,
        Place::Stored(stored) => read_stored(stored, http, known, deadline).await,
    }
}

async fn read_stored(
    stored: &Stored,
    http: &Client,
    known: Option<&mut Known>,
    deadline: Instant,
) -> Result<Option<Known>, Unusable> {
    let text = stored.read_text(http, deadline).await;
    let unusable = |failed: Failed| Unusable { is_outage: failed.is_transient, ..Unusable::of(failed.why) };
    let text = text.map_err(unusable)?;
    if known.is_some_and(|known| known.text == text) {
        return Ok(None);
    }
    let policy =
        Policy::parse(&text).map_err(|faults| Unusable { faults, commit: None, is_outage: false })?;
    Ok(Some(Known { policy: Arc::new(policy), text, etag: None, has_files: false }))
}

async fn read_from_hub(
    file: &HubFile,
    files: &Files<'_>,
    mut known: Option<&mut Known>,
) -> Result<Option<Known>, Unusable> {
    let read = |etag: Option<String>| async move {
        files.read(&file.repo, &file.revision, &file.path, etag.as_deref(), MAX_POLICY_LENGTH).await
    };
    let mut answer = read(known.as_ref().and_then(|known| known.etag.clone())).await?;
    if let (FileRead::Unchanged { commit: None }, Some(known)) = (&answer, &mut known) {
        if !known.has_files {
            return Ok(None);
        }
        // The Hub does not say whether the lists have changed, so this read and all later ones are not conditional.
        known.etag = None;
        answer = read(None).await?;
    }
    let (text, etag, commit) = match (answer, known.as_deref()) {
        (FileRead::Unchanged { commit }, Some(known)) => (Ok(known.text.clone()), known.etag.clone(), commit),
        // The call was not conditional, so this never happens.
        (FileRead::Unchanged { .. }, None) => return Err(Unusable::of("it was not read".to_owned())),
        (FileRead::New(File { content, etag, commit }), _) => (String::from_utf8(content), etag, commit),
    };
    let Some(commit) = commit else {
        return Err(Unusable::of("the Hub does not say of which commit the file is".to_owned()));
    };
    if known.is_some_and(|known| known.policy.commit() == Some(&*commit) && known.is_complete()) {
        return Ok(None);
    }
    let with_commit = |faults| Unusable { faults, commit: Some(commit.clone()), is_outage: false };
    let text = text.map_err(|_| with_commit(vec!["it is not UTF-8".to_owned()]))?;
    let document = text.trim_start_matches('\u{feff}');
    let lists = read_lists(document, &commit, file, files).await;
    let has_files = !lists.is_empty();
    let read_file = |name: &str| match lists.get(name) {
        Some(Ok(content)) => Ok(content.clone()),
        Some(Err(error)) => Err(error.to_string()),
        None => Err("the file was not read".to_owned()),
    };
    let policy = Policy::parse_with_files(document, &read_file).map_err(with_commit)?;
    let policy = Arc::new(policy.at_commit(Some(&commit)));
    Ok(Some(Known { policy, text, etag, has_files }))
}

/// Reads the files of the lists from a commit, one after the other.
async fn read_lists(
    document: &str,
    commit: &str,
    policy: &HubFile,
    files: &Files<'_>,
) -> HashMap<String, Result<Vec<u8>, HubError>> {
    let (mut lists, mut left) = (HashMap::new(), MAX_BYTES_OF_LISTS);
    for name in Policy::files_of_lists(document) {
        let path = policy.path_of(&name);
        let content = match files.read(&policy.repo, commit, &path, None, left.min(MAX_LIST_BYTES)).await {
            Ok(FileRead::New(File { content, .. })) => Ok(content),
            // The call was not conditional, so this never happens.
            Ok(FileRead::Unchanged { .. }) => continue,
            Err(error) => Err(error),
        };
        left -= content.as_ref().map_or(0, Vec::len);
        lists.insert(name, content);
    }
    lists
}
