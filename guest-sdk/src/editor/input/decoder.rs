//! Bytes of a terminal to keys: UTF-8, control characters, and the escape sequences of ECMA-48 and xterm.
//!
//! It is a small parser of its own because the sequences of keys are not those of output: `ESC P` is Alt-P here, and
//! begins a string of any length for a terminal.

use super::key::{Code, Key};

/// What the bytes so far mean.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::editor) enum Input {
    Key(Key),
    /// Text between the brackets of a paste, with `\n` between lines.
    Paste(String),
    /// A paste of more bytes than the limit. It is left out as a whole.
    PasteTooLong,
}

/// A control sequence longer than this is skipped to its end.
const LONGEST_SEQUENCE: usize = 32;
/// What ends a paste.
const PASTE_END: &[u8] = b"\x1b[201~";

#[derive(Debug, Default)]
enum State {
    #[default]
    Ground,
    /// After ESC.
    Escape,
    /// After `ESC [`: the parameters so far.
    Sequence(Vec<u8>),
    /// After `ESC [` and more bytes than a key has.
    LongSequence,
    /// After `ESC [ [`, which the console of Linux sends for F1 to F5.
    Console,
    /// After `ESC O`, and perhaps a modifier.
    Application(u16),
    /// Inside a paste: its bytes, whether they are too many, and how much of its end has come.
    Paste { bytes: Vec<u8>, too_long: bool, matched: usize },
}

/// Takes one byte after the other. Its memory is bounded by the limit of a paste.
#[derive(Debug, Default)]
pub(in crate::editor) struct Decoder {
    state: State,
    /// The key that comes has Alt, since ESC came before it.
    meta: bool,
    /// The bytes of a character so far, and how many it has.
    character: [u8; 4],
    have: usize,
    need: usize,
}

impl Decoder {
    /// Whether a key may be complete: a lone ESC is one if no more bytes come.
    pub(in crate::editor) fn is_waiting(&self) -> bool {
        matches!(
            self.state,
            State::Escape | State::Sequence(_) | State::LongSequence | State::Console | State::Application(_)
        )
    }

    /// No more bytes have come for a while: ends a sequence that has begun.
    pub(in crate::editor) fn expire(&mut self) -> Option<Input> {
        if !self.is_waiting() {
            return None;
        }
        let key = match std::mem::take(&mut self.state) {
            State::Escape => Some(Key::plain(Code::Escape)),
            State::Sequence(bytes) if bytes.is_empty() => Some(Key { meta: true, ..Key::plain(Code::Char('[')) }),
            State::Application(0) => Some(Key { meta: true, ..Key::plain(Code::Char('O')) }),
            _ => None,
        };
        self.meta = false;
        key.map(Input::Key)
    }

    /// Takes a byte. A paste has at most `limit` bytes.
    pub(in crate::editor) fn decode(&mut self, byte: u8, limit: usize) -> Option<Input> {
        match &mut self.state {
            State::Ground => self.ground(byte),
            State::Escape => self.escape(byte),
            State::Paste { .. } => self.paste(byte, limit),
            // A control character or one beyond ASCII is in no sequence: it ends the one that has begun.
            _ if !(0x20..0x7f).contains(&byte) => {
                self.state = State::Ground;
                self.meta = false;
                self.ground(byte)
            }
            State::Sequence(_) | State::LongSequence => self.sequence(byte),
            State::Console => self.key(Key::plain(Code::Function)),
            State::Application(modifier) => {
                if byte.is_ascii_digit() {
                    *modifier = u16::from(byte - b'0');
                    return None;
                }
                let key = application_key(byte).with_modifiers(*modifier);
                self.key(key)
            }
        }
    }

    fn ground(&mut self, byte: u8) -> Option<Input> {
        if self.have > 0 {
            return self.continuation(byte);
        }
        match byte {
            0x1b => {
                self.state = State::Escape;
                None
            }
            0..0x20 | 0x7f => self.key(Key::of_control(byte)),
            0x20..0x7f => self.key(Key::plain(Code::Char(char::from(byte)))),
            _ => {
                self.need = match byte {
                    0xc2..=0xdf => 2,
                    0xe0..=0xef => 3,
                    0xf0..=0xf4 => 4,
                    _ => return self.key(Key::plain(Code::Char(char::REPLACEMENT_CHARACTER))),
                };
                self.character[0] = byte;
                self.have = 1;
                None
            }
        }
    }

