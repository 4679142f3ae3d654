//! The command line.

use std::fs;
use std::io::{self, Read};

use unix_common::options::{self, Order, Word};
use unix_common::report;

use crate::options::{HELP, OPTIONS};

/// What is printed of files that match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Mode {
    #[default]
    Lines,
    Count,
    CountMatches,
    FilesWith,
    FilesWithout,
    /// No search: the files that would be.
    Files,
    Json,
    TypeList,
}

/// How case counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Case {
    #[default]
    Sensitive,
    Ignored,
    /// Ignored for patterns without capitals.
    Smart,
}

/// In what order files are searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Sort {
    #[default]
    Path,
    Modified,
    Accessed,
    Created,
}

/// What the command line asks for.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option")]
pub(crate) struct Settings {
    pub(crate) patterns: Vec<String>,
    pub(crate) paths: Vec<String>,
    pub(crate) mode: Mode,
    pub(crate) quiet: bool,
    // Patterns.
    pub(crate) case: Case,
    pub(crate) fixed: bool,
    pub(crate) word: bool,
    pub(crate) line: bool,
    pub(crate) invert: bool,
    pub(crate) multiline: bool,
    pub(crate) dot_all: bool,
    pub(crate) no_unicode: bool,
    pub(crate) crlf: bool,
    pub(crate) null_data: bool,
    pub(crate) max_count: Option<u64>,
    pub(crate) encoding: Option<String>,
    // Files.
    pub(crate) globs: Vec<String>,
    pub(crate) case_insensitive_globs: Vec<String>,
    pub(crate) globs_ignore_case: bool,
    pub(crate) types: Vec<(Choice, String)>,
    pub(crate) max_depth: Option<usize>,
    pub(crate) max_size: Option<u64>,
    pub(crate) ignore_files: Vec<String>,
    pub(crate) follow: bool,
    pub(crate) hidden: bool,
    /// Which kinds of files with names to ignore are not read.
    pub(crate) no_ignore: Vec<&'static str>,
    pub(crate) no_require_git: bool,
    pub(crate) text: bool,
    pub(crate) binary: bool,
    pub(crate) unrestricted: u8,
    pub(crate) sort: Sort,
    pub(crate) reversed: bool,
    pub(crate) no_messages: bool,
    // Output.
    pub(crate) before: usize,
    pub(crate) after: usize,
    pub(crate) passthru: bool,
    pub(crate) context_separator: Option<String>,
    pub(crate) only_matching: bool,
    pub(crate) replacement: Option<String>,
    pub(crate) line_numbers: Option<bool>,
    pub(crate) names: Option<bool>,
    pub(crate) column: Option<bool>,
    pub(crate) offsets: bool,
    pub(crate) heading: Option<bool>,
    pub(crate) null: bool,
    pub(crate) trim: bool,
    pub(crate) vimgrep: bool,
    pub(crate) include_zero: bool,
    pub(crate) max_columns: Option<u64>,
    pub(crate) preview: bool,
    pub(crate) color: String,
    pub(crate) colors: Vec<String>,
}

/// What is done with a type of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice {
    Select,
    Negate,
    Add,
    Clear,
}

