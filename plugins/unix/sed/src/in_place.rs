//! `-i`: each file is replaced by what the script makes of it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use unix_common::report;

use crate::input::Input;
use crate::output::Output;
use crate::run::{Machine, Options};
use crate::script::Script;
use crate::status::{BAD_INPUT, PANIC};

/// Edits files in place, and keeps the old ones if there is a suffix. The exit status.
pub(crate) fn edit(
    files: &[String],
    suffix: &str,
    follow: bool,
    script: &mut Script,
    options: Options,
) -> Result<u8, String> {
    let mut worst = 0;
    let input = Input::new(&[], options.terminator, true);
    let mut machine = Machine::new(script, options, input, Output::standard(false))?;
    for file in files {
        match fs::metadata(file) {
            Ok(found) if !found.is_file() => {
                report::error(&format!("couldn't edit {file}: not a regular file"));
                worst = worst.max(PANIC);
                continue;
            }
            Ok(_) => {}
            Err(error) => {
                report::error(&format!("can't read {file}: {}", report::words(&error)));
                worst = worst.max(BAD_INPUT);
                continue;
            }
        }
        let target = if follow { fs::canonicalize(file) } else { Ok(PathBuf::from(file)) };
        let target = target.map_err(|error| format!("couldn't follow symlink {file}: {}", report::words(&error)))?;
        let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let (temporary, created) = create(folder)?;
        machine.input = Input::new(std::slice::from_ref(file), options.terminator, true);
        machine.out = Output::file(created);
        machine.reset();
        let result = machine.run().and_then(|status| machine.out.flush().map(|()| status));
        let status = result.map_err(|error| {
            // What is left of it would be in the way.
            let _ = fs::remove_file(&temporary);
            report::words(&error)
        })?;
        let rename = |from: &Path, to: &Path| {
            fs::rename(from, to).map_err(|error| format!("cannot rename {}: {}", from.display(), report::words(&error)))
        };
        if !suffix.is_empty() {
            rename(&target, &backup(&target, suffix))?;
        }
        rename(&temporary, &target)?;
        if let Some(status) = status {
            return Ok(status);
        }
    }
    Ok(worst)
}

/// The name of the old file: the suffix after its name, or its name in place of each `*`.
fn backup(target: &Path, suffix: &str) -> PathBuf {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let name = if suffix.contains('*') { suffix.replace('*', &name) } else { format!("{name}{suffix}") };
    if name.contains('/') { PathBuf::from(name) } else { target.with_file_name(name) }
}

/// A new file in a folder.
fn create(folder: &Path) -> Result<(PathBuf, File), String> {
    // A program cannot ask for its number here: the time makes the name its own.
    let start = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    for number in start.. {
        let path = folder.join(format!("sed{number}"));
        match File::create_new(&path) {
            Ok(file) => return Ok((path, file)),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                return Err(format!("couldn't open temporary file {}: {}", path.display(), report::words(&error)));
            }
        }
    }
    Err("couldn't open a temporary file: all names are taken".to_owned())
}
