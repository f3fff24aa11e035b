//! `doorman policy`: what is in force, which decisions would change, and how a policy gets to the Hub.

mod diff;
mod show;
