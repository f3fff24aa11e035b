//! The Lambda function: it sets up the log, reads the configuration, makes one [`Handler`], and answers events with it.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use hub_doorman::config::{Config, ConfigError, read_from};
use hub_doorman::handler::{Handler, report_init_error};
use hub_doorman::log;
use hub_doorman::report::metrics::Metrics;
use hub_doorman::source::{Place, log_unreadable_lists};
use lambda_runtime::tracing::error;
use lambda_runtime::{Error, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode, Error> {
    log::start(&std::env::var("RUST_LOG").unwrap_or_default(), std::io::stdout);
    // Only the place is logged: the message of a panic may contain text from a request.
    std::panic::set_hook(Box::new(|panic| {
        error!(location = panic.location().map(ToString::to_string), "panicked");
    }));

    let doorman = match start().await {
        Ok(doorman) => Arc::new(doorman),
        Err(error) => {
            error!(%error, "cannot start");
            if let Ok(api) = std::env::var("AWS_LAMBDA_RUNTIME_API") {
                report_init_error(&api, &error.to_string()).await?;
            }
            return Ok(ExitCode::FAILURE);
        }
    };
    lambda_runtime::run(service_fn(move |event| doorman.answer(event))).await?;
    Ok(ExitCode::SUCCESS)
}

async fn start() -> Result<Handler, ConfigError> {
    let config = Config::from_lookup(|name| std::env::var(name), &read_from(Path::new(".")))?;
    if let Place::Given(policy) = &config.policy {
        log_unreadable_lists(policy);
    }
    Handler::new(config, Metrics::new(std::io::stdout())).await
}
