//! What a program has while it runs: its variables, its record, its input.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::rc::Rc;

use unix_common::regex::{Options, Regex, Stray};
use unix_common::report;

use crate::cells::{Array, Cell};
use crate::language::ast::{Place, Program};
use crate::language::lexer::unescaped;
use crate::language::special::{
    ARGC, ARGV, CONVFMT, ENVIRON, FIELDWIDTHS, FILENAME, FNR, FPAT, FS, IGNORECASE, NF, NR, OFMT, OFS, ORS, RS, RT,
    SUBSEP,
};
use crate::record::{Record, Splitter};
use crate::streams::{self, Reader, Separator, Streams};
use crate::value::Value;

/// Why a program does not simply go on.
#[derive(Debug)]
pub(crate) enum Stop {
    /// An error, as a message.
    Fatal(String),
    Next,
    NextFile,
    Exit,
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Fatal(report::words(&error))
    }
}

pub(crate) type Outcome<T> = Result<T, Stop>;

/// A program that runs.
pub(crate) struct Machine<'p> {
    pub(crate) program: &'p Program,
    globals: Vec<Cell>,
    /// The parameters of the functions that run, the innermost last.
    pub(crate) locals: Vec<Vec<Cell>>,
    pub(crate) record: Record,
    splitter: Splitter,
    separator: Separator,
    pub(crate) streams: Streams,
    patterns: HashMap<(String, bool), Rc<Regex>>,
    /// Which ranges are open.
    pub(crate) ranges: Vec<bool>,
    pub(crate) status: u8,
    pub(crate) random: u64,
    pub(crate) seed: f64,
    input: Option<Reader>,
    /// Words of ARGV that were not used, by their numbers.
    arguments: VecDeque<usize>,
    used_file: bool,
    /// Whether an input file could not be read.
    pub(crate) failed: bool,
    /// Whether the main input has begun another file since this was last asked.
    pub(crate) file_changed: bool,
    number_records: f64,
    number_in_file: f64,
}

impl<'p> Machine<'p> {
    pub(crate) fn new(program: &'p Program, arguments: &[String]) -> Self {
        let mut globals = vec![Cell::Unset; program.globals.len()];
        let mut set = |number: usize, text: &[u8]| globals[number] = Cell::Value(Value::text(text));
        for (number, text) in [
            (FS, &b" "[..]),
            (OFS, b" "),
            (ORS, b"\n"),
            (RS, b"\n"),
            (SUBSEP, b"\x1c"),
            (CONVFMT, b"%.6g"),
            (OFMT, b"%.6g"),
        ] {
            set(number, text);
        }
        let array = |pairs: Vec<(String, String)>| {
            let elements =
                pairs.into_iter().map(|(index, text)| (Rc::from(index.as_bytes()), Value::input(text.as_bytes())));
            Cell::Array(Rc::new(RefCell::new(elements.collect())))
        };
        globals[IGNORECASE] = Cell::Value(Value::Number(0.0));
        globals[ENVIRON] = array(std::env::vars().collect());
        let words = [report::program()].into_iter().chain(arguments.iter().cloned());
        globals[ARGV] = array(words.enumerate().map(|(number, word)| (number.to_string(), word)).collect());
        globals[ARGC] = Cell::Value(Value::Number(arguments.len() as f64 + 1.0));
        Self {
            program,
            globals,
            locals: Vec::new(),
            record: Record::default(),
            splitter: Splitter::Blanks,
            separator: Separator::Byte(b'\n'),
            streams: Streams::new(),
            patterns: HashMap::new(),
            ranges: vec![false; program.ranges],
            status: 0,
            random: 0,
            seed: 0.0,
            input: None,
            arguments: VecDeque::new(),
            used_file: false,
            failed: false,
            file_changed: false,
            number_records: 0.0,
            number_in_file: 0.0,
        }
    }

    fn cell(&mut self, place: Place) -> &mut Cell {
        match place {
            Place::Global(number) => &mut self.globals[number],
            Place::Local(number) => match self.locals.last_mut() {
                Some(frame) => &mut frame[number],
                None => &mut self.globals[number],
            },
        }
    }

    fn name(&self, place: Place) -> String {
        match place {
            Place::Global(number) => self.program.globals[number].clone(),
            Place::Local(number) => format!("parameter {}", number + 1),
        }
    }

    pub(crate) fn array(&mut self, place: Place) -> Outcome<Array> {
        let array = self.cell(place).array();
        array.ok_or_else(|| Stop::Fatal(format!("attempt to use scalar `{}' as an array", self.name(place))))
    }

    pub(crate) fn take_cell(&mut self, place: Place) -> Cell {
        self.cell(place).clone()
    }

    pub(crate) fn set_cell(&mut self, place: Place, to: Cell) {
        *self.cell(place) = to;
    }

