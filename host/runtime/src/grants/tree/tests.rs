use std::cell::Cell;
use std::fs;
use std::os::unix::fs::symlink;

use super::*;
use crate::grants::directory::tests::{READING, slot};
use crate::grants::{Access, Quota};

struct Home {
    place: tempfile::TempDir,
    tree: Tree,
}

impl Home {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir_all(place.path().join("home/a/b")).unwrap();
        let quota = Quota { bytes: 1 << 20, files: 1_000 };
        let home = Directory::open(&place.path().join("home"), Access::ReadWrite, quota, "/").unwrap();
        let tree = Tree::new(&FileTree::default(), Some(&Arc::default()), Some(home), &Arc::default()).unwrap();
        Self { place, tree }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.place.path().join("home").join(name)
    }

    /// Opens a path from something open. Also returns where it led, if its text does not say so. What is done at once
    /// comes to the same.
    fn open(&self, from: (&OpenFile, &str), path: &str) -> Result<(OpenFile, Option<String>), Refused> {
        let open = |wait| {
            let led_to = Cell::default();
            let start = Start { opened: from.0, path: from.1, led_to: &led_to, wait };
            let (opened, _) = self.tree.open(start, path, Opening { follow: true, ..READING }, slot())?;
            Ok((opened, led_to.take()))
        };
        let opened = open(DiskWait::Any);
        let seen = |opened: &Result<(OpenFile, Option<String>), Refused>| match opened {
            Ok((opened, led_to)) => format!("{:?} {led_to:?}", self.tree.identity(opened)),
            Err(refused) => format!("{refused:?}"),
        };
        let at_once = open(DiskWait::Never);
        if !at_once.as_ref().is_err_and(Refused::is_would_wait) {
            assert_eq!(seen(&at_once), seen(&opened), "{path}");
        }
        opened
    }
}

#[test]
fn what_is_above_a_directory_is_found_wherever_that_was_moved() {
    let (home, root) = (Home::new(), Tree::root());
    fs::create_dir_all(home.path("c/d")).unwrap();
    fs::write(home.path("c/file"), "").unwrap();
    let (held, _) = home.open((&root, ""), "a/b").unwrap();
    fs::rename(home.path("a/b"), home.path("c/d/e")).unwrap();
    let up = |path| home.open((&held, "a/b"), path).map(|(opened, _)| home.tree.identity(&opened));
    let at = |path| home.tree.identity(&home.open((&root, ""), path).unwrap().0);
    assert_eq!((up("..").unwrap(), up("../../file").unwrap()), (at("c/d"), at("c/file")));
    assert_eq!(up("../../../../..").unwrap(), home.tree.identity(&root));
    // Out of the tree: nothing is above it any more.
    fs::rename(home.path("c/d/e"), home.place.path().join("out")).unwrap();
    assert!(matches!(up(".."), Err(Refused::System(error)) if error.kind() == io::ErrorKind::NotFound));
    assert!(up(".").is_ok());
}

#[test]
fn where_a_path_has_led_is_told_if_its_text_does_not_say_so() {
    let (home, root) = (Home::new(), Tree::root());
    fs::write(home.path("a/file"), "").unwrap();
    symlink("/", home.path("round")).unwrap();
    symlink("round/round/a/file", home.path("link")).unwrap();
    let (held, _) = home.open((&root, ""), "a/b").unwrap();
    let led = |from, path| home.open(from, path).unwrap().1;
    let start = (&root, "");
    assert_eq!(led(start, "a/file"), None);
    for path in ["link", "round/a/./file", "a/b/../file", "./a//b/../../link"] {
        assert_eq!(led(start, path).as_deref(), Some("a/file"), "{path}");
    }
    assert_eq!(led((&held, "a/b"), "../file").as_deref(), Some("a/file"));
    assert_eq!(led(start, "round/dev/null").as_deref(), Some("dev/null"));
}

#[test]
fn a_path_of_many_links_has_a_bounded_number_of_components() {
    // W28
    let (home, root) = (Home::new(), Tree::root());
    let dots = "./".repeat(2_000);
    symlink(format!("{dots}a/b"), home.path("l0")).unwrap();
    for number in 1..10 {
        symlink(format!("{dots}l{}", number - 1), home.path(&format!("l{number}"))).unwrap();
    }
    assert_eq!(home.open((&root, ""), "l3").unwrap().1.as_deref(), Some("a/b"));
    assert!(matches!(home.open((&root, ""), "l9"), Err(Refused::NameTooLong)));
}

#[test]
fn a_device_and_the_root_of_a_part_take_a_slot() {
    // W28
    let (home, root) = (Home::new(), Tree::root());
    for path in ["dev/null", "dev", "."] {
        let (opened, _) = home.open((&root, ""), path).unwrap();
        assert!(matches!(opened, OpenFile::Part { _slot: Some(_), .. }), "{path}");
    }
}

#[test]
fn what_the_kernel_has_in_memory_is_found_at_once_also_through_links() {
    let (home, root) = (Home::new(), Tree::root());
    fs::write(home.path("a/file"), "text").unwrap();
    symlink("/a/b/../file", home.path("link")).unwrap();
    let led_to = Cell::default();
    let start = |wait| Start { opened: &root, path: "", led_to: &led_to, wait };
    for path in ["a/file", "link", "a", "."] {
        home.tree.metadata(start(DiskWait::Any), path, true).unwrap();
        let found = home.tree.metadata(start(DiskWait::Never), path, true).unwrap();
        assert!(matches!(found, Found::Real(_)), "{path}");
    }
    // A long way is not gone at once.
    for long in ["a/../".repeat(100), format!("{}a", "./".repeat(100))] {
        assert!(home.tree.metadata(start(DiskWait::Never), &long, true).is_err_and(|refused| refused.is_would_wait()));
        assert!(home.tree.metadata(start(DiskWait::Any), &long, true).is_ok());
    }
}
