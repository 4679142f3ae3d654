//! The utilities that uutils have not, or not for WASI.
//!
//! WASI has neither modes nor owners. What shows them shows what `ls -l` of uutils shows there (`-r-xr-xr-x somebody
//! somegroup`), and what changes them says that it cannot.

pub(crate) mod cat;
mod command;
mod dd;
mod disk;
mod files;
mod modes;
mod people;
mod screen;
mod stat;

use crate::utility::{Arguments, Utility};

/// Our utilities.
pub(crate) const OWN: &[Utility] = &[
    own("cal", screen::cal),
    own("chgrp", modes::chown),
    own("chmod", modes::chmod),
    own("chown", modes::chown),
    own("clear", screen::clear),
    own("dd", dd::main),
    own("df", disk::df),
    own("du", disk::du),
    own("groups", people::groups),
    own("id", people::id),
    own("install", files::install),
    own("stat", stat::main),
    own("stty", screen::stty),
    own("sync", files::sync),
    own("tac", files::tac),
    own("tree", files::tree),
    own("which", files::which),
    own("who", people::who),
    own("whoami", people::whoami),
];

const fn own(name: &'static str, main: fn(Arguments) -> i32) -> Utility {
    Utility { name, messages: None, main, app: None }
}
