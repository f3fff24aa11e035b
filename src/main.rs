//! The Lambda binary: logging, configuration, one client, run.

use std::process::ExitCode;
use std::sync::Arc;

use hub_doorman::config::{Config, ConfigError};
use hub_doorman::handler::{Doorman, report_init_error};
use hub_doorman::metrics::Metrics;
use lambda_http::Request;
use lambda_runtime::tracing::subscriber::filter::{EnvFilter, FilterExt, LevelFilter, filter_fn};
use lambda_runtime::tracing::subscriber::prelude::*;
use lambda_runtime::tracing::{Level, Metadata, error, subscriber};
use lambda_runtime::{Error, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode, Error> {
    let filter = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).from_env_lossy();
    // Spans say of which request, delivery and repo a line is, and that they do whatever RUST_LOG says.
    let says_which = |metadata: &Metadata| metadata.is_span() && *metadata.level() <= Level::INFO;
    let filter = filter_fn(says_which).with_max_level_hint(LevelFilter::INFO).or(filter);
    let lines = json_subscriber::layer().flatten_event(true).with_target(false).with_current_span(false);
    let lines = lines.flatten_span_list_on_top_level(true).with_filter(filter);
    // Never more than DEBUG, whatever RUST_LOG says: at TRACE the runtime logs whole events, and the secret with them.
    subscriber::registry().with(lines).with(LevelFilter::DEBUG).init();

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
    lambda_http::run(service_fn(move |request: Request| {
        let doorman = Arc::clone(&doorman);
        async move { doorman.handle(request).await }
    }))
    .await?;
    Ok(ExitCode::SUCCESS)
}

async fn start() -> Result<Doorman, ConfigError> {
    let config = Config::from_lookup(|name| std::env::var(name))?;
    Doorman::new(config, Metrics::new(std::io::stdout())).await
}
