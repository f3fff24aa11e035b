//! What a person sees on a terminal, and what the next program gets from a pipe.

use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, BufRead, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use anstream::stream::RawStream;
use anstream::{AutoStream, ColorChoice};
use chrono::{DateTime, SecondsFormat, Utc};
use comfy_table::{
    Attribute, CellAlignment, Color, ColumnConstraint, ContentArrangement, Table, Width, presets,
};
use console::{Term, truncate_str};
use serde::Serialize;

use crate::environment::Fault;

/// Where a command writes: a terminal, or something that another program reads.
pub struct Screen {
    out: Box<dyn Write + Send>,
    is_terminal: bool,
    is_coloured: bool,
    width: u16,
}

/// The longest that stands on one line in the first column of a table, however narrow the terminal.
const LONGEST_NAME: u16 = 24;

const NARROWEST_TABLE: u16 = 60;

/// A cell of a table: a text, and how it looks where there are colours.
pub struct Cell {
    text: String,
    look: Look,
    is_number: bool,
}

/// How something looks where there are colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    Plain,
    Good,
    Doubtful,
    Bad,
    Faint,
}

impl Cell {
    pub fn new(text: impl AsRef<str>, look: Look) -> Self {
        Self { text: clean(text.as_ref()), look, is_number: false }
    }

    pub fn number(number: impl Into<u64>) -> Self {
        Self { text: grouped(number), look: Look::Plain, is_number: true }
    }

    pub fn plain(text: impl AsRef<str>) -> Self {
        Self::new(text, Look::Plain)
    }
}

impl Screen {
    /// The standard output.
    pub fn output() -> Self {
        Self::on(io::stdout(), &Term::stdout())
    }

    /// The standard error.
    pub fn error() -> Self {
        Self::on(io::stderr(), &Term::stderr())
    }

