//! Files of operators and of homes.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::mpsc;

use rustix::fs::{StatVfsMountFlags, fstatfs, fstatvfs};

use super::*;

const MOST: u64 = 1 << 10;

/// A home directory with a folder `.ssh`, and the path of its list of keys.
fn home() -> (tempfile::TempDir, KeyPath) {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    fs::create_dir_all(home.join(".ssh")).unwrap();
    let path = KeyPath::InHome { home: home.into(), file: Path::new(".ssh/authorized_keys").into() };
    (folder, path)
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// What the file says, or why it is not used.
fn read(path: &KeyPath) -> Result<Option<String>, String> {
    let Some((file, facts)) = path.open(MOST)? else { return Ok(None) };
    Ok(Some(String::from_utf8(path.contents(file, facts.len(), MOST)?).unwrap()))
}

#[test]
fn a_file_that_has_not_changed_for_a_while_is_settled() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let now = i64::try_from(now).unwrap();
    assert!(is_settled(now - 10) && !is_settled(now));
    // A clock that was set back, and times before 1970.
    assert!(!is_settled(now + 1000) && !is_settled(-1));
}

#[test]
fn a_home_need_not_have_a_file_and_links_lead_nowhere_else() {
    let (folder, path) = home();
    let place = folder.path().join("home/.ssh/authorized_keys");
    assert_eq!(read(&path), Ok(None));
    assert!(path.stamp().is_err());
    fs::write(&place, "keys").unwrap();
    assert_eq!(read(&path), Ok(Some("keys".to_owned())));
    // A link to a place below the home, and one that leaves it and comes back.
    fs::rename(&place, folder.path().join("home/keys")).unwrap();
    symlink("../keys", &place).unwrap();
    assert_eq!(read(&path), Ok(Some("keys".to_owned())));
    fs::write(folder.path().join("foreign"), "foreign").unwrap();
    for target in ["../../foreign", "../../home/keys", "/etc/passwd"] {
        fs::remove_file(&place).unwrap();
        symlink(target, &place).unwrap();
        let refused = read(&path).unwrap_err();
        assert!(refused.contains("cannot be read"), "{target}: {refused}");
        assert!(path.stamp().is_err(), "{target}");
    }
    // A folder on the way that is a link, too.
    fs::remove_dir_all(folder.path().join("home/.ssh")).unwrap();
    fs::create_dir(folder.path().join("other")).unwrap();
    fs::write(folder.path().join("other/authorized_keys"), "foreign").unwrap();
    symlink("../other", folder.path().join("home/.ssh")).unwrap();
    assert!(read(&path).is_err());
}

#[test]
fn what_others_may_write_to_in_a_home_is_refused() {
    let (folder, path) = home();
    let home = folder.path().join("home");
    fs::write(home.join(".ssh/authorized_keys"), "keys").unwrap();
    for name in ["", ".ssh", ".ssh/authorized_keys"] {
        let place = home.join(name);
        let mode = place.metadata().unwrap().permissions().mode();
        for others in [0o020, 0o002] {
            set_mode(&place, mode | others);
            let refused = read(&path).unwrap_err();
            assert!(refused.contains("others may write") && refused.contains("chmod go-w"), "{name}: {refused}");
        }
        set_mode(&place, mode);
    }
    assert_eq!(read(&path), Ok(Some("keys".to_owned())));
}

/// U30: neither an error nor a client waits for what is no file.
#[test]
fn what_is_no_file_or_too_large_is_refused_at_once() {
    let (folder, path) = home();
    let place = folder.path().join("home/.ssh/authorized_keys");
    let named = KeyPath::named(&place);
    let refused = |why: &str| {
        for path in [&path, &named] {
            let (tell, told) = mpsc::channel();
            let path = path.clone();
            std::thread::spawn(move || tell.send(read(&path)));
            let refused = told.recv_timeout(Duration::from_secs(60)).unwrap().unwrap_err();
            assert!(refused.contains(why) && refused.contains("authorized_keys"), "{refused}");
        }
    };
    rustix::fs::mknodat(rustix::fs::CWD, &place, rustix::fs::FileType::Fifo, Mode::RUSR, 0).unwrap();
    refused("not a regular file");
    fs::remove_file(&place).unwrap();
    fs::create_dir(&place).unwrap();
    refused("not a regular file");
    fs::remove_dir(&place).unwrap();
    // Of 100 MB nothing is read.
    fs::File::create(&place).unwrap().set_len(100 << 20).unwrap();
    refused("larger than");
}