/// Reads the command line. None if all is done; the error is a message.
pub(crate) fn read(words: &[String]) -> Result<Option<Settings>, String> {
    let mut settings =
        Settings { context_separator: Some("--".to_owned()), color: "auto".to_owned(), ..Settings::default() };
    let (mut operands, mut given) = (Vec::new(), false);
    for word in options::parse(words, OPTIONS, Order::Any)? {
        let found = match word {
            Word::Operand(operand) => {
                operands.push(operand);
                continue;
            }
            Word::Option(found) => found,
        };
        match found.id {
            "regexp" => {
                given = true;
                settings.patterns.push(found.text().to_owned());
            }
            "file" => {
                given = true;
                settings.patterns.extend(patterns(found.text())?);
            }
            "help" => {
                print!("{HELP}");
                return Ok(None);
            }
            "version" => {
                println!("rg (Whelk) {}", env!("CARGO_PKG_VERSION"));
                return Ok(None);
            }
            id => {
                let known = set_pattern(&mut settings, id, found.text())?
                    || set_files(&mut settings, id, found.text())?
                    || set_output(&mut settings, id, found.text())?;
                if !known && ["pre", "search-zip", "pcre2"].contains(&id) {
                    return Err(format!("--{id} is not available in this build of ripgrep"));
                }
            }
        }
    }
    let mut operands = operands.into_iter();
    if !given && !matches!(settings.mode, Mode::Files | Mode::TypeList) {
        let pattern = operands.next().ok_or(
            "ripgrep requires at least one pattern to execute a search\nUsage: rg [OPTION]... PATTERN [PATH]...",
        )?;
        settings.patterns.push(pattern);
    }
    settings.paths = operands.collect();
    Ok(Some(settings))
}

/// The patterns of a file, one a line.
fn patterns(name: &str) -> Result<Vec<String>, String> {
    let mut text = String::new();
    let read = if name == "-" {
        io::stdin().read_to_string(&mut text).map(|_| ())
    } else {
        fs::read_to_string(name).map(|read| text = read)
    };
    read.map_err(|error| format!("{name}: {}", numbered(&error)))?;
    Ok(text.lines().map(str::to_owned).collect())
}

/// An error in the words and with the number that it has under Linux.
pub(crate) fn numbered(error: &io::Error) -> String {
    let words = report::words(error);
    let number = match words.as_str() {
        "No such file or directory" => 2,
        "Permission denied" => 13,
        "Not a directory" => 20,
        "Is a directory" => 21,
        "Too many levels of symbolic links" => 40,
        _ => return words,
    };
    format!("{words} (os error {number})")
}

fn number<T: std::str::FromStr>(id: &str, text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("--{id} takes a number, not {text:?}"))
}

/// Whether it is an option for patterns.
fn set_pattern(settings: &mut Settings, id: &str, text: &str) -> Result<bool, String> {
    match id {
        "ignore-case" => settings.case = Case::Ignored,
        "smart-case" => settings.case = Case::Smart,
        "case-sensitive" => settings.case = Case::Sensitive,
        "word-regexp" => (settings.word, settings.line) = (true, false),
        "line-regexp" => (settings.word, settings.line) = (false, true),
        "invert-match" => settings.invert = true,
        "fixed-strings" => settings.fixed = true,
        "no-fixed-strings" => settings.fixed = false,
        "multiline" => settings.multiline = true,
        "multiline-dotall" => settings.dot_all = true,
        "no-unicode" => settings.no_unicode = true,
        "crlf" => settings.crlf = true,
        "null-data" => settings.null_data = true,
        "max-count" => settings.max_count = Some(number(id, text)?),
        "encoding" => settings.encoding = Some(text.to_owned()),
        _ => return Ok(false),
    }
    Ok(true)
}

