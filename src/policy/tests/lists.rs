//! Lists: their entries, the look-up, and the warnings about them.

use super::{Policy, Verdict, ada, decide, policy};
use crate::model::{AccessRequest, Grounds};

/// The files beside a policy.
fn read_file(name: &str) -> Result<Vec<u8>, String> {
    let text = match name {
        "names.txt" => "# colleagues\n\n  ada  \nBob # since May\n#eve\neve#1\n\u{feff}\n",
        "free-mail.txt" => "\u{feff}gmail.com\r\nlab.acme.com\r\n",
        "countries.txt" => "ch\nde\n",
        "comments.txt" => "# nobody yet\n",
        "empty.txt" => "",
        "signed.csv" => "Name;E-mail\n\"Lovelace; Ada\"; ada@lab.acme.com \nBob;\nEve\n",
        "tabs.csv" => "E-mail\tName, first\na@b.org\tAda\n",
        "open.csv" => "E-mail,Name\na@b.org,\"Ada",
        "open-first.csv" => "E-mail,Name\n\"a@b.org",
        "open-header.csv" => "Name,\"E-mail",
        "quoted.csv" => "E-mail,Name\r\n\"a@b.org\",\"Ada\"\"\r\nL\"\r\n\r\n",
        "header.csv" => "secret@answer.com,Ada\n",
        "latin1.txt" => return Ok(vec![b'a', 0xe9, b'\n']),
        _ => return Err("No such file".to_owned()),
    };
    Ok(text.as_bytes().to_vec())
}

/// A policy that accepts if this is true, with these lists.
fn accepts_if(lists: &str, condition: &str) -> Result<Policy, Vec<String>> {
    let text =
        format!("[lists]\n{lists}\n[[rules]]\nname = \"r\"\nthen = \"accept\"\nif = \"{condition}\"\n");
    Policy::parse_with_files(&text, &read_file)
}

/// Whether Ada is accepted, or why the rule cannot be evaluated.
fn result(lists: &str, condition: &str) -> String {
    let policy = accepts_if(lists, condition).unwrap_or_else(|faults| panic!("{condition}: {faults:?}"));
    match decide(&policy, &ada()).grounds {
        Grounds::Rule(_) => "yes".to_owned(),
        Grounds::NoRule => "no".to_owned(),
        Grounds::Unknown { why, .. } => why,
        Grounds::Unreadable(_) | Grounds::NoPolicy(_) | Grounds::Person => panic!("a rule has decided"),
    }
}

#[test]
fn value_is_in_a_list_of_the_document_or_of_a_file() {
    let cases = [
        ("l = ['ada', 'bob']", "user.name in lists.l", "yes"),
        ("l = ['Ada ', '', ' ']", "user.name in lists['l']", "yes"),
        ("l = ['bob']", "user.name in lists.l", "no"),
        ("l = []", "user.name in lists.l", "no"),
        ("l = ['ch']", "fields['Country'] in lists.l", "no"),
        ("l = ['ch', 'CH']", "fields['Country'] in lists.l", "yes"),
        ("l = ['EPFL']", "user.verified_orgs.exists(o, o in lists.l)", "yes"),
        (
            "l = ['', ' ']",
            "user.service_account in lists.l || fields['Country'].substring(2) in lists.l",
            "no",
        ),
        ("l = { file = 'names.txt' }", "user.name in lists.l", "yes"),
        ("l = { file = 'names.txt' }", "['bob', 'eve#1'].all(n, n.lowerAscii() in lists.l)", "no"),
        (
            "l = { file = 'names.txt' }",
            "['Bob', 'eve#1'].all(n, n in lists.l) && !('#eve' in lists.l)",
            "yes",
        ),
        ("l = { file = 'countries.txt' }", "fields['Country'] in lists.l", "no"),
        ("l = { file = 'countries.txt' }", "fields['Country'].lowerAscii() in lists.l", "yes"),
        ("l = { file = 'comments.txt' }", "user.name in lists.l", "no"),
        ("l = { file = 'signed.csv', column = 'E-mail' }", "user.email in lists.l", "yes"),
        (
            "l = { file = 'signed.csv', column = 'Name' }",
            "'Lovelace; Ada' in lists.l && 'Eve' in lists.l",
            "yes",
        ),
        ("l = { file = 'quoted.csv', column = 'E-mail' }", "'a@b.org' in lists.l", "yes"),
        ("l = { file = 'tabs.csv', column = 'E-mail' }", "'a@b.org' in lists.l", "yes"),
        // A list of the document is a constant list, too.
        ("l = ['^a', '^b']", "lists.l.exists(p, user.name.matches(p)) && size(lists.l) == 2", "yes"),
        ("l = ['x', 'dA']", "lists.l.exists(p, user.name.contains(p))", "yes"),
        // A variable of a macro hides `lists` only if the policy has no lists.
        ("lists = ['ada']", "user.name in lists.lists", "yes"),
    ];
    for (lists, condition, expected) in cases {
        assert_eq!(result(lists, condition), expected, "{lists}: {condition}");
    }
}

