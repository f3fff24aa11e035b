//! The lists of a policy, such as the addresses of the users who signed an agreement. A list may have a million entries, so its
//! entries share one text, and a look-up costs the same in a list of any length.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::io::Read;

use hashbrown::HashTable;

use super::check::LINE_BREAKS;
use super::check::kinds::Kind;
use super::document::{ListSource, WrittenList};
use super::readable::MAX_DOMAIN;
use super::suggest::nearest;

/// Reads a file that lies beside the policy. The error says why the file cannot be read.
pub type ReadFile<'a> = &'a dyn Fn(&str) -> Result<Vec<u8>, String>;

/// All lists of a policy.
#[derive(Debug, Default)]
pub(super) struct Lists(Vec<List>);

#[derive(Debug)]
pub(super) struct List {
    pub(super) name: String,
    /// The entries, or why they cannot be read.
    pub(super) entries: Result<Entries, String>,
    /// Whether the entries are in a file.
    pub(super) is_file: bool,
}

/// The entries of a list. They are trimmed, and no entry is blank.
#[derive(Debug, Default)]
pub(super) struct Entries {
    /// All entries, one after the other.
    text: String,
    /// Where each entry ends in the text.
    ends: Vec<u32>,
    /// The entries by their hash, which ignores case.
    table: HashTable<u32>,
    hasher: RandomState,
    /// How many entries are equal to an earlier one if case is ignored, and the line of the first of them.
    repeated: Option<(usize, usize)>,
    /// Where the lines of entries are not consecutive: the position of an entry, and its line.
    jumps: Vec<(u32, u32)>,
}

/// A warning about a list, and whether the list cannot be used.
pub(super) type ListWarning = (String, bool);

impl Lists {
    /// Reads the lists of a document. A file that cannot be read is not a fault of the document.
    pub(super) fn read(written: Vec<WrittenList>, read_file: ReadFile) -> Self {
        let lists = written.into_iter().map(|WrittenList { name, source }| {
            let is_file = matches!(source, ListSource::File { .. });
            let entries = match source {
                ListSource::Entries(entries) => Ok(Entries::from_texts(entries.iter().map(|entry| &**entry))),
                ListSource::File { file, column } => {
                    let bytes = read_file(&file);
                    bytes
                        .and_then(|bytes| Entries::from_file(bytes, column.as_deref()))
                        .map_err(|why| format!("`{file}` cannot be read: {why}"))
                }
            };
            List { name, entries, is_file }
        });
        Self(lists.collect())
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|list| &*list.name)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &List> {
        self.0.iter()
    }

    /// The entries of a list, if there is such a list and it can be read.
    pub(super) fn entries(&self, name: &str) -> Option<&Entries> {
        self.iter().find(|list| list.name == name)?.entries.as_ref().ok()
    }

    /// The place of a list in the document, by its name.
    pub(super) fn position(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|list| list.name == name)
    }

    pub(super) fn get(&self, position: usize) -> Option<&List> {
        self.0.get(position)
    }
}

impl List {
    /// How many entries it has, or why they cannot be read.
    pub(super) fn count(&self) -> Result<usize, &str> {
        self.entries.as_ref().map(|entries| entries.ends.len()).map_err(String::as_str)
    }

    /// Whether some of its entries are e-mail addresses.
    pub(super) fn has_addresses(&self) -> bool {
        self.entries.as_ref().is_ok_and(|entries| entries.iter().any(|entry| entry.contains('@')))
    }

