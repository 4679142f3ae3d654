//! Files that are read and written, and what keeps them from being lost.

use crate::terminal::{Disk, Terminal};

fn disk(file: &[u8]) -> Disk {
    let mut disk = Disk::default();
    disk.files.insert("f".to_owned(), file.to_vec());
    disk
}

fn edited(file: &[u8], keys: &str) -> Terminal {
    let mut terminal = Terminal::with(disk(file), 80, 10);
    terminal.keys(keys);
    terminal
}

impl Terminal {
    fn named(&self, name: &str) -> Option<Vec<u8>> {
        self.disk.borrow().files.get(name).cloned()
    }
}

#[test]
fn files_are_written_and_the_editor_ends() {
    for (keys, file, status) in [
        ("ix\x1b:wq\r", "xone\n", Some(0)),
        ("ix\x1b:x\r", "xone\n", Some(0)),
        ("ix\x1bZZ", "xone\n", Some(0)),
        ("ix\x1b:w\r", "xone\n", None),
        ("ix\x1b:q\r", "one\n", None),
        ("ix\x1b:q!\r", "one\n", Some(0)),
        ("ix\x1bZQ", "one\n", Some(0)),
        ("ix\x1bu:q\r", "one\n", Some(0)),
        ("ix\x1b:w\r:q\r", "xone\n", Some(0)),
        ("ix\x1b:w|q\r", "xone\n", Some(0)),
        (":q\r", "one\n", Some(0)),
        ("ix\x1b:e!\r:q\r", "one\n", Some(0)),
    ] {
        let terminal = edited(b"one\n", keys);
        assert_eq!((terminal.file().as_str(), terminal.editor.exit_status()), (file, status), "{keys:?}");
    }
}

#[test]
fn what_was_not_changed_is_not_written() {
    let terminal = edited(b"one\n", ":x\r");
    assert_eq!(terminal.disk.borrow().writes.get("f"), None);
}

#[test]
fn every_byte_that_was_not_edited_comes_back() {
    for file in
        [b"caf\xe9\n\xff\x00\n".as_slice(), b"no end", b"a\r\nb\r\n", b"a\r\nb\n", b"\n\n", b"\xef\xbb\xbfbom\n"]
    {
        let terminal = edited(file, ":w!\r");
        assert_eq!(terminal.named("f").as_deref(), Some(file));
    }
    assert_eq!(edited(b"caf\xe9\n", "A!\x1b:w\r").named("f").as_deref(), Some(b"caf\xe9!\n".as_slice()));
    assert_eq!(edited(b"caf\xe9\n", "").rows()[0], "caf<e9>");
    assert_eq!(edited(b"a\r\nb\r\n", "ox\x1b:w\r").named("f").as_deref(), Some(b"a\r\nx\r\nb\r\n".as_slice()));
    assert_eq!(edited(b"no end", ":set eol\r:w!\r").named("f").as_deref(), Some(b"no end\n".as_slice()));
    assert!(edited(b"no end", "").editor.message().contains("[noeol]"));
    assert!(edited(b"a\r\n", "").editor.message().contains("[dos]"));
}

#[test]
fn nothing_is_destroyed_without_an_exclamation_mark() {
    let mut terminal = edited(b"one\n", "ix\x1b");
    terminal.disk.borrow_mut().files.insert("g".to_owned(), b"other\n".to_vec());
    terminal.keys(":w g\r");
    assert_eq!(terminal.editor.message(), "E13: File exists (add ! to override)");
    assert_eq!(terminal.named("g").as_deref(), Some(b"other\n".as_slice()));
    terminal.keys(":w! g\r");
    assert_eq!(terminal.named("g").as_deref(), Some(b"xone\n".as_slice()));
    // Another program writes the file meanwhile.
    *terminal.disk.borrow_mut().writes.entry("f".to_owned()).or_default() += 1;
    terminal.keys(":w\r");
    assert!(terminal.editor.message().contains("changed since"), "{}", terminal.editor.message());
    terminal.keys(":w!\r:1w\r");
    assert_eq!(terminal.file(), "xone\n");
    terminal.keys("oy\x1b:1w\r");
    assert_eq!(terminal.editor.message(), "E140: Use ! to write partial buffer");
    terminal.keys(":e g\r");
    assert_eq!(terminal.editor.message(), "E37: No write since last change (add ! to override)");
}

