//! Each key: what it makes of a text. `|` is the cursor.

use crate::terminal::Terminal;
use whelk_guest::editor::{EditorLimits, EditorSettings, LineEvent};

/// Types keys into an empty line, and returns the text.
fn after(keys: &str) -> String {
    Terminal::new("$ ", 80, 24).keys(keys).text()
}

#[track_caller]
fn check(cases: &[(&str, &str)]) {
    for (keys, text) in cases {
        assert_eq!(after(keys), *text, "{keys:?}");
    }
}

#[test]
fn movement() {
    check(&[
        ("abc", "abc|"),
        ("abc\x02", "ab|c"),
        ("abc\x1b[D\x1b[D", "a|bc"),
        ("abc\x1b[D\x06\x06", "abc|"),
        ("abc\x1b[D\x1b[C", "abc|"),
        ("abc\x01", "|abc"),
        ("abc\x1b[H\x05", "abc|"),
        ("abc\x1b[1~\x1b[4~", "abc|"),
        ("foo bar-baz\x1bb", "foo bar-|baz"),
        ("foo bar-baz\x1bb\x1bb\x1bb\x1bb", "|foo bar-baz"),
        ("foo bar\x01\x1bf", "foo| bar"),
        ("foo bar\x01\x1b[1;5C\x1b[1;5C", "foo bar|"),
        ("foo bar\x1b[1;5D", "foo |bar"),
        ("foo bar\x1b[1;3D", "foo |bar"),
        ("foo bar\x012", "2|foo bar"),
        ("abcabc\x01\x1dc", "ab|cabc"),
        ("abcabc\x01\x1b2\x1dc", "abcab|c"),
        ("abcabc\x1b\x1da", "abc|abc"),
        ("abcabc\x1dx", "abcabc|"),
        ("e\u{301}漢👩\u{200d}👧x\x02\x02", "e\u{301}漢|👩\u{200d}👧x"),
        ("e\u{301}漢\x02\x02", "|e\u{301}漢"),
        ("one\x1b\rtwo\x01", "one\n|two"),
        ("one\x1b\rtwo\x1b[A\x1b[A", "one|\ntwo"),
        ("one\x1b\rtwo\x1b[D\x1b[A\x01\x1b[B\x1b[B", "one\n|two"),
        ("long one\x1b\rx\x1b\rlong two\x1b[D\x1b[A\x1b[A", "long on|e\nx\nlong two"),
        ("long one\x1b\rx\x1b\rlong two\x1b[D\x1b[A\x1b[A\x1b[B\x1b[B", "long one\nx\nlong tw|o"),
        ("one\x1b\rtwo\x1b[1;5H", "|one\ntwo"),
        ("one\x1b\rtwo\x1b[1;5H\x1b[1;5F", "one\ntwo|"),
        ("abc\0\x01\x18\x18", "abc|"),
        ("abc\0\x01\x18\x18\x18\x18", "|abc"),
    ]);
}

#[test]
fn deletion_and_kills() {
    check(&[
        ("abc\x7f", "ab|"),
        ("abc\x08\x02\x7f", "|b"),
        ("abc\x01\x04", "|bc"),
        ("abc\x01\x1b[3~", "|bc"),
        ("xe\u{301}\x7f", "x|"),
        ("漢字\x7f", "漢|"),
        ("abc def\x01\x0b", "|"),
        ("abc def\x1bb\x0b", "abc |"),
        ("abc def\x1bb\x15", "|def"),
        ("abc d/ef\x17", "abc |"),
        ("abc d/ef\x1b\x7f", "abc d/|"),
        ("abc def\x01\x1bd", "| def"),
        ("abc def\x01\x1b[3;5~", "| def"),
        ("abc   def\x1bb\x02\x1b\\", "abc|def"),
        ("abc def\x17\x17\x19", "abc def|"),
        ("abc def\x01\x1bd\x1bd\x19", "abc def|"),
        ("abc def\x17\x01\x19", "def|abc "),
        ("one two\x17\x02\x17\x19\x19", "oneone| "),
        ("one two\x17\x02\x17\x19\x1by", "two| "),
        ("one two\x17\x02\x17\x19\x1by\x1by", "one| "),
        ("one\x1by", "one|"),
        ("\x19", "|"),
        ("one\x1b\rtwo\x15\x15", "one|"),
        ("one\x1b\rtwo\x1b[A\x05\x0b", "one|two"),
        ("one\x1b\rtwo\x1b[A\x01\x0b\x0b", "|two"),
        ("a b c d\x1b2\x17", "a b |"),
        ("abcdef\x01\x1b3\x04", "|def"),
        ("abcdef\x1b3\x7f", "abc|"),
        ("abcdef\x1b3\x7f\x19\x19", "abcdefdef|"),
        ("abc def\x1b-\x1bd", "abc |"),
    ]);
}

