//! A requester never writes part of a rule: the argument of a text function is constant.

use super::{Policy, ada, answer};

fn fault(expression: &str) -> String {
    let rule = serde_json::json!({"name": "r", "then": "accept", "if": expression});
    let faults = Policy::parse(&serde_json::json!({ "rules": [rule] }).to_string()).expect_err(expression);
    faults.join("; ")
}

#[test]
fn argument_that_the_requester_writes_is_refused() {
    let user = "which the requester writes";
    let cases = [
        (
            "user.email.matches('^' + fields['E-mail'] + '$')",
            "`user.email.matches(…)` reads `fields['E-mail']`",
        ),
        ("matches(user.email, fields['E-mail'])", "`matches(user.email, …)` reads `fields['E-mail']`"),
        ("user.email.endsWith(fields['Domain'])", "`user.email.endsWith(…)` reads `fields['Domain']`"),
        ("user.email.contains(fields.Domain)", "reads `fields.Domain`"),
        ("user.email.startsWith(user.name)", "reads `user.name`"),
        ("user.email.startsWith(user['name'])", "reads `user['name']`"),
        ("'admin root'.contains(user.name)", "`'admin root'.contains(…)` reads `user.name`"),
        ("fields['A'].contains(string(user.pro))", "reads `user.pro`"),
        ("fields['A'].contains(string(size(fields)))", "reads `fields`"),
        ("fields['A'].contains(string(requested_at))", "reads `requested_at`"),
        ("fields['A'].contains(string(now - requested_at))", "reads `requested_at`"),
        // Through macros, lists, maps and conditionals.
        ("user.orgs.exists(o, user.name.startsWith(o))", "`user.name.startsWith(…)` reads `o`"),
        ("user.orgs.map(o, o + '.com').exists(d, user.domain.endsWith(d))", "reads `d`"),
        ("user.orgs.filter(o, size(o) > 3).exists(d, user.domain.endsWith(d))", "reads `d`"),
        ("['a', 'b'].map(x, x + user.name).exists(p, user.email.matches(p))", "reads `p`"),
        ("['a', 'b'].filter(x, x != user.name).exists(p, user.email.contains(p))", "reads `p`"),
        ("['a', 'b'].exists(p, user.orgs.exists(q, user.email.contains(p + q)))", "reads `q`"),
        ("user.orgs.exists(o, [o].exists(p, user.email.contains(p)))", "reads `p`"),
        ("[['x'], user.orgs][0].exists(p, user.email.contains(p))", "reads `p`"),
        ("fields.exists(label, user.email.contains(label))", "reads `label`"),
        ("user.email.contains(['x', user.name][1])", "reads `user.name`"),
        ("user.email.contains({'a': user.name}['a'])", "reads `user.name`"),
        ("user.email.contains({'a': user.name}.a)", "reads `user.name`"),
        ("user.email.contains({user.name: 'x'}[user.name])", "reads `user.name`"),
        ("user.email.contains(user.orgs[0])", "reads `user.orgs[0]`"),
        ("user.email.contains(user.orgs[size(fields)])", "reads `user.orgs[…]`"),
        ("user.email.contains(user.orgs.filter(o, o != 'x')[0])", "reads `user.orgs`"),
        ("[{'a': 'x'}].exists(m, user.email.contains(m[fields['A']]))", "reads `fields['A']`"),
        ("user.email.contains({'a': 'x'}[fields['A']])", "reads `fields['A']`"),
        ("user.email.contains(user.pro ? 'a' : 'b')", "reads `user.pro`"),
        ("user.email.contains(true ? 'a' : user.name)", "reads `user.name`"),
        ("user.email.contains(has(user.name) ? 'a' : '')", "reads `user.name`"),
        ("user.email.contains('x' in fields ? 'a' : '')", "reads `fields`"),
        ("(user.email + 'x').contains(user.name)", "`….contains(…)` reads `user.name`"),
        // A macro's variable that has the same name as `repo`.
        ("user.orgs.exists(repo, user.email.contains(repo))", "reads `repo`"),
    ];
    for (expression, expected) in cases {
        let fault = fault(expression);
        assert!(fault.contains(expected) && fault.contains(user), "{expression}: {fault}");
    }
}

