//! The command line.

use std::io::{self, IsTerminal, Read};
use std::{env, fs};

use unix_common::options::{self, Found, Opt, Order, Word, flag, optional, value};
use unix_common::report;

/// In the order of GNU's table, in which ambiguous names are listed.
const OPTIONS: &[Opt] = &[
    flag("G", "basic-regexp"),
    flag("E", "extended-regexp"),
    flag("F", "fixed-strings"),
    flag("P", "perl-regexp"),
    value("A", "after-context"),
    value("B", "before-context"),
    value("", "binary-files"),
    flag("U", "binary"),
    flag("b", "byte-offset"),
    value("C", "context"),
    optional("", "color"),
    optional("", "colour"),
    flag("c", "count"),
    value("D", "devices"),
    value("d", "directories"),
    value("", "exclude"),
    value("", "exclude-from"),
    value("", "exclude-dir"),
    value("f", "file"),
    flag("l", "files-with-matches"),
    flag("L", "files-without-match"),
    value("", "group-separator"),
    flag("", "help"),
    value("", "include"),
    flag("iy", "ignore-case"),
    flag("", "no-ignore-case"),
    flag("T", "initial-tab"),
    value("", "label"),
    flag("", "line-buffered"),
    flag("n", "line-number"),
    flag("x", "line-regexp"),
    value("m", "max-count"),
    flag("h", "no-filename"),
    flag("", "no-group-separator"),
    flag("s", "no-messages"),
    flag("Z", "null"),
    flag("z", "null-data"),
    flag("o", "only-matching"),
    flag("q", "quiet"),
    flag("r", "recursive"),
    flag("R", "dereference-recursive"),
    value("e", "regexp"),
    flag("v", "invert-match"),
    flag("", "silent"),
    flag("a", "text"),
    flag("V", "version"),
    flag("H", "with-filename"),
    flag("w", "word-regexp"),
    flag("I", ""),
    flag("0123456789", ""),
];

const USAGE: &str = "Usage: grep [OPTION]... PATTERNS [FILE]...\nTry 'grep --help' for more information.\n";

const HELP: &str = "Usage: grep [OPTION]... PATTERNS [FILE]...
Search for PATTERNS in each FILE.
Example: grep -i 'hello world' menu.h main.c
PATTERNS can contain multiple patterns separated by newlines.

  -E, -F, -G, -P            PATTERNS are extended, fixed, basic, Perl patterns
  -e, --regexp=PATTERNS     use PATTERNS for matching
  -f, --file=FILE           take PATTERNS from FILE
  -i, --ignore-case         ignore case distinctions
  -w, -x                    match only whole words, whole lines
  -z, --null-data           a data line ends in 0 byte, not newline
  -s, --no-messages         suppress error messages
  -v, --invert-match        select non-matching lines
  -m, --max-count=NUM       stop after NUM selected lines
  -b, -n, -H, -h            print byte offset, line number, file name, no file name
  -o, --only-matching       show only nonempty parts of lines that match
  -q, --quiet               suppress all normal output
  -a, -I                    binary files are text, do not match
  -r, -R                    search directories; -R follows all symbolic links
  --include, --exclude, --exclude-dir=GLOB
  -L, -l, -c                print only names without a match, with one, counts
  -T, -Z                    align with a tab, print 0 byte after a file name
  -B, -A, -C NUM, -NUM      print NUM lines of context
  --color[=WHEN]            WHEN is 'always', 'never', or 'auto'

When FILE is '-', read standard input. With no FILE, read '.' if recursive, '-' otherwise.
Exit status is 0 if any line is selected, 1 otherwise; 2 if an error occurs and -q is not given.
";

/// How patterns are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Syntax {
    Basic,
    Extended,
    Fixed,
    Perl,
}

/// What to do with a file that is no text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Binary {
    Report,
    Text,
    Skip,
}

/// What to do with a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Directories {
    Read,
    Skip,
    Recurse,
}

/// What is printed of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Print {
    Lines,
    Matches,
    Count,
    NamesWith,
    NamesWithout,
}

/// A condition on names of files, in the order in which it was given.
#[derive(Debug, Clone)]
pub(crate) struct NameRule {
    pub(crate) pattern: String,
    pub(crate) include: bool,
}

