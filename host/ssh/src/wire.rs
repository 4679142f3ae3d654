//! RFC 4251 §5: the encoding of the protocol's data types.
//!
//! A [`Reader`] walks over bytes from the peer; every count is compared with the bytes that are left before it is used.
//! A type that implements [`Wire`] can read and write itself. This module knows no messages.

use std::fmt;

/// Why bytes could not be decoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Malformed {
    /// The bytes end before the value does.
    Truncated,
    /// Bytes are left after the last field.
    Trailing,
    /// A message number or a kind that is not allowed here.
    Unknown,
    /// A string that is not UTF-8 or ASCII text where the RFC requires it.
    Text,
    /// Encoded terminal modes that are truncated or too many (RFC 4254 §8).
    Modes,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Malformed::Truncated => "a field reaches past the end of the message",
            Malformed::Trailing => "bytes are left after the last field",
            Malformed::Unknown => "the message is not known at this place",
            Malformed::Text => "a text field is not text",
            Malformed::Modes => "the terminal modes are not well formed",
        })
    }
}

impl std::error::Error for Malformed {}

/// Walks over the bytes of one message.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    /// What was not read yet.
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the front of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes }
    }

    /// The next `count` bytes.
    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    /// The next `N` bytes as an array.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// `uint32`, RFC 4251 §5.
    pub fn uint32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    /// `string`, RFC 4251 §5: a length and that many bytes.
    pub fn string(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.uint32()?;
        self.bytes(usize::try_from(length).map_err(|_| Malformed::Truncated)?)
    }

    /// Whatever is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Ends the reading. Bytes that are left are an error: two implementations that disagree about them disagree about
    /// the message.
    pub fn finish(self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(Malformed::Trailing) }
    }
}

/// A value that can be part of a message.
pub trait Wire<'a>: Sized {
    /// Takes the value from the front of `from`.
    fn read(from: &mut Reader<'a>) -> Result<Self, Malformed>;
    /// Appends the value to `to`.
    fn write(&self, to: &mut Vec<u8>);
}

impl<'a> Wire<'a> for u8 {
    fn read(from: &mut Reader<'a>) -> Result<Self, Malformed> {
        from.array::<1>().map(|[byte]| byte)
    }
    fn write(&self, to: &mut Vec<u8>) {
        to.push(*self);
    }
}

/// `boolean`, RFC 4251 §5: any value except zero is true.
impl<'a> Wire<'a> for bool {
    fn read(from: &mut Reader<'a>) -> Result<Self, Malformed> {
        u8::read(from).map(|byte| byte != 0)
    }
    fn write(&self, to: &mut Vec<u8>) {
        to.push(u8::from(*self));
    }
}

impl<'a> Wire<'a> for u32 {
    fn read(from: &mut Reader<'a>) -> Result<Self, Malformed> {
        from.uint32()
    }
    fn write(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.to_be_bytes());
    }
}

impl<'a> Wire<'a> for [u8; 16] {
    fn read(from: &mut Reader<'a>) -> Result<Self, Malformed> {
        from.array()
    }
    fn write(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(self);
    }
}

/// `string`, RFC 4251 §5.
impl<'a> Wire<'a> for &'a [u8] {
    fn read(from: &mut Reader<'a>) -> Result<Self, Malformed> {
        from.string()
    }
    fn write(&self, to: &mut Vec<u8>) {
        let length = u32::try_from(self.len()).expect("no message of ours comes near 4 GiB");
        length.write(to);
        to.extend_from_slice(self);
    }
}

/// The rest of a message whose layout depends on an earlier field; it has no length of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rest<'a>(pub &'a [u8]);

impl<'a> Wire<'a> for Rest<'a> {
    fn read(from: &mut Reader<'a>) -> Result<Self, Malformed> {
        Ok(Rest(from.rest()))
    }
    fn write(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(self.0);
    }
}

