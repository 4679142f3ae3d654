//! An editor, its terminal, and its files.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::rc::Rc;

use unix_common::tty::Decoder;
use vi::{Editor, Finished, INTERRUPTED, ReadError, System};

/// Files and commands in memory.
#[derive(Default)]
pub(crate) struct Disk {
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    /// How often each file was written.
    pub(crate) writes: BTreeMap<String, u128>,
    pub(crate) read_only: bool,
    /// What a write fails with.
    pub(crate) full: Option<&'static str>,
    /// What ran on the terminal, and how often the editor was stopped.
    pub(crate) ran: Vec<String>,
    pub(crate) suspended: usize,
    /// How often the editor has to ask until Control-C was typed.
    pub(crate) interrupt: Option<usize>,
}

struct Shared(Rc<RefCell<Disk>>);

impl System for Shared {
    fn read(&mut self, path: &str) -> Result<Vec<u8>, ReadError> {
        if path.ends_with('/') {
            return Err(ReadError::Other("Is a directory".to_owned()));
        }
        self.0.borrow().files.get(path).cloned().ok_or(ReadError::NotFound)
    }

    fn write(&mut self, path: &str, bytes: &[u8], append: bool) -> Result<(), String> {
        let mut disk = self.0.borrow_mut();
        if let Some(words) = disk.full {
            return Err(words.to_owned());
        }
        let file = disk.files.entry(path.to_owned()).or_default();
        if !append {
            file.clear();
        }
        file.extend_from_slice(bytes);
        *disk.writes.entry(path.to_owned()).or_default() += 1;
        Ok(())
    }

    fn exists(&mut self, path: &str) -> bool {
        self.0.borrow().files.contains_key(path)
    }

    fn is_writable(&mut self, _: &str) -> bool {
        !self.0.borrow().read_only
    }

    fn changed_at(&mut self, path: &str) -> Option<u128> {
        let disk = self.0.borrow();
        disk.files.contains_key(path).then(|| disk.writes.get(path).copied().unwrap_or(0))
    }

    fn complete(&mut self, path: &str) -> Vec<String> {
        self.0.borrow().files.keys().filter(|name| name.starts_with(path)).cloned().collect()
    }

    /// `sort`, `upper`, `fail`, `count` and `endless` are commands here. The user interrupts the last.
    fn filter(&mut self, command: &str, input: Option<&[u8]>) -> Result<Finished, String> {
        let input = String::from_utf8_lossy(input.unwrap_or(b"x\n")).into_owned();
        let mut lines: Vec<&str> = input.lines().collect();
        let (text, status) = match command.trim() {
            "sort" => {
                lines.sort_unstable();
                (lines.join("\n") + "\n", 0)
            }
            "upper" => (input.to_uppercase(), 0),
            "count" => (format!("{}\n", lines.len()), 0),
            "fail" => ("wrong\n".to_owned(), 3),
            "endless" => return Err(INTERRUPTED.to_owned()),
            other => return Err(format!("{other}: not found")),
        };
        Ok(Finished { output: text.into_bytes(), status })
    }

    fn run(&mut self, command: &str) -> Result<(), String> {
        self.0.borrow_mut().ran.push(command.to_owned());
        Ok(())
    }

    fn is_interrupted(&mut self) -> bool {
        let mut disk = self.0.borrow_mut();
        let now = disk.interrupt == Some(0);
        disk.interrupt = disk.interrupt.and_then(|left| left.checked_sub(1));
        now
    }

    fn suspend(&mut self) -> Result<(), String> {
        self.0.borrow_mut().suspended += 1;
        Ok(())
    }
}

pub(crate) struct Terminal {
    pub(crate) editor: Editor,
    pub(crate) disk: Rc<RefCell<Disk>>,
    pub(crate) screen: vt100::Parser,
    decoder: Decoder,
    /// What was written last.
    pub(crate) written: String,
}

fn size(cells: usize) -> NonZeroU16 {
    NonZeroU16::new(u16::try_from(cells).expect("a test's size")).expect("not zero")
}

impl Terminal {
    /// Edits a file `f` with this text.
    pub(crate) fn new(text: &str) -> Self {
        Self::sized(text, 40, 10)
    }

    pub(crate) fn sized(text: &str, columns: usize, rows: usize) -> Self {
        let disk = Disk { files: BTreeMap::from([("f".to_owned(), text.as_bytes().to_vec())]), ..Disk::default() };
        Self::with(disk, columns, rows)
    }

    pub(crate) fn with(disk: Disk, columns: usize, rows: usize) -> Self {
        let disk = Rc::new(RefCell::new(disk));
        let mut editor = Editor::new(Box::new(Shared(Rc::clone(&disk))), columns, rows);
        editor.open(vec!["f".to_owned()], false);
        let screen = vt100::Parser::new(size(rows), size(columns), 0);
        let mut terminal = Self { editor, disk, screen, decoder: Decoder::default(), written: String::new() };
        terminal.show();
        terminal
    }

    pub(crate) fn show(&mut self) {
        self.written = String::from_utf8(self.editor.output()).expect("output is UTF-8");
        self.screen.process(self.written.as_bytes());
    }

    /// Types. An Escape is one by itself.
    pub(crate) fn keys(&mut self, keys: &str) -> &mut Self {
        for part in keys.split_inclusive('\x1b') {
            self.decoder.feed(part.as_bytes());
            while let Some(key) = self.decoder.next_key(true) {
                self.editor.press(key);
            }
        }
        self.show();
        self
    }

    /// Types one key after the other, and draws after each, as somebody does.
    pub(crate) fn typed(&mut self, keys: &str) -> &mut Self {
        for key in keys.chars() {
            self.keys(&key.to_string());
        }
        self
    }

    pub(crate) fn resize(&mut self, columns: usize, rows: usize) {
        self.screen.set_size(size(rows), size(columns));
        self.editor.resize(columns, rows);
        self.show();
    }

    /// The lines of the text.
    pub(crate) fn text(&self) -> String {
        self.editor.lines().join("\n")
    }

    /// The file `f`.
    pub(crate) fn file(&self) -> String {
        String::from_utf8_lossy(&self.disk.borrow().files["f"]).into_owned()
    }

    /// The rows of the screen without blanks at their ends.
    pub(crate) fn rows(&self) -> Vec<String> {
        let screen = self.screen.screen();
        let (_, columns) = screen.size();
        screen.rows(0, columns.get()).map(|row| row.trim_end_matches([' ', '\0']).to_owned()).collect()
    }

    pub(crate) fn cursor(&self) -> (u16, u16) {
        self.screen.screen().cursor_position()
    }
}

/// A generator of numbers (Steele, Lea and Flood: splitmix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % bound as u64).expect("it is below a usize")
    }
}