/// What the command line asks for.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option")]
pub(crate) struct Settings {
    pub(crate) syntax: Syntax,
    pub(crate) patterns: Vec<String>,
    pub(crate) files: Vec<String>,
    pub(crate) ignore_case: bool,
    pub(crate) words: bool,
    pub(crate) lines: bool,
    pub(crate) null_data: bool,
    pub(crate) no_messages: bool,
    pub(crate) invert: bool,
    pub(crate) max_count: Option<u64>,
    pub(crate) byte_offset: bool,
    pub(crate) line_number: bool,
    pub(crate) line_buffered: bool,
    pub(crate) file_name: Option<bool>,
    pub(crate) label: Option<String>,
    pub(crate) quiet: bool,
    pub(crate) binary: Binary,
    pub(crate) directories: Directories,
    pub(crate) follow: bool,
    pub(crate) names: Vec<NameRule>,
    pub(crate) excluded_directories: Vec<String>,
    pub(crate) print: Print,
    pub(crate) initial_tab: bool,
    pub(crate) null: bool,
    pub(crate) before: usize,
    pub(crate) after: usize,
    /// Whether any length of context was asked for, 0 included: then groups of lines are separated.
    pub(crate) grouped: bool,
    pub(crate) separator: Option<String>,
    pub(crate) color: bool,
    pub(crate) skip_devices: bool,
}

