//! The Hub's mail about a request: which mail prompts a look, at which repos, and what it costs.

use std::io;
use std::time::{Duration, Instant};

use chrono::Utc;
use hub_doorman::handler::Handler;
use hub_doorman::report::metrics::Metrics;
use serde_json::{Value, json};

use crate::hub::{Fault, Hub, Person, Quota, Status};
use crate::logs::Logs;
use crate::support::{
    HALF_A_MINUTE, POLICY, SECRET, ask, config_with, deliver, doorman_with, hub_with, invoke, model,
    searches_and_reviews, staff, stranger, sweep, sweep_within,
};

const LOCAL_PART: &str = "look-here-4f9a2c7d1b";

/// The event of a mail with this subject that arrived this long ago.
fn mail_since(subject: &str, ago: Duration) -> Value {
    let from = "Hugging Face <gated_user_access_request@notifications.huggingface.co>";
    let arrived = (Utc::now() - ago).to_rfc3339();
    let pass = json!({"status": "PASS"});
    json!({"Records": [{"eventSource": "aws:ses", "eventVersion": "1.0", "ses": {
        "mail": {"headersTruncated": false, "headers": [{"name": "From", "value": from}],
            "commonHeaders": {"from": [from], "subject": subject}},
        "receipt": {"timestamp": arrived, "recipients": [format!("{LOCAL_PART}@doorman.acme.com")],
            "spamVerdict": pass, "virusVerdict": pass, "dkimVerdict": pass, "dmarcVerdict": pass}}}]})
}

fn mail(subject: &str) -> Value {
    mail_since(subject, Duration::ZERO)
}

/// The same mail with another value at this place.
fn changed(mut mail: Value, place: &str, value: Value) -> Value {
    *mail.pointer_mut(&format!("/Records/0/ses/{place}")).expect("a place") = value;
    mail
}

fn doorman(hub: &Hub, repos: &str) -> Handler {
    doorman_with(hub, &[("MAIL_SECRET", LOCAL_PART), ("REPOS", repos)])
}

async fn deliver_mail(doorman: &Handler, mail: &Value) -> Value {
    invoke(doorman, mail, HALF_A_MINUTE).await.expect("a mail never fails")
}

/// A person asks just now.
fn ask_now(hub: &Hub, repo: &str, person: Person) {
    hub.model().repo(repo).ask_at(person, Utc::now());
}

#[tokio::test]
async fn mail_that_names_a_repo_decides_there_with_two_calls() {
    let hub = hub_with(3).await;
    ask_now(&hub, &model(1), staff("ada"));
    let report =
        deliver_mail(&doorman(&hub, "acme/model000 acme/model001"), &mail("ada: acme/model001")).await;
    assert_eq!(report["status"], "reviewed", "{report}");
    assert_eq!(hub.users(&model(1), Status::Accepted), ["ada"]);
    assert_eq!(hub.calls().len(), 2, "{:?}", hub.calls());
    assert!(report["wait_s"]["max"].as_u64().expect("a wait") < 60, "{report}");
}

/// Each of these mails, and the calls that it may cost: the repos that it names, or all.
#[tokio::test]
async fn calls_of_a_mail_are_those_of_its_repos() {
    let ten = (0..10).map(model).collect::<Vec<_>>().join(" ");
    let to_all: Vec<String> = (0..12).map(model).collect();
    let named = |names: &[usize]| names.iter().map(|number| model(*number)).collect::<Vec<_>>();
    let truncated = changed(mail("acme/model002"), "mail/headersTruncated", json!(true));
    let without_subject = changed(mail(""), "mail/commonHeaders/subject", Value::Null);
    let cases = [
        ("one repo", mail("acme/model002"), named(&[2])),
        ("ten repos", mail(&ten), named(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9])),
        ("another case", mail("ACME/Model002"), vec!["ACME/Model002".to_owned()]),
        ("truncated headers", truncated, named(&[2])),
        ("no subject", without_subject, to_all.clone()),
        ("a repo outside of REPOS", mail("other/model"), to_all.clone()),
        ("one inside and one outside", mail("acme/model002 and other/model"), named(&[2])),
    ];
    for (what, mail, expected) in cases {
        let hub = hub_with(12).await;
        for number in 0..12 {
            ask_now(&hub, &model(number), stranger("ada"));
        }
        let repos: Vec<String> = (0..12).map(model).collect();
        let report = deliver_mail(&doorman(&hub, &repos.join(" ")), &mail).await;
        let (searches, mut reviews) = searches_and_reviews(&hub);
        reviews.sort();
        assert_eq!((searches, &reviews), (0, &expected), "{what}: {report}");
        assert_eq!(hub.calls().len(), expected.len(), "{what}: each has its newcomer in the first look");
    }
}

