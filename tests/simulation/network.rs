//! The way between a process and the Hub: in memory, where everything may take as long as it likes in no time, or HTTP.

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use hub_doorman::hub::{Problem, Transport};
use reqwest::{Request, Response};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use crate::hub::{self, Answer, Call, Reply, Server};
use crate::world::World;

/// The network as one process sees it.
#[derive(Clone)]
pub struct Network {
    pub world: Arc<Mutex<World>>,
    /// The run that goes on in the process.
    pub run: Arc<AtomicUsize>,
    /// The share of calls that are kept for long on their way.
    late: Arc<Mutex<f32>>,
    random: Arc<Mutex<fastrand::Rng>>,
    calls: Arc<AtomicU64>,
    /// When the process started.
    started: Instant,
    /// For how long it was frozen since then. Only the wall clock went on meanwhile.
    frozen: Arc<Mutex<Duration>>,
    /// The Hub has said that it wants no call before.
    not_before: Arc<Mutex<Option<Instant>>>,
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Network")
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().expect("no panic while it was held")
}

impl Network {
    pub fn new(world: &Arc<Mutex<World>>, late: f32, seed: u64) -> Self {
        let random = Arc::new(Mutex::new(fastrand::Rng::with_seed(seed)));
        Self {
            world: Arc::clone(world),
            run: Arc::default(),
            late: Arc::new(Mutex::new(late)),
            random,
            started: Instant::now(),
            frozen: Arc::default(),
            calls: Arc::new(AtomicU64::new(seed << 20)),
            not_before: Arc::default(),
        }
    }

    /// Serves this process over HTTP, on a port of its own by which it is known.
    pub async fn serve(&self) -> (String, Server) {
        let this = self.clone();
        let origin = Arc::new(Mutex::new(String::new()));
        let of_calls = Arc::clone(&origin);
        let answer = move |request| {
            let (this, origin) = (this.clone(), Arc::clone(&of_calls));
            async move {
                let (call, token) = hub::read(request).await?;
                let run = this.run.load(Ordering::Relaxed);
                let reply = {
                    let mut world = lock(&this.world);
                    world.model.origin.clone_from(&lock(&origin));
                    let number = this.number();
                    world.exchange(run, number, &call, token.as_deref())
                };
                hub::respond(reply).await
            }
        };
        let (address, server) = hub::listen(answer).await;
        *lock(&origin) = format!("http://{address}");
        (format!("http://{address}"), server)
    }

    /// A number for a call.
    fn number(&self) -> u64 {
        self.calls.fetch_add(1, Ordering::Relaxed)
    }

    /// From now on nothing is kept for long.
    pub fn calm_down(&self) {
        *lock(&self.late) = 0.0;
    }

    /// Now and then Lambda freezes the process: the wall clock goes on, and the monotonic clock stops.
    fn freeze(&self, run: usize) {
        let mut random = lock(&self.random);
        if random.f32() < *lock(&self.late) / 4.0 {
            let time = Duration::from_secs(random.u64(1..60));
            *lock(&self.frozen) += time;
            // By the wall clock it may call again.
            *lock(&self.not_before) = None;
            lock(&self.world).freeze(run, time);
        }
    }

    /// How long a call is on its way to the Hub, and its answer back.
    fn ways(&self, run: usize) -> [Duration; 2] {
        let mut random = lock(&self.random);
        let mut world = lock(&self.world);
        ["request late", "answer late"].map(|late| {
            if random.f32() < *lock(&self.late) {
                world.delay(run, late);
                return Duration::from_millis(random.u64(1_000..40_000));
            }
            world.latency.mul_f32(random.f32())
        })
    }
}

/// A call whose answer is waited for. The world is told how it ends, even if the process stops waiting.
struct Waiting {
    world: Arc<Mutex<World>>,
    run: usize,
    number: u64,
    call: Call,
    is_over: bool,
}

