//! OpenSSH's `authorized_keys`: a public key a line, sshd(8), "AUTHORIZED_KEYS FILE FORMAT".
//!
//! Options (`command=`, `from=`, `restrict` ...) take rights away. None of them is enforced yet, so a line that has any is
//! refused: to ignore one would grant more than was asked.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use ssh_key::{Algorithm, HashAlg, PublicKey};

/// Far beyond any list kept by hand.
const MOST_BYTES: u64 = 1 << 20;
/// No type of key has a longer name.
const LONGEST_SHOWN: usize = 40;
const PRIVATE: &str = "PRIVATE KEY-----";
const IS_PRIVATE: &str = "is a private key: only the public key (the .pub file) belongs here";
/// Write permission for the group or for everybody.
const WRITABLE_BY_OTHERS: u32 = 0o022;
const STICKY: u32 = 0o1000;

/// A public key that may enter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizedKey {
    /// The type of key, such as `ssh-ed25519`.
    pub kind: String,
    /// `SHA256:...`, as `ssh-keygen -l` prints it.
    pub fingerprint: String,
    blob: Vec<u8>,
}

/// What is wrong with a file of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyProblem {
    /// Counted from 1; 0 for the file as a whole.
    pub line: usize,
    /// In words for the operator.
    pub what: String,
}

impl AuthorizedKey {
    /// Whether `blob` is this key (RFC 4253 §6.6) and `algorithm` a way to sign with it that holds today: an RSA key signs by
    /// `rsa-sha2-256` or `rsa-sha2-512` (RFC 8332), never with SHA-1; every other type of key by the algorithm of its name.
    pub fn admits(&self, algorithm: &[u8], blob: &[u8]) -> bool {
        let named = match self.kind.as_str() {
            "ssh-rsa" => algorithm == b"rsa-sha2-256" || algorithm == b"rsa-sha2-512",
            kind => algorithm == kind.as_bytes(),
        };
        named && self.blob == blob
    }

    /// Whether a login with this type of key can succeed today.
    pub fn usable(&self) -> bool {
        self.kind == "ssh-ed25519"
    }

    fn of(key: &PublicKey) -> Result<AuthorizedKey, String> {
        let blob = key.to_bytes().map_err(|error| format!("is no public key: {error}"))?;
        let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
        Ok(AuthorizedKey { kind: key.algorithm().as_str().to_owned(), fingerprint, blob })
    }
}

/// The fingerprint of a public key as it stands in a packet, `None` when it cannot be read.
pub fn fingerprint(blob: &[u8]) -> Option<String> {
    PublicKey::from_bytes(blob).ok().map(|key| key.fingerprint(HashAlg::Sha256).to_string())
}

/// A public key as OpenSSH writes it, `ssh-ed25519 AAAA...`; empty when the blob cannot be read.
pub fn public_line(blob: &[u8]) -> String {
    PublicKey::from_bytes(blob).and_then(|key| key.to_openssh()).unwrap_or_default()
}

/// Reads one line: `ssh-ed25519 AAAA... comment`.
///
/// # Errors
/// Says what is wrong: an unknown type, options, a key that does not decode, a private key.
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
        return Err(format!("has the option `{name}`, which is not supported yet: the line is refused, not loosened"));
    }
    let shown: String = first.chars().take(LONGEST_SHOWN).collect();
    Err(format!("names no known type of key: {shown:?} (such as ssh-ed25519)"))
}

/// Reads a file of keys: each with its line. Empty lines and lines that begin with `#` are skipped.
///
/// # Errors
/// Every line that is wrong, or the file: unreadable, not a regular file, or one that somebody other than its owner may
/// change (as sshd's StrictModes).
pub fn read_authorized_keys(path: &Path) -> Result<Vec<(usize, AuthorizedKey)>, Vec<KeyProblem>> {
    let whole = |what| vec![KeyProblem { line: 0, what }];
    let text = read_strictly(path).map_err(whole)?;
    if text.contains(PRIVATE) {
        // Line by line its secret would be shown as what is no type of key.
        return Err(whole(format!("{} {IS_PRIVATE}", path.display())));
    }
    let (mut keys, mut problems) = (Vec::new(), Vec::new());
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        match parse_key(line) {
            Ok(key) => keys.push((index + 1, key)),
            Err(what) => problems.push(KeyProblem { line: index + 1, what }),
        }
    }
    if problems.is_empty() { Ok(keys) } else { Err(problems) }
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