    fn on<W: Write + RawStream + Send + 'static>(out: W, terminal: &Term) -> Self {
        // One that says it has next to no columns does not know.
        let width =
            terminal.size_checked().map(|(_, width)| width).filter(|width| *width >= 20).unwrap_or(80);
        let is_coloured = AutoStream::choice(&out) != ColorChoice::Never;
        Self { is_terminal: out.is_terminal(), is_coloured, width, out: Box::new(UntilClosed(Some(out))) }
    }

    pub fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Whether a person is there to be asked.
    pub fn is_watched(&self) -> bool {
        io::stdin().is_terminal() || self.is_terminal || io::stderr().is_terminal()
    }

    /// Asks whoever sits at the terminal, wherever that is, whether to carry out what `show` shows.
    pub fn ask(&mut self, show: impl FnOnce(&mut Self) -> io::Result<()>) -> Result<bool, Box<dyn Error>> {
        let mut error = Self::error();
        let asked = match (error.is_terminal(), self.is_terminal()) {
            (true, _) => &mut error,
            (false, true) => self,
            (false, false) => {
                return Err(
                    Fault("you cannot be asked, for you would not see it; give --yes".to_owned()).into()
                );
            }
        };
        show(asked)?;
        write!(asked, "\nCarry this out? [y/N] ")?;
        asked.flush()?;
        let mut answer = Vec::new();
        if io::stdin().lock().read_until(b'\n', &mut answer)? == 0 {
            writeln!(asked)?;
        }
        let answer = String::from_utf8_lossy(&answer);
        Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
    }

    /// A table, as wide as the terminal at most; into a pipe its rows, without the header, with tabs between the cells.
    pub fn table(&mut self, header: &[&str], rows: impl IntoIterator<Item = Vec<Cell>>) -> io::Result<()> {
        if !self.is_terminal {
            for row in rows {
                let cells: Vec<String> = row.into_iter().map(|cell| cell.text).collect();
                writeln!(self.out, "{}", cells.join("\t"))?;
            }
            return Ok(());
        }
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
        // Narrower than this there is no table to read; the terminal breaks the lines then.
        table.set_width(self.width.max(NARROWEST_TABLE));
        let has_header = header.iter().any(|text| !text.is_empty());
        let faint = |text: &&str| self.cell(Cell::new(text.to_uppercase(), Look::Faint));
        if has_header {
            table.set_header(header.iter().map(faint).collect::<Vec<_>>());
        }
        table.add_rows(
            rows.into_iter().map(|row| row.into_iter().map(|cell| self.cell(cell)).collect::<Vec<_>>()),
        );
        // What is to be copied is in the first column, and mostly short.
        let longest = table
            .column_max_content_widths()
            .first()
            .copied()
            .unwrap_or_default()
            .min(LONGEST_NAME)
            .min(self.width / 3);
        if let Some(column) = table.column_mut(0) {
            column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(
                longest + column.padding_width(),
            )));
        }
        table.lines().try_for_each(|line| writeln!(self.out, "{}", line.trim_end()))
    }

    fn cell(&self, Cell { text, look, is_number }: Cell) -> comfy_table::Cell {
        let cell = comfy_table::Cell::new(text);
        let cell = if is_number { cell.set_alignment(CellAlignment::Right) } else { cell };
        match look {
            _ if !self.is_coloured => cell,
            Look::Plain => cell,
            Look::Good => cell.fg(Color::Green),
            Look::Doubtful => cell.fg(Color::Yellow),
            Look::Bad => cell.fg(Color::Red),
            Look::Faint => cell.add_attribute(Attribute::Dim),
        }
    }

    /// What a table is about, with a line of space above it.
    pub fn heading(&mut self, text: &str) -> io::Result<()> {
        let text = self.styled(text, "1");
        writeln!(self.out, "\n{text}")
    }

    /// Somebody, with what there is to know about them below, a line each and no longer than the terminal is wide.
    pub fn entry(&mut self, name: &str, about: &str, lines: impl Iterator<Item = String>) -> io::Result<()> {
        let (name, about) = (self.styled(name, "1"), self.styled(about, "2"));
        writeln!(self.out, "{name}  {about}")?;
        for line in lines {
            let line = format!("    {}", clean(&line));
            writeln!(self.out, "{}", truncate_str(&line, self.width.into(), "…"))?;
        }
        Ok(())
    }

    /// What somebody wrote, bold (1) or faint (2) where there are colours.
    fn styled(&self, text: &str, style: &str) -> String {
        let text = clean(text);
        if self.is_coloured { format!("\x1b[{style}m{text}\x1b[0m") } else { text }
    }

    /// A line for a person. It is none of the rows, so a pipe does not get it.
    pub fn aside(&mut self, text: &str) -> io::Result<()> {
        if self.is_terminal {
            return writeln!(self.out, "{text}");
        }
        self.out.flush()?;
        complain(text.trim_start());
        Ok(())
    }

    /// A value for a program. What a terminal might take for an order is escaped, which to a program is the same.
    pub fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        let json = serde_json::to_string_pretty(value)?;
        let mut escaped = String::with_capacity(json.len());
        for c in json.chars() {
            if c != '\n' && is_order(c) {
                write!(escaped, "\\u{:04x}", u32::from(c)).map_err(io::Error::other)?;
            } else {
                escaped.push(c);
            }
        }
        writeln!(self.out, "{escaped}")
    }

    /// Rows for a spreadsheet. What it would take for a formula is made text, for strangers have written some of it.
    pub fn csv(&mut self, header: &[String], rows: impl IntoIterator<Item = Vec<String>>) -> io::Result<()> {
        let mut writer = csv::Writer::from_writer(&mut self.out);
        writer.write_record(header.iter().map(|text| for_spreadsheet(text)))?;
        for row in rows {
            writer.write_record(row.iter().map(|text| for_spreadsheet(text)))?;
        }
        writer.flush()
    }
}

/// Whether each message begins with the time.
static HAS_TIMES: AtomicBool = AtomicBool::new(false);

/// From now on, each line that [`complain`] says begins with the time, unless it goes to a terminal.
pub fn complain_with_times() {
    HAS_TIMES.store(!io::stderr().is_terminal(), Ordering::Relaxed);
}

/// Says something to a person, who may not be listening.
pub fn complain(text: &str) {
    let now = Some(Utc::now()).filter(|_| HAS_TIMES.load(Ordering::Relaxed));
    let stamp = now.map(|now| time(Some(now), false) + " ").unwrap_or_default();
    let lines: Vec<String> = text.lines().map(|line| stamp.clone() + &clean(line)).collect();
    let _ = writeln!(io::stderr(), "{}", lines.join("\n"));
}

/// Something that is written to until nobody reads it any more. What has to be done is done all the same.
struct UntilClosed<W>(Option<W>);

impl<W: Write> UntilClosed<W> {
    fn unless_closed<T>(
        &mut self,
        write: impl FnOnce(&mut W) -> io::Result<T>,
        if_closed: T,
    ) -> io::Result<T> {
        let Self(Some(out)) = self else { return Ok(if_closed) };
        match write(out) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                *self = Self(None);
                Ok(if_closed)
            }
            written => written,
        }
    }
}

