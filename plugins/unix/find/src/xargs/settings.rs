//! The command line of `xargs`.

use unix_common::options::{self, Found, Opt, Order, Word, flag, optional, value};

use super::input::Separator;

const OPTIONS: &[Opt] = &[
    flag("0", "null"),
    value("a", "arg-file"),
    value("d", "delimiter"),
    value("E", ""),
    optional("e", "eof"),
    value("I", ""),
    optional("i", "replace"),
    value("L", ""),
    optional("l", "max-lines"),
    value("n", "max-args"),
    flag("o", "open-tty"),
    value("P", "max-procs"),
    flag("p", "interactive"),
    value("", "process-slot-var"),
    flag("r", "no-run-if-empty"),
    value("s", "max-chars"),
    flag("", "show-limits"),
    flag("t", "verbose"),
    flag("x", "exit"),
    flag("", "help"),
    flag("", "version"),
];

const HELP: &str = "Usage: xargs [OPTION]... COMMAND [INITIAL-ARGS]...
Run COMMAND with arguments INITIAL-ARGS and more arguments read from input.

  -0, --null                   items are separated by a null, not whitespace
  -a, --arg-file=FILE          read arguments from FILE, not standard input
  -d, --delimiter=CHARACTER    items in input stream are separated by CHARACTER
  -E END                       set logical EOF string
  -I R                         replace R in INITIAL-ARGS with names read from standard input
  -L MAX-LINES                 use at most MAX-LINES non-blank input lines per command line
  -n, --max-args=MAX-ARGS      use at most MAX-ARGS arguments per command line
  -o, --open-tty               reopen stdin as /dev/tty in the child process
  -P, --max-procs=MAX-PROCS    run at most MAX-PROCS processes at a time
  -p, --interactive            prompt before running commands
  -r, --no-run-if-empty        if there are no arguments, do not run COMMAND
  -s, --max-chars=MAX-CHARS    limit length of command line to MAX-CHARS
  -t, --verbose                print commands before executing them
  -x, --exit                   exit if the size (see -s) is exceeded
      --process-slot-var=VAR   set environment variable VAR in child processes
      --show-limits, --help, --version
";

/// The bytes of a command line unless `-s` says otherwise.
const LENGTH: usize = 128 << 10;

/// What the command line asks for.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option")]
pub(super) struct Settings {
    pub(super) command: Vec<String>,
    pub(super) file: Option<String>,
    pub(super) separator: Separator,
    pub(super) end: Option<String>,
    pub(super) replace: Option<String>,
    pub(super) lines: Option<usize>,
    pub(super) words: Option<usize>,
    pub(super) length: usize,
    pub(super) processes: usize,
    pub(super) open_terminal: bool,
    pub(super) asks: bool,
    pub(super) skip_empty: bool,
    pub(super) verbose: bool,
    pub(super) exits: bool,
    pub(super) slot_variable: Option<String>,
    pub(super) show_limits: bool,
}

/// What is wrong with the command line.
pub(super) enum Wrong {
    /// A message that is followed by a hint at `--help`.
    Usage(String),
    Value(String),
}

fn number(found: &Found, least: usize) -> Result<usize, Wrong> {
    let text = found.text();
    let letter = found.letter.unwrap_or(match found.id {
        "max-args" => 'n',
        "max-chars" => 's',
        "max-procs" => 'P',
        _ => 'l',
    });
    let number = text.parse::<i64>();
    let number = number.map_err(|_| Wrong::Usage(format!("invalid number \"{text}\" for -{letter} option")))?;
    let above = usize::try_from(number).ok().filter(|number| *number >= least);
    above.ok_or_else(|| Wrong::Usage(format!("value {text} for -{letter} option should be >= {least}")))
}

/// Reads the command line. None if all is done.
pub(super) fn read(words: &[String]) -> Result<Option<Settings>, Wrong> {
    let words = options::parse(words, OPTIONS, Order::OptionsFirst).map_err(Wrong::Usage)?;
    let mut settings = Settings {
        command: Vec::new(),
        file: None,
        separator: Separator::Blanks,
        end: None,
        replace: None,
        lines: None,
        words: None,
        length: LENGTH,
        processes: 1,
        open_terminal: false,
        asks: false,
        skip_empty: false,
        verbose: false,
        exits: false,
        slot_variable: None,
        show_limits: false,
    };
    for word in words {
        let found = match word {
            Word::Operand(operand) => {
                settings.command.push(operand);
                continue;
            }
            Word::Option(found) => found,
        };
        match found.id {
            "help" => {
                print!("{HELP}");
                return Ok(None);
            }
            "version" => {
                println!("xargs (Whelk) {}", env!("CARGO_PKG_VERSION"));
                return Ok(None);
            }
            _ => set(&mut settings, &found)?,
        }
    }
    if settings.command.is_empty() {
        settings.command.push("echo".to_owned());
    }
    Ok(Some(settings))
}

/// Sets what an option says. Of those that say how many arguments a command gets, the last one counts.
fn set(settings: &mut Settings, found: &Found) -> Result<(), Wrong> {
    match found.id {
        "null" => settings.separator = Separator::Byte(0),
        "arg-file" => settings.file = Some(found.text().to_owned()),
        "delimiter" => settings.separator = Separator::Byte(delimiter(found.text())?),
        "E" | "eof" => settings.end = found.value.clone().filter(|end| !end.is_empty()),
        "I" | "replace" => {
            settings.replace = Some(found.value.clone().unwrap_or_else(|| "{}".to_owned()));
            (settings.words, settings.lines) = (None, None);
        }
        "L" | "max-lines" => {
            settings.lines = Some(if found.value.is_some() { number(found, 1)? } else { 1 });
            (settings.words, settings.replace) = (None, None);
        }
        "max-args" => {
            settings.words = Some(number(found, 1)?);
            settings.lines = None;
            if settings.words != Some(1) {
                settings.replace = None;
            }
        }
        "max-procs" => settings.processes = number(found, 0)?,
        "max-chars" => settings.length = number(found, 1)?.min(LENGTH),
        "open-tty" => settings.open_terminal = true,
        "interactive" => settings.asks = true,
        "no-run-if-empty" => settings.skip_empty = true,
        "verbose" => settings.verbose = true,
        "exit" => settings.exits = true,
        "process-slot-var" => settings.slot_variable = Some(found.text().to_owned()),
        _ => settings.show_limits = true,
    }
    Ok(())
}

fn delimiter(text: &str) -> Result<u8, Wrong> {
    let wrong = || {
        Wrong::Value(format!(
            "Invalid input delimiter specification {text}: the delimiter must be either a single character or an \
             escape sequence starting with \\."
        ))
    };
    match text.as_bytes() {
        [byte] => Ok(*byte),
        [b'\\', escaped] => Ok(match escaped {
            b'a' => 7,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 11,
            b'\\' => b'\\',
            b'0'..=b'7' => escaped - b'0',
            _ => return Err(wrong()),
        }),
        [b'\\', b'x', ..] => u8::from_str_radix(&text[2..], 16).map_err(|_| wrong()),
        [b'\\', b'0', ..] => u8::from_str_radix(&text[1..], 8).map_err(|_| wrong()),
        _ => Err(wrong()),
    }
}
