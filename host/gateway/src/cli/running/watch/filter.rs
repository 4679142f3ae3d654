//! What of a session's output, live or recorded, is passed to the operator's terminal: text, and the control sequences
//! that only draw.
//!
//! Passed: printable characters; BS, HT, LF, VT, FF, CR, SO, SI; of the escape sequences DECSC, DECRC, IND, NEL, RI,
//! the choice of a character set (`ESC ( …`, `ESC ) …`); of the control sequences (CSI) those that move the
//! cursor, erase (not the scrollback), insert, delete, scroll, repeat (at most a line), set margins, SGR, DECSCUSR,
//! insert mode, and the private modes 6, 7, 12, 25, 47, 1047, 1048, 1049 and 2026.
//!
//! Not passed, since they act on the operator's terminal or have it answer: OSC (title, clipboard, colours, links),
//! DCS, APC, PM, SOS, device attributes and status reports (DA, DSR, DECRQM, DECID, DECREQTPARM, ENQ), window
//! operations, tab stops, printing, mouse, focus and paste modes, keypad and cursor key modes, key reporting, 132
//! columns, resets, locks, BEL, 8-bit controls, and everything else that is not named above. Bytes that are not UTF-8
//! show as U+FFFD. For an operator's terminal that does not understand UTF-8, all beyond US-ASCII is `?`.

use unicode_width::UnicodeWidthChar;

/// Most bytes of a control sequence that is passed.
const LONGEST: usize = 64;
/// The largest number in a control sequence that is passed: a terminal would repeat something as often.
const LARGEST: u32 = 9_999;
/// Columns of a terminal whose size is not known.
const COLUMNS: u32 = 80;
/// From this many bytes on a string that is not passed is reported: it may never end.
const LONG_STRING: usize = 4 << 10;

/// Filters output that comes in pieces.
#[derive(Debug)]
pub(in crate::cli) struct ScreenFilter {
    state: ParserState,
    /// The control sequence so far, without its `ESC [`.
    sequence: Vec<u8>,
    /// The beginning of a character whose other bytes are still to come.
    character: Vec<u8>,
    /// Bytes of the current string.
    string: usize,
    /// The current string has become long since [`ScreenFilter::take_hidden`] was called.
    is_hidden: bool,
    /// Columns of the session's terminal.
    columns: u32,
    /// Passes text and line ends alone.
    is_plain: bool,
    /// The operator's terminal understands UTF-8.
    is_utf8: bool,
}

impl Default for ScreenFilter {
    fn default() -> ScreenFilter {
        ScreenFilter {
            state: ParserState::Ground,
            sequence: Vec::new(),
            character: Vec::new(),
            string: 0,
            is_hidden: false,
            columns: COLUMNS,
            is_plain: false,
            is_utf8: true,
        }
    }
}

/// What the next byte belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ParserState {
    /// Text and control characters.
    Ground,
    /// ESC was read.
    Escape,
    /// ESC and an intermediate byte: the next byte is the last.
    EscapeWith(u8),
    /// A control sequence.
    Control,
    /// A control sequence that is not passed, because it is too long.
    Ignored,
    /// OSC, DCS, APC, PM or SOS, until ST or, for OSC, BEL.
    String { ends_at_bell: bool },
    /// ESC within one of these.
    StringEscape { ends_at_bell: bool },
}

impl ScreenFilter {
    /// For an output that is no terminal: without any control sequence.
    pub(in crate::cli) fn plain() -> ScreenFilter {
        ScreenFilter { is_plain: true, ..ScreenFilter::default() }
    }

    /// For a terminal that understands UTF-8, or does not.
    pub(in crate::cli) fn with_utf8(self, is_utf8: bool) -> ScreenFilter {
        ScreenFilter { is_utf8, ..self }
    }

    /// The session's terminal has this many columns.
    pub(in crate::cli) fn set_columns(&mut self, columns: u32) {
        self.columns = columns;
    }

    /// Output is missing here: what comes next begins anew.
    pub(in crate::cli) fn reset(&mut self) {
        self.state = ParserState::Ground;
        self.sequence.clear();
        self.character.clear();
    }

