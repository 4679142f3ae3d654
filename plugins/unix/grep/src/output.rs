//! What is printed of one file.

use std::cell::Cell;
use std::io::{self, Write};
use std::rc::Rc;
use std::str;

use grep_searcher::{Searcher, Sink, SinkContext, SinkContextKind, SinkMatch};

use crate::pattern::{Pattern, matches};
use crate::settings::{Binary, Print, Settings};

const FILE_NAME: &str = "35";
const LINE_NUMBER: &str = "32";
const SEPARATOR: &str = "36";
const MATCH: &str = "01;31";

/// Prints what is selected of one file.
pub(crate) struct Printer<'a, W> {
    pub(crate) settings: &'a Settings,
    pub(crate) pattern: &'a Pattern,
    pub(crate) out: &'a mut W,
    pub(crate) name: &'a str,
    pub(crate) with_name: bool,
    /// Whether what was read of the file so far has a zero byte.
    pub(crate) zero: Rc<Cell<bool>>,
    /// Selected lines.
    pub(crate) count: u64,
    /// Whether a line was not printed because it is no text.
    pub(crate) binary: bool,
    /// The offset of the end of the last line, where a context of no lines was asked for.
    pub(crate) printed_to: Option<u64>,
}

impl<W: Write> Printer<'_, W> {
    fn is_binary(&self, line: &[u8]) -> bool {
        let zero = !self.settings.null_data && (self.zero.get() || line.contains(&0));
        self.settings.binary != Binary::Text && (zero || str::from_utf8(line).is_err())
    }

    fn colored(&mut self, color: &str, text: &[u8]) -> io::Result<()> {
        if !self.settings.color || text.is_empty() {
            return self.out.write_all(text);
        }
        write!(self.out, "\x1b[{color}m\x1b[K")?;
        self.out.write_all(text)?;
        self.out.write_all(b"\x1b[m\x1b[K")
    }

    /// What comes before a line: the name, the number and the offset, each with a separator.
    fn prefix(&mut self, number: Option<u64>, offset: u64, separator: &[u8]) -> io::Result<()> {
        let settings = self.settings;
        if self.with_name {
            self.colored(FILE_NAME, self.name.as_bytes())?;
            if settings.null {
                self.out.write_all(b"\0")?;
            } else {
                self.colored(SEPARATOR, separator)?;
            }
        }
        // With a tab the numbers are aligned: four columns for lines, six for offsets.
        let aligned = settings.initial_tab;
        if let Some(number) = number {
            let text = if aligned { format!("{number:>2}") } else { number.to_string() };
            self.colored(LINE_NUMBER, text.as_bytes())?;
            self.colored(SEPARATOR, separator)?;
        }
        if settings.byte_offset {
            let text = if aligned { format!("{offset:>4}") } else { offset.to_string() };
            self.colored(LINE_NUMBER, text.as_bytes())?;
            self.colored(SEPARATOR, separator)?;
        }
        if aligned && (self.with_name || number.is_some() || settings.byte_offset) {
            self.out.write_all(b"\t")?;
        }
        Ok(())
    }

    fn terminator(&self) -> u8 {
        if self.settings.null_data { 0 } else { b'\n' }
    }

    fn end_line(&mut self) -> io::Result<()> {
        let terminator = self.terminator();
        self.out.write_all(&[terminator])?;
        if self.settings.line_buffered { self.out.flush() } else { Ok(()) }
    }

    /// Separates lines that do not follow each other, where a context of no lines was asked for.
    fn separate(&mut self, found: &SinkMatch<'_>) -> io::Result<()> {
        let settings = self.settings;
        if !settings.grouped || settings.before > 0 || settings.after > 0 {
            return Ok(());
        }
        let start = found.absolute_byte_offset();
        if self.printed_to.is_some_and(|end| end != start) {
            self.separator()?;
        }
        self.printed_to = Some(start + found.bytes().len() as u64);
        Ok(())
    }

    fn separator(&mut self) -> io::Result<()> {
        if let Some(separator) = &self.settings.separator {
            self.colored(SEPARATOR, separator.as_bytes())?;
            self.out.write_all(b"\n")?;
        }
        Ok(())
    }

    fn trimmed<'l>(&self, line: &'l [u8]) -> &'l [u8] {
        line.strip_suffix(&[self.terminator()]).unwrap_or(line)
    }

    fn line(&mut self, line: &[u8], number: Option<u64>, offset: u64, selected: bool) -> io::Result<()> {
        let line = self.trimmed(line);
        self.prefix(number, offset, if selected { b":" } else { b"-" })?;
        if self.settings.color && selected != self.settings.invert {
            let mut printed = 0;
            for found in matches(self.pattern, line) {
                self.out.write_all(&line[printed..found.start()])?;
                self.colored(MATCH, &line[found.start()..found.end()])?;
                printed = found.end();
            }
            self.out.write_all(&line[printed..])?;
        } else {
            self.out.write_all(line)?;
        }
        self.end_line()
    }

    fn matches(&mut self, line: &[u8], number: Option<u64>, offset: u64) -> io::Result<()> {
        let line = self.trimmed(line);
        if self.settings.invert {
            return Ok(());
        }
        for found in matches(self.pattern, line) {
            self.prefix(number, offset + found.start() as u64, b":")?;
            self.colored(MATCH, &line[found.start()..found.end()])?;
            self.end_line()?;
        }
        Ok(())
    }

    /// Prints the name alone, or the name and the count. What `-c`, `-l` and `-L` print at the end of a file.
    pub(crate) fn summary(&mut self) -> io::Result<()> {
        let settings = self.settings;
        let print_name = match settings.print {
            _ if settings.quiet => false,
            Print::NamesWith => self.count > 0,
            Print::NamesWithout => self.count == 0,
            Print::Count => {
                if self.with_name {
                    self.colored(FILE_NAME, self.name.as_bytes())?;
                    if settings.null {
                        self.out.write_all(b"\0")?;
                    } else {
                        self.colored(SEPARATOR, b":")?;
                    }
                }
                writeln!(self.out, "{}", self.count)?;
                false
            }
            Print::Lines | Print::Matches => false,
        };
        if print_name {
            self.colored(FILE_NAME, self.name.as_bytes())?;
            self.out.write_all(if settings.null { b"\0" } else { b"\n" })?;
        }
        Ok(())
    }
}

