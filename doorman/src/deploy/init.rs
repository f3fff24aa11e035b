//! `deploy init`: asks for the settings, and checks each answer at once.

mod answers;

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};

use super::deployment::{Place, Zip};
use super::settings::{Architecture, Settings, TOKEN_OF_ENVIRONMENT};
use crate::arguments::InitArguments;
use crate::exit::{ExitStatus, UsageError};
use crate::screen::{Screen, print_message};
use answers::{Checks, Found};

/// Asks for the settings that no option gives, and writes the file.
pub async fn run(options: &InitArguments, screen: &mut Screen) -> Result<ExitStatus, Box<dyn Error>> {
    let path = &options.settings;
    if path.exists() {
        let text = format!(
            "{} is there already, and is not overwritten; change it, or name another file with --settings",
            path.display()
        );
        return Err(UsageError(text).into());
    }
    refuse_missing(options, screen)?;
    let Some(settings) = ask_all(options, screen).await? else {
        print_message("Nothing was written.");
        return Ok(ExitStatus::Failed);
    };
    let create = || {
        OpenOptions::new().write(true).create_new(true).open(path)?.write_all(settings.to_toml().as_bytes())
    };
    create().map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => format!("{} is there already, and is not overwritten", path.display()),
        _ => format!("{} cannot be written: {error}", path.display()),
    })?;
    let shown = path.display();
    screen.write_note(&format!(
        "Wrote {shown}. `doorman deploy --dry-run` shows what a deployment does. The function begins with a dry run, which changes no request."
    ))?;
    // A deployment needs the `aws` command. The settings are valid without it.
    let zip = Zip::find(None, settings.architecture).map(|_| ());
    for error in [zip, Place::find(settings).map(|_| ())].into_iter().filter_map(Result::err) {
        print_message(&format!("doorman: before you can deploy: {error}"));
    }
    Ok(ExitStatus::Complete)
}

/// Without a terminal no question can be asked, so options have to give all answers.
fn refuse_missing(options: &InitArguments, screen: &Screen) -> Result<(), UsageError> {
    let InitArguments { repos, policy, push_to: _, token: _, alarms, region, settings: _ } = options;
    let all = [("--repos", repos), ("--policy", policy), ("--alarms", alarms), ("--region", region)];
    let missing: Vec<&str> =
        all.iter().filter(|(_, answer)| answer.is_none()).map(|(name, _)| *name).collect();
    if missing.is_empty() || screen.can_ask() {
        return Ok(());
    }
    Err(UsageError(format!("there is no terminal to ask at; give {}", missing.join(", "))))
}

/// The settings from the options and the answers. None means that the input has ended.
async fn ask_all(options: &InitArguments, screen: &mut Screen) -> Result<Option<Settings>, Box<dyn Error>> {
    let mut settings = Settings {
        name: "hub-doorman".to_owned(),
        region: String::new(),
        repos: Vec::new(),
        no_sweeps: false,
        policy: String::new(),
        push_to: None,
        token: TOKEN_OF_ENVIRONMENT.to_owned(),
        alarms: None,
        dry_run: true,
        architecture: Architecture::default(),
        parameters: BTreeMap::new(),
    };
    let folder = options.settings.parent().map(std::borrow::ToOwned::to_owned).unwrap_or_default();
    let mut checks = Checks::new(folder);
    for question in Question::ALL {
        if question == Question::PushTo && !checks.has_to_push {
            continue;
        }
        if !question.settle(options, &mut settings, &mut checks, screen).await? {
            return Ok(None);
        }
    }
    Ok(Some(settings))
}

/// A question. The token comes first, because the checks of other answers call the Hub with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Question {
    Token,
    Repos,
    Policy,
    PushTo,
    Alarms,
    Region,
}

impl Question {
    const ALL: [Self; 6] = [Self::Token, Self::Repos, Self::Policy, Self::PushTo, Self::Alarms, Self::Region];

