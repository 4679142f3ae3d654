//! The folder name of a principal's home.
//!
//! Small letters, digits, `-`, `_`, `@`, `+` and `.` stand for themselves. Every other byte of the principal's UTF-8 is
//! `%` and two hexadecimal digits in small letters; so are capital letters, so that the homes of `alice` and `Alice`
//! are two on file systems that ignore case, and `-` and `.` at the beginning. The empty principal is `%`. A name that
//! would be longer than a file name may be is cut, and ends with `%h` and the SHA-256 of the principal: two such
//! principals have one name only if their hashes collide.
//!
//! So names are one-to-one, never `.` or `..`, and none begins with a point: those are for the program itself.

use std::fmt::Write;

use sha2::{Digest, Sha256};

/// The longest file name, Linux's `NAME_MAX`, in bytes.
const LONGEST: usize = 255;
/// Separates the beginning of a long name from its hash. No encoded byte begins like this.
const HASHED: &str = "%h";
/// The hash in hexadecimal digits.
const DIGITS: usize = 64;

/// The folder name of a principal.
pub(super) fn encode(principal: &str) -> String {
    if principal.is_empty() {
        return "%".to_owned();
    }
    let mut name = String::with_capacity(principal.len());
    // Where a name that has to be cut ends: behind an encoded byte, never in it.
    let mut cut = 0;
    for (at, byte) in principal.bytes().enumerate() {
        if is_plain(byte) && !(at == 0 && matches!(byte, b'-' | b'.')) {
            name.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(name, "%{byte:02x}");
        }
        if name.len() <= LONGEST - HASHED.len() - DIGITS {
            cut = name.len();
        }
    }
    if name.len() > LONGEST {
        name.truncate(cut);
        name.push_str(HASHED);
        for byte in Sha256::digest(principal) {
            let _ = write!(name, "{byte:02x}");
        }
    }
    name
}

/// Whether a folder of this name may be a home.
pub(super) fn is_encoded(name: &str) -> bool {
    let (begin, hash) = match name.split_once(HASHED) {
        Some((begin, hash)) => (begin, Some(hash)),
        None => (name, None),
    };
    let hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if hash.is_some_and(|hash| hash.len() != DIGITS || !hex(hash)) {
        return false;
    }
    let mut parts = begin.split('%');
    let first = parts.next().unwrap_or_default();
    let is_plain = |text: &str| text.bytes().all(is_plain);
    let encoded = |part: &str| part.split_at_checked(2).is_some_and(|(byte, rest)| hex(byte) && is_plain(rest));
    name == "%" || (!name.is_empty() && !first.starts_with(['-', '.']) && is_plain(first) && parts.all(encoded))
}

/// Whether a byte stands for itself.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'@' | b'+' | b'.')
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_readable_and_have_nothing_that_a_path_or_a_shell_gives_a_meaning() {
        for (principal, name) in [
            ("alice", "alice"),
            ("alice@example.org", "alice@example.org"),
            ("Alice", "%41lice"),
            ("a%41", "a%2541"),
            ("", "%"),
            ("%", "%25"),
            (".", "%2e"),
            ("..", "%2e."),
            ("../bob", "%2e.%2fbob"),
            ("-rf", "%2drf"),
            ("a b\0c\n", "a%20b%00c%0a"),
            ("é", "%c3%a9"),
            ("DOMAIN\\bob", "%44%4f%4d%41%49%4e%5cbob"),
        ] {
            assert_eq!(encode(principal), name, "{principal:?}");
            assert!(is_encoded(name), "{name}");
        }
        for other in ["", ".", "..", ".whelk-temporary-0", "Alice", "lost found", "%4", "%zz", "a%", "a%h", "-x", "%2E"]
        {
            assert!(!is_encoded(other), "{other:?}");
        }
    }

    #[test]
    fn long_names_fit_and_differ() {
        let exact = "x".repeat(255);
        assert_eq!(encode(&exact), exact);
        let long = ["x".repeat(256), "X".repeat(255), "é".repeat(128), format!("{}a", "x".repeat(5_000))];
        let names: BTreeSet<String> = long.iter().map(|principal| encode(principal)).collect();
        assert_eq!(names.len(), long.len());
        assert!(names.iter().all(|name| (240..=255).contains(&name.len()) && is_encoded(name)), "{names:?}");
        assert_ne!(encode(&"x".repeat(256)), encode(&"x".repeat(257)));
    }

    /// The principal of a name without a hash.
    fn decode(name: &str) -> String {
        let mut bytes = Vec::new();
        let mut rest = name.strip_prefix('%').filter(|rest| rest.is_empty()).unwrap_or(name);
        while let Some(first) = rest.chars().next() {
            let encoded = rest.strip_prefix('%').map(|rest| rest.split_at(2));
            bytes.push(encoded.map_or(first as u8, |(byte, _)| u8::from_str_radix(byte, 16).unwrap()));
            rest = encoded.map_or(&rest[1..], |(_, rest)| rest);
        }
        String::from_utf8(bytes).unwrap()
    }

    proptest! {
        #[test]
        fn a_name_gives_its_principal_back(principal in any::<String>()) {
            let name = encode(&principal);
            prop_assert!(name.len() <= LONGEST && is_encoded(&name));
            prop_assert!(!name.starts_with('.') && !name.contains('/') && name == name.to_ascii_lowercase());
            if !name.contains(HASHED) {
                prop_assert_eq!(decode(&name), principal);
            }
        }
    }
}