    /// Warnings about the entries. They show no entry, because an entry may be an address. The `uses` are the kinds of the values that
    /// the rules look up.
    pub(super) fn warnings(&self, uses: &BTreeSet<Kind>) -> Vec<ListWarning> {
        let entries = match &self.entries {
            Ok(entries) => entries,
            Err(why) => {
                let text =
                    format!("{why}; the rules that read it cannot be evaluated, so they hold requests");
                return vec![(text, true)];
            }
        };
        let mut warnings = Vec::new();
        if entries.ends.is_empty() {
            warnings.push(("it has no entries, so no value is in it".to_owned(), false));
        }
        if let Some((count, first)) = entries.repeated {
            let all = if count == 1 { String::new() } else { format!("; {count} entries do so in total") };
            warnings.push((format!("{} repeats an earlier one{all}", self.place(first)), false));
        }
        if !uses.is_empty() && !entries.ends.is_empty() {
            warnings.extend(self.unfit_entries(entries, uses));
            let is_id = |entry: &str| Kind::Id.fits(entry) || entry.bytes().all(|byte| byte.is_ascii_digit());
            if uses.contains(&Kind::Account) && entries.iter().all(is_id) {
                let text =
                    "its entries look like ids, and a rule looks up a name in it; compare `user.id` with it";
                warnings.push((text.to_owned(), false));
            }
        }
        warnings
    }

    fn place(&self, line: usize) -> String {
        if self.is_file { format!("the entry of line {line}") } else { format!("entry {line}") }
    }

    /// The entries that no value can equal.
    fn unfit_entries(&self, entries: &Entries, uses: &BTreeSet<Kind>) -> Option<ListWarning> {
        // In a file, an entry without a dot does not count as a domain. It would cover a whole country.
        let fits = |kind: &Kind, entry: &str| {
            kind.fits(entry) && (*kind != Kind::Domain || !self.is_file || entry.contains('.'))
        };
        let unused: Vec<&Kind> =
            uses.iter().filter(|kind| !entries.iter().any(|entry| fits(kind, entry))).collect();
        if let Some(kind) = unused.first() {
            let noun = kind.noun();
            let text = format!(
                "no entry has the form of {noun}, so a rule that looks up {noun} in it never finds one; {HOW_TO_WRITE}"
            );
            return Some((text, self.is_file && unused.len() == uses.len()));
        }
        let unfit = (0..).zip(entries.iter()).filter(|(_, entry)| !uses.iter().any(|kind| fits(kind, entry)));
        let mut lines = unfit.map(|(index, _)| entries.line_of(index));
        let listed: Vec<usize> = lines.by_ref().take(MAX_LISTED).collect();
        let nouns: Vec<&str> = uses.iter().map(|kind| kind.noun()).collect();
        let nouns = nouns.join(" or ");
        let text = match (&*listed, lines.count()) {
            ([], _) => return None,
            ([line], _) => {
                format!("{} does not have the form of {nouns}, so no value equals it", self.place(*line))
            }
            (listed, others) => {
                let lines: Vec<String> = listed.iter().map(usize::to_string).collect();
                let what = if self.is_file { "the entries of lines" } else { "entries" };
                let more = if others == 0 { String::new() } else { format!(" and {others} more") };
                format!(
                    "{what} {}{more} do not have the form of {nouns}, so no value equals them",
                    lines.join(", ")
                )
            }
        };
        Some((format!("{text}; {HOW_TO_WRITE}"), false))
    }
}

/// A record that is read behind a CSV. If a quote is open at the end of the file, it becomes a part of the last value.
const END: &str = "\u{1}end";

/// The most entries that a warning names.
const MAX_LISTED: usize = 3;

/// The form of the entries of a list.
const HOW_TO_WRITE: &str =
    "write one entry a line without quotes, commas and `*`, or name the right `column`";

