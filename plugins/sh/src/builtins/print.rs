//! `echo` and `printf`.

use super::arguments::{options, write};
use crate::state::{Run, Shell};
use crate::text::{self, byte_char, encode, quote_backslash};

pub(super) fn echo(shell: &mut Shell, fields: &[String]) -> Run<i32> {
    let (mut newline, mut escapes) = (true, shell.is_on("xpg_echo"));
    let mut at = 1;
    while let Some(letters) = fields.get(at).and_then(|field| field.strip_prefix('-')) {
        if letters.is_empty() || !letters.chars().all(|letter| "neE".contains(letter)) {
            break;
        }
        for letter in letters.chars() {
            match letter {
                'n' => newline = false,
                'e' => escapes = true,
                _ => escapes = false,
            }
        }
        at += 1;
    }
    let mut text = fields[at..].join(" ");
    if escapes && text.contains('\\') {
        let (expanded, stopped) = expand_escapes(&text, true);
        text = expanded;
        newline &= !stopped;
    }
    if newline {
        text.push('\n');
    }
    Ok(write(shell, &text))
}

/// The escapes of `echo -e` and `%b`, and whether `\c` ended the output.
fn expand_escapes(text: &str, zero: bool) -> (String, bool) {
    let mut result = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        result.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if rest.starts_with('c') {
            return (result, true);
        }
        // `\NNN` is taken by %b beside `\0NNN`.
        let octal_without_zero = !zero && rest.starts_with(|next: char| ('1'..='7').contains(&next));
        let found = text::escape(rest, !octal_without_zero);
        match found {
            Some((value, length)) => {
                result.push_str(&value);
                rest = &rest[length..];
            }
            None => result.push('\\'),
        }
    }
    (result + rest, false)
}

pub(super) fn printf(shell: &mut Shell, fields: &[String]) -> Run<i32> {
    let mut at = 1;
    let mut variable = None;
    if fields.get(1).is_some_and(|field| field.starts_with("-v") || field == "--") {
        let (found, rest) = match options(shell, fields, "", "v") {
            Ok(found) => found,
            Err(status) => return Ok(status),
        };
        variable = found.into_iter().next().map(|(_, value)| value);
        at = rest;
    }
    let Some(format) = fields.get(at) else {
        shell.builtin_error("usage: printf [-v var] format [arguments]");
        return Ok(2);
    };
    let mut printer = Printer { shell, arguments: &fields[at + 1..], at: 0, text: String::new(), status: 0 };
    loop {
        let before = printer.at;
        let ended = printer.print(format);
        if ended || printer.at >= printer.arguments.len() || printer.at == before {
            break;
        }
    }
    let (text, status) = (printer.text, printer.status);
    let Some(variable) = variable else { return Ok(write(shell, &text).max(status)) };
    let (name, subscript) = match variable.split_once('[') {
        Some((name, subscript)) => (name.to_owned(), subscript.strip_suffix(']')),
        None => (variable.clone(), None),
    };
    if !text::is_name(&name) {
        shell.builtin_error(&format!("`{variable}': not a valid identifier"));
        return Ok(2);
    }
    let key = subscript.map(|subscript| shell.subscript_key(&name, subscript)).transpose();
    let assigned = key.and_then(|key| shell.assign(&name, key.as_deref(), text, false));
    if let Err(message) = assigned {
        shell.builtin_error(&message);
        return Ok(1);
    }
    Ok(status)
}

struct Printer<'a> {
    shell: &'a mut Shell,
    arguments: &'a [String],
    at: usize,
    text: String,
    status: i32,
}

/// A conversion of a format.
#[derive(Default)]
struct Conversion {
    left: bool,
    plus: bool,
    space: bool,
    alternate: bool,
    zero: bool,
    width: usize,
    precision: Option<usize>,
}

