//! Comparisons that give the same result for every request are refused, and others are warned of.

use super::Policy;

fn parse(then: &str, rest: &str) -> Result<Policy, Vec<String>> {
    Policy::parse(&format!("[[rules]]\nname = 'r'\nthen = '{then}'\n{rest}\n"))
}

#[test]
fn comparison_that_no_request_can_match_is_refused() {
    let cases = [
        (
            "user.domain == '@acme.com'",
            "`user.domain` is compared with '@acme.com', but a domain contains no `@`; write 'acme.com'",
        ),
        ("'@acme.com' == user.domain", "contains no `@`; write 'acme.com'"),
        ("user['domain'] == '@acme.com'", "contains no `@`; write 'acme.com'"),
        ("user.domain != '@acme.com'", "contains no `@`; write 'acme.com'"),
        ("user.domain in ['acme.com', '@epfl.ch']", "contains no `@`; write 'epfl.ch'"),
        ("user.domain.endsWith('@acme.com')", "contains no `@`; write 'acme.com'"),
        ("user.domain.under('@acme.com')", "contains no `@`; write 'acme.com'"),
        (
            "user.domain.under('.acme.com')",
            "does not begin with a dot; write `user.domain.under('acme.com')`",
        ),
        ("user.domain == '.edu'", "does not begin with a dot; write `user.domain.under('edu')`"),
        ("user.domain == 'ada@acme.com'", "contains no `@`; write 'acme.com'"),
        ("user.domain == 'acme.com.'", "does not end with a dot"),
        ("user.domain == 'https://acme.com'", "contains only letters, digits, `-` and `.`"),
        ("user.domain in ['*.edu']", "contains only letters, digits, `-` and `.`"),
        ("user.domain in ['acme.com, epfl.ch']", "a domain contains no white space"),
        ("user.email.under('acme.com')", "`under` reads a domain; write `user.domain.under(…)`"),
        ("user.email == 'acme.com'", "write `user.domain.under('acme.com')` to compare its domain"),
        ("user.email == '@acme.com'", "has text on both sides of the `@`"),
        ("user.email in ['a@b@c.org']", "an e-mail address has the form 'name@acme.com'"),
        ("user.email in ['*@b.org']", "an e-mail address has the form 'name@acme.com'"),
        ("user.name.startsWith('ada,')", "contains only letters, digits, `-`, `_` and `.`"),
        ("user.email in ['<a@b.org>']", "an e-mail address has the form 'name@acme.com'"),
        ("user.email.startsWith('@')", "has text on both sides of the `@`"),
        ("user.email.matches('^@acme')", "has text before the `@`"),
        ("user.name.matches('^@')", "contains no `@`"),
        ("user.domain.matches('@acme[.]com')", "contains no `@`"),
        ("user.domain.matches('^[a-z]+(-[a-z]+)?@acme[.]com$')", "contains no `@`"),
        ("user.domain.contains('@')", "a domain contains no `@`"),
        ("user.name in []", "the list is empty"),
        ("user.domain.under([])", "the list is empty"),
        ("user.name in ['ada,']", "contains only letters, digits, `-`, `_` and `.`"),
        ("user.name == 'ada@acme.com'", "contains only letters, digits, `-`, `_` and `.`"),
        ("user.name == ' ada'", "the name of a user or an organization contains no white space"),
        ("user.service_account == 'a@acme.com'", "contains only letters, digits, `-`, `_` and `.`"),
        ("user.name == ''", "it is never empty; to test whether it is there, use `has`"),
        ("repo.type == 'models'", "`repo.type` is compared with 'models', but it is 'model' or 'dataset'"),
        ("repo.type in ['model', 'space']", "it is 'model' or 'dataset'"),
        ("repo.type.startsWith('Data')", "it is 'model' or 'dataset'"),
        ("repo.name == 'model'", "the name of a repo begins with its owner; write 'owner/model'"),
        ("repo.name == 'datasets/acme/corpus'", "test for a dataset with `repo.type == 'dataset'`"),
        ("repo.name == 'datasets/corpus'", "is written as 'owner/name'; test for a dataset with"),
        ("repo.name == 'acme/model/main'", "is written as 'owner/name'"),
        ("repo.owner == 'acme/model'", "contains only letters, digits, `-`, `_` and `.`"),
        ("'acme/model' in user.orgs", "contains only letters, digits, `-`, `_` and `.`"),
        ("repo.name == 'acme/*'", "the name of a repo contains only letters"),
        ("now.getMonth() == 12", "`getMonth` is from 0 to 11; January is 0"),
        ("12 == now.getMonth('Europe/Paris')", "`getMonth` is from 0 to 11"),
        ("now.getMonth() > 11", "`getMonth` is from 0 to 11"),
        ("now.getMonth() <= 11", "gives the same result for every request"),
        ("now.getMonth() >= 0", "gives the same result for every request"),
        ("0 > now.getHours()", "`getHours` is from 0 to 23"),
        ("now.getDayOfWeek() == 7", "`getDayOfWeek` is from 0 to 6"),
        ("now.getDate() == 0", "`getDate` is from 1 to 31"),
        ("now.getDayOfMonth() == 31", "`getDayOfMonth` is from 0 to 30"),
        ("now.getMinutes() == 60", "`getMinutes` is from 0 to 59"),
        ("fields['A'].indexOf('x') == -2", "`indexOf` is at least -1"),
        ("now.getDayOfYear() == 366", "`getDayOfYear` is from 0 to 365"),
        ("now.getMilliseconds() == 1000", "`getMilliseconds` is from 0 to 999"),
        ("now > requested_at - duration('24h')", "`requested_at` is always before `now`"),
        ("requested_at - duration('24h') <= now", "`requested_at` is always before `now`"),
        ("size(user.orgs) < 0", "`size` is at least 0"),
        ("size(fields['A'].split(',')) == 0", "`size` is at least 1, also of a blank text"),
        ("fields['A'].split(',').size() < 1", "`size` is at least 1, also of a blank text"),
        ("size(user.name) == 0", "`size` is at least 1, so its comparison with 0 gives the same result"),
        ("size(user.email) > 0", "`size` is at least 1"),
        ("age(fields['Born']) < 0", "`age` is from 0 to 1000"),
        ("age(fields['Born']) > 2008", "`age` is from 0 to 1000"),
        ("age('2008-13-01') > 18", "`age('2008-13-01')` reads no date"),
        ("requested_at - now < duration('72h')", "`requested_at` is always before `now`"),
        ("duration('72h') <= requested_at - now", "`requested_at` is always before `now`"),
        ("fields['A'].trim().endsWith('a ')", "write 'a'"),
        ("fields['A'].trim().startsWith(' ')", "which it never contains; write ''"),
        ("fields['A'].lowerAscii().matches('Korea')", "write 'korea'"),
        (
            "fields['A'].lowerAscii() == 'Acme'",
            "is compared with 'Acme', which it never contains; write 'acme'",
        ),
        ("fields['A'].upperAscii() in ['ch']", "write 'CH'"),
        ("fields['A'].trim() == ' x'", "write 'x'"),
        ("['a'].exists(a, (a + 'x').lowerAscii() == 'AX')", "write 'ax'"),
        ("fields['A'].lowerAscii().contains('Acme')", "write 'acme'"),
        ("user.fullname.lowerAscii() == 'Ada'", "write 'ada'"),
    ];
    for (expression, expected) in cases {
        let faults = parse("hold", &format!("if = \"{expression}\"")).err();
        let faults = faults.unwrap_or_else(|| panic!("{expression} is accepted"));
        assert!(faults.len() == 1 && faults[0].contains(expected), "{expression}: {faults:?}");
        assert!(!faults[0].contains("write ''") || expected.contains("write ''"), "{expression}: {faults:?}");
    }
}

