//! The commands that read and change access requests: `list`, `accept`, `reject`, `reset`, `cancel`, `grant`, `revoke` and
//! `export`.

use std::time::Duration;

use serde_json::json;

use crate::hub::{Batch, Fault, Gating, Hub, Person, Quota, Role, Status};
use crate::support::{ask, staff, stranger};
use crate::{doorman, doorman_in};

const REPOS: [&str; 2] = ["acme/model", "datasets/acme/corpus"];

/// The users that `doorman list --json` shows, in alphabetical order.
async fn listed(hub: &Hub, repo: &str, status: &str) -> Vec<String> {
    let list = doorman(hub, &format!("list {repo} --status {status} --json")).await.json();
    let mut users: Vec<String> = list
        .as_array()
        .expect("a list")
        .iter()
        .map(|request| request["user"].as_str().expect("a user").to_owned())
        .collect();
    users.sort();
    users
}

#[tokio::test]
async fn list_reports_a_full_page_without_a_link() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", (0..1001).map(|number| staff(&format!("user{number}"))));
    doorman(&hub, "list acme/model").await.out();
    hub.model().links_pages = false;
    for command in ["list acme/model", "list acme/model --json", "list acme/model --csv"] {
        doorman(&hub, command).await.failed(3, &["more requests may follow", "doorman export acme/model"]);
    }
}

/// The commands can do all that `huggingface_hub` can do with access requests.
#[tokio::test]
async fn every_call_about_access_requests_has_a_command() {
    for repo in REPOS {
        let hub = Hub::start().await;
        ask(&hub, repo, ["ada", "bob", "eve", "kim"].map(staff));
        hub.model().people.push(stranger("guest"));
        assert_eq!(listed(&hub, repo, "pending").await, ["ada", "bob", "eve", "kim"]);

        assert_eq!(
            doorman(&hub, &format!("accept {repo} ada bob eve")).await.out(),
            "ada\taccepted\t\nbob\taccepted\t\neve\taccepted\t\n"
        );
        assert_eq!(listed(&hub, repo, "accepted").await, ["ada", "bob", "eve"]);

        let command = ["reject", repo, "kim", "--reason", "We cannot ship there."];
        assert_eq!(doorman_in(&hub, &[], &command).await.out(), "kim\trejected\t\n");
        assert_eq!(listed(&hub, repo, "rejected").await, ["kim"]);
        assert_eq!(hub.model().repo(repo).request("kim").reason.as_deref(), Some("We cannot ship there."));

        assert_eq!(doorman(&hub, &format!("cancel {repo} ada")).await.out(), "ada\tpending\t\n");
        assert_eq!(listed(&hub, repo, "pending").await, ["ada"]);

        let command = ["reset", repo, "ada", "--reason", "Say more."];
        assert_eq!(doorman_in(&hub, &[], &command).await.out(), "ada\treset\t\n");
        assert_eq!(listed(&hub, repo, "reset").await, ["ada"]);
        assert_eq!(hub.model().repo(repo).request("ada").reason.as_deref(), Some("Say more."));

        assert_eq!(doorman(&hub, &format!("grant {repo} guest")).await.out(), "guest\taccepted\t\n");
        assert_eq!(listed(&hub, repo, "accepted").await, ["bob", "eve", "guest"]);

        let command = ["revoke", repo, "bob", "--reason", "Broken."];
        assert_eq!(doorman_in(&hub, &[], &command).await.out(), "bob\treset\t\n");
        assert_eq!(hub.model().repo(repo).request("bob").reason.as_deref(), Some("Broken."));
        assert_eq!(doorman(&hub, &format!("revoke {repo} eve --final")).await.out(), "eve\trejected\t\n");
        assert_eq!(listed(&hub, repo, "rejected").await, ["eve", "kim"]);
        assert_eq!(listed(&hub, repo, "reset").await, ["ada", "bob"]);
    }
}

