//! `report` in Rust, with the line that keeps its status.

whelk_guest::whelk_command!();

include!("../../report.rs");
