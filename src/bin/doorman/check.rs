//! `check`: everything that can be wrong before a deployment. It changes nothing.

mod form;

use std::error::Error;
use std::path::Path;

use futures_util::future::join_all;
use hub_doorman::config::{ConfigError, Noted, Variables};
use hub_doorman::hub::{Account, Gating, Hub, ListPage, RepoInfo, Webhook, WebhookState};
use hub_doorman::model::{Name, Repo, RepoPattern, RepoType, Status};
use hub_doorman::policy::Policy;

use crate::Ending;
use crate::environment::{self, Lookup, deadline};
use crate::screen::{Cell, Look, Screen, count, grouped};
use crate::{groups, repos};

/// What the template takes.
const LONGEST_POLICY: usize = 3600;

/// What was found, in the order in which it was looked for.
#[derive(Default)]
struct Findings(Vec<Finding>);

struct Finding {
    level: Level,
    about: String,
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Passed,
    Warning,
    Failed,
}

impl Findings {
    fn add(&mut self, level: Level, about: impl Into<String>, text: impl Into<String>) {
        self.0.push(Finding { level, about: about.into(), text: text.into() });
    }

    /// What a variable holds; its faults are findings.
    fn variable<T>(&mut self, read: impl FnOnce(&Variables<Lookup>) -> Result<T, Noted>) -> Option<T> {
        let variables = environment::variables();
        let value = read(&variables);
        self.keep(variables.all(|| value))
    }

    fn keep<T>(&mut self, value: Result<T, ConfigError>) -> Option<T> {
        value.map_err(|ConfigError(faults)| self.fail(&faults)).ok()
    }

    /// Each of these names what it is about first.
    fn fail(&mut self, faults: &[String]) {
        for fault in faults {
            let (about, text) = fault.split_once(": ").unwrap_or(("", fault));
            let is_no_token = about == "HF_TOKEN" && text.starts_with("not set");
            let hint = if is_no_token { ", or one that `hf auth login` has saved" } else { "" };
            self.add(Level::Failed, about, format!("{text}{hint}"));
        }
    }

    fn count(&self, level: Level) -> u64 {
        self.0.iter().filter(|finding| finding.level == level).count() as u64
    }
}

/// Looks for what is wrong, and shows what was found.
pub async fn check(
    named: &[RepoPattern],
    excluded: &[Repo],
    policy_file: Option<&Path>,
    screen: &mut Screen,
) -> Result<Ending, Box<dyn Error>> {
    let mut findings = Findings::default();
    look(named, excluded, policy_file, &mut findings).await;
    let rows = findings.0.iter().map(|Finding { level, about, text }| {
        let (word, look) = match level {
            Level::Passed => ("passed", Look::Good),
            Level::Warning => ("warning", Look::Doubtful),
            Level::Failed => ("failed", Look::Bad),
        };
        vec![Cell::new(word, look), Cell::plain(about), Cell::plain(text)]
    });
    screen.table(&[], rows.collect::<Vec<_>>())?;
    let [passed, warnings, failed] =
        [Level::Passed, Level::Warning, Level::Failed].map(|level| findings.count(level));
    let sums = format!("{passed} passed, {}, {failed} failed", count(warnings, "warning"));
    screen.aside(&format!("\n{sums}"))?;
    Ok(if failed == 0 { Ending::Complete } else { Ending::Failed })
}