#[test]
fn comparison_that_some_request_can_match_is_accepted() {
    let cases = [
        "user.domain == 'localhost' || user.domain.endsWith('.edu') || user.domain.contains('.ac.')",
        "user.domain.startsWith('mail.') || user.domain.under('edu') || user.domain.under(['ch', 'ac.uk'])",
        "user.email.endsWith('@acme.com') || user.email.startsWith('ada@') || user.email.contains('+')",
        "user.email == 'Ada@acme.com' || user.email in ['a@b.org', 'c@d.org']",
        "user.service_account == '' || user.service_account == 'acme'",
        "repo.type in ['model', 'dataset'] || repo.type.startsWith('data')",
        "repo.type.contains('ode') || repo.type.endsWith('set')",
        "timestamp(fields['A']) > requested_at - duration('24h') || now > timestamp(fields['A']) - duration('24h')",
        "requested_at - duration('24h') < timestamp(fields['A']) || now > requested_at + duration('24h')",
        "repo.name == 'acme/model' || repo.name.startsWith('acme/') || repo.name.endsWith('-instruct')",
        "'acme' in user.orgs || repo.owner == 'acme' || user.name == 'A_b-c.d'",
        "now.getMonth() < 11 || now.getMonth() >= 11",
        "now.getMonth() == 11 || now.getMonth() > 5 || now.getDayOfWeek() in [0, 6] || now.getDate() <= 7",
        "(now - requested_at).getHours() > 48 || (now - requested_at).getMinutes() >= 90",
        "size(user.orgs) > 0 || size(fields['A']) < 1 || fields['A'].indexOf('x') == -1",
        "fields['A'] == '' || fields['A'] == ' x' || fields['A'].trim() == '' || fields['A'] == '@acme.com'",
        "fields['A'].lowerAscii() == 'acme' || user.name.lowerAscii() == 'Ada'",
        "size(fields['A'].split('')) == 0 || size(fields['A'].split(',', 0)) == 0 || size(user.fullname) == 0",
        "age(fields['Born']) > 150 || age('2008-02-29') > 3 || user.domain.matches('(^|@)acme')",
        "user.domain.matches('[@.]acme') || fields['A'].lowerAscii().matches('korea|Korea')",
        "(user.name + 'x').lowerAscii() == 'ADAX' || (user.name + 'x').lowerAscii().matches('ADAX')",
        "user.name.trim().lowerAscii().startsWith('Ada') || user.email.split('@')[0].lowerAscii() in ['Ada']",
        "fields['A'].lowerAscii() in ['Ada', user.name] || user.name.lowerAscii() == fields['A'] + 'X'",
        "[now - requested_at].exists(wait, wait.getHours() > 48 || wait.getMinutes() > 90)",
        "(now - requested_at).getMilliseconds() > 5000 || duration('1h').getSeconds() == 3600",
        "requested_at - now < duration('-72h') || now > requested_at - duration('-72h')",
        "requested_at - timestamp(fields['A']) < duration('72h')",
        "fields['A'].trim().contains(' a ') || fields['A'].trim().startsWith('a ') || fields['A'].trim().endsWith(' a')",
        "requested_at - now < now - requested_at || now < requested_at - duration('-72h')",
        "user.domain.matches('^(.*@)?acme[.]com$') || user.domain.matches('^[^@.]+[.]edu$')",
        "user.domain.matches('^@{0,1}acme') || user.email.matches('^@?acme') || user.domain.matches('^@*acme')",
        "user.domain.matches(r'(\\\\)@)?acme') || user.domain.matches(r'[\\\\]@]?acme')",
        "repo.name.contains('datasets/') || user.email.matches('@acme[.]com$')",
        "fields['A'].lowerAscii().matches(r'\\\\W') || fields['A'].upperAscii().matches('KOREA')",
    ];
    for expression in cases {
        let parsed = parse("hold", &format!("if = \"{expression}\""));
        assert!(parsed.is_ok(), "{expression}: {:?}", parsed.err());
    }
}

