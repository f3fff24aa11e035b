//! What the person at the desk chooses: a choice waits five seconds, in which it can be undone, and is then written in the background.
//! Closing the page does not stop it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use hub_doorman::model::{Repo, Status};
use hub_doorman::sweep::SweepReport;
use tokio::time::{Instant, sleep_until};

use super::Desk;
use super::decided;
use super::state::{OpenChoice, Subject};
use crate::pending::{self, ChoiceOutcome, ChosenRequest};
use crate::screen::{count, print_message, rfc3339};

/// How long a decision can be undone.
pub const TIME_TO_UNDO: Duration = Duration::from_secs(5);

/// How long the desk tries to write a decision. This is longer than a window of the Hub's rate limit.
const MAX_WRITE: Duration = Duration::from_secs(10 * 60);

/// The most repos whose reports are read for the other requests of a person.
const MAX_REPORTS: usize = 50;

impl Desk {
    /// Carries out each choice when it is due, until the desk stops.
    pub async fn carry_out_due(self: Arc<Self>) {
        loop {
            let (due, next) = {
                let mut state = self.state();
                (state.take_due(Instant::now()), state.next_due())
            };
            let mut by_repo: BTreeMap<Repo, Vec<OpenChoice>> = BTreeMap::new();
            for open in due {
                by_repo.entry(open.subject.repo().clone()).or_default().push(open);
            }
            for (repo, choices) in by_repo {
                tokio::spawn(Arc::clone(&self).carry_out(repo, choices));
            }
            match next {
                Some(due) => tokio::select! {
                    () = sleep_until(due) => {}
                    () = self.chosen.notified() => {}
                },
                None => self.chosen.notified().await,
            }
        }
    }

    async fn carry_out(self: Arc<Self>, repo: Repo, choices: Vec<OpenChoice>) {
        let lock = self.lock_of(&repo);
        let _writing = lock.lock().await;
        let deadline = Instant::now() + MAX_WRITE;
        let setup = &self.setup;
        let chosen: Vec<ChosenRequest> = choices.iter().filter_map(OpenChoice::of_pending).collect();
        let mut outcomes = pending::write(&setup.hub, &setup.policy, &repo, &chosen, setup.dry_run, deadline)
            .await
            .into_iter();
        let mut must_read = false;
        for open in &choices {
            let outcome = match &open.subject {
                Subject::Pending(_) => outcomes.next().unwrap_or(ChoiceOutcome::Changed),
                Subject::Decided(_) if setup.dry_run => ChoiceOutcome::DryRun,
                Subject::Decided(request) => {
                    decided::change(&setup.hub, request, &open.choice, deadline).await
                }
            };
            must_read |= !outcome.is_done() && matches!(open.subject, Subject::Pending(_));
            self.conclude(open, &outcome);
        }
        if must_read {
            self.read_repo(&repo).await;
        }
        // The page may ask again now.
        self.changed.notify_waiters();
    }

    /// Notes the outcome of a choice for the page, and prints it on the terminal.
    fn conclude(&self, open: &OpenChoice, outcome: &ChoiceOutcome) {
        let line = format!("{}: {}", open.title(), outcome.describe());
        print_message(&format!("{} {line}", rfc3339(Utc::now())));
        // The person knows already what is undone, and may have chosen again.
        if *outcome != ChoiceOutcome::Withdrawn {
            let result = if outcome.is_done() { Ok(line) } else { Err(line) };
            self.state().finish(open, result);
        }
    }

    /// Waits until no decision is being written any more.
    pub async fn finish_writing(&self) {
        loop {
            // Made before the state is read, so that no change is missed.
            let changed = self.changed.notified();
            if self.state().choices.is_empty() {
                return;
            }
            changed.await;
        }
    }

    /// Drops the decisions that could still be undone, and says so. A dropped decision leaves its request pending, which harms nobody,
    /// while a rejection is final. So Ctrl-C is the last undo.
    pub fn drop_undoable(&self) {
        let dropped: Vec<String> = self.state().undo(None).iter().map(OpenChoice::title).collect();
        if !dropped.is_empty() {
            let number = count(dropped.len() as u64, "decision");
            print_message(&format!(
                "{number} could still be undone, and was not sent: {}. Nothing was changed there.",
                dropped.join(", ")
            ));
        }
    }

    /// Reads all lists again, unless they are being read.
    pub async fn read(self: Arc<Self>) {
        if std::mem::replace(&mut self.state().is_reading, true) {
            return;
        }
        let deadline = Instant::now() + MAX_WRITE;
        let setup = &self.setup;
        let swept =
            pending::read_all(&setup.hub, &setup.policy, &self.patterns, deadline, |report, requests| {
                self.state().set_repo(report, requests);
                self.changed.notify_waiters();
            })
            .await;
        let SweepReport { repos, failed_searches, unmatched, .. } = swept;
        {
            let mut state = self.state();
            if failed_searches.is_empty() {
                state.keep_repos(&repos.iter().map(|report| report.repo.clone()).collect());
            }
            let failed = failed_searches.iter().map(|search| match &search.error {
                Some(error) => format!("{search}: {error}"),
                None => search.to_string(),
            });
            let unmatched = unmatched.iter().map(|pattern| format!("{pattern}: no gated repo found"));
            state.faults = failed.chain(unmatched).collect();
            (state.is_reading, state.read_at) = (false, Some(Utc::now()));
        }
        self.changed.notify_waiters();
        self.read_elsewhere().await;
    }

    /// Reads the pending requests of one repo again.
    async fn read_repo(&self, repo: &Repo) {
        let deadline = Instant::now() + MAX_WRITE;
        let setup = &self.setup;
        let (report, requests) = pending::read_repo(&setup.hub, &setup.policy, repo, deadline).await;
        self.state().set_repo(&report, requests);
    }

    /// Reads which decided requests the people have who have a pending one. Without them the desk works too.
    async fn read_elsewhere(&self) {
        let names: HashSet<String> = self.state().pending_by_name().into_keys().collect();
        let repos: Vec<Repo> = self.state().repos.keys().take(MAX_REPORTS).cloned().collect();
        let mut elsewhere: HashMap<String, Vec<(Repo, Status)>> = HashMap::new();
        // One after the other, because a report may take megabytes.
        for repo in repos {
            let is_wanted = |name: &str| names.contains(&name.to_ascii_lowercase());
            let calls = self.setup.hub.repo(&repo, Instant::now() + MAX_WRITE);
            for (name, status) in calls.decided_users(is_wanted).await.unwrap_or_default() {
                elsewhere.entry(name.to_ascii_lowercase()).or_default().push((repo.clone(), status));
            }
        }
        self.state().elsewhere = elsewhere;
        self.changed.notify_waiters();
    }
}
