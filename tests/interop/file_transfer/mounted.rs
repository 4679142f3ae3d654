//! A home as a file system: sshfs.

use super::fixture::{HALF, data};
use super::layout;
use super::operation::Operation;
use super::row::{Client, How, Step, run, succeeded};
use super::server::{Kind, Server};
use super::site::Site;
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use whelk_tests::{Input, Running, SOON, client_program, figure, size};

mod model;

/// A folder of a server, mounted until this is dropped.
#[derive(Debug)]
pub(super) struct Mount {
    folder: PathBuf,
}

impl Mount {
    /// Mounts the server's folder of a site beside the client's files.
    fn new(site: &Site) -> Result<Self, String> {
        if !Path::new("/dev/fuse").exists() {
            return Err("there is no /dev/fuse: `modprobe fuse`, or give the container that device and CAP_SYS_ADMIN"
                .to_owned());
        }
        let folder = site.local.join("mounted");
        fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        let mut command = Command::new(client_program("sshfs"));
        command.arg(format!("{}@127.0.0.1:{}", site.user, site.remote)).arg(&folder);
        command.args(["-p", &site.port.to_string(), "-F", "none"]);
        let key = format!("IdentityFile={}", site.keys.openssh().display());
        let ssh = format!("ssh_command={}", client_program("ssh-10.0").display());
        let options = [
            &key,
            &ssh,
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "IdentitiesOnly=yes",
            "BatchMode=yes",
        ];
        command.args(options.iter().flat_map(|option| ["-o", option]));
        // It ends when the folder is mounted; a process that it leaves serves the mount.
        succeeded(&run(command)).map_err(|error| {
            format!("sshfs does not mount: {error}\nWithout root it needs Debian's package: apt-get install fuse3")
        })?;
        Ok(Self { folder })
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let mut command = Command::new(client_program("fusermount3"));
        command.arg("-u").arg("-z").arg(&self.folder);
        // A test that has failed prints its own reason.
        let finished = Running::run(command, Input::Nothing, SOON);
        if finished.status != Some(0) {
            eprintln!("{} is still mounted: {}", self.folder.display(), finished.err);
        }
    }
}

/// The client of the table.
pub(super) fn client() -> Client {
    Client { name: "sshfs", how: How::Mounted, step: |_, _| Step::Driven, without: &[] }
}

/// Does operations through a mount.
pub(super) fn perform(site: &Site, operations: &[Operation]) -> Vec<Result<(), String>> {
    let mount = match Mount::new(site) {
        Ok(mount) => mount,
        Err(error) => return vec![Err(error)],
    };
    let one = |operation: &Operation| {
        let there = mount.folder.join(operation.title());
        let said = through(site, *operation, &there).map_err(|error| error.to_string())?;
        layout::check(*operation, site, &said)
    };
    operations.iter().map(one).collect()
}

/// One operation, with the mounted folder of its files.
fn through(site: &Site, operation: Operation, there: &Path) -> std::io::Result<String> {
    let here = site.here(operation);
    match operation {
        Operation::Put => drop(fs::copy(here.join("data"), there.join("data"))?),
        Operation::Get => drop(fs::copy(there.join("data"), here.join("data"))?),
        Operation::List => {
            let names = fs::read_dir(there)?.filter_map(Result::ok).map(|entry| entry.file_name());
            return Ok(names.map(|name| name.to_string_lossy().into_owned()).collect::<Vec<_>>().join("\n"));
        }
        Operation::Rename => fs::rename(there.join("from"), there.join("to"))?,
        Operation::Remove => fs::remove_file(there.join("file"))?,
        Operation::MakeFolder => fs::create_dir(there.join("new"))?,
        Operation::RemoveFolder => fs::remove_dir(there.join("old"))?,
        Operation::ResumePut => resume(&there.join("data"))?,
        Operation::ResumeGet => {
            let rest = fs::read(there.join("data"))?.split_off(HALF);
            File::options().append(true).open(here.join("data"))?.write_all(&rest)?;
        }
        Operation::PutTree => copy(&here.join("tree"), &there.join("tree"))?,
        Operation::GetTree => copy(&there.join("tree"), &here.join("tree"))?,
        Operation::PutMany => copy(&here.join("many"), &there.join("many"))?,
        Operation::GetMany => copy(&there.join("many"), &here.join("many"))?,
        Operation::Names => {
            copy(&here.join("names"), &there.join("names"))?;
            copy(&there.join("names"), &here.join("back/names"))?;
        }
        Operation::PutTime => keep_time(&here.join("data"), &there.join("data"))?,
        Operation::GetTime => keep_time(&there.join("data"), &here.join("data"))?,
        Operation::Link => {
            symlink("file", there.join("made"))?;
            fs::copy(there.join("made"), here.join("through"))?;
        }
        Operation::Space => {
            let mut command = Command::new("df");
            command.arg(there);
            return succeeded(&run(command)).map_err(std::io::Error::other);
        }
        Operation::Mode => fs::set_permissions(there.join("file"), PermissionsExt::from_mode(0o640))?,
    }
    Ok(String::new())
}