#[test]
fn probable_slip_is_warned_of() {
    let cases = [
        (
            "accept",
            "if = \"user.domain.endsWith('acme.com')\"",
            Some("also true of other domains, such as `evilacme.com`; write `user.domain.under('acme.com')`"),
        ),
        ("accept", "if = \"user.email.endsWith('acme.com')\"", Some("write `user.domain.under('acme.com')`")),
        ("accept", "if = \"user.domain.contains('acme.com')\"", Some("such as `acme.com.example.org`")),
        ("accept", "if = \"user.email.endsWith('@acme.com') || user.domain.endsWith('.acme.com')\"", None),
        ("accept", "if = \"fields['Country'] != 'KP'\"", Some("it accepts everybody who is not excluded")),
        (
            "accept",
            "if = \"!(fields['Country'] in ['KP'])\"",
            Some("it accepts everybody who is not excluded"),
        ),
        (
            "accept",
            "if = \"!user.domain.under('gmail.com') && fields['A'] != 'x'\"",
            Some("it accepts everybody who is not excluded"),
        ),
        (
            "accept",
            "if = \"user.pro || fields['Country'] != 'KP'\"",
            Some("it accepts everybody who is not excluded"),
        ),
        ("accept", "if = \"user.pro && fields['Country'] != 'KP'\"", None),
        ("accept", "if = \"fields['A'] != ''\"", Some("it only tests whether a value is there")),
        ("accept", "if = \"fields['A'] != '' && user.pro\"", None),
        ("accept", "if = \"!('A' in fields) && user.pro\"", None),
        ("hold", "if = \"fields['Country'] != 'CH'\"", None),
        ("accept", "if = 'true'", Some("it accepts everybody; name in `if`")),
        ("hold", "if = 'false && user.pro'", Some("it never matches; correct its `if`")),
        ("hold", "if = '(false && user.pro) || false'", Some("it never matches; correct its `if`")),
        ("hold", "if = 'user.pro ? user.pro || has(user.email) : user.pro && has(user.email)'", None),
        ("hold", "if = 'user.pro'\nunless = 'false || user.pro'", None),
        (
            "hold",
            "if = \"user.pro || 'acme' in user.orgs && user.name == 'ada'\"",
            Some("write the brackets that you mean"),
        ),
        ("hold", "if = \"user.pro || ('acme' in user.orgs && user.name == 'ada')\"", None),
        ("hold", "if = \"user.fullname == 'a || b' && user.orgs.exists(o, o == 'x' || o == 'y')\"", None),
        ("hold", "if = \"[user.pro || !has(user.email)].exists(e, e && user.pro)\"", None),
        (
            "hold",
            "if = \"user.pro && ('acme' in user.orgs) || user.name == 'ada'\"",
            Some("write the brackets that you mean"),
        ),
        ("accept", "if = 'user.pro || !user.pro'", Some("it accepts everybody; name in `if`")),
        ("accept", "if = 'user.name == user.name'", Some("it accepts everybody; name in `if`")),
        ("accept", "if = 'true'\nunless = 'user.pro'", Some("it accepts everybody but its exceptions")),
        ("reject", "if = 'user.pro'", Some("do not learn why they are rejected; add a `reason`")),
        ("reset", "if = 'user.pro'", Some("do not learn why they are reset; add a `reason`")),
        ("hold", "if = \"fields['Age'] < '18'\"", Some("'18' is compared as text")),
        ("hold", "if = \"fields['Age'] < 'm'\"", None),
        ("hold", "if = \"fields['Born'] > '2008-11-22'\"", Some("'2008-11-22' is compared as text")),
        (
            "accept",
            "if = \"now - requested_at > duration('72m')\"",
            Some("is 72 minutes; write a time of days"),
        ),
        ("accept", "if = \"now - requested_at > duration('168m')\"", Some("is 168 minutes")),
        ("accept", "if = \"now - requested_at > duration('1m')\"", Some("`duration('1m')` is 1 minute;")),
        ("accept", "if = \"now - requested_at > duration('3s')\"", Some("is only 3 s")),
        (
            "accept",
            "if = \"now - requested_at > duration('-72h')\"",
            Some("is negative, so it is always over"),
        ),
        ("accept", "if = \"now - requested_at > duration('120m') && user.pro\"", None),
        ("hold", "if = \"now - timestamp(fields['Born']) < duration('18h')\"", Some("write `age(…)`")),
        ("hold", "if = \"now.getDayOfWeek() < 5\"", Some("`getDayOfWeek` is 0 on Sunday")),
        ("hold", "if = \"now.getDayOfWeek() >= 1 && now.getDayOfWeek() <= 5\"", None),
        ("hold", "if = \"now - requested_at > duration('3m')\"", Some("is 3 minutes; write a time of days")),
        (
            "hold",
            "if = \"now - requested_at > duration('60m') || requested_at + duration('3h') < now\"",
            None,
        ),
        (
            "hold",
            "if = 'user.pro'\nunless = \"fields['Code'] == 'x'\"",
            Some("its `unless` rests on answers alone"),
        ),
        ("hold", "if = 'user.pro'\nunless = \"fields['Code'] == 'x' && 'acme' in user.orgs\"", None),
    ];
    for (then, rest, expected) in cases {
        let policy = parse(then, rest).unwrap_or_else(|faults| panic!("{rest}: {faults:?}"));
        let warnings: Vec<String> = policy.warnings().iter().map(ToString::to_string).collect();
        match expected {
            None => assert!(warnings.is_empty(), "{rest}: {warnings:?}"),
            Some(expected) => {
                let has = warnings.len() == 1
                    && warnings[0].starts_with("rule `r`: ")
                    && warnings[0].contains(expected);
                assert!(has, "{rest}: {warnings:?}");
            }
        }
    }
}

#[test]
fn policy_as_a_whole_is_warned_of() {
    let cases = [
        ("default = 'accept'\nrules = []", "`default`: it accepts everybody whom no rule stops"),
        ("default = 'reject'\nrules = []", "`default`: the requesters do not learn why"),
        ("rules = []\n[let]\na = 'true'", "let `a`: no rule reads it"),
        ("rules = []\n[lists]\nl = ['x']", "list `l`: no rule reads it"),
    ];
    for (text, expected) in cases {
        let policy = Policy::parse(text).unwrap_or_else(|faults| panic!("{text}: {faults:?}"));
        let warnings: Vec<String> = policy.warnings().iter().map(ToString::to_string).collect();
        assert!(warnings.len() == 1 && warnings[0].starts_with(expected), "{text}: {warnings:?}");
    }
    for text in ["rules = []", "default = { then = 'reject', reason = 'No.' }\nrules = []"] {
        assert!(Policy::parse(text).expect("a policy").warnings().is_empty());
    }
}
