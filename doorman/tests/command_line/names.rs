//! Names of repos in any case on the command line.

use crate::doorman;
use crate::support::{ask, hub_with, report_on, staff};

#[tokio::test]
async fn plan_shows_a_repo_in_two_spellings_once() {
    let hub = hub_with(1).await;
    ask(&hub, "acme/model000", [staff("ada")]);
    let plan = doorman(&hub, "plan --json ACME/Model000 acme/* Acme/MODEL000").await.json();
    assert_eq!(plan["repos"].as_array().map(Vec::len), Some(1), "{plan}");
    assert_eq!(report_on(&plan, "acme/model000")["decisions"][0]["user"], "ada", "{plan}");
}
