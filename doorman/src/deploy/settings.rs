//! `doorman.toml`: the settings of a deployment. They contain no secret.

pub mod check;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use hub_doorman::config::ConfigError;
use hub_doorman::model::RepoPattern;
use hub_doorman::source::Place;
use serde::Deserialize;

use crate::environment::read;
use crate::policy::quote;

/// The value of `token` for the token of `HF_TOKEN`, or the saved one.
pub const TOKEN_OF_ENVIRONMENT: &str = "HF_TOKEN";

/// The file of the settings, unless an option names another.
pub const DEFAULT_PATH: &str = "doorman.toml";

/// The settings of a deployment, as in the file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The name of the stack and of the secret, and the beginning of the names of the bucket and the topic.
    #[serde(default = "default_name")]
    pub name: String,
    /// The region of AWS.
    pub region: String,
    /// The repos, as in `REPOS`.
    pub repos: Vec<String>,
    /// Whether `repos` may be empty.
    #[serde(default)]
    pub no_sweeps: bool,
    /// A file, `hf://datasets/OWNER/NAME/FILE`, or an ARN.
    pub policy: String,
    /// Where the policy is pushed if it is a file, and does not fit into the function's configuration.
    pub push_to: Option<String>,
    /// [`TOKEN_OF_ENVIRONMENT`], or the ARN of a secret that holds the token.
    #[serde(default = "default_token")]
    pub token: String,
    /// The e-mail address that gets alarms, or the ARN of a topic of SNS.
    pub alarms: Option<String>,
    /// Whether the function only decides and logs.
    #[serde(default = "default_dry_run")]
    pub dry_run: bool,
    /// The processor of the function.
    #[serde(default)]
    pub architecture: Architecture,
    /// Other parameters of the template.
    #[serde(default)]
    pub parameters: BTreeMap<String, Parameter>,
}

/// A processor architecture, as Lambda names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Architecture {
    #[default]
    #[serde(rename = "arm64")]
    Arm64,
    #[serde(rename = "x86_64")]
    X86_64,
}

impl Architecture {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Arm64 => "arm64",
            Self::X86_64 => "x86_64",
        }
    }
}

/// The value of a parameter of the template.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Parameter {
    Number(u32),
    Text(String),
}

impl Parameter {
    pub fn text(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.clone(),
        }
    }
}

fn default_name() -> String {
    "hub-doorman".to_owned()
}

fn default_token() -> String {
    TOKEN_OF_ENVIRONMENT.to_owned()
}

fn default_dry_run() -> bool {
    true
}

