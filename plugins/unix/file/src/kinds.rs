//! Kinds of files, and how each begins.

/// What a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) text: String,
    pub(crate) mime: &'static str,
    pub(crate) encoding: &'static str,
}

impl Kind {
    pub(crate) fn new(text: &str, mime: &'static str, encoding: &'static str) -> Self {
        Self { text: text.to_owned(), mime, encoding }
    }
}

/// Where bytes are in a file, and the kind that has them there.
const BEGINNINGS: &[(usize, &[u8], &str, &str)] = &[
    (0, b"\x1f\x8b", "gzip compressed data", "application/gzip"),
    (0, b"BZh", "bzip2 compressed data", "application/x-bzip2"),
    (0, b"\xfd7zXZ\0", "XZ compressed data", "application/x-xz"),
    (0, b"\x28\xb5\x2f\xfd", "Zstandard compressed data", "application/zstd"),
    (0, b"PK\x03\x04", "Zip archive data", "application/zip"),
    (257, b"ustar\0", "POSIX tar archive", "application/x-tar"),
    (257, b"ustar  \0", "POSIX tar archive (GNU)", "application/x-tar"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG image data", "image/png"),
    (0, b"\xff\xd8\xff", "JPEG image data", "image/jpeg"),
    (0, b"GIF8", "GIF image data", "image/gif"),
    (0, b"\x7fELF", "ELF", "application/x-executable"),
    (0, b"\0asm\x01\0\0\0", "WebAssembly (wasm) binary module version 0x1 (MVP)", "application/wasm"),
    (0, b"\0asm\x0d\0\x01\0", "WebAssembly component", "application/wasm"),
    (0, b"SQLite format 3\0", "SQLite 3.x database", "application/vnd.sqlite3"),
    (0, b"RIFF", "RIFF (little-endian) data", "application/octet-stream"),
    (0, b"ID3", "Audio file with ID3", "audio/mpeg"),
];

/// Interpreters of scripts.
const SCRIPTS: [(&str, &str, &str); 9] = [
    ("bash", "Bourne-Again shell script", "text/x-shellscript"),
    ("sh", "POSIX shell script", "text/x-shellscript"),
    ("dash", "a dash script", "text/x-shellscript"),
    ("python3", "Python script", "text/x-script.python"),
    ("python", "Python script", "text/x-script.python"),
    ("perl", "Perl script", "text/x-perl"),
    ("awk", "awk script", "text/x-awk"),
    ("node", "Node.js script", "application/javascript"),
    ("ruby", "Ruby script", "text/x-ruby"),
];

/// What a file is that begins so.
pub(crate) fn kind_of(start: &[u8]) -> Kind {
    if start.is_empty() {
        return Kind::new("empty", "inode/x-empty", "binary");
    }
    let begins =
        |(at, bytes, ..): &&(usize, &[u8], &str, &str)| start.get(*at..).is_some_and(|rest| rest.starts_with(bytes));
    if let Some((_, _, text, mime)) = BEGINNINGS.iter().find(begins) {
        return Kind::new(text, mime, "binary");
    }
    if start.starts_with(b"%PDF-") {
        let version = start.get(5..).unwrap_or_default().iter().take_while(|byte| !byte.is_ascii_whitespace());
        let version: String = version.take(8).copied().map(char::from).collect();
        let charset = encoding(start).map_or("binary", |(_, charset)| charset);
        return Kind::new(&format!("PDF document, version {version}"), "application/pdf", charset);
    }
    if let Some(text) = wide(start) {
        return text;
    }
    let Some((encoding, charset)) = encoding(start) else {
        return Kind::new("data", "application/octet-stream", "binary");
    };
    let text = String::from_utf8_lossy(start);
    let ends = line_ends(start);
    if let Some((name, mime)) = script(&text) {
        // Of what has a grammar of its own the encoding is not said.
        let encoding = if name == "Perl script" { String::new() } else { format!(", {encoding}") };
        return Kind::new(&format!("{name}{encoding} text executable{ends}"), mime, charset);
    }
    let trimmed = text.trim_start();
    if trimmed.starts_with('{') && trimmed.trim_end().ends_with('}') && trimmed[1..].trim_start().starts_with('"') {
        return Kind::new("JSON text data", "application/json", charset);
    }
    if let Some(version) = trimmed.strip_prefix("<?xml version=\"").and_then(|rest| rest.split('"').next()) {
        return Kind::new(&format!("XML {version} document, {encoding} text{ends}"), "text/xml", charset);
    }
    let beginning: String = trimmed.chars().take(16).collect::<String>().to_lowercase();
    if ["<!doctype html", "<html", "<head", "<title", "<body"].iter().any(|tag| beginning.starts_with(tag)) {
        return Kind::new(&format!("HTML document, {encoding} text{ends}"), "text/html", charset);
    }
    if is_table(&text) {
        return Kind::new("CSV text", "text/csv", charset);
    }
    Kind::new(&format!("{encoding} text{ends}"), "text/plain", charset)
}

/// A text of two bytes a character, which begins with its mark.
fn wide(start: &[u8]) -> Option<Kind> {
    let (order, charset, read): (_, _, fn([u8; 2]) -> u16) = match start {
        [0xff, 0xfe, ..] => ("little", "utf-16le", u16::from_le_bytes),
        [0xfe, 0xff, ..] => ("big", "utf-16be", u16::from_be_bytes),
        _ => return None,
    };
    let units = start.get(2..)?.chunks_exact(2).filter_map(|pair| pair.try_into().ok().map(read));
    let text = String::from_utf16(&units.collect::<Vec<u16>>()).ok()?;
    let ends = line_ends(text.as_bytes());
    Some(Kind::new(&format!("Unicode text, UTF-16, {order}-endian text{ends}"), "text/plain", charset))
}

/// Whether the first lines have fields that commas separate, and equally many.
fn is_table(text: &str) -> bool {
    /// So many lines are looked at.
    const LINES: usize = 10;
    let mut counts = text.lines().take(LINES).map(|line| {
        let mut quoted = false;
        line.chars()
            .filter(|letter| {
                quoted ^= *letter == '"';
                *letter == ',' && !quoted
            })
            .count()
    });
    let Some(first) = counts.next().filter(|count| *count > 0) else { return false };
    let mut lines = 1;
    counts.all(|count| {
        lines += 1;
        count == first
    }) && lines > 2
}

/// The encoding of a text. None if it is none.
fn encoding(start: &[u8]) -> Option<(&'static str, &'static str)> {
    // Controls that texts do not have.
    let binary = |byte: &u8| matches!(byte, 0..=6 | 14..=26 | 28..=31 | 127);
    if start.iter().any(binary) {
        return None;
    }
    if start.is_ascii() {
        return Some(("ASCII", "us-ascii"));
    }
    let utf8 = match std::str::from_utf8(start) {
        Ok(_) => true,
        // The last character may go on after what was read.
        Err(error) => error.error_len().is_none(),
    };
    if utf8 {
        let marked = start.starts_with(b"\xef\xbb\xbf");
        return Some((if marked { "Unicode text, UTF-8 (with BOM)" } else { "Unicode text, UTF-8" }, "utf-8"));
    }
    let extended = start.iter().any(|byte| (0x80..0xa0).contains(byte));
    Some(if extended { ("Non-ISO extended-ASCII", "unknown-8bit") } else { ("ISO-8859", "iso-8859-1") })
}

/// What is said of long lines and of how lines end.
fn line_ends(start: &[u8]) -> String {
    /// Longer lines are mentioned.
    const LONG: usize = 300;
    let longest = start.split(|byte| *byte == b'\n').map(<[u8]>::len).max().unwrap_or_default();
    let long = if longest > LONG { format!(", with very long lines ({longest})") } else { String::new() };
    let newlines = start.iter().filter(|byte| **byte == b'\n').count();
    let pairs = start.windows(2).filter(|pair| pair == b"\r\n").count();
    let returns = start.iter().filter(|byte| **byte == b'\r').count();
    let ends = match (newlines, pairs, returns) {
        (0, _, 0) => ", with no line terminators",
        (0, _, _) => ", with CR line terminators",
        (_, 0, _) => "",
        (newlines, pairs, _) if newlines == pairs => ", with CRLF line terminators",
        _ => ", with CRLF, LF line terminators",
    };
    let escapes = if start.contains(&27) { ", with escape sequences" } else { "" };
    format!("{long}{ends}{escapes}")
}

/// The kind of script that a first line names.
fn script(text: &str) -> Option<(String, &'static str)> {
    let mut words = text.lines().next()?.strip_prefix("#!")?.split_whitespace();
    let mut path = words.next()?;
    if path.ends_with("/env") {
        path = words.next()?;
    }
    let program = path.rsplit('/').next()?;
    let known = SCRIPTS.iter().find(|(name, ..)| *name == program);
    Some(match known {
        Some((_, text, mime)) => ((*text).to_owned(), mime),
        None => (format!("a {path} script"), "text/plain"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_known_by_their_beginnings() {
        let text = |start: &[u8]| kind_of(start).text;
        assert_eq!(text(b""), "empty");
        assert_eq!(text(b"a\n"), "ASCII text");
        assert_eq!(text("é\n".as_bytes()), "Unicode text, UTF-8 text");
        assert_eq!(text(b"a"), "ASCII text, with no line terminators");
        assert_eq!(text(b"a\r\n"), "ASCII text, with CRLF line terminators");
        assert_eq!(text(b"#!/bin/sh\n"), "POSIX shell script, ASCII text executable");
        assert_eq!(text(b"\0\x01"), "data");
        assert_eq!(text(b"\x1f\x8b\x08"), "gzip compressed data");
        assert_eq!(kind_of(b"{\"a\":1}\n").mime, "application/json");
    }
}
