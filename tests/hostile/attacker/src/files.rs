//! W28: exhausts the tenant's directory in every way; and the reading and writing that its tests need.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};

use crate::after::{After, number};

/// The size of one write, in bytes.
const PIECE: usize = 64 << 10;

/// The result of an operation as one word.
fn word(result: &io::Result<()>) -> String {
    match result {
        Ok(()) => "ok".to_owned(),
        Err(error) => format!("{:?}", error.kind()),
    }
}

pub(crate) fn behave(shape: &[&str]) -> After {
    After::Report(match shape {
        ["write", name, ..] => write(name, number(shape, 2)),
        ["read", name] => match fs::read_to_string(name) {
            Ok(text) => format!("read {text}\n"),
            Err(error) => format!("read {:?}\n", error.kind()),
        },
        ["say", name, text] => format!("say {}\n", word(&fs::write(name, text))),
        ["remove", name] => format!("remove {}\n", word(&fs::remove_file(name))),
        ["list"] => {
            let mut names: Vec<String> = fs::read_dir("/")
                .map(|entries| {
                    entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
                })
                .unwrap_or_default();
            names.sort();
            format!("list {}\n", names.join(","))
        }
        ["inodes", ..] => inodes(number(shape, 1)),
        ["sparse", name] => sparse(name),
        ["handles", ..] => handles(number(shape, 1)),
        _ => panic!("no such shape: {shape:?}"),
    })
}

/// Writes this many bytes, or as many as the host accepts.
fn write(name: &str, bytes: u64) -> String {
    let mut written = 0;
    let result = File::create(name).and_then(|mut file| {
        let block = vec![b'q'; PIECE];
        while written < bytes {
            let piece = usize::try_from(bytes - written).map_or(PIECE, |left| left.min(PIECE));
            // Not `write_all`: what was written before an error counts too.
            written += file.write(&block[..piece])? as u64;
        }
        Ok(())
    });
    format!("wrote {written} {}\n", word(&result))
}

/// Creates this many empty files, or as many as the host accepts.
fn inodes(count: u64) -> String {
    let mut made = 0;
    let mut result = Ok(());
    while made < count && result.is_ok() {
        result = File::create(format!("inode-{made}")).map(drop);
        made += u64::from(result.is_ok());
    }
    format!("made {made} {}\n", word(&result))
}

/// Makes files long without writing them: by setting their length, and by writing far behind their end.
fn sparse(name: &str) -> String {
    const TIB: u64 = 1 << 40;
    let mut text = String::new();
    let long = File::create(name).and_then(|file| file.set_len(TIB));
    let far = OpenOptions::new().write(true).create(true).truncate(false).open(name).and_then(|mut file| {
        io::Seek::seek(&mut file, io::SeekFrom::Start(TIB))?;
        file.write_all(b"far")
    });
    let length = fs::metadata(name).map_or(0, |facts| facts.len());
    // Writing to a string cannot fail.
    let _ = writeln!(text, "long {} far {} length {length}", word(&long), word(&far));
    text
}

/// Opens one file again and again and closes none.
fn handles(count: u64) -> String {
    let mut open = Vec::new();
    let mut result = fs::write("handle", b"h");
    while (open.len() as u64) < count && result.is_ok() {
        result = File::open("handle").map(|file| open.push(file));
    }
    let readable = open.first_mut().is_some_and(|file| {
        let mut text = String::new();
        file.read_to_string(&mut text).is_ok() && text == "h"
    });
    format!("opened {} readable {readable} {}\n", open.len(), word(&result))
}
