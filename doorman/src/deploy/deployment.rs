//! What a deployment needs to know before its first step. To find it out changes nothing.

use std::error::Error;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{env, fs};

use hub_doorman::config::ConfigError;
use hub_doorman::hub::{Hub, WhoAmI};
use hub_doorman::model::RepoPattern;
use hub_doorman::secrets::{Secret, Source};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use zip::ZipArchive;

use super::policy::FunctionPolicy;
use super::settings::{Architecture, Settings, TOKEN_OF_ENVIRONMENT};
use crate::aws::{Aws, AwsAccount};
use crate::check::findings::Findings;
use crate::check::policy_repo::refuse_of_others;
use crate::check::repos;
use crate::environment::{self, deadline};
use crate::exit::UsageError;

/// The tag of everything that `doorman deploy` makes in AWS. `--destroy` removes nothing else.
pub const TAG: &str = "hub-doorman:deploy";

/// The function is far smaller, so a larger file is something else.
const MAX_ZIP_BYTES: usize = 50_000_000;

/// The settings and the account of a deployment, and the names that follow from them.
pub struct Place {
    pub settings: Settings,
    pub aws: Aws,
    pub account: AwsAccount,
}

impl Place {
    /// Asks the `aws` command for the account.
    pub fn find(settings: Settings) -> Result<Self, Box<dyn Error>> {
        let aws = Aws::new(Some(&settings.region));
        let account = aws.account()?;
        Ok(Self { settings, aws, account })
    }

    /// The name of the bucket. It contains the account, because no two accounts can have buckets of the same name.
    pub fn bucket(&self) -> String {
        format!("{}-{}-{}", self.settings.name, self.account.id, self.settings.region)
    }

    /// The name of the topic for alarms.
    pub fn topic(&self) -> String {
        format!("{}-alarms", self.settings.name)
    }

    pub fn topic_arn(&self) -> String {
        let AwsAccount { id, .. } = &self.account;
        format!("arn:{}:sns:{}:{id}:{}", self.account.partition(), self.settings.region, self.topic())
    }

    /// The tags of everything that the deployment makes.
    pub fn tags(&self) -> Value {
        json!([{"Key": TAG, "Value": self.settings.name}])
    }

    /// Whether these tags say that a deployment of this name has made their resource.
    pub fn is_ours(&self, tags: &Value) -> bool {
        tag(tags, TAG) == Some(&self.settings.name)
    }
}

/// The value of a tag.
pub fn tag<'a>(tags: &'a Value, key: &str) -> Option<&'a str> {
    tags.as_array()?.iter().find(|tag| tag["Key"] == key)?["Value"].as_str()
}

/// A deployment that can begin.
pub struct Deployment {
    pub place: Place,
    pub hub: Arc<Hub>,
    pub owner: WhoAmI,
    pub patterns: Vec<RepoPattern>,
    pub policy: FunctionPolicy,
    pub zip: Zip,
    /// The token that AWS is to keep, unless the settings name an ARN.
    pub token: Option<Secret>,
    /// Whether this token replaces one that AWS keeps already.
    pub replaces_token: bool,
}

/// The zip of the function.
pub struct Zip {
    pub path: PathBuf,
    pub bytes: u64,
    /// The name in the bucket. It is a hash of the content, so the same zip is uploaded only once.
    pub key: String,
}

impl Deployment {
    /// Checks the zip, the token, the repos and the policy. None means that the policy does not pass its cases.
    pub async fn prepare(
        place: Place,
        folder: &Path,
        zip: Option<&Path>,
        replaces_token: bool,
    ) -> Result<Option<Self>, Box<dyn Error>> {
        let settings = &place.settings;
        let zip = Zip::find(zip, settings.architecture)?;
        let token = token(settings)?;
        let hub = environment::hub().await?;
        let owner = hub.account(deadline()).who_am_i().await.map_err(|error| format!("HF_TOKEN: {error}"))?;
        refuse_read_only(&owner)?;
        let patterns =
            if settings.repos.is_empty() { Vec::new() } else { settings.patterns().map_err(ConfigError)? };
        let mut findings = Findings::default();
        repos::check(&hub, &patterns, &mut findings).await;
        findings.refuse_failed()?;
        let Some(policy) = FunctionPolicy::read(settings, folder, &place.aws, &hub).await? else {
            return Ok(None);
        };
        if let Some(repo) = policy.on_hub().map(|file| &file.repo) {
            let fault = refuse_of_others(&owner, repo.owner().unwrap_or_default());
            fault.map_err(|fault| UsageError(format!("{repo}: {fault}")))?;
        }
        Ok(Some(Self { place, hub, owner, patterns, policy, zip, token, replaces_token }))
    }
}

