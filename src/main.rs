//! The Lambda binary: logging, configuration, one client, run.

use std::process::ExitCode;
use std::sync::Arc;

use hub_doorman::config::{Config, ConfigError};
use hub_doorman::handler::{Doorman, report_init_error};
use hub_doorman::log;
use hub_doorman::metrics::Metrics;
use lambda_runtime::tracing::error;
use lambda_runtime::{Error, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode, Error> {
    log::start(&std::env::var("RUST_LOG").unwrap_or_default(), std::io::stdout);
    // Where, and not what: a message may hold what a requester wrote.
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

async fn start() -> Result<Doorman, ConfigError> {
    let config = Config::from_lookup(|name| std::env::var(name))?;
    Doorman::new(config, Metrics::new(std::io::stdout())).await
}
