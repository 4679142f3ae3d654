//! `whelk check`: checks a configuration and everything that it names.

use std::path::Path;

use super::admin::readable;
use super::inspect;
use super::outcome::{Failure, lone_runtime, print, wrong};
use crate::config::{Config, Overrides};
use crate::os_limits;
use crate::server::gateway::{lone_loader, trial_limits};

pub(super) fn check(file: &Path, stdio: bool) -> Result<(), Failure> {
    let mut config = Config::load(file, &Overrides::default()).map_err(wrong)?;
    if stdio {
        super::stdio::restrict(&mut config);
    }
    let notes: String = config.notes.iter().map(|note| format!("{note}\n")).collect();
    let readable = readable::note(file, &config).map_or_else(String::new, |note| format!("{note}\n"));
    let shortages: String =
        os_limits::shortages(&config).iter().map(|shortage| format!("this machine: {shortage}\n")).collect();
    os_limits::check_start(&config).map_err(wrong)?;
    let loader = lone_loader(&trial_limits(&config)).map_err(wrong)?;
    let faults = lone_runtime()?.block_on(inspect::check_named(&config, &loader));
    if !faults.operators.is_empty() {
        return Err(wrong(faults.operators.join("\n")));
    }
    let links = inspect::refused_links(&config);
    let theirs: String =
        faults.tenants.iter().chain(&faults.unfinished).chain(&links).map(|fault| format!("{fault}\n")).collect();
    // Notes are not failures: one user's key file must not prevent the start of a server that is checked first
    // (ExecStartPre=).
    print(&format!("{notes}{readable}{shortages}{theirs}{}: good\n", file.display()))
}
