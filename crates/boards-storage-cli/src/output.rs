//! The standard output: lines, tables and JSON; and how text from outside is made safe to show.

use std::fmt::Write as _;
use std::io::{self, BufWriter, IsTerminal, Write};

use boards_storage::ArtifactReference;
use serde::Serialize;
use unicode_width::UnicodeWidthStr;

use crate::arguments::Global;
use crate::errors::{Failure, Result};

/// Whether, and how, words are coloured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    colour: bool,
}

impl Style {
    /// No colour.
    #[cfg(test)]
    pub(crate) fn plain() -> Self {
        Self { colour: false }
    }

    /// As asked for, else by whether the stream is a terminal.
    pub(crate) fn of(choice: clap::ColorChoice, is_terminal: bool) -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "the program is the room that reads the environment"
        )]
        let is_unwanted = || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            colour: match choice {
                clap::ColorChoice::Always => true,
                clap::ColorChoice::Never => false,
                clap::ColorChoice::Auto => is_terminal && !is_unwanted(),
            },
        }
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    pub(crate) fn red(self, text: &str) -> String {
        self.paint("1;31", text)
    }

    pub(crate) fn green(self, text: &str) -> String {
        self.paint("32", text)
    }

    pub(crate) fn yellow(self, text: &str) -> String {
        self.paint("33", text)
    }

    pub(crate) fn cyan(self, text: &str) -> String {
        self.paint("36", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colour {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

/// Where results go.
pub(crate) struct Output {
    writer: BufWriter<io::Stdout>,
    /// Whether results are JSON.
    pub(crate) json: bool,
    /// Whether only what a script needs is written.
    pub(crate) quiet: bool,
    /// Whether somebody reads along.
    pub(crate) is_terminal: bool,
    /// How words are coloured.
    pub(crate) style: Style,
}

impl Output {
    pub(crate) fn new(global: &Global) -> Self {
        let stdout = io::stdout();
        let is_terminal = stdout.is_terminal();
        Self {
            writer: BufWriter::new(stdout),
            json: global.json,
            quiet: global.quiet,
            is_terminal,
            style: Style::of(global.color, is_terminal),
        }
    }

    /// Writes a line.
    pub(crate) fn line(&mut self, text: &str) -> Result<()> {
        writeln!(self.writer, "{text}").map_err(Failure::standard_output)?;
        if self.is_terminal { self.flush() } else { Ok(()) }
    }

    /// Writes a line, unless the caller wants quiet.
    pub(crate) fn note(&mut self, text: &str) -> Result<()> {
        if self.quiet { Ok(()) } else { self.line(text) }
    }

    /// Writes bytes as they are.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> Result<()> {
        self.writer.write_all(bytes).map_err(Failure::standard_output)
    }

    /// Writes one JSON value.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<()> {
        let text = to_json(value)?;
        self.line(&text)
    }

    /// Writes one JSON value in one line.
    pub(crate) fn json_line(&mut self, value: &impl Serialize) -> Result<()> {
        let text = serde_json::to_string(value).map_err(unserialised)?;
        self.line(&text)
    }

    /// Sends on what is buffered.
    pub(crate) fn flush(&mut self) -> Result<()> {
        self.writer.flush().map_err(Failure::standard_output)
    }
}

/// Writes a JSON array one item at a time, so that its length costs no memory.
pub(crate) struct JsonArray {
    is_empty: bool,
}

impl JsonArray {
    pub(crate) fn begin(output: &mut Output) -> Result<Self> {
        output.raw(b"[")?;
        Ok(Self { is_empty: true })
    }

    pub(crate) fn item(&mut self, output: &mut Output, value: &impl Serialize) -> Result<()> {
        let text = to_json(value)?.replace('\n', "\n  ");
        let separator = if self.is_empty { "\n  " } else { ",\n  " };
        self.is_empty = false;
        output.raw(separator.as_bytes())?;
        output.raw(text.as_bytes())
    }

    pub(crate) fn end(self, output: &mut Output) -> Result<()> {
        output.line(if self.is_empty { "]" } else { "\n]" })
    }
}

fn to_json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string_pretty(value).map_err(unserialised)
}

fn unserialised(source: serde_json::Error) -> Failure {
    Failure::Storage(
        boards_storage::Error::new(
            boards_storage::ErrorKind::Storage,
            "the result cannot be written as JSON",
        )
        .with_source(source),
    )
}

/// Rows under a headline. On a terminal the columns are aligned; in a pipe they are separated by tabs, without the
/// headline.
pub(crate) struct Table {
    headline: Option<Vec<&'static str>>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(headline: &[&'static str]) -> Self {
        Self {
            headline: Some(headline.to_vec()),
            rows: Vec::new(),
        }
    }

    /// Adds a row. Its cells are made safe to show.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = impl AsRef<str>>) {
        self.rows
            .push(cells.into_iter().map(|cell| escape(cell.as_ref())).collect());
    }

    /// Writes what was added since the last time; the headline comes once.
    pub(crate) fn write(&mut self, output: &mut Output) -> Result<()> {
        let lines = self.lines(output);
        lines.iter().try_for_each(|line| output.line(line))
    }

    /// Returns the lines of what was added since the last time; the headline comes once.
    pub(crate) fn lines(&mut self, output: &Output) -> Vec<String> {
        let rows = std::mem::take(&mut self.rows);
        if rows.is_empty() {
            return Vec::new();
        }
        if !output.is_terminal {
            return rows.iter().map(|row| row.join("\t")).collect();
        }
        let headline: Option<Vec<String>> = self
            .headline
            .take()
            .map(|cells| cells.iter().map(|cell| (*cell).to_owned()).collect());
        let all = headline.iter().chain(&rows);
        let columns = all.clone().map(Vec::len).max().unwrap_or_default();
        let widths: Vec<usize> = (0..columns)
            .map(|column| {
                all.clone()
                    .filter_map(|row| row.get(column))
                    .map(|cell| cell.width())
                    .max()
                    .unwrap_or_default()
            })
            .collect();
        let headline = headline
            .iter()
            .map(|headline| output.style.bold(&align(headline, &widths)));
        headline
            .chain(rows.iter().map(|row| align(row, &widths)))
            .collect()
    }
}

