//! The lists of a policy, such as the addresses of the users who signed an agreement. A list may have a million entries, so its
//! entries share one text, and a look-up costs the same in a list of any length.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

use super::document::{ListSource, WrittenList};
use super::readable::MAX_DOMAIN;

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
    /// How many entries there are of each kind, and the line of the first of them.
    kinds: [(usize, usize); 3],
}

/// The kinds of entries. The text of an entry shows its kind.
const KINDS: [&str; 3] = ["an e-mail address", "a domain", "neither an address nor a domain"];

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
        self.entries.as_ref().is_ok_and(|entries| entries.kinds.first().is_some_and(|(count, _)| *count > 0))
    }

    /// Warnings about the entries. They show no entry, because an entry may be an address.
    pub(super) fn warnings(&self) -> Vec<String> {
        let entries = match &self.entries {
            Ok(entries) => entries,
            Err(why) => {
                return vec![format!(
                    "{why}; the rules that read it cannot be evaluated, so they hold requests"
                )];
            }
        };
        let entry_at = |place: usize| {
            if self.is_file { format!("the entry of line {place}") } else { format!("entry {place}") }
        };
        let mut warnings = Vec::new();
        if entries.ends.is_empty() {
            warnings.push("it has no entries, so no value is in it".to_owned());
        }
        if let Some((count, first)) = entries.repeated {
            let all = if count == 1 { String::new() } else { format!("; {count} entries do so in total") };
            warnings.push(format!("{} repeats an earlier one{all}", entry_at(first)));
        }
        let most = entries.kinds.iter().map(|(count, _)| *count).max().unwrap_or_default();
        for ((count, first), kind) in entries.kinds.iter().zip(KINDS) {
            if *count > 0 && count * 4 < most {
                let usual = KINDS.iter().zip(&entries.kinds).find(|(_, (count, _))| *count == most);
                let usual = usual.map_or("", |(kind, _)| kind);
                warnings.push(format!("{} is {kind}, but the usual entry is {usual}", entry_at(*first)));
            }
        }
        warnings
    }
}

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
            return Err(
                "it is empty; if that is right, write a comment into it, such as `# nobody yet`".to_owned()
            );
        }
        let mut entries = Self::default();
        match column {
            None => (1..).zip(text.lines()).for_each(|(line, text)| entries.add(without_comment(text), line)),
            Some(column) => entries.add_column(text, column)?,
        }
        entries.text.shrink_to_fit();
        entries.ends.shrink_to_fit();
        Ok(entries)
    }

    /// Adds the values in a column. The delimiter is the first one with which the header contains the column.
    fn add_column(&mut self, text: &str, column: &str) -> Result<(), String> {
        let reader = |delimiter| {
            let mut builder = csv::ReaderBuilder::new();
            builder.delimiter(delimiter).flexible(true).trim(csv::Trim::All).from_reader(text.as_bytes())
        };
        let with_column = [b',', b';', b'\t'].into_iter().find_map(|delimiter| {
            let mut reader = reader(delimiter);
            let index = reader.headers().ok()?.iter().position(|name| name == column.trim())?;
            Some((reader, index))
        });
        // The first line is not shown. If the file has no header, this line contains somebody's data.
        let (mut reader, index) =
            with_column.ok_or_else(|| format!("its first line does not name a column `{column}`"))?;
        let mut record = csv::StringRecord::new();
        while reader.read_record(&mut record).map_err(|_| "it is not CSV")? {
            let line = record.position().map_or(0, csv::Position::line);
            self.add(record.get(index).unwrap_or_default(), usize::try_from(line).unwrap_or(usize::MAX));
        }
        Ok(())
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
        let kind = usize::from(!entry.contains('@')) + usize::from(!entry.contains(['@', '.']));
        if let Some((count, first)) = self.kinds.get_mut(kind) {
            if *count == 0 {
                *first = line;
            }
            *count += 1;
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

/// Whether a text may be a domain. An e-mail address is not a domain. Only the domains above a domain are looked up.
pub(super) fn may_be_domain(text: &str) -> bool {
    text.len() <= MAX_DOMAIN && !text.contains('@')
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