/// Refuses a token that may only read.
pub fn refuse_read_only(owner: &WhoAmI) -> Result<(), UsageError> {
    match owner.role.as_deref() {
        Some("read") => {
            let text = "HF_TOKEN: this token may only read; make one with the role `write` at https://huggingface.co/settings/tokens";
            Err(UsageError(text.to_owned()))
        }
        _ => Ok(()),
    }
}

/// The token that AWS is to keep.
fn token(settings: &Settings) -> Result<Option<Secret>, Box<dyn Error>> {
    if settings.token != TOKEN_OF_ENVIRONMENT {
        return Ok(None);
    }
    let variables = environment::variables();
    let token = variables.token();
    match variables.all(|| token)? {
        Source::Given(token) => Ok(Some(token)),
        Source::Stored(_) => {
            let text = "HF_TOKEN: it is an ARN; write that ARN into the settings as `token`, and set HF_TOKEN to the token itself";
            Err(UsageError(text.to_owned()).into())
        }
    }
}

impl Zip {
    /// The zip that an option names. Otherwise that of the release: an archive has it beside the program, and a wheel installs it in
    /// `share`.
    pub fn find(named: Option<&Path>, architecture: Architecture) -> Result<Self, Box<dyn Error>> {
        if let Some(path) = named {
            return Self::read(path, architecture);
        }
        let name = format!("hub-doorman-lambda-{}.zip", architecture.as_str());
        let program = env::current_exe()?;
        let real = fs::canonicalize(&program).unwrap_or_else(|_| program.clone());
        let folders = [&program, &real].into_iter().filter_map(|program| program.parent());
        let found = folders
            .flat_map(|folder| [folder.join(&name), folder.join("../share/hub-doorman").join(&name)])
            .find(|path| path.is_file());
        let path = found.ok_or_else(|| {
            UsageError(format!(
                "{name}: this program was installed without the function. Install it with `pip install hub-doorman`, or unpack the archive of \
                 a release; or take that file from a release, and name it with --zip"
            ))
        })?;
        Self::read(&path, architecture)
    }

    fn read(path: &Path, architecture: Architecture) -> Result<Self, Box<dyn Error>> {
        let fault = |text: String| UsageError(format!("{}: {text}", path.display()));
        let content = fs::read(path).map_err(|error| fault(format!("cannot be read: {error}")))?;
        let no_function =
            || fault("this is not a zip of a function, which has a program `bootstrap`".to_owned());
        if content.len() > MAX_ZIP_BYTES {
            return Err(no_function().into());
        }
        match architecture_of(&content).ok_or_else(no_function)? {
            actual if actual != architecture => {
                let (actual, wanted) = (actual.as_str(), architecture.as_str());
                let text = format!(
                    "the program in it is for {actual}, but the settings have architecture = \"{wanted}\"; change one of the two"
                );
                return Err(fault(text).into());
            }
            _ => {}
        }
        let hash =
            Sha256::digest(&content).iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        Ok(Self { path: path.to_owned(), bytes: content.len() as u64, key: format!("{hash}.zip") })
    }
}

/// The architecture of the program `bootstrap` in a zip. The header of an ELF file names it.
fn architecture_of(zip: &[u8]) -> Option<Architecture> {
    let mut archive = ZipArchive::new(Cursor::new(zip)).ok()?;
    let mut header = [0; 20];
    archive.by_name("bootstrap").ok()?.read_exact(&mut header).ok()?;
    match (header.starts_with(b"\x7fELF"), u16::from_le_bytes([header[18], header[19]])) {
        (true, 0x3e) => Some(Architecture::X86_64),
        (true, 0xb7) => Some(Architecture::Arm64),
        _ => None,
    }
}