    /// The second and later bytes of a character. One that does not fit ends it, and is looked at again by itself.
    fn continuation(&mut self, byte: u8) -> Option<Input> {
        self.character[self.have] = byte;
        let bytes = &self.character[..=self.have];
        match std::str::from_utf8(bytes) {
            Ok(text) => {
                let character = text.chars().next().unwrap_or(char::REPLACEMENT_CHARACTER);
                self.have = 0;
                self.key(Key::plain(Code::Char(character)))
            }
            Err(error) if error.error_len().is_none() && bytes.len() < self.need => {
                self.have += 1;
                None
            }
            Err(_) => {
                self.have = 0;
                let replaced = self.key(Key::plain(Code::Char(char::REPLACEMENT_CHARACTER)));
                // A byte that begins something shows what comes next; a key that it is by itself would be lost, so that
                // the invalid character is left out instead.
                match self.ground(byte) {
                    None => replaced,
                    key => key,
                }
            }
        }
    }

    fn escape(&mut self, byte: u8) -> Option<Input> {
        self.state = match byte {
            b'[' => State::Sequence(Vec::new()),
            b'O' => State::Application(0),
            // rxvt sends ESC before the sequence of a key with Alt.
            0x1b => {
                self.meta = true;
                return None;
            }
            _ => {
                self.meta = true;
                self.state = State::Ground;
                return self.ground(byte);
            }
        };
        None
    }

    fn sequence(&mut self, byte: u8) -> Option<Input> {
        let State::Sequence(bytes) = &mut self.state else {
            if (0x40..0x7f).contains(&byte) {
                self.state = State::Ground;
                self.meta = false;
            }
            return None;
        };
        if byte == b'[' && bytes.is_empty() {
            self.state = State::Console;
            return None;
        }
        // `$` ends a sequence of rxvt, and is inside others.
        let ends = (0x40..0x7f).contains(&byte) || (byte == b'$' && bytes.iter().all(u8::is_ascii_digit));
        if !ends {
            bytes.push(byte);
            if bytes.len() > LONGEST_SEQUENCE {
                self.state = State::LongSequence;
            }
            return None;
        }
        let bytes = std::mem::take(bytes);
        if bytes == b"200" && byte == b'~' {
            self.meta = false;
            self.state = State::Paste { bytes: Vec::new(), too_long: false, matched: 0 };
            return None;
        }
        let Some(key) = sequence_key(&bytes, byte) else {
            self.state = State::Ground;
            self.meta = false;
            return None;
        };
        self.key(key)
    }

    fn key(&mut self, mut key: Key) -> Option<Input> {
        self.state = State::Ground;
        key.meta |= std::mem::take(&mut self.meta);
        Some(Input::Key(key))
    }

    fn paste(&mut self, byte: u8, limit: usize) -> Option<Input> {
        let State::Paste { bytes, too_long, matched } = &mut self.state else { return None };
        if byte == PASTE_END[*matched] {
            *matched += 1;
            if *matched < PASTE_END.len() {
                return None;
            }
            let pasted = if *too_long { Input::PasteTooLong } else { Input::Paste(lines(bytes)) };
            self.state = State::Ground;
            return Some(pasted);
        }
        // What looked like the end is text. Only its first byte is ESC, so that no other end begins inside it.
        let text = &PASTE_END[..std::mem::take(matched)];
        if bytes.len() + text.len() + 1 > limit {
            *too_long = true;
            *bytes = Vec::new();
        }
        if !*too_long {
            bytes.extend_from_slice(text);
        }
        if byte == PASTE_END[0] {
            *matched = 1;
        } else if !*too_long {
            bytes.push(byte);
        }
        None
    }
}

