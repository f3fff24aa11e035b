//! Suggestions for misspelt words.

/// The least similarity, from 0 to 1, at which one text may be a misspelling of the other.
const MIN_SIMILARITY: f64 = 0.8;

/// The maximum number of candidates that a message lists.
const MAX_LISTED: usize = 8;

/// The candidate that a word is probably a misspelling of, if there is one. Case is ignored.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let similarity = |candidate: &str| strsim::jaro_winkler(&candidate.to_lowercase(), &word.to_lowercase());
    let candidates = candidates.into_iter().map(|candidate| (similarity(candidate), candidate));
    let (similarity, nearest) = candidates.max_by(|(a, _), (b, _)| a.total_cmp(b))?;
    (similarity >= MIN_SIMILARITY).then_some(nearest)
}

/// The end of a message about an unknown word: the nearest candidate, or else the first candidates.
pub(super) fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    let candidates: Vec<&str> = candidates.into_iter().collect();
    if let Some(nearest) = nearest(word, candidates.iter().copied()) {
        return format!("; did you mean `{nearest}`?");
    }
    let listed: Vec<String> = candidates.iter().take(MAX_LISTED).map(|each| format!("`{each}`")).collect();
    let more = if candidates.len() > MAX_LISTED { " and others" } else { "" };
    if listed.is_empty() { String::new() } else { format!("; choose from {}{more}", listed.join(", ")) }
}
