//! Mistakes in `host_key_files` and `host_certificates`: each is named with the file and the reason.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use whelk::config::{Config, Overrides};

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../../../ssh/src/crypto/key/host/fixtures/", $name))
    };
}

const CERTIFIED: &str = fixture!("certified.key");

/// A folder with these files, which are readable by their owner alone.
fn place(files: &[(&str, &str)]) -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("plugins")).unwrap();
    fs::write(place.path().join("plugins/echo.wasm"), "").unwrap();
    for (name, text) in files {
        let path = place.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    place
}

/// The errors and the notes of these settings, without the folder in the paths.
fn read(place: &Path, settings: &str) -> (Vec<String>, Vec<String>) {
    let text = format!("state = \"s\"\n{settings}\n[users.guest]\nplugin = \"echo\"\nauth = \"none\"\n");
    let file = place.join("w.toml");
    fs::write(&file, text).unwrap();
    let lines = |text: String| -> Vec<String> {
        text.replace(&format!("{}/", place.display()), "").lines().map(str::to_owned).collect()
    };
    match Config::load(&file, &Overrides::default()) {
        Ok(config) => {
            let notes = config.notes.iter().map(|note| format!("{note}\n")).collect::<String>();
            (Vec::new(), lines(notes))
        }
        Err(refused) => (lines(refused.to_string()), Vec::new()),
    }
}

fn refused(files: &[(&str, &str)], settings: &str) -> Vec<String> {
    read(place(files).path(), settings).0
}

#[test]
fn keys_of_every_format_are_taken_with_their_certificate() {
    let files = [
        ("a", CERTIFIED),
        ("b", fixture!("rsa_3072_pem.key")),
        ("c", fixture!("pkcs8_256.key")),
        ("cert", fixture!("host-cert.pub")),
    ];
    let settings = "host_key_files = [\"a\", \"b\", \"c\"]\nhost_certificates = [\"cert\"]";
    assert_eq!(read(place(&files).path(), settings), (vec![], vec![]));
}

#[test]
fn a_host_key_that_cannot_be_used_is_named_with_the_reason() {
    let key = |text: &str| refused(&[("key", text)], "host_key_files = [\"key\"]");
    let only = |lines: Vec<String>| -> String {
        assert_eq!(lines.len(), 1, "{lines:?}");
        lines[0].clone()
    };
    let missing = only(refused(&[], "host_key_files = [\"key\"]"));
    assert!(missing.starts_with("w.toml:2: host_key_files: key: is not there (`ssh-keygen"), "{missing}");
    for (text, why) in [
        ("", "the host key cannot be used: it is empty"),
        ("hello\n", "the host key cannot be used: it is not a key"),
        (fixture!("encrypted.key"), "the host key cannot be used: it is encrypted with a passphrase (remove it with"),
        (fixture!("pem_encrypted.key"), "the host key cannot be used: it is encrypted with a passphrase (remove it"),
        (
            fixture!("rsa_1024.key"),
            "the host key cannot be used: it is an RSA key of 1024 bits (2048 to 8192 are supported)",
        ),
        (fixture!("certified.pub"), "the host key cannot be used: it is a public key; the private key is needed"),
    ] {
        let line = only(key(text));
        assert!(line.starts_with(&format!("w.toml:2: host_key_files: key: {why}")), "{line}");
    }
}

#[test]
fn a_host_key_that_others_may_read_is_refused() {
    let place = place(&[("key", CERTIFIED)]);
    let settings = "host_key_files = [\"key\"]";
    for mode in [0o644, 0o640, 0o604, 0o660] {
        fs::set_permissions(place.path().join("key"), fs::Permissions::from_mode(mode)).unwrap();
        let expected = format!(
            "w.toml:2: host_key_files: key: has mode {mode:04o}, which is too open for a private key: chmod 600 it"
        );
        assert_eq!(read(place.path(), settings).0, [expected]);
    }
    for mode in [0o600, 0o400] {
        fs::set_permissions(place.path().join("key"), fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(read(place.path(), settings).0, [""; 0]);
    }
}

#[test]
fn lists_that_are_wrong_are_refused() {
    assert_eq!(
        refused(&[], "host_key_files = []\nhost_certificates = []"),
        [
            "w.toml:2: host_key_files: must name at least one file: remove the setting to have none",
            "w.toml:3: host_certificates: must name at least one file: remove the setting to have none",
        ]
    );
    assert_eq!(
        refused(&[("a", CERTIFIED), ("b", CERTIFIED)], "host_key_files = [\n\"a\",\n\"b\"]"),
        ["w.toml:4: host_key_files: b: the key is listed twice (first at w.toml:3)"]
    );
    let text = refused(&[], "host_key_files = \"a\"");
    assert!(text[0].starts_with("w.toml:2: host_key_files: must be a list, is \"a\""), "{text:?}");
}

#[test]
fn a_certificate_that_clients_would_not_take_is_refused() {
    let with = |certificate: &str, key: &str| {
        let files = [("key", key), ("cert", certificate)];
        refused(&files, "host_key_files = [\"key\"]\nhost_certificates = [\"cert\"]")
    };
    let other = with(fixture!("host-cert.pub"), fixture!("plain.key"));
    let expected = "w.toml:3: host_certificates: cert: it certifies a key that is not among the host keys: that has the \
                    fingerprint SHA256:";
    assert!(other.len() == 1 && other[0].starts_with(expected), "{other:?}");
    for (text, why) in [
        (fixture!("user-cert.pub"), "it is a user's certificate (`ssh-keygen -h` makes a host's)"),
        (fixture!("certified.pub"), "it is no certificate (`ssh-keygen -s AUTHORITY -h -I NAME KEY.pub` makes"),
        (fixture!("host_critical-cert.pub"), "it has the critical option force-command, and clients refuse"),
        (fixture!("host_sha1-cert.pub"), "the signature of its authority does not verify (it may be made with SHA-1)"),
    ] {
        let lines = with(text, CERTIFIED);
        let expected = format!("w.toml:3: host_certificates: cert: the host certificate cannot be used: {why}");
        assert!(lines.len() == 1 && lines[0].starts_with(&expected), "{lines:?}");
    }
    let missing = refused(&[("key", CERTIFIED)], "host_key_files = [\"key\"]\nhost_certificates = [\"cert\"]");
    assert_eq!(missing, ["w.toml:3: host_certificates: cert: is not there"]);
}

#[test]
fn a_certificate_that_has_expired_is_a_note() {
    let place = place(&[("key", CERTIFIED), ("cert", fixture!("host_expired-cert.pub"))]);
    let (errors, notes) = read(place.path(), "host_key_files = [\"key\"]\nhost_certificates = [\"cert\"]");
    assert_eq!(errors, [""; 0]);
    let expected = "w.toml:3: host_certificates: cert has expired: clients do not take it, and ask about the plain key";
    assert_eq!(notes, [expected]);
}

/// A tenant whose plugins may write there could take the server's identity.
#[test]
fn a_tenants_directory_never_holds_a_host_key() {
    let place = place(&[]);
    fs::create_dir(place.path().join("d")).unwrap();
    let path = place.path().join("d/key");
    fs::write(&path, CERTIFIED).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let tenant = "host_key_files = [\"d/key\"]\n[tenants.acme]\nplugin = \"echo\"\ngrants.directory = { path = \"d\" }";
    let lines = read(place.path(), tenant).0;
    assert!(lines.len() == 1 && lines[0].contains("a host key"), "{lines:?}");
}
