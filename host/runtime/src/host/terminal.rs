//! `whelk:ssh/terminal`: the size and the modes of the user's terminal.
//!
//! Modes are stored and returned; no line discipline acts on them yet. Event handlers start raw, so the first modes are
//! the client's with everything off that would change a byte.

use std::collections::BTreeMap;

use crate::host::bindings::imports::terminal::TerminalError;

/// The modes that `cfmakeraw` switches off. RFC 4254 §8: PARMRK, ISTRIP, INLCR, IGNCR, ICRNL, IXON; ISIG, ICANON, ECHO,
/// ECHONL, IEXTEN; OPOST; CS7, PARENB.
const OFF_WHEN_RAW: [u8; 14] = [31, 33, 34, 35, 36, 38, 50, 51, 53, 56, 59, 70, 90, 92];

/// The settings of the terminal that a process has accepted. The terminal itself is its channel's.
#[derive(Default)]
pub(crate) struct Terminal {
    /// Those in force, each once.
    modes: Vec<(u8, u32)>,
}

impl Terminal {
    /// The client's settings, as far as an event handler starts with them.
    pub(crate) fn begin(&mut self, modes: &[(u8, u32)]) {
        self.modes = raw(modes);
    }

    /// The process wants nothing of the terminal that an earlier one has accepted.
    pub(crate) fn forget(&mut self) {
        self.modes = Vec::new();
    }

    pub(super) fn modes(&self) -> &[(u8, u32)] {
        &self.modes
    }

    /// Changes all of these settings, or none if one of them is unknown.
    pub(super) fn set_modes(&mut self, modes: impl Iterator<Item = (u8, u32)> + Clone) -> Result<(), TerminalError> {
        if modes.clone().any(|(opcode, _)| !is_known(opcode)) {
            return Err(TerminalError::UnknownMode);
        }
        for (opcode, argument) in modes {
            match self.modes.iter_mut().find(|(known, _)| *known == opcode) {
                Some((_, before)) => *before = argument,
                None => self.modes.push((opcode, argument)),
            }
        }
        Ok(())
    }
}

/// Whether RFC 4254 §8 (with IUTF8 of RFC 8160) defines the mode.
fn is_known(opcode: u8) -> bool {
    matches!(opcode, 1..=18 | 30..=42 | 50..=62 | 70..=75 | 90..=93 | 128 | 129)
}

/// The initial modes of an event handler, each once: the last value counts. A client can name one mode ten thousand
/// times, and a plugin that then changes as many would make the host search for hours, without a budget that ends it.
fn raw(modes: &[(u8, u32)]) -> Vec<(u8, u32)> {
    let modes: BTreeMap<u8, u32> = modes
        .iter()
        .map(|(opcode, argument)| (*opcode, if OFF_WHEN_RAW.contains(opcode) { 0 } else { *argument }))
        .collect();
    modes.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_mode_counts_once_with_its_last_value() {
        let mut modes = vec![(1, 3); 13_000];
        modes.extend([(53, 1), (128, 9600), (1, 4)]);
        assert_eq!(raw(&modes), [(1, 4), (53, 0), (128, 9600)]);
    }
}
