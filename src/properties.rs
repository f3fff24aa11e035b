//! The configuration of the property tests.

use proptest::prelude::ProptestConfig;

/// The default number of cases, which `PROPTEST_CASES` can change. Failed cases are not saved to a file: proptest prints
/// them, and a case that is worth keeping becomes a test of its own.
pub(crate) fn often() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}
