//! The check of the repo that keeps the policy. Who can write to it decides who gets access.

use hub_doorman::hub::{Account, WhoAmI};
use hub_doorman::model::Name;
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
    let of_repo = repo.owner().unwrap_or_default();
    if let Err(fault) = refuse_of_others(owner, of_repo) {
        return findings.add(Level::Failed, repo.to_string(), fault);
    }
    // We know of no call of the Hub that lists the members of an organization who can write.
    if owner.name != *of_repo {
        let text = format!(
            "anyone with write access to it can open the gates; `doorman` cannot tell who that is, so look at the members of \
             `{of_repo}` and their roles"
        );
        findings.add(Level::Warning, repo.to_string(), text);
    }
}

/// Refuses a namespace for the policy that belongs to others.
pub fn refuse_of_others(owner: &WhoAmI, namespace: &str) -> Result<(), String> {
    if !belongs_to_others(owner, namespace) {
        return Ok(());
    }
    Err(format!(
        "`{namespace}` is neither the account of HF_TOKEN nor one of its organizations, so its owners can open your gates; keep the \
         policy in a repo of your own"
    ))
}

/// Whether the Hub shows that a namespace is neither the account nor one of its organizations. For a fine-grained token it may list only
/// the organizations of the token's scope, so that shows nothing.
fn belongs_to_others(owner: &WhoAmI, namespace: &str) -> bool {
    let is_fine_grained = owner.role.as_deref() == Some("fineGrained");
    let is_org = |orgs: &Vec<Name>| orgs.iter().any(|org| *org == *namespace);
    owner.name != *namespace && !is_fine_grained && owner.orgs.as_ref().is_some_and(|orgs| !is_org(orgs))
}
