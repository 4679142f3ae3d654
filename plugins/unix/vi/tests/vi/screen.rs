//! What the screen shows.

use crate::terminal::Terminal;

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
fn a_typed_letter_costs_few_bytes() {
    let mut terminal = Terminal::sized("one\ntwo\n", 80, 24);
    terminal.keys("A");
    terminal.keys("x");
    assert!(terminal.written.len() < 30, "{:?}", terminal.written);
}
