//! The built `whelk` with other projects' clients.
//!
//! `matrix` tests each client with each behaviour; the other modules have one promise each. `cargo xtask test` runs
//! them short, `cargo xtask prove` at the promised sizes.

mod access;
mod algorithms;
mod audit;
mod audit_records;
mod authenticators;
mod beside_sshd;
mod commandline;
mod connection_plugins;
mod console;
mod credentials;
mod crossing;
mod crowd;
mod defences;
mod file_transfer;
mod files;
mod hardened;
mod hash_password;
mod homes;
mod host_keys;
mod hostile;
mod interactive;
mod keys;
mod languages;
mod latency;
mod lifecycle;
mod limits;
mod logins;
mod logs;
mod matrix;
mod metrics;
mod node;
mod openssh_tools;
mod operator;
mod plain_programs;
mod processes;
mod program_table;
mod programs;
mod published;
mod recipe;
mod regress;
mod reload;
mod revocation;
mod scp;
mod service;
mod shell;
mod slow;
mod stdio;
mod strangers;
mod terminal;
mod transfer;
mod utilities;
mod violation;
mod watched;
