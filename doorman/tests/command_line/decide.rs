//! `decide`, `list --held` and `plan --answers`: the held requests on a terminal, and the decisions of a person about them.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt;

use crate::hub::{Batch, Fault, Hub, Person, Status};
use crate::support::{ask, staff, stranger};
use crate::{CommandResult, command, doorman_in, result_of};

/// Runs `doorman decide` with these variables and this standard input.
async fn decide_in(hub: &Hub, variables: &[(&str, &str)], input: &str) -> CommandResult {
    decide_after(hub, variables, input, || ()).await
}

/// Like [`decide_in`], but `meanwhile` happens after the requests were shown, before the reply is read.
async fn decide_after(
    hub: &Hub,
    variables: &[(&str, &str)],
    input: &str,
    meanwhile: impl FnOnce(),
) -> CommandResult {
    let mut command = command(hub, variables, &["decide", "acme/model"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("doorman starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    while !hub.calls().iter().any(|call| call.contains("/pending")) || hub.model().in_flight > 0 {
        tokio::task::yield_now().await;
    }
    meanwhile();
    stdin.write_all(input.as_bytes()).await.expect("doorman reads");
    drop(stdin);
    result_of(child.wait_with_output().await.expect("doorman runs"))
}

async fn decide(hub: &Hub, input: &str) -> CommandResult {
    decide_in(hub, &[], input).await
}

/// A Hub on which these people are held.
async fn hub_with(names: &[&str]) -> Hub {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", names.iter().map(|name| stranger(name).answer("Purpose", "Research")));
    hub
}

#[tokio::test]
async fn each_held_request_is_asked_about_and_sent_at_the_end() {
    for batch in [Batch::Any, Batch::NoRequestId, Batch::DeniesRequestId, Batch::Unknown] {
        let hub = hub_with(&["ada", "bob", "cleo", "dan"]).await;
        ask(&hub, "acme/model", [staff("eve")]);
        hub.model().batch = batch;
        let result = decide(&hub, "a\nr\n1\ns\n  Please say more. \nn\ny\n").await;
        assert!(result.out.contains("Purpose: Research"), "{}", result.out);
        assert!(!result.out.contains("eve"), "the policy decides eve: {}", result.out);
        assert_eq!(result.status, 0, "{}{}", result.out, result.err);
        assert_eq!(hub.users("acme/model", Status::Accepted), ["ada"], "{batch:?}");
        assert_eq!(hub.users("acme/model", Status::Pending), ["dan", "eve"], "{batch:?}");
        let reason = |name: &str| hub.model().repo("acme/model").request(name).reason.clone();
        assert_eq!(
            (reason("bob").as_deref(), reason("cleo").as_deref()),
            (Some("We cannot."), Some("Please say more."))
        );
    }
}

#[tokio::test]
async fn nothing_is_sent_without_a_yes() {
    let hub = hub_with(&["ada", "bob"]).await;
    for input in ["", "q\n", "a\n", "a\na\n", "a\na\nn\n", "r\n", "r\nno\nk\nn\nn\n", "?\na\nq\nno\n"] {
        let result = decide(&hub, input).await;
        assert_eq!(hub.users("acme/model", Status::Pending), ["ada", "bob"], "{input:?}: {}", result.out);
    }
    assert!(hub.calls().iter().all(|call| call.starts_with("GET")));
    let result = decide_in(&hub, &[("DRY_RUN", "true")], "a\na\ny\n").await;
    assert!(result.err.contains("DRY_RUN is true"), "{}", result.err);
    assert_eq!(hub.users("acme/model", Status::Pending), ["ada", "bob"]);
}

/// As `yes y` does. Lines after one that is not understood may be about other people than they were written for.
#[tokio::test]
async fn piped_line_that_is_not_understood_ends_without_a_decision() {
    let hub = hub_with(&["ada", "bob"]).await;
    for (input, expected) in [
        ("y\n".repeat(1000), "`y` is none of a,s,r,n,k,q,?. Nothing was sent."),
        ("a\n\na\ny\n".to_owned(), "Type one of"),
        ("r\n9\na\ny\n".to_owned(), "There is no reason 9. Nothing was sent."),
    ] {
        decide(&hub, &input).await.failed(2, &[expected]);
    }
    assert!(hub.calls().iter().all(|call| call.starts_with("GET")));
}

#[tokio::test]
async fn empty_reason_leads_back_and_a_dash_sends_none() {
    let hub = hub_with(&["ada", "bob"]).await;
    let result = decide(&hub, "r\n\na\nr\n-\ny\n").await;
    assert!(result.out.contains("- for none, or nothing to go back"), "{}", result.out);
    assert_eq!(hub.users("acme/model", Status::Accepted), ["ada"], "{}{}", result.out, result.err);
    assert_eq!(hub.users("acme/model", Status::Rejected), ["bob"]);
    assert_eq!(hub.model().repo("acme/model").request("bob").reason, None);
}

#[tokio::test]
async fn going_back_shows_the_decision_so_far() {
    let hub = hub_with(&["ada", "bob"]).await;
    let out = decide(&hub, "r\n1\nk\nk\na\nn\ny\n").await.out;
    assert!(out.starts_with("\na accept, s reset, "), "the keys come first: {out}");
    assert_eq!(out.matches("your decision so far: reject, reason “We cannot.”\n").count(), 2, "{out}");
    assert_eq!(hub.users("acme/model", Status::Accepted), ["ada"], "{out}");
}

#[tokio::test]
async fn decision_of_a_person_is_not_limited_by_the_policy() {
    for policy in
        [r#"{"rules": [], "paused": true}"#, r#"{"rules": [], "limits": {"accept": 0, "reject": 0}}"#]
    {
        let hub = hub_with(&["ada"]).await;
        let result = decide_in(&hub, &[("APPROVAL_POLICY", policy)], "a\ny\n").await;
        assert_eq!(
            hub.users("acme/model", Status::Accepted),
            ["ada"],
            "{policy}: {}{}",
            result.out,
            result.err
        );
    }
}

/// After the request was shown, something about it changes.
#[tokio::test]
async fn request_that_changed_since_it_was_shown_is_left() {
    type Change = (&'static str, fn(&Hub));
    let changes: [Change; 4] = [
        ("another answer", |hub| {
            let mut model = hub.model();
            let request = model.repo("acme/model").find_mut("user", "ada").expect("ada");
            request.person = request.person.clone().answer("Purpose", "World domination");
        }),
        ("another request", |hub| {
            let mut model = hub.model();
            let request = model.repo("acme/model").find_mut("user", "ada").expect("ada");
            request.requested_at += Duration::from_secs(1);
        }),
        ("decided by a person", |hub| {
            let mut model = hub.model();
            model.repo("acme/model").find_mut("user", "ada").expect("ada").set(Status::Rejected, None);
        }),
        ("withdrawn", |hub| {
            hub.model().repo("acme/model").find_mut("user", "ada").expect("ada").withdrawn = true;
        }),
    ];
    for (what, change) in changes {
        let hub = hub_with(&["ada", "bob"]).await;
        let result = decide_after(&hub, &[], "a\na\ny\n", || change(&hub)).await;
        assert_eq!(
            hub.users("acme/model", Status::Accepted),
            ["bob"],
            "{what}: {}{}",
            result.out,
            result.err
        );
        assert!(
            result.out.contains("ada\taccept\t\tnot sent: the request has changed"),
            "{what}: {}",
            result.out
        );
        assert_eq!(result.status, 3, "{what}");
    }
}

#[tokio::test]
async fn failure_of_one_request_is_not_told_of_another() {
    let hub = hub_with(&["ada", "bob"]).await;
    hub.model().chokes_on = Some(("bob".to_owned(), Fault::Status(400)));
    let withdraw = || {
        hub.model().repo("acme/model").find_mut("user", "ada").expect("ada").withdrawn = true;
    };
    let out = decide_after(&hub, &[], "a\na\ny\n", withdraw).await.out;
    assert!(out.contains("ada\taccept\t\tnot sent: the request has changed"), "{out}");
    assert!(out.contains("bob\taccept\t\tnot done: ") && out.contains("the Hub answered 400"), "{out}");
}

/// The response to the write is lost, and a person rejects Ada before it could be made again.
#[tokio::test]
async fn lost_response_of_a_decision_overrules_nobody() {
    let hub = hub_with(&["ada"]).await;
    hub.model().fault("/batch", Fault::DropAfter);
    let decided = decide(&hub, "a\ny\n");
    let person = async {
        while !hub.calls().iter().any(|call| call.starts_with("POST")) || hub.model().in_flight > 0 {
            tokio::task::yield_now().await;
        }
        hub.model().repo("acme/model").find_mut("user", "ada").expect("ada").set(Status::Rejected, None);
    };
    let (result, ()) = tokio::join!(decided, person);
    assert_eq!(hub.users("acme/model", Status::Rejected), ["ada"], "{}", result.out);
    assert!(result.out.contains("unknown: the Hub gave no clear response"), "{}", result.out);
}

/// On a long list, the review ends at the page of the request, and other requests of the list are not touched.
#[tokio::test]
async fn decision_on_a_long_list_reads_no_further_than_needed() {
    let hub = Hub::start().await;
    hub.model().max_page = 100;
    ask(&hub, "acme/model", (0..2000).map(|number| stranger(&format!("user{number:04}"))));
    let result = decide(&hub, "a\nq\ny\n").await;
    assert_eq!(hub.users("acme/model", Status::Accepted), ["user0000"], "{}", result.err);
    let reads = hub.calls().iter().filter(|call| call.starts_with("GET")).count();
    assert!(reads <= 24, "20 pages for the questions, and few for the decision: {reads}");
}

#[tokio::test]
async fn list_of_the_held_shows_why_and_the_answers() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", [staff("ada"), stranger("bob").answer("Purpose", "Research")]);
    ask(&hub, "datasets/acme/corpus", [Person { email: None, ..stranger("cleo") }]);
    let repos = [("REPOS", "acme/* datasets/acme/*")];
    let out = doorman_in(&hub, &repos, &["list", "--held"]).await.out();
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 2, "{out}");
    let bob = lines.iter().find(|line| line.starts_with("acme/model\tbob\t")).expect("bob");
    assert!(
        bob.contains("bob@example.org") && bob.ends_with("\t\tno rule matched\tPurpose: Research"),
        "{bob}"
    );
    let cleo = lines.iter().find(|line| line.contains("\tcleo\t")).expect("cleo");
    assert!(cleo.contains("\tstaff\tthe request has no `domain`"), "{cleo}");
    let json = doorman_in(&hub, &repos, &["list", "acme/model", "--held", "--json"]).await.json();
    assert_eq!(
        (&json[0]["user"], &json[0]["fields"]["Purpose"]),
        (&"bob".into(), &"Research".into()),
        "{json}"
    );
    let csv = doorman_in(&hub, &repos, &["list", "--held", "--csv"]).await.out();
    assert!(csv.starts_with("repo,user,fullname,email,request_id,requested_at,rule,why,Purpose\n"), "{csv}");
    doorman_in(&hub, &repos, &["list"]).await.failed(2, &["<REPO>"]);
    doorman_in(&hub, &repos, &["list", "--held", "--status", "accepted"])
        .await
        .failed(2, &["cannot be used"]);
}

#[tokio::test]
async fn plan_shows_answers_only_if_it_is_asked_to() {
    let hub = hub_with(&["bob"]).await;
    let plain = doorman_in(&hub, &[], &["plan", "acme/model"]).await.out();
    assert!(!plain.contains("Research"), "{plain}");
    let answers = doorman_in(&hub, &[], &["plan", "--answers", "acme/model"]).await.out();
    assert_eq!(answers.trim_end(), format!("{}\tPurpose: Research", plain.trim_end()));
    let json = doorman_in(&hub, &[], &["plan", "--answers", "--json", "acme/model"]).await.json();
    assert_eq!(json["repos"][0]["decisions"][0]["fields"]["Purpose"], "Research", "{json}");
}
