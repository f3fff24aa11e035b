//! The policy of a deployment. It becomes a part of the function's configuration if it fits. Otherwise it is kept on the Hub.

use std::error::Error;
use std::path::Path;

use hub_doorman::hub::Hub;
use hub_doorman::policy::Policy;
use hub_doorman::source::HubFile;
use serde_json::Value;

use super::settings::Settings;
use crate::aws::Aws;
use crate::environment;
use crate::exit::UsageError;
use crate::policy::push::LocalPolicy;
use crate::screen::grouped;

/// The most bytes of the policy and `REPOS` together. Lambda allows 4 KB for the names and values of all variables, and the other variables
/// need some of them. The template has the same limit for the policy alone.
const MAX_BYTES: usize = 3600;

/// Where the function gets its policy from.
pub enum FunctionPolicy {
    /// From its configuration, as JSON on one line.
    Inline(String),
    /// From the Hub. The files are pushed first.
    Pushed { local: Box<LocalPolicy>, place: HubFile },
    /// From the Hub, where it is already.
    OnHub(HubFile),
    /// From AWS, where it is already. This is the ARN.
    Stored(String),
}

impl FunctionPolicy {
    /// Reads and checks the policy of the settings. A file is also tested with its cases. None means that it does not pass them.
    pub async fn read(
        settings: &Settings,
        folder: &Path,
        aws: &Aws,
        hub: &Hub,
    ) -> Result<Option<Self>, Box<dyn Error>> {
        let Some(path) = settings.policy_file(folder) else {
            return Self::read_remote(&settings.policy, aws, hub).await.map(Some);
        };
        let local = LocalPolicy::read(&path)?;
        if !local.passes_cases(None)? {
            return Ok(None);
        }
        if let Some(json) = inline(&local, &settings.repos()) {
            return Ok(Some(Self::Inline(json)));
        }
        let Some(place) = &settings.push_to else {
            let why = if local.has_list_files() {
                "it has list files"
            } else {
                "it is too long for the function's configuration"
            };
            return Err(UsageError(format!(
                "{}: {why}, so it has to be kept on the Hub; set push_to at the top of the settings, such as \
                 push_to = \"hf://datasets/acme/doorman/policy.toml\"",
                path.display()
            ))
            .into());
        };
        let place = push_place(place)?;
        Ok(Some(Self::Pushed { local: Box::new(local), place }))
    }

    /// Reads and checks a policy that is not a file.
    pub async fn read_remote(text: &str, aws: &Aws, hub: &Hub) -> Result<Self, Box<dyn Error>> {
        if text.starts_with("arn:") {
            let stored = aws.read_stored(text)?;
            let no_files = |file: &str| Err(format!("{file} is a file, which the function does not have"));
            Policy::parse_with_files(stored.expose(), &no_files)
                .map_err(|faults| UsageError(format!("{text}: {}", faults.join("\n"))))?;
            return Ok(Self::Stored(text.to_owned()));
        }
        let place = environment::place(text)?;
        let file = place
            .on_hub()
            .cloned()
            .ok_or_else(|| UsageError(format!("policy: `{text}` is not on the Hub")))?;
        environment::read_place(place, hub).await?;
        Ok(Self::OnHub(file))
    }

    /// The value of `APPROVAL_POLICY`.
    pub fn value(&self) -> String {
        match self {
            Self::Inline(json) => json.clone(),
            Self::Pushed { place, .. } | Self::OnHub(place) => place.to_string(),
            Self::Stored(arn) => arn.clone(),
        }
    }

    /// The file on the Hub, if the policy is kept there.
    pub fn on_hub(&self) -> Option<&HubFile> {
        match self {
            Self::Pushed { place, .. } | Self::OnHub(place) => Some(place),
            Self::Inline(_) | Self::Stored(_) => None,
        }
    }

    /// Says for a person how the function gets the policy.
    pub fn describe(&self) -> String {
        match self {
            Self::Inline(json) => {
                format!("keep it in the function's configuration ({} bytes)", grouped(json.len() as u64))
            }
            Self::Pushed { local, place } => {
                let names: Vec<String> = local.files(place).into_iter().map(|file| file.path).collect();
                format!(
                    "push {} to {place}; if there is no {}, make it as a private repo",
                    names.join(", "),
                    place.repo
                )
            }
            Self::OnHub(place) => format!("read it from {place}, where it is already"),
            Self::Stored(arn) => format!("read it from {arn}, where it is already"),
        }
    }
}

/// The file on the Hub to which a policy is pushed.
pub fn push_place(text: &str) -> Result<HubFile, Box<dyn Error>> {
    let fault = |fault: &str| {
        UsageError(format!("push_to: {fault}, such as `hf://datasets/acme/doorman/policy.toml`"))
    };
    if !text.starts_with("hf://") {
        return Err(fault(
            "this is no place on the Hub; name a file in a dataset of yours, which may be new",
        )
        .into());
    }
    let place = environment::place(text)?.on_hub().filter(|file| !file.is_pinned()).cloned();
    place.ok_or_else(|| fault("a push changes no commit; name a place without one").into())
}

/// The policy as JSON on one line, if it fits into the function's configuration.
pub fn inline(local: &LocalPolicy, repos: &str) -> Option<String> {
    if local.has_list_files() {
        return None;
    }
    let text = local.text();
    let value = serde_json::from_str::<Value>(text).or_else(|_| toml::from_str::<Value>(text)).ok()?;
    let json = value.to_string();
    let is_same =
        Policy::parse(&json).is_ok_and(|policy| policy.fingerprint() == local.policy().fingerprint());
    let fits = json.len() + repos.len() <= MAX_BYTES;
    (is_same && fits).then_some(json)
}
