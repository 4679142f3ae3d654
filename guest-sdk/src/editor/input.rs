//! What the user types: bytes, keys, and the commands that keys are bound to.

mod command;
mod decoder;
mod emacs;
mod key;

pub(super) use command::{Act, Motion};
pub(super) use decoder::{Decoder, Input};
pub(super) use emacs::Emacs;
pub(super) use key::{Code, Key};