#[test]
fn domain_is_under_a_domain_and_its_subdomains() {
    let cases = [
        ("", "user.domain.under('lab.acme.com')", "yes"),
        ("", "user.domain.under('ACME.com')", "yes"),
        ("", "user.domain.under('com')", "yes"),
        ("", "user.domain.under('b.acme.com')", "no"),
        ("", "user.domain.under('epfl.com')", "no"),
        ("", "user.domain.under('x.lab.acme.com')", "no"),
        ("", "'LAB.example.org'.under('Example.ORG')", "yes"),
        ("", "user.domain.under(['epfl.ch', 'acme.com'])", "yes"),
        ("", "user.domain.under(['epfl.ch', 'me.com'])", "no"),
        ("l = ['epfl.ch', 'ACME.com']", "user.domain.under(lists.l)", "yes"),
        ("l = ['edu', 'com']", "user.domain.under(lists.l)", "yes"),
        ("l = ['me.com']", "user.domain.under(lists.l)", "no"),
        ("l = { file = 'free-mail.txt' }", "user.domain.under(lists.l)", "yes"),
        (
            "l = { file = 'free-mail.txt' }",
            "'x.gmail.com'.under(lists.l) && !'agmail.com'.under(lists.l)",
            "yes",
        ),
        // In a file, an entry without a dot does not count.
        ("l = { file = 'countries.txt' }", "'epfl.ch'.under(lists.l) || 'ch'.under(lists.l)", "no"),
    ];
    for (lists, condition, expected) in cases {
        assert_eq!(result(lists, condition), expected, "{lists}: {condition}");
    }
}

#[test]
fn address_and_too_long_text_are_no_domains() {
    let mut long = ada();
    long.fields.insert("Site".to_owned(), "a.".repeat(127));
    long.fields.insert("E-mail".to_owned(), "a@cs.a.org".to_owned());
    for (lists, condition) in [
        ("", "fields['E-mail'].under('a.org')"),
        ("", "fields['Site'].under('a.org')"),
        ("", "('.' + fields['E-mail'].split('@')[1]).under('a.org')"),
        ("l = ['a.org']", "fields['Site'].under(lists.l)"),
    ] {
        let decision = decide(&accepts_if(lists, condition).expect("a policy"), &long);
        assert_eq!(
            decision.grounds.to_string(),
            "rule `r` could not be evaluated: `under` cannot read a value of the request"
        );
    }
}

#[test]
fn list_that_cannot_be_read_affects_only_its_rules() {
    for (list, why) in [
        ("{ file = 'nothing.txt' }", "`nothing.txt` cannot be read: No such file"),
        ("{ file = 'empty.txt' }", "`empty.txt` cannot be read: it is empty"),
        ("{ file = 'latin1.txt' }", "`latin1.txt` cannot be read: it is not UTF-8"),
        ("{ file = 'empty.txt', column = 'E-mail' }", "into its first line, such as `E-mail`"),
        ("{ file = 'open.csv', column = 'E-mail' }", "it ends within a value in quotes"),
        ("{ file = 'open-first.csv', column = 'E-mail' }", "probably a quote is missing"),
        ("{ file = 'open-header.csv', column = 'E-mail' }", "does not name a column `E-mail`"),
        ("{ file = 'header.csv', column = 'E-mail' }", "its first line does not name a column `E-mail`"),
    ] {
        let text = format!(
            "[lists]\nl = {list}\n\
             [[rules]]\nname = 'by-list'\nthen = 'accept'\nif = \"user.name in lists.l\"\n\
             [[rules]]\nname = 'bob'\nthen = 'reset'\nif = \"user.name == 'bob'\"\nreason = 'No.'\n"
        );
        let policy = Policy::parse_with_files(&text, &read_file).expect("a policy");
        assert!(policy.warnings()[0].text.contains(why), "{:?}", policy.warnings());
        assert!(!policy.warnings()[0].text.contains("secret"), "{:?}", policy.warnings());
        let held = decide(&policy, &ada());
        let expected = "rule `by-list` could not be evaluated: the list `l` cannot be read";
        assert_eq!((held.verdict, held.grounds.to_string()), (Verdict::Hold, expected.to_owned()));
        let mut bob = ada();
        bob.user.name = Some("Bob".to_owned());
        assert_eq!(decide(&policy, &bob).verdict, Verdict::Reset);
        // CEL absorbs the error if the result does not depend on it.
        assert_eq!(result(&format!("l = {list}"), "user.name == 'ada' || user.name in lists.l"), "yes");
    }
}

