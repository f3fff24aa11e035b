//! Rules that are valid, but would let in more people than their owner means.

use super::policy;

/// The warnings of a policy with one rule.
fn warnings_of(then: &str, rule: &[(&str, &str)]) -> Vec<String> {
    let mut object = serde_json::json!({"name": "r", "then": then});
    for (key, value) in rule {
        object[*key] = (*value).into();
    }
    if matches!(then, "reset" | "reject") {
        object["reason"] = "Why.".into();
    }
    let lists =
        serde_json::json!({"signed": ["ada@epfl.ch"], "partners": ["epfl.ch"], "endings": ["epfl.ch", "ch"]});
    let lets = serde_json::json!({
        "domain": "user.domain",
        "stranger": "!user.domain.under(lists.partners)",
        "outsider": "stranger && user.pro || !stranger",
    });
    let document = serde_json::json!({"rules": [object], "lists": lists, "let": lets});
    let policy = policy(&document.to_string());
    let warnings = policy.warnings();
    let of_rule = warnings.iter().filter(|warning| warning.subject == "rule `r`");
    of_rule.map(|warning| warning.text.clone()).collect()
}

/// The condition, and a part of the warning. An empty part stands for no warning.
type Case = (&'static str, &'static str);

fn check(then: &str, key: &str, cases: &[Case]) {
    for (expression, expected) in cases {
        let condition = ("if", if key == "if" { expression } else { "fields['Country'] == 'KP'" });
        let warnings = warnings_of(then, &[condition, (key, expression)]);
        let is_expected = match warnings.as_slice() {
            [] => expected.is_empty(),
            warnings => !expected.is_empty() && warnings.iter().any(|warning| warning.contains(expected)),
        };
        assert!(is_expected, "{then}: {key}: {expression}: {warnings:?}");
    }
}

const EMPTY: &str = "also true of an empty list";
const NEGATION: &str = "accepts everybody who is not excluded";
const PRESENCE: &str = "only tests whether a value is there";
const ABSENCE: &str = "also true of a request without the value";
const REPO: &str = "reads nothing of the request";

