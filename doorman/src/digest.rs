//! `digest`: who is held, as a text, or sent to the destinations of the function's digest.

use std::error::Error;
use std::future::ready;
use std::io::Write;
use std::sync::Arc;

use hub_doorman::digest::{Destination, Digest, Scope, Sent};
use hub_doorman::model::Repo;

use crate::arguments::DigestArguments;
use crate::environment::{Setup, deadline, http, setup, variables};
use crate::exit::{ExitStatus, UsageError};
use crate::review::patterns;
use crate::screen::{Screen, print_message, spinner};

/// Writes the digest, or sends it.
pub async fn run(arguments: &DigestArguments, screen: &mut Screen) -> Result<ExitStatus, Box<dyn Error>> {
    let DigestArguments { scope, send } = arguments;
    let destinations = if *send { Some(destinations()?) } else { None };
    let setup = setup(scope.policy.as_deref()).await?;
    let patterns = patterns(scope, &setup)?;
    let Setup { hub, policy, dry_run, .. } = &setup;
    let bar = spinner("reading requests");
    let scope = Scope { hub, patterns: &patterns, is_covered: |_: &Repo| true, dry_run: *dry_run };
    let digest = Digest::collect(scope, ready(Arc::clone(policy)), deadline()).await;
    bar.finish_and_clear();
    let is_sent = if let Some(destinations) = destinations {
        send_to(&destinations, &digest, screen).await?
    } else {
        screen.write_all(digest.markdown().as_bytes())?;
        true
    };
    for name in &digest.unread {
        print_message(&format!("doorman: {name}: not everything could be read"));
    }
    Ok(if is_sent && digest.unread.is_empty() { ExitStatus::Complete } else { ExitStatus::Failed })
}

/// `DIGEST_TO`.
fn destinations() -> Result<Vec<Destination>, Box<dyn Error>> {
    let variables = variables();
    let destinations = variables.digest_to();
    let destinations = variables.all(|| destinations)?;
    if destinations.is_empty() {
        return Err(
            UsageError("--send needs DIGEST_TO: ARNs of SNS topics, or URLs of webhooks".to_owned()).into()
        );
    }
    Ok(destinations)
}

/// Sends the digest, and reports each destination. The result is whether all of them have it, or it is not due.
async fn send_to(
    destinations: &[Destination],
    digest: &Digest,
    screen: &mut Screen,
) -> Result<bool, Box<dyn Error>> {
    if !digest.is_due() {
        screen.write_note(
            "Nobody has to act, so the digest was not sent. On Mondays (UTC) it is always sent.",
        )?;
        return Ok(true);
    }
    let sent = Destination::send_all(destinations, digest, &http()?, deadline()).await;
    for Sent { destination, failure } in &sent {
        match failure {
            None => screen.write_note(&format!("Sent to destination {destination}."))?,
            Some(why) => print_message(&format!("doorman: destination {destination}: not sent: {why}")),
        }
    }
    Ok(sent.iter().all(|sent| sent.failure.is_none()))
}
