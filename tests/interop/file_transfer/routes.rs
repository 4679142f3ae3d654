//! What comes before file transfer, and what a directory for reading leaves of it. The basic cases are in `files`.

use super::fixture::write;
use super::server::HOMES;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::process::Command;
use whelk_tests::{Access, Finished, Gateway, Input, Keys, Running, SOON, Setup, client_program};

/// A gateway with one tenant, whose users all have the same key. Options of a user's key precede it.
struct Place {
    gateway: Gateway,
    keys: std::sync::Arc<Keys>,
}

impl Place {
    /// `users` and the options of their keys, and the lines of the tenant, in which HOMES is the folder of homes.
    fn start(users: &[(&str, &str)], tenant: &str) -> Self {
        let (access, line) = Access::fresh_key();
        let Access::Key(keys) = access else { unreachable!("a fresh key is a key") };
        let setup = Setup::default();
        for folder in ["homes", "folder"] {
            fs::DirBuilder::new().mode(0o755).create(setup.folder().join(folder)).expect("our own folder");
        }
        let mut text = String::new();
        for (user, options) in users {
            write(&setup.folder().join(format!("keys-{user}")), format!("{options} {line}").trim_start().as_bytes());
            text += &format!("[users.{user}]\ntenant = \"acme\"\nauthorized_keys = \"keys-{user}\"\n");
        }
        text += &format!("[tenants.acme]\n{}", tenant.replace("HOMES", "homes"));
        Self { gateway: setup.configuration(&text).start(), keys }
    }

    fn local(&self, name: &str) -> PathBuf {
        self.gateway.folder().join(name)
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(client_program(&format!("{name}-10.0")));
        command.args(["-F", "none", "-oStrictHostKeyChecking=no", "-oUserKnownHostsFile=/dev/null", "-oBatchMode=yes"]);
        command.args(["-oIdentitiesOnly=yes", "-oLogLevel=ERROR", "-i"]).arg(self.keys.openssh());
        if name != "ssh" {
            command.arg("-S").arg(client_program("ssh-10.0"));
        }
        command.args([if name == "ssh" { "-p" } else { "-P" }, &self.gateway.port().to_string()]);
        command
    }

    /// sftp with these commands.
    fn sftp(&self, user: &str, options: &[&str], lines: &str) -> Finished {
        let mut command = self.program("sftp");
        command.args(options).args(["-b", "-"]).arg(format!("{user}@127.0.0.1"));
        Running::run(command, Input::Bytes(format!("{lines}\n").into_bytes()), SOON)
    }

    /// Copies a file to a path, with scp's own protocol.
    fn old_scp(&self, user: &str, options: &[&str], path: &str) -> Finished {
        let file = self.local("sent");
        write(&file, b"sent by scp");
        let mut command = self.program("scp");
        command.arg("-O").args(options).arg(file).arg(format!("{user}@127.0.0.1:{path}"));
        Running::run(command, Input::Nothing, SOON)
    }

    fn ssh(&self, user: &str, arguments: &[&str]) -> Finished {
        let mut command = self.program("ssh");
        command.arg(format!("{user}@127.0.0.1")).args(arguments);
        Running::run(command, Input::Nothing, SOON)
    }
}

fn succeeded(finished: &Finished) -> String {
    assert_eq!(finished.status, Some(0), "{}{}", finished.out.text(), finished.err);
    finished.out.text()
}

const ALICE: &[(&str, &str)] = &[("alice", "")];

#[test]
fn homes_are_reached_without_any_setting_and_each_by_its_user_alone() {
    let place = Place::start(&[("alice", ""), ("bob", "")], HOMES);
    succeeded(&place.old_scp("alice", &[], "of-alice"));
    let listed = succeeded(&place.sftp("alice", &[], "pwd\nls -1"));
    assert!(listed.contains("Remote working directory: /\n") && listed.contains("of-alice"), "{listed}");
    let listed = succeeded(&place.sftp("bob", &[], "ls -1\n-ls -1 ../alice\n-ls -1 /homes/alice\n-ls -1 /../.."));
    assert!(!listed.contains("of-alice"), "{listed}");
    // A name that is typed leads nowhere else.
    let refused = place.sftp("../alice", &[], "ls");
    assert_ne!(refused.status, Some(0), "{}", refused.out.text());
    let homes = fs::read_dir(place.local("homes")).expect("our own folder").filter_map(Result::ok);
    let mut names: Vec<_> = homes.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    assert_eq!(names, ["alice", "bob"]);
    place.gateway.end();
}

