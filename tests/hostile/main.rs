//! The built `whelk` against plugins that mean harm: the table of hostile plugins in the threat model, a test for each
//! row, named by it.
//!
//! In every test a quiet tenant's session goes on beside the offender; the offender's client is told one general line;
//! the operator has one event; and the gateway ends well afterwards, having panicked nowhere. `world` is the gateway
//! with both tenants, `components` the plugins, `attacker/` the plugin that commits a row's behaviour when it is told
//! the row. The others are the rows, by what they are about.

mod calls;
mod code;
mod components;
mod crowd;
mod files;
mod kills;
mod memory;
mod neighbours;
mod plugins;
mod rows;
mod tenants;
mod versions;
mod world;