#[test]
fn list_of_a_file_stands_only_in_look_ups() {
    let in_file = "l = { file = 'names.txt' }";
    let cases = [
        (
            in_file,
            "lists.l.exists(p, user.name.contains(p))",
            "`lists.l` is kept in a file, so it can only stand",
        ),
        (in_file, "size(lists.l) > 1", "`lists.l` is kept in a file"),
        (in_file, "user.orgs + lists.l == []", "`lists.l` is kept in a file"),
        (in_file, "user.orgs in lists.l", "`in` does not apply to a list (text) and a list (text)"),
        (in_file, "user.name in lists.n", "there is no list `n`"),
        (
            "colleagues = []",
            "user.name in lists.coleagues",
            "there is no list `coleagues`; did you mean `colleagues`?",
        ),
        (in_file, "user.name in lists", "`lists` is not a value; use one of the lists"),
        (in_file, "lists == 'l'", "`lists` is not a value; use one of the lists"),
        (in_file, "['x'].exists(lists, lists == 'x')", "the variable of a macro is called `lists`"),
        (
            "l = ['@acme.com']",
            "user.domain in lists.l",
            "in `lists.l`: `user.domain` is compared with '@acme.com'",
        ),
        ("l = ['@acme.com']", "user.domain.under(lists.l)", "contains no `@`; write 'acme.com'"),
        ("l = ['acme.com']", "user.email in lists.l", "an e-mail address contains an `@`"),
        // Another rule may look up the addresses in a list, but nothing equals `@acme.com`.
        ("l = ['ada', '@acme.com']", "user.name in lists.l", "is compared with '@acme.com'"),
        ("l = ['acme', 'Acme']", "fields['A'].lowerAscii() in lists.l", "write 'acme'"),
    ];
    for (lists, condition, expected) in cases {
        let faults = accepts_if(lists, condition).err().unwrap_or_else(|| panic!("{condition} is accepted"));
        assert!(faults[0].contains(expected), "{condition}: {faults:?}");
    }
}

#[test]
fn wrong_lists_are_refused() {
    let cases = [
        ("l = 'ada'", "line 2, column 5: list `l`: this is text, but a list is written as"),
        (
            "l = ['ada', 7, 8]",
            "line 2, column 13: list `l`: this is a number, but it has to be text in quotes",
        ),
        ("l = { fil = 'x' }", "list `l`: there is no key `fil`; did you mean `file`?"),
        ("l = { column = 'x' }", "list `l`: `file` is missing"),
        ("l = { file = 7 }", "list `l`: `file`: this is a number"),
        ("'a-b' = []", "list `a-b`: a name consists of letters, digits and `_`"),
        ("l = []\nl = []", "line 3, column 1: this is not valid TOML: duplicate key"),
    ];
    for (lists, expected) in cases {
        let faults = accepts_if(lists, "true").err().unwrap_or_else(|| panic!("{lists} is accepted"));
        assert!(faults.iter().any(|fault| fault.contains(expected)), "{lists}: {faults:?}");
    }
}

#[test]
fn doubtful_entries_are_warned_of_but_not_shown() {
    let cases = [
        ("['ada', 'bob']", vec![]),
        ("[]", vec!["it has no entries"]),
        ("['ada', 'Bob', 'bob']", vec!["entry 3 repeats an earlier one"]),
        ("['ada', 'ada', 'ada']", vec!["entry 2 repeats an earlier one; 2 entries do so in total"]),
        ("['a@x.org', 'x.org']", vec![]),
        ("['x.org', 'ada', 'bob', 'eve', 'zoe']", vec![]),
    ];
    for (entries, expected) in cases {
        let policy = accepts_if(&format!("l = {entries}"), "user.pro && 'x' in lists.l").expect("a policy");
        let texts: Vec<String> = policy.warnings().into_iter().map(|warning| warning.text).collect();
        assert_eq!(texts.len(), expected.len(), "{entries}: {texts:?}");
        assert!(texts.iter().zip(&expected).all(|(text, expected)| text.contains(expected)), "{texts:?}");
    }
}

