//! All output of the tests, and the secrets that must never be in it. Both are kept in the directory that `KEEP_OUTPUT` names,
//! where `scripts/test.py` searches the output for the secrets. Without that variable nothing is kept.

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

/// The file of the output, for a writer that logs to it directly.
pub fn writer() -> Option<Arc<File>> {
    OUTPUT.clone()
}

/// Keeps a piece of output.
pub fn output(text: impl AsRef<[u8]>) {
    if let Some(mut file) = OUTPUT.as_deref() {
        file.write_all(text.as_ref()).expect("kept");
    }
}

/// Keeps a secret. Other processes append to the same file, so each line is written in one piece.
pub fn seeded(secret: &str) {
    if let Some(mut file) = SEEDED.as_deref() {
        file.write_all(format!("{secret}\n").as_bytes()).expect("kept");
    }
}
