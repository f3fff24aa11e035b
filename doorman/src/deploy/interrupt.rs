//! Ctrl-C during `deploy`: the command ends with a message that names the current step.

use std::io::{self, IsTerminal, Write};
use std::process;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::runtime::Builder;
use tokio::signal;

use crate::screen::print_message;

/// The exit status of a command that SIGINT has ended.
const STATUS: i32 = 130;

/// The time in which this program notices a Ctrl-C that has ended `aws`.
const TIME_TO_NOTICE: Duration = Duration::from_millis(100);

/// Waits for Ctrl-C, and knows the current step. Before the first step, this is `None`.
pub struct Interrupt(Arc<Mutex<Option<&'static str>>>);

impl Interrupt {
    /// Starts to wait in a thread of its own, because the command blocks while it asks or while `aws` runs.
    pub fn watch() -> io::Result<Self> {
        let step = Arc::new(Mutex::new(None));
        let runtime = Builder::new_current_thread().enable_io().build()?;
        let mut interrupt = Box::pin(signal::ctrl_c());
        // The first poll installs the handler.
        let context = runtime.enter();
        if let Some(result) = interrupt.as_mut().now_or_never() {
            result?;
        }
        drop(context);
        let current = Arc::clone(&step);
        thread::spawn(move || {
            if runtime.block_on(interrupt).is_ok() {
                end(*current.lock().unwrap_or_else(PoisonError::into_inner));
            }
        });
        Ok(Self(step))
    }

    /// Notes the step that begins now.
    pub fn begin(&self, step: &'static str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(step);
    }
}

/// Waits after a failure. Ctrl-C also ends `aws`, which looks like a failure. In this time, the thread of [`Interrupt::watch`] ends the
/// command, so this failure is not shown.
pub fn settle() {
    thread::sleep(TIME_TO_NOTICE);
}

/// Ends the command during this step.
fn end(step: Option<&str>) {
    // In the current line there is a `^C` of the terminal, or a progress bar.
    if io::stderr().is_terminal() {
        let _ = write!(io::stderr(), "\r\x1b[2K");
    }
    print_message(&match step {
        Some(step) => format!(
            "doorman: interrupted in the step `{step}`. Each step can be repeated: run the same command again, and it goes on from here."
        ),
        None => "doorman: interrupted before the first step, so nothing was changed.".to_owned(),
    });
    process::exit(STATUS);
}