impl Printer<'_> {
    fn next(&mut self) -> Option<String> {
        let argument = self.arguments.get(self.at).cloned();
        self.at += 1;
        argument
    }

    fn fail(&mut self, message: &str) {
        self.shell.builtin_error(message);
        self.shell.builtin_failed = false;
        self.status = 1;
    }

    /// Prints the format once. True: the output ends here.
    fn print(&mut self, format: &str) -> bool {
        let mut rest = format;
        while let Some(at) = rest.find(['\\', '%']) {
            self.text.push_str(&rest[..at]);
            let special = rest.as_bytes()[at];
            rest = &rest[at + 1..];
            if special == b'\\' {
                if let Some((value, length)) = text::escape(rest, false) {
                    self.text.push_str(&value);
                    rest = &rest[length..];
                } else if let Some(quote) = rest.chars().next().filter(|next| "\"'?".contains(*next)) {
                    self.text.push(quote);
                    rest = &rest[1..];
                } else if rest.starts_with('c') {
                    return true;
                } else {
                    self.text.push('\\');
                }
                continue;
            }
            if let Some(after) = rest.strip_prefix('%') {
                self.text.push('%');
                rest = after;
                continue;
            }
            match self.convert(rest) {
                Ok(after) => rest = after,
                Err(()) => return true,
            }
        }
        self.text.push_str(rest);
        false
    }

    /// One conversion, after its `%`: what follows it in the format. An error ends the output.
    fn convert<'f>(&mut self, format: &'f str) -> Result<&'f str, ()> {
        let mut conversion = Conversion::default();
        let mut rest = format;
        while let Some(flag) = rest.chars().next().filter(|flag| "-+ #0".contains(*flag)) {
            match flag {
                '-' => conversion.left = true,
                '+' => conversion.plus = true,
                ' ' => conversion.space = true,
                '#' => conversion.alternate = true,
                _ => conversion.zero = true,
            }
            rest = &rest[1..];
        }
        if let Some(after) = rest.strip_prefix('*') {
            rest = after;
            let width = self.integer();
            conversion.left |= width < 0;
            conversion.width = usize::try_from(width.unsigned_abs()).unwrap_or(0);
        } else {
            let digits = rest.len() - rest.trim_start_matches(|next: char| next.is_ascii_digit()).len();
            conversion.width = rest[..digits].parse().unwrap_or(0);
            rest = &rest[digits..];
        }
        if let Some(after) = rest.strip_prefix('.') {
            rest = after;
            if let Some(after) = rest.strip_prefix('*') {
                rest = after;
                conversion.precision = usize::try_from(self.integer()).ok();
            } else {
                let digits = rest.len() - rest.trim_start_matches(|next: char| next.is_ascii_digit()).len();
                conversion.precision = Some(rest[..digits].parse().unwrap_or(0));
                rest = &rest[digits..];
            }
        }
        conversion.width = conversion.width.min(MAX_WIDTH);
        conversion.precision = conversion.precision.map(|precision| precision.min(MAX_WIDTH));
        if let Some(time) = rest.strip_prefix('(')
            && let Some(end) = time.find(")T")
        {
            self.time(&time[..end], &conversion);
            return Ok(&time[end + 2..]);
        }
        let rest = rest.trim_start_matches(['h', 'l', 'L', 'j', 'z', 't']);
        let Some(letter) = rest.chars().next() else {
            self.fail("`%': missing format character");
            return Err(());
        };
        self.one(letter, &conversion)?;
        Ok(&rest[letter.len_utf8()..])
    }

    fn one(&mut self, letter: char, conversion: &Conversion) -> Result<(), ()> {
        match letter {
            's' => {
                let text = self.next().unwrap_or_default();
                self.pad_text(&text, conversion);
            }
            'b' => {
                let text = self.next().unwrap_or_default();
                let (text, stopped) = expand_escapes(&text, false);
                self.pad_text(&text, conversion);
                if stopped {
                    return Err(());
                }
            }
            'c' => {
                let text = self.next().unwrap_or_default();
                let bytes = encode(&text);
                let first = bytes.first().map(|byte| byte_char(*byte).to_string()).unwrap_or_default();
                self.pad_text(&first, &Conversion { precision: None, ..*conversion });
            }
            'q' | 'Q' => {
                let text = self.next().unwrap_or_default();
                self.pad_text(&quote_backslash(&text), &Conversion { precision: None, ..*conversion });
            }
            'd' | 'i' => {
                let value = self.integer();
                let sign = sign(value < 0, conversion);
                self.pad_number(sign, &value.unsigned_abs().to_string(), conversion);
            }
            'u' | 'o' | 'x' | 'X' => self.unsigned(letter, conversion),
            'e' | 'E' | 'f' | 'F' | 'g' | 'G' | 'a' | 'A' => {
                let value = self.float();
                let text = float_text(value.abs(), letter, conversion);
                let zero = conversion.zero && value.is_finite();
                let sign = sign(value.is_sign_negative(), conversion);
                self.pad_number(sign, &text, &Conversion { precision: None, zero, ..*conversion });
            }
            'n' => {
                self.next();
            }
            other => {
                self.fail(&format!("`{other}': invalid format character"));
                return Err(());
            }
        }
        Ok(())
    }

    fn unsigned(&mut self, letter: char, conversion: &Conversion) {
        let value = self.integer().cast_unsigned();
        let digits = match letter {
            'u' => value.to_string(),
            'o' => format!("{value:o}"),
            'x' => format!("{value:x}"),
            _ => format!("{value:X}"),
        };
        let prefix = match letter {
            'o' if conversion.alternate && !digits.starts_with('0') => "0",
            'x' if conversion.alternate && value != 0 => "0x",
            'X' if conversion.alternate && value != 0 => "0X",
            _ => "",
        };
        self.pad_number(prefix, &digits, conversion);
    }

    fn time(&mut self, format: &str, conversion: &Conversion) {
        let argument = self.next();
        let seconds = match argument.as_deref() {
            None | Some("-1") => None,
            Some("-2") => Some(self.shell.started.as_secs().cast_signed()),
            Some(text) => text.parse().ok(),
        };
        let format = if format.is_empty() { "%X" } else { format };
        let text = self.shell.format_time(format, seconds);
        self.pad_text(&text, conversion);
    }

    fn pad_text(&mut self, text: &str, conversion: &Conversion) {
        let text: String = match conversion.precision {
            Some(most) => text.chars().take(most).collect(),
            None => text.to_owned(),
        };
        let padding = " ".repeat(conversion.width.saturating_sub(text.chars().count()));
        if conversion.left {
            self.text.push_str(&(text + &padding));
        } else {
            self.text.push_str(&(padding + &text));
        }
    }

    fn pad_number(&mut self, prefix: &str, digits: &str, conversion: &Conversion) {
        let mut digits = digits.to_owned();
        if let Some(least) = conversion.precision {
            if least == 0 && digits == "0" {
                digits.clear();
            }
            digits = "0".repeat(least.saturating_sub(digits.len())) + &digits;
        }
        let missing = conversion.width.saturating_sub(prefix.len() + digits.len());
        let text = if conversion.left {
            format!("{prefix}{digits}{}", " ".repeat(missing))
        } else if conversion.zero && conversion.precision.is_none() {
            format!("{prefix}{}{digits}", "0".repeat(missing))
        } else {
            format!("{}{prefix}{digits}", " ".repeat(missing))
        };
        self.text.push_str(&text);
    }

    /// The next argument as an integer: C's forms, and the code of a character after a quote.
    fn integer(&mut self) -> i64 {
        let Some(argument) = self.next() else { return 0 };
        if let Some(character) = argument.strip_prefix(['"', '\'']) {
            let bytes = encode(character);
            let whole = std::str::from_utf8(&bytes).ok().and_then(|text| text.chars().next());
            return whole
                .map_or_else(|| i64::from(bytes.first().copied().unwrap_or(0)), |first| i64::from(u32::from(first)));
        }
        let text = argument.trim_start();
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (radix, digits) = match digits {
            _ if digits.starts_with("0x") || digits.starts_with("0X") => (16, &digits[2..]),
            _ if digits.len() > 1 && digits.starts_with('0') => (8, &digits[1..]),
            _ => (10, digits),
        };
        let length = digits.chars().take_while(|digit| digit.is_digit(radix)).count();
        if length < digits.len() || argument.is_empty() || length == 0 && radix != 8 {
            let message = format!("{argument}: invalid number");
            if !argument.is_empty() {
                self.fail(&message);
            }
        }
        let value = i128::from_str_radix(&digits[..length], radix).unwrap_or(if length == 0 { 0 } else { i128::MAX });
        let value = if negative { -value } else { value };
        if (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&value) {
            value as i64
        } else {
            self.fail(&format!("warning: {argument}: Numerical result out of range"));
            if value < 0 { i64::MIN } else { i64::MAX }
        }
    }

    fn float(&mut self) -> f64 {
        let Some(argument) = self.next() else { return 0.0 };
        if argument.starts_with(['"', '\'']) {
            return argument.chars().nth(1).map_or(0.0, |first| f64::from(u32::from(first)));
        }
        let text = argument.trim();
        if let Some(hex) = text.strip_prefix("0x").or(text.strip_prefix("0X")) {
            #[expect(clippy::cast_precision_loss, reason = "that is what a number of floating point is")]
            return u64::from_str_radix(hex, 16).unwrap_or(0) as f64;
        }
        // The longest beginning that is a number counts.
        let number = (0..=text.len())
            .rev()
            .filter(|end| text.is_char_boundary(*end))
            .find_map(|end| text[..end].parse::<f64>().ok().map(|value| (value, end)));
        match number {
            Some((value, end)) => {
                if end < text.len() {
                    self.fail(&format!("{argument}: invalid number"));
                }
                value
            }
            None => {
                if !argument.is_empty() {
                    self.fail(&format!("{argument}: invalid number"));
                }
                0.0
            }
        }
    }
}