impl<W: Write> Write for UntilClosed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.unless_closed(|out| out.write(bytes), bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.unless_closed(Write::flush, ())
    }
}

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// What others wrote, on one line, and without anything that a terminal might take for an order: to clear the screen, to write
/// from right to left, to hide what follows.
pub fn clean(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.trim().chars() {
        match c {
            c if c.is_whitespace() => {
                if !line.ends_with(' ') {
                    line.push(' ');
                }
            }
            c if is_order(c) => line.push(char::REPLACEMENT_CHARACTER),
            c => line.push(c),
        }
    }
    line
}

/// Control characters, and those without a shape that change how others are shown.
fn is_order(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Makes text of what a spreadsheet would calculate. That may begin behind any separator, because it depends on the country which
/// one a spreadsheet takes.
fn for_spreadsheet(text: &str) -> String {
    let is_separator = |c: char| matches!(c, ',' | ';' | '\t' | '\n' | '|');
    // The full-width ones, too: some spreadsheets read them as the others.
    let is_formula = |c: char| "=+-@\u{ff1d}\u{ff0b}\u{ff0d}\u{ff20}".contains(c);
    let (mut safe, mut is_first) = (String::with_capacity(text.len()), true);
    for c in text.chars().filter(|c| matches!(c, '\n' | '\t') || !is_order(*c)) {
        if is_first && (is_formula(c) || safe.is_empty() && is_separator(c) && c.is_whitespace()) {
            safe.push('\'');
        }
        safe.push(c);
        // Blanks and quotes may stand before a formula.
        is_first = is_separator(c) || is_first && matches!(c, ' ' | '"' | '\'' | '\u{3000}');
    }
    safe
}

/// A day on a terminal, where the time of day would be noise, and all of it in a pipe.
pub fn time(time: Option<DateTime<Utc>>, is_terminal: bool) -> String {
    match time {
        None => String::new(),
        Some(time) if is_terminal => time.format("%Y-%m-%d").to_string(),
        Some(time) => rfc3339(time),
    }
}

pub fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// `1 call`, `2 calls`.
pub fn count(number: impl Into<u64>, what: &str) -> String {
    let number = number.into();
    format!("{} {what}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// `1,234,567`.
pub fn grouped(number: impl Into<u64>) -> String {
    let digits = number.into().to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_gives_a_terminal_no_orders() {
        let cases = [
            ("Ada Lovelace", "Ada Lovelace"),
            ("\u{1b}[2J\u{1b}]0;owned\u{7}", "\u{fffd}[2J\u{fffd}]0;owned\u{fffd}"),
            (" a\r\n\tb  c ", "a b c"),
            ("\u{9b}31mred", "\u{fffd}31mred"),
            ("acme\u{202e}moc", "acme\u{fffd}moc"),
            ("李雷 👩\u{200d}🔬 עדה", "李雷 👩\u{200d}🔬 עדה"),
        ];
        for (text, expected) in cases {
            assert_eq!(clean(text), expected, "{text:?}");
        }
    }

    #[test]
    fn what_others_wrote_is_no_formula() {
        for text in ["=1+1", "+1", "-1", "@SUM(A1)"] {
            assert_eq!(for_spreadsheet(text), format!("'{text}"));
        }
        assert_eq!(for_spreadsheet("\t=1"), "'\t'=1");
        assert_eq!(for_spreadsheet("\r=1"), "'=1");
        assert_eq!(for_spreadsheet("a=1\nb"), "a=1\nb");
        let hidden = [
            ("a;=1", "a;'=1"),
            ("a,b; +1", "a,b; '+1"),
            ("x\t\"@SUM(A1)", "x\t\"'@SUM(A1)"),
            ("x\n-1", "x\n'-1"),
            ("\u{ff1d}1", "'\u{ff1d}1"),
            (" =1", " '=1"),
        ];
        for (text, expected) in hidden {
            assert_eq!(for_spreadsheet(text), expected);
        }
        for text in ["Müller-Lüdenscheid", "ada+x@acme.com", "a; b, c", "2026-01-01"] {
            assert_eq!(for_spreadsheet(text), text);
        }
    }

    #[test]
    fn numbers_are_grouped() {
        let cases = [(0_u32, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")];
        for (number, expected) in cases {
            assert_eq!(grouped(number), expected);
        }
        assert_eq!((count(1_u32, "call"), count(2_u32, "call")), ("1 call".to_owned(), "2 calls".to_owned()));
    }
}