    pub(crate) fn variable(&mut self, place: Place) -> Outcome<Value> {
        match place {
            Place::Global(NF) => {
                self.split_record();
                return Ok(Value::Number(self.record.count() as f64));
            }
            Place::Global(NR) => return Ok(Value::Number(self.number_records)),
            Place::Global(FNR) => return Ok(Value::Number(self.number_in_file)),
            _ => {}
        }
        let value = self.cell(place).value();
        value.ok_or_else(|| Stop::Fatal(format!("attempt to use array `{}' in a scalar context", self.name(place))))
    }

    pub(crate) fn set_variable(&mut self, place: Place, value: Value) -> Outcome<()> {
        if matches!(self.cell(place), Cell::Array(_)) {
            let name = self.name(place);
            return Err(Stop::Fatal(format!("attempt to use array `{name}' in a scalar context")));
        }
        match place {
            Place::Global(NF) => {
                self.split_record();
                let count = value.number();
                if count < 0.0 || !self.record.set_count(count as usize) {
                    return Err(Stop::Fatal("NF set to negative value".to_owned()));
                }
            }
            Place::Global(NR) => self.number_records = value.number(),
            Place::Global(FNR) => self.number_in_file = value.number(),
            _ => {}
        }
        *self.cell(place) = Cell::Value(value);
        match place {
            Place::Global(special @ (FS | FPAT | FIELDWIDTHS)) => self.choose_splitter(special)?,
            Place::Global(RS) => self.choose_separator()?,
            Place::Global(IGNORECASE) => {
                self.choose_splitter(FS)?;
                self.choose_separator()?;
            }
            _ => {}
        }
        Ok(())
    }

    /// The text of a global variable.
    pub(crate) fn special(&self, number: usize) -> Rc<[u8]> {
        self.globals[number].value().unwrap_or_default().bytes(b"%.6g")
    }

    pub(crate) fn set_special(&mut self, number: usize, value: Value) {
        self.globals[number] = Cell::Value(value);
    }

    pub(crate) fn global_array(&mut self, number: usize) -> Option<Array> {
        self.globals[number].array()
    }

    /// A compiled pattern.
    pub(crate) fn pattern(&mut self, text: &str) -> Outcome<Rc<Regex>> {
        let ignore_case = self.globals[IGNORECASE].value().is_some_and(|value| value.is_true());
        let key = (text.to_owned(), ignore_case);
        if let Some(regex) = self.patterns.get(&key) {
            return Ok(Rc::clone(regex));
        }
        let options = Options {
            extended: true,
            ignore_case,
            escapes: true,
            bracket_escapes: true,
            stray: Stray::Literal,
            ..Options::default()
        };
        let regex = Regex::new(&text.replace("\\y", "\\b"), options);
        let regex = Rc::new(regex.map_err(|error| Stop::Fatal(format!("invalid regexp: {error}: /{text}/")))?);
        self.patterns.insert(key, Rc::clone(&regex));
        Ok(regex)
    }

    /// How a text such as FS splits.
    pub(crate) fn splitter_of(&mut self, separator: &[u8]) -> Outcome<Splitter> {
        Ok(match separator {
            b" " => Splitter::Blanks,
            b"" => Splitter::Characters,
            b"\t" => Splitter::Byte(b'\t'),
            [byte] if *byte != b'\\' && !byte.is_ascii_alphabetic() && byte.is_ascii() => Splitter::Byte(*byte),
            [byte] if byte.is_ascii_alphabetic() && !self.ignores_case() => Splitter::Byte(*byte),
            b"\\" => Splitter::Byte(b'\\'),
            pattern => Splitter::Pattern(self.pattern(&String::from_utf8_lossy(pattern))?),
        })
    }

    fn ignores_case(&self) -> bool {
        self.globals[IGNORECASE].value().is_some_and(|value| value.is_true())
    }

    fn choose_splitter(&mut self, changed: usize) -> Outcome<()> {
        let text = self.special(changed);
        self.splitter = match changed {
            FPAT => Splitter::Contents(self.pattern(&String::from_utf8_lossy(&text))?),
            FIELDWIDTHS => {
                let text = String::from_utf8_lossy(&text).into_owned();
                let widths =
                    text.split_whitespace().map(|width| if width == "*" { Ok(usize::MAX) } else { width.parse() });
                let widths = widths.collect::<Result<_, _>>();
                Splitter::Widths(widths.map_err(|_| Stop::Fatal(format!("invalid FIELDWIDTHS value, near `{text}'")))?)
            }
            _ if matches!(self.separator, Separator::Paragraph) && &*text != b" " => {
                // Where records are paragraphs a newline separates fields, too.
                let single = matches!(&*text, [byte] if b".[]()*+?{}|^$\\".contains(byte));
                let escape = if single { "\\" } else { "" };
                let pattern = format!("({escape}{})|\n", String::from_utf8_lossy(&text));
                Splitter::Pattern(self.pattern(&pattern)?)
            }
            _ => self.splitter_of(&text)?,
        };
        Ok(())
    }