#[tokio::test]
async fn mail_that_may_not_prompt_makes_no_call_and_is_counted() {
    let other_secret = json!(["look-here-4f9a2c7d1c@doorman.acme.com"]);
    let fail = json!({"status": "FAIL"});
    let cases = [
        ("wrong secret", changed(mail("acme/model000"), "receipt/recipients", other_secret)),
        ("forged sender", changed(mail("acme/model000"), "receipt/dmarcVerdict", fail.clone())),
        ("spam", changed(mail("acme/model000"), "receipt/spamVerdict", fail)),
        (
            "a domain that ends alike",
            changed(mail("acme/model000"), "mail/commonHeaders/from", json!(["x@nothuggingface.co"])),
        ),
        (
            "two senders",
            changed(
                mail("acme/model000"),
                "mail/commonHeaders/from",
                json!(["x@huggingface.co", "y@evil.com"]),
            ),
        ),
    ];
    let (logs, _guard) = Logs::capture();
    for (what, mail) in cases {
        let hub = hub_with(1).await;
        ask_now(&hub, &model(0), staff("ada"));
        let report = deliver_mail(&doorman(&hub, "acme/model000"), &mail).await;
        assert_eq!(report["status"], "ignored", "{what}: {report}");
        assert_eq!(hub.calls(), [""; 0], "{what}");
        let unset = deliver_mail(&doorman_with(&hub, &[("REPOS", "acme/*")]), &mail).await;
        assert_eq!(
            (&unset["status"], hub.calls().len()),
            (&json!("ignored"), 0),
            "{what}: MAIL_SECRET is not set"
        );
    }
    let refused = logs.lines("mail refused").len();
    assert_eq!(refused, 10);
}

/// Anybody can send thousands of mails to the domain.
#[tokio::test]
async fn refused_mails_of_an_event_share_a_line_for_each_reason() {
    let hub = hub_with(1).await;
    let (logs, _guard) = Logs::capture();
    let other_secret = json!(["look-here-4f9a2c7d1c@doorman.acme.com"]);
    let wrong = changed(mail("acme/model000"), "receipt/recipients", other_secret);
    let forged = changed(mail("acme/model000"), "receipt/dmarcVerdict", json!({"status": "FAIL"}));
    let mails = [&forged, &wrong, &wrong, &forged, &wrong, &mail("acme/model000")];
    let records: Vec<&Value> = mails.iter().map(|mail| &mail["Records"][0]).collect();
    deliver_mail(&doorman(&hub, "acme/model000"), &json!({"Records": records})).await;
    let lines = logs.lines("mail refused");
    assert_eq!(lines.iter().map(|line| &line["mails"]).collect::<Vec<_>>(), [3, 2], "{lines:?}");
    assert!(lines[0]["why"].as_str().expect("a reason").contains("MAIL_SECRET"), "{lines:?}");
}

/// Delivers a mail about the first model, whose list shows the request of ada only after the first look.
async fn deliver_before_ada_asks(doorman: &Handler, hub: &Hub) {
    let (mail, before) = (mail(&model(0)), hub.calls().len());
    let ask_late = async {
        while hub.calls().len() == before {
            tokio::task::yield_now().await;
        }
        ask_now(hub, &model(0), staff("ada"));
    };
    hub.model().way_back = Duration::from_millis(50);
    tokio::join!(deliver_mail(doorman, &mail), ask_late);
}

#[tokio::test]
async fn list_that_lags_behind_the_mail_is_read_once_more() {
    let hub = hub_with(1).await;
    ask(&hub, &model(0), [stranger("mallory")]);
    let doorman = doorman(&hub, "acme/model000");
    deliver_before_ada_asks(&doorman, &hub).await;
    assert_eq!(hub.users(&model(0), Status::Accepted), ["ada"]);
    assert_eq!(searches_and_reviews(&hub).1.len(), 2);
}

