//! How values are printed.

use std::borrow::Cow;
use std::io::{self, BufWriter, IsTerminal, Write};

use jaq_json::write::{Pp, Styles, write};
use jaq_json::{Num, Val};

use crate::settings::Settings;

/// Standard output.
pub(crate) struct Output<'a> {
    settings: &'a Settings,
    style: Pp,
    out: BufWriter<io::Stdout>,
    immediate: bool,
}

impl<'a> Output<'a> {
    pub(crate) fn new(settings: &'a Settings) -> Self {
        let terminal = io::stdout().is_terminal();
        let plain = std::env::var_os("NO_COLOR").is_some_and(|set| !set.is_empty());
        let styles = if settings.color.unwrap_or(terminal && !plain) {
            let colors = std::env::var("JQ_COLORS").unwrap_or_default();
            Styles::ansi().parse(&colors)
        } else {
            Styles::default()
        };
        let style = Pp {
            indent: (!settings.compact).then(|| settings.indent.clone()),
            sort_keys: settings.sort_keys,
            styles,
            sep_space: !settings.compact,
        };
        Self { settings, style, out: BufWriter::with_capacity(1 << 16, io::stdout()), immediate: terminal }
    }

    /// Prints a value.
    pub(crate) fn value(&mut self, value: &Val) -> io::Result<()> {
        if self.settings.sequence {
            self.out.write_all(b"\x1e")?;
        }
        let value = with_integers(value);
        let value = &*value;
        match value {
            Val::TStr(text) | Val::BStr(text) if self.settings.raw_output => self.out.write_all(text)?,
            value if self.settings.ascii => {
                let mut bytes = Vec::new();
                write(&mut bytes, &self.style, 0, value)?;
                self.out.write_all(escaped(&String::from_utf8_lossy(&bytes)).as_bytes())?;
            }
            value => write(&mut self.out, &self.style, 0, value)?,
        }
        if let Some(end) = self.settings.end {
            write!(self.out, "{end}")?;
        }
        if self.immediate { self.out.flush() } else { Ok(()) }
    }

    /// Writes what waits. An error will come again with the next value.
    pub(crate) fn flush(&mut self) {
        let _ = self.out.flush();
    }
}

/// Computed numbers without a fraction as integers: jq has one kind of number, and writes them so up to 10^17.
fn with_integers(value: &Val) -> Cow<'_, Val> {
    const MOST: f64 = 1e17;
    match value {
        Val::Num(Num::Float(number)) if number.fract() == 0.0 && number.abs() < MOST => {
            let digits = format!("{number:.0}");
            Cow::Owned(Val::Num(Num::Dec(digits.into())))
        }
        Val::Arr(values) if values.iter().any(has_float) => {
            Cow::Owned(values.iter().map(|value| with_integers(value).into_owned()).collect())
        }
        Val::Obj(object) if object.iter().any(|(_, value)| has_float(value)) => {
            let pairs = object.iter().map(|(key, value)| (key.clone(), with_integers(value).into_owned()));
            Cow::Owned(Val::obj(pairs.collect()))
        }
        other => Cow::Borrowed(other),
    }
}

fn has_float(value: &Val) -> bool {
    match value {
        Val::Num(number) => matches!(number, Num::Float(_)),
        Val::Arr(values) => values.iter().any(has_float),
        Val::Obj(object) => object.iter().any(|(_, value)| has_float(value)),
        _ => false,
    }
}

/// Characters beyond ASCII as `\uXXXX`, in UTF-16.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_ascii() {
            out.push(character);
        } else {
            let units =
                character.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect::<String>();
            out.push_str(&units);
        }
    }
    out
}
