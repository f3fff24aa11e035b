//! The schedule of one simulation, drawn from a seed.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta};

use crate::hub::{Batch, Cursor, Fault, Gating, Model, Person, Quota, Status};
use crate::policies::Policy;

/// Everything that is drawn before a simulation begins. Times count from its beginning.
#[derive(Debug)]
pub struct Schedule {
    pub seed: u64,
    /// Over HTTP and so in real time. Nothing in such a schedule takes long.
    pub over_http: bool,
    pub repos: Vec<String>,
    pub concurrency: usize,
    /// The maximum latency of a request or response that is not delayed.
    pub latency: Duration,
    /// The share of requests and responses that are delayed.
    pub delayed: f32,
    /// The share of calls with a fault, from each of these times on.
    pub fault_shares: Vec<(Duration, f32)>,
    /// The policy in force, from each of these times on.
    pub policies: Vec<(Duration, Arc<Policy>)>,
    /// The events of each process.
    pub processes: Vec<Vec<Event>>,
    /// The actions of requesters and reviewers, with their times.
    pub actions: Vec<(Duration, Action)>,
}

/// An event that invokes a process.
#[derive(Debug)]
pub struct Event {
    pub at: Duration,
    /// The repo of a webhook. `None` is a sweep.
    pub repo: Option<String>,
    /// The time until the deadline.
    pub time: Duration,
    pub stop: Option<Stop>,
    pub dry_run: bool,
    /// How long it takes to read the policy, if there is so much time.
    pub policy_takes: Duration,
}

/// When a process is stopped during a run.
#[derive(Clone, Copy, Debug)]
pub enum Stop {
    /// At this await that is not ready.
    Await(u32),
    After(Duration),
}

/// An action of a person on a repo. A number is the place of a request.
#[derive(Debug)]
pub enum Action {
    Decides(String, usize, Status),
    Asks(String, Box<Person>),
    AsksAgain(String, usize),
    Withdraws(String, usize),
    Hides(String, bool),
    Gates(String, Gating),
}

impl Event {
    /// The name as this event spells it, because the Hub takes names in any case.
    pub fn spelled(&self, name: &str) -> String {
        let (kind, name) = name.strip_prefix("datasets/").map_or(("", name), |name| ("datasets/", name));
        match self.at.as_millis() % 3 {
            0 => format!("{kind}{}", name.replace("acme", "Acme").replace("model", "MODEL")),
            _ => format!("{kind}{name}"),
        }
    }
}

fn one_of<T: Clone>(random: &mut fastrand::Rng, all: &[T]) -> T {
    all[random.usize(..all.len())].clone()
}

fn milliseconds(random: &mut fastrand::Rng, range: Range<u64>) -> Duration {
    Duration::from_millis(random.u64(range))
}

/// A user with random properties, those that the rules read.
pub fn person(random: &mut fastrand::Rng, number: usize) -> Person {
    let name = format!("{}{number}", one_of(random, &['a', 'b', 'A', 'B']));
    let domains =
        ["acme.com", "acme.com", "Acme.COM", "example.org", "Example.ORG", "lab.acme.com", "evilacme.com"];
    // Where the domain of an address with two `@` begins is not clear.
    let domain = if random.u8(..50) == 0 { "x.org@acme.com" } else { one_of(random, &domains) };
    let mut person = Person::new(&name, &format!("{name}@{domain}"));
    person.email = person.email.filter(|_| random.u8(..10) > 0);
    person.pro = random.bool();
    if random.bool() {
        person = person.verified(one_of(random, &["epfl", "EPFL"]));
    }
    if random.bool() {
        person = person.answer("Country", one_of(random, &["CH", "CH", "KP"]));
    }
    if random.bool() {
        person = person.answer("Affiliation", one_of(random, &["", "x", "EPFL", "ACME", "epfl", " EPFL "]));
    }
    if random.bool() {
        person =
            person.answer("Born", one_of(random, &["1990-02-28", "1990-02-28", "2990-02-28", "28.2.1990"]));
    }
    person
}

