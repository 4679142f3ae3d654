//! Tenants in the configuration file: how they are read, each kind of error with its line, which folders may be
//! granted, and the messages for the operator.

#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

mod files;
mod folders;
mod homes;
mod mounts;
mod place;
mod settings;
mod told;
