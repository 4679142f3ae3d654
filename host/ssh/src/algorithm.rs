//! The names of the algorithms in order of preference, and negotiation as one pure function. RFC 4253 §7.1.
//!
//! Markers such as `kex-strict-s-v00@openssh.com` stand in the same list as key exchange algorithms but are none: they are
//! looked for, never chosen.

use crate::crypto::agreement::Agreement;
use crate::crypto::cipher::Cipher;
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

/// Every key exchange that we can do, best first.
const KEX: [(&str, Agreement); 3] = [
    ("mlkem768x25519-sha256", Agreement::MlKem768X25519),
    ("curve25519-sha256", Agreement::Curve25519),
    ("curve25519-sha256@libssh.org", Agreement::Curve25519),
];

/// Every kind of host key that we can do, best first.
const HOST_KEYS: [&str; 1] = ["ssh-ed25519"];

/// All our ciphers bring their own integrity check, so none of these is ever used (RFC 5647 §5.1): they stand in the list
/// because some clients give up on an empty one.
const MACS: &str = "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com";

/// What we offer, best first. Names that are not known are refused when it is made, so it is right for ever.
#[derive(Clone, Debug)]
pub struct Preferences {
    kex: Vec<(&'static str, Agreement)>,
    ciphers: Vec<Cipher>,
}

impl Default for Preferences {
    fn default() -> Preferences {
        Preferences { kex: KEX.to_vec(), ciphers: Cipher::ALL.to_vec() }
    }
}

impl Preferences {
    /// Keeps only the named key exchanges, in the given order. The error is the name that is not known.
    pub fn with_kex<'n>(mut self, names: &[&'n str]) -> Result<Preferences, &'n str> {
        let known = |name: &&'n str| KEX.iter().copied().find(|(other, _)| other == name).ok_or(*name);
        self.kex = names.iter().map(known).collect::<Result<_, _>>()?;
        Ok(self)
    }

    /// Keeps only the named ciphers, in the given order. The error is the name that is not known.
    pub fn with_ciphers<'n>(mut self, names: &[&'n str]) -> Result<Preferences, &'n str> {
        self.ciphers = names.iter().map(|name| Cipher::from_name(name).ok_or(*name)).collect::<Result<_, _>>()?;
        Ok(self)
    }

    /// The names of the key exchanges.
    pub fn kex_names(&self) -> Vec<&'static str> {
        self.kex.iter().map(|(name, _)| *name).collect()
    }

    /// The names of the ciphers.
    pub fn cipher_names(&self) -> Vec<&'static str> {
        self.ciphers.iter().map(|cipher| cipher.name()).collect()
    }

    /// Our lists as a KEXINIT holds them. The markers stand only in the `first` one.
    pub fn offer(&self, role: Role, first: bool) -> Offer {
        let mut kex = self.kex_names();
        match role {
            _ if !first => {}
            Role::Server => kex.push(STRICT_SERVER),
            Role::Client => kex.extend([EXT_INFO_CLIENT, STRICT_CLIENT]),
        }
        Offer { kex: kex.join(","), host_keys: HOST_KEYS.join(","), ciphers: self.cipher_names().join(",") }
    }
}

/// Our lists, joined as they are sent.
#[derive(Clone, Debug)]
pub struct Offer {
    kex: String,
    host_keys: String,
    ciphers: String,
}