#[test]
fn pattern_that_depends_on_the_repo_is_refused() {
    for expression in [
        "user.name.matches(repo.owner)",
        "[repo.name].exists(p, user.name.matches('^' + p))",
        "'x'.matches(string(now))",
    ] {
        let fault = fault(expression);
        assert!(fault.contains("patterns are compiled when the policy is read"), "{expression}: {fault}");
    }
}

#[test]
fn refusal_suggests_an_alternative() {
    let cases = [
        (
            "user.email.matches('^' + fields['E-mail'] + '$')",
            "pattern, or write `user.email == fields['E-mail']` to compare the two",
        ),
        (
            "matches(user.email, fields['E-mail'])",
            "pattern, or write `user.email == fields['E-mail']` to compare the two",
        ),
        (
            "user.orgs.exists(o, user.name.startsWith(o))",
            "Every text contains an empty one. Use a constant argument, or write `user.name == o` to compare the two",
        ),
        (
            "user.email.endsWith(fields['Domain'])",
            "argument, or write `user.domain == fields['Domain']` to compare the two",
        ),
        (
            "'admin root'.contains(user.name)",
            "argument, or write `user.name in ['…', '…']` to compare with several texts",
        ),
        ("'admin root'.contains(user.orgs[size(fields)])", "Use a constant argument"),
        ("'admin root'.contains(user.name.trim())", "Use a constant argument"),
        ("user.fullname.trim().contains(user.name)", "Use a constant argument"),
        ("user.email.contains('x' + fields['A'])", "Use a constant argument"),
        ("user.email.matches('^' + string(fields['A']))", "Use a constant pattern"),
        ("user.email.matches('^' + user.orgs[size(fields)])", "Use a constant pattern"),
        ("user.name.contains(string(requested_at))", "Use a constant argument"),
    ];
    for (expression, expected) in cases {
        let fault = fault(expression);
        assert!(fault.ends_with(expected), "{expression}: {fault}");
    }
    let expected = "line 1, column 17: rule `r`: `if`: the pattern in `user.email.matches(…)` reads `fields['E-mail']`, which the requester \
                    writes. `.*` would match every text. Use a constant pattern, or write `user.email == fields['E-mail']` \
                    to compare the two";
    assert_eq!(fault("user.email.matches(fields['E-mail'])"), expected);
}

#[test]
fn constant_argument_is_accepted() {
    let cases = [
        ("user.name.matches('^a' + 'da$')", "yes"),
        ("['b', 'a'].exists(p, user.name.startsWith(p))", "yes"),
        ("['b', 'c'].exists(p, user.name.startsWith(p))", "no"),
        ("['x', 'd'].exists(p, user.name.matches('^.' + p))", "yes"),
        ("['x', 'd'].map(p, '^.' + p).exists(p, user.name.matches(p))", "yes"),
        ("['x', 'ad'].filter(p, size(p) > 1).exists(p, user.name.matches(p))", "yes"),
        ("{'ad': user.pro ? 1 : 2}.exists(p, p == 'ad')", "yes"),
        ("user.name.contains(true ? 'a' : 'b') && user.name.contains(['x', 'd'][1])", "yes"),
        ("user.name.contains({'a': 'd'}['a']) && user.name.contains({'a': 'd'}.a)", "yes"),
        ("['x', 'a'].exists(p, ['y', 'd'].exists(q, user.name.contains(p + q)))", "yes"),
        ("user.verified_orgs.exists(o, ['ac'].exists(p, o.startsWith(p)))", "yes"),
        ("'acme.com'.contains(repo.owner) && user.verified_orgs.exists(o, o.startsWith(repo.owner))", "yes"),
        ("user.email.contains(string(now.getFullYear()))", "no"),
        // A macro's variable that has the same name as `user`, and goes over the owner's list.
        ("['ad'].exists(user, 'ada'.startsWith(user))", "yes"),
    ];
    for (expression, expected) in cases {
        assert_eq!(answer(expression, &ada()), expected, "{expression}");
    }
}