/// By how much the Hub's list lags behind its mail is unknown. So the age of the mail does not matter.
#[tokio::test]
async fn look_that_finds_nobody_new_is_repeated_once() {
    for (ago, subject) in [(0, "acme/model000"), (3, "acme/model000"), (3, "somebody asks")] {
        let hub = hub_with(1).await;
        ask(&hub, &model(0), [stranger("mallory")]);
        let mail = mail_since(subject, Duration::from_secs(ago));
        deliver_mail(&doorman(&hub, &model(0)), &mail).await;
        assert_eq!(hub.calls().len(), 2, "{subject}, {ago} s ago: {:?}", hub.calls());
    }
}

/// Two seconds do not mend these.
#[tokio::test]
async fn look_that_was_refused_is_not_repeated() {
    for (status, subject) in
        [(401, "acme/model000"), (403, "acme/model000"), (404, "acme/model000"), (403, "x")]
    {
        let hub = hub_with(2).await;
        hub.model().faults(&model(0), &Fault::Status(status), 1000);
        let report = deliver_mail(&doorman(&hub, "acme/model000"), &mail(subject)).await;
        assert_eq!((&report["status"], hub.calls().len()), (&json!("deferred"), 1), "{status}: {report}");
        let both = mail("acme/model000 acme/model001");
        deliver_mail(&doorman(&hub, "acme/model000 acme/model001"), &both).await;
        let reviews = searches_and_reviews(&hub).1;
        let count = |number: usize| reviews.iter().filter(|repo| **repo == model(number)).count();
        assert_eq!((count(0), count(1)), (2, 2), "{status}: only the other repo is read again");
    }
}

/// The rate limit is used up for longer than the invocation lasts.
#[tokio::test]
async fn look_that_the_rate_limit_ends_is_not_repeated() {
    let hub = hub_with(2).await;
    hub.model().quota = Quota::new(1, Duration::from_secs(300));
    let (logs, _guard) = Logs::capture();
    let report = deliver_mail(&doorman(&hub, "acme/model000 acme/model001"), &mail("somebody asks")).await;
    assert_eq!((&report["status"], hub.calls().len()), (&json!("deferred"), 1), "{report}");
    assert_eq!(logs.lines("swept").len(), 1);
}

#[tokio::test]
async fn mail_about_what_was_read_since_prompts_nothing() {
    let hub = hub_with(2).await;
    let doorman = doorman(&hub, "acme/model000 acme/model001");
    sweep(&doorman).await;
    let calls = hub.calls().len();
    for subject in ["acme/model000", "no name", "acme/model001 acme/model000"] {
        let report = deliver_mail(&doorman, &mail_since(subject, Duration::from_secs(10))).await;
        assert_eq!(report["status"], "ignored", "{subject}: {report}");
    }
    assert_eq!(hub.calls().len(), calls);
    hub.model().faults(&model(1), &Fault::Status(500), 1000);
    let failing = doorman_with(&hub, &[("MAIL_SECRET", LOCAL_PART), ("REPOS", "acme/model001")]);
    sweep_within(&failing, Duration::from_secs(3)).await;
    hub.model().heal();
    ask_now(&hub, &model(1), staff("ada"));
    deliver_mail(&failing, &mail_since("acme/model001", Duration::from_secs(10))).await;
    assert_eq!(
        hub.users(&model(1), Status::Accepted),
        ["ada"],
        "a list that could not be read does not count"
    );
}

/// A name may be that of a model or of a dataset. A search tells which, and then it is known.
#[tokio::test]
async fn name_of_a_namespace_is_searched_once() {
    let hub = hub_with(2).await;
    hub.model().add("datasets/acme/corpus");
    let doorman = doorman(&hub, "acme/*");
    ask_now(&hub, "datasets/acme/corpus", staff("ada"));
    let report = deliver_mail(&doorman, &mail("acme/corpus")).await;
    assert_eq!(report["status"], "reviewed", "{report}");
    assert_eq!(hub.users("datasets/acme/corpus", Status::Accepted), ["ada"]);
    assert_eq!(hub.calls().len(), 4, "two searches, a page, a write: {:?}", hub.calls());
    ask_now(&hub, "datasets/acme/corpus", staff("bob"));
    deliver_mail(&doorman, &mail("acme/corpus")).await;
    assert_eq!(hub.users("datasets/acme/corpus", Status::Accepted), ["ada", "bob"]);
    assert_eq!(hub.calls().len(), 6, "a page and a write: {:?}", hub.calls());
}

