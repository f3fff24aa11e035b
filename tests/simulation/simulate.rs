//! Simulates a schedule: processes, people and faults at the same time, and then sweeps without faults until all is decided.

use std::cell::Cell;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::task::Poll;
use std::time::Duration;

use futures_util::future::join_all;
use hub_doorman::hub::{Hub, Problem};
use hub_doorman::model::{Repo, RepoPattern, RepoType};
use hub_doorman::plan::Mode;
use hub_doorman::policy::Policy;
use hub_doorman::report::audit::Step;
use hub_doorman::report::{Failure, RepoReport};
use hub_doorman::review::review;
use hub_doorman::secrets::Secret;
use hub_doorman::secrets::{Keyring, Source, Sources};
use hub_doorman::sweep::{SweepHistory, sweep};
use reqwest::{Client, Url};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::hub::{Gating, Model, Quota, Server};
use crate::network::Network;
use crate::policies;
use crate::schedule::{Action, Event, Schedule, Stop};
use crate::world::World;

/// After so many sweeps every request is decided. Each sweep does as much as the rate limit allows.
const MAX_SWEEPS: usize = 60;

/// The client for services that keep secrets. No schedule has a secret there.
static CLIENT: OnceLock<Client> = OnceLock::new();

fn client() -> Client {
    hub_doorman::http::client().expect("a client")
}

/// A running process.
struct Process {
    hub: Hub,
    history: SweepHistory,
    policy: Arc<Policy>,
    /// The same policy with its second implementation.
    expected: Arc<policies::Policy>,
    network: Network,
    /// The number of its last run.
    last_run: Cell<Option<usize>>,
    _server: Option<Server>,
}

/// A simulation of a schedule.
struct Simulation {
    schedule: Schedule,
    world: Arc<Mutex<World>>,
    began: Instant,
}

fn lock(world: &Mutex<World>) -> MutexGuard<'_, World> {
    world.lock().expect("no panic while it was held")
}

/// Simulates the schedule of a seed, and returns the world after it.
pub async fn simulate(seed: u64, over_http: bool, keeps_log: bool) -> World {
    fastrand::seed(seed);
    let (schedule, model) = Schedule::draw(seed, over_http);
    let mut world = World::new(model);
    (world.latency, world.counts_calls) = (schedule.latency, !over_http);
    world.log = keeps_log.then(|| vec![format!("{schedule:#?}")]);
    let simulation = Simulation { schedule, world: Arc::new(Mutex::new(world)), began: Instant::now() };
    let everything = async {
        let events = simulation.schedule.processes.iter().zip(1..);
        let processes = join_all(events.map(|(events, number)| simulation.process(number, events)));
        let (warm, ..) = tokio::join!(processes, simulation.change_faults(), simulation.people());
        simulation.sweep_without_faults(warm.into_iter().flatten()).await;
    };
    if timeout(Duration::from_secs(24 * 60 * 60), everything).await.is_err() {
        lock(&simulation.world).violation("the schedule does not end".to_owned());
    }
    let empty = World::new(Model::new(""));
    std::mem::replace(&mut *lock(&simulation.world), empty)
}

impl Simulation {
    /// Runs the events of one process. After a stop or a new policy, the next event starts a new process. Returns the process
    /// that is still warm in the end, with the number of its policy.
    async fn process(&self, number: u64, events: &[Event]) -> Option<(usize, Process)> {
        let mut warm: Option<(usize, Process)> = None;
        for (event, index) in events.iter().zip(0..) {
            sleep_until(self.began + event.at).await;
            let policy = self.schedule.policy_at(self.began.elapsed());
            // A new policy is a new deployment, and so a new process.
            let process = if let Some((_, process)) = warm.take().filter(|(of, _)| *of == policy) {
                process
            } else {
                let seed = self.schedule.seed ^ (number << 32) ^ (index << 48);
                self.start(policy, self.schedule.delayed, seed).await
            };
            let stopped = self.run(&process, event).await.is_none();
            warm = (!stopped).then_some((policy, process));
        }
        warm
    }

