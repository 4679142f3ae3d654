//! The functions that match patterns: `sub`, `gsub`, `gensub`, `match`, `split` and `patsplit`.

use std::rc::Rc;

use unix_common::regex::{Groups, Regex};

use crate::language::ast::{Expression, Target};
use crate::language::special::{FPAT, FS, RLENGTH, RSTART, SUBSEP};
use crate::machine::{Machine, Outcome, Stop};
use crate::record::{Splitter, characters};
use crate::value::Value;

impl Machine<'_> {
    pub(crate) fn pattern_builtin(&mut self, name: &'static str, arguments: &[Expression]) -> Outcome<Value> {
        match (name, arguments) {
            ("sub" | "gsub", [pattern, replacement, rest @ ..]) => {
                let whole = Target::Field(Box::new(Expression::Number(0.0)));
                let target = match rest.first() {
                    None => Some(whole),
                    Some(Expression::Value(target)) => Some(target.clone()),
                    Some(Expression::Name(place)) => Some(Target::Variable(*place)),
                    // A value that is no variable is only looked at.
                    Some(_) => None,
                };
                let text = match (&target, rest.first()) {
                    (Some(target), _) => self.evaluate_text(&Expression::Value(target.clone()))?,
                    (None, Some(value)) => self.evaluate_text(value)?,
                    (None, None) => Rc::from(&[][..]),
                };
                let regex = self.regex(pattern)?;
                let replacement = self.evaluate_text(replacement)?;
                let global = name == "gsub";
                let (result, count) = replaced(&regex, &text, global, 1, |groups, out| {
                    expand(&replacement, &text, groups, false, out);
                });
                if count > 0
                    && let Some(target) = target
                {
                    self.assign(&target, Value::text(&result))?;
                }
                Ok(Value::Number(count as f64))
            }
            ("gensub", [pattern, replacement, how, rest @ ..]) => self.gensub(pattern, replacement, how, rest.first()),
            ("match", [text, pattern, rest @ ..]) => self.match_pattern(text, pattern, rest.first()),
            ("split" | "patsplit", [text, Expression::Name(_), ..]) => self.split(name, text, arguments),
            _ => Err(Stop::Fatal(format!("{name}: wrong arguments"))),
        }
    }

    fn gensub(
        &mut self,
        pattern: &Expression,
        replacement: &Expression,
        how: &Expression,
        text: Option<&Expression>,
    ) -> Outcome<Value> {
        let regex = self.regex(pattern)?;
        let replacement = self.evaluate_text(replacement)?;
        let how = self.evaluate(how)?;
        let text: Rc<[u8]> = match text {
            Some(text) => self.evaluate_text(text)?,
            None => Rc::from(self.record_text()),
        };
        let global = matches!(self.text_of(&how).first(), Some(b'g' | b'G'));
        let number = if global { 1 } else { how.number().max(1.0) as usize };
        let (result, _) = replaced(&regex, &text, global, number, |groups, out| {
            expand(&replacement, &text, groups, true, out);
        });
        Ok(Value::text(&result))
    }

    fn match_pattern(&mut self, text: &Expression, pattern: &Expression, array: Option<&Expression>) -> Outcome<Value> {
        let text = self.evaluate_text(text)?;
        let regex = self.regex(pattern)?;
        let groups = regex.groups_at(&text, 0);
        if let Some(Expression::Name(place)) = array {
            let array = self.array(*place)?;
            let separator = self.special(SUBSEP);
            let mut array = array.borrow_mut();
            array.clear();
            let found = groups.iter().flatten().enumerate().filter_map(|(number, ends)| Some((number, (*ends)?)));
            for (number, (from, to)) in found {
                let number = number.to_string().into_bytes();
                let key = |name: &[u8]| Rc::from([&number, &*separator, name].concat());
                array.insert(key(b"start"), Value::Number(characters(&text[..from]) as f64 + 1.0));
                array.insert(key(b"length"), Value::Number(characters(&text[from..to]) as f64));
                array.insert(Rc::from(number), Value::input(&text[from..to]));
            }
        }
        let (start, length) = match groups.and_then(|groups| groups.first().copied().flatten()) {
            Some((from, to)) => (characters(&text[..from]) as f64 + 1.0, characters(&text[from..to]) as f64),
            None => (0.0, -1.0),
        };
        self.set_special(RSTART, Value::Number(start));
        self.set_special(RLENGTH, Value::Number(length));
        Ok(Value::Number(start))
    }

    fn split(&mut self, name: &str, text: &Expression, arguments: &[Expression]) -> Outcome<Value> {
        let text = self.evaluate_text(text)?;
        let splitter = match (name, arguments.get(2)) {
            ("patsplit", Some(pattern)) => Splitter::Contents(self.regex(pattern)?),
            ("patsplit", None) => {
                let pattern = self.special(FPAT);
                Splitter::Contents(self.pattern(&String::from_utf8_lossy(&pattern))?)
            }
            (_, Some(pattern @ Expression::Pattern(_))) => Splitter::Pattern(self.regex(pattern)?),
            (_, Some(separator)) => {
                let separator = self.evaluate_text(separator)?;
                self.splitter_of(&separator)?
            }
            (_, None) => {
                let separator = self.special(FS);
                self.splitter_of(&separator)?
            }
        };
        let (fields, between) = splitter.split(&text);
        let count = fields.len();
        let numbered = |first: usize, parts: Vec<&[u8]>| {
            let parts = parts.into_iter().enumerate();
            parts
                .map(|(number, part)| (Rc::from((number + first).to_string().as_bytes()), Value::input(part)))
                .collect()
        };
        for (argument, elements) in [(1, numbered(1, fields)), (3, numbered(1, between))] {
            if let Some(Expression::Name(place)) = arguments.get(argument) {
                *self.array(*place)?.borrow_mut() = elements;
            }
        }
        Ok(Value::Number(count as f64))
    }
}

