//! The text of output that comes in pieces.

use std::borrow::Cow;

/// Makes text of bytes: a character may be split between pieces; bytes that are not UTF-8 become U+FFFD.
#[derive(Default)]
pub(super) struct TextDecoder {
    /// The beginning of a character, whose other bytes are still to come: at most three bytes.
    begun: Vec<u8>,
}

impl TextDecoder {
    /// The text of the next piece, without a character that is not complete yet.
    pub(super) fn decode<'a>(&mut self, bytes: &'a [u8]) -> Cow<'a, str> {
        if let (true, Ok(text)) = (self.begun.is_empty(), str::from_utf8(bytes)) {
            return Cow::Borrowed(text);
        }
        let mut text = String::with_capacity(bytes.len() + 4);
        let rest = self.complete(bytes, &mut text);
        let mut left = rest.len();
        for chunk in rest.utf8_chunks() {
            text.push_str(chunk.valid());
            let invalid = chunk.invalid();
            left -= chunk.valid().len() + invalid.len();
            match str::from_utf8(invalid) {
                // Only the end of the piece can be the beginning of a character.
                Err(error) if error.error_len().is_none() && left == 0 => self.begun = invalid.to_vec(),
                Err(_) => text.push(char::REPLACEMENT_CHARACTER),
                Ok(_) => {}
            }
        }
        Cow::Owned(text)
    }

    /// Adds to the character that has begun. Returns the bytes that follow it.
    fn complete<'a>(&mut self, mut bytes: &'a [u8], text: &mut String) -> &'a [u8] {
        while let (false, Some((next, rest))) = (self.begun.is_empty(), bytes.split_first()) {
            self.begun.push(*next);
            match str::from_utf8(&self.begun) {
                Ok(character) => {
                    text.push_str(character);
                    self.begun.clear();
                }
                Err(error) if error.error_len().is_none() => {}
                Err(_) => {
                    // The byte belongs to what follows.
                    text.push(char::REPLACEMENT_CHARACTER);
                    self.begun.clear();
                    return bytes;
                }
            }
            bytes = rest;
        }
        bytes
    }

    /// Nothing more comes, or output is missing here: whether a character was not completed.
    pub(super) fn end(&mut self) -> bool {
        !std::mem::take(&mut self.begun).is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text of pieces, and whether a character is left incomplete.
    fn decoded(pieces: &[&[u8]]) -> (String, bool) {
        let mut decoder = TextDecoder::default();
        let text = pieces.iter().map(|piece| decoder.decode(piece).into_owned()).collect();
        (text, decoder.end())
    }

    #[test]
    fn characters_are_whole_however_their_bytes_are_cut() {
        let text = "aé€𝄞z";
        let bytes = text.as_bytes();
        for cut in 0..=bytes.len() {
            for other in cut..=bytes.len() {
                let pieces = [&bytes[..cut], &bytes[cut..other], &bytes[other..]];
                assert_eq!(decoded(&pieces), (text.to_owned(), false), "{cut} {other}");
            }
        }
        let bytes: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(decoded(&bytes), (text.to_owned(), false));
    }

    #[test]
    fn bytes_of_no_character_are_replaced_as_by_the_standard_library() {
        for bytes in [&b"a\xffb"[..], b"\xe2\x82", b"\xe2\x82a", b"\xf0\x9d\x84\xe2\x82\xac", b"\xc0\x80", b"\x80\x80"]
        {
            let whole = String::from_utf8_lossy(bytes);
            let pieces: Vec<&[u8]> = bytes.chunks(1).collect();
            for pieces in [&[bytes][..], &pieces] {
                let (mut text, is_cut) = decoded(pieces);
                text.extend(is_cut.then_some(char::REPLACEMENT_CHARACTER));
                assert_eq!(text, whole, "{bytes:?}");
            }
        }
    }
}
