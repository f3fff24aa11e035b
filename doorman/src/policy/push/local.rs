//! The files of a policy on this machine, before they are pushed.

use std::cell::RefCell;
use std::error::Error;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use chrono::Utc;
use hub_doorman::config::ConfigError;
use hub_doorman::hub::NewFile;
use hub_doorman::policy::Policy;
use hub_doorman::source::{HubFile, MAX_BYTES_OF_LISTS, MAX_LIST_BYTES};

use crate::environment::{BYTE_ORDER_MARK, read};
use crate::exit::UsageError;
use crate::screen::{grouped, print_message};
use crate::test::{beside, decide_all, parse_cases};

/// A policy without faults, whose lists can all be read, and the files that it consists of.
pub struct LocalPolicy {
    path: PathBuf,
    policy: Policy,
    /// The policy as it is in its file.
    text: String,
    /// The name of each list's file in the policy, and its content.
    lists: Vec<(String, Vec<u8>)>,
}

impl LocalPolicy {
    /// Reads a policy and its lists, and prints its warnings. All faults are reported at once.
    pub fn read(path: &Path) -> Result<Self, Box<dyn Error>> {
        let shown = path.display();
        let text = fs::read_to_string(path).map_err(|error| {
            ConfigError(vec![match error.kind() {
                ErrorKind::NotFound => {
                    format!(
                        "{shown}: there is no such file; `doorman policy init REPO` writes a first policy"
                    )
                }
                _ => format!("{shown}: cannot be read: {error}"),
            }])
        })?;
        let lists = RefCell::new(Vec::new());
        // Two lists may be columns of one file.
        let read_once = |name: &str| {
            let content = read_beside(path, name)?;
            let mut lists = lists.borrow_mut();
            if !lists.iter().any(|(known, _)| known == name) {
                lists.push((name.to_owned(), content.clone()));
            }
            Ok(content)
        };
        let policy = Policy::parse_with_files(text.trim_start_matches(BYTE_ORDER_MARK), &read_once);
        let policy = policy.map_err(|faults| {
            ConfigError(faults.into_iter().map(|fault| format!("{shown}: {fault}")).collect())
        })?;
        let local = Self { path: path.to_owned(), policy, text, lists: lists.into_inner() };
        let mut faults = local.too_large();
        for warning in local.policy.warnings() {
            if warning.is_unusable_list {
                faults.push(warning.to_string());
            } else {
                print_message(&format!("doorman: {warning}"));
            }
        }
        if faults.is_empty() { Ok(local) } else { Err(UsageError(faults.join("\n")).into()) }
    }

    /// The lists that are too large for the function.
    fn too_large(&self) -> Vec<String> {
        let mib = |bytes: usize| grouped((bytes / (1024 * 1024)) as u64);
        let too_large = self.lists.iter().filter(|(_, content)| content.len() > MAX_LIST_BYTES);
        let mut faults: Vec<String> = too_large
            .map(|(name, _)| {
                format!(
                    "{name}: it has more than {} MiB, so the function cannot read it",
                    mib(MAX_LIST_BYTES)
                )
            })
            .collect();
        let all: usize = self.lists.iter().map(|(_, content)| content.len()).sum();
        if all > MAX_BYTES_OF_LISTS {
            let max = mib(MAX_BYTES_OF_LISTS);
            faults.push(format!(
                "the lists have more than {max} MiB together, so the function cannot read all of them"
            ));
        }
        faults
    }

    /// Whether the policy passes the cases of this file, else of the file beside it. If there is no such file, it passes.
    pub fn passes_cases(&self, file: Option<&Path>) -> Result<bool, Box<dyn Error>> {
        let beside = beside(&self.path);
        let path = file.unwrap_or(&beside);
        let is_missing = || fs::metadata(path).is_err_and(|error| error.kind() == ErrorKind::NotFound);
        if file.is_none() && is_missing() {
            let path = std::path::absolute(path)?;
            print_message(&format!(
                "doorman: the policy is not tested, because there is no {}",
                path.display()
            ));
            return Ok(true);
        }
        let cases = read(path, |json| parse_cases(json, Utc::now()).map_err(|fault| vec![fault]));
        let cases = cases.map_err(ConfigError)?;
        let mut out = Vec::new();
        let failed = decide_all(&self.policy, &cases, &mut out)?;
        if failed > 0 {
            print_message(&format!("doorman: the policy fails {}:", path.display()));
        }
        print_message(String::from_utf8_lossy(&out).trim_end());
        Ok(failed == 0)
    }

    /// The policy, without its lists.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The text of the policy's file.
    pub fn text(&self) -> &str {
        self.text.trim_start_matches(BYTE_ORDER_MARK)
    }

    /// Whether some of its lists are in files.
    pub fn has_list_files(&self) -> bool {
        !self.lists.is_empty()
    }

    /// The files to write, if the policy is kept there.
    pub fn files(&self, place: &HubFile) -> Vec<NewFile> {
        let policy = NewFile { path: place.path.clone(), content: self.text.clone().into_bytes() };
        let list = |(name, content): &(String, Vec<u8>)| NewFile {
            path: place.path_of(name),
            content: content.clone(),
        };
        [policy].into_iter().chain(self.lists.iter().map(list)).collect()
    }

    /// How the lists differ from those on the Hub. `read_on_hub` returns a file that is different there, by its path in the repo.
    pub fn changes(
        &self,
        place: &HubFile,
        read_on_hub: impl Fn(&str) -> Option<Result<Vec<u8>, String>>,
    ) -> Result<Vec<ListChange>, ConfigError> {
        let local = |name: &str| self.lists.iter().find(|(known, _)| known == name);
        let read = |name: &str| {
            let same = || Ok(local(name).map(|(_, content)| content.clone()).unwrap_or_default());
            read_on_hub(&place.path_of(name)).unwrap_or_else(same)
        };
        let on_hub = Policy::parse_with_files(self.text.trim_start_matches(BYTE_ORDER_MARK), &read);
        let on_hub = on_hub.map_err(ConfigError)?;
        let change = |(list, _): (&str, _)| {
            let (added, removed) =
                (self.policy.entries_not_in(&on_hub, list), on_hub.entries_not_in(&self.policy, list));
            let change = ListChange { list: list.to_owned(), difference: added.zip(removed) };
            (change.difference != Some((0, 0))).then_some(change)
        };
        Ok(self.policy.lists().filter_map(change).collect())
    }
}

/// What a push does to a list on the Hub.
pub struct ListChange {
    pub list: String,
    /// How many entries are added, and how many are removed. It is unknown if the list on the Hub cannot be read.
    pub difference: Option<(usize, usize)>,
}

/// Reads a file in the folder of the policy. A symbolic link that leads out of the folder is refused, because a push publishes what it
/// leads to.
fn read_beside(policy: &Path, name: &str) -> Result<Vec<u8>, String> {
    let parent = policy.parent().filter(|parent| !parent.as_os_str().is_empty());
    let folder = parent.unwrap_or(Path::new("."));
    let read = || {
        let (folder, file) = (folder.canonicalize()?, folder.join(name).canonicalize()?);
        file.starts_with(folder).then(|| fs::read(file)).transpose()
    };
    let link = "it is a link out of the folder of the policy; put the file itself into the folder";
    read().map_err(|error| error.to_string())?.ok_or_else(|| link.to_owned())
}
