//! How much sessions, plugins and tenants may use, and what holds them to it.
//!
//! Every limit is declared once, by one macro: those of sessions, plugins and tenants in `table`, those of connections
//! in the gateway. `budget` counts what the sessions of a tenant use together, `meter` and `usage` processor time,
//! `memory` memory; `rate` is the token bucket behind every rate, and `throttle` decides which events are logged.

pub(crate) mod budget;
#[macro_use]
mod declare;
pub(crate) mod descriptor;
pub(crate) mod memory;
pub(crate) mod meter;
pub(crate) mod output_charges;
pub(crate) mod permit;
pub(crate) mod rate;
mod resizable;
mod table;
mod throttle;
pub(crate) mod usage;

pub use budget::{Amount, Budget};
pub use declare::{Bytes, Count, DeclaredLimit, Field, GIB, Group, KIB, MIB, Scope, Time, Toggle, Value, count, ms, s};
pub use rate::TokenBucket;
pub use resizable::{ResizablePermit, ResizableSemaphore};
pub use table::Limits;
pub(crate) use table::ticks;
pub use throttle::{Admitted, Throttle};
pub use usage::guest_cpu;
