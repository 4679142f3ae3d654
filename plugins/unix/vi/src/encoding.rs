//! Files as lines, and back without loss.
//!
//! Bytes that are not UTF-8 become characters at the end of the private planes. Where a file has these characters
//! itself, their bytes count as such bytes too, so that decoding and encoding round-trip.

/// The characters that stand for the bytes of a file that are no UTF-8: this and the byte.
const BYTES: u32 = 0x10_ff00;

/// How the lines of a file end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ends {
    /// All lines end in CR and LF.
    pub(crate) dos: bool,
    /// The last line ends, too.
    pub(crate) last: bool,
}

/// Splits a file into lines.
pub(crate) fn decode(bytes: &[u8]) -> (Vec<String>, Ends) {
    let last = bytes.is_empty() || bytes.ends_with(b"\n");
    let text = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let mut lines: Vec<String> =
        if bytes.is_empty() { Vec::new() } else { text.split(|byte| *byte == b'\n').map(decode_line).collect() };
    let dos = last && !lines.is_empty() && lines.iter().all(|line| line.ends_with('\r'));
    if dos {
        lines.iter_mut().for_each(|line| line.truncate(line.len() - 1));
    }
    (lines, Ends { dos, last })
}

fn decode_line(bytes: &[u8]) -> String {
    if let Ok(text) = std::str::from_utf8(bytes)
        && !text.chars().any(is_byte)
    {
        return text.to_owned();
    }
    let mut line = String::new();
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if is_byte(character) {
                let mut encoded = [0; 4];
                line.extend(character.encode_utf8(&mut encoded).bytes().filter_map(of_byte));
            } else {
                line.push(character);
            }
        }
        line.extend(chunk.invalid().iter().copied().filter_map(of_byte));
    }
    line
}

fn of_byte(byte: u8) -> Option<char> {
    char::from_u32(BYTES + u32::from(byte))
}

fn is_byte(character: char) -> bool {
    byte_of(character).is_some()
}

/// The byte that a character stands for.
pub(crate) fn byte_of(character: char) -> Option<u8> {
    u8::try_from(u32::from(character).checked_sub(BYTES)?).ok().filter(|byte| *byte >= 0x80)
}

/// The file of some lines.
pub(crate) fn encode<'a>(lines: impl Iterator<Item = &'a str> + Clone, ends: Ends) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(lines.clone().map(|line| line.len() + 2).sum());
    let mut lines = lines.peekable();
    while let Some(line) = lines.next() {
        if line.chars().any(is_byte) {
            for character in line.chars() {
                match byte_of(character) {
                    Some(byte) => bytes.push(byte),
                    None => bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
                }
            }
        } else {
            bytes.extend_from_slice(line.as_bytes());
        }
        if ends.last || lines.peek().is_some() {
            bytes.extend_from_slice(if ends.dos { b"\r\n" } else { b"\n" });
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_comes_back_as_it_was() {
        let own = "\u{10ffe9}\u{10ff7f}x".as_bytes();
        for file in [
            b"".as_slice(),
            b"\n",
            b"a",
            b"a\n",
            b"a\r\nb\r\n",
            b"a\r\nb\n",
            b"a\r\nb",
            b"\r\n",
            b"caf\xe9\n\xff\xfe\x00z",
            b"\xf4\x8f\xbf",
            own,
        ] {
            let (lines, ends) = decode(file);
            assert_eq!(encode(lines.iter().map(String::as_str), ends), file, "{lines:?}");
        }
        assert_eq!(decode(b"a\r\nb\r\n").0, ["a", "b"]);
        assert_eq!(decode(b"a\r\nb\n").0, ["a\r", "b"]);
        assert_eq!(decode(b"\xe9").0, ["\u{10ffe9}"]);
    }
}
