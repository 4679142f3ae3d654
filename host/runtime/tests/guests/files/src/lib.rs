//! A plugin that runs file operations on demand: data is actions separated by `;`, each answered by a line. A zero byte
//! ends the answers to one piece of data.

wit_bindgen::generate!({
    path: "../../../../../wit",
    inline: "
        package whelk:test;
        world files {
            include whelk:ssh/session-plugin@0.1.0;
            import whelk:ssh/space@0.1.0;
            import whelk:ssh/files@0.1.0;
        }
    ",
    world: "whelk:test/files",
    generate_all,
});

mod attack;
mod churn;

use std::cell::RefCell;
use std::fs::{self, File, FileTimes, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::time::{Duration, UNIX_EPOCH};

use exports::whelk::ssh::session::{Ending, Guest, Pty, SignalName, WindowSize};
use wasip2::filesystem::types::{Descriptor, DescriptorFlags, ErrorCode, OpenFlags, PathFlags, filesystem_error_code};
use wasip2::io::streams::StreamError;
use whelk::ssh::{channel, files, space, types};

thread_local! {
    static HELD: RefCell<Vec<File>> = const { RefCell::new(Vec::new()) };
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or_else(|_| panic!("not a number: {text}"))
}

/// The granted directory, by WASI's own interface.
fn root() -> Descriptor {
    wasip2::filesystem::preopens::get_directories().pop().expect("a directory is granted").0
}

fn act(word: &str, rest: &str) -> io::Result<String> {
    let (first, second) = rest.split_once(' ').unwrap_or((rest, ""));
    let done = || "ok".to_owned();
    match word {
        "write" => fs::write(first, second).map(|()| done()),
        "append" => OpenOptions::new().append(true).open(first)?.write_all(second.as_bytes()).map(|()| done()),
        "new" => File::create_new(first).map(|_| done()),
        // This many bytes, a piece at a time.
        "fill" => {
            let mut file = File::create(first)?;
            let mut left = number(second) as usize;
            while left > 0 {
                let piece = left.min(64 << 10);
                file.write_all(&vec![b'x'; piece])?;
                left -= piece;
            }
            Ok(done())
        }
        "put" => {
            let (offset, text) = second.split_once(' ').unwrap_or((second, ""));
            let mut file = OpenOptions::new().write(true).open(first)?;
            file.seek(SeekFrom::Start(number(offset)))?;
            file.write_all(text.as_bytes()).map(|()| done())
        }
        "read" => fs::read(first).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        "read-from" => {
            let mut file = File::open(first)?;
            file.seek(SeekFrom::Start(number(second)))?;
            let mut text = String::new();
            file.read_to_string(&mut text).map(|_| text)
        }
        "truncate" => OpenOptions::new().write(true).open(first)?.set_len(number(second)).map(|()| done()),
        // Opens it until the host refuses.
        "hoard" => {
            let mut count = 0;
            loop {
                match File::open(first) {
                    Ok(file) => HELD.with_borrow_mut(|held| held.push(file)),
                    Err(error) => return Ok(format!("{count} {}", word_of(&error))),
                }
                count += 1;
            }
        }
        "hold" => {
            let file = OpenOptions::new().read(true).append(true).open(first)?;
            HELD.with_borrow_mut(|held| held.push(file));
            Ok(done())
        }
        "held" => HELD.with_borrow_mut(|held| held[0].write_all(rest.as_bytes())).map(|()| done()),
        "drop" => {
            HELD.take();
            Ok(done())
        }
        "attack" => Ok(attack::attack(number(first), second)),
        "raid" => Ok(attack::raid(number(first), second)),
        "swap" => Ok(attack::swap(number(first), second)),
        "raw" => attack::raw(rest),
        "raw-write" => said(raw_write(first, second)),
        "churn" => Ok(churn::churn(number(first), number(second))),
        _ => names(word, first, second),
    }
}

/// Operations on names, and their metadata.
fn names(word: &str, first: &str, second: &str) -> io::Result<String> {
    let done = || "ok".to_owned();
    match word {
        "list" => list(first),
        "count" => fs::read_dir(first)?
            .try_fold(0, |count, entry| entry.map(|_| count + 1))
            .map(|count: u32| count.to_string()),
        "stat" => fs::metadata(first).map(|found| format!("{} {}", kind(found.file_type()), found.len())),
        "lstat" => fs::symlink_metadata(first).map(|found| kind(found.file_type()).to_owned()),
        "modified" => {
            let modified = fs::metadata(first)?.modified()?.duration_since(UNIX_EPOCH);
            modified.map(|since| since.as_secs().to_string()).map_err(io::Error::other)
        }
        "touch" => {
            let time = UNIX_EPOCH + Duration::from_secs(number(second));
            let times = FileTimes::new().set_modified(time);
            OpenOptions::new().read(true).open(first)?.set_times(times).map(|()| done())
        }
        "remove" => fs::remove_file(first).map(|()| done()),
        "mkdir" => fs::create_dir(first).map(|()| done()),
        "rmdir" => fs::remove_dir(first).map(|()| done()),
        "rename" => fs::rename(first, second).map(|()| done()),
        "rename-new" => Ok(files::rename_new(first, second).map_or_else(|error| error.name().to_owned(), |()| done())),
        "unlisted" => Ok(files::unlisted_names(first).map_or_else(|error| error.name().to_owned(), |n| n.to_string())),
        "open-limit" => Ok(files::open_files_limit().to_string()),
        "link" => fs::hard_link(first, second).map(|()| done()),
        "symlink" => said(root().symlink_at(first, second)),
        "readlink" => fs::read_link(first).map(|target| target.to_string_lossy().into_owned()),
        // A path from a handle of a directory, not from the root.
        "from" => said_of(open_from(first, second)),
        // The same from one that is renamed in between.
        "moved" => said_of(open_from_moved(first, second)),
        // This many bytes from the beginning, as numbers.
        "bytes" => {
            let mut bytes = vec![1; number(second) as usize];
            File::open(first)?.read_exact(&mut bytes).map(|()| format!("{bytes:?}"))
        }
        // How much one read gives at most.
        "flood" => {
            let mut bytes = vec![1; 1 << 20];
            File::open(first)?.read(&mut bytes).map(|read| read.to_string())
        }
        "same" => said_of(same(first, second)),
        "room" => Ok(room(first)),
        "sync" => File::open(first)?.sync_all().map(|()| done()),
        other => panic!("no such action: {other}"),
    }
}

fn list(path: &str) -> io::Result<String> {
    let names = fs::read_dir(path)?.map(|entry| {
        let entry = entry?;
        Ok(format!("{}:{}", entry.file_name().to_string_lossy(), kind(entry.file_type()?)))
    });
    let mut names = names.collect::<io::Result<Vec<_>>>()?;
    names.sort();
    Ok(names.join(" "))
}

fn kind(kind: fs::FileType) -> &'static str {
    match () {
        () if kind.is_dir() => "dir",
        () if kind.is_file() => "file",
        () if kind.is_symlink() => "link",
        () => "other",
    }
}

