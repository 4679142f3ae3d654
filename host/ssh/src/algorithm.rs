//! The names of the algorithms in order of preference, and negotiation as one pure function. RFC 4253 §7.1.
//!
//! Markers such as `kex-strict-s-v00@openssh.com` stand in the list of key exchange algorithms but are never chosen.

use crate::crypto::agreement::{self, Agreement};
use crate::crypto::cipher::{Cipher, Suite};
use crate::crypto::key::{HOST_SIGNATURES, HostCertificate};
use crate::crypto::mac::Mac;
use crate::error::Error;
use crate::message::Role;
use crate::message::kex::KexMessage;
use crate::wire::NameList;

/// The client's promise of strict key exchange. OpenSSH PROTOCOL §1.9.
pub const STRICT_CLIENT: &str = "kex-strict-c-v00@openssh.com";
/// The server's promise of strict key exchange. OpenSSH PROTOCOL §1.9.
pub const STRICT_SERVER: &str = "kex-strict-s-v00@openssh.com";
/// The client understands EXT_INFO. RFC 8308 §2.1.
pub const EXT_INFO_CLIENT: &str = "ext-info-c";
/// The server understands EXT_INFO. RFC 8308 §2.1.
pub const EXT_INFO_SERVER: &str = "ext-info-s";

/// How the payloads of one direction are compressed. RFC 4253 §6.2.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Compression {
    /// Not at all.
    None,
    /// By zlib, after authentication: `zlib@openssh.com`. The method `zlib` is not supported, because it would
    /// decompress data of strangers.
    ZlibDelayed,
}

impl Compression {
    /// Every method.
    pub const ALL: [Compression; 2] = [Compression::None, Compression::ZlibDelayed];

    /// Its name in SSH.
    pub fn name(self) -> &'static str {
        match self {
            Compression::None => "none",
            Compression::ZlibDelayed => "zlib@openssh.com",
        }
    }
}

/// Every host key algorithm, best first: those of certificates come before the plain ones, as in OpenSSH.
fn host_key_algorithms() -> impl Iterator<Item = &'static str> {
    HostCertificate::all_algorithms().chain(HOST_SIGNATURES.iter().copied())
}

/// What we offer, best first. The constructors refuse unknown names.
#[derive(Clone, Debug)]
pub struct Preferences {
    kex: Vec<(&'static str, Agreement)>,
    ciphers: Vec<Cipher>,
    macs: Vec<Mac>,
    host_keys: Vec<&'static str>,
    compression: Vec<Compression>,
}

impl Default for Preferences {
    fn default() -> Preferences {
        let kex = agreement::ALL.iter().copied().filter(|(_, agreement)| agreement.is_default()).collect();
        Preferences { kex, compression: vec![Compression::None], ..Preferences::everything() }
    }
}

impl Preferences {
    /// Every algorithm, those that are off by default included.
    pub fn everything() -> Preferences {
        let (ciphers, macs) = (Cipher::ALL.to_vec(), Mac::ALL.to_vec());
        let (kex, host_keys) = (agreement::ALL.to_vec(), host_key_algorithms().collect());
        Preferences { kex, ciphers, macs, host_keys, compression: Compression::ALL.to_vec() }
    }

    /// The defaults without whatever ssh-audit complains of: key exchanges without a post-quantum part, the curves of
    /// NIST, and MACs over the clear text.
    pub fn strict() -> Preferences {
        let mut strict = Preferences::default();
        strict.kex.retain(|(_, agreement)| agreement.is_post_quantum());
        strict.macs.retain(|mac| mac.encrypts_first());
        strict.host_keys.retain(|name| !name.starts_with("ecdsa-"));
        strict
    }

