//! What a session sees of files beside its directory: devices, mounts of the operator, and a temporary folder.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::{io, str};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use tempfile::TempDir;
use whelk_runtime::{
    Access, ChannelEvent, Directory, FileTree, Grants, Limits, Mount, NameFolder, Output, Quota, TemporaryFolders,
    Tenant, TreeSettings,
};

use crate::client::Client;
use crate::program::{command, terminal};
use crate::shell::{AMPLE, Place, Shell};

/// Makes temporary folders and tells where they are. This does not remove them: that is the gateway's.
#[derive(Debug)]
pub(crate) struct Makes {
    place: TempDir,
    quota: Quota,
    made: Mutex<Vec<Arc<Directory>>>,
}

impl Makes {
    pub(crate) fn new(quota: Quota) -> Arc<Self> {
        Arc::new(Self { place: tempfile::tempdir().unwrap(), quota, made: Mutex::default() })
    }

    /// The folder that was made as this one.
    pub(crate) fn folder(&self, number: usize) -> PathBuf {
        self.place.path().join(number.to_string())
    }

    fn usage(&self, number: usize) -> (u64, u64) {
        let usage = self.made.lock().unwrap()[number].usage();
        (usage.bytes, usage.files)
    }
}

impl TemporaryFolders for Makes {
    fn make(&self) -> io::Result<Arc<Directory>> {
        let mut made = self.made.lock().unwrap();
        let path = self.folder(made.len());
        fs::create_dir(&path)?;
        let directory = Directory::open(&path, Access::ReadWrite, self.quota, "/").map_err(io::Error::other)?;
        made.push(Arc::clone(&directory));
        Ok(directory)
    }
}

/// A tenant whose handlers see a whole tree: a directory, `/tmp`, and a mount at `/usr/share/data`.
pub(crate) struct World {
    pub(crate) place: Place,
    pub(crate) temporary: Arc<Makes>,
    mount: TempDir,
    pub(crate) tenant: Arc<Tenant>,
}

impl World {
    pub(crate) fn new(fill: impl FnOnce(&Path), fill_mount: impl FnOnce(&Path)) -> Self {
        Self::with(true, Makes::new(Quota { bytes: 1_000, files: 8 }), fill, fill_mount)
    }

    fn with(
        has_directory: bool,
        temporary: Arc<Makes>,
        fill: impl FnOnce(&Path),
        fill_mount: impl FnOnce(&Path),
    ) -> Self {
        let (place, mount) = (Place::with(Access::ReadWrite, AMPLE, fill), tempfile::tempdir().unwrap());
        let data = mount.path().join("data");
        fs::create_dir(&data).unwrap();
        fill_mount(&data);
        let at = |path: &str, place: &Path| Mount {
            path: path.to_owned(),
            directory: Directory::open_mount(place).unwrap(),
        };
        let tree = FileTree::new(TreeSettings {
            mounts: vec![at("/usr/share/data", &data)],
            for_handlers: true,
            temporary: Some(Arc::clone(&temporary) as _),
            programs: None,
        });
        let directory = has_directory.then(|| Arc::clone(&place.directory));
        let tenant = Tenant::new(
            "acme",
            place.tenant.limits().clone(),
            Grants { directory, tree, process: true, ..Grants::default() },
        );
        Self { place, temporary, mount, tenant }
    }

    pub(crate) fn shell(&self) -> Shell {
        Shell::of(&self.tenant)
    }

    /// The path of the mount for the host.
    pub(crate) fn mounted(&self, name: &str) -> PathBuf {
        self.mount.path().join("data").join(name)
    }
}

fn data(path: &Path) {
    fs::write(path.join("book"), b"text").unwrap();
    fs::create_dir(path.join("sub")).unwrap();
}

