//! Input that nobody types: it costs bounded memory and time.

use crate::terminal::Terminal;
use proptest::prelude::*;
use proptest::sample::select;
use std::time::{Duration, Instant};
use whelk_guest::editor::{Editor, EditorSettings, KeyMap, LineEvent};

/// Ten million bytes.
const MANY: usize = 10_000_000;

/// Feeds bytes in pieces as they come from the network. Returns the events, and how many bytes were written.
fn feed(editor: &mut Editor, bytes: &[u8]) -> (Vec<LineEvent>, usize) {
    let (mut events, mut written) = (Vec::new(), 0);
    for mut piece in bytes.chunks(32 * 1024) {
        while let Some(event) = editor.feed(&mut piece, &mut ()) {
            events.push(event);
            if !editor.is_editing() {
                editor.begin("$ ");
            }
        }
        written += editor.output().len();
    }
    (events, written)
}

#[test]
fn much_input_of_each_kind_is_taken_in_time() {
    let line = "x".repeat(79) + "\r";
    let kinds: [(&str, String); 12] = [
        ("no end", "x".repeat(MANY)),
        ("wide", "漢".repeat(MANY / 3)),
        ("marks", "\u{301}".repeat(MANY / 2)),
        ("flags", "🇩".repeat(MANY / 4)),
        ("lines", line.repeat(MANY / 80)),
        ("a paste without end", "\x1b[200~".to_owned() + &"x".repeat(MANY)),
        ("a sequence without end", "\x1b[".to_owned() + &"1;".repeat(MANY / 2)),
        ("a string without end", "\x1b]0;".to_owned() + &"x".repeat(MANY)),
        ("escapes", "\x1b".repeat(MANY)),
        ("searches", "\x12abc".repeat(MANY / 4)),
        ("kills", "abc \x17\x19".repeat(MANY / 6)),
        ("newlines", "a\x1b\r".repeat(MANY / 3)),
    ];
    for (kind, bytes) in kinds {
        let mut editor = Editor::new(EditorSettings::default());
        editor.begin("$ ");
        let start = Instant::now();
        let (events, written) = feed(&mut editor, bytes.as_bytes());
        // Seconds, unless each key costs as much as the text is long: then it is hours.
        assert!(start.elapsed() < Duration::from_secs(300), "{kind}: {:?}", start.elapsed());
        assert!(editor.text().len() <= 256 * 1024, "{kind}");
        assert!(written < 4 * MANY, "{kind}: {written} bytes written");
        assert!(events.len() <= MANY / 80, "{kind}: {} events", events.len());
    }
}

#[test]
fn bytes_that_are_no_text_do_no_harm() {
    let mut terminal = Terminal::new("$ ", 20, 5);
    terminal.bytes(b"a\xff\xfe\xc3(\xe6\xbc\xff\xf0\x9f");
    terminal.bytes(b"b");
    assert_eq!(terminal.text(), "a\u{fffd}\u{fffd}(\u{fffd}b|");
    terminal.bytes(b"\x1b[200~\xff\x1b[201~\r");
    assert_eq!(terminal.lines().len(), 1);
}

#[test]
fn a_size_of_nothing_is_taken_as_usual() {
    let mut editor = Editor::new(EditorSettings { columns: 0, rows: 0, ..EditorSettings::default() });
    editor.begin("$ ");
    feed(&mut editor, "x".repeat(100).as_bytes());
    editor.resize(u32::MAX, u32::MAX);
    editor.resize(0, 0);
    assert_eq!(editor.text().len(), 100);
}

proptest! {
    #[test]
    fn any_bytes_at_any_size(
        bytes in prop::collection::vec(prop_oneof![4 => any::<u8>(), 2 => 0u8..32, 1 => Just(0x1b)], 0..300),
        columns in 0u32..12, rows in 0u32..5, term in select(vec!["dumb", "xterm"]),
        keys in select(vec![KeyMap::Emacs, KeyMap::Vi]),
    ) {
        let settings = EditorSettings { keys, ..EditorSettings::for_terminal(term, columns, rows, None) };
        let mut editor = Editor::new(settings);
        ["one", "two\nlines", "漢字"].iter().for_each(|line| assert!(editor.history_mut().add(line)));
        editor.begin("\x1b[1m漢\x1b[0m\n$ ");
        for piece in bytes.chunks(7) {
            feed(&mut editor, piece);
            prop_assert!(editor.text().is_char_boundary(editor.cursor()));
        }
    }
}
