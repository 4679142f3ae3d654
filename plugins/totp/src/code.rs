//! One-time passwords: RFC 4226 and RFC 6238.

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Sha256, Sha512};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

/// How long a code is shown, in seconds: the default of RFC 6238, and all that most apps know.
pub(crate) const STEP: u64 = 30;
/// How many steps a clock may be fast or slow.
const TOLERANCE: u64 = 1;

/// The hash of the codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Sha1,
    Sha256,
    Sha512,
}

/// What makes the codes of one user.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Generator {
    pub(crate) secret: Vec<u8>,
    pub(crate) algorithm: Algorithm,
    /// 6 or 8.
    pub(crate) digits: u32,
}

impl Generator {
    /// The code of a step, as a number.
    fn number(&self, step: u64) -> u32 {
        let digest = match self.algorithm {
            Algorithm::Sha1 => digest::<Hmac<Sha1>>(&self.secret, step),
            Algorithm::Sha256 => digest::<Hmac<Sha256>>(&self.secret, step),
            Algorithm::Sha512 => digest::<Hmac<Sha512>>(&self.secret, step),
        };
        // RFC 4226 §5.3: the last byte says where the four bytes begin that count. The shortest digest has 20.
        let begin = usize::from(digest.last().copied().unwrap_or_default() & 0x0f);
        let picked = digest[begin..].iter().take(4).fold(0, |number, byte| number << 8 | u32::from(*byte));
        (picked & 0x7fff_ffff) % 10_u32.pow(self.digits)
    }

    /// The step whose code this is, at a time in seconds since 1970: the last one if it is that of several. Takes the
    /// same time whether it is right or wrong.
    pub(crate) fn step_of(&self, code: &str, time: u64) -> Option<u64> {
        let is_code = code.len() == self.digits as usize && code.bytes().all(|byte| byte.is_ascii_digit());
        // Something else is compared too, with a number that is no code.
        let typed = code.parse().ok().filter(|_| is_code).unwrap_or(u32::MAX);
        let now = time / STEP;
        let (mut found, mut step_found) = (Choice::from(0), 0);
        for step in now.saturating_sub(TOLERANCE)..=now.saturating_add(TOLERANCE) {
            let is_equal = self.number(step).ct_eq(&typed);
            step_found.conditional_assign(&step, is_equal);
            found |= is_equal;
        }
        bool::from(found).then_some(step_found)
    }
}

fn digest<M: Mac + KeyInit>(secret: &[u8], step: u64) -> Vec<u8> {
    let mut mac = <M as KeyInit>::new_from_slice(secret).expect("HMAC takes keys of any length");
    mac.update(&step.to_be_bytes());
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generator(algorithm: Algorithm, length: usize, digits: u32) -> Generator {
        let secret = b"1234567890".iter().copied().cycle().take(length).collect();
        Generator { secret, algorithm, digits }
    }

    /// RFC 6238, appendix B.
    #[test]
    fn the_vectors_of_the_standard_are_right() {
        let times = [59, 1_111_111_109, 1_111_111_111, 1_234_567_890, 2_000_000_000, 20_000_000_000];
        for (algorithm, length, codes) in [
            (Algorithm::Sha1, 20, ["94287082", "07081804", "14050471", "89005924", "69279037", "65353130"]),
            (Algorithm::Sha256, 32, ["46119246", "68084774", "67062674", "91819424", "90698825", "77737706"]),
            (Algorithm::Sha512, 64, ["90693936", "25091201", "99943326", "93441116", "38618901", "47863826"]),
        ] {
            let (eight, six) = (generator(algorithm, length, 8), generator(algorithm, length, 6));
            for (time, code) in times.into_iter().zip(codes) {
                assert_eq!(eight.step_of(code, time), Some(time / STEP), "{algorithm:?} {time}");
                assert_eq!(six.step_of(&code[2..], time), Some(time / STEP), "{algorithm:?} {time}");
            }
        }
    }

    /// RFC 4226, appendix D.
    #[test]
    fn the_steps_before_the_first_minute_are_those_of_the_counter() {
        let codes =
            ["755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"];
        let generator = generator(Algorithm::Sha1, 20, 6);
        for (step, code) in (0..).zip(codes) {
            assert_eq!(generator.step_of(code, step * STEP), Some(step));
        }
    }

    #[test]
    fn a_code_is_right_one_step_early_and_late_and_no_more() {
        let generator = generator(Algorithm::Sha1, 20, 8);
        let step = 1_111_111_111 / STEP;
        for (time, is_right) in [
            ((step - 1) * STEP - 1, false),
            ((step - 1) * STEP, true),
            (step * STEP, true),
            ((step + 2) * STEP - 1, true),
            ((step + 2) * STEP, false),
        ] {
            assert_eq!(generator.step_of("14050471", time), is_right.then_some(step), "{time}");
        }
    }

    #[test]
    fn only_all_digits_of_a_code_are_one() {
        let generator = generator(Algorithm::Sha1, 20, 8);
        let time = 1_111_111_109;
        for wrong in
            ["", "7081804", "007081804", "+7081804", " 7081804", "0708180x", "07081805", "٠٧٠٨١٨٠٤", "4294967295"]
        {
            assert_eq!(generator.step_of(wrong, time), None, "{wrong:?}");
        }
        assert!(generator.step_of("07081804", time).is_some());
        // No time of a clock overflows.
        assert_eq!(generator.step_of("00000000", 0).is_some(), generator.step_of("00000000", STEP - 1).is_some());
        generator.step_of("00000000", u64::MAX);
    }
}