impl Settings {
    /// Reads and checks the file. All faults are reported at once.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        read(path, Self::parse).map_err(ConfigError)
    }

    fn parse(text: &str) -> Result<Self, Vec<String>> {
        let settings: Self = toml::from_str(text).map_err(|error| vec![fault(&error, text)])?;
        let faults = settings.faults();
        if faults.is_empty() { Ok(settings) } else { Err(faults) }
    }

    /// The region of the settings in the current folder, if they are there and valid.
    pub fn region_here() -> Option<String> {
        Self::read(Path::new(DEFAULT_PATH)).ok().map(|settings| settings.region)
    }

    /// The path of the policy, if it is a file. It is relative to the folder of the settings.
    pub fn policy_file(&self, folder: &Path) -> Option<PathBuf> {
        let path = self.policy.strip_prefix("file:").unwrap_or(&self.policy);
        (!Place::is_remote(&self.policy)).then(|| folder.join(path))
    }

    /// The parsed repos.
    pub fn patterns(&self) -> Result<Vec<RepoPattern>, Vec<String>> {
        RepoPattern::parse_all(self.repos.iter().map(String::as_str), "repos")
    }

    /// The value of `REPOS`.
    pub fn repos(&self) -> String {
        self.repos.join(" ")
    }

    /// The address of [`Settings::alarms`], if it is not a topic.
    pub fn alarm_address(&self) -> Option<&str> {
        self.alarms.as_deref().filter(|text| !text.starts_with("arn:"))
    }

    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut note = |key: &str, fault: Result<(), String>| {
            faults.extend(fault.err().map(|fault| format!("{key}: {fault}")));
        };
        note("name", check::name(&self.name));
        note("region", check::region(&self.region));
        note("token", check::token(&self.token));
        note("alarms", self.alarms.as_deref().map_or(Ok(()), check::alarms));
        note("policy", if self.policy.trim().is_empty() { Err("it is empty".to_owned()) } else { Ok(()) });
        if let Some(place) = &self.push_to {
            let is_on_hub = place.starts_with("hf://");
            let fault = "it is not a place on the Hub, such as `hf://datasets/acme/doorman/policy.toml`";
            note("push_to", if is_on_hub { Ok(()) } else { Err(fault.to_owned()) });
        }
        for (name, value) in &self.parameters {
            note("parameters", check::parameter(name, &value.text()));
        }
        let is_set = |name: &str| self.parameters.contains_key(name);
        if is_set("DigestHour") && !is_set("DigestTopic") && !is_set("DigestTo") {
            let fault = "DigestHour is set, but no destination, so no digest would be sent; set DigestTopic or DigestTo";
            note("parameters", Err(fault.to_owned()));
        }
        if self.repos.is_empty() && !self.no_sweeps {
            let fault = "it is empty, so there would be no sweeps, and nobody would be decided until a webhook comes; name the repos, \
                         such as `acme/*`, or set no_sweeps = true";
            faults.push(format!("repos: {fault}"));
        }
        if !self.repos.is_empty() {
            let unread = self.patterns().err().unwrap_or_default();
            faults.extend(unread.into_iter().map(|fault| format!("repos: {fault}")));
        }
        faults
    }

    /// The text of the file.
    pub fn to_toml(&self) -> String {
        let Self {
            name,
            region,
            repos,
            no_sweeps,
            policy,
            push_to,
            token,
            alarms,
            dry_run,
            architecture,
            parameters,
        } = self;
        let quoted = |text: &str| quote::toml(text);
        let mut text = String::from(
            "# The settings of `doorman deploy`. They contain no secret, so this file may be committed.\n\n",
        );
        let mut line = |key: &str, value: String, comment: &str| {
            let _ = writeln!(text, "# {comment}\n{key} = {value}\n");
        };
        let list = repos.iter().map(|repo| quoted(repo)).collect::<Vec<_>>().join(", ");
        line("name", quoted(name), "The name of the stack and of the secret in AWS.");
        line("region", quoted(region), "The region of AWS.");
        line(
            "repos",
            format!("[{list}]"),
            "The repos whose requests are decided. `acme/*` stands for all gated repos of a namespace.",
        );
        if *no_sweeps {
            line("no_sweeps", "true".to_owned(), "Without repos, nobody is decided until a webhook comes.");
        }
        line("policy", quoted(policy), "The policy: a file, hf://datasets/OWNER/NAME/FILE, or an ARN.");
        if let Some(place) = push_to {
            line(
                "push_to",
                quoted(place),
                "Where the policy is pushed if it has list files, or is too long for the function's configuration.",
            );
        }
        let comment = "The token: HF_TOKEN for the token of the environment or of `hf auth login`, which AWS then keeps, or the ARN of a \
                       secret that holds it.";
        line("token", quoted(token), comment);
        let comment = "Who gets the alarms: an e-mail address, or the ARN of a topic of SNS.";
        match alarms {
            Some(alarms) => line("alarms", quoted(alarms), comment),
            None => line("# alarms", quoted("you@…"), comment),
        }
        line("dry_run", dry_run.to_string(), "If true, the function decides and logs, and changes nothing.");
        line(
            "architecture",
            quoted(architecture.as_str()),
            "The processor of the function: arm64 or x86_64.",
        );
        if !parameters.is_empty() {
            let _ = writeln!(text, "[parameters]");
            for (name, value) in parameters {
                let _ = writeln!(text, "{name} = {}", quoted(&value.text()));
            }
        }
        format!("{}\n", text.trim_end())
    }
}