    async fn start(&self, policy: usize, delayed: f32, seed: u64) -> Process {
        let network = Network::new(&self.world, delayed, seed);
        let (endpoint, server) = if self.schedule.over_http {
            let (endpoint, server) = network.serve().await;
            (endpoint, Some(server))
        } else {
            ("http://hub".to_owned(), None)
        };
        let endpoint = Url::parse(&endpoint).expect("a URL");
        let reads_secrets = CLIENT.get_or_init(client);
        let token = Source::Given(Secret::new(crate::hub::Hub::TOKEN));
        let sources = Sources { token, webhook: None, webhook_previous: None, mail: None };
        let keyring = Arc::new(Keyring::read(sources, reads_secrets).await.expect("nothing to read"));
        let concurrency = self.schedule.concurrency;
        let hub = if self.schedule.over_http {
            // A client of its own, because its open connections belong to the runtime of this schedule.
            Hub::new(client(), endpoint, keyring, concurrency)
        } else {
            Hub::new(network.clone(), endpoint, keyring, concurrency)
        };
        let expected = Arc::clone(&self.schedule.policies[policy].1);
        let policy =
            Policy::parse_with_files(&expected.text, &|name| expected.read_file(name)).expect("a policy");
        Process {
            hub,
            history: SweepHistory::default(),
            policy: Arc::new(policy),
            expected,
            network,
            last_run: Cell::default(),
            _server: server,
        }
    }

    /// Runs an event in a process. Returns the reports, and whether all searches were complete. `None` if the process was
    /// stopped.
    async fn run(&self, process: &Process, event: &Event) -> Option<(Vec<RepoReport>, bool)> {
        let deadline = Instant::now() + event.time;
        let concurrency = self.schedule.concurrency;
        let run = lock(&self.world).begin(
            process.last_run.get(),
            &process.expected,
            event.dry_run,
            concurrency,
            deadline,
        );
        process.network.run.store(run, Ordering::Relaxed);
        process.last_run.set(Some(run));
        let review_repo = async |repo: Repo| {
            let name = name_of(&repo).to_ascii_lowercase();
            let mut on_step = |step: Step| match step {
                Step::Listed(_) | Step::Decided { .. } => {}
                Step::Concluded { .. } => lock(&self.world).concluded(run, &name, step),
            };
            let policy = async {
                sleep(event.policy_takes).await;
                Arc::clone(&process.policy)
            };
            review(&repo, policy, &process.hub, Mode::of(event.dry_run), deadline, &mut on_step).await
        };
        let work = async {
            if let Some(name) = &event.repo {
                return (vec![review_repo(repo(&event.spelled(name))).await], 0, true);
            }
            let patterns: Vec<RepoPattern> = vec![event.spelled("acme/*").parse().expect("a pattern")];
            let Process { hub, history, .. } = process;
            let swept = sweep(hub, &patterns, |_| true, history, deadline, review_repo).await;
            let failed_calls: u32 = swept.failed_searches.iter().map(|search| search.calls).sum();
            let calls = swept.search_calls + failed_calls + swept.unlisted.calls;
            (swept.repos, calls, swept.failed_searches.is_empty())
        };
        let ended = until(work, event.stop).await;
        let mut world = lock(&self.world);
        let Some((reports, search_calls, searches_complete)) = ended else {
            world.log(|| format!("run {run} is stopped"));
            world.count("process stopped");
            return None;
        };
        let out_of_time = |report: &RepoReport| match &report.error {
            Some(Failure::Hub(error)) => error.problem == Problem::OutOfTime,
            _ => false,
        };
        if reports.iter().any(out_of_time) {
            world.count("deadline during a run");
        }
        world.ended(run, &reports, search_calls);
        Some((reports, searches_complete))
    }

    /// Changes the share of calls with a fault over time.
    async fn change_faults(&self) {
        for (at, share) in &self.schedule.fault_shares {
            sleep_until(self.began + *at).await;
            let mut world = lock(&self.world);
            world.log(|| format!("{share} of all calls get a fault from now on"));
            world.model.flaky_with(
                *share,
                self.schedule.seed ^ u64::from(at.subsec_nanos()),
                self.schedule.faults(),
            );
        }
    }

    /// The actions of reviewers and requesters.
    async fn people(&self) {
        for (at, action) in &self.schedule.actions {
            sleep_until(self.began + *at).await;
            self.act(action);
        }
    }