impl Entries {
    pub(super) fn from_texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut entries = Self::default();
        (1..).zip(texts).for_each(|(line, text)| entries.add(text, line));
        entries
    }

    fn from_file(bytes: Vec<u8>, column: Option<&str>) -> Result<Self, String> {
        let text = String::from_utf8(bytes).map_err(|_| "it is not UTF-8")?;
        let text = text.trim_start_matches('\u{feff}');
        if text.is_empty() {
            let written = match column {
                None => "a comment into it, such as `# nobody yet`".to_owned(),
                Some(column) => format!("the names of its columns into its first line, such as `{column}`"),
            };
            return Err(format!("it is empty; if that is right, write {written}"));
        }
        let mut entries = Self::default();
        match column {
            None => (1..).zip(text.lines()).for_each(|(line, text)| entries.add(without_comment(text), line)),
            Some(column) => entries.add_column(text, column)?,
        }
        entries.text.shrink_to_fit();
        entries.ends.shrink_to_fit();
        entries.jumps.shrink_to_fit();
        Ok(entries)
    }

    /// Adds the values in a column. The delimiter is the first one with which the header contains the column.
    fn add_column(&mut self, text: &str, column: &str) -> Result<(), String> {
        let end = format!("\n{END}\n");
        let end = end.as_bytes();
        let reader = |delimiter| {
            let mut builder = csv::ReaderBuilder::new();
            builder
                .delimiter(delimiter)
                .flexible(true)
                .trim(csv::Trim::All)
                .from_reader(text.as_bytes().chain(end))
        };
        let headers = |delimiter| reader(delimiter).headers().cloned().unwrap_or_default();
        let delimiters = [b',', b';', b'\t'];
        let with_column = delimiters.into_iter().find_map(|delimiter| {
            let mut reader = reader(delimiter);
            let mut indexes =
                reader.headers().ok()?.iter().zip(0..).filter(|(name, _)| *name == column.trim());
            let (index, is_repeated) = (indexes.next()?.1, indexes.next().is_some());
            Some((reader, index, is_repeated))
        });
        let (mut reader, index, is_repeated) = with_column.ok_or_else(|| {
            // Other columns are not shown. If the file has no header, its first line contains somebody's data.
            let all: Vec<_> = delimiters.into_iter().map(headers).collect();
            let hint = nearest(column, all.iter().flat_map(csv::StringRecord::iter));
            let hint = hint.map_or(String::new(), |name| format!("; did you mean `{name}`?"));
            format!("its first line does not name a column `{column}`{hint}")
        })?;
        if is_repeated {
            return Err(format!("its first line names the column `{column}` twice; rename one of the two"));
        }
        let columns = reader.headers().map_err(|_| "it is not CSV")?.len();
        let mut record = csv::StringRecord::new();
        let mut is_closed = false;
        while reader.read_record(&mut record).map_err(|_| "it is not CSV")? {
            is_closed = record.len() == 1 && record.get(0) == Some(END);
            if is_closed {
                continue;
            }
            let line = record.position().map_or(0, csv::Position::line);
            let entry = record.get(index).unwrap_or_default();
            // If a quote is not closed, the value goes on for many lines, and their entries would be missing.
            let is_short = record.len() < columns && record.iter().any(|value| value.contains(LINE_BREAKS));
            if is_short || entry.contains(LINE_BREAKS) {
                return Err(format!(
                    "line {line} has a value with a line break; probably a quote is missing"
                ));
            }
            self.add(entry, usize::try_from(line).unwrap_or(usize::MAX));
        }
        if is_closed {
            Ok(())
        } else {
            Err("it ends within a value in quotes, so it may be incomplete".to_owned())
        }
    }

    fn add(&mut self, text: &str, line: usize) {
        let entry = text.trim();
        let (Ok(index), Ok(end)) =
            (u32::try_from(self.ends.len()), u32::try_from(self.text.len() + entry.len()))
        else {
            return;
        };
        if entry.is_empty() {
            return;
        }
        if self.contains(entry, true) {
            let (count, _) = self.repeated.get_or_insert((0, line));
            *count += 1;
            if self.contains(entry, false) {
                return;
            }
        }
        if self.line_of(index) != line {
            self.jumps.push((index, u32::try_from(line).unwrap_or(u32::MAX)));
        }
        self.text.push_str(entry);
        self.ends.push(end);
        let Self { text, ends, table, hasher, .. } = self;
        let hash_of = |index: &u32| hash(hasher, entry_at(text, ends, *index));
        table.insert_unique(hash(hasher, entry), index, hash_of);
    }

    /// Whether a text is an entry. A blank text is in no list.
    pub(super) fn contains(&self, text: &str, ignores_case: bool) -> bool {
        let is_equal = |index: &u32| {
            let entry = entry_at(&self.text, &self.ends, *index);
            if ignores_case { entry.eq_ignore_ascii_case(text) } else { entry == text }
        };
        !text.trim().is_empty() && self.table.find(hash(&self.hasher, text), is_equal).is_some()
    }

    /// Whether a domain is an entry or below one. In a file, an entry without a dot does not count. It is probably a slip, and
    /// would cover a whole country.
    pub(super) fn covers_domain(&self, domain: &str, is_file: bool) -> bool {
        let ends = std::iter::once(0).chain(domain.match_indices('.').map(|(dot, _)| dot + 1));
        ends.filter_map(|start| domain.get(start..))
            .any(|end| (!is_file || end.contains('.')) && self.contains(end, true))
    }

    /// The line of an entry.
    fn line_of(&self, index: u32) -> usize {
        let jump = self.jumps.partition_point(|(at, _)| *at <= index).checked_sub(1);
        let (at, line) = jump.and_then(|jump| self.jumps.get(jump)).copied().unwrap_or((0, 1));
        (line + (index - at)) as usize
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        (0..).zip(&self.ends).map(|(index, _)| entry_at(&self.text, &self.ends, index))
    }
}

