//! What is seen, and what is written for it.

use crate::terminal::Terminal;
use whelk_guest::editor::{EditorSettings, LinePrompt};

#[test]
fn typing_at_the_end_writes_that_character_only() {
    let mut terminal = Terminal::new("\x1b[32m$\x1b[0m ", 80, 24);
    for (key, written) in
        [("a", "a"), ("漢", "漢"), ("\x7f", "\x08\x08\x1b[K"), ("b", "b"), ("\x02", "\x08"), ("\x06", "\x1b[C")]
    {
        terminal.keys(key);
        assert_eq!(terminal.written, written, "{key:?}");
    }
    terminal.keys("\x01");
    assert_eq!(terminal.written, "\x08\x08");
    // In the middle the rest of the row is written.
    terminal.keys("x");
    assert_eq!(terminal.written, "xab\x08\x08");
    // Where the end stays, it is not.
    terminal.keys("\x05cdefgh\x01\x06\x06");
    terminal.keys("\x14");
    assert_eq!(terminal.written, "\x08ba");
}

#[test]
fn a_full_row_goes_on_in_the_next_which_the_terminal_knows() {
    let mut terminal = Terminal::new("> ", 10, 5);
    terminal.keys("12345678");
    assert_eq!((terminal.rows(), terminal.cursor()), (vec!["> 12345678".to_owned()], (1, 0)));
    assert!(terminal.screen.screen().row_wrapped(0));
    terminal.keys("9");
    assert_eq!(terminal.written, "9");
    terminal.keys("\x7f\x7f");
    assert_eq!((terminal.rows(), terminal.cursor()), (vec!["> 1234567".to_owned()], (0, 9)));
    terminal.keys("漢");
    assert_eq!((terminal.rows(), terminal.cursor()), (vec!["> 1234567".to_owned(), "漢".to_owned()], (1, 2)));
    terminal.keys("\x01a");
    assert_eq!((terminal.rows(), terminal.cursor()), (vec!["> a1234567".to_owned(), "漢".to_owned()], (0, 3)));
    terminal.keys("\r");
    assert_eq!(terminal.cursor(), (2, 0));
}

#[test]
fn a_line_that_just_fills_a_row_is_left_without_an_empty_one() {
    let mut terminal = Terminal::new("> ", 10, 5);
    terminal.keys("12345678\r").begin("> ").keys("x");
    assert_eq!(terminal.rows(), ["> 12345678", "> x"]);
}

#[test]
fn at_the_bottom_the_screen_scrolls() {
    let mut terminal = Terminal::new("> ", 10, 3);
    for line in ["one\r", "two\r", "three\r"] {
        terminal.keys(line).begin("> ");
    }
    assert_eq!(terminal.rows(), ["> two", "> three", ">"]);
    terminal.typed("1234567890");
    assert_eq!(
        (terminal.rows(), terminal.cursor()),
        (vec!["> three".into(), "> 12345678".into(), "90".into()], (2, 2))
    );
    terminal.keys("\x01x");
    assert_eq!(
        (terminal.rows(), terminal.cursor()),
        (vec!["> three".into(), "> x1234567".into(), "890".into()], (1, 3))
    );
}

#[test]
fn of_a_text_longer_than_the_screen_the_rows_around_the_cursor_are_seen() {
    let mut terminal = Terminal::new("> ", 10, 3);
    terminal.typed("11111111222222222233333333334444444444");
    assert_eq!(terminal.rows(), ["3333333333", "4444444444"]);
    assert_eq!(terminal.cursor(), (2, 0));
    terminal.keys("\x01");
    assert_eq!(
        (terminal.rows(), terminal.cursor()),
        (vec!["> 11111111".into(), "2222222222".into(), "3333333333".into()], (0, 2))
    );
    terminal.keys("\x05");
    assert_eq!((terminal.rows(), terminal.cursor()), (vec!["3333333333".into(), "4444444444".into()], (2, 0)));
    terminal.keys("\x15ok");
    assert_eq!(terminal.rows(), ["> ok"]);
}

#[test]
fn control_characters_and_marks_are_shown() {
    let mut terminal = Terminal::new("$ ", 40, 5);
    terminal.keys("\x1b[200~\x01a\x1b[0m\u{9b}\u{202e}\tx\x1b[201~");
    assert_eq!(terminal.rows(), ["$ ^Aa^[[0m<009b><202e>  x"]);
    terminal.keys("\x15\u{301}e\u{301}");
    assert_eq!(terminal.rows(), ["$ <0301>e\u{301}"]);
}

