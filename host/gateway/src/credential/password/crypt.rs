//! Hashes of crypt(3): SHA-crypt (`$5$`, `$6$`) and yescrypt (`$y$`), as mkpasswd and chpasswd make them.
//!
//! The crates decode the text of a hash each time they verify a password. All its parts are checked here first:
//! otherwise a malformed hash would fail at once, which shows that the user exists, and every password would match a
//! hash without output.

use std::collections::TryReserveError;

use mcf::{Base64, PasswordHashRef};
use sha_crypt::{PasswordVerifier, ShaCrypt};
use yescrypt::Yescrypt;

/// The most rounds of SHA-crypt. With SHA-512 they take about 1 s, and 4 s for a password of 1024 bytes.
const MOST_SHA_ROUNDS: u32 = 1_000_000;
/// The rounds of a hash that does not name them.
const SHA_ROUNDS: u32 = sha_crypt::Params::RECOMMENDED_ROUNDS;
/// Longest salt of SHA-crypt in bytes: more has no effect.
const SHA_SALT: usize = 16;
/// The memory of SHA-crypt in bytes, about.
const SHA_MEMORY: usize = 4 << 10;
/// Longest salt of yescrypt in bytes.
const YESCRYPT_SALT: usize = 64;
/// The output of yescrypt in bytes.
const YESCRYPT_OUTPUT: usize = 32;

/// A hash of crypt(3). Its parts have been checked.
#[derive(Clone)]
pub(super) enum CryptHash {
    Sha(Box<str>),
    Yescrypt { text: Box<str>, memory: usize },
}

impl CryptHash {
    /// Parses `$5$...`, `$6$...` and `$y$...`, which may take `most_memory` KiB.
    ///
    /// # Errors
    /// What is wrong with the hash. The text never contains the hash itself.
    pub(super) fn parse(text: &str, most_memory: u32) -> Result<CryptHash, String> {
        if text.starts_with("$y$") { parse_yescrypt(text, most_memory) } else { parse_sha(text) }
    }

    /// Bytes of memory that [`verify`](Self::verify) needs while it runs.
    pub(super) fn memory(&self) -> usize {
        match self {
            CryptHash::Sha(_) => SHA_MEMORY,
            CryptHash::Yescrypt { memory, .. } => *memory,
        }
    }

    /// Whether this is the hash of `password`. The crates compare in constant time.
    ///
    /// # Errors
    /// There is not enough memory. It is reserved and released first, because the crate would abort the process.
    pub(super) fn verify(&self, password: &[u8]) -> Result<bool, TryReserveError> {
        match self {
            CryptHash::Sha(text) => Ok(ShaCrypt::default().verify_password(password, &**text).is_ok()),
            CryptHash::Yescrypt { text, memory } => {
                Vec::<u8>::new().try_reserve_exact(*memory)?;
                Ok(Yescrypt::default().verify_password(password, &**text).is_ok())
            }
        }
    }
}

fn parse_sha(text: &str) -> Result<CryptHash, String> {
    let wrong = || "is a SHA-crypt hash that was cut off or changed: $6$, salt and 86 characters ($5$: 43)".to_owned();
    let hash = PasswordHashRef::new(text).map_err(|_| wrong())?;
    let mut fields = hash.fields();
    let mut next = fields.next().ok_or_else(wrong)?;
    let mut rounds = SHA_ROUNDS;
    if let Some(number) = next.as_str().strip_prefix("rounds=") {
        rounds = number.parse().map_err(|_| wrong())?;
        next = fields.next().ok_or_else(wrong)?;
    }
    let least = sha_crypt::Params::ROUNDS_MIN;
    if !(least..=MOST_SHA_ROUNDS).contains(&rounds) {
        return Err(format!("has {rounds} rounds of SHA-crypt: from {least} to {MOST_SHA_ROUNDS}"));
    }
    let salt = next.as_str();
    let mut output = [0; sha_crypt::BLOCK_SIZE_SHA512];
    let output = fields.next().and_then(|field| field.decode_base64_into(Base64::Crypt, &mut output).ok());
    let length = if hash.id() == "5" { sha_crypt::BLOCK_SIZE_SHA256 } else { sha_crypt::BLOCK_SIZE_SHA512 };
    if salt.len() > SHA_SALT || output.is_none_or(|output| output.len() != length) || fields.next().is_some() {
        return Err(wrong());
    }
    Ok(CryptHash::Sha(text.into()))
}

