//! A process: one store that runs something, with what is charged for it.

pub(crate) mod instance;