/// Several mails may come in one event. The last one about a repo counts.
#[tokio::test]
async fn last_mail_about_a_repo_decides_whether_it_was_read() {
    let hub = hub_with(1).await;
    let doorman = doorman(&hub, "acme/model000");
    sweep(&doorman).await;
    ask_now(&hub, &model(0), staff("ada"));
    for (first, second) in [(60, 0), (0, 60)] {
        let [first, second] =
            [first, second].map(|ago| mail_since("acme/model000", Duration::from_secs(ago)));
        hub.model().repo(&model(0)).requests[0].set(Status::Pending, None);
        let records = [&first["Records"][0], &second["Records"][0]];
        deliver_mail(&doorman, &json!({"Records": records})).await;
        assert_eq!(hub.users(&model(0), Status::Accepted), ["ada"]);
    }
}

/// A mail that names no repo is about any of them, so all must have been read since.
#[tokio::test]
async fn incomplete_sweep_does_not_count_as_a_look_at_all() {
    let hub = hub_with(2).await;
    let doorman = doorman(&hub, "acme/model000 acme/model001");
    hub.model().faults(&model(1), &Fault::Status(500), 1000);
    sweep_within(&doorman, Duration::from_secs(3)).await;
    hub.model().heal();
    ask_now(&hub, &model(1), staff("ada"));
    deliver_mail(&doorman, &mail_since("a request", Duration::from_secs(10))).await;
    assert_eq!(hub.users(&model(1), Status::Accepted), ["ada"]);
    let named =
        |number: usize| searches_and_reviews(&hub).1.iter().filter(|name| **name == model(number)).count();
    assert_eq!(named(0), 1, "it was read after the mail arrived: {:?}", hub.calls());
}

/// A look whose search fails has not found out where the name is.
#[tokio::test]
async fn failed_search_is_repeated_by_the_second_look() {
    let hub = hub_with(2).await;
    for (repo, person) in [("datasets/acme/corpus", "ada"), ("datasets/acme/other", "bob")] {
        hub.model().add(repo);
        ask_now(&hub, repo, staff(person));
    }
    hub.model().faults("?author=acme", &Fault::Status(400), 2);
    let mail = mail("acme/corpus datasets/acme/other");
    let report = deliver_mail(&doorman(&hub, "acme/*"), &mail).await;
    assert_eq!(hub.users("datasets/acme/corpus", Status::Accepted), ["ada"], "{report}");
    assert_eq!(hub.users("datasets/acme/other", Status::Accepted), ["bob"], "{report}");
    assert_eq!(hub.calls().len(), 8, "four searches, two pages, two writes: {:?}", hub.calls());
    assert_eq!(report["repos"].as_array().expect("repos").len(), 2, "both looks are reported: {report}");
}

/// Of a model and a dataset with the same name, only one has the request.
#[tokio::test]
async fn request_in_one_of_two_namesakes_is_enough() {
    let hub = hub_with(1).await;
    hub.model().add(&format!("datasets/{}", model(0)));
    let doorman = doorman(&hub, "acme/*");
    sweep(&doorman).await;
    ask_now(&hub, &model(0), staff("ada"));
    let calls = hub.calls().len();
    deliver_mail(&doorman, &mail(&model(0))).await;
    assert_eq!(hub.users(&model(0), Status::Accepted), ["ada"]);
    assert_eq!(hub.calls().len(), calls + 3, "two pages and a write: {:?}", hub.calls());
}

#[tokio::test]
async fn excluded_repo_is_not_looked_at() {
    let hub = hub_with(2).await;
    for number in 0..2 {
        ask_now(&hub, &model(number), staff("ada"));
    }
    let doorman = doorman(&hub, "acme/* !acme/model001");
    for subject in ["acme/model000 acme/model001", "acme/model001"] {
        deliver_mail(&doorman, &mail(subject)).await;
    }
    assert_eq!(hub.users(&model(0), Status::Accepted), ["ada"]);
    assert_eq!(hub.users(&model(1), Status::Pending), ["ada"]);
}