fn parse_yescrypt(text: &str, most_memory: u32) -> Result<CryptHash, String> {
    let wrong = || "is a yescrypt hash that was cut off or changed: $y$, parameters, salt and 43 characters".to_owned();
    let hash = PasswordHashRef::new(text).map_err(|_| wrong())?;
    let mut fields = hash.fields();
    let params: yescrypt::Params = fields.next().and_then(|field| field.as_str().parse().ok()).ok_or_else(wrong)?;
    let mut decoded = || fields.next().and_then(|field| field.decode_base64(Base64::Crypt).ok());
    let (salt, output) = (decoded().ok_or_else(wrong)?, decoded().ok_or_else(wrong)?);
    if salt.len() > YESCRYPT_SALT || output.len() != YESCRYPT_OUTPUT || fields.next().is_some() {
        return Err(wrong());
    }
    // Only N, r and p may be set: flags and t multiply the time, and mkpasswd and chpasswd set neither.
    let plain = yescrypt::Params::new(yescrypt::Mode::default(), params.n(), params.r(), params.p());
    if !plain.is_ok_and(|plain| plain == params) {
        return Err("has parameters of yescrypt that are not accepted: it may only set cost and block size ($y$j...)"
            .to_owned());
    }
    let block = 128 * u64::from(params.r());
    let blocks = params.n().saturating_add(u64::from(params.p())).saturating_add(2);
    let memory = block.saturating_mul(blocks);
    if params.p() > 1 || memory > (u64::from(most_memory) << 10) + block * 3 {
        return Err(format!(
            "costs too much for one login: yescrypt with {} MiB and p = {}, at most {} MiB and p = 1 are accepted",
            memory >> 20,
            params.p(),
            most_memory >> 10
        ));
    }
    let memory = usize::try_from(memory).map_err(|_| wrong())?;
    Ok(CryptHash::Yescrypt { text: text.into(), memory })
}

#[cfg(test)]
mod tests {
    use super::CryptHash;

    fn parse(text: &str) -> Result<CryptHash, String> {
        CryptHash::parse(text, 1 << 20)
    }

    /// What crypt(3) of libxcrypt 4.4 makes of this password.
    const PASSWORD: &[u8] = b"correct horse battery staple";
    const MADE: [&str; 5] = [
        "$5$rounds=1000$saltstring$MGHTVAK1OdWrxoC7LJKeycAtdF/rZJH8EE46Glj/aT6",
        "$6$saltstring$qvPJY4PeugKzKQqyIJ0gRdJnpS0uaaiZ.X1SaheFedsK/yZPwlluTLS90fJPM41sD5JxCHKgGr1..qt5HqEY8.",
        "$6$rounds=1000$saltstring$B.n1vD77SdB2TuXAE0nGKP536R1bUc6NvRMEtukg5fkv3SlfIs6RsCY18TxG6AWfmoa/S410tUwH1MRlKRQST0",
        "$y$j75$F5Jx5fExrKuPp53xLKQ..1$XyFxfxwa0G5N26Bxd8AIdzD64Fs3WWfQ9tsWo7cF/sB",
        "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$y8e1eitiNDaQsFFW6d.9KbSTlk5zV3R3coZQtfcNAO5",
    ];

    #[test]
    fn hashes_of_libxcrypt_match_their_password_only() {
        for text in MADE {
            let hash = parse(text).unwrap();
            assert!(hash.verify(PASSWORD).unwrap(), "{text}");
            for wrong in [&b""[..], b"correct horse battery stapl", b"correct horse battery staple\0"] {
                assert!(!hash.verify(wrong).unwrap(), "{text}");
            }
        }
        let empty = "$y$j75$F5Jx5fExrKuPp53xLKQ..1$c8tztuygy5KLG6.YQ9M73I8HxQwBhNB/SZP9PahpzX8";
        assert!(parse(empty).unwrap().verify(b"").unwrap());
    }

    #[test]
    fn a_hash_without_output_is_refused_as_every_password_would_match_it() {
        for text in MADE {
            let cut = text.rsplit_once('$').expect("there are several").0;
            for text in
                [cut.to_owned(), format!("{cut}$"), format!("{cut}$ab"), format!("{text}$"), format!("{text}$ab")]
            {
                let error = parse(&text).err().expect("it is refused");
                assert!(error.contains("cut off or changed"), "{text}: {error}");
            }
            // One character less, and one that is not of the alphabet.
            let short = &text[..text.len() - 1];
            assert!(parse(short).is_err(), "{short}");
            assert!(parse(&format!("{short}!")).is_err());
        }
    }

    #[test]
    fn what_costs_too_much_is_refused() {
        let output = "XyFxfxwa0G5N26Bxd8AIdzD64Fs3WWfQ9tsWo7cF/sB";
        let memory = |text: &str| parse(text).map(|hash| hash.memory());
        for (rounds, fits) in [("1000", true), ("1000000", true), ("999", false), ("1000001", false), ("0", false)] {
            assert_eq!(parse(&format!("$5$rounds={rounds}$salt${output}")).is_ok(), fits, "{rounds}");
        }
        for rounds in ["4294967296", "-1", "x", ""] {
            assert!(parse(&format!("$5$rounds={rounds}$salt${output}")).is_err(), "{rounds}");
        }
        let with = |n, r, p, t| {
            let params = yescrypt::Params::new_with_all_params(yescrypt::Mode::default(), n, r, p, t, 0);
            memory(&format!("$y${}$F5Jx5fExrKuPp53xLKQ..1${output}", params.expect("they exist")))
        };
        assert_eq!(with(4096, 32, 1, 0), Ok((16 << 20) + 3 * 128 * 32));
        assert!(with(1 << 18, 32, 1, 0).is_ok());
        for (n, r, p, t) in [(1 << 19, 32, 1, 0), (1 << 40, 8, 1, 0), (1 << 62, 8, 1, 0), (4096, 32, 2, 0)] {
            let error = with(n, r, p, t).expect_err("it is refused");
            assert!(error.contains("costs too much"), "{n} {r} {p}: {error}");
        }
        let error = with(4096, 32, 1, 1).expect_err("it is refused");
        assert!(error.contains("not accepted"), "{error}");
    }
}
