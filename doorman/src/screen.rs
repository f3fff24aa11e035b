//! Output: tables and colours on a terminal, and plain lines in a pipe.

mod text;

use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, BufRead, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anstream::stream::RawStream;
use anstream::{AutoStream, ColorChoice};
use chrono::Utc;
use comfy_table::{
    Attribute, CellAlignment, Color, ColumnConstraint, ContentArrangement, Table, Width, presets,
};
use console::{Term, truncate_str};
use indicatif::ProgressBar;
use serde::Serialize;

use crate::exit::UsageError;
use text::for_spreadsheet;
pub use text::{clean, count, grouped, is_control, rfc3339, time};

/// The most characters of the first column that are kept on one line on a narrow terminal.
const MAX_UNBROKEN_NAME: u16 = 24;

/// A table that is fitted into less is not readable. On a narrower terminal it keeps this width, and the terminal breaks the
/// lines.
const MIN_TABLE_WIDTH: u16 = 60;

/// The least width that a terminal can be expected to report. Some report 0 or 1 if they do not know it.
const MIN_TERMINAL_WIDTH: u16 = 20;

/// The width of a terminal that does not report it.
const DEFAULT_TERMINAL_WIDTH: u16 = 80;

/// The destination of a command's output: a terminal, a pipe or a file.
pub struct Screen {
    out: Box<dyn Write + Send>,
    is_terminal: bool,
    is_coloured: bool,
    width: u16,
}

/// A cell of a table: its text, and its look on a terminal with colours.
pub struct Cell {
    text: String,
    look: Look,
    is_number: bool,
}

/// How a cell looks on a terminal with colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    Plain,
    Good,
    Warning,
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

    pub fn with_look(self, look: Look) -> Self {
        Self { look, ..self }
    }
}

impl Screen {
    pub fn stdout() -> Self {
        Self::on(io::stdout(), &Term::stdout())
    }

    pub fn stderr() -> Self {
        Self::on(io::stderr(), &Term::stderr())
    }