    fn choose_separator(&mut self) -> Outcome<()> {
        let text = self.special(RS);
        self.separator = match &*text {
            b"" => Separator::Paragraph,
            [byte] => Separator::Byte(*byte),
            pattern => Separator::Pattern(self.pattern(&String::from_utf8_lossy(pattern))?),
        };
        self.choose_splitter(FS)
    }

    pub(crate) fn split_record(&mut self) {
        self.record.split(&self.splitter);
    }

    pub(crate) fn separator(&self) -> Separator {
        self.separator.clone()
    }

    /// Makes a text the record.
    pub(crate) fn set_record(&mut self, text: Vec<u8>) {
        self.record.set(text);
    }

    /// Counts a record that was read.
    pub(crate) fn count_record(&mut self) {
        self.number_records += 1.0;
        self.number_in_file += 1.0;
    }

    /// Assigns a word of the command line, `NAME=VALUE`. False if it is none.
    pub(crate) fn assign_word(&mut self, word: &str) -> Outcome<bool> {
        let Some((name, value)) = word.split_once('=') else {
            return Ok(false);
        };
        let mut letters = name.chars();
        let begins = letters.next().is_some_and(|letter| letter.is_ascii_alphabetic() || letter == '_');
        if !begins || !letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_') {
            return Ok(false);
        }
        // A variable that the program does not use needs no value.
        if let Some(number) = self.program.globals.iter().position(|global| global == name) {
            self.set_variable(Place::Global(number), Value::input(&unescaped(value)))?;
        }
        Ok(true)
    }

    /// Reads the next record of the main input. None at its end.
    pub(crate) fn next_record(&mut self) -> Outcome<Option<Vec<u8>>> {
        loop {
            if self.input.is_none() && !self.open_next()? {
                return Ok(None);
            }
            let separator = self.separator.clone();
            let Some(reader) = &mut self.input else {
                return Ok(None);
            };
            match reader.record(&separator) {
                Ok(Some((text, ended))) => {
                    self.count_record();
                    self.globals[RT] = Cell::Value(Value::text(&ended));
                    return Ok(Some(text));
                }
                Ok(None) => return Ok(self.end_file()),
                Err(error) => {
                    let name = String::from_utf8_lossy(&self.special(FILENAME)).into_owned();
                    self.failed = true;
                    report::error(&format!("error reading input file `{name}': {}", report::words(&error)));
                    self.input = None;
                }
            }
        }
    }

    /// The end of a file: what is to be done between two files is the caller's.
    fn end_file(&mut self) -> Option<Vec<u8>> {
        self.input = None;
        self.file_changed = true;
        None
    }

    /// Whether there is another file. Opens it.
    pub(crate) fn open_next(&mut self) -> Outcome<bool> {
        if self.input.is_some() {
            return Ok(true);
        }
        let first = usize::from(!self.used_file && self.arguments.is_empty());
        let next = self.arguments.pop_front().unwrap_or(first.max(1));
        let mut number = next;
        loop {
            let count = self.globals[ARGC].value().unwrap_or_default().number();
            if number as f64 >= count {
                self.arguments = VecDeque::from([number]);
                if self.used_file {
                    return Ok(false);
                }
                self.used_file = true;
                self.input = Some(Reader::new(streams::open("-")?));
                self.number_in_file = 0.0;
                return Ok(true);
            }
            let word =
                self.global_array(ARGV).and_then(|argv| argv.borrow().get(number.to_string().as_bytes()).cloned());
            let word = word.map(|word| String::from_utf8_lossy(&word.bytes(b"%.6g")).into_owned()).unwrap_or_default();
            number += 1;
            self.arguments = VecDeque::from([number]);
            if word.is_empty() || self.assign_word(&word)? {
                continue;
            }
            self.used_file = true;
            if std::fs::metadata(&word).is_ok_and(|found| found.is_dir()) {
                report::error(&format!("warning: command line argument `{word}' is a directory: skipped"));
                continue;
            }
            match streams::open(&word) {
                Ok(reader) => {
                    self.input = Some(Reader::new(reader));
                    self.number_in_file = 0.0;
                    self.globals[FILENAME] = Cell::Value(Value::input(word.as_bytes()));
                    return Ok(true);
                }
                Err(error) => {
                    let error = report::words(&error);
                    return Err(Stop::Fatal(format!("fatal: cannot open file `{word}' for reading: {error}")));
                }
            }
        }
    }

    /// Leaves the file that is read.
    pub(crate) fn skip_file(&mut self) {
        self.input = None;
    }
}
