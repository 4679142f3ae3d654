//! The command line of `find`.

mod values;

use std::cell::RefCell;
use std::fs;
use std::io::{self, IsTerminal};
use std::iter::Peekable;
use std::rc::Rc;
use std::slice::Iter;
use std::time::SystemTime;

use unix_common::regex::{Options, Regex};
use unix_common::report;
use unix_common::time::Moment;

use crate::command::Batch;
use crate::compare::Stamp;
use crate::expression::{Expression, Settings};
use crate::files::stamp_of;
use crate::print::{self, Sink};
use values::{compared, date, mode, size, stamp, types};

const HELP: &str = "Usage: find [-H] [-L] [-P] [path...] [expression]

Default path is the current directory; default expression is -print.
Operators (decreasing precedence): ( EXPR )  ! EXPR  -not EXPR  EXPR1 -a EXPR2  EXPR1 -and EXPR2  EXPR1 -o EXPR2
      EXPR1 -or EXPR2  EXPR1 , EXPR2
Options: -daystart -depth -follow -maxdepth LEVELS -mindepth LEVELS -mount -xdev -regextype TYPE
      -ignore_readdir_race -noignore_readdir_race -noleaf -warn -nowarn
Tests (N can be +N or -N or N): -amin N -anewer FILE -atime N -cmin N -cnewer FILE -ctime N -empty -false
      -ilname PATTERN -iname PATTERN -ipath PATTERN -iregex PATTERN -iwholename PATTERN -lname PATTERN -mmin N -mtime N
      -name PATTERN -newer FILE -newerXY FILE -path PATTERN -perm [-/]MODE -regex PATTERN -readable -writable
      -executable -samefile FILE -size N[bcwkMG] -true -type [bcdpflsD] -wholename PATTERN -xtype [bcdpfls]
Actions: -delete -print0 -printf FORMAT -fprintf FILE FORMAT -print -fprint0 FILE -fprint FILE -ls -fls FILE -prune
      -quit -exec COMMAND ; -exec COMMAND {} + -ok COMMAND ; -execdir COMMAND ; -execdir COMMAND {} + -okdir COMMAND ;
";

const REGEX_TYPES: [&str; 13] = [
    "findutils-default",
    "ed",
    "emacs",
    "gnu-awk",
    "grep",
    "posix-awk",
    "awk",
    "posix-basic",
    "posix-egrep",
    "egrep",
    "posix-extended",
    "posix-minimal-basic",
    "sed",
];

/// What the command line asks for.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) settings: Settings,
    pub(crate) expression: Expression,
    pub(crate) sinks: Vec<Rc<Sink>>,
    pub(crate) batches: Vec<Rc<RefCell<Batch>>>,
    /// When the search began.
    pub(crate) now: Moment,
}

/// What to do.
pub(crate) enum Asked {
    Search(Box<Parsed>),
    Text(String),
}

/// Reads the command line. The error is a message without the program's name.
pub(crate) fn parse(words: &[String]) -> Result<Asked, String> {
    let mut settings = Settings {
        paths: Vec::new(),
        follow: false,
        follow_first: false,
        least_depth: 0,
        most_depth: usize::MAX,
        depth_first: false,
        ignore_races: false,
    };
    let mut words = words.iter().peekable();
    while let Some(word) = words.peek() {
        match word.as_str() {
            "-H" => (settings.follow, settings.follow_first) = (false, true),
            "-L" => settings.follow = true,
            "-P" => (settings.follow, settings.follow_first) = (false, false),
            _ => break,
        }
        words.next();
    }
    let begins = |word: &str| word.len() > 1 && word.starts_with('-') || matches!(word, "(" | "!" | ")" | ",");
    while let Some(path) = words.next_if(|word| !begins(word)) {
        settings.paths.push(path.clone());
    }
    if settings.paths.is_empty() {
        settings.paths.push(".".to_owned());
    }
    let standard = Rc::new(Sink::standard());
    let mut parser = Parser {
        words,
        sinks: vec![Rc::clone(&standard)],
        batches: Vec::new(),
        standard,
        acts: false,
        regex_options: Options::default(),
        day_start: false,
        tested: None,
        settings,
        now: Moment::from(SystemTime::now()),
        help: false,
    };
    let expression = if parser.words.peek().is_none() { Expression::Always(true) } else { parser.list()? };
    if parser.help {
        return Ok(Asked::Text(HELP.to_owned()));
    }
    if let Some(word) = parser.words.next() {
        return Err(match word.as_str() {
            ")" => "you have too many ')'".to_owned(),
            other => format!("paths must precede expression: `{other}'"),
        });
    }
    let expression = if parser.acts {
        expression
    } else {
        let print = Expression::Print(Rc::clone(&parser.standard), '\n');
        Expression::And(Box::new(expression), Box::new(print))
    };
    let Parser { sinks, batches, settings, now, .. } = parser;
    Ok(Asked::Search(Box::new(Parsed { settings, expression, sinks, batches, now })))
}