#[tokio::test]
async fn dry_run_and_paused_policy_look_and_write_nothing() {
    let paused = POLICY.replacen('{', "{\"paused\": true, ", 1);
    for variables in
        [[("DRY_RUN", "true"), ("REPOS", "acme/*")], [("APPROVAL_POLICY", &paused), ("REPOS", "acme/*")]]
    {
        let hub = hub_with(1).await;
        ask_now(&hub, &model(0), staff("ada"));
        let doorman = doorman_with(&hub, &[&variables[..], &[("MAIL_SECRET", LOCAL_PART)]].concat());
        let report = deliver_mail(&doorman, &mail(&model(0))).await;
        assert_eq!(
            (&report["dry_run"], &report["repos"][0]["accepted"]),
            (&json!(true), &json!(1)),
            "{report}"
        );
        assert_eq!((hub.users(&model(0), Status::Pending), hub.calls().len()), (vec!["ada".to_owned()], 3));
    }
}

/// There is no time for the second look, and a mail about everything needs none if `REPOS` is not set.
#[tokio::test]
async fn mail_near_the_deadline_is_looked_at_once() {
    let hub = hub_with(1).await;
    for (time, looks) in [(Duration::from_millis(2500), 1), (Duration::from_millis(500), 0)] {
        let (calls, begun) = (hub.calls().len(), Instant::now());
        let answer =
            invoke(&doorman(&hub, "acme/model000"), &mail(&model(0)), time).await.expect("no failure");
        assert!(begun.elapsed() < time, "it ends before the deadline");
        assert_eq!(hub.calls().len() - calls, looks, "{time:?}: {answer}");
    }
    let doorman = doorman_with(&hub, &[("MAIL_SECRET", LOCAL_PART)]);
    let both = json!({"Records": [mail(&model(0))["Records"][0], mail("no name")["Records"][0]]});
    let calls = hub.calls().len();
    let report = deliver_mail(&doorman, &both).await;
    assert_eq!(report["repos"].as_array().expect("repos").len(), 1, "{report}");
    assert!((3..=4).contains(&(hub.calls().len() - calls)), "a model, perhaps a dataset, twice");
}

#[tokio::test]
async fn mail_without_repos_names_what_is_looked_at() {
    let hub = hub_with(1).await;
    ask_now(&hub, &model(0), staff("ada"));
    let doorman = doorman_with(&hub, &[("MAIL_SECRET", LOCAL_PART)]);
    let report = deliver_mail(&doorman, &mail("a request")).await;
    assert!(report["reason"].as_str().expect("a reason").contains("REPOS is not set"), "{report}");
    deliver_mail(&doorman, &mail("acme/model000")).await;
    assert_eq!(hub.users(&model(0), Status::Accepted), ["ada"]);
}

#[tokio::test]
async fn order_with_the_webhook_secret_sweeps() {
    let hub = hub_with(3).await;
    for number in 0..3 {
        ask(&hub, &model(number), [staff("ada")]);
    }
    let doorman = doorman_with(&hub, &[("REPOS", "acme/model000 acme/model001")]);
    let (status, report) = deliver(&doorman, &json!({"sweep": ["acme/model001"]})).await;
    assert_eq!((status, &report["status"]), (200, &json!("reviewed")), "{report}");
    assert_eq!(hub.users(&model(0), Status::Pending), ["ada"]);
    assert_eq!(hub.users(&model(1), Status::Accepted), ["ada"]);
    let (status, _) = deliver(&doorman, &json!({"sweep": true})).await;
    assert_eq!((status, hub.users(&model(0), Status::Accepted)), (200, vec!["ada".to_owned()]));
    for (order, word) in [
        (json!({"sweep": ["acme/model002"]}), "REPOS does not cover"),
        (json!({"sweep": []}), "neither `true` nor a list"),
        (json!({"sweep": ["no repo"]}), "not the name of a repo"),
    ] {
        let (status, answer) = deliver(&doorman, &order).await;
        assert!(
            status == 400 && answer["error"].as_str().expect("an error").contains(word),
            "{order}: {answer}"
        );
    }
    let (status, answer) = deliver(&doorman_with(&hub, &[]), &json!({"sweep": true})).await;
    assert!(status == 400 && answer["error"].as_str().expect("an error").contains("set REPOS"), "{answer}");
    assert_eq!(hub.users(&model(2), Status::Pending), ["ada"]);
}

