//! The files of the tests, on both sides.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use whelk_tests::size;

/// The size of the files that are transferred alone, in bytes: several packets, and not a multiple of one.
const SIZE: usize = 300_001;

/// How many bytes of a transfer that is resumed are there.
pub(super) const HALF: usize = 150_000;

/// How many small files there are.
pub(super) fn many_files() -> u64 {
    size(300, 10_000)
}

/// Bytes that do not repeat.
pub(super) fn data(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..SIZE).map(|_| next()).collect()
}

/// The half of a transfer that was made before: other bytes than those of the source.
pub(super) fn half() -> Vec<u8> {
    vec![b'h'; HALF]
}

/// Writes a file.
pub(super) fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// A tree with folders in folders, an empty file and an empty folder.
pub(super) fn tree(root: &Path) {
    for folder in ["one/two/three", "void"] {
        fs::create_dir_all(root.join(folder)).expect("our own folder");
    }
    write(&root.join("first"), b"first");
    write(&root.join("empty"), b"");
    write(&root.join("one/large"), &data(4));
    write(&root.join("one/two/three/deep"), b"deep");
}

/// Many small files, `file0` and so on.
pub(super) fn many(folder: &Path) {
    fs::create_dir_all(folder).expect("our own folder");
    for number in 0..many_files() {
        write(&folder.join(format!("file{number}")), format!("the small file {number}\n").as_bytes());
    }
}

/// File names in many alphabets, with characters that a shell, a pattern or a protocol of lines may read otherwise, and
/// of 255 bytes.
pub(super) fn names() -> Vec<String> {
    let mut names: Vec<String> = [
        "plain",
        "two words",
        " spaces around ",
        "it's \"quoted\"",
        "back\\slash",
        "$(touch x) `y` ${z}",
        "*?[a-z]{b,c}",
        "-r",
        "--help",
        ".hidden",
        "semi;colon & pipe|",
        "#hash",
        "~tilde",
        "per%41cent",
        "line\nbreak",
        "tab\there",
        "bell\x07",
        "Ünïcödé",
        "combining e\u{301}",
        "Ελληνικά",
        "Русский",
        "Հայերեն",
        "ქართული",
        "עברית",
        "العربية",
        "हिन्दी",
        "বাংলা",
        "தமிழ்",
        "ไทย",
        "ខ្មែរ",
        "አማርኛ",
        "汉字",
        "かなカナ",
        "한국어",
        "བོད",
        "ᏣᎳᎩ",
        "ⵜⵉⴼⵉⵏⴰⵖ",
        "🐚🦪",
        "a=b,c:d",
    ]
    .into_iter()
    .map(str::to_owned)
    .collect();
    names.push("n".repeat(255));
    names.push(format!("{}x", "é".repeat(127)));
    names
}

/// The files and folders below a folder, with what the files contain.
fn entries(root: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut left = vec![root.to_owned()];
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().filter_map(Result::ok) {
            let path = entry.path();
            let name = path.strip_prefix(root).expect("it is below").to_owned();
            if path.is_dir() {
                found.insert(name, None);
                left.push(path);
            } else {
                found.insert(name, Some(fs::read(&path).unwrap_or_default()));
            }
        }
    }
    found
}

/// Whether two folders have the same in them.
pub(super) fn compare(one: &Path, other: &Path) -> Result<(), String> {
    let (left, right) = (entries(one), entries(other));
    if left.is_empty() {
        return Err(format!("{} is empty", one.display()));
    }
    let differs = |path: &&PathBuf| left.get(*path) != right.get(*path);
    let paths: Vec<&PathBuf> = left.keys().chain(right.keys()).filter(differs).collect();
    match paths.first() {
        None => Ok(()),
        Some(first) => Err(format!("{} differ in {} paths, such as {first:?}", other.display(), paths.len())),
    }
}
