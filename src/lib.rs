//! A doorman for gated repos on the Hugging Face Hub: an AWS Lambda function that looks at who is waiting, applies the
//! owner's policy, and lets them in, turns them away, or leaves them to a person.
//!
//! ```text
//!  Lambda event ──handler──▶ webhook ───────────▶ Repo ──review──▶ RepoReport ──handler──▶ response
//!                            schedule ──sweep──▶ Repos     │
//!                              pages of AccessRequest ─policy─▶ Decision ─batches─▶ Outcome
//!                              (hub)                                       (hub)
//! ```
//!
//! It keeps no state: the list of pending requests on the Hub is the queue, and repeating a run is harmless.
//!
//! The heart of it is pure:
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
//! // Nothing is known about this person, so a human has to look.
//! let decision = policy.decide(&request, &repo, chrono::Utc::now());
//! assert_eq!(decision.verdict, Verdict::Hold);
//! assert_eq!(decision.grounds.to_string(), "rule `staff` could not be evaluated: the request has no `domain`: its e-mail address is not shared with the owner of the repo");
//!
//! request.user.email = Some("ada@ACME.com".to_owned());
//! assert_eq!(policy.decide(&request, &repo, chrono::Utc::now()).verdict, Verdict::Accept);
//! # Ok::<(), Vec<String>>(())
//! ```

pub mod config;
pub mod handler;
pub mod http;
pub mod hub;
pub mod keyring;
pub mod log;
pub mod metrics;
pub mod model;
pub mod plan;
pub mod policy;
#[cfg(test)]
mod properties;
pub mod report;
pub mod retry;
pub mod review;
pub mod schedule;
pub mod secret;
pub mod sweep;
pub mod webhook;
