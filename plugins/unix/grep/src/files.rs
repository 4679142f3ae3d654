//! The files that are searched.

use std::cell::Cell;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use grep_matcher::LineTerminator;
use grep_searcher::{BinaryDetection, MmapChoice, Searcher, SearcherBuilder};
use unix_common::glob::{self, Rules};
use unix_common::report;

use crate::output::Printer;
use crate::pattern::Pattern;
use crate::settings::{Binary, Directories, Print, Settings};

/// A search through files, and what came of it so far.
pub(crate) struct Search<'a> {
    settings: &'a Settings,
    pattern: &'a Pattern,
    searcher: Searcher,
    with_name: bool,
    pub(crate) out: BufWriter<io::StdoutLock<'static>>,
    /// Whether any line was selected.
    pub(crate) selected: bool,
    /// Whether any file could not be read.
    pub(crate) failed: bool,
    /// Whether lines of a file with context were printed: a separator comes before those of the next.
    printed: bool,
}

/// Notes whether what was read has a zero byte, by which GNU's grep knows a file that is no text.
struct Noting<R> {
    inner: R,
    zero: Rc<Cell<bool>>,
}

impl<R: Read> Read for Noting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        if buffer.iter().take(length).any(|byte| *byte == 0) {
            self.zero.set(true);
        }
        Ok(length)
    }
}

impl<'a> Search<'a> {
    pub(crate) fn new(settings: &'a Settings, pattern: &'a Pattern) -> Self {
        let terminator = LineTerminator::byte(if settings.null_data { 0 } else { b'\n' });
        let searcher = SearcherBuilder::new()
            .line_terminator(terminator)
            .invert_match(settings.invert)
            .line_number(settings.line_number)
            .before_context(settings.before)
            .after_context(settings.after)
            .max_matches(settings.max_count)
            .binary_detection(BinaryDetection::none())
            .memory_map(MmapChoice::never())
            .bom_sniffing(false)
            .build();
        let recursive = settings.directories == Directories::Recurse;
        let with_name = settings.file_name.unwrap_or(settings.files.len() > 1 || recursive);
        let out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
        Self { settings, pattern, searcher, with_name, out, selected: false, failed: false, printed: false }
    }

    /// Searches all files of the command line. The error is one of the output.
    pub(crate) fn run(&mut self) -> io::Result<()> {
        if self.settings.max_count == Some(0) {
            return Ok(());
        }
        let recursive = self.settings.directories == Directories::Recurse;
        if self.settings.files.is_empty() {
            return if recursive { self.directory(Path::new("."), "") } else { self.standard_input() };
        }
        for file in &self.settings.files {
            if self.settings.quiet && self.selected {
                break;
            }
            if file == "-" {
                self.standard_input()?;
            } else {
                self.operand(file, recursive)?;
            }
        }
        Ok(())
    }

    fn standard_input(&mut self) -> io::Result<()> {
        let label = self.settings.label.as_deref().unwrap_or("(standard input)");
        self.reader(io::stdin().lock(), label)
    }

    fn operand(&mut self, file: &str, recursive: bool) -> io::Result<()> {
        let is_directory = fs::metadata(file).is_ok_and(|found| found.is_dir());
        match self.settings.directories {
            _ if !is_directory && !self.is_included(file, file) => Ok(()),
            Directories::Skip if is_directory => Ok(()),
            Directories::Recurse if is_directory => {
                if self.is_excluded_directory(file.trim_end_matches('/')) {
                    return Ok(());
                }
                self.directory(Path::new(file), file)
            }
            _ if is_directory => {
                self.report_error(file, "Is a directory");
                Ok(())
            }
            _ => {
                debug_assert!(recursive || !is_directory, "directories are handled above");
                self.file(Path::new(file), file)
            }
        }
    }

