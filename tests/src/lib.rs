//! The harness of the tests with other projects' clients and with hostile plugins.
//!
//! [`Gateway`] is a running `whelk` with a state folder of its own; [`Log`] is its standard error, as events; [`Call`]
//! is one run of a client; [`Offer`] is what a client or a server offers; [`Sshd`] is OpenSSH's server, to compare
//! with; [`Running`] is any program under a deadline. Nothing here sleeps: every wait is for an event and has a time
//! limit, and reaching that limit is a failure.
//!
//! The tests themselves are in `interop/` and, with hostile plugins, in `hostile/`. The house rules are in `house/` and
//! do not need this library.

mod access;
mod call;
mod gateway;
mod group;
mod guest;
mod log;
mod measure;
mod offer;
mod places;
mod running;
mod script;
mod sshd;

pub use access::{Access, Keys, PASSWORD};
pub use call::{Call, Client, OPENSSH_OPTIONS, OPENSSH_VERSIONS, openssh_tool};
pub use gateway::{Gateway, Setup};
pub use group::MemoryGroup;
pub use guest::{build_guest, build_native};
pub use log::{Event, Log};
pub use measure::{LATER, MIB, SOON, figure, size};
pub use offer::{AlgorithmKind, Offer, has_ring, provider_has};
pub use places::{client_program, program, repository, shipped_plugins};
pub use running::{Finished, Input, Output, Running};
pub use script::write_script;
pub use sshd::Sshd;
