//! File transfer by OpenSSH's sftp: large files and many small ones, each way, with time, server CPU and memory of each
//! transfer.

use super::load::on_core_1;
use super::server::{Place, Server};
use crate::step::{Outcome, doing, line, run as step};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// The size of the large file by default, in MiB.
pub(crate) const SIZE: u64 = 128;

/// How many small files there are for each MiB of the large one, and the size of each in bytes.
const FILES_OF_A_MIB: u64 = 10;
const SMALL: u64 = 1 << 10;

const MIB: u64 = 1 << 20;

/// Where folders of earlier runs are until the last one.
const ASIDE: &str = "sftp-aside";

/// How often the memory of the server is looked at during a transfer.
const LOOK: Duration = Duration::from_millis(50);

/// One way of some files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transfer {
    Up,
    Down,
    ManyUp,
    ManyDown,
}

impl Transfer {
    pub(crate) const ALL: [Self; 4] = [Self::Up, Self::Down, Self::ManyUp, Self::ManyDown];

    /// The titles of its figures and their units, in the order of [`Figures`].
    pub(crate) fn titles(self, size: u64) -> [(String, &'static str); 3] {
        let what = match self {
            Self::Up => format!("sftp put of {size} MiB"),
            Self::Down => format!("sftp get of {size} MiB"),
            Self::ManyUp => format!("sftp put of {} files", size * FILES_OF_A_MIB),
            Self::ManyDown => format!("sftp get of {} files", size * FILES_OF_A_MIB),
        };
        let unit = match self {
            Self::Up | Self::Down => "s/GiB",
            Self::ManyUp | Self::ManyDown => "ms/file",
        };
        let (wall, memory) = (format!("{what}: wall time"), format!("{what}: memory while it runs"));
        [(what, unit), (wall, unit), (memory, "MiB")]
    }

    fn is_upload(self) -> bool {
        matches!(self, Self::Up | Self::ManyUp)
    }

    /// The name of what is transferred.
    fn name(self) -> &'static str {
        match self {
            Self::Up | Self::Down => "large",
            Self::ManyUp | Self::ManyDown => "many",
        }
    }
}

/// Server CPU and wall time, in the unit of the title, and the growth of the server's anonymous memory in MiB.
pub(crate) type Figures = [f64; 3];

/// Makes what is transferred, once for all.
pub(crate) fn prepare(place: &Place, size: u64) -> Outcome {
    let source = source(place, size);
    if source.join("done").is_file() {
        return Ok(());
    }
    let many = source.join("many");
    doing(many.display(), fs::create_dir_all(&many))?;
    let block: Vec<u8> = (0..MIB).map(|at| (at.wrapping_mul(at) >> 7).to_le_bytes()[0]).collect();
    let large = (0..size).flat_map(|_| &block[..]).copied().collect::<Vec<u8>>();
    doing("large", fs::write(source.join("large"), large))?;
    for number in 0..size * FILES_OF_A_MIB {
        let bytes = block.get(..usize::try_from(SMALL).unwrap_or_default()).unwrap_or_default();
        doing("many", fs::write(many.join(format!("file{number}")), bytes))?;
    }
    doing("done", fs::write(source.join("done"), ""))
}

fn source(place: &Place, size: u64) -> PathBuf {
    place.file(&format!("sftp-{size}"))
}

/// Runs a transfer on a server that has just been started.
pub(crate) fn run(place: &Place, server: &Server, transfer: Transfer, size: u64) -> Outcome<Figures> {
    let (here, there) = (place.file("sftp-client"), place.files(server.kind()));
    [&here, &there].into_iter().try_for_each(|folder| clear(place, folder))?;
    let (source, name) = (source(place, size), transfer.name());
    if !transfer.is_upload() {
        copy(&source.join(name), &there.join(name))?;
    }
    let script = place.file("sftp-commands");
    // The first session may wait until the program is compiled.
    doing(script.display(), fs::write(&script, "pwd\n"))?;
    step(&mut client(place, server, &script))?;
    let command = if transfer.is_upload() {
        format!("put -r {} .", source.join(name).display())
    } else {
        format!("get -r {name} {}", here.display())
    };
    doing(script.display(), fs::write(&script, format!("{command}\n")))?;
    let (cpu, wall, memory) = measure(server, &mut client(place, server, &script))?;
    let arrived = if transfer.is_upload() { there.join(name) } else { here.join(name) };
    same(&source.join(name), &arrived)?;
    let (size, million) = (f64::from(u32::try_from(size).unwrap_or(u32::MAX)), 1000.0);
    let unit = match transfer {
        Transfer::Up | Transfer::Down => 1024.0 / size,
        Transfer::ManyUp | Transfer::ManyDown => {
            million / (size * f64::from(u8::try_from(FILES_OF_A_MIB).unwrap_or(1)))
        }
    };
    Ok([cpu.as_secs_f64() * unit, wall.as_secs_f64() * unit, memory])
}

