//! Uploads that meet the end of a quota, and uploads whose client is lost.

use crate::file_transfer::fixture::write;
use crate::file_transfer::server::{HOMES, Server};
use std::fs;
use std::path::Path;
use std::process::Command;
use whelk_tests::{Finished, Gateway, Input, Output, Running, SOON, client_program};

/// The quota of the home, in bytes.
const QUOTA: usize = 3 << 20;

fn server() -> Server {
    Server::whelk(&HOMES.replace("{principal}\"", "{principal}\", bytes = \"3 MiB\""))
}

/// OpenSSH's sftp with these commands.
fn sftp(server: &Server, lines: &[String]) -> Command {
    let site = server.site("quota", &[]);
    let script = site.local.join("commands");
    write(&script, format!("{}\n", lines.join("\n")).as_bytes());
    let mut command = Command::new(client_program("sftp-10.0"));
    command.args(["-F", "none", "-oStrictHostKeyChecking=no", "-oUserKnownHostsFile=/dev/null", "-oBatchMode=yes"]);
    command.args(["-oIdentitiesOnly=yes", "-oLogLevel=ERROR", "-i"]).arg(site.keys.openssh());
    command.arg("-S").arg(client_program("ssh-10.0")).args(["-P", &site.port.to_string(), "-b"]).arg(script);
    command.arg(format!("{}@127.0.0.1", site.user));
    command
}

fn run(server: &Server, lines: &[String]) -> Finished {
    Running::run(sftp(server, lines), Input::Nothing, SOON)
}

/// The free bytes that a new session is told.
fn free(server: &Server) -> usize {
    let finished = run(server, &["df".to_owned()]);
    assert_eq!(finished.status, Some(0), "{}", finished.err);
    // Size, used, available and so on, in KiB.
    let text = finished.out.text();
    let figures = text.lines().last().map(|line| line.split_whitespace().collect::<Vec<_>>()).unwrap_or_default();
    let kib: usize = figures.get(2).and_then(|figure| figure.parse().ok()).unwrap_or_else(|| panic!("no df: {text}"));
    kib << 10
}

#[test]
fn an_upload_over_the_quota_is_refused_and_resumed_when_there_is_room() {
    let server = server();
    let site = server.site("quota", &[]);
    let [old, large] = ["old", "large"].map(|name| site.local.join(name));
    write(&old, &vec![b'o'; QUOTA / 2]);
    let bytes: Vec<u8> = (0..QUOTA / 4 * 3).map(|at| (at / 7).to_le_bytes()[0]).collect();
    write(&large, &bytes);
    let put = |verb: &str, file: &Path, name: &str| format!("{verb} {} {}/{name}", file.display(), site.remote);
    assert_eq!(run(&server, &[put("put", &old, "old")]).status, Some(0));
    let refused = run(&server, &[put("put", &large, "large")]);
    println!("the client says: {}", refused.err.trim());
    assert_ne!(refused.status, Some(0), "more than the quota was taken");
    assert!(refused.err.contains("write remote") || refused.err.contains("large"), "{}", refused.err);
    // What was there is kept, and what came goes on later.
    assert_eq!(fs::read(site.disk.join("old")).expect("it was there").len(), QUOTA / 2);
    let part = fs::read(site.disk.join("large")).expect("the part that came is kept");
    assert!(part.len() <= QUOTA / 2 && !part.is_empty(), "{} bytes came", part.len());
    assert!(bytes.starts_with(&part), "the part is not the beginning");
    let gone_on = run(&server, &[format!("rm {}/old", site.remote), put("reput", &large, "large")]);
    assert_eq!(gone_on.status, Some(0), "{}", gone_on.err);
    assert!(fs::read(site.disk.join("large")).expect("it was put") == bytes);
    server.end();
}

/// Paths of the user's files that the gateway has open.
fn open_files(gateway: &Gateway, below: &Path) -> Vec<String> {
    let folder = format!("/proc/{}/fd", gateway.pid());
    let links = fs::read_dir(folder).expect("the gateway runs").filter_map(Result::ok);
    let targets = links.filter_map(|link| fs::read_link(link.path()).ok());
    targets.filter(|path| path.starts_with(below) && path != below).map(|path| path.display().to_string()).collect()
}

#[test]
fn a_lost_client_leaves_no_open_file_and_a_right_account() {
    let server = server();
    let site = server.site("quota", &[]);
    let gateway = server.gateway().expect("it is Whelk");
    let whole = free(&server);
    let file = site.local.join("large");
    write(&file, &vec![b'x'; QUOTA / 2]);
    // Slowly: in the middle of it when the client is lost.
    let mut command = sftp(&server, &[format!("put {} {}/lost", file.display(), site.remote)]);
    let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
    command = Command::new(command.get_program());
    command.args(["-l", "2000"]).args(arguments);
    let client = Running::start(command, Input::Nothing, Output::Read, SOON);
    let lost = site.disk.join("lost");
    while lost.metadata().map_or(0, |metadata| metadata.len()) < 100_000 {
        assert!(client.is_alive(), "the client has ended: {}", client.said());
        std::thread::yield_now();
    }
    assert!(!open_files(gateway, &site.disk).is_empty(), "the file is open during the upload");
    let before = gateway.wait_all("the log so far", |events| Some(closed(events)));
    client.kill_and_wait();
    gateway.wait_all("the end of the connection", |events| (closed(events) > before).then_some(()));
    // The session ends a moment after its connection.
    let mut left = open_files(gateway, &site.disk);
    let start = std::time::Instant::now();
    while !left.is_empty() && start.elapsed() < SOON {
        std::thread::yield_now();
        left = open_files(gateway, &site.disk);
    }
    assert!(left.is_empty(), "still open: {left:?}");
    let there = usize::try_from(lost.metadata().expect("the part is kept").len()).expect("it is small");
    assert!(there < QUOTA / 2, "the client was not lost in the middle");
    let (now, block) = (free(&server), 8 << 10);
    assert!(whole - now >= there.saturating_sub(block) && whole - now <= there + block, "{whole} {now} {there}");
    // What is left is what a file may have, and no more.
    let rest = site.local.join("rest");
    write(&rest, &vec![b'r'; QUOTA - there - block]);
    let finished = run(&server, &[format!("put {} {}/rest", rest.display(), site.remote)]);
    assert_eq!(finished.status, Some(0), "{}", finished.err);
    write(&rest, &vec![b'r'; QUOTA - there + block]);
    let finished = run(&server, &[format!("put {} {}/rest", rest.display(), site.remote)]);
    assert_ne!(finished.status, Some(0), "more than the quota was taken");
    server.end();
}

/// How many connections have ended.
fn closed(events: &[whelk_tests::Event]) -> usize {
    events.iter().filter(|event| event.message == "connection closed").count()
}
