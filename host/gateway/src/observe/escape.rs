//! Text of strangers, made harmless before it meets a terminal, a log file or whatever reads one.

use std::fmt::{self, Write};

/// Shows bytes that a stranger sent. Readable text stays as it is; everything that could steer a terminal, begin a
/// line, or make text look like other text becomes `\xNN` (a byte) or `\u{..}` (a character), and a backslash is
/// doubled, so that what is shown can be told apart from what was sent.
///
/// Use it for every field of a log that came from a peer or from a plugin.
pub fn escape(bytes: &[u8]) -> Escaped<'_> {
    Escaped(bytes)
}

/// Bytes of a stranger, which are shown as [`escape`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Escaped<'b>(pub &'b [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(text), false) = (plain_text(self.0), self.0.contains(&b'\\')) {
            return f.write_str(text);
        }
        for chunk in self.0.utf8_chunks() {
            for character in chunk.valid().chars() {
                match character {
                    '\\' => f.write_str("\\\\")?,
                    _ => write_harmless(f, character, Form::Text)?,
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

/// Bytes of a stranger of which the log shows the first 200, and how many more there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Brief<'b>(pub &'b [u8]);

impl AsRef<[u8]> for Brief<'_> {
    fn as_ref(&self) -> &[u8] {
        self.0
    }
}

/// Most bytes of a [`Brief`] that are shown.
const BRIEF: usize = 200;

impl fmt::Display for Brief<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((shown, rest)) = self.0.split_at_checked(BRIEF).filter(|(_, rest)| !rest.is_empty()) else {
            return escape(self.0).fmt(f);
        };
        write!(f, "{} ... and {} bytes", escape(shown), rest.len())
    }
}

/// JSON in which every character that could steer a terminal is escaped, which only occurs in strings: what it means
/// stays the same.
#[must_use]
pub fn escape_json(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for character in json.chars() {
        // Writing to a string cannot fail.
        let _ = write_harmless(&mut escaped, character, Form::Json);
    }
    escaped
}

/// Text of another program, in which every character that could steer a terminal is escaped but line ends. Backslashes
/// stay as they are.
#[must_use]
pub fn escape_lines(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if character == '\n' {
            escaped.push(character);
        } else {
            // Writing to a string cannot fail.
            let _ = write_harmless(&mut escaped, character, Form::Text);
        }
    }
    escaped
}

/// The text of bytes that are printable ASCII, as nearly all names and lines are.
pub(super) fn plain_text(bytes: &[u8]) -> Option<&str> {
    // Without an early end, so that the compiler looks at many bytes with one instruction.
    let is_plain = bytes.iter().fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~'));
    if is_plain { str::from_utf8(bytes).ok() } else { None }
}

/// The beginning of bytes, at most `most` of them.
#[must_use]
pub fn cut(bytes: &[u8], most: usize) -> &[u8] {
    bytes.get(..most).unwrap_or(bytes)
}

/// How an escape has to be written to be read in its surroundings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `\x1b`, `\u{202e}`
    Text,
    /// Inside a string of JSON: `\u001b`, `\u202e`. All that this concerns is in the basic plane or is written as a
    /// pair.
    Json,
}

/// Writes a character, escaped when it is not harmless. Leaves backslashes alone.
pub(super) fn write_harmless(out: &mut impl Write, character: char, form: Form) -> fmt::Result {
    if harmless(character) {
        return out.write_char(character);
    }
    match form {
        Form::Text if u32::from(character) < 0x80 => write!(out, "\\x{:02x}", u32::from(character)),
        Form::Text => write!(out, "\\u{{{:x}}}", u32::from(character)),
        Form::Json => {
            let mut units = [0; 2];
            character.encode_utf16(&mut units).iter().try_for_each(|unit| write!(out, "\\u{unit:04x}"))
        }
    }
}

/// Whether a character shows as itself and changes nothing around it. Not so: control characters, what ends a line,
/// what turns the direction of text, and what is invisible.
fn harmless(character: char) -> bool {
    if character.is_ascii() {
        return !character.is_ascii_control();
    }
    !character.is_control()
        && !matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readable_text_stays_as_it_is() {
        for text in ["alice", "exec 'ls -l' \"x\"", "Zoë 漢字 🙂", ""] {
            assert_eq!(escape(text.as_bytes()).to_string(), text);
        }
    }

    #[test]
    fn control_characters_are_escaped() {
        for (bytes, shown) in [
            (&b"\x1b[31mred"[..], r"\x1b[31mred"),
            (b"\x1b]52;c;aGk=\x07", r"\x1b]52;c;aGk=\x07"),
            (b"alice\n2026-09-01 accepted publickey for root", r"alice\x0a2026-09-01 accepted publickey for root"),
            (b"a\rb\tc\0d\x7f", r"a\x0db\x09c\x00d\x7f"),
            ("\u{9b}31m".as_bytes(), r"\u{9b}31m"),
            ("a\u{2028}b\u{2029}".as_bytes(), r"a\u{2028}b\u{2029}"),
            ("\u{202e}gnp.exe\u{200f}".as_bytes(), r"\u{202e}gnp.exe\u{200f}"),
            ("a\u{200b}\u{feff}b".as_bytes(), r"a\u{200b}\u{feff}b"),
            (b"\xff\xfe\xc3", r"\xff\xfe\xc3"),
            (br"\x1b", r"\\x1b"),
        ] {
            assert_eq!(escape(bytes).to_string(), shown);
        }
    }

    #[test]
    fn json_keeps_its_meaning_and_steers_no_terminal() {
        let text = "a\u{1b}[1m\u{9b}1m\u{202e}\u{7f}\"\\\n漢";
        let escaped = escape_json(&serde_json::to_string(text).unwrap());
        assert_eq!(escaped, r#""a\u001b[1m\u009b1m\u202e\u007f\"\\\n漢""#);
        assert_eq!(serde_json::from_str::<String>(&escaped).unwrap(), text);
    }

    #[test]
    fn a_long_command_is_shown_in_brief() {
        assert_eq!(Brief(b"ls -l\n").to_string(), r"ls -l\x0a");
        assert_eq!(Brief(&[b'x'; 200]).to_string(), "x".repeat(200));
        assert_eq!(Brief(&[b'x'; 1000]).to_string(), format!("{} ... and 800 bytes", "x".repeat(200)));
    }

    #[test]
    fn no_byte_below_space_survives_whatever_is_sent() {
        for byte in 0..=255_u8 {
            let shown = escape(&[b'a', byte, b'b']).to_string();
            assert!(shown.bytes().all(|b| b >= 0x20 && b != 0x7f), "{byte}: {shown:?}");
        }
    }
}
