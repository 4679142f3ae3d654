//! The `string` of RFC 4251 §5 for the few blobs that this folder makes and reads: keys, signatures, shared secrets.
//! Messages have their own reader; this one keeps the folder free of modules above it.

/// The four length bytes that precede `bytes`.
///
/// Whatever is hashed or put in a blob came from a packet or is of fixed size, so the length fits. If it ever did not,
/// the saturated value could not be mistaken for another string of the same hash.
pub(super) fn length(bytes: &[u8]) -> [u8; 4] {
    length_of(bytes.len())
}

/// The same for this length.
pub(super) fn length_of(bytes: usize) -> [u8; 4] {
    u32::try_from(bytes).unwrap_or(u32::MAX).to_be_bytes()
}

/// Appends `bytes` as a `string`.
pub(super) fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&length(bytes));
    out.extend_from_slice(bytes);
}

/// Takes a `string` from the front of `input`. `None` if it has fewer bytes than its length says.
pub(super) fn take<'a>(input: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = input.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (bytes, rest) = rest.split_at_checked(length)?;
    *input = rest;
    Some(bytes)
}

/// The two parts of the body of an `mpint`, of a number in big-endian digits: a zero where the first bit would be read
/// as a sign, and the digits without unnecessary zeros. RFC 4251 §5.
pub(super) fn mpint(number: &[u8]) -> (&'static [u8], &[u8]) {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let digits = number.get(zeros..).unwrap_or_default();
    let sign: &[u8] = if digits.first().is_some_and(|first| *first >= 0x80) { &[0] } else { &[] };
    (sign, digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_is_read_as_it_was_written() {
        let mut blob = Vec::new();
        put(&mut blob, b"one");
        put(&mut blob, b"");
        let mut rest = blob.as_slice();
        assert_eq!(take(&mut rest), Some(&b"one"[..]));
        assert_eq!(take(&mut rest), Some(&b""[..]));
        assert_eq!(take(&mut rest), None);
    }

    #[test]
    fn a_length_beyond_the_end_reads_nothing() {
        let mut rest: &[u8] = &[0, 0, 0, 2, 7];
        assert_eq!(take(&mut rest), None);
        let mut rest: &[u8] = &[0xff, 0xff, 0xff, 0xff, 7];
        assert_eq!(take(&mut rest), None);
    }
}
