use super::*;
use crate::limits::Limits;
use crate::limits::budget::{Budget, Totals};
use crate::limits::descriptor::Descriptor;

pub(in crate::grants) const READING: Opening = Opening {
    read: true,
    write: false,
    create: false,
    exclusive: false,
    truncate: false,
    directory: false,
    follow: false,
};
const CREATING: Opening = Opening { create: true, ..READING };

/// Room for one open file.
pub(in crate::grants) fn slot() -> FileSlot {
    let budget = Arc::new(Budget::new(&Limits::default()));
    let descriptor = Descriptor::take(&budget, &Arc::new(Totals::new(4, 0, 1))).unwrap();
    FileSlot::new(OpenPlaces::new(None, Arc::new(OpenCount::default()).take(1).unwrap()), descriptor)
}

fn granted(place: &Path, access: Access, quota: Quota) -> Arc<Directory> {
    Directory::open(place, access, quota, "/").unwrap()
}

fn open(directory: &Directory, name: &str, how: Opening) -> Result<Entry, Refused> {
    let found = look(at(directory, name));
    let found = found.as_ref().map_err(|error| Errno::from_io_error(error).unwrap());
    directory.open_entry(at(directory, name), found, how, slot()).map(|(entry, _)| entry)
}

fn at<'a>(directory: &'a Directory, name: &'a str) -> Name<'a> {
    Name { dir: directory.root().directory().unwrap(), name: Path::new(name), wait: DiskWait::Any }
}

#[test]
fn a_directory_that_is_removed_while_it_is_open_gives_back_no_bytes() {
    // W28
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("file"), [0; 9_000]).unwrap();
    let directory = granted(place.path(), Access::ReadWrite, Quota { bytes: 10_000, files: 9 });
    for replaced in [false, true] {
        directory.create_directory(at(&directory, "d")).unwrap();
        let held = open(&directory, "d", READING).unwrap();
        if replaced {
            directory.create_directory(at(&directory, "e")).unwrap();
            directory.rename(at(&directory, "e"), at(&directory, "d"), false).unwrap();
            directory.remove_directory(at(&directory, "d")).unwrap();
        } else {
            directory.remove_directory(at(&directory, "d")).unwrap();
        }
        drop(held);
        assert_eq!(directory.usage(), Usage { bytes: 9_000, files: 1 });
    }
}

#[test]
fn a_file_that_was_not_changed_is_closed_elsewhere_only_if_its_last_name_is_gone_or_going() {
    // W28
    let place = tempfile::tempdir().unwrap();
    let directory = granted(place.path(), Access::ReadWrite, Quota { bytes: 0, files: 9 });
    let make = |name| open(&directory, name, Opening { write: true, ..CREATING }).unwrap();
    assert!(make("kept").close_at_once().is_none());
    let (removed, replaced, going) = (make("removed"), make("replaced"), make("going"));
    directory.remove_file(at(&directory, "removed")).unwrap();
    directory.rename(at(&directory, "kept"), at(&directory, "replaced"), false).unwrap();
    let inode = Arc::clone(going.inode());
    let names = inode.remove_names();
    let (removed, going) = (removed.close_at_once(), going.close_at_once());
    assert!(removed.is_some() && replaced.close_at_once().is_some() && going.is_some());
    drop(names);
    assert!(going.unwrap().close_at_once().is_none());
    drop(removed);
    assert_eq!(directory.usage().files, 2);
}

#[test]
fn the_target_of_a_symbolic_link_counts_as_bytes() {
    // W28
    let place = tempfile::tempdir().unwrap();
    let directory = granted(place.path(), Access::ReadWrite, Quota { bytes: 10, files: 9 });
    directory.symlink("12345678", at(&directory, "link")).unwrap();
    assert!(matches!(directory.symlink("123", at(&directory, "other")), Err(Refused::Quota)));
    assert_eq!(directory.usage(), Usage { bytes: 8, files: 1 });
    assert_eq!(granted(place.path(), Access::ReadOnly, directory.quota()).usage(), directory.usage());
    directory.link(at(&directory, "link"), at(&directory, "second")).unwrap();
    directory.remove_file(at(&directory, "link")).unwrap();
    assert_eq!(directory.usage(), Usage { bytes: 8, files: 1 });
    directory.remove_file(at(&directory, "second")).unwrap();
    assert_eq!(directory.usage(), Usage::default());
}

