//! What the user types: bytes, keys, and the commands that keys are bound to.

mod command;
mod decoder;
mod emacs;
mod key;
mod vi;

pub(super) use command::{Act, Motion, WordKind};
pub(super) use decoder::{Decoder, Input};
pub(super) use key::{Code, Key};

use super::settings::KeyMap;
use emacs::Emacs;
use vi::Vi;

/// What keys are bound to, in either way.
#[derive(Debug, Default)]
pub(super) struct Bindings {
    emacs: Emacs,
    vi: Vi,
    map: KeyMap,
}

impl Bindings {
    /// Begins a line.
    pub(super) fn reset(&mut self, map: KeyMap) {
        self.emacs.reset();
        self.vi.reset();
        self.map = map;
    }

    /// The commands of a key: one, and perhaps another before it.
    pub(super) fn acts(&mut self, key: Key) -> (Option<Act>, Act) {
        match self.map {
            KeyMap::Emacs => (None, self.emacs.act(key)),
            KeyMap::Vi => self.vi.acts(key),
        }
    }

    /// Takes the numeric argument for the command that [`acts`](Self::acts) returned.
    pub(super) fn argument(&mut self) -> Option<i32> {
        match self.map {
            KeyMap::Emacs => self.emacs.argument(),
            KeyMap::Vi => self.vi.argument(),
        }
    }

    /// The argument so far, for whoever types it.
    pub(super) fn shown_argument(&self) -> Option<String> {
        self.emacs.shown().filter(|_| self.map == KeyMap::Emacs)
    }

    /// Whether keys are vi's commands.
    pub(super) fn is_vi_command(&self) -> bool {
        self.map == KeyMap::Vi && self.vi.is_command()
    }

    /// Whether changes are taken back together until vi's insert mode is left.
    pub(super) fn is_vi_insert(&self) -> bool {
        self.map == KeyMap::Vi && !self.vi.is_command()
    }

    /// The keys of the last command that changed the text.
    pub(super) fn repeated(&self) -> Vec<Key> {
        self.vi.repeated()
    }

    /// The command could do nothing.
    pub(super) fn refuse(&mut self) {
        self.vi.refuse();
    }
}
