//! The lines that a sender sends.

use crate::files::Times;

/// A line, parsed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Record<'a> {
    /// `C0644 SIZE NAME`: a file, whose bytes follow after the receiver's 0.
    File { size: u64, name: &'a [u8] },
    /// `D0755 0 NAME`: a directory, whose contents follow.
    Directory { name: &'a [u8] },
    /// `E`: the end of a directory.
    End,
    /// `T MTIME 0 ATIME 0`: the times of what the next line names. `None` if they are out of range.
    Times(Option<Times>),
    /// Byte 1: something could not be sent.
    Warning,
    /// Byte 2: the sender gives up.
    Fatal,
    /// Something else.
    Unknown,
}

/// Parses a line without its newline. An error is what is wrong, in the words of OpenSSH's scp. Modes are checked and
/// ignored: files have none under WASI.
pub(super) fn parse(line: &[u8]) -> Result<Record<'_>, &'static str> {
    let (Some(kind), rest) = (line.first(), line.get(1..).unwrap_or_default()) else {
        return Err("unexpected <newline>");
    };
    match kind {
        1 => Ok(Record::Warning),
        2 => Ok(Record::Fatal),
        b'E' => Ok(Record::End),
        b'T' => parse_times(rest).map(Record::Times),
        b'C' => parse_entry(rest).map(|(size, name)| Record::File { size, name }),
        b'D' => parse_entry(rest).map(|(_, name)| Record::Directory { name }),
        _ => Ok(Record::Unknown),
    }
}

/// `MODE SIZE NAME`.
fn parse_entry(text: &[u8]) -> Result<(u64, &[u8]), &'static str> {
    let (mode, rest) = text.split_at_checked(4).ok_or("bad mode")?;
    if !mode.iter().all(|digit| (b'0'..=b'7').contains(digit)) {
        return Err("bad mode");
    }
    let rest = rest.strip_prefix(b" ").ok_or("mode not delimited")?;
    let (size, rest) = number(rest).ok_or("size not present")?;
    let name = rest.strip_prefix(b" ").ok_or("size not delimited")?;
    match size {
        Some(size) if i64::try_from(size).is_ok() => Ok((size, name)),
        _ => Err("size out of range"),
    }
}

/// `MTIME MICROSECONDS ATIME MICROSECONDS`.
fn parse_times(text: &[u8]) -> Result<Option<Times>, &'static str> {
    let (modified, rest) = number(text).ok_or("mtime.sec not present")?;
    let rest = rest.strip_prefix(b" ").ok_or("mtime.sec not delimited")?;
    let rest = microseconds(rest).and_then(|rest| rest.strip_prefix(b" ")).ok_or("mtime.usec not delimited")?;
    let (accessed, rest) = number(rest).ok_or("atime.sec not present")?;
    let rest = rest.strip_prefix(b" ").ok_or("atime.sec not delimited")?;
    if microseconds(rest) != Some(b"") {
        return Err("atime.usec not delimited");
    }
    let in_range = |seconds: Option<u64>| seconds.filter(|seconds| i64::try_from(*seconds).is_ok());
    Ok(in_range(modified).zip(in_range(accessed)).map(|(modified, accessed)| Times { modified, accessed }))
}

/// What follows on a number below a million.
fn microseconds(text: &[u8]) -> Option<&[u8]> {
    number(text).filter(|(value, _)| value.is_some_and(|value| value < 1_000_000)).map(|(_, rest)| rest)
}

/// The decimal number at the beginning, and what follows it. The number is `None` if it has more than 64 bits.
fn number(text: &[u8]) -> Option<(Option<u64>, &[u8])> {
    let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at(length);
    let add = |value: u64, digit: &u8| value.checked_mul(10)?.checked_add(u64::from(digit - b'0'));
    (length > 0).then(|| (digits.iter().try_fold(0, add), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_parsed() {
        assert_eq!(parse(b"C0644 12 a b"), Ok(Record::File { size: 12, name: b"a b" }));
        assert_eq!(
            parse(b"C7777 9223372036854775807 "),
            Ok(Record::File { size: i64::MAX.cast_unsigned(), name: b"" })
        );
        assert_eq!(parse(b"D0755 0 \xff"), Ok(Record::Directory { name: b"\xff" }));
        let times = Times { modified: 1_700_000_000, accessed: 5 };
        assert_eq!(parse(b"T1700000000 0 5 999999"), Ok(Record::Times(Some(times))));
        assert_eq!(parse(b"T9223372036854775808 0 5 0"), Ok(Record::Times(None)));
        assert_eq!(parse(b"T99999999999999999999999 0 5 0"), Ok(Record::Times(None)));
        assert_eq!(parse(b"E"), Ok(Record::End));
        assert_eq!(parse(b"\x01scp: no"), Ok(Record::Warning));
        assert_eq!(parse(b"\x02"), Ok(Record::Fatal));
        assert_eq!(parse(b"bash: scp: not found"), Ok(Record::Unknown));
    }

    #[test]
    fn each_mistake_has_the_words_of_openssh() {
        let mistakes: [(&[u8], &str); 18] = [
            (b"", "unexpected <newline>"),
            (b"C", "bad mode"),
            (b"C064", "bad mode"),
            (b"C0648 1 a", "bad mode"),
            (b"C-644 1 a", "bad mode"),
            (b"C00644 1 a", "mode not delimited"),
            (b"C0644", "mode not delimited"),
            (b"C0644 -1 a", "size not present"),
            (b"C0644  1 a", "size not present"),
            (b"C0644 1", "size not delimited"),
            (b"C0644 0x1 a", "size not delimited"),
            (b"C0644 9223372036854775808 a", "size out of range"),
            (b"D0755 99999999999999999999999999 a", "size out of range"),
            (b"T", "mtime.sec not present"),
            (b"T1,0 1 0", "mtime.sec not delimited"),
            (b"T1 1000000 1 0", "mtime.usec not delimited"),
            (b"T1 0 -1 0", "atime.sec not present"),
            (b"T1 0 1 0 ", "atime.usec not delimited"),
        ];
        for (line, mistake) in mistakes {
            assert_eq!(parse(line), Err(mistake), "{}", line.escape_ascii());
        }
    }
}
