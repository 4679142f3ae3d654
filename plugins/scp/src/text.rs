//! Names in messages and on lines of the protocol.

/// Longest message to the client, in bytes. OpenSSH reads 2,047 bytes of one and takes what follows for the next.
const MESSAGE: usize = 1024;

/// A line for the client: byte 1, `scp: `, the text with control characters in octal, a newline. A longer text is
/// cut at its beginning: the end of a path says more.
pub(crate) fn error_line(text: &str) -> Vec<u8> {
    let shown = printable(text);
    let start = shown.len().checked_sub(MESSAGE).map_or(0, |excess| shown.ceil_char_boundary(excess));
    let ellipsis = if start > 0 { "…" } else { "" };
    format!("\x01scp: {ellipsis}{}\n", &shown[start..]).into_bytes()
}

/// The text with control characters as a backslash and three octal digits.
pub(crate) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            let mut bytes = [0; 4];
            for byte in character.encode_utf8(&mut bytes).bytes() {
                shown.push_str(&format!("\\{byte:03o}"));
            }
        } else {
            shown.push(character);
        }
    }
    shown
}

/// A name as it stands on a line of the protocol. One with a newline is encoded as vis(3) does, which OpenSSH does too:
/// the receiver gets another name, and not another line.
pub(crate) fn on_one_line(name: &str) -> String {
    if !name.contains('\n') {
        return name.to_owned();
    }
    let mut encoded = String::with_capacity(name.len() + 8);
    for character in name.chars() {
        match character {
            '\\' => encoded.push_str("\\\\"),
            '\t' => encoded.push('\t'),
            '\x7f' => encoded.push_str("\\^?"),
            '\0'..' ' => encoded.extend(['\\', '^', char::from(character as u8 ^ 0x40)]),
            _ => encoded.push(character),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_that_openssh_reads_whole() {
        assert_eq!(error_line("a\x1b[31m\nb: No"), b"\x01scp: a\\033[31m\\012b: No\n");
        assert_eq!(error_line("\u{9b}2J"), b"\x01scp: \\302\\2332J\n");
        let long = error_line(&format!("{}end: too long", "ä/".repeat(4000)));
        assert!(long.len() < 2000 && long.ends_with(b"end: too long\n"), "{}", long.len());
    }

    #[test]
    fn a_newline_in_a_name_does_not_end_the_line() {
        assert_eq!(on_one_line("a b\tc"), "a b\tc");
        assert_eq!(on_one_line("a\nb\\\x1b\x7fé"), "a\\^Jb\\\\\\^[\\^?é");
    }
}
