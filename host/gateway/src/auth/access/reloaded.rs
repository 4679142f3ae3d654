//! State that survives a reload: the hashing queue and the readers.

use super::Access;
use crate::auth::authenticators::Authenticators;
use crate::config::Limits;
use crate::os_limits;

impl Access {
    /// Shares with the generation before what is bounded for the whole process.
    pub(crate) fn continue_from(&mut self, before: &Access) {
        self.passwords.slots = before.passwords.slots.clone();
        self.keys.continue_from(&before.keys);
    }

    /// The authenticators.
    pub(crate) fn authenticators(&self) -> &Authenticators {
        &self.authenticators
    }

    /// Applies the limits to the hashing slots and the authenticators. What is taken stays taken.
    pub(crate) fn apply_limits(&self, limits: &Limits) {
        self.passwords.slots.resize(os_limits::hashing_slots(limits), os_limits::hashing_memory(limits));
        self.authenticators.apply_limits();
    }
}