struct Parser<'a> {
    words: Peekable<Iter<'a, String>>,
    sinks: Vec<Rc<Sink>>,
    batches: Vec<Rc<RefCell<Batch>>>,
    standard: Rc<Sink>,
    /// Whether anything but `-prune` and `-quit` acts: otherwise the files are printed.
    acts: bool,
    regex_options: Options,
    day_start: bool,
    /// The first test: options after it are warned of.
    tested: Option<String>,
    settings: Settings,
    now: Moment,
    help: bool,
}

impl Parser<'_> {
    fn list(&mut self) -> Result<Expression, String> {
        let mut left = self.or()?;
        while self.words.next_if(|word| *word == ",").is_some() {
            let right = self.operand(",", Self::or)?;
            left = Expression::List(Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    fn or(&mut self) -> Result<Expression, String> {
        let mut left = self.and()?;
        while let Some(operator) = self.words.next_if(|word| matches!(word.as_str(), "-o" | "-or")) {
            let right = self.operand(operator, Self::and)?;
            left = Expression::Or(Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Expression, String> {
        let mut left = self.not()?;
        loop {
            let ends = |word: &&String| matches!(word.as_str(), "-o" | "-or" | "," | ")");
            if self.words.peek().is_none_or(ends) {
                return Ok(left);
            }
            let operator = self.words.next_if(|word| matches!(word.as_str(), "-a" | "-and"));
            let right = match operator {
                Some(operator) => self.operand(operator, Self::not)?,
                None => self.not()?,
            };
            left = Expression::And(Box::new(left), Box::new(right));
        }
    }

    /// What comes after an operator.
    fn operand(
        &mut self,
        operator: &str,
        next: impl Fn(&mut Self) -> Result<Expression, String>,
    ) -> Result<Expression, String> {
        match self.words.peek() {
            None => Err(format!("expected an expression after '{operator}'")),
            Some(word) if *word == ")" => Err(format!("expected an expression between '{operator}' and ')'")),
            Some(_) => next(self),
        }
    }

    fn not(&mut self) -> Result<Expression, String> {
        let Some(word) = self.words.next() else {
            return Err("expected an expression".to_owned());
        };
        match word.as_str() {
            "!" | "-not" => self.operand(word, Self::not).map(|inner| Expression::Not(Box::new(inner))),
            "(" => {
                if self.words.peek().is_some_and(|word| *word == ")") {
                    return Err("invalid expression; empty parentheses are not allowed.".to_owned());
                }
                let missing = "invalid expression; I was expecting to find a ')' somewhere but did not see one.";
                if self.words.peek().is_none() {
                    return Err(missing.to_owned());
                }
                let inner = self.list()?;
                self.words.next_if(|word| *word == ")").map(|_| inner).ok_or_else(|| missing.to_owned())
            }
            ")" => Err("invalid expression; you have used too many ')'.".to_owned()),
            "-o" | "-or" | "-a" | "-and" | "," => {
                Err(format!("invalid expression; you have used a binary operator '{word}' with nothing before it."))
            }
            other => self.primary(other),
        }
    }

    fn argument(&mut self, name: &str) -> Result<String, String> {
        self.words.next().cloned().ok_or_else(|| format!("missing argument to `{name}'"))
    }

    fn primary(&mut self, name: &str) -> Result<Expression, String> {
        if !name.starts_with('-') {
            return Err(format!("paths must precede expression: `{name}'"));
        }
        if let Some(option) = self.option(name)? {
            return Ok(option);
        }
        if let Some(action) = self.action(name)? {
            return Ok(action);
        }
        self.tested.get_or_insert_with(|| name.to_owned());
        let ignore_case = name.starts_with("-i");
        Ok(match name {
            "-true" => Expression::Always(true),
            "-false" => Expression::Always(false),
            "-name" | "-iname" => Expression::Name { pattern: self.argument(name)?, ignore_case },
            "-path" | "-ipath" | "-wholename" | "-iwholename" => {
                Expression::Path { pattern: self.argument(name)?, ignore_case }
            }
            "-lname" | "-ilname" => Expression::LinkName { pattern: self.argument(name)?, ignore_case },
            "-regex" | "-iregex" => {
                let pattern = self.argument(name)?;
                let options = Options { ignore_case, ..self.regex_options };
                let regex = Regex::new(&pattern, options)
                    .map_err(|error| format!("failed to compile regular expression '{pattern}': {error}"))?;
                Expression::Regex(Box::new(regex))
            }
            "-type" | "-xtype" => {
                let letters = types(name, &self.argument(name)?)?;
                Expression::Type { letters, follows: name == "-xtype" }
            }
            "-size" => size(&self.argument(name)?)?,
            "-empty" => Expression::Empty,
            "-newer" | "-anewer" | "-cnewer" => {
                let stamp =
                    if name == "-newer" { Stamp::Modified } else { stamp(&name[1..2]).unwrap_or(Stamp::Modified) };
                let file = self.argument(name)?;
                Expression::Newer(stamp, self.stamp_of_file(&file, Stamp::Modified)?)
            }
            "-mtime" | "-atime" | "-ctime" | "-mmin" | "-amin" | "-cmin" => {
                let text = self.argument(name)?;
                let age = compared(&text).ok_or_else(|| format!("invalid argument `{text}' to `{name}'"))?;
                let unit = if name.ends_with("min") { 60 } else { 86_400 };
                Expression::Age { stamp: stamp(&name[1..2]).unwrap_or(Stamp::Modified), age, unit }
            }
            "-perm" => mode(&self.argument(name)?)?,
            "-readable" | "-writable" => Expression::Access { executable: false },
            "-executable" => Expression::Access { executable: true },
            "-samefile" => {
                let file = self.argument(name)?;
                self.stamp_of_file(&file, Stamp::Modified)?;
                Expression::Same(file)
            }
            _ => match name.strip_prefix("-newer").filter(|kinds| kinds.len() == 2) {
                Some(kinds) => self.newer(name, kinds)?,
                None => return Err(unknown(name)),
            },
        })
    }

    /// Options hold for the whole search, and are true.
    fn option(&mut self, name: &str) -> Result<Option<Expression>, String> {
        match name {
            "-maxdepth" | "-mindepth" => {
                let text = self.argument(name)?;
                let depth = text.parse().map_err(|_| {
                    let quoted = report::quoted(&text);
                    format!("Expected a positive decimal integer argument to {name}, but got {quoted}")
                })?;
                if name == "-maxdepth" { self.settings.most_depth = depth } else { self.settings.least_depth = depth }
            }
            "-depth" | "-d" => self.settings.depth_first = true,
            "-follow" => self.settings.follow = true,
            "-ignore_readdir_race" => self.settings.ignore_races = true,
            "-noignore_readdir_race" => self.settings.ignore_races = false,
            "-daystart" => {
                if !self.day_start {
                    self.day_start = true;
                    let end = self.now.seconds.div_euclid(86_400) * 86_400 + 86_400;
                    self.now = Moment { seconds: end, nanoseconds: 0 };
                }
                return Ok(Some(Expression::Always(true)));
            }
            "-regextype" => {
                let kind = self.argument(name)?;
                self.regex_options.extended = match kind.as_str() {
                    "findutils-default" | "emacs" | "ed" | "grep" | "posix-basic" | "sed" | "posix-minimal-basic" => {
                        false
                    }
                    "gnu-awk" | "posix-awk" | "awk" | "posix-egrep" | "egrep" | "posix-extended" => true,
                    _ => {
                        let types = REGEX_TYPES.map(report::quoted).join(", ");
                        let kind = report::quoted(&kind);
                        return Err(format!("Unknown regular expression type {kind}; valid types are {types}."));
                    }
                };
                return Ok(Some(Expression::Always(true)));
            }
            "-mount" | "-xdev" | "-noleaf" | "-warn" | "-nowarn" => return Ok(Some(Expression::Always(true))),
            "-help" | "--help" => {
                self.help = true;
                return Ok(Some(Expression::Always(true)));
            }
            "-version" | "--version" => {
                println!("find (Whelk) {}", env!("CARGO_PKG_VERSION"));
                std::process::exit(0);
            }
            _ => return Ok(None),
        }
        if let Some(test) = &self.tested
            && io::stdin().is_terminal()
        {
            report::error(&format!(
                "warning: you have specified the global option {name} after the argument {test}, but global options \
                 are not positional, i.e., {name} affects tests specified before it as well as those specified after it.  \
                 Please specify global options before other arguments."
            ));
        }
        Ok(Some(Expression::Always(true)))
    }

    fn sink(&mut self, name: &str) -> Result<Rc<Sink>, String> {
        let file = self.argument(name)?;
        let sink =
            Sink::file(&file).map_err(|error| format!("{}: {}", report::quoted(&file), report::words(&error)))?;
        let sink = Rc::new(sink);
        self.sinks.push(Rc::clone(&sink));
        Ok(sink)
    }

    fn action(&mut self, name: &str) -> Result<Option<Expression>, String> {
        let standard = Rc::clone(&self.standard);
        let action = match name {
            "-prune" => return Ok(Some(Expression::Prune)),
            "-quit" => return Ok(Some(Expression::Quit)),
            "-delete" => {
                self.settings.depth_first = true;
                Expression::Delete
            }
            "-print" => Expression::Print(standard, '\n'),
            "-print0" => Expression::Print(standard, '\0'),
            "-fprint" => Expression::Print(self.sink(name)?, '\n'),
            "-fprint0" => Expression::Print(self.sink(name)?, '\0'),
            "-printf" | "-fprintf" => {
                let sink = if name == "-printf" { standard } else { self.sink(name)? };
                let format = self.argument(name)?;
                let mut warn = |message: String| report::error(&format!("warning: {message}"));
                Expression::Format(sink, print::format(&format, &mut warn))
            }
            "-ls" => Expression::LongLine(standard),
            "-fls" => Expression::LongLine(self.sink(name)?),
            "-exec" | "-execdir" | "-ok" | "-okdir" => self.command(name)?,
            _ => return Ok(None),
        };
        self.acts = true;
        self.tested.get_or_insert_with(|| name.to_owned());
        Ok(Some(action))
    }

    fn command(&mut self, name: &str) -> Result<Expression, String> {
        let (asks, in_folder) = (name.starts_with("-ok"), name.ends_with("dir"));
        let mut words: Vec<String> = Vec::new();
        let missing = || format!("missing argument to `{name}'");
        loop {
            let word = self.words.next().ok_or_else(missing)?;
            match word.as_str() {
                ";" if words.is_empty() => return Err(missing()),
                ";" => return Ok(Expression::Execute { words, in_folder, asks }),
                "+" if !asks && words.last().is_some_and(|last| last == "{}") => {
                    words.pop();
                    if words.is_empty() {
                        return Err(missing());
                    }
                    if words.iter().any(|word| word.contains("{}")) {
                        return Err(format!("Only one instance of {{}} is supported with {name} ... +"));
                    }
                    let batch = Rc::new(RefCell::new(Batch::new(words, in_folder)));
                    self.batches.push(Rc::clone(&batch));
                    return Ok(Expression::Batch(batch));
                }
                word => words.push(word.to_owned()),
            }
        }
    }

    fn stamp_of_file(&self, file: &str, which: Stamp) -> Result<Moment, String> {
        let found = fs::metadata(file).or_else(|_| fs::symlink_metadata(file));
        let found = found.map_err(|error| format!("{}: {}", report::quoted(file), report::words(&error)))?;
        Ok(stamp_of(&found, which))
    }

    fn newer(&mut self, name: &str, kinds: &str) -> Result<Expression, String> {
        let (ours, theirs) = kinds.split_at(1);
        let ours = stamp(ours).ok_or_else(|| format!("unknown predicate `{name}'"))?;
        let text = self.argument(name)?;
        let than = match theirs {
            "t" => date(&text).ok_or_else(|| {
                format!("I cannot figure out how to interpret {} as a date or time", report::quoted(&text))
            })?,
            kind => {
                let kind = stamp(kind).ok_or_else(|| format!("unknown predicate `{name}'"))?;
                self.stamp_of_file(&text, kind)?
            }
        };
        Ok(Expression::Newer(ours, than))
    }
}

/// What is wrong with a test that is not known.
fn unknown(name: &str) -> String {
    let of_system = ["-user", "-group", "-uid", "-gid", "-nouser", "-nogroup", "-links", "-inum", "-fstype"];
    if of_system.contains(&name) {
        return format!("{name} is not available here: files have no owners and no inode numbers");
    }
    format!("unknown predicate `{name}'")
}