/// Whether it is an option for files.
fn set_files(settings: &mut Settings, id: &'static str, text: &str) -> Result<bool, String> {
    match id {
        "glob" => settings.globs.push(text.to_owned()),
        "iglob" => settings.case_insensitive_globs.push(text.to_owned()),
        "glob-case-insensitive" => settings.globs_ignore_case = true,
        "type" => settings.types.push((Choice::Select, text.to_owned())),
        "type-not" => settings.types.push((Choice::Negate, text.to_owned())),
        "type-add" => settings.types.push((Choice::Add, text.to_owned())),
        "type-clear" => settings.types.push((Choice::Clear, text.to_owned())),
        "max-depth" | "maxdepth" => settings.max_depth = Some(number(id, text)?),
        "max-filesize" => settings.max_size = Some(size(text)?),
        "ignore-file" => settings.ignore_files.push(text.to_owned()),
        "follow" => settings.follow = true,
        "hidden" => settings.hidden = true,
        "no-hidden" => settings.hidden = false,
        "unrestricted" => settings.unrestricted = settings.unrestricted.saturating_add(1),
        "no-require-git" => settings.no_require_git = true,
        "text" => settings.text = true,
        "binary" => settings.binary = true,
        "no-messages" => settings.no_messages = true,
        "sort-files" => settings.sort = Sort::Path,
        "sort" | "sortr" => {
            settings.reversed = id == "sortr";
            settings.sort = match text {
                "none" | "path" => Sort::Path,
                "modified" => Sort::Modified,
                "accessed" => Sort::Accessed,
                "created" => Sort::Created,
                _ => return Err(format!("{text:?} isn't a valid value for '--{id} <SORTBY>'")),
            };
        }
        _ if id.starts_with("no-ignore") => settings.no_ignore.push(id),
        _ => return Ok(false),
    }
    Ok(true)
}

/// A number of bytes, with `K`, `M` or `G` behind it.
fn size(text: &str) -> Result<u64, String> {
    let (digits, factor) = match text.strip_suffix(['K', 'M', 'G']) {
        Some(digits) if text.ends_with('K') => (digits, 1 << 10),
        Some(digits) if text.ends_with('M') => (digits, 1 << 20),
        Some(digits) => (digits, 1 << 30),
        None => (text, 1),
    };
    let size = digits.parse::<u64>().ok().and_then(|size| size.checked_mul(factor));
    size.ok_or_else(|| format!("invalid format for size {text:?}, which should be a number with K, M or G behind it"))
}

/// Whether it is an option for the output.
fn set_output(settings: &mut Settings, id: &str, text: &str) -> Result<bool, String> {
    match id {
        "count" => settings.mode = Mode::Count,
        "count-matches" => settings.mode = Mode::CountMatches,
        "files-with-matches" => settings.mode = Mode::FilesWith,
        "files-without-match" => settings.mode = Mode::FilesWithout,
        "files" => settings.mode = Mode::Files,
        "json" => settings.mode = Mode::Json,
        "type-list" => settings.mode = Mode::TypeList,
        "quiet" => settings.quiet = true,
        "after-context" => settings.after = number(id, text)?,
        "before-context" => settings.before = number(id, text)?,
        "context" => {
            settings.before = number(id, text)?;
            settings.after = settings.before;
        }
        "context-separator" => settings.context_separator = Some(text.to_owned()),
        "no-context-separator" => settings.context_separator = None,
        "passthru" => settings.passthru = true,
        "only-matching" => settings.only_matching = true,
        "replace" => settings.replacement = Some(text.to_owned()),
        "line-number" => settings.line_numbers = Some(true),
        "no-line-number" => settings.line_numbers = Some(false),
        "with-filename" => settings.names = Some(true),
        "no-filename" => settings.names = Some(false),
        "column" => settings.column = Some(true),
        "no-column" => settings.column = Some(false),
        "byte-offset" => settings.offsets = true,
        "heading" => settings.heading = Some(true),
        "no-heading" => settings.heading = Some(false),
        "pretty" => {
            (settings.heading, settings.line_numbers) = (Some(true), Some(true));
            "always".clone_into(&mut settings.color);
        }
        "null" => settings.null = true,
        "trim" => settings.trim = true,
        "vimgrep" => settings.vimgrep = true,
        "include-zero" => settings.include_zero = true,
        "max-columns" => settings.max_columns = Some(number(id, text)?).filter(|columns| *columns > 0),
        "max-columns-preview" => settings.preview = true,
        "color" if ["auto", "always", "never", "ansi"].contains(&text) => text.clone_into(&mut settings.color),
        "color" => return Err(format!("{text:?} isn't a valid value for '--color <WHEN>'")),
        "colors" => settings.colors.push(text.to_owned()),
        _ => return Ok(false),
    }
    Ok(true)
}