#[test]
fn weak_accept_is_warned_of() {
    let cases = [
        ("true", "it accepts everybody"),
        ("user.pro || !user.pro", "it accepts everybody"),
        ("user.name == user.name", "it accepts everybody"),
        ("fields['A'] == fields['A']", "it accepts everybody"),
        ("repo.owner == user.name", ""),
        ("user.name == repo.name", ""),
        ("user.name.trim() == user.name.lowerAscii()", ""),
        ("user.pro || true && true", "it accepts everybody"),
        ("fields['Country'] != 'KP'", NEGATION),
        ("!(fields['Country'] in ['KP', 'SY'])", NEGATION),
        ("!(user.email in lists.signed)", NEGATION),
        ("!user.domain.under(lists.partners)", NEGATION),
        ("stranger", NEGATION),
        ("true && fields['Country'] != 'KP'", NEGATION),
        ("user.pro || stranger", NEGATION),
        ("stranger && size(fields['Purpose']) > 20", NEGATION),
        ("user.domain != 'gmail.com' && user.domain != 'gmx.de'", NEGATION),
        ("!user.orgs.exists(org, org == 'initech')", NEGATION),
        ("user.orgs.exists(org, org != 'initech')", NEGATION),
        ("user.verified_orgs.all(org, org in ['epfl', 'ethz'])", EMPTY),
        ("fields.all(label, fields[label] != '')", EMPTY),
        ("!fields.exists(label, fields[label].trim() == '')", EMPTY),
        ("'I agree' in fields", PRESENCE),
        ("has(user.email)", PRESENCE),
        ("!('I refuse' in fields)", ABSENCE),
        ("fields['I agree'] != ''", PRESENCE),
        ("user.orgs != []", PRESENCE),
        ("size(user.orgs) >= 1", PRESENCE),
        ("size(fields) >= 2", PRESENCE),
        ("!has(user.domain) || user.domain.under(lists.partners)", ABSENCE),
        ("has(user.domain) ? user.domain.under(lists.partners) : true", ABSENCE),
        ("!('Country' in fields) || fields['Country'] == 'CH'", ABSENCE),
        ("user.domain.under('gmail.com') == false", NEGATION),
        ("true != user.domain.under('gmail.com')", NEGATION),
        ("false == user.pro", NEGATION),
        ("user.domain.under('gmail.com') ? false : true", NEGATION),
        ("!(user.domain.under('gmail.com') || user.pro)", NEGATION),
        ("!(user.domain.under('gmail.com') || age(fields['Born']) < 18)", ""),
        ("!user.pro", NEGATION),
        ("user.pro == false || has(user.email) && !user.pro", NEGATION),
        ("user.orgs == []", ABSENCE),
        ("size(user.orgs) == 0", ABSENCE),
        ("0 != size(user.orgs)", PRESENCE),
        ("fields['Purpose'].trim() == '' || user.pro", ABSENCE),
        ("size(user.orgs) == 0 && user.pro", ""),
        ("size(user.orgs) == 2", ""),
        ("!(user.domain.under('gmail.com') && user.pro)", NEGATION),
        ("!!(user.domain != 'gmail.com')", NEGATION),
        ("user.service_account == ''", NEGATION),
        ("user.orgs.all(org, org != 'initech')", NEGATION),
        ("repo.type == 'model'", REPO),
        ("repo.type == 'model' || user.pro", REPO),
        ("repo.name in ['acme/model'] || repo.owner.startsWith('acme')", REPO),
        ("repo.type != 'dataset' && user.pro", ""),
        ("repo.type == 'model' && now - requested_at > duration('72h')", ""),
        ("user.service_account == '' && user.pro", ""),
        ("has(user.domain) ? user.domain.under(lists.partners) : user.pro", ""),
        ("user.domain == 'gmail.com' ? user.name in ['ada'] : user.domain.under(lists.partners)", ""),
        ("!(age(fields['Date of birth']) < 18)", ""),
        ("fields['Country'] == 'KP' && fields['Country'] == 'IR'", "it never matches"),
        ("user.pro && size(fields) > 1 && !user.pro", "it never matches"),
        ("user.name != user.name", "it never matches"),
        ("fields['A'] == 'x' && fields['B'] == 'y'", ""),
        ("user.name == 'ada' && user.name == 'Ada'", ""),
        ("['I agree', 'I will cite'].all(box, box in fields)", PRESENCE),
        ("stranger && user.pro", ""),
        ("outsider", ""),
        ("user.pro == bool(fields['A']) || user.pro", ""),
        ("fields['Country'] != 'KP' && requested_at < timestamp('2026-01-01T00:00:00Z')", ""),
        ("!['I agree'].exists(box, !(box in fields))", PRESENCE),
        ("user.pro", ""),
        ("size(fields) > 0 && fields.all(label, fields[label] != '')", ""),
        ("user.verified_orgs != [] && user.verified_orgs.all(org, org in ['epfl'])", ""),
        ("has(user.domain) && user.domain.under(lists.partners)", ""),
        ("['I agree', 'I will cite'].all(box, fields[box] in ['on', 'true', 'yes'])", ""),
        ("size(fields['Affiliation']) > 2", ""),
        ("age(fields['Date of birth']) >= 18", ""),
        ("now - requested_at > duration('72h')", ""),
    ];
    check("accept", "if", &cases);
}

