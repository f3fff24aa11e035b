//! The programs that `bench/run.py` measures, one mode for each. All modes but `hub` and `aws` print one line of JSON to standard
//! error. All of these but `decide` read `HF_ENDPOINT`. As in Lambda, the log goes to standard output.
//!
//! - `hub LATENCY_MS REQUESTS mixed|accept|hold REPOS`: a stand-in Hub with a repo of this many pending requests, and this many
//!   other repos. If REQUESTS is 1, each other repo has one request. Otherwise they have none. This mode prints its address.
//! - `aws SECRET`: a stand-in for AWS that keeps the Hub's token under a key of a secret, and SECRET as a parameter. This mode
//!   prints its address and both ARNs.
//! - `review`: one review, including the first connection
//! - `bound`: the least that any client needs: the pages one after the other, one batch, and one more page
//! - `sweep`: one sweep over a namespace, including the first connection
//! - `sweep-bound REPOS`: the least that a sweep needs: a page of models, a page of datasets, and a call for each repo, 8 at once
//! - `webhook ROUNDS`: a warm webhook with one pending request, and the two bare HTTP calls that it needs, for a new repo in each
//!   round
//! - `decide ROUNDS`: the decision alone
#![allow(clippy::print_stderr, clippy::print_stdout, clippy::expect_used)]

#[path = "../tests/aws/mod.rs"]
mod aws;

use std::collections::BTreeMap;
use std::future::ready;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws::Aws;
use futures_util::stream::{self, StreamExt};
use hub_doorman::config::Config;
use hub_doorman::handler::Handler;
use hub_doorman::http;
use hub_doorman::hub::Hub;
use hub_doorman::log;
use hub_doorman::model::{AccessRequest, Repo, RepoType, User};
use hub_doorman::plan::Mode;
use hub_doorman::policy::Policy;
use hub_doorman::report::audit::{Step, log_decision};
use hub_doorman::report::metrics::Metrics;
use hub_doorman::review::review;
use hub_doorman::secrets::Secret;
use hub_doorman::secrets::{Keyring, Source, Sources};
use hub_stand_in::{self as hub, Hub as StandIn, Person, Quota};
use lambda_runtime::tracing::subscriber;
use lambda_runtime::tracing::subscriber::filter::LevelFilter;
use lambda_runtime::tracing::subscriber::prelude::*;
use reqwest::{Client, Response};
use serde_json::{Value, json};

const POLICY: &str = include_str!("../examples/policy.json");
const REPO: &str = "acme/model";

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse().expect("a number");
    subscriber::registry().with(log::lines()).with(LevelFilter::INFO).init();
    let result = match arguments[..] {
        ["hub", latency, requests, verdicts, repos] => {
            return serve_hub(number(latency), number(requests), verdicts, number(repos)).await;
        }
        ["aws", secret] => return serve_aws(secret).await,
        ["review"] => run_review().await,
        ["bound"] => run_bound().await,
        ["sweep"] => run_sweep().await,
        ["sweep-bound", repos] => run_sweep_bound(number(repos)).await,
        ["webhook", rounds] => run_webhooks(number(rounds)).await,
        ["decide", rounds] => decide(number(rounds)),
        ["large"] => json!({"policy": large_policy(), "list": large_list()}),
        _ => panic!(
            "unknown mode; run bench/run.py, or give one of hub, aws, review, bound, sweep, sweep-bound, webhook, decide, large"
        ),
    };
    eprintln!("{result}");
}

async fn serve_hub(latency: u64, requests: u64, verdicts: &str, repos: u64) {
    let hub = StandIn::start().await;
    {
        let mut model = hub.model();
        model.latency = Duration::from_millis(latency);
        model.quota = Quota::new(u32::MAX, Duration::from_secs(300));
        let repo = model.add(REPO);
        // Different times let the doorman prove that a full page without a link is the last one.
        let first = chrono::Utc::now() - chrono::TimeDelta::hours(1);
        for number in 0..requests {
            let asked = first + chrono::TimeDelta::milliseconds(number.try_into().unwrap_or(i64::MAX));
            repo.ask_at(person(number, verdicts), asked);
        }
        for number in 0..repos {
            let repo = model.add(&other_repo(number));
            if requests == 1 {
                repo.ask_at(person(number, verdicts), first);
            }
        }
        model.keeps_calls = false;
    }
    println!("{}", hub.endpoint());
    std::future::pending::<()>().await;
}

