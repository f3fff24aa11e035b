//! A simulated day: requests, the mails about them, the queue before the function, several instances of it, and sweeps.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use futures_util::future::join_all;
use hub_doorman::config::Config;
use hub_doorman::handler::Handler;
use hub_doorman::hub::{Problem, Transport};
use hub_doorman::report::metrics::Metrics;
use reqwest::{Request, Response};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::hub::{self, Hub, Model, Person, Status};
use crate::network::read;

/// The settings of the queue in `template.yaml`.
const WINDOW: Duration = Duration::from_secs(3);
const CONCURRENT: usize = 2;
const BATCH: usize = 1000;

/// How long a call takes to the Hub, and its response back.
const WAY: Duration = Duration::from_millis(100);

const LOCAL_PART: &str = "look-here-4f9a2c7d1b";

/// What is simulated.
#[derive(Clone, Copy)]
pub struct Day {
    pub seed: u64,
    /// How long requests come in.
    pub lasts: Duration,
    /// How many requests the policy decides. For each five of them there is one that it holds.
    pub requests: usize,
    pub repos: usize,
    pub instances: usize,
    pub mails: bool,
    /// The time between two sweeps.
    pub sweeps: Duration,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The waits of the requests that were decided, from the shortest to the longest.
    pub waits: Vec<Duration>,
    /// How many requests were not decided, although the policy decides them.
    pub undecided: usize,
    pub calls_for_mails: usize,
    pub calls_for_sweeps: usize,
}

/// A request that the policy decides, while it is pending: its repo, its place there, and when it was made.
type Waiting = (String, usize, Instant);

/// The Hub, and what is measured there.
struct World {
    model: Model,
    waiting: Vec<Waiting>,
    outcome: Outcome,
    began: Instant,
}

/// The network of an instance.
#[derive(Clone)]
struct Wire {
    world: Arc<Mutex<World>>,
    is_for_mail: Arc<AtomicBool>,
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wire")
    }
}

/// An instance of the function. It handles one event at a time.
struct Instance {
    handler: Handler,
    is_for_mail: Arc<AtomicBool>,
    is_busy: AtomicBool,
}

struct Simulation {
    day: Day,
    world: Arc<Mutex<World>>,
    instances: Vec<Instance>,
    began: Instant,
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().expect("no panic while it was held")
}

fn wall(began: Instant) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000) + began.elapsed()
}

impl Outcome {
    /// The wait that this share of the decided requests did not exceed.
    pub fn percentile(&self, percent: usize) -> Duration {
        let rank = (self.waits.len() * percent).div_ceil(100).max(1);
        self.waits.get(rank - 1).copied().unwrap_or_default()
    }
}

impl World {
    fn exchange(&mut self, call: &hub::Call, token: Option<&str>, is_for_mail: bool) -> hub::Reply {
        let calls =
            if is_for_mail { &mut self.outcome.calls_for_mails } else { &mut self.outcome.calls_for_sweeps };
        *calls += 1;
        let (reply, _) = hub::exchange(&mut self.model, call, token);
        let Self { model, waiting, outcome, .. } = self;
        waiting.retain(|(repo, place, asked)| {
            let is_pending = model.repos[repo].requests[*place].status == Status::Pending;
            if !is_pending {
                outcome.waits.push(asked.elapsed());
            }
            is_pending
        });
        reply
    }
}

impl Transport for Wire {
    fn wall_clock(&self) -> SystemTime {
        wall(lock(&self.world).began)
    }

    fn carry(
        &self,
        request: Request,
    ) -> Pin<Box<dyn Future<Output = Result<Response, Problem>> + Send + '_>> {
        Box::pin(async move {
            let (call, token) = read(&request);
            sleep(WAY).await;
            let is_for_mail = self.is_for_mail.load(Ordering::Relaxed);
            let reply = lock(&self.world).exchange(&call, token.as_deref(), is_for_mail);
            sleep(WAY).await;
            match hub::respond(reply).await {
                Ok(response) => Ok(response.map(reqwest::Body::wrap).into()),
                Err(error) => Err(Problem::Unanswered(error.to_string())),
            }
        })
    }
}

