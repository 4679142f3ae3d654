//! `file`: what a file is, by its first bytes. It knows the kinds that are usual in a home, not the thousands of
//! libmagic.

use std::fs;
use std::io::{Read, stdin};

use options::{Syntax, Take};

use super::command::parse;
use crate::utility::Arguments;

/// How many bytes are looked at.
const HEAD: u64 = 64 << 10;

/// First bytes, what they mean, and the media type.
const MAGIC: &[(&[u8], &str, &str)] = &[
    (b"\x89PNG\r\n\x1a\n", "PNG image data", "image/png"),
    (b"\xff\xd8\xff", "JPEG image data", "image/jpeg"),
    (b"GIF87a", "GIF image data, version 87a", "image/gif"),
    (b"GIF89a", "GIF image data, version 89a", "image/gif"),
    (b"%PDF-", "PDF document", "application/pdf"),
    (b"PK\x03\x04", "Zip archive data", "application/zip"),
    (b"\x1f\x8b", "gzip compressed data", "application/gzip"),
    (b"BZh", "bzip2 compressed data", "application/x-bzip2"),
    (b"\xfd7zXZ\0", "XZ compressed data", "application/x-xz"),
    (b"\x28\xb5\x2f\xfd", "Zstandard compressed data", "application/zstd"),
    (b"\x7fELF", "ELF", "application/x-executable"),
    (b"\0asm\x01\0\0\0", "WebAssembly (wasm) binary module version 0x1 (MVP)", "application/wasm"),
    (b"\0asm", "WebAssembly component", "application/wasm"),
    (b"SQLite format 3\0", "SQLite 3.x database", "application/vnd.sqlite3"),
    (b"<?xml", "XML document text", "text/xml"),
];

pub(super) fn file(arguments: Arguments) -> i32 {
    const SYNTAX: Syntax = Syntax {
        name: "file",
        usage: "file [OPTION...] [FILE...]",
        status: 1,
        options: &[
            ('b', "brief", Take::Nothing),
            ('i', "mime", Take::Nothing),
            ('\u{391}', "mime-type", Take::Nothing),
            ('L', "dereference", Take::Nothing),
        ],
        stops: false,
    };
    let given = match parse(&SYNTAX, arguments) {
        Ok(given) => given,
        Err(status) => return status,
    };
    if given.operands.is_empty() {
        eprintln!("Usage: {}", SYNTAX.usage);
        return 1;
    }
    let media = given.has('i') || given.has('\u{391}');
    let widest = given.operands.iter().map(|file| file.chars().count()).max().unwrap_or(0);
    for file in &given.operands {
        let (text, media_type) = kind(file, given.has('L'));
        let said = if media { media_type } else { text };
        if given.has('b') {
            println!("{said}");
        } else {
            let shown = if file == "-" { "/dev/stdin" } else { file };
            println!("{:<width$} {said}", format!("{shown}:"), width = widest + 1);
        }
    }
    0
}

/// What a file is, and its media type.
fn kind(file: &str, follows: bool) -> (String, String) {
    let both = |text: &str, media: &str| (text.to_owned(), media.to_owned());
    let mut head = Vec::new();
    let read = if file == "-" {
        stdin().take(HEAD).read_to_end(&mut head)
    } else {
        let metadata = if follows { fs::metadata(file) } else { fs::symlink_metadata(file) };
        match metadata {
            Err(error) => {
                let reason = uucore::error::strip_errno(&error);
                let text = format!("cannot open `{file}' ({reason})");
                return (text.clone(), text);
            }
            Ok(metadata) if metadata.is_symlink() => {
                let target = fs::read_link(file).unwrap_or_default();
                let broken = if fs::metadata(file).is_err() { "broken " } else { "" };
                return (format!("{broken}symbolic link to {}", target.display()), "inode/symlink".to_owned());
            }
            Ok(metadata) if metadata.is_dir() => return both("directory", "inode/directory"),
            Ok(metadata) if !metadata.is_file() => return both("character special", "inode/chardevice"),
            Ok(_) => fs::File::open(file).and_then(|file| file.take(HEAD).read_to_end(&mut head)),
        }
    };
    if let Err(error) = read {
        let text = format!("cannot read `{file}' ({})", uucore::error::strip_errno(&error));
        return (text.clone(), text);
    }
    if head.is_empty() {
        return both("empty", "inode/x-empty");
    }
    if let Some((_, text, media)) = MAGIC.iter().find(|(magic, _, _)| head.starts_with(magic)) {
        return both(text, media);
    }
    if head.get(257..262) == Some(b"ustar") {
        return both("POSIX tar archive", "application/x-tar");
    }
    text_kind(&head)
}

fn text_kind(head: &[u8]) -> (String, String) {
    let is_control = |byte: &u8| *byte < 32 && !b"\n\r\t\x0c\x08\x1b\x07\x0b".contains(byte) || *byte == 127;
    // A character may be cut off at the end of what was read.
    let is_utf8 = match std::str::from_utf8(head) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none() && head.len() as u64 == HEAD,
    };
    if head.iter().any(is_control) || (!is_utf8 && head.contains(&0)) {
        return ("data".to_owned(), "application/octet-stream".to_owned());
    }
    let encoding = match (head.is_ascii(), is_utf8) {
        (true, _) => "ASCII text",
        (false, true) => "Unicode text, UTF-8 text",
        (false, false) => "ISO-8859 text",
    };
    let lines = head.split(|byte| *byte == b'\n');
    let long = if lines.clone().any(|line| line.len() > 300) { ", with very long lines" } else { "" };
    let ends = if head.windows(2).any(|pair| pair == b"\r\n") {
        ", with CRLF line terminators"
    } else if head.contains(&b'\n') {
        ""
    } else {
        ", with no line terminators"
    };
    let first = lines.into_iter().next().unwrap_or_default();
    let (script, media) = match first.strip_prefix(b"#!") {
        Some(program) => (interpreter(&String::from_utf8_lossy(program)), "text/x-script"),
        None => (String::new(), "text/plain"),
    };
    (format!("{script}{encoding}{}{long}{ends}", if script.is_empty() { "" } else { " executable" }), media.to_owned())
}

/// What the first line of a script names.
fn interpreter(line: &str) -> String {
    let mut words = line.split_whitespace();
    let program = words.next().unwrap_or_default();
    let name = match program.rsplit('/').next().unwrap_or_default() {
        "env" => words.next().unwrap_or_default(),
        name => name,
    };
    match name {
        "sh" | "dash" => "POSIX shell script, ".to_owned(),
        "bash" => "Bourne-Again shell script, ".to_owned(),
        _ if name.starts_with("python") => "Python script, ".to_owned(),
        "node" => "Node.js script, ".to_owned(),
        _ => format!("a {program} script, "),
    }
}
