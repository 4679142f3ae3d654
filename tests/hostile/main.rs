//! The built `whelk` with hostile plugins: the W rows of `README.md`, with a test for each row, named by it, and the X
//! rows that are about neighbours.
//!
//! In every test a quiet tenant's session goes on beside the attack; the attacker's client gets one generic line; the
//! operator gets one event; and the gateway ends cleanly afterwards without a panic. `world` is the gateway with both
//! tenants, `components` the plugins, `attacker/` the plugin that runs the behaviour of a row on demand, `spawner/` the
//! program that starts others. The other modules are the rows, by topic.

mod calls;
mod code;
mod components;
mod crowd;
mod files;
mod kills;
mod memory;
mod neighbours;
mod plugins;
mod processes;
mod rows;
mod tenants;
mod versions;
mod world;