#[tokio::test]
async fn list_shows_requests_as_text_csv_and_json() {
    let hub = Hub::start().await;
    let ada =
        staff("ada").answer("Country", "CH").answer("Why", "=1+1, \"so\"\tthere\u{1b}[2J\u{9b}1m\u{202e}");
    ask(&hub, "acme/model", [ada, Person { email: None, ..stranger("eve") }]);
    hub.model().repo("acme/model").requests[1].requested_at = "2026-10-05T08:00:00Z".parse().expect("a time");
    hub.model().repo("acme/model").requests[0].requested_at =
        "2026-10-05T08:00:00.5Z".parse().expect("a time");

    assert_eq!(
        doorman(&hub, "list acme/model").await.out(),
        "ada\tada the Tester\tada@acme.com\t2026-10-05T08:00:00Z\tCountry: CH\tWhy: =1+1, \"so\" there\u{fffd}[2J\u{fffd}1m\u{fffd}\n\
         eve\teve the Tester\t\t2026-10-05T08:00:00Z\n"
    );
    assert_eq!(
        doorman(&hub, "list acme/model --csv").await.out(),
        "user,fullname,email,request_id,requested_at,reviewed_at,granted_by,Country,Why\n\
         ada,ada the Tester,ada@acme.com,request-ada,2026-10-05T08:00:00Z,,,CH,\"'=1+1, \"\"so\"\"\tthere[2J1m\"\n\
         eve,eve the Tester,,request-eve,2026-10-05T08:00:00Z,,,,\n"
    );
    let list = doorman(&hub, "list acme/model --json").await;
    assert!(!list.out.contains(['\u{1b}', '\u{9b}', '\u{202e}']), "{}", list.out);
    let expected = json!([
        {"user": "ada", "fullname": "ada the Tester", "email": "ada@acme.com", "request_id": "request-ada",
            "requested_at": "2026-10-05T08:00:00.500Z", "reviewed_at": null, "granted_by": null,
            "fields": {"Country": "CH", "Why": "=1+1, \"so\"\tthere\u{1b}[2J\u{9b}1m\u{202e}"}},
        {"user": "eve", "fullname": "eve the Tester", "email": null, "request_id": "request-eve",
            "requested_at": "2026-10-05T08:00:00Z", "reviewed_at": null, "granted_by": null, "fields": {}},
    ]);
    assert_eq!(list.json(), expected);
    assert!(doorman(&hub, "list acme/model").await.err.contains("2 pending requests"));
}

#[tokio::test]
async fn list_reads_all_pages_and_can_search() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", (0..35).map(|number| staff(&format!("user{number:02}"))));
    hub.model().max_page = 10;
    assert_eq!(listed(&hub, "acme/model", "pending").await.len(), 35);
    let found = doorman(&hub, "list acme/model --search USER1").await.out();
    assert_eq!(found.lines().count(), 10, "{found}");
    let found = doorman_in(&hub, &[], &["list", "acme/model", "--search", "user0&limit=1"]).await;
    assert_eq!((found.status, &*found.out), (0, ""), "`&limit=1` is part of the text");
}

#[tokio::test]
async fn list_shows_who_granted_access() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", [staff("ada")]);
    hub.model().people.push(stranger("guest"));
    doorman(&hub, "grant acme/model guest ada").await.out();
    let requests = doorman(&hub, "list acme/model --status accepted --json").await.json();
    let entry = |user: &str| {
        requests
            .as_array()
            .expect("a list")
            .iter()
            .find(|request| request["user"] == user)
            .expect(user)
            .clone()
    };
    assert_eq!(entry("guest")["granted_by"], "owner");
    assert_eq!(entry("ada")["granted_by"], "owner", "the Hub names who accepted her");
    assert!(entry("ada")["reviewed_at"].is_string());
}

#[tokio::test]
async fn hidden_requester_is_named_by_request_id() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", ["ada", "bob"].map(staff));
    hub.model().repo("acme/model").hides_requesters = true;
    let list = doorman(&hub, "list acme/model").await.out();
    let names: Vec<&str> = list.lines().filter_map(|line| line.split('\t').next()).collect();
    assert_eq!(names, ["request:request-ada", "request:request-bob"]);
    let accepted = doorman(&hub, "accept acme/model request:request-ada request:request-bob").await.out();
    assert_eq!(accepted.lines().count(), 2);
    assert_eq!(hub.users("acme/model", Status::Accepted), ["ada", "bob"]);
}

