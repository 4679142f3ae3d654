//! The program `scp` with clients that speak scp's own protocol: OpenSSH's `scp -O`, pscp and AsyncSSH.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufReader, BufWriter, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use whelk_tests::{
    Call, Client, Finished, Gateway, Input, LATER, MIB, OPENSSH_VERSIONS, Output, Running, SOON, Setup, client_program,
    figure, repository, shipped_plugins, size,
};

/// `guest` has a directory, `small` one with a quota.
const CONFIGURATION: &str = "\
[users.guest]
tenant = \"wide\"
auth = \"none\"
[users.small]
tenant = \"narrow\"
auth = \"none\"
[tenants.wide]
plugin = \"scp\"
exec_programs = true
files = true
grants.directory = { path = \"wide\", access = \"read-write\" }
grants.mounts = { \"/data\" = \"mounted\", \"/usr/share/data\" = \"mounted\" }
[tenants.narrow]
plugin = \"scp\"
routes.exec = { scp = \"scp\" }
grants.directory = { path = \"narrow\", access = \"read-write\", bytes = \"300 KiB\" }
";

fn gateway() -> Gateway {
    let setup = Setup::default();
    let plugins = setup.folder().join("programs");
    for folder in ["programs", "programs/bin", "wide", "narrow", "mounted"] {
        fs::DirBuilder::new().mode(0o755).create(setup.folder().join(folder)).expect("our own folder");
    }
    fs::write(setup.folder().join("mounted/book"), "text").expect("our own folder");
    let program = fs::read(shipped_plugins().join("bin/scp.wasm")).expect("it is built");
    fs::write(plugins.join("bin/scp.wasm"), program).expect("our own folder");
    setup.plugins(plugins).configuration(CONFIGURATION).start()
}

/// OpenSSH's scp with its own protocol.
fn openssh(version: &str, gateway: &Gateway) -> Command {
    let mut command = Command::new(client_program(&format!("scp-{version}")));
    command.arg("-O").arg("-S").arg(client_program(&format!("ssh-{version}"))).args(["-F", "none"]);
    command.args(["-oStrictHostKeyChecking=no", "-oUserKnownHostsFile=/dev/null", "-oBatchMode=yes"]);
    command.args(["-oLogLevel=ERROR", "-P", &gateway.port().to_string()]);
    command
}

/// Runs it with these arguments.
fn copy(version: &str, gateway: &Gateway, arguments: &[&str]) -> Finished {
    let mut command = openssh(version, gateway);
    command.args(arguments);
    Running::run(command, Input::Nothing, SOON)
}

/// Makes a tree of files, some of whose names are hard on shells, lines or patterns.
fn make_tree(folder: &Path) {
    let make = |path: &str, bytes: &[u8]| {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().expect("it is below")).expect("our own folder");
        fs::write(&path, bytes).expect("our own folder");
        let time = UNIX_EPOCH + Duration::from_secs(1_500_000_000 + bytes.len() as u64);
        let file = fs::File::open(&path).expect("it was made");
        file.set_times(fs::FileTimes::new().set_modified(time)).expect("our own folder");
    };
    make("empty", b"");
    make("a b/C0644 1 x", b"\x01\x02\0E\n");
    make("a b/'quoted' $HOME", b"text");
    make("[ab]*.txt", b"pattern");
    make("d/e/f/é ü.txt", "text".repeat(10_000).as_bytes());
    for size in [1, 65_535, 65_536, 65_537, 1_000_003] {
        make(&format!("sizes/{size}"), &vec![b'x'; size]);
    }
    (0..100).for_each(|number| make(&format!("many/{number}"), number.to_string().as_bytes()));
    fs::create_dir(folder.join("nothing")).expect("our own folder");
}

/// The files below a folder with their contents and times, and its directories.
fn tree(folder: &Path) -> BTreeMap<PathBuf, Option<(Vec<u8>, i64)>> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(path) = waiting.pop() {
        let name = path.strip_prefix(folder).expect("it is below").to_owned();
        let metadata = fs::metadata(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        if metadata.is_dir() {
            waiting.extend(fs::read_dir(&path).expect("it is there").flatten().map(|entry| entry.path()));
            found.insert(name, None);
        } else {
            found.insert(name, Some((fs::read(&path).expect("it is there"), metadata.mtime())));
        }
    }
    found
}

fn text(path: &Path) -> &str {
    path.to_str().expect("it is UTF-8")
}

#[test]
fn a_tree_goes_there_and_back_with_each_client() {
    let gateway = gateway();
    let from = gateway.folder().join("tree");
    make_tree(&from);
    let sent = tree(&from);
    let port = gateway.port().to_string();
    for name in ["scp-9.2", "scp-10.0", "pscp", "asyncssh"] {
        let (back, remote) = (gateway.folder().join(format!("back-{name}")), format!("guest@127.0.0.1:{name}"));
        fs::create_dir(&back).expect("our own folder");
        for places in [[text(&from), &remote], [&remote, text(&back)]] {
            let mut command = match name {
                "pscp" => {
                    let mut command = Command::new(client_program("pscp"));
                    command.env("PUTTYSESSIONS", repository().join("tests/interop/putty"));
                    command.args(["-batch", "-scp", "-r", "-p", "-q", "-P", &port]);
                    command.args(gateway.fingerprints().iter().flat_map(|fingerprint| ["-hostkey", fingerprint]));
                    command
                }
                "asyncssh" => {
                    let mut command = Command::new(client_program("python"));
                    command.arg(repository().join("tests/interop/asyncssh_scp.py")).arg(&port);
                    command
                }
                _ => {
                    let mut command = openssh(&name["scp-".len()..], &gateway);
                    command.arg("-rp");
                    command
                }
            };
            command.args(places);
            let finished = Running::run(command, Input::Nothing, SOON);
            assert_eq!(finished.status, Some(0), "{name}: {}", finished.err);
        }
        assert!(tree(&gateway.folder().join("wide").join(name)) == sent, "{name}: there");
        assert!(tree(&back.join(name)) == sent, "{name}: back");
    }
    gateway.end();
}

#[test]
fn openssh_gets_what_its_patterns_match_and_is_told_what_failed() {
    let gateway = gateway();
    let wide = gateway.folder().join("wide");
    for name in ["a.txt", "b.txt", "c.md", ".hidden.txt"] {
        fs::write(wide.join(name), name).expect("our own folder");
    }
    symlink("..", wide.join("up")).expect("our own folder");
    symlink("/a.txt", wide.join("link")).expect("our own folder");
    for version in OPENSSH_VERSIONS {
        let back = gateway.folder().join(format!("back-{version}"));
        fs::create_dir(&back).expect("our own folder");
        let back = text(&back);
        let names = || tree(Path::new(back)).into_keys().map(|path| text(&path).to_owned()).collect::<Vec<_>>();
        let finished = copy(version, &gateway, &["guest@127.0.0.1:*.txt", "guest@127.0.0.1:~/{c,d}.md", back]);
        assert_eq!(finished.status, Some(1), "{version}: {}", finished.err);
        assert!(finished.err.contains("scp: /d.md: No such file or directory"), "{version}: {}", finished.err);
        assert_eq!(names(), ["", "a.txt", "b.txt", "c.md"], "{version}");
        // A link to the file, one to the root, and what is not a file.
        let finished =
            copy(version, &gateway, &["guest@127.0.0.1:link", "guest@127.0.0.1:up", "guest@127.0.0.1:/dev/zero", back]);
        assert_eq!(finished.status, Some(1), "{version}: {}", finished.err);
        for error in ["up: not a regular file", "/dev/zero: not a regular file"] {
            assert!(finished.err.contains(error), "{version}: {}", finished.err);
        }
        assert_eq!(fs::read_to_string(Path::new(back).join("link")).ok().as_deref(), Some("a.txt"), "{version}");
        let finished = copy(version, &gateway, &[&*format!("{back}/a.txt"), "guest@127.0.0.1:absent/x"]);
        assert_eq!(finished.status, Some(1), "{version}");
        assert!(finished.err.contains("scp: absent/x: No such file or directory"), "{version}: {}", finished.err);
        // A loop of links ends, and nothing is above the root.
        let finished = copy(version, &gateway, &["-r", "guest@127.0.0.1:/up/../../link", back]);
        assert_eq!(finished.status, Some(0), "{version}: {}", finished.err);
        fs::create_dir_all(wide.join("loop/in")).expect("our own folder");
        let _ = symlink("..", wide.join("loop/in/again"));
        let finished = copy(version, &gateway, &["-r", "guest@127.0.0.1:loop", back]);
        assert!(finished.err.contains("loop/in/again: Too many levels of symbolic links"), "{}", finished.err);
        assert_eq!(finished.status, Some(1), "{version}");
    }
    gateway.end();
}

#[test]
fn targets_and_quoted_paths_are_literal_and_a_whole_home_is_fetched() {
    let gateway = gateway();
    let wide = gateway.folder().join("wide");
    let own = gateway.folder().join("own");
    fs::write(wide.join("photo1.jpg"), "one").expect("our own folder");
    fs::write(&own, "new").expect("our own folder");
    for version in OPENSSH_VERSIONS {
        let back = gateway.folder().join("back");
        let remote = "guest@127.0.0.1:photo\\[1\\].jpg";
        for places in [[text(&own), remote], [remote, text(&back)], [text(&own), "guest@127.0.0.1:x{1,2}.txt"]] {
            let finished = copy(version, &gateway, &places);
            assert_eq!(finished.status, Some(0), "{version}: {places:?}: {}", finished.err);
        }
        assert_eq!(fs::read_to_string(&back).ok().as_deref(), Some("new"), "{version}");
        for name in ["photo[1].jpg", "x{1,2}.txt"] {
            fs::remove_file(wide.join(name)).expect("it was made");
        }
        let finished = copy(version, &gateway, &[remote, text(&back)]);
        assert_eq!(finished.status, Some(1), "{version}: {}", finished.err);
        assert_eq!(fs::read_to_string(wide.join("photo1.jpg")).ok().as_deref(), Some("one"), "{version}");
        let folder = gateway.folder().join(format!("home-{version}"));
        for place in ["~", ".", "/"] {
            let finished = copy(version, &gateway, &["-r", &format!("guest@127.0.0.1:{place}"), text(&folder)]);
            assert_eq!(finished.status, Some(0), "{version}: {place}: {}", finished.err);
            assert_eq!(
                tree(&folder).keys().collect::<Vec<_>>(),
                tree(&wide).keys().collect::<Vec<_>>(),
                "{version}: {place}"
            );
            fs::remove_dir_all(&folder).expect("it was made");
        }
    }
    gateway.end();
}

/// What is beside the user's files is sent if a path or a link names it.
#[test]
fn mounts_are_not_sent_with_the_home_around_them() {
    let gateway = gateway();
    let wide = gateway.folder().join("wide");
    fs::create_dir(wide.join("own")).expect("our own folder");
    symlink("/usr/share/data", wide.join("own/books")).expect("our own folder");
    symlink("data", wide.join("rack")).expect("our own folder");
    let back = gateway.folder().join("back");
    for version in OPENSSH_VERSIONS {
        for (sources, sent) in [
            (&["."][..], &["", "own", "own/books", "own/books/book", "rack", "rack/book"][..]),
            (&["*"], &["", "own", "own/books", "own/books/book", "rack", "rack/book"]),
            (&["data"], &["", "book"]),
            (&["/usr/share"], &["", "data", "data/book"]),
        ] {
            let sources: Vec<_> = sources.iter().map(|path| format!("guest@127.0.0.1:{path}")).collect();
            // The directory that is fetched has the name that it gets here; what a pattern matches goes into it.
            if sources[0].ends_with('*') {
                fs::create_dir(&back).expect("our own folder");
            }
            let arguments: Vec<_> =
                ["-r"].into_iter().chain(sources.iter().map(String::as_str)).chain([text(&back)]).collect();
            let finished = copy(version, &gateway, &arguments);
            assert_eq!((finished.status, finished.err.as_str()), (Some(0), ""), "{version}: {sources:?}");
            let names = tree(&back).into_keys().map(|path| text(&path).to_owned()).collect::<Vec<_>>();
            assert_eq!(names, sent, "{version}: {sources:?}");
            fs::remove_dir_all(&back).expect("it was made");
        }
    }
    gateway.end();
}

#[test]
fn what_cannot_be_sent_is_told_and_the_rest_is_sent() {
    let gateway = gateway();
    let wide = gateway.folder().join("wide");
    fs::create_dir(wide.join("folder")).expect("our own folder");
    for name in [&b"caf\xe9"[..], b"folder/\xff", b"folder/a\x80b", b"folder/note"] {
        fs::write(wide.join(OsStr::from_bytes(name)), "text").expect("our own folder");
    }
    symlink("nowhere", wide.join("link")).expect("our own folder");
    for version in OPENSSH_VERSIONS {
        let back = gateway.folder().join(format!("back-{version}"));
        fs::create_dir(&back).expect("our own folder");
        for source in ["*", "."] {
            let finished = copy(version, &gateway, &["-r", &format!("guest@127.0.0.1:{source}"), text(&back)]);
            assert_eq!(finished.status, Some(1), "{version}: {source}: {}", finished.err);
            for line in [
                "link: No such file or directory",
                "1 name that is not UTF-8: not sent",
                "folder: 2 names that are not UTF-8: not sent",
            ] {
                assert!(finished.err.contains(line), "{version}: {source}: {line}: {}", finished.err);
            }
            let folder = if source == "*" { back.join("folder") } else { back.join("guest/folder") };
            assert_eq!(tree(&folder).len(), 2, "{version}: {source}");
            assert_eq!(fs::read_to_string(folder.join("note")).ok().as_deref(), Some("text"), "{version}: {source}");
        }
    }
    gateway.end();
}

#[test]
fn a_file_beyond_the_quota_is_told_and_the_next_one_is_stored() {
    for version in OPENSSH_VERSIONS {
        let gateway = gateway();
        let own = gateway.folder().join("own");
        fs::create_dir(&own).expect("our own folder");
        fs::write(own.join("1-big"), vec![7; 1 << 20]).expect("our own folder");
        fs::write(own.join("2-next"), "next").expect("our own folder");
        let finished = copy(version, &gateway, &["-r", text(&own), "small@127.0.0.1:new"]);
        assert_eq!(finished.status, Some(1), "{version}: {}", finished.err);
        assert!(finished.err.contains("scp: new/1-big: Disk quota exceeded"), "{version}: {}", finished.err);
        let new = gateway.folder().join("narrow/new");
        assert_eq!(fs::read_to_string(new.join("2-next")).ok().as_deref(), Some("next"), "{version}");
        let big = fs::metadata(new.join("1-big")).expect("it was made").len();
        assert!((200_000..300 << 10).contains(&big), "{version}: {big}");
        gateway.end();
    }
}

/// What a client of rsync runs. There is no such program here.
#[test]
fn rsync_is_told_that_there_is_none() {
    let gateway = gateway();
    for client in [Client::OpenSsh92, Client::OpenSsh100] {
        let call = Call::new(client, &gateway, "guest").exec("rsync --server -logDtpre.iLsfxCIvu . folder");
        let finished = call.run(Input::Nothing);
        assert_eq!((finished.err.as_str(), finished.status), ("rsync: not found\n", Some(127)), "{client:?}");
    }
    gateway.end();
}

#[test]
fn a_client_that_is_lost_leaves_what_it_has_sent_and_no_session() {
    let gateway = gateway();
    let call = Call::new(Client::OpenSsh100, &gateway, "guest").exec("scp -t .");
    let mut running = call.start();
    running.type_in(b"C0644 1000000 part\n0123456789");
    gateway.wait("the file", |event| (event.field("operation") == "create").then_some(()));
    running.kill_and_wait();
    gateway.wait("the end of the session", |event| (event.message == "session ended").then_some(()));
    let part = gateway.folder().join("wide/part");
    assert_eq!(fs::read_to_string(part).ok().as_deref(), Some("0123456789"));
    gateway.end();
}

/// Writes a file of this size whose every 8 bytes say where they are: swapped, repeated and missing pieces are seen.
fn write_numbers(path: &Path, bytes: u64) {
    let mut file = BufWriter::new(fs::File::create(path).expect("our own folder"));
    (0..bytes / 8).for_each(|number| file.write_all(&number.to_be_bytes()).expect("there is room"));
    file.flush().expect("there is room");
}

/// Whether a file is what [`write_numbers`] writes.
fn is_numbers(path: &Path, bytes: u64) -> bool {
    let mut file = BufReader::new(fs::File::open(path).expect("it was made"));
    let mut number = [0; 8];
    let is_right = |at: u64| file.read_exact(&mut number).is_ok() && number == at.to_be_bytes();
    (0..bytes / 8).all(is_right) && fs::metadata(path).is_ok_and(|found| found.len() == bytes)
}

#[test]
fn a_large_file_goes_each_way_in_little_memory() {
    let gateway = gateway();
    let bytes = size(32, 1024) * MIB;
    let (there, back) = (gateway.folder().join("large"), gateway.folder().join("copy"));
    write_numbers(&there, bytes);
    let remote = "guest@127.0.0.1:large";
    for (way, places) in [("up", [text(&there), remote]), ("down", [remote, text(&back)])] {
        let mut command = openssh("10.0", &gateway);
        command.args(places);
        let before = gateway.processor_time();
        let finished = Running::start(command, Input::Nothing, Output::Read, LATER).finish();
        assert_eq!(finished.status, Some(0), "{}", finished.err);
        let took = gateway.processor_time().saturating_sub(before);
        figure(&format!("scp -O {} MiB {way}, processor time of the server", bytes / MIB), format!("{took:?}"));
    }
    for path in [&gateway.folder().join("wide/large"), &back] {
        assert!(is_numbers(path, bytes), "{}", path.display());
    }
    assert!(gateway.peak_memory() < 96 * MIB, "{} MiB", gateway.peak_memory() / MIB);
    gateway.end();
}