/// Bytes, free bytes, files, free files, the part, and `ro` if nothing can be changed.
fn room(path: &str) -> String {
    match space::statvfs(path) {
        Ok(room) => format!(
            "{} {} {} {} {}{}",
            room.total_bytes,
            room.free_bytes,
            room.total_files,
            room.free_files,
            room.part,
            if room.read_only { " ro" } else { "" }
        ),
        Err(error) => error.name().to_owned(),
    }
}

fn said_of(result: Result<String, ErrorCode>) -> io::Result<String> {
    Ok(result.unwrap_or_else(|code| code.name().to_owned()))
}

fn open_from(directory: &str, path: &str) -> Result<String, ErrorCode> {
    let open = |at: &Descriptor, path, how| at.open_at(PathFlags::SYMLINK_FOLLOW, path, how, DescriptorFlags::READ);
    let root = root();
    let opened = open(&open(&root, directory, OpenFlags::DIRECTORY)?, path, OpenFlags::empty())?;
    if opened.is_same_object(&root) {
        return Ok("root".to_owned());
    }
    let found = opened.stat()?;
    Ok(format!("{:?} {}", found.type_, found.link_count))
}

fn open_from_moved(directory: &str, rest: &str) -> Result<String, ErrorCode> {
    let (new, path) = rest.split_once(' ').unwrap_or((rest, "."));
    let root = root();
    let open =
        |at: &Descriptor, path| at.open_at(PathFlags::empty(), path, OpenFlags::DIRECTORY, DescriptorFlags::READ);
    let handle = open(&root, directory)?;
    root.rename_at(directory, &root, new)?;
    open(&handle, path).map(|_| "ok".to_owned())
}

