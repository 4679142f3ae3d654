//! The program with paths that a shell would expand.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A directory with `photo1.jpg`.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    fs::write(folder.path().join("photo1.jpg"), "one").expect("our own folder");
    folder
}

/// Runs the program as the host does for this command: its words without quotes are the arguments. Gives what it
/// sends, and its status.
fn run(folder: &Path, command: &str, input: &[u8]) -> (String, Option<i32>) {
    let words = command.replace(['\'', '\\'], "");
    let mut program = Command::new(env!("CARGO_BIN_EXE_scp"));
    program.current_dir(folder).args(words.split(' ').skip(1)).env("SSH_ORIGINAL_COMMAND", command);
    program.env("HOME", folder).env("USER", "alice");
    program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut program = program.spawn().expect("it is built");
    // It may have ended before it has read all of it.
    let _ = program.stdin.take().expect("it is piped").write_all(input);
    let output = program.wait_with_output().expect("it was started");
    (String::from_utf8(output.stdout).expect("it is UTF-8"), output.status.code())
}

#[test]
fn a_target_is_never_a_pattern() {
    for (command, name) in [
        ("scp -t photo[1].jpg", "photo[1].jpg"),
        ("scp -t 'photo[1].jpg'", "photo[1].jpg"),
        ("scp -t *", "*"),
        ("scp -t x{1,2}.txt", "x{1,2}.txt"),
        ("scp -t ~/photo?.jpg", "photo?.jpg"),
    ] {
        let folder = folder();
        let (replies, status) = run(folder.path(), command, b"C0644 3 up.jpg\nnew\0");
        assert_eq!((replies.as_str(), status), ("\0\0\0", Some(0)), "{command}");
        assert_eq!(fs::read_to_string(folder.path().join(name)).ok().as_deref(), Some("new"), "{command}");
        assert_eq!(fs::read_to_string(folder.path().join("photo1.jpg")).ok().as_deref(), Some("one"), "{command}");
    }
}

#[test]
fn a_quoted_path_names_one_file() {
    let folder = folder();
    let sent = |command: &str| run(folder.path(), command, &[0; 20]);
    let absent = ("\x01scp: photo[1].jpg: No such file or directory\n".to_owned(), Some(1));
    assert_eq!(sent("scp -f 'photo[1].jpg'"), absent);
    assert_eq!(sent("scp -f photo\\[1\\].jpg"), absent);
    assert_eq!(sent("scp -f photo[1].jpg"), ("C0644 3 photo1.jpg\none\0".to_owned(), Some(0)));
    assert_eq!(sent("scp -f {photo,x}1.jpg").1, Some(1));
    fs::write(folder.path().join("photo[1].jpg"), "bracket").expect("our own folder");
    for command in ["scp -f 'photo[1].jpg'", "scp -f photo[1].jpg"] {
        assert_eq!(sent(command), ("C0644 7 photo[1].jpg\nbracket\0".to_owned(), Some(0)), "{command}");
    }
}

#[test]
fn a_whole_home_has_a_name_that_clients_take() {
    let folder = folder();
    let name = folder.path().file_name().and_then(|name| name.to_str()).expect("it is UTF-8");
    for (command, name) in [("scp -rf .", "alice"), ("scp -rf ~", name), ("scp -rf ~/", name), ("scp -rf ~/.", name)] {
        let sent = run(folder.path(), command, &[0; 20]);
        assert_eq!(sent, (format!("D0755 0 {name}\nC0644 3 photo1.jpg\none\0E\n"), Some(0)), "{command}");
    }
}

/// The replies cannot be written, and that is no success.
#[test]
fn a_client_that_has_left_is_a_failure() {
    let folder = folder();
    let mut program = Command::new(env!("CARGO_BIN_EXE_scp"));
    // Not a pipe without a reader: while another test starts a program, that has the reading end too.
    let full = File::options().write(true).open("/dev/full").expect("the system has it");
    program.current_dir(folder.path()).args(["-t", "."]).stdin(Stdio::piped()).stdout(full);
    let mut program = program.spawn().expect("it is built");
    // It may have ended already.
    let _ = program.stdin.take().expect("it is piped").write_all(b"C0644 3 a\nabc\0");
    assert_eq!(program.wait().expect("it was started").code(), Some(1));
}

#[test]
fn braces_that_make_too_many_paths_are_refused() {
    let folder = folder();
    let (sent, status) = run(folder.path(), &format!("scp -f {}", "{a,b}".repeat(20)), &[0; 20]);
    assert_eq!((sent.as_str(), status), ("", Some(1)));
}
