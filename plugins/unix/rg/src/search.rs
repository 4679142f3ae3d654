//! The search in one file after another, and what is printed.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use grep_matcher::LineTerminator;
use grep_printer::{
    ColorSpecs, JSON, JSONBuilder, PathPrinterBuilder, Standard, StandardBuilder, Stats, Summary, SummaryBuilder,
    SummaryKind, UserColorSpec, default_color_specs,
};
use grep_regex::{RegexMatcher, RegexMatcherBuilder};
use grep_searcher::{BinaryDetection, Encoding, Searcher, SearcherBuilder};
use termcolor::{BufferedStandardStream, ColorChoice};

use crate::settings::{Case, Mode, Settings, numbered};
use crate::walk::Found;

/// Standard output.
pub(crate) type Out = BufferedStandardStream;

/// Compiles the patterns. The error is a message.
pub(crate) fn matcher(settings: &Settings) -> Result<RegexMatcher, String> {
    let mut builder = RegexMatcherBuilder::new();
    builder
        .multi_line(true)
        .unicode(!settings.no_unicode)
        .octal(false)
        .fixed_strings(settings.fixed)
        .case_insensitive(settings.case == Case::Ignored)
        .case_smart(settings.case == Case::Smart)
        .whole_line(settings.line)
        .word(settings.word);
    if settings.multiline {
        builder.dot_matches_new_line(settings.dot_all);
    } else if settings.null_data {
        builder.line_terminator(Some(0));
    } else {
        builder.line_terminator(Some(b'\n')).dot_matches_new_line(false);
    }
    if settings.crlf {
        builder.crlf(true).line_terminator(None);
    }
    builder.build_many(&settings.patterns).map_err(|error| error.to_string())
}

fn searcher(settings: &Settings, numbers: bool) -> Result<Searcher, String> {
    let mut builder = SearcherBuilder::new();
    let terminator = if settings.null_data {
        LineTerminator::byte(0)
    } else if settings.crlf {
        LineTerminator::crlf()
    } else {
        LineTerminator::byte(b'\n')
    };
    builder
        .line_terminator(terminator)
        .invert_match(settings.invert)
        .line_number(numbers)
        .multi_line(settings.multiline)
        .before_context(settings.before)
        .after_context(settings.after)
        .passthru(settings.passthru)
        .max_matches(settings.max_count);
    match settings.encoding.as_deref() {
        None | Some("auto") => {}
        Some("none") => {
            builder.bom_sniffing(false);
        }
        Some(label) => {
            let encoding = Encoding::new(label).map_err(|error| error.to_string())?;
            builder.encoding(Some(encoding));
        }
    }
    Ok(builder.build())
}

/// What prints.
enum Printer {
    Lines(Standard<Out>),
    Summary(Summary<Out>),
    Json(JSON<Out>),
}

/// A search with its output.
pub(crate) struct Search<'a> {
    settings: &'a Settings,
    matcher: RegexMatcher,
    searcher: Searcher,
    printer: Printer,
    stats: Stats,
    begin: Instant,
    pub(crate) matched: bool,
    pub(crate) failed: bool,
}

/// Standard output with colours or without.
pub(crate) fn out(settings: &Settings) -> Out {
    let colored = match settings.color.as_str() {
        "auto" => io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
        color => color != "never",
    };
    BufferedStandardStream::stdout(if colored { ColorChoice::AlwaysAnsi } else { ColorChoice::Never })
}

/// The colours. The error is a message.
pub(crate) fn colors(settings: &Settings) -> Result<ColorSpecs, String> {
    let mut specs = default_color_specs();
    // Only systems of Unix have a colour for paths by default.
    for color in ["path:fg:magenta"].into_iter().chain(settings.colors.iter().map(String::as_str)) {
        specs.push(color.parse::<UserColorSpec>().map_err(|error| error.to_string())?);
    }
    Ok(ColorSpecs::new(&specs))
}

impl<'a> Search<'a> {
    /// `several`: more than one file may be searched.
    pub(crate) fn new(settings: &'a Settings, several: bool) -> Result<Self, String> {
        let terminal = io::stdout().is_terminal();
        let column = settings.column.unwrap_or(settings.vimgrep);
        let numbers = settings.line_numbers.unwrap_or(terminal || column || settings.mode == Mode::Json);
        let names = settings.names.unwrap_or(several || settings.vimgrep);
        let printer = match (settings.quiet, settings.mode) {
            (true, _) | (_, Mode::Count | Mode::CountMatches | Mode::FilesWith | Mode::FilesWithout) => {
                Printer::Summary(summary(settings, names)?)
            }
            (_, Mode::Json) => {
                let replacement = settings.replacement.clone().map(String::into_bytes);
                Printer::Json(JSONBuilder::new().replacement(replacement).build(out(settings)))
            }
            _ => Printer::Lines(lines(settings, names, column, terminal)?),
        };
        Ok(Self {
            settings,
            matcher: matcher(settings)?,
            searcher: searcher(settings, numbers)?,
            printer,
            stats: Stats::new(),
            begin: Instant::now(),
            matched: false,
            failed: false,
        })
    }

    /// Searches a file. Whether the next one is searched.
    pub(crate) fn file(&mut self, found: &Found) -> bool {
        let binary = if self.settings.text {
            BinaryDetection::none()
        } else if found.explicit || self.settings.binary || self.settings.unrestricted > 2 {
            BinaryDetection::convert(0)
        } else {
            BinaryDetection::quit(0)
        };
        self.searcher.set_binary_detection(binary);
        self.one(&found.shown, Some(&found.path))
    }

