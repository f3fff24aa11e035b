//! Many webhooks at once: 1,000 for one repo, through 20 processes of the binary. Like Lambda, a Runtime API for each process
//! hands it one event at a time. This is a debug build, and all processes share one machine. So the times say only whether
//! the Hub would have waited for the response.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::process::Child;

use crate::binary::{RuntimeApi, event, start_unread};
use crate::hub::{Hub, Person, Quota, Status};
use crate::support::{ask, staff, stranger};

const FIVE_MINUTES: Duration = Duration::from_secs(300);

const REPO: &str = "acme/gated-model";
const PROCESSES: usize = 20;
const WEBHOOKS: usize = 1000;

/// The number of requests before the first webhook.
const REQUESTS: usize = 300;

/// After this time the Hub counts a delivery as failed.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(30);

/// A review of a webhook may wait for 20 seconds. One that does not wait responds within this time, including the start of its
/// process.
const MAX_WITHOUT_WAITING: Duration = Duration::from_secs(15);

/// A process of the function. It ends when this is dropped.
struct Process {
    api: RuntimeApi,
    _running: Child,
    is_new: bool,
}

/// The response to a webhook, and how long it took.
struct Delivered {
    status: u64,
    /// The part of the report about the repo.
    repo: Value,
    took: Duration,
    /// Whether it is the first response of its process.
    is_first: bool,
}

impl Process {
    async fn start(hub: &Hub) -> Self {
        let api = RuntimeApi::start([]).await;
        let running = start_unread(hub, &api, &[]);
        Self { api, _running: running, is_new: true }
    }

    /// Delivers a webhook. The time of the first one includes the start of the process.
    async fn deliver(&mut self) -> Delivered {
        let begun = Instant::now();
        self.api.hand_over(event("discussion-opened"));
        let (kind, response) = self.api.next_post().await;
        assert_eq!(kind, "response", "{response}");
        let body = response["body"].as_str().expect("a body");
        let mut report: Value = serde_json::from_str(body).expect("a report");
        let status = response["statusCode"].as_u64().expect("a status");
        let delivered = Delivered {
            status,
            repo: report["repos"][0].take(),
            took: begun.elapsed(),
            is_first: std::mem::take(&mut self.is_new),
        };
        assert!(delivered.took < DELIVERY_TIMEOUT, "{:?}: {}", delivered.took, delivered.repo);
        delivered
    }
}

/// Delivers all webhooks. Each process takes its share, one after the other. Before a process takes its next one, `check` gets
/// the number of responses so far and the newest one.
async fn deliver_all(hub: &Hub, check: impl Fn(usize, &Delivered)) -> Vec<Delivered> {
    let all = RefCell::new(Vec::new());
    let work = async || {
        let mut process = Process::start(hub).await;
        for _ in 0..WEBHOOKS / PROCESSES {
            let delivered = process.deliver().await;
            check(all.borrow().len() + 1, &delivered);
            all.borrow_mut().push(delivered);
        }
    };
    join_all((0..PROCESSES).map(|_| work())).await;
    all.into_inner()
}

/// A person, and the status that the policy of the stories gives their request.
fn person(number: usize) -> (Person, Status) {
    let name = format!("user{number:04}");
    match number % 20 {
        0 | 1 => (staff(&name).answer("Country", "KP"), Status::Rejected),
        2 | 3 => (staff(&name).answer("Purpose", "x"), Status::Reset),
        4 => (stranger(&name), Status::Pending),
        _ => (staff(&name), Status::Accepted),
    }
}

fn people(numbers: Range<usize>) -> impl Iterator<Item = Person> {
    numbers.map(|number| person(number).0)
}

fn number(repo: &Value, name: &str) -> usize {
    repo[name].as_u64().and_then(|number| usize::try_from(number).ok()).expect(name)
}

/// The most calls for a webhook that wrote this many decisions: one for the list, and a batch for each hundred of a verdict.
fn calls_for(repo: &Value) -> usize {
    let batches = ["accepted", "rejected", "reset"].map(|verdict| number(repo, verdict).div_ceil(100));
    // A request that was gone was written alone. Then the list is read again, and requests made meanwhile are decided as well.
    let gone = number(repo, "gone");
    1 + batches.iter().sum::<usize>() + 3 * gone + if gone > 0 { 4 } else { 0 }
}

