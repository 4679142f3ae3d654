//! What the screen shows, cell by cell, and how many bytes it costs.

use crate::terminal::{Random, Terminal};

fn numbers(count: usize) -> String {
    (1..=count).map(|number| format!("line {number}\n")).collect()
}

/// The rows of the text.
fn shown(terminal: &Terminal) -> Vec<String> {
    let mut rows = terminal.rows();
    rows.pop();
    rows
}

fn last_row(terminal: &Terminal) -> String {
    terminal.rows().pop().expect("a row")
}

#[test]
fn a_text_and_the_rest_of_the_screen() {
    let mut terminal = Terminal::sized("one\ntwo\n", 40, 6);
    assert_eq!(terminal.rows(), ["one", "two", "~", "~", "~", "\"f\" 2L, 8B            1,1           All"]);
    assert_eq!(terminal.cursor(), (0, 0));
    terminal.keys("jA!");
    assert_eq!(terminal.rows(), ["one", "two!", "~", "~", "~", "-- INSERT --          2,5           All"]);
    assert_eq!(terminal.cursor(), (1, 4));
    terminal.resize(30, 4);
    assert_eq!(terminal.rows(), ["one", "two!", "~", "-- INSERT - 2,5           All"]);
    terminal.typed("?\x1b");
    assert_eq!(terminal.rows(), ["one", "two!?", "~", "            2,5           All"]);
}

#[test]
fn few_bytes_are_written() {
    let mut terminal = Terminal::sized(&numbers(200), 80, 24);
    let mut cost = |keys: &str| terminal.keys(keys).written.len();
    for (keys, most) in
        [("A", 60), ("x", 25), ("\x1b", 40), ("j", 20), ("w", 20), ("\x05", 60), ("\x19", 60), ("dd", 60), ("u", 60)]
    {
        let bytes = cost(keys);
        assert!((1..=most).contains(&bytes), "{keys:?}: {bytes} bytes");
    }
    assert_eq!(cost("\x1b"), 0);
}

#[test]
fn long_lines_are_wrapped_and_those_that_do_not_fit_are_marked() {
    let mut terminal = Terminal::sized("abcdefghijklm\nx\nabcdefghijklmnopqrstuvwxyz\n", 20, 4);
    assert_eq!(shown(&terminal), ["abcdefghijklm", "x", "@"]);
    terminal.keys("G");
    assert_eq!(shown(&terminal), ["x", "abcdefghijklmnopqrst", "uvwxyz"]);
    terminal.keys("$");
    assert_eq!(terminal.cursor(), (2, 5));
    terminal.keys(":set nowrap\r");
    assert_eq!(
        (terminal.cursor().0, shown(&terminal)),
        (1, vec![String::new(), "qrstuvwxyz".to_owned(), "~".to_owned()])
    );
    terminal.keys("0");
    assert_eq!(shown(&terminal), ["x", "abcdefghijklmnopqrst", "~"]);
}

#[test]
fn a_line_longer_than_the_screen_is_scrolled_by_rows() {
    let text: String = ('a'..='z').cycle().take(500).collect();
    let mut terminal = Terminal::sized(&format!("first\n{text}\nlast\n"), 10, 6);
    terminal.keys("j$");
    let (row, column) = terminal.cursor();
    let letter = terminal.rows()[usize::from(row)].chars().nth(usize::from(column));
    assert_eq!(letter, text.chars().last());
    terminal.keys("0");
    assert_eq!(shown(&terminal)[usize::from(terminal.cursor().0)], "abcdefghij");
    terminal.keys("G");
    assert!(shown(&terminal).contains(&"last".to_owned()), "{:?}", terminal.rows());
}

#[test]
fn wide_characters_marks_tabs_and_bytes_have_their_columns() {
    let mut terminal = Terminal::sized("漢字x\ne\u{301}z\n\tt\na\u{1}b\n", 20, 6);
    assert_eq!(shown(&terminal)[..4], ["漢字x", "e\u{301}z", "        t", "a^Ab"]);
    terminal.keys("ll");
    assert_eq!(terminal.cursor(), (0, 4));
    terminal.keys("j0l");
    assert_eq!(terminal.cursor(), (1, 1));
    terminal.keys("j0");
    assert_eq!(terminal.cursor(), (2, 7));
    terminal.keys("i");
    assert_eq!(terminal.cursor(), (2, 0));
    terminal.keys("\x1bj0ll");
    assert_eq!(terminal.cursor(), (3, 3));
    terminal.keys(":set list ts=4\r");
    assert_eq!(shown(&terminal)[..4], ["漢字x$", "e\u{301}z$", "^It$", "a^Ab$"]);
}

#[test]
fn a_wide_character_does_not_fit_into_the_last_column() {
    let mut terminal = Terminal::sized("abc漢字\n", 4, 4);
    assert_eq!(shown(&terminal), ["abc", "漢字", "~"]);
    terminal.keys("$");
    assert_eq!(terminal.cursor(), (1, 2));
}

#[test]
fn numbers_of_lines() {
    let mut terminal = Terminal::sized(&numbers(30), 30, 5);
    terminal.keys(":set nu\r");
    assert_eq!(shown(&terminal)[..2], ["  1 line 1", "  2 line 2"]);
    assert_eq!(terminal.cursor(), (0, 4));
    terminal.keys("10G:set rnu\r");
    let row = usize::from(terminal.cursor().0);
    assert_eq!(shown(&terminal)[row], " 10 line 10");
    terminal.keys(":set nonu nornu\r");
    assert_eq!(shown(&terminal)[row], "line 10");
}

