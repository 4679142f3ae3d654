//! What to ask the application about a request, or why the request can only fail. No answer here depends on the user.

use std::borrow::Cow;

use zeroize::Zeroizing;

use super::attempt::Question;
use crate::auth::method::{AuthMethod, MethodSet};
use crate::auth::presented::{Presented, Unfit};
use crate::auth::signed_data;
use crate::crypto::key::Presence;
use crate::message::auth::Method;

/// Longest user name in bytes. Our limit.
pub(super) const USER: usize = 255;
/// Longest password in bytes, as in OpenSSH: the cost of hashing grows with the length (CVE-2016-6515).
const PASSWORD: usize = 1024;

/// The reason for a key that we cannot verify.
pub(super) const NOT_SUPPORTED: &str =
    "its type, size or signature is not supported: use ssh-ed25519, ECDSA or RSA with SHA-2";
/// The reason for an attempt by a method that is not offered.
const NOT_OFFERED: &str = "its method is not offered: no user can log in with it, or another method must follow";

/// What the questions depend on.
pub(super) struct Rules<'a> {
    /// The methods that can continue.
    pub(super) methods: MethodSet,
    /// The application judges signatures of security keys that nobody has touched.
    pub(super) judges_touch: bool,
    /// The first exchange hash, which signatures cover.
    pub(super) session_id: &'a [u8],
    /// The server's host key in the first key exchange, as a blob.
    pub(super) host_key: Option<&'a [u8]>,
}

/// A user's key as a client names it.
struct OfferedKey<'a> {
    algorithm: &'a [u8],
    blob: &'a [u8],
    /// The host key that the signature covers too, if any.
    bound: Option<&'a [u8]>,
}

impl Rules<'_> {
    /// What to ask about a request of `user`, or why it can only fail.
    pub(super) fn examine(&self, user: &[u8], method: &Method<'_>) -> Result<Question, Cow<'static, str>> {
        if user.len() > USER {
            return Err("the user name is too long".into());
        }
        match *method {
            Method::None => Ok(Question::None),
            Method::Password { password, new } => {
                self.offered(AuthMethod::Password)?;
                let fits = |password: &[u8]| password.len() <= PASSWORD;
                let keep = |password: &[u8]| Zeroizing::new(password.to_vec());
                Ok(match new {
                    _ if !fits(password) => Question::UnusablePassword,
                    None => Question::Password(keep(password)),
                    Some(new) if fits(new) => Question::NewPassword { old: keep(password), new: keep(new) },
                    Some(_) => Question::UnusablePassword,
                })
            }
            Method::PublicKey { algorithm, key, signature } => {
                self.offered(AuthMethod::PublicKey)?;
                let bound = None;
                self.examine_key(user, &OfferedKey { algorithm, blob: key, bound }, signature)
            }
            Method::HostBoundKey { algorithm, key, host_key, signature } => {
                self.offered(AuthMethod::PublicKey)?;
                if self.host_key != Some(host_key) {
                    return Err("it is bound to another host key than this connection's".into());
                }
                let bound = Some(host_key);
                self.examine_key(user, &OfferedKey { algorithm, blob: key, bound }, signature)
            }
            Method::KeyboardInteractive => {
                self.offered(AuthMethod::KeyboardInteractive)?;
                Ok(Question::Interactive)
            }
            Method::Unknown => Err("the method is unknown".into()),
        }
    }

    fn offered(&self, method: AuthMethod) -> Result<(), &'static str> {
        if self.methods.contains(method) { Ok(()) } else { Err(NOT_OFFERED) }
    }

    fn examine_key(
        &self,
        user: &[u8],
        offered: &OfferedKey<'_>,
        signature: Option<&[u8]>,
    ) -> Result<Question, Cow<'static, str>> {
        let OfferedKey { algorithm, blob, bound } = *offered;
        let shown = match Presented::read(algorithm, blob, signature.is_some()) {
            Ok(shown) => shown,
            Err(Unfit::Malformed) => return Err(NOT_SUPPORTED.into()),
            Err(Unfit::Certificate(error)) => return Err(format!("its certificate is refused: {error}").into()),
            Err(Unfit::Unusable) => {
                return Ok(Question::UnusableKey { algorithm: algorithm.to_vec(), blob: blob.to_vec() });
            }
        };
        let Some(signature) = signature else {
            return Ok(Question::KeyOffered(shown, algorithm.to_vec()));
        };
        let data = signed_data(self.session_id, user, algorithm, blob, bound);
        let presence = shown.key().verify_presence(shown.signature(algorithm), &data, signature);
        match presence.map_err(|_| "its signature is wrong")? {
            Some(Presence { touched: false, .. }) if !self.judges_touch => {
                Err("the security key was not touched".into())
            }
            presence => Ok(Question::KeyProven(shown, presence)),
        }
    }
}