#[test]
fn open_comparison_is_warned_of() {
    let evil = "`evilacme.com`";
    let pattern_start = "begin the pattern with";
    let answer = "an answer may be the address of somebody else";
    let cases = [
        ("user.domain.endsWith('acme.com')", evil),
        ("[user.domain.endsWith('acme.com')].exists(each, each)", evil),
        ("user['domain'].endsWith('acme.com')", evil),
        ("user.domain.lowerAscii().endsWith('acme.com')", evil),
        ("user.email.split('@')[1].endsWith('acme.com')", evil),
        ("domain.endsWith('acme.com')", evil),
        ("[user.domain, user.email].exists(each, each.endsWith('acme.com'))", evil),
        ("user.domain.contains('acme.com')", "`acme.com.example.org`"),
        ("user.domain.startsWith('epfl.')", "does not compare the end"),
        ("user.email.startsWith('ada@')", "does not compare the end"),
        ("user.domain.matches('acme[.]com$')", pattern_start),
        ("user.domain.matches('.*acme[.]com$')", pattern_start),
        ("user.domain.matches('(^|[.])acme[.]com')", "end the pattern with `$`"),
        ("user.domain.matches('(^|[.])acme.com$')", "the dot stands for any character"),
        ("user.name.startsWith('acme-')", "anybody can take a name"),
        ("user.fullname == 'Ada Lovelace'", "anybody can take any full name"),
        ("'Ada Lovelace' == user.fullname", "anybody can take any full name"),
        ("user.orgs.exists(org, org.startsWith('epfl'))", "anybody can create an organization"),
        ("user.orgs.exists(org, user.pro && org.contains('epfl'))", "anybody can create an organization"),
        // The last `org` is the one of the outer macro.
        (
            "user.orgs.exists(org, ['a', 'b'].exists(org, org == 'a') || org.startsWith('epfl'))",
            "anybody can create an organization",
        ),
        ("fields['E-mail'] in lists.signed", answer),
        ("fields['E-mail'] in ['ada@epfl.ch']", answer),
        ("fields['E-mail'].trim() == 'ada@epfl.ch'", answer),
        ("fields['E-mail'].trim().endsWith('@epfl.ch')", answer),
        ("fields['E-mail'].split('@')[1].under(lists.partners)", answer),
        ("user.domain.under('ch')", "every domain that ends in `.ch`"),
        ("user.domain.under(['epfl.ch', 'com'])", "every domain that ends in `.com`"),
        ("user.domain.under(lists.endings)", "an entry of the list that `under` reads covers every domain"),
        ("user.domain.under('co.uk')", "every domain that ends in `.co.uk`"),
        ("user.domain.endsWith('.com')", "every domain that ends in `.com`"),
        ("user.email.endsWith('.co.uk')", "every domain that ends in `.co.uk`"),
        ("fields['Use'].matches('(?i)research')", "says the opposite"),
        ("fields['Use'].trim().contains('Research')", "says the opposite"),
        ("fields['Affiliation'].startsWith('Acme')", "says the opposite"),
        ("fields['Affiliation'].endsWith('Acme')", "says the opposite"),
        ("fields['Use'].matches('^[Rr]esearch')", "says the opposite"),
        ("['A', 'B'].exists(box, fields[box] == 'on')", "write `all`"),
        ("now.getFullYear() - int(fields['Year']) >= 18", "write `age(…)`"),
        ("user.domain.under('edu') || user.domain.under(['gov', 'ac.uk'])", ""),
        ("fields['Country'].matches('^[A-Z]{2}$')", ""),
        ("['A', 'B'].exists(word, fields['Use'] == word)", ""),
        ("user.domain.endsWith('.acme.com') || user.email.endsWith('@acme.com')", ""),
        ("user.email.endsWith('@localhost')", ""),
        ("user.domain.matches('[.](edu|ac[.][a-z][a-z])$') || user.domain.matches('(^|[.])acme[.]com$')", ""),
        ("user.domain.matches('^([a-z]+[.])*edu$')", ""),
        // This matches one of the addresses with which the check tries a pattern.
        ("user.domain.matches('[.]test$')", ""),
        ("user.email in lists.signed", ""),
        ("fields['E-mail'] in fields.signed.split(',')", ""),
        ("user.fullname.indexOf(' ') > 0", ""),
        ("has(user.fullname) == true && user.pro", ""),
        ("user.pro && (user.fullname == '' || '' == user.fullname)", ""),
        ("user.orgs.exists(org, org == 'acme' && fields['Use'].startsWith('Research'))", ""),
        ("fields['Company'] in lists.partners", ""),
        ("size(user.fullname) > 3 && size(user.fullname) == 12", ""),
        ("user.verified_orgs.exists(org, org.startsWith('epfl'))", ""),
        ("fields['Country'] in ['CH', 'FR']", ""),
        ("'epfl' in user.verified_orgs", ""),
        ("user.verified_orgs.exists(org, org in ['epfl', 'ethz'])", ""),
        ("user.pro && !user.name.startsWith('bot-')", ""),
    ];
    check("accept", "if", &cases);
}