    /// Searches the standard input.
    pub(crate) fn input(&mut self) {
        let binary = if self.settings.text { BinaryDetection::none() } else { BinaryDetection::convert(0) };
        self.searcher.set_binary_detection(binary);
        self.one(Path::new("<stdin>"), None);
    }

    fn one(&mut self, shown: &Path, file: Option<&Path>) -> bool {
        let Self { matcher, searcher, printer, .. } = self;
        macro_rules! search {
            ($sink:expr) => {{
                let mut sink = $sink;
                let result = match file {
                    Some(file) => searcher.search_path(&*matcher, file, &mut sink),
                    None => searcher.search_reader(&*matcher, io::stdin().lock(), &mut sink),
                };
                (result, sink.has_match(), Some(sink.stats()).and_then(IntoStats::into))
            }};
        }
        let (result, matched, stats) = match printer {
            Printer::Lines(printer) => search!(printer.sink_with_path(&*matcher, shown)),
            Printer::Summary(printer) => search!(printer.sink_with_path(&*matcher, shown)),
            Printer::Json(printer) => search!(printer.sink_with_path(&*matcher, shown)),
        };
        self.matched |= matched;
        if let Some(stats) = stats {
            self.stats += &stats;
        }
        match result {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return false,
            Err(error) => {
                self.failed = true;
                if !self.settings.no_messages {
                    eprintln!("{}: {}", shown.display(), numbered(&error));
                }
            }
        }
        !(self.settings.quiet && self.matched)
    }

    /// Writes what comes after the last file.
    pub(crate) fn finish(&mut self) {
        let result = match &mut self.printer {
            Printer::Lines(printer) => printer.get_mut().flush(),
            Printer::Summary(printer) => printer.get_mut().flush(),
            Printer::Json(printer) => {
                let elapsed = |time: Duration| {
                    serde_json::json!({
                        "secs": time.as_secs(),
                        "nanos": time.subsec_nanos(),
                        "human": format!("{:0.6}s", time.as_secs_f64()),
                    })
                };
                let summary = serde_json::json!({
                    "type": "summary",
                    "data": { "stats": self.stats, "elapsed_total": elapsed(self.begin.elapsed()) },
                });
                let out = printer.get_mut();
                writeln!(out, "{summary}").and_then(|()| out.flush())
            }
        };
        if let Err(message) = written(result) {
            eprintln!("{message}");
            self.failed = true;
        }
    }
}

/// What printers count, which not all of them do.
trait IntoStats {
    fn into(self) -> Option<Stats>;
}

impl IntoStats for &Stats {
    fn into(self) -> Option<Stats> {
        Some(self.clone())
    }
}

impl IntoStats for Option<&Stats> {
    fn into(self) -> Option<Stats> {
        self.cloned()
    }
}

fn summary(settings: &Settings, names: bool) -> Result<Summary<Out>, String> {
    let kind = match settings.mode {
        _ if settings.quiet => SummaryKind::QuietWithMatch,
        Mode::Count if settings.only_matching => SummaryKind::CountMatches,
        Mode::CountMatches => SummaryKind::CountMatches,
        Mode::FilesWith => SummaryKind::PathWithMatch,
        Mode::FilesWithout => SummaryKind::PathWithoutMatch,
        _ => SummaryKind::Count,
    };
    let mut builder = SummaryBuilder::new();
    builder
        .kind(kind)
        .color_specs(colors(settings)?)
        .path(names)
        .exclude_zero(!settings.include_zero)
        .path_terminator(settings.null.then_some(0));
    Ok(builder.build(out(settings)))
}

fn lines(settings: &Settings, names: bool, column: bool, terminal: bool) -> Result<Standard<Out>, String> {
    let heading = settings.heading.unwrap_or(terminal) && !settings.vimgrep;
    let separator = settings.context_separator.clone().map(String::into_bytes);
    let has_context = settings.before > 0 || settings.after > 0;
    let between = if heading { Some(Vec::new()) } else { separator.clone().filter(|_| has_context) };
    let mut builder = StandardBuilder::new();
    builder
        .color_specs(colors(settings)?)
        .heading(heading)
        .path(names)
        .only_matching(settings.only_matching)
        .per_match(settings.vimgrep)
        .per_match_one_line(true)
        .replacement(settings.replacement.clone().map(String::into_bytes))
        .max_columns(settings.max_columns)
        .max_columns_preview(settings.preview)
        .column(column)
        .byte_offset(settings.offsets)
        .trim_ascii(settings.trim)
        .separator_search(between)
        .separator_context(separator)
        .path_terminator(settings.null.then_some(0));
    Ok(builder.build(out(settings)))
}

/// Prints the files that would be searched. Whether there are any; the error is a message.
pub(crate) fn list(files: impl Iterator<Item = Found>, settings: &Settings) -> Result<bool, String> {
    let mut builder = PathPrinterBuilder::new();
    builder.color_specs(colors(settings)?).terminator(if settings.null { 0 } else { b'\n' });
    let mut out = out(settings);
    let mut printer = builder.build(&mut out);
    let mut any = false;
    let mut result = Ok(());
    for found in files {
        any = true;
        if settings.quiet {
            break;
        }
        result = printer.write(&found.shown);
        if result.is_err() {
            break;
        }
    }
    written(result.and_then(|()| out.flush()))?;
    Ok(any)
}

/// The message of an error of standard output. A reader that is gone is no error.
fn written(result: io::Result<()>) -> Result<(), String> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("rg: write error: {}", numbered(&error)))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_standard_output_count_but_for_a_reader_that_is_gone() {
        assert_eq!(written(Err(io::ErrorKind::BrokenPipe.into())), Ok(()));
        let message = written(Err(io::ErrorKind::StorageFull.into())).expect_err("an error");
        assert!(message.starts_with("rg: write error: "), "{message}");
    }
}