#[tokio::test]
async fn unknown_user_does_not_stop_the_other_decisions() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", ["ada", "bob"].map(staff));
    hub.model().people.push(stranger("idle"));
    for batch in [Batch::Any, Batch::Unknown] {
        hub.model().batch = batch;
        let result = doorman(&hub, "accept acme/model ada nobody idle request:gone bob").await;
        assert_eq!(result.status, 1, "{}{}", result.out, result.err);
        let lines: Vec<&str> = result.out.lines().collect();
        assert_eq!(lines[1], "nobody\tnot changed\tno such user on the Hub");
        for (line, user) in [(lines[2], "idle"), (lines[3], "request:gone")] {
            assert!(
                line.starts_with(&format!("{user}\tnot changed\thas not asked for access here")),
                "{line}"
            );
            assert!(line.contains("`doorman grant`"), "{line}");
        }
        assert_eq!([lines[0], lines[4]], ["ada\taccepted\t", "bob\taccepted\t"], "{batch:?}");
        assert_eq!(hub.users("acme/model", Status::Accepted), ["ada", "bob"]);
        doorman(&hub, "cancel acme/model ada bob").await.out();
    }
}

#[tokio::test]
async fn requests_are_decided_in_batches_and_reported_in_order() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", (0..250).map(|number| staff(&format!("user{number:03}"))));
    let users: Vec<String> = (0..250).map(|number| format!("user{number:03}")).collect();
    let command: Vec<&str> =
        ["accept", "acme/model"].into_iter().chain(users.iter().map(String::as_str)).collect();
    let out = doorman_in(&hub, &[], &command).await.out();
    let expected: Vec<String> = users.iter().map(|user| format!("{user}\taccepted\t")).collect();
    assert_eq!(out.lines().collect::<Vec<_>>(), expected);
    assert_eq!(hub.calls().len(), 3);
    assert_eq!(hub.users("acme/model", Status::Accepted).len(), 250);
}

#[tokio::test]
async fn refused_batch_reports_the_outcome_of_each_user() {
    let hub = Hub::start().await;
    ask(
        &hub,
        "acme/model",
        (0..60).filter(|number| number % 2 == 0).map(|number| staff(&format!("user{number}"))),
    );
    hub.model().people.extend((0..60).map(|number| staff(&format!("user{number}"))));
    hub.model().batch = Batch::Unknown;
    let users: Vec<String> = (0..60).map(|number| format!("user{number}")).collect();
    let command: Vec<&str> =
        ["reject", "acme/model"].into_iter().chain(users.iter().map(String::as_str)).collect();
    let out = doorman_in(&hub, &[], &command).await.out;
    for (number, line) in out.lines().enumerate() {
        let expected = if number % 2 == 0 { "rejected" } else { "not changed" };
        assert!(line.starts_with(&format!("user{number}\t{expected}\t")), "{line}");
    }
}

#[tokio::test]
async fn accept_waits_for_the_rate_limit() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", [staff("ada")]);
    hub.model().quota = Quota { used: 1000, ..Quota::new(1000, Duration::from_secs(6)) };
    let result = doorman(&hub, "accept acme/model ada").await;
    assert!(
        result.err.contains("the Hub takes no calls with this HF_TOKEN for another ")
            && result.err.lines().count() == 1,
        "{}",
        result.err
    );
    assert_eq!(result.out(), "ada\taccepted\t\n");
}

#[tokio::test]
async fn write_is_retried_after_a_lost_response() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", [staff("ada")]);
    hub.model().people.push(stranger("guest"));
    hub.model().fault("handle", Fault::DropAfter);
    assert_eq!(doorman(&hub, "accept acme/model ada").await.out(), "ada\taccepted\t\n");
    hub.model().fault("grant", Fault::DropAfter);
    assert_eq!(doorman(&hub, "grant acme/model guest").await.out(), "guest\taccepted\t\n");
    let result = doorman(&hub, "grant acme/model guest").await;
    assert_eq!((result.status, &*result.out), (0, "guest\taccepted\talready\n"));
}