/// The text of a paste: terminals send `\r` for the end of a line.
fn lines(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    if text.contains('\r') { text.replace("\r\n", "\n").replace('\r', "\n") } else { text.into_owned() }
}

/// The key of `ESC O`.
fn application_key(byte: u8) -> Key {
    Key::plain(match byte {
        b'A' => Code::Up,
        b'B' => Code::Down,
        b'C' => Code::Right,
        b'D' => Code::Left,
        b'H' => Code::Home,
        b'F' => Code::End,
        b'M' => Code::Enter,
        // The characters of a keypad.
        b'j'..=b'y' => Code::Char(char::from(byte - 0x40)),
        // rxvt, with Control.
        b'a' => return Key { control: true, ..Key::plain(Code::Up) },
        b'b' => return Key { control: true, ..Key::plain(Code::Down) },
        b'c' => return Key { control: true, ..Key::plain(Code::Right) },
        b'd' => return Key { control: true, ..Key::plain(Code::Left) },
        _ => Code::Function,
    })
}

/// The key of `ESC [`, parameters and a last byte. `None` when it is an answer of the terminal and no key.
fn sequence_key(bytes: &[u8], last: u8) -> Option<Key> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut parameters = text.split(';').map(|one| one.split(':').next().unwrap_or("").parse::<u16>().unwrap_or(0));
    let first = parameters.next().unwrap_or(0);
    let second = parameters.next().unwrap_or(0);
    let code = match last {
        b'A' | b'a' => Code::Up,
        b'B' | b'b' => Code::Down,
        b'C' | b'c' if !text.starts_with(['?', '>', '=']) => Code::Right,
        b'D' | b'd' => Code::Left,
        b'H' => Code::Home,
        b'F' => Code::End,
        b'Z' => return Some(Key { shift: true, ..Key::plain(Code::Tab) }),
        b'P' | b'Q' | b'S' => Code::Function,
        b'~' if first == 27 => {
            return character_key(parameters.next().unwrap_or(0).into()).map(|key| key.with_modifiers(second));
        }
        b'u' if bytes.first().is_some_and(u8::is_ascii_digit) => {
            return character_key(first.into()).map(|key| key.with_modifiers(second));
        }
        b'~' | b'^' | b'$' | b'@' => match first {
            1 | 7 => Code::Home,
            2 => Code::Insert,
            3 => Code::Delete,
            4 | 8 => Code::End,
            5 => Code::PageUp,
            6 => Code::PageDown,
            11..=34 => Code::Function,
            _ => return None,
        },
        _ => return None,
    };
    let mut key = Key::plain(code).with_modifiers(second);
    key.control |= matches!(last, b'^' | b'@');
    key.shift |= matches!(last, b'$' | b'@' | b'a'..=b'd');
    Some(key)
}

