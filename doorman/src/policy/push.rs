//! `policy push`: checks and tests a policy, and commits it with its lists to a private repo on the Hub.

mod local;

use std::error::Error;
use std::io::Write;

use hub_doorman::hub::{Commits, FileRead, Hub, HubError, NewFile, Problem, UploadMode};
use hub_doorman::model::Repo;
use hub_doorman::source::{HubFile, MAX_LIST_BYTES};

use crate::arguments::PushArguments;
use crate::environment::{self, deadline};
use crate::exit::{ExitStatus, UsageError};
use crate::screen::{Cell, Look, Screen, grouped, print_message};
use crate::webhook::is_watched;
use local::ListChange;
pub use local::LocalPolicy;

/// Commits a policy, unless it has a fault, fails a case, or is on the Hub already.
pub async fn run(arguments: &PushArguments, screen: &mut Screen) -> Result<ExitStatus, Box<dyn Error>> {
    let PushArguments { policy, place, cases, create, remove_entries, message } = arguments;
    let target = target(place.as_deref())?;
    let local = LocalPolicy::read(policy)?;
    if !local.passes_cases(cases.as_deref())? {
        print_message("Nothing was pushed, because the policy does not pass its cases.");
        return Ok(ExitStatus::Failed);
    }
    if environment::is_dry_run()? {
        print_message("DRY_RUN is true, so nothing was pushed.");
        return Ok(ExitStatus::Complete);
    }
    let hub = environment::hub().await?;
    let options =
        PushOptions { create: *create, remove_entries: *remove_entries, message: message.as_deref() };
    let (pushed, commit) = match push(&hub, &target, &local, options).await? {
        Pushed::Commit(commit) => ("pushed", commit),
        Pushed::Unchanged(commit) => ("unchanged", commit),
    };
    screen.table(
        &[],
        [vec![Cell::new(pushed, Look::Good), Cell::plain(target.to_string()), Cell::plain(commit)]],
    )?;
    screen.flush()?;
    advise_webhook(&hub, &target.repo).await;
    Ok(ExitStatus::Complete)
}

/// The file on the Hub that an argument names, else that of `APPROVAL_POLICY`.
fn target(argument: Option<&str>) -> Result<HubFile, Box<dyn Error>> {
    let file = match argument {
        Some(text) if text.starts_with("hf://") => environment::place(text)?.on_hub().cloned(),
        Some(_) => None,
        None => environment::policy_on_hub(),
    };
    match file {
        Some(file) if file.is_pinned() => Err(UsageError(format!(
            "{file}: a commit cannot be changed; name a branch, or leave the revision out"
        ))),
        Some(file) => Ok(file),
        None => Err(UsageError(
            "name the place on the Hub, such as `hf://datasets/acme/doorman/policy.toml`, or set APPROVAL_POLICY to it".to_owned(),
        )),
    }
    .map_err(Into::into)
}

/// What a push has done.
pub enum Pushed {
    /// This commit has been made.
    Commit(String),
    /// All files are the same in this commit.
    Unchanged(String),
}

/// What a push may do.
#[derive(Clone, Copy, Default)]
pub struct PushOptions<'a> {
    /// Create the repo, as a private one, if there is none.
    pub create: bool,
    /// Push also if lists on the Hub lose entries.
    pub remove_entries: bool,
    /// The message of the commit.
    pub message: Option<&'a str>,
}

/// Commits a policy and its lists to the branch of the target, unless they are the same there.
pub async fn push(
    hub: &Hub,
    target: &HubFile,
    local: &LocalPolicy,
    options: PushOptions<'_>,
) -> Result<Pushed, Box<dyn Error>> {
    let HubFile { repo, revision, .. } = target;
    let PushOptions { create, remove_entries, message } = options;
    let commits = hub.commits(deadline());
    let head = match commits.head(repo, revision).await {
        Err(error) if error.status() == Some(404) && create => {
            commits.create_private(repo).await?;
            commits.head(repo, revision).await?
        }
        Err(error) if error.status() == Some(404) => {
            return Err(format!("{error}; if there is no such repo, --create creates it").into());
        }
        head => head?,
    };
    if !head.is_private {
        let text = format!(
            "{repo} is public, so everybody could read the policy and its lists; make it private in its settings first"
        );
        return Err(text.into());
    }
    let changed = changed(hub, repo, &head.commit, local.files(target)).await?;
    if changed.is_empty() {
        return Ok(Pushed::Unchanged(head.commit));
    }
    show_changes_of_lists(local, target, &changed, remove_entries)?;
    let changed: Vec<NewFile> = changed.into_iter().map(|(file, _)| file).collect();
    refuse_large(&commits, repo, revision, &changed).await?;
    let names: Vec<&str> = changed.iter().map(|file| file.path.as_str()).collect();
    let summary = message.map_or_else(|| format!("Update {}", names.join(", ")), str::to_owned);
    match commits.commit(repo, revision, &head.commit, &summary, &changed).await {
        Ok(commit) => Ok(Pushed::Commit(commit)),
        Err(error) if error.status() == Some(412) => {
            let text = format!(
                "{repo} has a newer commit than the one that was read, so nothing was pushed; see what has changed with `doorman policy \
                 diff {target} POLICY`, and push again"
            );
            Err(text.into())
        }
        Err(error) if error.may_be_done => {
            Err(format!("{error}; the commit may have been made: `doorman policy show {target}` shows it")
                .into())
        }
        Err(error) => Err(error.into()),
    }
}