/// The second mail of each pair costs nothing. A full name may be that of a model or of a dataset, of which only one exists.
#[tokio::test]
async fn late_mail_about_what_was_read_reads_nothing_again() {
    for subject in ["acme/model001", "somebody asks"] {
        let hub = hub_with(2).await;
        let doorman = doorman(&hub, "acme/*");
        let late = mail_since(subject, Duration::from_secs(8));
        deliver_mail(&doorman, &late).await;
        let calls = hub.calls().len();
        let report = deliver_mail(&doorman, &late).await;
        assert_eq!((&report["status"], hub.calls().len()), (&json!("ignored"), calls), "{subject}: {report}");
    }
}

/// What the Hub's mail looks like is unknown. It may shorten a name, or contain other text with a slash.
#[tokio::test]
async fn mail_that_names_nothing_that_exists_is_about_all_repos() {
    for subject in ["acme/model0", "acme/model000_by_ada", "acme/team: request for model000"] {
        let hub = hub_with(2).await;
        ask_now(&hub, &model(0), staff("ada"));
        let report = deliver_mail(&doorman(&hub, "acme/*"), &mail(subject)).await;
        assert_eq!(hub.users(&model(0), Status::Accepted), ["ada"], "{subject}: {report}");
    }
}

/// A held request of an earlier mail is not the one of this mail, which the Hub does not list yet.
#[tokio::test]
async fn request_that_was_seen_before_is_not_the_new_one() {
    let hub = hub_with(1).await;
    let doorman = doorman(&hub, &model(0));
    ask_now(&hub, &model(0), stranger("mallory"));
    deliver_mail(&doorman, &mail(&model(0))).await;
    deliver_before_ada_asks(&doorman, &hub).await;
    assert_eq!(hub.users(&model(0), Status::Accepted), ["ada"]);
}

/// The same, if the look that has seen the request was not complete.
#[tokio::test]
async fn request_that_an_incomplete_look_has_seen_is_not_the_new_one() {
    let hub = hub_with(1).await;
    let doorman = doorman(&hub, &model(0));
    hub.model().repo(&model(0)).ask_at(staff("bob"), Utc::now() - Duration::from_secs(300));
    ask_now(&hub, &model(0), stranger("mallory"));
    hub.model().faults("batch", &Fault::Status(403), 1);
    let report = deliver_mail(&doorman, &mail(&model(0))).await;
    assert_eq!(
        (&report["status"], &report["repos"][0]["listed"]),
        (&json!("deferred"), &json!(2)),
        "{report}"
    );
    deliver_before_ada_asks(&doorman, &hub).await;
    assert_eq!(hub.users(&model(0), Status::Accepted), ["ada", "bob"]);
}

#[tokio::test]
async fn impossible_times_stop_no_other_mail() {
    for time in ["+262142-12-31T23:59:59Z", "-262143-01-01T00:00:00Z"] {
        let hub = hub_with(1).await;
        ask_now(&hub, &model(0), staff("ada"));
        let odd = changed(mail(&model(0)), "receipt/timestamp", json!(time));
        let records = [&odd["Records"][0], &mail(&model(0))["Records"][0]];
        deliver_mail(&doorman(&hub, &model(0)), &json!({"Records": records})).await;
        assert_eq!(hub.users(&model(0), Status::Accepted), ["ada"], "{time}");
    }
}

/// Everybody who sees the address could otherwise send webhooks and orders.
#[tokio::test]
async fn mail_secret_must_not_be_that_of_the_webhook() {
    let hub = hub_with(1).await;
    let config = config_with(&hub, &[("MAIL_SECRET", &SECRET.to_ascii_uppercase())]);
    let faults = Handler::new(config, Metrics::new(io::sink())).await.expect_err("a fault").to_string();
    assert!(
        faults.contains("MAIL_SECRET: it is also the webhook's secret") && !faults.contains(SECRET),
        "{faults}"
    );
}
