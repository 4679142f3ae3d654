//! Password hashes: argon2 as PHC strings, bcrypt, and those of crypt(3).
//!
//! A hash that is too expensive to compute is refused when it is read, not when it is used.

mod crypt;

use std::collections::TryReserveError;
use std::fmt;

use argon2::password_hash::phc::{Output, Salt};
use argon2::{Algorithm, Argon2, Block, Params, PasswordHasher, Version};
use whelk_ssh::crypto::random::{Random, SystemRandom};
use zeroize::Zeroizing;

use crypt::CryptHash;

/// The most memory of one argon2 hash, in KiB: 1 GiB.
const MOST_MEMORY: u32 = 1 << 20;
const MOST_PASSES: u32 = 64;
const MOST_LANES: u32 = 64;
/// At cost 16 one attempt takes about four seconds; every step doubles it.
const MOST_ROUNDS: u32 = 16;
/// How many bytes of a password bcrypt uses. It also stops at the first NUL.
const BCRYPT_BYTES: usize = 72;
/// Bytes of salt that we make.
const SALT: usize = 16;
/// Bytes of memory that bcrypt uses, whatever its cost.
const BCRYPT_MEMORY: usize = 4 << 10;

/// The accepted hashes, and a command that asks for a password and prints one.
const FORMS: &str = "must be a hash of argon2 ($argon2id$...), yescrypt ($y$...), bcrypt ($2b$...) or SHA-crypt \
                     ($6$..., $5$...), never the password itself: `whelk hash-password` makes one";

/// The hash of a password.
#[derive(Clone)]
pub struct PasswordHash {
    scheme: Scheme,
    /// As it was written.
    text: Box<str>,
}

/// Two are the same if they were written in the same way: a password that is hashed anew gets another salt.
impl PartialEq for PasswordHash {
    fn eq(&self, other: &PasswordHash) -> bool {
        self.text == other.text
    }
}

impl Eq for PasswordHash {}

#[derive(Clone)]
enum Scheme {
    Argon2(Box<Argon2Hash>),
    Bcrypt(String),
    Crypt(CryptHash),
}

/// A parsed PHC string. Each part has been checked, so that computing it can only fail for lack of memory.
#[derive(Clone)]
struct Argon2Hash {
    argon2: Argon2<'static>,
    salt: Salt,
    expected: Output,
}

impl PasswordHash {
    /// Makes a hash with our default parameters: argon2id, 19 MiB, two passes.
    ///
    /// # Errors
    /// There is no randomness for the salt, or no memory.
    pub fn make(password: &[u8]) -> Result<String, String> {
        let mut salt = [0; SALT];
        SystemRandom::new().fill(&mut salt).map_err(|_| "the system gives no randomness for the salt".to_owned())?;
        let hash = Argon2::default().hash_password_with_salt(password, &salt);
        hash.map(|hash| hash.to_string()).map_err(|error| format!("the password cannot be hashed: {error}"))
    }

    /// Parses `$argon2id$...` (or `argon2i`, `argon2d`), `$2b$...` (or `$2a$`, `$2y$`), `$6$...`, `$5$...` and
    /// `$y$...`.
    ///
    /// # Errors
    /// What is wrong with the hash. The text never contains the hash itself.
    pub fn parse(text: &str) -> Result<PasswordHash, String> {
        let scheme = if text.starts_with("$argon2") {
            parse_argon2(text)
        } else if text.starts_with("$2") {
            parse_bcrypt(text)
        } else if ["$5$", "$6$", "$y$"].iter().any(|start| text.starts_with(start)) {
            CryptHash::parse(text, MOST_MEMORY).map(Scheme::Crypt)
        } else {
            Err(no_hash(text))
        };
        Ok(PasswordHash { scheme: scheme?, text: text.into() })
    }

    /// Bytes of memory that [`verify`](Self::verify) needs while it runs.
    pub fn memory(&self) -> usize {
        match &self.scheme {
            Scheme::Argon2(hash) => hash.blocks() * Block::SIZE,
            Scheme::Bcrypt(_) => BCRYPT_MEMORY,
            Scheme::Crypt(hash) => hash.memory(),
        }
    }