    /// Keeps only the named key exchanges, in the given order. The error is the unknown name.
    pub fn with_kex<'n>(mut self, names: &[&'n str]) -> Result<Preferences, &'n str> {
        let known = |name: &&'n str| agreement::ALL.iter().copied().find(|(other, _)| other == name).ok_or(*name);
        self.kex = names.iter().map(known).collect::<Result<_, _>>()?;
        Ok(self)
    }

    /// Keeps only the named ciphers, in the given order. The error is the unknown name.
    pub fn with_ciphers<'n>(mut self, names: &[&'n str]) -> Result<Preferences, &'n str> {
        self.ciphers = names.iter().map(|name| Cipher::from_name(name).ok_or(*name)).collect::<Result<_, _>>()?;
        Ok(self)
    }

    /// Keeps only the named MACs, in the given order. Only ciphers that are not AEADs use a MAC; the list is always
    /// sent, because some clients reject an empty one. The error is the unknown name.
    pub fn with_macs<'n>(mut self, names: &[&'n str]) -> Result<Preferences, &'n str> {
        self.macs = names.iter().map(|name| Mac::from_name(name).ok_or(*name)).collect::<Result<_, _>>()?;
        Ok(self)
    }

    /// Keeps only the named host key algorithms, in the given order. A server offers those that its keys can sign with.
    /// The error is the unknown name.
    pub fn with_host_key_algorithms<'n>(mut self, names: &[&'n str]) -> Result<Preferences, &'n str> {
        let known = |name: &&'n str| host_key_algorithms().find(|other| other == name).ok_or(*name);
        self.host_keys = names.iter().map(known).collect::<Result<_, _>>()?;
        Ok(self)
    }

    /// Keeps only the named methods of compression, in the given order. The error is the unknown name.
    pub fn with_compression<'n>(mut self, names: &[&'n str]) -> Result<Preferences, &'n str> {
        let known = |name: &&'n str| Compression::ALL.into_iter().find(|other| other.name() == *name).ok_or(*name);
        self.compression = names.iter().map(known).collect::<Result<_, _>>()?;
        Ok(self)
    }

    /// Offers no compression.
    #[must_use]
    pub fn without_compression(mut self) -> Preferences {
        self.compression = vec![Compression::None];
        self
    }

    /// The names of the host key algorithms, those of certificates included.
    pub fn host_key_algorithm_names(&self) -> &[&'static str] {
        &self.host_keys
    }

    /// The names of the key exchanges.
    pub fn kex_names(&self) -> Vec<&'static str> {
        self.kex.iter().map(|(name, _)| *name).collect()
    }

    /// The names of the ciphers.
    pub fn cipher_names(&self) -> Vec<&'static str> {
        self.ciphers.iter().map(|cipher| cipher.name()).collect()
    }

    /// The names of the MACs.
    pub fn mac_names(&self) -> Vec<&'static str> {
        self.macs.iter().map(|mac| mac.name()).collect()
    }

    /// The names of the methods of compression.
    pub fn compression_names(&self) -> Vec<&'static str> {
        self.compression.iter().map(|compression| compression.name()).collect()
    }

    /// Our lists for a KEXINIT. `host_keys` are the host key algorithms that we can sign with or verify. Only the
    /// `first` KEXINIT has the markers.
    pub fn offer(&self, role: Role, host_keys: &[&str], first: bool) -> Offer {
        let mut kex = self.kex_names();
        match role {
            _ if !first => {}
            Role::Server => kex.extend([EXT_INFO_SERVER, STRICT_SERVER]),
            Role::Client => kex.extend([EXT_INFO_CLIENT, STRICT_CLIENT]),
        }
        Offer {
            kex: kex.join(","),
            host_keys: host_keys.join(","),
            ciphers: self.cipher_names().join(","),
            macs: self.mac_names().join(","),
            compression: self.compression_names().join(","),
        }
    }
}

/// Our lists, joined as they are sent.
#[derive(Clone, Debug)]
pub struct Offer {
    kex: String,
    host_keys: String,
    ciphers: String,
    macs: String,
    compression: String,
}