/// The key that a terminal sends as the number of its character, if asked for all modifiers.
fn character_key(number: u32) -> Option<Key> {
    match u8::try_from(number) {
        Ok(byte) if byte < 0x20 || byte == 0x7f => Some(Key::of_control(byte)),
        _ => char::from_u32(number).map(|character| Key::plain(Code::Char(character))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(bytes: &[u8]) -> Vec<Input> {
        let mut decoder = Decoder::default();
        let mut inputs: Vec<Input> = bytes.iter().filter_map(|byte| decoder.decode(*byte, 100)).collect();
        inputs.extend(decoder.expire());
        inputs
    }

    fn key(code: Code, modifiers: &str) -> Input {
        let has = |letter| modifiers.contains(letter);
        Input::Key(Key { code, control: has('c'), meta: has('m'), shift: has('s') })
    }

    #[test]
    fn each_sequence_is_its_key() {
        for (bytes, code, modifiers) in [
            ("a", Code::Char('a'), ""),
            ("漢", Code::Char('漢'), ""),
            ("\r", Code::Enter, ""),
            ("\t", Code::Tab, ""),
            ("\x7f", Code::Backspace, ""),
            ("\0", Code::Char('@'), "c"),
            ("\x01", Code::Char('a'), "c"),
            ("\x1f", Code::Char('_'), "c"),
            ("\x1b", Code::Escape, ""),
            ("\x1bb", Code::Char('b'), "m"),
            ("\x1bé", Code::Char('é'), "m"),
            ("\x1b\x7f", Code::Backspace, "m"),
            ("\x1b\x02", Code::Char('b'), "cm"),
            ("\x1bP", Code::Char('P'), "m"),
            ("\x1b]", Code::Char(']'), "m"),
            ("\x1b[", Code::Char('['), "m"),
            ("\x1bO", Code::Char('O'), "m"),
            ("\x1b[A", Code::Up, ""),
            ("\x1bOA", Code::Up, ""),
            ("\x1b\x1b[A", Code::Up, "m"),
            ("\x1b[1;5C", Code::Right, "c"),
            ("\x1b[1;4D", Code::Left, "ms"),
            ("\x1b[1;7B", Code::Down, "cm"),
            ("\x1b[Z", Code::Tab, "s"),
            ("\x1b[3~", Code::Delete, ""),
            ("\x1b[3;5~", Code::Delete, "c"),
            ("\x1b[7^", Code::Home, "c"),
            ("\x1b[3$", Code::Delete, "s"),
            ("\x1b[15~", Code::Function, ""),
            ("\x1b[[A", Code::Function, ""),
            ("\x1bOM", Code::Enter, ""),
            ("\x1bOk", Code::Char('+'), ""),
            ("\x1bO5C", Code::Right, "c"),
            ("\x1b[97;5u", Code::Char('a'), "c"),
            ("\x1b[13;2u", Code::Enter, "s"),
            ("\x1b[27;5;105~", Code::Char('i'), "c"),
        ] {
            assert_eq!(keys(bytes.as_bytes()), [key(code, modifiers)], "{bytes:?}");
        }
    }

    #[test]
    fn answers_of_the_terminal_are_no_keys() {
        for bytes in ["\x1b[?1;2c", "\x1b[5;10R", "\x1b[I", "\x1b[O", "\x1b[201~", "\x1b[?2026;2$y", "\x1b[>0;276;0c"] {
            assert_eq!(keys(bytes.as_bytes()), [], "{bytes:?}");
        }
    }

    #[test]
    fn a_sequence_ends_with_what_is_in_none_and_is_skipped_if_it_is_long() {
        assert_eq!(keys(b"\x1b[12\x03"), [key(Code::Char('c'), "c")]);
        assert_eq!(keys(b"\x1b[1\x1b[A"), [key(Code::Up, "")]);
        let long = ["\x1b[", &"1;".repeat(10_000), "Ax"].concat();
        assert_eq!(keys(long.as_bytes()), [key(Code::Char('x'), "")]);
    }

    #[test]
    fn bytes_that_are_no_characters_are_replaced_and_what_follows_is_read() {
        let replaced = || key(Code::Char('\u{fffd}'), "");
        assert_eq!(keys(b"\xff"), [replaced()]);
        assert_eq!(keys(b"\xc3\xc3\xa9"), [replaced(), key(Code::Char('é'), "")]);
        assert_eq!(keys(b"\xe6\xbcx"), [key(Code::Char('x'), "")]);
        assert_eq!(keys(b"\xed\xa0\x80\r").last(), Some(&key(Code::Enter, "")));
    }

    #[test]
    fn a_paste_is_one_input_and_too_long_a_one_is_left_out() {
        assert_eq!(keys(b"\x1b[200~a\r\nb\rc\x1b[2\x1b[201~"), [Input::Paste("a\nb\nc\x1b[2".to_owned())]);
        assert_eq!(keys(b"\x1b[200~\x1b\x1b[201~x"), [Input::Paste("\x1b".to_owned()), key(Code::Char('x'), "")]);
        let long = ["\x1b[200~", &"x".repeat(101), "\x1b[201~y"].concat();
        assert_eq!(keys(long.as_bytes()), [Input::PasteTooLong, key(Code::Char('y'), "")]);
        let fits = ["\x1b[200~", &"x".repeat(100), "\x1b[201~"].concat();
        assert_eq!(keys(fits.as_bytes()), [Input::Paste("x".repeat(100))]);
    }
}