impl Waiting {
    fn end(&mut self, reply: Option<&Reply>) {
        if !std::mem::replace(&mut self.is_over, true)
            && let Ok(mut world) = self.world.lock()
        {
            world.received(self.run, self.number, &self.call, reply);
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.end(None);
    }
}

impl Transport for Network {
    fn wall_clock(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
            + Duration::from_secs(1_800_000_000)
            + self.started.elapsed()
            + *lock(&self.frozen)
    }

    fn carry(
        &self,
        request: Request,
    ) -> Pin<Box<dyn Future<Output = Result<Response, Problem>> + Send + '_>> {
        Box::pin(async move {
            let run = self.run.load(Ordering::Relaxed);
            if let Some(not_before) = *lock(&self.not_before)
                && Instant::now() < not_before
            {
                lock(&self.world).break_rule(format!("run {run} calls although the Hub wants no call"));
            }
            let (call, token) = read(&request);
            if !lock(&self.world).call(run, &call) {
                return std::future::pending().await;
            }
            let number = self.number();
            lock(&self.world).sent(run, number, &call);
            let mut waiting =
                Waiting { world: Arc::clone(&self.world), run, number, call: call.clone(), is_over: false };
            let ([there, back], world) = (self.ways(run), Arc::clone(&self.world));
            let is_read = call.method == "GET";
            let (answer, answered) = oneshot::channel();
            // What was sent arrives, whether or not somebody still waits for the answer.
            tokio::spawn(async move {
                sleep(there).await;
                let reply = lock(&world).exchange(run, number, &call, token.as_deref());
                sleep(back).await;
                let _ = answer.send(reply);
            });
            let Ok(reply) = answered.await else { return std::future::pending().await };
            if matches!(reply, Reply::Silence) {
                return std::future::pending().await;
            }
            self.freeze(run);
            waiting.end(Some(&reply));
            if let Reply::Answer(answer) = &reply {
                self.heed(answer, is_read);
            }
            match hub::respond(reply).await {
                Ok(response) => Ok(response.map(reqwest::Body::wrap).into()),
                Err(error) => Err(Problem::Unanswered(error.to_string())),
            }
        })
    }
}

impl Network {
    /// Remembers how long the Hub wants no call: it says so, or that none is left.
    fn heed(&self, answer: &Answer, is_read: bool) {
        let header =
            |name: &str| answer.headers.iter().find(|(of, _)| *of == name).map(|(_, text)| text.as_str());
        let after = header("Retry-After").and_then(|text| text.parse().ok());
        let limit = header("RateLimit");
        let ends: Option<u64> = limit.and_then(|text| text.rsplit_once("t=")?.1.parse().ok());
        let in_seconds = |seconds| Instant::now() + Duration::from_secs(seconds);
        let mut known = lock(&self.not_before);
        // If a write is refused while calls are left, that is another limit, which does not apply to other calls.
        let is_used_up = limit.is_some_and(|text| text.contains(";r=0;"));
        if answer.status == 429 && !is_used_up && (limit.is_some() || !is_read) {
            return;
        }
        if answer.status == 429 {
            // It may know better than what was told before; if it does not say, one call may find out.
            *known = after.or(ends).map(in_seconds);
        } else if limit.is_some_and(|text| text.contains(";r=0;")) && *lock(&self.late) == 0.0 {
            // Answers may overtake each other a little, and seconds are rounded up.
            *known = ends.and_then(|ends| ends.checked_sub(3)).map(in_seconds).max(*known);
        }
    }
}

fn read(request: &Request) -> (Call, Option<String>) {
    let url = request.url();
    let path = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    let body = request.body().and_then(reqwest::Body::as_bytes).unwrap_or_default();
    let token = request.headers().get("authorization").and_then(|value| value.to_str().ok());
    let call = Call {
        method: request.method().to_string(),
        path,
        user_agent: String::new(),
        body: serde_json::from_slice(body).unwrap_or_default(),
    };
    (call, token.and_then(|token| token.strip_prefix("Bearer ")).map(str::to_owned))
}