/// Whether two paths lead to one file.
fn same(one: &str, other: &str) -> Result<String, ErrorCode> {
    let root = root();
    let hash = |path| root.metadata_hash_at(PathFlags::SYMLINK_FOLLOW, path).map(|hash| (hash.lower, hash.upper));
    Ok((hash(one)? == hash(other)?).to_string())
}

/// Writes to the end of a file by the descriptor, and one more byte by a stream.
fn raw_write(path: &str, text: &str) -> Result<(), ErrorCode> {
    let file = root().open_at(PathFlags::empty(), path, OpenFlags::empty(), DescriptorFlags::WRITE)?;
    let size = file.stat()?.size;
    file.write(text.as_bytes(), size)?;
    let stream = file.append_via_stream()?;
    stream.blocking_write_and_flush(b"!").map_err(|error| match error {
        StreamError::LastOperationFailed(error) => filesystem_error_code(&error).expect("the host knows"),
        StreamError::Closed => ErrorCode::Pipe,
    })
}

fn said(result: Result<(), ErrorCode>) -> io::Result<String> {
    Ok(result.map_or_else(|code| code.name().to_owned(), |()| "ok".to_owned()))
}

/// The name of an error.
fn word_of(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::QuotaExceeded => "quota".to_owned(),
        ErrorKind::PermissionDenied => "denied".to_owned(),
        ErrorKind::ReadOnlyFilesystem => "read-only".to_owned(),
        ErrorKind::NotFound => "none".to_owned(),
        // Errors without a kind in the standard library, whose streams report every failure as EIO.
        _ if error.raw_os_error() == Some(29) => "io".to_owned(),
        _ if error.raw_os_error() == Some(55) => "not-empty".to_owned(),
        kind => format!("{kind:?}"),
    }
}

struct Files;

impl Guest for Files {
    fn open() -> bool {
        true
    }
    fn env(_: String, _: Vec<u8>) -> bool {
        false
    }
    fn pty_req(_: Pty) -> bool {
        false
    }
    fn shell() -> bool {
        true
    }
    fn exec(_: Vec<u8>) -> bool {
        false
    }
    fn subsystem(_: String) -> bool {
        false
    }
    fn window_change(_: WindowSize) {}
    fn signal(_: SignalName) {}
    fn data(data: Vec<u8>) {
        let mut answer = String::new();
        for action in String::from_utf8_lossy(&data).split(';').map(str::trim).filter(|action| !action.is_empty()) {
            let (word, rest) = action.split_once(' ').unwrap_or((action, ""));
            answer += &act(word, rest).unwrap_or_else(|error| word_of(&error));
            answer.push('\n');
        }
        answer.push('\0');
        // The client may have left; then there is nobody to tell.
        let _ = channel::write(types::Output::Stdout, answer.as_bytes());
    }
    fn extended_data(_: u32, _: Vec<u8>) {}
    fn eof() {
        channel::finish(&types::Exit::Status(0));
    }
    fn close() {}
    fn closed(_: Ending) {}
}

export!(Files);
