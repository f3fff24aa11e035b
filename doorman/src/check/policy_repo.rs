//! The check of the repo that keeps the policy. Who can write to it decides who gets access.

use hub_doorman::hub::{Account, WhoAmI};
use hub_doorman::source::HubFile;

use super::findings::{Findings, Level};

/// Checks who can read and who can write the policy and its lists.
pub async fn check(account: &Account<'_>, file: &HubFile, owner: &WhoAmI, findings: &mut Findings) {
    let repo = &file.repo;
    match account.repo_info(repo).await {
        Err(error) => return findings.add(Level::Failed, repo.to_string(), error.to_string()),
        Ok(info) if !info.is_private => {
            let text = "public, although it keeps the policy: everybody can read its rules and lists; make it private in its settings";
            findings.add(Level::Failed, repo.to_string(), text);
        }
        Ok(_) => findings.add(Level::Passed, repo.to_string(), "private, and keeps the policy"),
    }
    // We know of no call of the Hub that lists the members of an organization who can write.
    let of_repo = repo.owner().unwrap_or_default();
    if owner.name != *of_repo {
        let text = format!(
            "anyone with write access to it can open the gates; `doorman` cannot tell who that is, so look at the members of \
             `{of_repo}` and their roles"
        );
        findings.add(Level::Warning, repo.to_string(), text);
    }
}
