//! What a test does with the files of a repo.

use hyper::body::Bytes;

use super::Hub;
use super::files::{Changes, Commit};
use super::repo::{Gating, Role};

/// A repo whose files a test reads and changes.
pub struct Dataset<'a> {
    hub: &'a Hub,
    /// Such as `datasets/acme/doorman`.
    pub key: String,
}

impl Hub {
    /// The dataset with this name, such as `acme/doorman`. If there is none, a private one is made.
    pub fn dataset(&self, name: &str) -> Dataset<'_> {
        let key = format!("datasets/{name}");
        let mut model = self.model();
        if model.find(&key).is_none() {
            let repo = model.add(&key);
            (repo.gating, repo.private) = (Gating::Off, true);
        }
        Dataset { hub: self, key }
    }
}

/// The changes that write these files.
pub fn changes<T: AsRef<[u8]>>(files: &[(&str, T)]) -> Changes {
    let write =
        |(path, content): &(&str, T)| ((*path).to_owned(), Some(Bytes::copy_from_slice(content.as_ref())));
    files.iter().map(write).collect()
}

impl Dataset<'_> {
    /// Commits these files to `main`. Returns the id of the commit.
    pub fn commit<T: AsRef<[u8]>>(&self, files: &[(&str, T)]) -> String {
        self.hub.model().commit(&self.key, changes(files))
    }

    /// Commits the deletion of a file to `main`. Returns the id of the commit.
    pub fn delete(&self, path: &str) -> String {
        self.hub.model().commit(&self.key, vec![(path.to_owned(), None)])
    }

    /// The newest commit of `main`.
    pub fn head(&self) -> Commit {
        self.hub.model().repo(&self.key).files.head().clone()
    }

    /// The content of a file at the newest commit of `main`, if there is such a file.
    pub fn read(&self, path: &str) -> Option<Bytes> {
        self.head().files.get(path).map(|blob| blob.bytes.clone())
    }

    /// Makes the dataset public.
    pub fn publish(&self) {
        self.hub.model().repo(&self.key).private = false;
    }

    /// Sets the rights of the token.
    pub fn set_role(&self, role: Role) {
        self.hub.model().repo(&self.key).role = role;
    }

    /// The path of the call that reads a file at a revision.
    pub fn path(&self, revision: &str, file: &str) -> String {
        format!("/{}/resolve/{revision}/{file}", self.key)
    }
}