#[test]
fn a_file_that_was_never_read_is_not_overwritten() {
    const EXISTS: &str = "E13: File exists (add ! to override)";
    // Another program creates the file after the editor has looked for it.
    let mut terminal = Terminal::with(Disk::default(), 80, 10);
    terminal.keys("ix\x1b");
    terminal.disk.borrow_mut().files.insert("f".to_owned(), b"other\n".to_vec());
    terminal.keys(":w\r");
    assert_eq!((terminal.editor.message(), terminal.file().as_str()), (EXISTS, "other\n"));
    terminal.keys(":w!\rAy\x1b:w\r");
    assert_eq!(terminal.file(), "xy\n");
    // A text gets the name of a file that it was not read from.
    let mut terminal = edited(b"one\n", ":enew\rix\x1b:f f\r:w\r");
    assert_eq!((terminal.editor.message(), terminal.file().as_str()), (EXISTS, "one\n"));
    terminal.keys(":f new\r:w\r:w\r");
    assert_eq!(terminal.named("new").as_deref(), Some(b"x\n".as_slice()));
    // A file that is gone is written again.
    let mut terminal = edited(b"one\n", "ix\x1b");
    terminal.disk.borrow_mut().files.clear();
    terminal.keys(":w\r");
    assert_eq!(terminal.file(), "xone\n");
}

#[test]
fn a_file_that_cannot_be_written_keeps_what_was_edited() {
    let mut terminal = edited(b"one\n", "ix\x1b");
    terminal.disk.borrow_mut().full = Some("Disk quota exceeded");
    terminal.keys(":wq\r");
    assert_eq!(terminal.editor.message(), "E212: Can't write f: Disk quota exceeded");
    assert_eq!(
        (terminal.editor.exit_status(), terminal.file().as_str(), terminal.text().as_str()),
        (None, "one\n", "xone")
    );
    terminal.keys(":q\r");
    assert_eq!(terminal.editor.exit_status(), None);
    terminal.disk.borrow_mut().full = None;
    terminal.keys(":wq\r");
    assert_eq!((terminal.editor.exit_status(), terminal.file().as_str()), (Some(0), "xone\n"));
}

#[test]
fn read_only_files_are_refused_once() {
    let mut terminal = Terminal::with(Disk { read_only: true, ..disk(b"one\n") }, 80, 10);
    assert!(terminal.editor.message().contains("[readonly]"));
    terminal.keys("ix\x1b:w\r");
    assert_eq!(terminal.editor.message(), "E45: 'readonly' option is set (add ! to override)");
    terminal.keys(":w!\r");
    assert_eq!(terminal.file(), "xone\n");
    let mut terminal = edited(b"one\n", "");
    terminal.editor.open(vec!["f".to_owned()], true);
    terminal.keys("x:w\r");
    assert_eq!(terminal.file(), "one\n");
}

#[test]
fn new_files_other_files_and_parts() {
    let mut terminal = edited(b"1\n2\n3\n", ":2,3w part\r:w >>part\r:r part\r:0r part\r");
    assert_eq!(terminal.named("part").as_deref(), Some(b"2\n3\n1\n2\n3\n".as_slice()));
    assert_eq!(terminal.text(), "2\n3\n1\n2\n3\n1\n2\n3\n1\n2\n3\n2\n3");
    terminal.keys(":e! new\r");
    assert_eq!((terminal.editor.message(), terminal.text().as_str()), ("\"new\" [New]", ""));
    terminal.keys(":w\r");
    assert_eq!(terminal.named("new").as_deref(), Some(b"".as_slice()));
    terminal.keys("ihello\x1b:w\r:e #\r");
    assert_eq!(terminal.named("new").as_deref(), Some(b"hello\n".as_slice()));
    assert_eq!(terminal.text(), "1\n2\n3");
    terminal.keys(":saveas %.bak\r");
    assert_eq!(terminal.named("f.bak").as_deref(), Some(b"1\n2\n3\n".as_slice()));
    terminal.keys(":r nosuch\r");
    assert_eq!(terminal.editor.message(), "E484: Can't open file nosuch");
    terminal.keys(":e dir/\r");
    assert_eq!(terminal.editor.message(), "E484: Can't open file dir/: Is a directory");
}

#[test]
fn several_files_are_edited_one_after_the_other() {
    let mut terminal = edited(b"one\n", "");
    terminal.disk.borrow_mut().files.insert("g".to_owned(), b"two\n".to_vec());
    terminal.editor.open(vec!["f".to_owned(), "g".to_owned()], false);
    terminal.keys(":n\r");
    assert_eq!(terminal.text(), "two");
    terminal.keys(":n\r");
    assert_eq!(terminal.editor.message(), "E165: Cannot go beyond last file");
    terminal.keys(":prev\r");
    assert_eq!(terminal.text(), "one");
    terminal.keys("x:n\r");
    assert!(terminal.editor.message().starts_with("E37"), "{}", terminal.editor.message());
    terminal.keys(":wn\r");
    assert_eq!((terminal.text().as_str(), terminal.file().as_str()), ("two", "ne\n"));
}

