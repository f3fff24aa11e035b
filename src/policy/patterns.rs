//! The patterns of `matches`: each is compiled once, when the policy is read, and bounded in size.
//!
//! They mean the same as in cel-go: `\w`, `\d`, `\s` and `\b` know ASCII only, and everything else knows Unicode.

mod syntax;

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use regex_automata::Input;
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::nfa::thompson::{self, WhichCaptures};
use regex_automata::util::alphabet::Unit;

use super::meter;

/// The most bytes that a compiled pattern may take, and all of a policy together.
const MAX_PATTERN: usize = 256 * 1024;
const MAX_PATTERNS: usize = 16 * 1024 * 1024;

/// The most bytes that a search may use. With less, a hard pattern would compute the same states over and over.
const SEARCH_CACHE: usize = 2 * 1024 * 1024;

/// The most bytes that are kept from one search to the next, for a pattern and for all of a policy together.
const KEPT_CACHE: usize = 256 * 1024;
const KEPT_CACHES: usize = 4 * 1024 * 1024;

/// A pattern is easy if all states that a search can reach take at most so many bytes, with at most so many transitions between
/// them. Its states are computed when the policy is read. They are kept while those of all easy patterns fit into `EASY_CACHES`.
const EASY_CACHE: usize = 32 * 1024;
const EASY_TRANSITIONS: usize = 4000;
const EASY_CACHES: usize = 4 * 1024 * 1024;

/// The measured work to search one byte with an easy pattern.
const WORK_PER_BYTE_EASY: u64 = 2;

/// The measured work to search one byte with any other pattern, if every byte leads to a new state.
const WORK_PER_BYTE_HARD: u64 = 500;

/// The same, in addition for each state of the pattern.
const WORK_PER_BYTE_AND_STATE: u64 = 5;

/// The longest text that a pattern is tried on. Nothing interrupts a search.
pub(super) const MAX_SEARCHED: usize = 8 * 1024;

/// All patterns of a policy.
#[derive(Debug, Default)]
pub(super) struct Patterns {
    exact: HashMap<String, Pattern>,
    /// Patterns for names, which are in ASCII lower case.
    of_names: HashMap<String, Pattern>,
    /// How many bytes the compiled patterns take.
    size: usize,
    /// How many bytes the states of easy patterns take.
    easy: usize,
    /// How many bytes are kept of others from one search to the next.
    kept: AtomicUsize,
}

#[derive(Debug)]
struct Pattern {
    automaton: DFA,
    /// The most work for a byte of text.
    work_per_byte: u64,
    is_easy: bool,
    /// The states of the automaton that earlier searches have computed. A search takes them out, so two searches never share
    /// them.
    cache: Mutex<Option<Box<Cache>>>,
}

impl Patterns {
    /// Compiles a pattern, unless that was done already.
    pub(super) fn add(&mut self, pattern: &str, on_name: bool) -> Result<(), String> {
        if self.of(on_name).contains_key(pattern) {
            return Ok(());
        }
        let automaton = compile(pattern, on_name)?;
        self.size += automaton.memory_usage() + automaton.get_nfa().memory_usage();
        if self.size > MAX_PATTERNS {
            return Err(format!(
                "the patterns of the policy are larger than {} MB when compiled; use fewer or smaller ones",
                MAX_PATTERNS / (1024 * 1024)
            ));
        }
        let mut easy = explore(&automaton);
        let size = easy.as_ref().map_or(0, Cache::memory_usage);
        if self.easy + size > EASY_CACHES {
            easy = None;
        }
        self.easy += easy.as_ref().map_or(0, Cache::memory_usage);
        let work_per_byte = match &easy {
            Some(_) => WORK_PER_BYTE_EASY,
            None => WORK_PER_BYTE_HARD + WORK_PER_BYTE_AND_STATE * automaton.get_nfa().states().len() as u64,
        };
        let (is_easy, cache) = (easy.is_some(), Mutex::new(easy.map(Box::new)));
        let patterns = if on_name { &mut self.of_names } else { &mut self.exact };
        patterns.insert(pattern.to_owned(), Pattern { automaton, work_per_byte, is_easy, cache });
        Ok(())
    }

    fn of(&self, on_name: bool) -> &HashMap<String, Pattern> {
        if on_name { &self.of_names } else { &self.exact }
    }

