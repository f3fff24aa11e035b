//! How the log is written: a JSON object a line, with everything at its top level, where queries find it.

use json_subscriber::fmt::Layer;
use lambda_runtime::tracing::subscriber;
use lambda_runtime::tracing::subscriber::filter::{EnvFilter, FilterExt, LevelFilter, filter_fn};
use lambda_runtime::tracing::subscriber::fmt::MakeWriter;
use lambda_runtime::tracing::subscriber::prelude::*;
use lambda_runtime::tracing::subscriber::registry::LookupSpan;
use tracing::{Metadata, Subscriber};

/// Begins to write the log: what `RUST_LOG` lets through, and `info` if that is empty or faulty.
pub fn start<W: for<'a> MakeWriter<'a> + Send + Sync + 'static>(rust_log: &str, writer: W) {
    let chosen = if check(rust_log).is_ok() { rust_log } else { "" };
    let filter = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).parse_lossy(chosen);
    // Spans say what a line is about, and that they do whatever RUST_LOG says.
    let says_what = |metadata: &Metadata| metadata.is_span() && *metadata.level() <= LevelFilter::INFO;
    let filter = filter_fn(says_what).with_max_level_hint(LevelFilter::INFO).or(filter);
    // Never more than DEBUG, whatever RUST_LOG says: at TRACE the runtime logs whole events, and the secret with them.
    subscriber::registry()
        .with(lines().with_writer(writer).with_filter(filter))
        .with(LevelFilter::DEBUG)
        .init();
}

/// Whether a text is a filter as `RUST_LOG` takes it: a level, or `target=level`, or several of them with commas between. A
/// misspelt level would be taken for the name of a target, and nothing else be logged.
pub fn check(text: &str) -> Result<(), String> {
    let is_level = |word: &str| word.parse::<LevelFilter>().is_ok();
    let level = |directive: &str| directive.rsplit('=').next().unwrap_or_default().trim().to_owned();
    match text.split(',').filter(|part| !part.trim().is_empty()).map(level).find(|word| !is_level(word)) {
        Some(word) => Err(format!(
            "`{word}` is no level; it takes `error`, `warn`, `info`, `debug`, `trace` or `off`, or `target=level`, with commas \
             between several"
        )),
        None => Ok(()),
    }
}

/// Lines with the fields of what is told and of all spans around it; those say of which invocation, delivery and repo a line
/// is. `name` is that of the innermost span: `webhook` or `sweep`.
#[must_use]
pub fn lines<S: Subscriber + for<'a> LookupSpan<'a>>() -> Layer<S> {
    let lines = json_subscriber::layer().flatten_event(true).with_target(false);
    lines.with_current_span(false).flatten_span_list_on_top_level(true)
}
