//! What the targets share: a Hub in memory, a doorman before it, and a clock that only moves when everybody waits for it.

pub mod hub;

use std::cell::RefCell;
use std::env::VarError;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, LazyLock, Once};

use hub_doorman::config::Config;
use hub_doorman::handler::Doorman;
use hub_doorman::keyring::Keyring;
use hub_doorman::metrics::Metrics;
use reqwest::Client;

use crate::hub::QuietHub;

/// What the token and the webhook's secret are: whatever goes out is searched for them.
pub const TOKEN: &str = "hf_token-that-must-never-be-seen";
pub const SECRET: &str = "sample-webhook-secret";

/// Where the Hub is.
pub const ENDPOINT: &str = "https://hub.example";

/// Made once: it is never used, and takes long.
static CLIENT: LazyLock<Client> = LazyLock::new(|| hub_doorman::http::client().expect("TLS can be set up"));

thread_local! {
    static LAST: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs this, and tells of a panic only if nothing in there has caught it: libfuzzer-sys would end the process at any, also at
/// one of a library that the product withstands.
pub fn withstand<T>(run: impl FnOnce() -> T) -> T {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        std::panic::set_hook(Box::new(|panic| LAST.with_borrow_mut(|last| *last = panic.to_string())));
    });
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        LAST.with_borrow(|last| eprintln!("{last}"));
        resume_unwind(panic)
    })
}

/// Runs this to its end. Whoever waits for a time has it at once.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().start_paused(true).build().expect("a runtime").block_on(future)
}

/// Made once, as compiling a policy takes longer than all the rest: a doorman before a Hub that always answers the same.
pub static DOORMAN: LazyLock<Arc<Doorman>> = LazyLock::new(|| {
    let doorman = Doorman::with_transport(config(), Metrics::new(std::io::sink()), &CLIENT, QuietHub);
    Arc::new(block_on(doorman).expect("no secret that has to be read first"))
});

/// The token and the secret, where a Hub is made anew each time.
pub static KEYRING: LazyLock<Arc<Keyring>> =
    LazyLock::new(|| Arc::new(block_on(Keyring::read(config().secrets, &CLIENT)).expect("they are given")));

/// What a doorman is set up with that accepts acme.com, and looks after acme's repos.
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
    Config::from_lookup(variables).expect("a configuration without faults")
}
