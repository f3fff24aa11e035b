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

#[test]
fn weak_accept_is_warned_of() {
    let cases = [
        ("true", "it accepts everybody"),
        ("user.pro || !user.pro", "it accepts everybody"),
        ("user.name == user.name", "it accepts everybody"),
        ("fields['A'] == fields['A']", "it accepts everybody"),
        ("fields['A'] == fields['B']", ""),
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
        ("!('I refuse' in fields)", PRESENCE),
        ("fields['I agree'] != ''", PRESENCE),
        ("user.orgs != []", PRESENCE),
        ("['I agree', 'I will cite'].all(box, box in fields)", PRESENCE),
        ("stranger && user.pro", ""),
        ("outsider", ""),
        ("user.pro == bool(fields['A']) || user.pro", ""),
        ("fields['Country'] != 'KP' && requested_at < timestamp('2026-01-01T00:00:00Z')", ""),
        ("!['I agree'].exists(box, !(box in fields))", ""),
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
        ("fields['E-mail'] in lists.signed", answer),
        ("fields['E-mail'] in ['ada@epfl.ch']", answer),
        ("fields['E-mail'].trim() == 'ada@epfl.ch'", answer),
        ("fields['E-mail'].trim().endsWith('@epfl.ch')", answer),
        ("fields['E-mail'].split('@')[1].under(lists.partners)", answer),
        ("user.domain.under('ch')", "every domain that ends in `.ch`"),
        ("user.domain.under(['epfl.ch', 'com'])", "every domain that ends in `.com`"),
        ("user.domain.under(lists.endings)", "every domain that ends in `.ch`"),
        ("fields['Use'].matches('(?i)research')", "says the opposite"),
        ("fields['Use'].trim().contains('Research')", "says the opposite"),
        ("fields['Use'].matches('^[Rr]esearch')", "says the opposite"),
        ("['A', 'B'].exists(box, fields[box] == 'on')", "write `all`"),
        ("now.getFullYear() - int(fields['Year']) >= 18", "write `age(…)`"),
        ("user.domain.under('edu') || user.domain.under(['gov', 'ac.uk'])", ""),
        ("fields['Country'].matches('^[A-Z]{2}$')", ""),
        ("['A', 'B'].exists(word, fields['Use'] == word)", ""),
        ("user.domain.endsWith('.acme.com') || user.email.endsWith('@acme.com')", ""),
        ("user.domain.matches('[.](edu|ac[.][a-z][a-z])$') || user.domain.matches('(^|[.])acme[.]com$')", ""),
        ("user.domain.matches('^([a-z]+[.])*edu$')", ""),
        ("user.email in lists.signed", ""),
        ("fields['E-mail'] == fields.signed", ""),
        ("user.fullname.indexOf(' ') > 0", ""),
        ("repo.name.startsWith('acme/')", ""),
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
fn rule_that_stops_may_compare_loosely() {
    let cases = [
        ("user.name.startsWith('acme-')", ""),
        ("(user.verified_orgs + user.orgs).exists(org, org.startsWith('initech'))", ""),
        ("fields['Country'] != 'CH'", ""),
        ("user.domain.matches('alum')", ""),
        ("fields['E-mail'].endsWith('@gmail.com')", ""),
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
        ("stranger", "excepts everybody who is not named"),
        ("user.verified_orgs.all(org, org == 'epfl')", EMPTY),
        ("user.domain.endsWith('acme.com')", "`evilacme.com`"),
        ("user.name.startsWith('acme-')", "anybody can take a name"),
        ("user.pro && fields['Colleague'] == 'yes'", ""),
        ("user.domain.under(lists.partners) || user.name in ['ada']", ""),
    ];
    check("reject", "unless", &cases);
    let cases = [("fields['Country'] == 'KP'", answers), ("!user.pro", ""), ("true", "always true")];
    check("accept", "unless", &cases);
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
    for repo in ["acme/*", "acme/model", "datasets/acme/*"] {
        assert_eq!(warnings(repo), "");
    }
}
