//! The modes of the terminal (RFC 4254 §8).

use std::cell::RefCell;
use whelk_guest::TerminalMode;
use whelk_guest::terminal::{modes, set_modes};

/// The modes before it became raw.
pub(super) type Modes = RefCell<Vec<TerminalMode>>;

/// What a raw terminal does not do: start and stop output, make signals, edit lines and echo, and change newlines.
const OFF: [u8; 7] = [
    36, // ICRNL
    38, // IXON
    50, // ISIG
    51, // ICANON
    53, // ECHO
    59, // IEXTEN
    70, // OPOST
];

/// As [`System::set_raw`](crate::System::set_raw).
pub(super) fn set_raw(before: &Modes, raw: bool) {
    if raw {
        *before.borrow_mut() = modes();
        // Without a terminal there are none.
        let _ = set_modes(&OFF.map(|opcode| TerminalMode { opcode, argument: 0 }));
    } else {
        let before: Vec<TerminalMode> =
            before.borrow().iter().filter(|mode| OFF.contains(&mode.opcode)).cloned().collect();
        let _ = set_modes(&before);
    }
}
