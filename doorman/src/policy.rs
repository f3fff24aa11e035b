//! `policy`: shows and writes policies.

mod diff;
mod init;
pub mod push;
mod show;

use std::env;
use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use hub_doorman::config::{ConfigError, read_from};
use hub_doorman::hub::Hub;
use hub_doorman::policy::Policy;
use hub_doorman::source::Place;

use crate::arguments::PolicyCommand;
use crate::environment::{self, read_place};
use crate::exit::ExitStatus;
use crate::screen::Screen;
pub use init::quote;

/// The JSON Schema of policies.
const SCHEMA: &str = include_str!("policy.schema.json");

/// Carries out one of the commands.
pub async fn run(command: &PolicyCommand, screen: &mut Screen) -> Result<ExitStatus, Box<dyn Error>> {
    match command {
        PolicyCommand::Init { repo, print } => init::run(repo, *print, screen).await,
        PolicyCommand::Diff(arguments) => diff::run(arguments, screen).await,
        PolicyCommand::Push(arguments) => push::run(arguments, screen).await,
        PolicyCommand::Show { place, json } => show::run(place.as_deref(), *json, screen).await,
        PolicyCommand::Schema => {
            screen.write_all(SCHEMA.as_bytes())?;
            Ok(ExitStatus::Complete)
        }
    }
}

/// A policy, and the text that names its place.
struct PlacedPolicy {
    place: String,
    policy: Arc<Policy>,
}

/// Where a policy is kept, and the text that names it.
struct NamedPlace {
    name: String,
    place: Place,
}

impl NamedPlace {
    /// The place that an argument names, else that of `APPROVAL_POLICY`.
    fn find(argument: Option<&str>) -> Result<Self, ConfigError> {
        if let Some(text) = argument {
            return Ok(Self { name: text.to_owned(), place: environment::place(text)? });
        }
        let variables = environment::variables();
        let place = variables.policy(&read_from(Path::new(".")));
        let place = variables.all(|| place)?;
        let variable = env::var("APPROVAL_POLICY").ok().filter(|text| text.starts_with("file:"));
        Ok(Self { name: variable.unwrap_or_else(|| place.to_string()), place })
    }

    /// Reads the policy.
    async fn read(self, hub: &Hub) -> Result<PlacedPolicy, ConfigError> {
        Ok(PlacedPolicy { place: self.name, policy: read_place(self.place, hub).await? })
    }

    /// Reads the policy. If it is given with the configuration, this needs no token.
    async fn read_alone(self) -> Result<PlacedPolicy, ConfigError> {
        match self.place {
            Place::Given(policy) => Ok(PlacedPolicy { place: self.name, policy }),
            _ => self.read(&*environment::hub().await?).await,
        }
    }
}
