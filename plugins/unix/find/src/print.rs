//! What `-print` and its like print, and where.

use std::cell::RefCell;
use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::iter::Peekable;
use std::str::Chars;

use unix_common::time::Moment;

use crate::compare::Stamp;
use crate::files::Found;

/// Standard output, or a file.
pub(crate) struct Sink {
    out: RefCell<Box<dyn Write>>,
    immediate: bool,
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sink").finish_non_exhaustive()
    }
}

impl Sink {
    pub(crate) fn standard() -> Self {
        let out = RefCell::new(Box::new(BufWriter::with_capacity(1 << 16, io::stdout())) as Box<dyn Write>);
        Self { out, immediate: io::stdout().is_terminal() }
    }

    pub(crate) fn file(name: &str) -> io::Result<Self> {
        let out: Box<dyn Write> = match name {
            "/dev/stderr" => Box::new(io::stderr()),
            "/dev/stdout" => Box::new(io::stdout()),
            name => Box::new(BufWriter::new(File::create(name)?)),
        };
        Ok(Self { out: RefCell::new(out), immediate: name.starts_with("/dev/") })
    }

    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let mut out = self.out.borrow_mut();
        out.write_all(bytes)?;
        if self.immediate { out.flush() } else { Ok(()) }
    }

    pub(crate) fn flush(&self) -> io::Result<()> {
        self.out.borrow_mut().flush()
    }
}

/// A part of the format of `-printf`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Format {
    Text(String),
    /// A letter with flags and width; for `A`, `C` and `T` the letter of the time's part.
    Directive {
        letter: char,
        part: Option<char>,
        left: bool,
        zero: bool,
        width: usize,
    },
    /// `\c`: nothing more, and the output is written at once.
    Stop,
}

/// Takes a format apart. What is wrong with it is a warning.
pub(crate) fn format(text: &str, warn: &mut dyn FnMut(String)) -> Vec<Format> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '\\' if rest.next_if_eq(&'c').is_some() => {
                parts.extend([Format::Text(literal), Format::Stop]);
                return parts;
            }
            '\\' => escape(&mut rest, &mut literal, warn),
            '%' => match directive_of(&mut rest) {
                Ok(directive) => parts.extend([Format::Text(std::mem::take(&mut literal)), directive]),
                Err(written) => {
                    if let Some(letter) = written.chars().last().filter(|letter| *letter != '%') {
                        warn(format!("unrecognized format directive `%{letter}'"));
                    }
                    literal.push_str(&written);
                }
            },
            other => literal.push(other),
        }
    }
    parts.push(Format::Text(literal));
    parts
}

/// What a backslash stands for.
fn escape(rest: &mut Peekable<Chars<'_>>, literal: &mut String, warn: &mut dyn FnMut(String)) {
    let mut octal = String::new();
    while octal.len() < 3
        && let Some(digit) = rest.next_if(|digit| ('0'..='7').contains(digit))
    {
        octal.push(digit);
    }
    if !octal.is_empty() {
        literal.push(char::from(u32::from_str_radix(&octal, 8).unwrap_or_default().to_le_bytes()[0]));
        return;
    }
    match rest.next() {
        Some('a') => literal.push('\u{7}'),
        Some('b') => literal.push('\u{8}'),
        Some('f') => literal.push('\u{c}'),
        Some('n') => literal.push('\n'),
        Some('r') => literal.push('\r'),
        Some('t') => literal.push('\t'),
        Some('v') => literal.push('\u{b}'),
        Some('\\') | None => literal.push('\\'),
        Some(other) => {
            warn(format!("unrecognized escape `\\{other}'"));
            literal.extend(['\\', other]);
        }
    }
}

/// A directive after its `%`; what is written instead, if there is no such directive: `%` alone for `%%`.
fn directive_of(rest: &mut Peekable<Chars<'_>>) -> Result<Format, String> {
    let mut written = String::from("%");
    let (mut left, mut zero) = (false, false);
    while let Some(flag) = rest.next_if(|flag| matches!(flag, '-' | '0' | '#' | '+' | ' ')) {
        left |= flag == '-';
        zero |= flag == '0';
        written.push(flag);
    }
    let mut digits = String::new();
    while let Some(digit) = rest.next_if(char::is_ascii_digit) {
        digits.push(digit);
    }
    written.push_str(&digits);
    let width = digits.parse().unwrap_or_default();
    let Some(letter) = rest.next() else {
        return Err(written);
    };
    if letter == '%' {
        return Err("%".to_owned());
    }
    let part = if matches!(letter, 'A' | 'C' | 'T') { rest.next() } else { None };
    if !"ACTpfhPHdsbkDFgGilmMnStcauUyY".contains(letter) {
        written.push(letter);
        return Err(written);
    }
    Ok(Format::Directive { letter, part, left, zero, width })
}

