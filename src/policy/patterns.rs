//! The patterns of `matches`. Each one is compiled once, when the policy is read, and its size is bounded.
//!
//! Patterns have the meaning that they have in cel-go: `\w`, `\d`, `\s` and `\b` are limited to ASCII, and everything else uses
//! Unicode.

mod syntax;

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use regex_automata::Input;
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::nfa::thompson::{self, WhichCaptures};
use regex_automata::util::alphabet::Unit;

use super::meter;

/// The maximum size of a compiled pattern, and of all patterns of a policy together, in bytes.
const MAX_PATTERN_SIZE: usize = 256 * 1024;
const MAX_PATTERNS_SIZE: usize = 16 * 1024 * 1024;

/// The maximum memory of one search, in bytes. With less, a hard pattern would compute the same states over and over.
const MAX_SEARCH_CACHE: usize = 2 * 1024 * 1024;

/// The maximum memory that is kept between searches, for one pattern and for all patterns of a policy together, in bytes.
const MAX_KEPT_CACHE: usize = 256 * 1024;
const MAX_KEPT_CACHES: usize = 4 * 1024 * 1024;

/// A pattern is *easy* if all states that a search can reach are within these bounds: their memory in bytes, and the number
/// of transitions between them. The states of an easy pattern are computed when the policy is read. If all easy patterns of a
/// policy together would exceed [`MAX_EASY_CACHES`], the remaining ones count as hard.
const MAX_EASY_CACHE: usize = 32 * 1024;
const MAX_EASY_TRANSITIONS: usize = 4000;

/// The maximum memory for the states of all easy patterns of a policy, in bytes.
const MAX_EASY_CACHES: usize = 4 * 1024 * 1024;

/// The measured cost of searching one byte with an easy pattern.
const COST_PER_BYTE_EASY: u64 = 2;

/// The measured cost of searching one byte with a hard pattern, if every byte leads to a new state.
const COST_PER_BYTE_HARD: u64 = 500;

/// The measured cost per byte that a hard pattern has in addition for each of its states.
const COST_PER_BYTE_AND_STATE: u64 = 5;

/// The maximum length of a text that is searched, in bytes. Nothing can interrupt a search.
pub(super) const MAX_SEARCHED: usize = 8 * 1024;

/// All patterns of a policy.
#[derive(Debug, Default)]
pub(super) struct Patterns {
    exact: HashMap<String, Pattern>,
    /// Patterns for names, which are in ASCII lower case.
    for_names: HashMap<String, Pattern>,
    /// The size of all compiled patterns, in bytes.
    size: usize,
    /// The memory of the states of all easy patterns, in bytes.
    easy_caches: usize,
    /// The memory that all hard patterns keep between searches, in bytes.
    kept_caches: AtomicUsize,
}

#[derive(Debug)]
struct Pattern {
    automaton: DFA,
    /// The maximum cost of searching one byte.
    cost_per_byte: u64,
    is_easy: bool,
    /// The states of the automaton that earlier searches have computed. A search takes them out, so that no two searches
    /// share them.
    cache: Mutex<Option<Box<Cache>>>,
}

impl Patterns {
    /// Compiles a pattern, unless it is already compiled.
    pub(super) fn add(&mut self, pattern: &str, for_names: bool) -> Result<(), String> {
        if self.of(for_names).contains_key(pattern) {
            return Ok(());
        }
        let automaton = compile(pattern, for_names)?;
        self.size += automaton.memory_usage() + automaton.get_nfa().memory_usage();
        if self.size > MAX_PATTERNS_SIZE {
            return Err(format!(
                "the patterns of the policy are larger than {} MB when compiled; use fewer or smaller patterns",
                MAX_PATTERNS_SIZE / (1024 * 1024)
            ));
        }
        let mut easy = explore(&automaton);
        let size = easy.as_ref().map_or(0, Cache::memory_usage);
        if self.easy_caches + size > MAX_EASY_CACHES {
            easy = None;
        }
        self.easy_caches += easy.as_ref().map_or(0, Cache::memory_usage);
        let cost_per_byte = match &easy {
            Some(_) => COST_PER_BYTE_EASY,
            None => COST_PER_BYTE_HARD + COST_PER_BYTE_AND_STATE * automaton.get_nfa().states().len() as u64,
        };
        let (is_easy, cache) = (easy.is_some(), Mutex::new(easy.map(Box::new)));
        let patterns = if for_names { &mut self.for_names } else { &mut self.exact };
        patterns.insert(pattern.to_owned(), Pattern { automaton, cost_per_byte, is_easy, cache });
        Ok(())
    }

