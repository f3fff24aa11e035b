//! `list`, the verdicts of a person, and `export`.

use std::time::Duration;

use serde_json::json;

use super::{doorman, doorman_in};
use crate::hub::{Batch, Fault, Gating, Hub, Person, Quota, Role, Status};
use crate::support::{ask, staff, stranger};

const REPOS: [&str; 2] = ["acme/model", "datasets/acme/corpus"];

/// The users on a list, as `doorman list` shows them to a program.
async fn listed(hub: &Hub, repo: &str, status: &str) -> Vec<String> {
    let people = doorman(hub, &format!("list {repo} --status {status} --json")).await.json();
    let mut users: Vec<String> = people
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| one["user"].as_str().expect("a user").to_owned())
        .collect();
    users.sort();
    users
}

#[tokio::test]
async fn list_says_that_it_may_go_on_behind_a_full_page_without_a_link() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", (0..1001).map(|number| staff(&format!("user{number}"))));
    doorman(&hub, "list acme/model").await.out();
    hub.model().links_pages = false;
    for command in ["list acme/model", "list acme/model --json", "list acme/model --csv"] {
        doorman(&hub, command).await.failed(3, &["more people may follow", "doorman export acme/model"]);
    }
}

#[tokio::test]
async fn whatever_the_hubs_own_client_can_do_with_a_gate_has_its_command() {
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
async fn a_list_shows_people_and_their_answers_in_three_forms() {
    let hub = Hub::start().await;
    let formula =
        staff("ada").answer("Country", "CH").answer("Why", "=1+1, \"so\"\tthere\u{1b}[2J\u{9b}1m\u{202e}");
    ask(&hub, "acme/model", [formula, Person { email: None, ..stranger("eve") }]);
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
    let people = doorman(&hub, "list acme/model --json").await;
    assert!(!people.out.contains(['\u{1b}', '\u{9b}', '\u{202e}']), "{}", people.out);
    let expected = json!([
        {"user": "ada", "fullname": "ada the Tester", "email": "ada@acme.com", "request_id": "request-ada",
            "requested_at": "2026-10-05T08:00:00.500Z", "reviewed_at": null, "granted_by": null,
            "fields": {"Country": "CH", "Why": "=1+1, \"so\"\tthere\u{1b}[2J\u{9b}1m\u{202e}"}},
        {"user": "eve", "fullname": "eve the Tester", "email": null, "request_id": "request-eve",
            "requested_at": "2026-10-05T08:00:00Z", "reviewed_at": null, "granted_by": null, "fields": {}},
    ]);
    assert_eq!(people.json(), expected);
    assert!(doorman(&hub, "list acme/model").await.err.contains("2 people pending"));
}

#[tokio::test]
async fn a_list_has_all_its_pages_and_a_search_only_whom_it_finds() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", (0..35).map(|number| staff(&format!("user{number:02}"))));
    hub.model().max_page = 10;
    assert_eq!(listed(&hub, "acme/model", "pending").await.len(), 35);
    let found = doorman(&hub, "list acme/model --search USER1").await.out();
    assert_eq!(found.lines().count(), 10, "{found}");
    let found = doorman_in(&hub, &[], &["list", "acme/model", "--search", "user0&limit=1"]).await;
    assert_eq!((found.status, &*found.out), (0, ""), "it is part of what is searched for");
}

#[tokio::test]
async fn who_was_let_in_without_asking_is_listed_with_who_did_it() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", [staff("ada")]);
    hub.model().people.push(stranger("guest"));
    doorman(&hub, "grant acme/model guest ada").await.out();
    let people = doorman(&hub, "list acme/model --status accepted --json").await.json();
    let of = |user: &str| {
        people.as_array().expect("a list").iter().find(|one| one["user"] == user).expect(user).clone()
    };
    assert_eq!(of("guest")["granted_by"], "owner");
    assert_eq!(of("ada")["granted_by"], "owner", "the Hub says who accepted her");
    assert!(of("ada")["reviewed_at"].is_string());
}

#[tokio::test]
async fn whom_a_repo_does_not_share_is_named_by_the_request() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", ["ada", "bob"].map(staff));
    hub.model().repo("acme/model").hides_requesters = true;
    let people = doorman(&hub, "list acme/model").await.out();
    let names: Vec<&str> = people.lines().filter_map(|line| line.split('\t').next()).collect();
    assert_eq!(names, ["request:request-ada", "request:request-bob"]);
    let accepted = doorman(&hub, "accept acme/model request:request-ada request:request-bob").await.out();
    assert_eq!(accepted.lines().count(), 2);
    assert_eq!(hub.users("acme/model", Status::Accepted), ["ada", "bob"]);
}