    fn on<W: Write + RawStream + Send + 'static>(out: W, terminal: &Term) -> Self {
        let width = terminal.size_checked().map(|(_, width)| width);
        let width = width.filter(|width| *width >= MIN_TERMINAL_WIDTH).unwrap_or(DEFAULT_TERMINAL_WIDTH);
        let is_coloured = AutoStream::choice(&out) != ColorChoice::Never;
        Self { is_terminal: out.is_terminal(), is_coloured, width, out: Box::new(UntilClosed(Some(out))) }
    }

    pub fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Whether the input or an output is a terminal.
    pub fn is_interactive(&self) -> bool {
        io::stdin().is_terminal() || self.is_terminal || io::stderr().is_terminal()
    }

    /// Shows what `show` writes, and asks the person at the terminal whether to carry it out. This uses the standard error if it is
    /// a terminal, else the standard output.
    pub fn ask(&mut self, show: impl FnOnce(&mut Self) -> io::Result<()>) -> Result<bool, Box<dyn Error>> {
        let mut error = Self::stderr();
        let terminal = match (error.is_terminal(), self.is_terminal()) {
            (true, _) => &mut error,
            (false, true) => self,
            (false, false) => {
                let text = "cannot ask for confirmation, because no output is a terminal; give --yes";
                return Err(UsageError(text.to_owned()).into());
            }
        };
        show(terminal)?;
        drop_typed();
        let Some(reply) = terminal.read_reply("\nCarry this out? [y/N] ")? else {
            print_message("The input has ended without a reply. To go on without a question, give --yes.");
            return Ok(false);
        };
        Ok(matches!(reply.to_ascii_lowercase().as_str(), "y" | "yes"))
    }

    /// Asks a question, and reads the reply of the person at the terminal. If the reply is empty, the result is the default. None means
    /// that the input has ended.
    pub fn ask_for(&mut self, question: &str, default: &str) -> io::Result<Option<String>> {
        let hint = if default.is_empty() { String::new() } else { format!(" [{default}]") };
        let (mut error, prompt) = (Self::stderr(), format!("{question}{hint}: "));
        let terminal = if error.is_terminal() { &mut error } else { self };
        let reply = terminal.read_reply(&prompt)?;
        Ok(reply.map(|reply| if reply.is_empty() { default.to_owned() } else { reply }))
    }

    /// Reads a line of the standard input after this prompt. None means that the input has ended.
    fn read_reply(&mut self, prompt: &str) -> io::Result<Option<String>> {
        write!(self, "{prompt}")?;
        self.flush()?;
        let mut reply = Vec::new();
        if io::stdin().lock().read_until(b'\n', &mut reply)? == 0 {
            writeln!(self)?;
            return Ok(None);
        }
        Ok(Some(String::from_utf8_lossy(&reply).trim().to_owned()))
    }

    /// Whether a person can be asked: the input and an output are a terminal.
    pub fn can_ask(&self) -> bool {
        io::stdin().is_terminal() && (self.is_terminal || io::stderr().is_terminal())
    }

    /// Writes a table. On a terminal of at least 60 columns, the table is no wider than the terminal. In a pipe it writes the rows
    /// without the header, with tabs between the cells.
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
        table.set_width(self.width.max(MIN_TABLE_WIDTH));
        let has_header = header.iter().any(|text| !text.is_empty());
        let faint = |text: &&str| self.styled_cell(Cell::new(text.to_uppercase(), Look::Faint));
        if has_header {
            table.set_header(header.iter().map(faint).collect::<Vec<_>>());
        }
        let styled = |row: Vec<Cell>| row.into_iter().map(|cell| self.styled_cell(cell)).collect::<Vec<_>>();
        table.add_rows(rows.into_iter().map(styled));
        self.keep_first_column_unbroken(&mut table);
        table.lines().try_for_each(|line| writeln!(self.out, "{}", line.trim_end()))
    }

    /// The first column has the names that a person copies, so they stay on one line if they are short.
    fn keep_first_column_unbroken(&self, table: &mut Table) {
        let content = table.column_max_content_widths().first().copied().unwrap_or_default();
        let width = content.min(MAX_UNBROKEN_NAME).min(self.width / 3);
        if let Some(column) = table.column_mut(0) {
            let width = Width::Fixed(width + column.padding_width());
            column.set_constraint(ColumnConstraint::LowerBoundary(width));
        }
    }

    fn styled_cell(&self, Cell { text, look, is_number }: Cell) -> comfy_table::Cell {
        let cell = comfy_table::Cell::new(text);
        let cell = if is_number { cell.set_alignment(CellAlignment::Right) } else { cell };
        match look {
            _ if !self.is_coloured => cell,
            Look::Plain => cell,
            Look::Good => cell.fg(Color::Green),
            Look::Warning => cell.fg(Color::Yellow),
            Look::Bad => cell.fg(Color::Red),
            Look::Faint => cell.add_attribute(Attribute::Dim),
        }
    }

    /// Writes the heading of a table, after a blank line.
    pub fn write_heading(&mut self, text: &str) -> io::Result<()> {
        let text = self.styled(text, "1");
        writeln!(self.out, "\n{text}")
    }

    /// Writes a name with a remark, and details below it. Each detail is a line that is cut at the width of the terminal.
    pub fn write_entry(
        &mut self,
        name: &str,
        remark: &str,
        details: impl Iterator<Item = String>,
    ) -> io::Result<()> {
        self.write_whole_entry(name, remark, [])?;
        self.write_cut(details)
    }

    /// Writes details of an entry, each cut at the width of the terminal.
    pub fn write_cut(&mut self, details: impl Iterator<Item = String>) -> io::Result<()> {
        for detail in details {
            let line = format!("    {}", clean(&detail));
            writeln!(self.out, "{}", truncate_str(&line, self.width.into(), "…"))?;
        }
        Ok(())
    }

    /// Like [`Self::write_entry`], but no detail is cut.
    pub fn write_whole_entry(
        &mut self,
        name: &str,
        remark: &str,
        details: impl IntoIterator<Item = String>,
    ) -> io::Result<()> {
        let (name, remark) = (self.styled(name, "1"), self.styled(remark, "2"));
        writeln!(self.out, "{name}  {remark}")?;
        details.into_iter().try_for_each(|detail| writeln!(self.out, "    {}", clean(&detail)))
    }

    /// The text, bold (`1`) or faint (`2`) if there are colours.
    fn styled(&self, text: &str, style: &str) -> String {
        let text = clean(text);
        if self.is_coloured { format!("\x1b[{style}m{text}\x1b[0m") } else { text }
    }

    /// Writes a line for a person. In a pipe it goes to the standard error, because it is not a row.
    pub fn write_note(&mut self, text: &str) -> io::Result<()> {
        if self.is_terminal {
            return writeln!(self.out, "{text}");
        }
        self.out.flush()?;
        print_message(text.trim_start());
        Ok(())
    }

    /// Writes a value as JSON, with escapes for characters that control a terminal.
    pub fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        let json = serde_json::to_string_pretty(value)?;
        let mut escaped = String::with_capacity(json.len());
        for c in json.chars() {
            if c != '\n' && is_control(c) {
                write!(escaped, "\\u{:04x}", u32::from(c)).map_err(io::Error::other)?;
            } else {
                escaped.push(c);
            }
        }
        writeln!(self.out, "{escaped}")
    }

    /// Writes rows as CSV. Text that a spreadsheet would read as a formula is escaped, because strangers have written some of it.
    pub fn csv(&mut self, header: &[String], rows: impl IntoIterator<Item = Vec<String>>) -> io::Result<()> {
        let mut writer = csv::Writer::from_writer(&mut self.out);
        writer.write_record(header.iter().map(|text| for_spreadsheet(text)))?;
        for row in rows {
            writer.write_record(row.iter().map(|text| for_spreadsheet(text)))?;
        }
        writer.flush()
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

/// Drops what was typed before the question was shown, so that it does not answer it.
fn drop_typed() {
    // This fails if the input is not a terminal. Then a script has written the reply.
    #[cfg(unix)]
    let _ = rustix::termios::tcflush(io::stdin(), rustix::termios::QueueSelector::IFlush);
}

/// A progress bar of unknown length, which is visible only on a terminal.
pub fn spinner(message: &'static str) -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    bar.set_message(message);
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// Whether each message begins with the time.
static HAS_TIMES: AtomicBool = AtomicBool::new(false);

/// Makes each later line of [`print_message`] begin with the time, unless the standard error is a terminal.
pub fn add_times_to_messages() {
    HAS_TIMES.store(!io::stderr().is_terminal(), Ordering::Relaxed);
}

/// Writes a message for a person to the standard error. A failure to write it is ignored.
pub fn print_message(text: &str) {
    let now = Some(Utc::now()).filter(|_| HAS_TIMES.load(Ordering::Relaxed));
    let prefix = now.map(|now| time(Some(now), false) + " ").unwrap_or_default();
    let lines: Vec<String> = text.lines().map(|line| prefix.clone() + &clean(line)).collect();
    let _ = writeln!(io::stderr(), "{}", lines.join("\n"));
}

/// A writer that ignores everything after its reader has closed the pipe, so that the command finishes its work.
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
