//! Text of the shell: strings that hold any bytes, and quoting.
//!
//! POSIX's values are bytes, and nearly all of them are UTF-8. A byte that is not part of UTF-8 is held as one
//! character of the last private plane, U+10FF00 plus the byte, and becomes that byte again when it leaves the shell.

use std::borrow::Cow;

const BASE: u32 = 0x0010_FF00;

/// The character that stands for a byte that is not part of UTF-8.
pub(crate) fn byte_char(byte: u8) -> char {
    if byte < 0x80 { byte as char } else { char::from_u32(BASE + u32::from(byte)).unwrap_or('\u{FFFD}') }
}

/// Reads bytes as text: what is not UTF-8 becomes characters that stand for bytes.
pub fn decode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        let is_taken = |character: char| u32::from(character) > BASE + 0x7F;
        if chunk.valid().as_bytes().contains(&0xF4) && chunk.valid().contains(is_taken) {
            for character in chunk.valid().chars() {
                if is_taken(character) {
                    text.extend(character.encode_utf8(&mut [0; 4]).bytes().map(byte_char));
                } else {
                    text.push(character);
                }
            }
        } else {
            text.push_str(chunk.valid());
        }
        text.extend(chunk.invalid().iter().map(|byte| byte_char(*byte)));
    }
    text
}

/// The bytes of a text.
pub(crate) fn encode(text: &str) -> Cow<'_, [u8]> {
    if !text.as_bytes().contains(&0xF4) {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut bytes = Vec::with_capacity(text.len());
    for character in text.chars() {
        let code = u32::from(character);
        match u8::try_from(code.wrapping_sub(BASE)) {
            Ok(byte) if byte >= 0x80 => bytes.push(byte),
            _ => bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Cow::Owned(bytes)
}

/// Whether a text is a name (XBD 3.216): letters, digits and underscores, and no digit first.
pub(crate) fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Quotes a text so that the shell reads it as one word: as it is if nothing in it is special, otherwise in single
/// quotes, or as `$'..'` if it holds control characters.
pub(crate) fn quote(text: &str) -> String {
    let plain = |character: char| character.is_alphanumeric() || "_@%+=:,./-".contains(character);
    if !text.is_empty() && text.chars().all(plain) { text.to_owned() } else { quote_always(text) }
}

/// As [`quote`], with quotes in any case.
pub(crate) fn quote_always(text: &str) -> String {
    if text.chars().any(|character| character.is_control() || u32::from(character) > BASE) {
        return quote_escaped(text);
    }
    if text == "'" {
        return "\\'".to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Quotes a text in single quotes, whatever it holds.
pub(crate) fn quote_single(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// `$'..'` with escapes for control characters and for bytes that are not part of UTF-8.
pub(crate) fn quote_escaped(text: &str) -> String {
    let mut quoted = String::from("$'");
    for character in text.chars() {
        match character {
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{b}' => quoted.push_str("\\v"),
            '\u{c}' => quoted.push_str("\\f"),
            '\u{1b}' => quoted.push_str("\\E"),
            '\'' => quoted.push_str("\\'"),
            '\\' => quoted.push_str("\\\\"),
            _ if character.is_control() || u32::from(character) > BASE => {
                for byte in encode(character.encode_utf8(&mut [0; 4])).iter() {
                    quoted.push_str(&format!("\\{byte:03o}"));
                }
            }
            _ => quoted.push(character),
        }
    }
    quoted.push('\'');
    quoted
}

/// Quotes with backslashes, as bash's `printf %q` does.
pub(crate) fn quote_backslash(text: &str) -> String {
    if text.is_empty() {
        return "''".to_owned();
    }
    if text.chars().any(|character| character.is_control() || u32::from(character) > BASE) {
        return quote_escaped(text);
    }
    let mut quoted = String::new();
    for (at, character) in text.chars().enumerate() {
        let first_only = at == 0 && "#~".contains(character);
        if first_only || " !\"$&'()*,;<>?[\\]^`{|}".contains(character) {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted
}

/// Quotes a value in double quotes, as bash's `declare -p` does.
pub(crate) fn quote_double(text: &str) -> String {
    if text.chars().any(|character| (character.is_control() && character != '\t') || u32::from(character) > BASE) {
        return quote_escaped(text);
    }
    let mut quoted = String::from("\"");
    for character in text.chars() {
        if "\"$`\\".contains(character) {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted.push('"');
    quoted
}

/// The value of the escapes of `$'..'` and of `echo -e` and `printf` at the beginning of `rest`, which follows the
/// backslash: the characters that it stands for, and its length in bytes. None if it is no escape.
pub(crate) fn escape(rest: &str, octal_needs_zero: bool) -> Option<(String, usize)> {
    let first = rest.chars().next()?;
    let simple = match first {
        'a' => '\u{7}',
        'b' => '\u{8}',
        'e' | 'E' => '\u{1b}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        '\\' => '\\',
        '0' if octal_needs_zero => return Some(number(rest, 1, 3, 8)),
        '0'..='7' if !octal_needs_zero => return Some(number(rest, 0, 3, 8)),
        'x' if !octal_needs_zero && rest.starts_with("x{") => return Some(braced_byte(rest)),
        'x' => return digits(rest, 2, 16),
        'u' => return digits(rest, 4, 16),
        'U' => return digits(rest, 8, 16),
        _ => return None,
    };
    Some((simple.to_string(), 1))
}

/// `x{..}`: any number of digits, of which the last two count. None of them is NUL.
fn braced_byte(rest: &str) -> (String, usize) {
    let digits = &rest[2..];
    let count = digits.bytes().take_while(u8::is_ascii_hexdigit).count();
    let last = &digits[count.saturating_sub(2)..count];
    let code = u8::from_str_radix(last, 16).unwrap_or(0);
    let closed = digits[count..].starts_with('}');
    (byte_char(code).to_string(), 2 + count + usize::from(closed))
}

fn digits(rest: &str, most: usize, radix: u32) -> Option<(String, usize)> {
    let (text, length) = number(rest, 1, most, radix);
    (length > 1).then_some((text, length))
}

fn number(rest: &str, skip: usize, most: usize, radix: u32) -> (String, usize) {
    let count = rest[skip..].chars().take(most).take_while(|digit| digit.is_digit(radix)).count();
    let code = u32::from_str_radix(&rest[skip..skip + count], radix).unwrap_or(0);
    let is_byte = radix == 8 || most == 2;
    let character = if is_byte { byte_char((code & 0xFF) as u8) } else { char::from_u32(code).unwrap_or('\u{FFFD}') };
    (character.to_string(), skip + count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_survive() {
        for bytes in [&b"plain"[..], b"\xff\x80a\xc3\xa9", "日本".as_bytes(), b"\xf4\x8f\xbf\xbf", b"\xc3"] {
            assert_eq!(encode(&decode(bytes)).as_ref(), bytes);
        }
    }

    #[test]
    fn quotes_are_read_back() {
        assert_eq!(quote("a b"), "'a b'");
        assert_eq!(quote("plain-1.txt"), "plain-1.txt");
        assert_eq!(quote("it's"), r"'it'\''s'");
        assert_eq!(quote("a\nb"), r"$'a\nb'");
        assert_eq!(quote(&decode(b"\xff")), r"$'\377'");
        assert_eq!(quote_double("a$b"), r#""a\$b""#);
        assert_eq!(quote_backslash("a b"), r"a\ b");
    }
}
