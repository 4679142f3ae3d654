//! OpenSSH's `authorized_keys`: one public key a line, sshd(8), "AUTHORIZED_KEYS FILE FORMAT".
//!
//! The file is bytes: a byte order mark is skipped, comments need not be UTF-8, and LF, CR LF and CR end a line. An
//! invalid line is skipped and logged, and the others are used, as in OpenSSH.
//!
//! Options (`command=`, `from=`, `restrict` ...) restrict a key. None of them is enforced yet, so a line with options
//! is skipped: ignoring one would grant more than intended.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use ssh_key::{Algorithm, HashAlg, PublicKey};
use whelk_ssh::crypto::key::PublicKey as Verified;

use crate::state::strict_modes::Writers;

/// Far more than any list kept by hand.
const MOST_BYTES: u64 = 1 << 20;
/// Longer than the name of any key type.
const LONGEST_SHOWN: usize = 40;
/// How many skipped lines of a file are reported with the reason. Further ones are counted.
pub const MOST_TOLD: usize = 20;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
const PRIVATE: &str = "PRIVATE KEY-----";
/// The first line of PuTTY's private keys.
const PRIVATE_PUTTY: &str = "PuTTY-User-Key-File";
const IS_PRIVATE: &str = "is a private key: only the public key (the .pub file) belongs here";

/// An accepted public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizedKey {
    /// The key type, such as `ssh-ed25519`.
    pub kind: String,
    /// `SHA256:...`, as `ssh-keygen -l` prints it.
    pub fingerprint: String,
    blob: Vec<u8>,
}

/// The contents of a key file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyFile {
    /// The keys, each with its line, counted from 1.
    pub keys: Vec<(usize, AuthorizedKey)>,
    /// The first lines that were skipped.
    pub skipped: Vec<SkippedLine>,
    /// How many more were skipped.
    pub more_skipped: usize,
}

/// A skipped line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedLine {
    /// Counted from 1.
    pub line: usize,
    /// The reason for the operator. Never contains a possible secret.
    pub reason: String,
}

impl KeyFile {
    fn skip(&mut self, line: usize, reason: String) {
        if self.skipped.len() < MOST_TOLD {
            self.skipped.push(SkippedLine { line, reason });
        } else {
            self.more_skipped += 1;
        }
    }
}

impl AuthorizedKey {
    /// Whether `blob` is this key (RFC 4253 §6.6) and `algorithm` a signature algorithm of it that is accepted today:
    /// for an RSA key `rsa-sha2-256` or `rsa-sha2-512` (RFC 8332), never SHA-1; for every other type the algorithm of
    /// its name.
    pub fn admits(&self, algorithm: &[u8], blob: &[u8]) -> bool {
        let named = match self.kind.as_str() {
            "ssh-rsa" => algorithm == b"rsa-sha2-256" || algorithm == b"rsa-sha2-512",
            kind => algorithm == kind.as_bytes(),
        };
        named && self.blob == blob
    }

    /// Why no login with this key can succeed; `None` if the protocol can verify its signatures.
    pub fn unusable(&self) -> Option<String> {
        Verified::from_blob(&self.blob).err().map(|error| error.to_string())
    }

    /// Whether a login with this key can succeed.
    pub fn usable(&self) -> bool {
        self.unusable().is_none()
    }

    fn of(key: &PublicKey) -> Result<AuthorizedKey, String> {
        let blob = key.to_bytes().map_err(|error| format!("is no public key: {error}"))?;
        let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
        Ok(AuthorizedKey { kind: key.algorithm().as_str().to_owned(), fingerprint, blob })
    }
}

/// Parses one line: `ssh-ed25519 AAAA... comment`.
///
/// # Errors
/// An unknown type, options, a malformed key, or a private key.
pub fn parse_key(line: &str) -> Result<AuthorizedKey, String> {
    let line = line.trim();
    if line.contains(PRIVATE) {
        return Err(IS_PRIVATE.to_owned());
    }
    let (first, rest) = first_word(line);
    if known(first) {
        return parse_plain(first, rest);
    }
    let (second, _) = first_word(rest);
    if known(second) {
        let name = first.split(['=', ',']).next().unwrap_or(first);
        let name = name.escape_debug();
        return Err(format!(
            "has the option `{name}`, which is not supported yet: without it the key would open more than was meant"
        ));
    }
    Err(match shown(first) {
        Some(name) => format!("names no known type of key: {name:?} (such as ssh-ed25519)"),
        None => "does not begin with a type of key (such as ssh-ed25519)".to_owned(),
    })
}

