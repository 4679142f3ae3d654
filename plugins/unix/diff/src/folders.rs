//! Which files are compared: two, or those of two directories.

use std::collections::BTreeSet;
use std::fs::{self, Metadata};
use std::io::{self, BufWriter, Read, Write};

use unix_common::glob::{self, Rules};
use unix_common::report;
use unix_common::time::Moment;

use crate::changes::{between, that_count};
use crate::lines::{Lines, numbered};
use crate::print::Comparison;
use crate::settings::{Settings, Style};

const DIFFERENT: u8 = 1;
const TROUBLE: u8 = 2;

/// Compares what the command line names. The exit status.
pub(crate) fn run(settings: &Settings) -> u8 {
    let out = BufWriter::with_capacity(1 << 16, io::stdout());
    let mut work = Work { settings, out, status: 0 };
    let result = work.operands().and_then(|()| work.out.flush());
    if let Err(error) = result {
        report::error(&format!("write failed: {}", report::words(&error)));
        return TROUBLE;
    }
    work.status
}

struct Work<'a> {
    settings: &'a Settings,
    out: BufWriter<io::Stdout>,
    status: u8,
}

impl Work<'_> {
    fn differ(&mut self) {
        self.status = self.status.max(DIFFERENT);
    }

    fn trouble(&mut self, name: &str, error: &io::Error) {
        self.status = TROUBLE;
        let _ = self.out.flush();
        report::error(&format!("{name}: {}", report::words(error)));
    }

    fn operands(&mut self) -> io::Result<()> {
        let [mut first, mut second] = self.settings.files.clone();
        let is_folder = |name: &str| name != "-" && fs::metadata(name).is_ok_and(|found| found.is_dir());
        let inside = |folder: &str, file: &str| {
            format!(
                "{}/{}",
                folder.trim_end_matches('/'),
                file.trim_end_matches('/').rsplit('/').next().unwrap_or(file)
            )
        };
        match (is_folder(&first), is_folder(&second)) {
            (true, false) => first = inside(&first, &second),
            (false, true) => second = inside(&second, &first),
            _ => {}
        }
        self.pair(&first, &second, false)
    }

    /// Compares two files or directories. `nested`: they are in directories that are compared.
    fn pair(&mut self, first: &str, second: &str, nested: bool) -> io::Result<()> {
        let look = |name: &str| if name == "-" { Ok(None) } else { fs::metadata(name).map(Some) };
        let absent = |found: io::Result<Option<Metadata>>, allowed: bool| match found {
            Err(error) if allowed && error.kind() == io::ErrorKind::NotFound => Ok(None),
            other => other,
        };
        let new = [self.settings.new_file || self.settings.new_second, self.settings.new_file];
        let (old_found, new_found) = (absent(look(first), new[0]), absent(look(second), new[1]));
        for (name, found) in [(first, &old_found), (second, &new_found)] {
            if let Err(error) = found {
                self.trouble(name, error);
            }
        }
        let (Ok(old_found), Ok(new_found)) = (old_found, new_found) else {
            return Ok(());
        };
        let folder = |found: &Option<Metadata>| found.as_ref().is_some_and(Metadata::is_dir);
        match (folder(&old_found), folder(&new_found)) {
            (true, true) if nested && !self.settings.recursive => {
                writeln!(self.out, "Common subdirectories: {first} and {second}")
            }
            (true, true) => self.folders(first, second),
            (true, false) if new_found.is_none() => self.folders(first, second),
            (false, true) if old_found.is_none() => self.folders(first, second),
            (false, false) => self.files([first, second], [old_found, new_found], nested),
            (old_is_folder, _) => {
                self.differ();
                let kind = |is_folder| if is_folder { "directory" } else { "regular file" };
                let (one, other) = (kind(old_is_folder), kind(!old_is_folder));
                writeln!(self.out, "File {first} is a {one} while file {second} is a {other}")
            }
        }
    }

    fn folders(&mut self, first: &str, second: &str) -> io::Result<()> {
        let mut names = BTreeSet::new();
        let mut in_folder = [BTreeSet::new(), BTreeSet::new()];
        for (folder, found) in [first, second].iter().zip(&mut in_folder) {
            let entries = match fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => {
                    self.trouble(folder, &error);
                    return Ok(());
                }
            };
            for entry in entries {
                let name = entry.file_name().to_string_lossy().into_owned();
                let excluded = |pattern: &String| glob::matches(pattern, &name, Rules::default());
                if !self.settings.excluded.iter().any(excluded) {
                    found.insert(name.clone());
                    names.insert(name);
                }
            }
        }
        let path = |folder: &str, name: &str| format!("{}/{name}", folder.trim_end_matches('/'));
        for name in names {
            let there = [in_folder[0].contains(&name), in_folder[1].contains(&name)];
            let as_empty = self.settings.new_file || self.settings.new_second && there[1];
            match there {
                [true, false] if !as_empty => {
                    self.differ();
                    writeln!(self.out, "Only in {first}: {name}")?;
                }
                [false, true] if !as_empty => {
                    self.differ();
                    writeln!(self.out, "Only in {second}: {name}")?;
                }
                _ => self.pair(&path(first, &name), &path(second, &name), true)?,
            }
        }
        Ok(())
    }

    fn files(&mut self, names: [&str; 2], found: [Option<Metadata>; 2], nested: bool) -> io::Result<()> {
        let settings = self.settings;
        let mut texts = [Vec::new(), Vec::new()];
        for ((name, found), text) in names.iter().zip(&found).zip(&mut texts) {
            let read = match (*name, found) {
                ("-", _) => io::stdin().read_to_end(text).map(|_| ()),
                (_, None) => Ok(()),
                (name, Some(_)) => fs::read(name).map(|bytes| *text = bytes),
            };
            if let Err(error) = read {
                self.trouble(name, &error);
                return Ok(());
            }
        }
        if names == ["-", "-"] {
            texts[1] = texts[0].clone();
        }
        let same = |work: &mut Self| {
            if settings.report_same {
                return writeln!(work.out, "Files {} and {} are identical", names[0], names[1]);
            }
            Ok(())
        };
        if texts[0] == texts[1] && settings.style != Style::SideBySide {
            return same(self);
        }
        let is_binary = |text: &Vec<u8>| text.iter().take(1 << 15).any(|byte| *byte == 0);
        if !settings.text && texts.iter().any(is_binary) && texts[0] != texts[1] {
            self.differ();
            let kind = if settings.brief { "Files" } else { "Binary files" };
            return writeln!(self.out, "{kind} {} and {} differ", names[0], names[1]);
        }
        let (old, new) = (Lines::new(&texts[0]), Lines::new(&texts[1]));
        let [old_numbers, new_numbers] = numbered(settings, [&old, &new]);
        let changes = that_count(settings, between(&old_numbers, &new_numbers), [&old, &new]);
        if changes.is_empty() && settings.style != Style::SideBySide {
            return same(self);
        }
        if !changes.is_empty() {
            self.differ();
        }
        if settings.brief {
            return writeln!(self.out, "Files {} and {} differ", names[0], names[1]);
        }
        if nested {
            writeln!(self.out, "diff{} {} {}", settings.shown, names[0], names[1])?;
        }
        let heads = [0, 1].map(|number| head(settings, number, names[number], found[number].as_ref()));
        Comparison { files: [&old, &new], changes: &changes, heads }.print(settings, &mut self.out)
    }
}

/// The name of a file and its time, or its label.
fn head(settings: &Settings, number: usize, name: &str, found: Option<&Metadata>) -> String {
    if let Some(label) = settings.labels.get(number) {
        return label.clone();
    }
    let now = || Moment::from(std::time::SystemTime::now());
    let time = match found {
        Some(found) => found.modified().map_or_else(|_| now(), Moment::from),
        None if name == "-" => now(),
        None => Moment { seconds: 0, nanoseconds: 0 },
    };
    format!("{name}\t{}", time.format("%Y-%m-%d %H:%M:%S.%N %z"))
}
