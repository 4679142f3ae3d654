//! The built `whelk` against the clients of the world.
//!
//! `matrix` is clients by behaviours; the other modules are one promise each. `cargo xtask test` runs them short,
//! `cargo xtask prove` at the sizes that were promised.

mod access;
mod audit;
mod beside_sshd;
mod commandline;
mod crowd;
mod hardened;
mod hostile;
mod languages;
mod latency;
mod lifecycle;
mod limits;
mod logins;
mod matrix;
mod node;
mod slow;
mod strangers;
mod terminal;
mod transfer;
mod violation;
