//! The client's steps of a key exchange. RFC 5656 §4, RFC 8731, draft-ietf-sshm-mlkem-hybrid-kex.

use super::exchange::{Keying, Negotiation, complete, decode, unexpected};
use crate::crypto::agreement::Initiator;
use crate::crypto::key::PublicKey;
use crate::error::{Error, Violation};
use crate::message::kex::KexMessage;

/// Client, after both KEXINITs: our share was sent, the server's is awaited.
pub(crate) struct ExpectEcdhReply {
    negotiation: Negotiation,
    initiator: Initiator,
    share: Vec<u8>,
}

impl ExpectEcdhReply {
    /// Makes our share.
    pub(crate) fn new(negotiation: Negotiation) -> Result<ExpectEcdhReply, Error> {
        let (initiator, share) = negotiation.agreed.agreement.initiate().map_err(|_| Error::Exhausted)?;
        Ok(ExpectEcdhReply { negotiation, initiator, share })
    }

    /// The message that carries our share.
    pub(crate) fn message(&self) -> KexMessage<'_> {
        KexMessage::EcdhInit { share: &self.share }
    }

    /// RFC 4253 §8: agree, hash, and verify that the server holds its host key. Whether to trust that key is decided
    /// later.
    pub(crate) fn handle(self, payload: &[u8]) -> Result<AwaitTrust, Error> {
        let KexMessage::EcdhReply { host_key, share: theirs, signature } = decode(payload)? else {
            return Err(unexpected(payload));
        };
        let Negotiation { agreed, transcript } = self.negotiation;
        let key = PublicKey::from_blob(host_key).map_err(|_| Violation::HostKeySignature)?;
        let secret = self.initiator.finish(theirs).map_err(|_| Violation::KexShare)?;
        let hash = complete(transcript, host_key, &self.share, theirs, &secret);
        let sound = key.verify(agreed.host_key.as_bytes(), hash.as_ref(), signature).is_ok();
        if !sound {
            return Err(Violation::HostKeySignature.into());
        }
        Ok(AwaitTrust { keying: Keying { agreed, secret, hash }, host_key: key })
    }
}

/// Client: the server has proven that it holds its host key; the application decides whether to trust it.
pub(crate) struct AwaitTrust {
    keying: Keying,
    host_key: PublicKey,
}

impl AwaitTrust {
    /// The server's host key, whose possession is proven.
    pub(crate) fn host_key(&self) -> &PublicKey {
        &self.host_key
    }

    /// The input of key derivation.
    pub(crate) fn keying(&self) -> &Keying {
        &self.keying
    }
}
