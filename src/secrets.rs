//! The token and the webhook's secrets, which must not be printed. This module knows where they are kept, reads them again after a
//! rotation, and compares a webhook's secret in constant time.

mod keyring;
mod redact;
mod secret;
mod stored;

pub use keyring::{Keyring, Source, Sources};
pub(crate) use redact::redact;
pub use secret::{AcceptedSecrets, Secret};
pub(crate) use stored::Failed;
pub use stored::Stored;