/// Makes a folder, or empties it: a server may have it open. The folders in it are moved, and removed by [`sweep`]: for
/// some seconds after thousands of files were removed, ext4 takes several times as long to create one.
fn clear(place: &Place, folder: &Path) -> Outcome {
    let aside = place.file(ASIDE);
    for folder in [folder, &aside] {
        doing(folder.display(), fs::create_dir_all(folder))?;
    }
    for entry in doing(folder.display(), fs::read_dir(folder))?.filter_map(Result::ok) {
        let path = entry.path();
        let free = (0..).map(|number: u32| aside.join(number.to_string())).find(|free| !free.exists());
        match free.filter(|_| path.is_dir()) {
            Some(free) => doing(path.display(), fs::rename(&path, free))?,
            None => doing(path.display(), fs::remove_file(&path))?,
        }
    }
    Ok(())
}

/// Removes what the runs have left behind.
pub(crate) fn sweep(place: &Place) -> Outcome {
    let aside = place.file(ASIDE);
    doing(aside.display(), fs::remove_dir_all(&aside))
}

fn client(place: &Place, server: &Server, script: &Path) -> Command {
    let mut command = on_core_1();
    command.arg(place.client("sftp-10.0")).args(["-F", "none", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR"]);
    command.args(["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "IdentitiesOnly=yes"]);
    command.args(["-o", "KexAlgorithms=curve25519-sha256", "-o", "Ciphers=aes256-gcm@openssh.com", "-i"]);
    command.arg(place.file("key")).arg("-S").arg(place.client("ssh-10.0"));
    command.args(["-P", &server.port().to_string(), "-q", "-b"]).arg(script);
    command.arg(format!("{}@127.0.0.1", server.user_of_files()));
    command
}

/// The server's CPU time and memory for one run of the client, its login included, and how long that took.
fn measure(server: &Server, client: &mut Command) -> Outcome<(Duration, Duration, f64)> {
    let before = server.meter().anonymous()?;
    let (cpu, start) = (server.meter().cpu()?, Instant::now());
    let line = line(client);
    let mut child = doing(&line, client.stdout(Stdio::null()).spawn())?;
    let (sender, ended) = channel();
    let waiting = std::thread::spawn(move || sender.send((child.wait(), Instant::now())));
    let mut most = before;
    let (status, end) = loop {
        match ended.recv_timeout(LOOK) {
            Ok(ended) => break ended,
            // A process may end while it is looked at.
            Err(RecvTimeoutError::Timeout) => most = most.max(server.meter().anonymous().unwrap_or_default()),
            Err(RecvTimeoutError::Disconnected) => return Err(format!("{line}: nobody waited for it")),
        }
    };
    let _ = waiting.join();
    let status = doing(&line, status)?;
    if !status.success() {
        return Err(format!("{line}: {status}"));
    }
    let cpu = server.meter().cpu()?.saturating_sub(cpu);
    let grown = u32::try_from(most.saturating_sub(before) >> 10).unwrap_or(u32::MAX);
    Ok((cpu, end - start, f64::from(grown) / 1024.0))
}

fn copy(from: &Path, to: &Path) -> Outcome {
    step(Command::new("cp").arg("-r").arg(from).arg(to))
}

fn same(one: &Path, other: &Path) -> Outcome {
    let mut compare = Command::new("diff");
    step(compare.args(["-r", "-q"]).arg(one).arg(other))
}