    /// Whether this is the hash of `password`. Takes the same time for wrong and right passwords. The memory of argon2
    /// is wiped.
    ///
    /// A password longer than the 72 bytes that bcrypt uses, or with a NUL at which it would stop, never matches a
    /// bcrypt hash: otherwise every password with the same beginning would match too.
    ///
    /// # Errors
    /// There is no memory to work in.
    pub fn verify(&self, password: &[u8]) -> Result<bool, TryReserveError> {
        match &self.scheme {
            Scheme::Argon2(hash) => hash.verify(password),
            Scheme::Bcrypt(hash) => {
                let fits = bcrypt::verify(password, hash).unwrap_or(false);
                Ok(fits && password.len() <= BCRYPT_BYTES && !password.contains(&0))
            }
            Scheme::Crypt(hash) => hash.verify(password),
        }
    }
}

impl Argon2Hash {
    /// The memory of one computation.
    fn blocks(&self) -> usize {
        self.argon2.params().block_count()
    }

    /// Like the crate's `PasswordVerifier::verify_password`, but in our own memory: the crate would not wipe it.
    fn verify(&self, password: &[u8]) -> Result<bool, TryReserveError> {
        let mut blocks = Zeroizing::new(Vec::new());
        blocks.try_reserve_exact(self.blocks())?;
        blocks.resize(self.blocks(), Block::new());
        let mut computed = Zeroizing::new([0; Output::MAX_LENGTH]);
        let Some(computed) = computed.get_mut(..self.expected.len()) else { return Ok(false) };
        let done = self.argon2.hash_password_into_with_memory(password, &self.salt, computed, blocks.as_mut_slice());
        // Outputs compare in constant time.
        Ok(done.is_ok() && Output::new(computed).is_ok_and(|computed| computed == self.expected))
    }
}

/// Prints only the scheme: a hash in a log could be attacked offline.
impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.scheme {
            Scheme::Argon2(_) => "PasswordHash(argon2)",
            Scheme::Bcrypt(_) => "PasswordHash(bcrypt)",
            Scheme::Crypt(_) => "PasswordHash(crypt)",
        })
    }
}

/// The error for a text that is not an accepted hash. Contains nothing of it except the name of a scheme, because it
/// may be a password.
fn no_hash(text: &str) -> String {
    const SCHEMES: [(&str, &str); 6] = [
        ("$1$", "MD5-crypt ($1$)"),
        ("$7$", "scrypt ($7$)"),
        ("$gy$", "gost-yescrypt ($gy$)"),
        ("$apr1$", "Apache's MD5 ($apr1$)"),
        ("$scrypt$", "scrypt ($scrypt$)"),
        ("$pbkdf2", "PBKDF2 ($pbkdf2...)"),
    ];
    let scheme = SCHEMES.iter().find(|(start, _)| text.starts_with(start)).map(|(_, name)| *name);
    // {SSHA}, {CRYPT} and the like, of LDAP.
    let scheme = scheme.or(text.starts_with('{').then_some("LDAP ({...})"));
    let is = match scheme {
        Some(name) => format!("is a hash of the form {name}, which is not accepted: "),
        None if text.trim() != text => "has blanks around it: ".to_owned(),
        // As htpasswd prints it, NAME:HASH.
        None if text.contains(":$2") || text.contains(":$argon2") => {
            "begins with a name: remove it and the colon: ".to_owned()
        }
        None => String::new(),
    };
    format!("{is}{FORMS}")
}

