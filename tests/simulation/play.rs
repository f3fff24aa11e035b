//! Plays a schedule: processes, people and the weather, all at the same time, until everything is quiet and decided.

use std::cell::Cell;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::task::Poll;
use std::time::Duration;

use futures_util::future::join_all;
use hub_doorman::hub::{Hub, Problem};
use hub_doorman::keyring::{Keyring, Source, Sources};
use hub_doorman::model::{Repo, RepoPattern, RepoType};
use hub_doorman::plan::Mode;
use hub_doorman::policy::Policy;
use hub_doorman::report::{Failure, RepoReport, Step};
use hub_doorman::review::review;
use hub_doorman::secret::Secret;
use hub_doorman::sweep::{Memory, sweep};
use reqwest::{Client, Url};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::hub::{Gating, Model, Quota, Server};
use crate::network::Network;
use crate::policies;
use crate::schedule::{Act, Event, Schedule, Stop};
use crate::world::World;

/// The most sweeps after which everybody is decided; each does as much as the Hub's limit lets it.
const MOST_SWEEPS: usize = 60;

/// Reads no secret, but might.
static CLIENT: OnceLock<Client> = OnceLock::new();

fn client() -> Client {
    hub_doorman::http::client().expect("a client")
}

/// A process that has started.
struct Process {
    hub: Hub,
    memory: Memory,
    policy: Policy,
    meant: Arc<policies::Policy>,
    network: Network,
    /// Its last run.
    before: Cell<Option<usize>>,
    _server: Option<Server>,
}

/// What is being played.
struct Play {
    schedule: Schedule,
    world: Arc<Mutex<World>>,
    began: Instant,
}

fn lock(world: &Mutex<World>) -> MutexGuard<'_, World> {
    world.lock().expect("no panic while it was held")
}

/// Plays the schedule of a seed, and shows what came of it.
pub async fn play(seed: u64, over_http: bool, is_told: bool) -> World {
    fastrand::seed(seed);
    let (schedule, model) = Schedule::draw(seed, over_http);
    let mut world = World::new(model);
    (world.latency, world.counts_calls) = (schedule.latency, !over_http);
    world.story = is_told.then(|| vec![format!("{schedule:#?}")]);
    let play = Play { schedule, world: Arc::new(Mutex::new(world)), began: Instant::now() };
    let everything = async {
        let events = play.schedule.processes.iter().zip(1..);
        let processes = join_all(events.map(|(events, number)| play.process(number, events)));
        let (warm, ..) = tokio::join!(processes, play.weather(), play.people());
        play.calm_down(warm.into_iter().flatten()).await;
    };
    if timeout(Duration::from_secs(24 * 60 * 60), everything).await.is_err() {
        lock(&play.world).break_rule("it does not come to an end".to_owned());
    }
    let nothing = World::new(Model::new(""));
    std::mem::replace(&mut *lock(&play.world), nothing)
}

impl Play {
    /// One process after another in the place where one may run, each woken for its events.
    /// The one that is there in the end, with the number of its policy.
    async fn process(&self, number: u64, events: &[Event]) -> Option<(usize, Process)> {
        let mut warm: Option<(usize, Process)> = None;
        for (event, turn) in events.iter().zip(0..) {
            sleep_until(self.began + event.at).await;
            let policy = self.schedule.policy_at(self.began.elapsed());
            // Another policy is another deployment.
            let process = if let Some((_, process)) = warm.take().filter(|(of, _)| *of == policy) {
                process
            } else {
                let seed = self.schedule.seed ^ (number << 32) ^ (turn << 48);
                self.start(policy, self.schedule.late, seed).await
            };
            let stopped = self.run(&process, event).await.is_none();
            warm = (!stopped).then_some((policy, process));
        }
        warm
    }

    /// Starts a process.
    async fn start(&self, policy: usize, late: f32, seed: u64) -> Process {
        let network = Network::new(&self.world, late, seed);
        let (endpoint, server) = if self.schedule.over_http {
            let (endpoint, server) = network.serve().await;
            (endpoint, Some(server))
        } else {
            ("http://hub".to_owned(), None)
        };
        let endpoint = Url::parse(&endpoint).expect("a URL");
        let reads_secrets = CLIENT.get_or_init(client);
        let token = Source::Given(Secret::new(crate::hub::Hub::TOKEN));
        let sources = Sources { token, webhook: None, webhook_previous: None };
        let keyring = Arc::new(Keyring::read(sources, reads_secrets).await.expect("nothing to read"));
        let concurrency = self.schedule.concurrency;
        let hub = if self.schedule.over_http {
            // Of its own: what keeps a connection open is the runtime of this schedule.
            Hub::new(client(), endpoint, keyring, concurrency)
        } else {
            Hub::new(network.clone(), endpoint, keyring, concurrency)
        };
        let meant = Arc::clone(&self.schedule.policies[policy].1);
        let policy = Policy::parse(&meant.text).expect("a policy");
        Process {
            hub,
            memory: Memory::default(),
            policy,
            meant,
            network,
            before: Cell::default(),
            _server: server,
        }
    }

