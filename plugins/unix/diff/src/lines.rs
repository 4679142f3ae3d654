//! The lines of two files, and which of them are the same.

use std::collections::HashMap;

use crate::settings::Settings;

/// The lines of a file, without their ends.
pub(crate) struct Lines<'t> {
    pub(crate) lines: Vec<&'t [u8]>,
    /// Whether the last line has its newline.
    pub(crate) ended: bool,
}

impl<'t> Lines<'t> {
    pub(crate) fn new(text: &'t [u8]) -> Self {
        let ended = text.is_empty() || text.ends_with(b"\n");
        let body = text.strip_suffix(b"\n").unwrap_or(text);
        let lines = if text.is_empty() { Vec::new() } else { body.split(|byte| *byte == b'\n').collect() };
        Self { lines, ended }
    }

    /// A line with its end. One without a newline says so in the next line.
    pub(crate) fn with_end(&self, number: usize) -> Vec<u8> {
        let mut line = self.lines.get(number).map_or_else(Vec::new, |line| line.to_vec());
        line.push(b'\n');
        if !self.ended && number + 1 == self.lines.len() {
            line.extend_from_slice(b"\\ No newline at end of file\n");
        }
        line
    }
}

/// Numbers for the lines of both files: lines that count as the same have the same number.
pub(crate) fn numbered(settings: &Settings, files: [&Lines<'_>; 2]) -> [Vec<u32>; 2] {
    let mut known: HashMap<Vec<u8>, u32> = HashMap::new();
    files.map(|file| {
        let last = file.lines.len();
        let numbers = file.lines.iter().enumerate().map(|(number, line)| {
            let mut key = normal(settings, line);
            // A last line without newline differs from one with it, unless white space does not count.
            let spaces = settings.ignore_space || settings.ignore_change || settings.ignore_trailing;
            if !file.ended && number + 1 == last && !spaces {
                key.push(b'\n');
            }
            let next = u32::try_from(known.len()).unwrap_or(u32::MAX);
            *known.entry(key).or_insert(next)
        });
        numbers.collect()
    })
}

/// A line as it is compared.
fn normal(settings: &Settings, line: &[u8]) -> Vec<u8> {
    let line = if settings.strip_cr { line.strip_suffix(b"\r").unwrap_or(line) } else { line };
    let mut out = Vec::with_capacity(line.len());
    let blank = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0xb;
    let end = settings.ignore_trailing || settings.ignore_change;
    let line = if end { &line[..line.iter().rposition(|byte| !blank(byte)).map_or(0, |at| at + 1)] } else { line };
    let mut in_blanks = false;
    for byte in line {
        let is_blank = blank(byte);
        match (is_blank, settings.ignore_space, settings.ignore_change) {
            (true, true, _) => {}
            (true, false, true) => {
                if !in_blanks {
                    out.push(b' ');
                }
            }
            _ => out.push(if settings.ignore_case { byte.to_ascii_lowercase() } else { *byte }),
        }
        in_blanks = is_blank;
    }
    out
}
