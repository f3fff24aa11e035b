//! The network between a process and the Hub: in memory with simulated time, or HTTP.

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use hub_doorman::hub::{Problem, Transport};
use reqwest::{Request, Response};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use crate::hub::{self, Call, HubResponse, Reply, Server};
use crate::world::World;

/// The network of one process.
#[derive(Clone)]
pub struct Network {
    pub world: Arc<Mutex<World>>,
    /// The number of the run that the process is in.
    pub run: Arc<AtomicUsize>,
    /// The share of requests and responses that are delayed for long.
    delayed_share: Arc<Mutex<f32>>,
    random: Arc<Mutex<fastrand::Rng>>,
    calls: Arc<AtomicU64>,
    /// When the process started.
    started: Instant,
    /// How long the process was frozen since then. Lambda stops the monotonic clock while a process is frozen, but not the wall
    /// clock.
    frozen: Arc<Mutex<Duration>>,
    /// If the Hub has asked for a wait, its end.
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
    pub fn new(world: &Arc<Mutex<World>>, delayed_share: f32, seed: u64) -> Self {
        let random = Arc::new(Mutex::new(fastrand::Rng::with_seed(seed)));
        Self {
            world: Arc::clone(world),
            run: Arc::default(),
            delayed_share: Arc::new(Mutex::new(delayed_share)),
            random,
            started: Instant::now(),
            frozen: Arc::default(),
            calls: Arc::new(AtomicU64::new(seed << 20)),
            not_before: Arc::default(),
        }
    }

    /// Serves the Hub to this process over HTTP. Its port identifies the process.
    pub async fn serve(&self) -> (String, Server) {
        let this = self.clone();
        let origin = Arc::new(Mutex::new(String::new()));
        let shared_origin = Arc::clone(&origin);
        let respond = move |request| {
            let (this, origin) = (this.clone(), Arc::clone(&shared_origin));
            async move {
                let (call, token) = hub::read(request).await?;
                let run = this.run.load(Ordering::Relaxed);
                let reply = {
                    let mut world = lock(&this.world);
                    world.model.origin.clone_from(&lock(&origin));
                    let number = this.next_call_number();
                    world.exchange(run, number, &call, token.as_deref())
                };
                hub::respond(reply).await
            }
        };
        let (address, server) = hub::listen(respond).await;
        *lock(&origin) = format!("http://{address}");
        (format!("http://{address}"), server)
    }

    fn next_call_number(&self) -> u64 {
        self.calls.fetch_add(1, Ordering::Relaxed)
    }

    /// From now on nothing is delayed or frozen.
    pub fn stop_delays(&self) {
        *lock(&self.delayed_share) = 0.0;
    }

    /// Sometimes freezes the process: the wall clock goes on, and the monotonic clock stops.
    fn maybe_freeze(&self, run: usize) {
        let mut random = lock(&self.random);
        if random.f32() < *lock(&self.delayed_share) / 4.0 {
            let time = Duration::from_secs(random.u64(1..60));
            *lock(&self.frozen) += time;
            // By the wall clock the wait may be over.
            *lock(&self.not_before) = None;
            lock(&self.world).freeze(run, time);
        }
    }

    /// How long a request travels to the Hub, and its response back.
    fn latencies(&self, run: usize) -> [Duration; 2] {
        let mut random = lock(&self.random);
        let mut world = lock(&self.world);
        ["request delayed", "response delayed"].map(|what| {
            if random.f32() < *lock(&self.delayed_share) {
                world.delay(run, what);
                return Duration::from_millis(random.u64(1_000..40_000));
            }
            world.latency.mul_f32(random.f32())
        })
    }
}

/// A call without a response yet. It reports its end to the world, even if the process stops waiting.
struct PendingCall {
    world: Arc<Mutex<World>>,
    run: usize,
    number: u64,
    call: Call,
    is_over: bool,
}

impl PendingCall {
    fn end(&mut self, reply: Option<&Reply>) {
        if !std::mem::replace(&mut self.is_over, true)
            && let Ok(mut world) = self.world.lock()
        {
            world.received(self.run, self.number, &self.call, reply);
        }
    }
}

impl Drop for PendingCall {
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
                lock(&self.world)
                    .violation(format!("run {run} calls before the wait that the Hub asked for is over"));
            }
            let (call, token) = read(&request);
            if !lock(&self.world).call(run, &call) {
                return std::future::pending().await;
            }
            let number = self.next_call_number();
            lock(&self.world).sent(run, number, &call);
            let mut pending = PendingCall {
                world: Arc::clone(&self.world),
                run,
                number,
                call: call.clone(),
                is_over: false,
            };
            let ([request_latency, response_latency], world) = (self.latencies(run), Arc::clone(&self.world));
            let is_read = call.method == "GET";
            let (sender, receiver) = oneshot::channel();
            // A request that was sent arrives, even if the process stops waiting for the response.
            tokio::spawn(async move {
                sleep(request_latency).await;
                let reply = lock(&world).exchange(run, number, &call, token.as_deref());
                sleep(response_latency).await;
                let _ = sender.send(reply);
            });
            let Ok(reply) = receiver.await else { return std::future::pending().await };
            if matches!(reply, Reply::Silence) {
                return std::future::pending().await;
            }
            self.maybe_freeze(run);
            pending.end(Some(&reply));
            if let Reply::Response(response) = &reply {
                self.note_rate_limit(response, is_read);
            }
            match hub::respond(reply).await {
                Ok(response) => Ok(response.map(reqwest::Body::wrap).into()),
                Err(error) => Err(Problem::Unanswered(error.to_string())),
            }
        })
    }
}

impl Network {
    /// If the Hub asks for no calls, by a `Retry-After` or because no call is left in the window, remembers for how long.
    fn note_rate_limit(&self, response: &HubResponse, is_read: bool) {
        let header =
            |name: &str| response.headers.iter().find(|(of, _)| *of == name).map(|(_, text)| text.as_str());
        let after = header("Retry-After").and_then(|text| text.parse().ok());
        let limit = header("RateLimit");
        let ends: Option<u64> = limit.and_then(|text| text.rsplit_once("t=")?.1.parse().ok());
        let in_seconds = |seconds| Instant::now() + Duration::from_secs(seconds);
        let mut known = lock(&self.not_before);
        // A write that is refused while calls are left ran into another limit, which does not apply to other calls.
        let is_used_up = limit.is_some_and(|text| text.contains(";r=0;"));
        if response.status == 429 && !is_used_up && (limit.is_some() || !is_read) {
            return;
        }
        if response.status == 429 {
            // A later 429 replaces an earlier one. If it names no time, one call may try.
            *known = after.or(ends).map(in_seconds);
        } else if limit.is_some_and(|text| text.contains(";r=0;")) && *lock(&self.delayed_share) == 0.0 {
            // Responses may overtake each other a little, and seconds are rounded up.
            *known = ends.and_then(|ends| ends.checked_sub(3)).map(in_seconds).max(*known);
        }
    }
}

pub fn read(request: &Request) -> (Call, Option<String>) {
    let url = request.url();
    let path = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    let body = request.body().and_then(reqwest::Body::as_bytes).unwrap_or_default();
    let token = request.headers().get("authorization").and_then(|value| value.to_str().ok());
    let call = Call {
        method: request.method().to_string(),
        path,
        body: serde_json::from_slice(body).unwrap_or_default(),
        ..Call::default()
    };
    (call, token.and_then(|token| token.strip_prefix("Bearer ")).map(str::to_owned))
}