/// Goes on with the upload.
fn resume(file: &Path) -> std::io::Result<()> {
    let mut file = File::options().write(true).open(file)?;
    file.seek(SeekFrom::End(0))?;
    file.write_all(&data(3)[HALF..])?;
    file.sync_all()
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

fn keep_time(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::copy(from, to)?;
    File::options().write(true).open(to)?.set_modified(from.metadata()?.modified()?)
}

/// Random operations on a mounted home, and on a model of it in memory.
fn a_mounted_home_is_what_was_written(kind: Kind) {
    let server = Server::start(kind);
    let site = server.site("mounted", &[]);
    let count = size(1_500, 20_000);
    let mut model = model::Model::new(0x0057_4845_4c4b);
    let mount = Mount::new(&site).unwrap_or_else(|error| panic!("{error}"));
    for number in 0..count {
        model.step(&mount.folder, number);
    }
    model.compare(&mount.folder);
    drop(mount);
    // What the mount had in its memory is on the disk, and a new mount sees it.
    model.compare(&site.disk);
    let mount = Mount::new(&site).unwrap_or_else(|error| panic!("{error}"));
    model.compare(&mount.folder);
    drop(mount);
    figure(&format!("operations of a mounted home, {kind:?}"), count);
    server.end();
}

#[test]
fn a_home_mounted_from_sshd_is_what_was_written() {
    a_mounted_home_is_what_was_written(Kind::Sshd);
}

#[test]
fn a_home_mounted_from_whelk_is_what_was_written() {
    a_mounted_home_is_what_was_written(Kind::Whelk);
}

fn git(folder: &Path, arguments: &[&str]) {
    let mut command = Command::new(client_program("git"));
    command.env("HOME", folder).env("GIT_CONFIG_NOSYSTEM", "1").arg("-C").arg(folder);
    command.args(["-c", "user.name=a test", "-c", "user.email=test@example.org", "-c", "safe.directory=*"]);
    command.args(arguments);
    if let Err(error) = succeeded(&run(command)) {
        panic!("git {arguments:?}: {error}");
    }
}

/// A clone of a local repository into a mounted home, a commit there, and a check of all objects.
fn git_works_in_a_mounted_home(kind: Kind) {
    let server = Server::start(kind);
    let site = server.site("git", &[]);
    let source = site.local.join("source");
    fs::create_dir(&source).expect("our own folder");
    git(&source, &["init", "--quiet", "--initial-branch=main"]);
    for number in 0..size(20, 200) {
        fs::write(source.join(format!("file{number}")), data(number)).expect("our own folder");
        git(&source, &["add", "--all"]);
        git(&source, &["commit", "--quiet", "--message", "one more"]);
    }
    let mount = Mount::new(&site).unwrap_or_else(|error| panic!("{error}"));
    let clone = mount.folder.join("clone");
    git(&mount.folder, &["clone", "--quiet", "--no-hardlinks", &source.display().to_string(), "clone"]);
    fs::write(clone.join("file0"), "changed\n").expect("the mount can be written");
    git(&clone, &["commit", "--quiet", "--all", "--message", "changed there"]);
    git(&clone, &["gc", "--quiet"]);
    git(&clone, &["fsck", "--full", "--strict"]);
    drop(mount);
    git(&site.disk.join("clone"), &["fsck", "--full", "--strict"]);
    server.end();
}

#[test]
fn git_works_in_a_home_mounted_from_sshd() {
    git_works_in_a_mounted_home(Kind::Sshd);
}

#[test]
fn git_works_in_a_home_mounted_from_whelk() {
    git_works_in_a_mounted_home(Kind::Whelk);
}