    /// Has a process do what an event asks for, with all that it reports. Nothing comes of it if it is stopped.
    async fn run(&self, process: &Process, event: &Event) -> Option<Vec<RepoReport>> {
        let deadline = Instant::now() + event.time;
        let concurrency = self.schedule.concurrency;
        let run = lock(&self.world).begin(
            process.before.get(),
            &process.meant,
            event.dry_run,
            concurrency,
            deadline,
        );
        process.network.run.store(run, Ordering::Relaxed);
        process.before.set(Some(run));
        let of_one = async |repo: Repo| {
            let name = name_of(&repo).to_ascii_lowercase();
            let mut tell = |step: Step| match step {
                Step::Listed(_) => {}
                Step::Concluded { .. } => lock(&self.world).concluded(run, &name, step),
            };
            review(&repo, &process.policy, &process.hub, Mode::of(event.dry_run), deadline, &mut tell).await
        };
        let work = async {
            if let Some(name) = &event.repo {
                return (vec![of_one(repo(&event.spelled(name))).await], 0);
            }
            let patterns: Vec<RepoPattern> = vec![event.spelled("acme/*").parse().expect("a pattern")];
            let Process { hub, memory, .. } = process;
            let swept = sweep(hub, &patterns, |_| true, memory, deadline, of_one).await;
            (swept.reports, swept.calls + swept.others.calls)
        };
        let ended = until(work, event.stop).await;
        let mut world = lock(&self.world);
        let Some((reports, calls_besides)) = ended else {
            world.tell(|| format!("run {run} is stopped"));
            world.meet("process stopped");
            return None;
        };
        let out_of_time = |report: &RepoReport| match &report.error {
            Some(Failure::Hub(error)) => error.problem == Problem::OutOfTime,
            _ => false,
        };
        if reports.iter().any(out_of_time) {
            world.meet("deadline in the middle");
        }
        world.ended(run, &reports, calls_besides);
        Some(reports)
    }

    /// Makes calls go wrong, more or less often.
    async fn weather(&self) {
        for (at, share) in &self.schedule.weather {
            sleep_until(self.began + *at).await;
            let mut world = lock(&self.world);
            world.tell(|| format!("{share} of all calls go wrong from now on"));
            world.model.flaky_in(
                *share,
                self.schedule.seed ^ u64::from(at.subsec_nanos()),
                self.schedule.ways(),
            );
        }
    }

    /// Reviewers and requesters do what they do.
    async fn people(&self) {
        for (at, act) in &self.schedule.acts {
            sleep_until(self.began + *at).await;
            self.act(act);
        }
    }

    fn act(&self, act: &Act) {
        let mut world = lock(&self.world);
        world.tell(|| format!("{act:?}"));
        let now = chrono::DateTime::UNIX_EPOCH + chrono::TimeDelta::days(20_001) + self.began.elapsed();
        let (what, name) = match act {
            Act::Decides(name, ..) => ("person decides", name),
            Act::Asks(name, _) => ("request arrives", name),
            Act::AsksAgain(name, _) => ("requester asks again", name),
            Act::Withdraws(name, _) => ("request withdrawn", name),
            Act::Hides(name, _) => ("requesters hidden or shown", name),
            Act::Gates(name, _) => ("gate switched", name),
        };
        let place = |number: &usize, count: usize| Some(*number).filter(|number| *number < count);
        let count = world.model.repo(name).requests.len();
        match act {
            Act::Decides(_, number, status) => {
                let Some(place) = place(number, count) else { return };
                world.person_sets(name, place, *status);
            }
            Act::Asks(_, person) => world.model.repo(name).ask_at((**person).clone(), now),
            Act::AsksAgain(_, number) => {
                let Some(place) = place(number, count) else { return };
                let person = world.model.repo(name).requests[place].person.clone();
                world.model.repo(name).ask_at(person.answer("Affiliation", "EPFL"), now);
                world.asks_again(name, place);
            }
            Act::Withdraws(_, number) => {
                let Some(place) = place(number, count) else { return };
                let user = world.model.repo(name).requests[place].person.name.clone();
                world.model.repo(name).withdraw(&user);
            }
            Act::Hides(_, hides) => world.model.repo(name).hides_requesters = *hides,
            Act::Gates(_, gating) => world.model.repo(name).gating = *gating,
        }
        world.touch(name, None);
        world.meet(what);
    }

    /// Nothing goes wrong any more, and nobody does anything: what the next sweeps leave undone is undone for ever. Whatever
    /// the processes that are `warm` have been through, each of them has to be as good as a new one.
    async fn calm_down(&self, warm: impl Iterator<Item = (usize, Process)>) {
        if !self.schedule.over_http {
            sleep(Duration::from_secs(180)).await;
        }
        {
            let mut world = lock(&self.world);
            world.tell(|| "all is calm".to_owned());
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
            process.network.calm_down();
            self.sweep_to_the_end(&process).await;
        }
        let mut world = lock(&self.world);
        let policy = Arc::clone(&self.schedule.policies[last].1);
        for name in &self.schedule.repos {
            for (_, who) in world.undecided(name, &policy) {
                world.break_rule(format!("{who} is forgotten in {name}"));
            }
        }
    }

    async fn sweep_to_the_end(&self, process: &Process) {
        let time = Duration::from_secs(if self.schedule.over_http { 20 } else { 890 });
        let at = self.began.elapsed();
        let event = Event { at, repo: None, time, stop: None, dry_run: false };
        for _ in 0..MOST_SWEEPS {
            let reports = self.run(process, &event).await.unwrap_or_default();
            let mut world = lock(&self.world);
            // About repos that a search without an end has made up, nothing can be done.
            let is_there = |report: &&RepoReport| {
                report.repo.ends_with('*')
                    || world.model.repos.contains_key(&report.full_name().to_ascii_lowercase())
            };
            if reports.iter().filter(is_there).all(|report| report.complete) {
                break;
            }
            if !world.was_limited(process.network.run.load(Ordering::Relaxed)) {
                world.break_rule("nothing is in the way, and a sweep leaves something undone".to_owned());
            }
        }
    }
}

/// Does some work until it is done or stopped.
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