impl Instance {
    async fn new(world: &Arc<Mutex<World>>) -> Self {
        let policy = r#"{"rules": [{"name": "staff", "then": "accept", "if": "user.domain == 'acme.com'"}]}"#;
        let variables = [
            ("HF_TOKEN", Hub::TOKEN),
            ("HF_ENDPOINT", "https://hub"),
            ("WEBHOOK_SECRET", "a secret of the webhook"),
            ("MAIL_SECRET", LOCAL_PART),
            ("APPROVAL_POLICY", policy),
            ("REPOS", "acme/*"),
        ];
        let lookup = |name: &str| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned()).ok_or(std::env::VarError::NotPresent)
        };
        let config =
            Config::from_lookup(lookup, &|_| Err("there are no files".to_owned())).expect("a configuration");
        let is_for_mail = Arc::new(AtomicBool::new(false));
        let wire = Wire { world: Arc::clone(world), is_for_mail: Arc::clone(&is_for_mail) };
        let http = hub_doorman::http::client().expect("a client");
        let handler = Handler::with_transport(config, Metrics::new(io::sink()), &http, wire).await;
        Self {
            handler: handler.expect("no secret has to be read"),
            is_for_mail,
            is_busy: AtomicBool::new(false),
        }
    }
}

impl Simulation {
    /// Sends an event to an idle instance. If none is idle, the event waits, as Lambda would start another instance.
    async fn invoke(&self, event: &Value, is_for_mail: bool) {
        let instance = loop {
            let first = fastrand::usize(..self.instances.len());
            let order = (0..self.instances.len()).map(|number| (first + number) % self.instances.len());
            let mut idle = order.map(|number| &self.instances[number]);
            if let Some(idle) = idle.find(|instance| !instance.is_busy.swap(true, Ordering::Relaxed)) {
                break idle;
            }
            sleep(Duration::from_millis(50)).await;
        };
        instance.is_for_mail.store(is_for_mail, Ordering::Relaxed);
        let request = lambda_http::request::from_str(&event.to_string()).expect("an event");
        instance.handler.handle(request).await.expect("the invocation succeeds");
        instance.is_busy.store(false, Ordering::Relaxed);
    }

    async fn sweep(&self) {
        let event = json!({"source": "aws.scheduler", "detail-type": "Scheduled Event"});
        let mut at = self.began;
        while at.duration_since(self.began) <= self.day.lasts + 2 * self.day.sweeps {
            sleep_until(at).await;
            self.invoke(&event, false).await;
            at += self.day.sweeps;
        }
    }

    /// One of Lambda's pollers of the queue. Each collects mails of its own, so there are more batches than with one queue of batches.
    async fn poll(&self, queue: &tokio::sync::Mutex<mpsc::UnboundedReceiver<Value>>) {
        // The lock is fair and held for one mail, so the pollers take turns.
        let next = || async { queue.lock().await.recv().await };
        while let Some(first) = next().await {
            let (mut records, closes) = (vec![first], Instant::now() + WINDOW);
            while records.len() < BATCH
                && let Ok(Some(record)) = timeout_at(closes, next()).await
            {
                records.push(record);
            }
            sleep_until(closes).await;
            self.invoke(&json!({"Records": records}), true).await;
        }
    }

    /// The requests, and the mails about them.
    async fn requests(&self, mails: mpsc::UnboundedSender<Value>) {
        let Day { lasts, requests, repos, .. } = self.day;
        let total = requests + requests / 5;
        let mut times: Vec<Duration> = (0..total).map(|_| lasts.mul_f64(fastrand::f64())).collect();
        times.sort_unstable();
        for (number, at) in times.into_iter().enumerate() {
            sleep_until(self.began + at).await;
            let name = repo(fastrand::usize(..repos));
            let is_decided = number % 6 != 5;
            let domain = if is_decided { "acme.com" } else { "example.org" };
            let person = Person::new(&format!("user{number}"), &format!("user{number}@{domain}"));
            let mut world = lock(&self.world);
            world.model.repo(&name).ask_at(person, wall(self.began).into());
            let place = world.model.repos[&name].requests.len() - 1;
            if is_decided {
                world.waiting.push((name.clone(), place, Instant::now()));
            }
            drop(world);
            if self.day.mails {
                self.send(&mails, number, &name);
            }
        }
    }

