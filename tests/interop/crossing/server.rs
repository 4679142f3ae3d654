//! The servers that clients cross: Whelk and OpenSSH's sshd, with every algorithm, or narrowed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tempfile::TempDir;
use whelk_tests::AlgorithmKind::{self, Cipher, Compression, Kex, Key, Mac};
use whelk_tests::{Access, Call, Client, Gateway, Keys, Setup, Sshd, has_ring, provider_has, write_script};

/// A kind, the settings of Whelk and of sshd for it, and names.
type AlgorithmNames<'n> = (AlgorithmKind, &'static str, &'static str, &'n [&'static str]);

/// Every name that Whelk knows. A name that Whelk loses is missed here.
const EVERYTHING: [AlgorithmNames; 5] = [
    (
        Kex,
        "key_exchange",
        "KexAlgorithms",
        &[
            "mlkem768x25519-sha256",
            "mlkem768nistp256-sha256",
            "sntrup761x25519-sha512",
            "sntrup761x25519-sha512@openssh.com",
            "curve25519-sha256",
            "curve25519-sha256@libssh.org",
            "ecdh-sha2-nistp256",
            "ecdh-sha2-nistp384",
            "ecdh-sha2-nistp521",
            "diffie-hellman-group16-sha512",
            "diffie-hellman-group14-sha256",
        ],
    ),
    (
        Key,
        "host_key_algorithms",
        "HostKeyAlgorithms",
        &[
            "ssh-ed25519",
            "ecdsa-sha2-nistp256",
            "ecdsa-sha2-nistp384",
            "ecdsa-sha2-nistp521",
            "rsa-sha2-512",
            "rsa-sha2-256",
        ],
    ),
    (
        Cipher,
        "ciphers",
        "Ciphers",
        &[
            "chacha20-poly1305@openssh.com",
            "aes256-gcm@openssh.com",
            "aes128-gcm@openssh.com",
            "aes256-ctr",
            "aes192-ctr",
            "aes128-ctr",
        ],
    ),
    (
        Mac,
        "macs",
        "MACs",
        &["hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512"],
    ),
    (Compression, "compression", "Compression", &["none", "zlib@openssh.com"]),
];

/// Every name of a kind that the program's provider has.
pub(crate) fn names_of(kind: AlgorithmKind) -> Vec<&'static str> {
    let of = EVERYTHING.iter().filter(|(one, ..)| *one == kind);
    of.flat_map(|(.., names)| names.iter().copied()).filter(|name| provider_has(name)).collect()
}

/// The cipher with which MACs are crossed: AEADs bring their own check.
pub(super) const WITH_MAC: &str = "aes256-ctr";

/// The host keys of both servers, by ssh-keygen's names.
const HOST_KEYS: [&[&str]; 5] = [&["ed25519"], &["ecdsa"], &["ecdsa", "-b", "384"], &["ecdsa", "-b", "521"], &["rsa"]];

/// What sshd runs for every command: what the plugin `probe` does, as far as the crossings use it.
const PROBE: &str = "\
set -- $SSH_ORIGINAL_COMMAND
case $1 in
    exit) exit \"$2\" ;;
    zeros) exec head -c \"$2\" /dev/zero ;;
    stderr) shift; printf %s \"$*\" >&2 ;;
    signal) kill -s \"$2\" $$ ;;
    *) exec cat ;;
esac";

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Make {
    Whelk,
    Sshd,
}

/// How a server differs from one that offers everything.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Narrowed {
    Not,
    /// It offers only this name of its kind.
    Only(AlgorithmKind, &'static str),
    /// It changes keys after so many KiB.
    Rekey(u32),
}

/// A running server.
pub(super) struct Server {
    process: Process,
    user: String,
    fingerprints: Vec<String>,
    access: Access,
}

enum Process {
    Whelk(Gateway),
    Sshd(Sshd),
}

impl Server {
    pub(super) fn port(&self) -> u16 {
        match &self.process {
            Process::Whelk(gateway) => gateway.port(),
            Process::Sshd(sshd) => sshd.port(),
        }
    }

    /// A call of a client that logs in here.
    pub(super) fn call(&self, client: Client) -> Call {
        Call::to(client, self.port(), &self.user).trusting(&self.fingerprints).access(self.access.clone())
    }

    /// Ends it in order.
    fn end(self) {
        if let Process::Whelk(gateway) = self.process {
            gateway.end();
        }
    }
}

