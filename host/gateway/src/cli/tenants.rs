//! `whelk tenants`: what users get, and why.

use std::path::Path;

use whelk_runtime::ProgramRequest;

use super::explain::explain;
use super::outcome::{Failure, print, wrong};
use crate::config::{Config, Overrides};

pub(super) fn tenants(file: &Path, user: Option<&str>, start: Option<ProgramRequest<'_>>) -> Result<(), Failure> {
    let config = Config::load(file, &Overrides::default()).map_err(wrong)?;
    print(&explain(&config, user, start).map_err(wrong)?)
}