/// A word that can be shown: only the name of a key type. Anything else at the beginning of a line may be a secret,
/// such as a line of a private key in base64, which has no dash.
fn shown(word: &str) -> Option<&str> {
    let fits = |character: char| character.is_ascii_alphanumeric() || "-.@_".contains(character);
    (word.len() <= LONGEST_SHOWN && word.contains('-') && word.chars().all(fits)).then_some(word)
}

/// Parses a key file. Empty lines and comments are ignored, invalid lines are skipped.
///
/// # Errors
/// The file is unreadable, not a regular file, UTF-16, or writable by others than its owner (as sshd's StrictModes).
pub fn read_authorized_keys(path: &Path) -> Result<KeyFile, String> {
    let bytes = read_strictly(path)?;
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(format!("{} is UTF-16 text: save it as UTF-8", path.display()));
    }
    Ok(parse_file(bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&bytes)))
}

fn parse_file(bytes: &[u8]) -> KeyFile {
    let mut file = KeyFile::default();
    let mut in_private_key = false;
    for (index, line) in lines(bytes).enumerate() {
        // Types and keys are ASCII. In a comment invalid UTF-8 does not matter, and elsewhere it makes the line
        // invalid.
        let line = String::from_utf8_lossy(line);
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let begins = line.contains(PRIVATE) && line.contains("BEGIN") || line.starts_with(PRIVATE_PUTTY);
        if in_private_key && !begins && is_of_private_key(line) {
            // The rest of a private key, whose first line has been reported.
            in_private_key = !line.contains(PRIVATE);
            continue;
        }
        in_private_key = begins;
        match if begins { Err(IS_PRIVATE.to_owned()) } else { parse_key(line) } {
            Ok(key) => file.keys.push((index + 1, key)),
            Err(reason) => file.skip(index + 1, reason),
        }
    }
    file
}

/// Whether a line may follow the first line of a private key: base64, a header such as `Proc-Type: 4,ENCRYPTED`, or its
/// end.
fn is_of_private_key(line: &str) -> bool {
    let is_base64 = line.chars().all(|character| character.is_ascii_alphanumeric() || "+/=".contains(character));
    let is_header = line.split_once(": ").is_some_and(|(name, _)| !name.contains([' ', '"']));
    is_base64 || is_header || line.contains(PRIVATE)
}

/// The lines of a text, without their ends: LF, CR LF or CR.
fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    // CR LF would otherwise count as two lines.
    bytes.split_inclusive(|byte| *byte == b'\n').flat_map(|line| {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        line.split(|byte| *byte == b'\r')
    })
}

fn known(word: &str) -> bool {
    Algorithm::new(word).is_ok_and(|algorithm| !matches!(algorithm, Algorithm::Other(_)))
}

fn parse_plain(kind: &str, rest: &str) -> Result<AuthorizedKey, String> {
    let (encoded, _comment) = first_word(rest);
    let key = PublicKey::from_openssh(&format!("{kind} {encoded}"))
        .map_err(|error| format!("has a key that cannot be read ({error}): is it whole?"))?;
    AuthorizedKey::of(&key)
}

/// Splits at the first blank outside quotes, because options may contain blanks inside quotes.
fn first_word(line: &str) -> (&str, &str) {
    let mut quoted = false;
    let mut escaped = false;
    for (at, character) in line.char_indices() {
        match character {
            '"' if !escaped => quoted = !quoted,
            ' ' | '\t' if !quoted => return (&line[..at], line[at..].trim_start()),
            _ => {}
        }
        escaped = character == '\\' && !escaped;
    }
    (line, "")
}

