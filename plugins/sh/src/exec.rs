//! Execution of syntax trees (XCU 2.9 to 2.14).

mod background;
mod compound;
mod conditional;
mod list;
mod pipeline;
mod redirect;
mod script;
mod simple;
mod spawn;
mod subshell;
mod transfer;
mod traps;
