//! The line editor: whatever is typed, at whatever size, it neither panics nor writes what is no text.

#![no_main]

use libfuzzer_sys::fuzz_target;
use whelk_guest::editor::{Callbacks, Candidate, Completions, Editor, EditorSettings, KeyMap, LineEvent, LinePrompt};

struct Words;

impl Callbacks for Words {
    fn complete(&mut self, text: &str, cursor: usize) -> Completions {
        let start = text[..cursor].rfind(' ').map_or(0, |at| at + 1);
        let words = ["one", "once", "漢字", "e\u{301}", "a b\x1b", ""];
        let fitting = words.iter().filter(|word| word.starts_with(&text[start..cursor]));
        Completions { start, candidates: fitting.map(|word| Candidate::word(*word)).collect() }
    }

    fn is_incomplete(&mut self, text: &str) -> bool {
        text.matches('"').count() % 2 == 1
    }
}

fuzz_target!(|input: &[u8]| {
    let [columns, rows, kind, input @ ..] = input else { return };
    let term = if kind & 1 == 0 { "xterm" } else { "dumb" };
    let mut settings = EditorSettings::for_terminal(term, u32::from(columns % 40), u32::from(rows % 10), None);
    settings.keys = if kind & 2 == 0 { KeyMap::Emacs } else { KeyMap::Vi };
    settings.limits.text = if kind & 4 == 0 { 100 } else { 10_000 };
    settings.ask_above = 3;
    let mut editor = Editor::new(settings);
    for line in ["one two", "漢字 'a b'", "two\nlines", "e\u{301}\u{200b}"] {
        editor.history_mut().push(line.to_owned());
    }
    let prompt = || LinePrompt { first: "\x1b[1m漢\x1b[0m\n$ ".to_owned(), next: "> ".to_owned() };
    editor.begin(prompt());
    for (number, mut piece) in input.split(|byte| *byte == 0xfe).enumerate() {
        while let Some(event) = editor.feed(&mut piece, &mut Words) {
            if let LineEvent::Line(line) = event {
                editor.history_mut().add(&line);
            }
            if !editor.is_editing() {
                editor.begin(prompt());
            }
        }
        // 0xfe is in no text: between two of them something else happens.
        match number % 3 {
            0 => drop(editor.expire(&mut Words)),
            1 => editor.resize(u32::try_from(number).unwrap_or(0) * 7 % 30, u32::from(*rows)),
            _ => editor.print("a message"),
        }
        if !editor.is_editing() {
            editor.begin(prompt());
        }
        assert!(String::from_utf8(editor.output()).is_ok());
        assert!(editor.text().is_char_boundary(editor.cursor()));
    }
});