/// A screen that is drawn again and again: on a terminal in place, elsewhere one below the other.
#[derive(Debug, Default)]
pub(crate) struct Screen {
    is_drawn: bool,
}

impl Screen {
    /// Draws the lines. What a terminal has no room for is counted in its last line.
    pub(crate) fn draw(&mut self, output: &mut Output, lines: &[String]) -> Result<()> {
        const CLEAR: &[u8] = b"\x1b[2J";
        const HOME: &[u8] = b"\x1b[H";
        const CLEAR_TO_END_OF_LINE: &str = "\x1b[K";
        const CLEAR_BELOW: &[u8] = b"\x1b[J";
        let is_first = !std::mem::replace(&mut self.is_drawn, true);
        if output.is_terminal {
            if is_first {
                output.raw(CLEAR)?;
            }
            output.raw(HOME)?;
            let (height, width) = console::Term::stdout().size();
            // The last line is left to the cursor.
            for line in fitted(lines, usize::from(height).saturating_sub(1)) {
                let line = console::truncate_str(&line, usize::from(width), "…");
                output.raw(format!("{line}{CLEAR_TO_END_OF_LINE}\n").as_bytes())?;
            }
            output.raw(CLEAR_BELOW)?;
        } else {
            if !is_first {
                output.line("")?;
            }
            lines.iter().try_for_each(|line| output.line(line))?;
        }
        output.flush()
    }
}

/// Returns as many lines as there is room for.
fn fitted(lines: &[String], height: usize) -> Vec<String> {
    if lines.len() <= height {
        return lines.to_vec();
    }
    let shown = height.saturating_sub(1);
    let mut fitted = lines[..shown].to_vec();
    fitted.push(format!("… and {} more lines", lines.len() - shown));
    fitted
}

fn align(row: &[String], widths: &[usize]) -> String {
    let mut line = String::new();
    for (cell, width) in row.iter().zip(widths) {
        line.push_str(cell);
        line.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.width()) + 2));
    }
    line.trim_end().to_owned()
}

/// Writes names and values under each other.
pub(crate) fn write_pairs(output: &mut Output, pairs: &[(&str, String)]) -> Result<()> {
    let width = pairs
        .iter()
        .map(|(name, _)| name.width())
        .max()
        .unwrap_or_default();
    for (name, value) in pairs {
        let padded = format!("{name:width$}");
        let line = format!("{}  {}", output.style.bold(&padded), escape(value));
        output.line(line.trim_end())?;
    }
    Ok(())
}

/// Makes text from outside safe to show: what could move the cursor, change the terminal or turn the direction of
/// writing becomes visible.
pub(crate) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' => safe.push_str("\\n"),
            '\r' => safe.push_str("\\r"),
            '\t' => safe.push_str("\\t"),
            hidden if hidden.is_control() || is_format(hidden) => {
                // Writing to a text cannot fail.
                let _ = write!(safe, "\\u{{{:x}}}", u32::from(hidden));
            }
            plain => safe.push(plain),
        }
    }
    safe
}

/// Characters that are not seen and change how others are: directions, separators, tags.
fn is_format(character: char) -> bool {
    matches!(
        character,
        '\u{061c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

/// Writes a size as people read it: decimal units, three digits.
pub(crate) fn human_size(bytes: u64) -> String {
    indicatif::DecimalBytes(bytes).to_string()
}

/// Returns what a size cell shows: for people on a terminal, exact in a pipe.
pub(crate) fn size_cell(output: &Output, bytes: u64) -> String {
    if output.is_terminal {
        human_size(bytes)
    } else {
        bytes.to_string()
    }
}

/// Returns the name that the artifact's file should have outside: the key's last segment, without the version's id.
pub(crate) fn file_name(reference: &ArtifactReference) -> String {
    reference
        .storage_key
        .file_name()
        .replace(&format!(".{}", reference.version_id), "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_cannot_move_the_cursor() {
        assert_eq!(
            escape("a\x1b[31mb\tc\nd\u{202e}e\u{9b}f"),
            "a\\u{1b}[31mb\\tc\\nd\\u{202e}e\\u{9b}f"
        );
        assert_eq!(escape("Grüße 🎉 日本"), "Grüße 🎉 日本");
    }

    #[test]
    fn what_has_no_room_is_counted() {
        let lines = ["a", "b", "c"].map(str::to_owned);
        assert_eq!(fitted(&lines, 3), ["a", "b", "c"]);
        assert_eq!(fitted(&lines, 2), ["a", "… and 2 more lines"]);
        assert_eq!(fitted(&lines, 0), ["… and 3 more lines"]);
    }

    #[test]
    fn columns_are_aligned_by_what_is_seen() {
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        assert_eq!(align(&row(["日本", "x"]), &[5, 1]), "日本   x");
        assert_eq!(align(&row(["ab", ""]), &[5, 1]), "ab");
    }
}