async fn look(named: &[RepoPattern], excluded: &[Repo], policy_file: Option<&Path>, findings: &mut Findings) {
    let policy = match policy_file {
        None => findings.variable(Variables::policy),
        Some(path) => findings.keep(environment::read_policy(path)),
    };
    if let Some(policy) = &policy {
        let source = policy_file.map_or("APPROVAL_POLICY".to_owned(), |path| path.display().to_string());
        findings.add(Level::Passed, source, count(policy.rule_names().count() as u64, "rule"));
    }
    let written = policy_file
        .map_or_else(|| std::env::var("APPROVAL_POLICY").ok(), |path| std::fs::read_to_string(path).ok());
    if let Some(length) = written.map(|text| text.trim().len()).filter(|length| *length > LONGEST_POLICY) {
        let length = grouped(length as u64);
        let text = format!(
            "{length} bytes; the Lambda function takes at most 3,600, for all its variables have 4 KB"
        );
        findings.add(Level::Warning, "APPROVAL_POLICY", text);
    }
    let repos = findings.variable(Variables::repos);
    let looked_after = repos.clone().flatten();
    let is_unset = matches!(repos, Some(None)) && named.is_empty();
    let repos = if named.is_empty() { repos.flatten() } else { Some(named.to_vec()) };
    if is_unset {
        let text = "not set: webhooks about any repo are heard, and there are no sweeps, so that who asks may wait for ever";
        findings.add(Level::Warning, "REPOS", text);
    }
    if findings.variable(Variables::dry_run) == Some(true) {
        findings.add(Level::Warning, "DRY_RUN", "true: the doorman decides, and changes nothing");
    }
    look_at_secret(findings);
    findings.variable(Variables::webhook_secret_previous);
    findings.variable(Variables::log);
    let concurrency = findings.variable(Variables::concurrency);
    let (endpoint, token) = (findings.variable(Variables::endpoint), findings.variable(Variables::token));
    let (Some(concurrency), Some(endpoint), Some(token)) = (concurrency, endpoint, token) else { return };
    let hub = environment::connect(token, endpoint, concurrency).await;
    let Some(hub) = findings.keep(hub) else { return };
    let account = hub.account(deadline());
    if !look_at_token(&account, findings).await {
        return;
    }
    let mut patterns: Vec<RepoPattern> = Vec::new();
    for pattern in repos::without(repos.unwrap_or_default(), excluded) {
        if !patterns.contains(&pattern) {
            patterns.push(pattern);
        }
    }
    let repos = patterns;
    let forms = look_at_repos(&hub, &repos, findings).await;
    if let Some(policy) = &policy {
        look_at_forms(policy, &forms, findings);
    }
    let reviewed: Vec<Repo> = forms.into_iter().map(|(repo, _)| repo).collect();
    look_at_groups(&account, &reviewed, looked_after.as_ref().unwrap_or(&repos), findings).await;
    look_at_webhooks(&account, &repos, findings).await;
}

/// The function does not start without a secret; who has no webhook needs none.
fn look_at_secret(findings: &mut Findings) {
    match std::env::var("WEBHOOK_SECRET") {
        Ok(text) if !text.trim().is_empty() => {
            if findings.variable(Variables::webhook_secret).is_some() {
                findings.add(Level::Passed, "WEBHOOK_SECRET", "is set");
            }
        }
        _ => findings.add(
            Level::Warning,
            "WEBHOOK_SECRET",
            "not set; the Lambda function does not start without it",
        ),
    }
}

/// Whether the token is good enough to look further.
async fn look_at_token(account: &Account<'_>, findings: &mut Findings) -> bool {
    let owner = match account.who_am_i().await {
        Ok(owner) => owner,
        Err(error) => {
            findings.add(Level::Failed, "HF_TOKEN", error.to_string());
            return false;
        }
    };
    let name = &owner.name;
    match owner.role.as_deref() {
        Some("read") => findings.add(
            Level::Failed,
            "HF_TOKEN",
            format!("a token of {name} that may only read; make one with the role `write` at https://huggingface.co/settings/tokens"),
        ),
        Some("fineGrained") => findings.add(
            Level::Passed,
            "HF_TOKEN",
            format!("a fine-grained token of {name}; what it may do is seen at each repo"),
        ),
        Some(role) => findings.add(Level::Passed, "HF_TOKEN", format!("a token of {name} with the role `{role}`")),
        None => findings.add(Level::Passed, "HF_TOKEN", format!("a token of {name}")),
    }
    true
}

