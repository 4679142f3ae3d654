//! The files that a command line finds, and those that it leaves.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The text files of the tree.
const TEXTS: &[(&str, &str)] = &[
    ("words.txt", "pear\napple\nfig\nbanana\napple\ncherry\n"),
    ("numbers.txt", "10\n9\n2\n33\n1\n-4\n2\n"),
    ("table.txt", "1\tone\teins\n2\ttwo\tzwei\n3\tthree\tdrei\n"),
    ("people.csv", "name,age,city\nAnn,41,Oslo\nBob,7,Rome\nCid,30,Oslo\n"),
    ("left.txt", "a 1\nb 2\nc 3\nd 4\n"),
    ("right.txt", "b two\nc three\ne five\n"),
    ("repeated.txt", "a\na\nb\nB\nb\nb\nc\n"),
    ("spaces.txt", "  two  spaces\n\ttab\tand\ttab\n\n\nafter two empty lines \n"),
    (
        "long.txt",
        "The quick brown fox jumps over the lazy dog and runs away from it as quickly as it can.\n\nA second paragraph.\nIts second line.\n",
    ),
    ("utf8.txt", "naïve café\n漢字 wide\nπ ≈ 3.14159\n"),
    ("no-newline.txt", "first\nlast without end"),
    ("empty.txt", ""),
    ("two words.txt", "a file with a space in its name\n"),
    (".hidden", "hidden\n"),
    ("dir/inner.txt", "inner\n"),
    ("dir/deep/deepest.txt", "deepest\n"),
];

/// The time of all files: 2001-09-09 01:46:40 UTC.
const TIME: Duration = Duration::from_secs(1_000_000_000);
/// Times before this one, 2020-01-01, are compared. Others are those of the test.
const OLD: Duration = Duration::from_secs(1_577_836_800);

/// What is below a directory: for each path its kind and its contents.
pub(super) type Files = BTreeMap<String, String>;

/// Makes the tree, in place of what is there.
pub(super) fn make(directory: &Path) {
    let _ = fs::remove_dir_all(directory);
    for folder in ["dir/deep", "empty"] {
        fs::create_dir_all(directory.join(folder)).expect("our own folder");
    }
    for (name, text) in TEXTS {
        fs::write(directory.join(name), text).expect("our own folder");
    }
    let bytes: Vec<u8> = (0..=255).collect();
    fs::write(directory.join("bytes.bin"), bytes).expect("our own folder");
    for (target, name) in [("words.txt", "link"), ("absent", "dangling"), ("dir", "dirlink")] {
        symlink(target, directory.join(name)).expect("our own folder");
    }
    set_times(directory);
}

/// Sets the times of all files and folders, the innermost first.
fn set_times(directory: &Path) {
    for entry in fs::read_dir(directory).expect("our own folder").filter_map(Result::ok) {
        let kind = entry.file_type().expect("our own folder");
        if kind.is_dir() {
            set_times(&entry.path());
        } else if kind.is_file() {
            set_time(&entry.path());
        }
    }
    set_time(directory);
}

fn set_time(path: &Path) {
    let time = UNIX_EPOCH + TIME;
    let times = fs::FileTimes::new().set_accessed(time).set_modified(time);
    File::open(path).and_then(|file| file.set_times(times)).expect("our own folder");
}

/// What is there now. Removes it. `root`: what stands for `/`, and is not shown.
pub(super) fn take(directory: &Path, root: &Path) -> Files {
    let mut files = Files::new();
    collect(directory, "", &root.to_string_lossy(), &mut files);
    fs::remove_dir_all(directory).expect("our own folder");
    files
}

fn collect(directory: &Path, prefix: &str, root: &str, files: &mut Files) {
    for entry in fs::read_dir(directory).expect("our own folder").filter_map(Result::ok) {
        let (path, name) = (entry.path(), format!("{prefix}{}", entry.file_name().to_string_lossy()));
        let metadata = fs::symlink_metadata(&path).expect("our own folder");
        if metadata.is_dir() {
            collect(&path, &format!("{name}/"), root, files);
        }
        let what = if metadata.is_symlink() {
            format!("leads to {}", fs::read_link(&path).expect("our own folder").to_string_lossy())
        } else if metadata.is_dir() {
            "a directory".to_owned()
        } else {
            String::from_utf8_lossy(&fs::read(&path).expect("our own folder")).into_owned()
        };
        let time = metadata.modified().ok().filter(|_| !metadata.is_symlink()).and_then(old);
        files.insert(name, format!("{}{}", what.replace(root, ""), time.unwrap_or_default()));
    }
}

fn old(time: SystemTime) -> Option<String> {
    let since = time.duration_since(UNIX_EPOCH).ok()?;
    (since < OLD).then(|| format!(" of {}", since.as_secs()))
}
