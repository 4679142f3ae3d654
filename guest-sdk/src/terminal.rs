//! The client's terminal: its current size and its modes. RFC 4254 §6.2 and §8.

use crate::bindings::whelk::ssh::terminal;
use crate::bindings::whelk::ssh::types::{TerminalMode, WindowSize};

pub use crate::bindings::whelk::ssh::terminal::TerminalError;

/// The latest size, after all window changes. `None` without a terminal.
pub fn size() -> Option<WindowSize> {
    terminal::get_size()
}

/// Whether these keys contain Ctrl-C or Ctrl-D, by which a person asks to leave. False without a terminal, where they
/// are ordinary bytes.
///
/// A terminal session delivers keys as they are pressed; only the plugin can act on these two.
pub fn wants_to_leave(keys: &[u8]) -> bool {
    // A person types some bytes at a time. Of what is piped in, the search would cost more than all the rest: the host
    // is asked first.
    if keys.len() > TYPED && size().is_none() {
        return false;
    }
    keys.iter().any(|key| matches!(*key, CTRL_C | CTRL_D)) && size().is_some()
}

/// As many bytes are searched in the time of one call of the host.
const TYPED: usize = 64;

const CTRL_C: u8 = 3;
const CTRL_D: u8 = 4;

/// The modes in force, as numbers; [`mode_name`] names them.
pub fn modes() -> Vec<TerminalMode> {
    terminal::get_modes()
}

/// Changes only the named modes, from the next byte on that the plugin has not got. The host then does what Linux does
/// between a terminal and a program: see `set-modes` in `wit/host.wit`, and [`cook`].
///
/// # Errors
/// [`TerminalError::NoTerminal`], or [`TerminalError::UnknownMode`] when the host does not know one of them.
pub fn set_modes(modes: &[TerminalMode]) -> Result<(), TerminalError> {
    terminal::set_modes(modes)
}

/// Lets the host edit lines and echo keys, as a terminal does for a program that knows nothing of terminals: each
/// `data` call is then one line, Ctrl-C is the signal INT, and lines of output may end in a plain newline.
///
/// # Errors
/// [`TerminalError::NoTerminal`].
pub fn cook() -> Result<(), TerminalError> {
    const ON: [u8; 12] = [
        36, // ICRNL
        38, // IXON
        50, // ISIG
        51, // ICANON
        53, // ECHO
        54, // ECHOE
        55, // ECHOK
        59, // IEXTEN
        60, // ECHOCTL
        61, // ECHOKE
        70, // OPOST
        72, // ONLCR
    ];
    set_modes(&ON.map(|opcode| TerminalMode { opcode, argument: 1 }))
}

/// The name of a terminal mode, as in `stty` and `termios`, for its opcode in RFC 4254 §8.
///
/// ```
/// # use whelk_guest::terminal::mode_name;
/// assert_eq!(mode_name(53), Some("ECHO"));
/// assert_eq!(mode_name(0), None);
/// ```
pub fn mode_name(opcode: u8) -> Option<&'static str> {
    MODES.iter().find(|(number, _)| *number == opcode).map(|(_, name)| *name)
}

/// RFC 4254 §8, and IUTF8 of RFC 8160 §2.
const MODES: &[(u8, &str)] = &[
    (1, "VINTR"),
    (2, "VQUIT"),
    (3, "VERASE"),
    (4, "VKILL"),
    (5, "VEOF"),
    (6, "VEOL"),
    (7, "VEOL2"),
    (8, "VSTART"),
    (9, "VSTOP"),
    (10, "VSUSP"),
    (11, "VDSUSP"),
    (12, "VREPRINT"),
    (13, "VWERASE"),
    (14, "VLNEXT"),
    (15, "VFLUSH"),
    (16, "VSWTCH"),
    (17, "VSTATUS"),
    (18, "VDISCARD"),
    (30, "IGNPAR"),
    (31, "PARMRK"),
    (32, "INPCK"),
    (33, "ISTRIP"),
    (34, "INLCR"),
    (35, "IGNCR"),
    (36, "ICRNL"),
    (37, "IUCLC"),
    (38, "IXON"),
    (39, "IXANY"),
    (40, "IXOFF"),
    (41, "IMAXBEL"),
    (42, "IUTF8"),
    (50, "ISIG"),
    (51, "ICANON"),
    (52, "XCASE"),
    (53, "ECHO"),
    (54, "ECHOE"),
    (55, "ECHOK"),
    (56, "ECHONL"),
    (57, "NOFLSH"),
    (58, "TOSTOP"),
    (59, "IEXTEN"),
    (60, "ECHOCTL"),
    (61, "ECHOKE"),
    (62, "PENDIN"),
    (70, "OPOST"),
    (71, "OLCUC"),
    (72, "ONLCR"),
    (73, "OCRNL"),
    (74, "ONOCR"),
    (75, "ONLRET"),
    (90, "CS7"),
    (91, "CS8"),
    (92, "PARENB"),
    (93, "PARODD"),
    (128, "TTY_OP_ISPEED"),
    (129, "TTY_OP_OSPEED"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_modes_is_in_order_and_ends_where_the_standard_does() {
        assert!(MODES.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert_eq!(mode_name(1), Some("VINTR"));
        assert_eq!(mode_name(42), Some("IUTF8"));
        assert_eq!(mode_name(129), Some("TTY_OP_OSPEED"));
        assert_eq!(mode_name(19), None);
        assert_eq!(mode_name(255), None);
    }
}