    /// Searches what is in a directory, in the order of names. `shown` is how its name is printed.
    fn directory(&mut self, path: &Path, shown: &str) -> io::Result<()> {
        let entries = match fs::read_dir(path).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
            Ok(entries) => entries,
            Err(error) => {
                self.report_error(shown, &report::words(&error));
                return Ok(());
            }
        };
        let mut paths: Vec<PathBuf> = entries.iter().map(fs::DirEntry::path).collect();
        paths.sort();
        for path in paths {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let shown = match shown {
                "" => name.clone(),
                _ => format!("{}/{name}", shown.trim_end_matches('/')),
            };
            let found = if self.settings.follow { fs::metadata(&path) } else { fs::symlink_metadata(&path) };
            match found {
                Ok(found) if found.is_dir() => {
                    if !self.is_excluded_directory(&name) {
                        self.directory(&path, &shown)?;
                    }
                }
                Ok(found) if !found.is_file() => {}
                Ok(_) if !self.is_included(&name, &shown) => {}
                Ok(_) => self.file(&path, &shown)?,
                Err(error) => self.report_error(&shown, &report::words(&error)),
            }
            if self.settings.quiet && self.selected {
                break;
            }
        }
        Ok(())
    }

    /// Whether a file is searched. The last rule that matches decides; without one a file is searched unless the first
    /// rule includes.
    fn is_included(&self, name: &str, shown: &str) -> bool {
        let base = name.rsplit('/').next().unwrap_or(name);
        let matched = |pattern: &str| {
            glob::matches(pattern, base, Rules::default()) || glob::matches(pattern, shown, Rules::default())
        };
        let rules = &self.settings.names;
        let last = rules.iter().rev().find(|rule| matched(&rule.pattern));
        last.map_or_else(|| !rules.first().is_some_and(|rule| rule.include), |rule| rule.include)
    }

    fn is_excluded_directory(&self, name: &str) -> bool {
        self.settings.excluded_directories.iter().any(|pattern| glob::matches(pattern, name, Rules::default()))
    }

    fn report_error(&mut self, file: &str, message: &str) {
        self.failed = true;
        if !self.settings.no_messages {
            // What was printed before comes before.
            let _ = self.out.flush();
            report::error(&format!("{file}: {message}"));
        }
    }

    fn file(&mut self, path: &Path, shown: &str) -> io::Result<()> {
        match File::open(path) {
            Ok(file) => self.reader(file, shown),
            Err(error) => {
                self.report_error(shown, &report::words(&error));
                Ok(())
            }
        }
    }

    fn reader(&mut self, reader: impl Read, name: &str) -> io::Result<()> {
        let zero = Rc::new(Cell::new(false));
        let mut failure = None;
        let mut reader = Remembering { inner: Noting { inner: reader, zero: Rc::clone(&zero) }, failure: &mut failure };
        let context = self.settings.grouped;
        let mut out = Separated {
            out: &mut self.out,
            separator: self.settings.separator.as_deref().filter(|_| context && self.printed),
            printed: false,
        };
        let mut printer = Printer {
            settings: self.settings,
            pattern: self.pattern,
            out: &mut out,
            name,
            with_name: self.with_name,
            zero,
            count: 0,
            binary: false,
            printed_to: None,
        };
        let result = self.searcher.search_reader(self.pattern, &mut reader, &mut printer);
        printer.summary()?;
        let (count, binary) = (printer.count, printer.binary && self.settings.binary != Binary::Skip);
        self.printed |= out.printed && self.settings.print == Print::Lines;
        self.selected |= count > 0;
        if binary {
            self.out.flush()?;
            report::error(&format!("{name}: binary file matches"));
        }
        match (result, failure) {
            (_, Some(error)) => self.report_error(name, &report::words(&error)),
            (Err(error), None) => return Err(error),
            (Ok(()), None) => {}
        }
        Ok(())
    }
}

/// Keeps an error of the input apart from those of the output.
struct Remembering<'a, R> {
    inner: R,
    failure: &'a mut Option<io::Error>,
}

impl<R: Read> Read for Remembering<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer).or_else(|error| {
            *self.failure = Some(error);
            Ok(0)
        })
    }
}

/// Writes a separator before the first bytes.
struct Separated<'a, W> {
    out: &'a mut W,
    separator: Option<&'a str>,
    printed: bool,
}

impl<W: Write> Write for Separated<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(separator) = self.separator.take() {
            writeln!(self.out, "{separator}")?;
        }
        self.printed = true;
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