/// The servers of one make, each started when the first client needs it, and one credential for all.
pub(super) struct Servers {
    pub(super) make: Make,
    access: Access,
    line: String,
    host_keys: Vec<Keys>,
    folder: TempDir,
    running: Mutex<BTreeMap<Narrowed, Arc<OnceLock<Server>>>>,
}

impl Servers {
    pub(super) fn new(make: Make) -> Self {
        let (access, line) = Access::fresh_key();
        let folder = tempfile::Builder::new().prefix("whelk-").tempdir().expect("a temporary folder");
        write_script(&folder.path().join("probe"), PROBE);
        let has = |options: &&&[&str]| !options.contains(&"521") || !has_ring();
        let host_keys = HOST_KEYS.iter().filter(has).map(|options| Keys::generate(options)).collect();
        Self { make, access, line, host_keys, folder, running: Mutex::default() }
    }

    /// Does something with a server of this kind.
    pub(super) fn with<T>(&self, narrowed: Narrowed, work: impl FnOnce(&Server) -> T) -> T {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let server = Arc::clone(running.entry(narrowed.clone()).or_default());
        drop(running);
        work(server.get_or_init(|| match self.make {
            Make::Whelk => self.whelk(&narrowed),
            Make::Sshd => self.sshd(&narrowed),
        }))
    }

    fn whelk(&self, narrowed: &Narrowed) -> Server {
        let setup = Setup::default();
        std::fs::write(setup.folder().join("keys"), &self.line).expect("our own folder");
        let mut text = self.host_key_settings();
        if let Narrowed::Rekey(kib) = narrowed {
            text += &format!("[limits]\nrekey_bytes = \"{kib} KiB\"\n");
        }
        text += "[algorithms]\n";
        for (kind, setting, ..) in EVERYTHING {
            text += &match narrowed {
                Narrowed::Only(one, name) if *one == kind => format!("{setting} = [{name:?}]\n"),
                Narrowed::Only(Mac, _) if kind == Cipher => format!("{setting} = [{WITH_MAC:?}]\n"),
                _ => format!("{setting} = {:?}\n", names_of(kind)),
            };
        }
        text += "[users.probe]\nplugin = \"probe\"\nauthorized_keys = \"keys\"\n";
        let gateway = setup.configuration(&text).start();
        let fingerprints = gateway.fingerprints();
        Server { process: Process::Whelk(gateway), user: "probe".to_owned(), fingerprints, access: self.access.clone() }
    }

    fn host_key_settings(&self) -> String {
        let files: Vec<_> = self.host_keys.iter().map(Keys::openssh).collect();
        format!("host_key_files = {files:?}\n")
    }

    fn sshd(&self, narrowed: &Narrowed) -> Server {
        // The first value of a setting counts.
        let mut text = match narrowed {
            Narrowed::Only(kind, name) if *kind != Compression => {
                let setting = EVERYTHING.iter().find(|(one, ..)| one == kind).map_or("", |(_, _, setting, _)| setting);
                let cipher = if *kind == Mac { format!("Ciphers {WITH_MAC}\n") } else { String::new() };
                format!("{setting} {name}\n{cipher}")
            }
            Narrowed::Not | Narrowed::Only(..) => String::new(),
            Narrowed::Rekey(kib) => format!("RekeyLimit {kib}K\n"),
        };
        text += "KexAlgorithms +diffie-hellman-group14-sha256,diffie-hellman-group16-sha512\nCompression yes\n\
                 MaxStartups 1000\nMaxSessions 64\n";
        // The first is of the type of the one that it has anyway.
        for key in &self.host_keys[1..] {
            text += &format!("HostKey {}\n", key.openssh().display());
        }
        text += &format!("ForceCommand {}\n", self.folder.path().join("probe").display());
        let sshd = Sshd::start(&self.line, &text);
        let (user, fingerprints) = (sshd.user().to_owned(), sshd.fingerprints().to_vec());
        Server { process: Process::Sshd(sshd), user, fingerprints, access: self.access.clone() }
    }

    /// Ends all of them in order.
    pub(super) fn end(self) {
        let running = self.running.into_inner().unwrap_or_else(PoisonError::into_inner);
        running.into_values().filter_map(|server| Arc::into_inner(server)?.into_inner()).for_each(Server::end);
    }
}
