//! The sections of a configuration, one file each.

pub(crate) mod algorithms;
pub(crate) mod audit;
pub(crate) mod authenticators;
pub(crate) mod environment;
pub(crate) mod grants;
pub(crate) mod host_keys;
pub(crate) mod limits;
pub(crate) mod listen;
pub(crate) mod login;
pub(crate) mod plugins;
pub(crate) mod tenants;
pub(crate) mod users;