/// `name-list`, RFC 4251 §5: names with commas between them.
///
/// A list that was read may hold any bytes. RFC 4251 §6 requires names of 1 to 64 printable ASCII characters, but an
/// invalid name cannot be one of ours: it is skipped like any unknown name, and the names beside it count. The packet
/// bounds the list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NameList<'a>(&'a [u8]);

impl<'a> NameList<'a> {
    /// The most bytes of a list that an error quotes.
    const QUOTED: usize = 512;

    /// A list that we joined with commas ourselves.
    pub fn new(joined: &'a str) -> NameList<'a> {
        NameList(joined.as_bytes())
    }

    /// The names in order, without empty ones.
    pub fn iter(self) -> impl Iterator<Item = &'a [u8]> {
        self.0.split(|byte| *byte == b',').filter(|name| !name.is_empty())
    }

    /// The first name, which the sender prefers.
    pub fn first(self) -> Option<&'a [u8]> {
        self.iter().next()
    }

    /// Whether `name` is in the list.
    pub fn contains(self, name: &str) -> bool {
        self.iter().any(|other| other == name.as_bytes())
    }

    /// The beginning of the list, escaped, for an error message.
    pub fn quote(self) -> String {
        let quoted = self.0.get(..Self::QUOTED).unwrap_or(self.0);
        let left_out = self.0.len() - quoted.len();
        let more = if left_out > 0 { format!(" and {left_out} bytes more") } else { String::new() };
        format!("{}{more}", quoted.escape_ascii())
    }
}

impl<'a> Wire<'a> for NameList<'a> {
    fn read(from: &mut Reader<'a>) -> Result<Self, Malformed> {
        from.string().map(NameList)
    }
    fn write(&self, to: &mut Vec<u8>) {
        self.0.write(to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(bytes: &[u8]) -> Result<Vec<String>, Malformed> {
        let mut wire = Vec::new();
        bytes.write(&mut wire);
        NameList::read(&mut Reader::new(&wire))
            .map(|list| list.iter().map(|name| name.escape_ascii().to_string()).collect())
    }

    #[test]
    fn a_length_past_the_end_is_refused_before_anything_is_allocated() {
        for length in [1u32, 5, 0x1000_0000, u32::MAX] {
            let mut bytes = length.to_be_bytes().to_vec();
            bytes.truncate(4);
            assert_eq!(Reader::new(&bytes).string(), Err(Malformed::Truncated));
        }
    }

    #[test]
    fn name_lists_follow_the_rfc() {
        assert_eq!(list(b""), Ok(vec![]));
        assert_eq!(list(b"none"), Ok(vec!["none".into()]));
        assert_eq!(list(b"zlib,none"), Ok(vec!["zlib".into(), "none".into()]));
        for empty in [&b","[..], &[b','; 30_000]] {
            assert_eq!(list(empty), Ok(vec![]));
        }
    }

    /// K18, K19.
    #[test]
    fn names_that_cannot_be_ours_hide_no_name_beside_them() {
        for odd in [&b",a"[..], b"a,", b"a,,b", b"a b,a", b"\xff,a", b"x\0,a", &[&[b'x'; 30_000][..], b",a"].concat()] {
            let mut wire = Vec::new();
            odd.write(&mut wire);
            let list = NameList::read(&mut Reader::new(&wire)).unwrap();
            assert!(list.contains("a") && !list.contains("") && !list.contains("x"), "{}", odd.escape_ascii());
        }
    }

    #[test]
    fn a_quoted_list_is_short_and_printable() {
        assert_eq!(NameList(b"a,\xff\x1b[2J").quote(), "a,\\xff\\x1b[2J");
        let long = NameList(&[b'\n'; 35_000]).quote();
        assert!(long.len() < 1200 && long.ends_with(" and 34488 bytes more"), "{long}");
    }

    #[test]
    fn leftover_bytes_are_an_error() {
        let mut reader = Reader::new(b"\x00\x00\x00\x01ab");
        assert_eq!(reader.string(), Ok(&b"a"[..]));
        assert_eq!(reader.finish(), Err(Malformed::Trailing));
    }
}
