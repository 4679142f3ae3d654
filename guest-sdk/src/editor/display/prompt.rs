//! Prompts: text with escape sequences, which take no column.

use super::glyph::{Glyph, first_glyph, tab_width};

/// The longest prompt that is shown, in bytes. What is beyond is left out.
const LONGEST: usize = 16 * 1024;
/// Readline's marks around characters that take no column: `RL_PROMPT_START_IGNORE` and `RL_PROMPT_END_IGNORE`.
const IGNORE: [char; 2] = ['\x01', '\x02'];

/// A piece of a prompt: a character with its marks, an escape sequence of no column, or `\n`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::editor) struct PromptCell {
    pub(super) text: String,
    pub(super) width: usize,
    /// An index into the styles, plus one. 0: none.
    pub(super) style: usize,
}

/// A prompt as it is drawn, and the prompt of further lines.
#[derive(Debug, Clone, Default)]
pub(in crate::editor) struct ShownPrompt {
    pub(in crate::editor) first: Vec<PromptCell>,
    pub(in crate::editor) next: Vec<PromptCell>,
    /// The escape sequences that select the colours.
    pub(in crate::editor) styles: Vec<String>,
}

/// What of a prompt the terminal understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::editor) enum Sequences {
    All,
    /// All but colours and other attributes.
    NoColors,
    None,
}

impl ShownPrompt {
    pub(in crate::editor) fn new(first: &str, next: &str, sequences: Sequences) -> Self {
        let mut shown = Self::default();
        shown.first = shown.cells(first, sequences);
        shown.next = shown.cells(next, sequences);
        shown.next.retain(|cell| cell.text != "\n");
        shown
    }

    /// The same prompt with a plain text in the place of its last line.
    pub(in crate::editor) fn with_last_line(&self, text: &str) -> Self {
        let last = self.first.iter().rposition(|cell| cell.text == "\n").map_or(0, |at| at + 1);
        let mut shown = self.clone();
        shown.first.truncate(last);
        let cells = shown.cells(text, Sequences::None);
        shown.first.extend(cells);
        shown
    }

    fn cells(&mut self, prompt: &str, sequences: Sequences) -> Vec<PromptCell> {
        let mut rest = &prompt[..prompt.floor_char_boundary(LONGEST)];
        let (mut cells, mut style, mut column, mut ignored) = (Vec::new(), String::new(), 0, false);
        while let Some(first) = rest.chars().next() {
            let length = if first == '\x1b' { sequence(rest) } else { 0 };
            if length > 0 {
                let (one, after) = rest.split_at(length);
                rest = after;
                if is_color(one) {
                    if sequences == Sequences::All {
                        add_color(&mut style, one);
                    }
                } else if sequences != Sequences::None {
                    cells.push(PromptCell { text: one.to_owned(), width: 0, style: 0 });
                }
                continue;
            }
            if IGNORE.contains(&first) {
                ignored = first == IGNORE[0];
                rest = &rest[1..];
                continue;
            }
            let Some((glyph, length)) = first_glyph(rest) else { break };
            let drawn = &rest[..length];
            rest = &rest[length..];
            if ignored {
                if sequences != Sequences::None {
                    cells.push(PromptCell { text: drawn.to_owned(), width: 0, style: 0 });
                }
                continue;
            }
            let style = self.style(&style);
            let mut push = |text: &str, width| cells.push(PromptCell { text: text.to_owned(), width, style });
            match glyph {
                Glyph::Text { drawn, width } => {
                    push(drawn, width);
                    column += width;
                }
                Glyph::Newline => {
                    push("\n", 0);
                    column = 0;
                }
                Glyph::Tab => {
                    let width = tab_width(column);
                    (0..width).for_each(|_| push(" ", 1));
                    column += width;
                }
                // A bell, or what else has no column: as the caller wrote it.
                Glyph::Escaped(_) if drawn == "\x07" => push(drawn, 0),
                Glyph::Escaped(_) if drawn == "\r" => {}
                Glyph::Escaped(escaped) => {
                    escaped.as_str().chars().for_each(|sign| push(sign.encode_utf8(&mut [0; 4]), 1));
                    column += escaped.as_str().len();
                }
            }
        }
        cells
    }

