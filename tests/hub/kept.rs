//! What tests log, answer and print, and what must never be in it: kept in the directory that `KEEP_OUTPUT` names, for
//! `scripts/test.py` to search. Without that variable nothing is kept.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, LazyLock};

static OUTPUT: LazyLock<Option<Arc<File>>> = LazyLock::new(|| open("output"));
static SEEDED: LazyLock<Option<Arc<File>>> = LazyLock::new(|| open("seeded"));

fn open(name: &str) -> Option<Arc<File>> {
    let path = Path::new(&std::env::var_os("KEEP_OUTPUT")?).join(name);
    Some(Arc::new(OpenOptions::new().create(true).append(true).open(path).expect("a file to keep it in")))
}

/// Where all output is to be written to besides.
pub fn writer() -> Option<Arc<File>> {
    OUTPUT.clone()
}

/// Keeps a piece of output.
pub fn output(text: impl AsRef<[u8]>) {
    if let Some(mut file) = OUTPUT.as_deref() {
        file.write_all(text.as_ref()).expect("kept");
    }
}

/// Keeps what must never be in it. Others write to the same file, so each line goes out at once.
pub fn seeded(secret: &str) {
    if let Some(mut file) = SEEDED.as_deref() {
        file.write_all(format!("{secret}\n").as_bytes()).expect("kept");
    }
}
