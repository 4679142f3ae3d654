//! One packet of the SFTP server: whatever the bytes, they are read or refused.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sftp::Request;

fuzz_target!(|packet: &[u8]| {
    if let Some((kind, fields)) = packet.split_first() {
        // Both results are right; a panic is not.
        let _ = Request::parse(*kind, fields);
    }
});
