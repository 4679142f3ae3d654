//! Tenants in the configuration file: what is read, each way to be wrong with its line, which folders may be given, and
//! what an operator is told.

#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

mod folders;
mod place;
mod settings;
mod told;