#[tokio::test]
async fn every_part_is_listed_where_it_begins_and_hides_what_the_directory_has_there() {
    let world = World::new(
        |path| {
            fs::write(path.join("note"), b"text").unwrap();
            fs::create_dir_all(path.join("usr/local")).unwrap();
            fs::write(path.join("tmp"), b"hidden").unwrap();
        },
        data,
    );
    let mut shell = world.shell();
    assert_eq!(shell.run("list .;list usr;list usr/share;list usr/share/data;list dev/fd").await, {
        "dev:dir note:file tmp:dir usr:dir\nshare:dir\ndata:dir\nbook:file sub:dir\n0:other 1:other 2:other"
    });
    assert_eq!(shell.run("list dev").await, {
        "fd:dir full:other null:other random:other stderr:other stdin:other stdout:other tty:other urandom:other zero:other"
    });
    assert_eq!(shell.run("stat tmp;stat usr;lstat dev/null;stat usr/local;list tmp;read tmp/x").await, {
        "dir 4096\ndir 0\nother\nnone\n\nnone"
    });
}

#[tokio::test]
async fn a_mount_is_read_and_never_changed() {
    let world = World::new(
        |_| {},
        |path| {
            data(path);
            mknodat(CWD, path.join("fifo"), FileType::Fifo, Mode::RWXU, 0).unwrap();
            symlink("/etc/passwd", path.join("out")).unwrap();
            symlink("/usr/share/data/book", path.join("in")).unwrap();
            symlink("../../../note", path.join("home")).unwrap();
        },
    );
    let mut shell = world.shell();
    let at = "usr/share/data";
    let read = format!("read {at}/book;read {at}/fifo;read {at}/out;read {at}/in;write note x;read {at}/home");
    assert_eq!(shell.run(&read).await, "text\ndenied\nnone\ntext\nok\nx");
    for change in [
        "write D/book x",
        "append D/book x",
        "new D/new",
        "truncate D/book 0",
        "touch D/book 1",
        "touch D/sub 1",
        "remove D/book",
        "mkdir D/new",
        "rmdir D/sub",
        "rename D/book D/other",
        "link D/book D/other",
        "symlink book D/other",
        "raw D/book write truncate create",
    ] {
        assert_eq!(shell.run(&change.replace('D', at)).await, "read-only", "{change}");
    }
    // What a link leads to decides, not where the link is.
    assert_eq!(shell.run(&format!("append {at}/home y;read note;write {at}/in x")).await, "ok\nxy\nread-only");
    assert_eq!(fs::read(world.mounted("book")).unwrap(), b"text");
}

#[tokio::test]
async fn links_and_dots_lead_from_part_to_part() {
    let world = World::new(|path| fs::create_dir_all(path.join("a/b")).unwrap(), data);
    let mut shell = world.shell();
    assert_eq!(shell.run("symlink /tmp a/b/t;symlink ../../usr/share/data a/b/d;symlink /a/b tmp/back").await, {
        "ok\nok\nok"
    });
    assert_eq!(shell.run("write a/b/t/f one;read tmp/f;read a/b/d/book;read a/b/t/back/d/book;list tmp/back").await, {
        "ok\none\ntext\ntext\nd:link t:link"
    });
    assert_eq!(
        shell.run("read a/b/d/../data/book;read tmp/../usr/share/../../tmp/f;same tmp/.. .;same usr/.. tmp/..").await,
        { "text\none\ntrue\ntrue" }
    );
    assert_eq!(
        shell.run("from tmp ..;from usr/share/data ../../..;from usr ../tmp/f;from a/b ../../tmp;from a/b d/sub").await,
        { "root\nroot\nDescriptorType::RegularFile 1\nDescriptorType::Directory 2\nDescriptorType::Directory 2" }
    );
    assert_eq!(shell.run("list a/b/t/;readlink a/b/t;remove a/b/t;list tmp").await, {
        "back:link f:file\n/tmp\nok\nback:link f:file"
    });
}