/// Looks at each of the repos, and gives what their forms ask.
async fn look_at_repos(
    hub: &Hub,
    patterns: &[RepoPattern],
    findings: &mut Findings,
) -> Vec<(Repo, RepoInfo)> {
    let mut repos = Vec::new();
    for pattern in patterns {
        let found = match pattern {
            RepoPattern::One(repo) => vec![repo.clone()],
            RepoPattern::Namespace { owner, only, .. } => search(hub, owner, *only, pattern, findings).await,
        };
        repos.extend(found);
    }
    repos.sort();
    repos.dedup();
    let account = hub.account(deadline());
    let look = repos.iter().map(|repo| async {
        let calls = hub.repo(repo, deadline());
        (account.repo_info(repo).await, calls.list(Status::Pending, None, None).await)
    });
    let looks = join_all(look).await;
    let mut forms = Vec::new();
    for (repo, (info, waiting)) in repos.into_iter().zip(looks) {
        let info = match info {
            Ok(info) => info,
            Err(error) => {
                findings.add(Level::Failed, repo.to_string(), error.to_string());
                continue;
            }
        };
        let spelled = Repo::new(repo.repo_type(), &info.name).ok().filter(|spelled| *spelled == repo);
        let is_renamed = spelled.is_none();
        let repo = spelled.unwrap_or(repo);
        let about = repo.to_string();
        match (&info, waiting) {
            (RepoInfo { name, .. }, _) if is_renamed => {
                findings.add(Level::Failed, about, format!("the Hub calls it `{name}` now; use that name"));
            }
            (RepoInfo { gating: Gating::Off, .. }, _) => findings.add(
                Level::Failed,
                about,
                "not gated: everybody has access; set its access requests to manual approval in its settings",
            ),
            // A pattern such as `acme/*` does not say that each repo of the namespace is to be decided.
            (RepoInfo { gating: Gating::Auto, .. }, _) if !patterns.contains(&RepoPattern::One(repo.clone())) => {
                let text = format!(
                    "gated, but the Hub lets everybody in who asks; leave it out with `!{repo}` in REPOS, or set its access \
                     requests to manual approval in its settings"
                );
                findings.add(Level::Warning, about, text);
            }
            (RepoInfo { gating: Gating::Auto, .. }, _) => findings.add(
                Level::Failed,
                about,
                "gated, but the Hub lets everybody in who asks; set its access requests to manual approval in its settings",
            ),
            (RepoInfo { gating: Gating::Other, .. }, _) => {
                findings.add(Level::Failed, about, "gated in a way that is not documented");
            }
            (_, Err(error)) => findings.add(Level::Failed, about, error.to_string()),
            (_, Ok(ListPage { people, next, may_go_on })) => {
                let more = if next.is_some() || may_go_on { "or more " } else { "" };
                let text = format!("gated, approved by hand; {} {more}waiting", count(people.len() as u64, "request"));
                findings.add(Level::Passed, about, text);
            }
        }
        for unread in &info.form.unread {
            findings.add(
                Level::Warning,
                repo.to_string(),
                format!("{unread}, so that no rule is held against it"),
            );
        }
        forms.push((repo, info));
    }
    forms
}

async fn search(
    hub: &Hub,
    owner: &Name,
    only: Option<RepoType>,
    pattern: &RepoPattern,
    findings: &mut Findings,
) -> Vec<Repo> {
    let types = only.map_or(vec![RepoType::Model, RepoType::Dataset], |only| vec![only]);
    let listing = async |one: &RepoType| hub.gated_repos(owner, *one, deadline(), &mut |_| true).await;
    let listings = join_all(types.iter().map(listing)).await;
    let errors = listings.iter().filter_map(|listing| listing.error.as_ref());
    errors.for_each(|error| findings.add(Level::Failed, pattern.to_string(), error.to_string()));
    let has_failed = listings.iter().any(|listing| listing.error.is_some());
    let repos = listings.into_iter().flat_map(|listing| listing.repos);
    let repos: Vec<Repo> = repos.filter(|repo| pattern.covers(repo)).collect();
    if repos.is_empty() && !has_failed {
        let text = "no gated repo found; is it misspelt, or hidden from HF_TOKEN?";
        findings.add(Level::Failed, pattern.to_string(), text);
    }
    repos
}