#[test]
fn part_of_a_value_is_no_ground_to_accept() {
    let (evil, part) = ("`evilacme.com`", "compares only a part of the address or the domain");
    let cases = [
        ("['acme.com'].exists(d, user.domain.endsWith(d))", evil),
        ("lists.partners.exists(d, user.domain.endsWith(d))", "`user.domain.under('…')`"),
        ("['acme.com'].exists(d, user.domain.contains(d))", "`acme.com.example.org`"),
        (
            "['edu', 'epfl.ch'].exists(d, user.domain.under(d) || user.domain.startsWith(d))",
            "compare the end",
        ),
        ("'edu' in user.domain.split('.')", part),
        ("user.domain.split('.')[0] == 'epfl'", part),
        ("user.domain.split('.').exists(label, label == 'epfl')", part),
        ("user.email.split('@')[0] == 'ada'", part),
        ("user.email.split('@')[0].matches('^ada$')", part),
        ("user.domain.indexOf('acme') >= 0", part),
        ("user.domain.substring(size(user.domain) - 8) == 'acme.com'", part),
        ("('@' + user.domain).endsWith('acme.com')", evil),
        ("user.domain.replace('-', '') == 'acme.com'", part),
        ("user.email.matches('^[^@]+@[^@]+$')", "matches every address"),
        ("user.domain.matches('^acme[.]com|epfl[.]ch$')", "the `|` separates `^` from `$`"),
        ("user.domain.matches('(^|[.])acme[.]com$|epfl[.]ch$')", "the `|` separates"),
        ("user.domain.matches('(^|[.])(acme[.]com|epfl[.]ch)$')", ""),
        ("user.domain.matches('^acme[.]com$|^epfl[.]ch$')", ""),
        ("fields['Country'].matches('^CH|DE$')", "the `|` separates"),
        ("fields['Country'].matches('^(CH|DE)$')", ""),
        ("fields['Country'].matches('^[A-Z|]+$')", ""),
        (r"fields['Country'].matches(r'^CH\|DE$')", ""),
        ("user.name.matches('')", "anybody can take a name"),
        ("user.name.split('-')[0] == 'acme'", "anybody can take a name of which this condition is true"),
        ("user.orgs.join(',').contains('epfl')", "anybody can create an organization"),
        ("user.orgs.join(',') == 'epfl,ethz'", "anybody can create an organization"),
        ("'epfl' in user.orgs.map(org, org.split('-')[0])", "anybody can create an organization"),
        ("user.orgs.exists(org, ['epfl'].exists(p, org.contains(p)))", "anybody can create an organization"),
        ("(user.orgs + user.verified_orgs).exists(org, org == 'epfl')", ""),
        ("'epfl' in user.orgs.filter(org, org != 'initech')", ""),
        ("user.orgs[0] == 'epfl'", ""),
    ];
    check("accept", "if", &cases);
}