    /// Whether a string that is not passed has become so long that it may hide the output. True once for each.
    pub(in crate::cli) fn take_hidden(&mut self) -> bool {
        std::mem::take(&mut self.is_hidden)
    }

    /// What of these bytes is passed.
    pub(in crate::cli) fn pass(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut passed = Vec::with_capacity(bytes.len());
        for byte in bytes {
            self.step(*byte, &mut passed);
        }
        passed
    }

    fn step(&mut self, byte: u8, out: &mut Vec<u8>) {
        if self.state == ParserState::Ground {
            return self.ground(byte, out);
        }
        // CAN and SUB end any sequence.
        if matches!(byte, 0x18 | 0x1a) {
            self.state = ParserState::Ground;
            return;
        }
        self.state = match (self.state, byte) {
            (ParserState::String { ends_at_bell }, 0x1b) => ParserState::StringEscape { ends_at_bell },
            (ParserState::String { ends_at_bell: true }, 0x07) => ParserState::Ground,
            (state @ ParserState::String { .. }, _) => {
                self.string += 1;
                self.is_hidden |= self.string == LONG_STRING;
                state
            }
            (ParserState::StringEscape { .. }, b'\\') => ParserState::Ground,
            // ESC ends the string, and begins another sequence.
            (ParserState::StringEscape { .. }, _) => return self.escape(byte, out),
            (_, 0x1b) => ParserState::Escape,
            (ParserState::Escape, _) => return self.escape(byte, out),
            (ParserState::EscapeWith(intermediate), _) => {
                if matches!(intermediate, b'(' | b')') && matches!(byte, b'0' | b'A' | b'B') {
                    self.put(&[0x1b, intermediate, byte], out);
                }
                ParserState::Ground
            }
            (ParserState::Control, 0x40..=0x7e) => {
                if self.is_passed(byte) {
                    let sequence = [&b"\x1b["[..], &self.sequence, &[byte]].concat();
                    self.put(&sequence, out);
                }
                ParserState::Ground
            }
            (ParserState::Control, 0x20..=0x3f) if self.sequence.len() < LONGEST => {
                self.sequence.push(byte);
                ParserState::Control
            }
            (ParserState::Ignored, 0x40..=0x7e) => ParserState::Ground,
            (ParserState::Control | ParserState::Ignored, 0x20..=0x3f) => ParserState::Ignored,
            // A control character or a byte that belongs to no sequence.
            (ParserState::Control | ParserState::Ignored, _) => ParserState::Ground,
            (ParserState::Ground, _) => ParserState::Ground,
        };
    }

    /// The byte after ESC.
    fn escape(&mut self, byte: u8, out: &mut Vec<u8>) {
        self.state = match byte {
            b'[' => {
                self.sequence.clear();
                ParserState::Control
            }
            b']' | b'P' | b'X' | b'^' | b'_' => {
                self.string = 0;
                ParserState::String { ends_at_bell: byte == b']' }
            }
            0x20..=0x2f => ParserState::EscapeWith(byte),
            0x1b => ParserState::Escape,
            b'7' | b'8' | b'D' | b'E' | b'M' => {
                self.put(&[0x1b, byte], out);
                ParserState::Ground
            }
            _ => ParserState::Ground,
        };
    }

    /// Text and control characters.
    fn ground(&mut self, byte: u8, out: &mut Vec<u8>) {
        if !self.character.is_empty() || byte >= 0x80 {
            return self.beyond_ascii(byte, out);
        }
        match byte {
            0x1b => self.state = ParserState::Escape,
            b'\n' | b'\t' | b' '..=b'~' => out.push(byte),
            0x08 | 0x0b..=0x0f => self.put(&[byte], out),
            _ => {}
        }
    }

    /// A byte of a character beyond ASCII.
    fn beyond_ascii(&mut self, byte: u8, out: &mut Vec<u8>) {
        self.character.push(byte);
        match str::from_utf8(&self.character) {
            Ok(text) => {
                // C1 controls are control sequences to a terminal.
                text.chars()
                    .filter(|character| !character.is_control())
                    .for_each(|character| self.write(character, out));
                self.character.clear();
            }
            // More bytes are to come.
            Err(error) if error.error_len().is_none() => {}
            Err(_) => {
                self.write(char::REPLACEMENT_CHARACTER, out);
                let is_alone = self.character.len() == 1;
                self.character.clear();
                if !is_alone {
                    // It may begin something else.
                    self.step(byte, out);
                }
            }
        }
    }