/// The warnings about a list in a file that a condition reads, and whether the list cannot be used.
fn warnings_of_file(list: &str, condition: &str, content: &str) -> Vec<(String, bool)> {
    let read = |_: &str| Ok(content.as_bytes().to_vec());
    let text = format!("[[rules]]\nname = 'r'\nthen = 'hold'\nif = \"{condition}\"\n[lists]\nl = {list}\n");
    let policy =
        Policy::parse_with_files(&text, &read).unwrap_or_else(|faults| panic!("{condition}: {faults:?}"));
    let of_list = policy.warnings().into_iter().filter(|warning| warning.subject == "list `l`");
    of_list.map(|warning| (warning.text, warning.is_unusable_list)).collect()
}

#[test]
fn entries_that_do_not_fit_their_use_are_warned_of() {
    let plain = "{ file = 'l.txt' }";
    let (by_name, by_email, by_domain) =
        ("user.name in lists.l", "user.email in lists.l", "user.domain.under(lists.l)");
    let good = "# Good\nada@x.org\n\nbob@x.org\n";
    for entry in [
        "x.org",
        "@x.org",
        "*@x.org",
        "<ada@x.org>",
        "Ada <ada@x.org>",
        "ada@x.org,",
        "mailto:ada@x.org",
        "\u{200b}ada@x.org",
    ] {
        let warnings = warnings_of_file(plain, by_email, &format!("{good}{entry}\n{entry};\n"));
        let expected =
            "the entries of lines 5, 6 do not have the form of an e-mail address, so no value equals them";
        assert!(
            warnings.len() == 1 && !warnings[0].1 && warnings[0].0.starts_with(expected),
            "{entry}: {warnings:?}"
        );
        assert!(!warnings[0].0.contains("ada"), "{warnings:?}");
    }
    for entries in [
        "gmail.com",
        "\"m\"\n\"n\"",
        "m,\nn,",
        "m, n, bob",
        "@m",
        "m // spam",
        "name,email\nm,m@x.org",
        "- m",
    ] {
        let condition = if entries == "gmail.com" { by_email } else { by_name };
        let warnings = warnings_of_file(plain, condition, entries);
        let is_expected =
            matches!(warnings.as_slice(), [(text, true)] if text.starts_with("no entry has the form of "));
        assert!(is_expected, "{entries}: {warnings:?}");
    }
    for entries in ["*.acme.com", ".x.org\n.y.org", "https://x.org", "- x.org", "m@x.org", "ch"] {
        let warnings = warnings_of_file(plain, by_domain, entries);
        assert!(
            matches!(warnings.as_slice(), [(text, true)] if text.contains("a domain")),
            "{entries}: {warnings:?}"
        );
    }
    let csv = "name,email\nAda L,ada@x.org\n";
    let column = |name: &str| format!("{{ file = 'l.csv', column = '{name}' }}");
    assert!(warnings_of_file(&column("name"), by_email, csv)[0].1, "the wrong column");
    assert_eq!(warnings_of_file(&column("email"), by_email, csv), []);
    let orgs = "user.verified_orgs.exists(org, org in lists.l)";
    assert!(warnings_of_file(plain, orgs, "Acme Corp")[0].1);
    assert!(warnings_of_file(plain, "user.id in lists.l", "ada\nbob")[0].1);
    for ids in ["1001\n1002", "65f0a1b2c3d4e5f6a7b8c9d0\n65f0a1b2c3d4e5f6a7b8c9d1"] {
        let warnings = warnings_of_file(plain, by_name, ids);
        let is_expected =
            matches!(warnings.as_slice(), [(text, false)] if text.contains("compare `user.id`"));
        assert!(is_expected, "{warnings:?}");
        assert_eq!(warnings_of_file(plain, by_name, &format!("{ids}\nada")), []);
    }
}