#[test]
fn at_the_quota_a_name_that_exists_is_reported_as_that() {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("file"), "").unwrap();
    let directory = granted(place.path(), Access::ReadWrite, Quota { bytes: 0, files: 1 });
    let refused = |name| {
        let name = at(&directory, name);
        [
            directory.create_directory(name).unwrap_err(),
            directory.symlink("x", name).unwrap_err(),
            directory.link(at(&directory, "file"), name).unwrap_err(),
        ]
    };
    assert!(refused("file").iter().all(|error| matches!(error, Refused::Exists)));
    assert!(refused("other").iter().all(|error| matches!(error, Refused::Quota)));
}

#[test]
fn read_only_files_that_exist_are_opened_and_none_is_created() {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("file"), "").unwrap();
    let directory = granted(place.path(), Access::ReadOnly, Quota { bytes: 0, files: 1 });
    assert!(open(&directory, "file", CREATING).is_ok());
    assert!(matches!(open(&directory, "other", CREATING), Err(Refused::ReadOnly)));
    assert!(matches!(open(&directory, "file", Opening { write: true, ..CREATING }), Err(Refused::ReadOnly)));
}

#[test]
fn the_times_of_a_file_with_a_name_outside_are_not_changed() {
    let (place, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(outside.path().join("file"), "").unwrap();
    std::fs::hard_link(outside.path().join("file"), place.path().join("file")).unwrap();
    let directory = granted(place.path(), Access::ReadWrite, Quota { bytes: 0, files: 1 });
    let times = Times { accessed: None, modified: Some(SystemTime::UNIX_EPOCH) };
    let entry = open(&directory, "file", READING).unwrap();
    assert!(matches!(directory.set_times(&entry, times), Err(Refused::NotPermitted)));
    let found = look(at(&directory, "file")).unwrap();
    assert!(matches!(directory.set_times_at(at(&directory, "file"), Ok(&found), times), Err(Refused::NotPermitted)));
    std::fs::remove_file(outside.path().join("file")).unwrap();
    directory.set_times(&entry, times).unwrap();
}

#[test]
fn a_file_that_was_changed_or_is_not_local_is_closed_elsewhere() {
    let place = tempfile::tempdir().unwrap();
    let directory = granted(place.path(), Access::ReadWrite, Quota { bytes: 9, files: 9 });
    let make = |name| open(&directory, name, Opening { write: true, ..CREATING }).unwrap();
    let (written, cut) = (make("written"), make("cut"));
    written.write(Position::End, b"text").unwrap();
    cut.set_size(1).unwrap();
    let reader = open(&directory, "written", READING).unwrap();
    // Some file systems write what was changed when anybody closes the file.
    assert!([written, cut, reader].into_iter().all(|entry| entry.close_at_once().is_some()));
    let truncated = open(&directory, "cut", Opening { write: true, truncate: true, ..READING }).unwrap();
    assert!(truncated.close_at_once().is_some());
    assert!(open(&directory, "written", READING).unwrap().close_at_once().is_none());
    assert!(open(&directory, "written", READING).unwrap().on_local(false).close_at_once().is_some());
}

/// A directory on a disk, where the tests themselves are.
fn on_disk() -> tempfile::TempDir {
    let program = std::env::current_exe().unwrap();
    tempfile::tempdir_in(program.parent().unwrap()).unwrap()
}

/// Whether the kernel can read this file from its caches alone. It cannot on tmpfs, and in some containers.
fn has_cached_reads(path: &Path) -> bool {
    let file = std::fs::File::open(path).unwrap();
    let mut byte = [0];
    let slices = &mut [std::io::IoSliceMut::new(&mut byte)];
    let read = rustix::io::preadv2(&file, slices, 0, rustix::io::ReadWriteFlags::NOWAIT);
    !read.is_err_and(|error| error != Errno::AGAIN)
}

#[test]
fn a_read_waits_for_nothing_that_the_kernel_has_in_memory_and_has_the_same_length_either_way() {
    // W32
    let place = on_disk();
    let path = place.path().join("file");
    std::fs::write(&path, [b'x'; 100_000]).unwrap();
    let directory = granted(place.path(), Access::ReadOnly, Quota { bytes: 0, files: 0 });
    let file = open(&directory, "file", READING).unwrap();
    if !has_cached_reads(&path) {
        assert!(file.read(0, 10, DiskWait::Never).is_err_and(|refused| refused.is_would_wait()));
        return;
    }
    for (offset, length, read) in [(0, 10, 10), (0, 1 << 20, READ), (99_990, 100, 10), (100_000, 10, 0), (0, 0, 0)] {
        for wait in [DiskWait::Never, DiskWait::Any] {
            assert_eq!(file.read(offset, length, wait).unwrap(), vec![b'x'; read], "{offset} {length} {wait:?}");
        }
    }
}

#[test]
fn after_a_read_that_had_to_wait_the_next_ones_are_not_tried() {
    let place = on_disk();
    let path = place.path().join("file");
    std::fs::write(&path, [b'x'; 100_000]).unwrap();
    let forget = std::fs::File::open(&path).unwrap();
    forget.sync_all().unwrap();
    rustix::fs::fadvise(&forget, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    let directory = granted(place.path(), Access::ReadOnly, Quota { bytes: 0, files: 0 });
    let file = open(&directory, "file", READING).unwrap();
    let would_wait = || file.read(0, 10, DiskWait::Never).is_err_and(|refused| refused.is_would_wait());
    assert!(would_wait());
    // Now the kernel has it in memory.
    assert_eq!(file.read(0, 10, DiskWait::Any).unwrap().len(), 10);
    assert!((0..8).all(|_| would_wait()));
    assert_eq!(file.read(0, 10, DiskWait::Never).is_ok_and(|read| read.len() == 10), has_cached_reads(&path));
}

#[test]
fn where_no_read_can_be_told_not_to_wait_none_is_tried_again() {
    let (place, status) = (tempfile::tempdir().unwrap(), std::fs::File::open("/proc/self/status").unwrap());
    let directory = granted(place.path(), Access::ReadOnly, Quota { bytes: 0, files: 0 });
    let (file, _) = directory.entry(status, READING, slot()).unwrap();
    assert!((0..99).all(|_| file.read(0, 9, DiskWait::Never).is_err_and(|refused| refused.is_would_wait())));
    assert_eq!(file.read(0, 5, DiskWait::Any).unwrap(), b"Name:");
}

#[test]
fn what_would_have_to_wait_fails_and_changes_nothing() {
    // W28
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("file"), "text").unwrap();
    let directory = granted(place.path(), Access::ReadWrite, Quota { bytes: 9, files: 9 });
    let name = |name| Name { wait: DiskWait::Never, ..at(&directory, name) };
    let found = look(name("file")).unwrap();
    let open = |how| directory.open_entry(name("file"), Ok(&found), how, slot());
    assert!(open(READING).is_ok());
    for how in [Opening { write: true, ..READING }, Opening { write: true, truncate: true, ..READING }] {
        assert!(open(how).is_err_and(|refused| refused.is_would_wait()));
    }
    let made = directory.open_entry(name("new"), Err(Errno::NOENT), CREATING, slot());
    assert!(made.is_err_and(|refused| refused.is_would_wait()));
    // Somebody changes names.
    let names = directory.names(DiskWait::Any).unwrap();
    assert!(directory.names(DiskWait::Never).is_err_and(|refused| refused.is_would_wait()));
    drop(names);
    assert_eq!(directory.usage(), Usage { bytes: 4, files: 1 });
}

#[test]
fn on_a_file_system_that_is_mounted_below_everything_may_wait() {
    let root = Dir::open_ambient_dir("/", ambient_authority()).unwrap();
    let proc = |wait| look(Name { dir: &root, name: Path::new("proc"), wait });
    assert!(proc(DiskWait::Any).unwrap().is_dir());
    assert_eq!(proc(DiskWait::Never).unwrap_err().kind(), io::ErrorKind::WouldBlock);
}
