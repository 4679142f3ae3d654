//! Keys to texts.

use crate::terminal::Terminal;

#[test]
fn commands_change_the_text() {
    for (text, keys, expected, cursor) in [
        ("hello world\n", "dw", "world", (0, 0)),
        ("hello world\n", "wdw", "hello ", (0, 5)),
        ("a b c d e\n", "2d2w", "e", (0, 0)),
        ("hello world\n", "cwbye\x1b", "bye world", (0, 2)),
        ("one\ntwo\nthree\n", "ddp", "two\none\nthree", (1, 0)),
        ("one\ntwo\nthree\n", "2yyGp", "one\ntwo\nthree\none\ntwo", (3, 0)),
        ("a(b, c)d\n", "f,ci(x\x1b", "a(x)d", (0, 2)),
        ("abc\n", "x.u", "bc", (0, 0)),
        ("abc\n", "ix\x1bu\x12", "xabc", (0, 0)),
        ("a\n", "3ix\x1b", "xxxa", (0, 2)),
        ("a\nb\n", "J", "a b", (0, 1)),
        ("abc\n", "~~", "ABc", (0, 2)),
        ("abcd\n", "2rx", "xxcd", (0, 1)),
        ("abcd\n", "Rxy\x08\x08z\x1b", "zbcd", (0, 0)),
        ("a b\n", "qaxq@a", "b", (0, 0)),
        ("a b a b\n", "/b\rx;", "a  a b", (0, 2)),
    ] {
        let mut terminal = Terminal::new(text);
        terminal.keys(keys);
        assert_eq!((terminal.text().as_str(), terminal.editor.cursor()), (expected, cursor), "{keys:?}");
    }
}

#[test]
fn typing_into_a_block_ends_well_whatever_the_keys_move() {
    for (text, keys, expected) in [
        ("hello world\nhello world\n", "\x16jIab\x1b", "abhello world\nabhello world"),
        ("hello world\nhello world\n", "\x16jIabc\x0f$\x1b", "abchello world\nhello world"),
        ("        x\n        x\n", "8l\x16jIaééééé\x04\x1b", "aéééééx\n        x"),
        ("        é\n", "8liéé\x04\x15\x1b", "é"),
    ] {
        let mut terminal = Terminal::new(text);
        terminal.keys(keys).keys("\x1b");
        assert_eq!(terminal.text(), expected, "{keys:?}");
    }
}

#[test]
fn counts_and_registers_end() {
    for (text, keys, expected) in [
        ("a\n", "9999999ox\x1b", "a\nx"),
        ("a\n", "99999999i\x1b", "a"),
        ("a x\nx\n", "/x\r99999999nrq", "a x\nq"),
        ("a x\nx\n", "/x\r99999998nrq", "a q\nx"),
        ("a\n", ":s/q/r/\r99999999@:", "a"),
        ("\n", "yy60000000p", ""),
        ("ab\n", "99999999~", "AB"),
        ("a\nb\nc\n", ":2d 18446744073709551615\r", "a"),
        ("a\nb\nc\n", ":2s/b/x/ 18446744073709551615\r", "a\nx\nc"),
        ("a\nb\nc\n", ":2j 18446744073709551615\r", "a\nb c"),
        ("a\nb\nc\n", ":2> 18446744073709551615\ru", "a\nb\nc"),
    ] {
        let mut terminal = Terminal::new(text);
        terminal.keys(keys);
        assert_eq!(terminal.text(), expected, "{keys:?}");
    }
    // Registers that call themselves.
    for (text, keys) in [
        ("ix\x1b@q\n", "\"qdd:norm @q\r"),
        ("ix\x1b@q\n", "\"qdd@q"),
        ("x\n", "\"qyy900000@q"),
        ("@a\n@a\n", "\"ayj:@a\r"),
    ] {
        let mut terminal = Terminal::new(text);
        terminal.keys(keys);
        assert!(terminal.editor.message().starts_with("E169"), "{keys:?}: {}", terminal.editor.message());
    }
}

#[test]
fn commands_for_many_lines_take_time_in_proportion_to_them() {
    const LINES: usize = 100_000;
    let numbers: Vec<String> = (0..LINES).map(|number| number.to_string()).collect();
    let text = |lines: &[String]| lines.join("\n") + "\n";
    let reversed: Vec<String> = numbers.iter().rev().cloned().collect();
    let pairs: Vec<String> = numbers.iter().map(|number| format!("{number},{number}")).collect();
    let twice: Vec<String> = numbers.iter().flat_map(|number| [number.clone(), number.clone()]).collect();
    let joined: Vec<String> = numbers.chunks(2).map(|pair| pair.join(" ")).collect();
    for (before, keys, after) in [
        (&numbers, ":g/^/m0\r", &reversed),
        (&numbers, ":g/^/m$\r", &numbers),
        (&pairs, ":%s/,/\\r/\r", &twice),
        (&numbers, ":g/^/t.\r", &twice),
        (&numbers, ":g/[02468]$/j\r", &joined),
        (&twice, ":g/^/+1d\r", &numbers),
    ] {
        let mut terminal = Terminal::new(&text(before));
        terminal.keys(keys);
        assert!(terminal.text() + "\n" == text(after), "{keys:?}: {}", terminal.editor.message());
        terminal.keys("u");
        assert!(terminal.text() + "\n" == text(before), "{keys:?} undone");
    }
}

#[test]
fn control_c_stops_long_commands() {
    let lines = "x\n".repeat(3000);
    for keys in [":%norm Ay\r", ":g/x/s/x/y/\r", ":%s/x/y/\r", "3000iy\x1b", "/x\r2000n"] {
        let mut terminal = Terminal::new(&lines);
        terminal.disk.borrow_mut().interrupt = Some(2);
        terminal.keys(keys);
        assert_eq!(terminal.editor.message(), "Interrupted", "{keys:?}");
    }
}

#[test]
fn what_is_not_supported_or_makes_no_sense_changes_nothing() {
    for (keys, message) in [
        (":2,1d\r", "E493: Backwards range given"),
        (":g/x/s/x/y/c\r", "The flag c of :s is not supported with :g"),
        (":%s/x/\\=1/\r", "E15: Expressions are not supported: \\="),
        (":%s/x/\\q/\r", "E486: Unknown escape \\q in the replacement: \\q"),
        (":%s/\\f/y/\r", "E486: An escape is not supported: \\f"),
    ] {
        let mut terminal = Terminal::new("x x\nx x\n");
        terminal.keys(keys);
        assert_eq!(terminal.text(), "x x\nx x", "{keys:?}");
        assert!(terminal.editor.message().starts_with(message), "{keys:?}: {}", terminal.editor.message());
    }
}

#[test]
fn substitutions_are_repeated_with_their_flags() {
    for (keys, expected) in [
        (":s/x/y/g\rg&", "y y\ny y"),
        (":s/x/y/g\rj:&&\r", "y y\ny y"),
        (":s/x/y/g\rj:&\r", "y y\ny x"),
        (":s/x/y/\rg&", "y y\ny x"),
    ] {
        let mut terminal = Terminal::new("x x\nx x\n");
        terminal.keys(keys);
        assert_eq!(terminal.text(), expected, "{keys:?}");
    }
}
