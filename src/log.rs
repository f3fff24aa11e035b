//! The format of the log: one JSON object a line, with all fields at the top level, where queries find them.

use json_subscriber::fmt::Layer;
use lambda_runtime::tracing::subscriber;
use lambda_runtime::tracing::subscriber::filter::{FilterExt, LevelFilter, Targets, filter_fn};
use lambda_runtime::tracing::subscriber::fmt::MakeWriter;
use lambda_runtime::tracing::subscriber::prelude::*;
use lambda_runtime::tracing::subscriber::registry::LookupSpan;
use tracing::{Metadata, Subscriber};

/// Starts the log with this value of `RUST_LOG`. If it is empty or invalid, the level is `info`.
pub fn start<W: for<'a> MakeWriter<'a> + Send + Sync + 'static>(rust_log: &str, writer: W) {
    let chosen = Some(rust_log).filter(|text| !text.trim().is_empty() && check(text).is_ok());
    let chosen = chosen.and_then(|text| text.parse::<Targets>().ok());
    let filter = chosen.unwrap_or(Targets::new().with_default(LevelFilter::INFO));
    // Spans give each line its repo and delivery, so RUST_LOG must not remove them.
    let is_span = |metadata: &Metadata| metadata.is_span() && *metadata.level() <= LevelFilter::INFO;
    let filter = filter_fn(is_span).with_max_level_hint(LevelFilter::INFO).or(filter);
    // The level is at most DEBUG, whatever RUST_LOG says. At TRACE, the runtime logs whole events, with the webhook's secret.
    subscriber::registry()
        .with(lines().with_writer(writer).with_filter(filter))
        .with(LevelFilter::DEBUG)
        .init();
}

/// Checks a value of `RUST_LOG`: levels or `target=level`, separated by commas. A misspelt level would otherwise be taken for
/// the name of a target, and nothing else would be logged.
pub fn check(text: &str) -> Result<(), String> {
    let is_level = |word: &str| word.parse::<LevelFilter>().is_ok();
    let level = |directive: &str| directive.rsplit('=').next().unwrap_or_default().trim().to_owned();
    match text.split(',').filter(|part| !part.trim().is_empty()).map(level).find(|word| !is_level(word)) {
        Some(word) => Err(format!(
            "`{word}` is not a log level; use `error`, `warn`, `info`, `debug`, `trace` or `off`, or `target=level`, separated by \
             commas"
        )),
        None => Ok(()),
    }
}

/// The layer that writes the lines. A line has the fields of its event and of all spans around it, which name the invocation,
/// the delivery and the repo. `name` is the name of the innermost span: `webhook` or `sweep`.
#[must_use]
pub fn lines<S: Subscriber + for<'a> LookupSpan<'a>>() -> Layer<S> {
    let lines = json_subscriber::layer().flatten_event(true).with_target(false);
    lines.with_current_span(false).flatten_span_list_on_top_level(true)
}
