//! The history of sweeps in this process, so that the next sweep begins with the tasks that the last one left undone.
//!
//! The history is not stored. Without one, a sweep begins in random order, so that no repo is always the last.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::MAX_FOUND;
use super::task::Task;
use crate::model::Repo;
use crate::report::{Reach, SearchReport};

/// When each task was last reached.
#[derive(Debug, Default)]
pub struct SweepHistory(Mutex<Sweeps>);

#[derive(Debug, Default)]
struct Sweeps {
    /// The number of sweeps so far.
    count: u64,
    last_reached: HashMap<Task, LastReached>,
    /// The repos that searches have found.
    found: BTreeSet<Repo>,
}

/// The number of the sweep that last reached a task (0 if none did), and whether the last sweep with this task completed it.
/// The task with the smallest value goes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct LastReached {
    sweep: u64,
    complete: bool,
}

impl SweepHistory {
    /// The repos that searches have found and the last sweep did not complete.
    pub(super) fn unfinished_repos(&self) -> Vec<Repo> {
        let sweeps = self.sweeps();
        let is_unfinished = |repo: &&Repo| {
            let last = sweeps.last_reached.get(&Task::Review((*repo).clone()));
            last.is_none_or(|last| !last.complete)
        };
        sweeps.found.iter().filter(is_unfinished).cloned().collect()
    }

    /// Whether a search has found this repo.
    pub(crate) fn has_found(&self, repo: &Repo) -> bool {
        self.sweeps().found.contains(repo)
    }

    /// Notes the repos that a search has found, and returns the repos to review. If the search failed, the repos of earlier
    /// searches are included. Otherwise the repos that it did not find no longer exist, and are forgotten.
    pub(super) fn note_found(&self, search: &SearchReport, repos: Vec<Repo>) -> Vec<Repo> {
        let mut sweeps = self.sweeps();
        let is_of_search =
            |repo: &Repo| repo.is_owned_by(&search.owner) && repo.repo_type() == search.repo_type;
        if search.error.is_none() || sweeps.found.len() + repos.len() > MAX_FOUND {
            sweeps.found.retain(|repo| !is_of_search(repo));
        }
        for repo in repos {
            // `replace`, because the Hub may now spell the name in another case.
            sweeps.found.replace(repo);
        }
        sweeps.found.iter().filter(|repo| is_of_search(repo)).cloned().collect()
    }

    /// Sorts the tasks: the task that was reached longest ago goes first, and then the tasks that were not completed. Among
    /// tasks that were never reached, reviews go before searches, which may take long. Equal tasks are in random order.
    pub(super) fn in_order(&self, tasks: BTreeSet<Task>) -> Vec<Task> {
        let mut tasks: Vec<Task> = tasks.into_iter().collect();
        fastrand::shuffle(&mut tasks);
        let sweeps = self.sweeps();
        tasks.sort_by_key(|task| {
            let last = sweeps.last_reached.get(task).copied().unwrap_or_default();
            (last, last.sweep == 0 && matches!(task, Task::Search(..)))
        });
        tasks
    }

    /// Begins a sweep, and returns its number.
    pub(super) fn begin(&self) -> u64 {
        let mut sweeps = self.sweeps();
        sweeps.count += 1;
        let count = sweeps.count;
        if sweeps.last_reached.len() > MAX_FOUND {
            // A forgotten task goes first, as it would after so many sweeps.
            sweeps.last_reached.retain(|_, last| last.sweep + 2 >= count);
        }
        count
    }

    /// Notes how far a sweep got with a task.
    pub(super) fn note(&self, sweep: u64, task: &Task, reach: Reach) {
        let mut sweeps = self.sweeps();
        if reach != Reach::NotReached {
            let complete = reach == Reach::Complete;
            sweeps.last_reached.insert(task.clone(), LastReached { sweep, complete });
        } else if let Some(last) = sweeps.last_reached.get_mut(task) {
            last.complete = false;
        }
    }

    fn sweeps(&self) -> MutexGuard<'_, Sweeps> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
