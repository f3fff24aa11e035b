//! The check of the Hub's mail as a trigger. The Hub tells nobody how the mails of a repo are set, only those of a gating group.

use hub_doorman::config::Variables;
use hub_doorman::hub::{NotificationMode, Notifications};
use hub_doorman::secrets::{Secret, Source};
use hub_doorman::trigger::mail::MailFrom;

use super::findings::{Findings, Level};

/// Checks the variables, and gives the secret of the address if it is set.
pub fn check_variables(findings: &mut Findings) -> Option<Source> {
    let from = findings.variable(Variables::mail_from);
    let secret = findings.variable(Variables::mail_secret).flatten()?;
    let text = "is set; whether the Hub mails this address cannot be read for a repo, so set it with `doorman notify on`";
    findings.add(Level::Passed, "MAIL_SECRET", text);
    if from == Some(MailFrom::Any) {
        let text = "any: everybody who knows the address of MAIL_SECRET can prompt a sweep";
        findings.add(Level::Warning, "MAIL_FROM", text);
    }
    Some(secret)
}

/// Checks whether the mails of a gating group prompt a sweep. If AWS keeps the secret, the address is not compared with it.
pub fn check_group(notifications: &Notifications, secret: &Source) -> (Level, String) {
    let Notifications { mode, email } = notifications;
    let set = "set them to `real-time` and to the address of MAIL_SECRET in the settings of the collection";
    let Some((local, domain)) = email.as_deref().and_then(|email| email.rsplit_once('@')) else {
        return (
            Level::Warning,
            format!("its mails go to no address of its own, so they prompt no sweep; {set}"),
        );
    };
    let is_other = |secret: &Secret| !Secret::for_mail(local).is_ok_and(|local| local.is(secret));
    match (mode, secret) {
        (_, Source::Given(secret)) if is_other(secret) => (
            Level::Warning,
            format!("its mails go to another address, at {domain}, so they prompt no sweep; {set}"),
        ),
        (Some(NotificationMode::RealTime), Source::Given(_)) => {
            (Level::Passed, "its mails prompt a sweep".to_owned())
        }
        (Some(NotificationMode::RealTime), Source::Stored(_)) => {
            (Level::Passed, format!("its mails go to an address at {domain} at once"))
        }
        _ => (Level::Warning, format!("its mails do not come at once; {set}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn group_mail_needs_real_time_and_the_secret() {
        let secret = Source::Given(Secret::for_mail("look-here-4f9a2c7d1b").expect("a local part"));
        let cases = [
            (
                Some(NotificationMode::RealTime),
                Some("Look-Here-4f9a2c7d1b@acme.com"),
                Level::Passed,
                "prompt a sweep",
            ),
            (
                Some(NotificationMode::RealTime),
                Some("ada@acme.com"),
                Level::Warning,
                "another address, at acme.com",
            ),
            (
                Some(NotificationMode::Bulk),
                Some("look-here-4f9a2c7d1b@acme.com"),
                Level::Warning,
                "not come at once",
            ),
            (None, Some("look-here-4f9a2c7d1b@acme.com"), Level::Warning, "not come at once"),
            (Some(NotificationMode::RealTime), None, Level::Warning, "no address of its own"),
        ];
        for (mode, email, level, part) in cases {
            let notifications = Notifications { mode, email: email.map(str::to_owned) };
            let (found, text) = check_group(&notifications, &secret);
            assert!(found == level && text.contains(part), "{mode:?}: {text}");
            assert!(!text.contains("look-here") && !text.contains("ada"), "{text}");
        }
    }
}
