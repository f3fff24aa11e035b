//! Many webhooks at once: 1,000 for one repo, through 20 processes of the binary, each before a Runtime API of its own that
//! hands it one event at a time, as Lambda does. It is a debug build, and the Hub and the 20 share one machine: how long an
//! answer takes here says nothing but whether the Hub would have waited for it.

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

/// Who waits before the first webhook.
const WAITING: usize = 300;

/// After this the Hub counts a delivery as failed.
const HUBS_PATIENCE: Duration = Duration::from_secs(30);

/// A webhook's review that waits as long as it may takes 20 seconds. One that does not wait is answered well before, even
/// if its process has to start first.
const AT_ONCE: Duration = Duration::from_secs(15);

/// A process of the function. It ends when this is dropped.
struct Process {
    api: RuntimeApi,
    _running: Child,
    is_new: bool,
}

/// What a webhook was answered, and how long that took.
struct Answer {
    status: u64,
    /// What the report says of the repo.
    repo: Value,
    took: Duration,
    /// Whether it is the first of its process.
    is_first: bool,
}

impl Process {
    async fn start(hub: &Hub) -> Self {
        let api = RuntimeApi::start([]).await;
        let running = start_unread(hub, &api, &[]);
        Self { api, _running: running, is_new: true }
    }

    /// A webhook, from its arrival until it is answered; the first one waits for the start of the process, too.
    async fn deliver(&mut self) -> Answer {
        let begun = Instant::now();
        self.api.hand_over(event("discussion-opened"));
        let (kind, response) = self.api.next_post().await;
        assert_eq!(kind, "response", "{response}");
        let body = response["body"].as_str().expect("a body");
        let mut report: Value = serde_json::from_str(body).expect("a report");
        let status = response["statusCode"].as_u64().expect("a status");
        let answer = Answer {
            status,
            repo: report["repos"][0].take(),
            took: begun.elapsed(),
            is_first: std::mem::take(&mut self.is_new),
        };
        assert!(answer.took < HUBS_PATIENCE, "{:?}: {}", answer.took, answer.repo);
        answer
    }
}

/// Delivers all webhooks, each process taking its share one after the other. `answered` is told each answer and how many
/// there are by now, before the process takes its next one.
async fn deliver_all(hub: &Hub, answered: impl Fn(usize, &Answer)) -> Vec<Answer> {
    let answers = RefCell::new(Vec::new());
    let work = async || {
        let mut process = Process::start(hub).await;
        for _ in 0..WEBHOOKS / PROCESSES {
            let answer = process.deliver().await;
            answered(answers.borrow().len() + 1, &answer);
            answers.borrow_mut().push(answer);
        }
    };
    join_all((0..PROCESSES).map(|_| work())).await;
    answers.into_inner()
}

/// Somebody, and what the policy of the stories says of them, as far as it is not for a person to say.
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

/// The calls that a webhook may make that has decided so many: its list, and a batch for each hundred of a verdict.
fn calls_for(repo: &Value) -> usize {
    let batches = ["accepted", "rejected", "reset"].map(|verdict| number(repo, verdict).div_ceil(100));
    // A request that was gone was written alone, and the list is read again to see that it is off the list.
    let gone = number(repo, "gone");
    // Whoever has asked meanwhile is decided then, too.
    1 + batches.iter().sum::<usize>() + 3 * gone + if gone > 0 { 4 } else { 0 }
}

#[tokio::test]
async fn a_thousand_webhooks_through_twenty_processes_cost_a_list_each_and_what_there_is_to_write() {
    let hub = Hub::start().await;
    ask(&hub, REPO, people(0..WAITING));
    hub.model().quota = Quota::new(1_000_000, FIVE_MINUTES);
    // Somebody for every other answer, as long as there is a webhook left after that which no process has taken.
    let arrivals = (WEBHOOKS - PROCESSES - 1) / 2;
    let answers = deliver_all(&hub, |answered, Answer { status, repo, .. }| {
        assert!((200..300).contains(status) && repo["complete"] == true, "{status}: {repo}");
        assert!(number(repo, "calls") <= calls_for(repo), "{repo}");
        if answered % 2 == 0 && answered / 2 <= arrivals {
            let next = WAITING + answered / 2;
            ask(&hub, REPO, people(next - 1..next));
        }
    })
    .await;

    let everybody = 0..WAITING + arrivals;
    let right: BTreeMap<String, Status> =
        everybody.map(person).map(|(person, status)| (person.id, status)).collect();
    let mut model = hub.model();
    for request in &model.repo(REPO).requests {
        assert_eq!(Some(&request.status), right.get(&request.person.id), "{}", request.person.name);
    }
    assert_eq!(model.repo(REPO).requests.len(), right.len());

    // Several processes may have read of the same people, and then each of them writes the same.
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
    assert!(written.values().all(|times| *times <= PROCESSES), "a process has written to somebody twice");
    assert!(lists.len() >= WEBHOOKS);
    let counted: usize = answers.iter().map(|answer| number(&answer.repo, "calls")).sum();
    assert_eq!(counted, model.calls.len());
}

#[tokio::test]
async fn when_the_limit_is_used_up_a_thousand_webhooks_cost_one_call_a_process_and_nobody_waits() {
    let hub = Hub::start().await;
    ask(&hub, REPO, people(0..WAITING));
    hub.model().quota = Quota { used: 1000, ..Quota::new(1000, FIVE_MINUTES) };
    deliver_all(&hub, |_, Answer { status, repo, took, is_first }| {
        assert!(repo["error"].as_str().is_some_and(|error| error.contains("wants no call")), "{repo}");
        // Whoever starts cannot know; whoever has been told does not ask again.
        assert_eq!((*status, &repo["calls"]), (202, &json!(u8::from(*is_first))), "{repo}");
        assert!(*took < AT_ONCE, "{took:?}");
    })
    .await;
    let refused = usize::try_from(hub.model().refused_by_quota).expect("a number");
    assert_eq!((hub.calls().len(), refused), (PROCESSES, PROCESSES));

    hub.model().quota = Quota::new(1000, FIVE_MINUTES);
    let Answer { status, repo, .. } = Process::start(&hub).await.deliver().await;
    let held = WAITING / 20;
    assert_eq!((status, &repo["held"], &repo["complete"]), (200, &json!(held), &json!(true)), "{repo}");
}

#[tokio::test]
async fn when_the_limit_is_soon_renewed_twenty_processes_wait_for_that_and_none_is_refused_twice() {
    let hub = Hub::start().await;
    ask(&hub, REPO, []);
    let started = (0..PROCESSES).map(async |_| {
        let mut process = Process::start(&hub).await;
        process.deliver().await;
        process
    });
    let mut processes = join_all(started).await;

    ask(&hub, REPO, people(0..WAITING));
    hub.model().quota = Quota { used: 1000, ..Quota::new(1000, Duration::from_secs(3)) };
    for Answer { status, repo, .. } in join_all(processes.iter_mut().map(Process::deliver)).await {
        assert_eq!((status, &repo["complete"]), (200, &json!(true)), "{repo}");
    }
    assert_eq!(hub.users(REPO, Status::Pending).len(), WAITING / 20);
    let refused = usize::try_from(hub.model().refused_by_quota).expect("a number");
    assert!((1..=PROCESSES).contains(&refused), "{refused}");
}
