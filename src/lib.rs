//! Hub Doorman decides access requests to gated repos on the Hugging Face Hub. It reads the pending requests of a repo,
//! applies the owner's policy, and accepts, rejects, resets or holds each request. This library is used by an AWS Lambda
//! function (`main.rs`) and by the command line `doorman`.
//!
//! ```text
//!  event ──trigger──▶ Trigger ──handler──▶ repos ──sweep, review──▶ Report ──▶ response, log, metrics
//!    webhook                                  │
//!    schedule        pages of AccessRequest ──policy──▶ Decision ──apply, in batches──▶ Outcome
//!    order                 (hub::read)                              (hub::write)
//! ```
//!
//! All state is on the Hub. The list of pending requests is the queue: each run reads it, decides, and writes. A request that
//! a run leaves undone is still pending for the next run, so repeating a run is harmless.
//!
//! # Modules
//!
//! A module uses only modules below it in this table.
//!
//! | module | purpose |
//! |---|---|
//! | [`handler`] | takes a Lambda event and returns a response: `handler/webhook.rs` for a webhook, `handler/sweep.rs` for other events |
//! | [`config`] | reads every environment variable, and reports all faults at once |
//! | [`source`] | keeps the policy, and reads it again from the Hub or from AWS: `source/reading.rs` reads it once |
//! | [`sweep`] | reviews many repos in a fair order |
//! | [`review`] | reviews one repo: reads the list, decides, and writes, until nothing is left to do |
//! | [`plan`] | holds the decisions that a person has agreed to, and says whether a run writes |
//! | [`report`] | counts what a run did; writes the log lines and the metrics of a run |
//! | [`trigger`] | turns an event into the repos to review; `trigger/webhook.rs` checks the webhook's secret |
//! | [`hub`] | calls the Hub's API: `hub/read.rs` reads lists, `hub/write.rs` writes batches, `hub/limit/headers.rs` reads the rate limit |
//! | [`policy`] | decides a request, without I/O: `policy/compile.rs` compiles a rule, `policy/check.rs` checks it |
//! | [`secrets`] | keeps the token and the webhook's secrets, and reads them again after a rotation |
//! | [`model`] | plain data: repos, requests, verdicts, decisions, outcomes |
//!
//! Two small modules are at the bottom: [`http`] makes the HTTP client and says how calls are retried, and [`log`] sets up
//! the log.
//!
//! # Example
//!
//! The policy is pure, so it can be tried without a Hub:
//!
//! ```
//! use hub_doorman::model::{AccessRequest, Repo, RepoType, Verdict};
//! use hub_doorman::policy::Policy;
//!
//! let policy = Policy::parse(
//!     r#"{"rules": [{"name": "staff", "then": "accept", "if": "user.domain == 'acme.com'"}]}"#,
//! )?;
//! let repo = Repo::new(RepoType::Model, "acme/gated-model").expect("a name within the Hub's grammar");
//! let mut request = AccessRequest::default();
//!
//! // This request has no e-mail address. The rule needs it, so the request is held for a person to decide.
//! let decision = policy.decide(&request, &repo, chrono::Utc::now());
//! assert_eq!(decision.verdict, Verdict::Hold);
//! assert_eq!(decision.grounds.to_string(), "rule `staff` could not be evaluated: the request has no `domain`: its e-mail address is not shared with the owner of the repo");
//!
//! request.user.email = Some("ada@ACME.com".to_owned());
//! assert_eq!(policy.decide(&request, &repo, chrono::Utc::now()).verdict, Verdict::Accept);
//! # Ok::<(), Vec<String>>(())
//! ```

pub mod config;
pub mod digest;
pub mod handler;
pub mod http;
pub mod hub;
pub mod log;
pub mod model;
pub mod plan;
pub mod policy;
#[cfg(test)]
mod properties;
pub mod report;
pub mod review;
pub mod secrets;
pub mod source;
pub mod sweep;
pub mod trigger;
