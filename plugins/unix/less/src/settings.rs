//! The command line.

use unix_common::options::{self, Opt, Order, Word, flag, value};
use unix_common::report;

const OPTIONS: &[Opt] = &[
    flag("e", "quit-at-eof"),
    flag("E", "QUIT-AT-EOF"),
    flag("F", "quit-if-one-screen"),
    flag("i", "ignore-case"),
    flag("I", "IGNORE-CASE"),
    flag("N", "LINE-NUMBERS"),
    flag("n", "line-numbers"),
    flag("R", "RAW-CONTROL-CHARS"),
    flag("r", "raw-control-chars"),
    flag("S", "chop-long-lines"),
    flag("X", "no-init"),
    flag("K", "quit-on-intr"),
    flag("M", "LONG-PROMPT"),
    flag("m", "long-prompt"),
    flag("q", "quiet"),
    flag("s", "squeeze-blank-lines"),
    value("p", "pattern"),
    value("P", "prompt"),
    value("x", "tabs"),
    value("j", "jump-target"),
    flag("c", "clear-screen"),
    flag("", "help"),
    flag("V", "version"),
];

/// Those of `more`, of which few have a meaning here.
const MORE: &[Opt] = &[
    flag("d", "silent"),
    flag("f", "logical"),
    flag("l", "no-pause"),
    flag("c", "print-over"),
    flag("p", "clean-print"),
    flag("e", "exit-on-eof"),
    flag("s", "squeeze-blank-lines"),
    flag("u", "plain"),
    value("n", "lines"),
    flag("0123456789", ""),
    flag("h", "help"),
    flag("V", "version"),
];

const HELP: &str = "Usage: less [OPTION]... [+COMMAND] [FILE]...

  -e, -E  quit at the end of the text (the second time, the first time)
  -F      quit if the text fits on one screen
  -i, -I  ignore case in searches (without capitals in the pattern, always)
  -N      show line numbers
  -R      show colours
  -S      cut long lines
  -X      no screen of its own
  -p PATTERN, +/PATTERN, +NUMBER, +G  begin there

Keys: j k Enter y  a line; space b f PageUp PageDown  a page; d u  half a page; g G  the beginning, the end, or a line;
      / ? n N  search; :n :p  another file; = the place; r ^L  draw again; q  quit
";

/// What the command line asks for.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option")]
pub(crate) struct Settings {
    /// It is `more`.
    pub(crate) is_more: bool,
    pub(crate) files: Vec<String>,
    pub(crate) quit_at_end: bool,
    pub(crate) quit_if_one_screen: bool,
    pub(crate) ignore_case: bool,
    pub(crate) always_ignore_case: bool,
    pub(crate) numbers: bool,
    pub(crate) raw: bool,
    pub(crate) chop: bool,
    pub(crate) no_screen: bool,
    pub(crate) pattern: Option<String>,
    /// The line to begin with, from 1 on; 0 is the end.
    pub(crate) line: Option<usize>,
}

/// Reads the command line. None if all is done; the error is a message.
pub(crate) fn read(words: &[String]) -> Result<Option<Settings>, String> {
    let more = report::program() == "more";
    let mut settings =
        Settings { is_more: more, quit_at_end: more, no_screen: more, quit_if_one_screen: more, ..Settings::default() };
    let (commands, words): (Vec<String>, Vec<String>) =
        words.iter().cloned().partition(|word| word.starts_with('+') && word.len() > 1);
    for command in commands {
        match &command[1..] {
            "G" => settings.line = Some(0),
            command => match (command.strip_prefix('/'), command.trim_end_matches('g').parse()) {
                (Some(pattern), _) => settings.pattern = Some(pattern.to_owned()),
                (None, Ok(line)) => settings.line = Some(line),
                (None, Err(_)) => return Err(format!("unknown command: +{command}")),
            },
        }
    }
    let found = options::parse(&words, if more { MORE } else { OPTIONS }, Order::Any);
    let hint = if more { "\nTry 'more --help' for more information." } else { "" };
    for word in found.map_err(|message| format!("{message}{hint}"))? {
        let found = match word {
            Word::Operand(operand) => {
                settings.files.push(operand);
                continue;
            }
            Word::Option(found) => found,
        };
        match found.id {
            "quit-at-eof" | "QUIT-AT-EOF" => settings.quit_at_end = true,
            "quit-if-one-screen" => settings.quit_if_one_screen = true,
            "ignore-case" => settings.ignore_case = true,
            "IGNORE-CASE" => settings.always_ignore_case = true,
            "LINE-NUMBERS" => settings.numbers = true,
            "line-numbers" => settings.numbers = false,
            "RAW-CONTROL-CHARS" | "raw-control-chars" => settings.raw = true,
            "chop-long-lines" => settings.chop = true,
            "no-init" => settings.no_screen = true,
            "pattern" => settings.pattern = found.value,
            // The size of the terminal is known.
            "lines" if found.text().parse::<u16>().is_err() => {
                return Err(format!("argument error: '{}'", found.text()));
            }
            "help" => {
                print!("{HELP}");
                return Ok(None);
            }
            "version" => {
                println!("less (Whelk) {}", env!("CARGO_PKG_VERSION"));
                return Ok(None);
            }
            // Others say how the prompt looks, or what is the case here.
            _ => {}
        }
    }
    Ok(Some(settings))
}
