//! Lines from the history, and searches in it.

use crate::terminal::Terminal;

fn with_history(lines: &[&str]) -> Terminal {
    let mut terminal = Terminal::new("$ ", 60, 24);
    for line in lines {
        terminal.editor.history_mut().add(line);
    }
    terminal.editor.begin("$ ");
    terminal.keys("\x0c");
    terminal
}

#[track_caller]
fn check(cases: &[(&str, &str)]) {
    for (keys, text) in cases {
        let mut terminal = with_history(&["echo one", "cat 'a b' two", "echo\nlines"]);
        assert_eq!(terminal.keys(keys).text(), *text, "{keys:?}");
    }
}

#[test]
fn up_and_down() {
    check(&[
        ("\x10", "echo\nlines|"),
        ("\x10\x10", "cat 'a b' two|"),
        ("\x1b[A\x1b[A\x1b[A", "cat 'a b' two|"),
        ("\x10\x10\x10\x10\x10", "echo one|"),
        ("new\x10\x0e", "new|"),
        ("new\x0e", "new|"),
        ("\x10\x10x\x10\x0e", "cat 'a b' twox|"),
        ("new\x1b<", "echo one|"),
        ("new\x1b<\x1b>", "new|"),
        ("\x1b2\x10", "cat 'a b' two|"),
        ("\x1b3\x10\x1b[B\x1b[B\x1b[B", "|"),
    ]);
}

#[test]
fn lines_that_begin_the_same() {
    check(&[
        ("ec\x1b[5~", "ec|ho\nlines"),
        ("ec\x1b[5~\x1b[5~", "ec|ho one"),
        ("ec\x1b[5~\x1b[5~\x1b[5~", "ec|ho one"),
        ("ec\x1b[5~\x1b[5~\x1b[6~\x1b[6~", "ec|"),
        ("c\x1bp", "c|at 'a b' two"),
        ("zz\x1bp", "zz|"),
        ("\x1bp", "echo\nlines|"),
    ]);
}

#[test]
fn the_search_looks_at_each_key() {
    check(&[
        ("new\x12one", "echo |one"),
        ("new\x12e\x12\x12\x12", "echo on|e"),
        ("new\x12one\x07", "new|"),
        ("new\x12one\x05", "echo one|"),
        ("new\x12zzz\x05", "new|"),
        ("\x12two\x7f\x7f\x7fone\x01", "|echo one"),
        ("\x12o\x12\x12\x13", "cat 'a b' tw|o"),
        ("\x12one\x05\x12\x12\x06", "echo o|ne"),
        ("x\x12one\x1bb", "|echo one"),
        ("\x12one\x05\x0e", "cat 'a b' two|"),
        ("new\x12ew\x05!\x1f", "new|"),
    ]);
    let mut terminal = with_history(&["echo one", "two"]);
    terminal.keys("xyz\x12ne");
    assert_eq!((terminal.rows(), terminal.cursor()), (vec!["(reverse-i-search)`ne': echo one".to_owned()], (0, 30)));
    terminal.keys("q");
    assert_eq!(terminal.rows(), ["(failed reverse-i-search)`neq': echo one"]);
    terminal.keys("\x7f\x13");
    assert_eq!(terminal.rows(), ["(failed i-search)`ne': echo one"]);
    terminal.keys("\r");
    assert_eq!((terminal.rows(), terminal.lines()), (vec!["$ echo one".to_owned()], vec!["echo one"]));
    // The pattern is kept for the next search, where nothing is typed.
    assert_eq!(terminal.begin("$ ").keys("\x12\x12\x05").text(), "echo one|");
}

#[test]
fn a_lone_escape_ends_a_search_and_an_interrupt_the_line() {
    let mut terminal = with_history(&["echo one"]);
    terminal.keys("\x12one\x1b");
    assert_eq!(terminal.editor.expire(&mut ()), None);
    assert_eq!(terminal.keys("x").text(), "echo xone"[..6].to_owned() + "|one");
    terminal.keys("\x12zz\x03");
    assert_eq!(terminal.events, [whelk_guest::editor::LineEvent::Interrupt]);
}

#[test]
fn words_of_the_lines_before() {
    check(&[
        ("x \x1b.", "x lines|"),
        ("x \x1b.\x1b.", "x two|"),
        ("x \x1b.\x1b.\x1b_\x1b.", "x one|"),
        ("x \x1b1\x1b.\x1b.", "x 'a b'|"),
        ("x \x1b0\x1b.", "x echo|"),
        ("x \x1b\x19", "x lines|"),
        ("x \x1b.y\x1b.", "x linesylines|"),
    ]);
}

#[test]
fn control_o_enters_a_line_and_brings_the_next() {
    let mut terminal = with_history(&["one", "two", "three"]);
    terminal.keys("\x10\x10\x10\x0f");
    assert_eq!(terminal.lines(), ["one"]);
    terminal.editor.history_mut().add("one");
    terminal.begin("$ ");
    assert_eq!(terminal.text(), "two|");
    terminal.keys("\x0f");
    assert_eq!(terminal.begin("$ ").text(), "three|");
    terminal.keys("\r");
    assert_eq!(terminal.begin("$ ").text(), "|");
}
