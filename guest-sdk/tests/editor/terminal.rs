//! An editor with a terminal in memory.

use std::num::NonZeroU16;
use whelk_guest::editor::{Callbacks, Candidate, Completions, Editor, EditorSettings, LineEvent, LinePrompt};

/// Completes the last word from a list; texts with an odd number of `"` are incomplete.
#[derive(Default)]
pub(crate) struct Words(pub(crate) Vec<String>);

impl Callbacks for Words {
    fn complete(&mut self, text: &str, cursor: usize) -> Completions {
        let start = text[..cursor].rfind(' ').map_or(0, |at| at + 1);
        let fitting = self.0.iter().filter(|word| word.starts_with(&text[start..cursor]));
        Completions { start, candidates: fitting.map(Candidate::word).collect() }
    }

    fn is_incomplete(&mut self, text: &str) -> bool {
        text.matches('"').count() % 2 == 1
    }
}

pub(crate) struct Terminal {
    pub(crate) editor: Editor,
    pub(crate) callbacks: Words,
    pub(crate) screen: vt100::Parser,
    pub(crate) events: Vec<LineEvent>,
    /// What was written last.
    pub(crate) written: String,
}

fn size(cells: u32) -> NonZeroU16 {
    NonZeroU16::new(u16::try_from(cells).expect("a test's size")).expect("not zero")
}

impl Terminal {
    pub(crate) fn new(prompt: impl Into<LinePrompt>, columns: u32, rows: u32) -> Self {
        Self::with(EditorSettings { columns, rows, ..EditorSettings::default() }, prompt)
    }

    pub(crate) fn with(settings: EditorSettings, prompt: impl Into<LinePrompt>) -> Self {
        let screen = vt100::Parser::new(size(settings.rows), size(settings.columns), 1000);
        let mut editor = Editor::new(settings);
        editor.begin(prompt);
        let mut terminal =
            Self { editor, callbacks: Words::default(), screen, events: Vec::new(), written: String::new() };
        terminal.show();
        terminal
    }

    /// Gives the terminal what the editor has written.
    pub(crate) fn show(&mut self) {
        self.written = String::from_utf8(self.editor.output()).expect("output is UTF-8");
        // The terminal in memory leaves U+FFFD out, which others show in one column.
        self.screen.process(self.written.replace('\u{fffd}', "?").as_bytes());
    }

    /// Types, until the line is over.
    pub(crate) fn keys(&mut self, keys: &str) -> &mut Self {
        self.bytes(keys.as_bytes())
    }

    pub(crate) fn bytes(&mut self, mut bytes: &[u8]) -> &mut Self {
        while let Some(event) = self.editor.feed(&mut bytes, &mut self.callbacks) {
            self.events.push(event);
        }
        self.show();
        self
    }

    /// Types one key after the other, as somebody does.
    pub(crate) fn typed(&mut self, keys: &str) -> &mut Self {
        for byte in keys.bytes() {
            self.bytes(&[byte]);
        }
        self
    }

    pub(crate) fn begin(&mut self, prompt: &str) -> &mut Self {
        self.editor.begin(prompt);
        self.show();
        self
    }

    pub(crate) fn resize(&mut self, columns: u32, rows: u32) {
        self.screen.set_size(size(rows), size(columns));
        self.editor.resize(columns, rows);
        self.show();
    }

    /// The rows of the screen without blanks at the end, up to the last that has something.
    pub(crate) fn rows(&self) -> Vec<String> {
        let screen = self.screen.screen();
        let (_, columns) = screen.size();
        let mut rows: Vec<String> =
            screen.rows(0, columns.get()).map(|row| row.trim_end_matches([' ', '\0']).to_owned()).collect();
        while rows.last().is_some_and(String::is_empty) {
            rows.pop();
        }
        rows
    }

    pub(crate) fn cursor(&self) -> (u16, u16) {
        self.screen.screen().cursor_position()
    }

    /// The text with `|` at the cursor.
    pub(crate) fn text(&self) -> String {
        let (before, after) = self.editor.text().split_at(self.editor.cursor());
        format!("{before}|{after}")
    }

    /// The lines that were entered.
    pub(crate) fn lines(&self) -> Vec<&str> {
        self.events
            .iter()
            .filter_map(|event| match event {
                LineEvent::Line(line) => Some(line.as_str()),
                _ => None,
            })
            .collect()
    }
}