    /// The most work for a byte of text, with this pattern, or with any.
    pub(super) fn work_per_byte(&self, pattern: Option<&str>, on_name: bool) -> u64 {
        let patterns = self.of(on_name);
        let pattern = pattern.and_then(|pattern| patterns.get(pattern));
        let any = || patterns.values().map(|pattern| pattern.work_per_byte).max().unwrap_or_default();
        pattern.map_or_else(any, |pattern| pattern.work_per_byte)
    }

    /// Whether a pattern matches a part of the text. An error says why that cannot be known.
    pub(super) fn is_match(&self, pattern: &str, text: &str, on_name: bool) -> Result<bool, &'static str> {
        if text.len() > MAX_SEARCHED {
            return Err("the text is too long");
        }
        let pattern = self.of(on_name).get(pattern).ok_or("the pattern was not compiled")?;
        meter::spend(pattern.work_per_byte * text.len() as u64);
        let kept = pattern.cache.lock().ok().and_then(|mut cache| cache.take());
        if let Some(cache) = &kept
            && !pattern.is_easy
        {
            self.kept.fetch_sub(cache.memory_usage(), Ordering::Relaxed);
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
            // Two searches at the same time have two, of which one stays.
            drop(pattern.cache.lock().map(|mut kept| *kept = Some(cache)));
            return;
        }
        if size > KEPT_CACHE {
            return;
        }
        let before = self.kept.fetch_add(size, Ordering::Relaxed);
        let replaced = match pattern.cache.lock() {
            Ok(mut kept) if before + size <= KEPT_CACHES => kept.replace(cache),
            _ => Some(cache),
        };
        if let Some(cache) = replaced {
            self.kept.fetch_sub(cache.memory_usage(), Ordering::Relaxed);
        }
    }
}

/// Computes all states that a search can reach, if the pattern is easy.
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
        if known.len() * bytes.len() > EASY_TRANSITIONS || cache.memory_usage() > EASY_CACHE {
            return None;
        }
    }
    Some(cache)
}

fn compile(pattern: &str, on_name: bool) -> Result<DFA, String> {
    if let Some(control) = pattern.chars().find(|c| c.is_control()) {
        return Err(control_character(control));
    }
    let meaning =
        syntax::parse(pattern, on_name).map_err(|why| format!("`{pattern}` is not a pattern: {why}"))?;
    let too_large = || {
        format!(
            "the pattern is larger than {} KB when compiled; use smaller repetitions, `size(…)` for the length of a text, \
             or several rules",
            MAX_PATTERN / 1024
        )
    };
    let config =
        thompson::Config::new().nfa_size_limit(Some(MAX_PATTERN)).which_captures(WhichCaptures::None);
    let states =
        thompson::Compiler::new().configure(config).build_from_hir(&meaning).map_err(|_| too_large())?;
    let config = DFA::config().cache_capacity(SEARCH_CACHE);
    DFA::builder().configure(config).build_from_nfa(states).map_err(|_| too_large())
}

/// What to write instead of a control character. It is a slip in a pattern: in CEL, as in JSON, `'\b'` is a backspace.
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
        "the pattern contains {name}, which is what `{escape}` means in a CEL text; write `\\{escape}`, or a raw text \
         such as r'{escape}' (in JSON, each backslash twice)"
    )
}

#[cfg(test)]
mod tests {
    use super::{KEPT_CACHE, KEPT_CACHES, MAX_SEARCHED, Ordering, Patterns};

    #[test]
    fn kept_caches_never_exceed_their_bounds() {
        let mut patterns = Patterns::default();
        // The number of states doubles with each repetition.
        let hard: Vec<String> = (0..60).map(|number| format!("{number}|[ab]*a[ab]{{12}}c")).collect();
        for hard in &hard {
            patterns.add(hard, false).expect(hard);
        }
        let mut random = fastrand::Rng::with_seed(7);
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
                assert_eq!(sum, patterns.kept.load(Ordering::Relaxed));
                assert!(sum <= KEPT_CACHES && sizes.iter().all(|size| *size <= KEPT_CACHE));
            }
        }
    }

    #[test]
    fn long_text_is_not_searched() {
        let mut patterns = Patterns::default();
        patterns.add("x$", false).expect("a pattern");
        assert_eq!(patterns.is_match("x$", &"x".repeat(MAX_SEARCHED), false), Ok(true));
        assert!(patterns.is_match("x$", &"x".repeat(MAX_SEARCHED + 1), false).is_err());
    }
}