#[test]
fn files_set_to_false_keeps_sftp_and_scp_out_of_homes() {
    let users = [("alice", ""), ("carol", "command=\"internal-sftp\"")];
    let place = Place::start(&users, &format!("files = false\n{HOMES}"));
    let refused = place.sftp("alice", &[], "ls");
    assert_eq!(refused.status, Some(255), "{}", refused.out.text());
    assert!(refused.err.contains("subsystem request failed"), "{}", refused.err);
    assert_ne!(place.old_scp("alice", &[], "sent").status, Some(0));
    assert!(!place.local("homes/alice/sent").exists());
    // A key that is for sftp alone does not reach the user's plugin instead.
    let refused = place.ssh("carol", &["print other"]);
    assert_eq!(refused.status, Some(126), "{}", refused.out.text());
    assert_eq!(refused.err.trim(), "internal-sftp: sftp and scp reach no files here");
    assert_ne!(place.sftp("carol", &[], "ls").status, Some(0));
    place.gateway.end();
}

#[test]
fn a_directory_for_reading_is_read_and_not_written() {
    let tenant = "plugin = \"probe\"\nfiles = true\ngrants.directory = { path = \"folder\", access = \"read-only\" }\n";
    let place = Place::start(ALICE, tenant);
    write(&place.local("folder/there"), b"there");
    let got = place.local("got");
    succeeded(&place.sftp("alice", &[], &format!("get there {}", got.display())));
    assert_eq!(fs::read(&got).expect("it was got"), b"there");
    let lines = format!("put {} here", got.display());
    for refused in [place.sftp("alice", &[], &lines), place.sftp("alice", &[], "rm there")] {
        assert_eq!(refused.status, Some(1), "{}", refused.out.text());
        println!("the client says: {}", refused.err.trim());
    }
    assert_ne!(place.old_scp("alice", &[], "sent").status, Some(0));
    let left = fs::read_dir(place.local("folder")).expect("our own folder").count();
    assert_eq!(left, 1);
    place.gateway.end();
}

#[test]
fn the_operators_routes_and_forced_commands_come_first() {
    // probe prints the arguments of `print`.
    let users = [("alice", ""), ("bob", "command=\"print forced\""), ("carol", "command=\"internal-sftp\"")];
    let routes = "routes = { exec = { scp = \"probe\" } }\n";
    let place = Place::start(&users, &format!("{routes}{HOMES}"));
    // The operator's route for scp leads to a plugin that knows no such command; that for the subsystem is whelk's.
    assert_ne!(place.old_scp("alice", &[], "sent").status, Some(0));
    assert!(!place.local("homes/alice/sent").exists());
    succeeded(&place.sftp("alice", &[], "pwd"));
    // A forced command is run whatever is asked for.
    for asked in [&["-s", "sftp"][..], &["scp -t ."], &[]] {
        assert!(place.ssh("bob", asked).out.text().contains("forced"), "{asked:?}");
    }
    assert_ne!(place.sftp("bob", &[], "pwd").status, Some(0));
    // sshd's `ForceCommand internal-sftp`: sftp works, and nothing else does.
    let listed = succeeded(&place.sftp("carol", &[], "pwd"));
    assert!(listed.contains("Remote working directory: /"), "{listed}");
    let other = place.ssh("carol", &["print other"]);
    assert!(!other.out.text().contains("other"), "{}", other.out.text());
    place.gateway.end();
}

#[test]
fn an_operators_route_for_the_subsystem_leads_elsewhere() {
    let routes = "routes = { subsystem = { sftp = \"echo\" } }\n";
    let place = Place::start(ALICE, &format!("{routes}{HOMES}"));
    // echo refuses every subsystem.
    let refused = place.sftp("alice", &[], "pwd");
    assert_eq!(refused.status, Some(255), "{}", refused.out.text());
    assert!(refused.err.contains("subsystem request failed"), "{}", refused.err);
    succeeded(&place.old_scp("alice", &[], "sent"));
    place.gateway.end();
}

#[test]
fn a_restricted_key_still_transfers_files() {
    let place = Place::start(&[("alice", "restrict")], HOMES);
    succeeded(&place.old_scp("alice", &[], "sent"));
    let listed = succeeded(&place.sftp("alice", &[], "ls -1"));
    assert!(listed.contains("sent"), "{listed}");
    place.gateway.end();
}
