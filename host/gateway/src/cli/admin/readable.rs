//! Whether others may read the hashes of passwords in a configuration.

use std::path::Path;

use crate::config::{Authentication, Config, LoginPolicy};
use crate::state::strict_modes::quoted;

/// Read permission for everybody.
const EVERYBODY_READS: u32 = 0o004;

/// What to tell the operator; `None` if there is no hash, or if not everybody may read the file.
pub(in crate::cli) fn note(file: &Path, config: &Config) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let mode = file.metadata().ok()?.mode();
    let LoginPolicy::Users(users) = &config.login_policy else { return None };
    let has_hash =
        users.values().any(|user| matches!(&user.authentication, Authentication::Required { password: Some(_), .. }));
    (has_hash && mode & EVERYBODY_READS != 0).then(|| {
        format!(
            "{}: everybody on this machine may read the hashes of passwords in it (mode {:04o}): `chmod 640 {}`, and \
             chgrp it to the group of the user who runs the server",
            file.display(),
            mode & 0o7777,
            quoted(file)
        )
    })
}
