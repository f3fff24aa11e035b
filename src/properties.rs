//! How properties are tried: what proptest draws, and how often.

use proptest::prelude::ProptestConfig;

/// So often, and without a file of what failed: proptest prints it, and what is worth keeping gets a test with a name.
/// `PROPTEST_CASES` tries more.
pub(crate) fn often() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}
