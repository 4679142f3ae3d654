//! rclone. It first asks for a shell, to learn whether it can run programs that hash files.

use crate::file_transfer::operation::Operation;
use crate::file_transfer::row::{Client, How, Step, words};
use crate::file_transfer::site::Site;
use std::process::Command;
use whelk_tests::client_program;

/// It writes control characters as other characters, so that every kind of storage takes them.
const CONTROL: &[&str] = &["\n", "\t", "\x07"];

pub(super) fn client() -> Client {
    Client { name: "rclone", how: How::Each(program), step, without: CONTROL }
}

fn program(site: &Site, arguments: &[String]) -> Command {
    let mut command = Command::new(client_program("rclone"));
    command.env("HOME", &site.local).env("RCLONE_CONFIG", site.local.join("rclone.conf"));
    command.env("RCLONE_SFTP_HOST", "127.0.0.1").env("RCLONE_SFTP_PORT", site.port.to_string());
    command.env("RCLONE_SFTP_USER", site.user).env("RCLONE_SFTP_KEY_FILE", site.keys.openssh());
    command.args(["--retries", "1", "--low-level-retries", "1", "--ask-password=false"]).args(arguments);
    command
}

fn step(site: &Site, operation: Operation) -> Step {
    let here = |name: &str| site.from(operation, name);
    let there = |name: &str| format!(":sftp:{}", site.at(operation, name));
    let copy = |from: String, to: String| words(["copy", "--create-empty-src-dirs", &from, &to]);
    Step::Runs(vec![match operation {
        Operation::Put | Operation::PutTime => words(["copyto", &here("data"), &there("data")]),
        Operation::Get | Operation::GetTime => words(["copyto", &there("data"), &here("data")]),
        Operation::List => words(["lsf", &there("")]),
        Operation::Rename => words(["moveto", &there("from"), &there("to")]),
        Operation::Remove => words(["deletefile", &there("file")]),
        Operation::MakeFolder => words(["mkdir", &there("new")]),
        Operation::RemoveFolder => words(["rmdir", &there("old")]),
        Operation::PutTree => copy(here("tree"), there("tree")),
        Operation::GetTree => copy(there("tree"), here("tree")),
        Operation::PutMany => copy(here("many"), there("many")),
        Operation::GetMany => copy(there("many"), here("many")),
        Operation::Names => {
            let (up, down) = (copy(here("names"), there("names")), copy(there("names"), here("back/names")));
            return Step::Runs(vec![up, down]);
        }
        Operation::Space => words(["about", &there("")]),
        Operation::ResumePut | Operation::ResumeGet => return Step::Lacks("it copies whole files"),
        Operation::Link => return Step::Lacks("it makes no links"),
        Operation::Mode => return Step::Lacks("it has no command for it"),
    }])
}
