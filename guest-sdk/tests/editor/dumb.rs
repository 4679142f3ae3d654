//! A terminal without escape sequences.

use crate::terminal::Terminal;
use proptest::prelude::*;
use whelk_guest::editor::EditorSettings;

fn dumb(columns: u32) -> Terminal {
    Terminal::with(
        EditorSettings { rows: 6, ..EditorSettings::for_terminal("dumb", columns, 6, None) },
        "\x1b[1m$\x1b[0m ",
    )
}

#[test]
fn a_line_is_characters_blanks_and_backspaces() {
    let mut terminal = dumb(40);
    assert_eq!(terminal.written, "$ ");
    for (key, written) in [
        ("a", "a"),
        ("b", "b"),
        ("\x02", "\x08"),
        ("x", "xb\x08"),
        ("\x7f", "\x08b \x08\x08"),
        ("\x05", "b"),
        ("\r", "\r\n"),
    ] {
        terminal.keys(key);
        assert_eq!(terminal.written, written, "{key:?}");
    }
    assert_eq!(terminal.lines(), ["ab"]);
}

#[test]
fn a_long_line_is_scrolled_in_its_row() {
    let mut terminal = dumb(10);
    terminal.typed("0123456789");
    assert_eq!(terminal.rows().len(), 1);
    assert!(terminal.rows()[0].ends_with('9'), "{:?}", terminal.rows());
    terminal.keys("\x01");
    assert_eq!((terminal.rows(), terminal.cursor()), (vec!["$ 0123456".to_owned()], (0, 2)));
    terminal.keys("\x05\x1b\rnext\r");
    assert_eq!(terminal.lines(), ["0123456789\nnext"]);
    assert_eq!(terminal.cursor(), (1, 0));
}

proptest! {
    #[test]
    fn the_character_at_the_cursor_is_at_the_cursor(
        keys in "([a-z漢é]|\x01|\x05|\x02|\x06|\x7f|\x0b|\x19|\x17){1,60}", columns in 3u32..20,
    ) {
        let mut terminal = dumb(columns);
        for key in keys.chars() {
            terminal.keys(&key.to_string());
            prop_assert!(!terminal.written.contains('\x1b'));
            let (row, column) = terminal.cursor();
            prop_assert_eq!(row, 0);
            let at = terminal.editor.text()[terminal.editor.cursor()..].chars().next();
            let shown = terminal.screen.screen().cell(0, column).expect("a cell").contents().chars().next();
            prop_assert_eq!(shown.filter(|shown| *shown != ' '), at, "{:?}: {:?}", terminal.text(), terminal.rows());
        }
    }
}