#[tokio::test]
async fn of_many_it_is_said_what_became_of_each_and_one_that_fails_keeps_none_of_the_others() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", ["ada", "bob"].map(staff));
    hub.model().people.push(stranger("idle"));
    for batch in [Batch::Any, Batch::Unknown] {
        hub.model().batch = batch;
        let ended = doorman(&hub, "accept acme/model ada nobody idle request:gone bob").await;
        assert_eq!(ended.status, 1, "{}{}", ended.out, ended.err);
        let lines: Vec<&str> = ended.out.lines().collect();
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
async fn hundreds_are_decided_in_a_few_calls_and_each_in_their_place() {
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
async fn what_a_batch_that_is_refused_comes_to_is_told_of_the_right_people() {
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
async fn a_verdict_of_a_person_waits_for_the_hubs_limit() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", [staff("ada")]);
    hub.model().quota = Quota { used: 1000, ..Quota::new(1000, Duration::from_secs(6)) };
    let ended = doorman(&hub, "accept acme/model ada").await;
    assert!(
        ended.err.contains("the Hub wants no call with this HF_TOKEN for another ")
            && ended.err.lines().count() == 1,
        "{}",
        ended.err
    );
    assert_eq!(ended.out(), "ada\taccepted\t\n");
}

#[tokio::test]
async fn an_answer_that_is_lost_is_asked_for_again() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", [staff("ada")]);
    hub.model().people.push(stranger("guest"));
    hub.model().fault("handle", Fault::DropAfter);
    assert_eq!(doorman(&hub, "accept acme/model ada").await.out(), "ada\taccepted\t\n");
    hub.model().fault("grant", Fault::DropAfter);
    assert_eq!(doorman(&hub, "grant acme/model guest").await.out(), "guest\taccepted\t\n");
    let ended = doorman(&hub, "grant acme/model guest").await;
    assert_eq!((ended.status, &*ended.out), (0, "guest\taccepted\talready\n"));
}

#[tokio::test]
async fn what_is_said_twice_is_done_once_and_well_both_times() {
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

#[tokio::test]
async fn who_has_not_asked_is_told_of_grant() {
    let hub = Hub::start().await;
    hub.model().add("acme/model");
    hub.model().people.push(stranger("guest"));
    let ended = doorman(&hub, "accept acme/model guest").await;
    let expected =
        "guest\tnot changed\thas not asked for access here; `doorman grant` lets in who has not asked\n";
    assert_eq!((ended.status, &*ended.out), (1, expected));
}

#[tokio::test]
async fn who_was_turned_away_for_good_stays_so_when_access_is_revoked() {
    for repo in REPOS {
        let hub = Hub::start().await;
        ask(&hub, repo, ["ada", "bob", "kim"].map(staff));
        doorman(&hub, &format!("accept {repo} ada bob")).await.out();
        doorman(&hub, &format!("reject {repo} kim")).await.out();
        let ended = doorman(&hub, &format!("revoke {repo} ada kim bob")).await;
        let expected =
            "ada\treset\t\nkim\tnot changed\thas no access, and was turned away for good\nbob\treset\t\n";
        assert_eq!((ended.status, &*ended.out), (1, expected));
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
async fn a_list_whose_pages_go_in_a_circle_ends() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", (0..15).map(|number| staff(&format!("user{number:02}"))));
    hub.model().max_page = 10;
    let page =
        format!("{}/api/models/acme/model/user-access-request/pending?limit=1000&cursor=10", hub.endpoint());
    hub.model().next_page = Some(page);
    assert_eq!(listed(&hub, "acme/model", "pending").await.len(), 15);
}

#[tokio::test]
async fn an_error_says_what_failed_where_what_the_hub_said_and_what_to_do() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", [staff("ada")]);
    hub.model().repo("acme/model").role = Role::Read;
    let said = [
        "doorman: acme/model: POST /api/models/acme/model/user-access-request/handle",
        "the Hub answered 403",
    ];
    let ended = doorman(&hub, "accept acme/model ada").await;
    ended.failed(1, &said);
    ended.failed(1, &["You have read access", "(request id ", "; give HF_TOKEN write access"]);
    assert_eq!(ended.out, "ada\tfailed\t\n");
    for command in ["list acme/model", "list acme/model --json"] {
        let ended = doorman(&hub, command).await;
        ended.failed(
            1,
            &["acme/model/user-access-request/pending", "403", "(request id ", "give HF_TOKEN write access"],
        );
        assert_eq!(ended.out, "");
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
    let ended = doorman_in(&hub, &[("HF_TOKEN", "hf_wrong")], &["list", "acme/model"]).await;
    ended.failed(1, &["401", "(request id ", "put a valid token into HF_TOKEN"]);
}

#[tokio::test]
async fn what_is_wrong_with_a_command_is_said_before_any_call() {
    let hub = Hub::start().await;
    let (long, longer) = ("x".repeat(201), "x".repeat(251));
    let cases: [(&[&str], &str); 12] = [
        (&["reject", "acme/model", "ada", "--reason", &long], "201 characters; the Hub takes at most 200"),
        (&["reset", "acme/model", "ada", "--reason", " "], "leave it out or say something"),
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
    let ended = doorman_in(&hub, &[("HF_TOKEN", ""), ("CONCURRENCY", "0")], &["list", "acme/model"]).await;
    ended.failed(2, &["2 faults", "HF_TOKEN: not set", "`hf auth login`", "CONCURRENCY: `0`"]);
    assert!(hub.calls().is_empty());
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", [staff("ada")]);
    for command in [
        &["accept", "acme/model", "ada"][..],
        &["grant", "acme/model", "ada"],
        &["revoke", "acme/model", "ada", "--final"],
    ] {
        let ended = doorman_in(&hub, &[("DRY_RUN", "true")], command).await;
        assert!(ended.err.contains("DRY_RUN is true, so nothing was changed"), "{}", ended.err);
        assert_eq!(ended.out(), "ada\tdry run\t\n");
    }
    assert!(hub.calls().is_empty());
}

#[tokio::test]
async fn the_access_report_is_written_as_json_and_as_csv() {
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