#[tokio::test]
async fn thousand_webhooks_cost_a_list_each_and_the_writes() {
    let hub = Hub::start().await;
    ask(&hub, REPO, people(0..REQUESTS));
    hub.model().quota = Quota::new(1_000_000, FIVE_MINUTES);
    // A new request after every other response, as long as a webhook follows that no process has taken yet.
    let arrivals = (WEBHOOKS - PROCESSES - 1) / 2;
    let delivered = deliver_all(&hub, |responses, Delivered { status, repo, .. }| {
        assert!((200..300).contains(status) && repo["complete"] == true, "{status}: {repo}");
        assert!(number(repo, "calls") <= calls_for(repo), "{repo}");
        if responses % 2 == 0 && responses / 2 <= arrivals {
            let next = REQUESTS + responses / 2;
            ask(&hub, REPO, people(next - 1..next));
        }
    })
    .await;

    let everybody = 0..REQUESTS + arrivals;
    let right: BTreeMap<String, Status> =
        everybody.map(person).map(|(person, status)| (person.id, status)).collect();
    let mut model = hub.model();
    for request in &model.repo(REPO).requests {
        assert_eq!(Some(&request.status), right.get(&request.person.id), "{}", request.person.name);
    }
    assert_eq!(model.repo(REPO).requests.len(), right.len());

    // Several processes may have read the same requests. Then each of them writes the same status.
    let mut written: BTreeMap<String, usize> = BTreeMap::new();
    let (lists, writes): (Vec<_>, Vec<_>) = model.calls.iter().partition(|call| call.method == "GET");
    for call in &writes {
        let one = std::slice::from_ref(&call.body);
        for named in call.body["requests"].as_array().map_or(one, Vec::as_slice) {
            let name = |key: &str, prefix| named[key].as_str()?.strip_prefix(prefix).map(str::to_owned);
            let name = name("userId", "id-").or_else(|| name("requestId", "request-")).expect("a name");
            let id = format!("id-{name}");
            assert_eq!(call.body["status"], right[&id].as_str(), "{id}: held, or another verdict");
            *written.entry(id).or_default() += 1;
        }
    }
    assert!(written.values().all(|times| *times <= PROCESSES), "a process has written a request twice");
    assert!(lists.len() >= WEBHOOKS);
    let counted: usize = delivered.iter().map(|one| number(&one.repo, "calls")).sum();
    assert_eq!(counted, model.calls.len());
}

#[tokio::test]
async fn used_up_limit_costs_one_call_a_process() {
    let hub = Hub::start().await;
    ask(&hub, REPO, people(0..REQUESTS));
    hub.model().quota = Quota { used: 1000, ..Quota::new(1000, FIVE_MINUTES) };
    deliver_all(&hub, |_, Delivered { status, repo, took, is_first }| {
        assert!(repo["error"].as_str().is_some_and(|error| error.contains("takes no calls")), "{repo}");
        // A new process does not know the limit yet. Later it makes no call before the window ends.
        assert_eq!((*status, &repo["calls"]), (202, &json!(u8::from(*is_first))), "{repo}");
        assert!(*took < MAX_WITHOUT_WAITING, "{took:?}");
    })
    .await;
    let refused = usize::try_from(hub.model().refused_by_quota).expect("a number");
    assert_eq!((hub.calls().len(), refused), (PROCESSES, PROCESSES));

    hub.model().quota = Quota::new(1000, FIVE_MINUTES);
    let Delivered { status, repo, .. } = Process::start(&hub).await.deliver().await;
    let held = REQUESTS / 20;
    assert_eq!((status, &repo["held"], &repo["complete"]), (200, &json!(held), &json!(true)), "{repo}");
}

#[tokio::test]
async fn processes_wait_for_a_window_that_ends_soon() {
    let hub = Hub::start().await;
    ask(&hub, REPO, []);
    let started = (0..PROCESSES).map(async |_| {
        let mut process = Process::start(&hub).await;
        process.deliver().await;
        process
    });
    let mut processes = join_all(started).await;

    ask(&hub, REPO, people(0..REQUESTS));
    hub.model().quota = Quota { used: 1000, ..Quota::new(1000, Duration::from_secs(3)) };
    for Delivered { status, repo, .. } in join_all(processes.iter_mut().map(Process::deliver)).await {
        assert_eq!((status, &repo["complete"]), (200, &json!(true)), "{repo}");
    }
    assert_eq!(hub.users(REPO, Status::Pending).len(), REQUESTS / 20);
    let refused = usize::try_from(hub.model().refused_by_quota).expect("a number");
    assert!((1..=PROCESSES).contains(&refused), "{refused}");
}
