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
    FileSlot::new(Arc::new(OpenCount::default()).take(1).unwrap(), descriptor)
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
fn a_file_is_closed_elsewhere_only_if_its_last_name_is_gone_or_going() {
    // W28
    let place = tempfile::tempdir().unwrap();
    let directory = granted(place.path(), Access::ReadWrite, Quota { bytes: 0, files: 9 });
    let make = |name| open(&directory, name, Opening { write: true, ..CREATING }).unwrap();
    assert!(make("kept").close_unless_removed().is_none());
    let (removed, replaced, going) = (make("removed"), make("replaced"), make("going"));
    directory.remove_file(at(&directory, "removed")).unwrap();
    directory.rename(at(&directory, "kept"), at(&directory, "replaced"), false).unwrap();
    let inode = Arc::clone(going.inode());
    let names = inode.remove_names(DiskWait::Any).unwrap();
    let (removed, going) = (removed.close_unless_removed(), going.close_unless_removed());
    assert!(removed.is_some() && replaced.close_unless_removed().is_some() && going.is_some());
    drop(names);
    assert!(going.unwrap().close_unless_removed().is_none());
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
fn what_would_have_to_wait_fails_before_anything_has_changed() {
    // W28
    let place = tempfile::tempdir().unwrap();
    let large = LARGE + 1;
    std::fs::File::create(place.path().join("large")).unwrap().set_len(large).unwrap();
    let directory = granted(place.path(), Access::ReadWrite, Quota { bytes: large, files: 9 });
    let brief = |name| Name { wait: DiskWait::Brief, ..at(&directory, name) };
    let would_wait = |refused: Refused| refused.is_would_wait();
    // Somebody changes names, or the size of the file.
    let names = directory.names(DiskWait::Any).unwrap();
    assert!(directory.create_directory(brief("d")).is_err_and(would_wait));
    assert!(directory.remove_file(brief("large")).is_err_and(would_wait));
    drop(names);
    directory.create_directory(brief("d")).unwrap();
    // The system would free much.
    assert!(directory.remove_file(brief("large")).is_err_and(would_wait));
    assert!(directory.rename(brief("d"), brief("large"), false).is_err_and(would_wait));
    let file = open(&directory, "large", Opening { write: true, ..READING }).unwrap();
    assert!(file.set_size(0, DiskWait::Brief).is_err_and(would_wait));
    file.set_size(large - 1, DiskWait::Brief).unwrap();
    assert_eq!(directory.usage(), Usage { bytes: large - 1, files: 2 });
    assert_eq!(file.write(Position::At(0), b"text", DiskWait::Brief).unwrap(), 4);
    assert_eq!(file.read(0, 4, DiskWait::Any).unwrap(), b"text");
    file.set_size(0, DiskWait::Any).unwrap();
    directory.remove_file(brief("large")).unwrap();
    drop(file);
    assert_eq!(directory.usage(), Usage { bytes: 0, files: 1 });
}

#[test]
fn nothing_is_done_at_once_on_a_file_system_that_is_mounted_below() {
    let root = Dir::open_ambient_dir("/", ambient_authority()).unwrap();
    let proc = |wait| look(Name { dir: &root, name: Path::new("proc"), wait });
    assert!(proc(DiskWait::Any).unwrap().is_dir());
    for wait in [DiskWait::Never, DiskWait::Brief] {
        assert_eq!(proc(wait).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }
}