#[test]
fn changes() {
    check(&[
        ("ab\x14", "ba|"),
        ("abc\x02\x14", "acb|"),
        ("abc\x02\x02\x14", "ba|c"),
        ("abc\x01\x14", "|abc"),
        ("a\x14", "a|"),
        ("a漢\x14", "漢a|"),
        ("one two\x1bt", "two one|"),
        ("one two three\x01\x1bf\x1bt", "two one| three"),
        ("one, two!\x1bt", "two, one|!"),
        ("one\x1bt", "one|"),
        ("one two\x01\x1bu", "ONE| two"),
        ("ONE TWO\x01\x1b2\x1bl", "one two|"),
        ("one TWO\x01\x1bc\x1bc", "One Two|"),
        ("straße\x01\x1bu", "STRASSE|"),
        ("one two\x1b-\x1bu", "one TWO|"),
        ("aß b\x02\x1b-\x1bu", "ASS |b"),
        ("abc\x01\x1b[2~xy", "xy|c"),
        ("abc\x01\x1b[2~xyzw", "xyzw|"),
        ("abc\x1b[2~\x02\x02\x7f", "| bc"),
        ("a\x16\x03b", "a\x03b|"),
        ("a\x16\x1bb", "a\x1bb|"),
        ("a\x16漢", "a漢|"),
        ("\x1b3x", "xxx|"),
        ("\x1b1\x1b2x", "xxxxxxxxxxxx|"),
        ("\x1b12x", "xxxxxxxxxxxx|"),
        ("\x1b3漢\x02", "漢漢|漢"),
        ("abc\x1b2\x02x", "ax|bc"),
        ("abc\x1b-\x06x", "abx|c"),
        ("\x1b3\x07x", "x|"),
    ]);
}

#[test]
fn undo_takes_changes_back() {
    check(&[
        ("abc\x1f", "|"),
        ("abc def\x17\x1f", "abc def|"),
        ("abc def\x17\x1f\x1f", "|"),
        ("abc\x02x\x1f", "ab|c"),
        ("abcdefghijklmnopqrstuvwxyz\x1f", "abcdefghijklmnopqrst|"),
        ("abc\x18\x15", "|"),
        ("abc def\x17xyz\x1br", "|"),
        ("abc def\x17\x1f\x1b\x1f", "abc |"),
        ("abc\x1b[200~1\r2\x1b[201~\x1f", "abc|"),
        ("ab\x14\x1f", "ab|"),
        ("abc\x1f\x1f\x1f", "|"),
    ]);
}

#[test]
fn a_paste_is_text_whatever_is_in_it() {
    let mut terminal = Terminal::new("$ ", 80, 24);
    terminal.keys("a\x1b[200~b\r\x03\tc\x1b[201~d");
    assert_eq!((terminal.text().as_str(), terminal.events.len()), ("ab\n\x03\tcd|", 0));
    assert!(terminal.screen.screen().bracketed_paste());
    terminal.keys("\r");
    assert_eq!(terminal.lines(), ["ab\n\x03\tcd"]);
    assert!(!terminal.screen.screen().bracketed_paste());
}