fn read_strictly(path: &Path) -> Result<Vec<u8>, String> {
    let unreadable = |error: std::io::Error| format!("{} cannot be read: {error}", path.display());
    // Without NONBLOCK, opening a FIFO would wait for a writer.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| unreadable(error.into()))?;
    let file = File::from(file);
    let facts = file.metadata().map_err(unreadable)?;
    if !facts.is_file() {
        return Err(format!("{} is not a regular file", path.display()));
    }
    if facts.len() > MOST_BYTES {
        return Err(format!("{} is larger than {MOST_BYTES} bytes", path.display()));
    }
    Writers::Operator.check_both(path, &facts)?;
    let mut bytes = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
    const RSA: &str = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQDE";

    fn write(text: impl AsRef<[u8]>, mode: u32) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (folder, path)
    }

    #[test]
    fn a_key_is_known_by_its_bytes_and_its_algorithm() {
        let key = parse_key(&format!("  {KEY}\talice @ home, with \"quotes")).unwrap();
        assert_eq!(key.kind, "ssh-ed25519");
        assert_eq!(key.fingerprint, "SHA256:UCUiLr7Pjs9wFFJMDByLgc3NrtdU344OgUM45wZPcIQ");
        assert!(key.usable());
        assert!(key.admits(b"ssh-ed25519", &key.blob));
        assert!(!key.admits(b"ssh-rsa", &key.blob));
        assert!(!key.admits(b"ssh-ed25519", &key.blob[1..]));
        assert_eq!(Verified::from_blob(&key.blob).unwrap().fingerprint(), key.fingerprint);
    }

    #[test]
    fn an_rsa_key_never_accepts_sha1() {
        let key = AuthorizedKey { kind: "ssh-rsa".to_owned(), fingerprint: String::new(), blob: b"blob".to_vec() };
        assert!(key.admits(b"rsa-sha2-512", b"blob"));
        assert!(!key.admits(b"ssh-rsa", b"blob"));
        assert!(!key.usable());
    }

    #[test]
    fn an_option_makes_the_line_an_error_instead_of_being_ignored() {
        for (options, name) in [
            ("restrict", "restrict"),
            ("command=\"echo a b, c\",no-pty", "command"),
            ("from=\"10.0.0.0/8\"", "from"),
            ("cert-authority,principals=\"a\"", "cert-authority"),
            ("environment=\"A=\\\"x y\\\"\"", "environment"),
        ] {
            let error = parse_key(&format!("{options} {KEY} comment")).unwrap_err();
            assert!(error.contains(&format!("option `{name}`")), "{error}");
        }
    }

    #[test]
    fn other_texts_than_public_keys_are_distinguished() {
        for (line, why) in [
            ("ssh-ed25519", "cannot be read"),
            ("ssh-ed25519 AAAA", "cannot be read"),
            ("ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti", "cannot be read"),
            (RSA, "cannot be read"),
            ("ssh-unheard-of AAAA comment", "no known type of key: \"ssh-unheard-of\""),
            ("b3BlbnNzaC1rZXktdjEAAAAA", "does not begin with a type of key"),
            ("-----BEGIN OPENSSH PRIVATE KEY-----", "private key"),
        ] {
            let error = parse_key(line).unwrap_err();
            assert!(error.contains(why), "{line}: {error}");
        }
    }

    fn numbers(file: &KeyFile) -> (Vec<usize>, Vec<usize>) {
        (file.keys.iter().map(|(line, _)| *line).collect(), file.skipped.iter().map(|skipped| skipped.line).collect())
    }

    #[test]
    fn comments_are_skipped_and_every_invalid_line_is_reported() {
        let (_folder, path) = write(format!("# mine\n\n{KEY} a\r\n  {KEY} b\n"), 0o644);
        assert_eq!(numbers(&read_authorized_keys(&path).unwrap()), (vec![3, 4], vec![]));
        let (_folder, path) = write(format!("{KEY}\nnonsense\nrestrict {KEY}\nssh-ed25519 AAAA\n{KEY}\n"), 0o600);
        assert_eq!(numbers(&read_authorized_keys(&path).unwrap()), (vec![1, 5], vec![2, 3, 4]));
    }

    #[test]
    fn byte_order_marks_line_ends_and_encodings_do_not_matter() {
        let key = KEY.as_bytes();
        let files: [(Vec<u8>, Vec<usize>); 6] = [
            ([BYTE_ORDER_MARK, key].concat(), vec![1]),
            ([BYTE_ORDER_MARK, key, b" M\xfcller\r\n# L\xe4den\r\n", key, b" \xff\xfe\r\n"].concat(), vec![1, 3]),
            ([key, b"\r", key, b"\r"].concat(), vec![1, 2]),
            ([key, b"\n\r\n", key].concat(), vec![1, 3]),
            ([key, b" \0comment\n"].concat(), vec![1]),
            (Vec::new(), vec![]),
        ];
        for (bytes, lines) in files {
            let (_folder, path) = write(&bytes, 0o600);
            let file = read_authorized_keys(&path).unwrap();
            assert_eq!(numbers(&file), (lines, vec![]), "{}", bytes.escape_ascii());
        }
        let utf16: Vec<u8> = [0xff, 0xfe].into_iter().chain(KEY.bytes().flat_map(|byte| [byte, 0])).collect();
        let (_folder, path) = write(&utf16, 0o600);
        assert!(read_authorized_keys(&path).unwrap_err().contains("UTF-16"));
    }

    #[test]
    fn a_private_key_is_reported_once_without_its_text() {
        let openssh = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA\nQyNTUxOQ==\n-----END OPENSSH PRIVATE KEY-----\n";
        let putty =
            "PuTTY-User-Key-File-2: ssh-ed25519\nEncryption: none\nPrivate-Lines: 1\nAAAAIB7secret\nPrivate-MAC: 00\n";
        let cut = "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\n";
        for text in [openssh, putty, cut] {
            let file = parse_file(format!("{KEY}\n{text}{KEY}\n").as_bytes());
            let last = text.lines().count() + 2;
            assert_eq!(numbers(&file), (vec![1, last], vec![2]), "{text}");
            assert_eq!(file.skipped[0].reason, IS_PRIVATE);
        }
        // Lines after its end do not belong to it, nor do lines that cannot.
        let file = parse_file(format!("{openssh}nonsense\nrestrict {KEY}\n").as_bytes());
        assert_eq!(numbers(&file), (vec![], vec![1, 5, 6]));
        let file = parse_file(format!("{cut}restrict {KEY}\nnonsense\n").as_bytes());
        assert_eq!(numbers(&file), (vec![], vec![1, 3, 4]));
        // Without its beginning a private key looks like an invalid line, so invalid lines are not shown.
        let file = parse_file(b"b3BlbnNzaC1rZXktdjEAAAAA\nQyNTUxOQ==\n");
        assert!(file.skipped.iter().all(|line| !line.reason.contains("b3Bl") && !line.reason.contains("QyNT")));
        assert_eq!(numbers(&file), (vec![], vec![1, 2]));
    }

    #[test]
    fn of_many_invalid_lines_the_first_are_reported_and_the_others_counted() {
        let file = parse_file("nonsense\n".repeat(100_000).as_bytes());
        assert_eq!((file.skipped.len(), file.more_skipped), (20, 99_980));
    }

    #[test]
    fn a_file_that_others_may_change_is_refused() {
        for mode in [0o620, 0o602, 0o666] {
            let (_folder, path) = write(KEY, mode);
            let problem = read_authorized_keys(&path).unwrap_err();
            assert!(problem.contains("chmod go-w"), "{problem}");
        }
        let (folder, path) = write(KEY, 0o600);
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(read_authorized_keys(&path).unwrap_err().contains("others may write"));
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o1777)).unwrap();
        assert!(read_authorized_keys(&path).is_ok());
    }

    #[test]
    fn something_that_is_not_a_file_is_refused_without_blocking() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, Mode::RUSR, 0).unwrap();
        assert!(read_authorized_keys(&fifo).unwrap_err().contains("not a regular file"));
        assert!(read_authorized_keys(folder.path()).unwrap_err().contains("not a regular file"));
        let absent = read_authorized_keys(&folder.path().join("absent")).unwrap_err();
        assert!(absent.contains("cannot be read"), "{absent}");
    }
}