/// A text with matches replaced, from the numbered one on, and how many were.
fn replaced(
    regex: &Regex,
    text: &[u8],
    global: bool,
    number: usize,
    expand: impl Fn(&Groups, &mut Vec<u8>),
) -> (Vec<u8>, usize) {
    let mut result = Vec::new();
    let (mut at, mut copied, mut seen, mut count) = (0, 0, 0, 0);
    let mut last_end = None;
    while at <= text.len()
        && let Some(groups) = regex.groups_at(text, at)
        && let Some((from, to)) = groups.first().copied().flatten()
    {
        // An empty match right after another is none.
        if from < to || last_end != Some(from) {
            seen += 1;
            if seen >= number {
                result.extend_from_slice(&text[copied..from]);
                expand(&groups, &mut result);
                copied = to;
                count += 1;
                if !global {
                    break;
                }
            }
        }
        last_end = Some(to);
        at = if from == to { to + crate::record::byte_of_character(&text[to..], 1).max(1) } else { to };
    }
    result.extend_from_slice(&text[copied.min(text.len())..]);
    (result, count)
}

/// A replacement: `&` is the match, with a backslash itself; with `groups`, `\N` is a group.
fn expand(replacement: &[u8], text: &[u8], groups: &Groups, with_groups: bool, out: &mut Vec<u8>) {
    let group = |number: usize| groups.get(number).copied().flatten().map_or(&[][..], |(from, to)| &text[from..to]);
    let mut rest = replacement.iter().copied().peekable();
    while let Some(byte) = rest.next() {
        match byte {
            b'&' => out.extend_from_slice(group(0)),
            b'\\' => match rest.peek().copied() {
                Some(b'&') => {
                    rest.next();
                    out.push(b'&');
                }
                Some(digit) if with_groups && digit.is_ascii_digit() => {
                    rest.next();
                    out.extend_from_slice(group(usize::from(digit - b'0')));
                }
                Some(b'\\') => {
                    rest.next();
                    out.push(b'\\');
                }
                _ => out.push(b'\\'),
            },
            other => out.push(other),
        }
    }
}