impl<W: Write> Sink for Printer<'_, W> {
    type Error = io::Error;

    fn matched(&mut self, _: &Searcher, found: &SinkMatch<'_>) -> io::Result<bool> {
        let settings = self.settings;
        self.count += 1;
        if settings.quiet || matches!(settings.print, Print::NamesWith | Print::NamesWithout) {
            return Ok(false);
        }
        if settings.print == Print::Count {
            return Ok(true);
        }
        if self.is_binary(found.bytes()) {
            self.binary = true;
            if settings.binary == Binary::Skip {
                self.count -= 1;
            }
            // The lines of a file with a zero byte are no text; those beside a line in another encoding may be.
            return Ok(!self.zero.get());
        }
        self.separate(found)?;
        match settings.print {
            Print::Matches => self.matches(found.bytes(), found.line_number(), found.absolute_byte_offset())?,
            _ => self.line(found.bytes(), found.line_number(), found.absolute_byte_offset(), true)?,
        }
        Ok(true)
    }

    fn context(&mut self, _: &Searcher, context: &SinkContext<'_>) -> io::Result<bool> {
        debug_assert!(*context.kind() != SinkContextKind::Other, "it is not asked for");
        if self.is_binary(context.bytes()) {
            self.binary = true;
            return Ok(!self.zero.get());
        }
        self.line(context.bytes(), context.line_number(), context.absolute_byte_offset(), false)?;
        Ok(true)
    }

    fn context_break(&mut self, _: &Searcher) -> io::Result<bool> {
        self.separator()?;
        Ok(true)
    }
}
