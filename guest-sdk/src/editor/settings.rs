//! What an editor is told of its terminal and its user.

/// What a terminal can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TerminalKind {
    /// It understands the cursor movement and erasure of ECMA-48, as all that are in use do.
    #[default]
    Full,
    /// It has characters, carriage return, newline and backspace. The line stays on one row, which is scrolled.
    Dumb,
}

/// The keys of a user: `set -o emacs`, `set -o vi`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KeyMap {
    /// The keys of Emacs, as in readline and bash.
    #[default]
    Emacs,
    /// The keys of vi, as in POSIX's `sh` and readline. A line begins in insert mode.
    Vi,
}

/// How an editor behaves. All can be changed with [`Editor::settings_mut`](super::Editor::settings_mut); a change
/// applies to the next key, and one of the terminal to the next line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditorSettings {
    /// What the terminal can do. Default: [`TerminalKind::Full`].
    pub terminal: TerminalKind,
    /// Whether colours in prompts are written. Default: true.
    pub colors: bool,
    /// The width of the terminal. 0 is unknown, and taken as 80. Default: 80.
    pub columns: u32,
    /// The height of the terminal. 0 is unknown, and taken as 24. Default: 24.
    pub rows: u32,
    /// Default: [`KeyMap::Emacs`].
    pub keys: KeyMap,
    /// Whether the terminal is asked to mark what is pasted (mode 2004), so that a newline in it does not accept the
    /// line. Default: true.
    pub bracketed_paste: bool,
    /// Whether the bell rings when a key can do nothing. Default: true.
    pub bell: bool,
    /// How long ESC may wait for the rest of a key, in milliseconds. See
    /// [`Editor::timeout`](super::Editor::timeout). Default: 100.
    pub escape_ms: u32,
    /// How many completions are listed without a question. Default: 100.
    pub ask_above: usize,
    /// What Alt-# puts in front of a line. Default: `#`.
    pub comment: String,
    /// What bounds the memory of an editor.
    pub limits: EditorLimits,
}

/// What bounds the memory of an editor. Whatever a client sends, no more is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EditorLimits {
    /// The most bytes of a text, and of a paste. What does not fit is refused: [`LineEvent::TooLong`]. Default:
    /// 256 KiB.
    ///
    /// [`LineEvent::TooLong`]: super::LineEvent::TooLong
    pub text: usize,
    /// The most bytes of changes that can be taken back. Default: 1 MiB.
    pub undo: usize,
    /// The most bytes that are kept of what was killed. Default: 1 MiB.
    pub kills: usize,
    /// The most completions that are looked at. Default: 10,000.
    pub candidates: usize,
}

impl Default for EditorLimits {
    fn default() -> Self {
        Self { text: 256 * 1024, undo: 1024 * 1024, kills: 1024 * 1024, candidates: 10_000 }
    }
}

impl Default for EditorSettings {
    fn default() -> Self {
        Self {
            terminal: TerminalKind::Full,
            colors: true,
            columns: 80,
            rows: 24,
            keys: KeyMap::Emacs,
            bracketed_paste: true,
            bell: true,
            escape_ms: 100,
            ask_above: 100,
            comment: "#".to_owned(),
            limits: EditorLimits::default(),
        }
    }
}

/// No terminal is larger; a client may claim any size.
const LARGEST: u32 = 2000;

impl EditorSettings {
    /// The settings for a terminal of this name and size. `no_color` is the variable `NO_COLOR`: colours are left out
    /// if it is there and not empty (<https://no-color.org>). A terminal without a name is as `dumb`.
    pub fn for_terminal(term: &str, columns: u32, rows: u32, no_color: Option<&str>) -> Self {
        let dumb = matches!(term, "" | "dumb" | "unknown" | "emacs" | "cons25" | "network");
        Self {
            terminal: if dumb { TerminalKind::Dumb } else { TerminalKind::Full },
            colors: !dumb && no_color.is_none_or(str::is_empty),
            bracketed_paste: !dumb,
            columns,
            rows,
            ..Self::default()
        }
    }

    /// The settings for this session: its terminal, as [`pty`](crate::pty) and
    /// [`terminal::size`](crate::terminal::size) have it, and `NO_COLOR` of its environment.
    pub fn of_session() -> Self {
        let term = crate::pty().map(|pty| pty.term).unwrap_or_default();
        let size = crate::terminal::size();
        let (columns, rows) = size.map_or((0, 0), |size| (size.columns, size.rows));
        let no_color = crate::env().into_iter().find(|(name, _)| name == "NO_COLOR");
        let no_color = no_color.map(|(_, value)| String::from_utf8_lossy(&value).into_owned());
        Self::for_terminal(&term, columns, rows, no_color.as_deref())
    }

    /// The size, with something in place of what is unknown or cannot be.
    pub(super) fn size(&self) -> (usize, usize) {
        let known = |size: u32, default: u32| if size == 0 { default } else { size.min(LARGEST) };
        // Both are at most 2000, which any machine's words hold.
        let words = |size: u32| usize::try_from(size).unwrap_or(80);
        (words(known(self.columns, 80)), words(known(self.rows, 24)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_the_terminal_and_no_color_decide() {
        let full = EditorSettings::for_terminal("xterm-256color", 100, 50, None);
        assert_eq!((full.terminal, full.colors, full.size()), (TerminalKind::Full, true, (100, 50)));
        assert!(!EditorSettings::for_terminal("xterm", 0, 0, Some("1")).colors);
        assert!(EditorSettings::for_terminal("xterm", 0, 0, Some("")).colors);
        let dumb = EditorSettings::for_terminal("dumb", 0, u32::MAX, None);
        assert_eq!((dumb.terminal, dumb.colors, dumb.size()), (TerminalKind::Dumb, false, (80, 2000)));
    }
}
