//! Host key rotation, OpenSSH `PROTOCOL` §2.5. After login the server tells its client every host key, and proves that
//! it holds those that the client does not know. So the client learns a new key before an old one is removed.

use std::sync::Arc;

use crate::crypto::hash::ExchangeHash;
use crate::crypto::key::{PublicKey, SignFailed};
use crate::wire::{Reader, Wire};

/// The server's announcement, a global request.
pub(super) const ANNOUNCE: &[u8] = b"hostkeys-00@openssh.com";
/// The client's request for proofs, a global request.
pub(super) const PROVE: &[u8] = b"hostkeys-prove-00@openssh.com";
/// The most keys of one request. Our limit: a client asks for those that it does not know. K36.
const MOST_KEYS: usize = 16;
/// The most requests of one connection. Our limit: a client asks once. K36.
pub(super) const MOST_REQUESTS: u32 = 4;

/// Prefixes of the software versions of clients that fail on the announcement. The list is that of OpenSSH's sshd.
const BROKEN_CLIENTS: [&[u8]; 12] = [
    b"Cisco-1.",
    b"TeraTerm SSH",
    b"TTSSH/1.5.",
    b"TTSSH/2.1",
    b"TTSSH/2.2",
    b"TTSSH/2.3",
    b"TTSSH/2.4",
    b"TTSSH/2.5",
    b"TTSSH/2.6",
    b"TTSSH/2.70",
    b"TTSSH/2.71",
    b"TTSSH/2.72",
];

/// Whether a client with this identification line accepts the announcement.
pub(super) fn accepts_announcement(identification: &[u8]) -> bool {
    // `SSH-2.0-` is followed by the software version. RFC 4253 §4.2.
    let software = identification.splitn(3, |byte| *byte == b'-').nth(2).unwrap_or_default();
    !BROKEN_CLIENTS.iter().any(|start| software.starts_with(start))
}

/// The body of the announcement: every host key.
pub(super) fn announcement(keys: &[Arc<PublicKey>]) -> Vec<u8> {
    let mut body = Vec::new();
    keys.iter().for_each(|key| key.blob().write(&mut body));
    body
}

/// A client's request for proofs that the server holds these host keys.
#[derive(Clone, Debug)]
pub struct HostKeyProofs {
    keys: Vec<Arc<PublicKey>>,
    /// The signature algorithm of the key exchange. An RSA key, which has two, signs with it again.
    agreed: &'static str,
    session_id: ExchangeHash,
}

impl HostKeyProofs {
    /// Reads a request. `None` if it is malformed, names no key or more than 16, or a key that is not among `ours`.
    pub(super) fn requested(
        body: &[u8],
        ours: &[Arc<PublicKey>],
        agreed: &'static str,
        session_id: &ExchangeHash,
    ) -> Option<HostKeyProofs> {
        let (mut reader, mut keys) = (Reader::new(body), Vec::new());
        while !reader.is_empty() {
            let blob = reader.string().ok().filter(|_| keys.len() < MOST_KEYS)?;
            keys.push(Arc::clone(ours.iter().find(|key| key.blob() == blob)?));
        }
        let asked = !keys.is_empty();
        asked.then(|| HostKeyProofs { keys, agreed, session_id: session_id.clone() })
    }

    /// The answer to the client: a signature with each key. `sign` signs with a key and an algorithm.
    ///
    /// # Errors
    /// That of `sign`.
    pub fn prove(
        &self,
        sign: impl Fn(&PublicKey, &str, &[u8]) -> Result<Vec<u8>, SignFailed>,
    ) -> Result<Vec<u8>, SignFailed> {
        let mut body = Vec::new();
        for key in &self.keys {
            let agreed = key.signatures().iter().find(|name| **name == self.agreed);
            let algorithm = agreed.or(key.signatures().first()).copied().unwrap_or_default();
            // It begins with the name of the request, so nobody can take the signature for one over an exchange hash or
            // for one of a login.
            let mut signed = Vec::new();
            for part in [PROVE, self.session_id.as_ref(), key.blob()] {
                part.write(&mut signed);
            }
            sign(key, algorithm, &signed)?.as_slice().write(&mut body);
        }
        Ok(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_that_fail_on_the_announcement_are_not_told() {
        for line in ["SSH-2.0-TTSSH/2.72 Win32", "SSH-2.0-Cisco-1.25", "SSH-1.99-TTSSH/1.5.4"] {
            assert!(!accepts_announcement(line.as_bytes()), "{line}");
        }
        for line in ["SSH-2.0-TTSSH/3.1 Win32", "SSH-2.0-OpenSSH_10.0", "SSH-2.0-Cisco-2.0", "SSH-2.0-", ""] {
            assert!(accepts_announcement(line.as_bytes()), "{line}");
        }
    }
}
