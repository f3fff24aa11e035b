//! Repos as a person names them: as on the Hub, or by the URL of a page.

use hub_doorman::model::{Repo, RepoPattern};

/// The hosts of the Hub. The host of `HF_ENDPOINT` is one, too.
const HOSTS: [&str; 3] = ["huggingface.co", "www.huggingface.co", "hf.co"];

/// The first parts of paths on the Hub that are not the owner of a model.
const OTHER_PAGES: [&str; 18] = [
    "api",
    "blog",
    "buckets",
    "collections",
    "docs",
    "enterprise",
    "join",
    "kernels",
    "learn",
    "login",
    "models",
    "organizations",
    "papers",
    "posts",
    "pricing",
    "settings",
    "spaces",
    "tasks",
];

/// Reads `acme/model`, `datasets/acme/corpus`, `acme/*`, or the URL of any page of a repo.
pub fn parse(text: &str) -> Result<RepoPattern, String> {
    parse_for_endpoint(text, std::env::var("HF_ENDPOINT").ok().as_deref())
}

/// Reads the name or URL of a single repo.
pub fn parse_one(text: &str) -> Result<Repo, String> {
    match parse(text)? {
        RepoPattern::One(repo) => Ok(repo),
        RepoPattern::Namespace { .. } => {
            Err("name one repo, such as `acme/model` or `datasets/acme/corpus`".to_owned())
        }
    }
}

/// Removes the excluded repos from the patterns.
pub fn without(mut patterns: Vec<RepoPattern>, excluded: &[Repo]) -> Vec<RepoPattern> {
    for repo in excluded {
        patterns.retain(|pattern| !matches!(pattern, RepoPattern::One(one) if one == repo));
        for pattern in &mut patterns {
            pattern.leave_out(repo);
        }
    }
    patterns
}

fn parse_for_endpoint(text: &str, endpoint: Option<&str>) -> Result<RepoPattern, String> {
    let Some(page) = page(text, endpoint)? else {
        return text.parse().map_err(|error: hub_doorman::model::InvalidRepoName| error.to_string());
    };
    let path = page.split(['?', '#', '@']).next().unwrap_or_default();
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let name = match parts.as_slice() {
        ["models", owner, name, ..] if text.starts_with("hf://") => format!("{owner}/{name}"),
        ["datasets", owner, name, ..] => format!("datasets/{owner}/{name}"),
        ["datasets"] | [] => return Err("this is not the page of a repo".to_owned()),
        [other, ..] if OTHER_PAGES.contains(other) => {
            return Err(
                "this is not the page of a model or a dataset, and nothing else can be gated".to_owned()
            );
        }
        [owner] | ["datasets", owner] => {
            return Err(format!(
                "this is not the page of a repo; for all gated repos of `{owner}` write `{owner}/*`"
            ));
        }
        [owner, name, ..] => format!("{owner}/{name}"),
    };
    name.parse().map_err(|error: hub_doorman::model::InvalidRepoName| error.to_string())
}

/// The path behind the host if `text` is the URL of a page on the Hub. A URL of another site is an error.
fn page<'a>(text: &'a str, endpoint: Option<&'a str>) -> Result<Option<&'a str>, String> {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (Some(scheme), rest),
        None => (None, text),
    };
    let (host, page) = rest.split_once('/').unwrap_or((rest, ""));
    let host = &*host.to_ascii_lowercase();
    let own_host = endpoint.and_then(|endpoint| endpoint.trim().split_once("://")?.1.split('/').next());
    match scheme {
        // `huggingface_hub` names files on the Hub in this way. There is no host; a revision may follow the name of the repo.
        Some("hf") => Ok(Some(rest)),
        _ if HOSTS.contains(&host) || own_host == Some(host) => Ok(Some(page)),
        Some(_) => Err(format!("`{host}` is not the Hub; if it is another Hub, set HF_ENDPOINT")),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repo_is_named_as_on_the_hub_or_by_the_url_of_a_page() {
        let cases = [
            ("acme/model", "acme/model"),
            ("datasets/acme/corpus", "datasets/acme/corpus"),
            ("acme/*", "acme/*"),
            ("gpt2", "gpt2"),
            ("https://huggingface.co/acme/model", "acme/model"),
            ("https://huggingface.co/acme/model/", "acme/model"),
            ("https://huggingface.co/acme/model/tree/main/a?x=1#y", "acme/model"),
            ("http://www.huggingface.co/acme/model/settings", "acme/model"),
            ("huggingface.co/datasets/acme/corpus/viewer", "datasets/acme/corpus"),
            ("hf.co/acme/model", "acme/model"),
            ("hf://acme/model", "acme/model"),
            ("hf://datasets/acme/corpus", "datasets/acme/corpus"),
            ("hf://datasets/acme/corpus@main/train.csv", "datasets/acme/corpus"),
            ("hf://models/acme/model", "acme/model"),
            ("https://HuggingFace.co/acme/model", "acme/model"),
            ("https://hub.acme.com/datasets/acme/corpus", "datasets/acme/corpus"),
        ];
        for (text, expected) in cases {
            let parsed = parse_for_endpoint(text, Some("https://hub.acme.com/"));
            assert_eq!(parsed.map(|repo| repo.to_string()), Ok(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn text_that_names_no_repo_is_refused_with_advice() {
        let cases = [
            ("https://huggingface.co/acme", "write `acme/*`"),
            ("https://huggingface.co/datasets/acme", "write `acme/*`"),
            ("https://huggingface.co/spaces/acme/app", "nothing else can be gated"),
            ("https://huggingface.co/settings/tokens", "nothing else can be gated"),
            ("https://huggingface.co/", "not the page of a repo"),
            ("https://github.com/acme/model", "`github.com` is not the Hub"),
            ("https://huggingface.co.evil.example/acme/model", "is not the Hub"),
            ("https://huggingface.co@evil.example/acme/model", "is not the Hub"),
            ("acme/model/tree/main", "is not the name of a repo"),
            ("spaces/acme/app", "is not the name of a repo"),
            ("", "is not the name of a repo"),
        ];
        for (text, expected) in cases {
            let error = parse_for_endpoint(text, None).expect_err(text);
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
