//! The command line.

use unix_common::options::{self, Opt, Order, Word, flag, value};
use unix_common::report;

const OPTIONS: &[Opt] = &[
    flag("a", "ascii"),
    flag("c", "stdout"),
    flag("", "to-stdout"),
    flag("d", "decompress"),
    flag("", "uncompress"),
    flag("f", "force"),
    flag("h", "help"),
    flag("k", "keep"),
    flag("l", "list"),
    flag("L", "license"),
    flag("n", "no-name"),
    flag("N", "name"),
    flag("q", "quiet"),
    flag("", "silent"),
    flag("r", "recursive"),
    value("S", "suffix"),
    flag("", "synchronous"),
    flag("t", "test"),
    flag("v", "verbose"),
    flag("V", "version"),
    flag("1", "fast"),
    flag("9", "best"),
    flag("2345678", ""),
    flag("", "rsyncable"),
];

const HELP: &str = "Usage: gzip [OPTION]... [FILE]...
Compress or uncompress FILEs (by default, compress FILES in-place).

  -c, --stdout      write on standard output, keep original files unchanged
  -d, --decompress  decompress
  -f, --force       force overwrite of output file and compress links
  -h, --help        give this help
  -k, --keep        keep (don't delete) input files
  -l, --list        list compressed file contents
  -n, --no-name     do not save or restore the original name and timestamp
  -N, --name        save or restore the original name and timestamp
  -q, --quiet       suppress all warnings
  -r, --recursive   operate recursively on directories
  -S, --suffix=SUF  use suffix SUF on compressed files
  -t, --test        test compressed file integrity
  -v, --verbose     verbose mode
  -V, --version     display version number
  -1, --fast        compress faster
  -9, --best        compress better

With no FILE, or when FILE is -, read standard input.
";

/// What is done with each file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    Compress,
    Restore,
    Test,
    List,
}

/// What the command line asks for.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option")]
pub(crate) struct Settings {
    pub(crate) work: Work,
    pub(crate) to_output: bool,
    pub(crate) force: bool,
    pub(crate) keep: bool,
    /// Whether the name and the time are kept in the compressed file, and restored; none is the default of each.
    pub(crate) name: Option<bool>,
    pub(crate) quiet: bool,
    pub(crate) recursive: bool,
    pub(crate) suffix: String,
    pub(crate) verbose: bool,
    pub(crate) level: u32,
    pub(crate) files: Vec<String>,
}

/// Reads the command line. None if all is done; the error is a message.
pub(crate) fn read(words: &[String]) -> Result<Option<Settings>, String> {
    let words = options::parse(words, OPTIONS, Order::Any)?;
    let program = report::program();
    let mut settings = Settings {
        work: if matches!(program.as_str(), "gunzip" | "zcat") { Work::Restore } else { Work::Compress },
        to_output: program == "zcat",
        force: false,
        keep: false,
        name: None,
        quiet: false,
        recursive: false,
        suffix: ".gz".to_owned(),
        verbose: false,
        level: 6,
        files: Vec::new(),
    };
    for word in words {
        let found = match word {
            Word::Operand(operand) => {
                settings.files.push(operand);
                continue;
            }
            Word::Option(found) => found,
        };
        match found.id {
            "stdout" | "to-stdout" => settings.to_output = true,
            "decompress" | "uncompress" => settings.work = Work::Restore,
            "force" => settings.force = true,
            "keep" => settings.keep = true,
            "list" => settings.work = Work::List,
            "no-name" => settings.name = Some(false),
            "name" => settings.name = Some(true),
            "quiet" | "silent" => settings.quiet = true,
            "recursive" => settings.recursive = true,
            "suffix" => settings.suffix = found.text().to_owned(),
            "test" => settings.work = Work::Test,
            "verbose" => settings.verbose = true,
            "fast" => settings.level = 1,
            "best" => settings.level = 9,
            "2345678" => settings.level = found.letter.and_then(|letter| letter.to_digit(10)).unwrap_or(6),
            "help" => {
                print!("{HELP}");
                return Ok(None);
            }
            "version" | "license" => {
                println!("gzip (Whelk) {}", env!("CARGO_PKG_VERSION"));
                return Ok(None);
            }
            _ => {}
        }
    }
    Ok(Some(settings))
}
