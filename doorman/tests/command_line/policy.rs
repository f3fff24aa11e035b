//! `doorman policy`: what is in force, which decisions would change, and how a policy gets to the Hub.

mod diff;
mod init;
mod push;
mod show;

use std::fs;
use std::path::{Path, PathBuf};
use std::process;

use crate::hub::Hub;
use crate::{CommandResult, command, result_of};

/// A folder with files, in which commands run. It is removed when the value is dropped.
pub struct Folder(PathBuf);

impl Folder {
    /// The name must be unique among all tests.
    pub fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}", process::id()));
        fs::create_dir_all(&path).expect("created");
        let folder = Self(path);
        for (name, text) in files {
            folder.write(name, text);
        }
        folder
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("created");
        fs::write(path, text).expect("written");
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).expect("a file")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The names of its files.
    pub fn names(&self) -> Vec<String> {
        let name = |file: std::io::Result<fs::DirEntry>| file.expect("a file").file_name();
        let mut names: Vec<String> = fs::read_dir(&self.0)
            .expect("a folder")
            .map(|file| name(file).into_string().expect("UTF-8"))
            .collect();
        names.sort();
        names
    }

    /// Runs `doorman` in this folder.
    pub async fn run(&self, hub: &Hub, variables: &[(&str, &str)], arguments: &[&str]) -> CommandResult {
        let mut command = command(hub, variables, arguments);
        result_of(command.current_dir(&self.0).output().await.expect("doorman runs"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
