//! A link that is exchanged while a path through it is opened.

use super::driver;
use crate::file_transfer::fixture::write;
use crate::file_transfer::server::{Kind, Server};
use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};
use whelk_tests::{Input, Running, SOON};

/// A folder inside a home, and a link to a folder of the machine, take turns under one name. A session opens a file
/// below that name again and again. It reads the file inside or nothing.
#[test]
fn a_link_that_is_exchanged_during_an_open_never_leads_out_of_the_home() {
    let server = Server::start(Kind::Whelk);
    let site = server.site("race", &[]);
    let outside = site.local.join("outside");
    for (folder, text) in [(&outside, "outside"), (&site.disk.join("inside"), "inside")] {
        fs::create_dir(folder).expect("our own folder");
        write(&folder.join("file"), text.as_bytes());
    }
    // Each is renamed over the name: there is no moment without it.
    let exchange = |round: u32| {
        let (new, name) = (site.disk.join("new"), site.disk.join("swap"));
        if round.is_multiple_of(2) { symlink("inside", &new) } else { symlink(&outside, &new) }
            .expect("our own folder");
        fs::rename(new, name).expect("our own folder");
    };
    exchange(0);
    let ended = AtomicBool::new(false);
    let finished = std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0.. {
                if ended.load(Ordering::Relaxed) {
                    break;
                }
                exchange(round);
            }
        });
        let mut command = driver(&server, "sftp_race.py", &site.remote);
        command.args(["--outside", &outside.display().to_string()]);
        // Ends the other thread, even if it panics.
        let running = Running::start(command, Input::Nothing, whelk_tests::Output::Read, SOON * 2);
        running.wait("end", |seen| seen.status);
        ended.store(true, Ordering::Relaxed);
        running.finish()
    });
    let said = finished.out.text();
    assert_eq!(finished.status, Some(0), "{said}{}", finished.err);
    println!("{said}");
    server.end();
}