/// A fault of the format. The message does not quote the line, because somebody may have written a secret there.
fn fault(error: &toml::de::Error, text: &str) -> String {
    let before = error.span().and_then(|span| text.get(..span.start));
    let Some(before) = before else { return error.message().to_owned() };
    let number = before.matches('\n').count() + 1;
    let key =
        before.rsplit('\n').next().and_then(|line| line.split_once('=')).map_or("", |(key, _)| key.trim());
    let fault = match key {
        "dry_run" | "no_sweeps" => {
            format!("{key}: it is neither `true` nor `false`; write one of them, without quotes")
        }
        "repos" => "repos: it is not a list; write one, such as `[\"acme/model\"]`".to_owned(),
        _ => error.message().to_owned(),
    };
    format!("line {number}: {fault}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMAL: &str = "region = 'eu-central-1'\nrepos = ['acme/*']\npolicy = 'policy.toml'\n";

    #[test]
    fn settings_have_defaults_and_survive_writing() {
        let settings = Settings::parse(MINIMAL).expect("valid");
        assert_eq!((&*settings.name, settings.dry_run, &*settings.token), ("hub-doorman", true, "HF_TOKEN"));
        assert_eq!(Settings::parse(&settings.to_toml()), Ok(settings));

        let full = "name = 'gate'\nregion = 'us-east-1'\nrepos = []\nno_sweeps = true\npolicy = \"my 'policy'.toml\"\n\
            push_to = 'hf://datasets/acme/doorman/policy.toml'\ntoken = 'arn:aws:ssm:us-east-1:1:parameter/x'\n\
            alarms = 'arn:aws:sns:us-east-1:1:x'\ndry_run = false\narchitecture = 'x86_64'\n[parameters]\nSweepMinutes = 10\n";
        let settings = Settings::parse(full).expect("valid");
        assert_eq!(settings.parameters["SweepMinutes"].text(), "10");
        let again = Settings::parse(&settings.to_toml()).expect("valid");
        assert_eq!(
            Settings { parameters: BTreeMap::new(), ..again },
            Settings { parameters: BTreeMap::new(), ..settings }
        );
    }

    #[test]
    fn each_faulty_setting_is_named() {
        let cases = [
            ("region = 'Frankfurt'", "region: `Frankfurt` is not a region"),
            ("repos = []", "repos: it is empty, so there would be no sweeps"),
            ("repos = ['a--b']", "repos: "),
            ("policy = ' '", "policy: it is empty"),
            ("name = 'Hub'", "name: `Hub` does not consist of"),
            ("token = 'hf_hunter2'", "token: it is neither `HF_TOKEN` nor the ARN"),
            ("alarms = 'hunter2'", "alarms: it is neither an e-mail address nor"),
            ("push_to = 'policy.toml'", "push_to: it is not a place on the Hub"),
            (
                "parameters = { SweepMinute = 5 }",
                "parameters: the template has no parameter `SweepMinute`; did you mean `SweepMinutes`?",
            ),
            ("parameters = { DryRun = 'false' }", "parameters: `DryRun` is set by dry_run"),
            ("parameters = { DigestHour = 7 }", "parameters: DigestHour is set, but no destination"),
            (
                "parameters = { SweepMinutes = 7 }",
                "parameters: SweepMinutes: `7` is none of its values: 1, 2, 5,",
            ),
            (
                "repos = 'acme/model'",
                "line 3: repos: it is not a list; write one, such as `[\"acme/model\"]`",
            ),
            ("dryrun = false", "unknown field `dryrun`"),
            ("dry_run = flase", "line 4: dry_run: it is neither `true` nor `false`"),
            ("dry_run = 'hunter2'", "line 4: dry_run: it is neither `true` nor `false`"),
            ("no_sweeps = True", "line 4: no_sweeps: it is neither `true` nor `false`"),
        ];
        for (line, expected) in cases {
            let key = line.split(' ').next().expect("a key");
            let others: Vec<&str> = MINIMAL.lines().filter(|other| !other.starts_with(key)).collect();
            let faults =
                Settings::parse(&format!("{}\n{line}\n", others.join("\n"))).expect_err(line).join("\n");
            assert!(faults.contains(expected) && !faults.contains("hunter2"), "{line}: {faults}");
        }
    }
}