    fn of(&self, for_names: bool) -> &HashMap<String, Pattern> {
        if for_names { &self.for_names } else { &self.exact }
    }

    /// The maximum cost of searching one byte with this pattern. If the pattern is unknown, it is the maximum over all
    /// patterns.
    pub(super) fn cost_per_byte(&self, pattern: Option<&str>, for_names: bool) -> u64 {
        let patterns = self.of(for_names);
        let pattern = pattern.and_then(|pattern| patterns.get(pattern));
        let any = || patterns.values().map(|pattern| pattern.cost_per_byte).max().unwrap_or_default();
        pattern.map_or_else(any, |pattern| pattern.cost_per_byte)
    }

    /// Whether a pattern matches a part of the text. An error says why the text cannot be searched.
    pub(super) fn is_match(&self, pattern: &str, text: &str, for_names: bool) -> Result<bool, &'static str> {
        if text.len() > MAX_SEARCHED {
            return Err("the text is too long");
        }
        let pattern = self.of(for_names).get(pattern).ok_or("the pattern was not compiled")?;
        meter::spend(pattern.cost_per_byte * text.len() as u64);
        let kept = pattern.cache.lock().ok().and_then(|mut cache| cache.take());
        if let Some(cache) = &kept
            && !pattern.is_easy
        {
            self.kept_caches.fetch_sub(cache.memory_usage(), Ordering::Relaxed);
        }
        let mut cache = kept.unwrap_or_else(|| Box::new(pattern.automaton.create_cache()));
        let input = Input::new(text).earliest(true);
        let found = pattern.automaton.try_search_fwd(&mut cache, &input);
        self.keep(pattern, cache);
        found.map(|found| found.is_some()).map_err(|_| "the search gave up")
    }

    fn keep(&self, pattern: &Pattern, cache: Box<Cache>) {
        let size = cache.memory_usage();
        if pattern.is_easy {
            // Two simultaneous searches have two caches. Only one of them is kept.
            drop(pattern.cache.lock().map(|mut kept| *kept = Some(cache)));
            return;
        }
        if size > MAX_KEPT_CACHE {
            return;
        }
        let before = self.kept_caches.fetch_add(size, Ordering::Relaxed);
        let replaced = match pattern.cache.lock() {
            Ok(mut kept) if before + size <= MAX_KEPT_CACHES => kept.replace(cache),
            _ => Some(cache),
        };
        if let Some(cache) = replaced {
            self.kept_caches.fetch_sub(cache.memory_usage(), Ordering::Relaxed);
        }
    }
}

/// Computes all states that a search can reach. Returns nothing if the pattern is hard.
fn explore(automaton: &DFA) -> Option<Cache> {
    let bytes: Vec<u8> = automaton.byte_classes().representatives(..).filter_map(Unit::as_u8).collect();
    let mut cache = automaton.create_cache();
    let start = automaton.start_state_forward(&mut cache, &Input::new("")).ok()?;
    let (mut known, mut next) = (HashSet::from([start]), vec![start]);
    while let Some(state) = next.pop() {
        automaton.next_eoi_state(&mut cache, state).ok()?;
        for byte in &bytes {
            let reached = automaton.next_state(&mut cache, state, *byte).ok()?;
            if known.insert(reached) && !reached.is_dead() {
                next.push(reached);
            }
        }
        if known.len() * bytes.len() > MAX_EASY_TRANSITIONS || cache.memory_usage() > MAX_EASY_CACHE {
            return None;
        }
    }
    Some(cache)
}

fn compile(pattern: &str, for_names: bool) -> Result<DFA, String> {
    if let Some(control) = pattern.chars().find(|c| c.is_control()) {
        return Err(control_character(control));
    }
    let meaning =
        syntax::parse(pattern, for_names).map_err(|why| format!("`{pattern}` is not a pattern: {why}"))?;
    let too_large = || {
        format!(
            "the pattern is larger than {} KB when compiled; use smaller repetitions, several rules, or `size(…)` to \
             check the length of a text",
            MAX_PATTERN_SIZE / 1024
        )
    };
    let config =
        thompson::Config::new().nfa_size_limit(Some(MAX_PATTERN_SIZE)).which_captures(WhichCaptures::None);
    let states =
        thompson::Compiler::new().configure(config).build_from_hir(&meaning).map_err(|_| too_large())?;
    let config = DFA::config().cache_capacity(MAX_SEARCH_CACHE);
    DFA::builder().configure(config).build_from_nfa(states).map_err(|_| too_large())
}

