//! What a reload of the configuration leaves as it is: queues, and places that are taken.

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

    /// Bounds it by these limits. What is taken stays taken.
    pub(crate) fn apply_limits(&self, limits: &Limits) {
        self.passwords.slots.resize(os_limits::hashing_slots(limits), os_limits::hashing_memory(limits));
        self.authenticators.apply_limits();
    }
}
