//! `sort -c` and `sort -C`: whether a file is sorted. Those of uutils start a thread, which WASI has not.
//!
//! What is sorted already stays what it is when it is sorted. The first line in disorder is the last one of the
//! shortest beginning of the file that does not.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::time::{SystemTime, UNIX_EPOCH};

use uucore::error::strip_errno;

use crate::adapt::Failure;

/// The options of `sort` that take a value, in the same word or the next.
const WITH_VALUE: &str = "koStT";
const LONG_WITH_VALUE: [&str; 10] = [
    "--batch-size",
    "--buffer-size",
    "--compress-program",
    "--field-separator",
    "--files0-from",
    "--key",
    "--output",
    "--parallel",
    "--random-source",
    "--temporary-directory",
];

/// A command line that asks for a check.
#[derive(Debug, Default)]
struct Command {
    /// The options without those that ask for it.
    options: Vec<OsString>,
    files: Vec<OsString>,
    /// With the line in disorder; without it the status alone tells.
    loud: bool,
    silent: bool,
    zero: bool,
}

/// Checks whether a file is sorted, if the words of `sort` ask for it. The exit status.
///
/// # Errors
/// What cannot be read, or is too much.
pub(crate) fn check(words: &[OsString]) -> Option<Result<i32, Failure>> {
    let command = Command::read(words);
    (command.loud || command.silent).then(|| command.run())
}

impl Command {
    fn read(words: &[OsString]) -> Self {
        let mut command = Self::default();
        let mut words = words.iter().skip(1);
        while let Some(word) = words.next() {
            let text = word.to_string_lossy();
            match text.strip_prefix('-') {
                Some("-") => command.files.extend(words.by_ref().cloned()),
                Some(long) if long.starts_with('-') => {
                    match text.as_ref() {
                        "--check" | "--check=diagnose-first" => command.loud = true,
                        "--check=quiet" | "--check=silent" => command.silent = true,
                        _ => command.options.push(word.clone()),
                    }
                    command.zero |= text == "--zero-terminated";
                    if LONG_WITH_VALUE.contains(&text.as_ref()) {
                        command.options.extend(words.next().cloned());
                    }
                }
                Some(letters) if !letters.is_empty() => {
                    let value = letters.find(|letter| WITH_VALUE.contains(letter));
                    let (flags, value) = letters.split_at(value.unwrap_or(letters.len()));
                    command.loud |= flags.contains('c');
                    command.silent |= flags.contains('C');
                    command.zero |= flags.contains('z');
                    let kept = format!("-{}{value}", flags.replace(['c', 'C'], ""));
                    command.options.extend((kept.len() > 1).then(|| OsString::from(kept)));
                    if value.len() == 1 {
                        command.options.extend(words.next().cloned());
                    }
                }
                _ => command.files.push(word.clone()),
            }
        }
        command
    }

    fn run(&self) -> Result<i32, Failure> {
        if self.loud && self.silent {
            return Err(("options '-cC' are incompatible".to_owned(), 2));
        }
        let name = match self.files.as_slice() {
            [] => "-".to_owned(),
            [one] => one.to_string_lossy().into_owned(),
            [_, other, ..] => {
                let option = if self.loud { 'c' } else { 'C' };
                return Err((format!("extra operand '{}' not allowed with -{option}", other.display()), 2));
            }
        };
        let mut bytes = Vec::new();
        let read = if name == "-" {
            io::stdin().read_to_end(&mut bytes).map(|_| ())
        } else {
            fs::read(&name).map(|read| bytes = read)
        };
        read.map_err(|error| (format!("open failed: {name}: {}", strip_errno(&error)), 2))?;
        let end = if self.zero { 0 } else { b'\n' };
        if bytes.last().is_some_and(|last| *last != end) {
            bytes.push(end);
        }
        let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == end).collect();
        if self.is_sorted(&lines)? {
            return Ok(0);
        }
        // So many lines are sorted, and so many are not.
        let (mut sorted, mut unsorted) = (1, lines.len());
        while unsorted - sorted > 1 {
            let middle = usize::midpoint(sorted, unsorted);
            if self.is_sorted(lines.get(..middle).unwrap_or_default())? {
                sorted = middle;
            } else {
                unsorted = middle;
            }
        }
        if self.loud {
            let line = lines.get(unsorted - 1).copied().unwrap_or_default();
            let line = String::from_utf8_lossy(line.strip_suffix(&[end]).unwrap_or(line));
            eprintln!("sort: {name}:{unsorted}: disorder: {line}");
        }
        Ok(1)
    }

    /// Whether lines stay as they are when they are sorted.
    fn is_sorted(&self, lines: &[&[u8]]) -> Result<bool, Failure> {
        let text = lines.concat();
        // Processes have no number that a program could ask for.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        let files = ["in", "out"].map(|which| format!("/tmp/.sort-{now}-{which}"));
        let [input, output] = &files;
        let failed = |error: io::Error| (format!("cannot check: {input}: {}", strip_errno(&error)), 2);
        fs::write(input, &text).map_err(failed)?;
        let mut words = vec![OsString::from("sort")];
        words.extend(self.options.iter().cloned());
        words.extend(["-o", output.as_str(), "--", input.as_str()].map(OsString::from));
        let status = uu_sort::uumain(words.into_iter());
        let sorted = fs::read(output);
        // They are of no use to anybody, and their folder goes with the session.
        files.iter().for_each(|file| drop(fs::remove_file(file)));
        if status != 0 {
            return Err((String::new(), 2));
        }
        Ok(sorted.map_err(failed)? == text)
    }
}
