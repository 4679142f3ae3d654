//! The secrets of a page: the token of the address that can be opened next, and the logins of tabs.

use std::collections::VecDeque;
use std::fmt::Write;
use std::time::{Duration, Instant};

use subtle::{Choice, ConstantTimeEq};
use whelk_ssh::crypto::random::{Random, SystemRandom};
use zeroize::Zeroizing;

/// How long an address can be opened.
pub(super) const ADDRESS_TIME: Duration = Duration::from_secs(10 * 60);
/// How long a login lasts.
pub(super) const LOGIN_TIME: Duration = Duration::from_secs(8 * 60 * 60);
/// The most logins. A new one ends the oldest.
const MOST_LOGINS: usize = 16;
/// The length of a secret: 256 bits, in hexadecimal digits.
const DIGITS: usize = 64;

/// 256 random bits, in hexadecimal digits.
type Secret = Zeroizing<String>;

/// The secrets that are valid.
#[derive(Default)]
pub(super) struct ConsoleKeys {
    token: Option<(Secret, Instant)>,
    logins: VecDeque<TabLogin>,
}

/// What a tab has got.
struct TabLogin {
    cookie: Secret,
    key: Secret,
    until: Instant,
}

impl ConsoleKeys {
    /// Makes a token, in the place of the one that there is.
    pub(super) fn new_token(&mut self) -> String {
        self.new_token_at(Instant::now())
    }

    fn new_token_at(&mut self, now: Instant) -> String {
        let token = secret();
        let shown = token.to_string();
        self.token = Some((token, now + ADDRESS_TIME));
        shown
    }

    /// Exchanges a token for a cookie and a key. None if it is not valid.
    pub(super) fn log_in(&mut self, token: &str) -> Option<(String, String)> {
        self.log_in_at(token, Instant::now())
    }

    fn log_in_at(&mut self, token: &str, now: Instant) -> Option<(String, String)> {
        let (expected, until) = self.token.as_ref()?;
        if now >= *until || !bool::from(is_same(token, expected)) {
            return None;
        }
        self.token = None;
        let (cookie, key) = (secret(), secret());
        let given = (cookie.to_string(), key.to_string());
        if self.logins.len() >= MOST_LOGINS {
            self.logins.pop_front();
        }
        self.logins.push_back(TabLogin { cookie, key, until: now + LOGIN_TIME });
        Some(given)
    }

    /// Whether one of these cookies and the key belong to one login.
    pub(super) fn is_valid(&self, cookies: &[&str], key: &str) -> bool {
        self.is_valid_at(cookies, key, Instant::now())
    }

    fn is_valid_at(&self, cookies: &[&str], key: &str, now: Instant) -> bool {
        let belongs = |login: &TabLogin| {
            let of_cookie =
                cookies.iter().fold(Choice::from(0), |found, cookie| found | is_same(cookie, &login.cookie));
            of_cookie & is_same(key, &login.key)
        };
        let valid = self.logins.iter().filter(|login| now < login.until);
        // Each of them is compared, whichever it is.
        valid.fold(Choice::from(0), |found, login| found | belongs(login)).into()
    }
}

fn is_same(given: &str, expected: &Secret) -> Choice {
    given.as_bytes().ct_eq(expected.as_bytes())
}

fn secret() -> Secret {
    let mut bytes = Zeroizing::new([0; DIGITS / 2]);
    SystemRandom::new().fill(&mut *bytes).expect("the system has random numbers");
    let mut digits = Zeroizing::new(String::with_capacity(DIGITS));
    for byte in bytes.iter() {
        // Writing to a String cannot fail.
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_valid_once_and_for_some_minutes() {
        let (mut keys, now) = (ConsoleKeys::default(), Instant::now());
        let second = Duration::from_secs(1);
        assert_eq!(keys.log_in_at("", now), None);
        let token = keys.new_token_at(now);
        assert_eq!(token.len(), DIGITS);
        assert!(token.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let wrong =
            [&token[1..], "", &format!("{token}0"), &"0".repeat(DIGITS)].map(|wrong| keys.log_in_at(wrong, now));
        assert_eq!(wrong, [None, None, None, None]);
        assert!(keys.log_in_at(&token, now + ADDRESS_TIME).is_none());
        assert!(keys.log_in_at(&token, now + ADDRESS_TIME - second).is_some());
        assert!(keys.log_in_at(&token, now).is_none());
        let (first, other) = (keys.new_token_at(now), keys.new_token_at(now));
        assert!(first != other && keys.log_in_at(&first, now).is_none() && keys.log_in_at(&other, now).is_some());
    }

    #[test]
    fn a_login_needs_its_own_cookie_and_key_until_it_expires() {
        let (mut keys, now) = (ConsoleKeys::default(), Instant::now());
        let log_in = |keys: &mut ConsoleKeys| {
            let token = keys.new_token_at(now);
            keys.log_in_at(&token, now).unwrap()
        };
        let ((cookie, key), (other_cookie, other_key)) = (log_in(&mut keys), log_in(&mut keys));
        assert!(keys.is_valid_at(&["x", &cookie], &key, now));
        assert!(keys.is_valid_at(&[&other_cookie], &other_key, now));
        for (cookies, key) in [
            (&[][..], key.as_str()),
            (&[cookie.as_str()], ""),
            (&[cookie.as_str()], &other_key),
            (&[key.as_str()], &cookie),
            (&[""], ""),
        ] {
            assert!(!keys.is_valid_at(cookies, key, now), "{cookies:?} {key}");
        }
        assert!(!keys.is_valid_at(&[&cookie], &key, now + LOGIN_TIME));
        for _ in 1..MOST_LOGINS {
            log_in(&mut keys);
        }
        assert!(!keys.is_valid_at(&[&cookie], &key, now), "the oldest made room");
        assert!(keys.is_valid_at(&[&other_cookie], &other_key, now));
    }
}
