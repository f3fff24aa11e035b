//! What a process remembers of its sweeps, so that the next one begins with what the last one left undone.
//!
//! It is not kept: a process that remembers nothing begins anywhere, so that no repo is the last one every time.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{MOST_FOUND, Task};
use crate::model::Repo;
use crate::report::RepoReport;

/// When each task got its last turn.
#[derive(Debug, Default)]
pub struct Memory(Mutex<Sweeps>);

#[derive(Debug, Default)]
struct Sweeps {
    /// How many there were.
    count: u64,
    last_turns: HashMap<Task, LastTurn>,
    /// The repos that searches have found.
    found: BTreeSet<Repo>,
}

/// In which sweep a task got its last turn (0: in none), and whether all was done in the last sweep that it was part of.
/// What sorts first is to go first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct LastTurn {
    sweep: u64,
    complete: bool,
}

impl Memory {
    /// The repos that were found and about which the last sweep left something undone.
    pub(super) fn left(&self) -> Vec<Repo> {
        let sweeps = self.sweeps();
        let is_left = |repo: &&Repo| {
            let last_turn = sweeps.last_turns.get(&Task::Review((*repo).clone()));
            last_turn.is_none_or(|last_turn| !last_turn.complete)
        };
        sweeps.found.iter().filter(is_left).cloned().collect()
    }

    /// Takes note of what a search has found. If it `failed`, what it found before is meant as well; else that is forgotten,
    /// for it is there no more.
    pub(super) fn found(&self, search: &Task, repos: Vec<Repo>, failed: bool) -> Vec<Repo> {
        let Task::Search(owner, repo_type) = search else { return repos };
        let mut sweeps = self.sweeps();
        let is_of_search = |repo: &Repo| repo.is_owned_by(owner) && repo.repo_type() == *repo_type;
        if !failed || sweeps.found.len() + repos.len() > MOST_FOUND {
            sweeps.found.retain(|repo| !is_of_search(repo));
        }
        for repo in repos {
            // The Hub may spell its name in another case by now.
            sweeps.found.replace(repo);
        }
        sweeps.found.iter().filter(|repo| is_of_search(repo)).cloned().collect()
    }

    /// Puts first what has waited longest for a turn, and then what was not completed. Of what never had a turn, repos go before
    /// searches, which may take long. The rest is in no order.
    pub(super) fn in_order(&self, tasks: BTreeSet<Task>) -> Vec<Task> {
        let mut tasks: Vec<Task> = tasks.into_iter().collect();
        fastrand::shuffle(&mut tasks);
        let sweeps = self.sweeps();
        tasks.sort_by_key(|task| {
            let last_turn = sweeps.last_turns.get(task).copied().unwrap_or_default();
            (last_turn, last_turn.sweep == 0 && matches!(task, Task::Search(..)))
        });
        tasks
    }

    /// Begins a sweep, and gives its number.
    pub(super) fn begin(&self) -> u64 {
        let mut sweeps = self.sweeps();
        sweeps.count += 1;
        let count = sweeps.count;
        if sweeps.last_turns.len() > MOST_FOUND {
            // A task that is forgotten goes first, as it would after so long.
            sweeps.last_turns.retain(|_, last_turn| last_turn.sweep + 2 >= count);
        }
        count
    }

    /// Takes note of what a sweep did about a task.
    pub(super) fn take_note(&self, sweep: u64, task: &Task, report: &RepoReport) {
        let mut sweeps = self.sweeps();
        if report.had_its_turn() {
            sweeps.last_turns.insert(task.clone(), LastTurn { sweep, complete: report.complete });
        } else if let Some(last_turn) = sweeps.last_turns.get_mut(task) {
            last_turn.complete = false;
        }
    }

    fn sweeps(&self) -> MutexGuard<'_, Sweeps> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
