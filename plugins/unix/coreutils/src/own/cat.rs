//! `cat` of a pipe or a device that has a path, as in `cat <(ls)`. Under WASI, that of uutils knows files only.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Write, stdin, stdout};

use super::command::failed;

/// Bytes that are read at once.
const PIECE: usize = 64 * 1024;

/// How lines are shown.
#[derive(Default)]
struct Shown {
    /// `-n`; with `nonblank` only lines that are not empty (`-b`).
    numbered: bool,
    nonblank: bool,
    /// `-E`
    ends: bool,
    /// `-T`
    tabs: bool,
    /// `-v`
    nonprinting: bool,
    /// `-s`
    squeezed: bool,
}

/// Where the output is, over all files.
struct Place {
    number: u64,
    at_start: bool,
    /// The line before was empty.
    after_blank: bool,
    /// A `\r` that is shown as `^M` if the line ends here.
    carriage: bool,
}

/// Writes the files if one of them is no file. The exit status.
pub(crate) fn of_pipes(words: &[OsString]) -> Option<i32> {
    let is_pipe = |path: &OsString| fs::metadata(path).is_ok_and(|facts| !facts.is_dir() && !facts.is_file());
    if !words.iter().skip(1).any(is_pipe) {
        return None;
    }
    let matches = uu_cat::uu_app().try_get_matches_from(words).ok()?;
    let files: Vec<&OsString> = matches.get_many("file")?.collect();
    let has = |names: &[&str]| names.iter().any(|name| matches.get_flag(name));
    let shown = Shown {
        numbered: has(&["number", "number-nonblank"]),
        nonblank: has(&["number-nonblank"]),
        ends: has(&["show-ends", "show-all", "e"]),
        tabs: has(&["show-tabs", "show-all", "t"]),
        nonprinting: has(&["show-nonprinting", "show-all", "e", "t"]),
        squeezed: has(&["squeeze-blank"]),
    };
    if !files.iter().any(|file| is_pipe(file)) {
        return None;
    }
    let mut place = Place { number: 0, at_start: true, after_blank: false, carriage: false };
    let mut status = 0;
    for file in files {
        let written = match file.to_str() {
            Some("-") => shown.write(&mut stdin(), &mut place),
            _ => File::open(file).and_then(|mut file| shown.write(&mut file, &mut place)),
        };
        if let Err(error) = written {
            status = failed("cat", &file.to_string_lossy(), &error);
        }
    }
    if place.carriage && stdout().write_all(b"\r").is_err() {
        status = 1;
    }
    Some(status)
}

impl Shown {
    fn is_plain(&self) -> bool {
        !(self.numbered || self.ends || self.tabs || self.nonprinting || self.squeezed)
    }

    fn write(&self, from: &mut dyn Read, place: &mut Place) -> io::Result<()> {
        let (mut bytes, mut text) = (vec![0; PIECE], Vec::new());
        loop {
            let read = match from.read(&mut bytes) {
                Ok(0) => return Ok(()),
                Ok(read) => &bytes[..read],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let mut out = stdout().lock();
            if self.is_plain() {
                out.write_all(read)?;
            } else {
                text.clear();
                self.show(read, place, &mut text);
                out.write_all(&text)?;
            }
            out.flush()?;
        }
    }

    fn show(&self, bytes: &[u8], place: &mut Place, to: &mut Vec<u8>) {
        for &byte in bytes {
            if std::mem::take(&mut place.carriage) {
                to.extend_from_slice(if byte == b'\n' { b"^M" } else { b"\r" });
            }
            if byte == b'\n' {
                self.end_line(place, to);
                continue;
            }
            place.after_blank = false;
            if std::mem::take(&mut place.at_start) && self.numbered {
                number(place, to);
            }
            match byte {
                b'\t' if self.tabs => to.extend_from_slice(b"^I"),
                b'\r' if self.ends && !self.nonprinting => place.carriage = true,
                _ if self.nonprinting && byte != b'\t' => notation(byte, to),
                _ => to.push(byte),
            }
        }
    }

    fn end_line(&self, place: &mut Place, to: &mut Vec<u8>) {
        if place.at_start {
            if std::mem::replace(&mut place.after_blank, true) && self.squeezed {
                return;
            }
            if self.numbered && !self.nonblank {
                number(place, to);
            }
        }
        if self.ends {
            to.push(b'$');
        }
        to.push(b'\n');
        place.at_start = true;
    }
}

fn number(place: &mut Place, to: &mut Vec<u8>) {
    place.number += 1;
    to.extend_from_slice(format!("{:6}\t", place.number).as_bytes());
}

/// A byte as `-v` shows it.
fn notation(byte: u8, to: &mut Vec<u8>) {
    if byte >= 0x80 {
        to.extend_from_slice(b"M-");
    }
    match byte & 0x7f {
        0x7f => to.extend_from_slice(b"^?"),
        control @ ..0x20 => to.extend_from_slice(&[b'^', control + 0x40]),
        printable => to.push(printable),
    }
}