fn parse_argon2(text: &str) -> Result<Scheme, String> {
    let hash = argon2::PasswordHash::new(text).map_err(|error| format!("is no argon2 hash: {error}"))?;
    let algorithm = Algorithm::try_from(hash.algorithm.as_str()).map_err(|_| {
        format!("names an algorithm that is not argon2: {:?} (argon2id, argon2i or argon2d)", hash.algorithm.as_str())
    })?;
    let version = hash.version.map_or(Ok(Version::default()), Version::try_from);
    let version = version.map_err(|_| "has an unknown argon2 version: v=19 or v=16".to_owned())?;
    let (Some(salt), Some(expected)) = (hash.salt, hash.hash) else {
        return Err("is an argon2 hash that was cut off: it needs parameters, salt and hash".to_owned());
    };
    let params = Params::try_from(&hash).map_err(|error| format!("has wrong argon2 parameters: {error}"))?;
    if params.m_cost() > MOST_MEMORY || params.t_cost() > MOST_PASSES || params.p_cost() > MOST_LANES {
        return Err(format!(
            "costs too much for one login: at most m={MOST_MEMORY}, t={MOST_PASSES}, p={MOST_LANES}, has m={}, t={}, p={}",
            params.m_cost(),
            params.t_cost(),
            params.p_cost()
        ));
    }
    let argon2 = Argon2::new(algorithm, version, params);
    Ok(Scheme::Argon2(Box::new(Argon2Hash { argon2, salt, expected })))
}