#[test]
fn commands_filter_lines_and_have_the_terminal() {
    for (keys, expected) in [
        (":%!sort\r", "a\nb\nc"),
        (":1,2!sort\r", "b\nc\na"),
        ("!jsort\r", "b\nc\na"),
        ("!!upper\r", "C\nb\na"),
        ("!Gcount\r", "3"),
        ("jVj!sort\r", "c\na\nb"),
        (":r !count\r", "c\n1\nb\na"),
        (":%!sort\ru", "c\nb\na"),
        (":%!nosuch\r", "c\nb\na"),
    ] {
        assert_eq!(edited(b"c\nb\na\n", keys).text(), expected, "{keys:?}");
    }
    let terminal = edited(b"c\nb\n", ":!make %\r\x1a:w !sort\r");
    assert_eq!(terminal.disk.borrow().ran, ["make f"]);
    assert_eq!(terminal.disk.borrow().suspended, 1);
    assert_eq!(terminal.rows()[..2], ["b", "c"]);
    let terminal = edited(b"c\nb\n", ":%!nosuch\r");
    assert_eq!(terminal.editor.message(), "nosuch: not found");
    // A command that was interrupted changes nothing.
    for keys in [":%!endless\r", ":r !endless\r", "!!endless\r"] {
        let terminal = edited(b"c\nb\n", keys);
        assert_eq!((terminal.text().as_str(), terminal.editor.message()), ("c\nb", "Interrupted"), "{keys:?}");
    }
    let terminal = edited(b"c\nb\n", ":%!fail\r");
    assert_eq!((terminal.text().as_str(), terminal.editor.message()), ("wrong", "shell returned 3"));
}

#[test]
fn what_was_not_saved_is_saved_when_the_session_ends() {
    let mut terminal = edited(b"one\n", "ix\x1b");
    assert_eq!(terminal.editor.rescue(), Ok(Some("f.save".to_owned())));
    assert_eq!(terminal.editor.rescue(), Ok(Some("f.save.1".to_owned())));
    assert_eq!(terminal.named("f.save").as_deref(), Some(b"xone\n".as_slice()));
    assert_eq!(terminal.file(), "one\n");
    assert_eq!(edited(b"one\n", "").editor.rescue(), Ok(None));
}

#[test]
fn names_of_files_are_completed() {
    let mut terminal = edited(b"one\n", "");
    for name in ["notes", "novel"] {
        terminal.disk.borrow_mut().files.insert(name.to_owned(), name.as_bytes().to_vec());
    }
    terminal.keys(":e no\t\t\r");
    assert_eq!(terminal.text(), "novel");
    terminal.keys(":e no\t\t\t\t\r");
    assert_eq!(terminal.text(), "notes");
}

#[test]
fn a_question_is_asked_before_each_replacement() {
    for (keys, expected) in [
        (":s/x/-/c\ry", "-ax\nx x"),
        (":s/x/-/c\rn", "xax\nx x"),
        (":%s/x/-/gc\rynya", "-ax\n- -"),
        (":%s/x/-/gc\ryq", "-ax\nx x"),
        (":%s/x/-/gc\rnyl", "xa-\n- x"),
        (":%s/x/-/c\ra", "-ax\n- x"),
        (":%s/x/-/gc\ra", "-a-\n- -"),
        (":%s/x/a\\rb/gc\rya", "a\nbaa\nb\na\nb a\nb"),
        (":%s/x/-/gc\ryn\x1bu", "xax\nx x"),
    ] {
        assert_eq!(edited(b"xax\nx x\n", keys).text(), expected, "{keys:?}");
    }
}

#[test]
fn ten_megabytes_are_edited_quickly() {
    let file: Vec<u8> =
        (0..250_000).flat_map(|number| format!("line {number} of a file that is large\n").into_bytes()).collect();
    assert!(file.len() > 8 << 20);
    let mut terminal = edited(&file, "");
    let start = std::time::Instant::now();
    terminal.keys("Goend\x1bggOtop\x1b:125000\rdd/24999[89] of\rx:w\r");
    for _ in 0..50 {
        terminal.typed("ox\x1bk");
    }
    // A hundredth of this is enough for a compiled program; the test's is not optimised.
    assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
    assert!(terminal.file().len() > 8 << 20);
}
