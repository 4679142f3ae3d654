//! A session of `scp -t`: whatever the bytes, and however they are cut, it ends, and nothing is written beside its
//! target.
//!
//! The first byte says how the input is cut.

#![no_main]

use std::fs;

use libfuzzer_sys::fuzz_target;
use scp::{NativeFiles, Request, Sink};

fuzz_target!(|input: &[u8]| {
    let Some((cut, bytes)) = input.split_first() else { return };
    let folder = tempfile::tempdir().expect("there is a directory for temporary files");
    fs::create_dir(folder.path().join("target")).expect("the directory is new");
    let words = ["-rpt", "target"].map(str::to_owned);
    let request = Request::parse(words).expect("the arguments are right");
    let mut sink = Sink::new(NativeFiles::new(folder.path()), request);
    let mut replies = sink.take_reply().len();
    for piece in bytes.chunks(usize::from(*cut) + 1) {
        sink.feed(piece);
        replies += sink.take_reply().len();
    }
    sink.end();
    assert!(sink.is_done());
    // An error repeats a name, whose control characters are in octal, and the path that it has.
    assert!(replies <= 2 * 1100 + 1100 * bytes.len());
    let entries = fs::read_dir(folder.path()).expect("it is still there");
    assert_eq!(entries.count(), 1);
});
