//! File transfer with real clients, to Whelk and to OpenSSH's sshd in one run.
//!
//! `table` has every client with every operation; `mounted` uses a home as a file system; `faults` sends what no
//! well-behaved client sends; `routes` is about what comes before file transfer. WinSCP is not among the clients: it
//! runs on Windows only, and Debian has no package of it.

mod client;
mod faults;
mod fixture;
mod layout;
mod mounted;
mod operation;
mod routes;
mod row;
mod server;
mod site;
mod table;
