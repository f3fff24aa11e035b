//! What a process remembers of its sweeps, so that the next one begins with what the last one left undone.
//!
//! It is not kept: a process that remembers nothing begins anywhere, so that no repo is the last one every time.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Task;
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
}

/// In which sweep a task got its last turn (0: in none), and whether all was done then. What sorts first is to go first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct LastTurn {
    sweep: u64,
    complete: bool,
}

impl Memory {
    /// The repos that are known and got no turn in the last sweep.
    pub(super) fn left(&self) -> Vec<Repo> {
        let sweeps = self.sweeps();
        let left = sweeps.last_turns.iter().filter(|(_, last)| last.sweep < sweeps.count);
        let repos = left.filter_map(|(task, _)| match task {
            Task::Review(repo) => Some(repo.clone()),
            Task::Search(..) => None,
        });
        repos.collect()
    }

    /// Puts first what has waited longest for a turn, and then what was not completed. The rest is in no order.
    pub(super) fn in_order(&self, tasks: BTreeSet<Task>) -> Vec<Task> {
        let mut tasks: Vec<Task> = tasks.into_iter().collect();
        fastrand::shuffle(&mut tasks);
        let sweeps = self.sweeps();
        tasks.sort_by_key(|task| sweeps.last_turns.get(task).copied().unwrap_or_default());
        tasks
    }

    /// Takes note of a sweep: of what it did about each task. Repos that were searched for and are there no more are
    /// forgotten.
    pub(super) fn take_note(&self, reports: &BTreeMap<Task, RepoReport>) {
        let mut sweeps = self.sweeps();
        sweeps.count += 1;
        let sweep = sweeps.count;
        sweeps.last_turns.retain(|task, _| match task {
            Task::Review(repo) => {
                let search = repo.owner().map(|owner| Task::Search(owner.to_owned(), repo.repo_type()));
                let is_there_no_more =
                    search.and_then(|search| reports.get(&search)).is_some_and(|report| report.complete);
                reports.contains_key(task) || !is_there_no_more
            }
            Task::Search(..) => true,
        });
        for (task, report) in reports {
            let last_turn = sweeps.last_turns.entry(task.clone()).or_default();
            if report.had_its_turn() {
                *last_turn = LastTurn { sweep, complete: report.complete };
            }
        }
    }

    fn sweeps(&self) -> MutexGuard<'_, Sweeps> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