/// Holds what the rules read against what the forms ask.
fn look_at_forms(policy: &Policy, forms: &[(Repo, RepoInfo)], findings: &mut Findings) {
    let (used, before) = (policy.answers(), findings.0.len());
    if forms.is_empty() || used.is_empty() {
        return;
    }
    let forms: Vec<_> = forms.iter().map(|(repo, info)| (repo.to_string(), &info.form)).collect();
    for used in &used {
        for (level, text) in form::problems(used, &forms) {
            findings.add(level, format!("rule `{}`", used.rule), text);
        }
    }
    if findings.0.len() == before {
        findings.add(Level::Passed, "the rules", "read nothing that the forms do not ask");
    }
}

async fn look_at_groups(
    account: &Account<'_>,
    reviewed: &[Repo],
    patterns: &[RepoPattern],
    findings: &mut Findings,
) {
    let listing = account.gating_groups(reviewed).await;
    for group in &listing.groups {
        let about = format!("gating group {}", group.slug);
        findings.add(Level::Warning, about, groups::warning(group, reviewed, patterns));
    }
    if let Some(error) = listing.error {
        let text = format!("not all could be read, so accepting somebody may open more repos: {error}");
        findings.add(Level::Warning, "gating groups", text);
    }
}

async fn look_at_webhooks(account: &Account<'_>, patterns: &[RepoPattern], findings: &mut Findings) {
    let webhooks = match account.webhooks().await {
        Ok(webhooks) => webhooks,
        Err(error) => return findings.add(Level::Warning, "webhooks", error.to_string()),
    };
    let concerns = |webhook: &Webhook, pattern: &RepoPattern| {
        webhook.watched.iter().any(|watched| watched.concerns(pattern))
    };
    for webhook in webhooks.iter().filter(|webhook| patterns.iter().any(|pattern| concerns(webhook, pattern)))
    {
        let Webhook { id, url, domains, has_secret, state, watched: _ } = webhook;
        let about = format!("webhook {id}");
        let is_job = url.is_none();
        let url = url.as_deref().unwrap_or("a Job");
        if *state == WebhookState::Suspended {
            let text = format!(
                "the Hub has suspended it, most likely because too many deliveries to {url} failed. Look at its deliveries on \
                 https://huggingface.co/settings/webhooks, mend what they say, then `doorman webhook enable {id}`"
            );
            findings.add(Level::Failed, about, text);
        } else if *state == WebhookState::Disabled {
            findings.add(Level::Failed, about, format!("disabled; `doorman webhook enable {id}`"));
        } else if !has_secret && !is_job {
            let text =
                format!("{url} gets no secret; if that is the doorman, it answers 401 and decides nobody");
            findings.add(Level::Warning, about, text);
        } else if !domains.iter().any(|domain| domain == "repo") {
            findings.add(Level::Warning, about, format!("{url} hears of discussions only"));
        } else {
            findings.add(Level::Passed, about, format!("delivered to {url}"));
        }
    }
    let is_watched = |pattern: &&RepoPattern| {
        let mut enabled = webhooks.iter().filter(|webhook| webhook.state == WebhookState::Enabled);
        enabled.any(|webhook| webhook.watched.iter().any(|watched| watched.covers(pattern)))
    };
    for pattern in patterns.iter().filter(|pattern| !is_watched(pattern)) {
        let text = "no webhook of the token's owner watches all of it, so that only sweeps do; `doorman webhook create` makes one";
        findings.add(Level::Warning, pattern.to_string(), text);
    }
}
