//! A session of the SFTP server on an empty directory: whatever the bytes, and however they are cut, every reply is
//! whole, and what waits to be sent stays bounded.
//!
//! The first byte says how the input is cut. The paths of the bytes reach the machine's files with the rights of who
//! runs this, so `/` in them becomes `_`.

#![no_main]

use std::cell::OnceCell;

use libfuzzer_sys::fuzz_target;
use sftp::{Account, MAX_READ, NativeFiles, OUTPUT_HIGH, Server};
use tempfile::TempDir;

thread_local! {
    static PLACE: OnceCell<TempDir> = const { OnceCell::new() };
}

fn home() -> String {
    PLACE.with(|place| {
        let place = place.get_or_init(|| tempfile::tempdir().expect("there is a directory for temporary files"));
        place.path().to_str().expect("its path is UTF-8").to_owned()
    })
}

fuzz_target!(|input: &[u8]| {
    let Some((cut, bytes)) = input.split_first() else { return };
    let bytes: Vec<u8> = bytes.iter().map(|byte| if matches!(byte, b'/' | b'.') { b'_' } else { *byte }).collect();
    let mut server = Server::new(NativeFiles::default(), Account { user: "alice".to_owned(), home: home() });
    let hello = [0, 0, 0, 5, 1, 0, 0, 0, 3];
    assert_eq!(server.feed(&hello), Ok(hello.len()));
    for mut piece in bytes.chunks(usize::from(*cut) + 1) {
        while !piece.is_empty() {
            let fed = server.feed(piece);
            let waiting = server.output();
            assert!(waiting.len() < OUTPUT_HIGH + MAX_READ + 1024);
            check_replies(waiting);
            server.sent(waiting.len());
            let Ok(taken) = fed else { return };
            piece = &piece[taken..];
        }
    }
});

/// Every reply has its length.
fn check_replies(mut replies: &[u8]) {
    while let Some((length, rest)) = replies.split_first_chunk() {
        let length = usize::try_from(u32::from_be_bytes(*length)).expect("it is no longer than memory");
        assert!(length >= 5 && length <= rest.len());
        replies = &rest[length..];
    }
    assert!(replies.is_empty());
}