fn sign(negative: bool, conversion: &Conversion) -> &'static str {
    match (negative, conversion.plus, conversion.space) {
        (true, _, _) => "-",
        (false, true, _) => "+",
        (false, false, true) => " ",
        (false, false, false) => "",
    }
}

/// The widest field.
const MAX_WIDTH: usize = 1_000_000;

fn float_text(value: f64, letter: char, conversion: &Conversion) -> String {
    let precision = conversion.precision.unwrap_or(6).min(1000);
    if !value.is_finite() {
        let text = if value.is_nan() { "nan" } else { "inf" };
        return if letter.is_uppercase() { text.to_uppercase() } else { text.to_owned() };
    }
    let text = match letter.to_ascii_lowercase() {
        'f' => format!("{value:.precision$}"),
        'e' => exponent_text(value, precision),
        'a' => hex_text(value),
        _ => {
            let precision = precision.max(1);
            let scientific = exponent_text(value, precision - 1);
            let exponent: i32 = scientific.rsplit('e').next().and_then(|text| text.parse().ok()).unwrap_or(0);
            let shorter = |text: String| {
                if conversion.alternate || !text.contains('.') {
                    return text;
                }
                text.trim_end_matches('0').trim_end_matches('.').to_owned()
            };
            if exponent < -4 || exponent >= i32::try_from(precision).unwrap_or(i32::MAX) {
                let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "+00"));
                format!("{}e{exponent}", shorter(mantissa.to_owned()))
            } else {
                let places = usize::try_from(i32::try_from(precision).unwrap_or(0) - 1 - exponent).unwrap_or(0);
                shorter(format!("{value:.places$}"))
            }
        }
    };
    if letter.is_uppercase() { text.to_uppercase() } else { text }
}

/// `1.5e+03`.
fn exponent_text(value: f64, precision: usize) -> String {
    let text = format!("{value:.precision$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    format!("{mantissa}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}

fn hex_text(value: f64) -> String {
    let bits = value.to_bits();
    let exponent = i64::try_from(bits >> 52 & 0x7FF).unwrap_or(0);
    let mantissa = bits & 0x000F_FFFF_FFFF_FFFF;
    if value == 0.0 {
        return "0x0p+0".to_owned();
    }
    let digits = format!("{mantissa:013x}");
    let digits = digits.trim_end_matches('0');
    let point = if digits.is_empty() { String::new() } else { format!(".{digits}") };
    format!("0x1{point}p{:+}", exponent - 1023)
}