    /// One mail in 100 is lost, 2 are late, 2 are doubled. Beside each tenth one there is a forged one.
    fn send(&self, mails: &mpsc::UnboundedSender<Value>, number: usize, repo: &str) {
        let subject = format!("user{number} requests access to {repo}");
        let take = |takes: Duration, local: &str, dmarc: &str| {
            let (mails, began, subject) = (mails.clone(), self.began, subject.clone());
            let (local, dmarc) = (local.to_owned(), dmarc.to_owned());
            tokio::spawn(async move {
                sleep(takes).await;
                let _ = mails.send(record(&subject, wall(began).into(), &local, &dmarc));
            });
        };
        let takes = Duration::from_secs(3);
        match number % 100 {
            7 => {}
            17 | 67 => take(takes + Duration::from_secs(fastrand::u64(5..45)), LOCAL_PART, "PASS"),
            27 | 77 => {
                take(takes, LOCAL_PART, "PASS");
                take(takes + Duration::from_secs(fastrand::u64(0..60)), LOCAL_PART, "PASS");
            }
            _ => take(takes, LOCAL_PART, "PASS"),
        }
        match number % 20 {
            3 => take(takes, LOCAL_PART, "FAIL"),
            13 => take(takes, "look-here-4f9a2c7d1c", "PASS"),
            _ => {}
        }
    }
}

/// The name of a repo: models and datasets by turns.
fn repo(number: usize) -> String {
    let prefix = if number.is_multiple_of(2) { "" } else { "datasets/" };
    format!("{prefix}acme/repo-{number}")
}

/// A mail as the queue has it.
fn record(subject: &str, arrived: DateTime<Utc>, local: &str, dmarc: &str) -> Value {
    let from = "gated_user_access_request@notifications.huggingface.co";
    let pass = json!({"status": "PASS"});
    let mail = json!({
        "notificationType": "Received",
        "mail": {"headers": [{"name": "From", "value": from}], "commonHeaders": {"from": [from], "subject": subject}},
        "receipt": {"timestamp": arrived, "recipients": [format!("{local}@doorman.acme.com")],
            "spamVerdict": pass, "virusVerdict": pass, "dmarcVerdict": {"status": dmarc}},
    });
    json!({"eventSource": "aws:sqs", "body": mail.to_string()})
}

/// Simulates a day.
pub async fn simulate(day: Day) -> Outcome {
    fastrand::seed(day.seed);
    let began = Instant::now();
    let mut model = Model::new(Hub::TOKEN);
    "https://hub".clone_into(&mut model.origin);
    (model.keeps_calls, model.lag) = (false, Duration::from_secs(1));
    for number in 0..day.repos {
        model.add(&repo(number));
    }
    let world = World { model, waiting: Vec::new(), outcome: Outcome::default(), began };
    let world = Arc::new(Mutex::new(world));
    let instances = join_all((0..day.instances).map(|_| Instance::new(&world))).await;
    let simulation = Simulation { day, world: Arc::clone(&world), instances, began };
    let (sender, receiver) = mpsc::unbounded_channel();
    let queue = tokio::sync::Mutex::new(receiver);
    let pollers = (0..CONCURRENT).map(|_| simulation.poll(&queue));
    tokio::join!(simulation.requests(sender), simulation.sweep(), join_all(pollers));
    let mut world = lock(&world);
    let mut outcome = std::mem::take(&mut world.outcome);
    outcome.waits.sort_unstable();
    outcome.undecided = world.waiting.len();
    outcome
}
