//! The Lambda binary: logging, configuration, one client, run.

use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;

use hub_doorman::config::{Config, ConfigError};
use hub_doorman::handler::{Doorman, report_init_error};
use hub_doorman::metrics::Metrics;
use lambda_http::Request;
use lambda_runtime::tracing::subscriber::filter::{Directive, EnvFilter, LevelFilter};
use lambda_runtime::tracing::subscriber::prelude::*;
use lambda_runtime::tracing::{error, subscriber};
use lambda_runtime::{Error, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode, Error> {
    let filter = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).from_env_lossy();
    // The runtime's span has the id of the request, which every line is to have, whatever RUST_LOG says.
    let filter = filter.add_directive(Directive::from_str("lambda_runtime::layers::trace=info")?);
    let lines = json_subscriber::layer().flatten_event(true).with_target(false);
    let lines = lines.with_current_span(false).flatten_span_list_on_top_level(true);
    // Never more than DEBUG, whatever RUST_LOG says: at TRACE the runtime logs whole events, and the secret with them.
    subscriber::registry().with(lines).with(filter).with(LevelFilter::DEBUG).init();

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
