//! How values are printed.

use std::io::{self, BufWriter, IsTerminal, Write};

use jaq_json::Val;
use jaq_json::write::{Pp, Styles, write};

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
