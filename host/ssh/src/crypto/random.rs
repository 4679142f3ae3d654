//! Random bytes that are not keys: the KEXINIT cookie and packet padding.
//!
//! A trait, because tests with two peers must be repeatable byte for byte. Keys do not come from here: the provider
//! makes them from its own source, which cannot be replaced.

use std::fmt;

use zeroize::{Zeroize, Zeroizing};

use super::provider::rand;
use super::provider::rand::SecureRandom;

/// The source of cookies (RFC 4253 §7.1) and padding (RFC 4253 §6).
pub trait Random: Send {
    /// Fills the whole of `out`.
    ///
    /// # Errors
    /// The source gave nothing. The connection must end; there is no weaker source to fall back to.
    fn fill(&mut self, out: &mut [u8]) -> Result<(), RandomFailed>;
}

/// The operating system's random source gave nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RandomFailed;

impl fmt::Display for RandomFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the system's random source failed")
    }
}

impl std::error::Error for RandomFailed {}

/// The provider's generator, read `BUFFER_LEN` bytes at a time: a packet takes a few bytes of padding, and a call for
/// each packet would cost more than sealing a small one.
pub struct SystemRandom {
    /// Bytes from `next` on are unused; those before it are zero.
    buffer: Zeroizing<[u8; BUFFER_LEN]>,
    /// How many bytes of the buffer are used.
    next: usize,
}

/// Padding for about thirty packets.
const BUFFER_LEN: usize = 256;

impl SystemRandom {
    /// A source with an empty buffer.
    #[must_use]
    pub fn new() -> SystemRandom {
        SystemRandom { buffer: Zeroizing::new([0; BUFFER_LEN]), next: BUFFER_LEN }
    }

    /// Refills the buffer from the system.
    fn refill(&mut self) -> Result<(), RandomFailed> {
        rand::SystemRandom::new().fill(self.buffer.as_mut_slice()).map_err(|_| RandomFailed)?;
        self.next = 0;
        Ok(())
    }
}

impl Default for SystemRandom {
    fn default() -> SystemRandom {
        SystemRandom::new()
    }
}

impl Random for SystemRandom {
    fn fill(&mut self, mut out: &mut [u8]) -> Result<(), RandomFailed> {
        while !out.is_empty() {
            if self.next == BUFFER_LEN {
                self.refill()?;
            }
            let count = (BUFFER_LEN - self.next).min(out.len());
            let (taken, rest) = out.split_at_mut(count);
            let ready = self.buffer.get_mut(self.next..self.next + count).unwrap_or_default();
            for (to, from) in taken.iter_mut().zip(&*ready) {
                *to = *from;
            }
            ready.zeroize();
            self.next += count;
            out = rest;
        }
        Ok(())
    }
}

impl fmt::Debug for SystemRandom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SystemRandom").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn used_random_bytes_are_wiped() {
        let mut random = SystemRandom::new();
        let mut out = [0; 100];
        random.fill(&mut out).unwrap();
        assert_ne!(out, [0; 100]);
        assert_eq!(random.buffer[..100], [0; 100]);
        assert_ne!(random.buffer[100..], [0; BUFFER_LEN - 100]);
    }

    #[test]
    fn a_request_larger_than_the_buffer_is_filled_to_its_end() {
        let mut random = SystemRandom::new();
        let mut out = vec![0; 3 * BUFFER_LEN + 1];
        random.fill(&mut out).unwrap();
        // 64 zero bytes in a row have probability 2^-512.
        assert!(out.chunks(64).filter(|chunk| chunk.len() == 64).all(|chunk| chunk.iter().any(|byte| *byte != 0)));
    }

    #[test]
    fn two_cookies_differ() {
        let mut random = SystemRandom::new();
        let cookies: std::collections::HashSet<[u8; 16]> = (0..1000)
            .map(|_| {
                let mut cookie = [0; 16];
                random.fill(&mut cookie).unwrap();
                cookie
            })
            .collect();
        assert_eq!(cookies.len(), 1000);
    }
}
