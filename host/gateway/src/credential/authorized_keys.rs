//! OpenSSH's `authorized_keys`: one public key a line, sshd(8), "AUTHORIZED_KEYS FILE FORMAT".
//!
//! The file is bytes: a byte order mark is skipped, comments need not be UTF-8, and LF, CR LF and CR end a line. An
//! invalid line is skipped and logged, and the others are used, as in OpenSSH.
//!
//! The options before a key (`command=`, `from=`, `restrict` ...) are read by `key_options`.
//!
//! A user's file is read at each login, so that a new key works at once. Only the lines that hold the
//! key in question are parsed then: the time depends on the size of the file and not on the number of its keys.

use std::path::Path;

use ssh_key::{Algorithm, HashAlg, PublicKey};
use whelk_ssh::crypto::key::PublicKey as Verified;

use super::file::{FileFault, FileStamp, KeyPath};
use super::key_options::KeyOptions;

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
    /// What it may do, and when.
    pub options: KeyOptions,
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
    /// Whether it has no options.
    pub fn is_plain(&self) -> bool {
        self.options == KeyOptions::default()
    }

    /// The key blob. RFC 4253 §6.6.
    pub(super) fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// Whether it is this key.
    pub fn is(&self, key: &Verified) -> bool {
        self.blob == key.blob()
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
        let options = KeyOptions::default();
        Ok(AuthorizedKey { kind: key.algorithm().as_str().to_owned(), fingerprint, options, blob })
    }
}

/// The public key in OpenSSH's format, `ssh-ed25519 AAAA...`; empty if the blob is malformed.
pub(crate) fn public_line(blob: &[u8]) -> String {
    PublicKey::from_bytes(blob).and_then(|key| key.to_openssh()).unwrap_or_default()
}