#[test]
fn a_stamp_shows_a_change_and_costs_no_reading() {
    let (folder, path) = home();
    let place = folder.path().join("home/.ssh/authorized_keys");
    let named = KeyPath::named(&place);
    fs::write(&place, "keys").unwrap();
    let (_, facts) = path.open(MOST).unwrap().unwrap();
    let stamp = FileStamp::of(&facts);
    assert_eq!((path.stamp().unwrap(), named.stamp().unwrap()), (stamp, stamp));
    fs::write(folder.path().join("new"), "keys").unwrap();
    fs::rename(folder.path().join("new"), &place).unwrap();
    assert_ne!(path.stamp().unwrap(), stamp);
}

#[test]
fn errors_that_say_nothing_of_the_file_are_told_from_those_that_do() {
    let of = |errno: Errno| is_passing(&io::Error::from(errno));
    for errno in [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::IO, Errno::STALE, Errno::TIMEDOUT] {
        assert!(of(errno), "{errno}");
    }
    for errno in [Errno::NOENT, Errno::ACCESS, Errno::PERM, Errno::NOTDIR, Errno::LOOP, Errno::NXIO] {
        assert!(!of(errno), "{errno}");
    }
}

/// Sets the time of access of a file to after its last change, as if it had been read since.
fn set_accessed(place: &Path) {
    let times = fs::FileTimes::new().set_accessed(SystemTime::now() + Duration::from_secs(5));
    File::options().append(true).open(place).unwrap().set_times(times).unwrap();
}

/// What is read without waiting. While somebody mounts something, no name is found in the kernel's cache.
fn read_cached(path: &KeyPath) -> Option<(Vec<u8>, FileStamp)> {
    let read = (0..1000).find_map(|_| path.read_cached());
    read.map(|(bytes, facts)| (bytes, FileStamp::of(&facts)))
}

#[test]
fn what_is_read_without_waiting_is_what_the_file_says() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("keys");
    let path = KeyPath::named(&place);
    assert!(path.read_cached().is_none(), "it is not there");
    fs::write(&place, "keys").unwrap();
    set_mode(&place, 0o600);
    set_accessed(&place);
    let file = File::open(&place).unwrap();
    let kind = u32::try_from(fstatfs(&file).unwrap().f_type).unwrap();
    let flags = fstatvfs(&file).unwrap().f_flag;
    let is_possible =
        mounts::LOCAL.contains(&kind) && flags.intersects(StatVfsMountFlags::RELATIME | StatVfsMountFlags::NOATIME);
    if !is_possible {
        println!("{} is not on a disk whose reads can refuse to wait", place.display());
    }
    // The reader that may wait has found out what the mount is.
    path.open(MOST).unwrap().unwrap();
    let expected = is_possible.then(|| (b"keys".to_vec(), path.stamp().unwrap()));
    assert_eq!(read_cached(&path), expected);
    // By another name it is the same, unless the time at which the link was followed has to be noted.
    let link = folder.path().join("link");
    symlink("keys", &link).unwrap();
    let followed = read_cached(&KeyPath::named(&link));
    assert!(followed.is_none() || followed == read_cached(&path));
    // What is refused, or takes long, is left to those who say why, or may wait.
    set_mode(&place, 0o620);
    assert!(path.read_cached().is_none(), "others may write to it");
    set_mode(&place, 0o600);
    set_mode(folder.path(), 0o770);
    assert!(path.read_cached().is_none(), "others may write to its folder");
    set_mode(folder.path(), 0o700);
    assert_eq!(read_cached(&path).is_some(), is_possible);
    fs::write(&place, vec![b'#'; (64 << 10) + 1]).unwrap();
    set_accessed(&place);
    assert!(path.read_cached().is_none(), "it is large");
    assert!(KeyPath::named(folder.path()).read_cached().is_none(), "it is a folder");
    let (home, below) = home();
    fs::write(home.path().join("home/.ssh/authorized_keys"), "keys").unwrap();
    assert!(below.read_cached().is_none(), "in a home");
}

#[test]
fn a_read_that_notes_its_time_is_left_to_those_who_may_wait() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("keys");
    let path = KeyPath::named(&place);
    fs::write(&place, "keys").unwrap();
    path.open(MOST).unwrap().unwrap();
    let flags = fstatvfs(File::open(&place).unwrap()).unwrap().f_flag;
    let days = |count: u64| SystemTime::now() - Duration::from_secs(count * 86_400);
    for accessed in [days(0), days(2)] {
        let times = fs::FileTimes::new().set_accessed(accessed);
        File::options().append(true).open(&place).unwrap().set_times(times).unwrap();
        let read = read_cached(&path);
        assert!(read.is_none() || flags.contains(StatVfsMountFlags::NOATIME), "{accessed:?}");
    }
}