impl Offer {
    /// The message that makes the offer.
    pub fn message(&self, cookie: [u8; 16]) -> KexMessage<'_> {
        let (ciphers, none) = (NameList::new(&self.ciphers), NameList::new("none"));
        let (macs, empty) = (NameList::new(MACS), NameList::new(""));
        KexMessage::KexInit {
            cookie,
            kex: NameList::new(&self.kex),
            host_key: NameList::new(&self.host_keys),
            cipher_to_server: ciphers,
            cipher_to_client: ciphers,
            mac_to_server: macs,
            mac_to_client: macs,
            compression_to_server: none,
            compression_to_client: none,
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
    /// How the secret comes about.
    pub agreement: Agreement,
    /// The algorithm of the host key's signature.
    pub host_key: &'static str,
    /// From client to server.
    pub cipher_to_server: Cipher,
    /// From server to client.
    pub cipher_to_client: Cipher,
    /// The peer promises strict key exchange. Counts only in the first exchange.
    pub strict: bool,
    /// The peer understands EXT_INFO. Counts only in the first exchange.
    pub ext_info: bool,
    /// The next packet of the peer is a guess that missed: drop it unread. RFC 4253 §7.
    pub drop_guess: bool,
}

/// Finds what both sides can do: in each list the client's first that the server has too. RFC 4253 §7.1.
pub fn negotiate(role: Role, ours: &Preferences, theirs: &KexMessage<'_>) -> Result<Negotiated, Error> {
    let KexMessage::KexInit {
        kex,
        host_key,
        cipher_to_server,
        cipher_to_client,
        compression_to_server,
        compression_to_client,
        first_packet_follows,
        ..
    } = *theirs
    else {
        return Err(Error::Exhausted);
    };
    let chosen = choose(role, "key exchange", &ours.kex_names(), kex)?;
    let agreement = KEX.iter().find(|(name, _)| *name == chosen).map(|(_, agreement)| *agreement);
    let host = choose(role, "host key algorithm", &HOST_KEYS, host_key)?;
    let cipher = |list, direction| {
        let name = choose(role, direction, &ours.cipher_names(), list)?;
        Ok::<_, Error>(Cipher::from_name(name).expect("our list holds names of ciphers only"))
    };
    let (to_server, to_client) =
        (cipher(cipher_to_server, "cipher to server")?, cipher(cipher_to_client, "cipher to client")?);
    choose(role, "compression to server", &["none"], compression_to_server)?;
    choose(role, "compression to client", &["none"], compression_to_client)?;
    // A guess is right when both sides' first names agree, whether or not we know the peer's. RFC 4253 §7.
    let is_first = |list: NameList<'_>, ours: &[&str]| list.first() == ours.first().map(|name| name.as_bytes());
    let guessed = is_first(kex, &ours.kex_names()) && is_first(host_key, &HOST_KEYS);
    let peer_marker = match role {
        Role::Server => STRICT_CLIENT,
        Role::Client => STRICT_SERVER,
    };
    Ok(Negotiated {
        kex: chosen,
        agreement: agreement.expect("the choice is from our list"),
        host_key: host,
        cipher_to_server: to_server,
        cipher_to_client: to_client,
        strict: kex.contains(peer_marker),
        ext_info: role == Role::Server && kex.contains(EXT_INFO_CLIENT),
        drop_guess: first_packet_follows && !guessed,
    })
}

/// The client's first name that the server has too.
fn choose(role: Role, kind: &'static str, ours: &[&'static str], theirs: NameList<'_>) -> Result<&'static str, Error> {
    let chosen = match role {
        Role::Server => theirs.iter().find_map(|name| ours.iter().find(|our| our.as_bytes() == name)),
        Role::Client => ours.iter().find(|name| theirs.contains(name)),
    };
    chosen.copied().ok_or_else(|| Error::Incompatible { kind, ours: ours.join(","), theirs: theirs.quote() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(kex: &str, host_key: &str, follows: bool) -> Result<Negotiated, Error> {
        let offer = Preferences::default().offer(Role::Client, true);
        let KexMessage::KexInit { cookie, cipher_to_server, mac_to_server, compression_to_server, .. } =
            offer.message([0; 16])
        else {
            unreachable!()
        };
        let theirs = KexMessage::KexInit {
            cookie,
            kex: NameList::new(kex),
            host_key: NameList::new(host_key),
            cipher_to_server,
            cipher_to_client: NameList::new("aes128-gcm@openssh.com"),
            mac_to_server,
            mac_to_client: mac_to_server,
            compression_to_server,
            compression_to_client: compression_to_server,
            languages_to_server: NameList::new(""),
            languages_to_client: NameList::new(""),
            first_packet_follows: follows,
            reserved: 7,
        };
        negotiate(Role::Server, &Preferences::default(), &theirs)
    }

    #[test]
    fn the_clients_order_decides() {
        let chosen = client("curve25519-sha256,mlkem768x25519-sha256", "ssh-rsa,ssh-ed25519", false).unwrap();
        assert_eq!((chosen.kex, chosen.host_key), ("curve25519-sha256", "ssh-ed25519"));
        assert_eq!(chosen.cipher_to_server, Cipher::ALL[0]);
        assert_eq!(chosen.cipher_to_client, Cipher::Aes128Gcm);
        assert!(!chosen.strict && !chosen.ext_info && !chosen.drop_guess);
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

    #[test]
    fn a_name_that_is_not_known_is_no_preference() {
        assert_eq!(Preferences::default().with_ciphers(&["aes256-gcm@openssh.com", "rot13"]).err(), Some("rot13"));
        assert_eq!(Preferences::default().with_kex(&["kex-strict-s-v00@openssh.com"]).err(), Some(STRICT_SERVER));
    }
}
