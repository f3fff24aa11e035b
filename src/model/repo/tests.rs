//! Names and patterns of repos are checked against the grammar of the Hub.

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;
use crate::model::RepoPattern;
use crate::properties::often;

#[test]
fn valid_name_is_accepted() {
    for name in ["gpt2", "acme/model", "a/b", "Foo-BAR_foo.bar123", "_a/b_", "123/4.5", &"n".repeat(96)] {
        assert!(Repo::new(RepoType::Model, name).is_ok(), "{name}");
    }
}

#[test]
fn invalid_name_is_refused() {
    let too_long = "n".repeat(97);
    let refused = [
        "",
        "/",
        "a/",
        "/b",
        "a/b/c",
        ".",
        "..",
        "../x",
        "acme/..",
        "a--b",
        "a..b",
        ".a",
        "a.",
        "-a",
        "a-",
        "acme/model.git",
        "acme/mo del",
        "acme/model?x=1",
        "acme/model#x",
        "acme/%2e%2e",
        "acme\\model",
        "acme/modèle",
        "acme/model\n",
        "acme/@me",
        "acme/a:b",
        "acme/\0",
        "*",
        "acme/*",
        &too_long,
    ];
    for name in refused {
        assert!(Repo::new(RepoType::Model, name).is_err(), "{name:?}");
    }
}

#[test]
fn refused_name_is_shown_shortened_on_one_line() {
    let error = Repo::new(RepoType::Model, &format!("a\n{}", "x".repeat(5000))).expect_err("refused");
    assert!(error.to_string().starts_with("`a\\nxxx"), "{error}");
    assert!(error.to_string().len() < 500, "{error}");
}

/// The grammar of names, implemented a second time, letter by letter.
fn is_within_the_grammar(name: &str) -> bool {
    let (mut previous, mut length, mut slashes) = (b'/', 0, 0);
    for letter in name.bytes().chain([b'/']) {
        let follows_a_letter = previous.is_ascii_alphanumeric() || previous == b'_';
        let fits = match letter {
            b'-' | b'.' => previous != b'/' && previous != letter,
            b'/' => follows_a_letter && length <= 96,
            other => other.is_ascii_alphanumeric() || other == b'_',
        };
        if !fits {
            return false;
        }
        slashes += u32::from(letter == b'/');
        length = if letter == b'/' { 0 } else { length + 1 };
        previous = letter;
    }
    slashes <= 2 && !matches!(name.as_bytes(), [.., b'.', b'g', b'i', b't'])
}

/// Any text, texts that resemble a name, and names into which a letter was inserted.
fn name() -> impl Strategy<Value = String> {
    let one = "[a-zA-Z0-9_]([a-zA-Z0-9_]|[-.][a-zA-Z0-9_]){0,6}(\\.git)?";
    let letter = select(&["", "-", ".", "/", "é", "%", "\n", "\0"][..]);
    let changed =
        (proptest::string::string_regex(&format!("{one}/{one}")).expect("a pattern"), any::<Index>(), letter);
    prop_oneof![
        any::<String>(),
        "[ab0_./?#%@ -]{0,8}",
        "[a-z]{90,100}(/[a-z]{90,100})?",
        changed.prop_map(|(mut name, place, letter)| {
            name.insert_str(place.index(name.len() + 1), letter);
            name
        }),
    ]
}

proptest! {
    #![proptest_config(often())]

    #[test]
    fn any_text_is_a_name_only_within_the_grammar(name in name()) {
        let repo = Repo::new(RepoType::Dataset, &name);
        prop_assert_eq!(repo.is_ok(), is_within_the_grammar(&name));
        if let Ok(repo) = repo {
            let url = reqwest::Url::parse(&format!("https://hub/api/datasets/{name}/x")).expect("a URL");
            prop_assert_eq!(url.path(), format!("/api/datasets/{name}/x"), "the path contains the name unchanged");
            let pattern: RepoPattern = repo.to_string().parse().expect("a pattern");
            prop_assert_eq!(pattern, RepoPattern::One(repo));
        }
    }

    #[test]
    fn any_text_is_a_pattern_only_within_the_grammar(
        (before, name, after) in (select(&["", "datasets/", "spaces/"][..]), name(), select(&["", "/*", "*"][..])),
    ) {
        let text = format!("{before}{name}{after}");
        let rest = text.strip_prefix("datasets/").unwrap_or(&text);
        let named = match rest.strip_suffix("/*") {
            Some(owner) => is_within_the_grammar(&format!("{owner}/x")) && !owner.contains('/'),
            None => is_within_the_grammar(rest),
        };
        prop_assert_eq!(text.parse::<RepoPattern>().is_ok(), named && !text.starts_with("spaces/"), "{}", text);
    }
}