async fn serve_aws(secret: &str) {
    let aws = Aws::start().await;
    aws.keep(aws::SECRET, &json!({"token": StandIn::TOKEN}).to_string());
    aws.keep(aws::PARAMETER, secret);
    println!("{} {}#token {}", aws.endpoint(), aws::SECRET, aws::PARAMETER);
    std::future::pending::<()>().await;
}

fn other_repo(number: u64) -> String {
    format!("quiet/model{number}")
}

/// A person whom the policy accepts or holds, as `verdicts` says. If it is `mixed`, the policy accepts two thirds and rejects one
/// third, in no regular order.
fn person(number: u64, verdicts: &str) -> Person {
    let third = number.wrapping_mul(0x9E37_79B9_7F4A_7C15).is_multiple_of(3);
    let (domain, country) = match verdicts {
        "hold" => ("example.org", "CH"),
        "accept" => ("acme.com", "CH"),
        _ if third => ("example.org", "KP"),
        _ => ("research.acme.com", "DE"),
    };
    let name = format!("user{number}");
    let person = Person::new(&name, &format!("{name}@{domain}")).verified("some-university");
    person
        .answer("Country", country)
        .answer("Affiliation", "University of Somewhere")
        .answer("Purpose", "Research")
}

fn endpoint() -> String {
    std::env::var("HF_ENDPOINT").expect("HF_ENDPOINT")
}

fn repo() -> Repo {
    Repo::new(RepoType::Model, REPO).expect("a name")
}

async fn run_review() -> Value {
    let policy = Arc::new(Policy::parse(POLICY).expect("a policy"));
    let endpoint = endpoint().parse().expect("a URL");
    let token = Source::Given(Secret::new(StandIn::TOKEN));
    let sources = Sources { token, webhook: None, webhook_previous: None, mail: None };
    let http = http::client().expect("a client");
    let keyring = Keyring::read(sources, &http).await.expect("what is given");
    let hub = Hub::new(http, endpoint, Arc::new(keyring), 8);
    let begun = Instant::now();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(3600);
    let mut log = |step: Step| log_decision(step, &policy, false);
    let report = review(&repo(), ready(Arc::clone(&policy)), &hub, Mode::Apply, deadline, &mut log).await;
    let seconds = begun.elapsed().as_secs_f64();
    json!({"seconds": seconds, "peak_mb": peak_mb(), "report": report})
}

/// The peak of resident memory, in MB.
fn peak_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap_or(f64::NAN) / 1024.0
}

/// The URL of the access requests of a repo.
fn requests_url(repo: &str) -> String {
    format!("{}/api/models/{repo}/user-access-request", endpoint())
}

/// The URL of the next page, if there is one, and the body.
async fn get(http: &Client, url: &str) -> (Option<String>, Vec<u8>) {
    let response: Response = http.get(url).bearer_auth(StandIn::TOKEN).send().await.expect("a response");
    assert!(response.status().is_success(), "{url}: {}", response.status());
    let link = response.headers().get("link").and_then(|link| link.to_str().ok());
    let next = link.and_then(|link| Some(link.split_once('<')?.1.split_once('>')?.0.to_owned()));
    (next, response.bytes().await.expect("a body").into())
}

async fn post(http: &Client, url: &str, body: &Value) {
    let request = http.post(url).bearer_auth(StandIn::TOKEN);
    let request = request.header("Content-Type", "application/json").body(body.to_string());
    let response = request.send().await.expect("a response");
    assert!(response.status().is_success(), "{url}: {}", response.status());
    response.bytes().await.expect("a body");
}

