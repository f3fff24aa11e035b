//! Many webhooks at once: 1,000 for one repo, through 20 processes of the binary, each before a Runtime API of its own that
//! hands it one event at a time, as Lambda does. It is a debug build, and the Hub and the 20 share one machine: how long an
//! answer takes here says nothing but whether the Hub would have waited for it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::binary::{RuntimeApi, event, start_before};
use crate::hub::{Hub, Person, Quota, Status};
use crate::support::{POLICY, ask, staff, stranger};

const REPO: &str = "acme/gated-model";
const PROCESSES: usize = 20;
const WEBHOOKS: usize = 1000;

/// Who waits before the first webhook.
const WAITING: usize = 300;

/// After this the Hub counts a delivery as failed.
const HUBS_PATIENCE: Duration = Duration::from_secs(30);

/// A process of the function. It ends when this is dropped.
struct Process {
    api: RuntimeApi,
    running: JoinHandle<()>,
}

/// What a webhook was answered, and how long that took.
struct Answer {
    status: u64,
    /// What the report says of the repo.
    repo: Value,
    took: Duration,
}

impl Process {
    async fn start(hub: &Hub) -> Self {
        let api = RuntimeApi::start([]).await;
        let process = start_before(hub, &api, "info");
        // Somebody has to read what it writes, or it would wait for that.
        let running = tokio::spawn(async { drop(process.wait_with_output().await) });
        Self { api, running }
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
        Answer { status, repo: report["repos"][0].take(), took: begun.elapsed() }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.running.abort();
    }
}

/// Delivers all webhooks, each process taking its share one after the other. `answered` is told how many are answered
/// before the process takes its next one.
async fn deliver_all(hub: &Hub, answered: impl Fn(usize)) -> Vec<Vec<Answer>> {
    let count = std::cell::Cell::new(0);
    let work = async || {
        let mut process = Process::start(hub).await;
        let mut answers = Vec::new();
        for _ in 0..WEBHOOKS / PROCESSES {
            answers.push(process.deliver().await);
            count.set(count.get() + 1);
            answered(count.get());
        }
        answers
    };
    join_all((0..PROCESSES).map(|_| work())).await
}

/// Somebody, and what [`POLICY`] says of them, as far as it is not for a person to say.
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
    // Who was gone was alone with a verdict, or would have been done again.
    1 + batches.iter().sum::<usize>() + number(repo, "gone")
}

#[tokio::test]
async fn a_thousand_webhooks_through_twenty_processes_cost_a_list_each_and_what_there_is_to_write() {
    assert!(POLICY.contains("We cannot.") && POLICY.contains("Say more."), "the policy that `person` knows");
    let hub = Hub::start().await;
    ask(&hub, REPO, people(0..WAITING));
    hub.model().quota = Quota::new(1_000_000, Duration::from_secs(300));
    // Somebody for every other answer, as long as there is a webhook left after that which no process has taken.
    let arrivals = (WEBHOOKS - PROCESSES - 1) / 2;
    let answers = deliver_all(&hub, |answered| {
        if answered % 2 == 0 && answered / 2 <= arrivals {
            let next = WAITING + answered / 2;
            ask(&hub, REPO, people(next - 1..next));
        }
    })
    .await;

    let answers: Vec<Answer> = answers.into_iter().flatten().collect();
    for Answer { status, repo, took } in &answers {
        assert!((200..300).contains(status) && *took < HUBS_PATIENCE, "{status} after {took:?}: {repo}");
        assert_eq!(repo["complete"], true, "{repo}");
        assert!(number(repo, "calls") <= calls_for(repo), "{repo}");
    }
    assert_eq!(answers.len(), WEBHOOKS);

    let everybody = 0..WAITING + arrivals;
    let right: BTreeMap<String, Status> =
        everybody.map(person).map(|(person, status)| (person.id, status)).collect();
    let mut model = hub.model();
    for request in &model.repo(REPO).requests {
        assert_eq!(Some(&request.status), right.get(&request.person.id), "{}", request.person.name);
    }
    assert_eq!(model.repo(REPO).requests.len(), right.len());

    // Several processes may have read of the same people, and then each of them writes the same.
    let mut written: BTreeMap<&str, usize> = BTreeMap::new();
    let (lists, writes): (Vec<_>, Vec<_>) = model.calls.iter().partition(|call| call.method == "GET");
    for call in &writes {
        let one = std::slice::from_ref(&call.body);
        for named in call.body["requests"].as_array().map_or(one, Vec::as_slice) {
            let id = named["userId"].as_str().expect("an id");
            assert_eq!(call.body["status"], right[id].as_str(), "{id}: held, or another verdict");
            *written.entry(id).or_default() += 1;
        }
    }
    assert!(written.values().all(|times| *times <= PROCESSES), "a process has written to somebody twice");
    assert_eq!(lists.len(), WEBHOOKS);
    let counted: usize = answers.iter().map(|answer| number(&answer.repo, "calls")).sum();
    assert_eq!(counted, model.calls.len());
}

#[tokio::test]
async fn when_the_limit_is_used_up_a_thousand_webhooks_cost_one_call_a_process_and_nobody_waits() {
    let hub = Hub::start().await;
    ask(&hub, REPO, people(0..WAITING));
    let used_up = Quota { used: 1000, ..Quota::new(1000, Duration::from_secs(300)) };
    hub.model().quota = used_up;
    for answers in deliver_all(&hub, |_| ()).await {
        for (place, Answer { status, repo, took }) in answers.iter().enumerate() {
            assert!(repo["error"].as_str().is_some_and(|error| error.contains("wants no call")), "{repo}");
            // Whoever starts cannot know; whoever has been told does not ask again.
            assert_eq!((*status, &repo["calls"]), (202, &json!(u8::from(place == 0))), "{repo}");
            // A review that waits as long as it may takes 20 seconds.
            assert!(*took < HUBS_PATIENCE && (place == 0 || *took < Duration::from_secs(10)), "{took:?}");
        }
    }
    assert_eq!((hub.calls().len(), hub.model().refused_by_quota), (PROCESSES, 20));

    hub.model().quota = Quota::new(1000, Duration::from_secs(300));
    let Answer { status, repo, .. } = Process::start(&hub).await.deliver().await;
    assert_eq!(
        (status, &repo["held"], &repo["complete"]),
        (200, &json!(WAITING / 20), &json!(true)),
        "{repo}"
    );
}