/// What to do.
pub(crate) enum Asked {
    Search(Box<Settings>),
    Text(&'static str),
}

impl Settings {
    fn new() -> Self {
        let syntax = match report::program().as_str() {
            "egrep" => Syntax::Extended,
            "fgrep" => Syntax::Fixed,
            _ => Syntax::Basic,
        };
        Self {
            syntax,
            patterns: Vec::new(),
            files: Vec::new(),
            ignore_case: false,
            words: false,
            lines: false,
            null_data: false,
            no_messages: false,
            invert: false,
            max_count: None,
            byte_offset: false,
            line_number: false,
            line_buffered: io::stdout().is_terminal(),
            file_name: None,
            label: None,
            quiet: false,
            binary: Binary::Report,
            directories: Directories::Read,
            follow: false,
            names: Vec::new(),
            excluded_directories: Vec::new(),
            print: Print::Lines,
            initial_tab: false,
            null: false,
            before: 0,
            after: 0,
            grouped: false,
            separator: Some("--".to_owned()),
            color: false,
            skip_devices: false,
        }
    }
}

/// Reads the command line. The error is the whole text for standard error.
pub(crate) fn read(words: &[String]) -> Result<Asked, String> {
    let program = report::program();
    let words =
        options::parse(words, OPTIONS, Order::Any).map_err(|message| format!("{program}: {message}\n{USAGE}"))?;
    let mut settings = Settings::new();
    let mut patterns: Option<Vec<String>> = None;
    // What -A and -B say counts more than -C, in any order; digits that follow each other are one number.
    let (mut before, mut after, mut context, mut digits) = (None, None, None, String::new());
    for word in words {
        let found = match word {
            Word::Operand(operand) => {
                settings.files.push(operand);
                continue;
            }
            Word::Option(found) => found,
        };
        match (found.id, found.letter) {
            ("help", _) => return Ok(Asked::Text(HELP)),
            ("version", _) => return Ok(Asked::Text(concat!("grep (Whelk) ", env!("CARGO_PKG_VERSION"), "\n"))),
            ("regexp", _) => patterns.get_or_insert_default().extend(found.text().split('\n').map(str::to_owned)),
            ("file", _) => patterns.get_or_insert_default().extend(patterns_of(found.text(), &program)?),
            ("before-context", _) => before = Some(context_length(&found, &program)?),
            ("after-context", _) => after = Some(context_length(&found, &program)?),
            ("context", _) => context = Some(context_length(&found, &program)?),
            ("0123456789", Some(digit)) => {
                digits.push(digit);
                context = Some(digits.parse().unwrap_or(usize::MAX));
                continue;
            }
            _ => set(&mut settings, &found, &program)?,
        }
        digits.clear();
    }
    settings.grouped = before.or(after).or(context).is_some();
    settings.before = before.or(context).unwrap_or_default();
    settings.after = after.or(context).unwrap_or_default();
    settings.patterns = match patterns {
        Some(patterns) => patterns,
        None if settings.files.is_empty() => return Err(USAGE.to_owned()),
        None => settings.files.remove(0).split('\n').map(str::to_owned).collect(),
    };
    if matches!(settings.print, Print::Matches | Print::Count | Print::NamesWith | Print::NamesWithout) {
        (settings.before, settings.after) = (0, 0);
        settings.grouped = false;
    }
    Ok(Asked::Search(Box::new(settings)))
}

fn context_length(found: &Found, program: &str) -> Result<usize, String> {
    let text = found.text();
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // A number that is too large for the machine is as good as no end.
    let length = digits.then(|| text.parse().unwrap_or(usize::MAX));
    length.ok_or_else(|| format!("{program}: {text}: invalid context length argument\n"))
}

fn patterns_of(file: &str, program: &str) -> Result<Vec<String>, String> {
    let mut bytes = Vec::new();
    let result = if file == "-" {
        io::stdin().read_to_end(&mut bytes).map(|_| ())
    } else {
        fs::read(file).map(|read| bytes = read)
    };
    result.map_err(|error| format!("{program}: {file}: {}\n", report::words(&error)))?;
    let text = String::from_utf8_lossy(&bytes);
    // An empty file has no pattern, and an empty line is one.
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(if bytes.is_empty() { Vec::new() } else { text.split('\n').map(str::to_owned).collect() })
}

/// Sets what an option says.
fn set(settings: &mut Settings, found: &Found, program: &str) -> Result<(), String> {
    // Options that none of them knows have no effect here: files are bytes.
    for set in [set_search, set_files, set_output] {
        if set(settings, found, program)? {
            break;
        }
    }
    Ok(())
}

/// Options of what is searched for.
fn set_search(settings: &mut Settings, found: &Found, _: &str) -> Result<bool, String> {
    match found.id {
        "extended-regexp" => settings.syntax = Syntax::Extended,
        "fixed-strings" => settings.syntax = Syntax::Fixed,
        "basic-regexp" => settings.syntax = Syntax::Basic,
        "perl-regexp" => settings.syntax = Syntax::Perl,
        "ignore-case" => settings.ignore_case = true,
        "no-ignore-case" => settings.ignore_case = false,
        "word-regexp" => settings.words = true,
        "line-regexp" => settings.lines = true,
        "null-data" => settings.null_data = true,
        _ => return Ok(false),
    }
    Ok(true)
}

/// Options of which files are searched, and how.
fn set_files(settings: &mut Settings, found: &Found, program: &str) -> Result<bool, String> {
    let failed = |message: String| Err(format!("{program}: {message}\n"));
    let text = found.text();
    match found.id {
        "directories" => match text {
            "read" => settings.directories = Directories::Read,
            "skip" => settings.directories = Directories::Skip,
            "recurse" => settings.directories = Directories::Recurse,
            _ => {
                return failed(format!(
                    "invalid argument '{text}' for '--directories'\nValid arguments are:\n  - 'read'\n  - 'recurse'\n  \
                     - 'skip'\n{}",
                    USAGE.trim_end()
                ));
            }
        },
        "devices" => match text {
            "read" => settings.skip_devices = false,
            "skip" => settings.skip_devices = true,
            _ => return failed("unknown devices method".to_owned()),
        },
        "recursive" | "dereference-recursive" => {
            settings.directories = Directories::Recurse;
            settings.follow = found.id == "dereference-recursive";
        }
        "include" | "exclude" => {
            settings.names.push(NameRule { pattern: text.to_owned(), include: found.id == "include" });
        }
        "exclude-from" => {
            let rules = patterns_of(text, program)?.into_iter().filter(|line| !line.is_empty());
            settings.names.extend(rules.map(|pattern| NameRule { pattern, include: false }));
        }
        "exclude-dir" => settings.excluded_directories.push(text.trim_end_matches('/').to_owned()),
        _ => return Ok(false),
    }
    Ok(true)
}

/// Options of what is printed.
fn set_output(settings: &mut Settings, found: &Found, program: &str) -> Result<bool, String> {
    let failed = |message: String| Err(format!("{program}: {message}\n"));
    let text = found.text();
    match found.id {
        "no-messages" => settings.no_messages = true,
        "invert-match" => settings.invert = true,
        "max-count" => match text.parse::<i64>() {
            Ok(count) => settings.max_count = u64::try_from(count).ok(),
            Err(_) => return failed("invalid max count".to_owned()),
        },
        "byte-offset" => settings.byte_offset = true,
        "line-number" => settings.line_number = true,
        "line-buffered" => settings.line_buffered = true,
        "with-filename" => settings.file_name = Some(true),
        "no-filename" => settings.file_name = Some(false),
        "label" => settings.label = Some(text.to_owned()),
        "quiet" | "silent" => settings.quiet = true,
        "text" => settings.binary = Binary::Text,
        "I" => settings.binary = Binary::Skip,
        "binary-files" => match text {
            "binary" => settings.binary = Binary::Report,
            "text" => settings.binary = Binary::Text,
            "without-match" => settings.binary = Binary::Skip,
            _ => return failed("unknown binary-files type".to_owned()),
        },
        "only-matching" if settings.print == Print::Lines => settings.print = Print::Matches,
        "only-matching" => {}
        "files-with-matches" => settings.print = Print::NamesWith,
        "files-without-match" => settings.print = Print::NamesWithout,
        "count" if !matches!(settings.print, Print::NamesWith | Print::NamesWithout) => settings.print = Print::Count,
        "initial-tab" => settings.initial_tab = true,
        "null" => settings.null = true,
        "group-separator" => settings.separator = Some(text.to_owned()),
        "no-group-separator" => settings.separator = None,
        "color" | "colour" => match text {
            "always" | "yes" | "force" => settings.color = true,
            "never" | "no" | "none" => settings.color = false,
            "" | "auto" | "tty" | "if-tty" => {
                let dumb = env::var_os("TERM").is_none_or(|term| term == "dumb");
                settings.color = io::stdout().is_terminal() && !dumb;
            }
            _ => return Err(USAGE.to_owned()),
        },
        _ => return Ok(false),
    }
    Ok(true)
}
