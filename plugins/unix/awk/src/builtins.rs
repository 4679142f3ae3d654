//! The functions of the language.

use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

use unix_common::time::{Moment, days_from_date};

use crate::cells::{Cell, Elements, sorted_indices};
use crate::language::ast::{Expression, Place};
use crate::machine::{Machine, Outcome, Stop};
use crate::record::{byte_of_character, characters};
use crate::value::Value;

impl Machine<'_> {
    pub(crate) fn builtin(&mut self, name: &'static str, arguments: &[Expression]) -> Outcome<Value> {
        match name {
            "length" => self.length(arguments),
            "split" | "patsplit" | "sub" | "gsub" | "gensub" | "match" => self.pattern_builtin(name, arguments),
            "asort" | "asorti" => self.sort(name, arguments),
            "isarray" | "typeof" => self.type_of(name, arguments),
            "sprintf" => Ok(Value::text(&self.format(arguments)?)),
            "system" | "close" | "fflush" => self.stream_builtin(name, arguments),
            "substr" | "index" | "tolower" | "toupper" | "strftime" | "mktime" | "strtonum" => {
                let arguments = self.values(arguments)?;
                self.text_builtin(name, &arguments)
            }
            _ => {
                let arguments = self.values(arguments)?;
                self.number_builtin(name, &arguments)
            }
        }
    }

    fn values(&mut self, arguments: &[Expression]) -> Outcome<Vec<Value>> {
        arguments.iter().map(|argument| self.evaluate(argument)).collect()
    }

    fn length(&mut self, arguments: &[Expression]) -> Outcome<Value> {
        let length = match arguments {
            [] => characters(&self.record_text()),
            [Expression::Name(place)] => match self.take_cell(*place) {
                Cell::Array(array) => array.borrow().len(),
                _ => {
                    let value = self.variable(*place)?;
                    characters(&self.text_of(&value))
                }
            },
            [argument, ..] => characters(&self.evaluate_text(argument)?),
        };
        Ok(Value::Number(length as f64))
    }

    fn type_of(&mut self, name: &str, arguments: &[Expression]) -> Outcome<Value> {
        let kind = match arguments.first() {
            Some(Expression::Name(place)) => match self.take_cell(*place) {
                Cell::Array(_) => "array",
                Cell::Unset | Cell::Offered(_) => "untyped",
                Cell::Value(value) => kind_of(&value),
            },
            Some(Expression::Pattern(_)) => "regexp",
            Some(argument) => kind_of(&self.evaluate(argument)?),
            None => return Err(Stop::Fatal(format!("{name}: called with no arguments"))),
        };
        Ok(match name {
            "isarray" => Value::Number(f64::from(u8::from(kind == "array"))),
            _ => Value::text(kind.as_bytes()),
        })
    }

    fn stream_builtin(&mut self, name: &str, arguments: &[Expression]) -> Outcome<Value> {
        let Some(argument) = arguments.first() else {
            self.streams.flush_all()?;
            return Ok(Value::Number(0.0));
        };
        let text = self.evaluate_text(argument)?;
        let text = String::from_utf8_lossy(&text).into_owned();
        Ok(Value::Number(match name {
            "system" => self.streams.system(&text)?,
            "close" => self.streams.close(&text)?.unwrap_or(-1.0),
            _ if text.is_empty() => {
                self.streams.flush_all()?;
                0.0
            }
            _ => {
                if self.streams.flush(&text)? {
                    0.0
                } else {
                    -1.0
                }
            }
        }))
    }

    fn text_builtin(&mut self, name: &str, arguments: &[Value]) -> Outcome<Value> {
        let text = |number: usize| arguments.get(number).map_or_else(|| Rc::from(&[][..]), |value| self.text_of(value));
        let number = |number: usize| arguments.get(number).map(Value::number);
        Ok(match name {
            "substr" => {
                let text = text(0);
                Value::text(substring(&text, number(1).unwrap_or_default(), number(2)))
            }
            "index" => {
                let (text, wanted) = (text(0), text(1));
                let at = text.windows(wanted.len().max(1)).position(|part| part == &*wanted);
                let at = if wanted.is_empty() { Some(0).filter(|_| !text.is_empty()) } else { at };
                Value::Number(at.map_or(0.0, |at| characters(&text[..at]) as f64 + 1.0))
            }
            "tolower" => Value::text(&changed(&text(0), |one| single(one, one.to_lowercase()))),
            "toupper" => Value::text(&changed(&text(0), |one| single(one, one.to_uppercase()))),
            "strftime" => {
                let format = arguments.first().map(|_| String::from_utf8_lossy(&text(0)).into_owned());
                let seconds = number(1).map_or_else(now, |seconds| seconds as i64);
                let moment = Moment { seconds, nanoseconds: 0 };
                Value::text(moment.format(format.as_deref().unwrap_or("%a %b %e %H:%M:%S %Z %Y")).as_bytes())
            }
            "mktime" => Value::Number(moment_of(&String::from_utf8_lossy(&text(0)))),
            _ => Value::Number(number_of(&arguments.first().cloned().unwrap_or_default(), &text(0))),
        })
    }

    fn number_builtin(&mut self, name: &str, arguments: &[Value]) -> Outcome<Value> {
        let number = |number: usize| arguments.get(number).map(Value::number).unwrap_or_default();
        let bits = |position: usize| {
            let value = number(position);
            if value < 0.0 {
                return Err(Stop::Fatal(format!(
                    "{name}: argument {} negative value {value} is not allowed",
                    position + 1
                )));
            }
            Ok(value as u64)
        };
        let fold = |operator: fn(u64, u64) -> u64| -> Outcome<u64> {
            let first = bits(0)?;
            (1..arguments.len()).try_fold(first, |all, position| Ok(operator(all, bits(position)?)))
        };
        Ok(Value::Number(match name {
            "sin" => number(0).sin(),
            "cos" => number(0).cos(),
            "atan2" => number(0).atan2(number(1)),
            "exp" => number(0).exp(),
            "log" => number(0).ln(),
            "sqrt" => number(0).sqrt(),
            "int" => number(0).trunc(),
            "rand" => self.next_random(),
            "srand" => {
                let seed = arguments.first().map_or_else(|| now() as f64, Value::number);
                let before = std::mem::replace(&mut self.seed, seed);
                self.random = seed.to_bits();
                before
            }
            "systime" => now() as f64,
            "and" => fold(|one, other| one & other)? as f64,
            "or" => fold(|one, other| one | other)? as f64,
            "xor" => fold(|one, other| one ^ other)? as f64,
            "lshift" => bits(0)?.checked_shl(bits(1)? as u32).unwrap_or_default() as f64,
            "rshift" => bits(0)?.checked_shr(bits(1)? as u32).unwrap_or_default() as f64,
            "compl" => (!bits(0)? & ((1 << 53) - 1)) as f64,
            "mkbool" => f64::from(u8::from(arguments.first().is_some_and(Value::is_true))),
            _ => return Err(Stop::Fatal(format!("function `{name}' is not available here"))),
        }))
    }

    /// Steele and Vigna's splitmix64: a number from 0 to below 1.
    fn next_random(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        (mixed >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// `asort` and `asorti`: the values or indices in order, numbered from 1 on.
    fn sort(&mut self, name: &str, arguments: &[Expression]) -> Outcome<Value> {
        let places: Vec<Place> = arguments
            .iter()
            .filter_map(|one| if let Expression::Name(place) = one { Some(*place) } else { None })
            .collect();
        let Some(source) = places.first() else {
            return Err(Stop::Fatal(format!("{name}: first argument is not an array")));
        };
        let source = self.array(*source)?;
        let mut values: Vec<Value> = if name == "asorti" {
            let mut indices = sorted_indices(&source.borrow());
            indices.sort();
            indices.iter().map(|index| Value::text(index)).collect()
        } else {
            source.borrow().values().cloned().collect()
        };
        // Numbers come before texts.
        let is_text = |value: &Value| matches!(value, Value::Text(_));
        if name == "asort" {
            values.sort_by(|one, other| {
                is_text(one)
                    .cmp(&is_text(other))
                    .then_with(|| one.compare(other, b"%.6g").unwrap_or(std::cmp::Ordering::Equal))
            });
        }
        let sorted: Elements =
            (1..).zip(values).map(|(number, value)| (Rc::from(number.to_string().as_bytes()), value)).collect();
        let count = sorted.len();
        let target = places.get(1).map_or(Ok(Rc::clone(&source)), |target| self.array(*target))?;
        *target.borrow_mut() = sorted;
        Ok(Value::Number(count as f64))
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Unset => "unassigned",
        Value::Number(_) => "number",
        Value::Text(_) => "string",
        Value::Numeric(..) => "strnum",
    }
}

/// The part of a text from a character on, from 1 on, and so many characters; both are rounded.
fn substring(text: &[u8], start: f64, length: Option<f64>) -> &[u8] {
    let round = |number: f64| if number.is_nan() { -1.0 } else { number.round_ties_even() };
    let first = round(start);
    let end = length.map_or(f64::INFINITY, |length| first + round(length));
    let first = first.max(1.0);
    if end <= first {
        return &[];
    }
    let from = byte_of_character(text, first as usize - 1);
    let rest = &text[from..];
    &rest[..if end.is_infinite() { rest.len() } else { byte_of_character(rest, (end - first) as usize) }]
}

/// The other case of a letter, if that is one letter.
fn single(letter: char, mut other: impl Iterator<Item = char>) -> char {
    match (other.next(), other.next()) {
        (Some(one), None) => one,
        _ => letter,
    }
}

fn changed(text: &[u8], change: impl Fn(char) -> char) -> Vec<u8> {
    let mut result = Vec::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        result.extend(chunk.valid().chars().map(&change).collect::<String>().into_bytes());
        result.extend_from_slice(chunk.invalid());
    }
    result
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs().cast_signed())
}

/// The seconds of `YYYY MM DD HH MM SS`, in UTC; -1 of anything else.
fn moment_of(text: &str) -> f64 {
    let parts: Option<Vec<i64>> = text.split_whitespace().map(|part| part.parse().ok()).collect();
    let Some([year, month, day, hour, minute, second, ..]) = parts.as_deref() else {
        return -1.0;
    };
    let months = year * 12 + month - 1;
    let first = days_from_date(months.div_euclid(12), u8::try_from(months.rem_euclid(12) + 1).unwrap_or(1), 1);
    ((first + day - 1) * 86_400 + hour * 3_600 + minute * 60 + second) as f64
}

/// `strtonum`: hexadecimal after `0x`, octal after `0`.
fn number_of(value: &Value, text: &[u8]) -> f64 {
    let text = String::from_utf8_lossy(text);
    let text = text.trim_start();
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None if text.starts_with('0') && !text.contains(['.', '8', '9', 'e']) => (text, 8),
        None => return value.number(),
    };
    let digits = digits.chars().map_while(|digit| digit.to_digit(radix));
    digits.fold(0.0, |number, digit| number * f64::from(radix) + f64::from(digit))
}
