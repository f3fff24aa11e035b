//! The Lambda binary: logging, configuration, one client, run.

use std::sync::Arc;

use hub_doorman::config::Config;
use hub_doorman::handler::Doorman;
use hub_doorman::hub::http_client;
use lambda_http::Request;
use lambda_runtime::tracing::subscriber::EnvFilter;
use lambda_runtime::tracing::subscriber::filter::LevelFilter;
use lambda_runtime::tracing::{error, subscriber};
use lambda_runtime::{Error, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let filter = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).from_env_lossy();
    subscriber::fmt().json().flatten_event(true).with_env_filter(filter).with_target(false).init();

    let doorman = match start() {
        Ok(doorman) => Arc::new(doorman),
        Err(error) => {
            error!(%error, "cannot start");
            report_init_error(&error.to_string()).await?;
            return Err(error);
        }
    };
    lambda_http::run(service_fn(move |request: Request| {
        let doorman = Arc::clone(&doorman);
        async move { Ok::<_, Error>(doorman.handle(request).await) }
    }))
    .await
}

fn start() -> Result<Doorman, Error> {
    let config = Config::from_lookup(|name| Some(std::env::var_os(name)?.to_string_lossy().into_owned()))?;
    Ok(Doorman::new(config)?)
}

/// Tells Lambda why the function cannot start, so that it is told to whoever invokes it. The runtime crate does this only
/// for faults of its own.
async fn report_init_error(message: &str) -> Result<(), Error> {
    let Ok(api) = std::env::var("AWS_LAMBDA_RUNTIME_API") else { return Ok(()) };
    let body = serde_json::json!({"errorType": "Configuration", "errorMessage": message, "stackTrace": []});
    let url = format!("http://{api}/2018-06-01/runtime/init/error");
    let request = http_client()?.post(url).header("Lambda-Runtime-Function-Error-Type", "Configuration");
    request.body(body.to_string()).send().await?;
    Ok(())
}