/// What the Hub has instead of a file of the policy.
enum OnHub {
    Nothing,
    TooLarge,
    Content(Vec<u8>),
}

/// The files that are not the same in this commit.
async fn changed(
    hub: &Hub,
    repo: &Repo,
    commit: &str,
    files: Vec<NewFile>,
) -> Result<Vec<(NewFile, OnHub)>, HubError> {
    let (calls, mut changed) = (hub.files(deadline()), Vec::new());
    for file in files {
        let on_hub = match calls.read(repo, commit, &file.path, None, MAX_LIST_BYTES).await {
            Ok(FileRead::New(known)) if known.content == file.content => continue,
            Ok(FileRead::New(known)) => OnHub::Content(known.content),
            Ok(FileRead::Unchanged { .. }) => continue,
            Err(error) if error.status() == Some(404) => OnHub::Nothing,
            Err(HubError { problem: Problem::TooLarge(_), .. }) => OnHub::TooLarge,
            Err(error) => return Err(error),
        };
        changed.push((file, on_hub));
    }
    Ok(changed)
}

/// Shows what the push does to the lists on the Hub. Fails if one of them would lose entries, unless that is wanted.
fn show_changes_of_lists(
    local: &LocalPolicy,
    target: &HubFile,
    changed: &[(NewFile, OnHub)],
    remove_entries: bool,
) -> Result<(), Box<dyn Error>> {
    let read_on_hub = |path: &str| match changed.iter().find(|(file, _)| file.path == path)? {
        (_, OnHub::Content(content)) if !content.is_empty() => Some(Ok(content.clone())),
        (_, OnHub::TooLarge) => Some(Err("it is too large".to_owned())),
        (_, OnHub::Content(_) | OnHub::Nothing) => None,
    };
    let (mut loses, differences) = (false, local.changes(target, read_on_hub)?);
    for ListChange { list, difference } in &differences {
        loses |= difference.is_none_or(|(_, removed)| removed > 0);
        let text = match difference {
            Some((added, removed)) => {
                let (added, removed) = (grouped(*added as u64), grouped(*removed as u64));
                format!("entries that the Hub's file gets: {added}; entries that it loses: {removed}")
            }
            None => "the Hub's file cannot be read as this list, so what it loses is unknown".to_owned(),
        };
        print_message(&format!("doorman: list `{list}`: {text}"));
    }
    if !loses || remove_entries {
        return Ok(());
    }
    Err(format!(
        "nothing was pushed, because a list on the Hub would lose entries, which a form's script may have added; download the newer \
         file from {} first, or run `doorman policy push --remove-entries`",
        target.repo
    )
    .into())
}

/// Fails if the Hub does not take one of the files in a commit.
async fn refuse_large(
    commits: &Commits<'_>,
    repo: &Repo,
    revision: &str,
    files: &[NewFile],
) -> Result<(), Box<dyn Error>> {
    let modes = commits.upload_modes(repo, revision, files).await?;
    let fault = |(NewFile { path, .. }, mode): (&NewFile, UploadMode)| match mode {
        UploadMode::Regular => None,
        UploadMode::Large => Some(format!(
            "{path}: the Hub takes it only as a large file, which `doorman` does not upload; remove the pattern for it from \
             .gitattributes of {repo}, or make it smaller"
        )),
        UploadMode::Ignored => {
            Some(format!("{path}: .gitignore of {repo} excludes it; remove the pattern there"))
        }
    };
    let faults: Vec<String> = files.iter().zip(modes).filter_map(fault).collect();
    if faults.is_empty() { Ok(()) } else { Err(faults.join("\n").into()) }
}

/// If no webhook watches the repo of the policy, says what one would do.
async fn advise_webhook(hub: &Hub, repo: &Repo) {
    match hub.account(deadline()).webhooks().await {
        Ok(webhooks) if is_watched(&webhooks, repo) => {}
        Ok(_) => print_message(&format!(
            "No webhook watches {repo}, so the function sees this push at its next event or sweep. If a webhook watches it, a push \
             decides at once. `doorman webhook create` with this APPROVAL_POLICY makes one, and \
             https://huggingface.co/settings/webhooks adds it to the one that you have."
        )),
        Err(error) => {
            print_message(&format!("doorman: whether a webhook watches {repo} is not known: {error}"));
        }
    }
}