/// Whether a domain equals another one or is below it. Case is ignored.
pub(super) fn is_under(domain: &str, other: &str) -> bool {
    let start = domain.len().checked_sub(other.len());
    let end = start.and_then(|start| Some((start, domain.get(start..)?)));
    end.is_some_and(|(start, end)| {
        !other.is_empty()
            && end.eq_ignore_ascii_case(other)
            && (start == 0 || domain.get(..start).is_some_and(|before| before.ends_with('.')))
    })
}

/// Whether a text may be a domain. An e-mail address is not a domain, and neither is `.acme.com`. Only the domains above a domain are looked up.
pub(super) fn may_be_domain(text: &str) -> bool {
    text.len() <= MAX_DOMAIN && !text.contains('@') && !text.starts_with('.')
}

fn entry_at<'t>(text: &'t str, ends: &[u32], index: u32) -> &'t str {
    let end_of = |index: u32| ends.get(index as usize).map_or(0, |end| *end as usize);
    let start = index.checked_sub(1).map_or(0, end_of);
    text.get(start..end_of(index)).unwrap_or_default()
}

fn hash(hasher: &RandomState, text: &str) -> u64 {
    hasher.hash_one(super::names::fold(text))
}

/// The line without its comment. A comment begins with `#` at the start of the line or after white space.
fn without_comment(line: &str) -> &str {
    let is_comment = |(at, _): &(usize, &str)| {
        line.get(..*at).is_some_and(|before| before.is_empty() || before.ends_with(char::is_whitespace))
    };
    let comment = line.match_indices('#').find(is_comment);
    comment.and_then(|(at, _)| line.get(..at)).unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::Entries;

    #[test]
    fn entry_takes_at_most_16_bytes_beside_its_text() {
        for count in [1000, 57_000, 100_000, 115_000] {
            let text: Vec<_> = (0..count).map(|number| format!("user{number}@example.org")).collect();
            let entries = Entries::from_file(text.join("\n").into_bytes(), None).expect("a list");
            let length: usize = entries.iter().map(str::len).sum();
            let Entries { text, ends, table, .. } = &entries;
            let beside = text.capacity() - length + ends.capacity() * 4 + table.allocation_size();
            assert!(ends.len() == count && beside <= 16 * count, "{beside} bytes for {count} entries");
        }
    }
}