#[tokio::test]
async fn nothing_is_moved_or_linked_from_part_to_part_and_no_part_is_moved() {
    let world = World::new(|path| fs::write(path.join("note"), b"text").unwrap(), data);
    let mut shell = world.shell();
    assert_eq!(
        shell.run("rename note tmp/note;link note tmp/note;rename usr/share/data/book b;link dev/null n").await,
        { "CrossesDevices\nCrossesDevices\nCrossesDevices\nCrossesDevices" }
    );
    assert_eq!(
        shell.run("rename tmp t;rename note tmp;rename usr u;rename note usr/share/data;rmdir tmp;rmdir usr").await,
        { "ResourceBusy\nResourceBusy\nResourceBusy\nResourceBusy\nResourceBusy\nResourceBusy" }
    );
    assert_eq!(
        shell
            .run("mkdir tmp;new dev/null;symlink x usr;link note tmp;remove tmp;remove dev/null;rename dev/null x")
            .await,
        { "AlreadyExists\nAlreadyExists\nexist\nAlreadyExists\nIsADirectory\nread-only\nResourceBusy" }
    );
    assert_eq!(
        shell
            .run("mkdir usr/new;write dev/new x;symlink x usr/share/x;rename note usr/note;read dev/none;read note/x")
            .await,
        { "read-only\nread-only\nread-only\nread-only\nnone\nNotADirectory" }
    );
    assert_eq!((world.place.usage(), world.place.recount()), ((4, 1), (4, 1)));
}

#[tokio::test]
async fn devices_do_what_they_do_under_unix() {
    let world = World::new(|_| {}, |_| {});
    let mut shell = world.shell();
    assert_eq!(
        shell.run("bytes dev/zero 4;bytes dev/full 2;read dev/null;write dev/null x;append dev/zero x").await,
        { "[0, 0, 0, 0]\n[0, 0]\n\nok\nok" }
    );
    let random = shell.run("bytes dev/random 32;bytes dev/urandom 32").await;
    let (one, other) = random.split_once('\n').unwrap();
    assert!(one != other && one.matches(',').count() == 31, "{random}");
    assert_eq!(
        shell.run("write dev/full x;raw-write dev/null text;raw-write dev/full text;truncate dev/null 0").await,
        { "io\nok\ninsufficient-space\nInvalidInput" }
    );
    // A handler is given its input; its output goes to the log.
    assert_eq!(shell.run("raw dev/stdin read;raw dev/tty read write;raw dev/fd/0 read;raw dev/fd/3 read").await, {
        "no-such-device\nno-such-device\nno-such-device\nno-entry"
    });
    assert_eq!(
        shell
            .run("write dev/stdout x;write dev/stderr x;raw dev/stdout read;raw dev/null/x read;raw dev/null/ read")
            .await,
        { "ok\nok\nok\nnot-directory\nnot-directory" }
    );
    assert_eq!(shell.run("same dev/null dev/zero;same dev/random dev/random;sync dev/null;touch dev/null 1").await, {
        "false\ntrue\nInvalidInput\nread-only"
    });
    // Whatever is asked for, it is a piece at a time.
    assert_eq!(shell.run("flood dev/zero;flood dev/random;flood dev/null").await, "65536\n65536\n0");
}

#[tokio::test]
async fn a_temporary_folder_is_of_one_session_and_has_a_quota_of_its_own() {
    let world = World::new(|_| {}, |_| {});
    let (mut one, mut two) = (world.shell(), world.shell());
    assert_eq!(
        one.run("list .;write tmp/f one;mkdir tmp/d;link tmp/f tmp/d/g").await,
        "dev:dir tmp:dir usr:dir\nok\nok\nok"
    );
    assert_eq!(two.run("list tmp;write tmp/f two").await, "\nok");
    assert_eq!(one.run("read tmp/d/g;fill tmp/big 998;fill tmp/big 997").await, "one\nio\nok");
    assert_eq!((world.temporary.usage(0), world.temporary.usage(1), world.place.usage()), ((1_000, 4), (3, 1), (0, 0)));
    assert_eq!(one.run("new tmp/a;new tmp/b;new tmp/c;new tmp/e;new tmp/h").await, "ok\nok\nok\nok\nquota");
    assert_eq!(fs::read(world.temporary.folder(1).join("f")).unwrap(), b"two");
    // It is held by the session alone, and so gone with it.
    assert_eq!(Arc::strong_count(&world.temporary.made.lock().unwrap()[0]), 2);
    one.end().await;
    two.end().await;
    assert!(world.temporary.made.lock().unwrap().iter().all(|folder| Arc::strong_count(folder) == 1));
}

