//! Twisted Conch's cftp. It gets files of its current folder only.

use crate::file_transfer::fixture::{many_files, write};
use crate::file_transfer::operation::Operation;
use crate::file_transfer::row::{Client, How, Step};
use crate::file_transfer::site::Site;
use std::process::Command;
use whelk_tests::{client_program, repository};

pub(super) fn client() -> Client {
    Client { name: "cftp", how: How::Batch(batch), step, without: &[] }
}

fn batch(site: &Site, lines: &[String]) -> Command {
    let script = site.local.join("commands");
    write(&script, format!("{}\n", lines.join("\n")).as_bytes());
    let mut command = Command::new(client_program("python"));
    command.env("HOME", &site.local).arg(repository().join("tests/interop/cftp.py"));
    command.args(["-l", site.user, "-p", &site.port.to_string(), "--user-authentications", "publickey", "-i"]);
    command.arg(site.keys.openssh()).arg("-b").arg(script).arg("127.0.0.1");
    command
}

fn step(site: &Site, operation: Operation) -> Step {
    let here = |name: &str| site.from(operation, name);
    let there = |name: &str| site.at(operation, name);
    let inside = format!("cd {}", there(""));
    Step::Lines(match operation {
        Operation::Put => vec![format!("put {} {}", here("data"), there("data"))],
        Operation::Get => vec![inside, format!("get data {}", here("data"))],
        Operation::Rename => vec![format!("rename {} {}", there("from"), there("to"))],
        Operation::Remove => vec![format!("rm {}", there("file"))],
        Operation::MakeFolder => vec![format!("mkdir {}", there("new"))],
        Operation::RemoveFolder => vec![format!("rmdir {}", there("old"))],
        Operation::PutMany => {
            let many = there("many");
            vec![format!("mkdir {many}"), format!("cd {many}"), format!("put {}", here("many/*"))]
        }
        // One after another: its patterns match nothing, with any server.
        Operation::GetMany => {
            std::fs::create_dir_all(here("many")).expect("our own folder");
            let gets =
                (0..many_files()).map(|number| format!("get file{number} {}", here(&format!("many/file{number}"))));
            std::iter::once(format!("cd {}", there("many"))).chain(gets).collect()
        }
        // It calls the target first, as OpenSSH's server reads it.
        Operation::Link => vec![inside, "ln file made".to_owned(), format!("get made {}", here("through"))],
        Operation::Mode => vec![format!("chmod 640 {}", there("file"))],
        Operation::List => return Step::Lacks("in a file of commands `ls` prints nothing, with any server"),
        Operation::ResumePut | Operation::ResumeGet => return Step::Lacks("it copies whole files"),
        Operation::PutTree | Operation::GetTree | Operation::Names => {
            return Step::Lacks("it copies files, not folders");
        }
        Operation::PutTime | Operation::GetTime => return Step::Lacks("it keeps no times"),
        Operation::Space => return Step::Lacks("it has no command for it"),
    })
}