/// The second command does not know that the request is accepted already.
#[tokio::test]
async fn repeated_accept_succeeds_and_writes_once() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", ["ada", "bob"].map(staff));
    hub.model().repo("acme/model").hides_requesters = true;
    for user in ["ada", "request:request-bob"] {
        doorman(&hub, &format!("accept acme/model {user}")).await.out();
    }
    let again = doorman(&hub, "accept acme/model request:request-bob").await.out();
    assert_eq!(again, "request:request-bob\taccepted\talready\n");
    hub.model().repo("acme/model").hides_requesters = false;
    assert_eq!(doorman(&hub, "accept acme/model ada").await.out(), "ada\taccepted\talready\n");
    assert_eq!(hub.model().repo("acme/model").request("ada").writes, 1);
}

/// `reset` would let a rejected user ask again, so `revoke` reports the request and leaves it rejected.
#[tokio::test]
async fn revoke_does_not_change_a_rejected_request() {
    for repo in REPOS {
        let hub = Hub::start().await;
        ask(&hub, repo, ["ada", "bob", "kim"].map(staff));
        doorman(&hub, &format!("accept {repo} ada bob")).await.out();
        doorman(&hub, &format!("reject {repo} kim")).await.out();
        let result = doorman(&hub, &format!("revoke {repo} ada kim bob")).await;
        let expected = "ada\treset\t\nkim\tnot changed\thas no access, because the request is \
                        rejected; `doorman reset` lets the user ask again\nbob\treset\t\n";
        assert_eq!((result.status, &*result.out), (1, expected));
        assert_eq!(hub.users(repo, Status::Rejected), ["kim"]);
        let before = hub.calls().len();
        let requests: Vec<String> = (0..20).map(|_| "request:request-kim".to_owned()).collect();
        let command: Vec<&str> =
            ["revoke", repo].into_iter().chain(requests.iter().map(String::as_str)).collect();
        assert_eq!(doorman_in(&hub, &[], &command).await.status, 1);
        assert_eq!(
            (hub.users(repo, Status::Rejected), hub.calls().len() - before),
            (vec!["kim".to_owned()], 1)
        );
        doorman(&hub, &format!("reset {repo} kim")).await.out();
        assert_eq!(hub.users(repo, Status::Reset), ["ada", "bob", "kim"]);
    }
}

#[tokio::test]
async fn list_ends_if_its_pages_link_in_a_circle() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", (0..15).map(|number| staff(&format!("user{number:02}"))));
    hub.model().max_page = 10;
    let page =
        format!("{}/api/models/acme/model/user-access-request/pending?limit=1000&cursor=10", hub.endpoint());
    hub.model().next_page = Some(page);
    assert_eq!(listed(&hub, "acme/model", "pending").await.len(), 15);
}

#[tokio::test]
async fn error_names_the_call_the_response_and_the_remedy() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", [staff("ada")]);
    hub.model().repo("acme/model").role = Role::Read;
    let expected = [
        "doorman: acme/model: POST /api/models/acme/model/user-access-request/handle",
        "the Hub answered 403",
    ];
    let result = doorman(&hub, "accept acme/model ada").await;
    result.failed(1, &expected);
    result.failed(1, &["You have read access", "(request id ", "; give HF_TOKEN write access"]);
    assert_eq!(result.out, "ada\tfailed\t\n");
    for command in ["list acme/model", "list acme/model --json"] {
        let result = doorman(&hub, command).await;
        result.failed(
            1,
            &["acme/model/user-access-request/pending", "403", "(request id ", "give HF_TOKEN write access"],
        );
        assert_eq!(result.out, "");
    }
    doorman(&hub, "export acme/model")
        .await
        .failed(1, &["acme/model/user-access-report", "404", "HF_TOKEN does not see it"]);
    doorman(&hub, "list acme/nowhere").await.failed(1, &["acme/nowhere", "404 RepoNotFound", "(request id "]);
    hub.model().repo("acme/model").role = Role::Write;
    hub.model().repo("acme/model").gating = Gating::Off;
    doorman(&hub, "grant acme/model ada")
        .await
        .failed(1, &["acme/model", "400 RepoNotGated", "(request id "]);
    let result = doorman_in(&hub, &[("HF_TOKEN", "hf_wrong")], &["list", "acme/model"]).await;
    result.failed(1, &["401", "(request id ", "put a valid token into HF_TOKEN"]);
}