    /// Writes a character beyond US-ASCII, or as many `?` as it has columns.
    fn write(&self, character: char, out: &mut Vec<u8>) {
        if self.is_utf8 {
            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        } else {
            out.extend(std::iter::repeat_n(b'?', character.width().unwrap_or_default()));
        }
    }

    /// Passes what is not text.
    fn put(&self, bytes: &[u8], out: &mut Vec<u8>) {
        if !self.is_plain {
            out.extend_from_slice(bytes);
        }
    }

    /// Whether the control sequence with this last byte only draws.
    fn is_passed(&self, last: u8) -> bool {
        let Ok(text) = str::from_utf8(&self.sequence) else { return false };
        let numbers = |text: &str| {
            let small = |part: &str| part.is_empty() || part.parse::<u32>().is_ok_and(|number| number <= LARGEST);
            text.split([';', ':']).all(small)
        };
        if let Some(modes) = text.strip_prefix('?') {
            let draws = |mode: &str| matches!(mode, "6" | "7" | "12" | "25" | "47" | "1047" | "1048" | "1049" | "2026");
            return match last {
                b'h' | b'l' => modes.split(';').all(draws),
                // Selective erasing.
                b'J' | b'K' => matches!(modes, "" | "0" | "1" | "2"),
                _ => false,
            };
        }
        match last {
            // 3 erases the scrollback of the terminal.
            b'J' => matches!(text, "" | "0" | "1" | "2"),
            b'b' => text.is_empty() || text.parse().is_ok_and(|times: u32| times <= self.columns),
            b'@'..=b'I'
            | b'K'..=b'M'
            | b'P'
            | b'S'
            | b'T'
            | b'X'
            | b'Z'
            | b'`'
            | b'a'
            | b'd'..=b'f'
            | b'm'
            | b'r'
            | b's'
            | b'u' => numbers(text),
            // Insert mode.
            b'h' | b'l' => text == "4",
            // The form of the cursor.
            b'q' => text.strip_suffix(' ').is_some_and(numbers),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(bytes: &[u8]) -> Vec<u8> {
        let whole = ScreenFilter::default().pass(bytes);
        // In pieces of one byte it is the same.
        let mut filter = ScreenFilter::default();
        let pieces: Vec<u8> = bytes.iter().flat_map(|byte| filter.pass(&[*byte])).collect();
        assert_eq!(whole, pieces, "{bytes:?}");
        whole
    }

    #[test]
    fn text_and_what_draws_is_passed_as_it_is() {
        for bytes in [
            &b"plain text\r\n\tand\x08 more"[..],
            "Zoë 漢字 🙂 é".as_bytes(),
            b"\x1b[1;31mred\x1b[0m \x1b[38;5;200m\x1b[38:2::1:2:3m\x1b[m",
            b"\x1b[2J\x1b[H\x1b[10;20H\x1b[K\x1b[3A\x1b[5P\x1b[2L\x1b[1;24r\x1b[5S\x1b[4h\x1b[4l\x1b[80b\x1b[2 q",
            b"\x1b[?1049h\x1b[?25l\x1b[?7h\x1b[?25;7h\x1b[?2026h",
            b"\x1b7\x1b8\x1bM\x1b(0lqk\x1b(B\x0e\x0f",
        ] {
            assert_eq!(passed(bytes), bytes, "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn what_acts_on_the_terminal_or_has_it_answer_is_not_passed() {
        for bytes in [
            &b"\x1b]52;c;ZXZpbA==\x07"[..],
            b"\x1b]0;title\x1b\\",
            b"\x1b]8;;http://example.org\x07",
            b"\x1bPq#0;2;0;0;0\x1b\\",
            b"\x1bP+q544e\x1b\\",
            b"\x1b_Gf=24;AAAA\x1b\\",
            b"\x1bX sos \x1b\\",
            b"\x1b^ pm \x1b\\",
            b"\x1b[c",
            b"\x1b[>c",
            b"\x1b[=c",
            b"\x1b[5n",
            b"\x1b[6n",
            b"\x1b[?6n",
            b"\x1b[?1$p",
            b"\x1b[x",
            b"\x1bZ",
            b"\x1bc",
            b"\x1b=",
            b"\x1b>",
            b"\x1b[!p",
            b"\x1b[8;100;400t",
            b"\x1b[21t",
            b"\x1b[4i",
            b"\x1b[?1000h",
            b"\x1b[?25;1003h",
            b"\x1b[?2004h",
            b"\x1b[?1004h",
            b"\x1b[?1h",
            b"\x1b[?3h",
            b"\x1b[>4;2m",
            b"\x1b[>1u",
            b"\x1b[2h",
            b"\x1b[999999999b",
            b"\x1b[81b",
            b"\x1b[3J",
            b"\x1b[?3J",
            b"\x1b[03J",
            b"\x1b[0;3J",
            b"\x1bH",
            b"\x1b[3g",
            b"\x1b[1;10000H",
            b"\x05\x07\x00\x7f",
            "\u{9b}6n".as_bytes().split_at(2).0,
            b"\x1b#8",
            b"\x1b%G",
            b"\x1b F",
        ] {
            assert_eq!(passed(bytes), b"", "{:?}", String::from_utf8_lossy(bytes));
        }
        assert_eq!(passed(b"a\x1b]0;x\x07b\x1b[6nc"), b"abc");
        // A string that never ends, and a sequence that is too long, hold nothing.
        let mut filter = ScreenFilter::default();
        assert_eq!(filter.pass(&[&b"\x1b]52;c;"[..], &vec![b'A'; 1 << 20]].concat()), b"");
        assert!(filter.take_hidden() && !filter.take_hidden());
        assert_eq!(filter.pass(b"\x1b\\text"), b"text");
        assert_eq!(filter.pass(&[&b"\x1b["[..], &vec![b'1'; 1 << 20], b"mtext"].concat()), b"text");
        assert!(filter.sequence.capacity() <= 4 * LONGEST);
    }

    #[test]
    fn broken_sequences_and_characters_end_where_the_next_begins() {
        assert_eq!(passed(b"\x1b[3\x1b[1mx"), b"\x1b[1mx");
        assert_eq!(passed(b"\x1b]0;ab\x1b[1mx"), b"\x1b[1mx");
        assert_eq!(passed(b"\x1b[3\x18x"), b"x");
        assert_eq!(passed(b"\x1b\x1b[1mx"), b"\x1b[1mx");
        assert_eq!(passed(b"a\xffb\xc3c\xe6\xbc\x1b[1md"), "a\u{fffd}b\u{fffd}c\u{fffd}\x1b[1md".as_bytes());
        assert_eq!(passed(b"\xc3\xff\xc3\xa9"), "\u{fffd}\u{fffd}é".as_bytes());
    }

    #[test]
    fn where_output_is_missing_the_next_begins_anew_and_a_line_bounds_what_is_repeated() {
        let mut filter = ScreenFilter::default();
        for begun in [&b"\x1b"[..], b"\x1b[3", b"\x1b_hides all", b"\xe6\xbc"] {
            assert_eq!(filter.pass(begun), b"");
            filter.reset();
            assert_eq!(filter.pass(b"1mtext"), b"1mtext");
        }
        filter.set_columns(200);
        assert_eq!(filter.pass(b"-\x1b[200b\x1b[201b"), b"-\x1b[200b");
    }

    #[test]
    fn a_terminal_without_utf_8_gets_a_mark_for_each_column() {
        let mut filter = ScreenFilter::default().with_utf8(false);
        assert_eq!(filter.pass("Zoe\u{308} é 漢 \u{9b}m".as_bytes()), b"Zoe ? ?? m");
        assert_eq!(filter.pass(b"\xff\x1b[1m"), b"?\x1b[1m");
    }

    #[test]
    fn an_output_that_is_no_terminal_gets_text_and_line_ends() {
        let shown =
            ScreenFilter::plain().pass("\u{1b}[1mZoë\u{1b}[0m\r\n\u{1b}]0;x\u{7}\u{1b}(0q\tend\u{8}\n".as_bytes());
        assert_eq!(String::from_utf8(shown).unwrap(), "Zoë\nq\tend\n");
    }
}
