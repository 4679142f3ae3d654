//! `whelk algorithms`: what is offered in a key exchange.

use std::path::Path;

use whelk_ssh::algorithm::Preferences;
use whelk_ssh::crypto::key::SIGNATURES;

use super::outcome::{Failure, print, wrong};
use crate::config::{Config, Overrides, algorithms_table};

pub(super) fn algorithms(file: Option<&Path>, strict: bool) -> Result<(), Failure> {
    let preferences = match file {
        Some(file) => Config::load(file, &Overrides::default()).map_err(wrong)?.algorithms,
        None if strict => Preferences::strict(),
        None => Preferences::default(),
    };
    let users = SIGNATURES.join(", ");
    print(&format!("{}# Users' keys sign with: {users}\n", algorithms_table(&preferences)))
}