impl Offer {
    /// The message that makes the offer.
    pub fn message(&self, cookie: [u8; 16]) -> KexMessage<'_> {
        let (ciphers, compression) = (NameList::new(&self.ciphers), NameList::new(&self.compression));
        let (macs, empty) = (NameList::new(&self.macs), NameList::new(""));
        KexMessage::KexInit {
            cookie,
            kex: NameList::new(&self.kex),
            host_key: NameList::new(&self.host_keys),
            cipher_to_server: ciphers,
            cipher_to_client: ciphers,
            mac_to_server: macs,
            mac_to_client: macs,
            compression_to_server: compression,
            compression_to_client: compression,
            languages_to_server: empty,
            languages_to_client: empty,
            first_packet_follows: false,
            reserved: 0,
        }
    }
}

/// What both sides will use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Negotiated {
    /// The name of the key exchange.
    pub kex: &'static str,
    /// How both sides agree on the secret.
    pub agreement: Agreement,
    /// The algorithm of the host key's signature.
    pub host_key: &'static str,
    /// From client to server.
    pub cipher_to_server: Cipher,
    /// From server to client.
    pub cipher_to_client: Cipher,
    /// From client to server, if the cipher needs one.
    pub mac_to_server: Option<Mac>,
    /// From server to client, if the cipher needs one.
    pub mac_to_client: Option<Mac>,
    /// From client to server.
    pub compression_to_server: Compression,
    /// From server to client.
    pub compression_to_client: Compression,
    /// The peer promises strict key exchange. Meaningful in the first exchange only.
    pub strict: bool,
    /// The peer understands EXT_INFO. Meaningful in the first exchange only.
    pub ext_info: bool,
    /// The next packet of the peer is a guess that missed: drop it unread. RFC 4253 §7.
    pub drop_guess: bool,
}

impl Negotiated {
    /// Whether what `sender` sends after login is compressed.
    pub(crate) fn is_compressed(&self, sender: Role) -> bool {
        let method = match sender {
            Role::Server => self.compression_to_client,
            Role::Client => self.compression_to_server,
        };
        method == Compression::ZlibDelayed
    }

    /// The protection of packets from client to server.
    pub(crate) fn suite_to_server(&self) -> Option<Suite> {
        Suite::new(self.cipher_to_server, self.mac_to_server)
    }

    /// The protection of packets from server to client.
    pub(crate) fn suite_to_client(&self) -> Option<Suite> {
        Suite::new(self.cipher_to_client, self.mac_to_client)
    }
}

/// The lists of the peer's KEXINIT that matter. Languages are ignored.
#[derive(Clone, Copy, Debug)]
pub struct PeerLists<'a> {
    /// Methods of key exchange, and markers.
    pub kex: NameList<'a>,
    /// Host key algorithms.
    pub host_key: NameList<'a>,
    /// Ciphers from client to server.
    pub cipher_to_server: NameList<'a>,
    /// Ciphers from server to client.
    pub cipher_to_client: NameList<'a>,
    /// MACs from client to server. Ignored if the cipher needs none.
    pub mac_to_server: NameList<'a>,
    /// MACs from server to client. Ignored if the cipher needs none.
    pub mac_to_client: NameList<'a>,
    /// Compression from client to server.
    pub compression_to_server: NameList<'a>,
    /// Compression from server to client.
    pub compression_to_client: NameList<'a>,
    /// The peer's next packet belongs to the key exchange method that it guessed. RFC 4253 §7.
    pub first_packet_follows: bool,
}

