//! Logins of many users, each with a certificate of its own, by one authority.

use std::io;
use std::path::Path;
use std::sync::Arc;

use whelk_ssh::crypto::key::HostKey;

use crate::peer::Wish;

/// OpenSSH's name for a certificate of an Ed25519 key.
const CERTIFICATE: &str = "ssh-ed25519-cert-v01@openssh.com";
/// How much of the blob of an Ed25519 key is its type, with its length: the key follows.
const TYPE: usize = 4 + "ssh-ed25519".len();
/// SSH_CERT_TYPE_USER of OpenSSH's PROTOCOL.certkeys.
const USER: u32 = 1;

/// Who signs.
pub(crate) struct Authority(HostKey);

impl Authority {
    /// From a private key in OpenSSH's format.
    pub(crate) fn read(file: &Path) -> io::Result<Authority> {
        HostKey::from_openssh(&std::fs::read_to_string(file)?).map(Authority).map_err(io::Error::other)
    }

    /// The wish of a user, whose name has the number in place of `{}`: with a certificate for this name, always valid.
    pub(crate) fn wish(&self, wish: &Wish, key: &Arc<HostKey>, number: u32) -> Wish {
        let user = wish.user.replace("{}", &number.to_string());
        let mut blob = Vec::new();
        put(&mut blob, CERTIFICATE.as_bytes());
        put(&mut blob, &[0; 32]);
        blob.extend(&key.public().blob()[TYPE..]);
        blob.extend(u64::from(number).to_be_bytes());
        blob.extend(USER.to_be_bytes());
        put(&mut blob, format!("the certificate of {user}").as_bytes());
        let mut principals = Vec::new();
        put(&mut principals, user.as_bytes());
        put(&mut blob, &principals);
        blob.extend(0_u64.to_be_bytes());
        blob.extend(u64::MAX.to_be_bytes());
        // No critical options, the extension that permits a terminal, and what is reserved.
        put(&mut blob, b"");
        let mut extensions = Vec::new();
        put(&mut extensions, b"permit-pty");
        put(&mut extensions, b"");
        put(&mut blob, &extensions);
        put(&mut blob, b"");
        put(&mut blob, self.0.public().blob());
        let signature = self.0.sign(&blob);
        put(&mut blob, &signature);
        Wish { user, shown: Some((CERTIFICATE, blob)), ..wish.clone() }
    }
}

fn put(blob: &mut Vec<u8>, string: &[u8]) {
    let length = u32::try_from(string.len()).expect("a certificate is small");
    blob.extend(length.to_be_bytes());
    blob.extend(string);
}