#[test]
fn choice_of_the_requester_is_no_ground_to_accept() {
    let both = "both sides are the requester's choice";
    let cases = [
        ("fields['E-mail'] == user.email", both),
        ("user.domain == fields['Institution']", both),
        ("fields['A'] == fields['B']", both),
        ("fields['E-mail'] == user.email && user.domain.under('acme.com')", ""),
        ("fields['E-mail'].split(',').exists(name, name.trim() == user.name)", ""),
        ("size(['A', 'B'].filter(box, fields[box] == 'on')) > 0", "write `all`"),
        ("size(['A', 'B'].filter(box, fields[box] == 'on')) >= 1", "write `all`"),
        ("size(['A', 'B'].filter(box, fields[box] == 'on')) >= 2", ""),
        ("fields.exists(label, fields[label] == 'on')", "any answer under any label"),
        ("user.verified_orgs.exists(org, fields[org] == 'member')", ""),
        ("now - requested_at < duration('72h')", "true of a request that was just made"),
        ("duration('72h') >= now - requested_at", "true of a request that was just made"),
        ("timestamp('2026-06-01T00:00:00Z') - requested_at < duration('72h')", ""),
    ];
    check("accept", "if", &cases);
}

#[test]
fn part_beside_a_condition_that_names_users_is_fine() {
    let cases = [
        ("user.domain.under('acme.com') && user.name.startsWith('acme-')", ""),
        ("user.name.startsWith('acme-') && user.domain == 'acme.com'", ""),
        ("user.domain == 'acme.com' && user.email.startsWith('ada.')", ""),
        ("user.domain == 'acme.com' && user.pro && user.email.startsWith('ada.')", ""),
        ("user.domain.under('epfl.ch') && fields['Affiliation'].contains('EPFL')", ""),
        ("user.verified_orgs.exists(org, org == 'epfl') && user.fullname.startsWith('Ada')", ""),
        (
            "(user.domain.under('epfl.ch') || user.pro) && user.name.startsWith('acme-')",
            "anybody can take a name",
        ),
        ("user.email == fields['E-mail'] && user.name.startsWith('acme-')", "anybody can take a name"),
        ("repo.owner == 'acme' && user.name.startsWith('acme-')", "anybody can take a name"),
        (
            "user.verified_orgs.exists(org, org.startsWith('epfl-')) && user.name.startsWith('acme-')",
            "anybody can take a name",
        ),
        (
            "(user.domain.under('epfl.ch') || user.email == 'ada@acme.com') && user.name.startsWith('acme-')",
            "",
        ),
        ("user.verified_orgs.exists(org, org.startsWith('acme-'))", ""),
        ("user.email.split('@')[1] in lists.partners", ""),
    ];
    check("accept", "if", &cases);
}