#[test]
fn a_prompt_has_colours_which_take_no_column() {
    let prompt = "\x1b]0;title\x07\x01\x1b[1;31m\x02a\x1b[0mb\x1b[32m$\x1b[0m ";
    let mut terminal = Terminal::new(prompt, 80, 24);
    terminal.keys("x");
    assert_eq!((terminal.rows(), terminal.cursor()), (vec!["ab$ x".to_owned()], (0, 5)));
    let screen = terminal.screen.screen();
    let color = |column| screen.cell(0, column).expect("a cell").fgcolor();
    assert_eq!(
        [0, 1, 2, 3, 4].map(color),
        [
            vt100::Color::Idx(1),
            vt100::Color::Default,
            vt100::Color::Idx(2),
            vt100::Color::Default,
            vt100::Color::Default
        ]
    );
    assert!(screen.cell(0, 0).expect("a cell").bold());
    terminal.keys("\x0c");
    assert_eq!((terminal.rows(), terminal.cursor()), (vec!["ab$ x".to_owned()], (0, 5)));
    assert_eq!(terminal.screen.screen().cell(0, 2).expect("a cell").fgcolor(), vt100::Color::Idx(2));
}

#[test]
fn without_colours_the_prompt_is_plain() {
    let settings = EditorSettings::for_terminal("xterm", 80, 24, Some("1"));
    let terminal = Terminal::with(settings, "\x1b]0;t\x07\x1b[31mred\x1b[0m$ ");
    assert_eq!(terminal.written, "\x1b[?2004h\x1b[J\x1b]0;t\x07red$ ");
}

#[test]
fn prompts_of_several_lines() {
    let prompt = LinePrompt { first: "0123456789\n\x1b[1mb\x1b[0m> ".to_owned(), next: ". ".to_owned() };
    let mut terminal = Terminal::new(prompt, 10, 6);
    terminal.keys("one\x1b\rtwo");
    assert_eq!(terminal.rows(), ["0123456789", "b> one", ". two"]);
    terminal.keys("\x12");
    assert_eq!(terminal.rows()[..2], ["0123456789", "(reverse-i"]);
    terminal.keys("\x07");
    assert_eq!(
        (terminal.rows(), terminal.cursor()),
        (vec!["0123456789".into(), "b> one".into(), ". two".into()], (2, 5))
    );
}

#[test]
fn a_message_comes_above_the_line() {
    let mut terminal = Terminal::new("> ", 10, 5);
    terminal.keys("1234567890\x02");
    terminal.editor.print("[1] done\nnext");
    terminal.show();
    assert_eq!(
        (terminal.rows(), terminal.cursor()),
        (vec!["[1] done".into(), "next".into(), "> 12345678".into(), "90".into()], (3, 1))
    );
}

#[test]
fn another_size_draws_the_line_anew() {
    let mut terminal = Terminal::new("> ", 20, 6);
    terminal.keys("x\r").begin("> ");
    terminal.keys("1234567890");
    terminal.resize(8, 6);
    assert_eq!((terminal.rows(), terminal.cursor()), (vec!["> x".into(), "> 123456".into(), "7890".into()], (2, 4)));
    terminal.resize(30, 6);
    assert_eq!(terminal.keys("a").text(), "1234567890a|");
    // The terminal in memory does not join rows again: what was the second one may stay, and nothing above is lost.
    assert_eq!(terminal.rows()[0], "> x");
    assert!(terminal.rows().contains(&"> 1234567890a".to_owned()));
    for (columns, rows) in [(1, 1), (2, 1), (1, 5)] {
        terminal.resize(columns, rows);
        terminal.keys("漢\x01\x05");
    }
    terminal.resize(40, 5);
    terminal.keys("\x0c");
    assert_eq!(terminal.rows(), ["> 1234567890a漢漢漢"]);
}

#[test]
fn a_cursor_between_a_character_and_its_mark_is_behind_both() {
    let mut terminal = Terminal::new("> ", 40, 5);
    terminal.keys("e\0\u{301}bc\x18\x18");
    assert_eq!((terminal.text().as_str(), terminal.cursor()), ("e|\u{301}bc", (0, 3)));
}

#[test]
fn emoji_whose_width_terminals_disagree_on_keep_the_cursor_in_its_column() {
    let mut terminal = Terminal::new("> ", 40, 5);
    terminal.keys("❤\u{fe0f}");
    assert_eq!((terminal.written.as_str(), terminal.cursor()), ("❤\u{fe0f}\x1b[5G", (0, 4)));
    terminal.keys("🇩🇪x\x02\x02");
    assert_eq!(terminal.cursor(), (0, 4));
}

#[test]
fn the_bell_rings_once_for_all_keys_that_can_do_nothing() {
    let mut terminal = Terminal::new("> ", 40, 5);
    terminal.keys("\x02\x02\x02");
    assert_eq!(terminal.written, "\x07");
    terminal.editor.settings_mut().bell = false;
    terminal.keys("\x02");
    assert_eq!(terminal.written, "");
}

#[test]
fn a_resize_clears_rows_and_never_the_screen_from_its_beginning() {
    let mut terminal = Terminal::new("$ ", 20, 6);
    terminal.keys("a text that takes two rows");
    terminal.resize(40, 6);
    // tmux would keep that in its history, and bring it back when the window becomes wider.
    assert!(!terminal.written.contains("\r\x1b[J"), "{:?}", terminal.written);
    assert_eq!(terminal.rows().last().map(String::as_str), Some("$ a text that takes two rows"));
}