/// Chooses the algorithms: in each list the client's first name that the server supports. RFC 4253 §7.1. `host_keys`
/// are the host key algorithms that we can sign with or verify.
///
/// # Errors
/// [`Error::Incompatible`] with the first of the lists that have no name in common.
pub fn negotiate(
    role: Role,
    ours: &Preferences,
    host_keys: &[&'static str],
    theirs: &PeerLists<'_>,
) -> Result<Negotiated, Error> {
    let named = |(name, _): &(&'static str, Agreement)| *name;
    let (kex, agreement) = choose(role, "key exchange", &ours.kex, named, theirs.kex)?;
    let host_key = choose(role, "host key algorithm", host_keys, |name| name, theirs.host_key)?;
    let cipher = |list, direction| choose(role, direction, &ours.ciphers, |cipher| cipher.name(), list);
    let cipher_to_server = cipher(theirs.cipher_to_server, "cipher to server")?;
    let cipher_to_client = cipher(theirs.cipher_to_client, "cipher to client")?;
    let mac = |cipher: Cipher, list, direction| {
        let chosen = || choose(role, direction, &ours.macs, |mac| mac.name(), list);
        cipher.needs_mac().then(chosen).transpose()
    };
    let mac_to_server = mac(cipher_to_server, theirs.mac_to_server, "MAC to server")?;
    let mac_to_client = mac(cipher_to_client, theirs.mac_to_client, "MAC to client")?;
    let compression = |list, direction| choose(role, direction, &ours.compression, |method| method.name(), list);
    let compression_to_server = compression(theirs.compression_to_server, "compression to server")?;
    let compression_to_client = compression(theirs.compression_to_client, "compression to client")?;
    // A guess is right when the first names of both sides agree, whether or not we know the peer's. RFC 4253 §7.
    let is_first = |list: NameList<'_>, ours: Option<&str>| list.first() == ours.map(str::as_bytes);
    let guessed =
        is_first(theirs.kex, ours.kex.first().map(named)) && is_first(theirs.host_key, host_keys.first().copied());
    let (strict, ext_info) = match role {
        Role::Server => (STRICT_CLIENT, EXT_INFO_CLIENT),
        Role::Client => (STRICT_SERVER, EXT_INFO_SERVER),
    };
    Ok(Negotiated {
        kex,
        agreement,
        host_key,
        cipher_to_server,
        cipher_to_client,
        mac_to_server,
        mac_to_client,
        compression_to_server,
        compression_to_client,
        strict: theirs.kex.contains(strict),
        ext_info: theirs.kex.contains(ext_info),
        drop_guess: theirs.first_packet_follows && !guessed,
    })
}

/// The client's first name that the server supports too, as an entry of our table. `named` gives the name of an entry.
fn choose<T: Copy>(
    role: Role,
    kind: &'static str,
    ours: &[T],
    named: impl Fn(&T) -> &'static str,
    theirs: NameList<'_>,
) -> Result<T, Error> {
    let chosen = match role {
        Role::Server => theirs.iter().find_map(|name| ours.iter().find(|our| named(our).as_bytes() == name)),
        Role::Client => ours.iter().find(|our| theirs.contains(named(our))),
    };
    chosen.copied().ok_or_else(|| {
        let ours = ours.iter().map(named).collect::<Vec<_>>().join(",");
        Error::Incompatible { kind, ours, theirs: theirs.quote() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(kex: &str, host_key: &str, follows: bool) -> Result<Negotiated, Error> {
        let ciphers = Preferences::default().cipher_names().join(",");
        let theirs = PeerLists {
            kex: NameList::new(kex),
            host_key: NameList::new(host_key),
            cipher_to_server: NameList::new(&ciphers),
            cipher_to_client: NameList::new("aes128-gcm@openssh.com"),
            mac_to_server: NameList::new("none"),
            mac_to_client: NameList::new(""),
            compression_to_server: NameList::new("none"),
            compression_to_client: NameList::new("none"),
            first_packet_follows: follows,
        };
        negotiate(Role::Server, &Preferences::default(), &["ssh-ed25519"], &theirs)
    }

    #[test]
    fn the_clients_order_decides() {
        let chosen = client("curve25519-sha256,mlkem768x25519-sha256", "ssh-rsa,ssh-ed25519", false).unwrap();
        assert_eq!((chosen.kex, chosen.host_key), ("curve25519-sha256", "ssh-ed25519"));
        assert_eq!(chosen.cipher_to_server, Cipher::ALL[0]);
        assert_eq!(chosen.cipher_to_client, Cipher::Aes128Gcm);
        assert!(!chosen.strict && !chosen.ext_info && !chosen.drop_guess);
    }

    fn with_macs(ciphers: (&str, &str), macs: (&str, &str)) -> Result<Negotiated, Error> {
        let theirs = PeerLists {
            kex: NameList::new("curve25519-sha256"),
            host_key: NameList::new("ssh-ed25519"),
            cipher_to_server: NameList::new(ciphers.0),
            cipher_to_client: NameList::new(ciphers.1),
            mac_to_server: NameList::new(macs.0),
            mac_to_client: NameList::new(macs.1),
            compression_to_server: NameList::new("none"),
            compression_to_client: NameList::new("none"),
            first_packet_follows: false,
        };
        negotiate(Role::Server, &Preferences::default(), &["ssh-ed25519"], &theirs)
    }

    #[test]
    fn a_mac_is_chosen_for_each_direction_whose_cipher_needs_one() {
        let both = ("hmac-md5,hmac-sha2-512", "hmac-sha2-256-etm@openssh.com");
        let chosen = with_macs(("aes128-ctr", "aes256-ctr"), both).unwrap();
        assert_eq!(chosen.suite_to_server(), Suite::new(Cipher::Aes128Ctr, Some(Mac::HmacSha512)));
        assert_eq!(chosen.suite_to_client(), Suite::new(Cipher::Aes256Ctr, Some(Mac::HmacSha256Etm)));

        let chosen = with_macs(("aes128-gcm@openssh.com", "aes192-ctr"), ("hmac-md5", "hmac-sha2-256")).unwrap();
        assert_eq!((chosen.mac_to_server, chosen.mac_to_client), (None, Some(Mac::HmacSha256)));

        let refused = |macs| with_macs(("aes128-ctr", "aes128-ctr"), macs).unwrap_err();
        for macs in [("hmac-md5", "hmac-sha2-256"), ("", "hmac-sha2-256"), ("none", "hmac-sha2-256")] {
            assert!(matches!(refused(macs), Error::Incompatible { kind: "MAC to server", .. }));
        }
        let error = refused(("hmac-sha2-256", "hmac-sha1,umac-64@openssh.com"));
        assert!(matches!(error, Error::Incompatible { kind: "MAC to client", .. }), "{error}");
    }

    /// K6.
    #[test]
    fn markers_are_never_chosen() {
        for markers in [STRICT_SERVER, STRICT_CLIENT, "ext-info-s", "ext-info-c,kex-strict-c-v00@openssh.com"] {
            assert!(matches!(client(markers, "ssh-ed25519", false), Err(Error::Incompatible { .. })), "{markers}");
        }
        let chosen = client("ext-info-c,kex-strict-c-v00@openssh.com,curve25519-sha256", "ssh-ed25519", false).unwrap();
        assert!(chosen.strict && chosen.ext_info);
    }

    /// K21, K22.
    #[test]
    fn a_guess_is_right_when_both_first_names_agree() {
        assert!(!client("mlkem768x25519-sha256", "ssh-ed25519", true).unwrap().drop_guess);
        assert!(client("curve25519-sha256", "ssh-ed25519", true).unwrap().drop_guess);
        assert!(client("bogus@x,curve25519-sha256", "ssh-ed25519", true).unwrap().drop_guess);
        assert!(client("mlkem768x25519-sha256", "ssh-rsa,ssh-ed25519", true).unwrap().drop_guess);
    }

    /// A server offers the signatures of its host keys and takes the client's first that it has.
    #[test]
    fn host_keys_are_chosen_by_the_signatures_that_they_make() {
        let name = NameList::new;
        let theirs = PeerLists {
            kex: name("curve25519-sha256"),
            host_key: name("rsa-sha2-512,ssh-ed25519"),
            cipher_to_server: name("aes128-gcm@openssh.com"),
            cipher_to_client: name("aes128-gcm@openssh.com"),
            mac_to_server: name(""),
            mac_to_client: name(""),
            compression_to_server: name("none"),
            compression_to_client: name("none"),
            first_packet_follows: false,
        };
        let chosen = |ours: &[&'static str]| negotiate(Role::Server, &Preferences::default(), ours, &theirs);
        assert_eq!(chosen(&["ssh-ed25519", "rsa-sha2-512"]).unwrap().host_key, "rsa-sha2-512");
        assert_eq!(chosen(&["ssh-ed25519"]).unwrap().host_key, "ssh-ed25519");
        let error = chosen(&["ecdsa-sha2-nistp256"]).unwrap_err();
        assert!(matches!(error, Error::Incompatible { kind: "host key algorithm", .. }), "{error}");
        assert!(chosen(&[]).is_err());
    }

    #[test]
    fn compression_is_chosen_for_each_direction_and_off_by_default() {
        let ciphers = Preferences::default().cipher_names().join(",");
        let chosen = |ours: &[&str], to_server, to_client| {
            let theirs = PeerLists {
                kex: NameList::new("curve25519-sha256"),
                host_key: NameList::new("ssh-ed25519"),
                cipher_to_server: NameList::new(&ciphers),
                cipher_to_client: NameList::new(&ciphers),
                mac_to_server: NameList::new(""),
                mac_to_client: NameList::new(""),
                compression_to_server: NameList::new(to_server),
                compression_to_client: NameList::new(to_client),
                first_packet_follows: false,
            };
            let ours = Preferences::default().with_compression(ours).unwrap();
            let chosen = negotiate(Role::Server, &ours, &["ssh-ed25519"], &theirs);
            chosen.map(|chosen| (chosen.compression_to_server, chosen.compression_to_client))
        };
        let (none, zlib) = (Compression::None, Compression::ZlibDelayed);
        let both = ["none", "zlib@openssh.com"];
        assert_eq!(Preferences::default().compression_names(), ["none"]);
        assert_eq!(chosen(&both, "zlib@openssh.com,zlib,none", "none,zlib@openssh.com"), Ok((zlib, none)));
        assert_eq!(chosen(&both, "zlib,none", "zlib,zlib@openssh.com"), Ok((none, zlib)));
        assert_eq!(chosen(&["none"], "zlib@openssh.com,none", "none"), Ok((none, none)));
        let error = chosen(&both, "zlib@openssh.com", "zlib").unwrap_err();
        assert!(matches!(error, Error::Incompatible { kind: "compression to client", .. }), "{error}");
        assert!(chosen(&["zlib@openssh.com"], "none", "none").is_err());
    }

    #[test]
    fn diffie_hellman_modulo_a_prime_is_offered_by_setting_only() {
        let groups = ["diffie-hellman-group14-sha256", "diffie-hellman-group16-sha512"];
        assert!(Preferences::default().kex_names().iter().all(|name| !groups.contains(name)));
        assert_eq!(Preferences::default().with_kex(&groups).unwrap().kex_names(), groups);
        for weak in ["diffie-hellman-group1-sha1", "diffie-hellman-group14-sha1", "diffie-hellman-group18-sha512"] {
            assert_eq!(Preferences::default().with_kex(&[weak]).err(), Some(weak));
        }
    }

    #[test]
    fn an_unknown_name_is_refused() {
        assert_eq!(Preferences::default().with_ciphers(&["aes256-gcm@openssh.com", "rot13"]).err(), Some("rot13"));
        assert_eq!(Preferences::default().with_macs(&["hmac-sha2-256", "hmac-sha1"]).err(), Some("hmac-sha1"));
        let few = Preferences::default().with_macs(&["hmac-sha2-512", "hmac-sha2-256"]).unwrap();
        assert_eq!(few.mac_names(), ["hmac-sha2-512", "hmac-sha2-256"]);
        assert_eq!(Preferences::default().with_compression(&["none", "zlib"]).err(), Some("zlib"));
        assert_eq!(
            Preferences::default().with_host_key_algorithms(&["rsa-sha2-256", "ssh-rsa"]).err(),
            Some("ssh-rsa")
        );
        assert_eq!(Preferences::default().with_kex(&["kex-strict-s-v00@openssh.com"]).err(), Some(STRICT_SERVER));
    }
}