#[test]
fn ends_of_a_line() {
    let mut terminal = Terminal::new("$ ", 80, 24);
    assert_eq!(terminal.keys("one\x01\rtwo").lines(), ["one"]);
    assert!(!terminal.editor.is_editing());
    assert_eq!(terminal.cursor(), (1, 0));
    assert_eq!(terminal.begin("$ ").keys("two\x03").events[1..], [LineEvent::Interrupt]);
    assert_eq!(terminal.rows(), ["$ one", "$ two^C"]);
    assert_eq!(terminal.begin("$ ").keys("\x1a").events[2..], [LineEvent::Suspend]);
    assert_eq!(terminal.keys("three\x18\x05").events[3..], [LineEvent::EditElsewhere("three".to_owned())]);
    assert_eq!(terminal.begin("$ ").keys("x\x7f\x04").events[4..], [LineEvent::EndOfInput]);
    assert_eq!(terminal.begin("$ ").keys("four\x1b#").events[5..], [LineEvent::Line("#four".to_owned())]);
    assert_eq!(terminal.begin("$ ").keys("five\n").events[6..], [LineEvent::Line("five".to_owned())]);
}

#[test]
fn control_d_deletes_in_a_row_and_does_not_end_the_input_then() {
    let mut terminal = Terminal::new("$ ", 80, 24);
    terminal.keys("ab\x01\x04\x04\x04");
    assert_eq!((terminal.text().as_str(), terminal.events.len()), ("|", 0));
    terminal.keys("\x07\x04");
    assert_eq!(terminal.events, [LineEvent::EndOfInput]);
}

#[test]
fn what_follows_an_event_is_left_for_the_caller() {
    let mut terminal = Terminal::new("$ ", 80, 24);
    let mut input = &b"one\rtwo\r"[..];
    assert_eq!(terminal.editor.feed(&mut input, &mut ()), Some(LineEvent::Line("one".to_owned())));
    assert_eq!(input, b"two\r");
    assert_eq!(terminal.editor.feed(&mut input, &mut ()), None);
    assert_eq!(input, b"two\r");
    terminal.editor.begin("$ ");
    assert_eq!(terminal.editor.feed(&mut input, &mut ()), Some(LineEvent::Line("two".to_owned())));
}

#[test]
fn an_incomplete_text_gets_another_line() {
    let mut terminal = Terminal::new("$ ", 80, 24);
    terminal.keys("echo \"a\x02\r");
    assert_eq!(terminal.text(), "echo \"a\n|");
    terminal.keys("b\"");
    assert_eq!(terminal.rows(), ["$ echo \"a", "> b\""]);
    terminal.keys("\x7f\x1b[A\x05\r\x1b[B\x05\"\r");
    assert_eq!(terminal.lines(), ["echo \"a\n\nb\""]);
}

#[test]
fn a_lone_escape_is_a_key_after_a_while() {
    let mut terminal = Terminal::new("$ ", 80, 24);
    terminal.keys("one two\x1b");
    assert_eq!(terminal.editor.timeout(), Some(100));
    assert_eq!(terminal.editor.expire(&mut ()), None);
    assert_eq!(terminal.editor.timeout(), None);
    assert_eq!(terminal.keys("b").text(), "one twob|");
    assert_eq!(terminal.keys("\x1bb").text(), "one |twob");
}

#[test]
fn what_does_not_fit_is_refused_and_told_once() {
    let limits = EditorLimits { text: 10, ..EditorLimits::default() };
    let settings = EditorSettings { limits, ..EditorSettings::default() };
    let mut terminal = Terminal::with(settings, "$ ");
    terminal.keys("0123456789abc");
    assert_eq!(terminal.text(), "0123456789|");
    assert_eq!(terminal.events, [LineEvent::TooLong]);
    terminal.keys("\x7f\x1b[200~xy\x1b[201~");
    assert_eq!((terminal.text().as_str(), terminal.events.len()), ("012345678|", 1));
    terminal.keys("xy");
    assert_eq!((terminal.text().as_str(), terminal.events.len()), ("012345678x|", 2));
    terminal.keys("\x15y\x15\x1b[200~01234567890\x1b[201~\x1b99x");
    assert_eq!((terminal.text().as_str(), terminal.events.len()), ("|", 3));
    assert_eq!(terminal.keys("ok\r").lines(), ["ok"]);
}
