//! Reads the text of the configuration file: UTF-8, writable only by root and the user who runs the program.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use crate::state::strict_modes::Writers;

/// Far more than any configuration written by hand or generated for thousands of users.
const MOST_BYTES: u64 = 64 << 20;
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// Reads a configuration file. A byte order mark is skipped.
///
/// # Errors
/// The file is absent, not a regular file, unreadable, writable by others (as sshd's StrictModes), or not UTF-8.
pub(super) fn read(path: &Path) -> Result<String, String> {
    read_from(path, Fifo::Waits)
}

/// The same for a file that was read before: a FIFO is refused, whose writer has gone.
pub(super) fn read_again(path: &Path) -> Result<String, String> {
    read_from(path, Fifo::Refused)
}

/// What to do with a FIFO.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fifo {
    /// Wait for its writer.
    Waits,
    Refused,
}

fn read_from(path: &Path, fifo: Fifo) -> Result<String, String> {
    let shown = path.display();
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => format!("{shown}: {error}: `whelk init` writes a configuration to start from"),
        _ => format!("{shown}: {error}"),
    };
    // Does not wait for the writer of a FIFO.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| unreadable(error.into()))?;
    let mut file = File::from(file);
    let facts = file.metadata().map_err(unreadable)?;
    if facts.is_dir() {
        return Err(format!("{shown} is a folder: name the file in it, such as {}", path.join("whelk.toml").display()));
    }
    if facts.file_type().is_fifo() && fifo == Fifo::Refused {
        return Err(format!("{shown} is a pipe, which can be read once: restart, or start with a regular file"));
    }
    if facts.file_type().is_fifo() {
        // A pipe, as of `<(sops -d whelk.toml)`. Opened again without O_NONBLOCK, so that a named pipe waits for its
        // writer.
        file = File::open(path).map_err(unreadable)?;
    } else if !facts.is_file() {
        return Err(format!("{shown} is no file"));
    }
    if facts.len() > MOST_BYTES {
        return Err(format!("{shown} is larger than {MOST_BYTES} bytes"));
    }
    Writers::Operator.check(path, facts.mode(), facts.uid())?;
    // An anonymous pipe and a deleted file are in no folder.
    if path.canonicalize().is_ok() {
        Writers::Operator.check_folder_of(path)?;
    }
    let mut bytes = Vec::new();
    (&file).take(MOST_BYTES).read_to_end(&mut bytes).map_err(unreadable)?;
    let is_same = |after: &Metadata| {
        let times = |facts: &Metadata| (facts.mtime(), facts.mtime_nsec(), facts.ctime(), facts.ctime_nsec());
        times(after) == times(&facts) && after.len() == facts.len() && bytes.len() as u64 == facts.len()
    };
    // A program that writes into the file and does not replace it.
    if facts.is_file() && !is_same(&file.metadata().map_err(unreadable)?) {
        return Err(format!("{shown} has changed while it was read: try again"));
    }
    decode(bytes).map_err(|what| format!("{shown}{what}"))
}

/// The text of a file, or the reason why it is not text, as the end of a sentence.
fn decode(bytes: Vec<u8>) -> Result<String, String> {
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(" is UTF-16 text: save it as UTF-8".to_owned());
    }
    let mut text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let before = error.as_bytes().get(..valid).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let byte = error.as_bytes().get(valid).copied().unwrap_or_default();
        format!(":{line}: is not UTF-8 text (byte 0x{byte:02x}): save it as UTF-8")
    })?;
    if text.starts_with(BYTE_ORDER_MARK) {
        text.drain(..BYTE_ORDER_MARK.len());
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_utf_8_with_or_without_a_byte_order_mark() {
        for (bytes, read) in [
            (&b"a = 1\r\n"[..], Ok("a = 1\r\n")),
            (b"\xef\xbb\xbfa", Ok("a")),
            (b"", Ok("")),
            (b"\n\n# M\xfcller\n", Err(":3: is not UTF-8 text (byte 0xfc): save it as UTF-8")),
            (b"\xff\xfea\0", Err(" is UTF-16 text: save it as UTF-8")),
        ] {
            let decoded = decode(bytes.to_vec());
            assert_eq!(decoded.as_deref().map_err(String::as_str), read, "{}", bytes.escape_ascii());
        }
    }
}
