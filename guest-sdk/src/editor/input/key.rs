//! Keys, as terminals name them.

/// A key with its modifiers. Shift is only told of keys that are no characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::editor) struct Key {
    pub(in crate::editor) code: Code,
    pub(in crate::editor) control: bool,
    /// Alt, or the key Escape before this one.
    pub(in crate::editor) meta: bool,
    pub(in crate::editor) shift: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::editor) enum Code {
    /// A character; in lower case with Control.
    Char(char),
    Enter,
    Tab,
    Backspace,
    Escape,
    Up,
    Down,
    Left,
    Right,
    Home,
    End,
    Insert,
    Delete,
    PageUp,
    PageDown,
    /// F1 and so on, and whatever has no function here.
    Function,
}

impl Key {
    pub(in crate::editor) const fn plain(code: Code) -> Self {
        Self { code, control: false, meta: false, shift: false }
    }

    pub(in crate::editor) const fn control(letter: char) -> Self {
        Self { code: Code::Char(letter), control: true, meta: false, shift: false }
    }

    /// The key of a control character, `\0` to `\x1f` and `\x7f`.
    pub(super) fn of_control(byte: u8) -> Self {
        match byte {
            b'\r' => Self::plain(Code::Enter),
            b'\t' => Self::plain(Code::Tab),
            0x1b => Self::plain(Code::Escape),
            0x7f => Self::plain(Code::Backspace),
            other => Self::control(char::from(other | 0x40).to_ascii_lowercase()),
        }
    }

    /// Adds the modifiers of xterm's parameter: 1 plus Shift 1, Alt 2, Control 4.
    pub(super) fn with_modifiers(mut self, parameter: u16) -> Self {
        let bits = parameter.saturating_sub(1);
        self.shift |= bits & 1 != 0;
        self.meta |= bits & 2 != 0;
        self.control |= bits & 4 != 0;
        self
    }

    /// The character that the key inserts by itself.
    pub(in crate::editor) fn text(self) -> Option<char> {
        match self.code {
            Code::Char(character) if !self.control && !self.meta => Some(character),
            _ => None,
        }
    }
}
