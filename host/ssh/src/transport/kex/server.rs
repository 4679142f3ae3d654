//! The server's steps of a key exchange. RFC 5656 §4, RFC 8731, draft-ietf-sshm-mlkem-hybrid-kex.

use super::exchange::{Keying, Negotiation, complete, decode, unexpected};
use crate::crypto::agreement::{Agreed, CostlyExchange};
use crate::crypto::hash::ExchangeHash;
use crate::crypto::key::PublicKey;
use crate::error::{Error, Violation};
use crate::message::kex::{KexMessage, METHOD_FIRST, METHOD_LAST};
use crate::transport::settings::HostIdentity;

/// Server, after both KEXINITs: waiting for the client's share.
pub(crate) struct ExpectEcdhInit {
    negotiation: Negotiation,
    /// The host key, or its certificate, that was agreed on.
    host_key: HostIdentity,
    /// The client's next packet is a guess that missed. RFC 4253 §7.
    drop_guess: bool,
}

/// The outcome of a packet in the state `ExpectEcdhInit`.
pub(crate) enum Stepped {
    /// The packet was a wrong guess and is dropped; the real one follows.
    Dropped(ExpectEcdhInit),
    /// The method is costly: the application must compute our share and the secret.
    Costly(AwaitAgreement),
    /// The hash is known and must be signed.
    Hashed(AwaitSignature),
}

impl ExpectEcdhInit {
    pub(crate) fn new(negotiation: Negotiation, host_key: HostIdentity) -> ExpectEcdhInit {
        let drop_guess = negotiation.agreed.drop_guess;
        ExpectEcdhInit { negotiation, host_key, drop_guess }
    }

    /// RFC 5656 §4, RFC 4253 §8: agree and hash. The signature is awaited, because a signer process, an agent or a
    /// hardware key may make it.
    pub(crate) fn handle(mut self, payload: &[u8]) -> Result<Stepped, Error> {
        // A guess is a message of some method of key exchange, known here or not: RFC 4250 §4.1 sets 30 to 49 aside for
        // them.
        let number = payload.first().copied().unwrap_or_default();
        if std::mem::take(&mut self.drop_guess) && (METHOD_FIRST..=METHOD_LAST).contains(&number) {
            return Ok(Stepped::Dropped(self));
        }
        let KexMessage::EcdhInit { share: theirs } = decode(payload)? else { return Err(unexpected(payload)) };
        let agreement = self.negotiation.agreed.agreement;
        if agreement.is_costly() {
            let exchange = CostlyExchange::new(agreement, theirs);
            return Ok(Stepped::Costly(AwaitAgreement {
                negotiation: self.negotiation,
                host_key: self.host_key,
                exchange,
            }));
        }
        let agreed = agreement.respond(theirs);
        Ok(Stepped::Hashed(hashed(self.negotiation, self.host_key, theirs, agreed)?))
    }
}

/// Completes the exchange hash with our share and the secret.
fn hashed(
    negotiation: Negotiation,
    host_key: HostIdentity,
    theirs: &[u8],
    agreed: Agreed,
) -> Result<AwaitSignature, Error> {
    let (ours, secret) = agreed.map_err(|_| Violation::KexShare)?;
    let hash = complete(negotiation.transcript, host_key.blob(), theirs, &ours, &secret);
    let keying = Keying { agreed: negotiation.agreed, secret, hash };
    Ok(AwaitSignature { keying, host_key, share: ours })
}

/// Server: waiting for our share and the secret, which the application computes. K29.
pub(crate) struct AwaitAgreement {
    negotiation: Negotiation,
    host_key: HostIdentity,
    exchange: CostlyExchange,
}

impl AwaitAgreement {
    /// What to compute.
    pub(crate) fn exchange(&self) -> &CostlyExchange {
        &self.exchange
    }

    /// The next step, with the computed share and secret.
    pub(crate) fn agreed(self, agreed: Agreed) -> Result<AwaitSignature, Error> {
        hashed(self.negotiation, self.host_key, self.exchange.client_share(), agreed)
    }
}

/// Server: the exchange hash waits for the signature of our host key.
pub(crate) struct AwaitSignature {
    keying: Keying,
    host_key: HostIdentity,
    share: Vec<u8>,
}

impl AwaitSignature {
    /// What to sign, and with which key.
    pub(crate) fn request(&self) -> SignatureRequest<'_> {
        SignatureRequest {
            host_key: self.host_key.key(),
            algorithm: self.host_key.signature(),
            hash: &self.keying.hash,
        }
    }

    /// The host key as our reply has it.
    pub(crate) fn host_key(&self) -> &[u8] {
        self.host_key.blob()
    }

    /// The reply to the client.
    pub(crate) fn reply<'r>(&'r self, signature: &'r [u8]) -> KexMessage<'r> {
        KexMessage::EcdhReply { host_key: self.host_key.blob(), share: &self.share, signature }
    }

    /// The input of key derivation.
    pub(crate) fn keying(&self) -> &Keying {
        &self.keying
    }
}

/// A signature that one of the server's host keys must make. RFC 4253 §8.
#[derive(Clone, Copy, Debug)]
pub struct SignatureRequest<'a> {
    /// The public half of the signing key.
    pub host_key: &'a PublicKey,
    /// The signature algorithm, one of the key's [`signatures`](PublicKey::signatures).
    pub algorithm: &'static str,
    /// The data to sign.
    pub hash: &'a ExchangeHash,
}

impl SignatureRequest<'_> {
    /// Whether the signature takes milliseconds of processor time: that of an RSA key. Make it on a blocking thread.
    pub fn is_costly(&self) -> bool {
        self.host_key.is_rsa()
    }
}
