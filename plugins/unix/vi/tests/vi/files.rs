//! Files that are read and written.

use crate::terminal::Terminal;

#[test]
fn a_file_is_written_and_the_editor_ends() {
    let mut terminal = Terminal::new("one\n");
    terminal.keys("ix\x1b:wq\r");
    assert_eq!((terminal.file().as_str(), terminal.editor.exit_status()), ("xone\n", Some(0)));
}
