//! The keys of vi.

use crate::terminal::Terminal;
use whelk_guest::editor::{EditorSettings, KeyMap, LineEvent};

fn vi() -> Terminal {
    let settings = EditorSettings { keys: KeyMap::Vi, ..EditorSettings::default() };
    let mut terminal = Terminal::with(settings, "$ ");
    for line in ["echo one", "cat two three", "make all"] {
        terminal.editor.history_mut().add(line);
    }
    terminal.editor.begin("$ ");
    terminal.show();
    terminal
}

#[track_caller]
fn check(cases: &[(&str, &str)]) {
    for (keys, text) in cases {
        // Escape and the key after it at once, and as keys of their own.
        assert_eq!(vi().keys(keys).text(), *text, "{keys:?}");
        let mut terminal = vi();
        for key in keys.chars() {
            terminal.keys(&key.to_string());
            if terminal.editor.timeout().is_some() {
                assert_eq!(terminal.editor.expire(&mut ()), None);
            }
        }
        assert_eq!(terminal.text(), *text, "{keys:?}, slowly");
    }
}

#[test]
fn motions() {
    check(&[
        ("abc\x1bi", "ab|c"),
        ("abc\x1bhhhi", "|abc"),
        ("abc\x1b0li", "a|bc"),
        ("abc\x1b0llllli", "ab|c"),
        ("abc\x1b0a", "a|bc"),
        ("  abc\x1bI", "  |abc"),
        ("  abc\x1b0A", "  abc|"),
        ("abc\x1b0$i", "ab|c"),
        ("foo.bar baz\x1b0wi", "foo|.bar baz"),
        ("foo.bar baz\x1b0wwi", "foo.|bar baz"),
        ("foo.bar baz\x1b0Wi", "foo.bar |baz"),
        ("foo.bar baz\x1b02wi", "foo.|bar baz"),
        ("foo.bar baz\x1b0ei", "fo|o.bar baz"),
        ("foo.bar baz\x1b0eei", "foo|.bar baz"),
        ("foo.bar baz\x1b0Ei", "foo.ba|r baz"),
        ("foo.bar baz\x1bbi", "foo.bar |baz"),
        ("foo.bar baz\x1bBBi", "|foo.bar baz"),
        ("foo.bar baz\x1bbbbi", "foo|.bar baz"),
        ("abcabc\x1b0fci", "ab|cabc"),
        ("abcabc\x1b02fci", "abcab|c"),
        ("abcabc\x1b0tci", "a|bcabc"),
        ("abcabc\x1bFai", "abc|abc"),
        ("abcabc\x1bTai", "abca|bc"),
        ("abcabc\x1b0fc;i", "abcab|c"),
        ("abcabc\x1b0fc;,i", "ab|cabc"),
        ("abcdef\x1b4|i", "abc|def"),
        ("f(a[b])\x1b0%i", "f(a[b]|)"),
        ("f(a[b])\x1b%i", "f|(a[b])"),
        ("漢字e\u{301}\x1bhi", "漢|字e\u{301}"),
    ]);
    assert_eq!(vi().keys("abc\x1bh\x1b[Di").text(), "|abc");
}

#[test]
fn operators() {
    check(&[
        ("one two three\x1b0dw", "|two three"),
        ("one two three\x1b0d2w", "|three"),
        ("one two three\x1b02dw", "|three"),
        ("one two three\x1bdb", "one two |e"),
        ("one two\x1b0cwxx", "xx| two"),
        ("one two\x1b0dex", "|two"),
        ("one two\x1bdd", "|"),
        ("one two\x1bccx", "x|"),
        ("one two\x1bSx", "x|"),
        ("one two\x1bbD", "one| "),
        ("one two\x1bbCx", "one x|"),
        ("one two\x1b0d$", "|"),
        ("one two\x1bd0", "|o"),
        ("one two\x1b0dtw", "|wo"),
        ("one two\x1b0dfw", "|o"),
        ("f(a) b\x1b0ld%", "f| b"),
        ("one two\x1b0ywP", "one| one two"),
        ("one two\x1b0ywwP", "one one| two"),
        ("ab\x1b0xp", "b|a"),
        ("ab\x1bxP", "|ba"),
        ("ab\x1b0x3p", "baa|a"),
        ("one two\x1byyp", "one twoone tw|o"),
        ("abc\x1b0rx", "|xbc"),
        ("abc\x1b03rx", "xx|x"),
        ("abc\x1b04rx", "|abc"),
        ("abc\x1b0~~", "AB|c"),
        ("abc\x1b05~", "AB|C"),
        ("abc\x1b0sx", "x|bc"),
        ("abc\x1b02sx", "x|c"),
        ("abc\x1bX", "a|c"),
        ("abc\x1b0Rxy", "xy|c"),
        ("abc\x1b0Rxyzw", "xyzw|"),
        ("abc\x1b0cfz!", "|abc"),
        ("abc\x1bdq", "ab|c"),
        ("one\x1b_", "one all|"),
        ("x\x1b1_", "x all|"),
    ]);
}

#[test]
fn changes_are_undone_and_repeated() {
    check(&[
        ("one two three four five six\x1bu", "|"),
        ("one\x1ba two\x1bu", "on|e"),
        ("one two\x1b0dwu", "|one two"),
        ("one\x1b0cwtwo\x1bu", "|one"),
        ("aaaa\x1b0x..", "|a"),
        ("one two\x1b0cwx\x1bw.", "x |x"),
        ("ab\x1bax\x1b..", "abxx|x"),
        ("one two\x1b0dwxxU", "|"),
    ]);
}

#[test]
fn the_history() {
    check(&[
        ("\x1bk", "|make all"),
        ("\x1bkk", "|cat two three"),
        ("\x1bkkj", "|make all"),
        ("\x1b2k", "|cat two three"),
        ("new\x1bG", "|echo one"),
        ("new\x1b2G", "|cat two three"),
        ("\x1b/o\rx", "cat tw| three"),
        ("\x1b/o\rn", "|echo one"),
        ("\x1b/o\rnN", "|cat two three"),
        ("\x12one\x05x", "echo onex|"),
    ]);
}

#[test]
fn ends_of_a_line() {
    let mut terminal = vi();
    assert_eq!(terminal.keys("one\x1bhx\r").lines(), ["oe"]);
    terminal.begin("$ ").keys("two");
    assert_eq!((terminal.text().as_str(), terminal.keys("\x1b#").lines().last()), ("two|", Some(&"#two")));
    terminal.begin("$ ").keys("x\x1bv");
    assert_eq!(terminal.events.last(), Some(&LineEvent::EditElsewhere("x".to_owned())));
    terminal.begin("$ ").keys("x\x1b\x03");
    assert_eq!(terminal.events.last(), Some(&LineEvent::Interrupt));
    terminal.begin("$ ").keys("\x1b\x04");
    assert_eq!(terminal.events.last(), Some(&LineEvent::EndOfInput));
}

#[test]
fn a_text_of_several_lines() {
    check(&[
        ("one\x16\ntwo\x1bkx", "o|n\ntwo"),
        ("one\x16\ntwo\x1bdd", "on|e"),
        ("one\x16\ntwo\x1bkdd", "|two"),
        ("one\x16\ntwo\x1b0hhi", "one\n|two"),
    ]);
}
