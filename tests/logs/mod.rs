//! Captures the log of a thread, so that a test can read it.

// Each user of this module needs another part of it.
#![allow(dead_code)]
// This is test code, where a panic reports what is wrong.
#![allow(clippy::expect_used)]

use std::io;
use std::sync::{Arc, Mutex};

use hub_doorman::log;
use lambda_runtime::tracing::subscriber;
use lambda_runtime::tracing::subscriber::fmt::MakeWriter;
use lambda_runtime::tracing::subscriber::prelude::*;
use serde_json::Value;

use crate::hub::kept;

/// The lines that were logged on one thread.
#[derive(Clone, Default)]
pub struct Logs(Arc<Mutex<Vec<u8>>>);

impl Logs {
    /// Captures everything that this thread logs until the guard is dropped.
    pub fn capture() -> (Self, tracing::subscriber::DefaultGuard) {
        let logs = Self::default();
        let lines = log::lines().with_writer(logs.clone());
        (logs, subscriber::registry().with(lines).set_default())
    }

    /// All lines as one text.
    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("no panic").clone()).expect("UTF-8")
    }

    /// The lines with this message.
    pub fn lines(&self, message: &str) -> Vec<Value> {
        let text = self.text();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a JSON line"));
        lines.filter(|line| line["message"] == message).collect()
    }
}

impl io::Write for Logs {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        kept::output(bytes);
        self.0.lock().expect("no panic").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Logs {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