    fn act(&self, action: &Action) {
        let mut world = lock(&self.world);
        world.log(|| format!("{action:?}"));
        let now = chrono::DateTime::UNIX_EPOCH + chrono::TimeDelta::days(20_001) + self.began.elapsed();
        let (what, name) = match action {
            Action::Decides(name, ..) => ("person decides", name),
            Action::Asks(name, _) => ("request arrives", name),
            Action::AsksAgain(name, _) => ("requester asks again", name),
            Action::Withdraws(name, _) => ("request withdrawn", name),
            Action::Hides(name, _) => ("requesters hidden or visible", name),
            Action::Gates(name, _) => ("gate switched", name),
        };
        let place = |number: &usize, count: usize| Some(*number).filter(|number| *number < count);
        let count = world.model.repo(name).requests.len();
        match action {
            Action::Decides(_, number, status) => {
                let Some(place) = place(number, count) else { return };
                world.person_sets(name, place, *status);
            }
            Action::Asks(_, person) => world.model.repo(name).ask_at((**person).clone(), now),
            Action::AsksAgain(_, number) => {
                let Some(place) = place(number, count) else { return };
                let person = world.model.repo(name).requests[place].person.clone();
                world.model.repo(name).ask_at(person.answer("Affiliation", "EPFL"), now);
                world.asks_again(name, place);
            }
            Action::Withdraws(_, number) => {
                let Some(place) = place(number, count) else { return };
                let user = world.model.repo(name).requests[place].person.name.clone();
                world.model.repo(name).withdraw(&user);
            }
            Action::Hides(_, hides) => world.model.repo(name).hides_requesters = *hides,
            Action::Gates(_, gating) => world.model.repo(name).gating = *gating,
        }
        world.touch(name, None);
        world.count(what);
    }

    /// Sweeps without faults and without actions of people. A request that these sweeps leave undecided would stay so forever.
    /// The warm processes sweep first, and then a new one: each has to decide everything.
    async fn sweep_without_faults(&self, warm: impl Iterator<Item = (usize, Process)>) {
        if !self.schedule.over_http {
            sleep(Duration::from_secs(180)).await;
        }
        {
            let mut world = lock(&self.world);
            world.log(|| "no more faults".to_owned());
            world.model.heal();
            world.model.lists_repos_without_end = false;
            world.model.quota = Quota::new(1000, Duration::from_secs(300));
            for name in &self.schedule.repos {
                world.model.repo(name).gating = Gating::Manual;
            }
        }
        let last = self.schedule.policies.len() - 1;
        let warm = warm.filter(|(policy, _)| *policy == last).map(|(_, process)| process);
        let fresh = self.start(last, 0.0, self.schedule.seed).await;
        for process in warm.chain([fresh]) {
            process.network.stop_delays();
            self.sweep_until_complete(&process).await;
        }
        let mut world = lock(&self.world);
        let policy = Arc::clone(&self.schedule.policies[last].1);
        for name in &self.schedule.repos {
            for user in world.undecided(name, &policy) {
                world.violation(format!("the request of {user} for {name} is left undecided"));
            }
        }
    }

    async fn sweep_until_complete(&self, process: &Process) {
        let time = Duration::from_secs(if self.schedule.over_http { 20 } else { 890 });
        let at = self.began.elapsed();
        let event = Event { at, repo: None, time, stop: None, dry_run: false, policy_takes: Duration::ZERO };
        for _ in 0..MAX_SWEEPS {
            let (reports, searches_complete) = self.run(process, &event).await.unwrap_or_default();
            let mut world = lock(&self.world);
            // The repos that an endless search has made up do not exist, so they stay incomplete.
            let exists = |report: &&RepoReport| {
                world.model.repos.contains_key(&report.repo.to_string().to_ascii_lowercase())
            };
            if searches_complete && reports.iter().filter(exists).all(|report| report.complete) {
                break;
            }
            if !world.was_limited(process.network.run.load(Ordering::Relaxed)) {
                world.violation("a sweep without faults and below the rate limit is not complete".to_owned());
            }
        }
    }
}

/// Runs some work until it is done or stopped.
async fn until<T>(work: impl Future<Output = T>, stop: Option<Stop>) -> Option<T> {
    match stop {
        None => Some(work.await),
        Some(Stop::After(time)) => timeout(time, work).await.ok(),
        Some(Stop::Await(mut left)) => {
            let mut work = pin!(work);
            let polled = std::future::poll_fn(|context| match work.as_mut().poll(context) {
                Poll::Ready(done) => Poll::Ready(Some(done)),
                Poll::Pending if left == 0 => Poll::Ready(None),
                Poll::Pending => {
                    left -= 1;
                    Poll::Pending
                }
            });
            polled.await
        }
    }
}

fn repo(name: &str) -> Repo {
    let (repo_type, name) = match name.strip_prefix("datasets/") {
        Some(name) => (RepoType::Dataset, name),
        None => (RepoType::Model, name),
    };
    Repo::new(repo_type, name).expect("a name")
}

fn name_of(repo: &Repo) -> String {
    match repo.repo_type() {
        RepoType::Dataset => format!("datasets/{}", repo.name()),
        RepoType::Model => repo.name().to_owned(),
    }
}
