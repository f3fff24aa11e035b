//! Random lists, in the policy and in files. The judge has the entries from before they are written, so it parses nothing.

use std::fmt::Write;

use serde_json::{Value, json};

/// The kind of the entries of a list. A list in the policy is compared only with values of its kind, because others are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Name,
    Address,
    Domain,
    Answer,
}

pub const KINDS: [Kind; 4] = [Kind::Name, Kind::Address, Kind::Domain, Kind::Answer];

/// A list of a policy.
#[derive(Debug)]
pub struct List {
    pub name: String,
    pub kind: Kind,
    /// The entries without white space around them, or `None` if the list cannot be read.
    pub entries: Option<Vec<String>>,
    /// The list as the policy writes it.
    pub written: Value,
    /// The name and the content of its file, if it has one. Without a content, the file does not exist.
    pub file: Option<(String, Option<Vec<u8>>)>,
}

/// An entry that some requester equals, except for its case.
fn entry(random: &mut fastrand::Rng, kind: Kind) -> String {
    let name = |random: &mut fastrand::Rng| {
        format!("{}{}", ["a", "A", "b", "B"][random.usize(..4)], random.u8(..30))
    };
    match kind {
        Kind::Name if random.u8(..4) == 0 => ["epfl", "Epfl"][random.usize(..2)].to_owned(),
        Kind::Name => name(random),
        Kind::Address => format!("{}@{}", name(random), ["acme.com", "Example.org"][random.usize(..2)]),
        Kind::Domain => ["acme.com", "ACME.com", "example.org", "Lab.acme.com", "com", "ORG", "cme.com"]
            [random.usize(..7)]
        .to_owned(),
        Kind::Answer => ["EPFL", "epfl", "x", "ACME", "CH", "kp"][random.usize(..6)].to_owned(),
    }
}

impl List {
    pub fn draw(random: &mut fastrand::Rng, number: usize) -> Self {
        let kind = KINDS[random.usize(..KINDS.len())];
        let count = if random.u8(..30) == 0 { 3000 } else { random.usize(0..12) };
        let entries: Vec<String> = (0..count).map(|_| entry(random, kind)).collect();
        let name = format!("list_{number}");
        if random.bool() && count < 100 {
            let mut texts: Vec<String> = entries.iter().map(|entry| spaced(random, entry)).collect();
            texts.extend((random.u8(..4) == 0).then(|| " \t".to_owned()));
            let written = json!(texts);
            return Self { name, kind, entries: Some(entries), written, file: None };
        }
        let is_csv = random.bool();
        let (file, written) = if is_csv {
            let file = format!("list-{number}.csv");
            let written = json!({"file": file, "column": "E-mail"});
            (file, written)
        } else {
            let file = format!("list-{number}.txt");
            let written = json!({ "file": file });
            (file, written)
        };
        let content = if is_csv { csv(random, &entries) } else { lines(random, &entries) };
        let (content, is_readable) = match random.u8(..12) {
            0 => (None, false),
            1 => (Some(Vec::new()), false),
            2 => (Some("\u{feff}".into()), false),
            3 => (Some([content.as_bytes(), b"\xff"].concat()), false),
            4 if is_csv => (Some(content.replacen("E-mail", "Mail", 1).into()), false),
            5 => (Some(format!("\u{feff}{content}").into()), true),
            _ => (Some(content.into()), true),
        };
        Self { name, kind, entries: is_readable.then_some(entries), written, file: Some((file, content)) }
    }

    /// Whether a value is an entry, or `None` if the list cannot be read.
    pub fn contains(&self, value: &str, ignores_case: bool) -> Option<bool> {
        let is_equal =
            |entry: &String| if ignores_case { entry.eq_ignore_ascii_case(value) } else { entry == value };
        Some(self.entries.as_ref()?.iter().any(is_equal))
    }

    /// Whether a domain is an entry or below one, or `None` if the list cannot be read.
    pub fn covers(&self, domain: &str) -> Option<bool> {
        let counts = |entry: &&String| self.file.is_none() || entry.contains('.');
        Some(self.entries.as_ref()?.iter().filter(counts).any(|entry| is_under(domain, entry)))
    }
}

/// Whether a domain is another one or below it.
pub fn is_under(domain: &str, other: &str) -> bool {
    let (domain, other) = (domain.to_ascii_lowercase(), other.to_ascii_lowercase());
    domain == other || domain.ends_with(&format!(".{other}"))
}

/// An entry with white space around it, sometimes.
fn spaced(random: &mut fastrand::Rng, entry: &str) -> String {
    let space = |random: &mut fastrand::Rng| ["", "", "", " ", "\t", "\u{a0}"][random.usize(..6)];
    format!("{}{entry}{}", space(random), space(random))
}

/// A file with an entry on each line, and comments.
fn lines(random: &mut fastrand::Rng, entries: &[String]) -> String {
    let end = ["\n", "\r\n"][random.usize(..2)];
    let mut text = format!("# a1, acme.com{end}");
    for entry in entries {
        text += &spaced(random, entry);
        text += ["", "", " # since May", "\t#"][random.usize(..4)];
        text += end;
        text += ["", "", "   ", "  # nobody"][random.usize(..4)];
        text += end;
    }
    text
}

/// A CSV file with the entries in its second column.
fn csv(random: &mut fastrand::Rng, entries: &[String]) -> String {
    let delimiter = [',', ';', '\t'][random.usize(..3)];
    let mut text = format!("Name{delimiter} E-mail {delimiter}Signed\n");
    for entry in entries {
        let quote = ["", "\""][random.usize(..2)];
        // White space around a quoted value would be part of it.
        let entry = if quote.is_empty() { entry.replace(' ', "") } else { entry.clone() };
        let _ = writeln!(text, "a1{delimiter}{quote}{entry}{quote}{delimiter}2026-05-01");
        if random.u8(..5) == 0 {
            let _ = writeln!(text, "acme.com{delimiter}  {delimiter}");
        }
    }
    text
}