async fn run_bound() -> Value {
    let http = http::client().expect("a client");
    let begun = Instant::now();
    let mut url = format!("{}/pending?limit=1000", requests_url(REPO));
    let mut calls = 2;
    let last = loop {
        calls += 1;
        match get(&http, &url).await {
            (Some(next), _) => url = next,
            (None, page) => break page,
        }
    };
    let mut seconds = begun.elapsed().as_secs_f64();
    let entries: Vec<Value> = serde_json::from_slice(&last).expect("a page");
    let requests: Vec<Value> =
        entries.iter().take(100).map(|entry| json!({"userId": entry["user"]["_id"]})).collect();
    let body = json!({"status": "accepted", "requests": requests});
    let begun = Instant::now();
    post(&http, &format!("{}/batch", requests_url(REPO)), &body).await;
    // A client would get an empty page, because all requests are decided. Here the smallest page stands for it.
    get(&http, &format!("{}/pending?limit=10", requests_url(REPO))).await;
    seconds += begun.elapsed().as_secs_f64();
    json!({"seconds": seconds, "calls": calls})
}

async fn doorman(repos: &str) -> Handler {
    let endpoint = endpoint();
    let get_variable = |name: &str| match name {
        "HF_ENDPOINT" => Ok(endpoint.clone()),
        "HF_TOKEN" => Ok(StandIn::TOKEN.to_owned()),
        "WEBHOOK_SECRET" => Ok("secret".to_owned()),
        "APPROVAL_POLICY" => Ok(POLICY.to_owned()),
        "REPOS" => Ok(repos.to_owned()),
        _ => Err(std::env::VarError::NotPresent),
    };
    let read_file = |_: &str| Err("there are no files".to_owned());
    let config = Config::from_lookup(get_variable, &read_file).expect("no faults");
    Handler::new(config, Metrics::new(std::io::stdout())).await.expect("a client")
}

async fn run_sweep() -> Value {
    let doorman = doorman("quiet/*").await;
    let begun = Instant::now();
    let event = lambda_http::request::from_str(r#"{"sweep": true}"#).expect("an event");
    let response = doorman.handle(event).await.expect("no failure");
    let seconds = begun.elapsed().as_secs_f64();
    let report: Value = serde_json::from_slice(response.body()).expect("JSON");
    json!({"seconds": seconds, "peak_mb": peak_mb(), "status": report["status"], "repos": report["repos"].as_array().map(Vec::len)})
}

async fn run_sweep_bound(repos: u64) -> Value {
    let http = http::client().expect("a client");
    let begun = Instant::now();
    let search = |kind: &str| format!("{}/api/{kind}?author=quiet&gated=true&limit=1000", endpoint());
    let (models, datasets) = (search("models"), search("datasets"));
    tokio::join!(get(&http, &models), get(&http, &datasets));
    let pages = (0..repos).map(|number| {
        format!("{}/api/models/{}/user-access-request/pending?limit=1000", endpoint(), other_repo(number))
    });
    let http = &http;
    stream::iter(pages).for_each_concurrent(8, async |page| drop(get(http, &page).await)).await;
    json!({"seconds": begun.elapsed().as_secs_f64()})
}

async fn run_webhooks(rounds: u64) -> Value {
    let doorman = doorman("").await;
    let http = http::client().expect("a client");
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for number in 0..rounds {
        let repo = json!({"type": "model", "name": other_repo(number)});
        let payload = json!({"event": {"action": "create", "scope": "discussion"}, "repo": repo});
        let request =
            lambda_http::http::Request::builder().method("POST").header("X-Webhook-Secret", "secret");
        let request = request.body(payload.to_string().into()).expect("a request");
        let begun = Instant::now();
        let response = doorman.handle(request).await.expect("no failure");
        ours.push(begun.elapsed());
        let report: Value = serde_json::from_slice(response.body()).expect("JSON");
        assert_eq!(report["repos"][0]["accepted"], 1, "{report}");

        let url = requests_url(&other_repo(rounds + number));
        let accept = json!({"userId": format!("id-user{}", rounds + number), "status": "accepted"});
        let begun = Instant::now();
        get(&http, &format!("{url}/pending?limit=1000")).await;
        post(&http, &format!("{url}/handle"), &accept).await;
        bare.push(begun.elapsed());
    }
    json!({"ours_us": median(ours), "bare_us": median(bare)})
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1e6
}

/// The time of a decision with four rules, and with 20 rules, 5 patterns and a list of 100,000 entries.
fn decide(rounds: u64) -> Value {
    let (list, large) = (large_list(), large_policy());
    let small = Policy::parse(POLICY).expect("a policy");
    let begun = Instant::now();
    let large = Policy::parse_with_files(&large, &|_| Ok(list.clone().into_bytes())).expect("a policy");
    let read = begun.elapsed();
    let (repo, now) = (repo(), chrono::Utc::now());
    let requests: Vec<AccessRequest> = (0..1000).map(request).collect();
    let (mut of_small, mut of_large) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        for (policy, times) in [(&small, &mut of_small), (&large, &mut of_large)] {
            let begun = Instant::now();
            for request in &requests {
                std::hint::black_box(policy.decide(request, &repo, now));
            }
            times.push(begun.elapsed() / 1000);
        }
    }
    let read_ms = read.as_secs_f64() * 1e3;
    json!({
        "decide_us": median(of_small), "large_us": median(of_large), "read_ms": read_ms, "peak_mb": peak_mb(),
    })
}

