//! A session at a terminal as a file: what a person does in each step, and the screen that follows.
//!
//! ```text
//! # What the session shows, and why.
//! size 60x12
//! beside bash
//!
//! == a word is inserted in the middle
//! keys echo one three<M-b>two<Space>
//! | $ echo one two ‸three
//!
//! == the argument before a command is shown
//! keys <M-3>
//! bash: it counts from 1
//! | (arg: 3) ‸
//! bash| (arg: 13) ‸
//! ```
//!
//! `keys` are letters and names such as `<C-a>`, `<M-b>`, `<Up>` and `<lt>` for `<`; `paste` gives a text to the
//! terminal to paste, `\n` being a new line and `\t` a Tab; `size` changes the window; `login` begins another session.
//! A row begins with `| `: see [`view`](super::view) for what is in it. Where bash does something else, `bash: ` says
//! what, and its rows follow.

use std::path::{Path, PathBuf};

/// A session.
pub(super) struct Transcript {
    path: PathBuf,
    /// What is before the first step, as it is written.
    header: String,
    /// The size of the window: columns and rows.
    pub(super) size: (u32, u32),
    /// Whether bash on this machine goes through the same steps.
    pub(super) beside_bash: bool,
    pub(super) steps: Vec<Step>,
}

/// What is done, and what follows.
pub(super) struct Step {
    pub(super) title: String,
    /// What is before the rows, as it is written.
    source: String,
    pub(super) actions: Vec<Action>,
    /// Whether bash's rows are others.
    pub(super) differs: bool,
    rows: Vec<String>,
    rows_of_bash: Vec<String>,
}

/// What a person does at a terminal.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Action {
    Press(Vec<u8>),
    Paste(String),
    Resize(u32, u32),
    LogIn,
}

impl Transcript {
    pub(super) fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut parts = text.split("\n== ");
        let header = parts.next().unwrap_or_default().to_owned();
        let size = header.lines().find_map(|line| size(line.strip_prefix("size ")?));
        Self {
            path: path.to_owned(),
            size: size.unwrap_or_else(|| panic!("{}: a line `size COLUMNSxROWS` is missing", path.display())),
            beside_bash: header.lines().any(|line| line == "beside bash"),
            header,
            steps: parts.map(Step::read).collect(),
        }
    }

    pub(super) fn write(&self) {
        let steps: String = self.steps.iter().map(Step::text).collect();
        std::fs::write(&self.path, format!("{}{steps}", self.header)).expect("the repository can be written");
    }
}

impl Step {
    fn read(text: &str) -> Self {
        let is_row = |line: &&str| line.starts_with('|') || line.starts_with("bash|");
        let source: Vec<&str> = text.lines().take_while(|line| !is_row(line) && !line.is_empty()).collect();
        let rows = |mark: &str| {
            let rows = text.lines().filter_map(|line| line.strip_prefix(mark));
            rows.map(|row| row.strip_prefix(' ').unwrap_or(row).to_owned()).collect()
        };
        Self {
            title: source.first().map_or("", |title| title).to_owned(),
            actions: source.iter().skip(1).filter_map(|line| action(line)).collect(),
            differs: source.iter().any(|line| line.starts_with("bash: ")),
            source: source.join("\n"),
            rows: rows("|"),
            rows_of_bash: rows("bash|"),
        }
    }

    /// The rows that follow, here or with bash.
    pub(super) fn expected(&mut self, bash: bool) -> &mut Vec<String> {
        if bash && self.differs { &mut self.rows_of_bash } else { &mut self.rows }
    }

    fn text(&self) -> String {
        let row = |mark: &str, row: &String| format!("{mark} {row}").trim_end().to_owned() + "\n";
        let rows = self.rows.iter().map(|text| row("|", text));
        let rows_of_bash = self.rows_of_bash.iter().filter(|_| self.differs).map(|text| row("bash|", text));
        format!("\n== {}\n{}", self.source, rows.chain(rows_of_bash).collect::<String>())
    }
}

