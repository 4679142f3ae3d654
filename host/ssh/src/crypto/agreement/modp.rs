//! `diffie-hellman-group14-sha256` and `diffie-hellman-group16-sha512`, RFC 4253 §8 and RFC 8268: for clients that know
//! no elliptic curve. Off by default, as in OpenSSH's server, because an exchange costs many times that of a curve.
//!
//! The messages have the numbers and the form of RFC 5656 §4: an `mpint` and a `string` are written alike.

use std::sync::LazyLock;

use crypto_bigint::modular::{FixedMontyForm, FixedMontyParams};
use crypto_bigint::{Odd, U512, U2048, U4096, Uint};
use zeroize::{Zeroize, Zeroizing};

use super::error::BadShare;
use crate::crypto::hash::HashFunction;
use crate::crypto::provider::rand::{self, SecureRandom};
use crate::crypto::random::RandomFailed;
use crate::crypto::secret::SharedSecret;
use crate::crypto::string;

/// A group of integers modulo a prime, with the generator 2. RFC 3526.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Group {
    /// 2048 bits. RFC 3526 §3.
    Group14,
    /// 4096 bits. RFC 3526 §5.
    Group16,
}

/// The prime of group 14.
static PRIME_14: LazyLock<FixedMontyParams<{ U2048::LIMBS }>> = LazyLock::new(|| {
    FixedMontyParams::new_vartime(Odd::<U2048>::from_be_hex(
        "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74020bbea63b139b22514a08798e3404ddef95\
         19b3cd3a431b302b0a6df25f14374fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b0bff5cb6f406b7edee386bfb\
         5a899fa5ae9f24117c4b1fe649286651ece45b3dc2007cb8a163bf0598da48361c55d39a69163fa8fd24cf5f83655d23dca3\
         ad961c62f356208552bb9ed529077096966d670c354e4abc9804f1746c08ca18217c32905e462e36ce3be39e772c180e8603\
         9b2783a2ec07a28fb5c55df06f4c52c9de2bcbf6955817183995497cea956ae515d2261898fa051015728e5a8aacaa68ffff\
         ffffffffffff",
    ))
});

/// The prime of group 16.
static PRIME_16: LazyLock<FixedMontyParams<{ U4096::LIMBS }>> = LazyLock::new(|| {
    FixedMontyParams::new_vartime(Odd::<U4096>::from_be_hex(
        "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74020bbea63b139b22514a08798e3404ddef95\
         19b3cd3a431b302b0a6df25f14374fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b0bff5cb6f406b7edee386bfb\
         5a899fa5ae9f24117c4b1fe649286651ece45b3dc2007cb8a163bf0598da48361c55d39a69163fa8fd24cf5f83655d23dca3\
         ad961c62f356208552bb9ed529077096966d670c354e4abc9804f1746c08ca18217c32905e462e36ce3be39e772c180e8603\
         9b2783a2ec07a28fb5c55df06f4c52c9de2bcbf6955817183995497cea956ae515d2261898fa051015728e5a8aaac42dad33\
         170d04507a33a85521abdf1cba64ecfb850458dbef0a8aea71575d060c7db3970f85a6e1e4c7abf5ae8cdb0933d71e8c94e0\
         4a25619dcee3d2261ad2ee6bf12ffa06d98a0864d87602733ec86a64521f2b18177b200cbbe117577a615d6c770988c0bad9\
         46e208e24fa074e5ab3143db5bfce0fd108e4b82d120a92108011a723c12a787e6d788719a10bdba5b2699c327186af4e23c\
         1a946834b6150bda2583e9ca2ad44ce8dbbbc2db04de8ef92e8efc141fbecaa6287c59474e6bc05d99b2964fa090c3a2233b\
         a186515be7ed1f612970cee2d7afb81bdd762170481cd0069127d5b05aa993b4ea988d8fddc186ffb7dc90a6c08f4df435c9\
         34063199ffffffffffffffff",
    ))
});

/// Bits of a private exponent: twice those of the longest key that is derived (RFC 4419 §6.2), and more than the
/// strength of either group needs (RFC 3526 §8).
const EXPONENT_BITS: u32 = U512::BITS;

impl Group {
    pub(super) fn hash(self) -> HashFunction {
        match self {
            Group::Group14 => HashFunction::Sha256,
            Group::Group16 => HashFunction::Sha512,
        }
    }

    /// `base` to the power of `exponent`, big-endian. The time depends on neither.
    ///
    /// # Errors
    /// `base` is not from 2 to p - 2.
    fn power(self, base: &[u8], exponent: &U512) -> Result<Zeroizing<Vec<u8>>, BadShare> {
        match self {
            Group::Group14 => power(&PRIME_14, base, exponent),
            Group::Group16 => power(&PRIME_16, base, exponent),
        }
    }
}

fn power<const LIMBS: usize>(
    prime: &FixedMontyParams<LIMBS>,
    base: &[u8],
    exponent: &U512,
) -> Result<Zeroizing<Vec<u8>>, BadShare> {
    let len = Uint::<LIMBS>::BYTES;
    let leading = len.checked_sub(base.len()).ok_or(BadShare)?;
    let base = Uint::<LIMBS>::from_be_slice(&[&vec![0; leading], base].concat());
    // Shares are public, so comparing them may take any time. RFC 4253 §8; p - 1 and 1 have tiny orders.
    let last = prime.modulus().as_ref().wrapping_sub(&Uint::ONE);
    if base <= Uint::ONE || base >= last {
        return Err(BadShare);
    }
    let mut power = FixedMontyForm::new(&base, prime).pow_bounded_exp(exponent, EXPONENT_BITS);
    let mut number = power.retrieve();
    power.zeroize();
    let bytes = Zeroizing::new(number.to_be_bytes().as_ref().to_vec());
    number.zeroize();
    Ok(bytes)
}

/// A private exponent for one agreement.
pub(super) struct ModpKey {
    group: Group,
    exponent: Zeroizing<U512>,
}

impl ModpKey {
    /// Makes a fresh key and its share: the body of an `mpint`.
    pub(super) fn generate(group: Group) -> Result<(ModpKey, Vec<u8>), RandomFailed> {
        let mut bytes = Zeroizing::new([0; U512::BYTES]);
        rand::SystemRandom::new().fill(bytes.as_mut_slice()).map_err(|_| RandomFailed)?;
        let exponent = Zeroizing::new(U512::from_be_slice(bytes.as_slice()));
        // 2 is in range, so only the random source can fail.
        let share = group.power(&[2], &exponent).map_err(|_| RandomFailed)?;
        let (sign, digits) = string::mpint(&share);
        let share = [sign, digits].concat();
        Ok((ModpKey { group, exponent }, share))
    }

    /// The second step. RFC 4253 §8: numbers out of range end the exchange, and so does an `mpint` that is not in its
    /// one form (RFC 4251 §5).
    pub(super) fn finish(&self, theirs: &[u8]) -> Result<SharedSecret, BadShare> {
        let digits = match theirs {
            [0, rest @ ..] if rest.first().is_some_and(|first| *first >= 0x80) => rest,
            [1..=0x7f, ..] => theirs,
            _ => return Err(BadShare),
        };
        Ok(SharedSecret::mpint(&self.group.power(digits, &self.exponent)?))
    }
}

/// The server's part: makes its share and K.
pub(super) fn respond(group: Group, client_share: &[u8]) -> Result<(Vec<u8>, SharedSecret), BadShare> {
    let (key, share) = ModpKey::generate(group).map_err(|_| BadShare)?;
    Ok((share, key.finish(client_share)?))
}
