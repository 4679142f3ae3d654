//! The path without links, `.` and `..`: REALPATH, as OpenSSH's sftp-server answers it.

use crate::filesystem::FileSystem;
use crate::status::FileError;

/// The most links on the way, as under Linux.
const MAX_LINKS: usize = 40;
/// The most names that one path leads to, those of its links with it. Each costs the file system a call, as in the
/// host's own resolution of paths.
const MAX_NAMES: usize = 8192;
/// The longest path, in bytes, as under Linux.
const MAX_PATH: usize = 4096;

/// Resolves an absolute path. Its last name need not exist if no slash follows it.
pub(super) fn resolve(files: &mut impl FileSystem, path: &str) -> Result<String, FileError> {
    if path.len() > MAX_PATH {
        return Err(FileError::NameTooLong);
    }
    let mut resolved = String::from("/");
    let (mut links, mut looked_up) = (0, 0);
    // The names that follow, the next one last.
    let mut names: Vec<String> = path.rsplit('/').map(str::to_owned).collect();
    while let Some(name) = names.pop() {
        let parent = resolved.len();
        match &*name {
            "" | "." => continue,
            ".." => {
                resolved.truncate(resolved.rfind('/').unwrap_or(0).max(1));
                continue;
            }
            name if resolved.len() == 1 => resolved.push_str(name),
            name => {
                resolved.push('/');
                resolved.push_str(name);
            }
        }
        if resolved.len() > MAX_PATH {
            return Err(FileError::NameTooLong);
        }
        looked_up += 1;
        if looked_up > MAX_NAMES {
            return Err(FileError::Loop);
        }
        match files.read_link(&resolved) {
            Ok(target) => {
                links += 1;
                if links > MAX_LINKS {
                    return Err(FileError::Loop);
                }
                resolved.truncate(if target.starts_with('/') { 1 } else { parent });
                names.extend(target.rsplit('/').map(str::to_owned));
            }
            // It is there, and no link.
            Err(FileError::Invalid) => {}
            Err(FileError::NoEntry) if names.is_empty() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(resolved)
}