#[tokio::test]
async fn a_temporary_folder_that_cannot_be_made_is_an_error_of_its_own_paths() {
    let world = World::new(|path| fs::write(path.join("note"), b"text").unwrap(), |_| {});
    fs::remove_dir(world.temporary.place.path()).unwrap();
    assert_eq!(world.shell().run("list .;write tmp/f x;list tmp;read note").await, {
        "dev:dir note:file tmp:dir usr:dir\nio\nio\ntext"
    });
}

#[tokio::test]
async fn without_a_directory_the_root_holds_the_other_parts_alone() {
    let world = World::with(false, Makes::new(AMPLE), |_| {}, data);
    let mut shell = world.shell();
    assert_eq!(
        shell.run("list .;read usr/share/data/book;write tmp/x y;read tmp/x;write x y;mkdir d;rmdir tmp").await,
        { "dev:dir tmp:dir usr:dir\ntext\nok\ny\nread-only\nread-only\nResourceBusy" }
    );
}

#[tokio::test]
async fn any_name_that_is_text_is_a_name() {
    let world = World::new(
        |path| {
            fs::write(path.join(OsStr::from_bytes(b"not \xff text")), b"").unwrap();
            symlink(OsStr::from_bytes(b"not \xff text"), path.join("to")).unwrap();
        },
        |_| {},
    );
    let mut shell = world.shell();
    let (long, longer) = ("n".repeat(255), "n".repeat(256));
    let deep = "d/".repeat(2_045);
    assert_eq!(shell.run(&format!("write {long} x;read {long};write {longer} x;stat {longer}")).await, {
        "ok\nx\nInvalidFilename\nInvalidFilename"
    });
    assert_eq!(
        shell.run(&format!("read {deep};read {deep}12345;read {deep}123456")).await,
        "none\nnone\nInvalidFilename"
    );
    assert_eq!(
        shell.run("write Case 1;write case 2;read Case;read case;write \u{e9} 3;write e\u{301} 4;read \u{e9}").await,
        { "ok\nok\n1\n2\nok\nok\n3" }
    );
    assert_eq!(
        shell
            .run("write \\ 1;write *? 2;write dev\u{a0} 3;write DEV 4;write tmp. 5;read DEV;mkdir ...;rmdir ...")
            .await,
        { "ok\nok\nok\nok\nok\n4\nok\nok" }
    );
    // A link to it works, reading the link does not.
    let listed = shell.run("read to;raw to read follow;list .").await;
    assert!(listed.starts_with("\nok\n") && !listed.contains("not "), "{listed}");
    assert_eq!(shell.run("readlink to").await, "Uncategorized");
}

#[tokio::test]
async fn a_deep_tree_is_walked_up_and_down() {
    let world = World::new(|_| {}, |_| {});
    let mut shell = world.shell();
    let down: Vec<_> = (1..=120).map(|depth| format!("mkdir {}", vec!["d"; depth].join("/"))).collect();
    assert_eq!(shell.run(&down.join(";")).await.replace("ok", "").trim(), "");
    let (bottom, up) = ("d/".repeat(120), "../".repeat(119));
    let script = format!(
        "write {bottom}f x;symlink /{bottom}f l;read l;read {bottom}{up}../l;from {bottom} {up}../l;from {bottom} {up}{up}"
    );
    assert_eq!(shell.run(&script).await, "ok\nok\nx\nx\nDescriptorType::RegularFile 1\nroot");
    // A handle of a directory that has been moved leads to what is above it now, and to what is below.
    assert_eq!(shell.run("moved d/d d/e .. ;moved d/e d/d d/d").await, "ok\nok");
}