/// Columns and rows: `80x24`.
fn size(text: &str) -> Option<(u32, u32)> {
    let (columns, rows) = text.split_once('x')?;
    Some((columns.parse().ok()?, rows.parse().ok()?))
}

/// A line of a step; none if it is a remark.
fn action(line: &str) -> Option<Action> {
    if line.starts_with('#') || line.starts_with("bash: ") {
        return None;
    }
    let (name, rest) = line.split_once(' ').unwrap_or((line, ""));
    let action = match name {
        "keys" => Some(Action::Press(keys(rest))),
        "paste" => Some(Action::Paste(rest.replace("\\n", "\n").replace("\\t", "\t"))),
        "size" => size(rest).map(|(columns, rows)| Action::Resize(columns, rows)),
        "login" => Some(Action::LogIn),
        _ => None,
    };
    Some(action.unwrap_or_else(|| panic!("{line:?} is no action")))
}

/// The bytes of keys, as a terminal of the kind of xterm sends them.
fn keys(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((plain, after)) = rest.split_once('<') {
        let (name, after) = after.split_once('>').unwrap_or_else(|| panic!("{text:?}: a `<` without a `>`"));
        bytes.extend(plain.bytes());
        bytes.extend(key(name).unwrap_or_else(|| panic!("{text:?}: no key is called {name:?}")));
        rest = after;
    }
    bytes.extend(rest.bytes());
    bytes
}

fn key(name: &str) -> Option<Vec<u8>> {
    if let Some(letter) = name.strip_prefix("C-") {
        return letter.bytes().next().map(|letter| vec![letter & 0x1f]);
    }
    if let Some(name) = name.strip_prefix("M-") {
        let base = if name.len() == 1 { name.as_bytes().to_vec() } else { key(name)? };
        return Some([b"\x1b".to_vec(), base].concat());
    }
    let bytes: &[u8] = match name {
        "lt" => b"<",
        "Space" => b" ",
        "Enter" => b"\r",
        "Tab" => b"\t",
        "Esc" => b"\x1b",
        "Backspace" => b"\x7f",
        "Delete" => b"\x1b[3~",
        "Up" => b"\x1b[A",
        "Down" => b"\x1b[B",
        "Right" => b"\x1b[C",
        "Left" => b"\x1b[D",
        "Home" => b"\x1b[1~",
        "End" => b"\x1b[4~",
        "PageUp" => b"\x1b[5~",
        "PageDown" => b"\x1b[6~",
        _ => return None,
    };
    Some(bytes.to_vec())
}

#[test]
fn a_transcript_is_written_as_it_was_read() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("session.txt");
    let text = "# Why.\nsize 20x5\nbeside bash\n\n== a step\nkeys a<C-b><lt><M-Up>\n# A remark.\nsize 10x2\npaste x\\ny\n| \
                $ a\n|\n| ‸b\n\n== another\nkeys <Enter>\nbash: it is louder\n| $ ‸\nbash| # ‸\n";
    std::fs::write(&path, text).expect("our own folder");
    let mut transcript = Transcript::read(&path);
    assert_eq!((transcript.size, transcript.beside_bash), ((20, 5), true));
    let actions =
        [Action::Press(b"a\x02<\x1b\x1b[A".to_vec()), Action::Resize(10, 2), Action::Paste("x\ny".to_owned())];
    assert_eq!(transcript.steps[0].actions, actions);
    assert_eq!(*transcript.steps[0].expected(true), ["$ a", "", "‸b"]);
    assert_eq!(*transcript.steps[1].expected(true), ["# ‸"]);
    assert_eq!(*transcript.steps[1].expected(false), ["$ ‸"]);
    transcript.write();
    assert_eq!(std::fs::read_to_string(&path).expect("it was written"), text);
}
