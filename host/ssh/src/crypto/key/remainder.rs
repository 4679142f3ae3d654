//! The exponents of an RSA key's two primes (`d mod p-1` and `d mod q-1`), which OpenSSH's format leaves out.

use crypto_bigint::{BoxedUint, NonZero};
use zeroize::{Zeroize, Zeroizing};

use super::error::KeyError;

/// `exponent` modulo `prime - 1`, all in big-endian digits. The time depends on the lengths alone.
///
/// # Errors
/// [`KeyError::Malformed`]: `prime` is 1.
pub(super) fn remainder(exponent: &[u8], prime: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let damaged = || KeyError::Malformed("its numbers are not those of an RSA key".into());
    let read = |digits: &[u8]| {
        let bits = u32::try_from(digits.len() * 8).map_err(|_| damaged())?;
        BoxedUint::from_be_slice(digits, bits).map_err(|_| damaged())
    };
    let mut exponent = read(exponent)?;
    let mut prime = read(prime)?;
    let mut modulus = prime.wrapping_sub(BoxedUint::one());
    let divisor = NonZero::new(modulus.clone()).into_option().ok_or_else(damaged)?;
    let mut remainder = exponent.rem(&divisor);
    let digits = Zeroizing::new(remainder.to_be_bytes());
    let mut divisor = divisor.get();
    for number in [&mut exponent, &mut prime, &mut modulus, &mut divisor, &mut remainder] {
        number.zeroize();
    }
    let zeros = digits.iter().take_while(|byte| **byte == 0).count();
    Ok(Zeroizing::new(digits.get(zeros..).unwrap_or_default().to_vec()))
}