/// 100,000 addresses, one in each line.
fn large_list() -> String {
    let line = |number: u32| format!("person{number}@university{}.example.edu", number % 9973);
    (0..100_000).map(line).collect::<Vec<_>>().join("\n")
}

fn large_policy() -> String {
    let conditions = [
        "user.email in lists.signed",
        "user.domain.under(lists.signed)",
        "vetted && fields['Affiliation'].matches('(?i)university')",
        "fields['Affiliation'].matches('[0-9]{3}')",
        "user.fullname.matches('^[A-Z][a-z]+ [A-Z][a-z]+$')",
        "user.name.matches('^bot[-_]')",
        "fields['Country'].trim().matches('^[A-Z]{2}$') && !vetted",
    ];
    let rule = |number: usize| {
        let condition = conditions[number % conditions.len()];
        format!(
            "[[rules]]\nname = 'rule-{number}'\nthen = 'accept'\nif = \"{condition} && size(user.orgs) != {number}\"\n"
        )
    };
    let begin = "[lists]\nsigned = { file = 'signed.txt' }\n[let]\nvetted = \"'epfl' in user.verified_orgs || user.domain.under('acme.com')\"\n";
    // Accepts whoever is pending in the benchmark of the start.
    let last = "[[rules]]\nname = 'everybody'\nthen = 'accept'\nif = 'size(user.name) > 1'\n";
    (0..19).map(rule).fold(begin.to_owned(), |text, rule| text + &rule) + last
}

/// The request of a [`person`], as the library reads it from a page.
fn request(number: u64) -> AccessRequest {
    let Person { id, name, fullname, email, pro, verified_orgs, orgs, fields } = person(number, "mixed");
    let text = |value: Value| value.as_str().unwrap_or_default().to_owned();
    let fields: BTreeMap<_, _> =
        fields.unwrap_or_default().into_iter().map(|(label, value)| (label, text(value))).collect();
    let user = User {
        id: Some(id),
        name: Some(name.clone()),
        fullname: Some(fullname),
        email,
        pro: Some(pro),
        verified_orgs: Some(verified_orgs),
        orgs: Some(orgs),
        service_account: Some(String::new()),
    };
    AccessRequest {
        request_id: Some(name),
        user,
        requested_at: Some(chrono::Utc::now()),
        fields,
        unreadable: None,
    }
}