#[test]
fn scrolling_keeps_the_cursor_on_the_screen() {
    let mut terminal = Terminal::sized(&numbers(100), 30, 11);
    for (keys, first, cursor) in [
        ("\x06", "line 9", 0),
        ("\x02", "line 1", 8),
        ("1G\x04", "line 6", 0),
        ("\x15", "line 1", 0),
        ("\x05", "line 2", 0),
        ("\x19", "line 1", 1),
        ("50Gzt", "line 50", 0),
        ("zb", "line 41", 9),
        ("zz", "line 45", 5),
        ("G", "line 91", 9),
        ("H", "line 91", 0),
        ("M", "line 91", 4),
        ("L", "line 91", 9),
        ("gg", "line 1", 0),
        ("12j", "line 4", 9),
        ("12k", "line 1", 0),
    ] {
        terminal.keys(keys);
        let found = (shown(&terminal)[0].clone(), terminal.cursor().0);
        assert_eq!(found, (first.to_owned(), cursor), "{keys:?}");
    }
}

#[test]
fn selections_and_matches_are_reversed() {
    let mut terminal = Terminal::sized("abc abc\nabc\n", 20, 4);
    let reversed = |terminal: &Terminal| -> Vec<(u16, u16)> {
        let cells = (0..3).flat_map(|row| (0..20).map(move |column| (row, column)));
        cells
            .filter(|(row, column)| terminal.screen.screen().cell(*row, *column).is_some_and(vt100::Cell::inverse))
            .collect()
    };
    terminal.keys("vl");
    assert_eq!(reversed(&terminal), [(0, 0), (0, 1)]);
    terminal.keys("\x1bV");
    assert_eq!(reversed(&terminal).len(), 7);
    terminal.keys("\x1bgg0l\x16jl");
    assert_eq!(reversed(&terminal), [(0, 1), (0, 2), (1, 1), (1, 2)]);
    terminal.keys("\x1b:set hls\r/b\r");
    assert_eq!(reversed(&terminal), [(0, 1), (0, 5), (1, 1)]);
    terminal.keys(":noh\r");
    assert_eq!(reversed(&terminal), []);
}

#[test]
fn the_last_row_is_typed_in() {
    let mut terminal = Terminal::sized("abc\n", 20, 3);
    terminal.keys(":set n");
    assert_eq!((last_row(&terminal).as_str(), terminal.cursor()), (":set n", (2, 6)));
    terminal.keys("u\x1b:");
    assert_eq!(last_row(&terminal), ":");
    terminal.keys("\x7f/long pattern that needs more");
    assert_eq!((last_row(&terminal).as_str(), terminal.cursor()), ("ern that needs more", (2, 19)));
    terminal.keys("\x1b:nonsense\r");
    assert!(last_row(&terminal).starts_with("E4"), "{}", last_row(&terminal));
}

#[test]
fn texts_of_commands_are_shown_until_a_key() {
    let mut terminal = Terminal::sized(&numbers(20), 50, 8);
    terminal.keys(":2,4p\r");
    assert_eq!(terminal.rows()[..4], ["line 2", "line 3", "line 4", "Press ENTER or type command to continue"]);
    terminal.keys("\r");
    assert_eq!((shown(&terminal)[0].as_str(), terminal.editor.cursor().0), ("line 1", 3));
    terminal.keys(":ma\x7f\x7fset ts?\r");
    assert!(last_row(&terminal).starts_with("  tabstop=8"), "{}", last_row(&terminal));
}

/// What is typed at random.
const KEYS: &[&str] = &[
    "j",
    "k",
    "l",
    "w",
    "b",
    "x",
    "dd",
    "p",
    "P",
    "yy",
    "o漢x\x1b",
    "itext \x1b",
    "A\te\u{301}\x1b",
    "u",
    "\x12",
    "J",
    "G",
    "gg",
    "\x04",
    "\x15",
    "\x05",
    "\x19",
    "\x06",
    "\x02",
    "v",
    "V",
    "\x16",
    "\x1b",
    "d",
    ">>",
    "<<",
    ".",
    "~",
    "zt",
    "zb",
    "zz",
    "/i\r",
    "n",
    "3dd",
    "5p",
    ":set nu!\r",
    ":set list!\r",
    ":set wrap!\r",
    ":set hls!\r",
    "rq",
    "Rab\x1b",
    "}",
    "{",
    "%",
    "$",
    "0",
    "\r",
    ":s/e/EE/g\r",
];

#[test]
fn what_is_drawn_bit_by_bit_is_what_is_drawn_at_once() {
    for seed in 0..40 {
        let mut random = Random(seed);
        let mut terminal =
            Terminal::sized(&format!("{}a long line {}\n\n(x)\n", numbers(30), "of words ".repeat(20)), 24, 9);
        let mut typed = String::new();
        for _ in 0..120 {
            let keys = KEYS[random.below(KEYS.len())];
            typed.push_str(keys);
            if random.below(20) == 0 {
                terminal.resize(random.below(40) + 2, random.below(12) + 2);
            }
            terminal.keys(keys);
            let (rows, cursor) = (terminal.rows(), terminal.cursor());
            terminal.editor.redraw();
            terminal.show();
            assert_eq!((terminal.rows(), terminal.cursor()), (rows, cursor), "seed {seed}: {typed:?}");
        }
    }
}