    /// The index of a style, plus one. 0 for none.
    fn style(&mut self, style: &str) -> usize {
        if style.is_empty() {
            return 0;
        }
        if let Some(known) = self.styles.iter().position(|known| known == style) {
            return known + 1;
        }
        self.styles.push(style.to_owned());
        self.styles.len()
    }
}

/// The length of the escape sequence that a text begins with: a control sequence, a string with its end, or two or
/// three bytes. The end of the text ends it too.
fn sequence(text: &str) -> usize {
    let bytes = text.as_bytes();
    match bytes.get(1) {
        None => 1,
        Some(b'[') => bytes[2..].iter().position(|byte| (0x40..0x7f).contains(byte)).map_or(bytes.len(), |at| at + 3),
        // An operating system command, and other strings: they end with BEL or `ESC \`.
        Some(b']' | b'P' | b'X' | b'^' | b'_') => {
            let end = bytes[2..].iter().position(|byte| matches!(byte, 0x07 | 0x1b));
            end.map_or(bytes.len(), |at| (at + if bytes[at + 2] == 0x07 { 3 } else { 4 }).min(bytes.len()))
        }
        Some(0x20..=0x2f) => 3.min(bytes.len()),
        Some(_) => 2,
    }
}

/// Whether a sequence selects colours and other attributes: SGR of ECMA-48.
fn is_color(sequence: &str) -> bool {
    sequence
        .strip_prefix("\x1b[")
        .and_then(|rest| rest.strip_suffix('m'))
        .is_some_and(|parameters| parameters.bytes().all(|byte| byte.is_ascii_digit() || byte == b';' || byte == b':'))
}

/// The longest chain of sequences of one style. A longer one begins anew.
const LONGEST_STYLE: usize = 256;

fn add_color(style: &mut String, sequence: &str) {
    let parameters = &sequence[2..sequence.len() - 1];
    // It resets all that came before.
    let resets = parameters.is_empty() || parameters == "0" || parameters == "00" || parameters.starts_with("0;");
    if resets || style.len() > LONGEST_STYLE {
        style.clear();
    }
    if !matches!(parameters, "" | "0" | "00") {
        style.push_str(sequence);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(prompt: &str, sequences: Sequences) -> (String, Vec<String>) {
        let shown = ShownPrompt::new(prompt, "", sequences);
        (shown.first.iter().map(|cell| format!("{}{}", cell.style, cell.text)).collect(), shown.styles)
    }

    #[test]
    fn colours_are_styles_and_other_sequences_take_no_column() {
        let (cells, styles) = shown("\x1b]0;title\x07\x1b[1m\x1b[31ma\x1b[0mb\x1b[1;32mc\x1b[m$", Sequences::All);
        assert_eq!(cells, "0\x1b]0;title\x071a0b2c0$");
        assert_eq!(styles, ["\x1b[1m\x1b[31m", "\x1b[1;32m"]);
        let (cells, styles) = shown("\x01\x1b[7m\x02x\x01ab\x02", Sequences::All);
        assert_eq!((cells.as_str(), styles.len()), ("1x0a0b", 1));
    }

    #[test]
    fn a_terminal_gets_what_it_understands() {
        let prompt = "\x1b]133;A\x1b\\\x1b[31ma\x1b(Bb\x1b[m\tc\x1b[";
        assert_eq!(shown(prompt, Sequences::NoColors).0, "0\x1b]133;A\x1b\\0a0\x1b(B0b0 0 0 0 0 0 0c0\x1b[");
        assert_eq!(shown(prompt, Sequences::None).0, "0a0b0 0 0 0 0 0 0c");
    }
}
