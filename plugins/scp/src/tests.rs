//! The two roles with each other, and with anything at all.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use crate::{NativeFiles, Request, Sink, Source, Step};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

/// A file with its contents, or a directory; each with its time of modification.
#[derive(Debug, Clone)]
enum Node {
    File(Vec<u8>, u32),
    Directory(BTreeMap<String, Node>, u32),
}

fn names() -> impl Strategy<Value = String> {
    // A newline is sent encoded, so that another name arrives.
    let some = "[^/\0\n]{1,20}".prop_filter("it has a meaning", |name| name != "." && name != "..");
    prop_oneof![
        Just("a b".to_owned()),
        Just("C0644 1 x".to_owned()),
        Just("-r".to_owned()),
        Just("é*".to_owned()),
        some
    ]
}

fn trees() -> impl Strategy<Value = BTreeMap<String, Node>> {
    let file = prop_oneof![vec(any::<u8>(), 0..50), (0_usize..200_000).prop_map(|size| vec![7; size])];
    let leaf = (file, any::<u32>()).prop_map(|(bytes, time)| Node::File(bytes, time));
    let node = leaf.prop_recursive(4, 20, 5, |inner| {
        (btree_map(names(), inner, 0..5), any::<u32>()).prop_map(|(nodes, time)| Node::Directory(nodes, time))
    });
    btree_map(names(), node, 0..4)
}

fn set_time(path: &Path, seconds: u32) {
    let time = UNIX_EPOCH + Duration::from_secs(seconds.into());
    let file = fs::File::open(path).expect("it was made");
    file.set_times(fs::FileTimes::new().set_modified(time)).expect("our own folder");
}

fn make(path: &Path, nodes: &BTreeMap<String, Node>) {
    for (name, node) in nodes {
        let path = path.join(name);
        match node {
            Node::File(bytes, time) => {
                fs::write(&path, bytes).expect("our own folder");
                set_time(&path, *time);
            }
            Node::Directory(nodes, time) => {
                fs::create_dir(&path).expect("our own folder");
                make(&path, nodes);
                set_time(&path, *time);
            }
        }
    }
}

fn assert_made(path: &Path, nodes: &BTreeMap<String, Node>) {
    assert_eq!(fs::read_dir(path).expect("it is there").count(), nodes.len(), "{}", path.display());
    for (name, node) in nodes {
        let path = path.join(name);
        let (Node::File(_, time) | Node::Directory(_, time)) = node;
        let modified = fs::metadata(&path).and_then(|metadata| metadata.modified()).expect("it is there");
        assert_eq!(modified, UNIX_EPOCH + Duration::from_secs((*time).into()), "{}", path.display());
        match node {
            Node::File(bytes, _) => assert!(fs::read(&path).ok().as_ref() == Some(bytes), "{}", path.display()),
            Node::Directory(nodes, _) => assert_made(&path, nodes),
        }
    }
}

fn request(options: &str, paths: &[&str]) -> Request {
    let words = options.split(' ').chain(["--"]).chain(paths.iter().copied());
    Request::parse(words.map(str::to_owned)).expect("it is right")
}

/// What a sink replies to these bytes.
fn fed(sink: &mut Sink<NativeFiles>, mut bytes: &[u8]) -> Vec<u8> {
    let mut replies = Vec::new();
    while !bytes.is_empty() {
        bytes = sink.feed(bytes);
        replies.extend(sink.take_reply());
    }
    replies
}

/// Connects the two roles, and gives their statuses. What the source sends arrives in pieces of this size.
fn cross(source: &mut Source<NativeFiles>, sink: &mut Sink<NativeFiles>, size: usize) -> (u8, u8) {
    source.feed(&sink.take_reply());
    loop {
        match source.step() {
            Step::Send(bytes) => {
                let pieces: Vec<Vec<u8>> = bytes.chunks(size).map(<[u8]>::to_vec).collect();
                for piece in &pieces {
                    source.feed(&fed(sink, piece));
                }
            }
            Step::Reply => panic!("both wait: {:?}", sink.take_shown()),
            Step::Done => {
                sink.end();
                return (source.status(), sink.status());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_tree_goes_through_and_is_the_same(nodes in trees(), size in 1_usize..100_000) {
        let (from, to) = (tempfile::tempdir().expect("it can be made"), tempfile::tempdir().expect("it can be made"));
        make(from.path(), &nodes);
        let paths: Vec<&str> = nodes.keys().map(String::as_str).collect();
        if !paths.is_empty() {
            let mut source = Source::new(NativeFiles::new(from.path()), request("-rpf", &paths), "alice");
            let mut sink = Sink::new(NativeFiles::new(to.path()), request("-rptd", &["."]));
            prop_assert_eq!(cross(&mut source, &mut sink, size), (0, 0));
        }
        assert_made(to.path(), &nodes);
    }

    #[test]
    fn no_bytes_make_a_sink_panic_or_write_elsewhere(input in client_bytes(), size in 1_usize..5000) {
        let folder = tempfile::tempdir().expect("it can be made");
        fs::create_dir(folder.path().join("in")).expect("our own folder");
        fs::write(folder.path().join("beside"), "kept").expect("our own folder");
        let mut sink = Sink::new(NativeFiles::new(folder.path()), request("-rpt", &["in"]));
        input.chunks(size).for_each(|piece| drop(fed(&mut sink, piece)));
        sink.end();
        prop_assert!(sink.is_done());
        let mut names: Vec<_> = fs::read_dir(folder.path()).expect("it is there").flatten().collect();
        names.sort_by_key(fs::DirEntry::file_name);
        let names: Vec<_> = names.iter().map(fs::DirEntry::file_name).collect();
        prop_assert_eq!(names, ["beside", "in"]);
        prop_assert_eq!(fs::read_to_string(folder.path().join("beside")).ok(), Some("kept".to_owned()));
    }

    #[test]
    fn no_replies_make_a_source_panic_or_wait_for_ever(replies in vec(prop_oneof![Just(0), any::<u8>()], 0..60)) {
        let folder = tempfile::tempdir().expect("it can be made");
        fs::create_dir(folder.path().join("d")).expect("our own folder");
        fs::write(folder.path().join("d/f"), vec![1; 100_000]).expect("our own folder");
        let mut source = Source::new(NativeFiles::new(folder.path()), request("-rpf", &["d", "none", "d/f"]), "alice");
        let mut replies = replies.chunks(3);
        while let step @ (Step::Send(_) | Step::Reply) = source.step() {
            if step == Step::Reply {
                match replies.next() {
                    Some(reply) => source.feed(reply),
                    None => source.end(),
                }
            }
        }
    }
}

/// Bytes of a client: lines that are right, nearly right, or nothing.
fn client_bytes() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        (names(), 0_u64..200).prop_map(|(name, size)| format!("C0644 {size} {name}\n").into_bytes()),
        (names(), any::<u64>()).prop_map(|(name, size)| format!("C0644 {size} {name}\n").into_bytes()),
        names().prop_map(|name| format!("D0755 0 {name}\n").into_bytes()),
        "[CDTE][0-9 ]{0,12}[./a]{0,5}\n".prop_map(String::into_bytes),
        (any::<u64>(), any::<u32>()).prop_map(|(one, two)| format!("T{one} 0 {two} 0\n").into_bytes()),
        Just(b"E\n".to_vec()),
        Just(vec![0]),
        vec(any::<u8>(), 0..300),
    ];
    vec(line, 0..20).prop_map(|lines| lines.concat())
}