fn parse_bcrypt(text: &str) -> Result<Scheme, String> {
    if text.starts_with("$2x$") {
        return Err("is of the broken bcrypt variant $2x$: make a new hash".to_owned());
    }
    let parts: bcrypt::HashParts = text.parse().map_err(|error| format!("is no bcrypt hash: {error}"))?;
    // Costs below 4 do not exist: verifying would fail at once, for this user alone.
    if !(4..=MOST_ROUNDS).contains(&parts.get_cost()) {
        return Err(format!("has a bcrypt cost of {}: from 4 to {MOST_ROUNDS}", parts.get_cost()));
    }
    Ok(Scheme::Bcrypt(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use argon2::PasswordVerifier;
    use argon2::password_hash::CustomizedPasswordHasher;

    use super::*;

    fn argon2(password: &[u8]) -> String {
        let params = Params::new(8, 1, 1, None).unwrap();
        Argon2::default().hash_password_with_params(password, b"saltsalt", params).unwrap().to_string()
    }

    #[test]
    fn a_password_matches_only_its_own_hash() {
        for text in [argon2(b"right"), bcrypt::hash("right", 4).unwrap()] {
            let hash = PasswordHash::parse(&text).unwrap();
            assert!(hash.verify(b"right").unwrap());
            assert!(!hash.verify(b"wrong").unwrap());
            assert!(!hash.verify(b"").unwrap());
            assert!(!hash.verify(b"right\0").unwrap());
        }
    }

    /// From the test suite of the reference implementation (P-H-C/phc-winner-argon2, `src/test.c`).
    #[test]
    fn a_hash_of_the_reference_implementation_matches() {
        let text = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
        let hash = PasswordHash::parse(text).unwrap();
        assert!(hash.verify(b"password").unwrap());
        assert!(!hash.verify(b"passwort").unwrap());
    }

    /// Every variant, version, number of lanes and length of output, with a key identifier and data, as the crate
    /// verifies it.
    #[test]
    fn argon2_agrees_with_the_crate() {
        let mut builder = argon2::ParamsBuilder::new();
        builder.keyid(argon2::KeyId::new(b"keyid").unwrap()).data(argon2::AssociatedData::new(b"data").unwrap());
        for algorithm in [Algorithm::Argon2d, Algorithm::Argon2i, Algorithm::Argon2id] {
            for version in [Version::V0x10, Version::V0x13] {
                for (memory, passes, lanes, length) in [(8, 1, 1, 32), (37, 2, 1, 16), (64, 3, 3, 64)] {
                    let params = builder.m_cost(memory).t_cost(passes).p_cost(lanes).output_len(length);
                    let maker = Argon2::new(algorithm, version, params.build().unwrap());
                    let made = maker.hash_password_with_salt(b"right", b"salt-of-16-bytes").unwrap();
                    let text = made.to_string();
                    let hash = PasswordHash::parse(&text).unwrap();
                    for password in [&b"right"[..], b"wrong", b""] {
                        let theirs = Argon2::default().verify_password(password, text.as_str()).is_ok();
                        assert_eq!(hash.verify(password), Ok(theirs), "{text}");
                    }
                    assert_eq!(hash.verify(b"right"), Ok(true), "{text}");
                }
            }
        }
        let unversioned = argon2(b"right").replace("v=19$", "");
        assert!(!unversioned.contains("v="), "{unversioned}");
        assert_eq!(PasswordHash::parse(&unversioned).unwrap().verify(b"right"), Ok(true));
    }

    #[test]
    fn the_memory_of_a_hash_is_what_its_parameters_say() {
        let text = "$argon2id$v=19$m=19456,t=2,p=1$S2aaE/TDH5padCF7ghv7mQ$zTtmCdY6SFbI2apkX35/ITFUAXb78e7qQvuvwf9UZLs";
        assert_eq!(PasswordHash::parse(text).unwrap().memory(), 19_456 << 10);
        assert_eq!(PasswordHash::parse(&bcrypt::hash("x", 4).unwrap()).unwrap().memory(), BCRYPT_MEMORY);
    }

    #[test]
    fn bcrypt_rejects_passwords_beyond_the_bytes_that_it_uses() {
        let long = "x".repeat(72);
        let hash = PasswordHash::parse(&bcrypt::hash(&long, 4).unwrap()).unwrap();
        assert!(hash.verify(long.as_bytes()).unwrap());
        assert!(!hash.verify(format!("{long}y").as_bytes()).unwrap());
    }

    #[test]
    fn a_hash_that_cannot_be_used_is_refused_when_it_is_read() {
        let good = argon2(b"x");
        let bcrypt = bcrypt::hash("x", 4).unwrap();
        for (text, why) in [
            ("secret".to_owned(), "never the password itself"),
            (String::new(), "never the password itself"),
            ("$6$salt$hash".to_owned(), "SHA-crypt hash that was cut off"),
            ("$5$rounds=5000$salt$hash".to_owned(), "SHA-crypt hash that was cut off"),
            ("$1$salt$hash".to_owned(), "of the form MD5-crypt ($1$), which is not accepted: must be a hash of argon2"),
            ("$y$j9T$salt$hash".to_owned(), "yescrypt hash that was cut off"),
            ("$7$salt$hash".to_owned(), "scrypt"),
            ("{SSHA}hash".to_owned(), "LDAP"),
            (format!(" {good}"), "has blanks around it"),
            (format!("alice:{bcrypt}"), "begins with a name"),
            ("$argon2id$v=19$m=8,t=1,p=1".to_owned(), "cut off"),
            ("$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ".to_owned(), "cut off"),
            (good.replace("m=8", "m=2097152"), "costs too much"),
            (good.replace("argon2id", "argon2x"), "argon2x"),
            (good.replace("v=19", "v=20"), "unknown argon2 version"),
            (bcrypt.replace("$2b$04", "$2b$31"), "bcrypt cost of 31"),
            (bcrypt.replace("$2b$04", "$2b$03"), "bcrypt cost of 3"),
            (bcrypt.replace("$2b$", "$2x$"), "broken bcrypt variant"),
            (bcrypt[..50].to_owned(), "no bcrypt hash"),
        ] {
            let error = PasswordHash::parse(&text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn a_hash_that_we_make_is_accepted_and_always_another() {
        let (one, other) = (PasswordHash::make(b"right").unwrap(), PasswordHash::make(b"right").unwrap());
        assert!(one.starts_with("$argon2id$v=19$m=19456,t=2,p=1$") && one != other, "{one}");
        let hash = PasswordHash::parse(&one).unwrap();
        assert_eq!((hash.verify(b"right"), hash.verify(b"wrong")), (Ok(true), Ok(false)));
    }

    #[test]
    fn a_hash_never_prints_itself() {
        assert_eq!(format!("{:?}", PasswordHash::parse(&argon2(b"x")).unwrap()), "PasswordHash(argon2)");
    }
}
