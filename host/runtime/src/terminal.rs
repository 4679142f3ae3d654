//! The line discipline of a terminal: what a Unix kernel does between a terminal and a program.
//!
//! Pure state: modes and bytes in; bytes for the program, bytes for the client and signals out. It knows no session, no
//! channel and no clock. It equals Linux's `n_tty` byte for byte, with which the tests compare it. One difference is
//! intended, and is a setting: [`LineDiscipline::erase_by_width`]. What has no effect under Linux on a pseudo-terminal,
//! such as parity and the speeds, has none here. Echo that nobody takes is lost under Linux; here the caller stops
//! receiving.
//!
//! ```text
//!   keys ---> receive ---> the input buffer ---> read ---> program
//!                |  '--> signals
//!                v echo
//!   screen <--- out <--- write <-------------------------- program
//! ```
//!
//! | module | what it owns |
//! |---|---|
//! | `feed` | the line discipline of a session, with a look ahead for signals |
//! | [`modes`] | the modes: flags and control characters, by their opcodes of RFC 4254 §8 |
//! | `input` | the bytes that the program has not read, and where lines end |
//! | `editing` | what erasing characters, words and lines shows |
//! | `screen` | the column of the cursor, what output processing changes, and the echo |
//! | `character` | the classes of characters |

mod character;
mod discipline;
mod editing;
mod feed;
mod input;
pub mod modes;
mod screen;

pub use discipline::{LineDiscipline, MOST_ECHO, Read, Received, TerminalSignal};
pub(crate) use feed::TerminalFeed;
pub use modes::{ControlKey, Flag, Modes};
