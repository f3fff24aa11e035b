//! Shared by the targets: a Hub in memory, a doorman for it, and a clock that moves only while everything waits.

pub mod hub;

use std::cell::RefCell;
use std::env::VarError;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, LazyLock, Once};

use hub_doorman::config::Config;
use hub_doorman::handler::Handler;
use hub_doorman::report::metrics::Metrics;
use hub_doorman::secrets::Keyring;
use reqwest::Client;

use crate::hub::QuietHub;

/// The token. No output may show it.
pub const TOKEN: &str = "hf_token-that-must-never-be-seen";
/// The webhook secret. No output may show it.
pub const SECRET: &str = "sample-webhook-secret";

/// The origin of the Hub.
pub const ENDPOINT: &str = "https://hub.example";

/// A client that makes no calls. It is made once, because that takes long.
static CLIENT: LazyLock<Client> = LazyLock::new(|| hub_doorman::http::client().expect("TLS can be set up"));

thread_local! {
    /// The last panic, as the hook saw it.
    static LAST: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs a closure, and prints a panic only if the closure does not catch it. The hook of libfuzzer-sys would end the process at
/// any panic, even at one of a library that the doorman catches.
pub fn report_uncaught_panic<T>(run: impl FnOnce() -> T) -> T {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        std::panic::set_hook(Box::new(|panic| LAST.with_borrow_mut(|last| *last = panic.to_string())));
    });
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        LAST.with_borrow(|last| eprintln!("{last}"));
        resume_unwind(panic)
    })
}

/// Runs a future to its end. Every wait is over at once.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().start_paused(true).build().expect("a runtime").block_on(future)
}

/// A doorman for the [`QuietHub`]. It is made once, because compiling a policy takes longer than all the rest.
pub static DOORMAN: LazyLock<Arc<Handler>> = LazyLock::new(|| {
    let doorman = Handler::with_transport(config(), Metrics::new(std::io::sink()), &CLIENT, QuietHub);
    Arc::new(block_on(doorman).expect("no secret that has to be read first"))
});

/// The token and the secret, for targets that make a Hub for each input.
pub static KEYRING: LazyLock<Arc<Keyring>> =
    LazyLock::new(|| Arc::new(block_on(Keyring::read(config().secrets, &CLIENT)).expect("they are given")));

/// The configuration of a doorman that accepts acme.com and covers the repos of acme.
pub fn config() -> Config {
    let variables = |name: &str| {
        match name {
        "HF_TOKEN" => Ok(TOKEN.to_owned()),
        "HF_ENDPOINT" => Ok(ENDPOINT.to_owned()),
        "WEBHOOK_SECRET" => Ok(SECRET.to_owned()),
        "REPOS" => Ok("acme/*".to_owned()),
        "APPROVAL_POLICY" => Ok(r#"{"rules": [
            {"name": "embargo", "then": "reject", "if": "'Country' in fields && fields['Country'] == 'KP'", "reason": "No."},
            {"name": "staff", "then": "accept", "if": "user.domain == 'acme.com'"}]}"#
            .to_owned()),
        _ => Err(VarError::NotPresent),
    }
    };
    Config::from_lookup(variables, &|_| Err("there are no files".to_owned())).expect("a configuration without faults")
}