/// The text of `-printf` for a file, and whether the output is to be written at once.
pub(crate) fn formatted(parts: &[Format], found: &Found, followed: bool) -> (String, bool) {
    let mut text = String::new();
    for part in parts {
        match part {
            Format::Text(literal) => text.push_str(literal),
            Format::Stop => return (text, true),
            Format::Directive { letter, part, left, zero, width } => {
                let value = directive(*letter, *part, found, followed);
                let fill = width.saturating_sub(value.chars().count());
                match (left, zero) {
                    (true, _) => text.extend([value.as_str(), &" ".repeat(fill)]),
                    (false, true) => text.extend([&*"0".repeat(fill), &value]),
                    (false, false) => text.extend([&*" ".repeat(fill), &value]),
                }
            }
        }
    }
    (text, false)
}

fn directive(letter: char, part: Option<char>, found: &Found, followed: bool) -> String {
    let size = found.metadata.len();
    match letter {
        'p' => found.text(),
        'f' => found.name(),
        'h' => found.folder(),
        'P' => found.below(),
        'H' => found.start.clone(),
        'd' => found.depth.to_string(),
        's' => size.to_string(),
        // WASI does not tell the blocks of a file: those of 4 KiB that its size needs.
        'b' => (size.div_ceil(4096) * 8).to_string(),
        'k' => (size.div_ceil(4096) * 4).to_string(),
        'l' => found.link().unwrap_or_default().to_owned(),
        'm' => format!("{:o}", Found::mode()),
        'M' => found.mode_text(),
        'y' => found.letter().to_string(),
        'Y' => match found.letter() {
            'l' if !followed => std::fs::metadata(&found.path).map_or_else(
                |error| if error.kind() == io::ErrorKind::NotFound { "N".to_owned() } else { "?".to_owned() },
                |_| found.other_letter(false).to_string(),
            ),
            letter => letter.to_string(),
        },
        'a' => long_time(found.stamp(Stamp::Accessed)),
        'c' => long_time(found.stamp(Stamp::Changed)),
        't' => long_time(found.stamp(Stamp::Modified)),
        'A' => part_of(found.stamp(Stamp::Accessed), part),
        'C' => part_of(found.stamp(Stamp::Changed), part),
        'T' => part_of(found.stamp(Stamp::Modified), part),
        // Nobody owns files here, and their system has neither numbers nor names.
        'n' => "1".to_owned(),
        'u' | 'g' => "user".to_owned(),
        _ => "0".to_owned(),
    }
}

fn long_time(moment: Moment) -> String {
    format!("{}.{:09}0 {}", moment.format("%a %b %e %H:%M:%S"), moment.nanoseconds, moment.format("%Y"))
}

fn part_of(moment: Moment, part: Option<char>) -> String {
    match part {
        Some('@') => format!("{}.{:09}0", moment.seconds, moment.nanoseconds),
        Some('+') => format!("{}.{:09}0", moment.format("%Y-%m-%d+%H:%M:%S"), moment.nanoseconds),
        Some('S') => format!("{}.{:09}0", moment.format("%S"), moment.nanoseconds),
        Some('T' | 'X') => format!("{}.{:09}0", moment.format("%H:%M:%S"), moment.nanoseconds),
        Some(part) => moment.format(&format!("%{part}")),
        None => String::new(),
    }
}

/// The line of `-ls`.
pub(crate) fn long_line(found: &Found) -> String {
    let time = found.stamp(Stamp::Modified);
    let target = found.link().map(|target| format!(" -> {target}")).unwrap_or_default();
    let size = found.metadata.len();
    format!(
        "{:>9} {:>6} {} {:>3} {:<8} {:<8} {:>8} {} {}{target}\n",
        0,
        size.div_ceil(4096) * 4,
        found.mode_text(),
        1,
        "user",
        "user",
        size,
        time.format("%b %e  %Y"),
        found.text()
    )
}
