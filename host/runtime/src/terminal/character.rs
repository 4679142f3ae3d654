//! Classes of characters, as the kernel's terminal has them: ISO 8859-1 beyond ASCII.

/// Whether the echo shows it as `^X`: the control characters of ASCII.
pub(super) fn is_control(byte: u8) -> bool {
    byte.is_ascii_control()
}

/// Whether it belongs to a word.
pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || is_latin_letter(byte)
}

/// The lower-case form of a letter.
pub(super) fn lower(byte: u8) -> u8 {
    let is_upper = byte.is_ascii_uppercase() || matches!(byte, 0xc0..=0xd6 | 0xd8..=0xde);
    if is_upper { byte + 32 } else { byte }
}

/// The upper-case form of a letter. That of `ß` and `ÿ` is what 32 less means, as in the kernel.
pub(super) fn upper(byte: u8) -> u8 {
    let is_lower = byte.is_ascii_lowercase() || (is_latin_letter(byte) && byte >= 0xdf);
    if is_lower { byte - 32 } else { byte }
}

/// Whether it continues a character of UTF-8.
pub(super) fn continues(byte: u8) -> bool {
    byte & 0xc0 == 0x80
}

fn is_latin_letter(byte: u8) -> bool {
    byte >= 0xc0 && byte != 0xd7 && byte != 0xf7
}
