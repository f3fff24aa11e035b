//! The walk of a newcomer through the commands.

use super::*;

#[tokio::test]
async fn demo_decides_on_a_hub_of_its_own() {
    let hub = Hub::start().await;
    let shown =
        doorman_in(&hub, &[("HF_TOKEN", ""), ("DRY_RUN", "true"), ("REPOS", "x/y")], &["demo"]).await.out();
    assert_eq!(hub.calls(), [""; 0]);
    let steps: Vec<&str> = shown.split("\n$ doorman ").collect();
    let [_, plan, review, held, accepted, _, _] = steps[..] else { panic!("{shown}") };
    assert!(plan.contains("\tkim\t") && plan.contains("\treject\tembargo\treason"), "{plan}");
    assert!(review.contains("\tada\t") && review.contains("\taccept\tstaff\t\tdone"), "{review}");
    assert!(held.contains("oskar@acme.com") && !held.contains("ada@acme.com"), "{held}");
    assert!(accepted.contains("ada@acme.com") && !accepted.contains("kim@example.org"), "{accepted}");
}