/// X14: a mount of what the operator's own `/dev` is, with devices, sockets and links that lead out of it.
#[tokio::test]
async fn a_mount_gives_neither_devices_nor_pipes_nor_what_its_links_lead_to_outside() {
    let place = Place::with(Access::ReadOnly, AMPLE, |path| fs::write(path.join("secret"), b"inside").unwrap());
    let pipes = tempfile::tempdir().unwrap();
    fs::write(pipes.path().join("outside"), b"the host's").unwrap();
    let data = pipes.path().join("data");
    fs::create_dir(&data).unwrap();
    mknodat(CWD, data.join("fifo"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(data.join("socket")).unwrap();
    let absolute = pipes.path().join("outside");
    for (name, target) in
        [("up", "../outside"), ("far", "../../../../../../etc/passwd"), ("proc", "/proc/self/environ")]
    {
        symlink(target, data.join(name)).unwrap();
    }
    symlink(&absolute, data.join("absolute")).unwrap();
    symlink("/secret", data.join("tree")).unwrap();
    let at =
        |path: &str, place: &Path| Mount { path: path.to_owned(), directory: Directory::open_mount(place).unwrap() };
    let tree = FileTree::new(TreeSettings {
        mounts: vec![at("/pipes", &data), at("/host", Path::new("/dev"))],
        for_handlers: true,
        ..TreeSettings::default()
    });
    let grants = Grants { directory: Some(Arc::clone(&place.directory)), tree, ..Grants::default() };
    let mut shell = Shell::of(&Tenant::new("acme", Limits::default(), grants));
    for name in ["host/null", "host/zero", "pipes/fifo", "pipes/socket"] {
        let script = format!("stat {name};read {name};raw {name} read follow;write {name} x");
        let said = shell.run(&script).await;
        assert_eq!(said, "other 0\ndenied\nnot-permitted\nread-only", "{name}");
    }
    for name in ["up", "far", "proc", "absolute"] {
        assert_eq!(shell.run(&format!("read pipes/{name};stat pipes/{name}")).await, "none\nnone", "{name}");
    }
    // A link leads where it leads in the tree.
    assert_eq!(shell.run("read pipes/tree").await, "inside");
}

/// A program table: names of programs, and the bytes of each.
#[derive(Debug, Default)]
pub(crate) struct Table(pub(crate) Mutex<BTreeMap<String, u64>>);

impl NameFolder for Table {
    fn names(&self) -> Vec<String> {
        self.0.lock().unwrap().keys().cloned().collect()
    }

    fn size(&self, name: &str) -> Option<u64> {
        self.0.lock().unwrap().get(name).copied()
    }
}

#[tokio::test]
async fn the_programs_of_the_table_are_files_that_are_looked_at_and_not_opened() {
    let place = Place::with(Access::ReadWrite, AMPLE, |path| {
        fs::create_dir_all(path.join("bin/hidden")).unwrap();
        fs::write(path.join("note"), b"text").unwrap();
    });
    let table = Arc::new(Table::default());
    let change = |name: &str, size: u64| {
        table.0.lock().unwrap().insert(name.to_owned(), size);
    };
    change("ls", 4_711);
    change("sh", 5);
    let tree = FileTree::new(TreeSettings {
        for_handlers: true,
        programs: Some(Arc::clone(&table) as Arc<dyn NameFolder>),
        ..TreeSettings::default()
    });
    let directory = Some(Arc::clone(&place.directory));
    let grants = Grants { directory, tree, ..Grants::default() };
    let mut shell = Shell::of(&Tenant::new("acme", Limits::default(), grants));
    assert_eq!(shell.run("list .;list bin;list usr/bin;list usr").await, {
        "bin:dir dev:dir note:file usr:dir\nls:file sh:file\nls:file sh:file\nbin:dir"
    });
    assert_eq!(
        shell.run("stat bin/ls;lstat usr/bin/sh;stat bin/../usr/./bin/ls;stat bin/cat;stat bin/hidden").await,
        { "file 4711\nfile\nfile 4711\nnone\nnone" }
    );
    // A link in the directory leads there, and back.
    assert_eq!(
        shell.run("symlink /bin/sh shell;stat shell;lstat shell;symlink /usr/bin all;stat all/../bin/ls").await,
        { "ok\nfile 5\nlink\nok\nfile 4711" }
    );
    assert_eq!(
        shell
            .run("read bin/ls;raw bin/ls read;raw bin/ls/ read;raw bin/ls write;raw bin/ls/x read;raw bin/ls create")
            .await,
        { "denied\nnot-permitted\nnot-directory\nread-only\nnot-directory\nnot-permitted" }
    );
    for change in ["write bin/new x", "remove bin/ls", "mkdir bin/new", "rename bin/ls other"] {
        assert_eq!(shell.run(change).await, "read-only", "{change}");
    }
    assert_eq!(shell.run("link bin/ls note2;rename note bin;same bin usr/bin;same bin/ls usr/bin/ls").await, {
        "CrossesDevices\nResourceBusy\nfalse\nfalse"
    });
    // What changes in the table is seen at once.
    change("ls", 9);
    change("cat", 1);
    table.0.lock().unwrap().remove("sh");
    assert_eq!(shell.run("list bin;stat bin/ls;stat shell").await, "cat:file ls:file\nfile 9\nnone");
}

/// What the program of the tests says when it has run a command.
async fn ran(world: &World, command_line: &str, input: &str, with_terminal: bool) -> String {
    let client = Client::of(&world.tenant, &command(), &[]);
    if with_terminal {
        client.happen(terminal());
    }
    client.happen(ChannelEvent::Exec(command_line.as_bytes().to_vec()));
    client.send(input.as_bytes());
    client.happen(ChannelEvent::Eof);
    let (recorder, report) = client.end().await;
    assert!(report.error.is_none(), "{report:?}");
    recorder.text() + str::from_utf8(&recorder.bytes_of(Output::Stderr)).unwrap()
}

#[tokio::test]
async fn a_program_opens_its_standard_streams_by_name() {
    let world = World::with(false, Makes::new(AMPLE), |_| {}, data);
    assert_eq!(ran(&world, "'show /dev/stdin'", "input", false).await, "input");
    assert_eq!(ran(&world, "'show /dev/fd/0'", "input", false).await, "input");
    assert_eq!(ran(&world, "'put /dev/stdout out' 'put /dev/fd/2 error'", "", false).await, "outerror");
    // It has a terminal if the client asked for one. ENXIO is 60 in WASI.
    assert_eq!(ran(&world, "'put /dev/tty x'", "", false).await, "Uncategorized 60\n");
    assert_eq!(ran(&world, "'put /dev/tty x'", "", true).await, "x");
    let script = "'put /tmp/f text' 'show /tmp/f' 'show /usr/share/data/book' 'ls /'";
    assert_eq!(ran(&world, script, "", false).await, "texttextdev\ntmp\nusr\n");
}

#[tokio::test]
async fn a_program_of_a_tenant_without_grants_sees_devices_alone() {
    let client = Client::with(&command(), &[], &Limits::default());
    client.run("'put /dev/null x' 'ls /' 'put /x y'");
    let (recorder, _) = client.end().await;
    // EROFS is 69 in WASI.
    assert_eq!(recorder.text(), "dev\nReadOnlyFilesystem 69\n");
}
