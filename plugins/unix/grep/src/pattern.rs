//! What is searched for, as `grep-searcher` asks for it.

use std::fmt;
use std::str;

use grep_matcher::{LineTerminator, Match, Matcher, NoCaptures};
use unix_common::regex::{Options, Regex, Stray};

use crate::settings::{Settings, Syntax};

/// The patterns of a command line, compiled.
pub(crate) struct Pattern {
    engine: Engine,
    /// What no match contains. None lets each line be searched alone.
    terminator: Option<LineTerminator>,
}

enum Engine {
    Posix(Regex),
    Perl(Box<fancy_regex::Regex>),
    /// No pattern at all, from an empty file.
    Nothing,
}

/// What went wrong while a line was matched.
#[derive(Debug)]
pub(crate) struct MatchError(String);

impl fmt::Display for MatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Pattern {
    /// Compiles the patterns. The error is a message without the program's name.
    pub(crate) fn new(settings: &Settings) -> Result<Self, String> {
        if settings.patterns.is_empty() {
            return Ok(Self { engine: Engine::Nothing, terminator: None });
        }
        if settings.syntax == Syntax::Perl {
            return perl(settings).map(|regex| Self { engine: Engine::Perl(Box::new(regex)), terminator: None });
        }
        let many_lines = !settings.null_data;
        let options = Options {
            extended: settings.syntax == Syntax::Extended,
            ignore_case: settings.ignore_case,
            multi_line: many_lines,
            single_lines: many_lines,
            escapes: false,
            bracket_escapes: false,
            stray: Stray::Ignored,
            lone_close: true,
            whole_words: settings.words,
            whole_lines: settings.lines,
        };
        let patterns: Vec<String> = match settings.syntax {
            Syntax::Fixed => settings.patterns.iter().map(|pattern| quoted(pattern)).collect(),
            _ => settings.patterns.clone(),
        };
        let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
        let regex = Regex::of_any(&patterns, options).map_err(|error| error.to_string())?;
        let terminator = (many_lines && !regex.has_back_references()).then(|| LineTerminator::byte(b'\n'));
        Ok(Self { engine: Engine::Posix(regex), terminator })
    }
}

/// A text as a basic pattern that matches it alone.
fn quoted(text: &str) -> String {
    text.chars().fold(String::new(), |mut quoted, character| {
        if matches!(character, '\\' | '[' | ']' | '.' | '*' | '^' | '$') {
            quoted.push('\\');
        }
        quoted.push(character);
        quoted
    })
}

fn perl(settings: &Settings) -> Result<fancy_regex::Regex, String> {
    let [pattern] = settings.patterns.as_slice() else {
        return Err("the -P option only supports a single pattern".to_owned());
    };
    let pattern = match (settings.lines, settings.words) {
        (true, _) => format!("^(?:{pattern})$"),
        (false, true) => format!(r"(?<!\w)(?:{pattern})(?!\w)"),
        (false, false) => pattern.clone(),
    };
    let built = fancy_regex::RegexBuilder::new(&pattern).case_insensitive(settings.ignore_case).build();
    built.map_err(|error| error.to_string().lines().last().unwrap_or_default().to_owned())
}

impl Matcher for &Pattern {
    type Captures = NoCaptures;
    type Error = MatchError;

    fn find_at(&self, text: &[u8], at: usize) -> Result<Option<Match>, MatchError> {
        let found = match &self.engine {
            Engine::Posix(regex) => regex.find_at(text, at),
            Engine::Perl(regex) => match str::from_utf8(text) {
                Ok(text) => {
                    let found = regex.find_from_pos(text, at).map_err(|error| MatchError(error.to_string()))?;
                    found.map(|found| (found.start(), found.end()))
                }
                Err(_) => None,
            },
            Engine::Nothing => None,
        };
        Ok(found.map(|(start, end)| Match::new(start, end)))
    }

    fn shortest_match_at(&self, text: &[u8], at: usize) -> Result<Option<usize>, MatchError> {
        match &self.engine {
            Engine::Posix(regex) => Ok(regex.match_end_at(text, at)),
            _ => Ok(self.find_at(text, at)?.map(|found| found.end())),
        }
    }

    fn new_captures(&self) -> Result<NoCaptures, MatchError> {
        Ok(NoCaptures::new())
    }

    fn line_terminator(&self) -> Option<LineTerminator> {
        self.terminator
    }
}

/// The matches of a line that are not empty.
pub(crate) fn matches(pattern: &Pattern, line: &[u8]) -> Vec<Match> {
    let mut found = Vec::new();
    let mut at = 0;
    while at <= line.len()
        && let Ok(Some(one)) = pattern.find_at(line, at)
    {
        if one.is_empty() {
            at = one.end() + 1;
        } else {
            at = one.end();
            found.push(one);
        }
    }
    found
}