/// The fault of a pattern with a control character, which is probably a mistake: in CEL, as in JSON, `'\b'` is a backspace.
fn control_character(control: char) -> String {
    let (name, escape) = match control {
        '\u{7}' => ("a bell", "\\a"),
        '\u{8}' => ("a backspace", "\\b"),
        '\t' => ("a tab", "\\t"),
        '\n' => ("a line feed", "\\n"),
        '\u{b}' => ("a vertical tab", "\\v"),
        '\u{c}' => ("a form feed", "\\f"),
        '\r' => ("a carriage return", "\\r"),
        _ => {
            let code = u32::from(control);
            return format!("the pattern contains a control character; write it as `\\\\x{{{code:x}}}`");
        }
    };
    format!(
        "the pattern contains {name}, because `{escape}` in a CEL text is {name}; write `\\{escape}`, or a raw text such \
         as r'{escape}' (in JSON, write each backslash twice)"
    )
}

#[cfg(test)]
mod tests {
    use super::{
        MAX_EASY_CACHE, MAX_EASY_CACHES, MAX_KEPT_CACHE, MAX_KEPT_CACHES, MAX_SEARCHED, Ordering, Patterns,
    };

    #[test]
    fn kept_caches_stay_within_their_limits() {
        let mut patterns = Patterns::default();
        // The number of states doubles with each repetition.
        let hard: Vec<String> = (0..60).map(|number| format!("{number}|[ab]*a[ab]{{12}}c")).collect();
        for hard in &hard {
            patterns.add(hard, false).expect(hard);
        }
        let (mut random, mut largest) = (fastrand::Rng::with_seed(7), 0);
        for round in 0..20 {
            let length = 1 << (round % 11);
            let text: String = (0..length).map(|_| if random.bool() { 'a' } else { 'b' }).collect();
            for pattern in &hard {
                assert_eq!(patterns.is_match(pattern, &text, false), Ok(false));
                let caches = patterns.exact.values().map(|pattern| {
                    let cache = pattern.cache.lock().expect("no panic");
                    cache.as_ref().map_or(0, |cache| cache.memory_usage())
                });
                let sizes: Vec<usize> = caches.collect();
                let sum: usize = sizes.iter().sum();
                assert_eq!(sum, patterns.kept_caches.load(Ordering::Relaxed));
                largest = largest.max(sum);
                assert!(
                    (1..=MAX_KEPT_CACHES).contains(&sum) && sizes.iter().all(|size| *size <= MAX_KEPT_CACHE)
                );
            }
        }
        assert!(largest > MAX_KEPT_CACHES / 2, "{largest}");
    }

    #[test]
    fn pattern_with_few_states_is_easy_and_cheap() {
        let letters = |last, length| -> String { ('a'..=last).cycle().take(length).collect() };
        let cases = [
            ("a{180}".to_owned(), true),
            // Too much memory.
            ("a{190}".to_owned(), false),
            (format!("^{}", letters('z', 130)), true),
            // Too many transitions.
            (format!("^{}", letters('z', 160)), false),
            // As many transitions as possible.
            (format!("^{}", letters('w', 157)), true),
            (format!("^{}", letters('w', 158)), false),
        ];
        for (pattern, is_easy) in cases {
            let mut patterns = Patterns::default();
            patterns.add(&pattern, false).expect("a pattern");
            let cost = patterns.cost_per_byte(Some(&pattern), false);
            let states = patterns.exact[&pattern].automaton.get_nfa().states().len() as u64;
            assert_eq!(cost, if is_easy { 2 } else { 500 + 5 * states }, "{pattern}");
        }
    }

    #[test]
    fn caches_of_easy_patterns_stay_within_their_limit() {
        let mut patterns = Patterns::default();
        let letters: String = ('a'..='x').cycle().take(140).collect();
        for (one, other) in ('a'..='x').flat_map(|one| ('a'..='j').map(move |other| (one, other))) {
            patterns.add(&format!("^{letters}{one}{other}"), false).expect("a pattern");
        }
        let sizes = patterns.exact.values().filter(|pattern| pattern.is_easy).map(|pattern| {
            let cache = pattern.cache.lock().expect("no panic");
            cache.as_ref().map_or(0, |cache| cache.memory_usage())
        });
        let sum: usize = sizes.sum();
        assert_eq!(sum, patterns.easy_caches);
        assert!((MAX_EASY_CACHES - MAX_EASY_CACHE..=MAX_EASY_CACHES).contains(&sum), "{sum}");
    }

    #[test]
    fn long_text_is_not_searched() {
        let mut patterns = Patterns::default();
        patterns.add("x$", false).expect("a pattern");
        assert_eq!(patterns.is_match("x$", &"x".repeat(MAX_SEARCHED), false), Ok(true));
        assert!(patterns.is_match("x$", &"x".repeat(MAX_SEARCHED + 1), false).is_err());
    }
}