    fn text(self) -> &'static str {
        match self {
            Self::Token => {
                "Where the token of the Hub comes from: HF_TOKEN (also one that `hf auth login` has saved), or the ARN of a secret"
            }
            Self::Repos => "Repos whose requests are decided, such as acme/model or acme/*",
            Self::Policy => "Policy: a file, or hf://datasets/OWNER/NAME/FILE",
            Self::PushTo => {
                "The policy has list files, or is too long for the function's configuration, so it is pushed to a private repo on the Hub. Place"
            }
            Self::Alarms => {
                "Who gets alarms: an e-mail address, or the ARN of a topic of SNS (none for no alarms)"
            }
            Self::Region => "Region of AWS, such as eu-central-1",
        }
    }

    fn option(self, options: &InitArguments) -> Option<&str> {
        match self {
            Self::Token => options.token.as_deref(),
            Self::Repos => options.repos.as_deref(),
            Self::Policy => options.policy.as_deref(),
            Self::PushTo => options.push_to.as_deref(),
            Self::Alarms => options.alarms.as_deref(),
            Self::Region => options.region.as_deref(),
        }
    }

    /// The answer that an empty reply stands for.
    fn default(self, settings: &Settings) -> String {
        match self {
            Self::Token => TOKEN_OF_ENVIRONMENT.to_owned(),
            Self::Repos | Self::Alarms => String::new(),
            Self::Policy => "policy.toml".to_owned(),
            Self::PushTo => {
                let first = settings.repos.first().map(|repo| repo.trim_start_matches("datasets/"));
                let owner = first.and_then(|repo| repo.split_once('/')).map_or("OWNER", |(owner, _)| owner);
                let file = settings.policy.rsplit('/').next().unwrap_or_default();
                format!("hf://datasets/{owner}/doorman/{file}")
            }
            Self::Region => {
                let variables = ["AWS_REGION", "AWS_DEFAULT_REGION"];
                variables
                    .iter()
                    .find_map(|name| env::var(name).ok().filter(|text| !text.is_empty()))
                    .unwrap_or_default()
            }
        }
    }

    /// Takes the answer from the options, or asks until an answer is valid. False means that the input has ended.
    async fn settle(
        self,
        options: &InitArguments,
        settings: &mut Settings,
        checks: &mut Checks,
        screen: &mut Screen,
    ) -> Result<bool, Box<dyn Error>> {
        let default = self.default(settings);
        let given = self.option(options).map(str::to_owned);
        if let Some(answer) = given.or_else(|| (!screen.can_ask()).then(|| default.clone())) {
            self.take(answer.trim(), settings, checks).await?;
            return Ok(true);
        }
        loop {
            let Some(answer) = screen.ask_for(self.text(), &default)? else { return Ok(false) };
            match self.take(&answer, settings, checks).await {
                Ok(found) => {
                    found.lines().for_each(|line| print_message(&format!("    ✓ {line}")));
                    return Ok(true);
                }
                Err(error) => print_message(&format!("doorman: {error}{}", self.remedy(&answer))),
            }
        }
    }

    /// What helps if this answer is wrong, but its fault is not in the answer itself.
    fn remedy(self, answer: &str) -> &'static str {
        match self {
            Self::Token if answer == TOKEN_OF_ENVIRONMENT => {
                "\nRun `hf auth login` in another terminal, and press Enter. Or stop with Ctrl-C, set HF_TOKEN, and begin again."
            }
            _ => "",
        }
    }

    /// Checks an answer, and puts it into the settings.
    async fn take(self, answer: &str, settings: &mut Settings, checks: &mut Checks) -> Found {
        match self {
            Self::Token => checks.token(answer, settings).await,
            Self::Repos => checks.repos(answer, settings).await,
            Self::Policy => checks.policy(answer, settings).await,
            Self::PushTo => checks.push_to(answer, settings).await,
            Self::Alarms => answers::alarms(answer, settings),
            Self::Region => answers::region(answer, settings),
        }
    }
}