/// Parses one line: `ssh-ed25519 AAAA... comment`, with options before it if there are any.
///
/// # Errors
/// An unknown type, options that are not understood, a malformed key, or a private key.
pub fn parse_key(line: &str) -> Result<AuthorizedKey, String> {
    let line = line.trim();
    if line.contains(PRIVATE) {
        return Err(IS_PRIVATE.to_owned());
    }
    let (first, rest) = first_word(line);
    if known(first) {
        return parse_plain(first, rest);
    }
    let (second, encoded) = first_word(rest);
    if known(second) {
        let options = KeyOptions::parse(first)?;
        return Ok(AuthorizedKey { options, ..parse_plain(second, encoded)? });
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
    read_key_file(&KeyPath::named(path))
}

/// The same for a file that may be in a home. One that is not there has no keys.
///
/// # Errors
/// As for [`read_authorized_keys`].
pub(crate) fn read_key_file(path: &KeyPath) -> Result<KeyFile, String> {
    Ok(read_text(path)?.map(|(text, _)| parse_file(&text)).unwrap_or_default())
}

/// What a key file says of one key.
#[derive(Debug, Default)]
pub(crate) struct FoundKey {
    /// The lines that hold it, each with its number, parsed or with the reason why it cannot be.
    pub(crate) lines: Vec<FoundLine>,
    /// Some line has options that restrict its key, whichever that is.
    pub(crate) restricts: bool,
    /// The stamp of the file. None: it is not there, as a home need not have one.
    pub(crate) stamp: Option<FileStamp>,
}

/// Looks for a key in a key file. Only the lines that hold it are parsed, and with `all` the options of the others.
/// Waits for the disk.
///
/// # Errors
/// As for [`read_authorized_keys`].
pub(crate) fn find_in_file(path: &KeyPath, key: &Verified, all: bool) -> Result<FoundKey, FileFault> {
    let Some((text, stamp)) = read_text(path)? else { return Ok(FoundKey::default()) };
    Ok(find_in_text(&text, stamp, key, all))
}

/// The same without waiting for the disk. None if that is not possible, or the file cannot be used.
pub(crate) fn find_in_cached_file(path: &KeyPath, key: &Verified, all: bool) -> Option<FoundKey> {
    let (bytes, facts) = path.read_cached()?;
    Some(find_in_text(&text_of(path, bytes).ok()?, FileStamp::of(&facts), key, all))
}

fn find_in_text(text: &[u8], stamp: FileStamp, key: &Verified, all: bool) -> FoundKey {
    let restricts = all && lines(text).any(|line| restricts(String::from_utf8_lossy(line).trim()));
    FoundKey { lines: find_lines(text, key), restricts, stamp: Some(stamp) }
}

/// A line of a key file that holds the key in question: its number, counted from 1, and what it says.
pub(crate) type FoundLine = (usize, Result<AuthorizedKey, String>);

/// Whether a line has a key with options that restrict it, or that are not understood.
fn restricts(line: &str) -> bool {
    let (first, rest) = first_word(line);
    if line.starts_with('#') || known(first) {
        return false;
    }
    let (second, _) = first_word(rest);
    known(second) && KeyOptions::parse(first).map_or(true, |options| options.restricts())
}

fn find_lines(bytes: &[u8], key: &Verified) -> Vec<FoundLine> {
    let whole = public_line(key.blob());
    let (_, encoded) = first_word(&whole);
    if encoded.is_empty() {
        return Vec::new();
    }
    let holding = lines(bytes).enumerate().filter_map(|(index, line)| {
        let line = String::from_utf8_lossy(line);
        let line = line.trim();
        let parsed = (line.contains(encoded) && !line.starts_with('#')).then(|| parse_key(line))?;
        Some((index + 1, parsed))
    });
    holding.filter(|(_, parsed)| parsed.as_ref().map_or(true, |found| found.is(key))).collect()
}

/// The bytes of a key file, without a byte order mark, and its stamp from before they were read. None: a home need not
/// have one.
fn read_text(path: &KeyPath) -> Result<Option<(Vec<u8>, FileStamp)>, FileFault> {
    let Some((file, facts)) = path.open(MOST_BYTES)? else { return Ok(None) };
    let stamp = FileStamp::of(&facts);
    let bytes = path.contents(file, facts.len(), MOST_BYTES)?;
    Ok(Some((text_of(path, bytes)?, stamp)))
}

/// What was read of a key file without a byte order mark.
fn text_of(path: &KeyPath, mut bytes: Vec<u8>) -> Result<Vec<u8>, FileFault> {
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(format!("{path} is UTF-16 text: save it as UTF-8").into());
    }
    if bytes.starts_with(BYTE_ORDER_MARK) {
        bytes.drain(..BYTE_ORDER_MARK.len());
    }
    Ok(bytes)
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

/// The lines of a text without empty lines, comments, and blanks around them. Each has its number, counted from 1.
pub(super) fn key_lines(bytes: &[u8]) -> impl Iterator<Item = (usize, String)> {
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    lines(bytes).enumerate().filter_map(|(index, line)| {
        let line = String::from_utf8_lossy(line).trim().to_owned();
        (!line.is_empty() && !line.starts_with('#')).then_some((index + 1, line))
    })
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
        escaped = character == '\\';
    }
    (line, "")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
    const OTHER: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
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
        let same = Verified::from_blob(&key.blob).unwrap();
        assert!(key.is(&same) && !key.is(&Verified::from_openssh(OTHER).unwrap()));
        assert_eq!(same.fingerprint(), key.fingerprint);
    }

    #[test]
    fn options_stand_before_the_key_and_may_hold_blanks_in_quotes() {
        for (options, command) in [
            ("restrict", None),
            ("command=\"echo a b, c\",no-pty", Some("echo a b, c")),
            ("no-pty,command=\"ssh-ed25519 AAAA \\\"x y\\\"\"", Some("ssh-ed25519 AAAA \"x y\"")),
        ] {
            let key = parse_key(&format!("{options} \t {KEY} comment")).unwrap();
            assert_eq!((key.options.command.as_deref(), key.options.pty), (command, false), "{options}");
        }
        assert!(parse_key(&format!("banana {KEY}")).unwrap_err().contains("the option `banana`, which is not known"));
        assert!(parse_key(&format!("restrict {KEY} comment")).is_ok());
        assert!(parse_key("restrict ssh-ed25519 AAAA").unwrap_err().contains("cannot be read"));
    }

    #[test]
    fn of_a_file_the_lines_with_one_key_are_found() {
        let text = format!(
            "# {KEY}\n{OTHER}\r\nno-pty {KEY} a\nbanana {KEY}\ncommand=\"{KEY}\" {OTHER}\nnonsense\nü\n{KEY}\n"
        );
        let key = Verified::from_openssh(KEY).unwrap();
        let found = find_lines(text.as_bytes(), &key);
        let lines: Vec<(usize, bool)> = found.iter().map(|(line, parsed)| (*line, parsed.is_ok())).collect();
        assert_eq!(lines, [(3, true), (4, false), (8, true)]);
        assert!(!found[0].1.as_ref().unwrap().options.pty && found[2].1.as_ref().unwrap().options.pty);
        assert!(find_lines(b"", &key).is_empty());
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
        let (_folder, path) =
            write(format!("{KEY}\nnonsense\nbanana {KEY}\nssh-ed25519 AAAA\nrestrict {KEY}\n"), 0o600);
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
        let file = parse_file(format!("{openssh}nonsense\nbanana {KEY}\n").as_bytes());
        assert_eq!(numbers(&file), (vec![], vec![1, 5, 6]));
        let file = parse_file(format!("{cut}banana {KEY}\nnonsense\n").as_bytes());
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
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
        assert!(read_authorized_keys(&fifo).unwrap_err().contains("not a regular file"));
        assert!(read_authorized_keys(folder.path()).unwrap_err().contains("not a regular file"));
        let absent = read_authorized_keys(&folder.path().join("absent")).unwrap_err();
        assert!(absent.contains("cannot be read"), "{absent}");
    }
}
