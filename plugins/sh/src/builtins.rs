//! The builtin commands (XCU 2.14, and bash's).

mod arguments;
mod control;
mod declare;
mod directory;
mod help;
mod history;
mod jobs;
mod limits;
mod names;
mod print;
mod read;
mod set;
mod table;
mod test;
mod traps;

pub(crate) use history::edit_and_execute;
pub(crate) use table::{Builtin, all_names, declares, find, is_special};