#[test]
fn entries_that_fit_one_of_the_uses_are_fine() {
    let both = "user.email in lists.l || user.name in lists.l";
    let mixed = "ada@x.org\nbob\nb@x.org\nc@x.org\nd@x.org\ne@x.org\n";
    let cases = [
        (both, mixed),
        ("user.name in lists.l", "ada\nada.lovelace\nb-2\nc_3"),
        ("user.id in lists.l", "65f0a1b2c3d4e5f6a7b8c9d0"),
        ("user.domain in lists.l || user.domain.under(lists.l)", "x.org\nMail.X.org"),
        ("fields['Country'] in lists.l", "North Korea\nIran"),
        ("user.email.split('@')[0] in lists.l", "a\nb"),
    ];
    for (condition, entries) in cases {
        assert_eq!(warnings_of_file("{ file = 'l.txt' }", condition, entries), [], "{condition}");
    }
    let in_document = "['ada@x.org', 'bob', 'b@x.org']";
    assert_eq!(warnings_of_file(in_document, both, ""), []);
    let [(unfit, false)] = &*warnings_of_file(in_document, "user.name in lists.l", "") else {
        panic!("one warning")
    };
    assert!(unfit.starts_with("entries 1, 3 do not have the form of the name of a user"), "{unfit}");
    let [(unused, is_unusable)] = &*warnings_of_file("{ file = 'l.txt' }", both, "ada\nbob") else {
        panic!("one warning")
    };
    assert!(unused.contains("no entry has the form of an e-mail address") && !is_unusable, "{unused}");
}

#[test]
fn doubtful_csv_files_are_unreadable() {
    let csv = "{ file = 'l.csv', column = 'E-mail' }";
    let cases = [
        ("E-mail,E-mail\na@x.org,b@x.org\n", "names the column `E-mail` twice"),
        ("Name,E-mail\nm,\"m@x.org\nn,n@x.org\n", "line 2 has a value with a line break"),
        ("Name,E-mail\n\"m,m@x.org\nn,n@x.org\n", "line 2 has a value with a line break"),
        ("Name,e-mail\nm,m@x.org\n", "does not name a column `E-mail`; did you mean `e-mail`?"),
    ];
    for (content, expected) in cases {
        let warnings = warnings_of_file(csv, "user.email in lists.l", content);
        assert!(
            warnings.len() == 1 && warnings[0].1 && warnings[0].0.contains(expected),
            "{content}: {warnings:?}"
        );
    }
    let content = "Why,E-mail\n\"We study\nscans.\",m@x.org\n";
    assert_eq!(
        warnings_of_file(csv, "user.email in lists.l", content),
        [],
        "an answer of two lines is complete"
    );
}

#[test]
fn entries_are_part_of_the_fingerprint() {
    let with = |entries: &'static str| {
        let read = move |_: &str| Ok(entries.as_bytes().to_vec());
        let text = "rules = []\n[lists]\nl = { file = 'x' }";
        Policy::parse_with_files(text, &read).expect("a policy").fingerprint().to_owned()
    };
    assert_eq!(with("ada\nbob"), with("# all\nada \n\nbob\n"));
    assert_ne!(with("ada\nbob"), with("adab\nob"));
    let json = policy(r#"{"lists": {"l": ["a"]}, "rules": []}"#);
    assert_eq!(json.fingerprint(), policy("rules = []\nlists.l = ['a']").fingerprint());
}

#[test]
fn every_entry_of_a_long_list_is_found() {
    let entries: Vec<_> = (0..5000).map(|number| format!("User{number}@Uni{}.edu", number % 700)).collect();
    let entries = entries.join("\n");
    let read = move |_: &str| Ok(entries.clone().into_bytes());
    let text =
        "[lists]\nl = { file = 'x' }\n[[rules]]\nname = 'r'\nthen = 'accept'\nif = 'user.email in lists.l'";
    let policy = Policy::parse_with_files(text, &read).expect("a policy");
    let verdict = |email: String| {
        let mut request = AccessRequest::default();
        request.user.email = Some(email);
        decide(&policy, &request).verdict
    };
    for number in 0..5000 {
        assert_eq!(verdict(format!("user{number}@uni{}.edu", number % 700)), Verdict::Accept);
        assert_eq!(verdict(format!("user{number}@uni{}.edu", (number + 1) % 700)), Verdict::Hold);
    }
}

#[test]
fn place_of_a_policy_learns_the_files_of_its_lists() {
    let lists = "a = { file = 'a.csv', column = 'x' }\nb = ['x']\nc = { file = 'a.csv', column = 'y' }\nd = { file = 'd.txt' }";
    assert_eq!(Policy::files_of_lists(&format!("[lists]\n{lists}")), ["a.csv", "d.txt"]);
    assert!(Policy::files_of_lists("[lists").is_empty());
    let unusable = Policy::unusable("It is gone.").at_commit(Some("c0ffee"));
    assert_eq!((unusable.why_unusable(), unusable.commit()), (Some("It is gone."), Some("c0ffee")));
    let usable = policy("{\"rules\": []}");
    assert_eq!((usable.why_unusable(), usable.commit()), (None, None));
}