/// Splits at the first blank outside quotes, as options may hold blanks inside them.
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

fn read_strictly(path: &Path) -> Result<String, String> {
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
    refuse_others(path, facts.mode(), facts.uid())?;
    let real = path.canonicalize().map_err(unreadable)?;
    if let Some(folder) = real.parent() {
        let facts = folder.metadata().map_err(unreadable)?;
        // In a sticky folder nobody can put another file in the place of this one.
        if facts.mode() & STICKY == 0 {
            refuse_others(folder, facts.mode(), facts.uid())?;
        }
    }
    let mut text = String::new();
    file.take(MOST_BYTES).read_to_string(&mut text).map_err(unreadable)?;
    Ok(text)
}

fn refuse_others(path: &Path, mode: u32, owner: u32) -> Result<(), String> {
    let path = path.display();
    if mode & WRITABLE_BY_OTHERS != 0 {
        return Err(format!("others may write to {path} (mode {:04o}): chmod go-w {path}", mode & 0o7777));
    }
    if owner != 0 && owner != rustix::process::geteuid().as_raw() {
        return Err(format!("{path} belongs to another user (uid {owner})"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
    const RSA: &str = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQDE";

    fn write(text: &str, mode: u32) -> (tempfile::TempDir, std::path::PathBuf) {
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
        assert_eq!(fingerprint(&key.blob), Some(key.fingerprint));
        assert_eq!(fingerprint(b"\0\0\0\xffjunk"), None);
    }

    #[test]
    fn an_rsa_key_never_admits_sha1() {
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
    fn what_is_no_public_key_is_told_apart() {
        for (line, why) in [
            ("ssh-ed25519", "cannot be read"),
            ("ssh-ed25519 AAAA", "cannot be read"),
            ("ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti", "cannot be read"),
            (RSA, "cannot be read"),
            ("ssh-unheard-of AAAA comment", "no known type of key: \"ssh-unheard-of\""),
            ("-----BEGIN OPENSSH PRIVATE KEY-----", "private key"),
        ] {
            let error = parse_key(line).unwrap_err();
            assert!(error.contains(why), "{line}: {error}");
        }
    }

    #[test]
    fn a_file_is_read_past_comments_and_every_wrong_line_is_named() {
        let (_folder, path) = write(&format!("# mine\n\n{KEY} a\r\n  {KEY} b\n"), 0o644);
        let keys = read_authorized_keys(&path).unwrap();
        assert_eq!(keys.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [3, 4]);
        let (_folder, path) = write(&format!("{KEY}\nnonsense\nrestrict {KEY}\n"), 0o600);
        let problems = read_authorized_keys(&path).unwrap_err();
        assert_eq!(problems.iter().map(|problem| problem.line).collect::<Vec<_>>(), [2, 3]);
    }

    #[test]
    fn a_file_that_others_may_change_is_refused() {
        for mode in [0o620, 0o602, 0o666] {
            let (_folder, path) = write(KEY, mode);
            let problems = read_authorized_keys(&path).unwrap_err();
            assert!(problems[0].what.contains("chmod go-w"), "{problems:?}");
        }
        let (folder, path) = write(KEY, 0o600);
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(read_authorized_keys(&path).unwrap_err()[0].what.contains("others may write"));
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o1777)).unwrap();
        assert!(read_authorized_keys(&path).is_ok());
    }

    #[test]
    fn a_file_of_another_user_is_refused() {
        let me = rustix::process::geteuid().as_raw();
        assert!(refuse_others(Path::new("keys"), 0o600, me + 1).unwrap_err().contains("another user"));
        assert_eq!(refuse_others(Path::new("keys"), 0o600, 0), Ok(()));
        assert_eq!(refuse_others(Path::new("keys"), 0o644, me), Ok(()));
    }

    #[test]
    fn what_is_not_a_file_is_refused_without_waiting_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, Mode::RUSR, 0).unwrap();
        assert!(read_authorized_keys(&fifo).unwrap_err()[0].what.contains("not a regular file"));
        assert!(read_authorized_keys(folder.path()).unwrap_err()[0].what.contains("not a regular file"));
        let absent = read_authorized_keys(&folder.path().join("absent")).unwrap_err();
        assert!(absent[0].what.contains("cannot be read"), "{absent:?}");
    }
}
