//! The exchange of one call with the Hub: what a page lists to a run, and what a call writes.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::{Listed, Page, World, Write, repo_of};
use crate::hub::{self, Call, Fault, HubResponse, Reply, Status};
use crate::policies::Entry;

impl World {
    /// A call of a run reaches the Hub. Returns the reply.
    pub fn exchange(&mut self, run: usize, number: u64, call: &Call, token: Option<&str>) -> Reply {
        let repo = repo_of(call);
        let writes = self.writes(run, call, repo.as_deref());
        let refused = self.model.refused_by_quota;
        let (reply, fault) = hub::exchange(&mut self.model, call, token);
        let refused = self.model.refused_by_quota > refused;
        self.log(|| {
            let result = match &reply {
                Reply::Response(response) => response.status.to_string(),
                Reply::Cut(response) => format!("{} and breaks off", response.status),
                Reply::Half(response) => format!("{} and a half", response.status),
                Reply::Endless(_) => "no end".to_owned(),
                Reply::Closed => "closed".to_owned(),
                Reply::Silence => "silence".to_owned(),
            };
            let fault = fault.as_ref().map(|fault| format!(" ({})", fault.name())).unwrap_or_default();
            format!("run {run}: {call} {} -> {result}{fault}", call.body)
        });
        let of_run = &mut self.runs[run];
        of_run.faults += u32::from(fault.is_some());
        let succeeded =
            |response: &HubResponse| response.status < 400 && response.text().starts_with(['[', '{']);
        // After a page that is too large, the next attempt asks for another page.
        let is_over = matches!(&reply, Reply::Response(response) if succeeded(response))
            || matches!(reply, Reply::Endless(_));
        if is_over {
            of_run.repeated.remove(&format!("{call} {}", call.body));
        }
        let quota = &self.model.quota;
        of_run.limited |= refused || quota.calls - quota.used < quota.calls / 10 + of_run.concurrency;
        if let Some(repo) = repo {
            if call.method == "GET" {
                *of_run.lists.entry(repo.clone()).or_default() += 1;
                if let Reply::Response(response) = &reply
                    && response.status == 200
                    && call.path.contains("/user-access-request/pending")
                {
                    // A new page leads to new decisions, so the writes count from zero.
                    of_run.repeated.retain(|call, _| call.starts_with("GET"));
                    let entries: Vec<Value> = serde_json::from_slice(&response.body).unwrap_or_default();
                    self.list(run, number, &repo, &entries);
                }
            } else {
                *of_run.writes.entry(repo).or_default() += 1;
            }
        }
        if refused {
            self.count("refused by the rate limit");
        }
        for write in writes {
            // After a batch that was half done, the run cannot know the outcome of an earlier attempt.
            if matches!(fault, Some(Fault::HalfDone(_))) {
                self.runs[run].unknown.insert((write.key.clone(), write.name.clone()));
            }
            self.apply(run, write);
        }
        reply
    }

    /// A page lists these entries to a run.
    fn list(&mut self, run: usize, number: u64, repo: &str, entries: &[Value]) {
        let now = Instant::now();
        self.runs[run].pages.entry(number).or_insert(Page {
            requested: now,
            arrived: Some(now),
            frozen: Duration::ZERO,
        });
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let identity = |entry: &Value| {
            let by_user = text(&entry["user"]["_id"]).map(|id| ("userId", id));
            by_user.or_else(|| Some(("requestId", text(&entry["requestId"])?)))
        };
        // A request that the page lists with two different contents has to be held.
        let mut first = HashMap::new();
        let mut contradictory = HashSet::new();
        for json in entries.iter().filter(|json| json["status"] == "pending") {
            if *first.entry(identity(json)).or_insert(json) != json {
                contradictory.insert(identity(json));
            }
        }
        for json in entries {
            let Some(identity) = identity(json) else { continue };
            let Some(place) = self.model.repo(repo).place(identity.0, &identity.1) else { continue };
            let entry = Entry { json, repo };
            let expected = self.runs[run].policy.expects(&entry);
            let expected = expected.filter(|_| !contradictory.contains(&Some(identity.clone())));
            let timestamp = text(&json["timestamp"]).unwrap_or_default();
            let names = [
                ("userId", &json["user"]["_id"]),
                ("user", &json["user"]["user"]),
                ("requestId", &json["requestId"]),
            ];
            let names: Vec<_> =
                names.into_iter().filter_map(|(key, name)| Some((key, text(name)?))).collect();
            let all = self.runs[run].listed.entry((repo.to_owned(), place)).or_default();
            let is_same = |one: &&mut Listed| {
                one.names == names && one.expected == expected && one.timestamp == timestamp
            };
            match all.iter_mut().find(is_same) {
                Some(one) => {
                    one.at = now;
                    one.pages.push(number);
                }
                None => all.push(Listed { at: now, pages: vec![number], names, timestamp, expected }),
            }
        }
    }

    /// The writes of a call. Checks that each is a decision of the policy in force.
    fn writes(&mut self, run: usize, call: &Call, repo: Option<&str>) -> Vec<Write> {
        let Some(repo) = repo.filter(|_| call.method == "POST") else { return Vec::new() };
        let body = &call.body;
        let Some(status) = body["status"].as_str().and_then(Status::parse) else { return Vec::new() };
        let reason = [&body["rejectionReason"], &body["resetReason"]].into_iter().find_map(Value::as_str);
        let wanted = Some((status, reason.map(str::to_owned)));
        let named = match body["requests"].as_array() {
            Some(requests) => requests.iter().collect(),
            None => vec![body],
        };
        if self.runs[run].is_dry {
            self.violation(format!("run {run} is a dry run and writes {body}"));
        }
        if self.runs[run].policy.is_paused {
            self.violation(format!("run {run} has a paused policy and writes {body}"));
        }
        let mut writes = Vec::new();
        for one in named {
            let identity = ["userId", "requestId", "user"]
                .into_iter()
                .find_map(|key| Some((key, one[key].as_str()?.to_owned())));
            let Some(identity) = identity else { continue };
            let Some(place) = self.model.repo(repo).place(identity.0, &identity.1) else { continue };
            let key = (repo.to_owned(), place);
            let at = self.check_write(run, &key, &identity, &wanted);
            self.check_limit(run, &key, status);
            let request = &self.model.repo(repo).requests[place];
            let (before, writes_before) = (request.status, request.writes);
            let by_person = self.decided_by_person.get(&key).filter(|_| before != status);
            let overrules = by_person.copied().zip(at);
            writes.push(Write { key, name: identity.1, status, writes: writes_before, overrules });
        }
        writes
    }

    /// Records a write, if the Hub has carried it out.
    fn apply(&mut self, run: usize, Write { key, name, status, writes, overrules }: Write) {
        let lag = self.model.lag;
        if self.model.repo(&key.0).requests[key.1].writes == writes {
            return;
        }
        if let Some((decided, listed)) = overrules {
            self.count("verdict of a person overruled, made after the page was read");
            if decided + lag <= listed {
                self.violation(format!(
                    "run {run} overrules the verdict of a person about {key:?}, made before the page was read"
                ));
            }
        }
        self.changed(&key, status, Some(run));
        self.runs[run].unconcluded.insert((key.clone(), name));
    }
}