#[test]
fn rule_that_stops_may_compare_loosely() {
    let cases = [
        ("user.name.startsWith('acme-')", ""),
        ("(user.verified_orgs + user.orgs).exists(org, org.startsWith('initech'))", ""),
        ("fields['Country'] != 'CH'", ""),
        ("user.domain.matches('alum')", ""),
        ("fields['E-mail'].lowerAscii().endsWith('@gmail.com')", ""),
        ("fields['E-mail'].lowerAscii().split(',').exists(each, each.endsWith('@gmail.com'))", ""),
        ("!fields['E-mail'].endsWith('@acme.com') || fields['Phone'].startsWith('+98')", ""),
        ("fields['E-mail'].endsWith('@acme.com') != true", ""),
        ("user.domain.contains('mail') || user.domain.endsWith('mail.ru')", ""),
        ("user.email.split('@')[0] == 'admin' || fields['E-mail'] == user.email", ""),
        ("fields['E-mail'].trim() != user.email", ""),
        ("!fields['Name'].matches('^[^ ]+ +[^ ]')", ""),
        ("!user.domain.endsWith('.edu')", ""),
        ("fields['Purpose'].trim() == ''", ""),
        ("fields['Grade'] < 'B-'", ""),
        ("now - requested_at > duration('100m') || now - requested_at > duration('4320s')", ""),
        // The requester gets round these.
        ("!user.domain.endsWith('acme.com')", "`evilacme.com`"),
        ("user.domain.split('.')[0] != 'epfl'", "compares only a part"),
        ("!(user.name.startsWith('acme-') || user.pro)", "anybody can take a name"),
        ("fields['Purpose'] == ''", "an answer of blanks gets round"),
        ("fields['E-mail'].endsWith('@gmail.com')", "other capital letters gets round it"),
        ("fields['E-mail'] in lists.signed", "other capital letters gets round it"),
        ("fields['E-mail'].trim() == 'ada@acme.com'", "other capital letters gets round it"),
        ("fields['Purpose'].contains('weapon')", "other capital letters gets round it"),
        ("fields['Purpose'].split(' ').exists(word, word.startsWith('weapon'))", "other capital letters"),
        ("user.id == 'mallory' || user.id in ['65F0A1B2C3D4E5F6A7B8C9D0']", "an id has 24 digits"),
        ("'65f0a1b2c3d4e5f6a7b8c9d0' == user.id", ""),
        ("{'young': fields['Age'] < '18'}.young", "'18' is compared as text"),
        ("now - requested_at > {'model': duration('72m')}[repo.type]", "is 72 minutes"),
        ("has(user.domain) && user.domain.under('gmail.com')", "remove `has(user.domain)`"),
        ("user.pro || (has(user.orgs) && 'initech' in user.orgs)", "remove `has(user.orgs)`"),
        ("!has(user.domain) || (has(user.domain) && user.domain.under('gmail.com'))", ""),
    ];
    check("hold", "if", &cases);
}

#[test]
fn weak_exception_is_warned_of() {
    let answers = "rests on answers alone";
    let cases = [
        ("true", "always true"),
        ("user.pro || !user.pro", "always true"),
        ("fields['Colleague'] == 'yes'", answers),
        ("user.pro || fields['Colleague'] == 'yes'", answers),
        ("!(user.name in ['ada'])", "excepts everybody who is not named"),
        ("!user.pro", "excepts everybody who is not named"),
        ("stranger", "excepts everybody who is not named"),
        ("has(user.fullname)", "only tests whether a value is there"),
        ("!has(user.domain)", ""),
        ("user.verified_orgs.all(org, org == 'epfl')", EMPTY),
        ("user.domain.endsWith('acme.com')", "`evilacme.com`"),
        ("user.name.startsWith('acme-')", "anybody can take a name"),
        ("user.pro && fields['Colleague'] == 'yes'", ""),
        ("user.domain.under(lists.partners) || user.name in ['ada']", ""),
    ];
    check("reject", "unless", &cases);
    let cases = [("fields['Country'] == 'KP'", ""), ("!(user.name in ['ada'])", ""), ("true", "always true")];
    check("accept", "unless", &cases);
    // The `if` of this rule reads only answers, too. Whoever answers it differently is not asked again either.
    check("reset", "unless", &[("fields['Role'] == 'Student'", "")]);
    let by_address = warnings_of(
        "reset",
        &[("if", "user.domain.under('gmail.com')"), ("unless", "fields['Role'] == 'x'")],
    );
    assert!(by_address.len() == 1 && by_address[0].contains(answers), "{by_address:?}");
}

#[test]
fn repo_without_an_owner_is_warned_of() {
    let warnings = |repo: &str| {
        let rule = serde_json::json!({"name": "r", "then": "hold", "if": "user.pro", "repos": [repo]});
        let policy = policy(&serde_json::json!({ "rules": [rule] }).to_string());
        policy.warnings().iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    };
    assert!(
        warnings("acme")
            .starts_with("rule `r`: `acme` in `repos` names one repo without an owner; write `acme/*`")
    );
    assert!(warnings("dataset/corpus").contains("names a model of `dataset`; write `acme/…`"));
    for repo in ["acme/*", "acme/model", "datasets/acme/*"] {
        assert_eq!(warnings(repo), "");
    }
}