#[tokio::test]
async fn wrong_arguments_are_refused_before_any_call() {
    let hub = Hub::start().await;
    let (long, longer) = ("x".repeat(201), "x".repeat(251));
    let cases: [(&[&str], &str); 12] = [
        (&["reject", "acme/model", "ada", "--reason", &long], "201 characters; the Hub takes at most 200"),
        (&["reset", "acme/model", "ada", "--reason", " "], "write a reason, or leave --reason out"),
        (&["accept", "acme/model", "ada", "--reason", "x"], "unexpected argument '--reason'"),
        (&["accept", "acme/model"], "<USER>"),
        (&["accept", "acme/model", "a/b"], "neither the name of a user"),
        (&["accept", "acme/*", "ada"], "name one repo"),
        (&["grant", "acme/model", "ada", "request:r1"], "`request:r1`: `grant` takes names; `accept`"),
        (&["list", "acme/model", "--search", &longer], "251 characters; the Hub takes at most 250"),
        (&["list", "acme/model", "--json", "--csv"], "cannot be used with"),
        (&["list", "acme/model", "--status", "waiting"], "pending, accepted, rejected, reset"),
        (&["list", "https://huggingface.co/spaces/acme/app"], "nothing else can be gated"),
        (&["export", "acme/model/x"], "is not the name of a repo"),
    ];
    for (command, expected) in cases {
        doorman_in(&hub, &[], command).await.failed(2, &[expected]);
    }
    let result = doorman_in(&hub, &[("HF_TOKEN", ""), ("CONCURRENCY", "0")], &["list", "acme/model"]).await;
    result.failed(2, &["2 faults", "HF_TOKEN: not set", "`hf auth login`", "CONCURRENCY: `0`"]);
    assert!(hub.calls().is_empty());
}

#[tokio::test]
async fn dry_run_changes_no_request() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", [staff("ada")]);
    for command in [
        &["accept", "acme/model", "ada"][..],
        &["grant", "acme/model", "ada"],
        &["revoke", "acme/model", "ada", "--final"],
    ] {
        let result = doorman_in(&hub, &[("DRY_RUN", "true")], command).await;
        assert!(result.err.contains("DRY_RUN is true, so nothing was changed"), "{}", result.err);
        assert_eq!(result.out(), "ada\tdry run\t\n");
    }
    assert!(hub.calls().is_empty());
}

#[tokio::test]
async fn export_writes_json_and_csv() {
    for repo in REPOS {
        let hub = Hub::start().await;
        ask(&hub, repo, ["ada", "bob"].map(staff));
        hub.model().people.push(Person { fullname: "@SUM(1)".to_owned(), ..stranger("guest") });
        doorman(&hub, &format!("grant {repo} guest")).await.out();
        doorman(&hub, &format!("reject {repo} bob")).await.out();
        for format in ["", " --json"] {
            let report = doorman(&hub, &format!("export {repo}{format}")).await.json();
            assert_eq!(report, hub.model().repo(repo).report());
        }
        let csv = doorman(&hub, &format!("export {repo} --csv")).await.out();
        let lines: Vec<&str> = csv.lines().collect();
        assert_eq!(lines[0], "user,fullname,email,status,time,reviewedAt,grantedBy");
        assert!(lines[1].starts_with("ada,ada the Tester,ada@acme.com,pending,20"), "{csv}");
        assert!(lines[1].ends_with(",,"), "{csv}");
        assert!(lines[2].starts_with("bob,bob the Tester,bob@acme.com,rejected,20"), "{csv}");
        assert!(lines[3].starts_with("guest,'@SUM(1),,accepted,20") && lines[3].ends_with(",owner"), "{csv}");
    }
}