/// All faults that a retry may heal, and some that only look like it.
fn faults() -> Vec<Fault> {
    let mut faults: Vec<Fault> =
        [400, 401, 403, 404, 408, 413, 425, 429, 500, 502, 503, 504].map(Fault::Status).into();
    faults.extend([408, 500, 502, 504].map(Fault::Lost));
    faults.push(Fault::Answer(503, vec![("Retry-After", "3".to_owned())], String::new()));
    faults.push(Fault::Answer(
        429,
        vec![("Retry-After", "3".to_owned()), ("RateLimit", r#""api";r=912;t=287"#.to_owned())],
        String::new(),
    ));
    for after in [0, 1, 7, 90] {
        faults.push(Fault::Answer(429, vec![("Retry-After", after.to_string())], String::new()));
    }
    let frequent = [
        Fault::OlderVersions,
        Fault::HalfDone(None),
        Fault::HalfDone(Some(500)),
        Fault::DropBefore,
        Fault::DropAfter,
        Fault::Stall,
        Fault::Garbage,
        Fault::Cut,
        Fault::DecidedListed,
        Fault::Duplicates,
    ];
    for _ in 0..4 {
        faults.extend(frequent.clone());
    }
    let endless = Fault::Endless { status: 200, promised: None, chunk: 1 << 20, pause: Duration::ZERO };
    faults.extend([Fault::NextElsewhere, Fault::NextIsThis, endless]);
    faults
}

/// The faults that take little time.
fn quick_faults() -> Vec<Fault> {
    let mut faults: Vec<Fault> = [404, 500, 502, 503].map(Fault::Status).into();
    faults.extend([
        Fault::Lost(502),
        Fault::DropBefore,
        Fault::DropAfter,
        Fault::Garbage,
        Fault::DecidedListed,
        Fault::Duplicates,
    ]);
    faults
}

/// Rarely adds an excess: a search without an end, hundreds of repos, or pages of megabytes.
fn draw_excess(random: &mut fastrand::Rng, model: &mut Model, repos: &[String]) {
    match random.u8(..200) {
        0 => {
            model.lists_repos_without_end = true;
            model.quota = Quota::new(2000, Duration::from_secs(300));
        }
        1 => {
            for number in 0..random.usize(200..800) {
                model.add(&format!("acme/quiet-{number}"));
            }
        }
        2 | 3 => {
            // The Hub of the simulation needs several times the memory of its largest page, and it is not what is measured.
            let people: usize = repos.iter().map(|repo| model.repo(repo).requests.len()).sum();
            let max_length = 30_000.min(12_000_000 / people.max(1));
            let (label, length) = ("Why".to_owned(), random.usize(1..max_length.max(2)));
            for repo in repos {
                for request in &mut model.repo(repo).requests {
                    let answer = "x".repeat(random.usize(..length)).into();
                    request.person.fields.get_or_insert_default().insert(label.clone(), answer);
                }
            }
        }
        _ => {}
    }
}

impl Schedule {
    /// The schedule of a seed, and its Hub.
    pub fn draw(seed: u64, over_http: bool) -> (Self, Model) {
        let mut random = fastrand::Rng::with_seed(seed);
        let random = &mut random;
        let mut model = Model::new(crate::hub::Hub::TOKEN);
        model.keeps_calls = false;
        "http://hub".clone_into(&mut model.origin);
        model.batch =
            one_of(random, &[Batch::Any, Batch::NoRequestId, Batch::DeniesRequestId, Batch::Unknown]);
        model.cursor = one_of(random, &[Cursor::Key, Cursor::Offset]);
        model.max_page = one_of(random, &[10, 10, 25, 100, 1000]);
        if random.u8(..10) == 0 {
            (model.links_pages, model.max_page) = (false, 1000);
            model.newest_first = random.bool();
        }
        let lags: &[u64] = if over_http { &[0, 50] } else { &[0, 0, 1000, 2000] };
        model.lag = Duration::from_millis(one_of(random, lags));
        if !over_http && random.u8(..3) == 0 {
            let window = Duration::from_secs(one_of(random, &[10, 60, 300]));
            model.quota = Quota::new(random.u32(5..60), window);
        }
        model.tells_limits = random.u8(..4) > 0;
        model.quota.tells_when = random.bool();
        let few = ["acme/model", "datasets/acme/corpus", "acme/other"].map(str::to_owned);
        let many = (0..15).map(|number| format!("acme/one-of-many-{number:02}"));
        let repos: Vec<String> =
            few.into_iter().chain(many).take(one_of(random, &[1, 1, 2, 3, 3, 18])).collect();
        let long_ago = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
        for name in &repos {
            let people = match random.u8(..100) {
                _ if repos.len() > 3 => random.usize(0..13),
                0..60 => random.usize(0..13),
                60..85 => random.usize(13..60),
                85..98 => random.usize(60..300),
                _ if over_http => random.usize(60..300),
                _ => random.usize(300..3000),
            };
            let repo = model.add(name);
            repo.hides_requesters = random.u8(..6) == 0;
            repo.has_request_ids = random.u8(..4) > 0;
            for number in 0..people {
                repo.ask_at(
                    person(random, number),
                    long_ago + TimeDelta::seconds(i64::try_from(number).unwrap_or_default()),
                );
                repo.requests[number].anonymous = random.u8(..50) == 0;
            }
        }
        if !over_http {
            draw_excess(random, &mut model, &repos);
        }
        let horizon = if over_http { 300 } else { one_of(random, &[5_000, 60_000, 600_000]) };
        let mut drawn = Self {
            seed,
            over_http,
            concurrency: one_of(random, &[1, 2, 8]),
            latency: Duration::from_millis(if over_http { 0 } else { one_of(random, &[0, 20, 300]) }),
            delayed: if over_http { 0.0 } else { one_of(random, &[0.0, 0.0, 0.02, 0.1]) },
            fault_shares: Vec::new(),
            policies: vec![(Duration::ZERO, Arc::new(Policy::draw(random)))],
            processes: Vec::new(),
            actions: Vec::new(),
            repos,
        };
        drawn.draw_events(random, horizon);
        drawn.draw_actions(random, horizon, &mut model);
        (drawn, model)
    }

    fn draw_events(&mut self, random: &mut fastrand::Rng, horizon: u64) {
        let shares: &[f32] = if self.over_http { &[0.0, 0.05] } else { &[0.0, 0.0, 0.02, 0.2, 0.5, 1.0] };
        let mut changes: Vec<Duration> =
            (0..random.usize(0..4)).map(|_| milliseconds(random, 0..horizon)).collect();
        changes.sort();
        self.fault_shares =
            std::iter::once(Duration::ZERO).chain(changes).map(|at| (at, one_of(random, shares))).collect();
        if random.u8(..3) == 0 {
            self.policies.push((milliseconds(random, 0..horizon), Arc::new(Policy::draw(random))));
        }
        for _ in 0..random.usize(1..4) {
            let mut times: Vec<Duration> =
                (0..random.usize(1..4)).map(|_| milliseconds(random, 0..horizon)).collect();
            times.sort();
            let events = times.into_iter().map(|at| self.draw_event(random, at)).collect();
            self.processes.push(events);
        }
    }

    fn draw_event(&self, random: &mut fastrand::Rng, at: Duration) -> Event {
        let stop = match random.u8(..8) {
            0 => Some(Stop::Await(1 << random.u32(0..12))),
            1 => Some(Stop::Await(random.u32(1..60))),
            2 => Some(Stop::After(milliseconds(random, 0..if self.over_http { 100 } else { 30_000 }))),
            _ => None,
        };
        let time = match random.u8(..10) {
            _ if self.over_http => Duration::from_secs(20),
            0 => milliseconds(random, 0..3_000),
            1..4 => Duration::from_secs(20),
            4..7 => Duration::from_secs(60),
            _ => Duration::from_secs(299),
        };
        let repo = one_of(random, &self.repos);
        let policy_takes = Duration::from_millis(one_of(random, &[0, 0, 0, 100, 1600, 8000]));
        Event {
            at,
            repo: Some(repo).filter(|_| random.u8(..3) > 0),
            time,
            stop,
            dry_run: random.u8(..20) == 0,
            policy_takes: if self.over_http { Duration::ZERO } else { policy_takes },
        }
    }

    fn draw_actions(&mut self, random: &mut fastrand::Rng, horizon: u64, model: &mut Model) {
        let below = one_of(random, &[1, 1, 4, 20]);
        for _ in 0..random.usize(0..below) {
            let name = one_of(random, &self.repos);
            let people = model.repo(&name).requests.len();
            let place = random.usize(..people.max(1));
            let action = match random.u8(..12) {
                0..4 => Action::Decides(
                    name,
                    place,
                    one_of(random, &[Status::Accepted, Status::Rejected, Status::Reset, Status::Pending]),
                ),
                4..7 => {
                    let number = random.usize(10_000..1_000_000);
                    Action::Asks(name, Box::new(person(random, number)))
                }
                7 | 8 => Action::AsksAgain(name, place),
                9 => Action::Withdraws(name, place),
                10 => Action::Hides(name, random.bool()),
                _ => Action::Gates(name, one_of(random, &[Gating::Off, Gating::Manual])),
            };
            self.actions.push((milliseconds(random, 0..horizon), action));
        }
        self.actions.sort_by_key(|(at, _)| *at);
    }

    /// The faults to draw from.
    pub fn faults(&self) -> Vec<Fault> {
        if self.over_http { quick_faults() } else { faults() }
    }

    /// The number of the policy in force at a time.
    pub fn policy_at(&self, at: Duration) -> usize {
        self.policies.iter().rposition(|(from, _)| *from <= at).unwrap_or_default()
    }
}
