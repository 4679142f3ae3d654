//! What has to be there before an operation, and what has to be there after it.

use super::fixture::{HALF, compare, data, half, many, names, tree, write};
use super::operation::{LISTED, Operation};
use super::site::Site;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// The time of modification of the files that keep theirs, in seconds since 1970.
const THEN: u64 = 1_000_000_007;

/// Lays out what the client finds, on both sides. What an earlier try left is removed.
pub(super) fn prepare(operation: Operation, site: &Site) {
    let (here, there) = (site.here(operation), site.there(operation));
    for folder in [&here, &there] {
        if folder.exists() {
            fs::remove_dir_all(folder).expect("our own folder");
        }
        fs::create_dir_all(folder).expect("our own folder");
    }
    match operation {
        Operation::Put | Operation::PutTime => write(&here.join("data"), &data(1)),
        Operation::Get | Operation::GetTime => write(&there.join("data"), &data(2)),
        Operation::List => {
            LISTED[..2].iter().for_each(|name| write(&there.join(name), b"listed"));
            fs::create_dir(there.join(LISTED[2])).expect("our own folder");
        }
        Operation::Rename => write(&there.join("from"), b"renamed"),
        Operation::Remove | Operation::Mode => write(&there.join("file"), b"file"),
        Operation::MakeFolder | Operation::Space => {}
        Operation::RemoveFolder => fs::create_dir(there.join("old")).expect("our own folder"),
        Operation::ResumePut => {
            write(&here.join("data"), &data(3));
            write(&there.join("data"), &half());
        }
        Operation::ResumeGet => {
            write(&there.join("data"), &data(3));
            write(&here.join("data"), &half());
        }
        Operation::PutTree => tree(&here.join("tree")),
        Operation::GetTree => tree(&there.join("tree")),
        Operation::PutMany => many(&here.join("many")),
        Operation::GetMany => many(&there.join("many")),
        Operation::Names => {
            fs::create_dir(here.join("names")).expect("our own folder");
            fs::create_dir(here.join("back")).expect("our own folder");
            for name in names().iter().filter(|name| site.can_name(name)) {
                write(&here.join("names").join(name), name.as_bytes());
            }
        }
        Operation::Link => write(&there.join("file"), b"linked"),
    }
    let timed = [here.join("data"), there.join("data")];
    for file in
        timed.iter().filter(|file| matches!(operation, Operation::PutTime | Operation::GetTime) && file.exists())
    {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(THEN);
        let file = fs::File::options().write(true).open(file).expect("our own file");
        file.set_modified(time).expect("our own file");
    }
}

/// Whether it was done, given what the client printed meanwhile.
pub(super) fn check(operation: Operation, site: &Site, said: &str) -> Result<(), String> {
    let (here, there) = (site.here(operation), site.there(operation));
    let is = |path: &Path, wanted: &[u8]| match fs::read(path) {
        Ok(found) if found == wanted => Ok(()),
        Ok(found) => Err(format!("{} has {} other bytes", path.display(), found.len())),
        Err(error) => Err(format!("{}: {error}", path.display())),
    };
    let gone = |path: &Path| match path.symlink_metadata() {
        Ok(_) => Err(format!("{} is still there", path.display())),
        Err(_) => Ok(()),
    };
    match operation {
        Operation::Put => is(&there.join("data"), &data(1)),
        Operation::Get => is(&here.join("data"), &data(2)),
        Operation::List => match LISTED.iter().find(|name| !said.contains(**name)) {
            Some(name) => Err(format!("{name} is not listed")),
            None => Ok(()),
        },
        Operation::Rename => gone(&there.join("from")).and(is(&there.join("to"), b"renamed")),
        Operation::Remove => gone(&there.join("file")),
        Operation::MakeFolder if there.join("new").is_dir() => Ok(()),
        Operation::MakeFolder => Err("there is no new folder".to_owned()),
        Operation::RemoveFolder => gone(&there.join("old")),
        // The first half is another than that of the source: it shows that it was not sent again.
        Operation::ResumePut => is(&there.join("data"), &[&half(), &data(3)[HALF..]].concat()),
        Operation::ResumeGet => is(&here.join("data"), &[&half(), &data(3)[HALF..]].concat()),
        Operation::PutTree | Operation::GetTree => compare(&here.join("tree"), &there.join("tree")),
        Operation::PutMany | Operation::GetMany => compare(&here.join("many"), &there.join("many")),
        Operation::Names => {
            compare(&here.join("names"), &there.join("names"))?;
            compare(&here.join("names"), &here.join("back/names"))
        }
        Operation::PutTime => is(&there.join("data"), &data(1)).and(modified(&there.join("data"))),
        Operation::GetTime => is(&here.join("data"), &data(2)).and(modified(&here.join("data"))),
        Operation::Link => {
            let target = fs::read_link(there.join("made")).map_err(|error| format!("no link: {error}"))?;
            if !target.ends_with("file") {
                return Err(format!("the link leads to {}", target.display()));
            }
            is(&here.join("through"), b"linked")
        }
        Operation::Space if said.bytes().filter(u8::is_ascii_digit).count() >= 3 => Ok(()),
        Operation::Space => Err(format!("no figures in {said:?}")),
        Operation::Mode => is(&there.join("file"), b"file"),
    }
}

fn modified(file: &Path) -> Result<(), String> {
    let found = file.metadata().map_err(|error| format!("{}: {error}", file.display()))?.mtime();
    let wanted = i64::try_from(THEN).expect("it is small");
    if found == wanted { Ok(()) } else { Err(format!("{} was modified at {found}", file.display())) }
}
